import inspect

import hypothesis
import numpy as np
import pytest
import skimage.measure
from hypothesis.extra import numpy as arrays

from nanocensus.errors import InputError
from nanocensus.measure.label import label_particles


@pytest.mark.parametrize("connectivity", [4, 8])
@hypothesis.given(mask=arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12)))
@hypothesis.settings(max_examples=60)
def test_labels_are_those_of_scikit_image_in_raster_order_of_first_pixels(mask, connectivity):
    labels, n = label_particles(mask, connectivity)

    expected = skimage.measure.label(mask, connectivity=connectivity // 4)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, expected)
    values, first = np.unique(labels[labels > 0], return_index=True)
    assert values.tolist() == list(range(1, n + 1))
    assert np.all(np.diff(first) > 0)


def test_labels_are_those_of_scikit_image_on_a_mask_of_thousands_of_particles():
    mask = np.random.default_rng(0).random((512, 512)) < 0.35

    labels, n = label_particles(mask)

    np.testing.assert_array_equal(labels, skimage.measure.label(mask, connectivity=2))
    assert n == labels.max() > 1000


def test_pixels_that_touch_at_a_corner_are_one_particle_with_connectivity_8_and_two_with_4():
    mask = np.eye(2, dtype=bool)

    assert label_particles(mask)[1] == 1
    assert label_particles(mask, 4)[1] == 2


def test_a_mask_of_a_view_that_is_not_contiguous_is_labelled():
    mask = (np.arange(60).reshape(6, 10) % 3 == 0).T[::2]

    np.testing.assert_array_equal(label_particles(mask)[0], skimage.measure.label(mask, connectivity=2))


def test_whatever_is_not_zero_in_a_mask_of_integers_is_particle():
    mask = np.array([[0, 256, 0], [0, 0, -1]])

    assert inspect.unwrap(label_particles)(mask)[0].tolist() == [[0, 1, 0], [0, 0, 1]]


def test_a_mask_with_channels_is_refused():
    with pytest.raises(InputError, match="mask: expected a 2-D array"):
        inspect.unwrap(label_particles)(np.zeros((4, 4, 3), bool))


def test_an_empty_mask_has_no_particles():
    labels, n = label_particles(np.zeros((3, 4), bool))

    assert n == 0
    assert not labels.any()


def test_the_connectivity_of_scikit_image_is_refused_with_its_translation():
    with pytest.raises(InputError, match="8 joins pixels that touch at a corner"):
        inspect.unwrap(label_particles)(np.zeros((2, 2), bool), connectivity=2)
