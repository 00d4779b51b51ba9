"""The further comparisons of samples that a job asks for: made, and laid out as tables."""

from dataclasses import dataclass

import pandas as pd

from nanocensus.pipeline.populations.columns import ENERGY_DISTANCES, MODALITY, NESTED_VARIANCE, REPRESENTATIVES, SPREAD
from nanocensus.pipeline.question import Question
from nanocensus.statistics.cells.cells import Cells
from nanocensus.statistics.cells.partitions import Particles
from nanocensus.statistics.cells.size_bins import SizeBins
from nanocensus.statistics.distributions.energy import energy_distances
from nanocensus.statistics.distributions.modality import modality
from nanocensus.statistics.distributions.representatives import representatives
from nanocensus.statistics.synthesis.spread import Spreads, spread_against_mean
from nanocensus.statistics.variance.nested import nested_variance


@dataclass(frozen=True, eq=False)
class ComparedPopulations:
    """Samples beside each other; what one sample or a table without sizes does not allow has no rows."""

    energy: pd.DataFrame
    nested: pd.DataFrame
    spreads: Spreads
    peaks: pd.DataFrame
    representatives: pd.DataFrame
    level: float


def compare_populations(
    accepted: Particles, micrographs: pd.DataFrame, made: Cells, asked: Question
) -> ComparedPopulations | None:
    """Compare a job's samples further; None if it does not ask for it.

    Parameters
    ----------
    accepted : DataFrame
        The accepted particles.
    micrographs : DataFrame
        Their micrographs.
    made : Cells
        Of these by sample, and by size where the job asks for it, of its descriptors.
    asked : Question
    """
    section = asked.populations
    if section is None:
        return None
    size = None if asked.bins is None else asked.bins.of
    whole = made.of_all_sizes()
    return ComparedPopulations(
        _energy(accepted, micrographs, asked, section.permutations, size, made.micrographs["sample"].nunique()),
        nested_variance(whole, micrographs, of=asked.of, level=asked.level, seed=asked.seed),
        spread_against_mean(whole, of=asked.of, cluster=asked.cluster, level=asked.level, seed=asked.seed),
        _peaks(accepted, micrographs, asked, size),
        _representatives(accepted, asked, section.representatives, made.recipe.bins),
        asked.level,
    )


def population_tables(found: ComparedPopulations) -> dict[str, pd.DataFrame]:
    """Give the tables by the names of their files."""
    parts = (found.energy, found.nested, found.spreads.table, found.peaks, found.representatives)
    tables = (ENERGY_DISTANCES, NESTED_VARIANCE, SPREAD, MODALITY, REPRESENTATIVES)
    return {table.name: part for table, part in zip(tables, parts, strict=True)}


def _energy(accepted: Particles, micrographs: pd.DataFrame, asked: Question, permutations: int, size: str | None,
            samples: int) -> pd.DataFrame:  # fmt: skip
    if samples < 2 or size is None:
        return pd.DataFrame(columns=list(ENERGY_DISTANCES.names))
    planes = [
        energy_distances(
            accepted, micrographs, of=(size, name), cluster=asked.cluster, level=asked.level, permutations=permutations,
            seed=asked.seed, weight=asked.weight, scale=asked.scale,
        )
        for name in asked.of if name != size
    ]  # fmt: skip
    return pd.concat(planes, ignore_index=True) if planes else pd.DataFrame(columns=list(ENERGY_DISTANCES.names))


def _peaks(accepted: Particles, micrographs: pd.DataFrame, asked: Question, size: str | None) -> pd.DataFrame:
    if size is None:
        return pd.DataFrame(columns=list(MODALITY.names))
    return modality(accepted, micrographs, of=size, cluster=asked.cluster, seed=asked.seed, scale=asked.scale)


def _representatives(accepted: Particles, asked: Question, number: int, bins: SizeBins | None) -> pd.DataFrame:
    of = asked.of
    ordered = ["sample", "size_bin", "size_left", "size_right", "rank", "micrograph", "label", "distance", *of, "n"]
    if not number or "label" not in accepted.columns:  # a table of another tool may not number its particles
        return pd.DataFrame(columns=ordered)
    found = representatives(accepted, of=of, number=number).reindex(columns=ordered)
    if bins is None:
        return found
    by_size = representatives(accepted, of=of, bins=bins, number=number, scale=asked.scale)
    return pd.concat([found, by_size], ignore_index=True)[ordered]
