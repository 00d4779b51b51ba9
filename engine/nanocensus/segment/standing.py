"""Where a training stands, on disk: whoever goes on from it comes to the same weights."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors
import safetensors.numpy

from nanocensus.errors import ModelError


@dataclass(frozen=True)
class Standing:
    """A training between two steps."""

    step: int
    """Steps done."""
    state: Any
    """Pytree of the network's and the optimiser's arrays."""
    average: Any
    """Pytree of the averaged weights."""
    losses: list[float]


def write_standing(path: Path, standing: Standing) -> None:
    """Write a training's standing; the file before is there until the new one is whole."""
    leaves = jax.device_get(jax.tree.leaves((standing.state, standing.average)))
    arrays = {f"{number:05d}": np.asarray(leaf) for number, leaf in enumerate(leaves)}
    metadata = {"step": str(standing.step), "losses": json.dumps(standing.losses)}
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(safetensors.numpy.save(arrays, metadata))
    partial.replace(path)


def read_standing(path: Path, like: Standing) -> Standing:
    """Read a standing into the structure of another.

    Raises
    ------
    ModelError
        If the file is damaged or of another network.
    """
    leaves, structure = jax.tree.flatten((like.state, like.average))
    try:
        with safetensors.safe_open(path, framework="numpy") as stream:
            metadata = stream.metadata()
            found = [stream.get_tensor(name) for name in sorted(stream.keys())]
        step, losses = int(metadata["step"]), json.loads(metadata["losses"])
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        raise _unusable(path, f"{error}") from error
    if [np.shape(leaf) for leaf in leaves] != [leaf.shape for leaf in found]:
        raise _unusable(path, "arrays of another network")
    state, average = jax.tree.unflatten(structure, [jax.numpy.asarray(leaf) for leaf in found])
    return Standing(step, state, average, losses)


def _unusable(path: Path, got: str) -> ModelError:
    return ModelError(
        path.name,
        expected="the standing of this training",
        got=got,
        remedy="Remove the file: the training then starts anew.",
    )
