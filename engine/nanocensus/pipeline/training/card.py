"""What a model card says of the micrographs of a training: those learned from, those held out, and where it is at home."""

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nanocensus.errors import ModelError
from nanocensus.pipeline.training.patches import PatchSource
from nanocensus.pipeline.training.start import learned_from
from nanocensus.provenance import digest as digest_of
from nanocensus.segment.judging.heldout import judge
from nanocensus.segment.judging.metrics import SMALLEST_PARTICLE_PX, dice
from nanocensus.segment.prediction.description import describe
from nanocensus.segment.prediction.domain import Domain
from nanocensus.segment.prediction.model import Model
from nanocensus.segment.training.data import TrainingImage
from nanocensus.segment.training.spec import TrainingSpec
from nanocensus.store.commit import commit_bytes

_LOG = logging.getLogger(__name__)

Unseen = tuple[Model | None, list[TrainingImage]]
"""A network (None: the one in question) and micrographs of fields that it was not trained on."""


def about_data(
    spec: TrainingSpec, start: Model | None, taught: list[TrainingImage], unseen: list[Unseen]
) -> dict[str, Any]:
    """Give what a card says of a training's data and what is known of it before the training."""
    trained_on = {**_listing(taught), "start": start.digest if start is not None else None}
    before = learned_from(spec.start, start) if start is not None else {}
    if any(before.values()):
        trained_on["before"] = before
    about = {"attribution": spec.attribution, "trained_on": trained_on}
    return {**about, "held_out_digest": _held_out_digest(unseen)} if unseen else about


def write_card(path: Path, card: dict[str, Any]) -> None:
    """Write a card beside the weights at a path."""
    commit_bytes(path.with_suffix(".json"), (json.dumps(card, indent=2, ensure_ascii=False) + "\n").encode())


def up_to_date(
    path: Path, card: dict[str, Any], about: dict[str, Any], model: Model, unseen: list[Unseen]
) -> dict[str, Any]:
    """Bring the card of a finished network up to date: other fields may be held out now, or their masks be mended."""
    current = {**card, **about}
    if current == card:
        return card
    if current.get("held_out_digest") != card.get("held_out_digest"):
        current["held_out"] = held_out(model, unseen)
    write_card(path, current)
    return current


def held_out(model: Model, unseen: list[Unseen]) -> dict[str, Any] | None:
    """Give the figures on fields that a network has not seen; None where there are none.

    For the network trained on everything, they are those of the folds' networks, each on its own part.
    """
    if not unseen:
        return None
    judges = [(judging or model, images) for judging, images in unseen]
    figures = judge(
        (image.read_mask(), judging.probability(image.read_pixels())) for judging, images in judges for image in images
    )
    return {
        "networks": [judging.name for judging, _ in judges],
        **_listing([image for _, images in judges for image in images]),
        **asdict(figures),
        "iou": 0.5,
        "smallest_particle_px": SMALLEST_PARTICLE_PX,
    }


def _held_out_digest(unseen: list[Unseen]) -> str:
    """Give the digest of all that the figures on unseen fields depend on, but for the network in question."""
    causes = []
    for judging, images in unseen:
        seen = [[image.name, image.group, image.digest] for image in images]
        causes.append([judging.digest if judging is not None else "", seen])
    return digest_of(causes)


def _listing(images: list[TrainingImage]) -> dict[str, Any]:
    groups = sorted({image.group for image in images}, key=lambda group: (len(group), group))
    return {"micrographs": [image.name for image in images], "fields": groups}


_DESCRIBED_SCENES = 200
"""Scenes that are looked at for the domain."""
_MAPPED_WELL = 0.9
"""Least Dice of a scene that the domain is made from: where networks fail is no place to be at home."""


def domain(model: Model, spec: TrainingSpec, source: PatchSource, taught: list[TrainingImage]) -> dict[str, Any] | None:
    """Describe what a network is at home with: its micrographs, and those scenes it has not seen that it maps well.

    None where it finds no particles, as after a training of a few steps.
    """
    images = [] if spec.simulated == 1 else taught
    sizes = [image.pixel_size_nm for image in images if image.pixel_size_nm is not None]
    known = []
    for image in images:
        pixels = image.read_pixels()
        known.append(describe(pixels, model.probability(pixels)))
    for scene in source.unseen(min(_DESCRIBED_SCENES, spec.steps) if spec.simulated else 0):
        probability = model.probability(scene.pixels)
        if dice(scene.coverage > 0.5, probability >= 128) >= _MAPPED_WELL:
            known.append(describe(scene.pixels, probability))
    try:
        return Domain.of(known, sizes if len(sizes) == len(images) else ()).to_dict()
    except ModelError as error:
        _LOG.warning("%s gets no domain: %s", model.name, error)
        return None
