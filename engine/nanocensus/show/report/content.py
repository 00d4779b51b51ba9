"""What a report is made of: plain values, gathered by whoever ran the study."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import xarray as xr

from nanocensus.schema import MICROGRAPHS, REFUSALS
from nanocensus.show.crops import Crop


@dataclass(frozen=True, eq=False)
class Picture:
    """A micrograph to show, and what was found on it."""

    name: str
    """Its file name."""
    sample: str
    """Its sample."""
    pixels: np.ndarray
    """As recorded, (y, x)."""
    pixel_size_nm: float
    """Side of a pixel, nm."""
    accepted: Sequence[np.ndarray] = ()
    """Outlines of the accepted particles: (k, 2) float64, (y, x) in pixels."""
    rejected: Sequence[np.ndarray] = ()
    """Outlines of the rejected particles."""
    reasons: Sequence[str] = ()
    """Why each of `rejected` is."""
    truth: Sequence[np.ndarray] | None = None
    """Outlines of the true particles, where they are known."""
    assumed: bool = False
    """Whether the pixel size was made up."""
    prepared: np.ndarray | None = None
    """What the network saw of it, where that is to be shown too."""
    unevenness: float = 0.0
    """Share by which its background is darker at its darkest than at its brightest."""


@dataclass(frozen=True, eq=False)
class ReportTable:
    """A table to print as it is, and the figure that goes with it."""

    caption: str
    """One sentence above it."""
    frame: pd.DataFrame
    """Its columns and rows; numbers are printed with four significant digits."""
    note: str = ""
    """A sentence below it."""


@dataclass(frozen=True, eq=False)
class OnsetContent:
    """What is said of the sizes at which descriptors change their course."""

    table: pd.DataFrame
    """Rows of `statistics.onsets` of every descriptor."""
    curves: pd.DataFrame
    """What was fitted, with the column descriptor."""
    sentences: Sequence[str]
    """One a bend: its place with the interval, or why there is none."""
    tables: Sequence[ReportTable] = ()
    """Every sample's own, and what else could move it."""
    envelope: pd.DataFrame | None = None
    """The table of a `NullEnvelope`: what constant shapes show of these descriptors."""
    means: pd.DataFrame | None = None
    """Means of the data by size, drawn over it: descriptor, sample, size_nm, mean."""


@dataclass(frozen=True, eq=False)
class SynthesisContent:
    """What is said of samples' means against the conditions of their synthesis."""

    sentences: Sequence[str]
    """A verdict a descriptor, and what the conditions cannot tell."""
    predictions: pd.DataFrame | None = None
    """Of a `statistics.SynthesisModel`."""
    exponents: pd.DataFrame | None = None
    """The same."""
    tables: Sequence[ReportTable] = ()


@dataclass(frozen=True, eq=False)
class Representatives:
    """The particles that stand for the sizes of one sample."""

    sample: str
    nm_per_tile: float
    """Side of a small tile, nm."""
    crops: Sequence[Crop]
    """In the order of size; their value is the size."""


@dataclass(frozen=True, eq=False)
class PopulationsContent:
    """What is said of samples beside each other, beyond their means."""

    sentences: Sequence[str]
    spreads: pd.DataFrame
    """`points` of `statistics.Spreads`."""
    tables: Sequence[ReportTable] = ()
    representatives: Sequence[Representatives] = ()


def _no_micrographs() -> pd.DataFrame:
    return pd.DataFrame(columns=list(MICROGRAPHS.names))


def _no_refusals() -> pd.DataFrame:
    return pd.DataFrame(columns=list(REFUSALS.names))


def _no_rejections() -> pd.DataFrame:
    return pd.DataFrame(columns=["sample", "reason", "particles"])


@dataclass(frozen=True, eq=False)
class ReportContent:
    """Everything a report says. Only the title and the samples are needed."""

    title: str
    """Heading of the report."""
    samples: Sequence[str]
    """Names of all samples in the order of the study; sets their colours."""
    assumed: bool = False
    """Whether a pixel size was made up by the user."""
    micrographs: pd.DataFrame = field(default_factory=_no_micrographs)
    """Rows of the index (`schema.MICROGRAPHS`), failed ones too."""
    refusals: pd.DataFrame = field(default_factory=_no_refusals)
    """Files that did not become micrographs (`schema.REFUSALS`)."""
    accepted: Mapping[str, int] = field(default_factory=dict)
    """Number of accepted particles of each sample."""
    rejected: pd.DataFrame = field(default_factory=_no_rejections)
    """Columns sample, reason, particles; a particle that fails two criteria counts under both."""
    criteria: Sequence[str] = ()
    """The criteria in words, one each: "area of at least 6 nm²"."""
    estimates: xr.Dataset | None = None
    """`statistics.estimate` by sample."""
    size_resolved: xr.Dataset | None = None
    """`statistics.estimate` by sample and size bin."""
    densities: Mapping[str, xr.Dataset] = field(default_factory=dict)
    """Histogram and density of each column to show (`statistics.distributions.density`)."""
    sizes: xr.Dataset | None = None
    """`statistics.distributions.size_distribution`, whose log-normal fit is drawn over the histogram of its column."""
    across: xr.Dataset | None = None
    """`statistics.cv_across_samples` by size bin."""
    onsets: OnsetContent | None = None
    """Onset sizes, where they were sought."""
    shapes: xr.Dataset | None = None
    """Mean outlines by sample and size (`nc.mean_shapes`)."""
    synthesis: SynthesisContent | None = None
    """Models of the synthesis, where they were asked for."""
    populations: PopulationsContent | None = None
    """Further comparisons, where they were asked for."""
    pictures: Sequence[Picture] = ()
    """The micrographs to show."""
    quality: Sequence[ReportTable] = ()
    """Micrographs that were flagged, and what they do to the means."""
    agreement: pd.DataFrame | None = None
    """Where truth is known: columns sample, name, group, n_true, n_detected, dice; a row a micrograph."""
    dice_asked_for: float | None = None
    """The Dice coefficient that was asked for."""
    tables: Sequence[ReportTable] = ()
    """Further tables: differences between samples, what the particles are worth, ..."""
    scale: Sequence[str] = ()
    """What the lattice says of the pixel sizes, a sentence a session, where it does not warn."""
    warnings: Sequence[str] = ()
    """Sentences that a reader must not miss."""
    provenance: Mapping[str, object] = field(default_factory=dict)
    """What made the results: run.json, one section a key; a text of several lines (the job) is printed as it is."""
