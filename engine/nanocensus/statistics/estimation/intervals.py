"""Intervals from sums per cluster: plain numpy, a column a cell, a row a cluster.

Particles of one micrograph resemble each other, so intervals that take them as independent are far too narrow (they
cover two thirds of the time, not 95 %). Here the cluster (group, session or micrograph) is the unit.

Sources
-------
Bell and McCaffrey, Survey Methodology 28, 169 (2002): the CR2 adjustment; for a mean with the identity as working
model the residual of cluster j is divided by sqrt(1 - p_j), p_j its share of the weight.
Satterthwaite, Biometrics Bulletin 2, 110 (1946): degrees of freedom of a sum of variances, here for a working
intracluster correlation of 0.05.
Woodruff, JASA 47, 635 (1952); Francisco and Fuller, Annals of Statistics 19, 454 (1991): intervals of quantiles by
inverting those of the cumulative share.
Cochran, Sampling Techniques, 3rd ed. (1977), section 6.3: linearised variance of a ratio, for functions of moments.
Tukey, Annals of Mathematical Statistics 29, 614 (1958): the jackknife, here leaving out a cluster at a time, for measures
of spread. Their intervals are built on one over the square root: of the scales tried on simulated populations the one
whose two ends missed most evenly (on the logarithm the upper end is too low for skewed values; one over the value often
has no upper end in thin bins).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64, Shaped
from scipy import stats

WORKING_CORRELATION = 0.05
"""Intracluster correlation assumed for the degrees of freedom only; micrographs of nanocrystals show 0.03 to 0.13."""
FEWEST_CLUSTERS = 4
FEWEST_PARTICLES = 20
LARGEST_SHARE = 0.95
"""Share of the particles of one cluster, above which the others say too little of how far clusters lie apart: at 99 % intervals of
a mean covered 20 % of the time in simulation, at 95 % 93 %."""
_UNDEFINED = "not defined for these values (no spread, or not positive)"

PerCluster = Float64[np.ndarray, "cluster cell"]
PerCell = Float64[np.ndarray, " cell"]


class Moments(NamedTuple):
    """Weighted moments of the particles of each cell, of all of them or (with more dimensions) of many choices of them."""

    n: Float64[np.ndarray, "..."]
    """Number of particles."""
    mean: Float64[np.ndarray, "..."]
    variance: Float64[np.ndarray, "..."]
    """Mean square distance from the mean (divided by the total weight)."""


class ClusterSums(NamedTuple):
    """Sums over the particles of each cluster, in the unit of the column."""

    n: Int64[np.ndarray, "cluster cell"]
    weight: PerCluster
    first: PerCluster
    """Sum of w x."""
    second: PerCluster
    """Sum of w x^2."""
    moments: Moments
    """Of all clusters together."""


class Estimates(NamedTuple):
    """One statistic of every cell; what cannot be said is NaN, with the reason."""

    estimate: PerCell
    standard_error: PerCell
    degrees_of_freedom: PerCell
    lower: PerCell
    upper: PerCell
    refusal: Shaped[np.ndarray, " cell"]
    """Text: "" or why there is no interval."""


def moments(n: Int64[np.ndarray, "cluster cell"], weight: PerCluster, first: PerCluster, second: PerCluster) -> Moments:
    """Pool sums over clusters in floating point; `estimate` does it in integers.

    Examples
    --------
    >>> one, x = np.ones((2, 1)), np.array([[1.0], [3.0]])
    >>> float(moments(one.astype(int), one, x, x**2).variance[0])
    1.0
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        total = weight.sum(0)
        mean = first.sum(0) / total
        return Moments(n.sum(0).astype(np.float64), mean, np.maximum(second.sum(0) / total - mean**2, 0.0))


def standard_error(residuals: PerCluster, weight: PerCluster) -> PerCell:
    """Give the CR2 standard error of a ratio of sums with the total weight below.

    Parameters
    ----------
    residuals : float64 array (cluster, cell)
        Each cluster's sum of weighted residuals; they add up to zero.
    weight : float64 array (cluster, cell)
        Its total weight.
    """
    total = weight.sum(0)
    share = np.clip(weight / total, 0.0, LARGEST_SHARE)
    return np.asarray(np.sqrt((residuals**2 / (1 - share)).sum(0)) / total)


