"""Flattening and standardisation of whole micrographs."""

import tracemalloc

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nanocensus.errors import ImageError
from nanocensus.segment.preparation.flatfield import as_transported, flatten, standardise, unevenness

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=20)


@settings(max_examples=50)
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


def uneven(shape=(203, 150), seed=0):
    """Give electrons on film with dark squares in light that falls to a half from left to right, and that light."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    light = np.linspace(1, 0.5, shape[1]) * np.ones((shape[0], 1))
    return rng.poisson(150 * light * np.where((y % 50 < 18) & (x % 50 < 18), 0.6, 1)).astype(np.uint16), light


def test_a_flattened_micrograph_is_as_if_recorded_in_even_light():
    image, light = uneven()
    image[100, 70] = 5000
    flat, ratio = flatten(image), image / light
    ratio /= np.median(ratio)
    others = np.ones(image.shape, bool)
    others[100, 70] = False
    assert flat.dtype == np.float32
    assert abs(flat[others] / ratio[others]).std() < 0.01
    assert np.median(flat) == pytest.approx(1, abs=0.05)
    assert flat[100, 70] < 1.5
    assert image[100, 70] == 5000


def test_exposure_and_gain_cancel_in_flattening():
    image = uneven()[0]
    assert np.allclose(flatten(image), flatten(image * np.uint16(7)), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["int16", ">u2", "int32", "int64", "uint64", "float16", "float32", "float64"])
def test_the_type_that_values_are_recorded_in_does_not_matter(dtype):
    image = uneven()[0]
    assert np.allclose(flatten(image.astype(dtype)), flatten(image), rtol=2e-4 if dtype == "float16" else 1e-5)


@pytest.mark.parametrize(
    ("factor", "dtype"), [(1e-300, "float64"), (1e303, "float64"), (1e-30, "float32"), (1e33, "float32")]
)
def test_huge_and_tiny_values_are_standardised_as_others_are(factor, dtype):
    image = np.random.default_rng(0).poisson(200, (40, 50)).astype(dtype)
    assert np.allclose(standardise(image * image.dtype.type(factor)), standardise(image), atol=1e-5)
    assert np.allclose(standardise(-image * image.dtype.type(factor)), -standardise(image), atol=1e-5)


@pytest.mark.parametrize("factor", [1e-200, 1e200])
def test_values_beyond_single_precision_are_scaled(factor):
    image = uneven()[0]
    assert np.allclose(flatten(image * factor), flatten(image), rtol=1e-5)


def test_numpy_and_jax_flatten_alike():
    image = uneven()[0]
    image[7, 9] = 5000
    assert np.allclose(flatten(image), flatten(jnp.asarray(image)), rtol=1e-5)


def test_what_cannot_be_light_is_not_divided_by_and_the_log_says_so(caplog):
    image = uneven()[0].astype(np.float32)
    shifted = image - image.max()
    assert np.array_equal(flatten(shifted), shifted)
    assert "not flattened" in caplog.text
    assert np.array_equal(flatten(jnp.asarray(shifted)), shifted)


@pytest.mark.parametrize("library", [np, jnp])
def test_values_that_are_not_finite_are_refused_before_they_spread(library):
    image = uneven()[0].astype(np.float32)
    image[3, 4] = np.nan
    with pytest.raises(ImageError, match="1 pixels that are infinite or not a number"):
        flatten(library.asarray(image))


@pytest.mark.parametrize("value", [0, 7])
def test_an_image_of_one_value_stays_one(value):
    assert np.ptp(flatten(np.full((90, 70), value, np.uint8))) == 0


def test_what_is_to_be_flattened_travels_with_its_level():
    image = 1e9 + uneven()[0].astype(np.float64)
    assert abs(as_transported(image).mean()) < 1e-3
    level = as_transported(image, keep_level=True)
    assert level.dtype == np.float32
    assert np.allclose(level, image, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_the_host_needs_memory_for_two_copies_in_float32(dtype):
    image = uneven((1600, 1600))[0].astype(dtype)
    image[100, 70] = 5000
    tracemalloc.start()
    flatten(image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.1 * 4 * image.size


def test_unevenness_is_how_much_darker_the_darkest_background_is():
    image, light = uneven()
    assert unevenness(image) == pytest.approx(0.5, abs=0.03)
    assert unevenness((image / light).astype(np.float32)) < 0.05
    assert unevenness(image.astype(np.float32) - image.max()) == 0
