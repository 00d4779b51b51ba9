"""Where the particles of a simulated micrograph lie: at random, apart, and in contact only where asked."""

import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.spatial.distance import cdist

from nanocensus.simulate.outline import Outline
from nanocensus.simulate.shapes import FAMILIES
from nanocensus.simulate.spec import SimulationSpec

logger = logging.getLogger(__name__)

_TRIES = 400
_MARGIN_LOG_SDS = 3.0
_COARSE_STEP, _FINE_STEP = 24, 2


@dataclass(frozen=True, eq=False)
class Planted:
    """A particle and its pose."""

    family: str
    outline: Outline
    """In pixels."""
    centre: tuple[float, float]
    """(y, x) in pixels; pixel centres at integers."""
    angle: float
    """Turn from x towards y, radians."""

    @property
    def vertices(self) -> Float64[np.ndarray, "k 2"]:
        """Vertices as (y, x) in the image."""
        return self.outline.placed(self.centre, self.angle)


class _Placed:
    """Particles that have a place, and arrays of where they lie: to read all of them at every try takes the most time."""

    def __init__(self, room: int) -> None:
        self.particles: list[Planted] = []
        self._centres, self._reaches = np.empty((room, 2)), np.empty(room)

    def add(self, particle: Planted) -> None:
        number = len(self.particles)
        self._centres[number], self._reaches[number] = particle.centre, particle.outline.reach
        self.particles.append(particle)

    def near(self, particle: Planted, gap: float) -> Iterator[Planted]:
        """Give those whose circles come nearer to a particle's than a gap."""
        count = len(self.particles)
        distances = np.hypot(*(self._centres[:count] - np.array(particle.centre)).T)
        for index in np.flatnonzero(distances < particle.outline.reach + self._reaches[:count] + gap):
            yield self.particles[int(index)]


def place_particles(spec: SimulationSpec, rng: np.random.Generator) -> list[Planted]:
    """Draw the particles of one micrograph.

    The largest find their place first, so that crowding never makes the planted sizes smaller.

    Returns
    -------
    list of Planted
        Those cut by the border included; those wholly outside it too, since their rims may reach in.
    """
    shapes = _draw_shapes(spec, rng)
    placed = _Placed(len(shapes))
    for family, outline in shapes:
        particle = None
        if placed.particles and rng.random() < spec.touching_fraction:
            particle = _place_in_contact(spec, family, outline, placed, rng)
        if particle is None:
            particle = _place_apart(spec, family, outline, placed, rng)
        if particle is not None:
            placed.add(particle)
    lacking = len(shapes) - len(placed.particles)
    if lacking:
        logger.warning("%d of %d particles found no place and were left out", lacking, len(shapes))
    return placed.particles


def _draw_shapes(spec: SimulationSpec, rng: np.random.Generator) -> list[tuple[str, Outline]]:
    """Draw the shapes of all particles whose centres lie in the image and the margin round it."""
    margin = _margin(spec)
    area = (spec.extent[0] + 2 * margin) * (spec.extent[1] + 2 * margin)
    count = int(rng.poisson(spec.mean_particles * area / (spec.extent[0] * spec.extent[1])))
    names, weights = list(spec.families.to_dict()), np.array(list(spec.families.to_dict().values()))
    mean = spec.mean_edge_length_px * math.exp(spec.between_log_sd * rng.standard_normal() - spec.between_log_sd**2 / 2)
    log_sizes = spec.edge_length_log_sd * rng.standard_normal(count) - spec.edge_length_log_sd**2 / 2
    families = rng.choice(len(names), size=count, p=weights / weights.sum())
    shapes = [
        (names[family], FAMILIES[names[family]](rng).scaled(mean * math.exp(log_size)))
        for family, log_size in zip(families, log_sizes, strict=True)
    ]
    return sorted(shapes, key=lambda shape: -shape[1].area)


def _margin(spec: SimulationSpec) -> float:
    """How far outside the image centres may lie, px: there particles are drawn as densely as inside."""
    if not spec.border_particles:
        return 0.0
    spread = math.hypot(spec.edge_length_log_sd, spec.between_log_sd)
    return spec.mean_edge_length_px * math.exp(_MARGIN_LOG_SDS * spread)


def _draw_centre(spec: SimulationSpec, outline: Outline, rng: np.random.Generator) -> tuple[float, float] | None:
    outside = _margin(spec) if spec.border_particles else -outline.reach - 1.0
    highs = [side - 0.5 + outside for side in spec.extent]
    if min(highs) <= -0.5 - outside:
        return None
    y, x = (rng.uniform(-0.5 - outside, high) for high in highs)
    return y, x


def _place_apart(
    spec: SimulationSpec, family: str, outline: Outline, placed: _Placed, rng: np.random.Generator
) -> Planted | None:
    for _ in range(_TRIES):
        centre = _draw_centre(spec, outline, rng)
        if centre is None:
            return None
        candidate = Planted(family, outline, centre, rng.uniform(0, 2 * math.pi))
        if _is_apart(candidate, placed.near(candidate, spec.gap_px), spec.gap_px):
            return candidate
    return None


def _place_in_contact(
    spec: SimulationSpec, family: str, outline: Outline, placed: _Placed, rng: np.random.Generator
) -> Planted | None:
    for _ in range(_TRIES // 10):
        host = placed.particles[rng.integers(len(placed.particles))]
        bearing, angle = rng.uniform(0, 2 * math.pi, size=2)
        candidate = push_until_free(family, outline, host, bearing, angle)
        others = (particle for particle in placed.near(candidate, spec.gap_px) if particle is not host)
        if _is_apart(candidate, others, spec.gap_px) and _fits(spec, candidate):
            return candidate
    return None


def push_until_free(family: str, outline: Outline, host: Planted, bearing: float, angle: float) -> Planted:
    """Bisect for the smallest distance along a bearing at which two outlines no longer overlap."""

    def at(distance: float) -> Planted:
        y, x = host.centre[0] + distance * math.sin(bearing), host.centre[1] + distance * math.cos(bearing)
        return Planted(family, outline, (y, x), angle)

    overlapping, free = 0.0, outline.reach + host.outline.reach
    for _ in range(16):
        middle = 0.5 * (overlapping + free)
        if _overlap(at(middle), host):
            overlapping = middle
        else:
            free = middle
    return at(free)


def _fits(spec: SimulationSpec, particle: Planted) -> bool:
    """Say whether a particle lies where particles may: wholly inside, or centred within the margin."""
    if not spec.border_particles:
        vertices = particle.vertices
        return bool((vertices >= 0.5).all() and (vertices <= np.array(spec.extent) - 1.5).all())
    margin = _margin(spec)
    return all(-margin <= c <= side + margin for c, side in zip(particle.centre, spec.extent, strict=True))


def _overlap(a: Planted, b: Planted) -> bool:
    return bool(
        a.outline.contains(b.vertices, a.centre, a.angle).any()
        or b.outline.contains(a.vertices, b.centre, b.angle).any()
    )


def _is_apart(particle: Planted, others: Iterable[Planted], gap: float) -> bool:
    for other in others:
        if _overlap(particle, other):
            return False
        # A few vertices settle most cases; every second one is half a pixel apart, which moves the distance by
        # hundredths of a pixel.
        if gap > 0 and any(
            cdist(particle.vertices[::step], other.vertices[::step]).min() < gap for step in (_COARSE_STEP, _FINE_STEP)
        ):
            return False
    return True
