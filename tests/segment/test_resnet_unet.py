"""The paper's network against one written out in numpy: convolutions by loops, BatchNorm unfolded, softmax of two."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nanocensus.segment.networks.architecture import ResNetUNetConfig
from nanocensus.segment.networks.parameters import fold, initial_network, logits, named_arrays

EPSILON = 1e-4


class Reference:
    """Features are (y, x, c) arrays of float64."""

    def __init__(self, arrays):
        self.arrays = {name: array.astype(np.float64) for name, array in arrays.items()}

    def convolved(self, x, name, stride=1):
        kernel = self.arrays[f"{name}.kernel"]
        side = kernel.shape[0]
        half = side // 2
        padded = np.pad(x, ((half, half), (half, half), (0, 0)))
        out = np.zeros((x.shape[0] // stride, x.shape[1] // stride, kernel.shape[-1]))
        for row in range(out.shape[0]):
            for column in range(out.shape[1]):
                square = padded[row * stride :, column * stride :][:side, :side]
                out[row, column] = np.tensordot(square, kernel, 3)
        return out + self.arrays.get(f"{name}.bias", 0)

    def rectified(self, x, norm):
        mean, variance, scale, shift = (self.arrays[f"{norm}.{part}"] for part in ("mean", "var", "scale", "bias"))
        return np.maximum((x - mean) / np.sqrt(variance + EPSILON) * scale + shift, 0)

    def probability(self, x):
        x = stem = self.rectified(self.convolved(x[..., None], "stem", 2), "stem_norm")
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        places = [
            padded[i : i + 2 * (x.shape[0] // 2) : 2, j:][:, : x.shape[1] : 2] for i in range(3) for j in range(3)
        ]
        x = np.max(places, axis=0)
        before_stages = []
        for stage in range(4):
            for unit in range(2):
                name = f"units.{2 * stage + unit}"
                stride = 2 if stage and not unit else 1
                entered = self.rectified(x, f"{name}.input.norm")
                if not unit:
                    before_stages.append(entered)
                hidden = self.rectified(self.convolved(entered, f"{name}.first", stride), f"{name}.first_norm")
                around = x if unit else self.convolved(entered, f"{name}.shortcut", stride)
                x = self.convolved(hidden, f"{name}.second") + around
        x = self.rectified(x, "last.norm")
        for number, skip in enumerate([*before_stages[:0:-1], stem, None]):
            x = x.repeat(2, axis=0).repeat(2, axis=1)
            x = x if skip is None else np.concatenate([x, skip], axis=-1)
            for layer in ("first", "second"):
                name = f"decoders.{number}.{layer}"
                x = self.rectified(self.convolved(x, name), f"{name}_norm")
        scores = np.exp(self.convolved(x, "classes"))
        return scores[..., 1] / scores.sum(axis=-1)


@pytest.fixture(scope="module")
def trained():
    """Running statistics as after training: arbitrary."""
    rng = np.random.default_rng(4)
    network = initial_network(ResNetUNetConfig(base=4), rng)
    for _, leaf in nnx.to_flat_state(nnx.state(network, nnx.Any(nnx.Param, nnx.BatchStat))):
        leaf[...] = jnp.asarray(leaf[...] + rng.uniform(-0.1, 0.1, leaf.shape), jnp.float32)
    return named_arrays(network)


def test_the_network_is_the_one_written_out_up_to_the_border(trained):
    x = np.random.default_rng(5).normal(size=(64, 32)).astype(np.float32)
    expected = Reference(trained).probability(x)
    found = jax.nn.sigmoid(jax.jit(logits, static_argnums=0)(ResNetUNetConfig(base=4), fold(trained), x[None]))[0]
    assert expected.std() > 0.01
    assert np.abs(found - expected).max() <= 1e-5
