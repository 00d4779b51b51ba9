"""One descriptor's means against the conditions: what each model explains, whether chance would, and what it predicts."""

import math
from collections.abc import Callable
from itertools import permutations as all_orders
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy import stats

from nanocensus.statistics.estimation.heterogeneity import heterogeneity
from nanocensus.statistics.synthesis.power_models import (
    Grid,
    Logs,
    Search,
    Values,
    line,
    line_interval,
    line_shares,
    line_terms,
    predicted,
    predictive_skill,
    search,
    shares_explained,
)

POWER, LINE = "product of powers", "log-linear"
_BLOCK = 1000

Means = Float64[np.ndarray, " sample"]
New = Float64[np.ndarray, "new condition"]
"""Logarithms of the conditions of new samples."""
Deviations = Float64[np.ndarray, "replicate sample"]


class Prediction(NamedTuple):
    """What a model says of new samples, with the interval of their measured means."""

    middle: Float64[np.ndarray, " new"]
    lower: Float64[np.ndarray, " new"]
    upper: Float64[np.ndarray, " new"]


class Verdict(NamedTuple):
    """How good a model is."""

    r2: float
    q2: float
    p: float
    residual_variance: float
    left_out: Prediction
    """Of every sample, from those with other conditions."""


class Cloud(NamedTuple):
    """What the means say about every choice of exponents."""

    r2: Float64[np.ndarray, " choice"]
    share: Float64[np.ndarray, " choice"]
    """Of the replicates that find it the best."""
    inside: Bool[np.ndarray, " choice"]
    """Whether it lies in the joint confidence set."""


def cloud(means: Means, deviations: Deviations, logs: Logs, grid: Grid, *, level: float,
          rng: np.random.Generator) -> Cloud:  # fmt: skip
    """Say which choices of exponents the means allow.

    Parameters
    ----------
    means : float64 array (sample,)
    deviations : float64 array (replicate, sample)
        Of the means in resamples of clusters.
    logs : float64 array (sample, condition)
        Logarithms of the conditions.
    grid : float64 array (choice, condition)
        Exponents.
    level : float
        Of the confidence set.
    rng : Generator
        For what scatters between syntheses.

    Notes
    -----
    The confidence set holds the choices whose residual sum of squares exceeds the least by no more than F allows, with
    as many degrees of freedom as there are exponents and S less all coefficients (the usual set of nonlinear regression).
    """
    found = search(logs, grid, means)
    explained = shares_explained(logs, grid, means)
    freedom = _freedom(logs)
    ratio = (1 - explained) / max(1 - float(explained.max()), 1e-12)
    allowed = 1 + grid.shape[1] / freedom * stats.f.ppf(level, grid.shape[1], freedom)
    drawn = search(logs, grid, _replicates(found, means, deviations, logs, grid, rng)[0])
    share = np.bincount(drawn.choice, minlength=len(grid)) / len(deviations)
    return Cloud(explained, share, np.asarray(ratio <= allowed, bool))


def power_prediction(means: Means, deviations: Deviations, logs: Logs, new: New, grid: Grid, *, level: float,
                     rng: np.random.Generator) -> Prediction:  # fmt: skip
    """Predict new samples by the best product of powers, exponents found anew in every replicate.

    The interval is studentised: distances of new values from predictions, in residual standard deviations of their replicate.
    """
    found = search(logs, grid, means)
    made, noise = _replicates(found, means, deviations, logs, grid, rng)
    again = search(logs, grid, made)
    spread = np.sqrt((1 - again.r2) * made.var(-1) * len(means) / _freedom(logs))
    middle = predicted(found, new, grid)
    fresh = middle + noise * rng.standard_normal((len(made), len(new)))
    with np.errstate(invalid="ignore", divide="ignore"):
        distances = np.abs(fresh - predicted(again, new, grid)) / spread[:, None]
    reach = np.nanquantile(distances, level, axis=0) * math.sqrt(_residual_variance(found, means, logs))
    return Prediction(middle, middle - reach, middle + reach)


def line_prediction(means: Means, logs: Logs, new: New, *, level: float) -> Prediction:
    """Predict new samples by the plane in the logarithms, with Student's t."""
    fitted, terms = line(logs, means), line_terms(new)
    return Prediction(terms @ fitted.coefficients, *line_interval(fitted, terms, level=level, new=True))


