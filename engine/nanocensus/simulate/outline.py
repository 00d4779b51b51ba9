"""A closed star-shaped polygon, and what is exactly known of it.

One radius for each of equally spaced directions. The polygon through those points *is* the outline, so what is planted is
exact by construction, not an approximation of some smoother curve.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64
from scipy.spatial import ConvexHull

from nanocensus.simulate.polygon import Calipers, Moments, calipers, polygon_moments


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
    >>> rhombus = Outline(np.array([2.0, 1.0, 2.0, 1.0]))
    >>> rhombus.area, round(rhombus.perimeter, 9), round(rhombus.feret_min, 6)
    (4.0, 8.94427191, 1.788854)
    """

    radii: Float64[np.ndarray, " k"]
    """Distance of each vertex from the centre."""

    @cached_property
    def vertices(self) -> Float64[np.ndarray, "k 2"]:
        """Vertices as (y, x) from the centre."""
        angles = directions(len(self.radii))
        return np.stack([self.radii * np.sin(angles), self.radii * np.cos(angles)], axis=1)

    @cached_property
    def area(self) -> float:
        """Area inside: the triangles between neighbouring radii."""
        following = np.roll(self.radii, -1)
        return float(0.5 * math.sin(2 * math.pi / len(self.radii)) * np.sum(self.radii * following))

    @property
    def edge_length(self) -> float:
        """Side of the square of equal area."""
        return math.sqrt(self.area)

    @cached_property
    def perimeter(self) -> float:
        """Length of the polygon."""
        steps = np.roll(self.vertices, -1, axis=0) - self.vertices
        return float(np.hypot(steps[:, 0], steps[:, 1]).sum())

    @cached_property
    def _hull(self) -> ConvexHull:
        return ConvexHull(self.vertices)

    @property
    def hull_area(self) -> float:
        """Area of the convex hull; never below the outline's, whatever the rounding."""
        return max(float(self._hull.volume), self.area)

    @property
    def hull_perimeter(self) -> float:
        """Perimeter of the convex hull; never above the outline's, whatever the rounding."""
        return min(float(self._hull.area), self.perimeter)

    @cached_property
    def moments(self) -> Moments:
        """Centroid and the ellipse of equal second moments."""
        return polygon_moments(self.vertices)

    @cached_property
    def _calipers(self) -> Calipers:
        return calipers(self.vertices[self._hull.vertices])

    @property
    def feret_max(self) -> float:
        """Largest distance between parallel tangents."""
        return self._calipers.longest

    @property
    def feret_max_angle(self) -> float:
        """Direction of that distance from x towards y, in (-pi/2, pi/2]; any of them if there are several."""
        return self._calipers.longest_angle

    @property
    def feret_min(self) -> float:
        """Smallest distance between parallel tangents."""
        return self._calipers.shortest

    @property
    def circularity(self) -> float:
        """Form factor 4 pi area / perimeter^2 (ISO 9276-6)."""
        return 4 * math.pi * self.area / self.perimeter**2

    @property
    def solidity(self) -> float:
        """Area / hull area."""
        return self.area / self.hull_area

    @property
    def convexity(self) -> float:
        """Hull perimeter / perimeter."""
        return self.hull_perimeter / self.perimeter

    def amplitude(self, order: int) -> float:
        """Give psi_k = 2 |c_k| / c_0 of the radii: how strongly the shape repeats k times in a turn.

        The radii are those about the centre, which is the centroid of every shape made here.
        """
        coefficients = np.abs(np.fft.rfft(self.radii))
        return float(2 * coefficients[order] / coefficients[0])

    def descriptors(self) -> dict[str, float]:
        """Give the truth by the column names of the particle table, for an outline in nm."""
        moments = self.moments
        return {
            "area_nm2": self.area,
            "perimeter_nm": self.perimeter,
            "hull_area_nm2": self.hull_area,
            "hull_perimeter_nm": self.hull_perimeter,
            "edge_length_nm": self.edge_length,
            "equivalent_diameter_nm": math.sqrt(4 * self.area / math.pi),
            "circularity": self.circularity,
            "iso_circularity": math.sqrt(self.circularity),
            "solidity": self.solidity,
            "convexity": self.convexity,
            "eccentricity": moments.eccentricity,
            "major_axis_nm": moments.major_axis,
            "minor_axis_nm": moments.minor_axis,
            "feret_max_nm": self.feret_max,
            "feret_min_nm": self.feret_min,
            "aspect_ratio": self.feret_min / self.feret_max,
            "roundness": 4 * self.area / (math.pi * self.feret_max**2),
            "compactness": math.sqrt(4 * self.area / math.pi) / self.feret_max,
        }

    @cached_property
    def reach(self) -> float:
        """Radius of the circle about the centre that holds the outline."""
        return float(self.radii.max())

    def scaled(self, edge_length: float) -> "Outline":
        """Give the same shape with sqrt(area) equal to `edge_length`."""
        return Outline(self.radii * (edge_length / self.edge_length))

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
        angles = np.append(directions(len(self.radii)), 2 * math.pi)
        bearing = np.mod(np.arctan2(dy, dx) - angle, 2 * math.pi)
        radius = np.interp(bearing, angles, np.append(self.radii, self.radii[0]))
        return np.asarray(np.hypot(dy, dx) / radius)

    def contains(
        self, points: Float64[np.ndarray, "n 2"], centre: tuple[float, float], angle: float
    ) -> Bool[np.ndarray, " n"]:
        """Say which points lie inside."""
        return np.asarray(self.relative_radius(points, centre, angle) < 1.0)


def directions(count: int) -> Float64[np.ndarray, " k"]:
    """Give `count` equally spaced angles, from 0."""
    return 2 * math.pi * np.arange(count) / count
