"""Exact properties of a polygon: second moments and calipers."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64


@dataclass(frozen=True)
class Moments:
    """Area, centroid and the ellipse of equal second moments of a polygon."""

    area: float
    """Inside the polygon; positive whichever way it runs."""
    centroid: tuple[float, float]
    """(y, x)."""
    major_axis: float
    """Length of the ellipse's major axis: four standard deviations along it."""
    minor_axis: float
    """Length of its minor axis."""
    eccentricity: float
    """sqrt(1 - (minor / major)^2)."""
    orientation: float
    """Angle of the major axis from x towards y, from -pi/2 to pi/2."""


def polygon_moments(vertices: Float64[np.ndarray, "k 2"]) -> Moments:
    """Integrate over the inside of a polygon by Green's theorem.

    Parameters
    ----------
    vertices : float64 array (k, 2)
        (y, x) in order; the first is not repeated.

    Returns
    -------
    Moments

    Examples
    --------
    >>> moments = polygon_moments(np.array([[0.0, 0.0], [0.0, 4.0], [2.0, 4.0], [2.0, 0.0]]))
    >>> moments.area, moments.centroid, round(moments.major_axis / moments.minor_axis, 9)
    (8.0, (1.0, 2.0), 2.0)
    """
    # About the vertices' mean, so that the squares of large coordinates do not cancel.
    origin = vertices.mean(axis=0)
    y, x = (vertices - origin).T
    following_y, following_x = np.roll(y, -1), np.roll(x, -1)
    cross = x * following_y - following_x * y
    area = 0.5 * cross.sum()
    mean_y, mean_x = (cross @ (y + following_y)) / (6 * area), (cross @ (x + following_x)) / (6 * area)
    yy = cross @ (y * y + y * following_y + following_y * following_y) / (12 * area) - mean_y**2
    xx = cross @ (x * x + x * following_x + following_x * following_x) / (12 * area) - mean_x**2
    mixed = 2 * (x * y + following_x * following_y) + x * following_y + following_x * y
    xy = cross @ mixed / (24 * area) - mean_x * mean_y
    half_sum, half_difference = 0.5 * (yy + xx), np.hypot(0.5 * (yy - xx), xy)
    return Moments(
        area=float(abs(area)),
        centroid=(float(origin[0] + mean_y), float(origin[1] + mean_x)),
        major_axis=float(4 * np.sqrt(half_sum + half_difference)),
        minor_axis=float(4 * np.sqrt(half_sum - half_difference)),
        eccentricity=float(np.sqrt(2 * half_difference / (half_sum + half_difference))),
        orientation=float(0.5 * np.arctan2(2 * xy, xx - yy)),
    )


@dataclass(frozen=True)
class Calipers:
    """Distances between parallel tangents (Feret)."""

    longest: float
    longest_angle: float
    """Direction in which the longest is measured, from x towards y, in (-pi/2, pi/2]; any of them if there are several."""
    shortest: float


def calipers(hull: Float64[np.ndarray, "k 2"]) -> Calipers:
    """Measure a convex polygon with calipers.

    The longest distance joins two vertices; the shortest lies across an edge.

    Parameters
    ----------
    hull : float64 array (k, 2)
        Vertices (y, x) of a convex polygon, in order.

    Returns
    -------
    Calipers

    Examples
    --------
    >>> found = calipers(np.array([[0.0, 0.0], [0.0, 4.0], [3.0, 4.0], [3.0, 0.0]]))
    >>> found.longest, found.shortest
    (5.0, 3.0)
    """
    apart = hull[:, None, :] - hull[None, :, :]
    squared = (apart**2).sum(axis=-1)
    dy, dx = apart[np.unravel_index(squared.argmax(), squared.shape)]
    angle = np.arctan2(dy, dx)
    edges = np.roll(hull, -1, axis=0) - hull
    lengths = np.hypot(edges[:, 0], edges[:, 1])
    across = np.abs(apart[..., 0] * edges[:, 1] - apart[..., 1] * edges[:, 0]).max(axis=0)
    return Calipers(
        longest=float(np.sqrt(squared.max())),
        longest_angle=float(np.pi / 2 - np.mod(np.pi / 2 - angle, np.pi)),
        shortest=float((across[lengths > 0] / lengths[lengths > 0]).min()),
    )