def degrees_of_freedom(weight: PerCluster, n: PerCell) -> PerCell:
    """Give Satterthwaite's degrees of freedom for the working correlation.

    A cluster of n_j particles contributes a variance in proportion to v_j = n_j + 0.05 n_j (n_j - 1), written here
    0.95 n_j + 0.05 n_j^2, n_j its share of the weight times the number of particles; (sum v)^2 / sum v^2 - 1, at least
    one. Equal clusters give their number minus one.

    Examples
    --------
    >>> float(degrees_of_freedom(np.full((8, 1), 30.0), np.array([240.0]))[0])
    7.0
    """
    particles = weight * (n / weight.sum(0))
    variances = (1 - WORKING_CORRELATION) * particles + WORKING_CORRELATION * particles**2
    return np.asarray(np.maximum(variances.sum(0) ** 2 / (variances**2).sum(0) - 1, 1.0))


def refusals(n: Int64[np.ndarray, "cluster cell"]) -> Shaped[np.ndarray, " cell"]:
    """Say where there are too few clusters or particles for any interval, or nearly all of them in one cluster.

    Examples
    --------
    >>> refusals(np.array([[30], [2], [0], [1]])).tolist()
    ['33 particles in 3 clusters: an interval needs 20 in 4']
    """
    particles, clusters = n.sum(0), (n > 0).sum(0)
    few = (particles < FEWEST_PARTICLES) | (clusters < FEWEST_CLUSTERS)
    needs = f"an interval needs {FEWEST_PARTICLES} in {FEWEST_CLUSTERS}"
    texts = [
        f"{p} particles in {c} clusters: {needs}" if bad else ""
        for p, c, bad in zip(particles, clusters, few, strict=True)
    ]
    largest = n.max(0, initial=0)
    for cell in np.flatnonzero(~few & (largest > LARGEST_SHARE * particles)):
        texts[cell] = f"one cluster holds {largest[cell]} of {particles[cell]} particles: the others say too little"
    return np.array(texts, dtype=object)


def linearised(sums: ClusterSums, estimate: PerCell, slopes: tuple[PerCell, PerCell], *, level: float) -> Estimates:
    """Give the t interval of a function of mean and variance by its slopes in them.

    Parameters
    ----------
    sums : ClusterSums
    estimate : float64 array (cell,)
        The function's value.
    slopes : pair of float64 arrays (cell,)
        Its derivatives with respect to the mean and to the variance.
    level : float
        Of the interval, for example 0.95.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        # A slope of zero must also silence a NaN: the mean has no use for the variance.
        residuals = sum(np.where(slope == 0, 0.0, slope * part)
                        for slope, part in zip(slopes, centred_sums(sums), strict=True))  # fmt: skip
        error = standard_error(np.asarray(residuals), sums.weight)
        freedom = degrees_of_freedom(sums.weight, sums.moments.n)
        reach = stats.t.ppf((1 + level) / 2, freedom)
        lower, upper = estimate - reach * error, estimate + reach * error
    refusal = refusals(sums.n)
    refusal[(refusal == "") & ~(np.isfinite(lower) & np.isfinite(upper))] = _UNDEFINED
    return _refuse(Estimates(estimate, error, freedom, lower, upper, refusal))


def jackknifed(sums: ClusterSums, value: Callable[[Moments], Float64[np.ndarray, "..."]], *, level: float) -> Estimates:
    """Give the interval of a measure of spread by leaving out one cluster at a time.

    The jackknife's standard error and t are those of one over the square root of the value; both ends are turned back.
    The degrees of freedom are those of unequal clusters or, if fewer, those of how unequal the clusters' own
    contributions d are: a variance of J of them, kurtosis K, is known as well as from 2 J / (K - 1) normal ones.

    Parameters
    ----------
    sums : ClusterSums
    value : callable
        From moments to the measure, elementwise.
    level : float
        Of the interval.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        whole = value(sums.moments)
        root = 1 / np.sqrt(whole)
        changes = np.where(sums.n > 0, 1 / np.sqrt(value(leaving_one_out(sums))) - root, 0.0)
        occupied = (sums.n > 0).sum(0)
        squares = (changes**2).sum(0)
        error = np.sqrt((occupied - 1) / occupied * squares)
        excess = (changes**4).sum(0) / squares**2 - 1 / occupied  # (K - 1) / J
        freedom = np.minimum(degrees_of_freedom(sums.weight, sums.moments.n), 2 / np.maximum(excess, 1e-9))
        reach = stats.t.ppf((1 + level) / 2, freedom)
        lower, upper = 1 / (root + reach * error) ** 2, 1 / (root - reach * error) ** 2
    refusal = refusals(sums.n)
    refusal[(refusal == "") & ~(np.isfinite(root + error) & (error > 0))] = _UNDEFINED
    refusal[(refusal == "") & ~(root > reach * error)] = "the clusters differ too much to say how large it may be"
    return _refuse(Estimates(whole, 2 * error * whole / root, freedom, lower, upper, refusal))


