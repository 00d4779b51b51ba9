"""Cells laid out for estimation: which key and which cluster everything belongs to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from jaxtyping import Int64

from nanocensus.errors import StatisticsError
from nanocensus.schema import WEIGHT_QUANTUM
from nanocensus.statistics.cells._kernels import LIMB_BITS
from nanocensus.statistics.cells.bin_numbers import numbered_through
from nanocensus.statistics.cells.cells import Cells
from nanocensus.statistics.cells.ordered import OrderedCells
from nanocensus.statistics.cells.quanta import Quantum
from nanocensus.statistics.cells.recipe import MOMENTS, Recipe
from nanocensus.statistics.cells.size_bins import OUTSIDE
from nanocensus.statistics.cells.step_histograms import CellIndex, as_weight
from nanocensus.statistics.estimation.clusters import (
    CORRELATED,
    RUN,
    Cluster,
    check_cluster,
    cluster_names,
    correlation_of_neighbours,
    ordered,
    recorded_cluster,
    unit_of_neighbours,
)
from nanocensus.statistics.estimation.intervals import ClusterSums, Moments


@dataclass(frozen=True, eq=False)
class Layout:
    """Which cell and which cluster everything belongs to."""

    keys: dict[str, np.ndarray]
    """Values of each key, besides the size bin, in order."""
    index: CellIndex
    n_clusters: Int64[np.ndarray, " panel"]
    axes: tuple[Int64[np.ndarray, " _"], ...]
    """Numbers of the bins along each column that is binned."""
    sums: OrderedCells
    numbers: range
    """What the bins of the index are called in the sums."""
    facts: dict[str, object] = field(default_factory=dict)
    """Which unit the clusters are, and why, for the record."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values of each key."""
        return tuple(len(values) for values in self.keys.values())

    @property
    def bins(self) -> Int64[np.ndarray, " bin"]:
        """Numbers of the bins."""
        return self.index.bins


@dataclass(frozen=True, eq=False)
class PanelSums:
    """The integer sums of one combination of keys: (sum, cluster, bin), and their names."""

    sums: Int64[np.ndarray, "sum cluster bin"]
    names: list[str]

    @property
    def n_clusters(self) -> int:
        """Number of clusters, those without particles too."""
        return len(self.sums[0])

    def __getitem__(self, name: str) -> Int64[np.ndarray, "cluster bin"]:
        """Give one sum by its name."""
        return np.asarray(self.sums[self.names.index(name)])


def lay_out(cells: Cells, cluster: Cluster, columns: Sequence[str] = ()) -> Layout:
    """Give numbers to keys, clusters and bins.

    Parameters
    ----------
    cells : Cells
    cluster : {"group", "session", "micrograph", "run", "auto"}
        "auto" is the group where any is recorded, else the session where every sample has four, else runs of ten
        micrographs in the order of acquisition if neighbours correlate by more than 0.2 in one of the columns, else the
        micrograph.
    columns : sequence of str
        Those that "auto" looks at; all that the cells hold if none are given.

    Raises
    ------
    StatisticsError
        If there is no micrograph, or one without a session or order where these make the clusters.
    """
    micrographs = cells.micrographs
    if micrographs.empty:
        raise StatisticsError(
            "cells", expected="at least one micrograph", got="none", remedy="Check that particles were measured."
        )
    cluster, facts = _settle(cells, cluster, columns)
    codes, keys = [], {}
    for key in cells.by:
        code, values = pd.factorize(micrographs[key], sort=True)
        codes.append(code)
        keys[key] = np.asarray(values, object) if pd.api.types.is_string_dtype(values.dtype) else np.asarray(values)
    shape = tuple(len(values) for values in keys.values())
    panel = np.ravel_multi_index(codes, shape) if codes else np.zeros(len(micrographs), np.int64)
    panel = np.asarray(panel, np.int64)
    n_panels = int(np.prod(shape))
    named = pd.DataFrame({"panel": panel, "sample": micrographs["sample"], "name": cluster_names(micrographs, cluster)})
    whole = named.groupby(["panel", "sample", "name"], sort=True).ngroup().to_numpy(np.int64)
    # Clusters are numbered in order of their panels, so subtracting each panel's first number restarts them at 0.
    first = np.full(n_panels, len(named), np.int64)
    np.minimum.at(first, panel, whole)
    count = named.drop_duplicates().groupby("panel").size().reindex(range(n_panels), fill_value=0)
    numbering, axes = numbered_through(cells.recipe.axes), _axes(cells)
    pairs = pd.MultiIndex.from_frame(micrographs[["sample", "micrograph"]])
    index = CellIndex(pairs, panel, whole - first[panel], n_panels, numbering.product(axes))
    lowest = int(index.bins[0]) if index.n_bins else 0
    sums, numbers = cells.sums, range(lowest, lowest + index.n_bins)
    if len(axes) > 1:  # numbers of a product have gaps
        sums, numbers = cells.sums.renumbered(lambda held: _or_outside(index.place(held))), range(index.n_bins)
    return Layout(keys, index, count.to_numpy(np.int64), axes, sums, numbers, facts)


