"""What fixes a network's architecture, and how far it sees; known without the libraries that run it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nanocensus.errors import ModelError


@dataclass(frozen=True)
class UNetConfig:
    """What fixes the architecture, and with it the shape of every weight."""

    base: int = 8
    """Channels at half resolution; each level below has twice as many."""
    levels: int = 4
    """Number of times that the resolution is halved below half resolution."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level."""
        return tuple(self.base * 2**level for level in range(self.levels))

    @property
    def stride(self) -> int:
        """Pixels of the micrograph along one cell of the coarsest level; sides of an input are multiples of it."""
        return 2 << self.levels

    def to_dict(self) -> dict[str, int]:
        """Give the fields as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "UNetConfig":
        """Check fields that were read from a file.

        Raises
        ------
        ModelError
            If a field is missing, unknown, or not an integer in the range that can be built.
        """
        known = {"base": (1, 256), "levels": (1, 8)}
        right = set(fields) == set(known) and all(
            type(fields[name]) is int and low <= fields[name] <= high for name, (low, high) in known.items()
        )
        if not right:
            raise ModelError(
                "the model's architecture",
                expected="base (1 to 256) and levels (1 to 8)",
                got=repr(dict(fields)),
                remedy="Use weights that nanocensus train wrote.",
            )
        return cls(**fields)


def receptive_field_radius(config: UNetConfig) -> int:
    """Give the largest distance, in pixels along an axis, at which a pixel can influence a probability.

    Follows the longest path backwards from each output pixel of a coarsest cell, so it is exact for this architecture;
    it is what a tile must know of its neighbours.

    Parameters
    ----------
    config : UNetConfig

    Returns
    -------
    int

    Examples
    --------
    >>> receptive_field_radius(UNetConfig(levels=1))
    23
    """
    radius = 0
    for pixel in range(config.stride):
        low, high = pixel // 2 - 1, pixel // 2 + 1  # the head's convolution at half resolution
        for _ in range(config.levels):  # a decoder's two convolutions, then up-sampling
            low, high = (low - 2) // 2, (high + 2) // 2
        low, high = low - 2, high + 2  # the middle
        for _ in range(config.levels):  # pooling, then an encoder's two convolutions
            low, high = 2 * low - 2, 2 * high + 1 + 2
        low, high = 2 * (low - 1), 2 * (high + 1) + 1  # the stem
        radius = max(radius, pixel - low, high - pixel)
    return radius
