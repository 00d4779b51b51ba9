"""The public names: what `import nanocensus as nc` offers."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import distributed
import pandas as pd

from nanocensus.errors import InputError
from nanocensus.measure.acceptance import apply_criteria, decode_failed
from nanocensus.measure.criteria import Criteria, SampleCriteria
from nanocensus.measure.descriptors import measure_particles
from nanocensus.measure.parse import parse_estimator
from nanocensus.pipeline.analyse import Analysis, analyse_run
from nanocensus.pipeline.dispatch import OnProgress, Progress, Stopping, never, silent
from nanocensus.pipeline.evaluate import Evaluation, evaluate_job, evaluate_run, is_run, job_of_folder
from nanocensus.pipeline.evaluation_tables import BIN_WIDTH_NM
from nanocensus.pipeline.excess import excess_trends
from nanocensus.pipeline.gallery import CROPS, gallery_run
from nanocensus.pipeline.job_paths import job_to_run
from nanocensus.pipeline.label_images import CRITERIA
from nanocensus.pipeline.label_images import measure_labels as _measure_labels
from nanocensus.pipeline.mean_shapes import mean_shapes
from nanocensus.pipeline.measuring import Measuring
from nanocensus.pipeline.merit import LARGE_PX
from nanocensus.pipeline.null_envelope import NullEnvelope, envelope_of_particles, null_envelope
from nanocensus.pipeline.onset_section import OnsetsSection
from nanocensus.pipeline.pairs import PairContamination, pair_contamination
from nanocensus.pipeline.population_sections import PopulationsSection, SynthesisSection
from nanocensus.pipeline.record import RunSummary, job_of_run
from nanocensus.pipeline.reporting import report_run
from nanocensus.pipeline.runner import census
from nanocensus.pipeline.scale import check_scale
from nanocensus.pipeline.spec import Job, model_path, read_job
from nanocensus.pipeline.table_analysis import analyse_table
from nanocensus.sections import parse_section
from nanocensus.segment.weights import Model, load_model, model_names
from nanocensus.show import figures
from nanocensus.statistics.across import cv_across_samples
from nanocensus.statistics.binning import sample_statistics, size_statistics
from nanocensus.statistics.bootstrap import bootstrap
from nanocensus.statistics.cells import Cells, cells, size_bins
from nanocensus.statistics.clusters import Cluster
from nanocensus.statistics.contrasts import compare, difference, ratio
from nanocensus.statistics.data_size_study import data_size_study
from nanocensus.statistics.energy import energy_distances
from nanocensus.statistics.estimation import estimate
from nanocensus.statistics.modality import modality
from nanocensus.statistics.nested_variance import nested_variance
from nanocensus.statistics.onset import Onsets, onsets
from nanocensus.statistics.partitions import Particles
from nanocensus.statistics.reductions import cv, mean, median, quantile, sd
from nanocensus.statistics.representatives import representatives
from nanocensus.statistics.sampling_plan import sampling_plan
from nanocensus.statistics.sampling_study import sampling_study
from nanocensus.statistics.size_bins import SizeBins
from nanocensus.statistics.size_distribution import size_distribution
from nanocensus.statistics.spread import Spreads, spread_against_mean
from nanocensus.statistics.synthesis import SynthesisModel, synthesis_model
from nanocensus.statistics.variance_components import variance_components
from nanocensus.store.ingest import ingest as _ingest
from nanocensus.store.manifest import Manifest, OutputLock, read_manifest
from nanocensus.store.outlines import read_outlines
from nanocensus.store.particle_tables import ParticleTable, open_particle_table, read_micrograph_table
from nanocensus.store.row_groups import open_particles
from nanocensus.store.sources import find_sources
from nanocensus.store.tables import read_micrographs, read_particles

StrPath = str | os.PathLike[str]

__all__ = [
    "Analysis",
    "Cells",
    "Criteria",
    "Evaluation",
    "Job",
    "Manifest",
    "Measuring",
    "Model",
    "NullEnvelope",
    "Onsets",
    "PairContamination",
    "Progress",
    "RunSummary",
    "SampleCriteria",
    "Spreads",
    "SynthesisModel",
    "analyse",
    "analyse_particles",
    "apply_criteria",
    "bootstrap",
    "cells",
    "compare",
    "criteria_gallery",
    "cv",
    "cv_across_samples",
    "data_size_study",
    "decode_failed",
    "difference",
    "energy_distances",
    "envelope_of_particles",
    "estimate",
    "evaluate",
    "excess_trends",
    "figures",
    "ingest",
    "load_model",
    "mean",
    "mean_shapes",
    "measure_labels",
    "measure_particles",
    "median",
    "modality",
    "model_names",
    "nested_variance",
    "null_envelope",
    "onsets",
    "open_particles",
    "pair_contamination",
    "quantile",
    "ratio",
    "read_job",
    "read_manifest",
    "read_micrographs",
    "read_outlines",
    "read_particle_table",
    "read_particles",
    "report",
    "representatives",
    "run",
    "sample_statistics",
    "sampling_plan",
    "sampling_study",
    "sd",
    "size_bins",
    "size_distribution",
    "size_statistics",
    "spread_against_mean",
    "synthesis_model",
    "variance_components",
]


def run(
    job: StrPath | Mapping[str, Any] | Job,
    client: distributed.Client | None = None,
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    out: StrPath | None = None,
    on_progress: OnProgress = silent,
    stopping: Stopping = never,
    retry_failed: bool = False,
) -> RunSummary:
    """Do a whole job, from files to the report, going on from what is already there.

    Parameters
    ----------
    job : path, mapping or Job
        A job file, or what one would say.
    client : distributed.Client, optional
        A client of any Dask cluster; it is left open.
    scheduler : str, optional
        Address of a running scheduler, instead of the job's.
    workers : int, optional
        Number of local worker processes, instead of the job's.
    out : path, optional
        Folder of the results, instead of the job's.
    on_progress : callable, optional
        Told how far each stage is.
    stopping : callable, optional
        Asked again and again whether to stop; the run then finishes what is in flight and raises KeyboardInterrupt. The
        same call goes on from there.
    retry_failed : bool
        Whether micrographs that failed before are tried again though nothing changed.

    Returns
    -------
    RunSummary
        What was found and done; `out` holds the tables, statistics and report.html.

    Raises
    ------
    NanocensusError
        If the job cannot be done; what was finished before is kept.
    KeyboardInterrupt
        If it was told to stop.
    """
    job = job_to_run(job)
    cluster = dataclasses.replace(
        job.cluster,
        scheduler=job.cluster.scheduler if scheduler is None else scheduler,
        workers=job.cluster.workers if workers is None else workers,
    )
    job = dataclasses.replace(job, cluster=cluster, out=job.out if out is None else Path(out).absolute())
    with OutputLock(job.out):
        summary = census(job, client=client, on_progress=on_progress, stopping=stopping, retry_failed=retry_failed)
        if stopping():
            raise KeyboardInterrupt
        if job.scale.lattice is not None:
            check_scale(job.out, job.scale.lattice, micrographs=job.scale.micrographs, on_progress=on_progress)
        analysis = analyse_run(job)
        report_run(job, analysis)
    judged = analysis.micrographs
    return dataclasses.replace(
        summary, n_flagged=int(judged["flags"].notna().sum()), n_excluded=int(judged["excluded"].sum())
    )


def ingest(
    folder: StrPath,
    out: StrPath,
    *,
    pixel_size_nm: float | None = None,
    pixel_size_assumed: bool = False,
    table: StrPath | None = None,
    pattern: str | None = None,
) -> Manifest:
    """Read micrographs into a store, refusing by name what cannot be measured.

    Parameters
    ----------
    folder : path
        Folder of the micrographs; its first level of folders are the samples, unless a table or pattern says otherwise.
    out : path
        Folder of the results.
    pixel_size_nm : float, optional
        Side of a pixel in nm, for all files; goes before what the files say.
    pixel_size_assumed : bool
        Whether that pixel size is made up.
    table : path, optional
        A samples.csv or micrographs.csv.
    pattern : str, optional
        Where names are in the paths, e.g. "{sample}/{group}/{order}_*.tif".

    Returns
    -------
    Manifest
        The index of micrographs, and the refused files with the reasons.
    """
    sources = find_sources(
        Path(folder),
        pattern=pattern,
        table=Path(table) if table is not None else None,
        pixel_size_nm=pixel_size_nm,
        assumed=pixel_size_assumed,
    )
    with OutputLock(Path(out)):
        return _ingest(sources, Path(out))


def analyse(out: StrPath) -> Analysis:
    """Compute and save the statistics of a finished run again."""
    job = job_of_run(Path(out))
    with OutputLock(job.out):
        return analyse_run(job)


def read_particle_table(
    table: StrPath,
    *,
    tool: str | None = None,
    columns: Mapping[str, str] | None = None,
    unit: str | None = None,
    pixel_size_nm: float | None = None,
    sample: str | None = None,
    pattern: str | None = None,
    micrographs: StrPath | pd.DataFrame | None = None,
) -> Particles:
    """Read a table of particles that another tool measured, under the names of `schema.PARTICLES` and in nm.

    Parameters
    ----------
    table : path
        A CSV, TSV or Parquet file, a folder of them, or a glob.
    tool : {"imagej", "scikit-image", "particlespy", "cellprofiler"}, optional
        Whose columns they are; without it they have to be called as ours, or be named in `columns`.
    columns : mapping of str to str, optional
        Our name of a column (a descriptor, sample, micrograph, group, session, condition_...): the table's.
    unit : str, optional
        Of the lengths in columns that are renamed: "nm", "um", "A", ..., or "px" with `pixel_size_nm`. ImageJ and
        ParticleSpy do not write it into their tables.
    pixel_size_nm : float, optional
        Side of a pixel, nm, where lengths are in pixels.
    sample : str, optional
        The sample of all particles. Else it is a column's, the pattern's, that of `micrographs`, or the first folder's.
    pattern : str, optional
        Where the sample (group, session, a condition) stands in the names of micrographs, e.g. "{sample}_*". A
        micrograph is named by its column, or else by its file.
    micrographs : path or DataFrame, optional
        A table of micrographs that tells the sample of each.

    Returns
    -------
    pandas.DataFrame, or dask.dataframe.DataFrame of Parquet
        sample and micrograph, the known columns, what follows from them (edge length from area, ...), and all others
        under their own names. Missing values are NaN; nothing is left out.

    Raises
    ------
    TableError
        If it cannot be read, columns are missing or hold text, or nothing tells the sample.
    CalibrationError
        If nobody says in what unit the lengths are.
    """
    listed = _micrograph_table(micrographs)
    return open_particle_table(
        table, tool=tool, columns=columns, unit=unit, pixel_size_nm=pixel_size_nm, sample=sample, pattern=pattern,
        micrographs=listed,
    ).frame  # fmt: skip


def measure_labels(
    labels: StrPath,
    *,
    images: StrPath | None = None,
    pixel_size_nm: float | None = None,
    sample: str | None = None,
    pattern: str | None = None,
    table: StrPath | None = None,
    estimator: str = "outline",
    criteria: Criteria = CRITERIA,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure the particles of a folder of label images that another tool made; `analyse_particles` takes both results.

    Parameters
    ----------
    labels : path
        Folder of PNG, TIFF or .npy files of whole numbers: 0 is background and each value a particle, touching or not. A
        file with one value besides 0 is a mask, whose connected regions are the particles. Beside micrographs also what a
        `mask` may be: outlines of ImageJ and napari, OME-NGFF labels.
    images : path, optional
        Folder of their micrographs: of each there has to be a label image of the same place, stem and shape. Without it the
        label images say themselves which micrographs there are.
    pixel_size_nm : float, optional
        Side of a pixel, nm; goes before what the files say.
    sample : str, optional
        The sample of all; otherwise as `ingest` finds it.
    pattern, table
        See `ingest`.
    estimator : {"outline", "paper", "crofton"}
        See `measure_particles`; outlines are those of the labels, smoothed by 1 px.
    criteria : Criteria
        What particles have to be to count.

    Returns
    -------
    particles : pandas.DataFrame
        The columns of `schema.PARTICLES` and `failed_criteria`; particles are numbered by their first pixels, row by row.
    micrographs : pandas.DataFrame
        One row a micrograph, those without particles too.

    Raises
    ------
    ImageError
        If a label image is missing, cannot be read, or is of another shape or kind.
    CalibrationError
        If nobody says how large a pixel is.
    """
    return _measure_labels(
        Path(labels), images=None if images is None else Path(images), pixel_size_nm=pixel_size_nm, sample=sample,
        pattern=pattern, table=None if table is None else Path(table), estimator=parse_estimator(estimator),
        criteria=criteria,
    )  # fmt: skip


