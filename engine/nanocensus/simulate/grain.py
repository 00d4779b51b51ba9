"""Noise with a grain: neighbouring pixels are alike, as on an amorphous film."""

import math

import numpy as np
import scipy.fft
from jaxtyping import Float32


def grain(shape: tuple[int, int], sigma: float, rng: np.random.Generator) -> Float32[np.ndarray, "y x"]:
    """Draw noise of mean 0 and variance 1 whose correlation is a Gaussian's; it wraps round.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    sigma : float
        Of the Gaussian that smooths white noise to it, px.
    rng : numpy.random.Generator

    Examples
    --------
    >>> noise = grain((64, 64), 2.0, np.random.default_rng(0))
    >>> noise.shape, bool(0.7 < noise.std() < 1.3)
    ((64, 64), True)
    """
    white = rng.standard_normal(shape, dtype=np.float32)
    power = [np.mean(np.exp(-4 * (math.pi * sigma * scipy.fft.fftfreq(side)) ** 2)) for side in shape]
    smooth = np.exp(np.float32(-2 * (math.pi * sigma) ** 2) * frequencies_squared(shape))
    field = scipy.fft.irfft2(scipy.fft.rfft2(white) * smooth, s=shape) / math.sqrt(power[0] * power[1])
    return np.asarray(field, np.float32)


def frequencies_squared(shape: tuple[int, int]) -> Float32[np.ndarray, "y x"]:
    """Give the squared frequency, in cycles per pixel, of each coefficient of a real Fourier transform."""
    rows, columns = scipy.fft.fftfreq(shape[0])[:, None], scipy.fft.rfftfreq(shape[1])[None]
    return np.asarray(rows**2 + columns**2, np.float32)
