"""The section of a job file that says which statistics are asked for, and of which columns there can be any."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from nanocensus.errors import JobError
from nanocensus.schema import PARTICLES
from nanocensus.statistics.cells.size_bins import SizeBins, size_bins
from nanocensus.statistics.estimation.clusters import Cluster


@dataclasses.dataclass(frozen=True)
class StatisticsSection:
    """Which numbers are reported of each sample and size bin."""

    bin_width_nm: float | None = None
    """Width of the size bins in nm, with edges at its multiples; 0.2 if no other rule is given."""
    bin_edges_nm: tuple[float, ...] | None = None
    """Edges of the size bins in nm, instead of a width."""
    bin_quantiles: int | None = None
    """Number of size bins with equal shares of all particles (by weight), instead of a width."""
    descriptors: tuple[str, ...] = ("edge_length_nm", "circularity", "solidity")
    """Columns of the particles table that hold lengths, areas or ratios and have a value in every row."""
    cluster: Cluster = "group"
    """What is alike and so counts as one in every interval; a micrograph without a group is its own. "run" is ten
    micrographs in the order of acquisition; "auto" is the group where recorded, else the session where every sample has
    four, else runs where neighbouring micrographs resemble each other, else the micrograph."""
    weight: Literal["border_weight", "none"] | None = None
    """Whether particles are weighted for the chance that the border cut them off; they are, but for the estimator
    "paper", if absent."""
    level: float = 0.95
    """Confidence level of the intervals."""

    def __post_init__(self) -> None:
        """Check the descriptors, and that one rule makes bins."""
        rules = [key for key in ("bin_width_nm", "bin_edges_nm", "bin_quantiles") if getattr(self, key) is not None]
        if len(rules) > 1:
            raise JobError("size bins", expected="one rule", got=" and ".join(rules), remedy="Keep one of them.")
        if not 0.5 <= self.level < 1.0:
            raise JobError("level", expected="0.5 or more, below 1", got=f"{self.level:g}", remedy="Try 0.95.")
        check_descriptors(self.descriptors)
        self.bins()

    def bins(self) -> SizeBins:
        """Give the size bins: 0.2 nm wide unless another rule is given.

        Raises
        ------
        StatisticsError
            If the rule makes no bins.
        """
        if self.bin_quantiles is not None:
            return size_bins(quantiles=self.bin_quantiles)
        if self.bin_edges_nm is not None:
            return size_bins(edges=self.bin_edges_nm)
        return size_bins(0.2 if self.bin_width_nm is None else self.bin_width_nm)


_KNOWN_IN_RUNS = ("mean_probability", "min_probability", "extent")
"""Columns that may be null in a table, but not in what a run measures on its own maps."""


def check_descriptors(names: Sequence[str]) -> None:
    """Refuse, before anything is measured, what the statistics could not count afterwards."""
    columns = [column for column in PARTICLES.columns if column.quantum is not None]
    complete = [column.name for column in columns if not column.nullable or column.name in _KNOWN_IN_RUNS]
    incomplete = [column.name for column in columns if column.name in names and column.name not in complete]
    if incomplete:
        raise JobError(
            "descriptors",
            expected="columns with a value for every particle",
            got=", ".join(incomplete) + ", which some particles or estimators have no value of",
            remedy="Leave them out; they are in the particles table all the same. For their statistics, drop the particles "
            "without a value from nc.read_particles and give the rest to nc.cells.",
        )
    unknown = [name for name in names if name not in complete]
    if unknown or not names:
        raise JobError(
            "descriptors",
            expected="some of: " + ", ".join(complete),
            got=", ".join(unknown) or "none",
            remedy="See docs/reference/columns.md for what each means.",
        )
