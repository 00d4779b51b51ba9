"""Aligned outlines drawn over one another: how many of them pass through each place."""

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int64

from nanocensus.errors import InputError
from nanocensus.measure.alignment import parse_outlines
from nanocensus.measure.regions._compile import compiled


def outline_density(radii: Float[np.ndarray, "n m"], *, half_width: float, bins: int) -> Int64[np.ndarray, "bins bins"]:
    """Count the outlines that pass through each square of a grid about the centroid.

    An outline is the closed polygon through its points; it counts once in each square that it crosses. The counts of
    two sets of outlines add up to those of both, in any order.

    Parameters
    ----------
    radii : float (n, m)
        r(theta) of aligned outlines at m even angles; any unit of length.
    half_width : float
        The grid reaches from -half_width to half_width along both axes, in the same unit; what lies beyond is not
        counted.
    bins : int
        Squares a side.

    Returns
    -------
    int64 (bins, bins)
        Rows along y, columns along x; the angle runs from +x towards +y.

    Raises
    ------
    InputError
        If the grid has no extent, or the radii are refused by `align`.

    Examples
    --------
    >>> outline_density(np.ones((5, 4)), half_width=1.5, bins=3).tolist()
    [[0, 5, 0], [5, 0, 5], [0, 5, 0]]
    """
    outlines = parse_outlines(radii, normalise=False)
    if not (0.0 < half_width < np.inf and bins >= 1):
        raise InputError(
            "grid of the outline density",
            expected="a positive half width and at least one bin",
            got=f"half_width = {half_width:g}, bins = {bins}",
            remedy="1.2 times the largest radius and 256 bins show most populations.",
        )
    theta = 2.0 * np.pi * np.arange(outlines.shape[1]) / outlines.shape[1]
    scale = 0.5 * bins / half_width
    y, x = (outlines * np.sin(theta) + half_width) * scale, (outlines * np.cos(theta) + half_width) * scale
    counts = np.zeros((bins, bins), np.int64)
    _draw(y, x, counts)
    return counts


@compiled
def _draw(y: npt.NDArray[np.float64], x: npt.NDArray[np.float64], counts: npt.NDArray[np.int64]) -> None:
    """Add each closed polygon (vertices in units of squares) to the squares that it crosses."""
    n, m = y.shape
    last = np.full(counts.shape, -1, np.int64)
    for polygon in range(n):
        for start in range(m):
            end = start + 1 if start + 1 < m else 0
            _draw_edge(y[polygon, start], x[polygon, start], y[polygon, end], x[polygon, end], polygon, last, counts)


@compiled
def _draw_edge(
    y0: float,
    x0: float,
    y1: float,
    x1: float,
    polygon: int,
    last: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
) -> None:
    """Go along an edge from one grid line to the next; the square between two crossings is that of their middle."""
    dy, dx = y1 - y0, x1 - x0
    row, column = _next_line(y0, dy), _next_line(x0, dx)
    here = 0.0
    while here < 1.0:
        to_row = (row - y0) / dy if dy != 0.0 else np.inf
        to_column = (column - x0) / dx if dx != 0.0 else np.inf
        there = min(to_row, to_column, 1.0)
        middle = 0.5 * (here + there)
        i, j = int(np.floor(y0 + middle * dy)), int(np.floor(x0 + middle * dx))
        if 0 <= i < counts.shape[0] and 0 <= j < counts.shape[1] and last[i, j] != polygon:
            last[i, j] = polygon
            counts[i, j] += 1
        if to_row <= there:
            row += 1.0 if dy > 0.0 else -1.0
        if to_column <= there:
            column += 1.0 if dx > 0.0 else -1.0
        here = there


@compiled
def _next_line(position: float, step: float) -> float:
    """Give the first grid line ahead of a position."""
    line: float = np.floor(position) + 1.0 if step > 0.0 else np.ceil(position) - 1.0
    return line
