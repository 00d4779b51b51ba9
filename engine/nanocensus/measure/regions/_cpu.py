"""Outline properties of all labels of a micrograph, on one thread of the host.

Threads are for micrographs: the kernels let go of the GIL, and splitting one micrograph among threads costs more than
it gives.
"""

import logging

import numpy as np
from jaxtyping import Int32, UInt8

from nanocensus.measure.regions import _contour, _edge, _gap, _polygon, _radial
from nanocensus.measure.regions._harmonics import shape_of
from nanocensus.measure.regions._properties import Extents, Outlines, OutlineShape, Regions, ellipse
from nanocensus.measure.regions._runs import Runs

logger = logging.getLogger(__name__)

_NO_MAP, _NO_LABELS = np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.int32)

OTHER_PROBABILITIES = (0.4, 0.6)
"""At which the area is measured too: how much it hangs on the threshold."""


def trace_outlines(
    labels: Int32[np.ndarray, "y x"] | None,
    probability: UInt8[np.ndarray, "y x"] | None,
    level: float,
    extents: Extents,
    *,
    smooth: bool = True,
    components: Runs | None = None,
) -> tuple[Regions, Outlines]:
    """Trace the outer contour of each label, and measure it.

    Parameters
    ----------
    labels : int32 (y, x) or None
        None where `components` are given.
    probability : uint8 (y, x) or None
        Without a map a label's own mask, smoothed by a Gaussian of 1 px, takes its place. A label that this would
        erase or cut (a few pixels, a neck of one) keeps the contour of its bare pixels.
    level : float
        Value of the map at the edge of a particle, 0 to 255.
    extents : Extents
        Of the same labels.
    smooth : bool
        False: without a map the contour of the bare pixels is meant.
    components : Runs, optional
        If labels are the connected components of the map above the level: their runs, in whose place no label image is
        needed. The same result, sooner.

    Returns
    -------
    Regions
        In pixels.
    Outlines
    """
    without_map = _contour.FROM_SMOOTHED_PIXELS if smooth else _contour.FROM_PIXELS
    no_runs = np.empty(0, np.int32)
    runs = (no_runs, no_runs, no_runs, np.zeros(1, np.int64))
    if components is not None:
        runs = (components.row, components.start, components.stop, components.offset)
    points, values, stops, origins, hole_areas, counts, other_areas = _contour.trace(
        _NO_LABELS if labels is None else np.ascontiguousarray(labels),
        _NO_MAP if probability is None else np.ascontiguousarray(probability),
        level,
        without_map if probability is None else _contour.FROM_MAP,
        extents.label.astype(np.int64),
        extents.box.astype(np.int64),
        extents.pixel_count[: None if components is not None else 0].astype(np.int64),
        runs,
        np.array([outline_level(p) for p in OTHER_PROBABILITIES]),
    )
    _warn_of_pieces(extents.label[counts[:, 1] > 1])
    of = _polygon.describe(points, stops).T
    centres = np.stack([of[_polygon.CENTROID_Y], of[_polygon.CENTROID_X]], axis=1)
    radii, single_valued = _radial.radial_profiles(points, stops, centres)
    no_width = np.full(stops.size, np.nan)
    width = no_width if probability is None else _edge.edge_widths(points, values, stops)
    _polygon.place(points, stops, origins)
    shape = shape_of(radii, single_valued, of[_polygon.AREA])
    regions = Regions(
        area=of[_polygon.AREA],
        hole_area=hole_areas,
        perimeter=of[_polygon.PERIMETER],
        hull_area=of[_polygon.HULL_AREA],
        hull_perimeter=of[_polygon.HULL_PERIMETER],
        centroid_y=origins[:, 0] + of[_polygon.CENTROID_Y],
        centroid_x=origins[:, 1] + of[_polygon.CENTROID_X],
        feret_max=of[_polygon.FERET_MAX],
        feret_min=of[_polygon.FERET_MIN],
        **ellipse(of[_polygon.VARIANCE_YY], of[_polygon.VARIANCE_XX], of[_polygon.COVARIANCE]),
        feret_max_angle=of[_polygon.FERET_MAX_ANGLE],
        hole_count=counts[:, 0].astype(np.int32),
        box_area=of[_polygon.BOX_AREA],
        outline=OutlineShape(
            edge_width=width,
            area_p40=other_areas[:, 0],
            area_p60=other_areas[:, 1],
            gap=_gap.gaps(points, stops),
            psi=shape.psi,
            noise=shape.noise,
            concavity=shape.concavity,
            single_valued=single_valued,
        ),
    )
    return regions, Outlines(points=points, stops=stops, radii=radii)


def _warn_of_pieces(labels: Int32[np.ndarray, " n"]) -> None:
    if labels.size:
        named = ", ".join(map(str, labels[:5])) + (", ..." if labels.size > 5 else "")
        logger.warning(
            "%d labels are in several pieces (%s): the outline is that of the largest piece.", labels.size, named
        )


def outline_level(threshold: float) -> float:
    """Give the level of the uint8 map that a probability stands for.

    Rounded to a millionth of a step, so that a threshold a rounding away from 204 / 255 means 204 all the same, and
    no pixel of that value is inside by a hair; and below 255, so that the surest pixel is inside.
    """
    return min(round(_contour.SURE * threshold, 6), _contour.SURE - 1e-6)
