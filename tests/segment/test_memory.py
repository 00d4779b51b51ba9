"""Windows are as large as the memory allows, and no larger."""

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanocensus.errors import ImageError
from nanocensus.segment.networks.architecture import ResNetUNetConfig, UNetConfig
from nanocensus.segment.networks.parameters import logits, parameter_shapes
from nanocensus.segment.prediction.memory import choose_tile, feature_bytes, own_memory
from nanocensus.segment.prediction.windows import plan_windows

GIB = 2**30


@pytest.mark.parametrize("config", [UNetConfig(), ResNetUNetConfig()], ids=["fast", "paper"])
def test_the_features_take_what_xla_says_they_do(config):
    side = 2048
    parameters = {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in parameter_shapes(config).items()}
    window = jax.ShapeDtypeStruct((1, side, side), jnp.float32)
    compiled = jax.jit(logits, static_argnums=0).lower(config, parameters, window).compile()
    found = compiled.memory_analysis().temp_size_in_bytes / side**2
    assert 0.9 * feature_bytes(config) <= found <= 1.1 * feature_bytes(config)


@given(
    st.sampled_from([UNetConfig(), UNetConfig(12), ResNetUNetConfig()]),
    st.integers(1, 16384),
    st.integers(1, 16384),
    st.integers(GIB, 64 * GIB),
)
def test_a_chosen_tile_can_be_planned_and_fits(config, height, width, memory):
    try:
        tile = choose_tile(config, height, width, memory)
    except ImageError:
        return
    sides = [-(-side // config.stride) * config.stride for side in (height, width)]
    rows, columns = (plan_windows(side, tile, config) for side in sides)
    assert rows.length * columns.length * feature_bytes(config) < memory
    assert choose_tile(config, height, width, memory + GIB) >= tile


def test_a_micrograph_goes_through_in_one_piece_if_it_can():
    assert choose_tile(UNetConfig(), 4096, 4096, 2 * GIB) == 4096
    assert choose_tile(ResNetUNetConfig(), 4096, 4096, 4 * GIB) == 4096
    assert choose_tile(ResNetUNetConfig(), 4096, 4096, 2 * GIB) < 4096


def test_16384_by_16384_needs_more_memory_than_a_small_machine_has():
    assert choose_tile(ResNetUNetConfig(), 16384, 16384, 8 * GIB) < 16384
    with pytest.raises(ImageError, match=r"16384 x 16384 pixels: expected at least 5\.\d GiB .* got 4\.0 GiB"):
        choose_tile(ResNetUNetConfig(), 16384, 16384, 4 * GIB)


def test_a_process_takes_half_of_what_there_is():
    assert 0.1 * GIB < own_memory() < 2**50
