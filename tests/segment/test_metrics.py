"""Agreement of masks and particles."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nanocensus.segment.judging.metrics import Matches, dice, match_particles, overlaps, without_specks

LABELS = hnp.array_shapes(min_dims=2, max_dims=2, max_side=6).flatmap(
    lambda shape: st.tuples(*[hnp.arrays(np.int32, shape, elements=st.integers(0, 4))] * 2)
)


def _matches_one_by_one(truth, predicted, iou):
    """Every pair of particles, as sets of pixels."""
    names = [[name for name in np.unique(labels) if name] for labels in (truth, predicted)]
    found = 0
    for t in names[0]:
        for p in names[1]:
            a, b = truth == t, predicted == p
            found += bool((a & b).sum() / (a | b).sum() > iou)
    return Matches(found, len(names[1]) - found, len(names[0]) - found)


@settings(max_examples=200)
@given(LABELS, st.sampled_from([0.5, 0.6, 0.75]))
def test_matches_are_those_found_by_comparing_every_pair(labels, iou):
    assert match_particles(*labels, iou=iou) == _matches_one_by_one(*labels, iou)


@settings(max_examples=50)
@given(LABELS)
def test_dice_is_the_ratio_of_counts(labels):
    a, b = (part > 1 for part in labels)
    expected = 2 * np.sum(a & b) / (a.sum() + b.sum()) if a.any() or b.any() else 1
    assert dice(a, b) == pytest.approx(expected)


def test_an_overlap_of_exactly_one_half_is_no_match():
    assert match_particles(np.array([[1, 1]]), np.array([[1, 0]])) == Matches(0, 1, 1)


def test_labels_need_not_be_consecutive():
    truth = np.array([[0, 9, 9, -4]], np.int64)
    assert match_particles(truth, truth) == Matches(2, 0, 0)


def test_precision_recall_and_f1():
    matches = Matches(6, 2, 4)
    assert (matches.precision, matches.recall) == (0.75, 0.6)
    assert matches.f1 == pytest.approx(2 * 0.75 * 0.6 / 1.35)
    assert Matches(0, 0, 0).f1 == 1.0
    assert (matches + Matches(1, 1, 1)) == Matches(7, 3, 5)


@pytest.mark.parametrize("iou", [0.4, 1.0, -1.0])
def test_an_overlap_that_leaves_matches_ambiguous_is_refused(iou):
    with pytest.raises(ValueError, match="at least"):
        match_particles(np.array([[1]]), np.array([[1]]), iou=iou)


@settings(max_examples=50)
@given(LABELS)
def test_overlaps_are_those_of_every_pair(labels):
    truth, predicted = labels
    found = overlaps(truth, predicted)
    expected = {
        (t, p): int(((truth == t) & (predicted == p)).sum())
        for t in np.unique(truth[truth != 0])
        for p in np.unique(predicted[predicted != 0])
    }
    pairs = zip(found.true_label[found.true_place], found.found_label[found.found_place], strict=True)
    assert dict(zip(pairs, found.common_px.tolist(), strict=True)) == {k: n for k, n in expected.items() if n}
    assert found.true_px.tolist() == [int((truth == t).sum()) for t in found.true_label]
    assert found.found_px.tolist() == [int((predicted == p).sum()) for p in found.found_label]
    held = [sum(2 * n > (truth == t).sum() for (t, q), n in expected.items() if q == p) for p in found.found_label]
    assert found.swallowed().tolist() == held


def test_specks_become_background_and_others_keep_their_numbers():
    labels = np.zeros((10, 10), np.int32)
    labels[:4, :5], labels[6:, :4] = 7, 3  # 20 and 16 pixels
    assert np.unique(without_specks(labels)).tolist() == [0, 7]
