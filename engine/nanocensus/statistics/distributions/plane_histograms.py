"""Particles counted in a plane of two columns, a histogram a cluster: what distances between samples are made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Float64, Int64

from nanocensus.schema import WEIGHT_QUANTUM
from nanocensus.statistics.cells.cells import Cells
from nanocensus.statistics.cells.partitions import ParticleSource, add_rows, compute, over_partitions
from nanocensus.statistics.cells.recipe import Recipe, check_seen, complaints, integer_weights, look
from nanocensus.statistics.cells.rows import rows_of
from nanocensus.statistics.cells.sums import Seen, add_seen
from nanocensus.statistics.estimation.clusters import Cluster
from nanocensus.statistics.estimation.panels import cluster_sums, lay_out, panels

STEPS_PER_SD = 10
"""Cells of the plane in a standard deviation of all particles together."""
REACH = 6
"""Standard deviations from the mean at which the plane ends; what lies beyond counts at its edge."""
SIDE = 2 * REACH * STEPS_PER_SD


class Axis(NamedTuple):
    """How a column is cut."""

    first: float
    step: float


@dataclass(frozen=True, eq=False)
class PlaneHistograms:
    """Counts of every cluster."""

    samples: tuple[str, ...]
    sample: Int64[np.ndarray, " cluster"]
    """Which sample a cluster is of."""
    weights: Float64[np.ndarray, "cluster x y"]
    """Total weight in each cell of the plane, along both columns in steps of a tenth of their standard deviations."""
    n: Int64[np.ndarray, " cluster"]
    """Particles."""
    facts: dict[str, object]


def plane_histograms(made: Cells, particles: ParticleSource, of: tuple[str, str], cluster: Cluster) -> PlaneHistograms:
    """Count particles in a plane.

    Parameters
    ----------
    made : Cells
        Of these particles by sample, without size bins, that hold both columns.
    particles : DataFrame, ParquetParticles or path
    of : (str, str)
        The columns; one without any scatter has a single line of the plane.
    cluster
        See `estimate`.
    """
    layout = lay_out(made, cluster, of)
    axes = [_axis(made, cluster, column) for column in of]
    quanta = tuple(quantum for name in of for quantum in made.recipe.quanta if quantum.column == name)
    recipe = Recipe(quanta, (), made.recipe.weight)
    counted = compute(over_partitions([particles], recipe.columns, _count, _add, recipe, axes))
    check_seen(counted.seen, recipe)
    table = counted.table
    pair = layout.index.pairs.get_indexer(pd.MultiIndex.from_frame(table[["sample", "micrograph"]]))
    first = np.concatenate([[0], np.cumsum(layout.n_clusters)])
    place = first[layout.index.panel[pair]] + layout.index.cluster[pair]
    weights = np.zeros((int(first[-1]), SIDE * SIDE))
    np.add.at(weights, (place, table["cell"].to_numpy()), table["w"].to_numpy() * WEIGHT_QUANTUM)
    n = np.zeros(int(first[-1]), np.int64)
    np.add.at(n, place, table["n"].to_numpy())
    sample = np.repeat(np.arange(len(layout.n_clusters)), layout.n_clusters)
    names = tuple(str(name) for name in layout.keys["sample"])
    return PlaneHistograms(names, sample, weights.reshape(-1, SIDE, SIDE), n, dict(layout.facts))


def _axis(made: Cells, cluster: Cluster, column: str) -> Axis:
    """Cut a column about the mean of all samples, each sample as heavy."""
    moments = [cluster_sums(sums, made.recipe, column).moments for _, sums in panels(made, lay_out(made, cluster))]
    means, variances = (np.array([float(part[i][0]) for part in moments if np.isfinite(part.mean[0])]) for i in (1, 2))
    if not len(means):  # no particle has a weight
        return Axis(0.0, 1.0)
    sd = float(np.sqrt(variances.mean() + means.var()))
    step = sd / STEPS_PER_SD if sd > 0 else 1.0
    return Axis(float(means.mean()) - REACH * STEPS_PER_SD * step, step)


class _Counts(NamedTuple):
    """A part of the counts, and what was seen on the way."""

    table: pd.DataFrame
    """Number and weight of the particles of a micrograph in a cell of the plane."""
    seen: dict[str, Seen]


def _count(partition: pd.DataFrame | pa.Table, recipe: Recipe, axes: Sequence[Axis]) -> _Counts:
    rows = rows_of(partition)
    seen = look(rows, recipe.ranges)
    if complaints(seen, recipe.ranges):
        rows = rows.where(np.zeros(len(rows), bool))
    x, y = (
        np.clip((rows[quantum.column] - axis.first) // axis.step, 0, SIDE - 1).astype(np.int64)
        for quantum, axis in zip(recipe.quanta, axes, strict=True)
    )
    places, keys = pd.factorize(rows.codes.astype(np.int64) * SIDE**2 + x * SIDE + y)
    weights = integer_weights(rows, recipe.weight)
    counts = {"n": np.bincount(places, minlength=len(keys)), "w": np.zeros(len(keys), np.int64)}
    np.add.at(counts["w"], places, weights)
    own = rows.pairs.iloc[keys // SIDE**2].reset_index(drop=True)
    return _Counts(own.assign(cell=keys % SIDE**2, **counts), seen)


def _add(parts: Sequence[_Counts]) -> _Counts:
    return _Counts(add_rows([part.table for part in parts], _KEYS), add_seen([part.seen for part in parts]))


_KEYS = ["sample", "micrograph", "cell"]
