"""Pixel-counting estimators: the numbers of scikit-image, from runs."""

from typing import Literal

import numpy as np

from nanocensus.measure.regions import _hull_image, _moments
from nanocensus.measure.regions._holes import holes
from nanocensus.measure.regions._perimeter import perimeters
from nanocensus.measure.regions._properties import Regions, ellipse
from nanocensus.measure.regions._runs import Runs


def pixel_regions(runs: Runs, estimator: Literal["paper", "crofton"]) -> Regions:
    """Measure labels by their pixels.

    Area is the number of pixels, without holes; the hull is that of `convex_hull_image`; eccentricity and axes are
    those of `regionprops`. The perimeter, of the particle and of its hull image alike, is `perimeter` with 4
    neighbours ("paper") or `perimeter_crofton` with 4 directions ("crofton"). Feret diameters are those of the 0.5
    contour of the hull image, which for the largest is the definition of `feret_diameter_max`.

    Hole area is `area_filled` less `area`, in which a hole that touches the outside at a corner is none. Holes are
    counted as `euler_number` counts them, in which it is one: pixels that touch at a corner belong together.

    Parameters
    ----------
    runs : Runs
    estimator : {"paper", "crofton"}

    Returns
    -------
    Regions
        In ascending order of labels, in pixels.
    """
    of = (runs.row, runs.start, runs.stop, runs.offset)
    hull = _hull_image.hull_images(*of)
    _, hull_area = _moments.boxes(*hull)
    moments = _moments.moments(*of).T
    feret = _hull_image.feret_diameters(*hull)
    crofton = estimator == "crofton"
    return Regions(
        area=moments[_moments.AREA],
        hole_area=holes(*of, 1)[1].astype(np.float64),
        hole_count=holes(*of, 0)[0],
        perimeter=perimeters(*of, crofton),
        hull_area=hull_area.astype(np.float64),
        hull_perimeter=perimeters(*hull, crofton),
        centroid_y=moments[_moments.CENTROID_Y],
        centroid_x=moments[_moments.CENTROID_X],
        feret_max=feret[:, 0],
        feret_min=feret[:, 1],
        **ellipse(moments[_moments.VARIANCE_YY], moments[_moments.VARIANCE_XX], moments[_moments.COVARIANCE]),
    )
