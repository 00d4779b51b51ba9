"""One OME-NGFF 0.5 image: its metadata, its layout on disk with smaller copies, and reading it without trust."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from jaxtyping import Shaped
from zarr.codecs import BloscCodec, Crc32cCodec

from nanocensus.errors import DamageError, NanocensusError
from nanocensus.schema import FORMAT_VERSION
from nanocensus.store.commit import commit_bytes
from nanocensus.store.images.pyramid import copies, transformations
from nanocensus.store.seal import UNSEALED, read_metadata, sealed

NGFF_VERSION = "0.5"
CHUNK = 1024
"""Side of a chunk, px: what a viewer fetches to show a corner."""

METADATA = "zarr.json"
FACTS = "nanocensus"
"""The attribute that holds what is ours; `ome` holds what is the standard's."""


def ome_image(name: str, pixel_size_nm: float, *, levels: int = 1, labels: bool = False) -> dict[str, Any]:
    """Give the `ome` attribute of an image or label image: axes in nanometres, the whole image and its copies."""
    axes = [{"name": axis, "type": "space", "unit": "nanometer"} for axis in ("y", "x")]
    datasets = [
        {"path": str(level), "coordinateTransformations": transformations(pixel_size_nm, level, labels=labels)}
        for level in range(levels)
    ]
    multiscale = {"name": name, "axes": axes, "datasets": datasets}
    if levels > 1:
        multiscale["type"] = "nearest" if labels else "mean"
    source = {"image-label": {"source": {"image": "../../"}}} if labels else {}
    return {"version": NGFF_VERSION, "multiscales": [multiscale]} | source


def levels_of(ome: Mapping[str, Any]) -> int:
    """Give the number of images that the `ome` attribute of an image names: the whole one and its copies."""
    try:
        return len(ome["multiscales"][0]["datasets"])
    except (KeyError, IndexError, TypeError):
        return 1


