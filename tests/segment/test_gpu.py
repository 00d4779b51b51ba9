"""The GPU's way through the network, on whatever device JAX has here."""

import jax
import numpy as np
import pytest

from nanocensus.errors import DeviceError, ImageError
from nanocensus.segment.prediction import gpu
from nanocensus.segment.prediction.weights import load_model
from nanocensus.segment.preparation.flatfield import as_transported
from nanocensus.segment.preparation.preparation import Preparation

SHAPE = (100, 130)
"""Of most micrographs, so that the network is compiled once a type."""


@pytest.fixture(scope="module")
def model():
    return load_model("default")


def micrograph(shape, dtype, seed=5):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    dark = 1 - 0.4 * ((np.sin(y / 9) > 0.3) & (np.cos(x / 11) > 0.2))
    return (rng.poisson(180, shape) * dark / (1 if dtype != "uint8" else 2)).astype(dtype)


def on_device(model, image):
    return np.asarray(gpu.probability_map(model, jax.device_put(as_transported(image, keep_level=True)))).astype(int)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", ">u2", "float32", "float64", "int64"])
def test_the_map_is_that_of_the_host_to_one_step(model, dtype):
    image = micrograph(SHAPE, dtype)
    assert abs(on_device(model, image) - model.probability(image, tile=2048)).max() <= 1


def test_an_even_micrograph_is_no_division_by_zero(model):
    image = np.full(SHAPE, 7, np.uint16)
    assert abs(on_device(model, image) - model.probability(image, tile=2048)).max() <= 1


def test_a_value_whose_mean_is_rounded_is_even_too(model):
    image = np.full(SHAPE, 40162, np.uint16)
    values = jax.device_put(image).astype(np.float32)
    found = np.asarray(gpu.probability_map(model, values, Preparation(flat_field=False))).astype(int)
    assert abs(found - model.probability(image, tile=2048, flat_field=False)).max() <= 1


def test_a_micrograph_too_large_for_the_memory_goes_through_in_windows(model, monkeypatch, caplog):
    image = micrograph(SHAPE, "uint16")
    expected = on_device(model, image)

    def no_memory(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate")

    monkeypatch.setattr(gpu, "_segment", no_memory)
    assert abs(on_device(model, image) - expected).max() <= 1
    assert "in windows" in caplog.text
    monkeypatch.setattr("nanocensus.segment.prediction.predict._run", no_memory)
    with pytest.raises(DeviceError, match="room for a window"):
        on_device(model, image)


def test_other_errors_of_the_device_are_not_taken_for_a_lack_of_memory(model, monkeypatch):
    def broken(*_):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    monkeypatch.setattr(gpu, "_segment", broken)
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        on_device(model, micrograph(SHAPE, "uint8"))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_before_they_travel(bad):
    image = np.ones((40, 40), np.float32)
    image[3, 4] = bad
    with pytest.raises(ImageError, match="1 pixels that are infinite"):
        as_transported(image)


def test_a_picture_with_channels_is_refused():
    with pytest.raises(ImageError, match="one channel"):
        as_transported(np.ones((4, 4, 3), np.uint8))


def test_what_float32_holds_exactly_travels_as_it_was_recorded():
    assert as_transported(micrograph((40, 40), "uint16")).dtype == np.uint16
    assert as_transported(micrograph((40, 40), ">u2")).dtype == np.dtype("=u2")
    assert as_transported(micrograph((40, 40), "int64")).dtype == np.float32
