"""From the particle table to the statistics of samples and size bins, saved beside it."""

import dataclasses
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from nanocensus.measure.acceptance import FAILED, REASONS, apply_criteria, count_rejections
from nanocensus.pipeline.analysis.quality_effect import effect_of_flagged, without
from nanocensus.pipeline.baselines.beyond import Beyond, beyond
from nanocensus.pipeline.baselines.constant_shapes import constant_shape_of
from nanocensus.pipeline.baselines.excess_columns import EXCESS_TABLES
from nanocensus.pipeline.baselines.onset_baselines import TakenOff, taken_off
from nanocensus.pipeline.job.spec import Job
from nanocensus.pipeline.onsets.analysis import OnsetAnalysis, analyse_onsets
from nanocensus.pipeline.onsets.columns import ONSET_TABLES
from nanocensus.pipeline.onsets.sensitivity import Material
from nanocensus.pipeline.populations.columns import POPULATION_TABLES
from nanocensus.pipeline.populations.comparisons import Comparisons, compare_samples, comparison_tables
from nanocensus.pipeline.populations.results import ComparedPopulations, compare_populations, population_tables
from nanocensus.pipeline.populations.synthesis import ModelledSynthesis, model_synthesis, synthesis_tables
from nanocensus.pipeline.question import Question, question_of, without_particles
from nanocensus.pipeline.run.quality import judge_run
from nanocensus.pipeline.shapes.results import MEAN_OUTLINES, MEAN_SHAPES, save_shapes, shapes_of_run
from nanocensus.statistics.cells.cells import Cells, cells
from nanocensus.statistics.cells.partitions import Particles
from nanocensus.statistics.cells.size_bins import SizeBins
from nanocensus.statistics.distributions.density import densities
from nanocensus.statistics.distributions.modes import mode_intervals
from nanocensus.statistics.estimation import binning
from nanocensus.statistics.estimation.combined import relative_uncertainties, with_scale
from nanocensus.statistics.estimation.estimation import estimate
from nanocensus.statistics.estimation.reductions import cv, mean, median
from nanocensus.statistics.variance.components import variance_components
from nanocensus.store.commit import commit_bytes
from nanocensus.store.particles.tables import read_particles

BY_SAMPLE, BY_SIZE, QUALITY_EFFECT = "by_sample", "by_size", "quality_effect"
_COMPARED = ("size_distribution", "lognormal_fit", "contrasts", "across_samples", *ONSET_TABLES, MEAN_SHAPES,
             MEAN_OUTLINES, *EXCESS_TABLES, *POPULATION_TABLES)  # fmt: skip
TABLES_FOLDER, STATISTICS_STORE, CELLS_STORE = "tables", "statistics.zarr", "cells.zarr"


@dataclass(frozen=True, eq=False)
class Analysis:
    """The statistics of a census; without an accepted particle there are none."""

    by_sample: xr.Dataset | None
    by_size: xr.Dataset | None
    densities: Mapping[str, xr.Dataset]
    """The distribution of each descriptor, by sample."""
    counts: pd.DataFrame
    """One row a sample: detected, accepted, how many failed each criterion (a particle may fail several) or, in a table, have
    no value, and how many could count but lie on excluded micrographs."""
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
    beyond: Beyond | None = None
    """The data beside what is taken off them, where the job names a constant shape or asks for pairs."""
    shapes: xr.Dataset | None = None
    """Mean outlines by sample and size (`nc.mean_shapes`), where outlines are kept."""
    synthesis: ModelledSynthesis | None = None
    """Means against the conditions of the synthesis, where the job asks for it."""
    populations: ComparedPopulations | None = None
    """Further comparisons, where the job asks for them."""
    not_done: Sequence[str] = ()
    """What was asked for and could not be done for want of particles, a sentence each."""


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
    judged = apply_criteria(read_particles(job.out, excluded=True), job.criteria)
    counts = _counts(judged, micrographs["sample"].unique(), excluded)
    asked = dataclasses.replace(question_of(job), constant=constant_shape_of(job))
    analysis = analyse_judged(judged, micrographs, counts, asked, job.out)
    if analysis.by_sample is None or not job.measure.outlines:
        return analysis
    counting = without(micrographs, micrographs[micrographs["excluded"]])
    shapes = shapes_of_run(judged, counting, job, analysis.by_sample.attrs["cluster"])
    if shapes is not None:
        save_shapes(shapes, statistics_store(job.out, MEAN_SHAPES), job.out / TABLES_FOLDER)
    return dataclasses.replace(analysis, shapes=shapes)


