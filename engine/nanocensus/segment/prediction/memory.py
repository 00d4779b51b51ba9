"""How much of a micrograph the network sees at once, so that the memory suffices."""

import math

from nanocensus.errors import ImageError
from nanocensus.segment.networks.architecture import Architecture, UNetConfig
from nanocensus.segment.prediction.windows import halo, plan_windows, up_to_multiple

_PROCESS_BYTES = 512 * 2**20
"""What Python, XLA and the weights take; measured: 340 to 530 MiB."""
_MICROGRAPH_BYTES = 20
"""Of each pixel of the micrograph: as recorded, standardised, mirrored up to the stride, and its map."""
_WINDOW_BYTES = 12
"""Of each pixel of a window beside its features: the pixels, their copy on the device, and their probability."""


def feature_bytes(config: Architecture) -> float:
    """Give what the features that XLA keeps at one time take of the memory, for each pixel of a window.

    By XLA's own account of the compiled network on a CPU: for the fast one, four times its channels at half resolution;
    for the paper's, the decoder's last features, and twice the nine products that its head is made of.
    """
    return 4.0 * config.base if isinstance(config, UNetConfig) else 80.0 + config.base


def memory_needed(config: Architecture, height: int, width: int, tile: int) -> int:
    """Give what a process takes at most that predicts a micrograph in windows of some side on a CPU, bytes.

    Measured peaks lie below it (`benchmarks/segment/memory.py`).

    Parameters
    ----------
    config : Architecture
    height, width : int
        Of the micrograph, pixels.
    tile : int
        Largest side of a window, pixels.

    Raises
    ------
    ImageError
        If nothing of such a tile would be left between its halos.

    Examples
    --------
    >>> memory_needed(UNetConfig(), 4096, 4096, 2272) // 2**20
    1048
    """
    sides = _padded(config, height, width)
    window = math.prod(plan_windows(side, tile, config).length for side in sides)
    return round(_fixed(sides) + window * _per_pixel(config))


def choose_tile(config: Architecture, height: int, width: int, memory: int) -> int:
    """Give the largest side of windows for which the memory suffices.

    Fewer windows see fewer pixels twice, so the micrograph goes through in one piece if it can. The side depends on
    nothing but the arguments: equal ones give equal windows, and so equal bytes.

    Parameters
    ----------
    config : Architecture
    height, width : int
        Of the micrograph, pixels.
    memory : int
        What the process may have in all, bytes.

    Returns
    -------
    int

    Raises
    ------
    ImageError
        If the memory does not suffice for windows of `smallest_tile`.

    Examples
    --------
    >>> choose_tile(UNetConfig(), 4096, 4096, 2 * 2**30)
    4096
    >>> choose_tile(UNetConfig(), 4096, 4096, 2**30)
    2112
    """
    sides = _padded(config, height, width)
    pixels = max(0.0, memory - _fixed(sides)) / _per_pixel(config)
    if math.prod(sides) <= pixels:
        return max(sides)
    least = smallest_tile(config)
    needed = memory_needed(config, height, width, least)
    if memory < needed:
        raise ImageError(
            f"a micrograph of {height} x {width} pixels",
            expected=f"at least {needed / 2**30:.1f} GiB of memory for this network",
            got=f"{memory / 2**30:.1f} GiB",
            remedy="Cut it into fields, run fewer workers, or take the smaller network.",
        )
    return max(least, int(pixels**0.5) // config.stride * config.stride)


def smallest_tile(config: Architecture) -> int:
    """Give the side below which windows are not chosen, pixels: half of it is halo, so most is seen four times.

    Examples
    --------
    >>> smallest_tile(UNetConfig())
    896
    """
    return 4 * halo(config)


def own_memory() -> int:
    """Give the memory that this process is to take at most: half of what its machine or its container has, bytes."""
    from distributed.system import memory_limit  # knows of containers; takes a second to import

    return int(memory_limit()) // 2


def _padded(config: Architecture, height: int, width: int) -> tuple[int, int]:
    return up_to_multiple(height, config.stride), up_to_multiple(width, config.stride)


def _fixed(sides: tuple[int, int]) -> int:
    """Give what is needed whatever the windows."""
    return _PROCESS_BYTES + _MICROGRAPH_BYTES * math.prod(sides)


def _per_pixel(config: Architecture) -> float:
    return feature_bytes(config) + _WINDOW_BYTES
