"""The gap between each outline and the nearest other one.

Boxes come first: those of whole outlines, then those of their pieces of a few vertices. Vertices are compared only
where boxes are nearer to each other than the nearest vertices so far.

Kernels call only kernels of their own file: numba's cache on disk does not see a change in another one.
"""

import math

import numpy as np
import numpy.typing as npt

from nanocensus.measure.regions._compile import compiled

Points = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

_VERTICES = 8
"""Vertices of a piece."""
_TOP, _LEFT, _BOTTOM, _RIGHT = range(4)


@compiled
def _enclose(points: Points, first: int, last: int, box: Points) -> None:
    top, left = points[first]
    bottom, right = top, left
    for vertex in range(first + 1, last):
        y, x = points[vertex]
        top, left, bottom, right = min(top, y), min(left, x), max(bottom, y), max(right, x)
    box[_TOP], box[_LEFT], box[_BOTTOM], box[_RIGHT] = top, left, bottom, right


@compiled
def _cut(points: Points, stops: Whole) -> tuple[Points, Points, Whole]:
    """Give the boxes of outlines, the boxes of their pieces, and where each outline's pieces begin and end."""
    outlines, pieces = np.empty((stops.size, 4)), np.zeros(stops.size + 1, np.int64)
    start = 0
    for outline in range(stops.size):
        _enclose(points, start, stops[outline], outlines[outline])
        pieces[outline + 1] = pieces[outline] + (stops[outline] - start + _VERTICES - 1) // _VERTICES
        start = stops[outline]
    boxes = np.empty((pieces[-1], 4))
    start = 0
    for outline in range(stops.size):
        for piece in range(pieces[outline], pieces[outline + 1]):
            first = start + (piece - pieces[outline]) * _VERTICES
            _enclose(points, first, min(first + _VERTICES, stops[outline]), boxes[piece])
        start = stops[outline]
    return outlines, boxes, pieces


@compiled
def _between(one: Points, other: Points) -> float:
    """Give the squared distance of two boxes."""
    down = max(0.0, one[_TOP] - other[_BOTTOM], other[_TOP] - one[_BOTTOM])
    right = max(0.0, one[_LEFT] - other[_RIGHT], other[_LEFT] - one[_RIGHT])
    square: float = down * down + right * right
    return square


@compiled
def _nearest_piece(boxes: Points, first: int, last: int, box: Points) -> int:
    least, nearest = np.inf, first
    for piece in range(first, last):
        distance = _between(boxes[piece], box)
        if distance < least:
            least, nearest = distance, piece
    return nearest


@compiled
def _between_outlines(
    points: Points, stops: Whole, outlines: Points, boxes: Points, pieces: Whole, a: int, b: int, bound: float
) -> float:
    """Give the squared distance between vertices of two outlines, or the bound if that is smaller.

    The distance of two vertices that lie near to each other rules out most pieces from the start.
    """
    start_a, start_b = (stops[a - 1] if a else 0), (stops[b - 1] if b else 0)
    near_a = _nearest_piece(boxes, pieces[a], pieces[a + 1], outlines[b])
    near_b = _nearest_piece(boxes, pieces[b], pieces[b + 1], boxes[near_a])
    one, other = start_a + (near_a - pieces[a]) * _VERTICES, start_b + (near_b - pieces[b]) * _VERTICES
    down, right = points[other, 0] - points[one, 0], points[other, 1] - points[one, 1]
    bound = min(bound, down * down + right * right)
    for piece in range(pieces[a], pieces[a + 1]):
        if _between(boxes[piece], outlines[b]) >= bound:
            continue
        first = start_a + (piece - pieces[a]) * _VERTICES
        for facing in range(pieces[b], pieces[b + 1]):
            if _between(boxes[piece], boxes[facing]) >= bound:
                continue
            opposite = start_b + (facing - pieces[b]) * _VERTICES
            for one in range(first, min(first + _VERTICES, stops[a])):
                y, x = points[one]
                for other in range(opposite, min(opposite + _VERTICES, stops[b])):
                    down, right = points[other, 0] - y, points[other, 1] - x
                    bound = min(bound, down * down + right * right)
    return bound


@compiled
def _nearest_box(outlines: Points, order: Whole, place: int, tallest: float) -> int:
    """Give the outline whose box is nearest to that of the one at a place in the order of upper sides."""
    box = outlines[order[place]]
    least, nearest = np.inf, -1
    for direction in (1, -1):
        other = place + direction
        while 0 <= other < order.size:
            facing = outlines[order[other]]
            apart = max(0.0, facing[_TOP] - box[_BOTTOM] if direction == 1 else box[_TOP] - facing[_TOP] - tallest)
            if apart * apart >= least:
                break
            distance = _between(box, facing)
            if distance < least:
                least, nearest = distance, order[other]
            other += direction
    return nearest


@compiled
def gaps(points: Points, stops: Whole) -> Points:
    """Give the smallest distance from a vertex of each outline to a vertex of another one, px.

    Parameters
    ----------
    points : (m, 2)
        Vertices (y, x) on the micrograph, of one outline after the other.
    stops : (n,)
        Where each outline ends.

    Returns
    -------
    (n,)
        NaN if it is alone.
    """
    if stops.size < 2:
        return np.full(stops.size, np.nan)
    least = np.full(stops.size, np.inf)
    outlines, boxes, pieces = _cut(points, stops)
    order = np.argsort(outlines[:, _TOP], kind="mergesort")
    tallest = (outlines[:, _BOTTOM] - outlines[:, _TOP]).max()
    for place in range(order.size):
        outline = order[place]
        box = outlines[outline]
        other = _nearest_box(outlines, order, place, tallest)
        bound = _between_outlines(points, stops, outlines, boxes, pieces, outline, other, least[outline])
        for direction in (1, -1):
            next_place = place + direction
            while 0 <= next_place < order.size:
                other = order[next_place]
                facing = outlines[other]
                apart = max(0.0, facing[_TOP] - box[_BOTTOM] if direction == 1 else box[_TOP] - facing[_TOP] - tallest)
                if apart * apart >= bound:
                    break
                if _between(box, facing) < bound:
                    found = _between_outlines(points, stops, outlines, boxes, pieces, outline, other, bound)
                    least[other] = min(least[other], found) if found < bound else least[other]
                    bound = found
                next_place += direction
        least[outline] = bound
    for outline in range(stops.size):
        least[outline] = math.sqrt(least[outline])
    return least
