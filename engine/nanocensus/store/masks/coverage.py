"""The exact share of every pixel that a polygon covers."""

from typing import no_type_check

import numpy as np
from jaxtyping import Float64
from numba import njit


def polygon_coverage(
    vertices: Float64[np.ndarray, "k 2"], shape: tuple[int, int]
) -> tuple[Float64[np.ndarray, "h w"], tuple[int, int]]:
    """Give the share of each pixel's area that a polygon covers, exact to rounding.

    Parameters
    ----------
    vertices : float64 array (k, 2)
        (y, x) in pixels; pixel (i, j) spans i to i + 1 and j to j + 1. What the polygon winds round is inside.
    shape : (int, int)
        Rows and columns of the image.

    Returns
    -------
    fraction : float64 array (h, w)
        The part of the polygon's bounding window inside the image; empty if none is.
    corner : (int, int)
        Row and column of the window's first pixel.

    Examples
    --------
    >>> polygon_coverage(np.array([[1.0, 1.0], [1.0, 2.5], [2.0, 2.5], [2.0, 1.0]]), (4, 4))
    (array([[1. , 0.5]]), (1, 1))
    """
    top, left = (int(edge) for edge in np.floor(vertices.min(axis=0)))
    bottom, right = (int(edge) for edge in np.ceil(vertices.max(axis=0)))
    first_row, first_column = max(0, -top), max(0, -left)
    rows, columns = min(bottom, shape[0]) - top, min(right, shape[1]) - left
    if rows <= first_row or columns <= first_column:
        return np.zeros((0, 0)), (max(top, 0), max(left, 0))
    fraction = _area_fraction(vertices - np.array([top, left], float), bottom - top, right - left)
    return fraction[first_row:rows, first_column:columns], (max(top, 0), max(left, 0))


@njit(cache=True, nogil=True)
@no_type_check  # a run-time check of its arguments could not be compiled
def _area_fraction(vertices: np.ndarray, height: int, width: int) -> np.ndarray:
    """Integrate, edge by edge, what lies to the right of the polygon; signs cancel outside it."""
    # change[i, j] is the coverage of pixel (i, j) less that of its left neighbour.
    change = np.zeros((height, width + 2))
    count = len(vertices)
    for k in range(count):
        ya, xa = vertices[k]
        yb, xb = vertices[(k + 1) % count]
        if ya == yb:
            continue
        sign = 1.0 if yb > ya else -1.0
        if yb < ya:
            ya, xa, yb, xb = yb, xb, ya, xa
        slope = (xb - xa) / (yb - ya)
        for row in range(int(ya), min(int(yb), height - 1) + 1):
            y0, y1 = max(ya, float(row)), min(yb, row + 1.0)
            if y1 <= y0:
                continue
            x0, x1 = xa + slope * (y0 - ya), xa + slope * (y1 - ya)
            _add_edge(change[row], min(x0, x1), max(x0, x1), sign * (y1 - y0))
    for row in range(height):
        total = 0.0
        for column in range(width):
            total += change[row, column]
            change[row, column] = min(1.0, abs(total))
    return change[:, :width].copy()


@njit(cache=True, nogil=True)
@no_type_check  # a run-time check of its arguments could not be compiled
def _add_edge(change: np.ndarray, left: float, right: float, height: float) -> None:
    """Add one edge within one row: pixels right of it are covered by its whole height."""
    previous = 0.0
    first, last = int(left), min(int(right), len(change) - 2)
    for column in range(first, last + 1):
        a, b = max(left, float(column)), min(right, column + 1.0)
        mean_height = height * (0.5 * (a + b) - left) / (right - left) if right > left else 0.0
        covered = mean_height * (b - a) + height * (column + 1.0 - b)
        change[column] += covered - previous
        previous = covered
    change[last + 1] += height - previous
