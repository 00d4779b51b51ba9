"""Convolutions, in cheaper forms that give the same values.

XLA's convolutions on a CPU come close to its peak where there are many channels on both sides. The forms below take
what is left: multiplications of equal cells after an up-sampling, and convolutions from or to very few channels.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

BATCH_NORM_EPSILON = 1e-4
BATCH_NORM_MOMENTUM = 0.9


def convolution(
    channels_in: int, channels_out: int, side: int, bias: bool, rngs: nnx.Rngs, stride: int = 1
) -> nnx.Conv:
    """Make a convolution that pads with zeros by half its side all around, so that windows meet the same grid."""
    # Zeros cost nothing; `initial_network` draws the weights, and loading replaces them.
    zeros, around = nnx.initializers.zeros_init(), ((side // 2, side // 2),) * 2  # jax hashes it
    return nnx.Conv(
        channels_in,
        channels_out,
        (side, side),
        strides=stride,
        padding=around,
        use_bias=bias,
        kernel_init=zeros,
        rngs=rngs,
    )


def batch_norm(channels: int, rngs: nnx.Rngs) -> nnx.BatchNorm:
    """Make a BatchNorm."""
    return nnx.BatchNorm(channels, momentum=BATCH_NORM_MOMENTUM, epsilon=BATCH_NORM_EPSILON, rngs=rngs)


def convolve(x: Float[Array, "n y x c"], kernel: Float[Array, "k k c d"], padding: int) -> Float[Array, "n v u d"]:
    """Convolve, with as many zeros all around as `padding` says."""
    around, layout = [(padding, padding)] * 2, ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), around, dimension_numbers=layout)


def upsample(x: Float[Array, "n y x c"]) -> Float[Array, "n 2*y 2*x c"]:
    """Repeat each cell, two by two."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


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
    rows = _met(kernel, 0)
    small = jnp.stack([jnp.stack(_met(row, 1), axis=2) for row in rows], axis=2)  # cell, cell, place, place, c, d
    small = small.transpose(0, 1, 4, 2, 3, 5).reshape(2, 2, x.shape[-1], 4 * channels)
    places = convolve(x, small, 1).reshape(-1, height + 1, width + 1, 2, 2 * channels)
    lines = []
    for a in (0, 1):
        line = places[:, a : a + height, :, a]
        lines.append(jnp.concatenate([line[:, :, :width, :channels], line[:, :, 1:, channels:]], axis=-1))
    return jnp.stack(lines, axis=2).reshape(-1, 2 * height, 2 * width, channels)


def _met(kernel: Float[Array, "..."], axis: int) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Give the two weights that even places have for their two cells along an axis, and those of odd places."""
    first, middle, last = (jax.lax.slice_in_dim(kernel, k, k + 1, axis=axis) for k in range(3))
    return jnp.concatenate([first, middle + last], axis), jnp.concatenate([first + middle, last], axis)


def max_pool(x: Float[Array, "n y x c"], side: int, padding: int) -> Float[Array, "n y/2 x/2 c"]:
    """Give the largest of each square of cells, every second one; along one axis after the other, which is cheaper."""
    for axis in (1, 2):
        window, step, around = [1] * 4, [1] * 4, [(0, 0)] * 4
        window[axis], step[axis], around[axis] = side, 2, (padding, padding)
        x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, step, around)
    return x


def convolve_to_few(x: Float[Array, "n y x c"], kernel: Float[Array, "k k c d"]) -> Float[Array, "n y x d"]:
    """Convolve to very few channels: one matrix product for all places of the kernel, shifted and added.

    Parameters
    ----------
    x : (n, y, x, c) array
    kernel : (k, k, c, d) array
        k is odd.

    Returns
    -------
    (n, y, x, d) array
        Padded with zeros, as `convolve` does it; float32, whatever went in.
    """
    side, height, width, channels = kernel.shape[0], x.shape[1], x.shape[2], kernel.shape[-1]
    half = side // 2
    weights = kernel.transpose(2, 0, 1, 3).reshape(x.shape[-1], side * side * channels)
    products = jnp.matmul(x, weights, preferred_element_type=jnp.float32)
    products = jnp.pad(products, ((0, 0), (half, half), (half, half), (0, 0)))
    shifted = (
        products[:, i : i + height, j : j + width, (i * side + j) * channels : (i * side + j + 1) * channels]
        for i in range(side)
        for j in range(side)
    )
    total = next(shifted)
    for part in shifted:
        total = total + part
    return total


def space_to_depth(x: Float[Array, "n y x"]) -> Float[Array, "n y/2 x/2 4"]:
    """Fold each 2 x 2 square of pixels into four channels."""
    n, height, width = x.shape
    squares = x.reshape(n, height // 2, 2, width // 2, 2).transpose(0, 1, 3, 2, 4)
    return squares.reshape(n, height // 2, width // 2, 4)


def depth_to_space(x: Float[Array, "n y x 4"]) -> Float[Array, "n 2*y 2*x"]:
    """Unfold four channels into 2 x 2 squares of pixels."""
    n, height, width, _ = x.shape
    return x.reshape(n, height, width, 2, 2).transpose(0, 1, 3, 2, 4).reshape(n, 2 * height, 2 * width)
