"""Numbers of a closed polygon: vertices (y, x) in order, the last joined to the first.

Kernels call only kernels of their own file: numba's cache on disk does not see a change in another one.
"""

import math

import numpy as np
import numpy.typing as npt

from nanocensus.measure.regions._compile import compiled

Points = npt.NDArray[np.float64]

(
    AREA, PERIMETER, CENTROID_Y, CENTROID_X, VARIANCE_YY, VARIANCE_XX, COVARIANCE, BOX_AREA, HULL_AREA, HULL_PERIMETER,
    FERET_MAX, FERET_MAX_ANGLE, FERET_MIN,
) = range(13)  # fmt: skip
COLUMNS = 13


@compiled
def _length(points: Points) -> float:
    """Give the perimeter."""
    total = 0.0
    y, x = points[-1, 0], points[-1, 1]
    for vertex in range(points.shape[0]):
        down, right = points[vertex, 0] - y, points[vertex, 1] - x
        total += math.sqrt(down * down + right * right)
        y, x = points[vertex, 0], points[vertex, 1]
    return total


@compiled
def _area(points: Points) -> float:
    """Give the directed area: positive if clockwise with y downwards."""
    y0, x0 = points[0, 0], points[0, 1]
    twice_area = 0.0
    for vertex in range(1, points.shape[0] - 1):
        twice_area += (points[vertex, 1] - x0) * (points[vertex + 1, 0] - y0) - (points[vertex + 1, 1] - x0) * (
            points[vertex, 0] - y0
        )
    return 0.5 * twice_area


@compiled
def _box_and_length(points: Points) -> tuple[float, float, float, float, int, float]:
    """Give the sides of the smallest box along the axes, its highest vertex (the leftmost of several), the perimeter."""
    top, left, highest, total = points[0, 0], points[0, 1], 0, 0.0
    bottom, right = top, left
    y_last, x_last = points[-1, 0], points[-1, 1]
    for vertex in range(points.shape[0]):
        y, x = points[vertex, 0], points[vertex, 1]
        total += math.sqrt((y - y_last) * (y - y_last) + (x - x_last) * (x - x_last))
        if y < top or (y == top and x < points[highest, 1]):
            top, highest = y, vertex
        bottom, left, right = max(bottom, y), min(left, x), max(right, x)
        y_last, x_last = y, x
    return top, left, bottom, right, highest, total


@compiled
def _moments(points: Points, y0: float, x0: float) -> tuple[float, float, float, float, float, float, bool]:
    """Give the directed area, the centroid from (y0, x0), and the variances and covariance (yy, xx, xy) over the area.

    By Green's theorem; a point inside keeps the rounding small. And whether all vertices follow each other in the
    order of their angles about that point.
    """
    twice_area, sum_y, sum_x, sum_yy, sum_xx, sum_xy, least = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, np.inf
    ya, xa = points[-1, 0] - y0, points[-1, 1] - x0
    for vertex in range(points.shape[0]):
        yb, xb = points[vertex, 0] - y0, points[vertex, 1] - x0
        cross = xa * yb - xb * ya
        y, x = ya + yb, xa + xb
        twice_area += cross
        sum_y += y * cross
        sum_x += x * cross
        sum_yy += (y * y - ya * yb) * cross
        sum_xx += (x * x - xa * xb) * cross
        sum_xy += (x * y + xa * ya + xb * yb) * cross
        least = min(least, cross)
        ya, xa = yb, xb
    if twice_area == 0.0:
        return 0.0, 0.0, 0.0, np.nan, np.nan, np.nan, False
    y, x = sum_y / (3.0 * twice_area), sum_x / (3.0 * twice_area)
    yy, xx, xy = sum_yy / (6.0 * twice_area), sum_xx / (6.0 * twice_area), sum_xy / (12.0 * twice_area)
    return 0.5 * twice_area, y, x, yy - y * y, xx - x * x, xy - x * y, least > 0.0


@compiled
def _turn(hull: Points, a: int, b: int, y: float, x: float) -> float:
    """Give twice the directed area of the triangle of two hull vertices and a point."""
    along_y, along_x = hull[b, 0] - hull[a, 0], hull[b, 1] - hull[a, 1]
    twice_area: float = along_x * (y - hull[a, 0]) - (x - hull[a, 1]) * along_y
    return twice_area


@compiled
def _in_reading_order(points: Points) -> npt.NDArray[np.int64]:
    """Give the order of points by y, then x: a merge sort, since numba's own would take longer to compile than all."""
    count = points.shape[0]
    order, merged = np.arange(count), np.empty(count, np.int64)
    width = 1
    while width < count:
        for start in range(0, count, 2 * width):
            middle, stop = min(start + width, count), min(start + 2 * width, count)
            left, right = start, middle
            for place in range(start, stop):
                if right == stop:
                    take_left = True
                elif left == middle:
                    take_left = False
                else:
                    a, b = order[left], order[right]
                    ya, yb = points[a, 0], points[b, 0]
                    take_left = ya < yb or (ya == yb and points[a, 1] <= points[b, 1])
                if take_left:
                    merged[place] = order[left]
                    left += 1
                else:
                    merged[place] = order[right]
                    right += 1
        order, merged = merged, order
        width *= 2
    return order


