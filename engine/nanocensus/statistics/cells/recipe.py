"""What cells hold, and one partition's share of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Int32, Int64

from nanocensus.errors import StatisticsError, TableError
from nanocensus.schema import LARGEST_WEIGHT, PARTICLES, WEIGHT_QUANTUM
from nanocensus.statistics.cells import _kernels
from nanocensus.statistics.cells.bin_numbers import NO_BINS, Axis, Numbering
from nanocensus.statistics.cells.quanta import Quantum
from nanocensus.statistics.cells.rows import Rows, rows_of
from nanocensus.statistics.cells.size_bins import OUTSIDE, SizeBins
from nanocensus.statistics.cells.sums import EXACT, Block, CellSums, Seen, carry, limbs_of, narrow

UNIT_WEIGHT = 2**_kernels.UNIT_BITS
MOMENTS = ("wq_low", "wq_high", "wqq_low", "wqq_high")
"""The four sums of a column: w q and w q^2, each split at 32 bits so that nothing overflows."""
SLICE_ROWS = 2**15
"""Rows summed at once: what they need stays in the cache."""


@dataclass(frozen=True)
class Recipe:
    """What is summed, and in which cells."""

    quanta: tuple[Quantum, ...]
    """The columns whose moments are kept."""
    axes: tuple[Axis, ...]
    """The columns that are binned, two at most."""
    weight: str | None
    also: tuple[Quantum, ...] = ()
    """Columns that are read and checked besides."""

    @property
    def bins(self) -> SizeBins | None:
        """The bins of the one column that is binned, None if none is.

        Raises
        ------
        StatisticsError
            If two are: what asks knows bins of one column only.
        """
        if len(self.axes) > 1:
            raise StatisticsError(
                "cells", expected="bins of one column at most",
                got="bins of " + " and ".join(axis.bins.of for axis in self.axes),
                remedy="Build cells with one SizeBins for this; nc.estimate takes two.",
            )  # fmt: skip
        return self.axes[0].bins if self.axes else None

    @property
    def columns(self) -> list[str]:
        """Columns of the particles that are read."""
        weights = [self.weight] if self.weight else []
        return ["sample", "micrograph", *(quantum.column for quantum in self._read), *weights]

    @property
    def _read(self) -> tuple[Quantum, ...]:
        return (*self.quanta, *(axis.quantum for axis in self.axes), *self.also)

    @property
    def sums(self) -> list[str]:
        """Names of the integer columns of the table of cells."""
        return ["n", "w", *(f"{quantum.column}_{moment}" for quantum in self.quanta for moment in MOMENTS)]

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """The values that each column of numbers may have."""
        allowed = {quantum.column: (quantum.minimum, quantum.maximum) for quantum in self._read}
        if self.weight:
            least = PARTICLES[self.weight].minimum if self.weight in PARTICLES else None
            allowed[self.weight] = (least or 0.0, LARGEST_WEIGHT)
        return allowed


def sum_cells(partition: pd.DataFrame | pa.Table, recipe: Recipe, numbering: Numbering) -> CellSums:
    """Sum one partition. Where a value cannot be counted, there are no cells and `seen` says why."""
    return sum_rows(rows_of(partition), recipe, numbering)


def sum_rows(rows: Rows, recipe: Recipe, numbering: Numbering) -> CellSums:
    """Sum rows of particles, as `sum_cells`."""
    seen = look(rows, recipe.ranges)
    if complaints(seen, recipe.ranges) or not len(rows):
        return CellSums((), seen)
    codes, borders, bins, sums = _sum_runs(rows, recipe, numbering, seen)
    return CellSums((Block(rows.names.of(codes), borders, bins, tuple(map(narrow, sums))),), seen)


def sum_codes(rows: Rows, n_codes: int, recipe: Recipe, seen: Mapping[str, Seen]) -> Int64[np.ndarray, "code sum"]:
    """Give the recipe's sums of the rows of each code, without bins."""
    made = np.zeros((len(recipe.sums), n_codes), np.int64)
    if len(rows):
        codes, _, _, sums = _sum_runs(rows, recipe, NO_BINS, seen)
        for total, values in zip(made, limbs_of(sums, len(sums)), strict=True):
            _kernels.add_at(codes, values, total)
        carry(made)
    return made.T


