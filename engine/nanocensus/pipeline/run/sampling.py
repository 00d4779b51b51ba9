"""The sampling plan of a run: how many micrographs its numbers need."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from nanocensus.errors import StatisticsError
from nanocensus.measure.acceptance import FAILED, apply_criteria
from nanocensus.pipeline.run.record import job_of_run
from nanocensus.statistics.cells.cells import cells
from nanocensus.statistics.cells.size_bins import SizeBins
from nanocensus.statistics.estimation.panels import settled
from nanocensus.statistics.sampling.sampling_plan import sampling_plan
from nanocensus.store.particles.row_groups import check_columns
from nanocensus.store.particles.tables import read_micrographs, read_particles


def plan_run(out: Path, *, of: Sequence[str] = (), by_size: bool = False, half_width: float | None = None,
             standard_error: float | None = None, cv: float | None = None, at_most: int = 1000) -> pd.DataFrame:  # fmt: skip
    """Plan with a run's accepted particles, weights, clusters, level and bins, without the excluded micrographs.

    Parameters
    ----------
    out : Path
        Folder of the results; they may be those of a part of the micrographs to come.
    of : sequence of str
        Descriptors; those of the job if none is named.
    by_size : bool
        Whether to plan for every size bin instead of the whole sample.
    half_width, standard_error, cv, at_most
        See `sampling_plan`.

    Raises
    ------
    StoreError
        If there are no results, or they are damaged.
    TableError
        If a descriptor is no column of the particles.
    StatisticsError
        If no particle was accepted, or the target makes no sense.
    """
    job = job_of_run(out)
    section = job.statistics
    judged = apply_criteria(read_particles(job.out), job.criteria)
    check_columns(of, judged.columns)
    by: list[str | SizeBins] = ["sample", *([section.bins()] if by_size else [])]
    columns = list(dict.fromkeys((*of, *section.descriptors)))
    made = cells(judged[judged[FAILED] == 0], read_micrographs(job.out), by=by, of=columns, weight=job.weight_column)
    if made.table.empty:
        raise StatisticsError(
            str(out), expected="accepted particles", got="none", remedy="Look at the criteria: nanocensus criteria."
        )
    # "auto" is what the run's own intervals took it for, whatever is planned.
    cluster = settled(made.of_all_sizes(), section.cluster, section.descriptors)
    return sampling_plan(
        made, half_width=half_width, standard_error=standard_error, cv=cv, of=list(of) or section.descriptors,
        cluster=cluster, level=section.level, at_most=at_most,
    )  # fmt: skip
