"""The networks, their folding, and how far they see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nanocensus.errors import ModelError
from nanocensus.segment.networks.architecture import (
    ResNetUNetConfig,
    UNetConfig,
    architecture_of,
    receptive_field_radius,
)
from nanocensus.segment.networks.convolutions import convolve_to_few, convolve_upsampled, max_pool
from nanocensus.segment.networks.parameters import fold, initial_network, logits, named_arrays, parameter_shapes, unfold

SMALL = UNetConfig(base=3, levels=1)
SMALL_PAPER = ResNetUNetConfig(base=4, units=2)
NETWORKS = pytest.mark.parametrize("config", [SMALL, SMALL_PAPER], ids=["fast", "paper"])
SHAPE = (2, 64, 64)
"""Of all patches, so that each network is compiled once."""
_LOGITS = jax.jit(logits, static_argnums=0)


def _trained(config, seed=0):
    """A network with BatchNorm whose running statistics are as after training: arbitrary."""
    rng = np.random.default_rng(seed)
    network = initial_network(config, rng)
    for _, leaf in nnx.to_flat_state(nnx.state(network, nnx.Any(nnx.Param, nnx.BatchStat))):
        drawn = np.asarray(leaf[...]) + rng.uniform(-0.1, 0.1, leaf.shape)
        leaf[...] = jax.device_put(drawn.astype(np.float32))  # `jnp.asarray` would compile a program for each shape
    return network


@NETWORKS
def test_the_folded_network_is_the_trained_one_in_evaluation_up_to_the_border(config):
    network = _trained(config)
    x = jnp.asarray(np.random.default_rng(1).normal(size=SHAPE), jnp.float32)
    network.eval()
    expected = np.asarray(jax.jit(lambda x: network(x))(x))
    folded = np.asarray(_LOGITS(config, fold(named_arrays(network)), x))
    assert np.abs(folded - expected).max() <= 1e-5 * max(1, np.abs(expected).max())
    assert expected.std() > 0.01


@NETWORKS
def test_folding_leaves_no_normalisation_and_every_weight_of_the_architecture(config):
    folded = fold(named_arrays(_trained(config)))
    assert {name: array.shape for name, array in folded.items()} == dict(parameter_shapes(config))
    assert not any("norm" in name for name in folded)


@pytest.mark.parametrize(
    "config",
    [*(UNetConfig(base=1, levels=levels) for levels in (1, 2, 3)), ResNetUNetConfig(base=4, units=1)],
    ids=str,
)
def test_the_radius_is_the_farthest_pixel_that_matters(config):
    radius, stride = receptive_field_radius(config), config.stride
    side = (2 * radius // stride + 4) * stride
    parameters = {name: np.full(shape, 0.1, np.float32) for name, shape in parameter_shapes(config).items()}
    middle, reached = side // 2 // stride * stride, 0
    for pixel in range(middle, middle + stride):
        x = np.zeros((1, side, 2 * stride), np.float32)
        x[0, pixel, stride] = np.inf  # spreads to everything that depends on it
        rows = np.flatnonzero(~np.isfinite(np.asarray(_LOGITS(config, parameters, jnp.asarray(x)))[0]).all(axis=1))
        reached = max(reached, pixel - rows[0], rows[-1] - pixel)
    assert reached == radius


def test_the_paper_network_has_the_parameters_that_the_paper_s_library_counts():
    # segmentation_models counts 14,340,570 for three colours and one class. Ours has a 7 x 7 x 64 stem of one channel
    # instead of three, one class more (3 x 3 x 16 and a bias), and no BatchNorm (3 x 3 numbers) on the pixels.
    expected = 14_340_570 - 2 * 7 * 7 * 64 + (3 * 3 * 16 + 1) - 3 * 3
    arrays = named_arrays(initial_network(ResNetUNetConfig(), np.random.default_rng(0)))
    assert sum(array.size for array in arrays.values()) == expected


def test_the_default_network_weighs_one_to_three_megabytes():
    assert 1e6 < 4 * sum(np.prod(shape) for shape in parameter_shapes(UNetConfig()).values()) < 3e6


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"base": 8},
        {"base": 8, "levels": 4, "depth": 1},
        {"base": "8", "levels": 4},
        {"base": 0, "levels": 4},
        {"base": True, "levels": 4},
        {"base": 8, "levels": 9},
        {"kind": "fast", "base": 8, "units": 2},
        {"kind": "paper", "base": 8, "levels": 4},
        {"kind": "paper", "base": 6, "units": 2},
        {"kind": "other", "base": 8, "levels": 4},
    ],
)
def test_an_architecture_that_cannot_be_built_is_refused(fields):
    with pytest.raises(ModelError, match="architecture"):
        architecture_of(fields)


@NETWORKS
def test_an_architecture_survives_its_dictionary(config):
    assert architecture_of(config.to_dict()) == config


def test_fields_without_a_kind_are_those_of_the_fast_network():
    assert architecture_of({"base": 3, "levels": 1}) == SMALL


@pytest.mark.parametrize("shape", [(1, 5, 4), (2, 1, 7)])
def test_convolving_upsampled_features_needs_not_make_them(shape):
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(*shape, 3)), rng.normal(size=(3, 3, 3, 2))
    large = x.repeat(2, axis=1).repeat(2, axis=2)
    padded = np.pad(large, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = sum(
        padded[:, i : i + large.shape[1], j : j + large.shape[2]] @ kernel[i, j] for i in range(3) for j in range(3)
    )
    found = jax.jit(convolve_upsampled)(jnp.asarray(x, jnp.float32), jnp.asarray(kernel, jnp.float32))
    assert np.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("side", [1, 3])
def test_a_convolution_to_few_channels_is_the_plain_one(side):
    rng = np.random.default_rng(1)
    x, kernel = rng.normal(size=(2, 5, 7, 4)), rng.normal(size=(side, side, 4, 2))
    half = side // 2
    padded = np.pad(x, ((0, 0), (half, half), (half, half), (0, 0)))
    expected = sum(padded[:, i : i + 5, j : j + 7] @ kernel[i, j] for i in range(side) for j in range(side))
    found = convolve_to_few(jnp.asarray(x, jnp.float32), jnp.asarray(kernel, jnp.float32))
    assert np.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(("side", "padding"), [(2, 0), (3, 1)])
def test_pooling_takes_the_largest_of_each_square(side, padding):
    x = np.random.default_rng(2).normal(size=(1, 6, 8, 2)).astype(np.float32)
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)), constant_values=-np.inf)
    found = np.asarray(max_pool(jnp.asarray(x), side, padding))
    for row in range(3):
        for column in range(4):
            square = padded[0, 2 * row : 2 * row + side, 2 * column : 2 * column + side]
            assert np.array_equal(found[0, row, column], square.max(axis=(0, 1)))


@NETWORKS
def test_bfloat16_is_near_float32_and_not_the_same(config):
    parameters = fold(named_arrays(_trained(config)))
    x = jnp.asarray(np.random.default_rng(1).normal(size=SHAPE), jnp.float32)
    exact = np.asarray(_LOGITS(config, parameters, x))
    coarse = np.asarray(jax.jit(logits, static_argnums=(0, 3))(config, parameters, x, "bfloat16"))
    assert coarse.dtype == np.float32
    assert 0 < np.abs(coarse - exact).max() < 0.05 * np.abs(exact).max()


@NETWORKS
def test_an_unfolded_network_gives_what_the_folded_one_gives(config):
    folded = fold(named_arrays(_trained(config)))
    x = jnp.asarray(np.random.default_rng(2).normal(size=SHAPE), jnp.float32)
    network = unfold(config, folded, x)
    expected = np.asarray(_LOGITS(config, folded, x))
    assert expected.std() > 0.01
    trained = np.asarray(nnx.jit(lambda network, x: network(x))(network, x))
    assert np.abs(trained - expected).max() <= 1e-4 * np.abs(expected).max()
    again = np.asarray(_LOGITS(config, fold(named_arrays(network)), x))
    assert np.abs(again - expected).max() <= 1e-4 * np.abs(expected).max()
