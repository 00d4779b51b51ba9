"""What is measured: particles of known outline at random poses, and specks of noise."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from skimage.measure import label

from nanocensus.simulate.grain import grain
from nanocensus.simulate.maps import render_map
from nanocensus.simulate.placement import Planted
from nanocensus.simulate.shapes import FAMILIES

THRESHOLD = 127
"""A pixel of a map is particle above this value of 255: a probability of one half."""
_GAP_PX = 4.0


@dataclass(frozen=True, eq=False)
class Scene:
    """One micrograph's map, and what follows from it; whatever is not the map is made outside of the clock."""

    name: str
    probability: np.ndarray

    @cached_property
    def mask(self):
        return self.probability > THRESHOLD

    @cached_property
    def labels(self):
        """Labels of scikit-image: the reference, and what peers are given that cannot label."""
        return label(self.mask).astype(np.int32)

    @cached_property
    def areas(self):
        return np.bincount(self.labels.ravel())[1:]

    @property
    def n(self):
        return self.areas.size

    @property
    def coverage(self):
        return float(np.count_nonzero(self.mask) / self.mask.size)


def planted(side, n, edge_px, seed, families: Sequence[Callable] = tuple(FAMILIES.values()), log_sd=0.1):
    """Put n particles of mean edge length `edge_px` on a square of `side` pixels, at random poses, none in contact.

    Each has its own cell of a grid and lies anywhere in it.
    """
    rng = np.random.default_rng(seed)
    columns = math.ceil(math.sqrt(n))
    pitch = np.array([side / math.ceil(n / columns), side / columns])
    particles = []
    for number in range(n):
        size = edge_px * math.exp(log_sd * float(np.clip(rng.standard_normal(), -2, 2)))
        outline = families[rng.integers(len(families))](rng).scaled(size)
        room = np.maximum(pitch / 2 - outline.reach - _GAP_PX / 2, 0.5)
        y, x = (np.array(divmod(number, columns)) + 0.5) * pitch - 0.5 + rng.uniform(-room, room)
        particles.append(Planted("", outline, (y, x), rng.uniform(0, 2 * math.pi)))
    return particles


def particles_scene(name, side, n, edge_px):
    """Draw a micrograph of shapes of all families, its map as soft as a good network's: blurred by 1 px."""
    return Scene(name, render_map(planted(side, n, edge_px, seed=n), (side, side), blur_px=1.0))


def specks_scene(name, side, grain_px, above):
    """Draw noise that exceeds the threshold here and there, as of a network that was shown something unknown."""
    noise = grain((side, side), grain_px, np.random.default_rng(0))
    return Scene(name, np.rint(np.clip(THRESHOLD + 0.5 + 40 * (noise - above), 0, 255)).astype(np.uint8))


STANDARD = "4096 px, 600"
SCENES = {
    name: partial(draw, name, *arguments)
    for name, draw, *arguments in (
        ("1024 px, 10", particles_scene, 1024, 10, 82.0),
        ("2048 px, 150", particles_scene, 2048, 150, 82.0),
        (STANDARD, particles_scene, 4096, 600, 82.0),
        ("4096 px, 5000 small", particles_scene, 4096, 5000, 28.0),
        ("8192 px, 2400", particles_scene, 8192, 2400, 82.0),
        ("4096 px, specks", specks_scene, 4096, 3.0, 1.2),
    )
}
"""How each is drawn, by name; one at a time is kept."""
