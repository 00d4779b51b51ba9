"""The onset sizes that a job asks for: found from one pass over the particles, and laid out as tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from nanocensus.pipeline.job.onset_section import OnsetsSection
from nanocensus.pipeline.onsets.columns import CURVES, ONSETS
from nanocensus.statistics.cells.cells import Cells, cells, size_bins
from nanocensus.statistics.cells.partitions import Particles
from nanocensus.statistics.estimation.clusters import Cluster
from nanocensus.statistics.onsets.onset import onsets
from nanocensus.statistics.onsets.samples import FINE_NM, SIZE
from nanocensus.statistics.onsets.table import ONSET, SATURATION


@dataclass(frozen=True, eq=False)
class FoundOnsets:
    """The bends of all descriptors of a job."""

    table: pd.DataFrame
    """See `columns.ONSETS`."""
    curves: pd.DataFrame
    """See `columns.CURVES`."""
    sentences: Sequence[str]
    """What may be said of each bend."""
    level: float
    """Of the intervals."""


def onset_cells(
    accepted: Particles, micrographs: pd.DataFrame | None, section: OnsetsSection, weight: str | None
) -> Cells:
    """Sum accepted particles into the cells that all bends of a job are found in; arguments as those of `cells`."""
    of = [*section.descriptors, SIZE]
    return cells(accepted, micrographs, by=["sample", size_bins(FINE_NM)], of=of, weight=weight)


def find_onsets(
    made: Cells,
    section: OnsetsSection,
    *,
    cluster: Cluster,
    level: float,
    seed: int,
    baselines: Mapping[str, pd.DataFrame] | None = None,
) -> FoundOnsets:
    """Find the bends of each descriptor.

    Parameters
    ----------
    made : Cells
        From `onset_cells`.
    section : OnsetsSection
    cluster, level, seed
        See `onsets`.
    baselines : mapping of str to DataFrame, optional
        What a constant shape would show of a descriptor (see `onsets`): its bends are then those of the excess.
    """
    tables, curves, sentences = [], [], []
    for of, sought in section.descriptors.items():
        found = onsets(
            made, of=of, between_nm=sought.ranges[ONSET], saturation_between_nm=sought.ranges.get(SATURATION), cluster=cluster,
            level=level, replicates=section.replicates, seed=seed, baseline=(baselines or {}).get(of),
        )  # fmt: skip
        tables.append(found.table)
        curves.append(found.curves.assign(descriptor=of, excess=of in (baselines or {})))
        sentences += found.sentences
    return FoundOnsets(
        pd.concat(tables, ignore_index=True)[list(ONSETS.names)],
        pd.concat(curves, ignore_index=True)[list(CURVES.names)],
        sentences,
        level,
    )
