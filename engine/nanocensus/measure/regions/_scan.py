"""From an image to its runs: the pixels of one row that follow each other and belong together.

Kernels call only kernels of their own file: numba's cache on disk does not see a change in another one.
"""

import numpy as np
import numpy.typing as npt

from nanocensus.measure.regions._compile import compiled
from nanocensus.measure.regions._instructions import bit_count, bits_above, bits_of_change

Bytes = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int32]
Whole = npt.NDArray[np.int64]

_NONE, _ONE, _LAST = np.uint64(0), np.uint64(1), np.uint64(63)


@compiled
def _tail_above(row: Bytes, at: int, level: np.uint8) -> np.uint64:
    """Give the word of the last pixels of a row, fewer than 64."""
    word = _NONE
    for x in range(at, row.size):
        if row[x] > level:
            word |= _ONE << np.uint64(x - at)
    return word


@compiled
def _tail_of_change(row: Labels, at: int) -> np.uint64:
    """Give the word of changes of the last pixels of a row, fewer than 64."""
    word = _NONE
    for x in range(at, row.size):
        if row[x] != row[x - 1]:
            word |= _ONE << np.uint64(x - at)
    return word


@compiled
def runs_above(pixels: Bytes, level: np.uint8) -> tuple[Labels, Whole]:
    """Find the runs of pixels above a level.

    A row is read in words of 64 pixels; the bits of a word that differ from the bit before are, in turn, where a run
    starts and where it stops.

    Returns
    -------
    bounds : int32 (m, 2)
        Start and stop of each run, in raster order.
    until : int64 (height + 1,)
        The runs of row y are those from until[y] to until[y + 1].
    """
    height, width = pixels.shape
    most = height * ((width + 1) // 2)
    bounds = np.empty(2 * most, np.int32)  # pages of memory that are never written cost nothing
    until = np.zeros(height + 1, np.int64)
    found = 0
    for y in range(height):
        row = pixels[y]
        before = _NONE
        for at in range(0, width, 64):
            word = bits_above(row, at, level) if at + 64 <= width else _tail_above(row, at, level)
            changed = word ^ ((word << _ONE) | before)
            before = word >> _LAST
            while changed != _NONE:
                bounds[found] = at + int(bit_count((changed & (~changed + _ONE)) - _ONE))
                found += 1
                changed &= changed - _ONE
        if found & 1:
            bounds[found] = width
            found += 1
        until[y + 1] = found >> 1
    return bounds[:found].reshape(-1, 2), until


@compiled
def runs_of_values(labels: Labels) -> tuple[Labels, Whole, Labels]:
    """Find the runs of pixels of one value above 0.

    Returns
    -------
    bounds, until
        As of `runs_above`.
    values : int32 (m,)
        The value of each run.
    """
    height, width = labels.shape
    bounds, values = np.empty((height * width, 2), np.int32), np.empty(height * width, np.int32)
    until = np.zeros(height + 1, np.int64)
    found = 0
    for y in range(height):
        row = labels[y]
        value, start = (row[0] if width else 0), 0
        for at in range(1, width, 64):
            changed = bits_of_change(row, at) if at + 64 <= width else _tail_of_change(row, at)
            while changed != _NONE:
                x = at + int(bit_count((changed & (~changed + _ONE)) - _ONE))
                if value > 0:
                    bounds[found, 0], bounds[found, 1], values[found] = start, x, value
                    found += 1
                value, start = row[x], x
                changed &= changed - _ONE
        if value > 0:
            bounds[found, 0], bounds[found, 1], values[found] = start, width, value
            found += 1
        until[y + 1] = found
    return bounds[:found], until, values[:found]
