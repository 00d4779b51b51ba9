"""What a micrograph and its map look like to a network: a few numbers, none of which exposure or gain changes."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Shaped, UInt8

from nanocensus.errors import ImageError
from nanocensus.segment.preparation.flatfield import standardise

_MOST_PIXELS = 2**21
"""Of one micrograph; of larger ones, bands of `_BAND` rows at equal distances are described."""
_BAND = 64
_CELL = 8
"""Side of the squares over which the image and its map are averaged before they are compared, px."""
_FEWEST_PIXELS = 200
"""Of particles; from fewer nothing is told about particles."""


@dataclass(frozen=True)
class Description:
    """What a micrograph and its probability map look like to a network; None where there is nothing to tell it from."""

    diameter_px: float | None
    """4/pi of the mean chord of the particles, rows and columns alike: the diameter of discs of one size, px."""
    coverage: float
    """Share of the pixels that are particle."""
    edge_px: float | None
    """Pixels with a probability of 0.1 to 0.9 by length of the particles' borders: the width of the map's edges, px. It
    grows where the network is undecided elsewhere too."""
    doubt: float | None
    """1 - the mean probability inside the particles."""
    contrast_to_noise: float | None
    """Background less particles (medians) by the background's scatter (1.48 median absolute deviations)."""
    noise: float
    """Scatter from pixel to pixel by the micrograph's standard deviation."""
    structure: float
    """Standard deviation of means over 8 x 8 pixels by the micrograph's: 1/8 for white noise."""
    unexplained: float
    """Of `structure`, what a straight line through the map's means leaves."""


def describe(image: Shaped[np.ndarray, "y x"], probability: UInt8[np.ndarray, "rows columns"]) -> Description:
    """Describe a micrograph and its map by a few numbers.

    They do not change with the exposure or gain of the camera.

    Parameters
    ----------
    image : (y, x) ndarray
        As recorded, before anything that is done to it for the network.
    probability : (y, x) ndarray of uint8
        Its map, 255 = surely particle.

    Returns
    -------
    Description

    Raises
    ------
    ImageError
        If the two differ in shape, or the image has values that are not finite.

    Examples
    --------
    >>> image, probability = np.full((64, 64), 9, np.uint8), np.zeros((64, 64), np.uint8)
    >>> image[16:48, 16:48], probability[16:48, 16:48] = 3, 255
    >>> found = describe(image, probability)
    >>> round(found.diameter_px, 1), found.coverage, found.doubt, round(found.unexplained, 3)
    (40.7, 0.25, 0.0, 0.0)
    """
    if image.shape != probability.shape:
        raise ImageError(
            "probability map",
            expected=f"the shape of its micrograph, {image.shape}",
            got=str(probability.shape),
            remedy="Give the map that was predicted from this micrograph.",
        )
    stated = _bands(probability)
    values = standardise(_bands(image).reshape(-1, image.shape[1])).reshape(stated.shape)
    inside = stated >= 128
    structure, unexplained = _structure(values, stated)
    return Description(
        coverage=float(inside.mean()),
        noise=_noise(values),
        structure=structure,
        unexplained=unexplained,
        **_particles(values, stated, inside),
    )


def _bands(pixels: Shaped[np.ndarray, "y x"]) -> Shaped[np.ndarray, "b h x"]:
    height, width = pixels.shape
    if pixels.size <= _MOST_PIXELS or height < 2 * _BAND:
        return pixels[None]
    step = math.ceil(pixels.size / _MOST_PIXELS)
    return pixels[: height // _BAND * _BAND].reshape(-1, _BAND, width)[::step]


def _particles(
    values: Float32[np.ndarray, "b h x"], stated: UInt8[np.ndarray, "b h x"], inside: Bool[np.ndarray, "b h x"]
) -> dict[str, float | None]:
    """Give what the map says of particles: nothing if there are hardly any, or nothing else."""
    count = int(np.count_nonzero(inside))
    down, across = inside[:, 1:] != inside[:, :-1], inside[:, :, 1:] != inside[:, :, :-1]
    bands, height, _ = inside.shape
    unseen = height / (height - 1) if bands > 1 else 1.0  # the borders between a band's last row and the next
    parted = unseen * int(np.count_nonzero(down)) + int(np.count_nonzero(across))
    if count < _FEWEST_PIXELS or inside.size - count < _FEWEST_PIXELS or parted == 0:
        return dict.fromkeys(("diameter_px", "edge_px", "doubt", "contrast_to_noise"))
    undecided = int(np.count_nonzero((stated >= 26) & (stated < 230)))
    background = values[~inside]
    contrast = float(np.median(background[::4]) - np.median(values[inside][::4]))
    return {
        "diameter_px": 4 / math.pi * count / (parted / 4),
        "edge_px": undecided / (math.pi / 4 * parted),
        "doubt": 1 - float(stated[inside].mean()) / 255,
        "contrast_to_noise": contrast / max(_scatter(background[::4]), 1e-6),
    }


def _scatter(values: Float32[np.ndarray, " n"]) -> float:
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _noise(values: Float32[np.ndarray, "b h x"]) -> float:
    """Measure the scatter by second differences over 2 x 2 pixels, which slopes and most edges leave alone."""
    _, height, width = values.shape
    even = values[:, : height // 2 * 2, : width // 2 * 2]
    differences = even[:, ::2, ::2] - even[:, ::2, 1::2] - even[:, 1::2, ::2] + even[:, 1::2, 1::2]
    return _scatter(differences.ravel()) / 2 if differences.size else 0.0


def _structure(values: Float32[np.ndarray, "b h x"], stated: UInt8[np.ndarray, "b h x"]) -> tuple[float, float]:
    image, probability = (_cell_means(part) for part in (values, stated))
    if image.size < 2:
        return 0.0, 0.0
    spread, said = float(image.std()), float(probability.std())
    if spread == 0 or said == 0:
        return spread, spread
    together = float(np.mean((image - image.mean()) * (probability - probability.mean()))) / (spread * said)
    return spread, spread * math.sqrt(max(1 - together**2, 0.0))


def _cell_means(pixels: Shaped[np.ndarray, "b h x"]) -> Shaped[np.ndarray, " n"]:
    bands, height, width = pixels.shape
    rows, columns = height // _CELL, width // _CELL
    cells = pixels[:, : rows * _CELL, : columns * _CELL].reshape(bands, rows, _CELL, columns * _CELL)
    means: np.ndarray = cells.sum(axis=2, dtype=np.float32).reshape(-1, _CELL).sum(axis=1, dtype=np.float64) / _CELL**2
    return means
