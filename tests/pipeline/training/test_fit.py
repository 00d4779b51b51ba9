"""The steps of a training: kept, resumed, divided over devices, and ended where they lead nowhere."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from nanocensus.errors import JobError, ModelError
from nanocensus.pipeline.training.patches import PatchSource
from nanocensus.pipeline.training.train import TrainingSpec
from nanocensus.sections import parse_section
from nanocensus.segment.networks.parameters import logits
from nanocensus.segment.training import fit as fit_module
from nanocensus.segment.training.fit import _rule, fit
from nanocensus.segment.training.losses import LOSSES


@pytest.fixture
def folds(simulated):
    """A job of folds whose micrographs nobody reads."""
    return {**simulated, "images": "i", "masks": "m", "groups": "g.csv", "folds": 2}


@pytest.mark.parametrize("keep", ["average", "best"])
def test_a_training_that_was_cut_off_goes_on_to_the_same_bytes(folds, keep, tmp_path, monkeypatch):
    monkeypatch.setattr(fit_module, "_KEPT_EVERY", 2)
    monkeypatch.setattr(fit_module, "_REPORTED", 2)
    spec = parse_section(TrainingSpec, {**folds, "keep": keep}, section="training", base=tmp_path)
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


def test_the_standing_of_another_network_is_refused(simulated, tmp_path):
    spec = parse_section(TrainingSpec, simulated, section="training", base=tmp_path)
    standing = tmp_path / "scenes.standing"
    for content in (b"cut short", safetensors.numpy.save({"0": np.zeros(3)}, {"step": "1", "curve": "[]"})):
        standing.write_bytes(content)
        with pytest.raises(ModelError, match="Remove the file"):
            fit(spec, "scenes", PatchSource(spec, []), checkpoint=standing)


@pytest.mark.parametrize("keep", ["average", "best"])
def test_a_training_that_diverges_ends_at_once_and_says_why(folds, keep, tmp_path, monkeypatch):
    monkeypatch.setattr(fit_module, "_REPORTED", 2)
    spec = parse_section(TrainingSpec, {**folds, "keep": keep}, section="training", base=tmp_path)
    source = PatchSource(spec, [])

    def diverging(step):
        pixels, targets = source(step)
        return pixels if step == 0 else np.full_like(pixels, np.inf), targets

    with pytest.raises(JobError, match=r"'learning_rate'.*a loss of nan up to step 2 of scenes"):
        fit(spec, "scenes", diverging, validation=source(7))


def test_the_best_weights_on_unseen_patches_are_kept(folds, tmp_path, monkeypatch):
    monkeypatch.setattr(fit_module, "_REPORTED", 1)
    monkeypatch.setattr(fit_module, "_POINTS", 30)
    job = {**folds, "steps": 30, "keep": "best", "learning_rate": 0.01, "base": 4}
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


def test_the_rate_is_halved_every_fifth_of_the_steps(simulated, tmp_path):
    job = {**simulated, "steps": 100, "schedule": "halved", "learning_rate": 0.04, "weight_decay": 0.0}
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
