"""Resamples of clusters, and their sums: exact integers, so that no order of addition shows in a replicate."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64, Shaped

from nanocensus.statistics.cells._kernels import LIMB_BITS
from nanocensus.statistics.cells.quanta import Quantum
from nanocensus.statistics.cells.recipe import MOMENTS
from nanocensus.statistics.estimation.intervals import Moments
from nanocensus.statistics.estimation.panels import PanelSums
from nanocensus.statistics.estimation.philox import Purpose, random_words

_EXACT_BITS = 53
"""Integers of fewer bits, and their sums and products, are exact in float64, in whatever order they are added."""
_WORDS = 4  # of one counter
_PAIRS = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]


def draw_clusters(count: int, replicates: int, *, seed: int, name: int) -> Float64[np.ndarray, "cluster replicate"]:
    """Draw one cluster less than there are, with replacement, for every replicate (Rao and Wu, 1988).

    Parameters
    ----------
    count : int
        Number of clusters.
    replicates : int
        A smaller number gives the first of a larger one.
    seed : int
        0 to 2^64 - 1.
    name : int
        Stands for whose clusters they are, so that one sample's draws do not depend on what others there are.

    Returns
    -------
    float64 array (cluster, replicate)
        How often each was drawn; columns add up to count - 1.

    Examples
    --------
    >>> draw_clusters(5, 3, seed=0, name=1).sum(axis=0).tolist()
    [4.0, 4.0, 4.0]
    """
    draws = count - 1
    blocks = -(-draws // _WORDS)
    counters = np.zeros((replicates, blocks, 4), np.uint64)
    counters[..., 0], counters[..., 1] = np.arange(blocks), np.arange(replicates)[:, None]
    counters[..., 2] = np.uint64(name)
    words = random_words(seed, Purpose.BOOTSTRAP, counters.reshape(-1, 4)).reshape(replicates, -1)[:, :draws]
    # The upper 53 bits are a float64 in [0, 1), and the product with a small whole number rounds below it.
    drawn = ((words >> np.uint64(11)) * (2.0**-_EXACT_BITS * count)).astype(np.int64)
    places = drawn * replicates + np.arange(replicates)[:, None]
    found = np.bincount(places.ravel(), minlength=count * replicates)
    return found.reshape(count, replicates).astype(np.float64)


def replicate_sums(
    sums: Shaped[np.ndarray, "cluster bin"], drawn: Float64[np.ndarray, "cluster replicate"]
) -> Float64[np.ndarray, "bin replicate"]:
    """Add each replicate's clusters: the float64 nearest to the exact integer, whatever library multiplies.

    Parameters
    ----------
    sums : array (cluster, bin) of int64 or of Python's integers
    drawn : float64 array (cluster, replicate)
        From `draw_clusters`.

    Notes
    -----
    The sums are cut into limbs so narrow that no total of one limb reaches 2^53; mostly one is enough.

    Examples
    --------
    >>> replicate_sums(np.array([[2**80], [1]], object), np.array([[1.0, 0.0], [1.0, 2.0]])).tolist()
    [[1.2089258196146292e+24, 2.0]]
    """
    bits = _EXACT_BITS - len(drawn).bit_length()
    found, scale = np.zeros((sums.shape[1], drawn.shape[1])), 1.0
    while True:
        last = not sums.size or -(2**bits) < sums.min() <= sums.max() < 2**bits
        limb = sums if last else sums & (2**bits - 1)
        found += np.ascontiguousarray(limb.astype(np.float64).T) @ drawn * scale
        if last:
            return found
        sums, scale = sums >> bits, scale * 2.0**bits


@dataclass(frozen=True, eq=False)
class CentredSums:
    """A column's sums about a whole number of quanta near the mean of each bin, where they are small and lose nothing."""

    pivot: Int64[np.ndarray, " bin"]
    weight: Int64[np.ndarray, "cluster bin"]
    first: Shaped[np.ndarray, "cluster bin"]
    """Sum of w (q - pivot), Python's integers."""
    second: Shaped[np.ndarray, "cluster bin"]
    """Sum of w (q - pivot)^2, Python's integers."""


