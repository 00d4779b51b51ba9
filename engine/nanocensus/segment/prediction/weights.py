"""Files of networks: safetensors with the architecture beside the tensors, and a model card beside the file."""

import functools
import hashlib
import importlib.resources
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from nanocensus.errors import ModelError
from nanocensus.provenance import canonical_json
from nanocensus.segment.networks.architecture import Architecture, UNetConfig, architecture_of
from nanocensus.segment.prediction.domain import read_domain
from nanocensus.segment.prediction.model import Model
from nanocensus.store.commit import commit_bytes

_KEY, _FORMAT = "nanocensus", "nanocensus-unet/1"
_SHIPPED = importlib.resources.files("nanocensus.segment") / "models"


def model_names() -> tuple[str, ...]:
    """Give the names of the shipped models, the default first."""
    stems = (
        entry.name.removesuffix(".safetensors") for entry in _SHIPPED.iterdir() if entry.name.endswith(".safetensors")
    )
    return tuple(sorted(stems))


def load_model(name_or_path: str | Path) -> Model:
    """Load a shipped model by its name, or any model from its file.

    A process loads the same file once, as long as the file is not changed.

    Parameters
    ----------
    name_or_path : str or Path
        "default", another of `model_names`, or the path of a .safetensors file.

    Returns
    -------
    Model

    Raises
    ------
    ModelError
        If there is no such model, or its file holds something else.

    Examples
    --------
    >>> load_model("default").name
    'default'
    """
    if str(name_or_path) in model_names():
        return _load_shipped(str(name_or_path))
    path = Path(name_or_path)
    if not path.is_file():
        raise ModelError(
            f"model {str(name_or_path)!r}",
            expected="a shipped model (" + ", ".join(model_names()) + ") or the path of a .safetensors file",
            got="neither",
            remedy='Check the spelling, or say model = "default".',
        )
    return _load(path.absolute(), _identity(path))  # a link keeps its name and its card


def read_card(name_or_path: str | Path) -> dict[str, Any]:
    """Read what training wrote beside a model; empty where nothing lies there that can be read."""
    folder = _SHIPPED if str(name_or_path) in model_names() else Path(name_or_path).parent
    try:
        stated = json.loads((folder / f"{Path(name_or_path).stem}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # weights can be used without their card
        return {}
    return stated if isinstance(stated, dict) else {}


def save_model(path: Path, config: Architecture, parameters: Mapping[str, np.ndarray]) -> Model:
    """Write a model's weights and architecture as safetensors, in half precision (each within 0.05 %).

    Parameters
    ----------
    path : Path
        File to write, named .safetensors.
    config : Architecture
    parameters : mapping of str to ndarray
        Weights with BatchNorm folded (`nanocensus.segment.networks.parameters.fold`), float32.

    Returns
    -------
    Model
        As `load_model` would give it: with the rounded weights.

    Raises
    ------
    ModelError
        If the weights are not those of the architecture, or too large for half precision (65504).
    StoreError
        If the disk refuses.
    """
    _check(path, config, parameters)
    with np.errstate(over="ignore"):  # the check tells
        halves = {name: array.astype(np.float16) for name, array in sorted(parameters.items())}
    _check(path, config, {name: array.astype(np.float32) for name, array in halves.items()})
    # One key: safetensors writes several in any order, and equal weights shall give equal bytes.
    metadata = {_KEY: canonical_json({"format": _FORMAT, "config": config.to_dict()})}
    tensors = {name: np.ascontiguousarray(array) for name, array in halves.items()}
    commit_bytes(path, safetensors.numpy.save(tensors, metadata))
    return load_model(path)


def _load_shipped(name: str) -> Model:
    with importlib.resources.as_file(_SHIPPED / f"{name}.safetensors") as path:
        model = _load(path, _identity(path))
    stated = read_card(name)["digest"]
    if model.digest != stated:
        raise ModelError(
            f"shipped model {name!r}",
            expected=f"the digest {stated[:16]} of its model card",
            got=model.digest[:16],
            remedy="Its file was damaged or replaced: install nanocensus again, or give your own model by its path.",
        )
    return model


def _identity(path: Path) -> tuple[int, ...]:
    """Give what changes when a model's file or card is replaced, even within the clock's resolution."""
    states = [each.stat() for each in (path, path.with_suffix(".json")) if each.exists()]
    return tuple(number for state in states for number in (state.st_ino, state.st_mtime_ns, state.st_size))


@functools.lru_cache(maxsize=8)
def _load(path: Path, identity: tuple[int, ...]) -> Model:
    try:
        with safetensors.safe_open(path, framework="numpy") as stream:
            metadata = stream.metadata() or {}
            parameters = {name: _in_single(stream.get_tensor(name)) for name in sorted(stream.keys())}
        stated = json.loads(metadata.get(_KEY, "{}"))
    except (safetensors.SafetensorError, json.JSONDecodeError, TypeError) as error:
        raise ModelError(
            path.name,
            expected="a safetensors file written by nanocensus train",
            got=f"{error}",
            remedy="Train the model again, or copy its file again.",
        ) from error
    if not isinstance(stated, dict) or stated.get("format") != _FORMAT or not isinstance(stated.get("config"), dict):
        raise ModelError(
            path.name,
            expected=f"weights of the format {_FORMAT} with their architecture",
            got="none of it in the file's metadata",
            remedy="Weights of other programs do not fit; train with nanocensus train.",
        )
    architecture = architecture_of(stated["config"])
    _check(path, architecture, parameters)
    for array in parameters.values():
        array.flags.writeable = False
    digest = _digest(architecture, parameters)
    return Model(path.stem, digest, architecture, parameters, read_domain(path.with_suffix(".json"), digest))


def _in_single(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _check(path: Path, config: Architecture, parameters: Mapping[str, np.ndarray]) -> None:
    """Refuse weights that are not exactly those of the architecture."""
    from nanocensus.segment.networks.parameters import parameter_shapes

    shapes = parameter_shapes(config)
    wrong = [f"no {name}" for name in shapes if name not in parameters]
    wrong += [f"an unknown {name}" for name in parameters if name not in shapes]
    wrong += [
        f"{name} as {array.dtype}{list(array.shape)}"
        for name, array in parameters.items()
        if name in shapes and (array.shape != shapes[name] or array.dtype != np.float32)
    ]
    if not wrong and not all(np.isfinite(array).all() for array in parameters.values()):
        wrong = ["values that are not finite"]
    if wrong:
        raise ModelError(
            path.name,
            expected=f"the float32 weights of the architecture {config.to_dict()}",
            got=", ".join(wrong[:3]) + (f" and {len(wrong) - 3} more faults" if len(wrong) > 3 else ""),
            remedy="Train the model again, or copy its file again.",
        )


def _digest(config: Architecture, parameters: Mapping[str, np.ndarray]) -> str:
    fields = config.to_dict()
    if isinstance(config, UNetConfig):
        del fields["kind"]  # a network's digest is older than its kind
    digest = hashlib.sha256(canonical_json(fields).encode())
    for name, array in sorted(parameters.items()):
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
