"""One scene: particles of a family under a kind of imaging, and the truth about them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from nanocensus.simulate.scenes.exposure import expose
from nanocensus.simulate.scenes.forms import FORMS, form_maker
from nanocensus.simulate.scenes.imaging import KINDS, draw_imaging, visible
from nanocensus.simulate.scenes.publishing import publish
from nanocensus.simulate.scenes.specimen import ADDED, FIRST, THICKEST, Crowd, Placed, place

_PAD = 24
"""Fourier filters wrap round: the scene is drawn wider than shown by this much on each side, px."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A small micrograph and the truth about it."""

    pixels: UInt8[np.ndarray, "y x"]
    """Dark particles on bright."""
    coverage: Float32[np.ndarray, "y x"]
    """Share of each pixel's area that particles cover; none where a bar or frame hides them."""
    owner: Int32[np.ndarray, "y x"]
    """Which of the particles covers most of a pixel, from 1; 0 for none."""
    particles: list[Placed]
    """Centres counted from the corner of the shown part."""
    form: str
    kind: str


def draw_scene(
    rng: np.random.Generator,
    shape: tuple[int, int],
    *,
    forms: Sequence[str] = FORMS,
    kinds: Sequence[str] = tuple(KINDS),
    kind: str | None = None,
) -> Scene:
    """Draw a scene.

    Parameters
    ----------
    rng : numpy.random.Generator
        All randomness comes from it.
    shape : (int, int)
        Rows and columns.
    forms : sequence of str
        Families of particles to choose from, by their names in `nanocensus.simulate.scenes.forms.FORMS`.
    kinds : sequence of str
        Kinds of imaging to choose from, by their names in `nanocensus.simulate.scenes.imaging.KINDS`.
    kind : str, optional
        The one that it must be of; those of `kinds` may come with it.

    Returns
    -------
    Scene

    Examples
    --------
    >>> scene = draw_scene(np.random.default_rng(1), (96, 128), forms=["discs"], kinds=["plain"])
    >>> scene.pixels.shape, scene.coverage.shape, scene.kind
    ((96, 128), (96, 128), 'plain')
    """
    form = str(rng.choice(list(forms)))
    chosen = kind or str(rng.choice(list(kinds)))
    canvas = shape[0] + 2 * _PAD, shape[1] + 2 * _PAD
    crowd = _draw_crowd(canvas, rng)
    imaging = visible(draw_imaging(chosen, list(kinds), rng), crowd.radius_px)
    particles, specimen = place(crowd, form_maker(form, forms, rng), canvas, rng)
    shown = slice(_PAD, _PAD + shape[0]), slice(_PAD, _PAD + shape[1])
    intensity = expose(specimen, imaging, crowd.radius_px, rng)[shown]
    pixels, coverage = publish(intensity, specimen.coverage[shown], imaging, rng)
    moved = [Placed(p.form, (p.centre[0] - _PAD, p.centre[1] - _PAD), p.angle, p.thickness, p.tilt) for p in particles]
    return Scene(pixels, coverage, specimen.owner[shown], moved, form, chosen)


def _draw_crowd(canvas: tuple[int, int], rng: np.random.Generator) -> Crowd:
    """Draw sizes from a few pixels to a third of the scene, from nearly empty to crowded."""
    area = canvas[0] * canvas[1]
    largest = 0.35 * min(canvas)
    radius = math.exp(rng.uniform(math.log(4.0), math.log(largest)))
    covered = math.exp(rng.uniform(math.log(0.06), math.log(0.6)))
    number = int(rng.poisson(max(covered * area / (3.0 * radius**2), 0.7)))
    return Crowd(
        radius_px=radius,
        number=0 if rng.random() < 0.03 else min(max(number, 1), max(500, area // 400)),
        log_spread=rng.uniform(0.02, 0.2) if rng.random() < 0.65 else rng.uniform(0.2, 0.6),
        clustering=rng.uniform(0.3, 1.0) if rng.random() < 0.4 else 0.0,
        clearance=rng.uniform(0.8, 1.2) if rng.random() < 0.45 else 0.0,
        chained=bool(rng.random() < 0.08),
        aligned=bool(rng.random() < 0.15),
        overlap=int(rng.choice([ADDED, ADDED, THICKEST, FIRST])),
        thickness_log_sd=rng.uniform(0, 0.3),
        thickness_exponent=rng.uniform(0, 1),
        tilt=rng.uniform(0, 0.4) if rng.random() < 0.4 else 0.0,
    )
