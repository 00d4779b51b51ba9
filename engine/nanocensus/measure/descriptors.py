"""The particle table: every descriptor of every particle of a micrograph."""

from typing import Literal, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from jaxtyping import Float64, Int32, UInt8

from nanocensus.errors import ImageError
from nanocensus.measure.columns import columns_of, columns_of_siblings
from nanocensus.measure.parse import (
    parse_estimator,
    parse_labels,
    parse_pixel_size,
    parse_probability,
    parse_same_shape,
    parse_threshold,
)
from nanocensus.measure.regions._cpu import outline_level, trace_outlines
from nanocensus.measure.regions._gpu import label_regions
from nanocensus.measure.regions._pixels import pixel_regions
from nanocensus.measure.regions._properties import Extents
from nanocensus.measure.regions._runs import Runs, extents, paint, runs_of_labels, runs_of_map
from nanocensus.measure.siblings import disagreement
from nanocensus.measure.split import SplitMethod, split_touching
from nanocensus.schema import PARTICLES, Estimator

OF_THE_MICROGRAPH = ("sample", "micrograph")
"""The columns of the particle table that a micrograph's pixels cannot tell."""


Labelling = Literal["host", "cucim"]


def descriptor_schema() -> pa.Schema:
    """Give the Arrow schema of what `measure` returns: the particle table without sample and micrograph."""
    declared = PARTICLES.arrow()
    fields = [field for field in declared if field.name not in OF_THE_MICROGRAPH]
    return pa.schema(fields, declared.metadata)


class Measured(NamedTuple):
    """The particles of one micrograph."""

    table: pa.Table
    """One row a label, ascending, with the columns of `descriptor_schema`."""
    labels: Int32[np.ndarray, "y x"]
    """The labels that the rows speak of."""
    radii_nm: Float64[np.ndarray, "n 128"] | None
    """r(theta) about the area centroid, nm, row for row: angle i is 2 pi i / 128 from the x axis (columns) towards the
    y axis (rows). None where pixels were counted."""


def measure(
    probability: UInt8[np.ndarray, "_ _"] | None = None,
    labels: Int32[np.ndarray, "_ _"] | None = None,
    *,
    pixel_size_nm: float,
    estimator: Estimator = "outline",
    threshold: float = 0.5,
    split: SplitMethod | None = None,
    labelling: Labelling = "host",
    siblings: UInt8[np.ndarray, "k _ _"] | None = None,
) -> Measured:
    """Measure the particles of one micrograph.

    Parameters
    ----------
    probability : uint8 (y, x), optional
        255 = surely particle. Without it outlines are drawn on the labels, smoothed by 1 px.
    labels : int32 (y, x), optional
        0 for background; without them the map above the threshold is labelled.
    pixel_size_nm : float
        Side of a pixel, nm.
    estimator : {"outline", "paper", "crofton"}
        Area and perimeter from the sub-pixel outline, or scikit-image's by pixels with the 4-neighbour or Crofton's
        perimeter.
    threshold : float
        Probability at a particle's edge; a pixel is particle where 255 * threshold is exceeded.
    split : {"distance", "probability"}, optional
        Split touching particles first, as `split_touching` does.
    labelling : {"host", "cucim"}
        Whether a map is labelled on the host, or by cuCIM on the GPU of this process, with the same numbers.
    siblings : uint8 (k, y, x), optional
        Maps of sibling networks, to say how far they disagree about each particle.

    Returns
    -------
    Measured

    Raises
    ------
    ImageError
        If neither map nor labels are given, or their shapes differ.
    """
    level = outline_level(threshold)
    found = _find(probability, labels, level, split, labelling)
    table, radii_nm = _measured(probability, found, pixel_size_nm, estimator, level, siblings)
    return Measured(table, found.labels, radii_nm)


class _Found:
    """The particles of a micrograph before they are measured.

    As runs, as a label image, or both: painting an image takes longer than all pixel counts together, which do without.
    """

    def __init__(
        self,
        *,
        runs: Runs | None = None,
        labels: Int32[np.ndarray, "_ _"] | None = None,
        extents: Extents,
        components: bool = False,
        parent: Int32[np.ndarray, " n"] | None = None,
    ) -> None:
        self._runs, self._labels = runs, labels
        self.extents = extents
        self.components = components
        """Whether they are the connected components of the map above its level, known as runs."""
        self.parent = parent
        """What each was split from."""

    @property
    def shape(self) -> tuple[int, int]:
        if self._runs is not None:
            return self._runs.shape
        height, width = self.labels.shape
        return height, width

    @property
    def runs(self) -> Runs:
        if self._runs is None:
            self._runs = runs_of_labels(self.labels)
        return self._runs

    @property
    def labels(self) -> Int32[np.ndarray, "_ _"]:
        if self._labels is None:
            self._labels = paint(self.runs)
        return self._labels


