"""The batches of a training: patches of micrographs with masks, and of simulated scenes, in a fixed proportion."""

from functools import lru_cache

import numpy as np
from jaxtyping import Float32

from nanocensus.errors import JobError
from nanocensus.segment.fit import Batch
from nanocensus.segment.flatfield import flatten, standardise
from nanocensus.segment.patches import Crop, draw_batch, prepare, vary_contrast
from nanocensus.segment.training_data import TrainingImage
from nanocensus.segment.training_spec import TrainingSpec
from nanocensus.simulate.scenes.forms import FORMS
from nanocensus.simulate.scenes.imaging import KINDS
from nanocensus.simulate.scenes.scene import Scene, draw_scene

SHOWINGS = 2
"""How often a scene is shown, each time another part of it, mirrored or turned otherwise."""
_APART = 16
"""Steps between two showings."""
_MARGIN_PX = 32
"""A scene is larger than a patch by this."""


_LOOKED_AT = 32
"""Patches for validation, at most."""


def _check_left_out(names: tuple[str, ...]) -> None:
    """Refuse names that are none, and leaving out all there is."""
    unknown = [name for name in names if name not in (*FORMS, *KINDS)]
    if unknown or not set(FORMS) - set(names) or not set(KINDS) - set(names):
        raise JobError(
            "key 'left_out'",
            expected="some of " + ", ".join((*FORMS, *KINDS)),
            got=", ".join(unknown or names),
            remedy="Leave at least one family of particles and one kind of imaging to train on.",
        )


def _crops(images: list[TrainingImage]) -> list[Crop]:
    """Make micrographs ready to be sampled: each flattened, as it comes to the network by default, and as recorded."""
    return [prepare(pixels, image.mask) for image in images for pixels in (flatten(image.pixels), image.pixels)]


def validation_patches(images: list[TrainingImage], side: int) -> Batch | None:
    """Cut patches to look at during a training, evenly over micrographs that it does not learn from; None without any.

    Parameters
    ----------
    images : list of TrainingImage
    side : int
        Of a patch, pixels.

    Returns
    -------
    Batch or None
        Flattened, as micrographs come to the network by default.
    """
    crops = [prepare(flatten(image.pixels), image.mask) for image in images]
    places = [
        (crop, top, left)
        for crop in crops
        for top in range(0, crop.pixels.shape[0] - side + 1, side)
        for left in range(0, crop.pixels.shape[1] - side + 1, side)
    ]
    if not places:
        return None
    chosen = [places[place] for place in np.unique(np.linspace(0, len(places) - 1, _LOOKED_AT).round().astype(int))]
    parts = [(crop, np.s_[top : top + side, left : left + side]) for crop, top, left in chosen]
    return np.stack([crop.pixels[part] for crop, part in parts]), np.stack([crop.target[part] for crop, part in parts])


class PatchSource:
    """Gives the batch of each step; the same whatever was drawn before it.

    Parameters
    ----------
    spec : TrainingSpec
    images : list of TrainingImage
        Micrographs with masks; not looked at if all patches are simulated.
    """

    def __init__(self, spec: TrainingSpec, images: list[TrainingImage]) -> None:
        self._spec = spec
        self._crops = _crops(images) if spec.simulated < 1 else []
        self._varied = spec.augmentation == "full"
        self._simulated = round(spec.batch * spec.simulated)
        _check_left_out(spec.left_out)
        self._forms = [name for name in FORMS if name not in spec.left_out]
        self._kinds = [name for name in KINDS if name not in spec.left_out]
        # A scene that is shown again is still there; one that is not is drawn anew, to the same values.
        self._scene = lru_cache(maxsize=(_APART + 1) * max(self._simulated, 1))(self._draw_scene)

    def __call__(self, step: int) -> Batch:
        """Draw the patches of a step: real ones first."""
        rng, side = np.random.default_rng([self._spec.seed, step]), self._spec.patch
        real = self._spec.batch - self._simulated
        parts = [draw_batch(self._crops, rng, count=real, side=side, varied=self._varied)] if real else []
        if self._simulated:
            shown = [self._show(step * self._simulated + place, rng) for place in range(self._simulated)]
            parts.append((np.stack([pixels for pixels, _ in shown]), np.stack([target for _, target in shown])))
        return np.concatenate([pixels for pixels, _ in parts]), np.concatenate([target for _, target in parts])

    def _show(self, turn: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Show a part of a scene: those of 16 steps in their order, the same ones again, then new ones."""
        round_, place = divmod(turn, self._simulated * _APART)
        pixels, target = self._scene(round_ // SHOWINGS * self._simulated * _APART + place)
        top, left = (int(rng.integers(_MARGIN_PX + 1)) for _ in range(2))
        part = slice(top, top + self._spec.patch), slice(left, left + self._spec.patch)
        quarter, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        patch, shares = (np.rot90(whole[part], quarter) for whole in (pixels, target))
        if mirrored:
            patch, shares = patch[:, ::-1], shares[:, ::-1]
        return vary_contrast(patch, rng), np.ascontiguousarray(shares)

    def _draw_scene(self, number: int) -> tuple[Float32[np.ndarray, "s s"], Float32[np.ndarray, "s s"]]:
        scene = self.scene(number)
        pixels = scene.pixels
        if number % 2:  # as micrographs come to the network by default; the others as they come without flattening
            pixels = flatten(pixels)
        return standardise(pixels), scene.coverage

    def unseen(self, steps: int) -> int:
        """Give the number of a scene that a training of so many steps does not come to."""
        return self._simulated * (steps + _APART)

    def scene(self, number: int) -> Scene:
        """Draw a scene by its number."""
        side = self._spec.patch + _MARGIN_PX
        rng = np.random.default_rng([self._spec.seed, 1, number])
        return draw_scene(rng, (side, side), forms=self._forms, kinds=self._kinds)
