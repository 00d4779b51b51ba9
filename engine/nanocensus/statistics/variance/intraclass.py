"""How alike the particles of a micrograph are: plain numpy, a row a micrograph in order of acquisition, a column a cell.

A particle is its micrograph's effect and its own scatter: variances sb2 (between) and sw2 (within). Their share, the
intraclass correlation ICC = sb2 / (sb2 + sw2), says how little a further particle of the same micrograph adds.

Sources
-------
Searle, Casella and McCulloch, Variance Components (1992), section 3.6: ANOVA estimators of unbalanced data.
Arvesen, Annals of Mathematical Statistics 40, 2076 (1969): the jackknife of the logarithm of F.
Kish, Survey Sampling (1965), section 5.4: the design effect. Geyer, Statistical Science 7, 473 (1992): where the sum
of autocovariances ends.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from scipy import stats
from scipy.interpolate import make_interp_spline

from nanocensus.statistics.estimation.intervals import FEWEST_CLUSTERS, PerCell, PerCluster

MOST_LAGS = 20
CORRELATED = 0.2
"""Correlation of consecutive micrographs from which on runs of them, not single ones, are left out by the jackknife."""
_RUN, _FEWEST_RUNS = 10, 10
_LEAST_F = 1e-9
BEYOND_CHANCE = 1.0
"""Standard errors by which neighbours must be alike for an estimate to count it."""


class MicrographSums(NamedTuple):
    """Sums over the particles of each micrograph, about the mean of their cell."""

    n: PerCluster
    """Number of particles; with weights, the weights scaled to add up to it."""
    first: PerCluster
    """Sum of x - mean."""
    second: PerCluster
    """Sum of (x - mean)^2."""


class Components(NamedTuple):
    """Variance components of every cell."""

    between: PerCell
    """sb2; 0 where it came out negative."""
    within: PerCell
    """sw2."""
    ratio: PerCell
    """sb2 / sw2 as it came out, negative or not."""
    pair_size: PerCell
    """n0: the size of micrograph for which E MSB = sw2 + n0 sb2."""

    @property
    def icc(self) -> PerCell:
        """The intraclass correlation."""
        return icc_of(self.ratio)


def icc_of(ratio: PerCell) -> PerCell:
    """Give the intraclass correlation of a ratio sb2 / sw2; 0 for negative ones.

    Examples
    --------
    >>> icc_of(np.array([0.25, -0.1])).tolist()
    [0.2, 0.0]
    """
    positive = np.maximum(ratio, 0.0)
    return np.asarray(positive / (1 + positive))


def components(sums: MicrographSums) -> Components:
    """Estimate the variance components by one-way analysis of variance.

    Cells that have no two micrographs with particles, or no two particles in one, are NaN.

    Examples
    --------
    >>> n, first, second = np.full((2, 1), 2.0), np.array([[-2.0], [2.0]]), np.array([[4.0], [4.0]])
    >>> components(MicrographSums(n, first, second)).between.tolist()  # MSB 4, MSW 2, n0 2
    [1.0]
    """
    return _components(_terms(sums).sum(0))


def _terms(sums: MicrographSums) -> Float64[np.ndarray, "micrograph term cell"]:
    """Give each micrograph's share of the sums that the analysis needs; they add up, so leaving out is subtracting."""
    n, first, second = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        squares = np.where(n > 0, first**2 / n, 0.0)
    return np.stack([(n > 0).astype(np.float64), n, n**2, first, second, squares], axis=1)


def _components(totals: Float64[np.ndarray, "*left term cell"]) -> Components:
    with np.errstate(invalid="ignore", divide="ignore"):
        occupied, n, squared, first, second, squares = np.moveaxis(totals, -2, 0)
        within = (second - squares) / (n - occupied)
        pair_size = (n - squared / n) / (occupied - 1)
        between = ((squares - first**2 / n) / (occupied - 1) - within) / pair_size
        known = (occupied > 1) & (n > occupied) & (within > 0)
        between, within = (np.where(known, values, np.nan) for values in (between, within))
        return Components(np.maximum(between, 0.0), within, between / within, pair_size)