def analyse_particles(
    particles: Particles,
    micrographs: StrPath | pd.DataFrame | None = None,
    *,
    out: StrPath,
    of: Sequence[str] = (),
    bins: SizeBins | None = None,
    cluster: Cluster = "group",
    level: float = 0.95,
    onsets: Mapping[str, Any] | None = None,
    synthesis: Mapping[str, Any] | None = None,
    populations: Mapping[str, Any] | None = None,
) -> Analysis:
    """Compute and save the statistics of any particles: tables/*.csv, statistics.zarr, cells.zarr and report.html.

    Parameters
    ----------
    particles : pandas or dask DataFrame
        As `read_particle_table` or `read_particles` give it. Rows with a failed criterion (`failed_criteria`) or without
        a finite value in a needed column are left out, and counted by reason in tables/counts.csv and the report.
    micrographs : path or DataFrame, optional
        Their micrographs, those without particles too; without it those that the rows name.
    out : path
        Folder of the results, made if missing.
    of : sequence of str
        Columns to analyse; edge length, circularity and solidity if absent. Others than the schema's may be among them.
    bins : SizeBins, optional
        0.2 nm wide if absent.
    cluster, level
        See `estimate`.
    onsets : mapping, optional
        Onset sizes to seek, as `[onsets]` of a job file says it: {"descriptors": {"circularity": {"between_nm": [2.6, 7.6]}}}.
    synthesis, populations : mapping, optional
        Models of the synthesis and further comparisons, as these sections of a job file say it; {} asks for their defaults.

    Returns
    -------
    Analysis

    Raises
    ------
    JobError
        If one of these makes no sense.
    TableError, StatisticsError
        If there are no particles, one is there twice, or the columns cannot be counted.
    """
    sought = None if onsets is None else parse_section(OnsetsSection, onsets, section="onsets")
    modelled = None if synthesis is None else parse_section(SynthesisSection, synthesis, section="synthesis")
    compared = None if populations is None else parse_section(PopulationsSection, populations, section="populations")
    table = ParticleTable(particles, pd.DataFrame(columns=["sample", "micrograph"]), {"files": "a DataFrame"})
    with OutputLock(Path(out)):
        return analyse_table(
            table, _micrograph_table(micrographs), out=Path(out), of=of, bins=bins, cluster=cluster, level=level,
            onsets=sought, synthesis=modelled, populations=compared,
        )  # fmt: skip


