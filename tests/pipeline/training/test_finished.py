"""A training repeats itself, and keeps what is finished."""

import dataclasses
import json
import shutil
from collections import Counter

import imageio.v3
import pytest

from nanocensus.errors import StoreError
from nanocensus.pipeline.training.train import TrainingSpec, train
from nanocensus.sections import parse_section
from nanocensus.segment.training import fit as fit_module
from nanocensus.store.formats.readers import read_image


def test_the_same_training_gives_the_same_bytes(small):
    folder, job, results = small
    (again,) = train(
        parse_section(TrainingSpec, {**job, "folds": 0, "models": "again"}, section="training", base=folder)
    )
    assert not again.reused
    assert again.path.read_bytes() == results[2].path.read_bytes()


def test_another_training_replaces_what_is_there(small):
    folder, job, results = small
    (other,) = train(
        parse_section(TrainingSpec, {**job, "folds": 0, "models": "again", "seed": 1}, section="training", base=folder)
    )
    assert not other.reused
    assert other.model.digest != results[2].model.digest


def test_a_damaged_network_is_trained_again(small):
    folder, job, results = small
    spec = parse_section(TrainingSpec, {**job, "folds": 0}, section="training", base=folder)
    results[2].path.write_bytes(b"cut short")
    (again,) = train(spec)
    assert not again.reused
    assert again.model.digest == results[2].model.digest


def test_a_finished_network_is_judged_again_where_other_fields_are_held_out_or_their_masks_were_mended(small, tmp_path):
    folder, job, results = small
    for kind in ("images", "masks"):
        shutil.copytree(folder / kind, tmp_path / kind)
    shutil.copy(folder / "fields.csv", tmp_path / "fields.csv")

    def trained(**changes):
        return train(parse_section(TrainingSpec, {**job, **changes}, section="training", base=tmp_path))

    (alone,) = trained(folds=0)
    assert alone.card["held_out"] is None
    both = trained()
    assert [result.reused for result in both] == [False, False, True]
    assert both[2].card["held_out"] == results[2].card["held_out"]
    assert json.loads(both[2].path.with_suffix(".json").read_text()) == both[2].card
    assert trained(folds=0)[0].card == both[2].card  # what was found out stays
    mended = tmp_path / "masks" / both[0].card["held_out"]["micrographs"][0]
    imageio.v3.imwrite(mended, 255 - imageio.v3.imread(mended))
    again = trained(attribution="drawn anew")
    assert [result.reused for result in again] == [True, False, False]  # the first fold has not learned from it
    assert again[0].model.digest == both[0].model.digest
    assert again[0].card["attribution"] == "drawn anew"
    assert again[0].card["held_out"]["dice"] != both[0].card["held_out"]["dice"]
    assert [result.card for result in trained(attribution="drawn anew")] == [result.card for result in again]
    assert not any(result.reused for result in trained(keep="best"))
    imageio.v3.imwrite(mended, 255 - imageio.v3.imread(mended))
    assert not trained(keep="best")[0].reused  # its weights were chosen by this mask


def test_a_micrograph_is_read_once_to_know_whether_its_networks_are_there(crops, small, monkeypatch):
    folder, job, _ = small
    spec = parse_section(TrainingSpec, {**job, "models": "counted"}, section="training", base=folder)
    train(spec)
    read = Counter()

    def counted(path):
        read[path.name] += 1
        return read_image(path)

    monkeypatch.setattr("nanocensus.segment.training.data.read_image", counted)
    assert all(result.reused for result in train(spec))
    assert read == dict.fromkeys(crops, 2)  # the other time its shape is asked for


def test_a_training_that_is_cut_off_before_its_card_is_written_goes_on_from_its_last_steps(
    simulated, tmp_path, monkeypatch
):
    monkeypatch.setattr(fit_module, "_KEPT_EVERY", 2)
    monkeypatch.setattr(fit_module, "_REPORTED", 2)
    spec = parse_section(TrainingSpec, simulated, section="training", base=tmp_path)

    def cut_off(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("nanocensus.pipeline.training.train.domain", cut_off)
        with pytest.raises(KeyboardInterrupt):
            train(spec)
    reports = []
    (result,) = train(spec, progress=reports.append)
    assert [report.step for report in reports] == [5]  # not from the beginning
    assert not result.reused
    assert not list(spec.models.glob("*.standing"))
    (whole,) = train(dataclasses.replace(spec, models=tmp_path / "whole"))
    assert whole.path.read_bytes() == result.path.read_bytes()


def test_a_place_that_cannot_be_written_is_named(simulated, tmp_path):
    (tmp_path / "models").write_text("a file where a folder should be")
    with pytest.raises(StoreError, match="models: expected a place that can be written"):
        train(parse_section(TrainingSpec, simulated, section="training", base=tmp_path))
