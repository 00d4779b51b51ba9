"""Micrographs, probability maps and labels in one Zarr v3 store, readable by any OME-NGFF 0.5 viewer.

::

    micrographs.zarr/<micrograph>/0                  as recorded
                                 /probability/0      uint8, 255 = surely particle
                                 /labels/<name>/0    int32, 0 = background

and beside each `0`, unless the store is made without, `1`, `2`, ...: smaller copies for viewers.
Each array is one shard, because writers inside one shard lose each other's data: one task writes one whole array.
A micrograph is named by its content, and each chunk carries its checksum. Everything is made beside the store and renamed
into it when complete; nothing is consolidated, and nobody lists the store.
"""

import contextlib
import hashlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Int32, Shaped, UInt8

from nanocensus.errors import DamageError, StoreError
from nanocensus.provenance import canonical_json
from nanocensus.store.commit import commit_tree, partial_path, writing
from nanocensus.store.images.images import (
    FACTS,
    METADATA,
    NGFF_VERSION,
    check_image,
    damage,
    levels_of,
    ome_image,
    read_array,
    read_image_attributes,
    write_attributes,
    write_image,
)


def content_digest(pixels: Shaped[np.ndarray, "y x"]) -> str:
    """Give the SHA-256 of the recorded values, their type and shape; its first 16 digits name the micrograph.

    Examples
    --------
    >>> content_digest(np.zeros((2, 2), np.uint8))[:16]
    'e1911cc3074f2139'
    """
    native = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<"))
    hashed = hashlib.sha256(canonical_json([pixels.dtype.name, list(pixels.shape)]).encode())
    hashed.update(native.data)
    return hashed.hexdigest()


def create_store(path: Path, *, pyramid: bool = True) -> None:
    """Make an empty store, or keep the one that is there; what its own metadata say is said again if they are damaged.

    Parameters
    ----------
    path : Path
    pyramid : bool
        Whether what is written from now on gets smaller copies for viewers beside it.

    Raises
    ------
    FormatVersionError
        If a newer nanocensus wrote it.
    """
    try:
        if read_image_attributes(path, str(path))[FACTS].get("pyramid", False) == pyramid:
            return
    except DamageError:
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
            (path / METADATA).unlink(missing_ok=True)
    write_attributes(path, {FACTS: {"kind": "micrographs", "pyramid": pyramid}})


def _has_pyramid(store: Path) -> bool:
    """Say whether images of a store get smaller copies; those of stores of earlier versions do not."""
    return read_image_attributes(store, str(store))[FACTS].get("pyramid") is True


def write_micrograph(
    store: Path,
    micrograph: str,
    pixels: Shaped[np.ndarray, "y x"],
    *,
    name: str,
    pixel_size_nm: float,
    header: Mapping[str, str | int | float] | None = None,
    digest: str | None = None,
) -> None:
    """Write a micrograph as recorded; one that is there and whole is kept, a damaged one is replaced.

    Parameters
    ----------
    store : Path
        Path of ``micrographs.zarr``.
    micrograph : str
        The first 16 digits of `content_digest(pixels)`.
    pixels : array, (y, x)
        As recorded, 8 to 64 bits.
    name : str
        What viewers show.
    pixel_size_nm : float
        Side of a pixel, nm.
    header : mapping, optional
        What the file's header says about the exposure; kept among the attributes.
    digest : str, optional
        `content_digest(pixels)`, where it is known: it takes as long as writing.

    Raises
    ------
    StoreError
        If `micrograph` is not the name of these pixels, or the disk refuses.
    """
    expected = (content_digest(pixels) if digest is None else digest)[:16]
    if micrograph != expected:
        raise StoreError(
            f"micrograph {micrograph}",
            expected=f"{expected}, the name of its content",
            got=repr(micrograph),
            remedy="Name a micrograph by the first 16 digits of its content digest.",
        )
    there = (store / micrograph).exists()
    if there:
        with contextlib.suppress(DamageError):
            check_image(store / micrograph, f"micrograph {micrograph}")
            if np.array_equal(read_pixels(store, micrograph), pixels):
                describe_micrograph(store, micrograph, name=name, pixel_size_nm=pixel_size_nm)
                return
    # Where there was none, one that another writer has made meanwhile stays: a third may be describing it.
    with _made_beside(store, store / micrograph, replace=there) as folder:
        facts = {"header": dict(header or {})}
        pyramid = _has_pyramid(store)
        write_image(folder, pixels, facts, name=name, pixel_size_nm=pixel_size_nm, noisy=True, pyramid=pyramid)