def layout(shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Give the shape of a chunk, and of the one shard that holds them all."""
    chunks = tuple(min(CHUNK, n) for n in shape)
    return chunks, tuple(-(-n // chunk) * chunk for n, chunk in zip(shape, chunks, strict=True))


def write_image(
    folder: Path,
    pixels: Shaped[np.ndarray, "y x"],
    facts: Mapping[str, Any],
    *,
    name: str,
    pixel_size_nm: float,
    labels: bool = False,
    noisy: bool = False,
    pyramid: bool = False,
) -> None:
    """Write an image as a group with an array, and one for each copy: each a whole shard in one assignment.

    LZ4 packs a noisy micrograph to within 3 % of what Zstandard makes of it in a third of the time, and a map or labels,
    which hardly need packing, in a tenth: packing was most of what the cores beside a GPU did.

    Parameters
    ----------
    facts : mapping
        What is ours of its attributes.
    name, pixel_size_nm, labels
        See `ome_image`.
    noisy : bool
        Whether the low bits are noise, which is then set apart bit by bit.
    pyramid : bool
        Whether smaller copies are written beside it.
    """
    levels: Sequence[np.ndarray] = [pixels, *(copies(pixels, labels=labels) if pyramid else ())]
    ome = ome_image(name, pixel_size_nm, levels=len(levels), labels=labels)
    group = zarr.create_group(folder)
    for level, each in enumerate(levels):
        _write_array(group, str(level), each, noisy=noisy)
        write_attributes(folder / str(level), {})
    write_attributes(folder, {"ome": ome, FACTS: dict(facts)})


def write_attributes(folder: Path, told: Mapping[str, Any]) -> None:
    """Replace the attributes of a group or array, sealed, at once.

    Parameters
    ----------
    folder : Path
        That of the group or array, which may be new.
    told : mapping
        The attributes; the format version and the seal are added to what is ours of them.

    Raises
    ------
    StoreError
        If the disk refuses.
    """
    path = folder / METADATA
    node = json.loads(path.read_bytes()) if path.exists() else {"zarr_format": 3, "node_type": "group"}
    facts = {**told.get(FACTS, {}), "format_version": FORMAT_VERSION, "seal": UNSEALED}
    node["attributes"] = {**told, FACTS: facts}
    commit_bytes(path, sealed((json.dumps(node, indent=2, ensure_ascii=False) + "\n").encode()))


def _write_array(group: zarr.Group, name: str, pixels: Shaped[np.ndarray, "y x"], *, noisy: bool) -> None:
    chunks, shards = layout(pixels.shape)
    shuffle: Literal["bitshuffle", "shuffle"] = "bitshuffle" if noisy else "shuffle"
    blosc = BloscCodec(cname="lz4", clevel=5, shuffle=shuffle, typesize=pixels.dtype.itemsize)
    array = group.create_array(
        name,
        shape=pixels.shape,
        dtype=pixels.dtype,
        chunks=chunks,
        shards=shards,
        compressors=[blosc, Crc32cCodec()],
        fill_value=0,
        dimension_names=("y", "x"),
        config={"write_empty_chunks": True},  # so that an absent shard is always damage, never "all zero"
    )
    array[...] = pixels


WHOLE = (slice(None), slice(None))


def read_array(
    folder: Path, subject: str, dtype: np.dtype[Any] | None = None, window: tuple[slice, slice] = WHOLE
) -> np.ndarray:
    """Read an array, or a window of it: no more chunks are decoded than it lies on.

    Raises
    ------
    DamageError
        If a byte of what is read is missing or changed, or it has another type than `dtype`.
    """
    with understood(subject):
        read_metadata(folder / METADATA)
        array = zarr.open_array(folder, mode="r")
        # Zarr reads an absent or empty shard as zeros without a word.
        shard = folder / "c" / "0" / "0"
        if not shard.exists() or not shard.stat().st_size:
            raise damage(subject, "its data", "an absent or empty file")
        if (array.chunks, array.shards) != layout(array.shape) or dtype not in (None, array.dtype):
            raise damage(subject, "one shard", f"{array.dtype} of shape {array.shape}, shards {array.shards}")
        return np.asarray(array[window])


def read_image_attributes(folder: Path, subject: str) -> Mapping[str, Any]:
    """Give the attributes of an image's group: `ome` and what is ours.

    Raises
    ------
    DamageError
        If it is missing or its metadata are damaged.
    FormatVersionError
        If a newer nanocensus wrote it.
    """
    if not (folder / METADATA).exists():
        raise damage(subject, f"a Zarr group in {folder.parent.name}", "none")
    with understood(subject):
        node = read_metadata(folder / METADATA)
        if node["node_type"] != "group":
            raise ValueError("an array in the place of a group")
        stated: Mapping[str, Any] = node["attributes"]
        if "format_version" not in stated[FACTS]:
            raise ValueError("a group that nanocensus did not write")
        return stated


def check_image(folder: Path, subject: str) -> None:
    """Read through an image and its copies.

    Raises
    ------
    DamageError
        If something is missing or changed.
    """
    for level in range(levels_of(read_image_attributes(folder, subject).get("ome", {}))):
        read_array(folder / str(level), subject)


@contextlib.contextmanager
def understood(subject: str) -> Iterator[None]:
    """Turn whatever damaged bytes make the libraries raise into a `DamageError` that names the subject."""
    try:
        yield
    except (NanocensusError, MemoryError):
        raise
    except Exception as cause:  # bytes that changed raise anything: JSON, codec, checksum and key errors
        raise damage(subject, "the bytes that were written", f"{type(cause).__name__}: {str(cause)[:200]}") from cause


def damage(subject: str, expected: str, got: str) -> DamageError:
    """Make the error that says what to do about damage in the store."""
    return DamageError(
        subject,
        expected=expected,
        got=got,
        remedy="Run `nanocensus doctor` on the results, then the job again: only what is damaged is made again.",
    )