def _micrograph_table(given: StrPath | pd.DataFrame | None) -> pd.DataFrame | None:
    return given if given is None or isinstance(given, pd.DataFrame) else read_micrograph_table(given)


def report(out: StrPath) -> Path:
    """Write the report of a finished run again, and give its path."""
    job = job_of_run(Path(out))
    with OutputLock(job.out):
        return report_run(job, analyse_run(job))


def criteria_gallery(
    out: StrPath,
    *,
    criteria: Criteria | None = None,
    samples: Sequence[str] | None = None,
    crops: int = CROPS,
) -> Path:
    """Show what each criterion accepts and rejects in a finished run: criteria.html, to choose bounds by eye.

    Parameters
    ----------
    out : path
        Folder of the results.
    criteria : Criteria, optional
        Criteria to try, instead of those of the run; its statistics stay as they are.
    samples : sequence of str, optional
        The samples to show; all if absent.
    crops : int
        How many particles to show on each side of a bound.

    Returns
    -------
    Path
        The HTML file; it needs no other. Equal results and criteria give equal bytes.

    Raises
    ------
    StoreError
        If there are no finished results, or they are damaged.
    InputError
        If a sample is not in them.
    """
    job = job_of_run(Path(out))
    with OutputLock(job.out):
        return gallery_run(job, criteria=criteria, samples=samples, crops=crops)


