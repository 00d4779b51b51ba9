"""How a micrograph is covered with windows, so that they tell together what the whole would tell."""

from collections.abc import Iterator
from dataclasses import dataclass

from nanocensus.errors import ImageError
from nanocensus.segment.networks.architecture import Architecture, receptive_field_radius

DEFAULT_TILE = 2272
"""Two windows of this side cover 4096 pixels for the fast network, three for the paper's."""


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


def plan_windows(size: int, tile: int, config: Architecture) -> Windows:
    """Cover an axis with windows of one length, whose halo lies on sides inside the image only.

    Parameters
    ----------
    size : int
        Pixels along the axis; a multiple of the stride.
    tile : int
        Largest length of a window, pixels.
    config : Architecture

    Returns
    -------
    Windows

    Raises
    ------
    ImageError
        If nothing of such a tile would be left between its halos.

    Examples
    --------
    >>> from nanocensus.segment.networks.architecture import UNetConfig
    >>> plan_windows(4096, 2272, UNetConfig(levels=4))
    Windows(length=2272, starts=(0, 1824), bounds=(0, 2048, 4096))
    """
    stride, around = config.stride, halo(config)
    largest = tile // stride * stride
    if size <= largest:
        return Windows(size, (0,), (0, size))
    if largest < 2 * around + stride:
        raise ImageError(
            "tile",
            expected=f"at least {2 * around + stride} pixels for this network",
            got=str(tile),
            remedy="Leave it out to have it chosen.",
        )
    count = -(-(size - 2 * around) // (largest - 2 * around))
    length = up_to_multiple(-(-(size + 2 * around * (count - 1)) // count), stride)
    starts = tuple(min(i * (length - 2 * around), size - length) for i in range(count))
    return Windows(length, starts, (0, *(start + around for start in starts[1:]), size))


def halo(config: Architecture) -> int:
    """Give how far inside a window a pixel must lie to know all that the whole micrograph would tell it."""
    return up_to_multiple(receptive_field_radius(config), config.stride)


def up_to_multiple(number: int, multiple: int) -> int:
    """Round up to a multiple.

    Examples
    --------
    >>> up_to_multiple(33, 32)
    64
    """
    return -(-number // multiple) * multiple
