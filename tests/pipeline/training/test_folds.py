"""Folds are judged on fields that they have not seen, those that are shipped too."""

import json
from importlib.resources import files

import pytest

from nanocensus.pipeline.training.train import TrainingSpec
from nanocensus.sections import parse_section
from nanocensus.segment.judging.heldout import judge
from nanocensus.segment.judging.metrics import dice
from nanocensus.segment.prediction.weights import load_model
from nanocensus.segment.training.data import assign_folds, read_training_images


def test_folds_are_trained_without_their_fields_and_judged_on_them(crops, small):
    _, _, results = small
    assert [result.model.name for result in results] == ["small-fold0", "small-fold1", "small"]
    for result in results[:2]:
        taught, held_out = result.card["trained_on"], result.card["held_out"]
        assert not set(taught["fields"]) & set(held_out["fields"])
        assert {*taught["micrographs"], *held_out["micrographs"]} == set(crops)
        assert held_out["networks"] == [result.model.name]
    pooled = results[2].card["held_out"]
    assert pooled["networks"] == ["small-fold0", "small-fold1"]
    assert set(pooled["micrographs"]) == set(crops)
    assert str(results[0]).startswith("small-fold0.safetensors: Dice ")
    assert pooled["n_true"] == sum(result.card["held_out"]["n_true"] for result in results[:2])


@pytest.fixture(scope="module")
def demonstration(demo):
    """The micrographs of the demonstration, and the fold that each is held out of."""
    job = {"images": "images", "masks": "masks", "groups": "fields.csv", "models": "unused"}
    images = read_training_images(parse_section(TrainingSpec, job, section="training", base=demo))
    return list(zip(images, assign_folds([image.group for image in images], 3), strict=True))


@pytest.mark.parametrize("name", ["test_08.png", "test_13.png"])
def test_a_shipped_fold_segments_a_micrograph_of_a_field_it_never_saw(name, demonstration):
    image, fold = next((image, fold) for image, fold in demonstration if image.name == name)
    found = load_model(f"default-fold{fold}").probability(image.read_pixels()) >= 128
    assert dice(image.read_mask(), found) > 0.97


@pytest.mark.slow
def test_the_shipped_card_says_what_the_folds_reach_on_unseen_fields(demonstration):
    models = [load_model(f"default-fold{fold}") for fold in range(3)]
    maps = (models[fold].probability(image.read_pixels()) for image, fold in demonstration)
    figures = judge(zip((image.read_mask() for image, _ in demonstration), maps, strict=True))
    assert figures.dice >= 0.985
    assert figures.f1 >= 0.93
    assert abs(figures.n_predicted / figures.n_true - 1) < 0.05
    card = json.loads((files("nanocensus.segment") / "models" / "default.json").read_text())["held_out"]
    assert figures.dice == pytest.approx(card["dice"], abs=1e-4)
    assert figures.edge_sigma_px == pytest.approx(card["edge_sigma_px"], abs=1e-3)
