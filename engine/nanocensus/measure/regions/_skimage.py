"""Pixel-counting estimators: scikit-image's own numbers, computed by scikit-image."""

from typing import Literal

import numpy as np
from jaxtyping import Int32
from skimage.measure import perimeter, perimeter_crofton, regionprops

from nanocensus.measure.regions._cpu import label_extents, trace_outlines
from nanocensus.measure.regions._properties import Regions, orientation


def pixel_regions(labels: Int32[np.ndarray, "y x"], estimator: Literal["paper", "crofton"]) -> Regions:
    """Measure labels by their pixels.

    Area is the number of pixels, without holes; the hull is that of `convex_hull_image`; eccentricity and axes are
    those of `regionprops`. The perimeter, of the particle and of its hull image alike, is `perimeter` with 4
    neighbours ("paper") or `perimeter_crofton` with 4 directions ("crofton"). Feret diameters are those of the 0.5
    contour of the hull image, which for the largest is the definition of `feret_diameter_max`.

    Parameters
    ----------
    labels : int32 (y, x)
    estimator : {"paper", "crofton"}

    Returns
    -------
    Regions
        In ascending order of labels, in pixels.
    """
    # scikit-image publishes no types, and cannot take an image without pixels
    found = regionprops(labels) if labels.size else []  # type: ignore[no-untyped-call]
    rows = []
    for region in found:
        filled, hull = region.image, region.image_convex
        moments = region.moments_central
        rows.append(
            (
                region.area,
                region.area_filled - region.area,
                _perimeter(filled, estimator),
                region.area_convex,
                _perimeter(hull, estimator),
                *region.centroid,
                *_feret_diameters(hull),
                region.eccentricity,
                region.axis_major_length,
                region.axis_minor_length,
                moments[2, 0],
                moments[0, 2],
                moments[1, 1],
            )
        )
    columns = np.array(rows, np.float64).reshape(len(rows), 15).T
    return Regions(*np.vstack((columns[:12], orientation(*columns[12:]))))


def _perimeter(image: np.ndarray, estimator: Literal["paper", "crofton"]) -> float:
    if estimator == "paper":
        return float(perimeter(image, neighborhood=4))  # type: ignore[no-untyped-call]
    return float(perimeter_crofton(image, directions=4))  # type: ignore[no-untyped-call]


def _feret_diameters(hull: np.ndarray) -> tuple[float, float]:
    image = hull.astype(np.int32)
    regions, _ = trace_outlines(image, None, 0.5, label_extents(image, None), smooth=False)
    return float(regions.feret_max[0]), float(regions.feret_min[0])
