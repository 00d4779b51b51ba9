"""Onset sizes as Cho et al. (ACS Nano 18, 29736, 2024) read them off a plot: kept to compare, not to believe.

Both carry the width of a bin, neither has an interval, and simulation shows them biased: the highest bin by up to
0.27 nm, and the size at which samples begin to differ by 1 % depends on how steep they are and how many there are.
"""

import numpy as np
from jaxtyping import Float64

FEWEST_PER_BIN = 100
_HALF_OF_THE_SAMPLES = 2


def common_means(
    n: Float64[np.ndarray, "sample bin"], mean: Float64[np.ndarray, "sample bin"]
) -> Float64[np.ndarray, "sample bin"]:
    """Blank bins of fewer than 100 particles, and those that fewer than half of the samples have."""
    known = np.where(n >= FEWEST_PER_BIN, mean, np.nan)
    enough = np.isfinite(known).sum(0) * _HALF_OF_THE_SAMPLES >= len(n)
    return np.where(enough, known, np.nan)


def highest_bin(centre: Float64[np.ndarray, " bin"], means: Float64[np.ndarray, "sample bin"]) -> float:
    """Give the centre of the bin whose mean over samples is the highest; NaN if there is none.

    Examples
    --------
    >>> highest_bin(np.array([4.1, 4.3, 4.5]), np.array([[0.9, 0.92, 0.91]]))
    4.3
    """
    there = np.isfinite(means)
    if not there.any():
        return float("nan")
    level = np.where(there, means, 0.0).sum(0) / np.maximum(there.sum(0), 1)
    return float(centre[np.where(there.any(0), level, -np.inf).argmax()])


def last_common_bin(
    centre: Float64[np.ndarray, " bin"], means: Float64[np.ndarray, "sample bin"], cv: float = 0.01
) -> float:
    """Give the last bin, from the most uniform one upwards, in which samples scatter by less than a CV; NaN if none.

    Examples
    --------
    >>> last_common_bin(np.array([4.1, 4.3, 4.5]), np.array([[0.9, 0.9, 0.9], [0.9, 0.901, 0.8]]))
    4.3
    """
    shared = np.flatnonzero(np.isfinite(means).sum(0) >= 2)
    if not len(shared):
        return float("nan")
    columns = means[:, shared]
    scatter = np.nanstd(columns, axis=0, ddof=1) / np.nanmean(columns, axis=0)
    place = int(scatter.argmin())
    if scatter[place] >= cv:
        return float("nan")
    while place + 1 < len(scatter) and scatter[place + 1] < cv:
        place += 1
    return float(centre[shared[place]])
