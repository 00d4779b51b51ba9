"""Runs against scipy's labels and sums over each label's own pixels."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from nanocensus.measure.regions._runs import extents, paint, runs_of_labels, runs_of_map, runs_of_mask

SHAPES = st.tuples(st.integers(0, 6), st.one_of(st.integers(0, 6), st.integers(60, 68), st.integers(125, 200)))
STRUCTURES = {4: ndimage.generate_binary_structure(2, 1), 8: ndimage.generate_binary_structure(2, 2)}


def random_values(seed, shape, largest):
    return np.random.default_rng(seed).integers(0, largest + 1, shape)


@pytest.mark.parametrize("connectivity", [4, 8])
@hypothesis.given(shape=SHAPES, seed=st.integers(0, 2**32), level=st.integers(0, 254))
@hypothesis.settings(max_examples=80)
def test_painted_runs_of_a_map_are_scipys_labels_of_the_pixels_above_the_level(connectivity, shape, seed, level):
    probability = random_values(seed, shape, 255).astype(np.uint8)

    runs = runs_of_map(probability, float(level), connectivity)

    expected, n = ndimage.label(probability > level, STRUCTURES[connectivity])
    np.testing.assert_array_equal(paint(runs), expected)
    assert runs.label.tolist() == list(range(1, n + 1))
    assert int(np.sum(runs.stop - runs.start)) == np.count_nonzero(probability > level)


@pytest.mark.parametrize("order", ["C", "F", "every second column", "upside down"])
@pytest.mark.parametrize("width", [1, 63, 64, 65, 191])
def test_masks_of_any_width_and_order_of_memory_have_the_same_runs(width, order):
    mask = random_values(width, (9, width), 1).astype(bool)
    given = {
        "C": mask,
        "F": np.asfortranarray(mask),
        "every second column": np.repeat(mask, 2, axis=1)[:, ::2],
        "upside down": mask[::-1].copy()[::-1],
    }[order]

    np.testing.assert_array_equal(paint(runs_of_mask(given)), ndimage.label(mask, STRUCTURES[8])[0])


def test_two_particles_that_meet_far_below_their_tops_are_one():
    combs = np.zeros((70, 130), bool)
    combs[:-1, ::2] = True
    assert runs_of_mask(combs).label.size == 65
    combs[-1] = True
    assert runs_of_mask(combs).label.size == 1
    spiral = np.cumsum(np.indices((40, 40)).max(axis=0) % 2 == 0, axis=0) % 2 == 0
    np.testing.assert_array_equal(paint(runs_of_mask(spiral, 4)), ndimage.label(spiral, STRUCTURES[4])[0])


@hypothesis.given(
    labels=SHAPES.flatmap(lambda shape: arrays.arrays(np.int32, shape, elements=st.sampled_from([0, 0, 1, 2, 5, 90])))
)
@hypothesis.settings(max_examples=80)
def test_labels_painted_from_their_runs_are_the_labels(labels):
    runs = runs_of_labels(labels)

    np.testing.assert_array_equal(paint(runs), labels)
    assert runs.label.tolist() == np.unique(labels[labels > 0]).tolist()
    for place in range(runs.label.size):
        own = slice(runs.offset[place], runs.offset[place + 1])
        assert own.start < own.stop
        assert np.all(np.diff(runs.row[own].astype(np.int64) * (labels.shape[1] + 1) + runs.start[own]) > 0)


def test_labels_of_any_order_of_memory_have_the_same_runs():
    labels = random_values(3, (20, 150), 4).astype(np.int32)

    np.testing.assert_array_equal(paint(runs_of_labels(np.asfortranarray(labels))), labels)
    np.testing.assert_array_equal(paint(runs_of_labels(labels[::-1, ::3])), labels[::-1, ::3])


@hypothesis.given(
    shape=st.tuples(st.integers(1, 20), st.integers(1, 150)), seed=st.integers(0, 2**32), labels=st.integers(0, 6)
)
@hypothesis.settings(max_examples=60)
def test_extents_are_those_of_each_labels_own_pixels(shape, seed, labels):
    image = 3 * random_values(seed, shape, labels).astype(np.int32)
    probability = random_values(seed + 1, shape, 255).astype(np.uint8)

    found = extents(runs_of_labels(image), probability)

    assert found.label.tolist() == np.unique(image[image > 0]).tolist()
    for row, label in enumerate(found.label):
        y, x = np.nonzero(image == label)
        assert found.box[row].tolist() == [y.min(), x.min(), y.max() + 1, x.max() + 1]
        assert found.pixel_count[row] == y.size
        assert found.mean_probability[row] == pytest.approx(probability[y, x].mean() / 255, rel=1e-14)
        assert found.min_probability[row] == probability[y, x].min() / 255


def test_without_a_map_no_probability_is_told():
    found = extents(runs_of_mask(np.eye(3, dtype=bool)), None)

    assert found.mean_probability is None
    assert found.min_probability is None


def test_noise_specks_are_all_found():
    mask = np.random.default_rng(1).random((700, 611)) < 0.2

    runs = runs_of_mask(mask)

    expected, n = ndimage.label(mask, STRUCTURES[8])
    assert runs.label.size == n > 10_000
    np.testing.assert_array_equal(extents(runs, None).pixel_count, np.bincount(expected.ravel())[1:])
