"""The size of a pixel from lattice fringes: spots of small windows' Fourier transforms against known spacings.

A particle's fringes fill a window of about its size and give a spot there that stands far above the spectrum of the
film, where they would drown in the transform of the whole micrograph. A spot at q (cycles a pixel) that belongs to
planes of spacing d says |q| / p = 1 / d of the pixel size p; spots in many directions say so of both axes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft
from jaxtyping import Float, Float32, Int64, Shaped
from scipy import ndimage, sparse
from scipy.spatial import cKDTree

WINDOW_PX = 128
"""Side of a window: about a particle's size."""
_PADDED = 2
"""Each window is transformed with zeros around it, which halves the steps between frequencies."""
_FALSE_SPOTS = 0.01
"""Spots of noise to be expected in a micrograph."""
SEARCHED = 0.06
"""Relative error of the stated pixel size that is looked for, either way."""
_TOLERANCE = 0.012
"""Largest relative departure of a spot from its reflection, to count for the fit."""
_NARROWING = (2 * _TOLERANCE, 1.5 * _TOLERANCE, _TOLERANCE, _TOLERANCE, _TOLERANCE)
_SETTLING = (_TOLERANCE,) * 4
"""Tolerances of a fit's steps: from far away, and from near by."""
_LEAST_SPOTS = 12
_LEAST_SIGMAS = 6.0
"""What the number of spots that fit must exceed the number by chance by."""
_MIRRORED = 2
"""Columns of frequencies below 0 that are looked at as well: the transform of real pixels is its own mirror image."""
_RESAMPLES = 400
_CHI2_OF_TWO = 5.991
"""What the squared length of two normal numbers stays below in 95 % of cases."""


@dataclass(frozen=True, eq=False)
class Spots:
    """Spots in the Fourier transforms of a micrograph's windows."""

    frequency: Float[np.ndarray, "spot 2"]
    """(y, x) in cycles a pixel."""
    strength: Float[np.ndarray, " spot"]
    """Power over that of the film at this frequency."""
    window: Int64[np.ndarray, "spot 2"]
    """(row, column) of the window that a spot is in, counted in steps of half a window."""


