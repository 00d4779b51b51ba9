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
from nanocensus.store.commit import commit_bytes


@dataclass(frozen=True)
class Standing:
    """A training between two steps."""

    step: int
    """Steps done."""
    state: Any
    """Pytree of the network's and the optimiser's arrays."""
    kept: Any
    """Pytree of the weights that would be kept now."""
    curve: list[dict[str, Any]]
    """Points of the learning curve, by the names of their fields."""


def write_standing(path: Path, standing: Standing) -> None:
    """Write a training's standing; the file before is there until the new one is whole.

    Raises
    ------
    StoreError
        If the disk refuses.
    """
    leaves = jax.device_get(jax.tree.leaves((standing.state, standing.kept)))
    arrays = {f"{number:05d}": np.asarray(leaf) for number, leaf in enumerate(leaves)}
    metadata = {"step": str(standing.step), "curve": json.dumps(standing.curve)}
    commit_bytes(path, safetensors.numpy.save(arrays, metadata))


def read_standing(path: Path, like: Standing) -> Standing:
    """Read a standing into the structure of another.

    Raises
    ------
    ModelError
        If the file is damaged or of another network.
    """
    leaves, structure = jax.tree.flatten((like.state, like.kept))
    try:
        with safetensors.safe_open(path, framework="numpy") as stream:
            metadata = stream.metadata()
            found = [stream.get_tensor(name) for name in sorted(stream.keys())]
        step, curve = int(metadata["step"]), json.loads(metadata["curve"])
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        raise _unusable(path, f"{error}") from error
    if [np.shape(leaf) for leaf in leaves] != [leaf.shape for leaf in found]:
        raise _unusable(path, "arrays of another network")
    state, kept = jax.tree.unflatten(structure, [jax.numpy.asarray(leaf) for leaf in found])
    return Standing(step, state, kept, curve)


def _unusable(path: Path, got: str) -> ModelError:
    return ModelError(
        path.name,
        expected="the standing of this training",
        got=got,
        remedy="Remove the file: the training then starts anew.",
    )
