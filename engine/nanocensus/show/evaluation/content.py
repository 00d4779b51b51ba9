"""What the page of an evaluation is made of: plain values, gathered by whoever judged the network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from nanocensus.show.report.content import Picture


@dataclass(frozen=True, eq=False)
class EvaluationContent:
    """Everything the page says; docs/reference/evaluation.md gives the columns of the tables."""

    title: str
    """Title of the study."""
    samples: Sequence[str]
    """The samples in order; after several, the name of all of them together."""
    micrographs: pd.DataFrame
    """A row a micrograph and method."""
    summary: pd.DataFrame
    """A row a sample, method and figure of merit."""
    by_size: pd.DataFrame
    """A row a sample, method, figure and size bin."""
    thresholds: pd.DataFrame
    """A row a sample and threshold."""
    calibration: pd.DataFrame
    """A row a sample and bin of probability."""
    confusion: pd.DataFrame
    """A row a sample, method, true and predicted class."""
    size_unit: str
    """"nm", or "px" where a pixel size is missing."""
    level: float
    """Confidence level of the intervals."""
    large_px: int
    """Pixels from which on a particle counts as large."""
    planted: int
    """True particles whose outline is known exactly."""
    threshold: float = 0.5
    """At which the maps are cut."""
    assumed: bool = False
    """Whether a pixel size was made up by the user."""
    pictures: Sequence[Picture] = ()
    """The micrographs to show: found and true outlines."""
    provenance: Mapping[str, object] = field(default_factory=dict)
    """What made the figures."""


def unit_words(unit: str, *, assumed: bool) -> str:
    """Give the unit of a figure of merit as printed, with the word of warning if it holds a length of an assumed scale.

    Examples
    --------
    >>> unit_words("1/nm", assumed=True), unit_words("px", assumed=True), unit_words("1", assumed=False)
    ('1/nm, assumed scale', 'px', '')
    """
    return f"{unit}, assumed scale" if assumed and "nm" in unit else "" if unit == "1" else unit
