"""How far samples lie apart in size and shape at once, and whether clusters dealt out at random lie as far apart.

The energy distance of two distributions is 2 E|X - Y| - E|X - X'| - E|Y - Y'|: zero where they are the same, larger the more
they differ in any way (place, spread, tails, how size and shape go together). It is the sum over pairs of particles, which
takes one distance a pair of cells of a plane and a matrix product, not one a pair of particles.

Sources
-------
Szekely and Rizzo, Journal of Statistical Planning and Inference 143, 1249 (2013): energy statistics; the coefficient H.
"""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64
from scipy import fft

from nanocensus.errors import StatisticsError
from nanocensus.statistics.cells.cells import cells
from nanocensus.statistics.cells.partitions import Particles
from nanocensus.statistics.cells.quanta import Number
from nanocensus.statistics.distributions.plane_histograms import STEPS_PER_SD, PlaneHistograms, plane_histograms
from nanocensus.statistics.estimation.checks import check_draws, check_level
from nanocensus.statistics.estimation.clusters import Cluster
from nanocensus.statistics.estimation.contrasts import holm
from nanocensus.statistics.estimation.intervals import FEWEST_CLUSTERS, FEWEST_PARTICLES
from nanocensus.statistics.estimation.philox import check_seed, generator

COLUMNS = ["first", "second", "x", "y", "distance", "coefficient", "chance", "p", "p_holm", "n_first", "n_second",
           "n_clusters_first", "n_clusters_second", "refusal"]  # fmt: skip
_AT_ONCE = 64  # clusters, for memory
Sums = Float64[np.ndarray, "cluster cluster"]


def energy_distances(
    particles: Particles,
    micrographs: pd.DataFrame | None = None,
    *,
    of: tuple[str, str] = ("edge_length_nm", "circularity"),
    cluster: Cluster = "group",
    level: float = 0.95,
    permutations: int = 4999,
    seed: int = 0,
    weight: str | None = "border_weight",
    scale: Mapping[str, Number] | None = None,
) -> pd.DataFrame:
    """Give the energy distance of every two samples in a plane of two columns, with a permutation test over clusters.

    Parameters
    ----------
    particles : pandas or dask DataFrame
        Accepted particles.
    micrographs : DataFrame, optional
        Their micrographs.
    of : (str, str)
        The columns, each in units of its standard deviation over all particles, every sample as heavy.
    cluster, weight
        See `estimate` and `cells`.
    level : float
        Of `chance`.
    permutations : int
        How often clusters are dealt out to the two samples; of many pairs, `p_holm` needs many.
    seed : int
        0 to 2^64 - 1.
    scale : mapping of str to float, optional
        See `quantum_of`.

    Returns
    -------
    DataFrame
        One row a pair: `distance` (in standard deviations); `coefficient`, the distance over 2 E|X - Y|, from 0 for equal
        distributions to 1 for two different points; `chance`, the coefficient that samples of the same clusters stay below
        with the probability `level`; `p`, and `p_holm` for all pairs; or a refusal.

    Raises
    ------
    StatisticsError
        If there are fewer than two samples, or no permutations.

    Notes
    -----
    Values are counted in cells of a tenth of a standard deviation; beyond six they count at the edge. The test asks whether
    clusters could be exchanged between the samples: it needs clusters that are drawn alike, of about as many particles.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> rows = pd.DataFrame({"sample": np.repeat(["A", "B"], 400), "micrograph": np.tile(np.repeat(list("stuvwxyz"), 50), 2)})
    >>> rows["edge_length_nm"] = rng.normal(5, 1, 800) + (rows["sample"] == "B")
    >>> rows["circularity"] = rng.normal(0.9, 0.02, 800)
    >>> found = energy_distances(rows, weight=None).iloc[0]
    >>> bool(found["p"] < 0.01), bool(found["coefficient"] > found["chance"])
    (True, True)
    """
    check_seed(seed)
    check_level(level)
    check_draws("permutations", permutations)
    made = cells(particles, micrographs, by=["sample"], of=of, weight=weight, scale=scale)
    plane = plane_histograms(made, particles, of, cluster)
    if len(plane.samples) < 2:
        raise StatisticsError(
            "energy distance", expected="at least two samples", got=str(len(plane.samples)), remedy="Compare samples."
        )
    sums = distance_sums(plane.weights)
    weights = plane.weights.sum((1, 2))
    rows = []
    for i, j in combinations(range(len(plane.samples)), 2):
        names = (plane.samples[j], plane.samples[i])
        head: dict[str, object] = dict(zip(("first", "second", "x", "y"), (*names, *of), strict=True))
        places = [np.flatnonzero((plane.sample == which) & (weights > 0)) for which in (j, i)]
        counts = {f"n_{side}": int(plane.n[own].sum()) for side, own in zip(("first", "second"), places, strict=True)}
        counts |= {f"n_clusters_{side}": len(own) for side, own in zip(("first", "second"), places, strict=True)}
        refusal = _refusal(plane, places, names)
        rng = generator(seed, f"energy {of} {names}")
        found = {} if refusal else _tested(sums, weights, places, level, permutations, rng)
        rows.append(head | found | counts | {"refusal": refusal})
    table = pd.DataFrame(rows, columns=COLUMNS)
    table.attrs["cluster"] = plane.facts["cluster"]
    return table.assign(p_holm=holm(table["p"].to_numpy(np.float64)[:, None, None]).ravel())


