"""Losses: where they are least, and what they charge for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nanocensus.segment.training.losses import LOSSES


def test_the_usual_loss_is_cross_entropy_and_the_mean_dice_loss_of_both_classes():
    rng = np.random.default_rng(1)
    targets, logits_ = (rng.random((2, 64, 64)) < 0.3).astype(np.float32), rng.normal(size=(2, 64, 64))
    probability = 1 / (1 + np.exp(-logits_))
    chosen = np.where(targets > 0, probability, 1 - probability)
    overlaps = [
        2 * (p * t).sum() / (p.sum() + t.sum()) for p, t in ((probability, targets), (1 - probability, 1 - targets))
    ]
    expected = -np.log(chosen).mean() + 1 - np.mean(overlaps)
    assert float(LOSSES["usual"](jnp.asarray(logits_), jnp.asarray(targets))) == pytest.approx(expected, rel=1e-3)


def test_the_loss_is_least_where_the_probability_is_the_area_fraction():
    rng = np.random.default_rng(0)
    targets = rng.uniform(0.05, 0.95, (2, 8, 8))
    best = np.log(targets / (1 - targets))
    judged = jax.jit(jax.value_and_grad(lambda logits: LOSSES["outlines"](logits, jnp.asarray(targets, jnp.float32))))
    least, slopes = judged(jnp.asarray(best, jnp.float32))
    assert np.abs(slopes).max() < 1e-6
    for _ in range(5):
        assert judged(jnp.asarray(best + rng.normal(scale=0.5, size=best.shape), jnp.float32))[0] > least + 1e-3


def test_a_ragged_outline_costs_more_than_a_smooth_one_as_far_off():
    rows = np.arange(32)[:, None] + np.zeros((1, 32))

    def edge(at):
        return np.clip(at + 0.5 - rows, 0.01, 0.99)[None]

    target, smooth, ragged = edge(16.0), edge(16.5), edge(16.0 + 0.5 * (-1.0) ** np.arange(32))
    costs = {
        name: [float(loss(jnp.asarray(np.log(p / (1 - p))), jnp.asarray(target))) for p in (target, smooth, ragged)]
        for name, loss in LOSSES.items()
    }
    least, of_smooth, of_ragged = costs["outlines"]
    assert of_ragged - least > 1.5 * (of_smooth - least) > 0
    least, of_smooth, of_ragged = costs["usual"]
    assert of_ragged - least == pytest.approx(of_smooth - least, rel=0.2)