def ratio_interval(
    sums: MicrographSums, cluster: Int64[np.ndarray, " micrograph"], *, level: float
) -> tuple[PerCell, PerCell]:
    """Give an interval of sb2 / sw2: the jackknife over clusters of log(1 + n0 ratio), the logarithm of F, and t.

    Parameters
    ----------
    sums : MicrographSums
    cluster : int64 array (micrograph,)
        What is left out together: numbers from 0. Only clusters with particles in a cell count for it.
    level : float
        Of the interval.

    Returns
    -------
    lower, upper : float64 arrays (cell,)
        Never negative. NaN with fewer than four clusters.
    """
    terms = _terms(sums)
    whole = np.zeros((int(cluster.max(initial=-1)) + 1, *terms.shape[1:]))
    np.add.at(whole, cluster, terms)
    total, present = whole.sum(0), whole[:, 0] > 0
    found, without = _components(total), _components(total - whole)
    count = present.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        centre, left = (
            np.log(np.maximum(1 + found.pair_size * ratio, _LEAST_F)) for ratio in (found.ratio, without.ratio)
        )
        changes = np.where(present, (count - 1) * (centre - left), 0.0)
        spread = (changes**2).sum(0) - changes.sum(0) ** 2 / count
        reach = stats.t.ppf((1 + level) / 2, count - 1) * np.sqrt(spread / ((count - 1) * count))
        ends = [np.maximum(np.expm1(centre + sign * reach) / found.pair_size, 0.0) for sign in (-1, 1)]
    lower, upper = (np.where(count >= FEWEST_CLUSTERS, end, np.nan) for end in ends)
    return lower, upper