def evaluate(
    what: StrPath | Job,
    *,
    model: StrPath | None = None,
    table: StrPath | None = None,
    pixel_size_nm: float | None = None,
    pixel_size_assumed: bool = False,
    out: StrPath | None = None,
    level: float | None = None,
    large_px: int = LARGE_PX,
    bin_width_nm: float = BIN_WIDTH_NM,
    on_progress: OnProgress = silent,
) -> Evaluation:
    """Say what a network is worth on micrographs whose true particles are known.

    Parameters
    ----------
    what : path or Job
        The `out` folder of a run, whose maps are judged; or a folder of micrographs as `nanocensus simulate` writes it (a
        micrographs.csv names their masks), a job file or a Job, whose micrographs are predicted for the purpose.
    model : str or path, optional
        A shipped name or a .safetensors file; the column `model` of micrographs.csv goes before it. "default" if absent.
    table : path, optional
        A listing other than the micrographs.csv in the folder.
    pixel_size_nm : float, optional
        Side of a pixel in nm, for all files. Where nobody says, sizes are in pixels.
    pixel_size_assumed : bool
        Whether that pixel size is made up.
    out : path, optional
        Folder to write the tables and the page to; `evaluation` in the folder, or in the job's `out`, if absent.
    level : float, optional
        Confidence level of the intervals; the job's, or 0.95, if absent.
    large_px : int
        Pixels from which on a particle counts as large.
    bin_width_nm : float
        Width of the size bins, nm; neighbours are joined until each has an interval.
    on_progress : callable, optional
        Told how many micrographs are done.

    Returns
    -------
    Evaluation
        The tables, and the path of the page.

    Raises
    ------
    InputError
        If no micrograph has a mask, a mask does not fit its micrograph, or a network cannot be used.
    StoreError
        If the folder holds neither a run nor a listing, or the results are damaged.
    """
    to = None if out is None else Path(out)
    rules: dict[str, Any] = {"level": level, "large_px": large_px, "bin_width_nm": bin_width_nm}
    if isinstance(what, Job):
        return evaluate_job(what, to=to, on_progress=on_progress, **rules)
    path = Path(what)
    described = {"model": model, "table": table, "pixel_size_nm": pixel_size_nm}
    given = [name for name, value in described.items() if value is not None]
    if given and (path.is_file() or is_run(path)):
        raise InputError(
            str(path),
            expected="a folder of micrographs, if " + ", ".join(given) + " is given",
            got="a job file" if path.is_file() else "the results of a run, which has maps of its own",
            remedy="Leave that out, or give the folder of the micrographs.",
        )
    if path.is_file():
        return evaluate_job(job_to_run(path), to=to, on_progress=on_progress, **rules)
    if is_run(path):
        return evaluate_run(path, to=to, on_progress=on_progress, **rules)
    job = job_of_folder(
        path,
        table=None if table is None else Path(table),
        model=model_path("default" if model is None else str(model), None),
        pixel_size_nm=pixel_size_nm,
        pixel_size_assumed=pixel_size_assumed,
    )
    return evaluate_job(job, to=to, on_progress=on_progress, **rules)
