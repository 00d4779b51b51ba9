"""How wide the edge of a particle is, from the map's values on both sides of its outline.

Kernels call only kernels of their own file: numba's cache on disk does not see a change in another one.
"""

import math

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from nanocensus.measure.regions._compile import compiled

_DEVIATES = ndtri(np.clip(np.arange(256) / 255.0, 0.5 / 255.0, 254.5 / 255.0))
"""The standard normal deviate of each value of the map."""
_TENTH_TO_NINE_TENTHS = 2.0 * float(ndtri(0.9))


@compiled
def edge_widths(
    points: npt.NDArray[np.float64], values: npt.NDArray[np.uint8], stops: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Give the 10-90 % width of the edge whose mean steepness along the outline is that of the map, px.

    Across an edge blurred by a Gaussian, p = Phi(t / sigma) at the distance t from the outline, so the deviate
    z = Phi^-1(p) falls by |n_a| / sigma from the inside pixel of a crossing to its outside one, n_a being the part of
    the outline's normal along the row or column that is crossed. The sum of these falls over the sum of |n_a|, over
    the crossings of an outline, is 1 / sigma, however the outline lies on the pixels; the width is 2.563 sigma.

    Parameters
    ----------
    points : (m, 2)
        Vertices (y, x) from the centre of a pixel, of one outline after the other.
    values : (m, 2)
        The map inside and outside of each.
    stops : (n,)
        Where each outline ends.

    Returns
    -------
    (n,)
        NaN where no crossing lies between values that are neither 0 nor 255: there an edge is sharper than pixels
        can tell, or another label is in the way.
    """
    widths = np.full(stops.size, np.nan)
    start = 0
    for outline in range(stops.size):
        stop = stops[outline]
        fall, expected = 0.0, 0.0
        for vertex in range(start, stop):
            inside, outside = values[vertex, 0], values[vertex, 1]
            y, x = points[vertex, 0], points[vertex, 1]
            on_row, on_column = y == math.floor(y), x == math.floor(x)
            if inside == 255 or outside == 0 or on_row == on_column:
                continue
            before = vertex - 1 if vertex > start else stop - 1
            after = vertex + 1 if vertex + 1 < stop else start
            down, right = points[after, 0] - points[before, 0], points[after, 1] - points[before, 1]
            length = math.sqrt(down * down + right * right)
            if length > 0.0:
                fall += _DEVIATES[inside] - _DEVIATES[outside]
                expected += abs(down if on_row else right) / length
        if expected > 0.0:
            widths[outline] = _TENTH_TO_NINE_TENTHS * expected / fall
        start = stop
    return widths
