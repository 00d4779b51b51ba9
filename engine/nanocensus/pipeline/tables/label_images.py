"""Label images that another tool made: their particles measured here, and laid out as a table to be analysed."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd

from nanocensus.errors import JobError
from nanocensus.measure.acceptance import apply_criteria
from nanocensus.measure.criteria import Criteria, refuse_unknown_samples
from nanocensus.measure.descriptors import measure
from nanocensus.pipeline.analysis.analyse import Analysis
from nanocensus.pipeline.tables.table_analysis import analyse_table
from nanocensus.pipeline.tables.usable_rows import WEIGHT
from nanocensus.schema import CONDITION_PREFIX, Estimator
from nanocensus.sections import parse_section, read_toml
from nanocensus.statistics.cells.size_bins import size_bins
from nanocensus.store.commit import commit_bytes
from nanocensus.store.foreign.particles import ParticleTable
from nanocensus.store.formats.readers import read_header
from nanocensus.store.images.ingest import calibrate
from nanocensus.store.manifest import OutputLock
from nanocensus.store.masks.masks import read_truth, truth_beside
from nanocensus.store.studies.sources import Source, find_sources

CRITERIA = Criteria()


def measure_labels(
    labels: Path,
    *,
    images: Path | None = None,
    pixel_size_nm: float | None = None,
    sample: str | None = None,
    pattern: str | None = None,
    table: Path | None = None,
    estimator: Estimator = "outline",
    criteria: Criteria = CRITERIA,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure the particles of a folder of label images; parameters, result and errors are those of `nc.measure_labels`."""
    found = find_sources(images or labels, pattern=pattern, table=table, pixel_size_nm=pixel_size_nm)
    sources = found if sample is None else [replace(source, sample=sample) for source in found]
    refuse_unknown_samples(criteria, (source.sample for source in sources))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        measured = list(pool.map(lambda source: _measured(labels, source, estimator), sources))
    particles = pd.concat([rows for rows, _ in measured], ignore_index=True)
    return apply_criteria(particles, criteria), pd.DataFrame([row for _, row in measured])


def analyse_labels(
    labels: Path, *, out: Path, of: Sequence[str] = (), bin_width_nm: float = 0.2, estimator: Estimator = "outline",
    criteria: Criteria = CRITERIA,
    **described: Any,  # noqa: ANN401  of `measure_labels`
) -> Analysis:  # fmt: skip
    """Measure label images and analyse their particles, which are kept as particles.parquet and micrographs.csv.

    Raises
    ------
    InputError, StatisticsError
        As `measure_labels` and `analyse_table`.
    """
    particles, micrographs = measure_labels(labels, estimator=estimator, criteria=criteria, **described)
    if estimator == "paper":  # which counts each particle once
        particles = particles.drop(columns=WEIGHT)
    facts = {"tool": "label images", "files": len(micrographs), "estimator": estimator, "criteria": asdict(criteria)}
    table = ParticleTable(particles, micrographs[:0], facts)
    with OutputLock(out):
        bins = size_bins(bin_width_nm)
        analysis = analyse_table(table, micrographs, out=out, of=of, bins=bins, title=labels.resolve().name)
        commit_bytes(out / "particles.parquet", particles.to_parquet(index=False))
        commit_bytes(out / "micrographs.csv", micrographs.to_csv(index=False).encode())
    return analysis


def read_criteria(path: Path) -> Criteria:
    """Read the criteria of a job file, of which nothing else has to be there.

    Raises
    ------
    JobError
        If it cannot be read, has no [criteria], or says something that cannot be done.
    """
    section = read_toml(path).get("criteria")
    if not isinstance(section, dict):
        raise JobError(str(path), expected="a section [criteria]", got="none", remedy="Write it as in a job file.")
    return parse_section(Criteria, section, section="criteria")


def _measured(labels: Path, source: Source, estimator: Estimator) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Measure one label image, and say what is known of its micrograph."""
    header = read_header(source.path, source.image)
    pixel_size_nm, said_by = calibrate(source, header)
    path = truth_beside(labels, source.name.removesuffix(f"#{source.image}"))
    numbered = read_truth(path, (header.shape[0], header.shape[1]))
    rows = measure(labels=numbered, pixel_size_nm=pixel_size_nm, estimator=estimator).table.to_pandas()
    known = {
        "sample": source.sample,
        "micrograph": source.name,
        "group": source.group,
        "session": source.session,
        "order": source.order,
        "pixel_size_nm": pixel_size_nm,
        "pixel_size_source": said_by,
        "pixel_size_uncertainty": source.pixel_size_uncertainty,
        "n_detected": len(rows),
        "labels": path.name,
        **{f"{CONDITION_PREFIX}{name}": value for name, value in source.conditions.items()},
    }
    return rows.assign(sample=source.sample, micrograph=source.name), known
