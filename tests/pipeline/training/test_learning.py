"""Training teaches, and says what it did."""

import json

import numpy as np
import pandas as pd
import pytest

from nanocensus.pipeline.training.train import TrainingSpec, train
from nanocensus.sections import parse_section
from nanocensus.segment.judging.metrics import dice
from nanocensus.segment.prediction.domain import Domain
from nanocensus.segment.prediction.weights import load_model
from nanocensus.segment.training.data import read_training_images


@pytest.fixture(scope="module")
def trained(demo, crops, tmp_path_factory):
    """A tiny network, trained on four crops for a few seconds."""
    folder = tmp_path_factory.mktemp("train")
    groups = folder / "fields.csv"
    groups.write_text("image,field\n" + "".join(f"{name},{number}\n" for number, name in enumerate(crops)))
    job = {
        "name": "tiny", "images": str(demo / "images"), "masks": str(demo / "masks"), "groups": str(groups),
        "models": "models", "folds": 0, "steps": 80, "batch": 4, "patch": 96, "base": 4, "levels": 2,
        "learning_rate": 1e-2, "ema_decay": 0.9,
    }  # fmt: skip
    spec, reports = parse_section(TrainingSpec, job, section="training", base=folder), []
    (result,) = train(spec, progress=reports.append)
    return spec, result, reports


def test_the_loss_falls(trained):
    _, _, reports = trained
    assert [report.step for report in reports] == [20, 40, 60, 80]
    assert reports[-1].loss < 0.5 * reports[0].loss


def test_the_network_segments_what_it_was_taught(trained):
    spec, result, _ = trained
    images = read_training_images(spec)
    masks = np.concatenate([image.read_mask().ravel() for image in images])
    found = np.concatenate([result.model.probability(image.read_pixels()).ravel() >= 128 for image in images])
    assert dice(masks, found) > 0.93


def test_scenes_alone_teach_a_network(simulated, tmp_path):
    (result,) = train(parse_section(TrainingSpec, simulated, section="training", base=tmp_path))
    assert result.card["trained_on"]["micrographs"] == []
    assert str(result) == "scenes.safetensors: no fields held out"


def test_a_finished_network_is_not_trained_again(trained):
    spec, result, _ = trained
    before = result.path.stat().st_mtime_ns
    (again,) = train(spec)
    assert again.reused
    assert again.model.digest == result.model.digest
    assert again.path.stat().st_mtime_ns == before


def test_the_card_says_what_was_done(crops, trained):
    _, result, _ = trained
    card = json.loads(result.path.with_suffix(".json").read_text())
    assert card == result.card
    assert card["digest"] == load_model(result.path).digest
    assert card["trained_on"]["micrographs"] == list(crops)
    assert card["held_out"] is None
    assert card["training"]["steps"] == 80
    assert "flax" in card["versions"]
    assert result.model.domain == Domain.from_dict(card["domain"])


def test_the_learning_curve_lies_beside_the_network(trained, small):
    _, result, reports = trained
    curve = pd.read_csv(result.path.with_suffix(".curve.csv"))
    assert list(curve) == ["step", "loss", "validation_loss", "validation_dice", "validation_iou"]
    assert curve["step"].tolist() == [20, 40, 60, 80]
    assert curve["loss"].tolist() == pytest.approx([report.loss for report in reports])
    assert curve["validation_loss"].isna().all()  # no field was held out
    fold, whole = (pd.read_csv(small[2][place].path.with_suffix(".curve.csv")) for place in (0, -1))
    assert fold["validation_loss"].notna().all()
    assert whole["validation_loss"].isna().all()
