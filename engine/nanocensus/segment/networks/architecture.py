"""What fixes a network's architecture, and how far it sees; known without the libraries that run it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

from nanocensus.errors import ModelError


@dataclass(frozen=True)
class UNetConfig:
    """The fast network (see `nanocensus.segment.networks.unet`); it fixes the shape of every weight."""

    kind: ClassVar[str] = "fast"
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

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as JSON values."""
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True)
class ResNetUNetConfig:
    """The network of Cho et al. 2024 (see `nanocensus.segment.networks.resnet_unet`); it fixes the shape of every weight."""

    kind: ClassVar[str] = "paper"
    base: int = 64
    """Channels of the encoder at half and quarter resolution; each of its further stages has twice as many. A ResNet-18
    has 64; the decoder has 4, 2, 1, 1/2 and 1/4 times as many: 256, 128, 64, 32, 16."""
    units: int = 2
    """Residual units in each of the encoder's four stages; a ResNet-18 has 2."""

    @property
    def encoder_widths(self) -> tuple[int, ...]:
        """Channels of the encoder's stages, at 1/4, 1/8, 1/16 and 1/32 of the resolution."""
        return tuple(self.base * factor for factor in (1, 2, 4, 8))

    @property
    def decoder_widths(self) -> tuple[int, ...]:
        """Channels of the decoder's stages, at 1/16, 1/8, 1/4, 1/2 and the whole of the resolution."""
        return tuple(self.base * 4 // divisor for divisor in (1, 2, 4, 8, 16))

    @property
    def stride(self) -> int:
        """Pixels of the micrograph along one cell of the coarsest level; sides of an input are multiples of it."""
        return 32

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as JSON values."""
        return {"kind": self.kind, **asdict(self)}


Precision = Literal["float32", "bfloat16"]
"""Of weights and features; sums are kept in float32 in either."""

Engine = Literal["jax", "openvino"]
"""Who runs the network: JAX, on any device, or OpenVINO (an extra) on the cores of a CPU."""

Architecture = UNetConfig | ResNetUNetConfig
"""What a model's file says of its network."""

_FIELDS: Mapping[str, tuple[type[UNetConfig] | type[ResNetUNetConfig], Mapping[str, range]]] = {
    UNetConfig.kind: (UNetConfig, {"base": range(1, 257), "levels": range(1, 9)}),
    ResNetUNetConfig.kind: (ResNetUNetConfig, {"base": range(4, 257, 4), "units": range(1, 9)}),
}


def architecture_of(fields: Mapping[str, Any]) -> Architecture:
    """Check fields that were read from a file; without a kind they are those of the fast network.

    Parameters
    ----------
    fields : mapping of str to object
        What `to_dict` of an architecture gave.

    Returns
    -------
    Architecture

    Raises
    ------
    ModelError
        If the kind is unknown, or a field is missing, unknown, or not an integer in the range that can be built.

    Examples
    --------
    >>> architecture_of({"base": 8, "levels": 4})
    UNetConfig(base=8, levels=4)
    """
    numbers = dict(fields)
    kind = numbers.pop("kind", UNetConfig.kind)
    if kind not in _FIELDS:
        raise _unknown(" or ".join(f"kind {known!r}" for known in _FIELDS), fields)
    made, allowed = _FIELDS[kind]
    if set(numbers) != set(allowed) or any(
        type(number) is not int or number not in allowed[name] for name, number in numbers.items()
    ):
        ranges = (f"{name} from {some[0]} to {some[-1]} in steps of {some.step}" for name, some in allowed.items())
        raise _unknown(f"for the kind {kind!r}: " + ", ".join(ranges), fields)
    return made(**numbers)


def _unknown(expected: str, fields: Mapping[str, Any]) -> ModelError:
    return ModelError(
        "the model's architecture",
        expected=expected,
        got=repr(dict(fields)),
        remedy="Use weights that nanocensus train wrote, by a version that is not newer than this one.",
    )


def receptive_field_radius(config: Architecture) -> int:
    """Give the largest distance, in pixels along an axis, at which a pixel can influence a probability.

    Follows the longest path backwards from each output pixel of a coarsest cell, so it is exact for these architectures;
    it is what a tile must know of its neighbours.

    Parameters
    ----------
    config : Architecture

    Returns
    -------
    int

    Examples
    --------
    >>> receptive_field_radius(UNetConfig(levels=1)), receptive_field_radius(ResNetUNetConfig())
    (23, 311)
    """
    radius = 0
    for pixel in range(config.stride):
        seen = _seen_by_fast(config, pixel) if isinstance(config, UNetConfig) else _seen_by_paper(config, pixel)
        radius = max(radius, pixel - seen[0], seen[1] - pixel)
    return radius


def _seen_by_fast(config: UNetConfig, pixel: int) -> tuple[int, int]:
    low, high = pixel // 2 - 1, pixel // 2 + 1  # the head's convolution at half resolution
    for _ in range(config.levels):  # a decoder's two convolutions, then up-sampling
        low, high = (low - 2) // 2, (high + 2) // 2
    low, high = low - 2, high + 2  # the middle
    for _ in range(config.levels):  # pooling, then an encoder's two convolutions
        low, high = 2 * low - 2, 2 * high + 1 + 2
    return 2 * (low - 1), 2 * (high + 1) + 1  # the stem


def _seen_by_paper(config: ResNetUNetConfig, pixel: int) -> tuple[int, int]:
    low, high = pixel - 1, pixel + 1  # the head
    for _ in config.decoder_widths:  # two convolutions, then up-sampling
        low, high = (low - 2) // 2, (high + 2) // 2
    for stage in range(len(config.encoder_widths)):
        apart = 2 * config.units - 1  # the convolutions of a stage but the first, which halves the resolution
        low, high = low - apart, high + apart
        step = 1 if stage == len(config.encoder_widths) - 1 else 2  # save at the finest
        low, high = step * low - 1, step * high + 1
    low, high = 2 * low - 1, 2 * high + 1  # pooling over 3 x 3
    return 2 * low - 3, 2 * high + 3  # the stem
