"""From a whole micrograph to its probability map, window by window, as if in one piece."""

import functools
from collections.abc import Callable, Iterator

import jax
import numpy as np
from jaxtyping import Array, Float, Float32, Shaped, UInt8

from nanocensus.segment.networks.architecture import Architecture, Engine, Precision
from nanocensus.segment.networks.network import Network
from nanocensus.segment.networks.parameters import logits
from nanocensus.segment.prediction import openvino_engine
from nanocensus.segment.prediction.memory import choose_tile, own_memory
from nanocensus.segment.prediction.windows import plan_windows, up_to_multiple
from nanocensus.segment.preparation.flatfield import parse_micrograph, standardise
from nanocensus.segment.preparation.preparation import AS_USUAL, Preparation, prepare


def predict(
    network: Network,
    image: Shaped[np.ndarray, "..."],
    preparation: Preparation = AS_USUAL,
    *,
    tile: int | None = None,
    precision: Precision = "float32",
    engine: Engine = "jax",
) -> UInt8[np.ndarray, "y x"]:
    """Segment a micrograph; see `nanocensus.segment.prediction.model.Model.probability`."""
    parse_micrograph(image)
    if tile is None:  # before it is prepared, which takes time and the very memory that may be missing
        tile = choose_tile(network.config, image.shape[0], image.shape[1], own_memory())
    prepared, rounded = prepare(image, preparation), np.empty(image.shape, np.uint8)
    for place, part in probability_parts(network, prepared, tile=tile, precision=precision, engine=engine):
        rounded[place] = np.rint(part * np.float32(255))
    return rounded


def probability_parts(
    network: Network,
    image: Shaped[np.ndarray, "..."],
    *,
    tile: int,
    precision: Precision = "float32",
    engine: Engine = "jax",
) -> Iterator[tuple[tuple[slice, slice], Float32[np.ndarray, "h w"]]]:
    """Give the probability of one window after the other.

    The border is mirrored up to a multiple of the stride; beyond that the network pads with zeros, as in training.

    Parameters
    ----------
    network : Network
    image : (y, x) ndarray
        A whole micrograph.
    tile : int
        Largest side of a window, pixels.
    precision : {"float32", "bfloat16"}
    engine : {"jax", "openvino"}

    Yields
    ------
    place : tuple of slice
        Where the part lies in the micrograph.
    probability : (h, w) ndarray of float32
    """
    parse_micrograph(image)
    config = network.config
    pixels = standardise(image)
    height, width = image.shape
    padding = [(0, up_to_multiple(length, config.stride) - length) for length in image.shape]
    if any(after for _, after in padding):
        pixels = np.pad(pixels, padding, mode="symmetric")
    rows, columns = (plan_windows(length, tile, config) for length in pixels.shape)
    run = _runner(network, precision, engine)
    for top, first_row, end_row in rows:
        for left, first_column, end_column in columns:
            window = pixels[None, top : top + rows.length, left : left + columns.length]
            probability = run(np.ascontiguousarray(window))[0]
            place = slice(first_row, min(end_row, height)), slice(first_column, min(end_column, width))
            yield (
                place,
                probability[place[0].start - top : place[0].stop - top, place[1].start - left : place[1].stop - left],
            )


def _runner(
    network: Network, precision: Precision, engine: Engine
) -> Callable[[Float32[np.ndarray, "n y x"]], Float32[np.ndarray, "n y x"]]:
    """Give what turns standardised pixels into probabilities."""
    if engine == "openvino":
        return functools.partial(openvino_engine.run, network, precision)
    on_device = jax.device_put(dict(network.parameters))
    return lambda window: np.asarray(_run(network.config, precision, on_device, window))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _run(
    config: Architecture, precision: Precision, parameters: dict[str, Array], window: Float[Array, "n y x"]
) -> Float[Array, "n y x"]:
    return jax.nn.sigmoid(logits(config, parameters, window, precision))
