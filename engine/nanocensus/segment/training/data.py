"""The micrographs and masks to train on, and who is held out of what."""

import csv
import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped

from nanocensus.errors import CalibrationError, JobError
from nanocensus.provenance import digest as digest_of
from nanocensus.schema import PIXEL_SIZE_ASSUMED
from nanocensus.segment.training.spec import TrainingSpec
from nanocensus.store.formats.readers import read_image
from nanocensus.store.images.images import damage
from nanocensus.store.images.ingest import STORE_FOLDER
from nanocensus.store.images.micrographs import read_labels, read_pixels
from nanocensus.store.manifest import read_manifest, rows_of
from nanocensus.store.masks.masks import doubt_of_mask, read_truth, truth_beside
from nanocensus.store.names import on_disk

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingImage:
    """A micrograph, its mask, and the field it is of; read anew each time, so that thousands cost no memory."""

    name: str
    group: str
    shape: tuple[int, int]
    """Rows and columns."""
    pixel_size_nm: float | None
    """Side of a pixel, nm; None where nobody states it."""
    read_pixels: Callable[[], Shaped[np.ndarray, "y x"]] = field(repr=False)
    """Gives the micrograph as recorded."""
    read_mask: Callable[[], Bool[np.ndarray, "y x"]] = field(repr=False)
    """Gives where it is particle."""

    @cached_property
    def digest(self) -> str:
        """Digest of the micrograph and its mask; read for it once, whatever the number of networks that ask."""
        parts = (self.read_pixels(), self.read_mask())
        return digest_of(
            [[str(part.dtype), list(part.shape), hashlib.sha256(part.tobytes()).hexdigest()] for part in parts]
        )


def read_training_images(spec: TrainingSpec) -> list[TrainingImage]:
    """Find the micrographs that the groups file lists, in its order, or those of a store whose true particles are known.

    Each is read once, to know that it can be. None for a training on simulated scenes alone.

    Raises
    ------
    JobError
        If the groups file or the store cannot be used, or a micrograph is smaller than a patch.
    ImageError
        If a file is missing or cannot be read, or a mask does not fit its micrograph.
    """
    if spec.store is not None:
        images = _stored_images(spec.store)
    elif spec.images is not None and spec.masks is not None and spec.groups is not None:
        images = [_image_of(spec.images, spec.masks, name, group) for name, group in _read_groups(spec.groups)]
    else:
        return []
    for image in images:
        if min(image.shape) < spec.patch:
            raise JobError(
                "patch",
                expected=f"at most {min(image.shape)}, the smaller side of {image.name}",
                got=str(spec.patch),
                remedy="Use smaller patches, or leave small micrographs out.",
            )
    return images


def _image_of(images: Path, masks: Path, name: str, group: str) -> TrainingImage:
    path = on_disk(images, name)
    recorded, size = read_image(path), None
    height, width = recorded.pixels.shape
    if recorded.pixel_size is not None:
        with suppress(CalibrationError):  # what cannot be believed is not known
            size = recorded.pixel_size.square_nm()

    mask = truth_beside(masks, name)

    def read_mask() -> Bool[np.ndarray, "y x"]:
        return read_truth(mask, (height, width)).astype(bool)

    if doubt := doubt_of_mask(mask, read_truth(mask, (height, width))):
        _log.warning("%s", doubt)
    return TrainingImage(name, group, (height, width), size, lambda: read_image(path).pixels, read_mask)


def _stored_images(out: Path) -> list[TrainingImage]:
    """Give the micrographs of a run that came with their masks; one that belongs to no group is a field of its own."""
    store = out / STORE_FOLDER
    known = [row for row in rows_of(read_manifest(out).micrographs) if row["truth"] is not None]
    if not known:
        raise JobError(
            "key 'store'",
            expected="a run whose micrographs came with masks",
            got=f"none in {out.name}",
            remedy="Name masks in the column `mask` of the run's micrographs.csv, and run it again.",
        )
    return [_stored_image(store, row) for row in known]


def _stored_image(store: Path, row: Mapping[str, Any]) -> TrainingImage:
    micrograph, name = str(row["micrograph"]), str(row["name"])

    def read_mask() -> Bool[np.ndarray, "y x"]:
        labels = read_labels(store, micrograph, name="truth")
        if labels is None:
            raise damage(f"the true particles of {name}", "a label image", "none")
        return labels.astype(bool)

    shape = int(row["height_px"]), int(row["width_px"])
    size = None if row["pixel_size_source"] == PIXEL_SIZE_ASSUMED else float(row["pixel_size_nm"])
    return TrainingImage(
        name, str(row["group"] or name), shape, size, lambda: read_pixels(store, micrograph), read_mask
    )


def _read_groups(path: Path) -> list[tuple[str, str]]:
    if not path.is_file():
        raise JobError("key 'groups'", expected="a CSV file", got=f"no file {path.name}", remedy="Check the path.")
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:  # Excel puts a mark first
            lines = [[cell.strip() for cell in line] for line in csv.reader(stream) if any(map(str.strip, line))]
    except (UnicodeDecodeError, csv.Error) as error:
        raise JobError(path.name, expected="a CSV file", got=f"{error}", remedy="Save it as UTF-8 text.") from error
    header, *rows = lines or [[]]
    if not rows or not {"image", "field"} <= set(header):
        raise JobError(
            path.name,
            expected="the columns image and field and at least one row",
            got=", ".join(header) if rows else "no rows",
            remedy="List each micrograph with the field it was taken of.",
        )
    listed = [dict(zip(header, row, strict=False)) for row in rows]
    groups = [(row.get("image", ""), row.get("field", "")) for row in listed]
    lacking = [number for number, row in enumerate(groups, start=1) if not all(row)]
    if lacking:
        raise JobError(
            path.name,
            expected="a name and a field for each micrograph",
            got=f"none in row {lacking[0]}",
            remedy="Fill in both columns; a micrograph that is alone gets a field of its own.",
        )
    name, times = Counter(name for name, _ in groups).most_common(1)[0]
    if times > 1:
        raise JobError(
            path.name,
            expected="each micrograph once: in two fields it would be judged by a network that has learned from it",
            got=f"{name} in {times} rows",
            remedy="Keep one row, with the field it was taken of.",
        )
    return groups


def assign_folds(groups: list[str], folds: int) -> list[int]:
    """Share out the groups so that the folds hold about equally many micrographs.

    Parameters
    ----------
    groups : list of str
        The group of each micrograph.
    folds : int

    Returns
    -------
    list of int
        The fold of each micrograph; one group is never in two folds.

    Raises
    ------
    JobError
        If there are fewer groups than folds.

    Examples
    --------
    >>> assign_folds(["a", "a", "b", "c"], 2)
    [0, 0, 1, 1]
    """
    sizes = Counter(groups)
    if len(sizes) < folds:
        raise JobError(
            "key 'folds'",
            expected=f"at most {len(sizes)}, one field a fold at least",
            got=str(folds),
            remedy="Use fewer folds, or micrographs of more fields.",
        )
    held, fold_of = [0] * folds, {}
    for group in sorted(sizes, key=lambda group: -sizes[group]):
        fold_of[group] = min(range(folds), key=held.__getitem__)
        held[fold_of[group]] += sizes[group]
    return [fold_of[group] for group in groups]