@compiled
def _hull_of_points(points: Points) -> Points:
    """Give the convex hull's vertices, clockwise with y downwards, by the monotone chain of Andrew (1979)."""
    order = _in_reading_order(points)
    count = order.size
    hull = np.empty((2 * count + 1, 2), np.float64)
    size = 0
    for step in range(2 * count - 1):
        if step == count:
            first_of_chain = size - 1
        if step < count:
            vertex, least = order[step], 2
        else:
            vertex, least = order[2 * count - 2 - step], first_of_chain + 2
        y, x = points[vertex, 0], points[vertex, 1]
        while size >= least and _turn(hull, size - 2, size - 1, y, x) <= 0.0:
            size -= 1
        hull[size, 0], hull[size, 1] = y, x
        size += 1
    return hull[: max(1, size - 1)]


@compiled
def _hull_in_order(points: Points, first: int) -> Points:
    """Give the convex hull of vertices in the order of their angles about a point inside, by the scan of Graham (1972).

    Nothing has to be sorted; the first must be a vertex of the hull.
    """
    count = points.shape[0]
    hull = np.empty((count + 1, 2), np.float64)
    size = 0
    for step in range(count + 1):
        vertex = first + step - (count if first + step >= count else 0)
        y, x = points[vertex, 0], points[vertex, 1]
        while size >= 2 and _turn(hull, size - 2, size - 1, y, x) <= 0.0:
            size -= 1
        hull[size, 0], hull[size, 1] = y, x
        size += 1
    return hull[: max(1, size - 1)]


@compiled
def _feret_diameters(hull: Points) -> tuple[float, float, float]:
    """Give the largest distance between parallel tangents, its angle, and the smallest, by calipers round the hull.

    The smallest is found where one tangent lies on an edge; the largest is the largest distance of two vertices that
    face each other. Of an edge's opposite vertex the next one counts too, since edges of outlines are often parallel.
    """
    count = hull.shape[0]
    largest_square, angle, smallest = 0.0, 0.0, np.inf
    far = 1 % count
    for vertex in range(count):
        following = vertex + 1 if vertex + 1 < count else 0
        edge_y, edge_x = hull[following, 0] - hull[vertex, 0], hull[following, 1] - hull[vertex, 1]
        distance = _turn(hull, vertex, following, hull[far, 0], hull[far, 1])
        opposite, turning = far, True
        while turning:
            for end in (vertex, following):
                down, right = hull[opposite, 0] - hull[end, 0], hull[opposite, 1] - hull[end, 1]
                square = down * down + right * right
                if square > largest_square:
                    largest_square, reach_down, reach_right = square, down, right
            turning = opposite == far
            opposite = far + 1 if far + 1 < count else 0
            candidate = _turn(hull, vertex, following, hull[opposite, 0], hull[opposite, 1])
            if candidate > distance:
                far, distance = opposite, candidate
        edge = math.sqrt(edge_y * edge_y + edge_x * edge_x)
        if edge > 0.0:
            smallest = min(smallest, distance / edge)
    largest = math.sqrt(largest_square)
    if largest > 0.0:
        angle = math.atan(reach_down / reach_right) if reach_right != 0.0 else 0.5 * math.pi
    return largest, angle, min(largest, smallest)


@compiled
def describe(points: Points, stops: npt.NDArray[np.int64]) -> Points:
    """Describe polygons that follow each other in one array, each ending at its stop.

    Returns
    -------
    float64 (n, 13)
        Area, perimeter, centroid y and x, variances yy and xx and covariance, area of the box along the axes, hull area
        and perimeter, largest Feret diameter and its angle, smallest Feret diameter: the columns named above.
    """
    described = np.zeros((stops.size, COLUMNS))
    start = 0
    for polygon in range(stops.size):
        vertices, row = points[start : stops[polygon]], described[polygon]
        start = stops[polygon]
        top, left, bottom, right, highest, row[PERIMETER] = _box_and_length(vertices)
        row[BOX_AREA] = (bottom - top) * (right - left)
        y, x = 0.5 * (top + bottom), 0.5 * (left + right)
        row[AREA], from_y, from_x, row[VARIANCE_YY], row[VARIANCE_XX], row[COVARIANCE], ordered = _moments(
            vertices, y, x
        )
        row[CENTROID_Y], row[CENTROID_X] = y + from_y, x + from_x
        hull = _hull_in_order(vertices, highest) if ordered else _hull_of_points(vertices)
        row[HULL_AREA] = _area(hull)
        row[HULL_PERIMETER] = _length(hull)
        row[FERET_MAX], row[FERET_MAX_ANGLE], row[FERET_MIN] = _feret_diameters(hull)
    return described


@compiled
def place(points: Points, stops: npt.NDArray[np.int64], origins: npt.NDArray[np.int64]) -> None:
    """Move polygons, each from its own origin (y, x), to where they lie."""
    start = 0
    for polygon in range(stops.size):
        y, x = origins[polygon]
        for vertex in range(start, stops[polygon]):
            points[vertex, 0] += y
            points[vertex, 1] += x
        start = stops[polygon]