def centred_sums(sums: ClusterSums) -> tuple[PerCluster, PerCluster]:
    """Give each cluster's sums of w (x - mean) and of w ((x - mean)^2 - variance); each adds up to zero.

    Examples
    --------
    >>> one, x = np.ones((2, 1)), np.array([[1.0], [3.0]])
    >>> pooled = moments(one.astype(int), one, x, x**2)
    >>> [part.ravel().tolist() for part in centred_sums(ClusterSums(one.astype(int), one, x, x**2, pooled))]
    [[-1.0, 1.0], [0.0, 0.0]]
    """
    mean, variance = sums.moments.mean, sums.moments.variance
    # Equal values differ from their mean by nothing, not by what is rounded.
    centred = np.where(variance == 0, 0.0, sums.first - mean * sums.weight)
    # Written from the centred first sums, so that only one cancellation is left.
    return centred, sums.second - mean * sums.first - mean * centred - variance * sums.weight


def leaving_one_out(sums: ClusterSums) -> Moments:
    """Give the moments (cluster, cell) of all particles but those of one cluster."""
    first, second = centred_sums(sums)
    left = sums.weight.sum(0) - sums.weight
    shift = -first / left
    variance = sums.moments.variance - second / left - shift**2
    return Moments(sums.moments.n - sums.n, sums.moments.mean + shift, np.maximum(variance, 0.0))


def woodruff(
    p: float, n: Int64[np.ndarray, "cluster cell"], weight: PerCluster, below: PerCluster, estimate: PerCell,
    value_at: Callable[[PerCell], PerCell], *, level: float,
) -> Estimates:  # fmt: skip
    """Give Woodruff's interval of a quantile: the values at the ends of the interval of its share.

    Parameters
    ----------
    p : float
        The quantile's share, between 0 and 1.
    n, weight : arrays (cluster, cell)
        Number and total weight of the particles.
    below : float64 array (cluster, cell)
        Weight below the estimate; over all clusters, p of the total.
    estimate : float64 array (cell,)
        The quantile.
    value_at : callable
        From shares (cell,) to the values below which they lie.
    level : float
        Of the interval.

    Returns
    -------
    Estimates
        The standard error is that of the share carried over to values: half the interval's length over t.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        error = standard_error(below - p * weight, weight)
        freedom = degrees_of_freedom(weight, n.sum(0).astype(np.float64))
        reach = stats.t.ppf((1 + level) / 2, freedom)
        refusal = refusals(n)
        low, high = p - reach * error, p + reach * error
        refusal[(refusal == "") & ~((low > 0) & (high < 1))] = "the interval would reach beyond the data"
        open_ = np.where(refusal == "", 0.0, np.nan)
        lower, upper = value_at(low + open_), value_at(high + open_)
        return _refuse(Estimates(estimate, (upper - lower) / (2 * reach), freedom, lower, upper, refusal))


def _refuse(found: Estimates) -> Estimates:
    """Leave the estimate alone and blank what would pretend to know its uncertainty."""
    refused = np.asarray(found.refusal != "", bool)
    error, freedom, lower, upper = (np.where(refused, np.nan, values) for values in found[1:5])
    estimate = np.where(np.isfinite(found.estimate), found.estimate, np.nan)
    return Estimates(estimate, error, freedom, lower, upper, found.refusal)
