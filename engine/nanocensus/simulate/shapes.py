"""The shapes that are planted, by name."""

from collections.abc import Callable, Mapping

import numpy as np

from nanocensus.simulate.outline import Outline, directions

DIRECTIONS = 720
"""Vertices of the outlines made here; a multiple of eight puts the corners of a square on vertices."""


def disc() -> Outline:
    """Give the unit disc."""
    return Outline(np.ones(DIRECTIONS))


def ellipse(aspect: float) -> Outline:
    """Give an ellipse with half axes `aspect` along x and 1 along y."""
    angles = directions(DIRECTIONS)
    return Outline(aspect / np.hypot(np.cos(angles), aspect * np.sin(angles)))


def superellipse(exponent: float) -> Outline:
    """Give |x|^p + |y|^p = 1: the disc at p = 2, towards the square as p grows."""
    angles = directions(DIRECTIONS)
    return Outline((np.abs(np.cos(angles)) ** exponent + np.abs(np.sin(angles)) ** exponent) ** (-1 / exponent))


def truncated_square(truncation: float) -> Outline:
    """Give the square of half side 1 with its corners cut off straight.

    Parameters
    ----------
    truncation : float
        Length that a cut takes from each side it meets: 0 leaves the square, 1 leaves the square turned by 45 degrees.
    """
    angles = directions(DIRECTIONS)
    cosine, sine = np.abs(np.cos(angles)), np.abs(np.sin(angles))
    return Outline(np.minimum(1 / np.maximum(cosine, sine), (2 - truncation) / (cosine + sine)))


def square() -> Outline:
    """Give the square of half side 1."""
    return truncated_square(0.0)


def lobed(amplitude: float, lobes: int = 4) -> Outline:
    """Give r = 1 - amplitude cos(lobes theta); with four lobes, concave where amplitude exceeds 1/17."""
    return Outline(1 - amplitude * np.cos(lobes * directions(DIRECTIONS)))


def dented_superellipse(exponent: float, depth: float) -> Outline:
    """Give the superellipse |x|^p + |y|^p = 1 whose faces are pressed in by a share of the radius.

    r is multiplied by 1 - depth (1 + cos 4 theta) / 2: nothing is taken at the corners, `depth` at the middle of the
    faces. Round at p = 2, faceted as p grows, concave as the depth does; at p = 2 it is `lobed` up to its size.
    """
    return Outline(superellipse(exponent).radii * (1 - depth * (1 + np.cos(4 * directions(DIRECTIONS))) / 2))


FAMILIES: Mapping[str, Callable[[np.random.Generator], Outline]] = {
    "disc": lambda rng: disc(),
    "ellipse": lambda rng: ellipse(rng.uniform(1.05, 1.4)),
    "superellipse": lambda rng: superellipse(rng.uniform(2.3, 5.0)),
    "truncated_square": lambda rng: truncated_square(rng.uniform(0.2, 0.6)),
    "lobed": lambda rng: lobed(rng.uniform(0.02, 0.1)),
}
"""How a shape of each family is drawn; a new family is one row."""
