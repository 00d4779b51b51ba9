"""Radii of closed polygons about a point: where rays at equal angles meet the outline.

Kernels call only kernels of their own file: numba's cache on disk does not see a change in another one.
"""

import math

import numpy as np
import numpy.typing as npt

from nanocensus.measure.regions._compile import compiled

ANGLES = 128
"""Rays, from the x axis (columns) towards the y axis (rows)."""
_SINE = np.sin(2.0 * np.pi * np.arange(ANGLES) / ANGLES)
_COSINE = np.cos(2.0 * np.pi * np.arange(ANGLES) / ANGLES)


@compiled
def _side(ray: int, y: float, x: float) -> float:
    """Give the distance of a point from a ray's line, positive past the ray."""
    distance: float = _COSINE[ray] * y - _SINE[ray] * x
    return distance


@compiled
def _next_ray(y: float, x: float) -> int:
    """Give the ray that a point comes to next, going with the rays."""
    ray = math.ceil(math.atan2(y, x) * ANGLES / (2.0 * math.pi)) % ANGLES
    if _side(ray, y, x) > 0.0:  # by rounding alone
        return (ray + 1) % ANGLES
    return ray


@compiled
def _meet(
    ray: int, ya: float, xa: float, yb: float, xb: float, radii: npt.NDArray[np.float64], met: npt.NDArray[np.uint8]
) -> None:
    """Note where the segment from a to b crosses a ray, if it does; what lies on a ray is not past it."""
    side_a, side_b = _side(ray, ya, xa), _side(ray, yb, xb)
    if (side_a > 0.0) != (side_b > 0.0):
        share = side_a / (side_a - side_b)
        radius = _COSINE[ray] * (xa + share * (xb - xa)) + _SINE[ray] * (ya + share * (yb - ya))
        if radius > 0.0:
            radii[ray] = max(radii[ray], radius)
            met[ray] = min(met[ray] + 1, 2)


@compiled
def radial_profiles(
    points: npt.NDArray[np.float64], stops: npt.NDArray[np.int64], centres: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Give r(theta) of polygons that follow each other in one array, each ending at its stop.

    The walk round a polygon knows which ray comes next, so each segment looks at the rays that it crosses alone; one
    that is seen from the centre at more than a right angle tries all.

    Returns
    -------
    radii : (n, 128)
        Distance from the centre (y, x) to the outermost crossing; 0 where a ray meets nothing.
    single : (n,)
        Whether each ray meets the outline once.
    """
    radii, single = np.zeros((stops.size, ANGLES)), np.zeros(stops.size, np.bool_)
    met = np.empty(ANGLES, np.uint8)
    start = 0
    for polygon in range(stops.size):
        y0, x0 = centres[polygon]
        found = radii[polygon]
        met[:] = 0
        ya, xa = points[stops[polygon] - 1, 0] - y0, points[stops[polygon] - 1, 1] - x0
        ray = _next_ray(ya, xa)
        for vertex in range(start, stops[polygon]):
            yb, xb = points[vertex, 0] - y0, points[vertex, 1] - x0
            if ya * yb + xa * xb <= 0.0:
                for other in range(ANGLES):
                    _meet(other, ya, xa, yb, xb, found, met)
                ray = _next_ray(yb, xb)
            else:
                while _side(ray, yb, xb) > 0.0:
                    _meet(ray, ya, xa, yb, xb, found, met)
                    ray = (ray + 1) % ANGLES
                while not _side((ray - 1) % ANGLES, yb, xb) > 0.0:
                    ray = (ray - 1) % ANGLES
                    _meet(ray, ya, xa, yb, xb, found, met)
            ya, xa = yb, xb
        start = stops[polygon]
        single[polygon] = True
        for other in range(ANGLES):
            if met[other] != 1:
                single[polygon] = False
    return radii, single
