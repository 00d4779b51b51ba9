"""Where a scene's particles lie, and how thick the specimen is: maps of thickness, owner and coverage."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Float32, Int32
from numba import njit

from nanocensus.simulate.coverage import render_area_fraction
from nanocensus.simulate.outline import Outline
from nanocensus.simulate.scenes.forms import Form

ADDED, THICKEST, FIRST = range(3)
"""What overlapping particles do: thicknesses add up, the thickest one shows, or the first one hides the others."""


@dataclass(frozen=True, eq=False)
class Placed:
    """A particle of a scene."""

    form: Form
    """Its outline in pixels."""
    centre: tuple[float, float]
    """(y, x) in pixels; pixel centres at integers."""
    angle: float
    """Turn from x towards y, radians."""
    thickness: float
    """In its middle; 1 is that of a particle of the scene's typical size."""
    tilt: tuple[float, float] = (0.0, 0.0)
    """Change of thickness along y and x over the particle's radius, as a share of it."""


@dataclass(frozen=True, eq=False)
class Specimen:
    """Maps of the same (y, x) shape."""

    thickness: Float32[np.ndarray, "y x"]
    """Of particles; the mean over each pixel."""
    owner: Int32[np.ndarray, "y x"]
    """Number of the particle that covers most of a pixel, from 1; 0 where none covers any."""
    depth: Float32[np.ndarray, "y x"]
    """Distance from the owner's middle as a share of its radius; 1 outside."""
    coverage: Float32[np.ndarray, "y x"]
    """Share of each pixel's area that particles cover: exact for one particle, the largest of several."""

    @property
    def inside(self) -> np.ndarray:
        """Pixels of which particles cover more than half."""
        return self.coverage > 0.5


def bare(shape: tuple[int, int]) -> Specimen:
    """Give a specimen without particles."""
    return Specimen(
        np.zeros(shape, np.float32), np.zeros(shape, np.int32), np.ones(shape, np.float32), np.zeros(shape, np.float32)
    )


@dataclass(frozen=True)
class Crowd:
    """How many particles there are, how large, and how they lie."""

    radius_px: float
    """Typical radius of the disc of equal area."""
    number: int
    log_spread: float
    """Standard deviation of the logarithm of the radius."""
    clustering: float
    """Share of particles that lie in clusters."""
    clearance: float
    """Least distance of a centre from other particles, as a share of the particle's reach; 0 for none."""
    chained: bool
    """Whether each particle touches the one before, in chains of three to ten."""
    aligned: bool
    """Whether all are turned alike."""
    overlap: int
    """`ADDED`, `THICKEST` or `FIRST`."""
    thickness_log_sd: float
    thickness_exponent: float
    """Thickness follows the radius to this power."""
    tilt: float


_TRIES = 6


