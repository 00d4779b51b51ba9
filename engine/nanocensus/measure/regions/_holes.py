"""Holes of particles: the gaps between runs that do not lead outside.

Kernels call only kernels of their own file: numba's cache on disk does not see a change in another one.
"""

import numpy as np
import numpy.typing as npt

from nanocensus.measure.regions._compile import compiled

Places = npt.NDArray[np.int32]
Whole = npt.NDArray[np.int64]

_OUTSIDE = 0


@compiled
def _root(parent: Whole, gap: int) -> int:
    """Find the first gap of a hole, halving the path to it for the next search."""
    while parent[gap] != gap:
        parent[gap] = parent[parent[gap]]
        gap = parent[gap]
    return gap


@compiled
def _join(parent: Whole, gap: int, other: int) -> None:
    one, other = _root(parent, gap), _root(parent, other)
    parent[max(one, other)] = min(one, other)


@compiled
def _open(parent: Whole, line: tuple[int, int]) -> None:
    """Join all gaps of a row to the outside."""
    for run in range(line[0], line[1] - 1):
        _join(parent, run + 1, _OUTSIDE)


@compiled
def _open_at_ends(
    start: Places, stop: Places, line: tuple[int, int], beside: tuple[int, int], reach: int, parent: Whole
) -> None:
    """Join the gaps of a row to the outside that reach beyond the ends of the row beside it."""
    for run in range(line[0], line[1] - 1):
        if stop[run] - reach < start[beside[0]] or start[run + 1] + reach > stop[beside[1] - 1]:
            _join(parent, run + 1, _OUTSIDE)


@compiled
def _join_rows(
    start: Places, stop: Places, above: tuple[int, int], below: tuple[int, int], reach: int, parent: Whole
) -> None:
    """Join the gaps of two neighbouring rows that touch."""
    upper, lower = above[0], below[0]
    while upper < above[1] - 1 and lower < below[1] - 1:
        if start[upper + 1] + reach <= stop[lower]:
            upper += 1
            continue
        if start[lower + 1] + reach <= stop[upper]:
            lower += 1
            continue
        _join(parent, upper + 1, lower + 1)
        if start[upper + 1] < start[lower + 1]:
            upper += 1
        else:
            lower += 1


@compiled
def holes(row: Places, start: Places, stop: Places, offset: Whole, reach: int) -> tuple[Places, Whole]:
    """Count the holes of particles, and their pixels.

    A gap, named by the run before it plus one, is outside or a hole as the gaps it touches in the rows above and below.

    Parameters
    ----------
    row, start, stop : int32 (m,)
        Runs of pixels, particle by particle, in raster order.
    offset : int64 (n + 1,)
        The runs of particle i are those from offset[i] to offset[i + 1].
    reach : {0, 1}
        Whether a hole leaks where it touches the outside at a corner (1) or not (0).

    Returns
    -------
    count : int32 (n,)
    area : int64 (n,)
    """
    n, parent = offset.size - 1, np.arange(row.size + 1)
    count, area = np.zeros(n, np.int32), np.zeros(n, np.int64)
    for particle in range(n):
        above = (offset[particle], offset[particle])
        first, end = offset[particle], offset[particle + 1]
        while first < end:
            last = first + 1
            while last < end and row[last] == row[first]:
                last += 1
            line = (first, last)
            if above[0] < above[1] and row[first] == row[above[0]] + 1:
                _open_at_ends(start, stop, above, line, reach, parent)
                _open_at_ends(start, stop, line, above, reach, parent)
                _join_rows(start, stop, above, line, reach, parent)
            else:
                _open(parent, above)
                _open(parent, line)
            above, first = line, last
        _open(parent, above)
        for run in range(offset[particle], end - 1):
            if row[run] == row[run + 1] and _root(parent, run + 1) != _OUTSIDE:
                area[particle] += start[run + 1] - stop[run]
                count[particle] += parent[run + 1] == run + 1
    return count, area