def describe_micrograph(store: Path, micrograph: str, *, name: str, pixel_size_nm: float) -> None:
    """Change the name and pixel size that viewers of a micrograph, its probability maps and labels are told.

    Raises
    ------
    DamageError
        If the micrograph is not there or its metadata are damaged.
    """
    folder = store / micrograph
    for image in [folder, *sorted(folder.glob("probability*")), *sorted(folder.glob("labels/*"))]:
        if image != folder and not (image / METADATA).exists():
            continue
        told = read_image_attributes(image, f"micrograph {micrograph}")
        stated = dict(told.get("ome", {}))
        shown = name if image == folder else image.name
        current = ome_image(shown, pixel_size_nm, levels=levels_of(stated), labels="image-label" in stated)
        if stated != stated | current:
            write_attributes(image, {**told, "ome": stated | current})


def read_pixels(store: Path, micrograph: str) -> Shaped[np.ndarray, "y x"]:
    """Read a micrograph as recorded; checksums prove that not a bit has changed.

    That it is the micrograph of its name, and no other in its place, takes as long again to prove: `doctor` does.

    Raises
    ------
    DamageError
        If it is missing or damaged.
    """
    subject = f"micrograph {micrograph}"
    read_image_attributes(store / micrograph, subject)
    return read_array(store / micrograph / "0", subject)


def write_probability(
    store: Path, micrograph: str, probability: UInt8[np.ndarray, "y x"], *, segment_digest: str, sibling: str = ""
) -> None:
    """Write the probability map of a micrograph, replacing another; its metadata come last and mark it as complete.

    Parameters
    ----------
    store, micrograph
        As in `write_micrograph`; the micrograph must be there.
    probability : uint8 array, (y, x)
        255 = surely particle.
    segment_digest : str
        Digest of all that the map depends on.
    sibling : str
        Name of the network, if it is a sibling of the one that the particles are measured by.

    Raises
    ------
    DamageError
        If the micrograph is not there.
    StoreError
        If the disk refuses.
    """
    name = _map_name(sibling)
    size, pyramid = _pixel_size_of(store, micrograph), _has_pyramid(store)
    with _made_beside(store, store / micrograph / name) as folder:
        facts = {"segment_digest": segment_digest}
        write_image(folder, probability, facts, name=name, pixel_size_nm=size, pyramid=pyramid)


def _map_name(sibling: str) -> str:
    return f"probability_{sibling}" if sibling else "probability"


def stored_siblings(store: Path, micrograph: str) -> list[str]:
    """Give the names of the sibling networks whose maps of a micrograph are there, in their order."""
    prefix = _map_name("x").removesuffix("x")
    return sorted(place.name.removeprefix(prefix) for place in (store / micrograph).glob(f"{prefix}*"))


def read_probability(store: Path, micrograph: str, *, sibling: str = "") -> tuple[UInt8[np.ndarray, "y x"], str] | None:
    """Read the probability map and the digest of what made it; None if there is none, or none that was completed.

    With the name of a sibling network, its map.

    Raises
    ------
    DamageError
        If it was completed and is damaged now.
    """
    name = _map_name(sibling)
    folder, subject = store / micrograph / name, f"{name} of micrograph {micrograph}"
    if not (folder / METADATA).exists():
        return None
    segment_digest = read_image_attributes(folder, subject)[FACTS].get("segment_digest")
    if not isinstance(segment_digest, str):
        return None
    return read_array(folder / "0", subject, np.dtype("uint8")), segment_digest


