"""The batches of a training follow from the number of its step, whoever draws them."""

from collections import Counter

import jax
import numpy as np
import pytest

from nanocensus.errors import JobError
from nanocensus.pipeline.training.patches import PatchSource
from nanocensus.pipeline.training.scenes import TrainingScenes
from nanocensus.pipeline.training.train import TrainingSpec, _artists, train
from nanocensus.sections import parse_section
from nanocensus.segment.training.data import read_training_images


def test_names_that_cannot_be_left_out_are_refused(simulated, tmp_path):
    with pytest.raises(JobError, match="shells"):
        train(parse_section(TrainingSpec, {**simulated, "left_out": ["shell"]}, section="training", base=tmp_path))


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
def test_each_scene_is_shown_so_often_and_drawn_once_evenly_over_the_steps(simulated, showings, tmp_path, monkeypatch):
    drawn, drawn_by = [], []

    def draw(self, number):
        drawn.append(number)
        return np.zeros((64, 64), np.float32), np.full((64, 64), number, np.float32)

    monkeypatch.setattr(TrainingScenes, "standardised", draw)
    monkeypatch.setattr(TrainingScenes, "scene", lambda self, number: number)
    job = {**simulated, "steps": 96, "batch": 4, "showings": showings}
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


def test_beside_a_gpu_processes_that_do_not_touch_it_draw_the_same_scenes(simulated, tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setenv("NPROC", "4")
    spec = parse_section(TrainingSpec, simulated, section="training", base=tmp_path)
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