def analyse_judged(
    judged: Particles, micrographs: pd.DataFrame, counts: pd.DataFrame, asked: Question, out: Path
) -> Analysis:
    """Compute all statistics of particles, whether a run measured them or a table holds them, and save them.

    Parameters
    ----------
    judged : pandas or dask DataFrame
        The particles of all micrographs: all that were detected, with what criteria say of them, or, where nothing is asked
        of criteria, those that could count.
    micrographs : DataFrame
        Their micrographs, with `flags` and `excluded`; the scale's share needs `n_detected` and `pixel_size_uncertainty`.
    counts : DataFrame
        As in `Analysis`.
    asked : Question
    out : Path
        Folder of the results; statistics of an earlier analysis are removed from it.

    Raises
    ------
    TableError, StatisticsError
        As `cells` and `estimate`.
    """
    excluded = micrographs[micrographs["excluded"]]
    accepted = judged if asked.criteria is None else judged[judged[FAILED] == 0]
    made: Cells | None = None
    if not int(counts["accepted"].sum()):
        effect = effect_of_flagged(accepted, micrographs, asked)
        analysis = Analysis(None, None, {}, counts, micrographs, effect, not_done=without_particles(asked))
    else:
        counted, counting = without(accepted, excluded), without(micrographs, excluded)
        made = _cells(counted, counting, asked)
        by_sample, by_size, worth = _statistics(made, asked)
        settled = dataclasses.replace(asked, cluster=by_sample.attrs["cluster"])  # of all that follows
        effect = effect_of_flagged(accepted, micrographs, settled)
        compared = compare_samples(counted, counting, settled, by_sample, by_size)
        seen = without(judged, excluded)
        taken = _taken_off(seen, counting, settled)
        shapes, bends = _densities(counted, counting, settled), _onsets(seen, counting, settled, taken)
        scaled = _with_scale(by_sample, counting), _with_scale(by_size, counting)
        analysis = Analysis(
            *scaled,
            shapes,
            counts,
            micrographs,
            effect,
            worth,
            compared,
            bends,
            beyond=_beyond(counted, counting, settled, by_size, taken),
            synthesis=model_synthesis(made.of_all_sizes(), counting, settled),
            populations=compare_populations(counted, counting, made, settled),
        )
    _remove_statistics(out)  # what is no longer there would stand beside counts that deny it
    if made is not None:
        made.save(out / CELLS_STORE)
    _save(analysis, out)
    return analysis


def _cells(accepted: Particles, micrographs: pd.DataFrame, asked: Question) -> Cells:
    by: list[str | SizeBins] = ["sample", *([] if asked.bins is None else [asked.bins])]
    return cells(accepted, micrographs, by=by, of=asked.of, weight=asked.weight, scale=asked.scale)


def _statistics(made: Cells, asked: Question) -> tuple[xr.Dataset, xr.Dataset | None, xr.Dataset]:
    """Estimate by sample, and by sample and size; and say how alike particles are, by sample."""
    statistics = {name: (mean, median, cv) for name in asked.of}
    whole = made.of_all_sizes()
    by_sample = estimate(whole, statistics, cluster=asked.cluster, level=asked.level)
    cluster = by_sample.attrs["cluster"]  # "auto" is settled once, by what is asked of whole samples
    by_size = None if asked.bins is None else estimate(made, statistics, cluster=cluster, level=asked.level)
    return by_sample, by_size, variance_components(whole, cluster=cluster, level=asked.level)


