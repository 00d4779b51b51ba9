"""The section [onsets] of a job file: which bends are sought, and between which sizes."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from nanocensus.errors import JobError
from nanocensus.pipeline.job.sections import at_least
from nanocensus.pipeline.job.statistics_section import check_descriptors
from nanocensus.statistics.onsets.samples import FEWEST_BINS, FINE_NM, SIZE
from nanocensus.statistics.onsets.table import ONSET, SATURATION

_FEWEST_REPLICATES = 99


@dataclasses.dataclass(frozen=True)
class OnsetRanges:
    """Between which edge lengths the bends of one descriptor are sought; one bend should lie in each range."""

    between_nm: tuple[float, ...]
    """Edge lengths between which the onset is sought, nm."""
    saturation_between_nm: tuple[float, ...] | None = None
    """The same for the size from which on the shape stays the same; not sought if absent."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        least = FEWEST_BINS * FINE_NM
        for key in ("between_nm", "saturation_between_nm"):
            ends = getattr(self, key)
            if ends is not None and (
                len(ends) != 2 or not (ends[0] >= 0 and ends[0] + least <= ends[1] < float("inf"))
            ):
                raise JobError(
                    key, expected=f"two edge lengths at least {least:g} nm apart, the smaller first",
                    got=", ".join(f"{end:g}" for end in ends) or "none", remedy="For example [2.6, 7.6].",
                )  # fmt: skip

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """The two ends of each bend that is sought, nm."""
        asked = {ONSET: self.between_nm, SATURATION: self.saturation_between_nm}
        return {bend: (ends[0], ends[1]) for bend, ends in asked.items() if ends is not None}


@dataclasses.dataclass(frozen=True)
class OnsetsSection:
    """Sizes at which descriptors change their course; none are sought without this section."""

    descriptors: Mapping[str, OnsetRanges]
    """A table for each descriptor, by the name of its column, with its ranges."""
    replicates: int = 999
    """Number of bootstrap replicates."""
    uncertainty: bool = True
    """Whether it is worked out what else could move them: thresholds, networks, the pixel size, weights, criteria and what is taken off."""
    remeasure: bool = False
    """Whether for thresholds and networks the particles are measured again on the maps that the run keeps, instead of taking
    other sizes from columns of the particle table: shapes then change too, and who is accepted. Takes as long as measuring,
    for each threshold and network."""
    solidity_step: float = 0.02
    """How far `min_solidity` is moved to either side for that; 0 leaves it."""
    convexity_step: float = 0.02
    """The same of `min_convexity`."""
    eccentricity_step: float = 0.05
    """The same of `max_eccentricity`."""
    constant_shape: Literal["disc", "square", "truncated_square"] | None = None
    """A constant shape, measured as the particles were, whose trend with size is taken off: onsets are those of the excess."""
    constant_run: Path | None = None
    """Results of a run of simulated micrographs of that shape, through the same network and measured alike: its particles take the
    place of copies that are drawn on maps, and what the network does to outlines is taken off too."""
    pairs: bool = False
    """Whether what touching and overlapping pairs that are measured as one do to the means is estimated from the run's own
    crowding, and taken off too."""

    def __post_init__(self) -> None:
        """Check the descriptors and the number."""
        check_descriptors(list(self.descriptors))
        if SIZE in self.descriptors:
            raise JobError("descriptors", expected="a descriptor of shape", got=SIZE, remedy="Take circularity.")
        at_least("replicates", self.replicates, _FEWEST_REPLICATES)
        if self.constant_run is not None and self.constant_shape is None:
            raise JobError(
                "constant_run", expected="a constant_shape beside it", got="none",
                remedy='Say which shape was simulated: constant_shape = "disc".',
            )  # fmt: skip
        for key, step in self.steps.items():
            if not 0 <= step < 1:
                name = key.partition("_")[2] + "_step"
                raise JobError(
                    name, expected="at least 0, below 1", got=f"{step:g}", remedy="Leave it out for the default."
                )

    @property
    def on_maps(self) -> tuple[str, ...]:
        """Keys that ask for what only the maps of a run can tell."""
        return tuple(key for key in ("remeasure", "constant_shape", "pairs") if getattr(self, key))

    @property
    def reach_nm(self) -> tuple[float, float]:
        """The smallest and the largest edge length between which bends are sought, nm."""
        ends = [end for sought in self.descriptors.values() for ends in sought.ranges.values() for end in ends]
        return min(ends), max(ends)

    @property
    def steps(self) -> Mapping[str, float]:
        """How far each bound on shape is moved, by its name among the criteria."""
        return {"min_solidity": self.solidity_step, "min_convexity": self.convexity_step,
                "max_eccentricity": self.eccentricity_step}  # fmt: skip


def ranges_of(texts: Sequence[str]) -> OnsetsSection | None:
    """Read "descriptor=from:to" or "descriptor=from:to,from:to" (the saturation's range second), as the command line has it.

    Raises
    ------
    JobError
        If a text is not so, or a range or descriptor makes no sense.

    Examples
    --------
    >>> dict(ranges_of(["circularity=2.6:7.6,6.6:10.4"]).descriptors["circularity"].ranges)
    {'onset': (2.6, 7.6), 'saturation': (6.6, 10.4)}
    """
    found = {}
    for text in texts:
        name, _, rest = text.partition("=")
        try:
            onset, *saturation = (tuple(float(end) for end in ends.split(":")) for ends in rest.split(","))
            found[name.strip()] = OnsetRanges(onset, *saturation)
        except (ValueError, TypeError):
            raise JobError(
                "onset", expected="a descriptor and its range, nm, like circularity=2.6:7.6", got=repr(text),
                remedy="The range of the saturation stands after a comma: circularity=2.6:7.6,6.6:10.4.",
            ) from None  # fmt: skip
    return OnsetsSection(found) if found else None
