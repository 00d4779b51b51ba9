"""The micrographs and masks to train on, and who is held out of what."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Shaped

from nanocensus.errors import JobError
from nanocensus.segment.training_spec import TrainingSpec
from nanocensus.store.masks import read_truth, truth_beside
from nanocensus.store.readers import read_image


@dataclass(frozen=True)
class TrainingImage:
    """A micrograph, its mask, and the field it is of."""

    name: str
    group: str
    pixels: Shaped[np.ndarray, "y x"]
    """As recorded."""
    mask: Bool[np.ndarray, "y x"]
    """Where it is particle."""


def read_training_images(spec: TrainingSpec) -> list[TrainingImage]:
    """Read the micrographs that the groups file lists, in its order; none for a training on simulated scenes alone.

    Raises
    ------
    JobError
        If the groups file cannot be used.
    ImageError
        If a file is missing or cannot be read, or a mask does not fit its micrograph.
    """
    images: list[TrainingImage] = []
    if spec.images is None or spec.masks is None or spec.groups is None:
        return images
    for name, group in _read_groups(spec.groups):
        pixels = read_image(spec.images / name).pixels
        if min(pixels.shape) < spec.patch:
            raise JobError(
                "patch",
                expected=f"at most {min(pixels.shape)}, the smaller side of {name}",
                got=str(spec.patch),
                remedy="Use smaller patches, or leave small micrographs out.",
            )
        images.append(TrainingImage(name, group, pixels, read_truth(truth_beside(spec.masks, name), pixels.shape) != 0))
    return images


def _read_groups(path: Path) -> list[tuple[str, str]]:
    if not path.is_file():
        raise JobError("key 'groups'", expected="a CSV file", got=f"no file {path.name}", remedy="Check the path.")
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except (UnicodeDecodeError, csv.Error) as error:
        raise JobError(path.name, expected="a CSV file", got=f"{error}", remedy="Save it as UTF-8 text.") from error
    if not rows or not {"image", "field"} <= set(rows[0]):
        raise JobError(
            path.name,
            expected="the columns image and field and at least one row",
            got=", ".join(rows[0]) if rows else "no rows",
            remedy="List each micrograph with the field it was taken of.",
        )
    lacking = [number for number, row in enumerate(rows, start=1) if not (row["image"] and row["field"])]
    if lacking:
        raise JobError(
            path.name,
            expected="a name and a field for each micrograph",
            got=f"none in row {lacking[0]}",
            remedy="Fill in both columns; a micrograph that is alone gets a field of its own.",
        )
    return [(row["image"], row["field"]) for row in rows]


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
    sizes = {group: groups.count(group) for group in dict.fromkeys(groups)}
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
