"""Training: one network on everything, and one for each fold of fields to say what it is worth."""

import json
import logging
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax

from nanocensus.errors import ModelError
from nanocensus.pipeline.training.card import (
    Unseen,
    about_data,
    domain,
    held_out,
    up_to_date,
    write_card,
)
from nanocensus.pipeline.training.patches import PatchSource, validation_patches
from nanocensus.pipeline.training.start import load_start
from nanocensus.provenance import digest as digest_of
from nanocensus.provenance import machine, versions
from nanocensus.segment.prediction.model import Model
from nanocensus.segment.prediction.weights import load_model, save_model
from nanocensus.segment.training.data import TrainingImage, assign_folds, read_training_images
from nanocensus.segment.training.fit import TrainingProgress, fit
from nanocensus.segment.training.learning_curve import write_curve
from nanocensus.segment.training.spec import TrainingSpec
from nanocensus.store.commit import writing

__all__ = ["TrainingProgress", "TrainingResult", "TrainingSpec", "train"]

STAGE_VERSION = 7
"""Raised when the same spec and pixels would give other weights than before."""
CHOICE_VERSION = 1
"""Raised when only those weights would be others that are kept because they did best on the fields left out."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingResult:
    """A finished network."""

    path: Path
    """Its .safetensors file; beside it lie the model card (.json) and the learning curve (.curve.csv)."""
    model: Model
    card: dict[str, Any]
    """What the model card says; `held_out` are the figures on fields it was not trained on."""
    reused: bool
    """Whether it was there from an earlier run of the same training."""

    def __str__(self) -> str:
        """Say in a line what came of it."""
        held_out = self.card["held_out"]
        if held_out is None:
            return f"{self.path.name}: no fields held out"
        own = held_out["networks"] == [self.path.stem]
        judged = self.path.name if own else f"{self.path.name} saw everything; its folds pooled"
        counted = f"{held_out['n_predicted']} particles for {held_out['n_true']}"
        return (
            f"{judged}: Dice {held_out['dice']:.4f}, F1 {held_out['f1']:.4f}, {counted}, "
            f"on {len(held_out['micrographs'])} micrographs of fields that they did not see"
        )


def train(spec: TrainingSpec, *, progress: Callable[[TrainingProgress], None] | None = None) -> list[TrainingResult]:
    """Train the folds' networks, then the one on everything; each is saved as soon as it is finished.

    All networks train for the same number of steps, and nothing is chosen by a look at the fields held out, unless the
    spec says to keep the best. A network that is
    there from the same spec and pixels is kept. Equal specs, pixels and versions give equal bytes on one kind of CPU
    with one number of threads, and with one size of memory where that does not hold all micrographs.

    Parameters
    ----------
    spec : TrainingSpec
    progress : callable, optional
        Called with a `TrainingProgress` every 20 steps.

    Returns
    -------
    list of TrainingResult
        The folds first, the network trained on everything last.

    Raises
    ------
    JobError, ImageError
        If the training data cannot be used, or the network to go on from: see `load_start`.
    StoreError
        If the folder of the networks cannot be written.
    """
    images = read_training_images(spec)
    start = load_start(spec, images)
    _use_every_core(spec.batch)
    with writing(spec.models):
        spec.models.mkdir(parents=True, exist_ok=True)
    fold_of = assign_folds([image.group for image in images], spec.folds) if spec.folds else []
    results: list[TrainingResult] = []
    unseen: list[Unseen] = []
    with _artists() as artists:
        for number in range(spec.folds):
            left_out = [image for image, fold in zip(images, fold_of, strict=True) if fold == number]
            taught = [image for image, fold in zip(images, fold_of, strict=True) if fold != number]
            name = f"{spec.name}-fold{number}"
            results.append(_network(spec, start, name, taught, [(None, left_out)], artists, progress))
            unseen.append((results[-1].model, left_out))
        results.append(_network(spec, start, spec.name, images, unseen, artists, progress))
    return results


def _use_every_core(batch: int) -> None:
    """Let JAX see each core as a device of its own, on which a part of every batch is learnt.

    A third faster than all cores on one operation after another. In a process that has run a network before, it comes
    too late and changes nothing.
    """
    with suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", min(_threads(), batch))  # type: ignore[no-untyped-call]  # no types there


class _Artists(NamedTuple):
    """Who draws scenes."""

    executor: Executor | None
    """Processes of their own; None: the thread that asks."""
    threads: int
    """That ask, each for another step."""


@contextmanager
def _artists() -> Iterator[_Artists]:
    """Give who draws scenes.

    A GPU would wait for one thread: beside it each core but two draws in a process of its own. Where the cores
    learn, one thread draws what they need while they do.
    """
    if jax.default_backend() == "cpu":
        yield _Artists(None, 1)
        return
    cores = max(1, _threads() - 2)
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn"), _keep_off_gpu) as executor:
        yield _Artists(executor, cores)


def _keep_off_gpu() -> None:
    """Leave the GPU to the process that learns."""
    jax.config.update("jax_platforms", "cpu")  # type: ignore[no-untyped-call]  # no types there


def _network(
    spec: TrainingSpec,
    start: Model | None,
    name: str,
    taught: list[TrainingImage],
    unseen: list[Unseen],
    artists: _Artists,
    progress: Callable[[TrainingProgress], None] | None,
) -> TrainingResult:
    path = spec.models / f"{name}.safetensors"
    own = [image for judging, images in unseen if judging is None for image in images]
    digest = digest_of(
        "train",
        STAGE_VERSION,
        _causes(spec),
        start.digest if start is not None else "",
        [image.digest for image in taught],
        *(() if spec.keep == "average" else ([image.digest for image in own], CHOICE_VERSION)),
    )
    about = about_data(spec, start, taught, unseen)
    finished = _finished(path, digest)
    if finished is not None:
        _LOG.info("%s is there from the same training", name)
        return replace(finished, card=up_to_date(path, finished.card, about, finished.model, unseen))
    source = PatchSource(spec, taught, artists.executor)
    checkpoint = path.with_name(f"{name}-{digest[:12]}.standing")
    parameters, curve = fit(
        spec,
        name,
        source,
        threads=artists.threads,
        start=None if start is None else start.parameters,
        validation=validation_patches(own, spec.patch),
        progress=progress,
        checkpoint=checkpoint,
    )
    model = save_model(path, spec.architecture, parameters)
    card = {
        "name": name,
        "digest": model.digest,
        "architecture": model.config.to_dict(),
        **about,
        "held_out": held_out(model, unseen),
        "domain": domain(model, spec, source, taught),
        "training": {
            **_causes(spec),
            "stage_version": STAGE_VERSION,
            "threads": _threads(),
            "devices": len(jax.local_devices()),
            "device": jax.local_devices()[0].device_kind,
            "final_loss": curve[-1].loss,
        },
        "training_digest": digest,
        "versions": versions(),
        "machine": machine(),
    }
    write_curve(path.with_suffix(".curve.csv"), curve)
    write_card(path, card)
    checkpoint.unlink(missing_ok=True)  # not before: the card may take as long as some hundred steps
    return TrainingResult(path, load_model(path), card, reused=False)  # with the domain that the card states


def _finished(path: Path, digest: str) -> TrainingResult | None:
    card_path = path.with_suffix(".json")
    if not (path.exists() and card_path.exists()):
        return None
    try:
        card, model = json.loads(card_path.read_text(encoding="utf-8")), load_model(path)
    except (ValueError, ModelError):  # half-written or foreign: train it again
        return None
    same = isinstance(card, dict) and card.get("training_digest") == digest and card.get("digest") == model.digest
    return TrainingResult(path, model, card, reused=True) if same else None


def _causes(spec: TrainingSpec) -> dict[str, Any]:
    """Give the part of a spec that decides the weights, once the pixels are known."""
    elsewhere = ("images", "masks", "groups", "store", "models", "attribution", "name", "folds", "start")
    return {key: value for key, value in spec.to_dict().items() if key not in elsewhere}


def _threads() -> int:
    """Give the number of threads that XLA takes on this process's CPU."""
    return int(os.environ.get("NPROC", "0")) or os.cpu_count() or 1
