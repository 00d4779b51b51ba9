"""Sums over runs: how many pixels, where, and how they are spread and how sure the map is of them.

Kernels call only kernels of their own file: numba's cache on disk does not see a change in another one.
"""

import numpy as np
import numpy.typing as npt

from nanocensus.measure.regions._compile import compiled
from nanocensus.measure.regions._instructions import fetch

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int32]
Values = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

_AHEAD = 8
"""Runs between the one that is read and the one that is asked for: about what memory takes to answer."""

AREA, CENTROID_Y, CENTROID_X, VARIANCE_YY, VARIANCE_XX, COVARIANCE = range(6)
"""The columns of `moments`."""


@compiled
def _squares_below(number: int) -> int:
    """Add the squares of the whole numbers from 0 up to a number, which may be negative, itself left out."""
    return (number - 1) * number * (2 * number - 1) // 6


@compiled
def moments(row: Places, start: Places, stop: Places, offset: Whole) -> Values:
    """Give the area, the centroid (y, x), the variances along y and x and the covariance of particles.

    The sums are of whole numbers, those of squares from the pixel nearest to the centroid: nothing is lost to rounding
    before the last division, and nothing overflows below 2^31 pixels.

    Parameters
    ----------
    row, start, stop : int32 (m,)
        Runs of pixels, particle by particle, in raster order.
    offset : int64 (n + 1,)
        The runs of particle i are those from offset[i] to offset[i + 1].

    Returns
    -------
    float64 (n, 6)
        In the columns named above, px.
    """
    found = np.empty((offset.size - 1, 6))
    for particle in range(offset.size - 1):
        runs = range(offset[particle], offset[particle + 1])
        n, sum_y, sum_x = 0, 0, 0
        for run in runs:
            length = stop[run] - start[run]
            n += length
            sum_y += length * row[run]
            sum_x += length * (start[run] + stop[run] - 1) // 2
        y0, x0 = (2 * sum_y + n) // (2 * n), (2 * sum_x + n) // (2 * n)
        sum_yy, sum_xx, sum_xy = 0, 0, 0
        for run in runs:
            y, first, end = row[run] - y0, start[run] - x0, stop[run] - x0
            length = end - first
            sum_yy += length * y * y
            sum_xx += _squares_below(end) - _squares_below(first)
            sum_xy += y * (length * (first + end - 1) // 2)
        mean_y, mean_x = (sum_y - n * y0) / n, (sum_x - n * x0) / n
        of = found[particle]
        of[AREA], of[CENTROID_Y], of[CENTROID_X] = n, sum_y / n, sum_x / n
        of[VARIANCE_YY], of[VARIANCE_XX] = sum_yy / n - mean_y * mean_y, sum_xx / n - mean_x * mean_x
        of[COVARIANCE] = sum_xy / n - mean_y * mean_x
    return found


@compiled
def boxes(row: Places, start: Places, stop: Places, offset: Whole) -> tuple[Places, Places]:
    """Give the bounding boxes (top, left, bottom, right) of particles, and their pixels.

    Returns
    -------
    box : int32 (n, 4)
    count : int32 (n,)
    """
    n = offset.size - 1
    box, count = np.empty((n, 4), np.int32), np.zeros(n, np.int32)
    for particle in range(n):
        first, last = offset[particle], offset[particle + 1] - 1
        left, right = start[first], stop[first]
        for run in range(first, last + 1):
            left, right = min(left, start[run]), max(right, stop[run])
            count[particle] += stop[run] - start[run]
        box[particle, 0], box[particle, 1], box[particle, 2], box[particle, 3] = row[first], left, row[last] + 1, right
    return box, count


@compiled
def map_values(row: Places, start: Places, stop: Places, offset: Whole, probability: Bytes) -> tuple[Whole, Bytes]:
    """Give the sum and the smallest of a map's values on particles.

    The rows of a particle are far apart in memory, in a pattern that processors do not foresee: asking ahead takes a
    third of the time.

    Returns
    -------
    total : int64 (n,)
    least : uint8 (n,)
    """
    n = offset.size - 1
    total, least = np.zeros(n, np.int64), np.empty(n, np.uint8)
    for particle in range(n):
        smallest = np.uint8(255)
        for run in range(offset[particle], offset[particle + 1]):
            ahead = min(run + _AHEAD, row.size - 1)
            fetch(probability[row[ahead]], start[ahead])
            fetch(probability[row[ahead]], stop[ahead] - 1)
            pixels = probability[row[run], start[run] : stop[run]]
            added = np.uint32(0)
            for x in range(pixels.size):
                added += np.uint32(pixels[x])
                smallest = min(smallest, pixels[x])
            total[particle] += np.int64(added)
        least[particle] = smallest
    return total, least
