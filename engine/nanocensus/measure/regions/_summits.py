"""Where the parts of a label are: the summits of its distance map or of its probability.

Works in a window of one label with a ring of one pixel round it. Kernels call only kernels of their own file: numba's
cache on disk does not see a change in another one.
"""

import numpy as np
import numpy.typing as npt

from nanocensus.measure.regions._compile import compiled

Flags = npt.NDArray[np.bool_]
Whole = npt.NDArray[np.int64]

_DOWN = (-1, -1, -1, 0, 0, 1, 1, 1)
_RIGHT = (-1, 0, 1, -1, 1, -1, 0, 1)


@compiled
def filled(own: Flags) -> Flags:
    """Fill the holes of a window's particle: all that the ring round it does not reach without a diagonal step."""
    height, width = own.shape
    inside = np.ones((height, width), np.bool_)
    waiting = np.empty(own.size, np.int64)
    inside[0, 0] = False
    waiting[0] = 0
    n = 1
    while n:
        n -= 1
        y, x = divmod(waiting[n], width)
        for direction in (1, 3, 4, 6):
            r, c = y + _DOWN[direction], x + _RIGHT[direction]
            if 0 <= r < height and 0 <= c < width and inside[r, c] and not own[r, c]:
                inside[r, c] = False
                waiting[n] = r * width + c
                n += 1
    return inside


@compiled
def squared_distances(inside: Flags) -> Whole:
    """Give the squared distance of each pixel from the nearest one outside; the ring of the window is outside.

    Along columns first, then along rows as the lowest of the parabolas that stand on the columns' distances.
    """
    height, width = inside.shape
    squares = np.zeros((height, width), np.int64)
    for x in range(width):
        for y in range(1, height):
            squares[y, x] = squares[y - 1, x] + 1 if inside[y, x] else 0
        for y in range(height - 2, -1, -1):
            squares[y, x] = min(squares[y, x], squares[y + 1, x] + 1)
    vertex, start, column = np.empty(width, np.int64), np.empty(width, np.int64), np.empty(width, np.int64)
    for y in range(height):
        for x in range(width):
            column[x] = squares[y, x] ** 2
        last = 0
        vertex[0] = start[0] = 0
        for x in range(1, width):
            while True:
                other = vertex[last]
                # The first pixel where the parabola of x is not above that of the other column.
                ahead = column[x] - column[other] + x * x - other * other
                first = -(-ahead // (2 * (x - other)))
                if first > start[last] or last == 0:
                    break
                last -= 1
            if first <= start[last]:
                vertex[last] = x
            elif first < width:
                last += 1
                vertex[last], start[last] = x, first
        for x in range(width - 1, -1, -1):
            while start[last] > x:
                last -= 1
            squares[y, x] = (x - vertex[last]) ** 2 + column[vertex[last]]
    return squares


@compiled
def markers_of_summits(heights: Whole, inside: Flags, squared: bool, depth: float) -> tuple[Whole, int]:
    """Mark the summits from which every way to a higher one falls by `depth` at least; give the number of these.

    Pixels are taken from the highest down and joined to those taken before them. Where two hills meet, the lower one
    is a part of its own if its summit stands `depth` above the meeting, and belongs to the other one if not. The
    highest summit of each piece that touches no other has no way to a higher one, and the last numbers. With `squared`
    the heights are squares of what the depth is taken of.
    """
    height, width = heights.shape
    order = _descending(heights, inside)
    root, summit = np.full(heights.size, -1, np.int64), np.arange(heights.size)
    markers = np.zeros((height, width), np.int64)
    flat = heights.ravel()
    lower = 0
    for pixel in order:
        root[pixel] = pixel
        y, x = divmod(pixel, width)
        for direction in range(8):
            # The ring of the window is outside: no neighbour of an inside pixel lies beyond the window.
            beside = (y + _DOWN[direction]) * width + x + _RIGHT[direction]
            if root[beside] < 0:
                continue
            high, low = _find(root, pixel), _find(root, beside)
            if high == low:
                continue
            if (flat[summit[low]], -summit[low]) > (flat[summit[high]], -summit[high]):
                high, low = low, high
            root[low] = high
            above, level = float(flat[summit[low]]), float(flat[pixel])
            if (np.sqrt(above) - np.sqrt(level) if squared else above - level) >= depth:
                lower += 1
                markers[summit[low] // width, summit[low] % width] = lower
    n = lower
    for pixel in order:
        if root[pixel] == pixel:
            n += 1
            markers[summit[pixel] // width, summit[pixel] % width] = n
    return markers, lower


@compiled
def _descending(heights: Whole, inside: Flags) -> Whole:
    """Give the indices of the inside pixels from the highest down, equal ones in raster order."""
    flat, taken = heights.ravel(), inside.ravel()
    ends = np.zeros(heights.max() + 2, np.int64)
    for pixel in range(flat.size):
        if taken[pixel]:
            ends[flat[pixel]] += 1
    for height in range(ends.size - 2, -1, -1):
        ends[height] += ends[height + 1]
    order = np.empty(ends[0], np.int64)
    for pixel in range(flat.size - 1, -1, -1):
        if taken[pixel]:
            ends[flat[pixel]] -= 1
            order[ends[flat[pixel]]] = pixel
    return order


@compiled
def _find(root: Whole, pixel: int) -> int:
    while root[pixel] != pixel:
        root[pixel] = root[root[pixel]]
        pixel = root[pixel]
    return pixel


@compiled
def renumber(labels: npt.NDArray[np.int32], largest: int) -> npt.NDArray[np.int32]:
    """Replace labels, in place, by numbers in raster order of first pixels; give the old label of each number."""
    new = np.zeros(largest + 1, np.int32)
    old = np.zeros(largest + 1, np.int32)
    n = 0
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            label = labels[y, x]
            if label > 0:
                if new[label] == 0:
                    old[n] = label
                    n += 1
                    new[label] = n
                labels[y, x] = new[label]
    return old[:n].copy()
