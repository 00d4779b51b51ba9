"""The gap between each outline and the nearest other one.

Boxes come first: those of stretches of outlines, then those of their pieces of a few vertices. Vertices are compared
only where boxes are nearer to each other than the nearest vertices so far. Whole outlines would not do: the box of a net
of noise, or of an edge through all of a micrograph, is near to every other one.

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
_STRETCH = 256
"""Vertices of a stretch, whole pieces: most particles are one or two."""
_TOP, _LEFT, _BOTTOM, _RIGHT = range(4)


@compiled
def _divide(stops: Whole) -> tuple[Whole, Whole]:
    """Divide outlines into stretches of even length; give where each ends, and the outline that it is of."""
    count, start = 0, 0
    for outline in range(stops.size):
        count += (stops[outline] - start + _STRETCH - 1) // _STRETCH
        start = stops[outline]
    ends, owner = np.empty(count, np.int64), np.empty(count, np.int64)
    stretch, start = 0, 0
    for outline in range(stops.size):
        while start < stops[outline]:
            start = min(start + _STRETCH, stops[outline])
            ends[stretch], owner[stretch] = start, outline
            stretch += 1
    return ends, owner


@compiled
def _enclose(points: Points, first: int, last: int, box: Points) -> None:
    top, left = points[first, 0], points[first, 1]
    bottom, right = top, left
    for vertex in range(first + 1, last):
        y, x = points[vertex, 0], points[vertex, 1]
        top, left, bottom, right = min(top, y), min(left, x), max(bottom, y), max(right, x)
    box[_TOP], box[_LEFT], box[_BOTTOM], box[_RIGHT] = top, left, bottom, right


@compiled
def _cut(points: Points, stops: Whole) -> tuple[Points, Points, Whole]:
    """Give the boxes of stretches, the boxes of their pieces, and where each stretch's pieces begin and end."""
    stretches, pieces = np.empty((stops.size, 4)), np.zeros(stops.size + 1, np.int64)
    start = 0
    for stretch in range(stops.size):
        pieces[stretch + 1] = pieces[stretch] + (stops[stretch] - start + _VERTICES - 1) // _VERTICES
        start = stops[stretch]
    boxes = np.empty((pieces[-1], 4))
    start = 0
    for stretch in range(stops.size):
        whole = stretches[stretch]
        whole[_TOP], whole[_LEFT], whole[_BOTTOM], whole[_RIGHT] = np.inf, np.inf, -np.inf, -np.inf
        for piece in range(pieces[stretch], pieces[stretch + 1]):
            first, box = start + (piece - pieces[stretch]) * _VERTICES, boxes[piece]
            _enclose(points, first, min(first + _VERTICES, stops[stretch]), box)
            whole[_TOP], whole[_LEFT] = min(whole[_TOP], box[_TOP]), min(whole[_LEFT], box[_LEFT])
            whole[_BOTTOM], whole[_RIGHT] = max(whole[_BOTTOM], box[_BOTTOM]), max(whole[_RIGHT], box[_RIGHT])
        start = stops[stretch]
    return stretches, boxes, pieces


@compiled
def _between(some: Points, one: int, others: Points, other: int) -> float:
    """Give the squared distance of two boxes; by their places, as a view of each would cost more than the distance."""
    down = max(0.0, some[one, _TOP] - others[other, _BOTTOM], others[other, _TOP] - some[one, _BOTTOM])
    right = max(0.0, some[one, _LEFT] - others[other, _RIGHT], others[other, _LEFT] - some[one, _RIGHT])
    square: float = down * down + right * right
    return square


@compiled
def _between_pieces(points: Points, one: int, one_stop: int, other: int, other_stop: int, bound: float) -> float:
    """Give the squared distance between vertices of two pieces, each ending at its stop at the latest."""
    for vertex in range(one, min(one + _VERTICES, one_stop)):
        y, x = points[vertex, 0], points[vertex, 1]
        for opposite in range(other, min(other + _VERTICES, other_stop)):
            down, right = points[opposite, 0] - y, points[opposite, 1] - x
            bound = min(bound, down * down + right * right)
    return bound


