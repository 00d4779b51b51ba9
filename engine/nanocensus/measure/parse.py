"""The door of the room: what users hand over becomes a checked map, label image, pixel size and estimator."""

import logging
from typing import Any, cast, get_args

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Int32, UInt8

from nanocensus.errors import ImageError, InputError, did_you_mean
from nanocensus.schema import Estimator
from nanocensus.units import PixelSize

logger = logging.getLogger(__name__)


def parse_probability(probability: npt.ArrayLike) -> UInt8[np.ndarray, "y x"]:
    """Check a probability map; floats from 0 to 1 become steps of 1/255.

    Raises
    ------
    ImageError
        If it is not two-dimensional, not uint8 or float, or has values outside 0 to 1, or that are no numbers.
    """
    values = _two_dimensional("probability", probability)
    if values.dtype == np.uint8:
        if values.size and values.max() == 1:
            logger.warning("The probability map has no value above 1 of 255; a 0/1 mask belongs in `labels`.")
        return values
    if values.dtype.kind != "f":
        raise ImageError(
            "probability",
            expected="uint8 (255 = surely particle), or floats from 0 to 1",
            got=str(values.dtype),
            remedy="Give a mask or a label image as `labels` (`label_particles` numbers a mask); divide a map of other "
            "integers by the value that stands for certainty, 65535 for one that fills uint16.",
        )
    steps = _steps_of_255(values)
    logger.info("A probability map of floats was rounded to steps of 1/255.")
    return steps


_ROWS_AT_ONCE = 32
"""Of a map of floats: few enough to stay in a processor's cache from one operation to the next."""


def _steps_of_255(values: npt.NDArray[np.floating]) -> UInt8[np.ndarray, "y x"]:
    """Round floats from 0 to 1 to steps of 1/255, in single precision at least."""
    steps = np.empty(values.shape, np.uint8)
    for first in range(0, values.shape[0], _ROWS_AT_ONCE):
        rows = values[first : first + _ROWS_AT_ONCE]
        if rows.size and not (rows.min() >= 0.0 and rows.max() <= 1.0):  # NaN fails this too
            raise _not_from_0_to_1(values)
        steps[first : first + _ROWS_AT_ONCE] = np.rint(rows * np.float32(255.0))
    return steps


def _not_from_0_to_1(values: npt.NDArray[np.floating]) -> ImageError:
    missing = int(np.isnan(values).sum())
    if missing:
        return ImageError(
            "probability",
            expected="floats from 0 to 1",
            got=f"NaN in {missing} of {values.size} pixels",
            remedy="Give 0 where there is surely no particle, or crop the map; NaN says neither.",
        )
    return ImageError(
        "probability",
        expected="floats from 0 to 1",
        got=f"values from {values.min():g} to {values.max():g}",
        remedy="Apply the network's sigmoid, or divide by the largest possible value.",
    )


def parse_mask(mask: npt.ArrayLike) -> Bool[np.ndarray, "y x"]:
    """Check a mask: particle where it is not zero.

    Raises
    ------
    ImageError
        If it is not two-dimensional.
    """
    return _two_dimensional("mask", mask).astype(np.bool_, copy=False)


def parse_labels(labels: npt.ArrayLike) -> Int32[np.ndarray, "y x"]:
    """Check a label image.

    Raises
    ------
    ImageError
        If it is not two-dimensional, not of integers, or has labels below 0 or above the number of pixels.
    """
    values = _two_dimensional("labels", labels)
    if values.dtype.kind not in "iu":
        raise ImageError(
            "labels",
            expected="integers, 0 for background",
            got=str(values.dtype),
            remedy="Number a boolean mask with `label_particles`; round labels stored as floats with astype(int).",
        )
    largest_allowed = min(values.size, np.iinfo(np.int32).max)
    if values.size and (values.min() < 0 or values.max() > largest_allowed):
        raise ImageError(
            "labels",
            expected=f"0 to {largest_allowed} (at most one label a pixel)",
            got=f"{values.min()} to {values.max()}",
            remedy="Renumber them from 1, with skimage.segmentation.relabel_sequential for instance.",
        )
    return values.astype(np.int32, copy=False)


def parse_same_shape(probability: npt.NDArray[np.uint8], labels: npt.NDArray[np.int32]) -> None:
    """Check that map and labels are of the same micrograph.

    Raises
    ------
    ImageError
        If their shapes differ.
    """
    if probability.shape != labels.shape:
        raise ImageError(
            "labels",
            expected=f"the shape of the probability map, {probability.shape}",
            got=str(labels.shape),
            remedy="Give the map and the labels of the same micrograph, neither cropped nor scaled.",
        )


def parse_pixel_size(pixel_size_nm: float) -> float:
    """Check a pixel size.

    Raises
    ------
    CalibrationError
        If it is not a length between 0.001 and 1000 nm.
    """
    side = _number("pixel_size_nm", pixel_size_nm)
    return PixelSize(side, side, "given").square_nm()


def parse_threshold(threshold: float) -> float:
    """Check the probability at the edge of particles.

    Raises
    ------
    InputError
        If it does not lie between 0 and 1.
    """
    value = _number("threshold", threshold)
    if not 0.0 < value < 1.0:
        raise InputError(
            "threshold",
            expected="a probability between 0 and 1, neither included",
            got=f"{value:g}",
            remedy="0.5 is the edge on which networks are trained; divide a value of the uint8 map by 255.",
        )
    return value


def parse_estimator(estimator: str) -> Estimator:
    """Check the name of an estimator.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    known = get_args(Estimator)
    if estimator not in known:
        raise InputError(
            "estimator",
            expected="one of " + ", ".join(known),
            got=repr(estimator),
            remedy=did_you_mean(str(estimator), known) or "Use 'outline'; 'paper' is scikit-image's numbers.",
        )
    return cast(Estimator, estimator)


def _two_dimensional(subject: str, given: npt.ArrayLike) -> npt.NDArray[Any]:
    values = np.asarray(given)
    if values.ndim != 2:
        raise ImageError(
            subject,
            expected="a 2-D array (y, x)",
            got=f"{values.ndim}-D" + (f" of shape {values.shape}" if values.ndim else ""),
            remedy="Give one micrograph at a time, without channels.",
        )
    return values


def _number(subject: str, given: float) -> float:
    try:
        return float(given)
    except (TypeError, ValueError):
        raise InputError(
            subject, expected="a number", got=repr(given), remedy="Give it as a plain number, without a unit."
        ) from None
