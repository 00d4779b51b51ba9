"""Numbers of a mean outline with the symmetry of a square: how square, how faceted and how hollow it is.

An outline is given by its radii at even angles from a corner (angle 0) to the middle of a face (45 degrees), as a share of
its mean radius or in any other unit.
"""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float64

Half = Float64[np.ndarray, " angle"]
"""Radii from a corner to the middle of a face."""

_HALF_FACE_DEG = 17.0
"""Reach of the fit to a face on either side of its middle, as in the column `concavity` of the particles."""
_STEP = 1e-6


def whole_quarter(half: Float64[np.ndarray, "*many angle"]) -> Float64[np.ndarray, "*many q"]:
    """Give a quarter of the outline, corner to corner, the second one left out.

    Examples
    --------
    >>> whole_quarter(np.array([3.0, 2.0, 1.0])).tolist()
    [3.0, 2.0, 1.0, 2.0]
    """
    return np.concatenate([half, half[..., -2:0:-1]], axis=-1)


def squareness(half: Half) -> float:
    """Give twice the amplitude of the fourth harmonic of r(theta) over its mean: 0 for a disc, 0.139 for a square.

    What `psi_4` is of a particle.

    Examples
    --------
    >>> angle = np.linspace(0.0, np.pi / 4, 17)
    >>> round(squareness(5.0 + 0.2 * np.cos(4 * angle)), 12)
    0.04
    """
    quarter = whole_quarter(half)
    wave = np.cos(2.0 * np.pi * np.arange(quarter.size) / quarter.size)
    return float(2.0 * (wave @ quarter) / quarter.sum())


def facet_index(half: Half) -> float:
    """Say how far corners stick out over faces: 0 for a disc (and an octagon), 1 for a square, more beyond it.

    (r at the corner / r at the middle of the face - 1) / (sqrt(2) - 1).

    Examples
    --------
    >>> facet_index(np.array([1.0, 1.0, 1.0])), round(facet_index(np.array([2.0**0.5, 1.1, 1.0])), 12)
    (0.0, 1.0)
    """
    return float((half[0] / half[-1] - 1.0) / (np.sqrt(2.0) - 1.0))


def concavity(half: Half) -> float:
    """Give minus the curvature of the faces times the radius of the disc of equal area: -1 round, 0 straight, 1 hollow.

    As the column of that name does it: a conic 1 / r = C + A cos(theta) fitted to 17 degrees on either side of the middle of
    a face, C its curvature there.

    Examples
    --------
    >>> angle = np.linspace(0.0, np.pi / 4, 17)
    >>> round(concavity(np.ones(17)), 12), abs(round(concavity(1.0 / np.cos(np.pi / 4 - angle)), 12))
    (-1.0, 0.0)
    """
    step = 45.0 / (half.size - 1)
    reach = max(1, int(_HALF_FACE_DEG // step))
    aside = np.deg2rad(step * np.arange(-reach, reach + 1))
    terms = np.stack([np.ones(aside.size), np.cos(aside)], axis=1)
    curvature = np.linalg.pinv(terms)[0] @ (1.0 / whole_quarter(half)[half.size - 1 - reach : half.size + reach])
    return float(-curvature * np.sqrt(np.mean(whole_quarter(half) ** 2)))


INDICES: Mapping[str, Callable[[Half], float]] = {
    "squareness": squareness,
    "facet_index": facet_index,
    "concavity": concavity,
}
"""What is said of a mean outline; a new index is one row, smooth in the radii."""


def slopes(index: Callable[[Half], float], half: Half) -> Half:
    """Give the derivatives of an index with respect to each radius, by central differences.

    Examples
    --------
    >>> slopes(facet_index, np.array([1.0, 1.0, 1.0])).round(6).tolist()
    [2.414214, 0.0, -2.414214]
    """
    steps = _STEP * np.eye(half.size)
    return np.array([(index(half + step) - index(half - step)) / (2.0 * _STEP) for step in steps])
