"""Smaller copies of an image for viewers, each half as wide as the one before; nothing is measured on them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Shaped

SMALLEST = 512
"""Side, px, that the last copy is not above."""
_BAND = 64
"""Rows that are halved at a time, so that they stay in the processor's cache."""


def copies(pixels: Shaped[np.ndarray, "y x"], *, labels: bool) -> Iterator[Shaped[np.ndarray, "h w"]]:
    """Give the copies of an image, the largest first; none of one that is small already.

    A pixel of a copy is the mean of four, rounded for whole numbers. Of labels, of which there is no mean, it is the upper left
    of four. An odd row or column at the end is left out.

    Parameters
    ----------
    pixels : (y, x) ndarray
    labels : bool
        Whether they name particles.

    Examples
    --------
    >>> [copy.shape for copy in copies(np.zeros((1100, 2049), np.uint8), labels=False)]
    [(550, 1024), (275, 512)]
    """
    while max(pixels.shape) > SMALLEST and min(pixels.shape) > 1:
        height, width = (length // 2 * 2 for length in pixels.shape)
        whole = pixels[:height, :width]
        pixels = np.ascontiguousarray(whole[::2, ::2]) if labels else _means(whole)
        yield pixels


def _means(pixels: Shaped[np.ndarray, "y x"]) -> Shaped[np.ndarray, "h w"]:
    means = np.empty((pixels.shape[0] // 2, pixels.shape[1] // 2), pixels.dtype)
    for start in range(0, len(pixels), _BAND):
        band = pixels[start : start + _BAND]
        means[start // 2 : start // 2 + len(band) // 2] = (
            _means_of_floats(band) if band.dtype.kind == "f" else _rounded(band)
        )
    return means


def _rounded(band: np.ndarray) -> np.ndarray:
    wide: Any = {1: np.int16, 2: np.int32}.get(band.dtype.itemsize, np.int64)
    rows = np.add(band[0::2], band[1::2], dtype=wide)
    return np.asarray((rows[:, 0::2] + rows[:, 1::2] + 2) >> 2)


def _means_of_floats(band: np.ndarray) -> np.ndarray:
    quarters = band * band.dtype.type(0.25)  # before they are added: four of the largest would be infinite
    rows = quarters[0::2] + quarters[1::2]
    return np.asarray(rows[:, 0::2] + rows[:, 1::2])


def transformations(pixel_size_nm: float, level: int, *, labels: bool) -> list[dict[str, Any]]:
    """Give where the pixels of a copy lie, nm: its centres, as those of the whole image lie at whole numbers of pixels.

    The mean of pixels 0 and 1 lies between their centres; the pixel that was picked of them stays where it was.

    Examples
    --------
    >>> transformations(0.1, 2, labels=False)
    [{'type': 'scale', 'scale': [0.4, 0.4]}, {'type': 'translation', 'translation': [0.15000000000000002, 0.15000000000000002]}]
    """
    scale = pixel_size_nm * 2**level
    made: list[dict[str, Any]] = [{"type": "scale", "scale": [scale, scale]}]
    if level and not labels:
        shift = pixel_size_nm * ((2**level - 1) / 2)
        made.append({"type": "translation", "translation": [shift, shift]})
    return made
