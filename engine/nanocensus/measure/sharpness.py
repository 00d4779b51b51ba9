"""How sharp the particles' edges are as recorded, and in which direction they are smeared.

The probability map says where edges are and which way they face; the micrograph's values across them, averaged over all
edges of one orientation, say how wide they are. Neither dose nor film changes a mean over thousands of edges, and the
number of particles only how well it is known.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Shaped, UInt8
from scipy import ndimage
from scipy.special import ndtr

_MOST_EDGES = 20_000
_FEWEST_EDGES = 400
_REACH = 14
"""Pixels on either side of an edge that are looked at."""
_ORIENTATIONS = 8
_FEWEST_ALIKE = 30
"""Edges of one orientation, below which nothing is told of it."""
_WORST_FIT = 0.95
"""Correlation coefficient of an orientation's mean values with an error function, below which they are no edge's."""
_SLOPE = 2
"""Half the side of the square over which the map's slope says how an edge lies, px."""
_WIDTHS_PX = np.geomspace(0.4, 12.0, 103)
_MIDDLES_PX = np.arange(-3.0, 3.25, 0.5)


@dataclass(frozen=True)
class Sharpness:
    """The edges of a micrograph's particles."""

    width_px: float
    """Gaussian sigma of the edges across the smear, where they are narrowest."""
    smear_px: float
    """Length over which a movement at an even pace would have smeared them in one direction. Edges that are equally wide
    in all directions give a little more than 0 by chance."""
    smear_rad: float
    """Its direction, from the x axis towards increasing y, within half a turn."""


def sharpness(image: Shaped[np.ndarray, "y x"], probability: UInt8[np.ndarray, "y x"]) -> Sharpness | None:
    """Measure the edges that a probability map finds in a micrograph.

    The mean values across the edges of each of eight orientations are fitted by an error function of any height and
    place. A smear of length L adds L^2 cos^2 / 12 to the squared width, with the angle between it and what the edge faces.

    Parameters
    ----------
    image : (y, x) array
        As recorded.
    probability : uint8 array (y, x)
        Its map, 255 = surely particle.

    Returns
    -------
    Sharpness or None
        None if there are too few edges to tell, or what the map calls edges are none in the micrograph.

    Examples
    --------
    >>> y, x = np.mgrid[:256, :256]
    >>> depth = 60 - np.hypot(y - 128, x - 128)
    >>> found = sharpness(1000 - 400 * ndtr(depth / 3), (255 * (depth > 0)).astype(np.uint8))
    >>> round(found.width_px), found.smear_px < 1
    (3, True)
    """
    places, facing = _edges(probability)
    if len(places) < _FEWEST_EDGES:
        return None
    across = np.arange(-_REACH, _REACH + 1.0)
    y, x = (places[:, axis, None] + facing[:, axis, None] * across for axis in (0, 1))
    values = ndimage.map_coordinates(image, [y, x], output=np.float32, order=1, mode="nearest")
    angle = np.arctan2(facing[:, 0], facing[:, 1]) % math.pi
    kind = (angle * (_ORIENTATIONS / math.pi) + 0.5).astype(int) % _ORIENTATIONS
    count = np.bincount(kind, minlength=_ORIENTATIONS)
    known = np.flatnonzero(count >= _FEWEST_ALIKE)
    if len(known) < _ORIENTATIONS:
        return None
    means = np.stack([values[kind == each].mean(axis=0, dtype=np.float64) for each in known])
    widths, fits = _fitted(means)
    if fits.min() < _WORST_FIT:
        return None
    squared = widths**2
    turn = 2 * known * math.pi / _ORIENTATIONS
    along, aslant = (2 * np.mean(squared * wave) for wave in (np.cos(turn), np.sin(turn)))
    unequal = math.hypot(along, aslant)
    return Sharpness(
        # Fitted to what a long smear leaves of an edge, widths follow no cosine, and the difference says too little.
        width_px=math.sqrt(max(float(squared.mean()) - unequal, float(squared.min()))),
        smear_px=math.sqrt(12 * 2 * unequal),
        smear_rad=math.atan2(aslant, along) / 2 % math.pi,
    )


def _edges(probability: UInt8[np.ndarray, "y x"]) -> tuple[Float64[np.ndarray, "n 2"], Float64[np.ndarray, "n 2"]]:
    """Give places (y, x) where a map passes one half between neighbours, and the direction (y, x) in which it rises."""
    margin = _REACH + 2
    inner = probability[margin:-margin, margin:-margin]
    if min(inner.shape, default=0) < 2:
        return np.empty((0, 2)), np.empty((0, 2))
    step = max(1, round(math.sqrt(inner.size) / 512))
    across = _crossings(inner[::step]) * (step, 1)
    down = _crossings(inner[:, ::step].T)[:, ::-1] * (1, step)
    places = np.concatenate([across, down]) + margin
    places = places[:: max(1, len(places) // _MOST_EDGES)]
    row, column = np.rint(places).astype(int).T
    reach = range(-_SLOPE, _SLOPE + 1)
    rise = np.zeros_like(places)
    for dy in reach:
        for dx in reach:
            rise += probability[row + dy, column + dx, None] * np.array([dy, dx], float)
    steepness = np.hypot(*rise.T)
    return places[steepness > 0], rise[steepness > 0] / steepness[steepness > 0, None]


def _crossings(lines: UInt8[np.ndarray, "y x"]) -> Float64[np.ndarray, "n 2"]:
    inside = lines >= 128
    row, column = np.nonzero(inside[:, 1:] != inside[:, :-1])
    before, after = (lines[row, column + step].astype(float) for step in (0, 1))
    return np.stack([row.astype(float), column + (127.5 - before) / (after - before)], axis=1)


@functools.cache
def _error_functions() -> Float64[np.ndarray, "n d"]:
    """Give error functions of all widths and middles, less their means and of unit length."""
    across = np.arange(-_REACH, _REACH + 1.0)
    made = ndtr((across - _MIDDLES_PX[:, None, None]) / _WIDTHS_PX[:, None]).reshape(-1, across.size)
    made -= made.mean(axis=1, keepdims=True)
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True))


def _fitted(means: Float64[np.ndarray, "k d"]) -> tuple[Float64[np.ndarray, " k"], Float64[np.ndarray, " k"]]:
    """Give the widths of the error functions that fit best, and their correlation coefficients."""
    varying = means - means.mean(axis=1, keepdims=True)
    lengths = np.maximum(np.linalg.norm(varying, axis=1), np.finfo(float).tiny)
    fits = np.abs(varying @ _error_functions().T) / lengths[:, None]
    best = fits.reshape(len(means), len(_MIDDLES_PX), -1).max(axis=1).argmax(axis=1)
    return _WIDTHS_PX[best], fits.max(axis=1)
