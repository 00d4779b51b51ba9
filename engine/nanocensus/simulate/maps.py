"""Probability maps of known outlines, as a good network would give them: blurred coverage, and noise where it is unsure."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, UInt8
from scipy.ndimage import gaussian_filter
from scipy.optimize import brentq
from scipy.stats import ncx2

from nanocensus.errors import InputError
from nanocensus.simulate.coverage import render_area_fraction
from nanocensus.simulate.grain import grain
from nanocensus.simulate.outline import Outline
from nanocensus.simulate.placement import Planted

_FINEST = 8
"""Parts into which a side of a pixel is cut at most: a blur of less than 1/8 px vanishes beside the pixel itself."""
_REACH = 5.0


def render_map(
    particles: Sequence[Planted],
    shape: tuple[int, int],
    *,
    blur_px: float = 1.0,
    noise: float = 0.0,
    noise_grain_px: float = 2.0,
    rng: np.random.Generator | None = None,
) -> UInt8[np.ndarray, "y x"]:
    """Give the probability map of known outlines.

    Parameters
    ----------
    particles : sequence of Planted
        Outlines in pixels, with their poses; the border may cut them.
    shape : (int, int)
        Rows and columns.
    blur_px : float
        Gaussian sigma, px, of the blur before the pixels integrate it: 0 leaves the share of each pixel's area.
    noise : float
        Standard deviation of the probability at the outline (p = 0.5); it falls off as 4 p (1 - p).
    noise_grain_px : float
        Correlation length (Gaussian sigma) of the noise, px.
    rng : numpy.random.Generator, optional
        Where the noise comes from; needed if there is some.

    Returns
    -------
    uint8 array (y, x)
        255 = surely particle.

    Raises
    ------
    InputError
        If a number is negative, or there is noise and no generator.

    Examples
    --------
    >>> from nanocensus.simulate.shapes import disc
    >>> particle = Planted("disc", disc().scaled(10.0), (12.3, 11.8), 0.0)
    >>> probability = render_map([particle], (24, 24))
    >>> round(float(probability.sum()) / 255), int(probability.max())
    (100, 255)
    """
    for name, value in (("blur_px", blur_px), ("noise", noise), ("noise_grain_px", noise_grain_px)):
        if not value >= 0:
            raise InputError(name, expected="0 or more", got=f"{value:g}", remedy="Give a number that is not negative.")
    probability = _blurred_coverage(particles, shape, blur_px)
    if noise > 0:
        if rng is None:
            raise InputError(
                "rng", expected="a generator, since there is noise", got="none",
                remedy="Give numpy.random.default_rng(seed).",
            )  # fmt: skip
        probability += noise * grain(shape, noise_grain_px, rng) * 4 * probability * (1 - probability)
    return np.asarray(np.rint(255 * np.clip(probability, 0.0, 1.0)), np.uint8)


def _blurred_coverage(
    particles: Sequence[Planted], shape: tuple[int, int], blur_px: float
) -> Float64[np.ndarray, "y x"]:
    """Blur on a grid whose step is at most the blur's sigma, then integrate over pixels.

    A Gaussian sampled that densely is a Gaussian to 1e-8; on whole pixels one of 0.35 px would be one of 0.18 px.
    """
    fineness = min(math.ceil(1 / blur_px), _FINEST) if blur_px > 0 else 1
    pad = math.ceil(_REACH * blur_px)
    canvas = np.zeros([fineness * (side + 2 * pad) for side in shape])
    for particle in particles:
        outline = Outline(particle.outline.radii * fineness)
        centre = tuple((c + pad + 0.5) * fineness - 0.5 for c in particle.centre)
        size = canvas.shape[0], canvas.shape[1]
        fraction, (top, left) = render_area_fraction(outline, size, (centre[0], centre[1]), particle.angle)
        canvas[top : top + fraction.shape[0], left : left + fraction.shape[1]] += fraction
    coverage = np.minimum(canvas, 1.0)
    if blur_px > 0:
        coverage = gaussian_filter(coverage, fineness * blur_px, truncate=_REACH, mode="constant")
    height, width = shape
    pixels = coverage.reshape(height + 2 * pad, fineness, width + 2 * pad, fineness).mean(axis=(1, 3))
    return np.asarray(pixels[pad : pad + height, pad : pad + width])


def blurred_disc_radius(radius_px: float, blur_px: float) -> float:
    """Give the radius at which a blurred disc falls to one half: the contour that no estimator can see beyond.

    The blurred disc at the distance rho from its centre is the probability that a Gaussian displacement from there
    ends inside it: a non-central chi-squared distribution of two degrees of freedom. To second order
    rho = R - sigma^2 / (2 R), so the area shrinks by the share sigma^2 / R^2: a curved edge sees more outside than
    inside. A pixel that integrates over its area adds 1/12 px^2 to sigma^2.

    Parameters
    ----------
    radius_px : float
        R, px.
    blur_px : float
        Gaussian sigma, px; at most R / 2.

    Returns
    -------
    float
        rho, px.

    Raises
    ------
    InputError
        If the blur is negative or too wide.

    Examples
    --------
    >>> round(blurred_disc_radius(14.0, 1.0), 3), round(14.0 - 1 / 28, 3)
    (13.964, 13.964)
    """
    if not 0 <= blur_px <= radius_px / 2:
        raise InputError(
            "blur_px", expected=f"0 to half the radius, {radius_px / 2:g} px", got=f"{blur_px:g}",
            remedy="A disc that is blurred more is no disc.",
        )  # fmt: skip
    if blur_px == 0:
        return radius_px

    def above_half(rho: float) -> float:
        return float(ncx2.cdf((radius_px / blur_px) ** 2, 2, (rho / blur_px) ** 2)) - 0.5

    return float(brentq(above_half, 0.5 * radius_px, radius_px, xtol=1e-10))
