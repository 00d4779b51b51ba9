"""Families of particles: what a scene's particles look like, from outline to inner structure."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float64
from scipy import ndimage

from nanocensus.simulate.outline import Outline, directions
from nanocensus.simulate.shapes import superellipse

_DIRECTIONS = 360


@dataclass(frozen=True)
class Profile:
    """Thickness from the middle (1) to the outline, ``(1 - rho^p)^q`` cut off at a share of its height."""

    flatness: float = 2.0
    """p: 2 and q = 1/2 make a sphere, a large p a slab."""
    power: float = 0.5
    """q."""
    cut: float = 1.0
    """Share of the height at which it is cut off flat: a truncated top."""
    floor: float = 0.0
    """Thickness at the outline, as a share of that in the middle."""


@dataclass(frozen=True, eq=False)
class Form:
    """A particle without size, place and pose."""

    outline: Outline
    profile: Profile = field(default_factory=Profile)
    hollow: float = 0.0
    """Radius of an empty middle, as a share of the outline's; 0 for none."""
    core: float = 0.0
    """Radius of a denser core, as a share of the outline's; 0 for none."""
    shell: float = 1.0
    """Density of what lies round the core, as a share of the core's."""


FormMaker = Callable[[np.random.Generator], Callable[[np.random.Generator], Form]]
"""Draws what the particles of one scene have in common, and gives what draws one of them."""


# A rim of no thickness fades into noise before the outline is reached. Networks that are taught such outlines guess, and draw
# sharp ones several pixels too far out: on real micrographs, whose drawn masks follow what can be seen, by a fifth of the area.
_THINNEST_RIM, _THICKEST_RIM = 0.3, 0.8
"""Thickness of round and slanted particles at their outline, as a share of that in the middle."""


def _rim(rng: np.random.Generator) -> float:
    return rng.uniform(_THINNEST_RIM, _THICKEST_RIM)


def _sphere(rng: np.random.Generator) -> Profile:
    return Profile(cut=rng.uniform(0.5, 1.0), floor=_rim(rng))


def _any_profile(rng: np.random.Generator) -> Profile:
    """Draw a slab, a pyramid, or a sphere, each with or without a flat top."""
    kinds = (
        Profile(8.0, 0.1),
        Profile(1.0, 1.0, rng.uniform(0.1, 1.0), _rim(rng)),
        Profile(cut=rng.uniform(0.3, 1.0), floor=_rim(rng)),
        Profile(12.0, 0.1),
    )
    return kinds[rng.integers(len(kinds))]


def _stretched(outline: Outline, aspect: float) -> Outline:
    """Stretch along x by sqrt(aspect) and shrink along y as much; the centre stays."""
    angles = directions(len(outline.radii))
    root = math.sqrt(aspect)
    # The ray at angle t of the stretched shape meets what was at the angle atan2(sin t * root, cos t / root).
    before = np.arctan2(np.sin(angles) * root, np.cos(angles) / root)
    radii = np.interp(
        np.mod(before, 2 * math.pi), np.append(angles, 2 * math.pi), np.append(outline.radii, outline.radii[0])
    )
    return Outline(radii / np.hypot(np.cos(angles) / root, np.sin(angles) * root))


def _waves(rng: np.random.Generator, orders: range, amplitude: float, fall: float) -> Float64[np.ndarray, " k"]:
    """Give one plus random harmonics of r(theta), falling with their order."""
    angles = directions(_DIRECTIONS)
    radii = np.ones(_DIRECTIONS)
    for order in orders:
        radii += rng.normal() * amplitude / order**fall * np.cos(order * angles + rng.uniform(0, 2 * math.pi))
    return np.asarray(np.clip(radii, 0.3, 2.0))


def _polygon(corners: Float64[np.ndarray, "c 2"], rounding: float) -> Outline:
    """Give r(theta) of the convex hull of corners (y, x) about the origin, smoothed over some directions."""
    angles = directions(_DIRECTIONS)
    order = np.argsort(np.arctan2(corners[:, 0], corners[:, 1]))
    here, following = corners[order], np.roll(corners[order], -1, axis=0)
    edge = following - here
    along = np.cos(angles)[:, None], np.sin(angles)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        # Where a ray crosses the line of an edge; of a convex outline the nearest crossing ahead counts.
        reach = (here[:, 1] * edge[:, 0] - here[:, 0] * edge[:, 1]) / (along[0] * edge[:, 0] - along[1] * edge[:, 1])
    radii = np.where(np.isfinite(reach) & (reach > 1e-6), reach, np.inf).min(axis=1)
    radii = np.where(np.isfinite(radii), radii, np.median(radii[np.isfinite(radii)]))
    if rounding > 0:
        radii = ndimage.gaussian_filter1d(radii, rounding, mode="wrap")
    return Outline(np.clip(radii, 0.2, 3.0))


def _corners(
    count: int, turn: Float64[np.ndarray, " c"], reach: Float64[np.ndarray, " c"]
) -> Float64[np.ndarray, "c 2"]:
    angles = 2 * math.pi * np.arange(count) / count + turn
    return np.asarray(np.stack([np.sin(angles), np.cos(angles)], axis=1) * reach[:, None])


def _discs(rng: np.random.Generator) -> Callable[[np.random.Generator], Form]:
    roughness = rng.uniform(0.0, 0.05)
    return lambda each: Form(Outline(_waves(each, range(2, 5), roughness, 0.0)), _sphere(each))


