"""Windows together give what the whole micrograph gives."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nanocensus.errors import ImageError
from nanocensus.segment.networks.architecture import ResNetUNetConfig, UNetConfig, receptive_field_radius
from nanocensus.segment.networks.parameters import fold, initial_network, named_arrays
from nanocensus.segment.prediction.model import Model
from nanocensus.segment.prediction.predict import probability_parts
from nanocensus.segment.prediction.windows import plan_windows

TINY = UNetConfig(base=2, levels=1)
SIDES = st.integers(1, 150)


def _model(config):
    parameters = fold(named_arrays(initial_network(config, np.random.default_rng(3))))
    return Model("random", "0" * 64, config, parameters)


def _image(height, width):
    return np.random.default_rng(height * 1000 + width).normal(size=(height, width)) + np.linspace(0, 3, width)


PAPER = ResNetUNetConfig(base=4, units=1)


def _probability(model, image, tile):
    probability = np.full(image.shape, np.nan, np.float32)
    for place, part in probability_parts(model, image, tile=tile):
        assert np.isnan(probability[place]).all(), "windows keep different pixels"
        probability[place] = part
    return probability


@settings(max_examples=3)
@given(SIDES, SIDES, st.integers(52, 90))
@example(1, 1, 52)
@example(150, 37, 52)
@example(128, 101, 53)
def test_tiles_of_any_size_give_the_whole(height, width, tile):
    model, image = _model(TINY), _image(height, width)
    whole = _probability(model, image, 10_000)
    assert np.isfinite(whole).all()
    assert np.abs(_probability(model, image, tile) - whole).max() <= 1e-5


def test_tiles_of_the_default_architecture_give_the_whole():
    model, image = _model(UNetConfig()), _image(500, 610)
    whole = _probability(model, image, 10_000)
    assert whole.std() > 0.02
    assert np.abs(_probability(model, image, 480) - whole).max() <= 1e-5


@pytest.mark.parametrize(("height", "width"), [(1, 500), (449, 530)])
def test_tiles_of_the_paper_network_give_the_whole(height, width):
    model, image = _model(PAPER), _image(height, width)
    whole = _probability(model, image, 10_000)
    assert np.isfinite(whole).all()
    assert np.abs(_probability(model, image, 416) - whole).max() <= 1e-5


@pytest.mark.slow
def test_tiles_of_the_paper_network_at_its_full_size_give_the_whole():
    model, image = _model(ResNetUNetConfig()), _image(1100, 900)
    whole = _probability(model, image, 10_000)
    assert whole.std() > 0.01
    assert np.abs(_probability(model, image, 704) - whole).max() <= 1e-5


@given(st.integers(1, 400), st.integers(0, 300), st.integers(1, 3))
def test_kept_pixels_lie_a_radius_inside_their_windows(cells, extra, levels):
    config = UNetConfig(levels=levels)
    radius, size = receptive_field_radius(config), cells * config.stride
    tile = 2 * radius + 3 * config.stride + extra
    windows = plan_windows(size, tile, config)
    assert windows.length <= tile
    assert windows.bounds[0] == 0
    assert windows.bounds[-1] == size
    for start, first, end in windows:
        assert start % config.stride == 0
        assert 0 <= start <= size - windows.length
        assert first < end
        assert start == 0 or first - start >= radius
        assert start + windows.length == size or start + windows.length - end >= radius


def test_the_map_is_the_probability_rounded_to_255():
    model, image = _model(TINY), _image(60, 70)
    expected = np.rint(_probability(model, image, 10_000) * 255)
    found = model.probability(image, flat_field=False)
    assert found.dtype == np.uint8
    assert np.array_equal(found, expected)


def test_recorded_integers_and_their_floats_give_one_map():
    image = np.random.default_rng(0).integers(0, 4000, (64, 48)).astype(np.uint16)
    model = _model(TINY)
    assert np.array_equal(model.probability(image), model.probability(image.astype(np.float64)))


def test_a_tile_smaller_than_what_the_network_sees_is_refused():
    with pytest.raises(ImageError, match="at least 480 pixels"):
        _model(UNetConfig()).probability(_image(500, 500), tile=300)


@pytest.mark.slow
def test_one_and_two_threads_give_the_same_bytes():
    program = (
        "import hashlib, numpy; from nanocensus.segment.prediction.weights import load_model;"
        "image = numpy.random.default_rng(0).normal(size=(300, 700));"
        "print(hashlib.sha256(load_model('default').probability(image).tobytes()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "NPROC": threads}, check=True, capture_output=True
        ).stdout
        for threads in ("1", "2")
    }
    assert len(digests) == 1
