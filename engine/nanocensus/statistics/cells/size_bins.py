"""Size bins, closed on the left, whose edges are whole numbers of quanta."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from nanocensus.errors import StatisticsError
from nanocensus.statistics.cells.quanta import Number, Quantum

OUTSIDE = -(2**31)
"""The bin of particles that lie in no bin."""
MOST_BINS = 2**16


class Grid(NamedTuple):
    """The edges of bins in quanta: bin `first + i` holds edges[i] <= q < edges[i + 1]."""

    first: int
    edges: Int64[np.ndarray, " edge"]


class Bounds(NamedTuple):
    """Where bins lie, in the unit of their column."""

    left: Float64[np.ndarray, " bin"]
    centre: Float64[np.ndarray, " bin"]
    right: Float64[np.ndarray, " bin"]


@dataclass(frozen=True)
class SizeBins:
    """Bins of one column of the particles; make them with `size_bins`."""

    of: str = "edge_length_nm"
    """The column that is binned."""
    width_nm: float | None = None
    """Edges at all multiples of this width (in the column's unit)."""
    edges: tuple[float, ...] | None = None
    """The edges themselves; for quantile bins they are found by `cells`."""
    quantiles: int | None = None
    """Number of bins of equal total weight."""

    def grid(self, quantum: Quantum) -> Grid:
        """Give the edges in quanta of the column, over its declared range.

        Raises
        ------
        StatisticsError
            If bins vanish in the quantum, are too many, or their edges are still unknown (quantile bins).
        """
        return _grid(self, quantum)

    def bounds(self, bins: Int64[np.ndarray, " bin"]) -> Bounds:
        """Give left edges, centres and right edges of bins by their numbers.

        Examples
        --------
        >>> size_bins(0.2).bounds(np.array([21])).centre
        array([4.3])
        """
        if self.width_nm is not None:
            width = _exact(self.width_nm)
            halves = [[float(width * (2 * int(k) + side) / 2) for k in bins] for side in (0, 1, 2)]
            return Bounds(*(np.array(values, np.float64) for values in halves))
        edges = np.array(self.edges, np.float64)
        left, right = edges[bins], edges[bins + 1]
        return Bounds(left, (left + right) / 2, right)

    def at_quantiles(self, quanta: Int64[np.ndarray, " value"], weights: Int64[np.ndarray, " value"],
                     step: float) -> "SizeBins":  # fmt: skip
        """Place the edges of quantile bins from an exact histogram.

        Each inner edge lies just above the smallest value at or below which the wanted share of the weight lies.

        Parameters
        ----------
        quanta : int64 array
            The distinct values, in quanta, increasing.
        weights : int64 array
            Their total weights.
        step : float
            Value of one quantum.

        Raises
        ------
        StatisticsError
            If there are fewer distinct values than bins.
        """
        count = self.quantiles or 1
        cumulative = np.cumsum(weights)
        total = int(cumulative[-1]) if len(cumulative) else 0
        # Integer arithmetic: the first value whose cumulative weight times `count` reaches i times the total.
        inner = [
            int(quanta[np.searchsorted(cumulative, -(-i * total // count))]) + 1 for i in range(1, count) if total > 0
        ]
        found = [int(quanta[0]), *inner, int(quanta[-1]) + 1] if total > 0 else []
        if len(found) != count + 1 or np.any(np.diff(found) <= 0):
            raise StatisticsError(
                f"{count} quantile bins of {self.of!r}", expected=f"at least {count} distinct values with weight",
                got=f"{len(quanta)} values", remedy="Ask for fewer quantiles, or give edges.",
            )  # fmt: skip
        return replace(self, edges=tuple(q * step for q in found))


def size_bins(width_nm: Number | None = None, *, edges: Sequence[Number] | np.ndarray | None = None,
              quantiles: int | None = None, of: str = "edge_length_nm") -> SizeBins:  # fmt: skip
    """Say how particles are binned by size.

    Bins are closed on the left: 4.2 belongs to [4.2, 4.4). Values and edges are compared as whole quanta of the
    column, so no rounding of 21 * 0.2 moves a particle.

    Parameters
    ----------
    width_nm : float, optional
        Width of the bins; edges lie at all its multiples (in the unit of the column, nm for lengths).
    edges : sequence of float, optional
        Increasing edges; particles outside are counted apart.
    quantiles : int, optional
        Number of bins of equal weight; `cells` finds the edges in one more pass and records them.
    of : str
        The column.

    Returns
    -------
    SizeBins

    Raises
    ------
    StatisticsError
        Unless exactly one of the three is given, and makes sense.

    Examples
    --------
    >>> size_bins(0.2)
    SizeBins(of='edge_length_nm', width_nm=0.2, edges=None, quantiles=None)
    """
    if sum(given is not None for given in (width_nm, edges, quantiles)) != 1:
        raise StatisticsError(
            "size_bins", expected="one of width_nm, edges and quantiles",
            got=f"width_nm={width_nm}, edges={edges}, quantiles={quantiles}", remedy="Give one of them.",
        )  # fmt: skip
    if width_nm is not None and not (0 < width_nm < np.inf):
        raise _useless(f"a width of {width_nm:g}")
    if quantiles is not None and quantiles < 1:
        raise _useless(f"{quantiles} quantile bins")
    if edges is not None and (len(edges) < 2 or not np.all(np.isfinite(edges)) or np.any(np.diff(edges) <= 0)):
        raise _useless(f"the edges {list(edges)}")
    width = None if width_nm is None else float(width_nm)
    return SizeBins(of, width, None if edges is None else tuple(map(float, edges)), quantiles)


def _useless(got: str) -> StatisticsError:
    return StatisticsError(
        "size_bins", expected="a positive width, two or more increasing finite edges, or a positive number of bins",
        got=got, remedy="Give for example size_bins(0.2).",
    )  # fmt: skip


def _exact(value: float) -> Fraction:
    """Read a float as the decimal number that its user wrote: 0.2 is one fifth."""
    return Fraction(repr(float(value)))


@lru_cache(maxsize=64)
def _grid(bins: SizeBins, quantum: Quantum) -> Grid:
    if bins.width_nm is not None:
        width = _exact(bins.width_nm)
        ratio = width / Fraction(quantum.step)
        first, last = (int(Fraction(bound) // width) for bound in (quantum.minimum, quantum.maximum))
        if ratio < 2 or last - first >= MOST_BINS:
            raise StatisticsError(
                f"size bins of {bins.of!r}",
                expected=f"a width of at least {2 * quantum.step:g}, and at most {MOST_BINS} bins",
                got=f"a width of {bins.width_nm:g}", remedy="Give wider bins, or edges.",
            )  # fmt: skip
        # One bin of room at both ends: an edge may round to the other side of the range's end.
        numbers = range(first - 1, last + 3)
        return Grid(first - 1, np.array([round(k * ratio) for k in numbers], np.int64))
    if bins.edges is None:
        raise StatisticsError(
            f"{bins.quantiles} quantile bins", expected="edges found by cells()", got="none yet",
            remedy="Build cells from particles with these bins first.",
        )  # fmt: skip
    edges = quantum.quantise(np.array(bins.edges))
    if np.any(np.diff(edges) <= 0):
        raise StatisticsError(
            f"size bins of {bins.of!r}", expected=f"edges further apart than {quantum.step:g}",
            got=str(list(bins.edges)), remedy="Give fewer edges.",
        )  # fmt: skip
    return Grid(0, edges)
