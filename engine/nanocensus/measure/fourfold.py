"""Laying outlines over references with the symmetry of a square, in whole numbers, so that nothing depends on order.

Over a reference that a quarter turn and a mirror image leave as it is, only the mean of an outline's four quarter turns
can tell its poses apart: 32 turns of 32 numbers at 128 angles, instead of 256 poses of 128. Radii are rounded to quanta
of the outline's mean radius; sums and scores are then exact, ties included, whatever adds or multiplies.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Float64, Int64, UInt64
from scipy import special

from nanocensus.measure.alignment import parse_outlines
from nanocensus.measure.regions._compile import compiled

TURNS = 4
QUANTUM = 2.0**-16
"""Of a folded outline, as a share of the mean radius: a quarter of what each radius is rounded to."""
_RAY_QUANTUM = TURNS * QUANTUM
MOST_PASSES = 100
_OFFSETS = 8
"""Angles within a step of turning at which shapes are planted."""
Folded = Int64[np.ndarray, "n q"]


@dataclass(frozen=True, eq=False)
class FixedPoint:
    """An outline that is the symmetric part of the mean of those that are laid over it."""

    outline: Int64[np.ndarray, " q"]
    """A quarter of it, in quanta above the mean radius; a corner (or face) lies at angle 0, and it is even about it."""
    passes: int
    converged: bool
    """Whether another pass would change no quantum of it."""


def folded(radii: Float[np.ndarray, "n m"]) -> Folded:
    """Fold outlines to the mean of their four quarter turns.

    Parameters
    ----------
    radii : float (n, m)
        r(theta) of each outline at m even angles, m a multiple of 8; any unit of length.

    Returns
    -------
    int64 (n, m / 4)
        In quanta above the mean radius: 2^16 (r / mean r - 1).

    Raises
    ------
    InputError
        As `alignment.align`.

    Examples
    --------
    >>> (folded(np.array([[3.0, 1.0] * 4])) * QUANTUM).tolist()
    [[0.5, -0.5]]
    """
    shapes = parse_outlines(radii, normalise=True)
    quanta = np.rint(shapes / _RAY_QUANTUM).astype(np.int64) - round(1.0 / _RAY_QUANTUM)
    return np.asarray(quanta.reshape(len(quanta), TURNS, -1).sum(axis=1))


def fourth_harmonic(size: int) -> Int64[np.ndarray, " q"]:
    """Give the reference to begin with, in which no outline has a say: a quarter of cos(4 theta)."""
    return np.rint(np.cos(2.0 * np.pi * np.arange(size) / size) / QUANTUM).astype(np.int64)


def nearest_turns(outlines: Folded, reference: Int64[np.ndarray, " q"]) -> Int64[np.ndarray, " n"]:
    """Give the turn, in steps of 2 pi / m, that lays each folded outline nearest to a symmetric reference.

    No other of the 2 m poses of the whole outline is nearer. Of equally near turns the smallest is taken.

    Parameters
    ----------
    outlines : int64 (n, q)
        From `folded`.
    reference : int64 (q,)
        In the same quanta, even: reference[i] == reference[-i].
    """
    angle = np.arange(reference.size)
    turned = reference[(angle[:, None] + angle) % reference.size].astype(np.float64)
    # Whole numbers below 2^53: float64 multiplies and adds them exactly, in any order.
    return np.asarray((outlines.astype(np.float64) @ turned.T).argmax(axis=1))


def even_sums(outlines: Folded, turns: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, "n q/2+1"]:
    """Turn folded outlines and add each to its mirror image, from angle 0 to 2 pi / 8: twice their symmetric parts."""
    sums = np.empty((len(outlines), outlines.shape[1] // 2 + 1), np.int64)
    _add_mirrored(np.ascontiguousarray(outlines, np.int64), np.ascontiguousarray(turns, np.int64), sums)
    return sums


def whole_period(half: npt.NDArray[np.number]) -> npt.NDArray[np.number]:
    """Give a quarter of a symmetric outline from its values between a corner and the middle of a face."""
    return np.concatenate([half, half[..., -2:0:-1]], axis=-1)


def fixed_point(
    outlines: Folded,
    weights: Int64[np.ndarray, " n"],
    start: Int64[np.ndarray, " q"],
    *,
    most_passes: int = MOST_PASSES,
) -> FixedPoint:
    """Lay outlines over a reference and take the symmetric part of their mean for the next one, until it stays.

    Parameters
    ----------
    outlines : int64 (n, q)
        From `folded`; at least one.
    weights : int64 (n,)
        Of each in the mean; not all 0.
    start : int64 (q,)
        The first reference, even.
    most_passes : int

    Notes
    -----
    Generalised Procrustes analysis (Gower, Psychometrika 1975, 40, 33), restricted to symmetric references. All is whole
    numbers, and a mean is rounded to quanta: the order of the outlines has no influence at all.
    """
    reference, total = start, 2 * int(weights.sum())
    for passes in range(1, most_passes + 1):
        sums = weights @ even_sums(outlines, nearest_turns(outlines, reference))
        half = (2 * sums + total) // (2 * total)
        before, reference = reference, np.asarray(whole_period(half))
        if (before == reference).all():
            return FixedPoint(reference, passes, converged=True)
    return FixedPoint(reference, most_passes, converged=False)


def roughness(radii: Float[np.ndarray, "n m"], words: UInt64[np.ndarray, "n p"]) -> Folded:
    """Give what equally rough outlines of round particles would have as their folded outline, less the circle.

    Harmonic 4 k takes the amplitude that noise has there by the look of its neighbours: on a straight line through
    harmonics 4 k - 1 and 4 k + 1 in a plot of both logarithms, and, as logarithms of noise lie too low on average, times
    what makes that right for normal noise. Its phase is random. So it is about a square as it would be without any square.

    Parameters
    ----------
    radii : float (n, m)
        r(theta) of each outline.
    words : uint64 (n, p)
        Random numbers, p >= m / 8 - 1: the phases.

    Notes
    -----
    Phases of surrogates at random: Theiler et al., Physica D 58, 77 (1992). The amplitudes are not those of the harmonics
    themselves, since alignment leaves an amplitude as it is whatever its phase.

    Examples
    --------
    >>> square = 1.0 + 0.1 * np.cos(4 * np.arange(32) * np.pi / 16)
    >>> int(abs(roughness(square[None], np.zeros((1, 3), np.uint64))).max())
    0
    """
    shapes = parse_outlines(radii, normalise=True)
    size = shapes.shape[1] // TURNS
    amplitudes = np.abs(np.fft.rfft(shapes, axis=1)) / shapes.shape[1]
    # The last multiple of four is the folded outline's Nyquist frequency and has no phase.
    harmonics = TURNS * np.arange(1, size // 2)
    share = np.log1p(1.0 / harmonics) / np.log((harmonics + 1.0) / (harmonics - 1.0))
    scale = special.gamma(1.5) / (special.gamma(1.0 + share / 2.0) * special.gamma(1.5 - share / 2.0))
    expected = scale * amplitudes[:, harmonics - 1] ** share * amplitudes[:, harmonics + 1] ** (1.0 - share)
    phases = (words[:, : harmonics.size] >> np.uint64(11)) * (2.0**-53 * 2.0 * np.pi)
    spectrum = np.zeros((len(shapes), size // 2 + 1), np.complex128)
    spectrum[:, 1:-1] = size * expected * np.exp(1j * phases)
    return np.asarray(np.rint(np.fft.irfft(spectrum, size, axis=1) / QUANTUM).astype(np.int64))


def alignment_shift(
    outline: Int64[np.ndarray, " q"], rough: Folded, weights: Int64[np.ndarray, " n"]
) -> Float64[np.ndarray, " h"]:
    """Say by how much alignment changes the mean outline of particles of a known shape that are rough.

    The shape is planted at angles between the steps of turning, under the roughness of each particle and under its negative,
    so that their mean is the shape itself, and all are aligned until the mean stays. What this mean has more than the shape is
    alignment's doing: corners of noise, and corners blurred by noise and by turning in steps.

    Parameters
    ----------
    outline : int64 (q,)
        The shape, even: the mean of aligned outlines, which is near it.
    rough : int64 (n, q)
        From `roughness`.
    weights : int64 (n,)

    Returns
    -------
    float64 (q / 2 + 1,)
        As a share of the mean radius, from angle 0 to 2 pi / 8.
    """
    planted = np.concatenate([_between_steps(outline, len(rough)) + sign * rough for sign in (1, -1)])
    found = fixed_point(planted, np.concatenate([weights, weights]), outline).outline
    return np.asarray((found - outline)[: outline.size // 2 + 1] * QUANTUM)


def _between_steps(outline: Int64[np.ndarray, " q"], number: int) -> Folded:
    """Turn an outline by even shares of a step, one after the other."""
    offsets = (np.arange(_OFFSETS) + 0.5) / _OFFSETS - 0.5
    harmonics = np.arange(outline.size // 2 + 1)
    turned = np.fft.rfft(outline) * np.exp(-2j * np.pi * np.outer(offsets, harmonics) / outline.size)
    shapes = np.rint(np.fft.irfft(turned, outline.size, axis=1)).astype(np.int64)
    return np.asarray(shapes[np.arange(number) % _OFFSETS])


def fourth_amplitudes(outlines: Folded) -> Float64[np.ndarray, " n"]:
    """Give twice the amplitude of the fourth harmonic of r(theta) over its mean: the squareness that turning it up makes.

    Examples
    --------
    >>> square = 1.0 + 0.1 * np.cos(4 * np.arange(32) * np.pi / 16 + 0.3)
    >>> float(fourth_amplitudes(folded(square[None]))[0].round(4))
    0.1
    """
    size = outlines.shape[1]
    wave = np.exp(-2j * np.pi * np.arange(size) / size)
    return np.asarray(2.0 * QUANTUM / size * np.abs(outlines @ wave))


@compiled
def _add_mirrored(outlines: npt.NDArray[np.int64], turns: npt.NDArray[np.int64], sums: npt.NDArray[np.int64]) -> None:
    n, size = outlines.shape
    for row in range(n):
        for angle in range(sums.shape[1]):
            sums[row, angle] = outlines[row, (angle - turns[row]) % size] + outlines[row, (-angle - turns[row]) % size]