def write_labels(
    store: Path,
    micrograph: str,
    labels: Int32[np.ndarray, "y x"],
    *,
    name: str = "particles",
    measure_digest: str | None = None,
) -> None:
    """Write a label image of a micrograph, replacing another of that name.

    Parameters
    ----------
    store, micrograph
        As in `write_micrograph`; the micrograph must be there.
    labels : int32 array, (y, x)
        0 = background.
    name : str
        "particles", "truth", ...
    measure_digest : str, optional
        Digest of all that the labels depend on, where they were computed.

    Raises
    ------
    DamageError
        If the micrograph is not there.
    StoreError
        If the disk refuses.
    """
    size, pyramid = _pixel_size_of(store, micrograph), _has_pyramid(store)
    facts = {"measure_digest": measure_digest}
    with _made_beside(store, store / micrograph / "labels" / name) as folder:
        write_image(folder, labels, facts, name=name, pixel_size_nm=size, labels=True, pyramid=pyramid)
    parent = store / micrograph / "labels"
    names = sorted({path.parent.name for path in parent.glob("*/zarr.json")})
    (parent / METADATA).unlink(missing_ok=True)  # whatever it says
    write_attributes(parent, {"ome": {"version": NGFF_VERSION, "labels": names}})


def read_labels(store: Path, micrograph: str, *, name: str = "particles") -> Int32[np.ndarray, "y x"] | None:
    """Read a label image of a micrograph; None if there is none of that name.

    Raises
    ------
    DamageError
        If it is damaged.
    """
    folder, subject = store / micrograph / "labels" / name, f"labels {name!r} of micrograph {micrograph}"
    if not (folder / METADATA).exists():
        return None
    read_image_attributes(folder, subject)
    return read_array(folder / "0", subject, np.dtype("int32"))


def read_window(
    store: Path, micrograph: str, rows: slice, columns: slice, *, of: str = "pixels"
) -> Shaped[np.ndarray, "y x"]:
    """Read a window of a micrograph, its probability map or its labels, without reading the rest.

    Parameters
    ----------
    store : Path
        Path of ``micrographs.zarr``.
    micrograph : str
        Its name.
    rows, columns : slice
        The window, px; what lies outside of the micrograph is left out.
    of : str
        "pixels" (as recorded), "probability", or "labels/" and the name of a label image.

    Returns
    -------
    array (y, x)
        Proved by the checksums of its chunks; that it is the micrograph of its name is for `nanocensus doctor` to
        prove.

    Raises
    ------
    DamageError
        If the image is not there, or what is read of it is damaged.
    """
    folder = store / micrograph if of == "pixels" else store / micrograph / of
    subject = f"{of} of micrograph {micrograph}"
    read_image_attributes(folder, subject)
    return read_array(folder / "0", subject, window=(rows, columns))


def stored_digests(store: Path, micrograph: str) -> tuple[str | None, str | None]:
    """Give the digests of what made the probability map and the labels of the particles, reading neither.

    None stands for one that is not there, was not completed, or cannot be opened.
    """
    places = (("probability", "segment_digest"), ("labels/particles", "measure_digest"))
    segment, measure = (_stored_digest(store / micrograph / place, name) for place, name in places)
    return segment, measure


def _stored_digest(folder: Path, name: str) -> str | None:
    if not (folder / METADATA).exists():
        return None
    try:
        found = read_image_attributes(folder, str(folder))[FACTS].get(name)
    except DamageError:
        return None
    return found if isinstance(found, str) else None


def discard_results(store: Path, micrograph: str) -> None:
    """Remove the probability maps and the labels of the particles; the recorded values and the truth stay."""
    folder = store / micrograph
    for place in (folder / "probability", *folder.glob("probability_*"), folder / "labels" / "particles"):
        shutil.rmtree(place, ignore_errors=True)


def _pixel_size_of(store: Path, micrograph: str) -> float:
    """Give the pixel size that viewers of a micrograph are told, and of what lies on it pixel by pixel."""
    subject = f"micrograph {micrograph}"
    stated = read_image_attributes(store / micrograph, subject).get("ome", {})
    try:
        return float(stated["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"][0])
    except (KeyError, IndexError, TypeError, ValueError) as cause:
        raise damage(subject, "OME-NGFF metadata with a scale", "none") from cause


@contextlib.contextmanager
def _made_beside(store: Path, target: Path, *, replace: bool = True) -> Iterator[Path]:
    """Lend a folder outside the store; put it in its place when the block ends well, remove it otherwise."""
    partial = partial_path(store)
    with writing(target):
        try:
            yield partial
            commit_tree(partial, target, replace=replace)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
