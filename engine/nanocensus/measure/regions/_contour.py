"""The sub-pixel contour of one label: the window it is drawn on, and the walk round it.

A window holds what a label's contour is drawn on, with a margin round the label's box; pixels above a cut are inside.
A contour crosses between an inside pixel and an outside one of the four beside it, where the straight line between
the two values passes through the level. In a cell of four pixels whose diagonals disagree (a saddle) the inside
pixels are the connected ones, so one 8-connected label has one outer contour.

Windows are walked as flat arrays: a pixel is its place in them, a step down is the window's width.

Kernels call only kernels of their own file: numba's cache on disk does not see a change in another one.
"""

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from nanocensus.measure.regions._compile import compiled

Bytes: TypeAlias = npt.NDArray[np.uint8]
Field: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]
Labels: TypeAlias = npt.NDArray[np.int32]
Whole: TypeAlias = npt.NDArray[np.int64]
Window: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.float64]
"""Bytes of a map, or a smoothed mask from 0 to 1."""

SMOOTHING_SIGMA_PX = 1.0
"""Width of the Gaussian that stands in for the soft edge of a map where there is none."""
_RADIUS = 4
_WEIGHTS = np.exp(-0.5 * (np.arange(_RADIUS + 1) / SMOOTHING_SIGMA_PX) ** 2)
_TAPS = _WEIGHTS / (2.0 * _WEIGHTS.sum() - _WEIGHTS[0])

FROM_MAP, FROM_SMOOTHED_PIXELS, FROM_PIXELS = range(3)
"""What a contour is drawn on."""

SURE = 255.0
"""The value of the map that says: surely particle."""
_HALF_SURE = 127.5
MARGIN = 3
"""Pixels round a label's box: one that a lower level may add, one outside it, and one that the walk may look at."""


@compiled
def _fill_row(of_label: Labels, value: Bytes, cut: np.int32, label: np.int32, filled: Bytes) -> None:
    """Fill pixels of a row; in products of zeros and ones, which the compiler turns into vectors."""
    for column in range(filled.size):
        here = np.int32(value[column])
        own, free = np.int32(of_label[column] == label), np.int32(of_label[column] == 0)
        above = np.int32(here > cut)
        kept = np.int32(here * ((own & above) | (free & (1 - above))))
        filled[column] = np.uint8(kept + np.int32(255) * (own & (1 - above)))


@compiled
def _copy_row(value: Bytes, filled: Bytes) -> None:
    for column in range(filled.size):
        filled[column] = value[column]


@compiled
def _fill_from_map(
    labels: Labels, probability: Bytes, cut: int, label: int, masked: bool, top: int, left: int, window: Bytes
) -> None:
    """Fill a label's window with the map; masked, the labels have the last word on what is inside.

    Pixels of other labels, and background that the map holds for particle, then count as 0; pixels of the label that
    the map holds for background count as 255. A value equal to the level is outside, as in the mask `map > level`:
    the contour passes through that pixel's centre.
    """
    height, width = probability.shape
    rows, columns = window.shape
    first, last = max(0, left - MARGIN), min(width, left - MARGIN + columns)
    offset = first - (left - MARGIN)
    for row in range(rows):
        y, filled = top - MARGIN + row, window[row]
        if offset > 0 or last - first < columns or y < 0 or y >= height:
            for column in range(columns):
                filled[column] = 0
        if 0 <= y < height:
            value, inner = probability[y, first:last], filled[offset : offset + last - first]
            if masked:
                _fill_row(labels[y, first:last], value, np.int32(cut), np.int32(label), inner)
            else:
                _copy_row(value, inner)


@compiled
def _keep_runs(
    probability: Bytes, cut: int, row: Labels, start: Labels, stop: Labels, top: int, left: int, window: Bytes
) -> None:
    """Set to 0 what is inside in a label's window but none of the label's runs."""
    above = np.int32(cut)
    for y in range(window.shape[0]):
        here = window[y]
        for column in range(here.size):
            value = np.int32(here[column])
            here[column] = np.uint8(value * np.int32(value <= above))
    for run in range(row.size):
        here, value = window[row[run] - top + MARGIN], probability[row[run]]
        for x in range(start[run], stop[run]):
            here[x - left + MARGIN] = value[x]


