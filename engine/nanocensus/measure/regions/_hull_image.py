"""The convex hull of a particle's pixels, as pixels, in whole numbers throughout.

A pixel (y, x) stands for the diamond of the middles of its sides, as in scikit-image's `convex_hull_image`. The hull
of diamonds is the hull of the centres widened by one diamond, so the chain of centres is found first, one point a
row, and each of its vertices gives up to three corners. Corners are in half pixels.

Only left sides are worked out: a right side is the left one of the mirrored particle.

Kernels call only kernels of their own file: numba's cache on disk does not see a change in another one.
"""

import math

import numpy as np
import numpy.typing as npt

from nanocensus.measure.regions._compile import compiled

Places = npt.NDArray[np.int32]
Points = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

_NO_PIXEL = np.int64(2**40)
_Y, _X = 0, 1


@compiled
def _sides(row: Places, start: Places, stop: Places, runs: tuple[int, int], sides: Points) -> None:
    """Find the first pixel of each row, and the last one mirrored."""
    top = row[runs[0]]
    for y in range(row[runs[1] - 1] - top + 1):
        sides[0, y] = sides[1, y] = _NO_PIXEL
    for run in range(runs[0], runs[1]):
        y = row[run] - top
        sides[0, y] = min(sides[0, y], start[run])
        sides[1, y] = min(sides[1, y], 1 - stop[run])


@compiled
def _chain(side: Whole, chain: Points) -> int:
    """Find the vertices of the hull of one side, from top to bottom, by the monotone chain of Andrew (1979)."""
    size = 0
    for y in range(side.size):
        x = side[y]
        if x == _NO_PIXEL:
            continue
        while size >= 2:
            y0, x0 = chain[size - 2, _Y], chain[size - 2, _X]
            if (chain[size - 1, _X] - x0) * (y - y0) < (x - x0) * (chain[size - 1, _Y] - y0):
                break
            size -= 1
        chain[size, _Y], chain[size, _X] = y, x
        size += 1
    return size


@compiled
def _widen(chain: Points, size: int, corners: Points) -> int:
    """Widen a chain by a diamond, without corners on straight lines; give the number of corners.

    The diamond's corners (0 the top, 1 the left, 2 the bottom one) take turns in leading, as edges lean from left to
    right of the diamond's own. An edge that is parallel to one of those begins at one corner and ends at the next.
    """
    found, leads = 0, 0
    for vertex in range(size):
        y, x = chain[vertex, _Y], chain[vertex, _X]
        if vertex + 1 < size:
            down, right = chain[vertex + 1, _Y] - y, chain[vertex + 1, _X] - x
            leaves_with, arrives_with = int(right > -down) + int(right > down), int(right >= -down) + int(right >= down)
        else:
            leaves_with, arrives_with = 2, 2
        for corner in range(leads, leaves_with + 1):
            corners[found, _Y] = 2 * y + corner - 1
            corners[found, _X] = 2 * x - int(corner == 1)
            found += 1
        leads = arrives_with
    return found


