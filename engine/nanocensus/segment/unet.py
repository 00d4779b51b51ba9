"""The network: a residual U-Net that works at half resolution.

Its stem folds each 2 x 2 square of pixels into four channels and its head unfolds them again, so that no convolution
runs at full resolution, where a U-Net on a CPU spends most of its time. BatchNorm steadies the training and is folded
into the convolutions afterwards: the network that segments has no normalisation layer at all, because statistics
taken over a tile would make tiles differ from the whole micrograph.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from nanocensus.segment.architecture import UNetConfig

BATCH_NORM_EPSILON = 1e-4
_BATCH_NORM_MOMENTUM = 0.9


def _convolution(channels_in: int, channels_out: int, side: int, bias: bool, rngs: nnx.Rngs) -> nnx.Conv:
    # Zeros cost nothing; `initial_network` draws the weights, and loading replaces them.
    zeros = nnx.initializers.zeros_init()
    return nnx.Conv(channels_in, channels_out, (side, side), use_bias=bias, kernel_init=zeros, rngs=rngs)


def _batch_norm(channels: int, rngs: nnx.Rngs) -> nnx.BatchNorm:
    return nnx.BatchNorm(channels, momentum=_BATCH_NORM_MOMENTUM, epsilon=BATCH_NORM_EPSILON, rngs=rngs)


class _Residual(nnx.Module):
    """Two 3 x 3 convolutions beside a 1 x 1 shortcut."""

    def __init__(self, channels_in: int, channels_out: int, normalised: bool, rngs: nnx.Rngs) -> None:
        self.first = _convolution(channels_in, channels_out, 3, not normalised, rngs)
        self.second = _convolution(channels_out, channels_out, 3, not normalised, rngs)
        self.shortcut = _convolution(channels_in, channels_out, 1, False, rngs)
        self.first_norm = _batch_norm(channels_out, rngs) if normalised else None
        self.second_norm = _batch_norm(channels_out, rngs) if normalised else None

    def _convolved(self, x: Float[Array, "n y x c"]) -> Float[Array, "n y x d"]:
        hidden = self.first(x)
        hidden = nnx.relu(self.first_norm(hidden) if self.first_norm is not None else hidden)
        hidden = self.second(hidden)
        hidden = self.second_norm(hidden) if self.second_norm is not None else hidden
        return nnx.relu(hidden + self.shortcut(x))


class Encoder(_Residual):
    """A block at one resolution."""

    def __call__(self, x: Float[Array, "n y x c"]) -> Float[Array, "n y x d"]:
        """Give the block's output."""
        return self._convolved(x)


class Decoder(_Residual):
    """A block that first brings the level below to its own resolution, beside what the encoder saw."""

    def __call__(
        self, lower: Float[Array, "n y x c"], skip: Float[Array, "n 2*y 2*x d"]
    ) -> Float[Array, "n 2*y 2*x e"]:
        """Give the block's output at the resolution of `skip`.

        Without BatchNorm it takes a shorter way to the same values that never makes the up-sampled features: a fifth
        of the network's time and a third of its memory less.
        """
        bias = self.first.bias
        if bias is None:
            return self._convolved(jnp.concatenate([_upsample(lower), skip], axis=-1))
        split = lower.shape[-1]
        kernel, shortcut = self.first.kernel[...], self.shortcut.kernel[...]
        hidden = convolve_upsampled(lower, kernel[:, :, :split]) + _convolve(skip, kernel[:, :, split:], 1)
        hidden = self.second(nnx.relu(hidden + bias[...]))
        around = _upsample(_convolve(lower, shortcut[:, :, :split], 0)) + _convolve(skip, shortcut[:, :, split:], 0)
        return nnx.relu(hidden + around)


