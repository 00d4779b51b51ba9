"""Label images in Zarr: those of OME-NGFF 0.4 and 0.5, and plain arrays."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from jaxtyping import Shaped

from nanocensus.errors import ImageError
from nanocensus.store.formats.planes import LARGEST_PIXELS


def read_label_array(path: Path) -> Shaped[np.ndarray, "..."]:
    """Read the label image of a Zarr folder at full resolution.

    Parameters
    ----------
    path : Path
        An array; a label image (multiscales and image-label in its attributes); or an image or its group `labels`, if
        there is just one label image in it.

    Returns
    -------
    ndarray
        As stored; axes of length one in front are left out.

    Raises
    ------
    ImageError
        If there is none, there are several, or it has more than two dimensions.
    """
    try:
        found = zarr.open(path, mode="r")
    except Exception as cause:  # damaged metadata raise anything
        raise _refusal(path, "a Zarr array or group", f"{type(cause).__name__}: {cause}") from cause
    array = found if isinstance(found, zarr.Array) else _full_resolution(path, found)
    shape = array.shape
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) != 2:
        raise _refusal(path, "rows and columns", f"labels of shape {array.shape}")
    if shape[0] * shape[1] > LARGEST_PIXELS:
        raise _refusal(path, f"at most {LARGEST_PIXELS} pixels", f"{shape[0]} x {shape[1]}")
    try:
        return np.asarray(array[...]).reshape(shape)
    except Exception as cause:  # so do damaged chunks
        raise _refusal(path, "chunks that can be read", f"{type(cause).__name__}: {cause}") from cause


def _full_resolution(path: Path, group: zarr.Group) -> zarr.Array[Any]:
    facts = _ome(group)
    if "image-label" not in facts and isinstance(labels := group.get("labels"), zarr.Group):
        return _full_resolution(path, labels)
    if isinstance(facts.get("labels"), list):
        names = [str(name) for name in facts["labels"]]
        inside = group.get(names[0]) if len(names) == 1 else None
        if not isinstance(inside, zarr.Group):
            raise _refusal(path, "one label image", ", ".join(names) or "none", names)
        return _full_resolution(path, inside)
    try:
        array = group[str(facts["multiscales"][0]["datasets"][0]["path"])]
    except (KeyError, IndexError, TypeError):
        array = group
    if "image-label" not in facts or not isinstance(array, zarr.Array):
        raise _refusal(path, "labels: a group `labels`, or multiscales with image-label", "neither")
    return array


def _ome(group: zarr.Group) -> Mapping[str, Any]:
    """Give what OME-NGFF says of a group: under `ome` since 0.5, before at the top."""
    stated = group.attrs.asdict()
    inner = stated.get("ome", stated)
    return inner if isinstance(inner, Mapping) else {}


def _refusal(path: Path, expected: str, got: str, names: list[str] | None = None) -> ImageError:
    remedy = "Name the folder of the label image itself, <image>.zarr/labels/<name>, or save the labels as TIFF."
    if names:
        remedy = f"Name one of them: {path.name}{'' if path.name == 'labels' else '/labels'}/{names[0]}."
    return ImageError(f"mask {path}", expected=expected, got=got, remedy=remedy)
