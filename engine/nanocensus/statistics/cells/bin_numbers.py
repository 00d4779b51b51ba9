"""The bins that cells have, those of one column or of two at once, as one number: what a cell is called by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Int32, Int64

from nanocensus.errors import StatisticsError
from nanocensus.statistics.cells import _kernels
from nanocensus.statistics.cells.quanta import Quantum
from nanocensus.statistics.cells.rows import Rows
from nanocensus.statistics.cells.size_bins import OUTSIDE, Grid, SizeBins
from nanocensus.statistics.cells.sums import Seen

MOST_NUMBERS = 2**31


class Axis(NamedTuple):
    """A column that particles are binned by."""

    bins: SizeBins
    quantum: Quantum
    name: str
    """What stands before _bin, _left and _right: "size" of the first axis, its column of the second."""


@dataclass(frozen=True, eq=False)
class Numbering:
    """How bins are numbered; make it with `numbered_through`.

    The bins of one column keep their own numbers. Those of two are numbered from 0, along the second column first. Without
    bins all is in bin 0.
    """

    axes: tuple[Axis, ...]
    grids: tuple[Grid, ...]

    @cached_property
    def _stride(self) -> int:
        return len(self.grids[1].edges) - 1 if len(self.grids) == 2 else 1

    def product(self, axes: Sequence[Int64[np.ndarray, " _"]]) -> Int64[np.ndarray, " number"]:
        """Give the numbers of all combinations of bins along the axes, the last one first."""
        return self.joined([part.ravel() for part in np.meshgrid(*axes, indexing="ij")])

    def joined(self, parts: Sequence[Int64[np.ndarray, " bin"]]) -> Int64[np.ndarray, " bin"]:
        """Give the numbers of bins that lie inside, by those along each axis."""
        if len(parts) < 2:
            return np.asarray(parts[0] if parts else np.zeros(1, np.int64))
        first, second = (part - grid.first for part, grid in zip(parts, self.grids, strict=True))
        return np.asarray(first * self._stride + second)

    def apart(self, numbers: Int[np.ndarray, " cell"]) -> tuple[Int64[np.ndarray, " cell"], ...]:
        """Give the numbers along each axis, OUTSIDE for what lies outside of either."""
        held = numbers.astype(np.int64)
        if len(self.grids) < 2:
            return (held,) * len(self.grids)
        parts = zip(np.divmod(held, self._stride), self.grids, strict=True)
        return tuple(np.where(held == OUTSIDE, OUTSIDE, part + grid.first) for part, grid in parts)

    def ranges(self, numbers: Int[np.ndarray, " cell"]) -> tuple[range, ...]:
        """Give the bins from the lowest to the highest of those, along each axis."""
        inside = numbers[numbers != OUTSIDE]
        return tuple(
            range(int(part.min()), int(part.max()) + 1) if len(part) else range(0) for part in self.apart(inside)
        )

    def window(self, seen: Mapping[str, Seen]) -> "Window":
        """Give the part of the bins that values between the lowest and the highest seen can lie in."""
        quanta = [axis.quantum for axis in self.axes]
        grids = [
            _between(grid, quantum, seen[quantum.column]) for grid, quantum in zip(self.grids, quanta, strict=True)
        ]
        return Window(tuple(quanta), tuple(grids), self.product([_numbers(grid) for grid in grids]))

    def of(self, rows: Rows) -> Int64[np.ndarray, " row"]:
        """Give the number of each particle's bin, OUTSIDE where it lies in none."""
        places = [place_in_bins(rows, axis.quantum, grid) for axis, grid in zip(self.axes, self.grids, strict=True)]
        if not places:
            return np.zeros(len(rows), np.int64)
        inside = np.logical_and.reduce([place >= 0 for place in places])
        made = np.full(len(rows), OUTSIDE, np.int64)
        parts = [place[inside] + grid.first for place, grid in zip(places, self.grids, strict=True)]
        made[inside] = self.joined([part.astype(np.int64) for part in parts])
        return made


class Window(NamedTuple):
    """Some bins next to each other, whose places are counted from 0."""

    quanta: tuple[Quantum, ...]
    grids: tuple[Grid, ...]
    numbers: Int64[np.ndarray, " place"]
    """Of the bin at each place."""

    def place(self, along: Sequence[Int32[np.ndarray, " row"]], places: Int32[np.ndarray, " row"]) -> None:
        """Write the place of rows whose values along each axis are given, in quanta; -1 of those that lie outside."""
        places[:] = 0
        for quanta, grid in zip(along, self.grids, strict=True):
            _kernels.step_into(places, len(grid.edges) - 1, _located(quanta, grid))


NO_BINS = Numbering((), ())


def numbered_through(axes: Sequence[Axis]) -> Numbering:
    """Give numbers to the bins of no, one or two columns.

    Raises
    ------
    StatisticsError
        If bins vanish in the quantum, are too many, or their edges are still unknown (quantile bins).
    """
    grids = tuple(axis.bins.grid(axis.quantum) for axis in axes)
    count = int(np.prod([len(grid.edges) - 1 for grid in grids], dtype=np.int64))
    if len(grids) > 1 and count > MOST_NUMBERS:
        raise StatisticsError(
            "bins of " + " and ".join(axis.bins.of for axis in axes), expected=f"at most {MOST_NUMBERS} of both together",
            got=f"{count}", remedy="Give wider bins, or edges.",
        )  # fmt: skip
    return Numbering(tuple(axes), grids)


def place_in_bins(rows: Rows, quantum: Quantum, grid: Grid) -> Int32[np.ndarray, " row"]:
    """Give each particle's index into the grid's bins, -1 where it lies in none."""
    values = rows.buffers[quantum.column]
    quanta = np.empty(len(values), np.int32)
    _kernels.quantise(values, quantum.inverse, quanta)
    return _located(quanta, grid)


def _numbers(grid: Grid) -> Int64[np.ndarray, " bin"]:
    return np.arange(len(grid.edges) - 1) + grid.first


def _located(quanta: Int32[np.ndarray, " row"], grid: Grid) -> Int32[np.ndarray, " row"]:
    places = np.empty_like(quanta)
    _kernels.locate(quanta, grid.edges, places)
    return places


def _between(grid: Grid, quantum: Quantum, seen: Seen) -> Grid:
    lowest, highest = quantum.quantise(np.array([seen.lowest, seen.highest]))
    last = len(grid.edges) - 2
    start, stop = (min(max(int(np.searchsorted(grid.edges, q, side="right")) - 1, 0), last) for q in (lowest, highest))
    return Grid(grid.first + start, grid.edges[start : stop + 2])