@compiled
def _nearest_piece(boxes: Points, first: int, last: int, others: Points, other: int) -> int:
    least, nearest = np.inf, first
    for piece in range(first, last):
        distance = _between(boxes, piece, others, other)
        if distance < least:
            least, nearest = distance, piece
    return nearest


@compiled
def _between_stretches(
    points: Points,
    stops: Whole,
    stretches: Points,
    boxes: Points,
    pieces: Whole,
    a: int,
    b: int,
    bound: float,
    facing: Whole,
) -> float:
    """Give the squared distance between vertices of two stretches, or the bound if that is smaller.

    Two pieces that lie near to each other come first: their distance rules out most of the others.
    """
    start_a = (stops[a - 1] if a else 0) - pieces[a] * _VERTICES
    start_b = (stops[b - 1] if b else 0) - pieces[b] * _VERTICES
    near_a = _nearest_piece(boxes, pieces[a], pieces[a + 1], stretches, b)
    near_b = _nearest_piece(boxes, pieces[b], pieces[b + 1], boxes, near_a)
    one, other = start_a + near_a * _VERTICES, start_b + near_b * _VERTICES
    bound = _between_pieces(points, one, stops[a], other, stops[b], bound)
    count = 0
    for piece in range(pieces[b], pieces[b + 1]):
        if _between(boxes, piece, stretches, a) < bound:
            facing[count] = piece
            count += 1
    for piece in range(pieces[a], pieces[a + 1]):
        if _between(boxes, piece, stretches, b) < bound:
            one = start_a + piece * _VERTICES
            for opposite in facing[:count]:
                if _between(boxes, piece, boxes, opposite) < bound:
                    other = start_b + opposite * _VERTICES
                    bound = _between_pieces(points, one, stops[a], other, stops[b], bound)
    return bound


@compiled
def _rows_between(stretches: Points, one: int, other: int, tallest: float) -> float:
    """Give the least distance along y from one stretch to the other and to all beyond it in the order of upper sides."""
    distance: float = stretches[other, _TOP] - stretches[one, _BOTTOM]
    if stretches[other, _TOP] < stretches[one, _TOP]:
        distance = stretches[one, _TOP] - stretches[other, _TOP] - tallest
    return max(0.0, distance)


@compiled
def _nearest_box(stretches: Points, owner: Whole, order: Whole, place: int, tallest: float, least: float) -> int:
    """Give the stretch of another outline whose box is nearest to that of the one at a place in the order of upper sides.

    None, -1, if no box is nearer than a squared distance.
    """
    stretch, nearest = order[place], -1
    for direction in (1, -1):
        beside = place + direction
        while 0 <= beside < order.size and _rows_between(stretches, stretch, order[beside], tallest) ** 2 < least:
            distance = _between(stretches, stretch, stretches, order[beside])
            if distance < least and owner[order[beside]] != owner[stretch]:
                least, nearest = distance, order[beside]
            beside += direction
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
    ends, owner = _divide(stops)
    stretches, boxes, pieces = _cut(points, ends)
    order = np.argsort(stretches[:, _TOP], kind="mergesort")
    facing_pieces = np.empty(_STRETCH // _VERTICES, np.int64)
    tallest = (stretches[:, _BOTTOM] - stretches[:, _TOP]).max()
    for place in range(order.size):
        stretch = order[place]
        own = owner[stretch]
        nearest = _nearest_box(stretches, owner, order, place, tallest, least[own])
        if nearest < 0:
            continue
        bound = _between_stretches(points, ends, stretches, boxes, pieces, stretch, nearest, least[own], facing_pieces)
        for direction in (1, -1):
            beside = place + direction
            while 0 <= beside < order.size and _rows_between(stretches, stretch, order[beside], tallest) ** 2 < bound:
                other = order[beside]
                if owner[other] != own and _between(stretches, stretch, stretches, other) < bound:
                    found = _between_stretches(
                        points, ends, stretches, boxes, pieces, stretch, other, bound, facing_pieces
                    )
                    least[owner[other]] = min(least[owner[other]], found) if found < bound else least[owner[other]]
                    bound = found
                beside += direction
        least[own] = bound
    for outline in range(stops.size):
        least[outline] = math.sqrt(least[outline])
    return least