def find_spots(image: Shaped[np.ndarray, "y x"]) -> Spots:
    """Find the spots of a micrograph's windows, which overlap by half.

    Parameters
    ----------
    image : (y, x) array

    Returns
    -------
    Spots
        None where the micrograph is smaller than two windows.
    """
    step = WINDOW_PX // 2
    rows, columns = ((length - WINDOW_PX) // step + 1 for length in image.shape)
    if min(rows, columns) < 2:
        return Spots(np.empty((0, 2)), np.empty(0), np.empty((0, 2), np.int64))
    tiles = np.lib.stride_tricks.sliding_window_view(image, (WINDOW_PX, WINDOW_PX))[::step, ::step]
    side = WINDOW_PX * _PADDED
    y, x = np.meshgrid(scipy.fft.fftfreq(side), scipy.fft.rfftfreq(side), indexing="ij")
    radius = np.hypot(y, x)
    inside = (radius > 4 / WINDOW_PX) & (radius < 0.48) & ((x > 0) | (y > 0))
    ring = np.minimum((radius * WINDOW_PX).astype(int), WINDOW_PX // 2)
    least = math.log(inside.sum() * rows * columns / _FALSE_SPOTS)
    found = [_in_row(_power(row), ring, inside, least) for row in tiles]
    number = np.concatenate([each[0] + line * columns for line, each in enumerate(found)])
    down, right, strength = (np.concatenate([each[part] for each in found]) for part in (1, 2, 3))
    # Frequencies beyond a half in y are negative ones.
    frequency = np.stack([(down + side / 2) % side - side / 2, right], axis=1) / side
    return Spots(frequency, strength, np.stack(np.divmod(number, columns), axis=1).astype(np.int64))


def _in_row(
    power: Float32[np.ndarray, "n p h"], ring: np.ndarray, inside: np.ndarray, least: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Give window, place (y, x; in steps of frequency) and strength of the spots in a row of windows.

    A spot is the highest of its neighbours and far above its ring, whose mean logarithm tells the mean of the
    exponential distribution that noise has. It is placed by the power itself: what the film's spectrum falls by across
    it would move the ratio's maximum.
    """
    logs = np.log(np.maximum(power, np.finfo(np.float32).tiny))
    count = np.bincount(ring.ravel())
    around = np.stack([np.bincount(ring.ravel(), each.ravel()) / count for each in logs]) + np.euler_gamma
    relative = logs - around[:, ring]
    highest = ndimage.maximum_filter(_with_mirror(power), size=(1, 5, 5), mode=("nearest", "wrap", "nearest"))
    tops = power == highest[:, :, _MIRRORED:]
    number, row, column = np.nonzero((relative >= math.log(least)) & tops & inside)
    kept = column < power.shape[2] - 1  # a neighbour is needed on either side
    number, row, column = number[kept], row[kept], column[kept]
    whole = _with_mirror(logs)
    down, right = (
        spot + _between(whole, number, row, column + _MIRRORED, axis) for axis, spot in enumerate((row, column))
    )
    return number, down, right, np.exp(relative[number, row, column].astype(float))


def _with_mirror(half: Float32[np.ndarray, "n p h"]) -> Float32[np.ndarray, "n p w"]:
    """Put the columns of the lowest negative frequencies before those of half a plane: that at (-y, -x) is that at (y, x)."""
    mirrored = half[:, -np.arange(half.shape[1]), _MIRRORED:0:-1]
    return np.concatenate([mirrored, half], axis=2)


def _power(tiles: Shaped[np.ndarray, "n w w"]) -> Float32[np.ndarray, "n p h"]:
    side = tiles.shape[-1]
    values = tiles.astype(np.float32)
    values -= values.mean(axis=(1, 2), keepdims=True)
    hann = np.hanning(side + 2)[1:-1].astype(np.float32)
    spectrum = scipy.fft.rfft2(values * hann[:, None] * hann, s=(side * _PADDED, side * _PADDED))
    return np.asarray(np.abs(spectrum) ** 2, np.float32)


def _between(
    logs: np.ndarray, number: np.ndarray, row: np.ndarray, column: np.ndarray, axis: int
) -> Float[np.ndarray, " spot"]:
    """Give where between the steps a maximum lies along an axis: that of a parabola through three logarithms."""
    height = logs.shape[1]
    by = (1, 0) if axis == 0 else (0, 1)
    before, here, after = (
        logs[number, (row + sign * by[0]) % height, column + sign * by[1]].astype(float) for sign in (-1, 0, 1)
    )
    curvature = before - 2 * here + after
    return np.where(curvature < 0, np.clip((before - after) / np.minimum(2 * curvature, -1e-9), -0.5, 0.5), 0.0)


@dataclass(frozen=True)
class Scale:
    """The size of a pixel that lattice fringes say, with 95 % intervals over crystals."""

    pixel_size_nm: float
    """Side of the square of a pixel's area."""
    pixel_size_interval_nm: tuple[float, float]
    anisotropy: float
    """How much longer a pixel is along its long axis than across it, relative to the mean; 0 for squares."""
    anisotropy_interval: tuple[float, float]
    long_axis_deg: float
    """Direction of the long axis from x towards y, 0 to 180 degrees."""
    spots: int
    """Sets of fringes that the fit rests on; each counts once, in however many windows it is seen."""
    sigmas: float
    """How far more spots fit than would by chance, in standard deviations."""


def scale_from_lattice(
    spots: Sequence[Spots], pixel_size_nm: float, spacings: Float[np.ndarray, " reflection"], *, seed: int = 0
) -> Scale | None:
    """Find the size of a pixel with which spots lie on a lattice's reflections.

    Parameters
    ----------
    spots : sequence of Spots
        Of micrographs that were recorded at one magnification, from `find_spots`.
    pixel_size_nm : float
        As stated; the true one is looked for within 6 % of it.
    spacings : (reflection,) ndarray
        Of the lattice's planes, nm; see `crystals`.
    seed : int
        Of the bootstrap.

    Returns
    -------
    Scale or None
        None if no lattice is seen: too few spots, or no more on the reflections than would be by chance.
    """
    frequency = np.concatenate([np.empty((0, 2)), *map(_of_crystals, spots)])
    reflections = np.sort(1 / spacings)
    radius = np.hypot(*frequency.T) / pixel_size_nm
    found = _search(radius, reflections)
    if found is None:
        return None
    factor, sigmas = found
    vectors = frequency / pixel_size_nm
    metric, used = _fit(vectors, reflections, np.eye(2) / factor**2)
    if used.sum() < _LEAST_SPOTS:
        return None
    rng = np.random.default_rng(seed)
    # Each resample chooses its spots anew: which ones are near enough follows the fit, and widens its scatter.
    drawn = [
        _fit(vectors[rng.integers(len(vectors), size=len(vectors))], reflections, metric, _SETTLING)[0]
        for _ in range(_RESAMPLES)
    ]
    sizes, stretches, _ = np.array([_described(each, pixel_size_nm) for each in drawn]).T
    size, stretch, axis = _described(metric, pixel_size_nm)
    low, high = _interval(stretches)
    return Scale(
        pixel_size_nm=size,
        pixel_size_interval_nm=_interval(sizes),
        anisotropy=stretch,
        anisotropy_interval=(0.0 if _may_be_square(metric, drawn) else low, high),
        long_axis_deg=axis,
        spots=int(used.sum()),
        sigmas=sigmas,
    )


def _may_be_square(metric: np.ndarray, drawn: Sequence[np.ndarray]) -> bool:
    """Say whether the metric's two departures from a circle are within the 95 % ellipse of their scatter about 0.

    Their length alone is never 0, nor is the interval of its resamples.
    """
    departures = np.array([(each[0, 0] - each[1, 1], 2 * each[0, 1]) for each in (metric, *drawn)])
    return float(departures[0] @ np.linalg.pinv(np.cov(departures[1:].T)) @ departures[0]) < _CHI2_OF_TWO


def _of_crystals(spots: Spots) -> Float[np.ndarray, "crystal 2"]:
    """Give one mean frequency for each set of fringes: spots that lie together in windows that overlap are of one."""
    if not len(spots.window):
        return np.empty((0, 2))
    # A spot stands for its mirror image too, and fringes along x give now one and now the other.
    frequency = np.concatenate([spots.frequency, -spots.frequency])
    window = np.concatenate([spots.window, spots.window])
    # Within a distance of 1 along each axis: windows that share pixels, and frequencies that one window cannot part.
    near = cKDTree(np.column_stack([window / 2, frequency * WINDOW_PX])).query_pairs(1.0, np.inf, output_type="ndarray")
    size = len(window)
    links = sparse.coo_matrix((np.ones(len(near)), near.T), (size, size))
    _, which = sparse.csgraph.connected_components(links, directed=False)
    as_found, mirrored = np.split(which, 2)
    _, crystal = np.unique(np.minimum(as_found, mirrored), return_inverse=True)
    alike = np.where((mirrored < as_found)[:, None], -spots.frequency, spots.frequency)
    return np.stack([np.bincount(crystal, along) for along in alike.T], axis=1) / np.bincount(crystal)[:, None]


def _search(radius: np.ndarray, reflections: np.ndarray) -> tuple[float, float] | None:
    """Find the factor on the pixel size with which most spots lie on reflections, and how clearly."""
    factors = np.exp(np.arange(-SEARCHED, SEARCHED, 5e-4))
    logs = np.log(radius[(radius > 0.5 * reflections[0]) & (radius < 2 * reflections[-1])]) if len(radius) else radius
    if len(logs) < _LEAST_SPOTS:
        return None
    wanted = np.log(reflections)
    apart = np.abs(logs[:, None, None] - np.log(factors)[None, :, None] - wanted).min(axis=2)
    near = np.exp(-((apart / 0.006) ** 2)).sum(axis=0)
    best = int(near.argmax())
    elsewhere = near[np.abs(np.log(factors / factors[best])) > 0.02]
    chance = float(np.median(elsewhere)) + 1.0
    sigmas = (float(near[best]) - chance) / math.sqrt(chance)
    return (float(factors[best]), sigmas) if sigmas >= _LEAST_SIGMAS else None


def _fit(
    vectors: np.ndarray, reflections: np.ndarray, metric: np.ndarray, tolerances: Sequence[float] = _NARROWING
) -> tuple[np.ndarray, np.ndarray]:
    """Fit the metric M of q' M q = 1 / d^2 to the spots near reflections, over and over; give it and those spots."""
    for tolerance in tolerances:
        length = np.sqrt(np.einsum("ni,ij,nj->n", vectors, metric, vectors))
        used = np.abs(np.log(length[:, None] / reflections)).min(axis=1) < tolerance
        if used.sum() < _LEAST_SPOTS:
            break
        metric = _solve(vectors[used], reflections, metric)
    return metric, used


def _solve(vectors: np.ndarray, reflections: np.ndarray, metric: np.ndarray) -> np.ndarray:
    """Solve for the metric by least squares of relative errors, each spot on its nearest reflection."""
    length = np.sqrt(np.einsum("ni,ij,nj->n", vectors, metric, vectors))
    wanted = reflections[np.abs(np.log(length[:, None] / reflections)).argmin(axis=1)]
    y, x = vectors.T
    system = np.stack([y * y, 2 * y * x, x * x], axis=1) / wanted[:, None] ** 2
    (yy, yx, xx), *_ = np.linalg.lstsq(system, np.ones(len(vectors)), rcond=None)
    return np.array([[yy, yx], [yx, xx]])


def _described(metric: np.ndarray, pixel_size_nm: float) -> tuple[float, float, float]:
    """Give pixel size, anisotropy and direction of the long axis: lengths along a direction go with 1 / sqrt(M)."""
    values, directions = np.linalg.eigh(metric)
    sides = 1 / np.sqrt(np.maximum(values, 1e-12))  # the first is the longest
    size = math.sqrt(sides[0] * sides[1])
    axis = math.degrees(math.atan2(directions[0, 0], directions[1, 0])) % 180
    return pixel_size_nm * size, float((sides[0] - sides[1]) / size), axis


def _interval(values: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
