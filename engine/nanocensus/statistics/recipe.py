"""What cells hold, and one partition's share of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Int64

from nanocensus.errors import StatisticsError, TableError
from nanocensus.schema import LARGEST_WEIGHT, PARTICLES, WEIGHT_QUANTUM
from nanocensus.statistics import _kernels
from nanocensus.statistics.partitions import add_rows, number_pairs, numbers
from nanocensus.statistics.quanta import Quantum
from nanocensus.statistics.size_bins import OUTSIDE, Grid, SizeBins

KEYS = ("sample", "micrograph", "size_bin")
UNIT_WEIGHT = round(1 / WEIGHT_QUANTUM)
MOMENTS = ("wq_low", "wq_high", "wqq_low", "wqq_high")
"""The four sums of a column: w q and w q^2, each split at 32 bits so that nothing overflows."""


@dataclass(frozen=True)
class Recipe:
    """What is summed, and in which cells."""

    quanta: tuple[Quantum, ...]
    """The columns whose moments are kept."""
    bins: SizeBins | None
    bin_quantum: Quantum | None
    weight: str | None

    @property
    def columns(self) -> list[str]:
        """Columns of the particles that are read."""
        sizes = [self.bin_quantum.column] if self.bin_quantum else []
        weights = [self.weight] if self.weight else []
        return ["sample", "micrograph", *(quantum.column for quantum in self.quanta), *sizes, *weights]

    @property
    def sums(self) -> list[str]:
        """Names of the integer columns of the table of cells."""
        return ["n", "w", *(f"{quantum.column}_{moment}" for quantum in self.quanta for moment in MOMENTS)]

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """The values that each column of numbers may have."""
        quanta = (*self.quanta, *([self.bin_quantum] if self.bin_quantum else []))
        allowed = {quantum.column: (quantum.minimum, quantum.maximum) for quantum in quanta}
        if self.weight:
            least = PARTICLES[self.weight].minimum if self.weight in PARTICLES else None
            allowed[self.weight] = (least or 0.0, LARGEST_WEIGHT)
        return allowed


class CellSums(NamedTuple):
    """A part of the cells, and what was seen on the way."""

    table: pd.DataFrame
    """One row a cell: KEYS and the recipe's sums."""
    seen: pd.DataFrame
    """One row a column: missing values, the lowest and the highest one."""


def sum_cells(frame: pd.DataFrame, recipe: Recipe, grid: Grid | None) -> CellSums:
    """Sum one partition. Where a value cannot be counted, the table is empty and `seen` says why."""
    codes, pairs = number_pairs(frame)
    seen = look(frame, codes, recipe.ranges)
    if complaints(seen, recipe.ranges):
        return CellSums(_as_table(pairs.iloc[:0], np.empty(0, np.int64), np.empty((0, len(recipe.sums))), recipe), seen)
    places = place_in_bins(frame, recipe.bin_quantum, grid)
    breadth = 1 if grid is None else len(grid.edges)  # places run from -1 (outside) to breadth - 2
    cells, cell_keys = pd.factorize(codes * (breadth + 1) + places + 1)
    sums = sum_moments(frame, cells, len(cell_keys), recipe)
    found = cell_keys % (breadth + 1) - 1
    first = 0 if grid is None else grid.first
    bins = np.where(found < 0, OUTSIDE, found + first)
    return CellSums(_as_table(pairs.iloc[cell_keys // (breadth + 1)], bins, sums, recipe), seen)


def sum_moments(
    frame: pd.DataFrame, cells: Int64[np.ndarray, " row"], n_cells: int, recipe: Recipe
) -> Int64[np.ndarray, "cell sum"]:
    """Give the recipe's sums of the rows of each cell, by the number of each row's cell."""
    weights = integer_weights(frame, recipe.weight)
    sums = np.zeros((n_cells, len(recipe.sums)), np.int64)
    _kernels.count(cells, weights, sums)
    for index, quantum in enumerate(recipe.quanta):
        values = numbers(frame[quantum.column])
        _kernels.add_moments(cells, weights, values, quantum.step, sums[:, 2 + 4 * index : 6 + 4 * index])
    return sums


def add_cells(parts: Sequence[CellSums]) -> CellSums:
    """Add parts; cells come out sorted by their keys."""
    return CellSums(add_rows([part.table for part in parts], KEYS), add_seen([part.seen for part in parts]))


def add_seen(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Put together what was seen in several parts."""
    by_column = pd.concat(parts).groupby("column", sort=True)
    seen = {"missing": by_column["missing"].sum(), "lowest": by_column["lowest"].min(),
            "highest": by_column["highest"].max()}  # fmt: skip
    return pd.DataFrame(seen).reset_index()


def check_seen(seen: pd.DataFrame, recipe: Recipe) -> None:
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


def place_in_bins(frame: pd.DataFrame, quantum: Quantum | None, grid: Grid | None) -> Int64[np.ndarray, " row"]:
    """Give each particle's index into the grid's bins, -1 where it lies in none; all 0 without a grid."""
    places = np.zeros(len(frame), np.int64)
    if grid is not None and quantum is not None:
        _kernels.locate(numbers(frame[quantum.column]), quantum.step, grid.edges, places)
    return places


def integer_weights(frame: pd.DataFrame, weight: str | None) -> Int64[np.ndarray, " row"]:
    """Give each particle's weight in quanta."""
    if weight is None:
        return np.full(len(frame), UNIT_WEIGHT, np.int64)
    return np.rint(numbers(frame[weight]) / WEIGHT_QUANTUM).astype(np.int64)


def look(
    frame: pd.DataFrame, codes: Int64[np.ndarray, " row"], ranges: Mapping[str, tuple[float, float]]
) -> pd.DataFrame:
    """Give missing values, lowest and highest value of each column, and rows without identity as "micrograph"."""
    rows = [("micrograph", int((codes < 0).sum()), np.inf, -np.inf)]
    for column in ranges:
        values = numbers(frame[column])
        there = values[~np.isnan(values)]
        rows.append((column, len(values) - len(there), there.min(initial=np.inf), there.max(initial=-np.inf)))
    return pd.DataFrame(rows, columns=["column", "missing", "lowest", "highest"])


def complaints(seen: pd.DataFrame, ranges: Mapping[str, tuple[float, float]]) -> list[tuple[str, int, float]]:
    """List (column, missing values, worst value) of the columns that cannot be counted."""
    found = []
    numbers_seen = zip(seen["missing"].tolist(), seen["lowest"].tolist(), seen["highest"].tolist(), strict=True)
    for column, (missing, lowest, highest) in zip(seen["column"].astype(str), numbers_seen, strict=True):
        low, high = ranges.get(column, (-np.inf, np.inf))
        if missing or lowest < low or highest > high:
            found.append((column, int(missing), float(lowest if lowest < low else highest)))
    return found


def _as_table(pairs: pd.DataFrame, bins: np.ndarray, sums: np.ndarray, recipe: Recipe) -> pd.DataFrame:
    keys = pairs.reset_index(drop=True).assign(size_bin=bins.astype(np.int64))
    return pd.concat([keys, pd.DataFrame(sums.astype(np.int64), columns=recipe.sums)], axis=1)
