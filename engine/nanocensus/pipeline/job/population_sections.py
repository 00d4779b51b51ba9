"""The sections [synthesis] and [populations] of a job file: what is asked of samples beyond their own numbers."""

import dataclasses
from collections.abc import Mapping

from nanocensus.errors import JobError
from nanocensus.pipeline.job.sections import at_least
from nanocensus.statistics.synthesis.design import MOST_CONDITIONS

_FEWEST_PERMUTATIONS = 99


@dataclasses.dataclass(frozen=True)
class SynthesisSection:
    """Models of the samples' means by the conditions of their synthesis; none are made without this section."""

    conditions: tuple[str, ...] = ()
    """Which conditions, at most three; all columns of conditions that are numbers and differ between samples if empty."""
    unseen: Mapping[str, Mapping[str, float]] | None = None
    """Conditions that no sample has, to be predicted: a table with a number a condition, by a name of your own."""

    def __post_init__(self) -> None:
        """Check how many there are."""
        if len(self.conditions) > MOST_CONDITIONS:
            raise JobError(
                "conditions", expected=f"at most {MOST_CONDITIONS}", got=", ".join(self.conditions),
                remedy="Choose those that were varied most.",
            )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class PopulationsSection:
    """Further comparisons of samples; none are made without this section.

    Distances in size and shape at once, where the variance lies, spread against mean, peaks of the size distribution, and
    representative particles.
    """

    permutations: int = 4999
    """Number of ways in which clusters are dealt out to two samples, for p of their distance."""
    representatives: int = 1
    """Particles chosen of each sample and of each of its size bins: those nearest to the median; 0 for none."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        at_least("permutations", self.permutations, _FEWEST_PERMUTATIONS)
        at_least("representatives", self.representatives, 0)
