"""From any table of particles to statistics and a report; what cannot be counted is counted apart, never averaged in."""

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from nanocensus.errors import InputError, JobError, TableError
from nanocensus.measure.acceptance import FAILED
from nanocensus.pipeline.analyse import (
    BY_SAMPLE,
    BY_SIZE,
    CELLS_STORE,
    TABLES_FOLDER,
    Analysis,
    remove_comparisons,
    remove_statistics,
    statistics_store,
)
from nanocensus.pipeline.evaluate import is_run
from nanocensus.pipeline.onset_analysis import OnsetAnalysis, analyse_onsets
from nanocensus.pipeline.onset_report import onset_content
from nanocensus.pipeline.onset_section import OnsetsSection
from nanocensus.pipeline.onset_sensitivity import Material
from nanocensus.pipeline.onset_variants import OPTIONAL
from nanocensus.pipeline.record import RECORD
from nanocensus.pipeline.reporting import REPORT
from nanocensus.provenance import versions
from nanocensus.schema import CONDITION_PREFIX, MICROGRAPHS, PARTICLES
from nanocensus.sections import plain
from nanocensus.show.content import ReportContent
from nanocensus.show.report import render_report
from nanocensus.statistics import binning
from nanocensus.statistics.cells import cells
from nanocensus.statistics.clusters import Cluster
from nanocensus.statistics.density import densities
from nanocensus.statistics.estimation import estimate
from nanocensus.statistics.partitions import Particles, add_rows, compute, number_pairs, numbers, over_partitions
from nanocensus.statistics.quanta import LARGEST_INTEGER, Number
from nanocensus.statistics.reductions import cv, mean, median
from nanocensus.statistics.size_bins import SizeBins, size_bins
from nanocensus.store.commit import commit_bytes
from nanocensus.store.manifest import OutputLock
from nanocensus.store.particle_tables import ParticleTable, open_particle_table, read_micrograph_table

SIZE, WEIGHT = "edge_length_nm", "border_weight"
_KEYS = ("sample", "micrograph")