@compiled
def _count_inside(window: Bytes, cut: np.uint8) -> int:
    total = 0
    for row in range(window.shape[0]):
        here, found = window[row], np.uint32(0)
        for column in range(here.size):
            found = np.uint32(found + np.uint32(here[column] > cut))
        total += int(found)
    return total


@compiled
def _fill_from_pixels(labels: Labels, label: int, top: int, left: int, window: Window, inside: int) -> None:
    """Fill a label's window with the label's own mask."""
    height, width = labels.shape
    for row in range(window.shape[0]):
        y = top - MARGIN + row
        for column in range(window.shape[1]):
            x = left - MARGIN + column
            own = 0 <= y < height and 0 <= x < width and labels[y, x] == label
            window[row, column] = inside if own else 0


@compiled
def _smooth_rows(source: Field, smoothed: Field) -> None:
    """Smooth along the rows and turn the window over, so that doing it twice smooths both ways.

    Taps at equal distance are added as pairs, so that a mirrored particle gives the same numbers. What lies outside
    the window is 0.
    """
    rows, columns = source.shape
    padded = np.zeros(columns + 2 * _RADIUS)
    for row in range(rows):
        for column in range(columns):
            padded[_RADIUS + column] = source[row, column]
        for column in range(columns):
            centre = column + _RADIUS
            total = _TAPS[0] * padded[centre]
            for tap in range(1, _RADIUS + 1):
                total += _TAPS[tap] * (padded[centre - tap] + padded[centre + tap])
            smoothed[column, row] = total


@compiled
def _is_inside(window: Window, at: int, width: int, low: float, cut: float) -> bool:
    """Say whether a pixel is inside: above the cut, or above the lower one and beside a pixel above the cut."""
    value = window[at]
    if value <= low:
        return False
    if value > cut:
        return True
    for down in (-width, 0, width):
        if window[at + down - 1] > cut or window[at + down] > cut or window[at + down + 1] > cut:
            return True
    return False


@compiled
def _count_crossings(window: Window, cut: float | np.uint8) -> int:
    """Count the crossings of all loops, that is, neighbours of which one is inside."""
    total = 0
    for row in range(1, window.shape[0]):
        here, above = window[row, 1:], window[row - 1, 1:]
        before, found = window[row, : here.size], np.uint32(0)  # 32 bits: twice as many a vector as 64
        for column in range(here.size):
            inside = here[column] > cut
            found = np.uint32(
                found + np.uint32(inside != (above[column] > cut)) + np.uint32(inside != (before[column] > cut))
            )
        total += int(found)
    return total


@compiled
def _walk(
    window: Window,
    width: int,
    low: float,
    cut: float,
    level: float,
    start: int,
    visited: Flags,
    points: Field,
    values: Bytes,
) -> tuple[int, float]:
    """Walk the loop that crosses above an inside pixel, the inside at the right hand.

    Vertices (y, x), from the centre of that pixel, and the values inside and outside are written where there is room
    for any.

    Returns
    -------
    vertices : int
    area : float
        Positive round a particle and negative round a hole. Areas are taken from the first pixel, which keeps the
        rounding of the smallest particles relative to their own size.
    """
    writes = points.shape[0] > 0
    at, down, right, row, column = start, -1, 0, 0, 0
    vertices, twice_area = 0, 0.0
    y0, x0, y_last, x_last = 0.0, 0.0, 0.0, 0.0
    while True:
        inside = float(window[at])
        outside = min(float(window[at + down * width + right]), level)  # above it where it is too far out to be inside
        distance = (inside - level) / (inside - outside)
        y, x = row + down * distance, column + right * distance
        if writes:
            points[vertices, 0], points[vertices, 1] = y, x
            values[vertices, 0], values[vertices, 1] = np.uint8(inside), np.uint8(outside)
        if vertices == 0:
            y0, x0 = y, x
        else:
            twice_area += x_last * y - x * y_last
        y_last, x_last = y, x
        vertices += 1
        if down == -1:
            visited[at] = True
        ahead = right * width - down
        diagonal = at + down * width + right + ahead
        if _is_inside(window, diagonal, width, low, cut):
            at, row, column = diagonal, row + down + right, column + right - down
            down, right = -right, down
        elif _is_inside(window, at + ahead, width, low, cut):
            at, row, column = at + ahead, row + right, column - down
        else:
            down, right = right, -down
        if at == start and down == -1:
            return vertices, 0.5 * (twice_area + x_last * y0 - x0 * y_last)


