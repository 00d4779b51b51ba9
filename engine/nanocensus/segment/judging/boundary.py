"""How far, on average, a found outline lies outside the true one."""

import numpy as np
from jaxtyping import Float64

Values = Float64[np.ndarray, " n"]


def boundary_error(true_area: Values, true_perimeter: Values, found_area: Values) -> Values:
    r"""Give the mean signed distance of found outlines from the true ones, positive where they lie outside.

    The distance d at which an outline parallel to the true one would hold the area that was found: by Steiner's formula
    (Santalo, Integral Geometry and Geometric Probability, 1976, III.13) :math:`A(d) = A + P d + \pi d^2`. To first order
    that is the mean of the signed distances along the outline, for the area between two outlines is the integral of the
    distance. Distances of single points would be measured to the stairs of a mask, which lie half a pixel off.

    Parameters
    ----------
    true_area, true_perimeter : (n,) ndarray of float64
        Of the true outlines, in any unit of length and its square.
    found_area : (n,) ndarray of float64
        Area inside the outlines that were found.

    Returns
    -------
    (n,) ndarray of float64
        In the unit of length.

    Examples
    --------
    >>> radius = np.array([10.0])
    >>> boundary_error(np.pi * radius**2, 2 * np.pi * radius, np.pi * (radius + 1) ** 2).round(12)
    array([1.])
    """
    excess = found_area - true_area
    # The smaller root of pi d^2 + P d - excess, written so that nothing cancels; a true outline has P^2 >= 4 pi A.
    root = np.sqrt(np.maximum(true_perimeter**2 + 4 * np.pi * excess, 0.0))
    return np.asarray(2 * excess / (true_perimeter + root))


def boundary_distance(true_perimeter: Values, different_px: Values) -> Values:
    """Give the mean distance of found outlines from the true ones, whichever side they lie on, pixels.

    The pixels that only one of the two holds, spread along the true outline. A mask has whole pixels, so a perfect map
    of a mask gives 0 and distances far below a pixel are rough.

    Parameters
    ----------
    true_perimeter : (n,) ndarray of float64
        Pixels.
    different_px : (n,) ndarray of float64
        Number of pixels that are in one of the two particles, but not in both.

    Examples
    --------
    >>> boundary_distance(np.array([100.0]), np.array([25.0]))
    array([0.25])
    """
    return np.asarray(different_px / true_perimeter)
