"""From the particle table to the statistics of samples and size bins, saved beside it."""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import xarray as xr

from nanocensus.measure.acceptance import FAILED, REASONS, apply_criteria, count_rejections
from nanocensus.pipeline.spec import Job
from nanocensus.statistics import binning
from nanocensus.statistics.cells import cells
from nanocensus.statistics.density import densities
from nanocensus.statistics.estimation import estimate
from nanocensus.statistics.partitions import Particles
from nanocensus.statistics.reductions import cv, mean, median
from nanocensus.statistics.size_bins import SizeBins
from nanocensus.store.commit import commit_bytes
from nanocensus.store.tables import read_micrographs, read_particles

BY_SAMPLE, BY_SIZE = "by_sample", "by_size"
TABLES_FOLDER, STATISTICS_STORE, CELLS_STORE = "tables", "statistics.zarr", "cells.zarr"


@dataclass(frozen=True, eq=False)
class Analysis:
    """The statistics of a census; without an accepted particle there are none."""

    by_sample: xr.Dataset | None
    by_size: xr.Dataset | None
    densities: Mapping[str, xr.Dataset]
    """The distribution of each descriptor, by sample."""
    counts: pd.DataFrame
    """One row a sample: detected, accepted, and how many failed each criterion (a particle may fail several)."""


def statistics_store(out: Path, which: str) -> Path:
    """Give the path of saved statistics: `which` is BY_SAMPLE or BY_SIZE."""
    return out / STATISTICS_STORE / which


def analyse_run(job: Job) -> Analysis:
    """Compute the statistics that a job asks for, and save them as Zarr and CSV.

    Parameters
    ----------
    job : Job
        Names the results, the criteria and the statistics.

    Returns
    -------
    Analysis

    Raises
    ------
    StoreError
        If there are no results, or they are damaged.
    TableError
        If a descriptor is not a column of the particles table.
    """
    micrographs = read_micrographs(job.out)
    flagged = apply_criteria(read_particles(job.out), job.criteria)
    counts = _counts(flagged, micrographs["sample"].unique())
    tables = {"counts": counts}
    if not int(counts["accepted"].sum()):
        analysis = Analysis(None, None, {}, counts)
        remove_statistics(job.out)  # those of an earlier run would stand beside counts that deny them
    else:
        by_sample, by_size = _statistics(flagged[flagged[FAILED] == 0], micrographs, job)
        shapes = _densities(flagged[flagged[FAILED] == 0], job)
        analysis = Analysis(by_sample, by_size, shapes, counts)
        for which, dataset in ((BY_SAMPLE, by_sample), (BY_SIZE, by_size)):
            binning.save(dataset, statistics_store(job.out, which))
            tables[which] = binning.to_table(dataset)
    for name, table in tables.items():
        commit_bytes(job.out / TABLES_FOLDER / f"{name}.csv", table.to_csv(index=False).encode())
    return analysis


def _statistics(accepted: Particles, micrographs: pd.DataFrame, job: Job) -> tuple[xr.Dataset, xr.Dataset]:
    """Estimate by sample, and by sample and size; the cells of the latter are kept."""
    section = job.statistics
    of, cluster, level, weight = section.descriptors, section.cluster, section.level, job.weight_column
    by_sample = binning.sample_statistics(accepted, micrographs, of=of, cluster=cluster, level=level, weight=weight)
    by: list[str | SizeBins] = ["sample", section.bins()]
    made = cells(accepted, micrographs, by=by, of=of, weight=weight)
    made.save(job.out / CELLS_STORE)
    by_size = estimate(made, {name: (mean, median, cv) for name in of}, cluster=cluster, level=level)
    return by_sample, by_size


def _densities(accepted: Particles, job: Job) -> dict[str, xr.Dataset]:
    return {name: densities(accepted, name, weight=job.weight_column) for name in job.statistics.descriptors}


def remove_statistics(out: Path) -> None:
    """Remove the statistics of an earlier analysis."""
    for folder in (out / CELLS_STORE, out / STATISTICS_STORE):
        shutil.rmtree(folder, ignore_errors=True)
    for which in (BY_SAMPLE, BY_SIZE):
        (out / TABLES_FOLDER / f"{which}.csv").unlink(missing_ok=True)


def _counts(flagged: Particles, samples: Iterable[str]) -> pd.DataFrame:
    """Count detected, accepted and rejected particles by reason, one row a sample, those without particles too."""
    frame = flagged[["sample", FAILED]]
    frame = frame if isinstance(frame, pd.DataFrame) else frame.compute()
    counted = []
    for sample in samples:
        rows = frame[frame["sample"] == sample]
        accepted = int((rows[FAILED] == 0).sum())
        counted.append({"sample": sample, "detected": len(rows), "accepted": accepted, **count_rejections(rows)})
    return pd.DataFrame(counted, columns=["sample", "detected", "accepted", *REASONS])
