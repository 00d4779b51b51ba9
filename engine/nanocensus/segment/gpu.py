"""Whole micrographs on a GPU, several at once where they are small.

The network runs in float32 on the tensor cores (TF32, 10 bits of mantissa in the products): for the shipped network
that is as fast as bfloat16 and 16 times nearer to full float32. Everything around it is float32.
"""

import logging
from collections.abc import Mapping, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Shaped, UInt8

from nanocensus.device import to_host
from nanocensus.errors import DeviceError
from nanocensus.segment.flatfield import not_finite, parse_micrograph, standardise
from nanocensus.segment.parameters import logits
from nanocensus.segment.unet import UNetConfig

_log = logging.getLogger(__name__)

BATCH_PIXELS = 4096 * 4096
"""Pixels that keep a GPU busy: as many micrographs as make these go through the network together."""

_RECORDED_EXACTLY = ("uint8", "int8", "uint16", "int16", "float32")
"""Types whose values float32 holds; micrographs of others are standardised on the host, in float64."""


def batch_size(shape: tuple[int, ...]) -> int:
    """Give how many micrographs of a shape go through the network together.

    Examples
    --------
    >>> batch_size((4096, 4096)), batch_size((512, 512))
    (1, 64)
    """
    return max(1, BATCH_PIXELS // max(1, shape[0] * shape[1]))


def to_device(image: Shaped[np.ndarray, "y x"]) -> Array:
    """Bring a micrograph to the device as it was recorded, which halves or quarters what is to be moved.

    Raises
    ------
    ImageError
        If it is not a micrograph, or has values that are not finite.
    """
    parse_micrograph(image)
    if image.dtype.kind == "f" and not np.isfinite(image.mean(dtype=np.float64)):
        raise not_finite(image)
    if image.dtype.name not in _RECORDED_EXACTLY:
        image = standardise(image)
    on_device: Array = jax.device_put(np.ascontiguousarray(image, image.dtype.newbyteorder("=")))
    return on_device


def probability_maps(
    config: UNetConfig, parameters: Mapping[str, np.ndarray], images: Sequence[Array], *, batch: int
) -> list[UInt8[np.ndarray, "y x"]]:
    """Segment micrographs of one shape and type that are on the device.

    Parameters
    ----------
    config : UNetConfig
    parameters : mapping of str to ndarray
        Weights with BatchNorm folded.
    images : sequence of (y, x) arrays
        At most `batch` micrographs, from `to_device`.
    batch : int
        Number for which the network is compiled: fewer are filled up with the last one, because each new number takes
        seconds to compile.

    Returns
    -------
    list of uint8 (y, x)
        255 = surely particle; on the host.

    Raises
    ------
    DeviceError
        If not even one of them fits the device's memory.
    """
    filled = [*images, *[images[-1]] * (batch - len(images))]
    try:
        maps = _segment(config, jax.device_put(dict(parameters)), jnp.stack(filled)).block_until_ready()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return _in_halves(config, parameters, images, batch)
    return [to_host(maps[index]) for index in range(len(images))]


def _in_halves(
    config: UNetConfig, parameters: Mapping[str, np.ndarray], images: Sequence[Array], batch: int
) -> list[UInt8[np.ndarray, "y x"]]:
    """Go on with half as many at a time, where all together did not fit."""
    if batch == 1:
        raise DeviceError(
            "GPU memory",
            expected=f"room for one micrograph of {images[0].shape} pixels",
            got="too little",
            remedy='Close what else uses the GPU, take a larger one, or say device = "cpu".',
        )
    half = batch // 2
    _log.warning("%d micrographs at once do not fit the GPU's memory: going on with %d", batch, half)
    return [
        probability
        for start in range(0, len(images), half)
        for probability in probability_maps(config, parameters, images[start : start + half], batch=half)
    ]


@partial(jax.jit, static_argnums=0)
def _segment(config: UNetConfig, parameters: dict[str, Array], images: Shaped[Array, "n y x"]) -> UInt8[Array, "n y x"]:
    """Standardise each micrograph by its own statistics, mirror it up to the stride, and give its rounded map."""
    height, width = images.shape[1:]
    values = images.astype(jnp.float32)
    mean = values.mean((1, 2), keepdims=True)
    centred = values - mean
    deviation = jnp.sqrt(jnp.square(centred).mean((1, 2), keepdims=True))
    pixels = jnp.where(deviation > 0, centred / deviation, 0)
    beyond = [-length % config.stride for length in (height, width)]
    pixels = jnp.pad(pixels, ((0, 0), (0, beyond[0]), (0, beyond[1])), mode="symmetric")
    with jax.default_matmul_precision("tensorfloat32"):
        found = jax.nn.sigmoid(logits(config, parameters, pixels))
    return jnp.rint(255 * found[:, :height, :width]).astype(jnp.uint8)
