"""From the particle table to the statistics of samples and size bins, saved beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import xarray as xr

from nanocensus.measure.criteria import FAILED, REASONS, apply_criteria, count_rejections
from nanocensus.pipeline.spec import Job, StatisticsSection
from nanocensus.statistics import binning
from nanocensus.statistics.cells import SizeBins, cells, size_bins
from nanocensus.statistics.density import densities
from nanocensus.statistics.estimation import estimate
from nanocensus.statistics.partitions import Particles
from nanocensus.statistics.reductions import cv, mean, median
from nanocensus.store.commit import commit_bytes
from nanocensus.store.tables import read_micrographs, read_particles

BY_SAMPLE, BY_SIZE = "by_sample", "by_size"
TABLES_FOLDER = "tables"


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
    return out / "statistics.zarr" / which


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
    section = job.statistics
    weight = None if section.weight == "none" else section.weight
    micrographs = read_micrographs(job.out)
    flagged = apply_criteria(read_particles(job.out), job.criteria)
    counts = _counts(flagged)
    tables = {"counts": counts}
    accepted = flagged[flagged[FAILED] == 0]
    if not int(counts["accepted"].sum()):
        analysis = Analysis(None, None, {}, counts)
    else:
        by_sample = _statistics(accepted, micrographs, job, weight, None)
        by_size = _statistics(accepted, micrographs, job, weight, chosen_bins(section))
        shapes = {name: densities(accepted, name, weight=weight) for name in section.descriptors}
        analysis = Analysis(by_sample, by_size, shapes, counts)
        for which, dataset in ((BY_SAMPLE, by_sample), (BY_SIZE, by_size)):
            binning.save(dataset, statistics_store(job.out, which))
            tables[which] = binning.to_table(dataset)
    for name, table in tables.items():
        commit_bytes(job.out / TABLES_FOLDER / f"{name}.csv", table.to_csv(index=False).encode())
    return analysis


def chosen_bins(section: StatisticsSection) -> SizeBins:
    """Give the size bins that a job asks for: 0.2 nm wide unless it says otherwise."""
    if section.bin_quantiles is not None:
        return size_bins(quantiles=section.bin_quantiles)
    if section.bin_edges_nm is not None:
        return size_bins(edges=section.bin_edges_nm)
    return size_bins(section.bin_width_nm or 0.2)


def _statistics(
    accepted: Particles, micrographs: pd.DataFrame, job: Job, weight: str | None, bins: SizeBins | None
) -> xr.Dataset:
    """Sum the accepted particles into cells, keep those by size, and estimate from them."""
    section = job.statistics
    by: list[str | SizeBins] = ["sample"] if bins is None else ["sample", bins]
    made = cells(accepted, micrographs, by=by, of=section.descriptors, weight=weight)
    if bins is not None:
        made.save(job.out / "cells.zarr")
    wanted = {name: (mean, median, cv) for name in section.descriptors}
    return estimate(made, wanted, cluster=section.cluster, level=section.level)


def _counts(flagged: Particles) -> pd.DataFrame:
    """Count detected, accepted and rejected particles by sample and reason."""
    frame = flagged[["sample", FAILED]]
    frame = frame if isinstance(frame, pd.DataFrame) else frame.compute()
    rows = [
        {"sample": sample, "detected": len(rows), "accepted": int((rows[FAILED] == 0).sum()), **count_rejections(rows)}
        for sample, rows in frame.groupby("sample", sort=True)
    ]
    return pd.DataFrame(rows, columns=["sample", "detected", "accepted", *REASONS])
