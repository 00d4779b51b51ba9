"""From what an estimator measured in pixels to the columns of the particle table, in nanometres."""

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float64, Int32

from nanocensus.measure.regions._harmonics import HARMONICS
from nanocensus.measure.regions._properties import Extents, OutlineShape, Regions
from nanocensus.measure.siblings import Disagreement
from nanocensus.schema import LARGEST_WEIGHT, PARTICLES

Values = Float64[np.ndarray, " n"]

SMALLEST_DIAMETER_PX = 20.0
"""Of the disc of equal area: below it the circularity of a square is off by 0.08 and more, whatever the estimator."""

PSI_COLUMNS = tuple(f"psi_{harmonic}" for harmonic in HARMONICS)


def columns_of(extents: Extents, regions: Regions, shape: tuple[int, int], pixel_size_nm: float) -> dict[str, object]:
    """Give the columns of the particle table that pixels tell, by name.

    Parameters
    ----------
    extents : Extents
        Where the particles of a micrograph lie.
    regions : Regions
        What an estimator measured of them, in pixels.
    shape : (int, int)
        Rows and columns of the micrograph.
    pixel_size_nm : float
        Side of a pixel, nm.
    """
    return (
        _placed(extents, *shape)
        | _in_nanometres(regions, pixel_size_nm)
        | _ratios(regions, extents)
        | _of_outlines(regions.outline, extents.label.size, pixel_size_nm)
    )


def columns_of_siblings(found: Disagreement | None, n: int, pixel_size_nm: float) -> dict[str, object]:
    """Give the columns that need the maps of sibling networks; null without."""
    if found is None:
        return dict.fromkeys(("edge_length_sibling_sd_nm", "sibling_share"), pa.nulls(n))
    deviation = found.edge_length_sd_px * pixel_size_nm
    return {
        "edge_length_sibling_sd_nm": pa.array(deviation, mask=np.isnan(deviation)),
        "sibling_share": found.share,
    }


def _placed(extents: Extents, height: int, width: int) -> dict[str, object]:
    """Give the columns that say where particles lie, and how many pixels they have."""
    top, left, bottom, right = extents.box.T
    touching = (top == 0) | (left == 0) | (bottom == height) | (right == width)
    weight = border_weight(bottom - top, right - left, touching, height, width)
    n = extents.label.size
    unknown = pa.nulls(n, pa.float64())
    return {
        "label": extents.label,
        "bbox_top_px": top,
        "bbox_left_px": left,
        "bbox_bottom_px": bottom,
        "bbox_right_px": right,
        "pixel_count": extents.pixel_count,
        "mean_probability": unknown if extents.mean_probability is None else extents.mean_probability,
        "min_probability": unknown if extents.min_probability is None else extents.min_probability,
        "touches_border": touching,
        "border_weight": pa.array(weight, mask=touching),
    }


def border_weight(
    height_px: Int32[np.ndarray, " n"],
    width_px: Int32[np.ndarray, " n"],
    touching: Bool[np.ndarray, " n"],
    image_height: int,
    image_width: int,
) -> Values:
    """Give the Miles-Lantuejoul weight of particles: 1 / chance of one of that size to lie wholly inside.

    With Z the sides of the micrograph and F those of the bounding box it is Z1 Z2 / ((Z1 - F1)(Z2 - F2)). Particles
    on the border get 1, as a place-holder: they have no weight. A particle nearly as large as the micrograph would stand
    for hundreds; it counts for 64 at most, as one of that size cannot speak for so many.
    """
    room_y = np.where(touching, image_height, image_height - height_px.astype(np.float64))
    room_x = np.where(touching, image_width, image_width - width_px.astype(np.float64))
    weight = image_height * image_width / (room_y * room_x)
    return np.minimum(weight, LARGEST_WEIGHT).astype(np.float64)