def analyse_table(
    table: ParticleTable,
    micrographs: pd.DataFrame | None = None,
    *,
    out: Path,
    of: Sequence[str] = (),
    bins: SizeBins | None = None,
    cluster: Cluster = "group",
    level: float = 0.95,
    onsets: OnsetsSection | None = None,
    title: str = "A table of particles",
) -> Analysis:
    """Compute the statistics of particles that were measured elsewhere, and save them as Zarr, CSV and a report.

    Particles that failed criteria (a column `failed_criteria`), and those without a finite value in a column that is
    needed, are left out and counted by reason. Particles have their border weight where the table has one.

    Parameters
    ----------
    table : ParticleTable
    micrographs : DataFrame, optional
        One row a micrograph; without it those that the particles, and files without particles, name.
    out : Path
        Folder of the results, made if missing.
    of : sequence of str
        Columns to analyse; edge length, circularity and solidity where the table has them, if absent. A column that the
        schema does not know is counted in steps of at most a four-millionth of its largest value.
    bins : SizeBins, optional
        0.2 nm wide if absent.
    cluster, level
        See `estimate`.
    onsets : OnsetsSection, optional
        Onset sizes to seek.
    title : str
        Of the report.

    Returns
    -------
    Analysis

    Raises
    ------
    InputError
        If the folder holds a run, whose record would be lost.
    JobError
        If onsets are to be found again on maps.
    TableError
        For absent columns, no particles, a particle that is there twice, or values out of range.
    StatisticsError
        As `cells` and `estimate`.
    """
    if is_run(out):
        raise InputError(
            str(out), expected="a folder that holds no run", got="the results of a run", remedy="Choose another --out."
        )
    if onsets is not None and onsets.remeasure:
        raise JobError(
            "[onsets] remeasure", expected="false, where the particles come as a table", got="true",
            remedy="Leave it out: there are no maps to measure on.",
        )  # fmt: skip
    frame = table.frame
    shown = _descriptors(frame, of)
    weight = WEIGHT if WEIGHT in frame.columns else None
    bins = bins if bins is not None else size_bins(0.2)
    sized = bins.of in frame.columns
    bent = [] if onsets is None else [*onsets.descriptors, SIZE]
    needed = list(dict.fromkeys([*shown, *([bins.of] if sized else []), *bent, *([weight] if weight else [])]))
    seen = _look(frame, needed)
    if not seen["rows"].sum():
        raise TableError("particles", expected="at least one", got="none", remedy="Check the table's rows.")
    known = _micrographs(table, micrographs, seen)
    counts = _counts(seen, known["sample"].unique())
    usable = _usable(frame, needed)
    remove_statistics(out)  # those of an earlier table would stand beside counts that deny them
    remove_comparisons(out)
    found: OnsetAnalysis | None = None
    datasets: dict[str, xr.Dataset] = {}
    shapes: dict[str, xr.Dataset] = {}
    scale = _scale(seen, needed)
    if counts["accepted"].sum():
        rules: dict[str, Any] = {"of": shown, "weight": weight, "scale": scale}
        asked = {name: (mean, median, cv) for name in shown}
        made = cells(usable, known, by=["sample", *([bins] if sized else [])], **rules)
        made.save(out / CELLS_STORE)
        datasets[BY_SAMPLE] = estimate(made.of_all_sizes(), asked, cluster=cluster, level=level)
        if sized:
            datasets[BY_SIZE] = estimate(made, asked, cluster=cluster, level=level)
        shapes = {name: densities(usable, name, weight=weight, scale=scale) for name in shown}
        if onsets is not None:
            material = Material(_usable(frame, needed, OPTIONAL), known, None, weight, {})
            unit = datasets[BY_SAMPLE].attrs["cluster"]
            found = analyse_onsets(material, onsets, cluster=unit, level=level, seed=0)
    unjudged = pd.DataFrame()  # a table says nothing of its micrographs' quality
    analysis = Analysis(datasets.get(BY_SAMPLE), datasets.get(BY_SIZE), shapes, counts, known, unjudged, onsets=found)
    for which, dataset in datasets.items():
        binning.save(dataset, statistics_store(out, which))
    tables = {"counts": counts} | {which: binning.to_table(dataset) for which, dataset in datasets.items()}
    tables |= {} if found is None else found.tables()
    for name, rows in tables.items():
        commit_bytes(out / TABLES_FOLDER / f"{name}.csv", rows.to_csv(index=False).encode())
    facts = {"versions": versions(), "table": dict(table.facts), "descriptors": shown, "weight": weight, "scale": scale,
             "onsets": None if onsets is None else plain(onsets)}  # fmt: skip
    commit_bytes(out / RECORD, (json.dumps(facts, indent=2, ensure_ascii=False) + "\n").encode())
    commit_bytes(out / REPORT, render_report(_content(title, analysis, known, seen, facts)).encode())
    return analysis


def analyse_file(
    path: str, micrographs: Path | None = None, *, out: Path, of: Sequence[str] = (), bin_width_nm: float = 0.2,
    onsets: OnsetsSection | None = None, **described: Any,  # noqa: ANN401  of `open_particle_table`
) -> Analysis:  # fmt: skip
    """Analyse a table by its path; `described` says what `open_particle_table` has to know about it.

    Raises
    ------
    TableError, CalibrationError, StatisticsError
        As `open_particle_table` and `analyse_table`.
    """
    if is_run(Path(path)):
        raise InputError(
            path, expected="a table of particles, where an --out is given", got="the results of a run",
            remedy="Leave --out out: statistics of a run are written beside its results.",
        )  # fmt: skip
    listed = None if micrographs is None else read_micrograph_table(micrographs)
    table = open_particle_table(path, micrographs=listed, **described)
    with OutputLock(out):
        return analyse_table(
            table, listed, out=out, of=of, bins=size_bins(bin_width_nm), onsets=onsets, title=Path(path).name
        )


def pairs_of(text: str | None) -> dict[str, str]:
    """Read "ours=theirs,..." as the command line has it.

    Raises
    ------
    TableError
        If a part has no equals sign.

    Examples
    --------
    >>> pairs_of("edge_length_nm=Length, sample=Batch")
    {'edge_length_nm': 'Length', 'sample': 'Batch'}
    """
    parts = [part.partition("=") for part in (text or "").split(",") if part.strip()]
    for ours, equals, theirs in parts:
        if not (equals and ours.strip() and theirs.strip()):
            raise TableError(
                "columns", expected="names like edge_length_nm=Length, with commas between", got=repr(text),
                remedy="Our name stands before the equals sign.",
            )  # fmt: skip
    return {ours.strip(): theirs.strip() for ours, _, theirs in parts}