def settled(cells: Cells, cluster: Cluster, columns: Sequence[str] = ()) -> Cluster:
    """Give the unit that is meant, for calls that are to agree on it; arguments and errors as those of `lay_out`."""
    return _settle(cells, cluster, columns)[0]


def _settle(cells: Cells, cluster: Cluster, columns: Sequence[str]) -> tuple[Cluster, dict[str, object]]:
    """Give the unit that is meant, and what is to be said of it."""
    check_cluster(cluster)
    facts: dict[str, object] = {}
    if cluster == "auto":
        facts = {"cluster_rule": "group, else session, else run where neighbours correlate, else micrograph"}
        recorded = recorded_cluster(cells.micrographs)
        found: dict[str, float] = {}
        if recorded is None and ordered(cells.micrographs):
            names = columns or [quantum.column for quantum in cells.recipe.quanta]
            found = {name: _neighbours(cells, name) for name in names}
            facts |= {"lag_1_autocorrelation": found, "correlated_above": CORRELATED}
        cluster = recorded or unit_of_neighbours(found)
    return cluster, facts | {"cluster": cluster} | ({"micrographs_of_a_run": RUN} if cluster == "run" else {})


def _neighbours(cells: Cells, column: str) -> float:
    """Give the correlation of the means of neighbouring micrographs."""
    layout = lay_out(cells, "micrograph")
    means = []
    for _, sums in panels(cells, layout):
        found = cluster_sums(sums, cells.recipe, column)
        with np.errstate(invalid="ignore"):
            means.append(found.first.sum(1) / found.weight.sum(1))
    place = np.concatenate([[0], np.cumsum(layout.n_clusters)])[layout.index.panel] + layout.index.cluster
    return correlation_of_neighbours(cells.micrographs, np.concatenate(means)[place])


def _axes(cells: Cells) -> tuple[Int64[np.ndarray, " _"], ...]:
    """Give the numbers of bins along each axis: all given ones, or those from the lowest to the highest that is occupied."""
    axes = cells.recipe.axes
    held = (cells.sums.bin_range,) if len(axes) == 1 else numbered_through(axes).ranges(cells.sums.bins)
    given = [axis.bins.edges for axis in axes]
    return tuple(
        np.array(own, np.int64) if edges is None else np.arange(len(edges) - 1)
        for own, edges in zip(held, given, strict=False)
    )


def _or_outside(places: Int64[np.ndarray, " cell"]) -> Int64[np.ndarray, " cell"]:
    return np.where(places < 0, OUTSIDE, places)


def panels(cells: Cells, layout: Layout) -> Iterator[tuple[slice, PanelSums]]:
    """Give the integer sums per cluster of one combination of keys after the other."""
    index = layout.index
    panel, cluster = (of[_pairs(layout)] for of in (index.panel, index.cluster))
    for number, n_clusters in enumerate(layout.n_clusters.tolist()):
        sums = layout.sums.add_up(np.where(panel == number, cluster, -1), n_clusters, layout.numbers)
        yield slice(number * index.n_bins, (number + 1) * index.n_bins), PanelSums(sums[..., 1:], cells.recipe.sums)


def totals(cells: Cells, layout: Layout) -> Int64[np.ndarray, "sum panel bin"]:
    """Give the integer sums of every combination of keys, all clusters together: of no bin, then of each."""
    index = layout.index
    return layout.sums.add_up(index.panel[_pairs(layout)], index.n_panels, layout.numbers)


def _pairs(layout: Layout) -> Int64[np.ndarray, " micrograph"]:
    """Give the place of each micrograph with particles among all."""
    return layout.index.pairs.get_indexer(pd.MultiIndex.from_frame(layout.sums.names.frame())).astype(np.int64)


def cluster_sums(panel: PanelSums, recipe: Recipe, column: str) -> ClusterSums:
    """Turn the integer sums of one column into the unit of its values."""
    quantum = next(quantum for quantum in recipe.quanta if quantum.column == column)
    limbs = [panel[f"{column}_{moment}"] for moment in MOMENTS]
    first = (limbs[1] * 2.0**LIMB_BITS + limbs[0]) * (WEIGHT_QUANTUM * quantum.step)
    second = (limbs[3] * 2.0**LIMB_BITS + limbs[2]) * (WEIGHT_QUANTUM * quantum.step**2)
    pooled = _exact_moments(panel["n"].sum(0), panel["w"].sum(0), [limb.sum(0) for limb in limbs], quantum)
    return ClusterSums(panel["n"], as_weight(panel["w"]), first, second, pooled)


def _exact_moments(n: np.ndarray, w: np.ndarray, limbs: list[np.ndarray], quantum: Quantum) -> Moments:
    """Pool in unbounded integers: the variance loses no digit to the square of the mean."""
    mean, variance = np.full(len(n), np.nan), np.full(len(n), np.nan)
    for cell in np.flatnonzero(w > 0):
        total = int(w[cell])
        first = (int(limbs[1][cell]) << LIMB_BITS) + int(limbs[0][cell])
        second = (int(limbs[3][cell]) << LIMB_BITS) + int(limbs[2][cell])
        mean[cell] = first / total * quantum.step
        variance[cell] = (second * total - first * first) / total**2 * quantum.step**2
    return Moments(n.astype(np.float64), mean, variance)