@compiled
def _first_inside(window: Window, cut: float) -> int:
    at = 0
    while not window[at] > cut:
        at += 1
    return at


@compiled
def _largest_loop(
    window: Window, width: int, cut: float, level: float, visited: Flags, points: Field, values: Bytes
) -> tuple[int, float, float, int, int]:
    """Walk all loops.

    Returns
    -------
    start : int
        The pixel above which the largest outer contour starts: its first in raster order.
    area, hole_area : float
        Inside it, and inside all contours of holes, px^2.
    holes, pieces : int
        Number of contours of holes, and of outer ones.
    """
    points, values, visited[:] = points[:0], values[:0], False
    start, largest, hole_area, holes, pieces = 0, 0.0, 0.0, 0, 0
    for at in range(width, window.size - width):
        if window[at] > cut and not window[at - width] > cut and not visited[at]:
            _, area = _walk(window, width, cut, cut, level, at, visited, points, values)
            if area <= 0.0:  # zero: a hole of one pixel whose value is the level itself
                holes += 1
                hole_area -= area
                continue
            pieces += 1
            if area > largest:
                start, largest = at, area
    return start, largest, hole_area, holes, pieces


@compiled
def _area_at(
    window: Bytes,
    start: int,
    cut: float,
    level: float,
    other_level: float,
    visited: Flags,
    points: Field,
    values: Bytes,
) -> float:
    """Give the area inside the contour at another level, px^2.

    Above the label's own level it is that of the largest piece; below it, the label grows by at most the pixels
    beside it, so that a haze between particles joins none of them.
    """
    width, places = window.shape[1], window.ravel()
    other_cut = math.floor(other_level)
    points, values = points[:0], values[:0]
    if other_level < level:
        if _is_inside(places, start - width, width, other_cut, cut):
            start -= width
        return _walk(places, width, other_cut, cut, other_level, start, visited, points, values)[1]
    crossings = _count_crossings(window, np.uint8(other_cut))
    if crossings == 0:
        return 0.0
    first = _first_inside(places, other_cut)
    vertices, area = _walk(places, width, other_cut, other_cut, other_level, first, visited, points, values)
    if vertices == crossings:
        return area
    return _largest_loop(places, width, other_cut, other_level, visited, points, values)[1]


@compiled
def _room_for(points: Field, values: Bytes, used: int, more: int) -> tuple[Field, Bytes]:
    """Give arrays with room for more vertices; copied one by one: a slice assignment triples the time to compile."""
    if used + more <= points.shape[0]:
        return points, values
    longer, longer_values = np.empty((2 * (used + more), 2)), np.empty((2 * (used + more), 2), np.uint8)
    for vertex in range(used):
        longer[vertex, 0], longer[vertex, 1] = points[vertex]
        longer_values[vertex, 0], longer_values[vertex, 1] = values[vertex]
    return longer, longer_values


@compiled
def _trace_window(
    window: Window, cut: float, level: float, crossings: int, points: Field, values: Bytes, visited: Flags
) -> tuple[int, int, float, int, int]:
    """Write the outer contour of a window; give its start, its vertices, and what `_largest_loop` tells.

    If the first contour has all the crossings there are, there is neither a hole nor another piece.
    """
    width, places = window.shape[1], window.ravel()
    start = _first_inside(places, cut)
    vertices, _ = _walk(places, width, cut, cut, level, start, visited, points, values)
    if vertices == crossings:
        return start, vertices, 0.0, 0, 1
    start, _, hole_area, holes, pieces = _largest_loop(places, width, cut, level, visited, points, values)
    vertices, _ = _walk(places, width, cut, cut, level, start, visited, points, values)
    return start, vertices, hole_area, holes, pieces