def place(
    crowd: Crowd, draw_form: Callable[[np.random.Generator], Form], shape: tuple[int, int], rng: np.random.Generator
) -> tuple[list[Placed], Specimen]:
    """Place the particles of a scene one after the other.

    Parameters
    ----------
    crowd : Crowd
    draw_form : callable
        Draws one particle's form from a generator.
    shape : (int, int)
        Rows and columns.
    rng : numpy.random.Generator

    Returns
    -------
    particles : list of Placed
        Those that found no room are left out.
    specimen : Specimen
    """
    specimen = bare(shape)
    placed: list[Placed] = []
    clusters = rng.uniform(-0.05, 1.05, (max(1, crowd.number // 6 + 1), 2)) * shape
    common_angle, chain, last = rng.uniform(0, 2 * math.pi), 0, None
    for _ in range(crowd.number):
        radius = max(crowd.radius_px * math.exp(crowd.log_spread * float(np.clip(rng.normal(), -3, 3))), 1.5)
        form = _sized(draw_form(rng), radius)
        angle = common_angle + 0.1 * rng.normal() if crowd.aligned else rng.uniform(0, 2 * math.pi)
        if crowd.chained and chain > 0 and last is not None:
            bearing = rng.uniform(0, 2 * math.pi)
            step = rng.uniform(0.8, 1.0) * (form.outline.reach + last.form.outline.reach)
            centre = last.centre[0] + step * math.sin(bearing), last.centre[1] + step * math.cos(bearing)
            chain -= 1
        else:
            found = _find_room(crowd, form, clusters, specimen, rng)
            if found is None:
                continue
            centre, chain = found, int(rng.integers(2, 10))
        thickness = (
            math.exp(crowd.thickness_log_sd * rng.normal()) * (radius / crowd.radius_px) ** crowd.thickness_exponent
        )
        tilt = crowd.tilt * rng.normal(), crowd.tilt * rng.normal()
        last = Placed(form, centre, angle, thickness, tilt)
        placed.append(last)
        add_particle(specimen, last, len(placed), crowd.overlap)
    return placed, specimen


def _sized(form: Form, radius: float) -> Form:
    outline = form.outline.scaled(radius * math.sqrt(math.pi))
    if radius < 10:  # fewer vertices than pixels along the outline matter to nobody
        outline = Outline(outline.radii[:: 4 if len(outline.radii) % 4 == 0 else 1]).scaled(radius * math.sqrt(math.pi))
    return Form(outline, form.profile, form.hollow, form.core, form.shell)


def _find_room(
    crowd: Crowd, form: Form, clusters: np.ndarray, specimen: Specimen, rng: np.random.Generator
) -> tuple[float, float] | None:
    height, width = specimen.owner.shape
    for _ in range(_TRIES):
        if rng.random() < crowd.clustering:
            middle = clusters[rng.integers(len(clusters))]
            y, x = middle + rng.normal(size=2) * crowd.radius_px * 2.7
        else:
            y, x = rng.uniform(-0.06, 1.06, 2) * (height, width)
        reach = int(form.outline.reach * crowd.clearance)
        row, column = int(np.clip(y, 0, height - 1)), int(np.clip(x, 0, width - 1))
        near = specimen.owner[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
        if not crowd.clearance or not near.any():
            return float(y), float(x)
    return None


def add_particle(specimen: Specimen, particle: Placed, number: int, overlap: int) -> None:
    """Add a particle to the maps, in place.

    The thickness of a pixel that it covers in part is that share of the thickness at its rim.
    """
    form = particle.form
    fraction, (top, left) = render_area_fraction(form.outline, specimen.owner.shape, particle.centre, particle.angle)
    _stamp(
        specimen.thickness, specimen.owner, specimen.depth, specimen.coverage,
        fraction, top, left, form.outline.radii, particle.centre, particle.angle, number, overlap,
        (form.profile.flatness, form.profile.power, form.profile.cut, form.profile.floor), (form.hollow, form.core, form.shell),
        particle.thickness, particle.tilt,
    )  # fmt: skip


@njit(cache=True, nogil=True)
@no_type_check  # a run-time check of its arguments could not be compiled
def _stamp(
    thickness: np.ndarray,
    owner: np.ndarray,
    depth: np.ndarray,
    coverage: np.ndarray,
    fraction: np.ndarray,
    top: int,
    left: int,
    radii: np.ndarray,
    centre: tuple[float, float],
    angle: float,
    number: int,
    overlap: int,
    profile: tuple[float, float, float, float],
    inner: tuple[float, float, float],
    middle: float,
    tilt: tuple[float, float],
) -> None:
    """Add one particle's window to the maps."""
    flatness, power, cut, floor = profile
    hollow, core, shell = inner
    reach = radii.max()
    for row in range(fraction.shape[0]):
        for column in range(fraction.shape[1]):
            covered = fraction[row, column]
            y, x = top + row, left + column
            if covered <= 0.0 or (overlap == 2 and coverage[y, x] >= 1.0):
                continue
            down, right = y - centre[0], x - centre[1]
            turn = (math.atan2(down, right) - angle) / (2 * math.pi)
            place = (turn - math.floor(turn)) * radii.size
            first = int(place)
            between = place - first
            first %= radii.size
            radius = radii[first] * (1 - between) + radii[(first + 1) % radii.size] * between
            rho = min(math.sqrt(down * down + right * right) / radius, 0.999)
            local = floor + (1 - floor) * min((1 - rho**flatness) ** power, cut) / cut
            if 0.0 < rho < hollow:
                local -= 0.85 * hollow * (1 - (rho / hollow) ** flatness) ** power
            if core > 0.0:
                local = shell * local + ((1 - (rho / core) ** 2) ** 0.5 if rho < core else 0.0)
            local = max(local, 0.0) * middle * covered * max(0.1, 1 + (tilt[0] * down + tilt[1] * right) / reach)
            if overlap == 0:
                thickness[y, x] += local
            elif overlap == 1:
                thickness[y, x] = max(thickness[y, x], local)
            else:
                thickness[y, x] = thickness[y, x] * (1 - covered) + local
            if covered >= coverage[y, x]:
                coverage[y, x], owner[y, x], depth[y, x] = covered, number, rho
