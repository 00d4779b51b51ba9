"""The simulated scenes of a training, each by its number, wherever it is drawn."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from scipy import ndimage

from nanocensus.errors import JobError
from nanocensus.segment.preparation.flatfield import flatten, standardise
from nanocensus.segment.training.patches import EDGE_SIGMA_PX
from nanocensus.segment.training.spec import TrainingSpec
from nanocensus.simulate.scenes.forms import FORMS
from nanocensus.simulate.scenes.imaging import KINDS
from nanocensus.simulate.scenes.scene import Scene, draw_scene

MARGIN_PX = 32
"""A scene is larger than a patch by this."""

SceneForTraining = tuple[Float32[np.ndarray, "s s"], Float32[np.ndarray, "s s"]]
"""Standardised pixels, and the share of each that particles cover, as smooth as the targets of drawn masks are."""


@dataclass(frozen=True)
class TrainingScenes:
    """What scenes are drawn; another process needs no more."""

    seed: int
    side: int
    """Of a scene, pixels."""
    forms: tuple[str, ...]
    kinds: tuple[str, ...]

    @classmethod
    def of(cls, spec: TrainingSpec) -> "TrainingScenes":
        """Give the scenes of a training.

        Raises
        ------
        JobError
            If what is left out is no name, or all there is.
        """
        unknown = [name for name in spec.left_out if name not in (*FORMS, *KINDS)]
        forms, kinds = (tuple(name for name in names if name not in spec.left_out) for names in (FORMS, KINDS))
        if unknown or not forms or not kinds:
            raise JobError(
                "key 'left_out'",
                expected="some of " + ", ".join((*FORMS, *KINDS)),
                got=", ".join(unknown or spec.left_out),
                remedy="Leave at least one family of particles and one kind of imaging to train on.",
            )
        return cls(spec.seed, spec.patch + MARGIN_PX, forms, kinds)

    def scene(self, number: int) -> Scene:
        """Draw a scene."""
        rng = np.random.default_rng([self.seed, 1, number])
        return draw_scene(rng, (self.side, self.side), forms=self.forms, kinds=self.kinds)

    def standardised(self, number: int) -> SceneForTraining:
        """Draw a scene as the network is shown it.

        Those of odd numbers are flattened, as micrographs are by default; the others are as they come without.
        """
        scene = self.scene(number)
        target = ndimage.gaussian_filter(scene.coverage, EDGE_SIGMA_PX, mode="nearest")
        pixels = flatten(scene.pixels, quiet=True) if number % 2 else scene.pixels
        return standardise(pixels), target
