"""What is known of the regions of a label image, in pixels: one array a property, one entry a label."""

from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64


@dataclass(frozen=True)
class Extents:
    """Where labels are, whatever the estimator."""

    label: Int32[np.ndarray, " n"]
    """Values in the label image, ascending."""
    box: Int32[np.ndarray, "n 4"]
    """Top, left, bottom, right; the last two exclusive."""
    pixel_count: Int32[np.ndarray, " n"]
    mean_probability: Float64[np.ndarray, " n"] | None
    """From 0 to 1; None without a map."""
    min_probability: Float64[np.ndarray, " n"] | None
    """The least of its pixels, from 0 to 1; None without a map."""


@dataclass(frozen=True)
class Outlines:
    """Contours of labels, one after the other."""

    points: Float64[np.ndarray, "m 2"]
    """(y, x) in pixels, pixel centres at integers."""
    stops: Int64[np.ndarray, " n"]
    """Where each label's points end."""
    radii: Float64[np.ndarray, "n 128"]
    """r(theta), px, about the area centroid: angle i is 2 pi i / 128 from the x axis (columns) towards the y axis (rows);
    the outermost crossing where a ray meets several, 0 where it meets none."""


@dataclass(frozen=True)
class OutlineShape:
    """What outlines alone tell, NaN where it cannot be known; lengths in px, areas in px^2."""

    edge_width: Float64[np.ndarray, " n"]
    """From a probability of 0.1 to 0.9."""
    area_p40: Float64[np.ndarray, " n"]
    area_p60: Float64[np.ndarray, " n"]
    """Inside the contours at probabilities of 0.4 and 0.6."""
    gap: Float64[np.ndarray, " n"]
    """To the nearest other outline."""
    psi: Float64[np.ndarray, "n 7"]
    noise: Float64[np.ndarray, " n"]
    concavity: Float64[np.ndarray, " n"]
    single_valued: Bool[np.ndarray, " n"]
    """Whether each of 128 rays from the centroid meets the outline once."""


@dataclass(frozen=True)
class Regions:
    """What an estimator measures; lengths in px, areas in px^2."""

    area: Float64[np.ndarray, " n"]
    hole_area: Float64[np.ndarray, " n"]
    hole_count: Int32[np.ndarray, " n"]
    """Pieces of background that the particle encloses; background is not connected through corners."""
    perimeter: Float64[np.ndarray, " n"]
    hull_area: Float64[np.ndarray, " n"]
    hull_perimeter: Float64[np.ndarray, " n"]
    centroid_y: Float64[np.ndarray, " n"]
    """From the centre of the first row."""
    centroid_x: Float64[np.ndarray, " n"]
    feret_max: Float64[np.ndarray, " n"]
    feret_min: Float64[np.ndarray, " n"]
    eccentricity: Float64[np.ndarray, " n"]
    major_axis: Float64[np.ndarray, " n"]
    minor_axis: Float64[np.ndarray, " n"]
    orientation: Float64[np.ndarray, " n"]
    """Angle of the major axis from the x axis towards increasing y, in [-pi/2, pi/2]."""
    feret_max_angle: Float64[np.ndarray, " n"] | None = None
    """Likewise, of the largest Feret diameter; None where it is not known."""
    box_area: Float64[np.ndarray, " n"] | None = None
    """Of the smallest box along the axes that holds the outline; None where the box of the pixels is meant."""
    outline: OutlineShape | None = None
    """None where pixels were counted."""


class Ellipse(TypedDict):
    """The fields of `Regions` that second moments give."""

    eccentricity: Float64[np.ndarray, " n"]
    major_axis: Float64[np.ndarray, " n"]
    minor_axis: Float64[np.ndarray, " n"]
    orientation: Float64[np.ndarray, " n"]


def orientation(
    yy: Float64[np.ndarray, " n"], xx: Float64[np.ndarray, " n"], xy: Float64[np.ndarray, " n"]
) -> Float64[np.ndarray, " n"]:
    """Give the angle of the major axis from the x axis towards increasing y, rad, from variances and covariance."""
    return np.asarray(0.5 * np.arctan2(2.0 * xy, xx - yy), np.float64)


def ellipse(yy: Float64[np.ndarray, " n"], xx: Float64[np.ndarray, " n"], xy: Float64[np.ndarray, " n"]) -> Ellipse:
    """Give the ellipse of equal second moments: its axes are 4 times the principal standard deviations."""
    half_sum, half_difference = 0.5 * (yy + xx), np.hypot(0.5 * (yy - xx), xy)
    larger, smaller = half_sum + half_difference, np.maximum(half_sum - half_difference, 0.0)
    squared = np.divide(2.0 * half_difference, larger, out=np.zeros_like(larger), where=larger > 0.0)  # 0 for a point
    return Ellipse(
        eccentricity=np.sqrt(np.minimum(squared, 1.0)),
        major_axis=4.0 * np.sqrt(larger),
        minor_axis=4.0 * np.sqrt(smaller),
        orientation=orientation(yy, xx, xy),
    )
