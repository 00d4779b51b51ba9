"""Laying outlines over one another: the best of all rotations and mirror images, exactly.

An outline is its distance r(theta) from the area centroid at m even angles. Its 2 m poses are the m rotations by
2 pi / m and those of its mirror image; all are compared at once, as the squared distances of the poses from a
reference differ only in one inner product each, and these are a product with the circulant matrices of the reference.

Poses of a symmetric outline, or over a symmetric reference, are equally near. `align` takes the first of them: which
one that is follows from how the particle lay, not from its shape, so that means over a symmetric reference keep its
symmetry. Where the result must not depend on how the particles lay, the pose with the largest first radius (then
second, ...) is taken instead; its mean is lopsided by the noise that was chosen.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int32, Int64

from nanocensus.errors import InputError
from nanocensus.measure import _poses

_ROWS_AT_ONCE = 4096
"""Outlines whose scores are held in memory at a time: 8 MiB of them for 128 angles."""


@dataclass(frozen=True)
class Alignment:
    """Outlines laid over a reference.

    Pose (shift s, mirrored) of an outline r is r[(s - t) % m] at angle t if mirrored, and r[(t - s) % m] otherwise.
    """

    shift: Int32[np.ndarray, " n"]
    """Rotation in steps of 2 pi / m, 0 to m - 1."""
    mirrored: Bool[np.ndarray, " n"]
    """Whether the outline was mirrored (theta to -theta) before it was rotated."""
    distance: Float64[np.ndarray, " n"]
    """Root mean square over the angles of aligned outline - reference: the Euclidean distance over sqrt(m)."""
    radii: Float64[np.ndarray, "n m"]
    """The outlines in these poses."""


def align(radii: Float[np.ndarray, "n m"], reference: Float[np.ndarray, " _"], *, normalise: bool = False) -> Alignment:
    """Put each outline in the pose nearest to a reference, the best of all m rotations and their mirror images.

    Of equally near poses the one that is not mirrored is taken, then the one with the smallest shift.

    Parameters
    ----------
    radii : float (n, m)
        r(theta) of each outline at m even angles; any unit of length.
    reference : float (m,)
        What they are laid over, in the same unit.
    normalise : bool
        Divide each outline and the reference by its mean radius first: distances and aligned radii then speak of the
        shape alone and have no unit. The poses are the same either way.

    Returns
    -------
    Alignment

    Raises
    ------
    InputError
        If radii are not finite and positive, the number of angles is odd, or the reference has another one.

    Examples
    --------
    >>> reference = np.array([3.0, 1.0, 2.0, 2.0, 2.0, 2.0])
    >>> found = align(np.roll(reference[None, ::-1], 1, axis=1), reference)
    >>> found.radii[0].tolist(), bool(found.mirrored[0]), float(found.distance[0])
    ([3.0, 1.0, 2.0, 2.0, 2.0, 2.0], True, 0.0)
    """
    outlines = parse_outlines(radii, normalise=normalise)
    target = parse_outlines(np.atleast_2d(reference), normalise=normalise)
    if target.shape != (1, outlines.shape[1]):
        raise InputError(
            "reference",
            expected=f"one outline at {outlines.shape[1]} angles",
            got=f"an array of shape {np.shape(reference)}",
            remedy="Sample the outlines and their reference at the same angles.",
        )
    return posed(outlines, nearest_poses(outlines, target[0], ties_by_radii=False), target[0])


def nearest_poses(
    radii: Float64[np.ndarray, "n m"], reference: Float64[np.ndarray, " m"], *, ties_by_radii: bool
) -> Int64[np.ndarray, " n"]:
    """Give the pose of each outline that is nearest to a reference: a shift, plus m if mirrored.

    Parameters
    ----------
    radii, reference
        As `parse_outlines` gives them.
    ties_by_radii : bool
        Let the largest first radius decide among equally near poses, instead of taking the first: the aligned radii
        are then the same to the bit however the particles lay.
    """
    n, m = radii.shape
    angle = np.arange(m)
    turned = reference[(angle[:, None] + angle) % m]
    mirrored = reference[(angle[:, None] - angle) % m]
    poses = np.concatenate((turned, mirrored)) - reference.mean()
    best, length = np.empty(n, np.int64), float(np.linalg.norm(reference))
    for start in range(0, n, _ROWS_AT_ONCE):
        rows = radii[start : start + _ROWS_AT_ONCE]
        _poses.choose(rows @ poses.T, rows, length, ties_by_radii, best[start : start + _ROWS_AT_ONCE])
    return best


def posed(
    radii: Float64[np.ndarray, "n m"], pose: Int64[np.ndarray, " n"], reference: Float64[np.ndarray, " m"]
) -> Alignment:
    """Put outlines in their poses, a shift plus m if mirrored."""
    m = radii.shape[1]
    shift, mirrored = pose % m, pose >= m
    angle = np.arange(m)
    source = np.where(mirrored[:, None], shift[:, None] - angle, angle - shift[:, None]) % m
    aligned = np.take_along_axis(radii, source, axis=1)
    distance = np.sqrt(np.mean((aligned - reference) ** 2, axis=1))
    return Alignment(shift.astype(np.int32), mirrored, distance, aligned)


def mean_outline_sequential(
    radii: Float[np.ndarray, "n m"],
    *,
    normalise: bool = False,
    after: tuple[Float64[np.ndarray, " m"], int] | None = None,
) -> tuple[Float64[np.ndarray, " m"], Alignment]:
    """Average outlines as the paper does: each is laid over the running average of those before it.

    The first outline is the reference of the second. The result depends on the order of the outlines and on how the
    first one lay; `mean_outline` does not.

    Parameters
    ----------
    radii : float (n, m)
        r(theta) of each outline at m even angles, in the order in which they are taken; any unit of length.
    normalise : bool
        Divide each outline by its mean radius first.
    after : pair of float64 (m,) and int, optional
        The running average of earlier outlines, and how many they were: the outlines are taken after these.

    Returns
    -------
    mean : float64 (m,)
        The running average after the last outline.
    alignment : Alignment
        Its distances are those from the running average that each outline was laid over; 0 for the first.

    Raises
    ------
    InputError
        As `align`, or if there is no outline.

    References
    ----------
    Cho et al., ACS Nano 2024, 18, 29736, Methods.

    Examples
    --------
    >>> square = 1.0 + 0.1 * np.cos(4 * np.arange(8) * np.pi / 4)
    >>> mean, alignment = mean_outline_sequential(np.stack([square, np.roll(square, 1)]))
    >>> bool(np.allclose(mean, square)), alignment.distance.tolist()
    (True, [0.0, 0.0])
    """
    outlines = parse_outlines(radii, normalise=normalise, at_least=1)
    best, distance = np.zeros(len(outlines), np.int64), np.zeros(len(outlines))
    mean, before = (outlines[0].copy(), 0) if after is None else (after[0].copy(), after[1])
    _poses.lay_in_turn(outlines, before, mean, best, distance)
    return mean, dataclasses.replace(posed(outlines, best, mean), distance=distance)


def parse_outlines(
    radii: Float[np.ndarray, "n m"], *, normalise: bool, at_least: int = 0
) -> Float64[np.ndarray, "n m"]:
    """Check outlines, and divide each by its mean radius if that is asked for.

    Raises
    ------
    InputError
        If they are no rows of radii, too few, their radii are not finite and positive, or the number of angles is odd.
    """
    outlines = np.ascontiguousarray(radii, np.float64)
    wrong = ""
    if outlines.ndim != 2:
        wrong = f"an array of shape {outlines.shape}"
    elif len(outlines) < at_least:
        wrong = "none"
    elif outlines.shape[1] < 4 or outlines.shape[1] % 2:
        wrong = f"{outlines.shape[1]} angles"
    elif not (np.isfinite(outlines).all() and (outlines > 0.0).all()):
        wrong = f"{outlines.min()} to {outlines.max()}"
    if wrong:
        raise InputError(
            "radii of outlines",
            expected="a row each, finite and positive, at an even number of angles, 4 or more",
            got=wrong,
            remedy="Leave out particles that are not `star_shaped` in the table; sample r(theta) at 128 angles.",
        )
    return outlines / outlines.mean(axis=1, keepdims=True) if normalise else outlines
