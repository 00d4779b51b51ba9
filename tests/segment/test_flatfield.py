"""Standardisation of whole micrographs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nanocensus.errors import ImageError
from nanocensus.segment.flatfield import standardise

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=20)


@settings(deadline=None, max_examples=50)
@given(st.sampled_from([np.uint8, np.int16, np.uint16, np.int32]).flatmap(lambda dtype: hnp.arrays(dtype, SHAPES)))
def test_it_is_the_textbook_formula_in_float64(image):
    wide = image.astype(float)
    expected = (wide - wide.mean()) / wide.std() if np.ptp(wide) else np.zeros(image.shape)
    assert np.allclose(standardise(image), expected, rtol=1e-5, atol=1e-5)


def test_a_large_offset_does_not_drown_the_contrast():
    image = 1e9 + np.random.default_rng(0).normal(size=(50, 60))
    standardised = standardise(image)
    assert abs(standardised.mean()) < 1e-5
    assert standardised.std() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("value", [0, 7, 255])
def test_an_image_of_one_value_gives_zeros(value):
    assert not standardise(np.full((3, 4), value, np.uint8)).any()


def test_exposure_and_gain_cancel():
    image = np.random.default_rng(1).integers(0, 1000, (40, 40)).astype(np.uint16)
    assert np.allclose(standardise(image), standardise(image * np.uint16(3) + np.uint16(50)), atol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_and_counted(bad):
    image = np.zeros((5, 5))
    image[1, 2] = bad
    with pytest.raises(ImageError, match="1 pixels"):
        standardise(image)


@pytest.mark.parametrize("image", [np.zeros((0, 4)), np.zeros((3, 3), complex), np.zeros((3, 3), bool)])
def test_what_is_no_micrograph_is_refused(image):
    with pytest.raises(ImageError, match="real numbers"):
        standardise(image)