def judge_power(means: Means, deviations: Deviations, logs: Logs, condition: Int64[np.ndarray, " sample"], grid: Grid, *,
                level: float, permutations: int, rng: np.random.Generator) -> Verdict:  # fmt: skip
    """Judge the search for exponents: with it repeated without each condition, and on means dealt out at random."""
    found = search(logs, grid, means)

    def fit(kept: np.ndarray, left: np.ndarray) -> Prediction:
        return power_prediction(means[kept], deviations[:, kept], logs[kept], logs[left], grid, level=level, rng=rng)

    variances = (deviations**2).mean(0)
    p = permutation_p(means, variances, lambda values: shares_explained(logs, grid, values).max(-1), permutations, rng)
    residual = _residual_variance(found, means, logs)
    return _verdict(float(found.r2), means, condition, fit, p, residual)


def judge_line(means: Means, variances: Means, logs: Logs, condition: Int64[np.ndarray, " sample"], *, level: float, permutations: int,
               rng: np.random.Generator) -> Verdict:  # fmt: skip
    """Judge the plane in the logarithms likewise; `variances` are squared standard errors."""
    found = line(logs, means)

    def fit(kept: np.ndarray, left: np.ndarray) -> Prediction:
        return line_prediction(means[kept], logs[kept], logs[left], level=level)

    p = permutation_p(means, variances, lambda values: line_shares(logs, values), permutations, rng)
    return _verdict(found.r2, means, condition, fit, p, found.residual_variance)


def permutation_p(means: Means, variances: Means, explained: Callable[[Values], Float64[np.ndarray, "*many"]],
                  permutations: int, rng: np.random.Generator) -> float:  # fmt: skip
    """Give the probability that means which have nothing to do with the conditions are explained as well.

    Parameters
    ----------
    means, variances : float64 arrays (sample,)
        And the squares of their standard errors.
    explained : callable
        From values (..., sample) to what is compared, for example the largest R2 of a search.
    permutations : int
        Number of orders; all are tried where there are no more.
    rng : Generator

    Notes
    -----
    What is dealt out are distances from the weighted mean in standard deviations (of clusters, and of what means scatter beyond
    them, after Paule and Mandel), since a mean of few clusters is not to be exchanged with one of many as it stands: with 6 to 60
    clusters a sample and nothing else that scatters, plain permutations found "p < 0.05" in 12 % of studies.

    Examples
    --------
    >>> rising = lambda values: values[..., -1] - values[..., 0]
    >>> permutation_p(np.array([1.0, 2.0, 3.0]), np.ones(3), rising, 100, np.random.default_rng(0))  # 1 of 6 orders
    0.16666666666666666
    """
    between = heterogeneity(means, variances).sd ** 2 if (variances > 0).all() else float(means.var())
    spread = np.sqrt(variances + between)
    middle = float((means / spread**2).sum() / (1 / spread**2).sum())
    distances = (means - middle) / spread
    reached = float(explained(means)) * (1 - 1e-12)
    if math.factorial(len(means)) <= permutations:
        orders = np.array(list(all_orders(range(len(means)))))
        return float((explained(middle + spread * distances[orders]) >= reached).mean())
    more = 0
    for start in range(0, permutations, _BLOCK):
        dealt = rng.permuted(np.tile(distances, (min(_BLOCK, permutations - start), 1)), axis=1)
        more += int((explained(middle + spread * dealt) >= reached).sum())
    return (1 + more) / (1 + permutations)


def _verdict(r2: float, means: Means, condition: np.ndarray, fit: Callable[[np.ndarray, np.ndarray], Prediction],
             p: float, residual: float) -> Verdict:  # fmt: skip
    parts = np.empty((3, len(means)))
    others = np.empty(len(means))
    for number in np.unique(condition):
        left = np.flatnonzero(condition == number)
        kept = np.flatnonzero(condition != number)
        parts[:, left] = fit(kept, left)
        others[left] = means[kept].mean()
    left_out = Prediction(*parts)
    return Verdict(r2, predictive_skill(means, left_out.middle, others), p, residual, left_out)


def _replicates(found: Search, means: Means, deviations: Deviations, logs: Logs, grid: Grid,
                rng: np.random.Generator) -> tuple[Values, float]:  # fmt: skip
    """Draw means about the fit: clusters' deviations, and what the residuals show beyond them; and their noise."""
    sampling = float((deviations**2).mean())
    between = max(_residual_variance(found, means, logs) - sampling, 0.0)
    extra = math.sqrt(between) * rng.standard_normal(deviations.shape)
    return predicted(found, logs, grid) + deviations + extra, math.sqrt(between + sampling)


def _residual_variance(found: Search, means: Means, logs: Logs) -> float:
    return float((1 - found.r2) * means.var() * len(means) / _freedom(logs))


def _freedom(logs: Logs) -> int:
    """Give the samples beyond what is fitted: an offset, a factor, and the exponents."""
    return int(logs.shape[0] - 2 - logs.shape[1])
