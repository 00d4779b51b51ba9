"""The network of Cho et al. (ACS Nano 2024): a U-Net whose encoder is a ResNet-18.

It is `segmentation_models.Unet("resnet18", classes=2, activation="softmax", input_shape=(None, None, 1))`, whose words
the paper uses. That library's ResNet-18 is the variant of He et al. (2016, "Identity Mappings") that normalises and
rectifies before each convolution, and so is this one: its sums pass through the encoder untouched, and the decoder is
handed the rectified sums. A first unit of each stage has a 1 x 1 convolution on its shortcut, taken behind the
rectifier. The decoder has 256, 128, 64, 32 and 16 channels at 1/16 to the whole of the resolution; each of its stages
repeats the cells of the one below, two by two, joins what the encoder saw there, and convolves twice.

A BatchNorm behind a convolution is folded into its weights. One before a convolution cannot be: a rectifier lies
between them, and the zeros that the convolution pads with are zeros behind it. It stays as a scale and a shift of each
channel, which are exact at borders too and cost one pass that the rectifier takes anyway. Two departures: there is no
BatchNorm on the pixels, because micrographs are standardised as a whole; and e is 1e-4 in every BatchNorm.
"""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from nanocensus.segment.networks.architecture import ResNetUNetConfig
from nanocensus.segment.networks.convolutions import (
    batch_norm,
    convolution,
    convolve,
    convolve_to_few,
    convolve_upsampled,
    max_pool,
    upsample,
)


class Rectifier(nnx.Module):
    """A rectifier behind a BatchNorm of its own, or behind the scale and shift that it is in evaluation."""

    def __init__(self, channels: int, normalised: bool, rngs: nnx.Rngs) -> None:
        self.norm = batch_norm(channels, rngs) if normalised else None
        self.scale = None if normalised else nnx.Param(jnp.zeros(channels))
        self.shift = None if normalised else nnx.Param(jnp.zeros(channels))

    def __call__(self, x: Float[Array, "n y x c"]) -> Float[Array, "n y x c"]:
        """Give the rectified features."""
        if self.scale is None or self.shift is None:
            return nnx.relu(x if self.norm is None else self.norm(x))
        return nnx.relu(x * self.scale[...] + self.shift[...])


class Unit(nnx.Module):
    """A residual unit of the encoder: two 3 x 3 convolutions, each behind a rectifier."""

    def __init__(
        self, channels_in: int, channels_out: int, *, first: bool, stride: int, normalised: bool, rngs: nnx.Rngs
    ) -> None:
        self.input = Rectifier(channels_in, normalised, rngs)
        self.first = convolution(channels_in, channels_out, 3, not normalised, rngs, stride)
        self.first_norm = batch_norm(channels_out, rngs) if normalised else None
        self.second = convolution(channels_out, channels_out, 3, False, rngs)
        self.shortcut = convolution(channels_in, channels_out, 1, False, rngs, stride) if first else None

    def __call__(self, x: Float[Array, "n y x c"]) -> tuple[Float[Array, "n v u d"], Float[Array, "n y x c"]]:
        """Give the unit's output, and its rectified input, which the decoder is handed."""
        rectified = self.input(x)
        hidden = self.first(rectified)
        hidden = nnx.relu(hidden if self.first_norm is None else self.first_norm(hidden))
        return self.second(hidden) + (x if self.shortcut is None else self.shortcut(rectified)), rectified


class Decoder(nnx.Module):
    """Two 3 x 3 convolutions of the level below beside what the encoder saw at twice its resolution."""

    def __init__(self, channels_in: int, channels_out: int, normalised: bool, rngs: nnx.Rngs) -> None:
        self.first = convolution(channels_in, channels_out, 3, not normalised, rngs)
        self.first_norm = batch_norm(channels_out, rngs) if normalised else None
        self.second = convolution(channels_out, channels_out, 3, not normalised, rngs)
        self.second_norm = batch_norm(channels_out, rngs) if normalised else None

    def __call__(
        self, lower: Float[Array, "n y x c"], skip: Float[Array, "n 2*y 2*x d"] | None
    ) -> Float[Array, "n 2*y 2*x e"]:
        """Give the features at twice the resolution of `lower`; without BatchNorm by the cheaper form."""
        bias = self.first.bias
        if bias is None:
            large = upsample(lower)
            hidden = self.first(large if skip is None else jnp.concatenate([large, skip], axis=-1))
        else:
            split, kernel = lower.shape[-1], self.first.kernel[...]
            hidden = convolve_upsampled(lower, kernel[:, :, :split]) + bias[...]
            hidden = hidden if skip is None else hidden + convolve(skip, kernel[:, :, split:], 1)
        hidden = self.second(nnx.relu(hidden if self.first_norm is None else self.first_norm(hidden)))
        return nnx.relu(hidden if self.second_norm is None else self.second_norm(hidden))


class ResNetUNet(nnx.Module):
    """Standardised micrographs to logits of the probability of a particle.

    Parameters
    ----------
    config : ResNetUNetConfig
    normalised : bool
        Whether it holds BatchNorm layers and a head of two classes (to be trained), or biases in the place of the one
        and the classes' difference in that of the other (to segment; see `fold`).
    """

    def __init__(self, config: ResNetUNetConfig, *, normalised: bool) -> None:
        rngs = nnx.Rngs(0)  # asked for by the layers; nothing random is drawn
        stages, decoders = config.encoder_widths, config.decoder_widths
        self.stem = convolution(1, config.base, 7, not normalised, rngs, 2)
        self.stem_norm = batch_norm(config.base, rngs) if normalised else None
        self.units = nnx.List([
            Unit(
                (config.base, *stages)[stage] if unit == 0 else channels,
                channels,
                first=unit == 0,
                stride=2 if unit == 0 and stage > 0 else 1,
                normalised=normalised,
                rngs=rngs,
            )
            for stage, channels in enumerate(stages)
            for unit in range(config.units)
        ])  # fmt: skip
        self.units_of_stage = config.units
        self.last = Rectifier(stages[-1], normalised, rngs)
        below, beside = (stages[-1], *decoders[:-1]), (*stages[-2::-1], config.base, 0)
        self.decoders = nnx.List(
            [Decoder(b + s, d, normalised, rngs) for b, s, d in zip(below, beside, decoders, strict=True)]
        )
        self.classes = convolution(decoders[-1], 2 if normalised else 1, 3, True, rngs)

    def __call__(self, x: Float[Array, "n y x"]) -> Float[Array, "n y x"]:
        """Give the logits: those of particle less those of background, so that their sigmoid is the softmax.

        y and x are multiples of the stride.
        """
        features = self.stem(x[..., None])
        features = nnx.relu(features if self.stem_norm is None else self.stem_norm(features))
        skips: list[Float[Array, "n v u c"] | None] = [None, features]
        features = max_pool(features, 3, 1)
        for number, unit in enumerate(self.units):
            features, rectified = unit(features)
            if number and number % self.units_of_stage == 0:
                skips.append(rectified)
        features = self.last(features)
        for decoder, skip in zip(self.decoders, reversed(skips), strict=True):
            features = decoder(features, skip)
        bias = self.classes.bias
        if self.classes.out_features == 2 or bias is None:
            scores = self.classes(features)
            return scores[..., 1] - scores[..., 0]
        return (convolve_to_few(features, self.classes.kernel[...]) + bias[...])[..., 0]
