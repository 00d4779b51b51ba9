"""Micrographs at the magnification that a network was trained at, and its map back on their own pixels."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Float32, Shaped, UInt8
from scipy import ndimage

from nanocensus.errors import ImageError, ModelError
from nanocensus.segment.prediction.description import describe
from nanocensus.segment.prediction.domain import Domain
from nanocensus.segment.preparation.flatfield import extremes, parse_micrograph

LARGEST_CHANGE = 4.0
"""Factor beyond which a micrograph is refused: what was measured (docs/explanation/trust.md) ends there."""

Resample = Literal["pixel size", "particles"]
Predict = Callable[[np.ndarray], np.ndarray]


def predict_resampled(
    predict: Predict,
    image: Shaped[np.ndarray, "y x"],
    domain: Domain | None,
    *,
    by: Resample,
    pixel_size_nm: float | None = None,
) -> UInt8[np.ndarray, "y x"]:
    """Predict a micrograph at the nearest magnification that the network was trained at.

    By its pixel size, in both directions. By its particles, only where they are too small: their mean diameter is taken
    from a first map, which tells that of too large ones wrong.

    Parameters
    ----------
    predict : callable
        From (y, x) micrograph to (y, x) uint8 map, as it is.
    image : (y, x) ndarray
        As recorded.
    domain : Domain or None
        What the network was trained on.
    by : {"pixel size", "particles"}
    pixel_size_nm : float, optional
        Of the micrograph, nm.

    Returns
    -------
    (y, x) ndarray of uint8
        On the recorded pixels.

    Raises
    ------
    ImageError
        If the image is not a micrograph, has values that are not finite, or would have to change by more than `LARGEST_CHANGE`.
    ModelError
        If the domain does not say what is needed.
    """
    parse_micrograph(image)
    extremes(image)  # resampled, a pixel that is no number would make many
    if domain is None or (by == "pixel size" and domain.pixel_size_nm is None):
        card = "says what it was trained on" if domain is None else "states the pixel sizes that it was trained at"
        raise ModelError(
            f"resampling by {by}",
            expected=f"a network whose model card {card}",
            got="one without it",
            remedy="Leave resample out, or train a network on micrographs whose pixel sizes are known.",
        )
    if by == "pixel size" and domain.pixel_size_nm is not None:
        if pixel_size_nm is None or not pixel_size_nm > 0:
            remedy = "Give pixel_size_nm, or leave resample out."
            raise ImageError("resampling by pixel size", expected="one in nm", got=str(pixel_size_nm), remedy=remedy)
        low, high = domain.pixel_size_nm
        return _at(predict, image, 1 / _change(pixel_size_nm, low, high, "pixel size", "nm"))
    first = predict(image)
    diameter = describe(image, first).diameter_px
    low, _, high = domain.ranges["diameter_px"]
    if diameter is None or diameter >= low:
        return first
    return _at(predict, image, _change(diameter, low, high, "particles", "px across"))


def _change(value: float, low: float, high: float, subject: str, unit: str) -> float:
    """Give the factor that brings a value to the nearest end of a range."""
    factor = min(max(value, low), high) / value
    if not 1 / LARGEST_CHANGE <= factor <= LARGEST_CHANGE:
        raise ImageError(
            subject,
            expected=f"{low / LARGEST_CHANGE:.4g} to {high * LARGEST_CHANGE:.4g} {unit}: at most {LARGEST_CHANGE:g} times "
            f"off what the network was trained on ({low:.4g} to {high:.4g})",
            got=f"{value:.4g} {unit}",
            remedy="Take micrographs at another magnification, or train a network on such as these.",
        )
    return factor


def _at(predict: Predict, image: Shaped[np.ndarray, "y x"], magnification: float) -> UInt8[np.ndarray, "y x"]:
    height, width = image.shape
    shape = max(1, round(height * magnification)), max(1, round(width * magnification))
    if shape == (height, width):
        return predict(image)
    found = resampled(predict(resampled(image, shape)), (height, width))
    rounded: np.ndarray = np.rint(np.clip(found, 0, 255)).astype(np.uint8)
    return rounded


def resampled(image: Shaped[np.ndarray, "y x"], shape: tuple[int, int]) -> Float32[np.ndarray, "h w"]:
    """Resample the same field to other pixels: means over their areas where they are larger, cubic splines where smaller.

    Examples
    --------
    >>> resampled(np.array([[1.0, 3.0, 8.0]]), (1, 2))
    array([[1.6666666, 6.3333335]], dtype=float32)
    """
    found = np.asarray(image, np.float32)
    for axis, count in enumerate(shape):
        if count < found.shape[axis]:
            found = _averaged(found, axis, count)
    zoom = [count / side for count, side in zip(shape, found.shape, strict=True)]
    if found.shape != shape:
        found = np.asarray(ndimage.zoom(found, zoom, order=3, mode="grid-mirror", grid_mode=True))
    return found


def _averaged(image: Float32[np.ndarray, "y x"], axis: int, count: int) -> Float32[np.ndarray, "h w"]:
    """Average over equal stretches of an axis, each pixel by its share of them."""
    lines = np.moveaxis(image, axis, 0)
    edges = np.linspace(0, len(lines), count + 1)
    whole = np.minimum(edges.astype(np.int64), len(lines) - 1)
    sums = np.zeros((len(lines), lines.shape[1]))  # of the lines before each
    np.cumsum(lines[:-1], axis=0, out=sums[1:], dtype=np.float64)
    before = sums[whole] + (edges - whole)[:, None] * lines[whole]
    means = np.diff(before, axis=0) * (count / len(lines))
    averaged: np.ndarray = np.moveaxis(means, 0, axis).astype(np.float32)
    return averaged