def _in_nanometres(regions: Regions, pixel_size_nm: float) -> dict[str, object]:
    """Give the columns with a length or an area in them, and what goes with them."""
    area = regions.area * pixel_size_nm**2
    unknown = pa.nulls(area.size)
    return {
        "centroid_y_nm": (regions.centroid_y + 0.5) * pixel_size_nm,
        "centroid_x_nm": (regions.centroid_x + 0.5) * pixel_size_nm,
        "area_nm2": area,
        "hole_area_nm2": regions.hole_area * pixel_size_nm**2,
        "hole_count": regions.hole_count,
        "perimeter_nm": regions.perimeter * pixel_size_nm,
        "hull_area_nm2": regions.hull_area * pixel_size_nm**2,
        "hull_perimeter_nm": regions.hull_perimeter * pixel_size_nm,
        "edge_length_nm": np.sqrt(area),
        "equivalent_diameter_nm": np.sqrt(4.0 * area / np.pi),
        "major_axis_nm": regions.major_axis * pixel_size_nm,
        "minor_axis_nm": regions.minor_axis * pixel_size_nm,
        "orientation_rad": regions.orientation,
        "feret_max_nm": regions.feret_max * pixel_size_nm,
        "feret_max_angle_rad": unknown if regions.feret_max_angle is None else regions.feret_max_angle,
        "feret_min_nm": regions.feret_min * pixel_size_nm,
        "too_small": regions.area < np.pi / 4.0 * SMALLEST_DIAMETER_PX**2,
    }


def _of_outlines(shape: OutlineShape | None, n: int, pixel_size_nm: float) -> dict[str, object]:
    """Give the columns that only outlines have; null where pixels were counted, or where it cannot be known."""
    names = [
        "edge_width_nm", "area_p40_nm2", "area_p60_nm2", "gap_nm", *PSI_COLUMNS, "outline_noise_nm", "concavity",
        "star_shaped",
    ]  # fmt: skip
    if shape is None:
        return dict.fromkeys(names, pa.nulls(n))
    hollow = PARTICLES["concavity"]
    values: list[Values] = [
        shape.edge_width * pixel_size_nm,
        shape.area_p40 * pixel_size_nm**2,
        shape.area_p60 * pixel_size_nm**2,
        shape.gap * pixel_size_nm,
        *shape.psi.T,
        shape.noise * pixel_size_nm,
        np.clip(shape.concavity, hollow.minimum, hollow.maximum),
    ]
    known = [pa.array(column, mask=np.isnan(column)) for column in values]
    return dict(zip(names, [*known, shape.single_valued], strict=True))


def _ratios(regions: Regions, extents: Extents) -> dict[str, object]:
    """Give the columns without a unit (ISO 9276-6), from px: they do not depend on the pixel size."""
    circularity = _ratio("circularity", 4.0 * np.pi * regions.area, regions.perimeter**2)
    roundness = _ratio("roundness", 4.0 * regions.area, np.pi * regions.feret_max**2)
    top, left, bottom, right = extents.box.T.astype(np.float64)
    box_area = (bottom - top) * (right - left) if regions.box_area is None else regions.box_area
    return {
        "circularity": circularity,
        "iso_circularity": np.sqrt(circularity),
        "solidity": _ratio("solidity", regions.area, regions.hull_area),
        "convexity": _ratio("convexity", regions.hull_perimeter, regions.perimeter),
        "eccentricity": regions.eccentricity,
        "aspect_ratio": _ratio("aspect_ratio", regions.feret_min, regions.feret_max),
        "roundness": roundness,
        "compactness": np.sqrt(roundness),
        "extent": _ratio("extent", regions.area, box_area),
    }


def _ratio(column: str, numerator: Values, denominator: Values) -> Values:
    """Divide, up to the largest value that a column declares.

    Exists because scikit-image's 4-neighbour perimeter of one or two pixels is 0, and of a few far too short. A
    particle without a perimeter whose hull has none either is its own hull: 1.
    """
    largest = PARTICLES[column].maximum or np.inf
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.minimum(numerator / denominator, largest)
    return np.asarray(np.where(np.isnan(ratio), 1.0, ratio), np.float64)