def autocovariances(
    sums: MicrographSums, found: Components, *, beyond: float = BEYOND_CHANCE
) -> Float64[np.ndarray, "lag cell"]:
    """Give the autocovariance of micrographs' effects against their distance in the order of acquisition.

    A pair of micrographs weighs as many pairs of particles as it holds. What subtracting a mean estimated from the same
    micrographs takes away is given back. Neighbours that are not alike beyond chance count as independent; else
    the sequence ends before its first value that is not positive, and never rises.

    Parameters
    ----------
    sums : MicrographSums
    found : Components
        Of the same cells; lag 0 is the variance between.
    beyond : float
        Standard errors that lag 1 must exceed: 0 believes every likeness, which on average is too much where there is
        none, and is the safe side.

    Returns
    -------
    float64 array (lag, cell)
        Lags 0 to 20, fewer where there are fewer than 80 micrographs; 0 from the end of the sequence on.
    """
    n, first, _ = sums
    last = min(MOST_LAGS, len(n) // 4)
    parts = [found.between]
    with np.errstate(invalid="ignore", divide="ignore"):
        for lag in range(1, last + 1):
            parts.append((first[:-lag] * first[lag:]).sum(0) / (n[:-lag] * n[lag:]).sum(0))
        count = n.sum(0) ** 2 / (n**2).sum(0)  # of equal micrographs that would weigh as much
        error = (found.between + found.within / found.pair_size) / np.sqrt(count)
        gamma = np.nan_to_num(np.stack(parts))
        shares = np.maximum(1 - np.arange(1, last + 1)[:, None] / count, 0.0)
        gamma[1:] += np.nan_to_num((gamma[0] + 2 * (shares * np.maximum(gamma[1:], 0.0)).sum(0)) / count)
    if last:
        gamma[1] = np.where(gamma[1] > beyond * error, gamma[1], 0.0)
    ends = np.logical_or.accumulate(gamma <= 0)
    return np.where(ends, 0.0, np.minimum.accumulate(gamma))


def neighbour_correlation(gamma: Float64[np.ndarray, "lag cell"]) -> PerCell:
    """Give the correlation of the effects of consecutive micrographs; 0 where nothing lies between micrographs."""
    if len(gamma) < 2:
        return np.zeros(gamma.shape[1])
    return np.asarray(np.where(gamma[0] > 0, gamma[1] / np.where(gamma[0] > 0, gamma[0], 1.0), 0.0))


def long_run_factor(gamma: Float64[np.ndarray, "lag cell"]) -> PerCell:
    """Give by what the likeness of neighbours raises the variance between in the mean of many micrographs; 1 for none.

    Examples
    --------
    >>> long_run_factor(np.array([[2.0, 0.0], [0.5, 0.0]])).tolist()
    [1.5, 1.0]
    """
    return np.asarray(np.where(gamma[0] > 0, 1 + 2 * gamma[1:].sum(0) / np.where(gamma[0] > 0, gamma[0], 1.0), 1.0))


def runs(micrographs: int, correlation: float) -> Int64[np.ndarray, " micrograph"]:
    """Give consecutive micrographs the number of their run: up to ten to a run where neighbours are alike, else each is its own.

    Runs are shorter where fewer than ten would remain.

    Examples
    --------
    >>> runs(24, 0.5).max().item(), runs(24, 0.1).max().item()
    (11, 23)
    """
    length = min(_RUN, micrographs // _FEWEST_RUNS) if correlation > CORRELATED else 1
    length = max(length, 1)
    return np.minimum(np.arange(micrographs) // length, max(micrographs // length, 1) - 1).astype(np.int64)


def mean_variance(
    n: Float64[np.ndarray, " size"], micrograph: float, gamma: Float64[np.ndarray, " lag"], within: float
) -> Float64[np.ndarray, " size"]:
    """Give the variance of the mean of n particles that were recorded one after the other.

    Two particles d apart in the sequence lie in micrographs floor(d / m) or one more apart, for the sequence begins
    anywhere in a micrograph of m particles: their covariance is gamma, linear between whole micrographs. The variance
    is sw2 / n plus the mean covariance of all pairs, 2 / n^2 times the integral of (n - d) gamma(d / m).

    Parameters
    ----------
    n : float64 array (size,)
        Numbers of particles.
    micrograph : float
        Particles of a micrograph, m.
    gamma : float64 array (lag,)
        Autocovariances of the micrographs' effects.
    within : float
        sw2.

    Examples
    --------
    >>> mean_variance(np.array([1.0, 1e6]), 100.0, np.array([1.0]), 3.0).round(6).tolist()  # (1 m + 3) / n at the end
    [3.996667, 0.000103]
    """
    knots = micrograph * np.arange(len(gamma) + 1)
    far = max(float(n.max(initial=0.0)), knots[-1]) + micrograph
    covariance = make_interp_spline(np.append(knots, far), np.append(gamma, [0.0, 0.0]), k=1)
    return np.asarray(within / n + 2 * covariance.antiderivative(2)(n) / n**2)


def whole_variance(
    count: Float64[np.ndarray, " size"], size: float, crowd: float, gamma: Float64[np.ndarray, " lag"], within: float
) -> Float64[np.ndarray, " size"]:
    """Give the variance of the mean of all particles of so many consecutive whole micrographs.

    Parameters
    ----------
    count : float64 array (size,)
        Numbers of micrographs.
    size, crowd : float
        Mean number of particles of a micrograph, and the mean square over it: equal where all micrographs are.
    gamma, within
        As for `mean_variance`.

    Examples
    --------
    >>> whole_variance(np.array([1.0, 2.0]), 100.0, 100.0, np.array([1.0, 0.5]), 3.0).tolist()
    [1.03, 0.765]
    """
    lags = np.arange(len(gamma))
    pairs = np.maximum(count[:, None] - lags, 0.0) * np.where(lags > 0, 2, 1)
    unequal = 1 + (crowd / size - 1) * (1 - 1 / count)
    return np.asarray((pairs * gamma).sum(1) / count**2 * unequal + within / (count * size))
