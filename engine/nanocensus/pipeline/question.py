"""What is asked of particles, whether a run measured them or a table holds them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nanocensus.measure.criteria import Criteria
from nanocensus.pipeline.baselines.constant_shapes import ConstantShape
from nanocensus.pipeline.job.onset_section import OnsetsSection
from nanocensus.pipeline.job.population_sections import PopulationsSection, SynthesisSection
from nanocensus.pipeline.job.spec import Job
from nanocensus.pipeline.onsets.maps import Maps
from nanocensus.statistics.cells.quanta import Number
from nanocensus.statistics.cells.size_bins import SizeBins
from nanocensus.statistics.estimation.clusters import Cluster


@dataclass(frozen=True)
class Question:
    """Which statistics are asked for."""

    of: Sequence[str]
    """Columns."""
    bins: SizeBins | None
    """Sizes by which they are asked for too; none of a table without sizes."""
    weight: str | None = None
    """Column of weights, or None to count each particle once."""
    cluster: Cluster = "group"
    """What counts as one observation."""
    level: float = 0.95
    """Of the intervals."""
    seed: int = 0
    """Of everything random."""
    scale: Mapping[str, Number] = field(default_factory=dict)
    """Steps of columns that the schema cannot count (see `statistics.cells.quanta.quantum_of`)."""
    criteria: Criteria | None = None
    """What the particles were judged by; None where those that count were chosen before."""
    onsets: OnsetsSection | None = None
    """Which bends are sought."""
    constant: ConstantShape | None = None
    """What a constant shape would show of the descriptors whose bends are sought, where it or pairs are to be taken off; none of
    a table, which has no maps."""
    maps: Maps | None = None
    """The maps of a run, to measure particles on again."""
    synthesis: SynthesisSection | None = None
    """Models of the synthesis that are asked for."""
    populations: PopulationsSection | None = None
    """Further comparisons that are asked for."""


def question_of(job: Job) -> Question:
    """Give what a job asks."""
    section = job.statistics
    return Question(
        section.descriptors,
        section.bins(),
        job.weight_column,
        section.cluster,
        section.level,
        job.seed,
        criteria=job.criteria,
        onsets=job.onsets,
        maps=Maps(job.out, job.measure),
        synthesis=job.synthesis,
        populations=job.populations,
    )


_NEED_PARTICLES = {
    "onsets": "No onset sizes were sought",
    "synthesis": "No model of the synthesis was made",
    "populations": "Populations were not compared",
}


def without_particles(asked: Question) -> list[str]:
    """Say of each section that is asked for that it could not be done without particles."""
    return [
        f"{said} ([{section}]): no accepted particle counts."
        for section, said in _NEED_PARTICLES.items()
        if getattr(asked, section) is not None
    ]
