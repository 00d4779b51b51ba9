"""The sub-pixel contour of one label: the field it is drawn on, and the walk round it.

A field is the excess of a map over its level in a window of one label, with a ring of one pixel round it: a pixel is
inside where the excess is positive. A contour crosses between an inside pixel and an outside one of the four beside
it, where the straight line between the two values passes through zero. In a cell of four pixels whose diagonals
disagree (a saddle) the inside pixels are the connected ones, so one 8-connected label has one outer contour.

Kernels call only kernels of their own file: numba's cache on disk does not see a change in another one.
"""

import numpy as np
import numpy.typing as npt

from nanocensus.measure.regions._compile import compiled

Field = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int32]
Map = npt.NDArray[np.uint8]
Whole = npt.NDArray[np.int64]

SMOOTHING_SIGMA_PX = 1.0
"""Width of the Gaussian that stands in for the soft edge of a map where there is none."""
_RADIUS = 4
_WEIGHTS = np.exp(-0.5 * (np.arange(_RADIUS + 1) / SMOOTHING_SIGMA_PX) ** 2)
_TAPS = _WEIGHTS / (2.0 * _WEIGHTS.sum() - _WEIGHTS[0])

FROM_MAP, FROM_SMOOTHED_PIXELS, FROM_PIXELS = range(3)
"""What a contour is drawn on."""

SURE = 255.0
"""The value of the map that says: surely particle."""


@compiled
def _fill_from_map(
    labels: Labels, probability: Map, level: float, label: int, top: int, left: int, excess: Field
) -> None:
    """Fill a label's window with map - level, the labels having the last word on what is inside.

    Pixels of other labels, and background that the map holds for particle, count as 0; pixels of the label that the
    map holds for background count as 255. A value equal to the level is outside, as in the mask `map > level`: the
    contour then passes through that pixel's centre.
    """
    height, width = labels.shape
    excess[:] = -level
    for row in range(max(0, 1 - top), min(excess.shape[0], height - top + 1)):
        y = top + row - 1
        for column in range(max(0, 1 - left), min(excess.shape[1], width - left + 1)):
            x = left + column - 1
            above = float(probability[y, x]) - level
            if labels[y, x] == label:
                excess[row, column] = above if above > 0.0 else SURE - level
            elif labels[y, x] == 0 and above <= 0.0:
                excess[row, column] = above


@compiled
def _fill_from_pixels(labels: Labels, label: int, top: int, left: int, excess: Field) -> None:
    """Fill a label's window with the label's own mask, half a step above and below the level."""
    excess[:] = -0.5
    for row in range(1, excess.shape[0] - 1):
        for column in range(1, excess.shape[1] - 1):
            if labels[top + row - 1, left + column - 1] == label:
                excess[row, column] = 0.5


@compiled
def _fill_from_smoothed_pixels(
    labels: Labels, label: int, top: int, left: int, excess: Field, along_rows: Field
) -> None:
    """Fill a label's window with its own mask, smoothed by a Gaussian of 1 px, less a half.

    Taps at equal distance are added as pairs, so that a mirrored particle gives the same numbers.
    """
    rows, columns = excess.shape
    _fill_from_pixels(labels, label, top, left, excess)
    for row in range(rows):
        for column in range(columns):
            total = _TAPS[0] * (excess[row, column] + 0.5)
            for tap in range(1, _RADIUS + 1):
                before = excess[row, column - tap] + 0.5 if column >= tap else 0.0
                after = excess[row, column + tap] + 0.5 if column + tap < columns else 0.0
                total += _TAPS[tap] * (before + after)
            along_rows[row, column] = total
    for row in range(rows):
        for column in range(columns):
            total = _TAPS[0] * along_rows[row, column]
            for tap in range(1, _RADIUS + 1):
                before = along_rows[row - tap, column] if row >= tap else 0.0
                after = along_rows[row + tap, column] if row + tap < rows else 0.0
                total += _TAPS[tap] * (before + after)
            excess[row, column] = total - 0.5


@compiled
def _next_crossing(excess: Field, row: int, column: int, down: int, right: int) -> tuple[int, int, int, int]:
    """Step from one crossing to the next, the inside at the right hand.

    A crossing is its inside pixel and the direction (down, right) in which its outside pixel lies.
    """
    ahead_down, ahead_right = right, -down
    if excess[row + down + ahead_down, column + right + ahead_right] > 0.0:
        return row + down + ahead_down, column + right + ahead_right, -ahead_down, -ahead_right
    if excess[row + ahead_down, column + ahead_right] > 0.0:
        return row + ahead_down, column + ahead_right, down, right
    return row, column, ahead_down, ahead_right


@compiled
def _distance_to_edge(excess: Field, row: int, column: int, down: int, right: int) -> float:
    """Give the distance of a crossing from its inside pixel, in (0, 1]."""
    inside, outside = excess[row, column], excess[row + down, column + right]
    distance: float = inside / (inside - outside)
    return distance


