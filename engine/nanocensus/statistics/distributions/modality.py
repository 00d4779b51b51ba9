"""Whether a distribution has one peak or more: the critical bandwidth, held against resamples of whole clusters.

The critical bandwidth is the least at which a Gaussian kernel leaves one peak. If it is much larger than chance needs, there is
more than one. Chance is drawn by the smoothed bootstrap: clusters are drawn anew and their particles moved by a Gaussian of
that bandwidth, which makes the distribution that has one peak only just.

Sources
-------
Silverman, JRSS B 43, 97 (1981): critical bandwidth and smoothed bootstrap.
Hall and York, Statistica Sinica 11, 515 (2001): peaks counted between bounds, since those of single particles in the tails say
nothing; without a correction the test errs on the side of one peak.
Rao and Wu, JASA 83, 231 (1988): the clusters of a resample.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64
from scipy import fft

from nanocensus.statistics.cells.cells import Cells, cells
from nanocensus.statistics.cells.partitions import Particles
from nanocensus.statistics.cells.quanta import Number
from nanocensus.statistics.cells.size_bins import SizeBins, size_bins
from nanocensus.statistics.distributions.bandwidths import silverman
from nanocensus.statistics.estimation.checks import check_draws
from nanocensus.statistics.estimation.clusters import Cluster
from nanocensus.statistics.estimation.intervals import FEWEST_PARTICLES
from nanocensus.statistics.estimation.panels import cluster_sums, lay_out, panels
from nanocensus.statistics.estimation.philox import check_seed, generator

FEWEST_CLUSTERS = 8
COLUMNS = ["sample", "descriptor", "critical_bandwidth", "usual_bandwidth", "p", "peak", "second_peak", "n", "n_clusters",
           "refusal"]  # fmt: skip
_BOUNDS = (0.01, 0.99)
"""Shares of the particles between which peaks are counted."""
_PER_SD = 40
"""Steps of the histogram in a standard deviation of the narrowest sample."""
_MOST_STEPS = 4000
_LEAST = 1.0
"""Bandwidth, in steps, from which on peaks are looked for."""
_SAME = 1e-12
"""Share of the highest density that is rounding."""
_REACH = 5.0
"""Standard deviations from the mean beyond which particles are left out of the histogram."""
_HALVINGS = 40
_CORRECTION = 1.13
"""What resamples may need more than the sample at a level of 5 % (Hall and York): uncorrected, the test hardly ever finds p < 0.05."""


class Peaked(NamedTuple):
    """A distribution seen through the critical bandwidth."""

    bandwidth: float
    """In steps."""
    peaks: tuple[float, float]
    """The highest steps on both sides of the valley that a little less leaves, the higher first; NaN where there is none."""


def modality(
    particles: Particles,
    micrographs: pd.DataFrame | None = None,
    *,
    of: str = "edge_length_nm",
    cluster: Cluster = "group",
    replicates: int = 499,
    seed: int = 0,
    scale: Mapping[str, Number] | None = None,
) -> pd.DataFrame:
    """Test in each sample whether a descriptor's distribution has one peak.

    Parameters
    ----------
    particles : pandas or dask DataFrame
        Accepted particles; each counts once.
    micrographs : DataFrame, optional
        Their micrographs.
    of : str
        The descriptor.
    cluster
        What is drawn anew (see `estimate`).
    replicates : int
        Number of resamples.
    seed : int
        0 to 2^64 - 1.
    scale : mapping of str to float, optional
        See `quantum_of`.

    Returns
    -------
    DataFrame
        One row a sample: `critical_bandwidth` and, to compare, the `usual_bandwidth` (Silverman's rule) in the descriptor's
        unit; `p`, the share of resamples of a distribution with one peak that need as large a bandwidth; `peak` and
        `second_peak`, the highest places on both sides of the last valley to vanish; or a refusal.

    Notes
    -----
    Peaks are counted between the 1 % and 99 % quantiles. The test errs on the side of one peak: how far, and what it finds, in
    benchmarks/results/comparison.md.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> rows = pd.DataFrame({"sample": "A", "micrograph": list("opqrstuvwxyz") * 100})
    >>> rows["edge_length_nm"] = rng.normal(np.where(rng.random(1200) < 0.5, 4.0, 6.0), 0.4)
    >>> found = modality(rows, replicates=99).iloc[0]
    >>> bool(found["p"] <= 0.01), sorted([round(found["peak"]), round(found["second_peak"])])
    (True, [4, 6])
    """
    check_seed(seed)
    check_draws("replicates", replicates)
    step, bins = _steps(cells(particles, micrographs, by=["sample"], of=[of], weight=None, scale=scale), of)
    made = cells(particles, micrographs, by=["sample", bins], of=[of], weight=None, scale=scale)
    layout = lay_out(made, cluster)
    left = bins.bounds(layout.bins).left
    rows: list[dict[str, object]] = []
    for sample, (_, sums) in zip(map(str, layout.keys["sample"]), panels(made, layout), strict=True):
        counts = sums["n"][sums["n"].sum(1) > 0]
        n, clusters = int(counts.sum()), len(counts)
        head = {"sample": sample, "descriptor": of, "n": n, "n_clusters": clusters, "refusal": ""}
        held = np.flatnonzero(counts.sum(0))
        if n < FEWEST_PARTICLES or clusters < FEWEST_CLUSTERS:
            needs = f"a test of peaks needs {FEWEST_PARTICLES} in {FEWEST_CLUSTERS}"
            rows.append(head | {"refusal": f"{n} particles in {clusters} clusters: {needs}"})
        elif len(held) < 3:
            rows.append(head | {"refusal": "all values are the same"})
        else:
            counts = counts[:, held[0] : held[-1] + 1]
            rng = generator(seed, f"peaks {of} {sample}")
            found = critical(counts.sum(0))
            peaks = [float(left[held[0]] + (peak + 0.5) * step) for peak in found.peaks]
            usual = silverman(*_scale(counts.sum(0)), n) * step
            rows.append(head | {"critical_bandwidth": found.bandwidth * step, "usual_bandwidth": usual, "peak": peaks[0],
                                "second_peak": peaks[1], "p": p_of_one_peak(counts, found.bandwidth, replicates, rng)})  # fmt: skip
    table = pd.DataFrame(rows, columns=COLUMNS)
    table.attrs["cluster"] = layout.facts["cluster"]
    return table


def critical(counts: Int64[np.ndarray, " step"]) -> Peaked:
    """Find the least bandwidth that leaves one peak between the bounds, and the two peaks that it just joins."""
    bounds = _bounds(counts)
    low, high = _LEAST, 2 * _scale(counts)[0] + _LEAST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        several = len(_peaks(smoothed(counts[:, None], middle)[:, 0], bounds)) > 1
        low, high = (middle, high) if several else (low, middle)
    return Peaked(high, _two_peaks(counts, low, bounds))


def _two_peaks(
    counts: Int64[np.ndarray, " step"], bandwidth: float, bounds: tuple[float, float]
) -> tuple[float, float]:
    """Find the valley that a bandwidth leaves, and the highest step on both sides of it as the usual bandwidth shows them."""
    density = smoothed(counts[:, None], bandwidth)[:, 0]
    peaks = _peaks(density, bounds)
    if len(peaks) < 2:
        return float(density.argmax()), float("nan")
    first, second = np.sort(peaks[np.argsort(-density[peaks], kind="stable")[:2]])
    valley = first + int(density[first : second + 1].argmin())
    # The critical bandwidth draws peaks towards each other.
    finer = smoothed(counts[:, None], min(bandwidth, silverman(*_scale(counts), int(counts.sum()))))[:, 0]
    sides = [int(finer[:valley].argmax()), valley + int(finer[valley:].argmax())]
    highest, other = sorted(sides, key=lambda place: -finer[place])
    return float(highest), float(other)


def p_of_one_peak(counts: Int64[np.ndarray, "cluster step"], bandwidth: float, replicates: int,
                  rng: np.random.Generator) -> float:  # fmt: skip
    """Give the share of resamples of the distribution with one peak that have several at its bandwidth.

    Notes
    -----
    Moving each particle of a resample by a Gaussian and counting again is, but for what is left of a step, drawing each count
    from a Poisson distribution about the smoothed counts. The resample is wider than the sample, so bandwidth and bounds are
    widened alike in place of narrowing it (Silverman, section 4).
    """
    total = counts.sum(0)
    number = len(counts)
    drawn = rng.multinomial(number - 1, np.full(number, 1 / number), replicates)
    sd = _scale(total)[0]
    wider = float(np.sqrt(1 + (bandwidth / sd) ** 2))
    room = int(np.ceil(_REACH * bandwidth))
    padded = np.pad((drawn @ counts).T, ((room, room), (0, 0)))
    made = rng.poisson(smoothed(padded, bandwidth))
    middle = float(np.arange(len(total)) @ total / total.sum())
    low, high = (middle + (bound - middle) * wider + room for bound in _bounds(total))
    density = smoothed(made, _CORRECTION * bandwidth * wider)
    several = [len(_peaks(column, (low, high))) > 1 for column in density.T]
    return (1 + int(np.sum(several))) / (1 + replicates)


def smoothed(counts: Int64[np.ndarray, "step many"], bandwidth: float) -> Float64[np.ndarray, "step many"]:
    """Smooth columns of counts with a Gaussian of so many steps."""
    room = int(np.ceil(_REACH * bandwidth)) + 1
    padded = np.pad(counts.astype(np.float64), ((room, room), (0, 0)))
    damping = np.exp(-0.5 * (np.pi * np.arange(len(padded)) * bandwidth / len(padded)) ** 2)
    found = fft.idct(fft.dct(padded, type=2, axis=0) * damping[:, None], type=2, axis=0)
    return np.asarray(np.maximum(found[room:-room], 0.0))


def _peaks(density: Float64[np.ndarray, " step"], bounds: tuple[float, float]) -> Int64[np.ndarray, " peak"]:
    """Give the steps that are higher than those on both sides, between the bounds."""
    rising, falling = np.diff(density)[:-1] > _SAME * density.max(), np.diff(density)[1:] < -_SAME * density.max()
    found = np.flatnonzero(rising & falling) + 1
    return np.asarray(found[(found >= bounds[0]) & (found <= bounds[1])], np.int64)


def _bounds(counts: Int64[np.ndarray, " step"]) -> tuple[float, float]:
    share = np.cumsum(counts) / counts.sum()
    low, high = (float(np.searchsorted(share, bound)) for bound in _BOUNDS)
    return low, high


def _scale(counts: Int64[np.ndarray, " step"]) -> tuple[float, float]:
    """Give the standard deviation and the interquartile range, in steps."""
    places, total = np.arange(len(counts)), counts.sum()
    middle = places @ counts / total
    quartiles = np.interp([0.25, 0.75], np.cumsum(counts) / total, places)
    return float(np.sqrt((places - middle) ** 2 @ counts / total)), float(np.diff(quartiles)[0])


def _steps(whole: Cells, of: str) -> tuple[float, SizeBins]:
    """Cut the range of all samples into steps, so fine that the narrowest sample has its share of them."""
    found = [cluster_sums(sums, whole.recipe, of).moments for _, sums in panels(whole, lay_out(whole, "micrograph"))]
    means, sds = (np.array([float(values[0]) for values in part])
                  for part in ([m.mean for m in found], [np.sqrt(m.variance) for m in found]))  # fmt: skip
    known = np.isfinite(sds) & (sds > 0)
    least = 2 * whole.recipe.quanta[0].step
    if not known.any():
        return least, size_bins(edges=(np.floor(np.nanmin(means) / least) + np.arange(-2, 4)) * least, of=of)
    low, high = (means - _REACH * sds)[known].min(), (means + _REACH * sds)[known].max()
    step = max(sds[known].min() / _PER_SD, (high - low) / _MOST_STEPS, least)
    return step, size_bins(edges=np.arange(np.floor(low / step), np.ceil(high / step) + 1) * step, of=of)
