"""The network, its folding, and how far it sees."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nanocensus.errors import ModelError
from nanocensus.segment.architecture import UNetConfig, receptive_field_radius
from nanocensus.segment.parameters import fold, initial_network, logits, named_arrays, parameter_shapes
from nanocensus.segment.unet import convolve_upsampled

SMALL = UNetConfig(base=3, levels=1)
_LOGITS = jax.jit(logits, static_argnums=0)


def _trained(config, seed=0):
    """A network with BatchNorm whose running statistics are as after training: arbitrary."""
    rng = np.random.default_rng(seed)
    network = initial_network(config, rng)
    for _, leaf in nnx.to_flat_state(nnx.state(network, nnx.Any(nnx.Param, nnx.BatchStat))):
        leaf[...] = jnp.asarray(leaf[...] + rng.uniform(0, 0.2, leaf.shape), jnp.float32)
    return network


def test_the_folded_network_is_the_trained_one_in_evaluation():
    network = _trained(SMALL)
    x = jnp.asarray(np.random.default_rng(1).normal(size=(2, 32, 40)), jnp.float32)
    network.eval()
    expected = np.asarray(jax.jit(lambda x: network(x))(x))
    folded = np.asarray(_LOGITS(SMALL, fold(named_arrays(network)), x))
    assert np.abs(folded - expected).max() <= 1e-5 * max(1, np.abs(expected).max())
    assert expected.std() > 0.01


def test_folding_leaves_no_normalisation_and_every_weight_of_the_architecture():
    folded = fold(named_arrays(_trained(SMALL)))
    assert {name: array.shape for name, array in folded.items()} == dict(parameter_shapes(SMALL))
    assert not any("norm" in name for name in folded)


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_the_radius_is_the_farthest_pixel_that_matters(levels):
    config = UNetConfig(base=1, levels=levels)
    radius, stride = receptive_field_radius(config), config.stride
    side = (2 * radius // stride + 4) * stride
    parameters = {name: np.full(shape, 0.1, np.float32) for name, shape in parameter_shapes(config).items()}
    reached = 0
    for pixel in range(side // 2 // stride * stride, side // 2 // stride * stride + stride):
        x = np.zeros((1, side, side), np.float32)
        x[0, pixel, side // 2] = np.inf  # spreads to everything that depends on it
        rows = np.flatnonzero(np.isinf(np.asarray(_LOGITS(config, parameters, jnp.asarray(x)))[0]).any(axis=1))
        reached = max(reached, pixel - rows[0], rows[-1] - pixel)
    assert reached == radius


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
    ],
)
def test_an_architecture_that_cannot_be_built_is_refused(fields):
    with pytest.raises(ModelError, match="architecture"):
        UNetConfig.from_dict(fields)


def test_the_architecture_survives_its_dictionary():
    assert UNetConfig.from_dict(SMALL.to_dict()) == SMALL


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
