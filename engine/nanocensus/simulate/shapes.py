"""Outlines whose area, perimeter and hull are known, and the exact share of every pixel that they cover.

An outline is star-shaped: one radius for each of equally spaced directions. The polygon through those points *is* the
outline, so what is planted is exact by construction, not an approximation of some smoother curve.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float64
from numba import njit
from scipy.spatial import ConvexHull

DIRECTIONS = 720
"""Vertices of the outlines made here; a multiple of eight puts the corners of a square on vertices."""


@dataclass(frozen=True, eq=False)
class Outline:
    """A closed star-shaped polygon about its centre.

    Direction i points at the angle 2 pi i / k from the x axis (columns) towards the y axis (rows).

    Parameters
    ----------
    radii : float64 array (k,)
        Distances of the vertices from the centre, all positive, in any one unit of length.

    Examples
    --------
    >>> square = truncated_square(0.0)
    >>> round(square.area, 9), round(square.perimeter, 9), round(square.circularity, 6)
    (4.0, 8.0, 0.785398)
    """

    radii: Float64[np.ndarray, " k"]
    """Distance of each vertex from the centre."""

    @cached_property
    def vertices(self) -> Float64[np.ndarray, "k 2"]:
        """Vertices as (y, x) from the centre."""
        angles = _directions(len(self.radii))
        return np.stack([self.radii * np.sin(angles), self.radii * np.cos(angles)], axis=1)

    @cached_property
    def area(self) -> float:
        """Area inside: the triangles between neighbouring radii."""
        following = np.roll(self.radii, -1)
        return float(0.5 * math.sin(2 * math.pi / len(self.radii)) * np.sum(self.radii * following))

    @cached_property
    def perimeter(self) -> float:
        """Length of the polygon."""
        steps = np.roll(self.vertices, -1, axis=0) - self.vertices
        return float(np.hypot(steps[:, 0], steps[:, 1]).sum())

    @cached_property
    def hull_area(self) -> float:
        """Area of the convex hull."""
        return float(ConvexHull(self.vertices).volume)

    @property
    def circularity(self) -> float:
        """Form factor 4 pi area / perimeter^2 (ISO 9276-6)."""
        return 4 * math.pi * self.area / self.perimeter**2

    @property
    def solidity(self) -> float:
        """Area / hull area; at most 1, whatever the rounding of the hull."""
        return min(1.0, self.area / self.hull_area)

    @cached_property
    def reach(self) -> float:
        """Radius of the circle about the centre that holds the outline."""
        return float(self.radii.max())

    def scaled(self, edge_length: float) -> "Outline":
        """Give the same shape with sqrt(area) equal to `edge_length`."""
        return Outline(self.radii * (edge_length / math.sqrt(self.area)))

    def placed(self, centre: tuple[float, float], angle: float) -> Float64[np.ndarray, "k 2"]:
        """Give the vertices as (y, x), the shape turned by `angle` from x towards y, its centre at `centre`."""
        cosine, sine = math.cos(angle), math.sin(angle)
        y, x = self.vertices[:, 0], self.vertices[:, 1]
        return np.stack([centre[0] + cosine * y + sine * x, centre[1] + cosine * x - sine * y], axis=1)

    def relative_radius(
        self, points: Float64[np.ndarray, "*n 2"], centre: tuple[float, float], angle: float
    ) -> Float64[np.ndarray, "*n"]:
        """Give each point's distance from the centre as a share of the outline's in that direction: below 1 inside.

        Between two vertices the radius is interpolated in the angle, which departs from the straight edge by less
        than 1e-4 of the radius at 720 directions.
        """
        dy, dx = points[..., 0] - centre[0], points[..., 1] - centre[1]
        directions = np.append(_directions(len(self.radii)), 2 * math.pi)
        bearing = np.mod(np.arctan2(dy, dx) - angle, 2 * math.pi)
        radius = np.interp(bearing, directions, np.append(self.radii, self.radii[0]))
        return np.asarray(np.hypot(dy, dx) / radius)


def _directions(count: int) -> Float64[np.ndarray, " k"]:
    return 2 * math.pi * np.arange(count) / count


def disc() -> Outline:
    """Give the unit disc."""
    return Outline(np.ones(DIRECTIONS))


def ellipse(aspect: float) -> Outline:
    """Give an ellipse with half axes `aspect` along x and 1 along y."""
    angles = _directions(DIRECTIONS)
    return Outline(aspect / np.hypot(np.cos(angles), aspect * np.sin(angles)))


def superellipse(exponent: float) -> Outline:
    """Give |x|^p + |y|^p = 1: the disc at p = 2, towards the square as p grows."""
    angles = _directions(DIRECTIONS)
    return Outline((np.abs(np.cos(angles)) ** exponent + np.abs(np.sin(angles)) ** exponent) ** (-1 / exponent))


def truncated_square(truncation: float) -> Outline:
    """Give the square of half side 1 with its corners cut off straight.

    Parameters
    ----------
    truncation : float
        Length that a cut takes from each side it meets: 0 leaves the square, 1 leaves the square turned by 45 degrees.
    """
    angles = _directions(DIRECTIONS)
    cosine, sine = np.abs(np.cos(angles)), np.abs(np.sin(angles))
    return Outline(np.minimum(1 / np.maximum(cosine, sine), (2 - truncation) / (cosine + sine)))


def lobed(amplitude: float, lobes: int = 4) -> Outline:
    """Give r = 1 - amplitude cos(lobes theta); with four lobes, concave where amplitude exceeds 1/17."""
    return Outline(1 - amplitude * np.cos(lobes * _directions(DIRECTIONS)))


FAMILIES: Mapping[str, Callable[[np.random.Generator], Outline]] = {
    "disc": lambda rng: disc(),
    "ellipse": lambda rng: ellipse(rng.uniform(1.05, 1.4)),
    "superellipse": lambda rng: superellipse(rng.uniform(2.3, 5.0)),
    "truncated_square": lambda rng: truncated_square(rng.uniform(0.2, 0.6)),
    "lobed": lambda rng: lobed(rng.uniform(0.02, 0.1)),
}
"""How a shape of each family is drawn; a new family is one row."""


def render_area_fraction(
    outline: Outline, shape: tuple[int, int], centre: tuple[float, float], angle: float
) -> tuple[Float64[np.ndarray, "h w"], tuple[int, int]]:
    """Give the share of each pixel's area that an outline covers, exact to rounding.

    Parameters
    ----------
    outline : Outline
        In pixels.
    shape : (int, int)
        Rows and columns of the image.
    centre : (float, float)
        (y, x) of the outline's centre in pixels, pixel centres at integers.
    angle : float
        Turn from x towards y, radians.

    Returns
    -------
    fraction : float64 array (h, w)
        The part of the outline's bounding window inside the image; empty if none is.
    corner : (int, int)
        Row and column of the window's first pixel.

    Examples
    --------
    >>> fraction, corner = render_area_fraction(disc().scaled(3.0), (16, 16), (7.3, 8.1), 0.0)
    >>> corner, fraction.shape, round(float(fraction.sum()), 9)
    ((6, 6), (4, 5), 9.0)
    """
    # Pixel i spans i - 1/2 to i + 1/2; the kernel's spans i to i + 1.
    vertices = outline.placed(centre, angle) + 0.5
    top, left = (int(edge) for edge in np.floor(vertices.min(axis=0)))
    bottom, right = (int(edge) for edge in np.ceil(vertices.max(axis=0)))
    fraction = _area_fraction(vertices - np.array([top, left], float), bottom - top, right - left)
    first_row, first_column = min(max(0, -top), bottom - top), min(max(0, -left), right - left)
    rows, columns = max(0, min(bottom, shape[0]) - top), max(0, min(right, shape[1]) - left)
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


def inside(
    outline: Outline, points: Float64[np.ndarray, "n 2"], centre: tuple[float, float], angle: float
) -> Bool[np.ndarray, " n"]:
    """Say which points lie inside an outline."""
    return np.asarray(outline.relative_radius(points, centre, angle) < 1.0)
