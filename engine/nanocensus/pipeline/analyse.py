"""From the particle table to the statistics of samples and size bins, saved beside it."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from nanocensus.measure.acceptance import FAILED, REASONS, apply_criteria, count_rejections
from nanocensus.pipeline.comparisons import Comparisons, compare_samples, comparison_tables
from nanocensus.pipeline.onset_analysis import OnsetAnalysis, analyse_onsets
from nanocensus.pipeline.onset_columns import ONSET_TABLES
from nanocensus.pipeline.onset_maps import Maps
from nanocensus.pipeline.onset_sensitivity import Material
from nanocensus.pipeline.quality import judge_run
from nanocensus.pipeline.quality_effect import effect_of_flagged, without
from nanocensus.pipeline.spec import Job
from nanocensus.statistics import binning
from nanocensus.statistics.cells import cells
from nanocensus.statistics.clusters import Cluster
from nanocensus.statistics.combined import relative_uncertainties, with_scale
from nanocensus.statistics.density import densities
from nanocensus.statistics.estimation import estimate
from nanocensus.statistics.modes import mode_intervals
from nanocensus.statistics.partitions import Particles
from nanocensus.statistics.reductions import cv, mean, median
from nanocensus.statistics.size_bins import SizeBins
from nanocensus.statistics.variance_components import variance_components
from nanocensus.store.commit import commit_bytes
from nanocensus.store.tables import read_particles

BY_SAMPLE, BY_SIZE, QUALITY_EFFECT = "by_sample", "by_size", "quality_effect"
_COMPARED = ("size_distribution", "lognormal_fit", "contrasts", "across_samples", *ONSET_TABLES)
TABLES_FOLDER, STATISTICS_STORE, CELLS_STORE = "tables", "statistics.zarr", "cells.zarr"


@dataclass(frozen=True, eq=False)
class Analysis:
    """The statistics of a census; without an accepted particle there are none."""

    by_sample: xr.Dataset | None
    by_size: xr.Dataset | None
    densities: Mapping[str, xr.Dataset]
    """The distribution of each descriptor, by sample."""
    counts: pd.DataFrame
    """One row a sample: detected, accepted, how many failed each criterion (a particle may fail several), and how many met
    all but lie on excluded micrographs."""
    micrographs: pd.DataFrame
    """The index, flagged and excluded micrographs marked."""
    quality_effect: pd.DataFrame
    """Means of the samples with flagged micrographs, with these and without; no row if none is flagged."""
    worth: xr.Dataset | None = None
    """How alike the particles of a micrograph are, by sample (`variance_components`)."""
    comparisons: Comparisons | None = None
    """The samples beside each other."""
    onsets: OnsetAnalysis | None = None
    """Sizes at which descriptors change their course, where the job asks for them."""


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
    micrographs = judge_run(job.out, job.quality)
    excluded = list(micrographs.loc[micrographs["excluded"], "micrograph"])
    judged = apply_criteria(read_particles(job.out), job.criteria)
    accepted = judged[judged[FAILED] == 0]
    counts = _counts(judged, micrographs["sample"].unique(), excluded)
    effect = effect_of_flagged(accepted, micrographs, job)
    tables = {"counts": counts, QUALITY_EFFECT: effect}
    remove_comparisons(job.out)  # of one sample there are fewer than there may have been
    if not int(counts["accepted"].sum()):
        analysis = Analysis(None, None, {}, counts, micrographs, effect)
        remove_statistics(job.out)  # those of an earlier run would stand beside counts that deny them
    else:
        counted, counting = without(accepted, excluded), without(micrographs, excluded)
        scale = relative_uncertainties(counting)
        by_sample, by_size, worth = _statistics(counted, counting, job)
        compared = compare_samples(counted, counting, job, by_sample, by_size)
        tables |= comparison_tables(compared)
        by_sample, by_size = with_scale(by_sample, scale), with_scale(by_size, scale)
        shapes = _densities(counted, counting, job, by_sample.attrs["cluster"])
        maps = Maps(job.out, job.measure)
        material = Material(without(judged, excluded), counting, job.criteria, job.weight_column, scale, maps)
        bends = _onsets(material, job, by_sample.attrs["cluster"])
        tables |= {} if bends is None else bends.tables()
        analysis = Analysis(by_sample, by_size, shapes, counts, micrographs, effect, worth, compared, bends)
        for which, dataset in ((BY_SAMPLE, by_sample), (BY_SIZE, by_size)):
            binning.save(dataset, statistics_store(job.out, which))
            tables[which] = binning.to_table(dataset)
    for name, table in tables.items():
        commit_bytes(job.out / TABLES_FOLDER / f"{name}.csv", table.to_csv(index=False).encode())
    return analysis


def _statistics(accepted: Particles, micrographs: pd.DataFrame, job: Job) -> tuple[xr.Dataset, xr.Dataset, xr.Dataset]:
    """Estimate by sample, and by sample and size, whose cells are kept; and say how alike particles are, by sample."""
    section = job.statistics
    of, cluster, level, weight = section.descriptors, section.cluster, section.level, job.weight_column
    statistics = {name: (mean, median, cv) for name in of}
    by: list[str | SizeBins] = ["sample", section.bins()]
    made = cells(accepted, micrographs, by=by, of=of, weight=weight)
    made.save(job.out / CELLS_STORE)
    whole = made.of_all_sizes()
    by_sample = estimate(whole, statistics, cluster=cluster, level=level)
    worth = variance_components(whole, cluster=cluster, level=level)
    return by_sample, estimate(made, statistics, cluster=cluster, level=level), worth


def _densities(accepted: Particles, micrographs: pd.DataFrame, job: Job, cluster: Cluster) -> dict[str, xr.Dataset]:
    found = {name: densities(accepted, name, weight=job.weight_column) for name in job.statistics.descriptors}
    options: dict[str, Any] = {"cluster": cluster, "level": job.statistics.level, "seed": job.seed}
    return {name: mode_intervals(shape, accepted, micrographs, **options) for name, shape in found.items()}


def _onsets(material: Material, job: Job, cluster: Cluster) -> OnsetAnalysis | None:
    if job.onsets is None:
        return None
    return analyse_onsets(material, job.onsets, cluster=cluster, level=job.statistics.level, seed=job.seed)


def remove_statistics(out: Path) -> None:
    """Remove the statistics of an earlier analysis."""
    for folder in (out / CELLS_STORE, out / STATISTICS_STORE):
        shutil.rmtree(folder, ignore_errors=True)
    for which in (BY_SAMPLE, BY_SIZE):
        (out / TABLES_FOLDER / f"{which}.csv").unlink(missing_ok=True)


def remove_comparisons(out: Path) -> None:
    """Remove the tables of an earlier analysis that not every analysis writes."""
    for which in _COMPARED:
        (out / TABLES_FOLDER / f"{which}.csv").unlink(missing_ok=True)


def _counts(judged: Particles, samples: Iterable[str], excluded: Sequence[str]) -> pd.DataFrame:
    """Count detected, accepted and rejected particles by reason, one row a sample, those without particles too."""
    frame = judged[["sample", "micrograph", FAILED]]
    frame = frame if isinstance(frame, pd.DataFrame) else frame.compute()
    counted = []
    for sample in samples:
        rows = frame[frame["sample"] == sample]
        accepted = rows.loc[rows[FAILED] == 0, "micrograph"]
        left_out = int(accepted.isin(list(excluded)).sum())
        numbers = {"detected": len(rows), "accepted": len(accepted) - left_out, "on_excluded_micrographs": left_out}
        counted.append({"sample": sample, **numbers, **count_rejections(rows)})
    return pd.DataFrame(counted, columns=["sample", "detected", "accepted", *REASONS, "on_excluded_micrographs"])