def _find(
    probability: UInt8[np.ndarray, "..."] | None,
    labels: Int32[np.ndarray, "..."] | None,
    level: float,
    split: SplitMethod | None = None,
    labelling: Labelling = "host",
) -> _Found:
    """Find the labels that were given, or the connected particles of the map above its level; split them if asked to."""
    if labels is not None:
        if probability is not None:
            parse_same_shape(probability, labels)
        runs = runs_of_labels(labels)
        found = _Found(runs=runs, labels=labels, extents=extents(runs, probability))
    elif probability is None:
        raise ImageError(
            "probability and labels",
            expected="at least one of them",
            got="neither",
            remedy="Give a probability map, a label image, or both.",
        )
    elif labelling == "cucim":
        painted, placed = label_regions(probability, level)
        found = _Found(labels=painted, extents=placed)
    else:
        runs = runs_of_map(probability, level)
        found = _Found(runs=runs, extents=extents(runs, probability), components=True)
    if split is None:
        return found
    parts, parent = split_touching(found.labels, probability, method=split)
    runs = runs_of_labels(parts)
    return _Found(runs=runs, labels=parts, extents=extents(runs, probability), parent=parent)


def _measured(
    probability: UInt8[np.ndarray, "_ _"] | None,
    found: _Found,
    pixel_size_nm: float,
    estimator: Estimator,
    level: float,
    siblings: UInt8[np.ndarray, "k _ _"] | None = None,
) -> tuple[pa.Table, Float64[np.ndarray, "n 128"] | None]:
    """Give the table of the particles that were found, and r(theta) of their outlines, nm."""
    if estimator == "outline":
        labels = None if found.components else found.labels
        components = found.runs if found.components else None
        regions, outlines = trace_outlines(labels, probability, level, found.extents, components=components)
        radii_nm = outlines.radii * pixel_size_nm
    else:
        regions, radii_nm = pixel_regions(found.runs, estimator), None
    n = found.extents.label.size
    disputed = None
    if siblings is not None:
        disputed = disagreement(found.labels, found.extents.label, found.extents.box, siblings)
    columns = columns_of(found.extents, regions, found.shape, pixel_size_nm)
    columns |= columns_of_siblings(disputed, n, pixel_size_nm) | {
        "estimator": np.full(n, estimator),
        "parent_label": pa.nulls(n) if found.parent is None else found.parent,
    }
    schema = descriptor_schema()
    return pa.table({name: columns[name] for name in schema.names}, schema), radii_nm


def measure_particles(
    probability: npt.ArrayLike | None = None,
    *,
    labels: npt.ArrayLike | None = None,
    pixel_size_nm: float,
    estimator: str = "outline",
    threshold: float = 0.5,
    split: str | None = None,
) -> pd.DataFrame:
    """Measure the particles of one micrograph, from a probability map, from any tool's label image, or from both.

    Parameters
    ----------
    probability : array (y, x), optional
        uint8 with 255 = surely particle, or floats from 0 to 1 (rounded to steps of 1/255).
    labels : array of integers (y, x), optional
        0 for background. With a map as well, the labels say which pixels are whose and the map where between two
        pixels the edge runs; without one, the outline is that of the label smoothed by 1 px.
    pixel_size_nm : float
        Side of a pixel, nm.
    estimator : {"outline", "paper", "crofton"}
        How area and perimeter are measured.
    threshold : float
        Probability at a particle's edge, between 0 and 1.
    split : {"distance", "probability"}, optional
        Split touching particles at their necks first, as `nanocensus.measure.split.split_touching` does.

    Returns
    -------
    pandas.DataFrame
        One row a particle; `nanocensus.schema.PARTICLES` says what each column means.

    Raises
    ------
    InputError
        If something given cannot be used.

    Examples
    --------
    >>> y, x = np.mgrid[:80, :80]
    >>> disc = np.clip(20.5 - np.hypot(y - 40, x - 40), 0, 1)
    >>> table = measure_particles(disc, pixel_size_nm=0.1)
    >>> round(float(table.loc[0, "equivalent_diameter_nm"]), 2)
    4.0
    >>> bool(abs(table.loc[0, "circularity"] - 1) < 0.005)
    True
    """
    checked_map = None if probability is None else parse_probability(probability)
    level = outline_level(parse_threshold(threshold))
    checked_labels = None if labels is None else parse_labels(labels)
    found = _find(checked_map, checked_labels, level, cast(SplitMethod | None, split))  # which `split_touching` checks
    table, _ = _measured(checked_map, found, parse_pixel_size(pixel_size_nm), parse_estimator(estimator), level)
    frame: pd.DataFrame = table.to_pandas()
    return frame