def _descriptors(frame: Particles, of: Sequence[str]) -> list[str]:
    shown = list(dict.fromkeys(of)) or [name for name in binning.DESCRIPTORS if name in frame.columns]
    if not shown:
        raise TableError(
            "columns to analyse", expected="some of " + ", ".join(binning.DESCRIPTORS),
            got=", ".join(map(str, frame.columns)), remedy="Name others: of=['area_nm2'] (--of).",
        )  # fmt: skip
    return shown


def _look(frame: Particles, needed: Sequence[str]) -> pd.DataFrame:
    """Count, per micrograph, rows and those that cannot be used by reason; give the largest values too."""
    optional = [name for name in (FAILED, "label") if name in frame.columns]
    graph = over_partitions([frame], [*_KEYS, *needed, *optional], _look_at, _together, list(needed))
    seen: pd.DataFrame = compute(graph)
    return seen


def _look_at(rows: pd.DataFrame, needed: Sequence[str]) -> pd.DataFrame:
    codes, pairs = number_pairs(rows)
    if (codes < 0).any():
        raise TableError(
            "particles", expected="a sample and a micrograph in every row", got=f"{int((codes < 0).sum())} without one",
            remedy="Fill those cells in, or remove the rows.",
        )  # fmt: skip
    if "label" in rows:
        twice = rows["label"].notna() & rows.duplicated([*_KEYS, "label"])
        if twice.any():
            first = rows[twice].iloc[0]
            raise TableError(
                "particles", expected="each particle once (sample, micrograph and label)",
                got=f"{int(twice.sum())} again, first {first['label']:g} of micrograph {first['micrograph']!r}",
                remedy="Remove the copies; micrographs of one name in several files need a column that tells them apart.",
            )  # fmt: skip
    found = {"rows": np.ones(len(rows), np.int64), "accepted": np.zeros(len(rows), np.int64)}
    left = np.ones(len(rows), bool)
    if FAILED in rows:
        failed = np.nan_to_num(numbers(rows[FAILED]), nan=1.0) != 0
        found["criteria"], left = failed.astype(np.int64), ~failed
    largest = {}
    usable = left.copy()
    for name in needed:
        values = numbers(rows[name])
        finite = np.isfinite(values)
        found[f"no {name}"] = (left & np.isnan(values)).astype(np.int64)
        found[f"infinite {name}"] = (left & np.isinf(values)).astype(np.int64)
        usable &= finite
        largest[f"largest {name}"] = np.where(finite, np.abs(values), 0.0)
    found["accepted"] = usable.astype(np.int64)
    by = pd.Series(codes)
    summed = pd.DataFrame(found).groupby(by).sum().join(pd.DataFrame(largest).groupby(by).max())
    return pd.concat(
        [pairs.iloc[summed.index.to_numpy()].reset_index(drop=True), summed.reset_index(drop=True)], axis=1
    )


