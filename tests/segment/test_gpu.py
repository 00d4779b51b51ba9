"""The GPU's way through the network, on whatever device JAX has here."""

import jax
import numpy as np
import pytest

from nanocensus.errors import DeviceError, ImageError
from nanocensus.segment import gpu
from nanocensus.segment.weights import load_model


@pytest.fixture(scope="module")
def model():
    return load_model("default")


def micrographs(shape, dtype, n=3):
    rng = np.random.default_rng(5)
    y, x = np.mgrid[: shape[0], : shape[1]]
    dark = 1 - 0.4 * ((np.sin(y / 9) > 0.3) & (np.cos(x / 11) > 0.2))
    return [(rng.poisson(180, shape) * dark / (1 if dtype != "uint8" else 2)).astype(dtype) for _ in range(n)]


def together(model, images, batch):
    return gpu.probability_maps(model.config, model.parameters, list(map(gpu.to_device, images)), batch=batch)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", ">u2", "float32", "float64", "int64"])
def test_the_map_is_that_of_the_host_to_one_step(model, dtype):
    image = micrographs((100, 130), dtype, 1)[0]
    difference = together(model, [image], 1)[0].astype(int) - model.probability(image)
    assert abs(difference).max() <= 1


def test_maps_do_not_depend_on_what_goes_through_beside_them(model):
    images = micrographs((96, 64), "uint16")
    alone = [together(model, [image], 1)[0] for image in images]
    for one, beside in zip(alone, together(model, images, 4), strict=True):
        assert abs(one.astype(int) - beside).max() <= 1


def test_a_batch_that_does_not_fit_goes_through_in_halves(model, monkeypatch):
    images = micrographs((64, 64), "uint8")
    expected = together(model, images, 4)
    whole, tried = gpu._segment, []

    def small_memory(config, parameters, stacked):
        tried.append(len(stacked))
        if len(stacked) > 1:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate")
        return whole(config, parameters, stacked)

    monkeypatch.setattr(gpu, "_segment", small_memory)
    for one, other in zip(expected, together(model, images, 4), strict=True):
        assert abs(one.astype(int) - other).max() <= 1
    assert tried == [4, 2, 1, 1, 2, 1]


def test_a_micrograph_that_does_not_fit_is_an_error_that_says_what_to_do(model, monkeypatch):
    def no_memory(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")

    monkeypatch.setattr(gpu, "_segment", no_memory)
    with pytest.raises(DeviceError, match="room for one micrograph"):
        together(model, micrographs((64, 64), "uint8", 1), 1)


def test_other_errors_of_the_device_are_not_taken_for_a_lack_of_memory(model, monkeypatch):
    def broken(*_):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    monkeypatch.setattr(gpu, "_segment", broken)
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        together(model, micrographs((64, 64), "uint8", 1), 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_before_they_reach_the_device(bad):
    image = np.ones((40, 40), np.float32)
    image[3, 4] = bad
    with pytest.raises(ImageError, match="1 pixels that are infinite"):
        gpu.to_device(image)


def test_as_many_go_together_as_make_one_large_micrograph():
    assert [gpu.batch_size(shape) for shape in ((4096, 4096), (8192, 8192), (2048, 2048), (512, 512))] == [1, 1, 4, 64]
