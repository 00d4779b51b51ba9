"""The weights of a network: drawn, named, folded, and put to use."""

import functools
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from nanocensus.segment.architecture import UNetConfig
from nanocensus.segment.unet import BATCH_NORM_EPSILON, UNet


def initial_network(config: UNetConfig, rng: np.random.Generator) -> UNet:
    """Make a network to be trained: convolutions as He et al. (2015) draw them, BatchNorm at rest.

    numpy draws the weights, because jax would compile a program for each of their shapes.

    Parameters
    ----------
    config : UNetConfig
    rng : numpy.random.Generator

    Returns
    -------
    UNet
        With BatchNorm.
    """
    graph, state = nnx.split(nnx.eval_shape(lambda: UNet(config, normalised=True)))
    leaves = []
    for path, leaf in sorted(nnx.to_flat_state(state), key=lambda entry: tuple(map(str, entry[0]))):
        if path[-1] == "kernel":
            drawn = rng.standard_normal(leaf.shape, np.float32) * np.float32(np.sqrt(2 / np.prod(leaf.shape[:-1])))
        else:
            drawn = np.full(leaf.shape, 1 if path[-1] in ("scale", "var") else 0, np.float32)
        leaves.append((path, leaf.replace(jnp.asarray(drawn))))
    network: UNet = nnx.merge(graph, nnx.from_flat_state(leaves))
    return network


def named_arrays(network: UNet) -> dict[str, np.ndarray]:
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
    """Fold each BatchNorm into the convolution before it.

    With running mean m, variance v, scale g and shift b, ``g (w * x - m) / sqrt(v + e) + b`` is a convolution with the
    weights ``w g / sqrt(v + e)`` and the bias ``b - m g / sqrt(v + e)``.

    Parameters
    ----------
    trained : mapping of str to ndarray
        What `named_arrays` gives of a network with BatchNorm.

    Returns
    -------
    dict of str to ndarray
        The weights of the same network without it, float32.
    """
    folded = {name: array for name, array in trained.items() if "_norm." not in name}
    for name in trained:
        if not name.endswith("_norm.scale"):
            continue
        norm = name.removesuffix(".scale")
        convolution = norm.removesuffix("_norm")
        mean, variance, shift, scale = (
            trained[f"{norm}.{part}"].astype(np.float64) for part in ("mean", "var", "bias", "scale")
        )
        gain = scale / np.sqrt(variance + BATCH_NORM_EPSILON)
        folded[f"{convolution}.kernel"] = (trained[f"{convolution}.kernel"] * gain).astype(np.float32)
        folded[f"{convolution}.bias"] = (shift - mean * gain).astype(np.float32)
    return dict(sorted(folded.items()))


@functools.cache
def parameter_shapes(config: UNetConfig) -> Mapping[str, tuple[int, ...]]:
    """Give the name and shape of every weight of the network without BatchNorm; computes nothing."""
    network = nnx.eval_shape(lambda: UNet(config, normalised=False))
    state = nnx.to_flat_state(nnx.state(network, nnx.Param))
    return {".".join(map(str, path)): tuple(leaf.shape) for path, leaf in state}


def logits(
    config: UNetConfig, parameters: Mapping[str, Array | np.ndarray], x: Float[Array, "n y x"]
) -> Float[Array, "n y x"]:
    """Run the network without BatchNorm on standardised pixels; a pure function to be compiled.

    Parameters
    ----------
    config : UNetConfig
    parameters : mapping of str to array
        Weights by their dotted names.
    x : (n, y, x) array of float32
        Standardised pixels; y and x are multiples of the stride.

    Returns
    -------
    (n, y, x) array of float32
    """
    return network_of(config, parameters)(x)


def network_of(config: UNetConfig, parameters: Mapping[str, Array | np.ndarray]) -> UNet:
    """Put weights into the network without BatchNorm.

    Parameters
    ----------
    config : UNetConfig
    parameters : mapping of str to array
        Weights by their dotted names.

    Returns
    -------
    UNet
    """
    graph, state = _template(config)
    leaves = [(path, leaf.replace(jnp.asarray(parameters[".".join(map(str, path))]))) for path, leaf in state]
    network: UNet = nnx.merge(graph, nnx.from_flat_state(leaves))
    return network


@functools.cache
def _template(config: UNetConfig) -> tuple[Any, Any]:
    graph, state = nnx.split(nnx.eval_shape(lambda: UNet(config, normalised=False)))
    return graph, nnx.to_flat_state(state)
