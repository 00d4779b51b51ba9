"""The weights of a network: drawn, named, folded, and put to use."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float32

from nanocensus.segment.networks.architecture import Architecture, Precision, UNetConfig
from nanocensus.segment.networks.convolutions import BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM
from nanocensus.segment.networks.resnet_unet import ResNetUNet
from nanocensus.segment.networks.unet import UNet

Network = UNet | ResNetUNet


def initial_network(config: Architecture, rng: np.random.Generator) -> Network:
    """Make a network to be trained: convolutions as He et al. (2015) draw them, BatchNorm at rest.

    numpy draws the weights, and they are put on the device as they are: jax, `jnp.asarray` too, would compile a program
    for each of their shapes.

    Parameters
    ----------
    config : Architecture
    rng : numpy.random.Generator

    Returns
    -------
    UNet or ResNetUNet
        With BatchNorm.
    """
    graph, state = nnx.split(nnx.eval_shape(lambda: _network(config, normalised=True)))
    leaves = []
    for path, leaf in sorted(nnx.to_flat_state(state), key=lambda entry: tuple(map(str, entry[0]))):
        if path[-1] == "kernel":
            drawn = rng.standard_normal(leaf.shape, np.float32) * np.float32(np.sqrt(2 / np.prod(leaf.shape[:-1])))
        else:
            drawn = np.full(leaf.shape, 1 if path[-1] in ("scale", "var") else 0, np.float32)
        leaves.append((path, leaf.replace(jax.device_put(drawn))))
    network: Network = nnx.merge(graph, nnx.from_flat_state(leaves))
    return network


def _network(config: Architecture, *, normalised: bool) -> Network:
    if isinstance(config, UNetConfig):
        return UNet(config, normalised=normalised)
    return ResNetUNet(config, normalised=normalised)


def named_arrays(network: Network) -> dict[str, np.ndarray]:
    """Give every weight and running statistic of a network by its dotted name, on the host.

    Parameters
    ----------
    network : UNet

    Returns
    -------
    dict of str to ndarray
        float32, in the order of their names.
    """
    state = nnx.to_flat_state(nnx.state(network, nnx.Any(nnx.Param, nnx.BatchStat)))
    arrays = {".".join(map(str, path)): np.asarray(leaf[...]) for path, leaf in state}
    return dict(sorted(arrays.items()))


def fold(trained: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Fold each BatchNorm into the convolution before it, and a head of two classes into their difference.

    With running mean m, variance v, scale g and shift b, ``g (w * x - m) / sqrt(v + e) + b`` is a convolution with the
    weights ``w g / sqrt(v + e)`` and the bias ``b - m g / sqrt(v + e)``. Where no convolution is before it, the two
    stay as the scale and the shift of each channel. The softmax of two classes is the sigmoid of their difference,
    which one convolution gives as well as two.

    Parameters
    ----------
    trained : mapping of str to ndarray
        What `named_arrays` gives of a network with BatchNorm.

    Returns
    -------
    dict of str to ndarray
        The weights of the same network without it, float32.
    """
    norms = {name.removesuffix(".mean") for name in trained if name.endswith(".mean")}
    folded = {name: array for name, array in trained.items() if name.rpartition(".")[0] not in norms}
    for norm in norms:
        mean, variance, shift, scale = (
            trained[f"{norm}.{part}"].astype(np.float64) for part in ("mean", "var", "bias", "scale")
        )
        gain = scale / np.sqrt(variance + BATCH_NORM_EPSILON)
        offset = (shift - mean * gain).astype(np.float32)
        if norm.endswith(".norm"):  # a rectifier's own
            place = norm.removesuffix(".norm")
            folded |= {f"{place}.scale": gain.astype(np.float32), f"{place}.shift": offset}
        else:
            convolution = norm.removesuffix("_norm")
            kernel = (trained[f"{convolution}.kernel"] * gain).astype(np.float32)
            folded |= {f"{convolution}.kernel": kernel, f"{convolution}.bias": offset}
    classes = [name for name in folded if name.startswith("classes.")]
    folded |= {name: folded[name][..., 1:] - folded[name][..., :1] for name in classes}
    return dict(sorted(folded.items()))


