"""How many micrographs a mean needs: plain numpy, one value a cell."""

import numpy as np
from scipy import stats

from nanocensus.statistics.estimation.intervals import FEWEST_CLUSTERS, FEWEST_PARTICLES, PerCell

_MOST = 10_000_000
"""Where the search for a number of micrographs ends."""


def micrograph_variance(between: PerCell, within: PerCell, factor: PerCell, crowd: PerCell, m: PerCell) -> PerCell:
    """Give J times the variance of the mean of J micrographs.

    Parameters
    ----------
    between, within : float64 arrays (cell,)
        Variance components.
    factor : float64 array (cell,)
        By which the likeness of neighbouring micrographs raises the former.
    crowd, m : float64 arrays (cell,)
        Mean square over mean, and mean, of the numbers of particles of micrographs.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((factor * between * crowd + within) / m)


def micrographs_needed(variance: PerCell, goal: PerCell, m: PerCell, share: PerCell, *, level: float | None) -> PerCell:
    """Give the smallest number of micrographs whose mean is known well enough, and that carry an interval at all.

    Parameters
    ----------
    variance : float64 array (cell,)
        Of `micrograph_variance`.
    goal : float64 array (cell,)
        Half-width of the interval, or standard error if `level` is None.
    m : float64 array (cell,)
        Particles of a micrograph.
    share : float64 array (cell,)
        Clusters of a micrograph: 1, or less where several are one cluster.
    level : float, optional
        Of the interval.

    Examples
    --------
    >>> one = np.ones(1)
    >>> micrographs_needed(one, 0.5 * one, 100 * one, one, level=None).tolist()
    [4.0]
    >>> micrographs_needed(one, 0.5 * one, 100 * one, one, level=0.95).tolist()  # t, not 1.96
    [18.0]
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        low = np.ceil(np.maximum(FEWEST_PARTICLES / m, FEWEST_CLUSTERS / share))
    known = np.isfinite(variance + goal + low)
    low, high = np.where(known, low, 1.0), np.full(len(variance), float(_MOST))
    while np.any(high - low > 0.5):
        middle = np.floor((low + high) / 2)
        fine = mean_error(middle, variance, share, level=level) <= goal
        low, high = np.where(fine, low, middle + 1), np.where(fine, middle, high)
        low = np.minimum(low, high)
    return np.where(known, high, np.nan)


def mean_error(micrographs: PerCell, variance: PerCell, share: PerCell, *, level: float | None) -> PerCell:
    """Give the standard error of the mean of so many micrographs, or half the length of its interval.

    Parameters are those of `micrographs_needed`; without a level it is the standard error.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.sqrt(variance / micrographs)
        if level is None:
            return np.asarray(error)
        return np.asarray(error * stats.t.ppf((1 + level) / 2, np.maximum(share * micrographs - 1, 1.0)))
