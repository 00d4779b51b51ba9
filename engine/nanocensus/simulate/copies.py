"""Particles that lie apart on one map, each at a random place within a pixel and turned at random."""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, UInt8
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from nanocensus.errors import InputError
from nanocensus.simulate.maps import render_map
from nanocensus.simulate.outline import Outline
from nanocensus.simulate.placement import Planted

_BLURS_APART = 5.0
_TRIES = 100
_PIXELS_APART = 4
"""Beyond the reach of the blur, so that noise does not join neighbours."""


class Sheet(NamedTuple):
    """A map with groups of particles side by side."""

    probability: UInt8[np.ndarray, "y x"]
    """255 = surely particle."""
    groups: list[list[Planted]]
    """Where the particles of each group came to lie."""


def at_random(family: str, outline: Outline, rng: np.random.Generator) -> Planted:
    """Give an outline, in pixels, a random place within one pixel and a random turn."""
    y, x = rng.uniform(-0.5, 0.5, 2).tolist()
    return Planted(family, outline, (y, x), rng.uniform(0, 2 * math.pi))


def placed_groups(
    sizes_px: Float64[np.ndarray, " n"],
    outline: Outline,
    density_px: float,
    stays: float,
    beyond_px: float,
    rng: np.random.Generator,
) -> list[list[Planted]]:
    """Place particles at random in a field, and give those that lie together.

    Parameters
    ----------
    sizes_px : float64 array (n,)
        Edge lengths, px.
    outline : Outline
        Shape of all.
    density_px : float
        Particles per square pixel.
    stays : float
        Chance that a particle which would meet another stays where it is; else it looks for another place, up to a hundred
        times. 1 is random placement.
    beyond_px : float
        Particles meet where the circles round them come nearer than this.
    rng : numpy.random.Generator

    Returns
    -------
    list of lists of Planted
        Two or more that meet, or hang together by others.

    Examples
    --------
    >>> from nanocensus.simulate.shapes import disc
    >>> rng = np.random.default_rng(0)
    >>> groups = placed_groups(np.full(100, 10.0), disc(), 5e-4, 1.0, 0.0, rng)
    >>> len(groups), max(len(group) for group in groups)
    (10, 3)
    """
    side = math.sqrt(len(sizes_px) / density_px)
    reaches = sizes_px * (outline.reach / outline.edge_length) + beyond_px / 2
    centres = np.empty((len(sizes_px), 2))
    for number, reach in enumerate(reaches.tolist()):
        for _ in range(_TRIES):
            centres[number] = rng.uniform(0, side, 2)
            met = np.hypot(*(centres[:number] - centres[number]).T) < reaches[:number] + reach
            if not met.any() or rng.random() < stays:
                break
    distances = np.hypot(*(centres[:, None] - centres[None]).transpose(2, 0, 1))
    together = csr_array(distances < reaches[:, None] + reaches[None])
    _, group_of = connected_components(together, directed=False)
    crowds = [np.flatnonzero(group_of == group) for group in np.flatnonzero(np.bincount(group_of) > 1)]
    return [[_planted(outline.scaled(sizes_px[one]), centres[one], rng) for one in crowd] for crowd in crowds]


def _planted(outline: Outline, centre: Float64[np.ndarray, " 2"], rng: np.random.Generator) -> Planted:
    y, x = centre.tolist()
    return Planted("copy", outline, (y, x), rng.uniform(0, 2 * math.pi))


def render_apart(
    groups: Sequence[Sequence[Planted]],
    *,
    blur_px: float,
    noise: float = 0.0,
    noise_grain_px: float = 2.0,
    rng: np.random.Generator | None = None,
) -> Sheet:
    """Draw groups of particles in the cells of a square lattice, so far apart that no group knows of another.

    Parameters
    ----------
    groups : sequence of sequences of Planted
        Particles about the origin, in pixels; those of a group keep their distances, and may touch.
    blur_px, noise, noise_grain_px, rng
        See `render_map`.

    Returns
    -------
    Sheet

    Raises
    ------
    InputError
        If there is no group.

    Examples
    --------
    >>> from nanocensus.simulate.shapes import disc
    >>> rng = np.random.default_rng(0)
    >>> sheet = render_apart([[at_random("disc", disc().scaled(10.0), rng)] for _ in range(4)], blur_px=1.0)
    >>> sheet.probability.shape, round(float(sheet.probability.sum()) / 255)
    ((60, 60), 400)
    """
    if not groups:
        raise InputError("groups", expected="at least one", got="none", remedy="Give particles to draw.")
    boxes = np.array([_box(group) for group in groups])
    pitch = 2 * math.ceil((boxes[:, 2:] - boxes[:, :2]).max() / 2 + _BLURS_APART * blur_px + _PIXELS_APART)
    middles = np.rint((boxes[:, :2] + boxes[:, 2:]) / 2)  # by whole pixels: places within a pixel stay random
    columns = math.ceil(math.sqrt(len(groups)))
    rows = math.ceil(len(groups) / columns)
    placed = []
    for number, group in enumerate(groups):
        cell = np.array(divmod(number, columns)) * pitch + pitch // 2
        y, x = (cell - middles[number]).tolist()
        placed.append([dataclasses.replace(one, centre=(one.centre[0] + y, one.centre[1] + x)) for one in group])
    probability = render_map(
        [one for group in placed for one in group],
        (rows * pitch, columns * pitch),
        blur_px=blur_px,
        noise=noise,
        noise_grain_px=noise_grain_px,
        rng=rng,
    )
    return Sheet(probability, placed)


def _box(group: Sequence[Planted]) -> tuple[float, float, float, float]:
    """Give the least and the largest y and x that a group can reach, as two corners."""
    centres = np.array([one.centre for one in group])
    reaches = np.array([one.outline.reach for one in group])[:, None]
    (top, left), (bottom, right) = (centres - reaches).min(0).tolist(), (centres + reaches).max(0).tolist()
    return top, left, bottom, right