def centre(panel: PanelSums, column: str) -> CentredSums:
    """Move the sums of a column to its bins' means, in unbounded integers."""
    low, high, low_2, high_2 = (panel[f"{column}_{moment}"].astype(object) for moment in MOMENTS)
    first, second = (high << LIMB_BITS) + low, (high_2 << LIMB_BITS) + low_2
    weight = panel["w"]
    total = weight.sum(0)
    pivot = np.zeros(len(total), object)
    pivot[total > 0] = first.sum(0)[total > 0] // total[total > 0].astype(object)
    shift = pivot * weight
    return CentredSums(pivot.astype(np.int64), weight, first - shift, second - pivot * (2 * first - shift))


@dataclass(frozen=True, eq=False)
class Replicates:
    """The sums of a column in every replicate, in quanta about the pivot."""

    moments: Moments
    """In the unit of the column; arrays (bin, replicate)."""
    weight: Float64[np.ndarray, "bin replicate"]
    mean: Float64[np.ndarray, "bin replicate"]
    """In quanta, less the pivot."""
    variance: Float64[np.ndarray, "bin replicate"]


def replicate(
    sums: CentredSums,
    n: Int64[np.ndarray, "cluster bin"],
    drawn: Float64[np.ndarray, "cluster replicate"],
    quantum: Quantum,
) -> Replicates:
    """Give the moments of a column in every replicate.

    The number of particles is scaled to as many clusters as there are, as Rao and Wu do; ratios do not feel it.
    """
    weight = replicate_sums(sums.weight, drawn)
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = len(drawn) / drawn.sum(0)
        mean = replicate_sums(sums.first, drawn) / weight
        variance = np.maximum(replicate_sums(sums.second, drawn) / weight - mean**2, 0.0)
        particles = replicate_sums(n, drawn) * scale
    moments = Moments(particles, (mean + sums.pivot[:, None]) * quantum.step, variance * quantum.step**2)
    return Replicates(moments, weight, mean, variance)


def replicate_products(
    sums: CentredSums, drawn: Float64[np.ndarray, "cluster replicate"]
) -> Float64[np.ndarray, "pair bin replicate"]:
    """Add up the products of two of a cluster's weight, first and second sum, each with each, in every replicate."""
    parts = [part.astype(np.float64) for part in (sums.weight, sums.first, sums.second)]
    return np.stack([np.ascontiguousarray((parts[i] * parts[j]).T) @ drawn for i, j in _PAIRS])


def replicate_errors(
    products: Float64[np.ndarray, "pair bin replicate"], made: Replicates, slopes: tuple[np.ndarray, np.ndarray],
    drawn: Float64[np.ndarray, "cluster replicate"], step: float,
) -> Float64[np.ndarray, "bin replicate"]:  # fmt: skip
    """Give the linearised standard error that each replicate would report of a function of mean and variance.

    A cluster's residual is a w + b first + c second with a, b, c of the replicate, so the sum of its squares needs the
    six sums of `replicate_products` alone, whatever the function.
    """
    of_mean, of_variance = slopes[0] * step, slopes[1] * step**2
    factors = [
        of_variance * (made.mean**2 - made.variance) - of_mean * made.mean,
        of_mean - 2 * of_variance * made.mean,
        of_variance,
    ]
    square = np.zeros_like(made.weight)
    for product, (i, j) in zip(products, _PAIRS, strict=True):
        square += product * factors[i] * factors[j] * (1 if i == j else 2)
    # Scaled to as many clusters as there are, the squares grow by J / (J - 1) and the square of the total by its square.
    return np.asarray(np.sqrt(np.maximum(square, 0.0) * (drawn.sum(0) / len(drawn))) / made.weight)
