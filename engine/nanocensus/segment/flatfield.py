"""From recorded values to what the network was trained on."""

import numpy as np
from jaxtyping import Float32, Shaped

from nanocensus.errors import ImageError

_RECORDED_EXACTLY = ("uint8", "int8", "uint16", "int16", "float32")
"""Types whose values float32 holds; micrographs of others are standardised on the host, in float64."""


def standardise(image: Shaped[np.ndarray, "y x"]) -> Float32[np.ndarray, "y x"]:
    """Shift and scale a micrograph to mean 0 and standard deviation 1.

    Statistics are those of the whole micrograph, so every tile of it is treated alike; exposure and gain of the
    camera cancel.

    Parameters
    ----------
    image : (y, x) ndarray
        A whole micrograph of integers or real numbers.

    Returns
    -------
    (y, x) ndarray of float32
        Zero everywhere for an image of one value.

    Raises
    ------
    ImageError
        If it is not two-dimensional, empty, not numbers, or has values that are not finite.

    Examples
    --------
    >>> standardise(np.array([[1, 3]], np.uint8))
    array([[-1.,  1.]], dtype=float32)
    """
    parse_micrograph(image)
    mean = float(image.mean(dtype=np.float64))
    if not np.isfinite(mean):
        raise not_finite(image)
    centred = np.empty(image.shape, np.float32)
    if image.min() == image.max():
        centred.fill(0.0)
        return centred
    # Computed in float64 through numpy's small buffers: a float64 copy of the micrograph would double the peak memory.
    np.subtract(image, mean, out=centred, dtype=np.float64, casting="unsafe")
    centred /= np.sqrt(np.mean(np.square(centred), dtype=np.float64)).astype(np.float32)
    return centred


def parse_micrograph(image: Shaped[np.ndarray, "..."]) -> None:
    """Check that an array can be a micrograph.

    Raises
    ------
    ImageError
        If it is not two-dimensional, empty, or not numbers.
    """
    if image.ndim != 2 or image.size == 0 or image.dtype.kind not in "uif":
        raise ImageError(
            "micrograph",
            expected="rows and columns of integers or real numbers",
            got=f"{image.dtype} of shape {image.shape}",
            remedy="Give one channel of intensities.",
        )


def not_finite(image: Shaped[np.ndarray, "y x"]) -> ImageError:
    """Make the error that says how many pixels are not finite, and what to do."""
    return ImageError(
        "micrograph",
        expected="finite values",
        got=f"{int(np.count_nonzero(~np.isfinite(image)))} pixels that are infinite or not a number",
        remedy="Replace dead pixels before segmenting, for example by the median of their neighbours.",
    )


def as_transported(image: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "y x"]:
    """Check a micrograph, and give it as it travels to the device: as recorded where float32 holds that exactly.

    Raises
    ------
    ImageError
        If it is not a micrograph, or has values that are not finite.
    """
    parse_micrograph(image)
    if image.dtype.kind == "f" and not np.isfinite(image.mean(dtype=np.float64)):
        raise not_finite(image)
    if image.dtype.name not in _RECORDED_EXACTLY:
        return standardise(image)
    return np.ascontiguousarray(image, image.dtype.newbyteorder("="))
