"""Micrographs that a network must get right, or refuse by name."""

import numpy as np
import pytest

from nanocensus.errors import ImageError
from nanocensus.segment.networks.architecture import ResNetUNetConfig, UNetConfig
from nanocensus.segment.networks.parameters import fold, initial_network, named_arrays
from nanocensus.segment.prediction import predict
from nanocensus.segment.prediction.model import Model
from nanocensus.segment.prediction.weights import load_model


@pytest.fixture(
    scope="module", params=[UNetConfig(base=2, levels=1), ResNetUNetConfig(base=4, units=1)], ids=["fast", "paper"]
)
def model(request):
    parameters = fold(named_arrays(initial_network(request.param, np.random.default_rng(3))))
    return Model("random", "0" * 64, request.param, parameters)


def _noise(height, width):
    return np.random.default_rng(7).integers(0, 4000, (height, width)).astype(np.uint16)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused_and_counted(model, value):
    image = np.ones((64, 64), np.float32)
    image[3, 4] = image[5, 6] = value
    with pytest.raises(ImageError, match="2 pixels that are infinite or not a number"):
        model.probability(image)


@pytest.mark.parametrize("dtype", [bool, complex, object, "U3", "datetime64[s]"])
def test_values_that_are_no_intensities_are_refused(model, dtype):
    with pytest.raises(ImageError, match="integers or real numbers"):
        model.probability(np.zeros((64, 64), dtype))


@pytest.mark.parametrize("shape", [(64,), (64, 64, 3), (0, 64)])
def test_arrays_that_are_no_image_are_refused(model, shape):
    with pytest.raises(ImageError, match="micrograph"):
        model.probability(np.zeros(shape, np.uint8))


@pytest.mark.parametrize(("value", "dtype"), [(0, np.uint8), (65535, np.uint16), (-1e30, np.float64)])
def test_every_constant_image_is_the_same_empty_one(model, value, dtype):
    found = model.probability(np.full((64, 64), value, dtype))
    assert np.array_equal(found, model.probability(np.zeros((64, 64), np.float32)))


@pytest.mark.parametrize("shape", [(64, 64), (64, 1), (1, 64)])
def test_small_and_thin_micrographs_have_a_map_of_their_own_shape(model, shape):
    image = _noise(*shape)
    found = model.probability(image)
    assert (found.shape, found.dtype) == (shape, np.uint8)
    brighter = model.probability(image.astype(np.float32) * 3)
    assert np.abs(brighter.astype(int) - found).max() <= 1, "gain cancels"
    as_recorded, shifted = (model.probability(pixels, flat_field=False) for pixels in (image, image * 3.0 + 1.0))
    assert np.abs(as_recorded.astype(int) - shifted).max() <= 1, "gain and offset cancel where nothing is divided"


def test_a_saturated_micrograph_is_segmented():
    y, x = np.mgrid[:160, :160]
    disc = np.hypot(y - 80, x - 76) < 30
    image = np.random.default_rng(0).normal(np.where(disc, 120, 230), 30).clip(0, 255).astype(np.uint8)
    assert 0.1 < (image == 255).mean() < 0.5
    found = load_model("default").probability(image) >= 128
    assert 2 * (found & disc).sum() / (found.sum() + disc.sum()) > 0.9


def test_a_micrograph_that_the_memory_does_not_hold_is_refused_before_it_is_touched(model, monkeypatch):
    monkeypatch.setattr(predict, "own_memory", lambda: 4 * 2**30)
    monkeypatch.setattr(predict, "prepare", lambda *_: pytest.fail("it was touched"))
    with pytest.raises(ImageError, match="16384 x 16384 pixels: expected at least"):
        model.probability(np.zeros((16384, 16384), np.uint16))


@pytest.mark.slow
def test_16384_by_16384_pixels_are_segmented_as_their_parts_are():
    config = UNetConfig(base=2, levels=1)
    parameters = fold(named_arrays(initial_network(config, np.random.default_rng(3))))
    model = Model("random", "0" * 64, config, parameters)
    part = _noise(512, 512)
    found = model.probability(np.tile(part, (32, 32)), flat_field=False)  # mean and deviation are those of the part
    again = model.probability(np.tile(part, (3, 3)), flat_field=False)[512:1024, 512:1024]
    inner = found[512:-512, 512:-512].reshape(30, 512, 30, 512).astype(int)
    assert np.abs(inner - again[None, :, None]).max() <= 1
