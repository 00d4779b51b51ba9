"""The exact share of every pixel that a placed outline covers."""

import numpy as np
from jaxtyping import Float64

from nanocensus.simulate.outline import Outline
from nanocensus.store.masks.coverage import polygon_coverage


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
    >>> from nanocensus.simulate.shapes import disc
    >>> fraction, corner = render_area_fraction(disc().scaled(3.0), (16, 16), (7.3, 8.1), 0.0)
    >>> corner, fraction.shape, round(float(fraction.sum()), 9)
    ((6, 6), (4, 5), 9.0)
    """
    # Pixel i spans i - 1/2 to i + 1/2; the coverage's spans i to i + 1.
    return polygon_coverage(outline.placed(centre, angle) + 0.5, shape)