def distance_sums(weights: Float64[np.ndarray, "cluster x y"]) -> Sums:
    """Give, for every two clusters, the sum over their pairs of particles of weight x weight x distance.

    The cells' distances to all cells are one convolution a cluster.

    Examples
    --------
    >>> weights = np.zeros((2, 20, 20))
    >>> weights[0, 0, 0], weights[1, 3, 4], weights[1, 0, 0] = 2.0, 1.0, 1.0
    >>> distance_sums(weights).round(9).tolist()  # 5 cells of a tenth of a standard deviation
    [[0.0, 1.0], [1.0, 1.0]]
    """
    count, width, height = weights.shape
    shape = (fft.next_fast_len(2 * width - 1, real=True), fft.next_fast_len(2 * height - 1, real=True))
    x, y = (np.minimum(np.arange(size), size - np.arange(size)) for size in shape)
    kernel = fft.rfft2(np.hypot(x[:, None], y[None]) / STEPS_PER_SD)
    flat, sums = weights.reshape(count, -1), np.empty((count, count))
    for start in range(0, count, _AT_ONCE):
        block = fft.irfft2(fft.rfft2(weights[start : start + _AT_ONCE], shape) * kernel, shape)[:, :width, :height]
        sums[start : start + _AT_ONCE] = np.ascontiguousarray(block).reshape(len(block), -1) @ flat.T
    return np.asarray((sums + sums.T) / 2)


def coefficients(
    sums: Sums, weights: Float64[np.ndarray, " cluster"], first: Bool[np.ndarray, "deal cluster"]
) -> tuple[Float64[np.ndarray, " deal"], Float64[np.ndarray, " deal"]]:
    """Give the energy distance and the coefficient for every way to deal clusters to two samples.

    Parameters
    ----------
    sums : float64 array (cluster, cluster)
        Of `distance_sums`.
    weights : float64 array (cluster,)
        Total weight of each cluster.
    first : bool array (deal, cluster)
        Which clusters the first sample gets; the second gets the others.
    """
    one = first.astype(np.float64)
    other = 1 - one
    total, rest = one @ weights, other @ weights
    toward = one @ sums
    cross = 2 * (toward * other).sum(1) / (total * rest)
    within = (toward * one).sum(1) / total**2 + ((other @ sums) * other).sum(1) / rest**2
    with np.errstate(invalid="ignore", divide="ignore"):
        return cross - within, np.where(cross > 0, (cross - within) / cross, 0.0)


def _tested(sums: Sums, weights: np.ndarray, places: list[np.ndarray], level: float, permutations: int,
            rng: np.random.Generator) -> dict[str, object]:  # fmt: skip
    both = np.concatenate(places)
    truth = np.arange(len(both)) < len(places[0])
    dealt = rng.permuted(np.tile(truth, (permutations, 1)), axis=1)
    distance, coefficient = coefficients(sums[np.ix_(both, both)], weights[both], np.vstack([truth, dealt]))
    reached = (distance[1:] >= distance[0] - 1e-12 * abs(distance[0])).sum()
    return {
        "distance": max(float(distance[0]), 0.0),
        "coefficient": max(float(coefficient[0]), 0.0),
        "chance": float(np.quantile(coefficient[1:], level)),
        "p": float((1 + reached) / (1 + permutations)),
    }


def _refusal(plane: PlaneHistograms, places: list[np.ndarray], names: tuple[str, str]) -> str:
    said = [
        f"{name}: {int(plane.n[own].sum())} particles in {len(own)} clusters"
        for name, own in zip(names, places, strict=True)
        if len(own) < FEWEST_CLUSTERS or plane.n[own].sum() < FEWEST_PARTICLES
    ]
    return "; ".join(said) + f": a test needs {FEWEST_PARTICLES} in {FEWEST_CLUSTERS}" if said else ""
