"""Everything that is said of onset sizes: where they are, what else could move them, and what the criteria reject by size."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64

from nanocensus.pipeline.job.onset_section import OnsetsSection
from nanocensus.pipeline.onsets.columns import BIN_MEANS, CURVES, ONSETS, REJECTED, UNCERTAINTY
from nanocensus.pipeline.onsets.rejected_by_size import rejected_by_size
from nanocensus.pipeline.onsets.results import FoundOnsets, find_onsets, onset_cells
from nanocensus.pipeline.onsets.sensitivity import Material, Sensitivity, sensitivity
from nanocensus.pipeline.onsets.variants import accepted, each_partition
from nanocensus.statistics.estimation.clusters import Cluster


@dataclass(frozen=True, eq=False)
class OnsetAnalysis:
    """The onset sizes of a census."""

    found: FoundOnsets
    sensitivity: Sensitivity | None
    """None where the job does not ask for it."""
    rejected: pd.DataFrame | None
    """See `columns.REJECTED`; None where the particles were chosen before they came here."""

    def tables(self) -> dict[str, pd.DataFrame]:
        """Give the tables by the names of their files."""
        made = {ONSETS.name: self.found.table, CURVES.name: self.found.curves}
        if self.sensitivity is not None:
            made |= {UNCERTAINTY.name: self.sensitivity.onsets, BIN_MEANS.name: self.sensitivity.bin_means}
        return made | ({} if self.rejected is None else {REJECTED.name: self.rejected})


def analyse_onsets(
    material: Material,
    section: OnsetsSection,
    *,
    cluster: Cluster,
    level: float,
    seed: int,
    baselines: Mapping[str, pd.DataFrame] | None = None,
    changes: Mapping[str, Float64[np.ndarray, "draw row"]] | None = None,
) -> OnsetAnalysis:
    """Find the onsets that a job asks for, and what else could move them.

    Parameters
    ----------
    material : Material
    section : OnsetsSection
    cluster, level, seed
        See `onsets`.
    baselines : mapping of str to DataFrame, optional
        What a constant shape would show of a descriptor (see `onsets`): its bends are then those of the excess.
    changes : mapping of str to float64 array (draw, row), optional
        By how much the rows of each baseline might be higher, in each of many draws.
    """
    of = list(section.descriptors)
    columns = material.columns(of)
    counted = each_partition(material.particles[columns], lambda rows: accepted(rows, material.criteria))
    made = onset_cells(counted, material.micrographs, section, material.weight)
    found = find_onsets(made, section, cluster=cluster, level=level, seed=seed, baselines=baselines)
    moved = None
    if section.uncertainty:
        moved = sensitivity(material, made, found, section, cluster=cluster, baselines=baselines, changes=changes)
    judged = None if material.criteria is None else rejected_by_size(material.particles, material.criteria, columns)
    return OnsetAnalysis(found, moved, judged)