class UNet(nnx.Module):
    """Standardised micrographs to logits of the probability of a particle.

    Parameters
    ----------
    config : UNetConfig
    normalised : bool
        Whether it holds BatchNorm layers (to be trained) or biases in their place (to segment; see `fold`).
    """

    def __init__(self, config: UNetConfig, *, normalised: bool) -> None:
        rngs = nnx.Rngs(0)  # asked for by the layers; nothing random is drawn
        widths = config.widths
        above, below = (widths[0], *widths[:-1]), (*widths[1:], widths[-1])
        self.stem = _convolution(4, widths[0], 3, True, rngs)
        self.encoders = nnx.List([Encoder(i, o, normalised, rngs) for i, o in zip(above, widths, strict=True)])
        self.middle = Encoder(widths[-1], widths[-1], normalised, rngs)
        self.decoders = nnx.List([Decoder(i + o, o, normalised, rngs) for i, o in zip(below, widths, strict=True)])
        self.head = _convolution(widths[0], 4, 3, True, rngs)

    def __call__(self, x: Float[Array, "n y x"]) -> Float[Array, "n y x"]:
        """Give the logits; y and x are multiples of the stride."""
        features, skips = self.stem(_space_to_depth(x)), []
        for encoder in self.encoders:
            features = encoder(features)
            skips.append(features)
            features = nnx.max_pool(features, (2, 2), (2, 2))  # type: ignore[no-untyped-call]  # flax left it untyped
        features = self.middle(features)
        for decoder, skip in zip(reversed(self.decoders), reversed(skips), strict=True):
            features = decoder(features, skip)
        return _depth_to_space(self.head(features))


def convolve_upsampled(x: Float[Array, "n y x c"], kernel: Float[Array, "3 3 c d"]) -> Float[Array, "n 2*y 2*x d"]:
    """Convolve features that were up-sampled by repeating each cell, without making them.

    Along an axis, the three weights of a convolution meet only two different cells: at even places w0 the one before
    and w1 + w2 the cell itself, at odd places w0 + w1 the cell itself and w2 the one after. So one 2 x 2 convolution
    of the small features gives the four places of each cell, with 4/9 of the multiplications (Shi et al. 2016).

    Parameters
    ----------
    x : (n, y, x, c) array
    kernel : (3, 3, c, d) array

    Returns
    -------
    (n, 2 y, 2 x, d) array
    """
    height, width, channels = x.shape[1], x.shape[2], kernel.shape[-1]
    met = jnp.asarray([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]], kernel.dtype)  # place, cell, weight
    small = jnp.einsum("apk,bql,klcd->pqcabd", met, met, kernel, precision=jax.lax.Precision.HIGHEST)
    places = _convolve(x, small.reshape(2, 2, x.shape[-1], 4 * channels), 1)
    places = places.reshape(-1, height + 1, width + 1, 2, 2, channels)
    rows = [jnp.stack([places[:, a : a + height, b : b + width, a, b] for b in (0, 1)], axis=3) for a in (0, 1)]
    return jnp.stack(rows, axis=2).reshape(-1, 2 * height, 2 * width, channels)


def _convolve(x: Float[Array, "n y x c"], kernel: Float[Array, "k k c d"], padding: int) -> Float[Array, "n v u d"]:
    around = [(padding, padding)] * 2
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), around, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _upsample(x: Float[Array, "n y x c"]) -> Float[Array, "n 2*y 2*x c"]:
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


def _space_to_depth(x: Float[Array, "n y x"]) -> Float[Array, "n y/2 x/2 4"]:
    n, height, width = x.shape
    squares = x.reshape(n, height // 2, 2, width // 2, 2).transpose(0, 1, 3, 2, 4)
    return squares.reshape(n, height // 2, width // 2, 4)


def _depth_to_space(x: Float[Array, "n y x 4"]) -> Float[Array, "n 2*y 2*x"]:
    n, height, width, _ = x.shape
    return x.reshape(n, height, width, 2, 2).transpose(0, 1, 3, 2, 4).reshape(n, 2 * height, 2 * width)
