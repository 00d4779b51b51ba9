"""From recorded values to what the network was trained on."""

import functools
import logging
from collections.abc import Callable
from types import ModuleType
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float32, Num, Shaped

from nanocensus.errors import ImageError
from nanocensus.segment.preparation.background import Loss, fit_background, surface_factors
from nanocensus.segment.preparation.hot_pixels import replace_hot_pixels

_log = logging.getLogger(__name__)

Contrast = Literal["dark", "bright"]
"""What particles are against their surroundings."""

RECORDED_EXACTLY = ("uint8", "int8", "uint16", "int16", "float32")
"""Types whose values float32 holds; micrographs of others are standardised on the host, in float64."""

_ORDINARY = (1e-20, 1e20)
"""Whose sums float32 holds."""
_STRIP_ROWS = 64
"""Rows that are divided at once on the host: their background stays in the cache."""


def flatten(
    image: Num[Any, "y x"], *, contrast: Contrast = "dark", loss: Loss = "one-sided", quiet: bool = False
) -> Float32[Any, "y x"]:
    """Replace hot pixels, and divide a micrograph by its background.

    A background that cannot be light (see `background.LEAST_LIGHT`), as where values were shifted after the camera or a
    support fills half of the micrograph, is not divided by: the log says so, and hot pixels are all that changes.

    Parameters
    ----------
    image : (y, x) array
        A whole micrograph of numpy or JAX, in which no light is recorded as zero; JAX compiles it once a shape and type.
    contrast : {"dark", "bright"}
        What particles are against the background.
    loss : {"one-sided", "paper"}
        How the background is told from particles; see `background.fit_background`.
    quiet : bool
        Whether the log says nothing, as where scenes are drawn for a training.

    Returns
    -------
    (y, x) array of float32
        About 1 where there is only background, of the same library.

    Raises
    ------
    ImageError
        If it is no micrograph or has values that are not finite.

    Examples
    --------
    >>> light = np.linspace(100, 200, 64) * np.ones((64, 1))
    >>> abs(flatten(light) - 1).max() < 1e-5
    np.True_
    """
    if isinstance(image, np.ndarray):
        flat, is_light = _flattened(np, as_transported(image, keep_level=True), contrast, loss)
    else:
        flat, is_light, finite = _compiled()(image, contrast, loss)
        if not finite:
            raise not_finite(np.asarray(image))
    if not (is_light or quiet):
        _log.warning(
            "the background of a micrograph of %d x %d px is no light that it could be divided by: not flattened",
            *image.shape,
        )
    return flat


def unevenness(image: Num[np.ndarray, "y x"], *, contrast: Contrast = "dark") -> float:
    """Give the share by which the background of a micrograph is darker at its darkest than at its brightest.

    Returns
    -------
    float
        0 for even light; 0 too where the background cannot be light.
    """
    clean = replace_hot_pixels(np, as_transported(image, keep_level=True))
    found = fit_background(np, clean, particles=contrast, loss="one-sided")
    rows, columns = surface_factors(np, found.coefficients, (64, 64))
    surface = rows @ columns
    return float(1 - surface.min() / surface.max())


def _flattened(
    xp: ModuleType, image: Num[Any, "y x"], contrast: Contrast, loss: Loss
) -> tuple[Float32[Any, "y x"], Bool[Any, ""]]:
    clean = replace_hot_pixels(xp, image)
    coefficients, is_light = fit_background(xp, clean, particles=contrast, loss=loss)
    rows, columns = surface_factors(xp, coefficients, image.shape)
    if xp is not np:
        return clean / (rows @ columns), is_light
    flat = np.empty(image.shape, np.float32)
    for top in range(0, len(flat), _STRIP_ROWS):
        strip = slice(top, top + _STRIP_ROWS)
        np.divide(clean[strip], rows[strip] @ columns, out=flat[strip])
    return flat, is_light


@functools.cache
def _compiled() -> Callable[..., tuple[Float32[Any, "y x"], Bool[Any, ""], Bool[Any, ""]]]:
    import jax
    import jax.numpy as jnp

    def flattened(
        image: Num[Any, "y x"], contrast: Contrast, loss: Loss
    ) -> tuple[Float32[Any, "y x"], Bool[Any, ""], Bool[Any, ""]]:
        with jax.default_matmul_precision("highest"):  # a GPU's own choice keeps three digits
            return *_flattened(jnp, image, contrast, loss), jnp.isfinite(image).all()

    return jax.jit(flattened, static_argnums=(1, 2))


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
    low, high = extremes(image)
    centred = np.empty(image.shape, np.float32)
    if low == high:
        centred.fill(0.0)
        return centred
    largest = max(abs(float(low)), abs(float(high)))
    if not _ORDINARY[0] < largest < _ORDINARY[1]:
        image = image / largest
    mean = float(image.mean(dtype=np.float64))
    # Computed in float64 through numpy's small buffers: a float64 copy of the micrograph would double the peak memory.
    np.subtract(image, mean, out=centred, dtype=np.float64, casting="unsafe")
    centred /= np.sqrt(np.mean(np.square(centred), dtype=np.float64)).astype(np.float32)
    return centred


def parse_micrograph(image: Shaped[Any, "..."]) -> None:
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


def extremes(image: Shaped[np.ndarray, "y x"]) -> tuple[np.generic, np.generic]:
    """Give the least and the largest value of a micrograph.

    Raises
    ------
    ImageError
        If there are values that are not finite.
    """
    low, high = image.min(), image.max()  # of values that are not a number, none is either
    if not (np.isfinite(low) and np.isfinite(high)):
        raise not_finite(image)
    return low, high


def not_finite(image: Shaped[np.ndarray, "y x"]) -> ImageError:
    """Make the error that says how many pixels are not finite, and what to do."""
    return ImageError(
        "micrograph",
        expected="finite values",
        got=f"{int(np.count_nonzero(~np.isfinite(image)))} pixels that are infinite or not a number",
        remedy="Replace dead pixels before segmenting, for example by the median of their neighbours.",
    )


def as_transported(image: Shaped[np.ndarray, "..."], *, keep_level: bool = False) -> Shaped[np.ndarray, "y x"]:
    """Check a micrograph, and give it as it travels to the device: as recorded where float32 holds that exactly.

    Parameters
    ----------
    image : (y, x) ndarray
    keep_level : bool
        Whether values that float32 does not hold are only rounded (and scaled if they are huge or tiny) and not
        shifted: for those who will flatten them.

    Raises
    ------
    ImageError
        If it is not a micrograph, or has values that are not finite.
    """
    parse_micrograph(image)
    low, high = extremes(image)
    if image.dtype.name in RECORDED_EXACTLY:
        return np.ascontiguousarray(image, image.dtype.newbyteorder("="))
    if not keep_level:
        return standardise(image)
    largest = max(abs(float(low)), abs(float(high)))
    scaled = np.empty(image.shape, np.float32)
    ordinary = largest == 0 or _ORDINARY[0] < largest < _ORDINARY[1]
    np.divide(image, 1.0 if ordinary else largest, out=scaled, dtype=np.float64, casting="unsafe")
    return scaled