def _together(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    whole = [name for name in parts[0].columns if not name.startswith("largest ")]
    most = [*_KEYS, *(name for name in parts[0].columns if name.startswith("largest "))]
    highest = pd.concat([part[most] for part in parts]).groupby(list(_KEYS), sort=True).max().reset_index()
    return add_rows([part[whole] for part in parts], _KEYS).merge(highest, on=list(_KEYS))


def _usable(frame: Particles, needed: Sequence[str], more: Sequence[str] = ()) -> Particles:
    """Leave out, lazily, what `_look` counted as not accepted; of more columns those that there are come along."""
    held = [name for name in (FAILED, *more) if name in frame.columns]
    wanted = list(dict.fromkeys([*_KEYS, *needed, *held]))
    if isinstance(frame, pd.DataFrame):
        return _keep(frame[wanted], needed)
    kept: Particles = frame[wanted].map_partitions(_keep, list(needed), meta=frame._meta[wanted])
    return kept


def _keep(rows: pd.DataFrame, needed: Sequence[str]) -> pd.DataFrame:
    finite = [np.isfinite(numbers(rows[name])) for name in needed]
    if FAILED in rows:
        finite.append(numbers(rows[FAILED]) == 0)
    usable: pd.DataFrame = rows[functools.reduce(np.logical_and, finite)]
    return usable


def _scale(seen: pd.DataFrame, needed: Sequence[str]) -> dict[str, Number]:
    """Choose the steps of columns that the schema cannot count: powers of two, for equal tables equal."""
    unknown = [name for name in needed if name not in PARTICLES or PARTICLES[name].quantum is None]
    unknown = [name for name in unknown if name != WEIGHT]
    most = {name: float(seen[f"largest {name}"].max()) for name in unknown}
    return {name: 2.0 ** np.ceil(np.log2(2 * (value or 1.0) / LARGEST_INTEGER)) for name, value in most.items()}


def _micrographs(table: ParticleTable, given: pd.DataFrame | None, seen: pd.DataFrame) -> pd.DataFrame:
    """Give one row a micrograph: as given, or those that particles and empty files name, with what the rows say of them."""
    if given is not None:
        return given
    frame = table.frame
    more = [
        name for name in frame.columns if name in ("group", "session", "order") or name.startswith(CONDITION_PREFIX)
    ]
    rows = frame[[*_KEYS, *more]].drop_duplicates()
    said = rows if isinstance(rows, pd.DataFrame) else rows.compute()
    empty = table.empty[[name for name in table.empty.columns if name in (*_KEYS, *more)]]
    return pd.concat([said, empty], ignore_index=True) if len(empty) else said.reset_index(drop=True)


def _counts(seen: pd.DataFrame, samples: Iterable[str]) -> pd.DataFrame:
    """Give one row a sample: rows, accepted, and those left out by reason (a particle may have several)."""
    whole = [name for name in seen.columns if name not in _KEYS and not name.startswith("largest ")]
    by_sample = seen.groupby("sample")[whole].sum()
    counts = by_sample.reindex([str(name) for name in samples], fill_value=0).rename(columns={"rows": "detected"})
    return counts.rename_axis("sample").reset_index()


def _content(
    title: str, analysis: Analysis, known: pd.DataFrame, seen: pd.DataFrame, facts: Mapping[str, Any]
) -> ReportContent:
    counts = analysis.counts.set_index("sample")
    rejected = counts.drop(columns=["detected", "accepted"]).melt(
        ignore_index=False, var_name="reason", value_name="particles"
    )
    rejected = rejected[rejected["particles"] > 0].reset_index()
    rejected["reason"] = rejected["reason"].replace("criteria", "failed criteria before it came here")
    tool = facts["table"].get("tool")
    whose = f" of {tool}" if tool else ""
    warnings = [f"The particles came as a table{whose}: their micrographs and outlines cannot be looked at here."]
    if analysis.by_sample is None:
        warnings.append("No particle has a value in every column that is needed: there are no statistics.")
    elif WEIGHT not in seen.columns and facts["weight"] is None:
        warnings.append(
            "The table has no border weights: large particles, which the border cuts more often, are too few."
        )
    kept = [name for name in facts["table"].get("ignored", []) if name != " "]
    if kept:
        warnings.append("Columns that could not be used: " + ", ".join(kept) + ".")
    rows = known[known["status"] == "done"] if "status" in known.columns else known
    numbered = rows[list(_KEYS)].astype("str").merge(seen[[*_KEYS, "rows"]], on=list(_KEYS), how="left")
    index = pd.DataFrame({name: pd.Series([None] * len(rows)) for name in MICROGRAPHS.names})
    index["sample"], index["micrograph"] = numbered["sample"], numbered["micrograph"]
    index["name"], index["status"] = numbered["micrograph"], "done"
    index["n_detected"] = numbered["rows"].fillna(0).astype("int64")
    if "group" in rows.columns:
        index["group"] = rows["group"].reset_index(drop=True)
    return ReportContent(
        title=title,
        samples=[str(name) for name in analysis.counts["sample"]],
        micrographs=index,
        accepted={str(sample): int(number) for sample, number in counts["accepted"].items()},
        rejected=rejected,
        estimates=analysis.by_sample,
        size_resolved=analysis.by_size,
        densities=analysis.densities,
        onsets=None if analysis.onsets is None else onset_content(analysis.onsets, assumed=False),
        warnings=warnings,
        provenance=facts,
    )
