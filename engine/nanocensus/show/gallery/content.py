"""What a gallery of criteria is made of: plain values, gathered by whoever ran the study."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float64

from nanocensus.show.crops import Crop


@dataclass(frozen=True, eq=False)
class CriterionView:
    """One criterion in one sample."""

    reason: str
    """Name of the reason in the results: "area_too_large"."""
    words: str
    """What is asked of a particle: "area of at most 200 nm²"."""
    column: str
    """The column that it looks at."""
    bound: float | None
    """The bound; None where the criterion is off."""
    lower: bool
    """Whether the bound is a lower one."""
    values: Float64[np.ndarray, " n"] | None
    """The column for all detected particles, NaN where it is missing; None for a property without a scale."""
    accepted: Bool[np.ndarray, " n"]
    """Which of them met all criteria."""
    rejected: Bool[np.ndarray, " n"]
    """Which of them failed this one."""
    n_alone: int
    """How many failed this one and no other."""
    inside: Sequence[Crop] = ()
    """Particles that meet the criterion, the nearest to its bound first (where it is off: those that any bound would
    reject first)."""
    outside: Sequence[Crop] = ()
    """Particles that fail it, the nearest to its bound first."""


@dataclass(frozen=True, eq=False)
class SampleGallery:
    """One sample."""

    name: str
    detected: int
    """Number of its particles."""
    accepted: int
    """Number of those that met all criteria."""
    nm_per_tile: float
    """Side of a small tile, nm: sets the one scale of its crops."""
    views: Sequence[CriterionView]
    """A view a criterion, in the order of the bits."""
    examples: Sequence[Crop] = ()
    """Accepted particles, drawn at random."""


@dataclass(frozen=True, eq=False)
class GalleryContent:
    """Everything a gallery says."""

    title: str
    """Title of the study."""
    samples: Sequence[SampleGallery]
    criteria: Sequence[str]
    """The criteria in words, one each."""
    source: str
    """Whose criteria these are, as a sentence."""
    assumed: bool = False
    """Whether a pixel size was made up by the user."""
    others: Sequence[str] = field(default_factory=tuple)
    """Samples of the study that are not shown."""