@compiled
def _first_inside(corners: Points, inside: Whole) -> None:
    """Find the first pixel of each row whose centre is not left of a side: a ceiling of whole numbers."""
    corner = 0
    for y in range(inside.size):
        while corners[corner + 1, _Y] < 2 * y:
            corner += 1
        y0, x0 = corners[corner, _Y], corners[corner, _X]
        down, right = corners[corner + 1, _Y] - y0, corners[corner + 1, _X] - x0
        inside[y] = -(-(x0 * down + right * (2 * y - y0)) // (2 * down))


@compiled
def _tallest(row: Places, offset: Whole) -> int:
    """Give the number of rows of the tallest particle."""
    tallest = 0
    for particle in range(offset.size - 1):
        tallest = max(tallest, row[offset[particle + 1] - 1] - row[offset[particle]] + 1)
    return tallest


@compiled
def hull_images(row: Places, start: Places, stop: Places, offset: Whole) -> tuple[Places, Places, Places, Whole]:
    """Find the pixels of the convex hulls of particles, borders included: one run a row.

    Parameters
    ----------
    row, start, stop : int32 (m,)
        Runs of pixels, particle by particle, in raster order.
    offset : int64 (n + 1,)
        The runs of particle i are those from offset[i] to offset[i + 1].

    Returns
    -------
    row, start, stop, offset
        Those of the hulls.
    """
    hull_offset = np.zeros(offset.size, np.int64)
    for particle in range(offset.size - 1):
        rows = row[offset[particle + 1] - 1] - row[offset[particle]] + 1
        hull_offset[particle + 1] = hull_offset[particle] + rows
    total, tallest = hull_offset[-1], _tallest(row, offset)
    hull_row, hull_start, hull_stop = np.empty(total, np.int32), np.empty(total, np.int32), np.empty(total, np.int32)
    sides, inside = np.empty((2, tallest), np.int64), np.empty((2, tallest), np.int64)
    chain, corners = np.empty((tallest, 2), np.int64), np.empty((tallest + 2, 2), np.int64)
    for particle in range(offset.size - 1):
        first, rows = hull_offset[particle], hull_offset[particle + 1] - hull_offset[particle]
        _sides(row, start, stop, (offset[particle], offset[particle + 1]), sides)
        for side in range(2):
            _widen(chain, _chain(sides[side, :rows], chain), corners)
            _first_inside(corners, inside[side, :rows])
        top = row[offset[particle]]
        for y in range(rows):
            hull_row[first + y] = top + y
            hull_start[first + y], hull_stop[first + y] = inside[0, y], 1 - inside[1, y]
    return hull_row, hull_start, hull_stop, hull_offset


@compiled
def _feret_diameters(polygon: Points, size: int) -> tuple[float, float]:
    """Give the largest and the smallest distance between parallel tangents, by calipers turned round a convex polygon.

    The smallest is found where one tangent lies on an edge; the largest is that of two corners that face each other.
    Of an edge's opposite corner the next one counts too, since edges are often parallel.
    """
    largest, smallest = 0, math.inf
    far = 1
    for corner in range(size):
        y, x = polygon[corner, _Y], polygon[corner, _X]
        following = corner + 1 if corner + 1 < size else 0
        down, right = polygon[following, _Y] - y, polygon[following, _X] - x
        distance = right * (polygon[far, _Y] - y) - down * (polygon[far, _X] - x)
        while True:
            further = far + 1 if far + 1 < size else 0
            candidate = right * (polygon[further, _Y] - y) - down * (polygon[further, _X] - x)
            for opposite in (far, further):
                reach = (polygon[opposite, _Y] - y) ** 2 + (polygon[opposite, _X] - x) ** 2
                largest = max(largest, reach)
            if candidate <= distance:
                break
            far, distance = further, candidate
        smallest = min(smallest, distance / math.sqrt(down**2 + right**2))
    return 0.5 * math.sqrt(largest), 0.5 * smallest


@compiled
def feret_diameters(row: Places, start: Places, stop: Places, offset: Whole) -> Values:
    """Give the largest and the smallest Feret diameter of particles: of the hull of their pixels' diamonds.

    Parameters
    ----------
    row, start, stop, offset
        As of `hull_images`.

    Returns
    -------
    float64 (n, 2)
    """
    tallest = _tallest(row, offset)
    sides, chain = np.empty((2, tallest), np.int64), np.empty((tallest, 2), np.int64)
    polygon, corners = np.empty((2 * tallest + 4, 2), np.int64), np.empty((tallest + 2, 2), np.int64)
    found = np.empty((offset.size - 1, 2))
    for particle in range(offset.size - 1):
        first, last = offset[particle], offset[particle + 1]
        rows = row[last - 1] - row[first] + 1
        _sides(row, start, stop, (first, last), sides)
        size = _widen(chain, _chain(sides[1, :rows], chain), corners)
        for corner in range(size):
            polygon[corner, _Y], polygon[corner, _X] = corners[corner, _Y], -corners[corner, _X]
        bottom, top = polygon[size - 1, _X], polygon[0, _X]
        left = _widen(chain, _chain(sides[0, :rows], chain), corners)
        ends_meet = (int(corners[0, _X] == top), int(corners[left - 1, _X] == bottom))  # where a row is one pixel
        for corner in range(left - 1 - ends_meet[1], ends_meet[0] - 1, -1):
            polygon[size, _Y], polygon[size, _X] = corners[corner, _Y], corners[corner, _X]
            size += 1
        found[particle, 0], found[particle, 1] = _feret_diameters(polygon, size)
    return found
