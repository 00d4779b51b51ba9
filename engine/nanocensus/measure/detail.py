"""How much fine detail a micrograph has, and in which directions, beside others of the same imaging.

A micrograph's power spectrum is that of its specimen, times what optics, focus and drift let through, plus noise. The
specimen and the noise are much the same in micrographs of one session, so what one of them lacks at high frequencies the
others have: a Gaussian blur of sigma takes exp(-(2 pi sigma f)^2), a drift of length L sinc^2(L f cos) along its direction.
Where noise prevails nothing is lost, and the session's own scatter says how much is ordinary. No particle need be found.

Sources
-------
Welch, IEEE Transactions on Audio and Electroacoustics 15, 70 (1967): power spectra averaged over windowed pieces.
Reimer and Kohl, Transmission Electron Microscopy (2008), section 6.4: envelopes of the contrast transfer.
"""

import functools
import math
from typing import NamedTuple

import numpy as np
import scipy.fft
from jaxtyping import Float32, Float64, Int64, Shaped

TILE_PX = 256
_TILES = 6
"""Most tiles along a side."""
_SECTORS = 8
_EDGES = 0.01 * 2 ** (np.arange(11) / 2)
"""Of half-octaves of frequency, cycles/px: five octaves, from features of 100 px to those of 3 px."""
BANDS = len(_EDGES) - 1
_ORDINARY = 0.05
"""Standard deviation of a log power, averaged over an octave, that is always ordinary."""

Detail = Float32[np.ndarray, "3 10"]
"""Log power in half-octaves: its mean over directions, and its waves of cos 2 theta and sin 2 theta."""


class DetailScores(NamedTuple):
    """How each micrograph stands among the others, in their robust standard deviations."""

    loss: Float64[np.ndarray, " n"]
    """By how much more its power falls from one octave to the next: the largest of seven falls."""
    asymmetry: Float64[np.ndarray, " n"]
    """By how much its power differs between directions, beyond what is usual: the largest of seven octaves."""


def detail(image: Shaped[np.ndarray, "y x"]) -> Detail | None:
    """Give the log power of a micrograph by frequency and direction.

    Parameters
    ----------
    image : (y, x) array
        As recorded.

    Returns
    -------
    float32 array (3, 10) or None
        None if a side is below 256 px.

    Examples
    --------
    >>> rows, columns = np.indices((256, 256))
    >>> level, along, aslant = detail(np.random.default_rng(0).normal(size=(256, 256)) + np.cos(0.2 * columns))
    >>> int(np.argmax(level)) == int(np.argmax(along)) == 3  # 0.032 cycles/px, along x
    True
    """
    if min(image.shape) < TILE_PX:
        return None
    starts = [
        np.linspace(0, side - TILE_PX, min(_TILES, 2 * side // TILE_PX - 1)).astype(int).tolist()
        for side in image.shape
    ]
    window, cell, inside, count = _tile()
    power = np.zeros((TILE_PX, TILE_PX // 2 + 1))
    for top in starts[0]:
        for left in starts[1]:
            tile = image[top : top + TILE_PX, left : left + TILE_PX].astype(np.float32)
            power += np.abs(scipy.fft.rfft2((tile - tile.mean()) * window)) ** 2
    summed = np.bincount(cell, power[inside], minlength=BANDS * _SECTORS).reshape(BANDS, _SECTORS)
    level = np.log(np.maximum(summed / count, np.finfo(np.float32).tiny))
    turn = 2 * math.pi / _SECTORS * np.arange(_SECTORS)  # twice the direction
    waves = (level.mean(1), 2 * (level * np.cos(turn)).mean(1), 2 * (level * np.sin(turn)).mean(1))
    return np.stack(waves).astype(np.float32)


@functools.cache
def _tile() -> tuple[
    Float32[np.ndarray, "256 256"], Int64[np.ndarray, " n"], Shaped[np.ndarray, "256 129"], Float64[np.ndarray, "k s"]
]:
    """Give a tile's window; the cell (half-octave, sector) of its frequencies, where they have one; frequencies a cell."""
    hann = 0.5 - 0.5 * np.cos(2 * math.pi * np.arange(TILE_PX) / TILE_PX)
    down, across = scipy.fft.fftfreq(TILE_PX)[:, None], scipy.fft.rfftfreq(TILE_PX)[None]
    band = np.digitize(np.hypot(down, across), _EDGES) - 1
    inside = (band >= 0) & (band < BANDS)
    sector = np.rint(np.arctan2(down, across) % math.pi / (math.pi / _SECTORS)).astype(np.int64) % _SECTORS
    cell = (band * _SECTORS + sector)[inside]
    count = np.bincount(cell, minlength=BANDS * _SECTORS).astype(np.float64).reshape(BANDS, _SECTORS)
    return (hann[:, None] * hann).astype(np.float32), cell, inside, count


def detail_scores(own: Float32[np.ndarray, "n 3 10"], others: Float32[np.ndarray, "m 3 10"]) -> DetailScores:
    """Hold micrographs against others of the same imaging.

    Parameters
    ----------
    own : float32 array (n, 3, 10)
        From `detail`.
    others : float32 array (m, 3, 10)
        What they are held against; they may be among them.
    """
    level, *waves = (_octaves(own[:, each]) for each in range(3))
    usual, *usual_waves = (_octaves(others[:, each]) for each in range(3))
    loss = _largest(level[:, :-2] - level[:, 2:], usual[:, :-2] - usual[:, 2:])
    middles = [np.median(wave, axis=0) for wave in usual_waves]
    uneven, usually = (np.hypot(*(wave - middle for wave, middle in zip(both, middles, strict=True)))
                       for both in (waves, usual_waves))  # fmt: skip
    # The two lowest octaves are those of single particles.
    return DetailScores(loss, _largest(uneven[:, 2:], usually[:, 2:]))


def _octaves(values: Float32[np.ndarray, "n 10"]) -> Float64[np.ndarray, "n 9"]:
    return np.asarray((values[:, :-1].astype(np.float64) + values[:, 1:]) / 2)


def _largest(own: Float64[np.ndarray, "n k"], others: Float64[np.ndarray, "m k"]) -> Float64[np.ndarray, " n"]:
    """Give the largest distance above the others' medians, in their robust standard deviations."""
    middle = np.median(others, axis=0)
    spread = 1.4826 * np.median(np.abs(others - middle), axis=0) * (1 + 4 / len(others))
    return np.asarray(((own - middle) / np.maximum(spread, _ORDINARY)).max(axis=1))
