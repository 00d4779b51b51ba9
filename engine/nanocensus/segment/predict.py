"""From a whole micrograph to its probability map, window by window, as if in one piece."""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Array, Float, Float32, Shaped, UInt8

from nanocensus.errors import ImageError
from nanocensus.segment.flatfield import standardise
from nanocensus.segment.parameters import logits
from nanocensus.segment.unet import UNetConfig, receptive_field_radius

DEFAULT_TILE = 2272
"""Two windows of this side cover 4096 pixels."""


@dataclass(frozen=True)
class Windows:
    """How one axis is covered: windows of one length, and the part of each that is kept."""

    length: int
    """Pixels that the network sees at once; a multiple of its stride."""
    starts: tuple[int, ...]
    """First pixel of each window; multiples of the stride, so that every window pools the same pixels together."""
    bounds: tuple[int, ...]
    """Pixels from bounds[i] to bounds[i + 1] are kept of window i: all of them know what the whole would tell them."""

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        """Give start, first kept and end of what is kept of each window."""
        return zip(self.starts, self.bounds[:-1], self.bounds[1:], strict=True)


def plan_windows(size: int, tile: int, config: UNetConfig) -> Windows:
    """Cover an axis with windows of one length, whose halo lies on sides inside the image only.

    Parameters
    ----------
    size : int
        Pixels along the axis; a multiple of the stride.
    tile : int
        Largest length of a window, pixels.
    config : UNetConfig

    Returns
    -------
    Windows

    Raises
    ------
    ImageError
        If nothing of such a tile would be left between its halos.

    Examples
    --------
    >>> plan_windows(4096, 2272, UNetConfig(levels=4))
    Windows(length=2272, starts=(0, 1824), bounds=(0, 2048, 4096))
    """
    stride = config.stride
    halo = _up(receptive_field_radius(config), stride)
    largest = tile // stride * stride
    if size <= largest:
        return Windows(size, (0,), (0, size))
    if largest < 2 * halo + stride:
        raise ImageError(
            "tile",
            expected=f"at least {2 * halo + stride} pixels for this network",
            got=str(tile),
            remedy="Leave it out to have it chosen.",
        )
    count = -(-(size - 2 * halo) // (largest - 2 * halo))
    length = _up(-(-(size + 2 * halo * (count - 1)) // count), stride)
    starts = tuple(min(i * (length - 2 * halo), size - length) for i in range(count))
    return Windows(length, starts, (0, *(start + halo for start in starts[1:]), size))


def predict(
    config: UNetConfig,
    parameters: Mapping[str, np.ndarray],
    image: Shaped[np.ndarray, "y x"],
    *,
    tile: int | None = None,
) -> UInt8[np.ndarray, "y x"]:
    """Segment a micrograph; see `nanocensus.segment.weights.Model.probability`, which is this with a name."""
    rounded = np.empty(image.shape, np.uint8)
    for place, part in probability_parts(config, parameters, image, tile=tile):
        rounded[place] = np.rint(part * np.float32(255))
    return rounded


def probability_parts(
    config: UNetConfig,
    parameters: Mapping[str, np.ndarray],
    image: Shaped[np.ndarray, "y x"],
    *,
    tile: int | None = None,
) -> Iterator[tuple[tuple[slice, slice], Float32[np.ndarray, "h w"]]]:
    """Give the probability of one window after the other.

    The border is mirrored up to a multiple of the stride; beyond that the network pads with zeros, as in training.

    Parameters
    ----------
    config : UNetConfig
    parameters : mapping of str to ndarray
        Weights with BatchNorm folded.
    image : (y, x) ndarray
        A whole micrograph.
    tile : int, optional
        Largest side of a window, pixels.

    Yields
    ------
    place : tuple of slice
        Where the part lies in the micrograph.
    probability : (h, w) ndarray of float32
    """
    pixels = standardise(image)
    height, width = image.shape
    padding = [(0, _up(length, config.stride) - length) for length in image.shape]
    if any(after for _, after in padding):
        pixels = np.pad(pixels, padding, mode="symmetric")
    rows, columns = (plan_windows(length, DEFAULT_TILE if tile is None else tile, config) for length in pixels.shape)
    on_device = jax.device_put(dict(parameters))
    for top, first_row, end_row in rows:
        for left, first_column, end_column in columns:
            window = pixels[None, top : top + rows.length, left : left + columns.length]
            probability = np.asarray(_run(config, on_device, np.ascontiguousarray(window)))[0]
            place = slice(first_row, min(end_row, height)), slice(first_column, min(end_column, width))
            yield (
                place,
                probability[place[0].start - top : place[0].stop - top, place[1].start - left : place[1].stop - left],
            )


@functools.partial(jax.jit, static_argnums=0)
def _run(config: UNetConfig, parameters: dict[str, Array], window: Float[Array, "n y x"]) -> Float[Array, "n y x"]:
    return jax.nn.sigmoid(logits(config, parameters, window))


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
