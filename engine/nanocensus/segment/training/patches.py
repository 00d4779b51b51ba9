"""Random patches to train on: pixels of a micrograph and the area fraction of particle in each.

A patch is the same whatever was drawn before it: it follows from the seed and its own number.
"""

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Shaped
from scipy import ndimage

from nanocensus.segment.preparation.flatfield import standardise

EDGE_SIGMA_PX = 0.7
"""A drawn mask has stairs where the particle has an outline. Smoothing by less than a pixel turns it into something
like area fractions: the contour at one half stays on the outline, and the edge is as soft as a pixel is wide."""

UNWARPED_SHARE = 1 / 3
"""Share of the patches that are only mirrored and turned by right angles, so that their noise is as recorded."""
LARGEST_MAGNIFICATION = 1.4
"""Particles are shown between 1 / 1.4 and 1.4 times their size."""
LARGEST_ROTATION_DEG = 20.0
LARGEST_GAMMA = 1.4
LARGEST_GAIN = 1.25
LARGEST_OFFSET = 0.25
LARGEST_NOISE = 0.3
"""Offset and noise are in standard deviations of the micrograph."""


@dataclass(frozen=True)
class Crop:
    """A micrograph with its mask, ready to be sampled anywhere."""

    pixels: Float32[np.ndarray, "y x"]
    """Standardised."""
    spline: Float32[np.ndarray, "y x"]
    """Cubic spline coefficients of them."""
    target: Float32[np.ndarray, "y x"]
    """Area fraction of particle in each pixel."""
    levels: Float32[np.ndarray, " quantile"]
    """Quantiles of the pixels: what a change of tone does to mean and spread follows from them."""
    extremes: tuple[float, float]
    """Smallest and largest of the pixels."""


def prepare(image: Shaped[np.ndarray, "y x"], mask: Shaped[np.ndarray, "y x"]) -> Crop:
    """Make a micrograph ready to be sampled.

    Parameters
    ----------
    image : (y, x) ndarray
        A micrograph as recorded.
    mask : (y, x) ndarray
        Particle where it is not zero.

    Returns
    -------
    Crop
    """
    pixels = standardise(image)
    target = ndimage.gaussian_filter((mask != 0).astype(np.float32), EDGE_SIGMA_PX, mode="nearest")
    levels = np.quantile(pixels, (np.arange(256) + 0.5) / 256).astype(np.float32)
    spline = ndimage.spline_filter(pixels, order=3, output=np.float32, mode="mirror")
    return Crop(pixels, spline, target, levels, (float(pixels.min()), float(pixels.max())))


def draw_batch(
    crops: list[Crop], rng: np.random.Generator, *, count: int, side: int, varied: bool = True
) -> tuple[Float32[np.ndarray, "n side side"], Float32[np.ndarray, "n side side"]]:
    """Draw patches and their targets.

    Parameters
    ----------
    crops : list of Crop
    rng : numpy.random.Generator
    count : int
        Number of patches.
    side : int
        Pixels along each side of a patch.
    varied : bool
        Whether size, turn, tone, contrast and noise vary; otherwise patches are as recorded, or mirrored.

    Returns
    -------
    pixels, targets : (n, side, side) ndarray of float32
        Standardised values, and area fractions in [0, 1].
    """
    draw = _draw if varied else _cut
    patches = [draw(crops[rng.integers(len(crops))], rng, side) for _ in range(count)]
    return np.stack([pixels for pixels, _ in patches]), np.stack([target for _, target in patches])


def _cut(crop: Crop, rng: np.random.Generator, side: int) -> tuple[np.ndarray, np.ndarray]:
    corner = [int(rng.integers(length - side + 1)) for length in crop.target.shape]
    part = tuple(slice(first, first + side) for first in corner)
    step = tuple(int(rng.choice([-1, 1])) for _ in corner)
    mirrored = slice(None, None, step[0]), slice(None, None, step[1])
    return crop.pixels[part][mirrored], crop.target[part][mirrored]


def _draw(crop: Crop, rng: np.random.Generator, side: int) -> tuple[np.ndarray, np.ndarray]:
    warped = rng.random() >= UNWARPED_SHARE
    magnification = _about_one(rng, LARGEST_MAGNIFICATION) if warped else 1.0
    angle = np.deg2rad(rng.uniform(-LARGEST_ROTATION_DEG, LARGEST_ROTATION_DEG)) if warped else 0.0
    matrix = _turn(rng) @ _rotation(angle) / magnification
    reach = (side - 1) / 2 / magnification
    # Turning by less than a right angle brings corners of a patch outside the crop; there it is mirrored.
    centre = np.array([_centre(rng, length, reach, warped) for length in crop.target.shape])
    offset = centre - matrix @ np.full(2, (side - 1) / 2)
    warp = functools.partial(
        ndimage.affine_transform,
        matrix=matrix,
        offset=offset,
        output_shape=(side, side),
        output=np.float32,
        mode="mirror",
        prefilter=False,
    )
    return _expose(warp(crop.spline, order=3), crop, rng), warp(crop.target, order=1)


def _about_one(rng: np.random.Generator, largest: float) -> float:
    return float(np.exp(rng.uniform(-np.log(largest), np.log(largest))))


def _rotation(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _turn(rng: np.random.Generator) -> np.ndarray:
    """Draw one of the eight symmetries of a square."""
    quarter = np.array([[0.0, -1.0], [1.0, 0.0]])
    mirror = np.diag([1.0, -1.0 if rng.random() < 0.5 else 1.0])
    return np.linalg.matrix_power(quarter, int(rng.integers(4))) @ mirror


def _centre(rng: np.random.Generator, length: int, reach: float, warped: bool) -> float:
    lowest, highest = reach, length - 1 - reach
    if highest <= lowest:
        return (length - 1) / 2
    centre = rng.uniform(lowest, highest)
    # Whole pixels from the corner keep a patch that is not warped on the grid of the recorded pixels.
    return centre if warped else lowest + np.floor(centre - lowest)


def _expose(pixels: np.ndarray, crop: Crop, rng: np.random.Generator) -> Float32[np.ndarray, "y x"]:
    """Vary tone, contrast, brightness and noise as exposures and samples do; dark stays dark."""
    gamma, (low, high) = _about_one(rng, LARGEST_GAMMA), crop.extremes
    span = high - low or 1.0
    tone, tones = (np.clip((values - low) / span, 0, 1) ** gamma for values in (pixels, crop.levels))
    spread = tones.std() or 1.0
    noise = rng.standard_normal(pixels.shape, np.float32) * np.float32(rng.uniform(0, LARGEST_NOISE))
    exposed: np.ndarray = vary_contrast(((tone - tones.mean()) / spread).astype(np.float32), rng) + noise
    return exposed


def vary_contrast(pixels: Float32[np.ndarray, "y x"], rng: np.random.Generator) -> Float32[np.ndarray, "y x"]:
    """Scale and shift standardised pixels a little: what of a micrograph a patch shows decides its own statistics."""
    gain, shift = _about_one(rng, LARGEST_GAIN), rng.uniform(-LARGEST_OFFSET, LARGEST_OFFSET)
    return np.asarray(pixels * np.float32(gain) + np.float32(shift))
