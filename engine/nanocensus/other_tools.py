"""Particles and label images of other tools: read, measured and analysed as if a run had found them."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from nanocensus.measure.criteria import Criteria
from nanocensus.measure.parse import parse_estimator
from nanocensus.pipeline.analysis.analyse import Analysis
from nanocensus.pipeline.job.onset_section import OnsetsSection
from nanocensus.pipeline.job.population_sections import PopulationsSection, SynthesisSection
from nanocensus.pipeline.tables.label_images import CRITERIA
from nanocensus.pipeline.tables.label_images import measure_labels as _measure_labels
from nanocensus.pipeline.tables.table_analysis import analyse_table
from nanocensus.sections import parse_section
from nanocensus.statistics.cells.partitions import Particles
from nanocensus.statistics.cells.size_bins import SizeBins
from nanocensus.statistics.estimation.clusters import Cluster
from nanocensus.store.foreign.particles import ParticleTable, open_particle_table, read_micrograph_table
from nanocensus.store.manifest import OutputLock

StrPath = str | os.PathLike[str]


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
