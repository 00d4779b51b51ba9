"""Counts by value hold what the pixels themselves would say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nanocensus.segment.judging.map_counts import count_map

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=7)
MAPS = SHAPES.flatmap(lambda shape: st.tuples(hnp.arrays(np.uint8, shape), hnp.arrays(bool, shape)))


@settings(max_examples=30)
@given(MAPS, st.floats(0, 254.9))
def test_dice_and_iou_at_any_level_are_those_of_the_masks(maps, level):
    probability, truth = maps
    found = probability > level
    both, either = (found & truth).sum(), (found | truth).sum()
    counts = count_map(probability, truth)
    assert counts.areas(level) == (truth.sum(), found.sum(), both)
    assert counts.iou(level) == pytest.approx(both / either if either else 1.0)
    assert counts.dice(level) == pytest.approx(2 * both / (truth.sum() + found.sum()) if either else 1.0)


@settings(max_examples=30)
@given(MAPS)
def test_soft_dice_is_the_sum_over_pixels(maps):
    probability, truth = maps
    t, p = np.stack([truth, ~truth]).astype(float), np.stack([probability / 255, 1 - probability / 255])
    found = count_map(probability, truth).soft_dice()
    for i in range(2):
        for j in range(2):
            below = t[i].sum() + p[j].sum()
            expected = 2 * (t[i] * p[j]).sum() / below if below else np.nan
            assert found[i, j] == pytest.approx(expected, nan_ok=True)


@settings(max_examples=30)
@given(MAPS)
def test_counts_of_two_halves_add_up(maps):
    probability, truth = maps
    halves = [count_map(p, t) for p, t in zip(np.array_split(probability, 2), np.array_split(truth, 2), strict=True)]
    whole, pooled = count_map(probability, truth), halves[0] + halves[1]
    for name in ("pixels", "particle", "covered"):
        np.testing.assert_array_equal(getattr(pooled, name), getattr(whole, name))


def test_a_map_of_the_chances_themselves_is_calibrated():
    rng = np.random.default_rng(0)
    probability = rng.integers(0, 256, (400, 400)).astype(np.uint8)
    truth = rng.random(probability.shape) < probability / 255
    counts = count_map(probability, truth)
    assert counts.calibration_error() < 0.012  # 8,000 pixels a bin: a standard error of at most 0.006 each
    found = counts.reliability()
    assert np.abs(found.share_of_truth - found.mean_probability).max() < 0.025


def test_the_calibration_error_of_a_timid_map_is_what_it_holds_back():
    truth = np.arange(1000).reshape(10, 100) % 2 == 0
    probability = np.where(truth, 204, 51).astype(np.uint8)  # 0.8 and 0.2, always right
    assert count_map(probability, truth).calibration_error() == pytest.approx(0.2)


def test_area_fractions_are_calibrated_where_a_mask_is_not():
    probability = np.tile(np.arange(256, dtype=np.uint8), (8, 1))
    counts = count_map(probability, probability >= 128, (probability / 255).astype(np.float32))
    assert counts.calibration_error(of_fraction=True) < 1e-6
    assert counts.calibration_error() == pytest.approx(0.275, abs=0.001)  # the mean of min(p, 1 - p) from 0.05 on


def test_maps_without_doubt_have_no_calibration_error():
    truth = np.eye(9, dtype=bool)
    assert np.isnan(count_map((255 * truth).astype(np.uint8), truth).calibration_error())
    assert count_map((255 * truth).astype(np.uint8), truth).calibration_error(uncertain=False) == 0
