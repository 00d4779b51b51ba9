"""Choosing among the poses of outlines; a pose is a shift by steps of 2 pi / m, plus m if mirrored.

Kernels call only kernels of their own file: numba's cache on disk does not see a change in another one.
"""

import numpy as np
import numpy.typing as npt

from nanocensus.measure.regions._compile import compiled

_EQUALLY_NEAR = 1e-13
"""Scores that differ by less than this share of |outline| |reference| count as equal; rounding makes 1e-16 of it."""


@compiled
def _radius(outline: npt.NDArray[np.float64], pose: int, angle: int) -> float:
    """Give one radius of an outline in a pose: a shift, plus m if mirrored."""
    m = outline.size
    source = angle - pose if pose < m else pose - angle
    radius: float = outline[source % m]
    return radius


@compiled
def _comes_first(outline: npt.NDArray[np.float64], pose: int, other: int) -> bool:
    """Say whether an outline's radii in one pose come before those in another, the larger one first."""
    for angle in range(outline.size):
        here, there = _radius(outline, pose, angle), _radius(outline, other, angle)
        if here != there:
            return here > there
    return False


@compiled
def _nearest_pose(
    scores: npt.NDArray[np.float64], outline: npt.NDArray[np.float64], length: float, ties_by_radii: bool
) -> int:
    """Give the pose with the largest score; among equal ones the first, or the one whose radii come first."""
    least = scores.max() - _EQUALLY_NEAR * length * np.sqrt((outline**2).sum())
    best = -1
    for pose in range(scores.size):
        if scores[pose] >= least and (best < 0 or (ties_by_radii and _comes_first(outline, pose, best))):
            best = pose
    return best


@compiled
def choose(
    scores: npt.NDArray[np.float64],
    outlines: npt.NDArray[np.float64],
    length: float,
    ties_by_radii: bool,
    best: npt.NDArray[np.int64],
) -> None:
    """Write the nearest pose of each outline, from its inner products with the poses of a reference of some length."""
    for row in range(best.size):
        best[row] = _nearest_pose(scores[row], outlines[row], length, ties_by_radii)


@compiled
def lay_in_turn(
    outlines: npt.NDArray[np.float64],
    before: int,
    mean: npt.NDArray[np.float64],
    best: npt.NDArray[np.int64],
    distance: npt.NDArray[np.float64],
) -> None:
    """Lay each outline over the mean of those before it, which then takes it in; the very first one is the mean."""
    n, m = outlines.shape
    scores = np.empty(2 * m)
    thrice = np.empty(3 * m)
    for row in range(n):
        if before + row == 0:
            mean[:] = outlines[row]
            continue
        outline = outlines[row]
        level = mean.mean()
        for angle in range(3 * m):
            thrice[angle] = mean[angle % m] - level
        scores[:] = 0.0
        for angle in range(m):
            radius = outline[angle]
            for shift in range(m):
                scores[shift] += radius * thrice[angle + shift]
            for shift in range(m):
                scores[m + shift] += radius * thrice[m - angle + shift]
        pose = _nearest_pose(scores, outline, np.sqrt((mean**2).sum()), False)
        best[row] = pose
        squares = 0.0
        for angle in range(m):
            excess = _radius(outline, pose, angle) - mean[angle]
            squares += excess**2
            mean[angle] += excess / (before + row + 1)
        distance[row] = np.sqrt(squares / m)
