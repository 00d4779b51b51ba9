"""Runs that touch become one component; components become rows of a table.

Kernels call only kernels of their own file: numba's cache on disk does not see a change in another one.
"""

import numpy as np
import numpy.typing as npt

from nanocensus.measure.regions._compile import compiled

Labels = npt.NDArray[np.int32]
Whole = npt.NDArray[np.int64]


@compiled
def _root(parent: Labels, run: int) -> int:
    """Find the first run of a component, halving the path to it for the next search."""
    while parent[run] != run:
        parent[run] = parent[parent[run]]
        run = parent[run]
    return run


@compiled
def number(bounds: Labels, until: Whole, reach: int) -> tuple[Labels, int]:
    """Give the components of runs numbers from 1, in raster order of their first pixels.

    Two runs of neighbouring rows touch where one begins before the other has ended, or, with a reach of 1, right
    there: at a corner. The earlier run becomes the root, so roots come in the order of first pixels.

    Returns
    -------
    values : int32 (m,)
        The number of each run's component.
    n : int
    """
    parent = np.empty(bounds.shape[0], np.int32)
    for run in range(parent.size):
        parent[run] = run
    for y in range(1, until.size - 1):
        above, below = until[y - 1], until[y]
        while above < until[y] and below < until[y + 1]:
            if bounds[above, 1] + reach <= bounds[below, 0]:
                above += 1
                continue
            if bounds[below, 1] + reach <= bounds[above, 0]:
                below += 1
                continue
            one, other = _root(parent, above), _root(parent, below)
            parent[max(one, other)] = min(one, other)
            if bounds[above, 1] < bounds[below, 1]:
                above += 1
            else:
                below += 1
    n = 0
    for run in range(parent.size):
        if parent[run] == run:
            n += 1
            parent[run] = n
        else:  # the root comes before, and holds its number by now
            parent[run] = parent[parent[run]]
    return parent, n


@compiled
def gather(bounds: Labels, until: Whole, values: Labels, largest: int) -> tuple[Whole, Labels, Labels, Labels]:
    """Bring runs into the order of their values, those of one value staying in raster order.

    Returns
    -------
    offset : int64 (largest + 2,)
        The runs of value v are those from offset[v] to offset[v + 1].
    row, start, stop : int32 (m,)
    """
    offset = np.zeros(largest + 2, np.int64)
    for run in range(values.size):
        offset[values[run] + 1] += 1
    for value in range(largest + 1):
        offset[value + 1] += offset[value]
    place = offset.copy()
    row, start, stop = np.empty(values.size, np.int32), np.empty(values.size, np.int32), np.empty(values.size, np.int32)
    for y in range(until.size - 1):
        for run in range(until[y], until[y + 1]):
            at = place[values[run]]
            place[values[run]] = at + 1
            row[at], start[at], stop[at] = y, bounds[run, 0], bounds[run, 1]
    return offset, row, start, stop


@compiled
def paint(row: Labels, start: Labels, stop: Labels, label: Labels, offset: Whole, painted: Labels) -> None:
    """Write labels over their runs."""
    for particle in range(label.size):
        value = label[particle]
        for run in range(offset[particle], offset[particle + 1]):
            pixels = painted[row[run]]
            for x in range(start[run], stop[run]):
                pixels[x] = value
