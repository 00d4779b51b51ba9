"""The pass over values that quantiles need: exact histograms in steps of a few quanta.

A histogram per (sample, size bin) is small; one per micrograph would not be. So there are two passes over the column:
one for the histograms, and one for how much of each cluster lies below the quantile that they give.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from dask.delayed import Delayed, delayed
from jaxtyping import Float64, Int, Int64

from nanocensus.schema import WEIGHT_QUANTUM
from nanocensus.statistics.cells.bin_numbers import Axis, Numbering
from nanocensus.statistics.cells.partitions import ParticleSource, add_rows, over_partitions
from nanocensus.statistics.cells.quanta import Quantum
from nanocensus.statistics.cells.recipe import Recipe, integer_weights
from nanocensus.statistics.cells.rows import Rows, rows_of

_SAME = 1e-9
"""Relative difference at which a share of the weight is taken to end exactly between two steps."""


@dataclass(frozen=True, eq=False)
class CellIndex:
    """Where a particle belongs: a flat cell number (panel by bin) and its cluster."""

    pairs: pd.MultiIndex
    """(sample, micrograph) of every micrograph."""
    panel: Int64[np.ndarray, " pair"]
    """The combination of keys, besides the size bin, of each micrograph."""
    cluster: Int64[np.ndarray, " pair"]
    """Number of its cluster within the panel."""
    n_panels: int
    bins: Int64[np.ndarray, " bin"]
    """Numbers of the bins, increasing."""

    @property
    def n_bins(self) -> int:
        """Number of bins, empty ones too."""
        return len(self.bins)

    @property
    def n_cells(self) -> int:
        """Number of cells, empty ones too."""
        return self.n_panels * self.n_bins

    def place(self, numbers: Int[np.ndarray, " row"]) -> Int64[np.ndarray, " row"]:
        """Give the place of each number among those of the bins, -1 of others."""
        if not self.n_bins:
            return np.full(len(numbers), -1)
        at = np.minimum(np.searchsorted(self.bins, numbers), self.n_bins - 1)
        return np.where(self.bins[at] == numbers, at, -1)


@dataclass(frozen=True, eq=False)
class StepHistogram:
    """The weights of one column in steps of 2^shift quanta, cell after cell."""

    quantum: Quantum
    shift: int
    starts: Int64[np.ndarray, " border"]
    """Rows of cell c are starts[c]:starts[c + 1]."""
    steps: Int64[np.ndarray, " row"]
    weights: Int64[np.ndarray, " row"]

    @property
    def step(self) -> float:
        """Width of a step, in the unit of the column."""
        return self.quantum.step * 2.0**self.shift

    def cell(self, cell: int) -> tuple[Int64[np.ndarray, " row"], Int64[np.ndarray, " row"]]:
        """Give the steps and weights of one cell."""
        rows = slice(self.starts[cell], self.starts[cell + 1])
        return self.steps[rows], self.weights[rows]

    @property
    def totals(self) -> Int64[np.ndarray, " cell"]:
        """Total weight of each cell, in quanta."""
        cumulative = np.concatenate([[0], np.cumsum(self.weights)]).astype(np.int64)
        return np.diff(cumulative[self.starts])

    def positions(self, shares: Float64[np.ndarray, " cell"], first: int = 0) -> Float64[np.ndarray, " cell"]:
        """Give where a share of the weight lies below, in steps, for cells from `first` on; NaN for empty cells."""
        found = np.full(len(shares), np.nan)
        for number, share in enumerate(shares):
            steps, weights = self.cell(first + number)
            if len(steps) and weights.any() and not np.isnan(share):
                found[number] = position(steps, np.cumsum(weights), float(share))
        return found

    def values(self, positions: Float64[np.ndarray, " cell"]) -> Float64[np.ndarray, " cell"]:
        """Turn positions into values: a quantum reaches half a quantum to both sides of its number."""
        return (positions * 2.0**self.shift - 0.5) * self.quantum.step


def position(steps: Int64[np.ndarray, " row"], cumulative: Int64[np.ndarray, " row"], share: float) -> float:
    """Give where a share of the weight lies below, in steps, evenly spread inside a step.

    Parameters
    ----------
    steps : int64 array
        Occupied steps, increasing.
    cumulative : int64 array
        Weight up to and with each.
    share : float
        From 0 to 1.

    Examples
    --------
    >>> position(np.array([2, 7]), np.array([1, 2]), 0.5)
    5.0
    """
    total = int(cumulative[-1])
    target = share * total
    if abs(target - round(target)) <= _SAME * total:
        target = round(target)
    row = min(int(np.searchsorted(cumulative, target)), len(steps) - 1)
    if cumulative[row] == target and row + 1 < len(steps):
        return float(steps[row] + 1 + steps[row + 1]) / 2  # the median of two values is their middle
    below = int(cumulative[row - 1]) if row else 0
    return float(steps[row] + (target - below) / (cumulative[row] - below))


def step_histograms(frames: Sequence[ParticleSource], recipe: Recipe, numbering: Numbering, index: CellIndex,
                    quanta: Sequence[Quantum]) -> Delayed:  # fmt: skip
    """Build the graph of the histograms of some columns, one a column; nothing is computed."""
    columns = [*_read(recipe), *(quantum.column for quantum in quanta)]
    rows = over_partitions(frames, columns, _count_steps, _add_steps, recipe, numbering, index, tuple(quanta))
    made: Delayed = delayed(_as_histograms, pure=False)(rows, tuple(quanta), index.n_cells)
    return made


def weights_below(frames: Sequence[ParticleSource], recipe: Recipe, numbering: Numbering, index: CellIndex,
                  pivots: Sequence[tuple[StepHistogram, Float64[np.ndarray, " cell"]]]) -> Delayed:  # fmt: skip
    """Build the graph of how much of each cluster lies below a position in each cell.

    Parameters
    ----------
    pivots : sequence of (StepHistogram, float64 array)
        The columns (by their histograms), and a position in steps per cell.

    Returns
    -------
    Delayed
        DataFrame of question (index into pivots), cell, cluster, below and at (weights in quanta: of the steps
        below the position's, and of its own step).
    """
    columns = [*_read(recipe), *(histogram.quantum.column for histogram, _ in pivots)]
    questions = tuple((histogram.quantum, histogram.shift, np.floor(at)) for histogram, at in pivots)
    return over_partitions(frames, columns, _count_below, _add_below, recipe, numbering, index, questions)


def quantile_bins(frames: Sequence[ParticleSource], axis: Axis, recipe: Recipe) -> Delayed:
    """Build the graph that finds the edges of an axis of quantile bins; nothing is computed."""
    columns = [axis.quantum.column, *([recipe.weight] if recipe.weight else [])]
    rows = over_partitions(frames, columns, _count_values, _add_values, axis.quantum, recipe)
    placed: Delayed = delayed(_place_edges, pure=False)(rows, axis)
    return placed


def _count_values(partition: pd.DataFrame | pa.Table, quantum: Quantum, recipe: Recipe) -> pd.DataFrame:
    # Values and weights that cannot be counted are left out here: the pass that sums the cells names them.
    rows = rows_of(partition)
    ranges = [(rows[name], limits) for name, limits in recipe.ranges.items() if name in rows.buffers]
    kept = rows.where(np.logical_and.reduce([(values >= low) & (values <= high) for values, (low, high) in ranges]))
    steps = quantum.quantise(kept[quantum.column])
    return _add_values([pd.DataFrame({"step": steps, "w": integer_weights(kept, recipe.weight)})])


def _add_values(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return add_rows(tables, ["step"])


def _place_edges(rows: pd.DataFrame, axis: Axis) -> Axis:
    found = axis.bins.at_quantiles(rows["step"].to_numpy(), rows["w"].to_numpy(), axis.quantum.step)
    return axis._replace(bins=found)


def _read(recipe: Recipe) -> list[str]:
    sizes = [axis.quantum.column for axis in recipe.axes]
    return ["sample", "micrograph", *sizes, *([recipe.weight] if recipe.weight else [])]


def _locate(rows: Rows, recipe: Recipe, numbering: Numbering, index: CellIndex) -> pd.DataFrame:
    """Give cell, cluster and weight of each particle, cell -1 where it lies in no bin."""
    known = index.pairs.get_indexer(pd.MultiIndex.from_frame(rows.pairs))[rows.codes]
    bins = index.place(numbering.of(rows))
    inside = (known >= 0) & (bins >= 0)
    cell = np.where(inside, index.panel[known] * index.n_bins + bins, -1)
    weights = integer_weights(rows, recipe.weight)
    return pd.DataFrame({"cell": cell, "cluster": index.cluster[known], "w": weights})


def _count_steps(partition: pd.DataFrame | pa.Table, recipe: Recipe, numbering: Numbering, index: CellIndex,
                 quanta: tuple[Quantum, ...]) -> pd.DataFrame:  # fmt: skip
    rows = rows_of(partition)
    located = _locate(rows, recipe, numbering, index)
    tables = []
    for number, quantum in enumerate(quanta):
        steps = quantum.quantise(rows[quantum.column]) >> quantum.histogram_shift
        stepped = located[["cell", "w"]].assign(column=number, step=steps)
        tables.append(stepped[located["cell"] >= 0])
    return _add_steps(tables)


def _add_steps(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return add_rows(tables, ["column", "cell", "step"])


def _as_histograms(rows: pd.DataFrame, quanta: tuple[Quantum, ...], n_cells: int) -> list[StepHistogram]:
    made = []
    for number, quantum in enumerate(quanta):
        mine = rows[rows["column"] == number]
        starts = np.searchsorted(mine["cell"].to_numpy(), np.arange(n_cells + 1)).astype(np.int64)
        made.append(
            StepHistogram(quantum, quantum.histogram_shift, starts, mine["step"].to_numpy(), mine["w"].to_numpy())
        )
    return made


def _count_below(partition: pd.DataFrame | pa.Table, recipe: Recipe, numbering: Numbering, index: CellIndex,
                 questions: tuple[tuple[Quantum, int, np.ndarray], ...]) -> pd.DataFrame:  # fmt: skip
    rows = rows_of(partition)
    located = _locate(rows, recipe, numbering, index)
    inside = (located["cell"] >= 0).to_numpy()
    kept = located[inside]
    weights = kept["w"].to_numpy()
    tables = []
    for number, (quantum, shift, pivot) in enumerate(questions):
        steps = quantum.quantise(rows[quantum.column][inside]) >> shift
        own = pivot[kept["cell"].to_numpy()]
        sums = {"below": np.where(steps < own, weights, 0), "at": np.where(steps == own, weights, 0)}
        tables.append(kept[["cell", "cluster"]].assign(question=number, **sums))
    return _add_below(tables)


def _add_below(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return add_rows(tables, ["question", "cell", "cluster"])


def as_weight(quanta: Int64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
    """Turn weights in quanta into weights: 1 is one particle."""
    return quanta * WEIGHT_QUANTUM