def unfold(config: Architecture, folded: Mapping[str, np.ndarray], x: Float[Array, "n y x"]) -> Network:
    """Give a network BatchNorm back, so that it can be trained on: the reverse of `fold`.

    What BatchNorm was is lost. Here its statistics are those of `x`, and its scale and shift undo the
    normalisation: on these patches the network gives what it gave before.

    Parameters
    ----------
    config : Architecture
    folded : mapping of str to ndarray
        Weights by their dotted names.
    x : (n, y, x) array of float
        Standardised pixels of patches that are like those to be trained on.

    Returns
    -------
    UNet or ResNetUNet
        With BatchNorm.
    """
    network = initial_network(config, np.random.default_rng(0))
    weights = dict(nnx.to_flat_state(nnx.state(network, nnx.Any(nnx.Param, nnx.BatchStat))))
    named = {".".join(map(str, path)): weight for path, weight in weights.items()}
    for name, weight in named.items():
        if name in folded:
            values = np.zeros(weight.shape, np.float32)
            # Of two classes that were folded into their difference, the first scores nothing.
            values[..., values.shape[-1] - folded[name].shape[-1] :] = folded[name]
            weight[...] = jax.device_put(values)
    norms = [name.removesuffix(".mean") for name in named if name.endswith(".mean")]
    network.set_attributes(nnx.BatchNorm, momentum=0.0)
    see = nnx.jit(lambda network, x: network(x))
    for _ in norms:  # each time one more of them, in their order, meets what it met before
        see(network, x)
        for norm in norms:
            mean, variance = (np.asarray(named[f"{norm}.{part}"][...]) for part in ("mean", "var"))
            spread = np.sqrt(variance + np.float32(BATCH_NORM_EPSILON))
            place = norm.removesuffix(".norm")
            if place != norm:  # a rectifier's own
                gain, offset = folded[f"{place}.scale"], folded[f"{place}.shift"]
            else:
                gain, offset = np.ones(1, np.float32), folded[f"{norm.removesuffix('_norm')}.bias"]
            named[f"{norm}.scale"][...] = jax.device_put(gain * spread)
            named[f"{norm}.bias"][...] = jax.device_put(offset + gain * mean)
    network.set_attributes(nnx.BatchNorm, momentum=BATCH_NORM_MOMENTUM)
    return network


@functools.cache
def parameter_shapes(config: Architecture) -> Mapping[str, tuple[int, ...]]:
    """Give the name and shape of every weight of the network without BatchNorm; computes nothing."""
    network = nnx.eval_shape(lambda: _network(config, normalised=False))
    state = nnx.to_flat_state(nnx.state(network, nnx.Param))
    return {".".join(map(str, path)): tuple(leaf.shape) for path, leaf in state}


def logits(
    config: Architecture,
    parameters: Mapping[str, Array | np.ndarray],
    x: Float[Array, "n y x"],
    precision: Precision = "float32",
) -> Float32[Array, "n y x"]:
    """Run the network without BatchNorm on standardised pixels; a pure function to be compiled.

    Parameters
    ----------
    config : Architecture
    parameters : mapping of str to array
        Weights by their dotted names.
    x : (n, y, x) array of float32
        Standardised pixels; y and x are multiples of the stride.
    precision : {"float32", "bfloat16"}
        Of the weights and of the features in between.

    Returns
    -------
    (n, y, x) array of float32
    """
    return network_of(config, parameters, precision)(x.astype(precision)).astype(jnp.float32)


def network_of(
    config: Architecture, parameters: Mapping[str, Array | np.ndarray], precision: Precision = "float32"
) -> Network:
    """Put weights into the network without BatchNorm.

    Parameters
    ----------
    config : Architecture
    parameters : mapping of str to array
        Weights by their dotted names.
    precision : {"float32", "bfloat16"}
        Of the weights.

    Returns
    -------
    UNet or ResNetUNet
    """
    graph, state = _template(config)
    leaves = [
        (path, leaf.replace(jnp.asarray(parameters[".".join(map(str, path))], precision))) for path, leaf in state
    ]
    network: Network = nnx.merge(graph, nnx.from_flat_state(leaves))
    return network


@functools.cache
def _template(config: Architecture) -> tuple[Any, Any]:
    graph, state = nnx.split(nnx.eval_shape(lambda: _network(config, normalised=False)))
    return graph, nnx.to_flat_state(state)
