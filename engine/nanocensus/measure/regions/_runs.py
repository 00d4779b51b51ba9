"""Particles as runs: the pixels of one row that follow each other and belong to one label.

Runs are what labelling works on and all that pixel counts need. They are some hundred times fewer than pixels, so what
is measured on them costs next to nothing beside reading the image once; a label image is painted only for those who
want to look at one.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int32, Int64, UInt8

from nanocensus.measure.regions import _components, _moments, _scan
from nanocensus.measure.regions._properties import Extents

Connectivity = Literal[4, 8]

_SURE = 255.0


@dataclass(frozen=True)
class Runs:
    """Runs of pixels, label by label in ascending order, those of one label in raster order."""

    label: Int32[np.ndarray, " n"]
    """Values above 0, ascending; not all from 1 on need be there."""
    offset: Int64[np.ndarray, " n+1"]
    """The runs of label i are those from offset[i] to offset[i + 1]: one at least."""
    row: Int32[np.ndarray, " m"]
    start: Int32[np.ndarray, " m"]
    """First column."""
    stop: Int32[np.ndarray, " m"]
    """Last column, and one."""
    shape: tuple[int, int]
    """Of the image: rows, columns."""


def runs_of_mask(mask: Bool[np.ndarray, "y x"], connectivity: Connectivity = 8) -> Runs:
    """Find the runs of a mask's connected particles, labelled 1 to n in raster order of their first pixels.

    Parameters
    ----------
    mask : bool (y, x)
    connectivity : {8, 4}
        Whether pixels that touch at a corner belong together (8) or not (4).

    Examples
    --------
    >>> runs = runs_of_mask(np.array([[True, True, False], [False, False, True]]))
    >>> runs.label.tolist(), runs.row.tolist(), runs.start.tolist(), runs.stop.tolist()
    ([1], [0, 1], [0, 2], [2, 3])
    """
    return runs_of_map(np.ascontiguousarray(mask).view(np.uint8), 0.0, connectivity)


def runs_of_map(probability: UInt8[np.ndarray, "y x"], level: float, connectivity: Connectivity = 8) -> Runs:
    """Find the runs of the connected particles of a map, labelled as in `runs_of_mask`.

    Parameters
    ----------
    probability : uint8 (y, x)
    level : float
        Value from 0 to 255 that the pixels of particles exceed.
    connectivity : {8, 4}
    """
    bounds, until = _scan.runs_above(np.ascontiguousarray(probability), np.uint8(math.floor(level)))
    values, n = _components.number(bounds, until, int(connectivity == 8))
    return _gathered(bounds, until, values, n, probability.shape)


def runs_of_labels(labels: Int32[np.ndarray, "y x"]) -> Runs:
    """Find the runs of the labels that are there, connected or not.

    Parameters
    ----------
    labels : int32 (y, x)
        What is not above 0 is background. Memory is taken in proportion to the largest label.
    """
    bounds, until, values = _scan.runs_of_values(np.ascontiguousarray(labels))
    return _gathered(bounds, until, values, int(values.max(initial=0)), labels.shape)


def _gathered(
    bounds: Int32[np.ndarray, "m 2"],
    until: Int64[np.ndarray, " _"],
    values: Int32[np.ndarray, " m"],
    largest: int,
    shape: tuple[int, ...],
) -> Runs:
    offset, row, start, stop = _components.gather(bounds, until, values, largest)
    present = np.flatnonzero(np.diff(offset))
    return Runs(
        label=present.astype(np.int32),
        offset=np.append(offset[present], values.size),
        row=row,
        start=start,
        stop=stop,
        shape=(shape[0], shape[1]),
    )


def paint(runs: Runs) -> Int32[np.ndarray, "y x"]:
    """Write labels into an image, 0 being background: two thirds of the time is the system's, for clearing its memory.

    Examples
    --------
    >>> paint(runs_of_mask(np.eye(3, dtype=bool), connectivity=4)).tolist()
    [[1, 0, 0], [0, 2, 0], [0, 0, 3]]
    """
    painted = np.zeros(runs.shape, np.int32)
    _components.paint(runs.row, runs.start, runs.stop, runs.label, runs.offset, painted)
    return painted


def extents(runs: Runs, probability: UInt8[np.ndarray, "y x"] | None) -> Extents:
    """Give the bounding box and the number of pixels of each label, and the mean and least probability on them.

    Parameters
    ----------
    runs : Runs
    probability : uint8 (y, x) or None
        Of the same micrograph.
    """
    of = (runs.row, runs.start, runs.stop, runs.offset)
    box, count = _moments.boxes(*of)
    if probability is None:
        return Extents(runs.label, box, count, mean_probability=None, min_probability=None)
    total, least = _moments.map_values(*of, np.ascontiguousarray(probability))
    return Extents(runs.label, box, count, mean_probability=total / (_SURE * count), min_probability=least / _SURE)