def _sum_runs(
    rows: Rows, recipe: Recipe, numbering: Numbering, seen: Mapping[str, Seen]
) -> tuple[Int64[np.ndarray, " run"], Int64[np.ndarray, " border"], Int32[np.ndarray, " cell"], list[np.ndarray]]:
    """Give runs of rows of one code, their cells, and the sums of `Block`."""
    rows = rows.together()
    weights = np.empty(0, np.int64) if recipe.weight is None else integer_weights(rows, recipe.weight)
    width = (1 if recipe.weight is None else 2) + 2 * len(recipe.quanta)
    most = _most_rows(recipe, seen)
    window = numbering.window(seen)
    numbers = np.append(window.numbers, OUTSIDE)
    scratch, run, written = np.zeros((len(numbers), width), np.int64), np.zeros(4, np.int64), np.zeros(2, np.int64)
    columns = tuple(dict.fromkeys((*recipe.quanta, *window.quanta)))  # those that are summed come first
    along = [columns.index(quantum) for quantum in window.quanta]
    quanta, places = np.empty((len(columns), SLICE_ROWS), np.int32), np.empty(SLICE_ROWS, np.int32)
    most_cells = len(rows) + 1  # a cell a row, at most, and one that is tried; what is not written takes no memory
    runs, cells = np.empty((most_cells, 2), np.int64), np.empty(most_cells, np.int32)
    sums = np.empty((width, most_cells), np.int64)
    for start in range(0, len(rows), SLICE_ROWS):
        here = slice(start, min(start + SLICE_ROWS, len(rows)))
        codes = rows.codes[here]
        for values, quantum in zip(quanta, columns, strict=True):
            _kernels.quantise(rows.buffers[quantum.column][here], quantum.inverse, values)
        window.place([quanta[column, : len(codes)] for column in along], places[: len(codes)])
        _kernels.sum_runs(codes, places, quanta[: len(recipe.quanta)], weights[here], most, here.stop == len(rows),
                          scratch, run, written, runs, cells, sums)  # fmt: skip
    n_runs, n_cells = written.tolist()
    borders = np.append(runs[:n_runs, 1], n_cells)
    return runs[:n_runs, 0], borders, numbers[cells[:n_cells]].astype(np.int32), list(sums[:, :n_cells])


def _most_rows(recipe: Recipe, seen: Mapping[str, Seen]) -> int:
    """Give the number of rows whose sums of w q^2 are exact in 64 bits."""
    largest = [max(abs(seen[quantum.column].lowest), seen[quantum.column].highest) * quantum.inverse + 1
               for quantum in recipe.quanta]  # fmt: skip
    weight = 1.0 if recipe.weight is None else seen[recipe.weight].highest / WEIGHT_QUANTUM + 1
    return max(int(EXACT / (weight * max(largest, default=1.0) ** 2)), 1)


def check_seen(seen: Mapping[str, Seen], recipe: Recipe) -> None:
    """Raise what is wrong with the particles, once all have been seen.

    Raises
    ------
    TableError
        For missing values and values out of the declared range.
    StatisticsError
        For particles without a weight.
    """
    found = complaints(seen, recipe.ranges)
    if not found:
        return
    column, missing, worst = found[0]
    if missing and column == recipe.weight:
        raise StatisticsError(
            f"column {column!r}", expected="a weight for every particle", got=f"{missing} without one",
            remedy="Particles on a micrograph's border have none: exclude them (criteria with exclude_border), "
            "or use weight=None.",
        )  # fmt: skip
    if missing:
        raise TableError(
            f"column {column!r}", expected="a value in every row", got=f"{missing} missing (null or NaN)",
            remedy="Drop those particles, or leave the column out.",
        )  # fmt: skip
    low, high = recipe.ranges[column]
    raise TableError(
        f"column {column!r}", expected=f"values from {low:g} to {high:g}", got=f"{worst:g}",
        remedy="Check the pixel size: lengths are in nm and areas in nm2. Larger values need a coarser quantum (`scale` "
        "of nc.cells).",
    )  # fmt: skip


def integer_weights(rows: Rows, weight: str | None) -> Int64[np.ndarray, " row"]:
    """Give each particle's weight in quanta."""
    if weight is None:
        return np.full(len(rows), UNIT_WEIGHT, np.int64)
    return np.rint(rows[weight] / WEIGHT_QUANTUM).astype(np.int64)


def look(rows: Rows, ranges: Mapping[str, tuple[float, float]]) -> dict[str, Seen]:
    """Give missing values, lowest and highest value of each column, and rows without identity as "micrograph"."""
    missing = int((rows.codes < 0).sum()) if rows.codes.min(initial=0) < 0 else 0
    seen = {"micrograph": Seen(missing, np.inf, -np.inf)}
    for column in ranges:
        there = values = rows.buffers[column]
        lowest = float(values.min(initial=np.inf))
        if np.isnan(lowest):
            there = values[~np.isnan(values)]
            lowest = float(there.min(initial=np.inf))
        seen[column] = Seen(len(values) - len(there), lowest, float(there.max(initial=-np.inf)))
    return seen


def complaints(seen: Mapping[str, Seen], ranges: Mapping[str, tuple[float, float]]) -> list[tuple[str, int, float]]:
    """List (column, missing values, worst value) of the columns that cannot be counted, by name."""
    found = []
    for column, (missing, lowest, highest) in sorted(seen.items()):
        low, high = ranges.get(column, (-np.inf, np.inf))
        if missing or lowest < low or highest > high:
            found.append((column, missing, lowest if lowest < low else highest))
    return found
