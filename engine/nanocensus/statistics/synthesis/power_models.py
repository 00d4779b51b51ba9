"""Means of samples against the conditions of their synthesis: products of powers, and straight lines in the logarithms.

Every sample counts once. What scatters between repeated syntheses is seen in the residuals alone, and is taken to be the
same for all; what clusters say of the means is a part of it. Arrays are (..., sample); a row of the grid is a choice of
exponents.

Sources
-------
Stone, JRSS B 36, 111 (1974): cross-validation with the choice repeated without the value that is predicted.
Efron and Tibshirani, An Introduction to the Bootstrap (1993), sections 12.5 and 25.4: studentised intervals, predictions.
Fisher, The Design of Experiments (1935), section 21: the permutation test, here of a whole search.
"""

from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from scipy import special

LARGEST_EXPONENT, EXPONENT_STEP = 4.0, 0.5
_TIE = 12  # decimals of R2 that tell two fits apart

Logs = Float64[np.ndarray, "sample condition"]
Grid = Float64[np.ndarray, "choice condition"]
Values = Float64[np.ndarray, "*many sample"]


class Search(NamedTuple):
    """The best product of powers of every row of values."""

    r2: Float64[np.ndarray, "*many"]
    choice: Int64[np.ndarray, "*many"]
    """Row of the grid."""
    offset: Float64[np.ndarray, "*many"]
    factor: Float64[np.ndarray, "*many"]
    """Of the product of powers of conditions over their geometric means."""


class Line(NamedTuple):
    """A plane in the logarithms of the conditions."""

    r2: float
    coefficients: Float64[np.ndarray, " term"]
    """Offset, then slopes."""
    covariance: Float64[np.ndarray, "term term"]
    """Over the residual variance."""
    residual_variance: float
    freedom: int


def exponent_grid(conditions: int, *, largest: float = LARGEST_EXPONENT, step: float = EXPONENT_STEP) -> Grid:
    """Give all choices of exponents but that of zeros alone; small exponents first, so that they win ties.

    Examples
    --------
    >>> exponent_grid(1, largest=1.0).ravel().tolist()
    [-0.5, 0.5, -1.0, 1.0]
    >>> exponent_grid(2).shape
    (288, 2)
    """
    count = round(largest / step)
    choices = np.array(list(product(range(-count, count + 1), repeat=conditions)), np.float64) * step
    choices = choices[np.abs(choices).sum(1) > 0]
    return np.asarray(choices[np.argsort(np.abs(choices).sum(1), kind="stable")])


def features(logs: Logs, grid: Grid) -> Float64[np.ndarray, "sample choice"]:
    """Give the product of powers of every sample for every choice."""
    return np.asarray(np.exp(logs @ grid.T))


def shares_explained(logs: Logs, grid: Grid, values: Values) -> Float64[np.ndarray, "*many choice"]:
    """Give R2 of every choice: the squared correlation of values and products.

    A product that is the same for all samples, and values that are, explain nothing: 0.
    """
    product_ = features(logs, grid)
    directions = _unit(product_ - product_.mean(0), 0)
    return np.asarray((_unit(values - values.mean(-1, keepdims=True), -1) @ directions) ** 2)


def search(logs: Logs, grid: Grid, values: Values) -> Search:
    """Find the choice of exponents with the largest R2, and its offset and factor by least squares.

    Examples
    --------
    >>> logs = np.log([[0.2], [0.4], [0.6], [0.8]])
    >>> found = search(logs, exponent_grid(1), 3 + 2 * np.exp(logs[:, 0]) ** 1.5)
    >>> exponent_grid(1)[found.choice].tolist(), round(float(found.factor), 9), round(float(found.offset), 9)
    ([1.5], 2.0, 3.0)
    """
    explained = shares_explained(logs, grid, values)
    choice = np.asarray(np.round(explained, _TIE).argmax(-1))
    chosen = np.moveaxis(features(logs, grid)[:, choice], 0, -1)
    mean, middle = values.mean(-1), chosen.mean(-1)
    centred = chosen - middle[..., None]
    square = (centred**2).sum(-1)
    factor = np.where(
        square > 0, (centred * (values - mean[..., None])).sum(-1) / np.where(square > 0, square, 1.0), 0.0
    )
    r2 = np.take_along_axis(explained, choice[..., None], -1)[..., 0]
    return Search(np.asarray(r2), choice.astype(np.int64), np.asarray(mean - factor * middle), np.asarray(factor))