def _with_scale(dataset: xr.Dataset | None, micrographs: pd.DataFrame) -> xr.Dataset | None:
    """Add the scale's share to the uncertainty, where the micrographs say how well their scale is known."""
    relative = _scale_uncertainties(micrographs)
    return dataset if dataset is None or not relative else with_scale(dataset, relative)


def _scale_uncertainties(micrographs: pd.DataFrame) -> Mapping[str, float]:
    """Give the relative uncertainty of the scale by sample; nothing where micrographs say nothing of it."""
    told = {"n_detected", "pixel_size_uncertainty"} <= set(micrographs.columns)
    return relative_uncertainties(micrographs) if told else {}


def _densities(accepted: Particles, micrographs: pd.DataFrame, asked: Question) -> dict[str, xr.Dataset]:
    found = {name: densities(accepted, name, weight=asked.weight, scale=asked.scale) for name in asked.of}
    options: dict[str, Any] = {"cluster": asked.cluster, "level": asked.level, "seed": asked.seed, "scale": asked.scale}
    return {name: mode_intervals(shape, accepted, micrographs, **options) for name, shape in found.items()}


def _taken_off(judged: Particles, micrographs: pd.DataFrame, asked: Question) -> TakenOff | None:
    if asked.onsets is None or asked.constant is None:
        return None
    return taken_off(asked.constant, asked.onsets, judged, micrographs, asked.criteria, seed=asked.seed)


def _onsets(
    judged: Particles, micrographs: pd.DataFrame, asked: Question, taken: TakenOff | None
) -> OnsetAnalysis | None:
    if asked.onsets is None:
        return None
    scale = _scale_uncertainties(micrographs)
    material = Material(judged, micrographs, asked.criteria, asked.weight, scale, asked.maps)
    baselines, changes = ({}, {}) if taken is None else (taken.baselines(asked.onsets), taken.changes(asked.onsets))
    return analyse_onsets(
        material,
        asked.onsets,
        cluster=asked.cluster,
        level=asked.level,
        seed=asked.seed,
        baselines=baselines,
        changes=changes,
    )


def _beyond(
    accepted: Particles,
    micrographs: pd.DataFrame,
    asked: Question,
    by_size: xr.Dataset | None,
    taken: TakenOff | None,
) -> Beyond | None:
    if asked.onsets is None or taken is None:
        return None
    return beyond(taken, asked.onsets, accepted, micrographs, by_size, cluster=asked.cluster, level=asked.level)


def _save(analysis: Analysis, out: Path) -> None:
    tables = {"counts": analysis.counts, QUALITY_EFFECT: analysis.quality_effect}
    if analysis.comparisons is not None:
        tables |= comparison_tables(analysis.comparisons)
    if analysis.onsets is not None:
        tables |= analysis.onsets.tables()
    if analysis.beyond is not None:
        tables |= analysis.beyond.tables()
    if analysis.synthesis is not None:
        tables |= synthesis_tables(analysis.synthesis)
    if analysis.populations is not None:
        tables |= population_tables(analysis.populations)
    for which, dataset in ((BY_SAMPLE, analysis.by_sample), (BY_SIZE, analysis.by_size)):
        if dataset is not None:
            binning.save(dataset, statistics_store(out, which))
            tables[which] = binning.to_table(dataset)
    for name, table in tables.items():
        commit_bytes(out / TABLES_FOLDER / f"{name}.csv", table.to_csv(index=False).encode())


def _remove_statistics(out: Path) -> None:
    """Remove the statistics of an earlier analysis."""
    for folder in (out / CELLS_STORE, out / STATISTICS_STORE):
        shutil.rmtree(folder, ignore_errors=True)
    for which in (BY_SAMPLE, BY_SIZE, *_COMPARED):
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
