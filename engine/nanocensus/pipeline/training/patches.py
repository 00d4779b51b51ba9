"""The batches of a training: patches of micrographs with masks, and of simulated scenes, in a fixed proportion."""

from collections.abc import Iterator
from concurrent.futures import Executor, Future
from functools import lru_cache
from itertools import groupby
from operator import itemgetter

import numpy as np

from nanocensus.pipeline.training.scenes import MARGIN_PX, SceneForTraining, TrainingScenes
from nanocensus.segment.prediction.memory import own_memory
from nanocensus.segment.preparation.flatfield import flatten
from nanocensus.segment.training.data import TrainingImage
from nanocensus.segment.training.learning_curve import Batch
from nanocensus.segment.training.patches import Crop, draw_batch, prepare, vary_contrast
from nanocensus.segment.training.spec import TrainingSpec
from nanocensus.simulate.scenes.scene import Scene

_APART = 16
"""Steps between two showings of a scene, each of another part of it, mirrored or turned otherwise."""


_LOOKED_AT = 32
"""Patches for validation, at most."""


class _Shelf:
    """Micrographs that are ready to be sampled; of many, some at a time, so that the memory suffices.

    All stand there if half of what the process may take holds them. Otherwise one is replaced every so many steps, in a
    random order, so that each has its turn.
    """

    def __init__(self, spec: TrainingSpec, images: list[TrainingImage], memory: int) -> None:
        rng = np.random.default_rng([spec.seed, 2])
        needed = max((_READY_BYTES * image.shape[0] * image.shape[1] for image in images), default=1)
        self._size = min(len(images), max(1, memory // 2 // needed))
        whole = self._size == len(images)
        self._images = images if whole else [images[place] for place in rng.permutation(len(images))]
        self._steps = max(1, spec.steps // max(1, len(images)))
        self._crops = lru_cache(maxsize=self._size)(self._make)

    def at(self, step: int) -> list[Crop]:
        """Give what stands there at a step."""
        first = 0 if self._size == len(self._images) else step // self._steps
        places = range(first, first + self._size)
        return [crop for place in places for crop in self._crops(place % len(self._images))]

    def _make(self, place: int) -> tuple[Crop, Crop]:
        """Make a micrograph ready: flattened, as it comes to the network by default, and as recorded."""
        pixels, mask = self._images[place].read_pixels(), self._images[place].read_mask()
        return prepare(flatten(pixels), mask), prepare(pixels, mask)


_READY_BYTES = 24
"""Of each pixel: twice the pixels, their spline and the mask in single precision."""


def validation_patches(images: list[TrainingImage], side: int) -> Batch | None:
    """Cut patches to look at during a training, 32 at most, out of the micrographs that it does not learn from.

    All places side by side are divided into as many equal runs, micrograph after micrograph, and one is drawn of each: of
    equal steps, each might come to the same corner of a micrograph.

    Parameters
    ----------
    images : list of TrainingImage
    side : int
        Of a patch, pixels.

    Returns
    -------
    Batch or None
        Flattened, as micrographs come to the network by default; the same for equal micrographs. None without any.
    """
    places = [
        (image, top, left)
        for image in images
        for top in range(0, image.shape[0] - side + 1, side)
        for left in range(0, image.shape[1] - side + 1, side)
    ]
    if not places:
        return None
    runs = np.array_split(np.arange(len(places)), min(_LOOKED_AT, len(places)))
    rng = np.random.default_rng(0)
    chosen = [places[rng.choice(run)] for run in runs]
    pixels, targets = [], []
    for image, its_places in groupby(chosen, itemgetter(0)):  # one at a time: ready, each takes a lot of memory
        crop = prepare(flatten(image.read_pixels()), image.read_mask())
        for _, top, left in its_places:
            part = np.s_[top : top + side, left : left + side]
            pixels.append(crop.pixels[part].copy())
            targets.append(crop.target[part].copy())
    return np.stack(pixels), np.stack(targets)


class PatchSource:
    """Gives the batch of each step; the same whatever was drawn before it, and whoever draws the scenes.

    Parameters
    ----------
    spec : TrainingSpec
    images : list of TrainingImage
        Micrographs with masks; not looked at if all patches are simulated.
    artists : Executor, optional
        Who draws the scenes; without it whoever asks for a batch.
    """

    def __init__(self, spec: TrainingSpec, images: list[TrainingImage], artists: Executor | None = None) -> None:
        self._spec = spec
        self._shelf = _Shelf(spec, images if spec.simulated < 1 else [], own_memory())
        self._varied = spec.augmentation == "full"
        self._simulated = round(spec.batch * spec.simulated)
        self._scenes, self._artists = TrainingScenes.of(spec), artists
        self._apart = max(1, _APART * self._simulated // spec.showings)
        # A scene that is shown again is still there; one that is not is drawn anew, to the same values.
        self._scene = lru_cache(maxsize=spec.showings * self._apart + max(self._simulated, 1))(self._ask_for)

    def __call__(self, step: int) -> Batch:
        """Draw the patches of a step: real ones first."""
        rng, side = np.random.default_rng([self._spec.seed, step]), self._spec.patch
        asked = [self._scene(self._number(step * self._simulated + place)) for place in range(self._simulated)]
        real = self._spec.batch - self._simulated
        parts = [draw_batch(self._shelf.at(step), rng, count=real, side=side, varied=self._varied)] if real else []
        if asked:
            shown = [self._show(scene.result(), rng) for scene in asked]
            parts.append((np.stack([pixels for pixels, _ in shown]), np.stack([target for _, target in shown])))
        return np.concatenate([pixels for pixels, _ in parts]), np.concatenate([target for _, target in parts])

    def _number(self, turn: int) -> int:
        """Give the scene whose turn it is: every so often a new one, between them those that came before.

        New ones are spread evenly over the steps, so that those who draw them are never idle.
        """
        new, showing = divmod(turn, self._spec.showings)
        return new + (self._spec.showings - 1 - showing) * self._apart

    def _ask_for(self, number: int) -> "Future[SceneForTraining]":
        if self._artists is not None:
            return self._artists.submit(self._scenes.standardised, number)
        drawn: Future[SceneForTraining] = Future()
        drawn.set_result(self._scenes.standardised(number))
        return drawn

    def _show(self, scene: SceneForTraining, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        top, left = (int(rng.integers(MARGIN_PX + 1)) for _ in range(2))
        part = slice(top, top + self._spec.patch), slice(left, left + self._spec.patch)
        quarter, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        patch, shares = (np.rot90(whole[part], quarter) for whole in scene)
        if mirrored:
            patch, shares = patch[:, ::-1], shares[:, ::-1]
        return vary_contrast(patch, rng), np.ascontiguousarray(shares)

    def unseen(self, count: int) -> Iterator[Scene]:
        """Draw scenes that the training does not come to."""
        first = self._simulated * (self._spec.steps + _APART)
        draw = map if self._artists is None else self._artists.map
        return iter(draw(self._scenes.scene, range(first, first + count)))