def predicted(
    found: Search, logs: Float64[np.ndarray, "new condition"], grid: Grid
) -> Float64[np.ndarray, "*many new"]:
    """Give what a search says of samples with these conditions."""
    powers = np.exp(grid[found.choice] @ logs.T)
    return np.asarray(found.offset[..., None] + found.factor[..., None] * powers)


def line(logs: Logs, values: Float64[np.ndarray, " sample"]) -> Line:
    """Fit an offset and a slope a condition by least squares.

    Examples
    --------
    >>> logs = np.log([[0.2], [0.4], [0.6], [0.8]])
    >>> line(logs, 1 + 3 * logs[:, 0]).coefficients.round(9).tolist()
    [1.0, 3.0]
    """
    terms = _terms(logs)
    inverse = np.linalg.pinv(terms.T @ terms)
    coefficients = inverse @ (terms.T @ values)
    residual = float(((values - terms @ coefficients) ** 2).sum())
    total = float(((values - values.mean()) ** 2).sum())
    freedom = len(values) - terms.shape[1]
    return Line(1 - residual / total if total > 0 else 0.0, coefficients, inverse, residual / freedom, freedom)


def line_interval(
    found: Line, terms: Float64[np.ndarray, "many term"], *, level: float, new: bool
) -> tuple[Float64[np.ndarray, " many"], Float64[np.ndarray, " many"]]:
    """Give the t interval of combinations of the coefficients; of a new sample with those terms if `new`."""
    shape = np.einsum("mt,tu,mu->m", terms, found.covariance, terms) + float(new)
    reach = special.stdtrit(found.freedom, (1 + level) / 2) * np.sqrt(found.residual_variance * shape)
    middle = terms @ found.coefficients
    return np.asarray(middle - reach), np.asarray(middle + reach)


def line_shares(logs: Logs, values: Values) -> Float64[np.ndarray, "*many"]:
    """Give R2 of the plane in the logarithms, of every row of values."""
    basis, weight, _ = np.linalg.svd(logs - logs.mean(0), full_matrices=False)
    basis = basis[:, weight > 1e-9 * weight.max(initial=0.0)]
    return np.asarray(((_unit(values - values.mean(-1, keepdims=True), -1) @ basis) ** 2).sum(-1))


def line_terms(logs: Logs) -> Float64[np.ndarray, "sample term"]:
    """Give the terms of the plane: one, and the logarithms."""
    return _terms(logs)


def predictive_skill(observed: Float64[np.ndarray, " sample"], left_out: Float64[np.ndarray, " sample"],
                     mean_of_others: Float64[np.ndarray, " sample"]) -> float:  # fmt: skip
    """Give Q2: by how much predictions without the sample are better than the mean of the others, which has 0.

    Examples
    --------
    >>> predictive_skill(np.array([1.0, 2.0]), np.array([1.0, 2.0]), np.array([2.0, 1.0]))
    1.0
    """
    return float(1 - ((observed - left_out) ** 2).sum() / ((observed - mean_of_others) ** 2).sum())


def _terms(logs: Logs) -> Float64[np.ndarray, "sample term"]:
    return np.column_stack([np.ones(len(logs)), logs])


def _unit(values: np.ndarray, axis: int) -> np.ndarray:
    """Scale to length one; what is only rounding becomes zero."""
    length = np.sqrt((values**2).sum(axis, keepdims=True))
    real = length > 1e-12 * np.sqrt(values.shape[axis])
    return np.where(real, values / np.where(real, length, 1.0), 0.0)
