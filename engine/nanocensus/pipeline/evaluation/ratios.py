"""Figures of merit as ratios of sums over micrographs, with intervals over clusters.

Dice, recall, a mean bias, even the slope of a bias: each is the sum of something over micrographs divided by the sum of
something else, so that one kind of interval serves all of them.
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64
from scipy.sparse import csr_array

from nanocensus.statistics.estimation.intervals import ClusterSums, Moments, linearised

INTERVAL = ["estimate", "lower", "upper", "n", "n_clusters", "refusal"]
"""What `Ratio` holds, as columns of a table."""


class Ratio(NamedTuple):
    """A ratio of sums with its interval."""

    estimate: float
    lower: float
    upper: float
    n: int
    """Particles that it rests on."""
    n_clusters: int
    refusal: str
    """Why there is no interval; empty where there is one."""


def ratio(
    cluster: Float64[np.ndarray, " row"] | pd.Series,
    above: Float64[np.ndarray, " row"],
    below: Float64[np.ndarray, " row"],
    n: Int64[np.ndarray, " row"],
    *,
    level: float = 0.95,
    smallest: float = -math.inf,
    largest: float = math.inf,
) -> Ratio:
    """Give a ratio of sums over rows, and its CR2 interval with Student's t over clusters.

    Parameters
    ----------
    cluster : (row,) Series
        What counts as one observation: names of fields or micrographs.
    above, below : (row,) ndarray of float64
        The sums above and below the line are over these.
    n : (row,) ndarray of int64
        Particles that a row stands for: below 20 particles or 4 clusters there is no interval.
    level : float
        Of the interval.
    smallest, largest : float
        Bounds of what the ratio can be, at which the interval is cut.

    Examples
    --------
    >>> fields = pd.Series(list("abcde"))
    >>> found = ratio(fields, np.array([9.0, 8, 10, 9, 9]), np.full(5, 10.0), np.full(5, 10))
    >>> round(found.estimate, 3), round(found.lower, 3), round(found.upper, 3)
    (0.9, 0.812, 0.988)
    """
    codes, names = pd.factorize(cluster)
    gather = csr_array((np.ones(len(codes)), (codes, np.arange(len(codes)))), shape=(len(names), len(codes)))
    first, weight, counts = (np.asarray(gather @ values)[:, None] for values in (above, below, n.astype(np.float64)))
    counts = counts.astype(np.int64)
    total = weight.sum(0)
    estimate = np.divide(first.sum(0), total, out=np.full(1, np.nan), where=total != 0)
    # The variance is not asked for; a variance of 0 would say that all values are equal.
    moments = Moments(counts.sum(0).astype(np.float64), estimate, np.ones(1))
    result = linearised(
        ClusterSums(counts, weight, first, first, moments), estimate, (np.ones(1), np.zeros(1)), level=level
    )
    lower, upper = float(result.lower[0]), float(result.upper[0])
    return Ratio(
        float(result.estimate[0]),
        lower if math.isnan(lower) else max(lower, smallest),
        upper if math.isnan(upper) else min(upper, largest),
        int(counts.sum()),
        len(names),
        str(result.refusal[0]),
    )


def mean(cluster: pd.Series, values: Float64[np.ndarray, " row"], *, level: float = 0.95) -> Ratio:
    """Give the mean of values, one a particle, and its interval over clusters; missing ones are left out."""
    known = np.isfinite(values)
    one = np.ones(int(known.sum()))
    return ratio(cluster[known], values[known], one, one.astype(np.int64), level=level)


def slope(
    cluster: pd.Series, x: Float64[np.ndarray, " row"], y: Float64[np.ndarray, " row"], *, level: float = 0.95
) -> Ratio:
    """Give the slope of the straight line through points, one a particle, and its interval over clusters.

    The slope is the ratio of the sums of (x - mean x)(y - mean y) and (x - mean x)^2, and the residual of a cluster in it
    is the cluster's score, so that the interval is that of a regression with standard errors by cluster.

    Parameters
    ----------
    cluster : (row,) Series
    x, y : (row,) ndarray of float64
        Points; those with a missing coordinate are left out.
    level : float
        Of the interval.

    Examples
    --------
    >>> x = np.arange(40.0)
    >>> round(slope(pd.Series(np.arange(40) % 8), x, 0.5 * x + np.cos(x)).estimate, 2)
    0.5
    """
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    x = x - (x.mean() if x.size else 0.0)
    y = y - (y.mean() if y.size else 0.0)
    return ratio(cluster[known], x * y, x * x, np.ones(x.size, np.int64), level=level)