@compiled
def trace(
    labels: Labels,
    probability: Bytes,
    level: float,
    kind: int,
    present: Whole,
    boxes: Whole,
    pixels: Whole,
    runs: tuple[Labels, Labels, Labels, Whole],
    other_levels: Field,
) -> tuple[Field, Bytes, Whole, Whole, Field, Whole, Field]:
    """Trace the outer contours of labels.

    Parameters
    ----------
    labels, probability, level
        The map is not looked at, and the level is one half, unless contours are drawn on it.
    kind : int
        `FROM_MAP`, `FROM_SMOOTHED_PIXELS` (on the bare pixels of a label that smoothing would erase or cut), or
        `FROM_PIXELS`.
    present : (n,)
        Which labels.
    boxes : (n, 4)
        Their bounding boxes: top, left, bottom, right.
    pixels : (n,)
        Number of their pixels, where labels are the components of the map above the level; none otherwise. The map
        alone then tells the contour of a label with no other one in its window, and its runs that of another: labels
        are not looked at.
    runs : (m,), (m,), (m,), (n + 1,)
        Row, first column, and last column and one of the runs of components, and where those of each begin.
    other_levels : (l,)
        Other levels of the map at which the area is asked for.

    Returns
    -------
    points : (m, 2)
        Vertices (y, x) of one contour after the other, each from the centre of its label's first pixel, which keeps
        the rounding of the smallest particles relative to their own size.
    values : (m, 2)
        The map inside and outside of each vertex; of no meaning without one.
    stops : (n,)
        Where each contour ends.
    origins : (n, 2)
        Those first pixels.
    hole_areas : (n,)
    counts : (n, 2)
        Number of holes, and of outer contours, of which the largest was traced.
    other_areas : (n, l)
        NaN without a map, and for labels in several pieces.
    """
    n = present.size
    stops, counts, origins = np.zeros(n, np.int64), np.zeros((n, 2), np.int64), np.zeros((n, 2), np.int64)
    hole_areas, other_areas = np.zeros(n), np.full((n, other_levels.size), np.nan)
    room = 256 + 2 * (boxes[:, 2] + boxes[:, 3] - boxes[:, 0] - boxes[:, 1]).sum()  # enough where all are convex
    points, values = np.empty((room, 2)), np.empty((room, 2), np.uint8)
    if kind != FROM_MAP:
        level = _HALF_SURE
    cut = math.floor(level)
    used = 0
    for particle in range(n):
        label = present[particle]
        top, left, bottom, right = boxes[particle]
        rows, columns = bottom - top + 2 * MARGIN, right - left + 2 * MARGIN
        window, visited = np.empty((rows, columns), np.uint8), np.empty(rows * columns, np.bool_)
        start, vertices, holes, hole_area, pieces = 0, 0, 0, 0.0, 0
        if kind == FROM_SMOOTHED_PIXELS:
            mask, turned = np.empty((rows, columns)), np.empty((columns, rows))
            _fill_from_pixels(labels, label, top, left, mask, 1)
            _smooth_rows(mask, turned)
            _smooth_rows(turned, mask)
            crossings = _count_crossings(mask, 0.5)
            points, values = _room_for(points, values, used, crossings)
            if crossings > 0:
                start, vertices, hole_area, holes, pieces = _trace_window(
                    mask, 0.5, 0.5, crossings, points[used:], values[used:], visited
                )
        if pieces != 1:
            if kind == FROM_MAP:
                _fill_from_map(labels, probability, cut, label, pixels.size == 0, top, left, window)
                if pixels.size > 0 and _count_inside(window, np.uint8(cut)) != pixels[particle]:
                    own = slice(runs[3][particle], runs[3][particle + 1])
                    _keep_runs(probability, cut, runs[0][own], runs[1][own], runs[2][own], top, left, window)
            else:
                _fill_from_pixels(labels, label, top, left, window, 255)
            crossings = _count_crossings(window, np.uint8(cut))
            points, values = _room_for(points, values, used, crossings)
            start, vertices, hole_area, holes, pieces = _trace_window(
                window, cut, level, crossings, points[used:], values[used:], visited
            )
            if kind == FROM_MAP and pieces == 1:
                for other in range(other_levels.size):
                    other_areas[particle, other] = _area_at(
                        window, start, cut, level, other_levels[other], visited, points, values
                    )
        used += vertices
        stops[particle], hole_areas[particle] = used, hole_area
        counts[particle, 0], counts[particle, 1] = holes, pieces
        origins[particle, 0] = top - MARGIN + start // columns
        origins[particle, 1] = left - MARGIN + start % columns
    return points[:used], values[:used], stops, origins, hole_areas, counts, other_areas