@compiled
def _walk(excess: Field, visited: Flags, row: int, column: int) -> tuple[int, float]:
    """Walk the loop that crosses above an inside pixel; give its number of vertices and its directed area.

    The area is positive round a particle and negative round a hole. Areas are taken from the first pixel, which keeps
    the rounding of the smallest particles relative to their own size.
    """
    r, c, down, right = row, column, -1, 0
    y0, x0 = -_distance_to_edge(excess, r, c, down, right), 0.0
    y, x = y0, x0
    vertices, twice_area = 0, 0.0
    while True:
        if down == -1:
            visited[r, c] = True
        vertices += 1
        r, c, down, right = _next_crossing(excess, r, c, down, right)
        if r == row and c == column and down == -1:
            return vertices, 0.5 * (twice_area + x * y0 - x0 * y)
        distance = _distance_to_edge(excess, r, c, down, right)
        y_next, x_next = r - row + down * distance, c - column + right * distance
        twice_area += x * y_next - x_next * y
        y, x = y_next, x_next


@compiled
def _find_outer_contour(excess: Field, visited: Flags) -> tuple[int, int, int, float, int]:
    """Find the outer contour of a field, the largest if there are several.

    Returns
    -------
    row, column : int
        The pixel above which it starts: its first in raster order.
    vertices : int
    hole_area : float
        Area inside the contours of holes, px^2.
    pieces : int
        Number of outer contours.
    """
    visited[:] = False
    start_row, start_column, vertices, largest, hole_area, pieces = 0, 0, 0, -1.0, 0.0, 0
    for row in range(1, excess.shape[0] - 1):
        for column in range(1, excess.shape[1] - 1):
            if excess[row, column] > 0.0 and not excess[row - 1, column] > 0.0 and not visited[row, column]:
                length, area = _walk(excess, visited, row, column)
                if area <= 0.0:  # zero: a hole of one pixel whose value is the level itself
                    hole_area -= area
                    continue
                pieces += 1
                if area > largest:
                    start_row, start_column, vertices, largest = row, column, length, area
    return start_row, start_column, vertices, hole_area, pieces


@compiled
def _write_contour(excess: Field, row: int, column: int, points: Field) -> None:
    """Write the vertices (y, x) of the loop that crosses above a pixel, in pixels from that pixel's centre."""
    r, c, down, right = row, column, -1, 0
    for vertex in range(points.shape[0]):
        distance = _distance_to_edge(excess, r, c, down, right)
        points[vertex, 0] = r - row + down * distance
        points[vertex, 1] = c - column + right * distance
        r, c, down, right = _next_crossing(excess, r, c, down, right)


@compiled
def _fill(
    labels: Labels,
    probability: Map,
    level: float,
    kind: int,
    label: int,
    corner: tuple[int, int],
    excess: Field,
    scratch: Field,
) -> None:
    top, left = corner
    if kind == FROM_MAP:
        _fill_from_map(labels, probability, level, label, top, left, excess)
    elif kind == FROM_SMOOTHED_PIXELS:
        _fill_from_smoothed_pixels(labels, label, top, left, excess, scratch)
    else:
        _fill_from_pixels(labels, label, top, left, excess)


@compiled
def _lengthened(points: Field, used: int, length: int) -> Field:
    """Copy the used points into a longer array, one by one: a slice assignment triples the time to compile."""
    longer = np.empty((length, 2))
    for vertex in range(used):
        longer[vertex, 0], longer[vertex, 1] = points[vertex]
    return longer


@compiled
def trace(
    labels: Labels, probability: Map, level: float, kind: int, present: Whole, boxes: Whole
) -> tuple[Field, Whole, Whole, Field, Whole]:
    """Trace the outer contours of labels.

    Parameters
    ----------
    labels, probability, level
        The map is not looked at unless contours are drawn on it.
    kind : int
        `FROM_MAP`, `FROM_SMOOTHED_PIXELS` (on the bare pixels of a label that smoothing would erase or cut), or
        `FROM_PIXELS`.
    present : (n,)
        Which labels.
    boxes : (n, 4)
        Their bounding boxes: top, left, bottom, right.

    Returns
    -------
    points : (m, 2)
        Vertices (y, x) of one contour after the other, each from the centre of its label's first pixel, which keeps
        the rounding of the smallest particles relative to their own size.
    stops : (n,)
        Where each contour ends.
    origins : (n, 2)
        Those first pixels.
    hole_areas : (n,)
    pieces : (n,)
        Number of outer contours of each label, of which the largest was traced.
    """
    n = present.size
    stops, pieces, origins = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros((n, 2), np.int64)
    hole_areas = np.zeros(n)
    points = np.empty((256, 2))
    used = 0
    for particle in range(n):
        label = present[particle]
        top, left, bottom, right = boxes[particle]
        shape = (bottom - top + 2, right - left + 2)
        excess, scratch, visited = np.empty(shape), np.empty(shape), np.empty(shape, np.bool_)
        _fill(labels, probability, level, kind, label, (top, left), excess, scratch)
        row, column, vertices, holes, outer = _find_outer_contour(excess, visited)
        if kind == FROM_SMOOTHED_PIXELS and outer != 1:
            _fill_from_pixels(labels, label, top, left, excess)
            row, column, vertices, holes, outer = _find_outer_contour(excess, visited)
        if used + vertices > points.shape[0]:
            points = _lengthened(points, used, 2 * (used + vertices))
        _write_contour(excess, row, column, points[used : used + vertices])
        used += vertices
        stops[particle], hole_areas[particle], pieces[particle] = used, holes, outer
        origins[particle, 0], origins[particle, 1] = top + row - 1, left + column - 1
    return points[:used], stops, origins, hole_areas, pieces
