"""Training teaches, repeats itself, and keeps what is finished."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from importlib.resources import files
from pathlib import Path

import imageio.v3
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import safetensors.numpy

from nanocensus.errors import JobError, ModelError, StoreError
from nanocensus.pipeline.training.card import domain
from nanocensus.pipeline.training.patches import PatchSource
from nanocensus.pipeline.training.scenes import TrainingScenes
from nanocensus.pipeline.training.train import TrainingSpec, _artists, train
from nanocensus.sections import parse_section
from nanocensus.segment.judging.heldout import judge
from nanocensus.segment.judging.metrics import dice
from nanocensus.segment.networks.parameters import logits
from nanocensus.segment.prediction.domain import Domain
from nanocensus.segment.prediction.weights import load_model
from nanocensus.segment.training import fit as fit_module
from nanocensus.segment.training.data import assign_folds, read_training_images
from nanocensus.segment.training.fit import _rule, fit
from nanocensus.segment.training.losses import LOSSES
from nanocensus.simulate.rendering import write_simulated
from nanocensus.simulate.spec import SimulationSpec
from nanocensus.store.formats.readers import read_image
from nanocensus.store.images.ingest import ingest
from nanocensus.store.studies.sources import find_sources

DEMO = Path(__file__).parents[2] / "jobs" / "demo"
LEARNER = {"steps": 5, "batch": 2, "patch": 32, "base": 1, "levels": 1}
"""What most networks here are taught by; they share it, so that XLA compiles their steps once."""
CROPS = ("test_00.png", "test_03.png", "test_07.png", "train_10.png")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A tiny network, trained on four crops for a few seconds."""
    folder = tmp_path_factory.mktemp("train")
    groups = folder / "fields.csv"
    groups.write_text("image,field\n" + "".join(f"{name},{number}\n" for number, name in enumerate(CROPS)))
    job = {
        "name": "tiny", "images": str(DEMO / "images"), "masks": str(DEMO / "masks"), "groups": str(groups),
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


def test_a_finished_network_is_not_trained_again(trained):
    spec, result, _ = trained
    before = result.path.stat().st_mtime_ns
    (again,) = train(spec)
    assert again.reused
    assert again.model.digest == result.model.digest
    assert again.path.stat().st_mtime_ns == before


def test_the_card_says_what_was_done(trained):
    _, result, _ = trained
    card = json.loads(result.path.with_suffix(".json").read_text())
    assert card == result.card
    assert card["digest"] == load_model(result.path).digest
    assert card["trained_on"]["micrographs"] == list(CROPS)
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


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A training job of two folds over four scraps, and its results."""
    folder = tmp_path_factory.mktemp("folds")
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
        for name in CROPS:
            imageio.v3.imwrite(folder / kind / name, imageio.v3.imread(DEMO / kind / name)[:96, :128])
    (folder / "fields.csv").write_text("image,field\n" + "".join(f"{name},{name[:5]}{name[6]}\n" for name in CROPS))
    job = {
        "name": "small", "images": "images", "masks": "masks", "groups": "fields.csv",
        "models": "models", "folds": 2, **LEARNER,
    }  # fmt: skip
    return folder, job, train(parse_section(TrainingSpec, job, section="training", base=folder))


def test_folds_are_trained_without_their_fields_and_judged_on_them(small):
    _, _, results = small
    assert [result.model.name for result in results] == ["small-fold0", "small-fold1", "small"]
    for result in results[:2]:
        taught, held_out = result.card["trained_on"], result.card["held_out"]
        assert not set(taught["fields"]) & set(held_out["fields"])
        assert {*taught["micrographs"], *held_out["micrographs"]} == set(CROPS)
        assert held_out["networks"] == [result.model.name]
    pooled = results[2].card["held_out"]
    assert pooled["networks"] == ["small-fold0", "small-fold1"]
    assert set(pooled["micrographs"]) == set(CROPS)
    assert str(results[0]).startswith("small-fold0.safetensors: Dice ")
    assert pooled["n_true"] == sum(result.card["held_out"]["n_true"] for result in results[:2])


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


SIMULATED = {"name": "scenes", "models": "models", "simulated": 1.0, "folds": 0, **LEARNER}

FOLDS = {**SIMULATED, "images": "i", "masks": "m", "groups": "g.csv", "folds": 2}  # nobody reads them


def test_scenes_alone_teach_a_network(tmp_path):
    (result,) = train(parse_section(TrainingSpec, SIMULATED, section="training", base=tmp_path))
    assert result.card["trained_on"]["micrographs"] == []
    assert str(result) == "scenes.safetensors: no fields held out"


def test_a_network_goes_on_from_another(small, tmp_path):
    folder, job, results = small
    further = {**job, "folds": 0, "name": "further", "start": str(results[2].path), "simulated": 0.5}
    (result,) = train(parse_section(TrainingSpec, further, section="training", base=folder))
    assert result.card["trained_on"]["start"] == results[2].model.digest
    assert result.model.digest != results[2].model.digest
    nearness = [
        max(np.abs(result.model.parameters[name] - values).max() for name, values in other.parameters.items())
        for other in (results[2].model, results[0].model)
    ]
    assert nearness[0] < 0.1  # five steps do not lead far
    with pytest.raises(JobError, match="base and levels"):
        train(parse_section(TrainingSpec, {**further, "base": 2}, section="training", base=folder))


def test_folds_do_not_go_on_from_a_network_that_has_seen_what_they_are_judged_on(small, tmp_path):
    folder, job, results = small
    fold, seen = results[0].path, results[0].card["trained_on"]["micrographs"]
    further = {**job, "name": "further", "models": str(tmp_path / "models"), "start": str(fold), "steps": 1}
    with pytest.raises(JobError, match=f"learned from {len(seen)} of them, such as {seen[0]}"):
        train(parse_section(TrainingSpec, further, section="training", base=folder))
    fields = pd.read_csv(folder / "fields.csv")
    renamed = tmp_path / "fields.csv"  # micrographs of the same names, but of other fields
    fields.assign(field=[f"another {field}" for field in fields["field"]]).to_csv(renamed, index=False)
    results = train(parse_section(TrainingSpec, {**further, "groups": str(renamed)}, section="training", base=folder))
    assert len(results) == 3
    alone = tmp_path / fold.name  # weights without their card
    alone.write_bytes(fold.read_bytes())
    results = train(
        parse_section(TrainingSpec, {**further, "start": str(alone), "folds": 2}, section="training", base=folder)
    )
    assert [result.card["trained_on"]["start"] for result in results] == [load_model(fold).digest] * 3


def test_a_micrograph_is_read_once_to_know_whether_its_networks_are_there(small, monkeypatch):
    folder, job, _ = small
    spec = parse_section(TrainingSpec, {**job, "models": "counted"}, section="training", base=folder)
    train(spec)
    read = Counter()

    def counted(path):
        read[path.name] += 1
        return read_image(path)

    monkeypatch.setattr("nanocensus.segment.training.data.read_image", counted)
    assert all(result.reused for result in train(spec))
    assert read == dict.fromkeys(CROPS, 2)  # the other time its shape is asked for


def test_what_a_network_went_on_from_is_not_forgotten(small, tmp_path):
    folder, job, results = small
    (tmp_path / "one.csv").write_text(f"image,field\n{CROPS[0]},elsewhere\n")

    def trained(**changes):
        models = {"models": str(tmp_path / "models"), "steps": 1, **changes}
        return train(parse_section(TrainingSpec, {**job, **models}, section="training", base=folder))

    known = results[0].card["trained_on"]
    first, groups = {"name": "first", "folds": 0, "start": str(results[0].path)}, {"groups": str(tmp_path / "one.csv")}
    (second,) = trained(**first, **groups)
    assert second.card["trained_on"]["before"] == {key: sorted(known[key]) for key in ("micrographs", "fields")}
    (third,) = trained(**groups, name="second", folds=0, start=str(second.path))
    assert third.card["trained_on"]["before"]["fields"] == sorted([*known["fields"], "elsewhere"])
    with pytest.raises(JobError, match=f"learned from {len(known['micrographs'])} of them"):
        trained(name="third", start=str(third.path))


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "models").write_text("a file where a folder should be")
    with pytest.raises(StoreError, match="models: expected a place that can be written"):
        train(parse_section(TrainingSpec, SIMULATED, section="training", base=tmp_path))


def test_names_that_cannot_be_left_out_are_refused(tmp_path):
    with pytest.raises(JobError, match="shells"):
        train(parse_section(TrainingSpec, {**SIMULATED, "left_out": ["shell"]}, section="training", base=tmp_path))


def test_the_batch_of_a_step_does_not_hang_on_what_was_drawn_before(small):
    folder, job, _ = small
    spec = parse_section(TrainingSpec, {**job, "simulated": 0.5, "batch": 4}, section="training", base=folder)
    images = read_training_images(spec)
    walked, fresh = PatchSource(spec, images), PatchSource(spec, images)
    batches = [walked(step) for step in range(20)]
    for (pixels, targets), (same, same_targets) in zip(batches[17:], map(fresh, range(17, 20)), strict=True):
        assert np.array_equal(pixels, same)
        assert np.array_equal(targets, same_targets)
        assert pixels.shape == (4, 32, 32)


@pytest.mark.parametrize("showings", [1, 2, 4])
def test_each_scene_is_shown_so_often_and_drawn_once_evenly_over_the_steps(showings, tmp_path, monkeypatch):
    drawn, drawn_by = [], []

    def draw(self, number):
        drawn.append(number)
        return np.zeros((64, 64), np.float32), np.full((64, 64), number, np.float32)

    monkeypatch.setattr(TrainingScenes, "standardised", draw)
    monkeypatch.setattr(TrainingScenes, "scene", lambda self, number: number)
    job = {**SIMULATED, "steps": 96, "batch": 4, "showings": showings}
    source = PatchSource(parse_section(TrainingSpec, job, section="training", base=tmp_path), [])
    shown = Counter()
    for step in range(96):
        shown.update(source(step)[1][:, 0, 0].astype(int).tolist())
        drawn_by.append(len(drawn))
    assert len(set(drawn)) == len(drawn)
    assert sorted(shown) == list(range(len(drawn)))
    inside = list(range(64, len(drawn) - 64))
    assert len(inside) >= 10
    assert {shown[number] for number in inside} == {showings}
    assert max(shown.values()) == showings
    assert set(np.diff(drawn_by)[-48:]) == {4 // showings}
    assert min(source.unseen(5)) > max(drawn)


def test_beside_a_gpu_processes_that_do_not_touch_it_draw_the_same_scenes(tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setenv("NPROC", "4")
    spec = parse_section(TrainingSpec, SIMULATED, section="training", base=tmp_path)
    with _artists() as artists:
        assert artists.threads == 2
        assert artists.executor.submit(_platforms).result() == "cpu"
        source, alone = PatchSource(spec, [], artists.executor), PatchSource(spec, [])
        for step in (0, 17):
            assert all(np.array_equal(one, other) for one, other in zip(source(step), alone(step), strict=True))
        for one, other in zip(source.unseen(2), alone.unseen(2), strict=True):
            np.testing.assert_array_equal(one.pixels, other.pixels)


def _platforms():
    return jax.config.jax_platforms


@pytest.mark.parametrize("keep", ["average", "best"])
def test_a_training_that_was_cut_off_goes_on_to_the_same_bytes(keep, tmp_path, monkeypatch):
    monkeypatch.setattr(fit_module, "_KEPT_EVERY", 2)
    monkeypatch.setattr(fit_module, "_REPORTED", 2)
    spec = parse_section(TrainingSpec, {**FOLDS, "keep": keep}, section="training", base=tmp_path)
    source = PatchSource(spec, [])
    unseen = source(7)

    def cut_off(step):
        if step == 3:
            raise KeyboardInterrupt
        return source(step)

    standing = tmp_path / "scenes.standing"
    with pytest.raises(KeyboardInterrupt):
        fit(spec, "scenes", cut_off, validation=unseen, checkpoint=standing)
    asked = []
    further = fit(  # by several threads
        spec,
        "scenes",
        threads=3,
        draw=lambda step: asked.append(step) or source(step),
        validation=unseen,
        checkpoint=standing,
    )
    whole = fit(spec, "scenes", source, validation=unseen)
    assert sorted(asked) == [2, 3, 4]
    assert [point.step for point in whole[1]] == [2, 4, 5]
    assert further[1] == whole[1]
    assert all(np.array_equal(further[0][name], values) for name, values in whole[0].items())


def test_a_training_that_is_cut_off_before_its_card_is_written_goes_on_from_its_last_steps(tmp_path, monkeypatch):
    monkeypatch.setattr(fit_module, "_KEPT_EVERY", 2)
    monkeypatch.setattr(fit_module, "_REPORTED", 2)
    spec = parse_section(TrainingSpec, SIMULATED, section="training", base=tmp_path)

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


@pytest.mark.parametrize("keep", ["average", "best"])
def test_a_training_that_diverges_ends_at_once_and_says_why(keep, tmp_path, monkeypatch):
    monkeypatch.setattr(fit_module, "_REPORTED", 2)
    spec = parse_section(TrainingSpec, {**FOLDS, "keep": keep}, section="training", base=tmp_path)
    source = PatchSource(spec, [])

    def diverging(step):
        pixels, targets = source(step)
        return pixels if step == 0 else np.full_like(pixels, np.inf), targets

    with pytest.raises(JobError, match=r"'learning_rate'.*a loss of nan up to step 2 of scenes"):
        fit(spec, "scenes", diverging, validation=source(7))


def test_the_best_weights_on_unseen_patches_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(fit_module, "_REPORTED", 1)
    monkeypatch.setattr(fit_module, "_POINTS", 30)
    job = {**FOLDS, "steps": 30, "keep": "best", "learning_rate": 0.01, "base": 4}
    spec = parse_section(TrainingSpec, job, section="training", base=tmp_path)
    source = PatchSource(spec, [])
    pixels, targets = source(99)
    targets = 1 - targets  # the more it learns, the further from these
    kept, curve = fit(spec, "scenes", source, validation=(pixels, targets))
    best = min(curve, key=lambda point: point.validation_loss)
    assert best.step != curve[-1].step
    logits_ = jax.jit(logits, static_argnums=0)(spec.architecture, kept, jnp.asarray(pixels))
    assert float(LOSSES[spec.loss](logits_, jnp.asarray(targets))) == pytest.approx(best.validation_loss, rel=1e-3)
    probability = 1 / (1 + np.exp(-np.asarray(logits_, float)))
    overlap = 2 * (probability * targets).sum() / (probability**2 + targets**2).sum()
    assert best.validation_dice == pytest.approx(overlap, rel=1e-3)
    found, true = probability > 0.5, targets > 0.5
    assert best.validation_iou == pytest.approx((found & true).sum() / (found | true).sum(), rel=1e-3)


def test_the_rate_is_halved_every_fifth_of_the_steps(tmp_path):
    job = {**SIMULATED, "steps": 100, "schedule": "halved", "learning_rate": 0.04, "weight_decay": 0.0}
    rule = _rule(parse_section(TrainingSpec, job, section="training", base=tmp_path))
    weight, gradient = {"w": jnp.zeros(3)}, {"w": jnp.full(3, 0.1)}
    state, moved = rule.init(weight), []
    for _ in range(100):  # Adam's steps under an even slope are as long as the rate
        change, state = rule.update(gradient, state, weight)
        moved.append(-float(change["w"][0]))
    assert moved[0] == pytest.approx(0.04, rel=1e-3)
    assert [moved[step] / moved[step - 1] for step in (20, 40, 60, 80)] == pytest.approx([0.5] * 4, rel=1e-2)
    assert moved[99] == pytest.approx(0.04 / 16, rel=1e-3)


_LEARN = """
import sys
import jax
import numpy as np
jax.config.update("jax_num_cpu_devices", int(sys.argv[1]))
from nanocensus.segment.training.fit import _rule, fit
from nanocensus.segment.training.spec import TrainingSpec
spec = TrainingSpec(
    name="t", models=".", simulated=1.0, folds=0, steps=8, batch=4, patch=64, base=4, levels=2, learning_rate=1e-3
)
def draw(step):
    rng = np.random.default_rng(step)
    dark = rng.random((4, 64, 64)) < 0.3
    return np.where(dark, -1.0, 1.0).astype(np.float32), dark.astype(np.float32)
_, curve = fit(spec, "t", draw)
print(len(jax.local_devices()), *(point.loss for point in curve))
"""


@pytest.mark.slow
def test_a_batch_that_is_split_over_devices_teaches_the_same():
    told = [
        subprocess.run(
            [sys.executable, "-c", _LEARN, devices],
            env=os.environ | {"JAX_PLATFORMS": "cpu"},
            capture_output=True,
            text=True,
            check=True,
        )
        for devices in ("1", "2", "3")
    ]
    (one, alone), (two, split), (three, by_two) = ([float(word) for word in ran.stdout.split()] for ran in told)
    assert (one, two, three) == (1, 2, 3)
    assert split == pytest.approx(alone, rel=1e-4)
    assert by_two == split  # three devices do not divide a batch of four: two take part


def test_a_network_is_at_home_with_those_unseen_scenes_that_it_maps_well(tmp_path):
    job = SIMULATED | {"steps": 24, "patch": 192, "base": 12, "levels": 4}
    spec = parse_section(TrainingSpec, job, section="training", base=tmp_path)
    model, source = load_model("simulated"), PatchSource(spec, [])
    mapped = [dice(scene.coverage > 0.5, model.probability(scene.pixels) >= 128) for scene in source.unseen(24)]
    assert 6 < sum(each >= 0.9 for each in mapped) < 24
    assert domain(model, spec, source, [])["micrographs"] == sum(each >= 0.9 for each in mapped)


def test_the_card_states_the_pixel_sizes_of_micrographs_that_all_have_one(tmp_path):
    plain = SimulationSpec(shape=(192, 192), mean_particles=4.0, mean_edge_length_nm=3.0)
    for sample, size in (("fine", 0.1), ("coarse", 0.12)):
        spec = dataclasses.replace(plain, pixel_size_nm=size)
        listed = write_simulated(tmp_path / "raw", spec, n=1, seed=3, sample=sample)
    table = pd.read_csv(listed)
    table.assign(field="1").rename(columns={"file": "image"}).to_csv(tmp_path / "fields.csv", index=False)
    for name, mask in zip(table["file"], table["mask"], strict=True):  # masks of the micrographs' names
        (tmp_path / "masks" / name).parent.mkdir(parents=True)
        shutil.copy(tmp_path / "raw" / mask, tmp_path / "masks" / name)
    ingest(find_sources(tmp_path / "raw", table=listed), tmp_path / "known")
    ingest(find_sources(tmp_path / "raw", table=listed, pixel_size_nm=0.3, assumed=True), tmp_path / "made-up")
    folders = {"images": "raw", "masks": "masks", "groups": "fields.csv"}
    stated = []
    for source in (folders, {"store": "known"}, {"store": "made-up"}):
        job = {**source, "models": "models", "patch": 32, "folds": 0}
        spec = parse_section(TrainingSpec, job, section="training", base=tmp_path)
        images = read_training_images(spec)
        stated.append(domain(load_model("simulated"), spec, PatchSource(spec, images), images)["pixel_size_nm"])
    assert stated == [pytest.approx([0.1, 0.12])] * 2 + [None]


def test_the_standing_of_another_network_is_refused(tmp_path):
    spec = parse_section(TrainingSpec, SIMULATED, section="training", base=tmp_path)
    standing = tmp_path / "scenes.standing"
    for content in (b"cut short", safetensors.numpy.save({"0": np.zeros(3)}, {"step": "1", "curve": "[]"})):
        standing.write_bytes(content)
        with pytest.raises(ModelError, match="Remove the file"):
            fit(spec, "scenes", PatchSource(spec, []), checkpoint=standing)


@pytest.fixture(scope="module")
def demonstration():
    """The micrographs of the demonstration, and the fold that each is held out of."""
    job = {"images": "images", "masks": "masks", "groups": "fields.csv", "models": "unused"}
    images = read_training_images(parse_section(TrainingSpec, job, section="training", base=DEMO))
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
