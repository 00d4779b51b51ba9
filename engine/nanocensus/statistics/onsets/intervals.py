"""Where bends lie, and how sure one may be: each sample's, and that of all samples together.

Clusters are drawn anew (Rao and Wu), the fit is repeated, and the percentiles of the places are the interval. Samples
need not bend at one size. Cochran's Q says whether they differ; if so, what is given is the mean of the places over
samples like these (random effects), whose interval has two parts: the bootstrap's variance of the weighted mean, in which
the shared half width is chosen anew each time, and the variance between samples; t has S - 1 degrees of freedom.

Sources
-------
Rao and Wu, JASA 83, 231 (1988): bootstrap of n - 1 clusters, without bias for the variance of few.
Hartung and Knapp, Statistics in Medicine 20, 3875 (2001): t with S - 1 degrees of freedom when samples differ.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy import stats

from nanocensus.statistics.estimation.heterogeneity import Differences, heterogeneity
from nanocensus.statistics.estimation.philox import generator
from nanocensus.statistics.onsets.fit import Bends, Profile, best_half_width, explained, refined

DIFFER = 0.10
"""Samples are taken to differ where p of Cochran's Q is below: its usual level, since the test is weak."""
FEWEST_SAMPLES = 3
_LOCATED = 0.07
"""A sample enters Q and the mean if the standard error of its place is below this share of the range."""
_LEAST_ERROR = 0.2
"""A standard error below this share of the step between places is that of the grid."""


class Place(NamedTuple):
    """Where one bend lies, nm."""

    estimate: float
    lower: float
    upper: float
    standard_error: float
    half_width: float
    """Of the bend in the fit; weakly known."""
    method: str
    degrees_of_freedom: float = float("inf")
    """Of the t distribution that the interval is made with; none of percentiles."""


def cluster_weights(n: int, replicates: int, seed: int, purpose: str) -> Float64[np.ndarray, "replicate cluster"]:
    """Give the weights of clusters, all one in the first row and then drawn n - 1 of n with replacement.

    Parameters
    ----------
    n, replicates : int
    seed : int
    purpose : str
        Whose clusters: equal seeds and purposes give equal weights, in any order of samples.
    """
    rng = generator(seed, purpose)
    drawn = rng.multinomial(n - 1, np.full(n, 1 / n), size=replicates) * (n / (n - 1))
    return np.vstack([np.ones(n), drawn])


def locate(
    samples: Sequence[Profile], bends: Bends, weights: Sequence[Float64[np.ndarray, "replicate _"]], level: float
) -> tuple[Place, list[Place], Differences | None]:
    """Give the place of all samples together, that of each, and whether they differ.

    Parameters
    ----------
    samples : sequence of Profile
    bends : Bends
    weights : sequence of float64 arrays (replicate, cluster)
        One a sample; the first row must be ones.
    level : float
        Of the intervals.
    """
    gains = np.array([explained(sample, bends, own) for sample, own in zip(samples, weights, strict=True)])
    row = np.arange(gains.shape[1])
    total = gains.sum(0)
    common = best_half_width(total.max(2), bends.half_width)
    joint = _percentile(refined(total[row, common], bends.place), bends.half_width[common[0]], level)
    # Each sample at its own place: otherwise different kinks would pass for one wide bend.
    own = best_half_width(gains.max(3).sum(0), bends.half_width)
    places = np.array([refined(gain[row, own], bends.place) for gain in gains])
    each = [_percentile(place, bends.half_width[own[0]], level) for place in places]
    fixed = np.array([refined(gain[:, own[0]], bends.place) for gain in gains])
    usable = places[:, 1:].std(1, ddof=1) < _LOCATED * _range(bends)
    if usable.sum() < FEWEST_SAMPLES:
        return joint, each, None
    errors = np.maximum(fixed[usable, 1:].std(1, ddof=1), _LEAST_ERROR * bends.step)
    differences = heterogeneity(places[usable, 0], errors**2)
    if differences.p >= DIFFER:
        return joint, each, differences
    mean = _mean_place(places[usable], errors**2, differences, each[0].half_width, level)
    return mean, each, differences


def _mean_place(
    places: Float64[np.ndarray, "sample replicate"], variances: Float64[np.ndarray, " sample"],
    differences: Differences, half_width: float, level: float,
) -> Place:  # fmt: skip
    weight = 1 / (variances + differences.sd**2)
    weight = weight / weight.sum()
    means = weight @ places
    between = differences.sd**2 * float((weight**2).sum())
    variance = float(np.var(means[1:], ddof=1)) + between
    error = variance**0.5
    freedom = len(places) - 1
    reach = float(stats.t.ppf((1 + level) / 2, freedom)) * error
    estimate = float(means[0])
    method = "mean over samples that differ: random effects, t"
    return Place(estimate, estimate - reach, estimate + reach, error, half_width, method, freedom)


def _percentile(places: Float64[np.ndarray, " replicate"], half_width: float, level: float) -> Place:
    lower, upper = np.quantile(places[1:], [(1 - level) / 2, (1 + level) / 2])
    error = float(places[1:].std(ddof=1))
    return Place(
        float(places[0]), float(lower), float(upper), error, float(half_width), "cluster bootstrap, percentile"
    )


def _range(bends: Bends) -> float:
    return float(bends.half_width[-1]) * 5