def _ellipses(rng: np.random.Generator) -> Callable[[np.random.Generator], Form]:
    return lambda each: Form(_stretched(superellipse(each.uniform(1.9, 3.0)), each.uniform(1.0, 2.5)), _sphere(each))


def _rods(rng: np.random.Generator) -> Callable[[np.random.Generator], Form]:
    aspect, exponent = rng.uniform(1.5, 8.0), rng.uniform(2.5, 8.0)
    return lambda each: Form(
        _stretched(superellipse(exponent), max(1.3, aspect * each.uniform(0.75, 1.25))), _any_profile(each)
    )


def _polygons(rng: np.random.Generator) -> Callable[[np.random.Generator], Form]:
    """Make polygons of mostly one number of corners, some cut: faceted gold, octahedra, plates."""
    usual, scatter = int(rng.choice([3, 4, 5, 6, 6, 8])), rng.uniform(0.0, 0.25) * (rng.random() < 0.7)
    cut = rng.uniform(0.05, 0.3) * (rng.random() < 0.5)
    profile = _any_profile(rng)

    def draw(each: np.random.Generator) -> Form:
        count = usual if each.random() < 0.8 else int(each.integers(3, 9))
        corners = _corners(
            count, each.normal(size=count) * scatter * 2 / count, 1 + 0.5 * scatter * each.normal(size=count)
        )
        if cut:
            ahead = np.roll(corners, -1, axis=0)
            share = cut * each.uniform(0.6, 1.4)
            corners = np.concatenate([corners + share * (ahead - corners), ahead + share * (corners - ahead)])
        return Form(_polygon(corners, each.uniform(0.0, 4.0)), profile)

    return draw


def _crystals(rng: np.random.Generator) -> Callable[[np.random.Generator], Form]:
    """Make irregular polyhedra: five to thirteen corners at uneven angles."""

    def draw(each: np.random.Generator) -> Form:
        count = int(each.integers(5, 14))
        outline = _polygon(_corners(count, each.normal(size=count) * 1.5 / count, np.ones(count)), each.uniform(0, 3))
        return Form(_stretched(outline, each.uniform(1.0, 2.0)), _any_profile(each))

    return draw


def _cubes(rng: np.random.Generator) -> Callable[[np.random.Generator], Form]:
    exponent, profile = rng.uniform(3.0, 14.0), _any_profile(rng)
    return lambda each: Form(
        _stretched(superellipse(exponent * each.uniform(0.8, 1.2)), each.uniform(1.0, 1.3)), profile
    )


def _irregular(rng: np.random.Generator) -> Callable[[np.random.Generator], Form]:
    roughness = rng.uniform(0.05, 0.35)
    return lambda each: Form(Outline(_waves(each, range(2, 11), roughness, 0.8)), _sphere(each))


def _stars(rng: np.random.Generator) -> Callable[[np.random.Generator], Form]:
    """Make concave outlines with arms; four shallow ones are the paper's concave crystals."""
    usual, depth = int(rng.choice([3, 4, 4, 4, 5, 6, 8])), rng.uniform(0.03, 0.45)
    angles = directions(_DIRECTIONS)

    def draw(each: np.random.Generator) -> Form:
        arms = usual if each.random() < 0.8 else int(each.integers(3, 9))
        radii = 1 - depth * each.uniform(0.7, 1.2) * np.cos(arms * angles)
        radii *= _waves(each, range(2, 4), 0.08, 0.0)
        return Form(Outline(np.clip(radii, 0.2, 2.0)), _sphere(each))

    return draw


def _hollow(rng: np.random.Generator, solid: Sequence[str]) -> Callable[[np.random.Generator], Form]:
    outer, middle = _SOLID[str(rng.choice(solid))](rng), rng.uniform(0.5, 0.9)
    return lambda each: replace(outer(each), hollow=middle * each.uniform(0.93, 1.05))


def _core_shell(rng: np.random.Generator, solid: Sequence[str]) -> Callable[[np.random.Generator], Form]:
    outer, core, shell = _SOLID[str(rng.choice(solid))](rng), rng.uniform(0.4, 0.8), rng.uniform(0.3, 0.8)
    return lambda each: replace(outer(each), core=core * each.uniform(0.9, 1.1), shell=shell)


def _mixed(rng: np.random.Generator, solid: Sequence[str]) -> Callable[[np.random.Generator], Form]:
    makers = [_SOLID[str(name)](rng) for name in rng.choice(solid, 3)]
    return lambda each: makers[each.integers(len(makers))](each)


_SOLID: dict[str, FormMaker] = {
    "discs": _discs,
    "ellipses": _ellipses,
    "rods": _rods,
    "polygons": _polygons,
    "crystals": _crystals,
    "cubes": _cubes,
    "irregular": _irregular,
}
_MADE_OF_SOLID = {"hollow": _hollow, "core_shell": _core_shell, "mixed": _mixed}

FORMS = (*_SOLID, "stars", *_MADE_OF_SOLID)
"""Families of particles by name."""


def form_maker(name: str, known: Sequence[str], rng: np.random.Generator) -> Callable[[np.random.Generator], Form]:
    """Draw what the particles of one scene have in common, and give what draws one of them.

    Parameters
    ----------
    name : str
        A family of `FORMS`.
    known : sequence of str
        Families that may occur: hollow, core-shell and mixed particles are of the solid ones among them, of any if none is.
    rng : numpy.random.Generator
    """
    if name not in _MADE_OF_SOLID:
        return (_SOLID | {"stars": _stars})[name](rng)
    return _MADE_OF_SOLID[name](rng, [solid for solid in _SOLID if solid in known] or list(_SOLID))
