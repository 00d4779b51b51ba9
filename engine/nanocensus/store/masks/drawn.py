"""Particles drawn as outlines, and the label image that they make."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int32, Int64
from skimage.measure import points_in_poly

from nanocensus.errors import ImageError
from nanocensus.store.masks.coverage import polygon_coverage

_ELLIPSE_VERTICES = 256


@dataclass(frozen=True, eq=False)
class Drawn:
    """A particle as it was drawn."""

    name: str
    """What its file calls it, for messages."""
    paths: Sequence[Float64[np.ndarray, "_ 2"]]
    """Closed paths that do not cross, (y, x) in pixels, pixel i spanning i to i + 1: a path inside another is a hole."""


def ellipse(
    centre: Float64[np.ndarray, "2"], first: Float64[np.ndarray, "2"], second: Float64[np.ndarray, "2"]
) -> Float64[np.ndarray, "k 2"]:
    """Give a polygon of the area of the ellipse with a centre and two conjugate half axes, all (y, x).

    Examples
    --------
    >>> ellipse(np.zeros(2), np.array([0.0, 2.0]), np.array([1.0, 0.0])).max(axis=0).round(3)
    array([1., 2.])
    """
    step = 2 * math.pi / _ELLIPSE_VERTICES
    angles = step * np.arange(_ELLIPSE_VERTICES)[:, None]
    whole = math.sqrt(step / math.sin(step))  # corners lie outside the ellipse by as much as edges lie inside
    return np.asarray(centre + whole * (np.cos(angles) * first + np.sin(angles) * second))


def labels_of(path: Path, particles: Sequence[Drawn], shape: tuple[int, int]) -> Int32[np.ndarray, "y x"]:
    """Label the pixels of which a particle covers more than half; where two do, the later one has them.

    Parameters
    ----------
    path : Path
        The file they come from, for messages.
    particles : sequence of Drawn
    shape : (int, int)
        Of the micrograph, px.

    Returns
    -------
    int32 array, (y, x)
        0 = background; i + 1 = `particles[i]`. One that covers no pixel by half has none.

    Raises
    ------
    ImageError
        If a particle has no outline, or lies outside the micrograph.
    """
    labels = np.zeros(shape, np.int32)
    for number, particle in enumerate(particles, start=1):
        _check(path, particle, shape)
        low, high = _window(particle, shape)
        covered = np.zeros(high - low)
        for outline, sign in zip(particle.paths, _signs(particle.paths), strict=True):
            fraction, corner = polygon_coverage(outline, shape)
            (top, left), (height, width) = corner - low, fraction.shape
            covered[top : top + height, left : left + width] += sign * fraction
        labels[low[0] : high[0], low[1] : high[1]][covered > 0.5] = number
    return labels


def _window(particle: Drawn, shape: tuple[int, int]) -> tuple[Int64[np.ndarray, "2"], Int64[np.ndarray, "2"]]:
    """Give the first pixel of a particle's window inside the image, and the one after its last."""
    points = np.concatenate(particle.paths)
    low, high = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0))
    return np.clip(low, 0, shape).astype(np.int64), np.clip(high, 0, shape).astype(np.int64)


def _signs(paths: Sequence[Float64[np.ndarray, "_ 2"]]) -> list[int]:
    """Tell outlines (1) from holes (-1) by how many other paths each lies in."""
    if len(paths) == 1:
        return [1]
    return [1 - 2 * (sum(_inside(path, other) for other in paths if other is not path) % 2) for path in paths]


def _inside(path: Float64[np.ndarray, "k 2"], other: Float64[np.ndarray, "n 2"]) -> bool:
    return bool(points_in_poly(path, other).mean() > 0.5)  # type: ignore[no-untyped-call]  # no types there


def _check(path: Path, particle: Drawn, shape: tuple[int, int]) -> None:
    points = np.concatenate([np.zeros((0, 2)), *particle.paths])
    got = ""
    if not all(len(outline) >= 3 for outline in particle.paths) or not len(points):
        got = "fewer than three points"
    elif not np.isfinite(points).all():
        got = "coordinates that are no numbers"
    elif (points.max(axis=0) <= 0).any() or (points.min(axis=0) >= shape).any():
        got = "one that lies outside"
    elif (points.min(axis=0) < -np.array(shape)).any() or (points.max(axis=0) > 2 * np.array(shape)).any():
        got = "one that is larger than it"
    if got:
        raise ImageError(
            f"mask {path}, {particle.name}",
            expected=f"a closed outline on its micrograph of {shape[0]} x {shape[1]} pixels",
            got=got,
            remedy="Draw it on the micrograph itself, in its pixels and not in nm, or remove it from the file.",
        )
