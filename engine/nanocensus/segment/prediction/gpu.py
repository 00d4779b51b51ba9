"""Whole micrographs on a GPU.

The network runs in float32 on the tensor cores (TF32, 10 bits of mantissa in the products): for the shipped network
that is as fast as bfloat16 and 16 times nearer to full float32. Everything around it is float32.
"""

import logging
from collections.abc import Mapping
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Shaped, UInt8

from nanocensus.errors import DeviceError
from nanocensus.segment.networks.architecture import Architecture, Precision
from nanocensus.segment.networks.network import Network
from nanocensus.segment.networks.parameters import logits
from nanocensus.segment.prediction.predict import probability_parts
from nanocensus.segment.prediction.windows import DEFAULT_TILE
from nanocensus.segment.preparation.preparation import AS_USUAL, Preparation, prepare

_log = logging.getLogger(__name__)


def probability_map(
    network: Network,
    image: Shaped[Array, "y x"],
    preparation: Preparation = AS_USUAL,
    precision: Precision = "float32",
) -> UInt8[Array, "y x"]:
    """Segment a micrograph that is on the device; the map stays there.

    Where the device's memory does not hold it in one piece, it goes through in windows.

    Parameters
    ----------
    network : Network
    image : (y, x) array
        From `nanocensus.segment.preparation.flatfield.as_transported`.
    preparation : Preparation
        What is done to it before it is standardised.
    precision : {"float32", "bfloat16"}
        Of the features between convolutions.

    Returns
    -------
    (y, x) array of uint8
        255 = surely particle.

    Raises
    ------
    DeviceError
        If not even a window fits.
    """
    image = prepare(image, preparation)
    try:
        found: Array = _segment(network.config, precision, _on_device(network), image).block_until_ready()
        return found
    except jax.errors.JaxRuntimeError as error:
        _check_out_of_memory(error)
    _log.warning("a micrograph of %d x %d px does not fit the GPU's memory: in windows", *image.shape)
    return _in_windows(network, image, precision)


def _in_windows(network: Network, image: Shaped[Array, "y x"], precision: Precision) -> UInt8[Array, "y x"]:
    rounded = np.empty(image.shape, np.uint8)
    try:
        for place, part in probability_parts(network, np.asarray(image), tile=DEFAULT_TILE, precision=precision):
            rounded[place] = np.rint(part * np.float32(255))
    except jax.errors.JaxRuntimeError as error:
        _check_out_of_memory(error)
        raise DeviceError(
            "GPU memory",
            expected="room for a window of a micrograph",
            got="too little",
            remedy='Close what else uses the GPU, take a larger one, or say device = "cpu".',
        ) from error
    return jnp.asarray(rounded)


def _check_out_of_memory(error: jax.errors.JaxRuntimeError) -> None:
    if "RESOURCE_EXHAUSTED" not in str(error):
        raise error


@lru_cache(maxsize=8)
def _on_device(network: Network) -> Mapping[str, Array]:
    return {name: jax.device_put(array) for name, array in network.parameters.items()}


@partial(jax.jit, static_argnums=(0, 1))
def _segment(
    config: Architecture, precision: Precision, parameters: dict[str, Array], image: Shaped[Array, "y x"]
) -> UInt8[Array, "y x"]:
    """Standardise a micrograph by its own statistics, mirror it up to the stride, and give its rounded map."""
    height, width = image.shape
    values = image.astype(jnp.float32)
    centred = values - values.mean()
    deviation = jnp.sqrt(jnp.square(centred).mean())
    uneven = values.max() > values.min()  # the mean of equal values may be rounded
    pixels = jnp.where(uneven & (deviation > 0), centred / deviation, 0)
    pixels = jnp.pad(pixels, [(0, -length % config.stride) for length in (height, width)], mode="symmetric")
    with jax.default_matmul_precision("tensorfloat32"):
        found = jax.nn.sigmoid(logits(config, parameters, pixels[None], precision))[0]
    return jnp.rint(255 * found[:height, :width]).astype(jnp.uint8)
