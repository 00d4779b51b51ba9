"""Perimeters counted on pixels, 64 of a row at once.

A particle is cut into strips of 60 columns. A strip is one word a row, with two more columns of its neighbours on
either side, so that every pixel of the 60 finds all that its count depends on in the words above, below and its own.

Kernels call only kernels of their own file: numba's cache on disk does not see a change in another one.
"""

import math

import numpy as np
import numpy.typing as npt

from nanocensus.measure.regions._compile import compiled
from nanocensus.measure.regions._instructions import bit_count

Places = npt.NDArray[np.int32]
Strip = npt.NDArray[np.uint64]
Values = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

_ONE, _ALL = np.uint64(1), np.uint64(0xFFFFFFFFFFFFFFFF)
_SIDE = 2
_COLUMNS = 64 - 2 * _SIDE
_OWN = np.uint64(((1 << _COLUMNS) - 1) << _SIDE)

_DIAGONAL = math.sqrt(2.0)
_CORNER = (1.0 + _DIAGONAL) / 2.0
_ALONG_AXES, _ALONG_DIAGONALS = math.pi / 4.0, math.pi / (4.0 * _DIAGONAL)


@compiled
def _draw(
    row: Places, start: Places, stop: Places, runs: tuple[int, int], corner: tuple[int, int], strip: Strip
) -> None:
    """Draw runs as bits: bit b of word r is the pixel b to the right and r below a corner."""
    top, left = corner
    for word in range(strip.size):
        strip[word] = 0
    for run in range(runs[0], runs[1]):
        first, last = max(start[run] - left, 0), min(stop[run] - left, 64) - 1
        if first <= last:
            strip[row[run] - top] |= (_ALL << np.uint64(first)) & (_ALL >> np.uint64(63 - last))


@compiled
def _keep_edge(strip: Strip, edge: Strip) -> None:
    """Keep the pixels that have background above, below, left or right; the first and last word are background."""
    above, here, below, out = strip[:-2], strip[1:-1], strip[2:], edge[1:-1]
    for word in range(out.size):
        pixels = here[word]
        out[word] = pixels & ~((pixels << _ONE) & (pixels >> _ONE) & above[word] & below[word])
    edge[0] = edge[-1] = 0


@compiled
def _count_edge(edge: Strip, counts: Whole) -> None:
    """Count the edge pixels that stand for a length of 1, of a diagonal and of half of both, by their neighbours.

    With a neighbours on the edge among the four beside a pixel and b among the four at its corners, the lengths are 1
    for a = 2, 3 and b = 0, 1, 2; sqrt(2) for a, b = 0, 2 and 1, 3; (1 + sqrt(2)) / 2 for a = 1 and b = 1, 2. Both are
    added up in the bits of three words each.
    """
    rows_above, rows, rows_below = edge[:-2], edge[1:-1], edge[2:]
    straight, diagonal, both = np.uint64(0), np.uint64(0), np.uint64(0)
    for word in range(rows.size):
        above, here, below = rows_above[word], rows[word], rows_below[word]
        right, left = here >> _ONE, here << _ONE
        odd, even = above ^ below, above & below
        odd_too, even_too = right ^ left, right & left
        carry = odd & odd_too
        a1, a2, a4 = odd ^ odd_too, even ^ even_too ^ carry, even & even_too
        odd, even = (above >> _ONE) ^ (above << _ONE), (above >> _ONE) & (above << _ONE)
        odd_too, even_too = (below >> _ONE) ^ (below << _ONE), (below >> _ONE) & (below << _ONE)
        carry = odd & odd_too
        b1, b2, b4 = odd ^ odd_too, even ^ even_too ^ carry, even & even_too
        pixels = here & _OWN & ~a4 & ~b4
        b_is_3, a_is_1, a_is_0 = b1 & b2, a1 & ~a2, ~(a1 | a2)
        straight += bit_count(pixels & a2 & ~b_is_3)
        diagonal += bit_count(pixels & ((a_is_0 & b2 & ~b1) | (a_is_1 & b_is_3)))
        both += bit_count(pixels & a_is_1 & (b1 ^ b2))
    counts[0] += np.int64(straight)
    counts[1] += np.int64(diagonal)
    counts[2] += np.int64(both)


@compiled
def _count_crossings(strip: Strip, counts: Whole) -> None:
    """Count the pixels that a line leaves the particle after, of the lines along the axes and along the diagonals."""
    above, here, below = strip[:-2], strip[1:-1], strip[2:]
    along_axes, along_diagonals = np.uint64(0), np.uint64(0)
    for word in range(here.size):
        pixels = here[word] & _OWN
        along_axes += bit_count(pixels & ~above[word]) + bit_count(pixels & ~(here[word] >> _ONE))
        along_diagonals += bit_count(pixels & ~(above[word] << _ONE)) + bit_count(pixels & ~(below[word] << _ONE))
    counts[0] += np.int64(along_axes)
    counts[1] += np.int64(along_diagonals)


@compiled
def perimeters(row: Places, start: Places, stop: Places, offset: Whole, crofton: bool) -> Values:
    """Give the perimeters of particles, by their edge pixels or by Crofton's formula.

    The edge of a particle is its pixels that have background beside them; each stands for a length that its neighbours
    on the edge tell (Benkrid and Crookes 2000): `skimage.measure.perimeter` with neighborhood=4. Crofton's formula
    takes the perimeter as the mean number of crossings with lines of four directions, a pixel apart along the axes:
    `skimage.measure.perimeter_crofton` with directions=4.

    Parameters
    ----------
    row, start, stop : int32 (m,)
        Runs of pixels, particle by particle, in raster order.
    offset : int64 (n + 1,)
        The runs of particle i are those from offset[i] to offset[i + 1].
    crofton : bool

    Returns
    -------
    float64 (n,)
    """
    n, tallest = offset.size - 1, 0
    for particle in range(n):
        tallest = max(tallest, row[offset[particle + 1] - 1] - row[offset[particle]] + 1)
    strip, edge, counts = np.empty(tallest + 2, np.uint64), np.empty(tallest + 2, np.uint64), np.empty(3, np.int64)
    found = np.empty(n)
    for particle in range(n):
        runs = (offset[particle], offset[particle + 1])
        top, bottom, left, right = row[runs[0]], row[runs[1] - 1] + 1, start[runs[0]], stop[runs[0]]
        for run in range(runs[0], runs[1]):
            left, right = min(left, start[run]), max(right, stop[run])
        drawn, border = strip[: bottom - top + 2], edge[: bottom - top + 2]
        counts[:] = 0
        for column in range(left, right, _COLUMNS):
            _draw(row, start, stop, runs, (top - 1, column - _SIDE), drawn)
            if crofton:
                _count_crossings(drawn, counts)
            else:
                _keep_edge(drawn, border)
                _count_edge(border, counts)
        if crofton:
            found[particle] = _ALONG_AXES * counts[0] + _ALONG_DIAGONALS * counts[1]
        else:
            found[particle] = counts[0] + _DIAGONAL * counts[1] + _CORNER * counts[2]
    return found
