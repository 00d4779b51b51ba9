"""From any table of particles to statistics and a report; what cannot be counted is counted apart, never averaged in."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nanocensus.errors import InputError, JobError, TableError
from nanocensus.measure.acceptance import REASONS
from nanocensus.pipeline.analysis.analyse import Analysis, analyse_judged
from nanocensus.pipeline.analysis.quality_effect import quality_tables
from nanocensus.pipeline.evaluation.evaluate import is_run
from nanocensus.pipeline.job.onset_section import OnsetsSection
from nanocensus.pipeline.job.population_sections import PopulationsSection, SynthesisSection
from nanocensus.pipeline.onsets.variants import OPTIONAL
from nanocensus.pipeline.populations.synthesis import synthesis_content
from nanocensus.pipeline.question import Question
from nanocensus.pipeline.report.criteria_words import reason_in_words
from nanocensus.pipeline.report.onsets import onset_content
from nanocensus.pipeline.report.populations import populations_content
from nanocensus.pipeline.report.reporting import REPORT, statistics_tables
from nanocensus.pipeline.run.record import RECORD
from nanocensus.pipeline.tables.usable_rows import KEYS, WEIGHT, counts_of, look, steps_of, usable
from nanocensus.provenance import versions
from nanocensus.schema import CONDITION_PREFIX, MICROGRAPHS, PIXEL_SIZE_ASSUMED
from nanocensus.sections import plain
from nanocensus.show.report.content import ReportContent
from nanocensus.show.report.report import render_report
from nanocensus.statistics.cells.partitions import Particles
from nanocensus.statistics.cells.size_bins import SizeBins, size_bins
from nanocensus.statistics.estimation import binning
from nanocensus.statistics.estimation.clusters import Cluster
from nanocensus.statistics.onsets.samples import SIZE
from nanocensus.store.commit import commit_bytes
from nanocensus.store.foreign.particles import ParticleTable, open_particle_table, read_micrograph_table
from nanocensus.store.manifest import OutputLock


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
    synthesis: SynthesisSection | None = None,
    populations: PopulationsSection | None = None,
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
    synthesis, populations : optional
        Models of the synthesis, and further comparisons.
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
        If something is asked of onsets that needs the maps of a run.
    TableError
        For absent columns, no particles, a particle that is there twice, or values out of range.
    StatisticsError
        As `cells` and `estimate`.
    """
    if is_run(out):
        raise InputError(
            str(out), expected="a folder that holds no run", got="the results of a run", remedy="Choose another --out."
        )
    if onsets is not None and onsets.on_maps:
        raise JobError(
            "[onsets]", expected="only what a table of particles can tell", got=", ".join(onsets.on_maps),
            remedy="Leave it out: there are no maps to measure on.",
        )  # fmt: skip
    frame = table.frame
    shown = _descriptors(frame, of)
    weight = WEIGHT if WEIGHT in frame.columns else None
    bins = bins if bins is not None else size_bins(0.2)
    size = bins.of if bins.of in frame.columns else None
    bent = [] if onsets is None else [*onsets.descriptors, SIZE]
    needed = list(dict.fromkeys(name for name in [*shown, size, *bent, weight] if name is not None))
    seen = look(frame, needed, size)
    if not seen["rows"].sum():
        raise TableError("particles", expected="at least one", got="none", remedy="Check the table's rows.")
    known = _micrographs(table, micrographs, seen)
    counts = counts_of(seen, known["sample"].unique(), known[known["excluded"]])
    scale = steps_of(seen, needed)
    asked = Question(shown, bins if size else None, weight, cluster, level, scale=scale, onsets=onsets, synthesis=synthesis,
                     populations=populations)  # fmt: skip
    analysis = analyse_judged(usable(frame, needed, size, (*OPTIONAL, "label")), known, counts, asked, out)
    facts = {"versions": versions(), "table": dict(table.facts), "descriptors": shown, "weight": weight, "scale": scale,
             "onsets": None if onsets is None else plain(onsets),
             "synthesis": None if synthesis is None else plain(synthesis),
             "populations": None if populations is None else plain(populations)}  # fmt: skip
    commit_bytes(out / RECORD, (json.dumps(facts, indent=2, ensure_ascii=False) + "\n").encode())
    commit_bytes(out / REPORT, render_report(_content(title, analysis, seen, facts)).encode())
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


def _micrographs(table: ParticleTable, given: pd.DataFrame | None, seen: pd.DataFrame) -> pd.DataFrame:
    """Give one row a micrograph, its columns `flags` and `excluded` filled: most tables say nothing of either."""
    known = _named(table) if given is None else given
    stated = known["excluded"] if "excluded" in known.columns else pd.Series(False, index=known.index)
    wrong = [value for value in stated.dropna() if not isinstance(value, bool | np.bool_)]
    if wrong:
        raise TableError(
            "column 'excluded' of micrographs", expected="true or false", got=repr(wrong[0]), remedy="Correct it."
        )
    excluded = stated.eq(True).fillna(False).astype(bool)
    held = pd.MultiIndex.from_frame(known[list(KEYS)].astype("str")).isin(pd.MultiIndex.from_frame(seen[list(KEYS)]))
    flags = known["flags"] if "flags" in known.columns else None
    # A run's particles come without those of excluded micrographs: then nothing can be said of these.
    return known.assign(flags=flags, excluded=excluded)[~excluded | held]


def _named(table: ParticleTable) -> pd.DataFrame:
    """Give the micrographs that particles and empty files name, with what the rows say of them."""
    frame = table.frame
    more = [
        name for name in frame.columns if name in ("group", "session", "order") or name.startswith(CONDITION_PREFIX)
    ]
    rows = frame[[*KEYS, *more]].drop_duplicates()
    said = rows if isinstance(rows, pd.DataFrame) else rows.compute()
    empty = table.empty[[name for name in table.empty.columns if name in (*KEYS, *more)]]
    return pd.concat([said, empty], ignore_index=True) if len(empty) else said.reset_index(drop=True)


def _content(title: str, analysis: Analysis, seen: pd.DataFrame, facts: Mapping[str, Any]) -> ReportContent:
    counts = analysis.counts.set_index("sample")
    rejected = counts.drop(columns=["detected", "accepted"]).melt(
        ignore_index=False, var_name="reason", value_name="particles"
    )
    rejected = rejected[rejected["particles"] > 0].reset_index()
    words = {reason: reason_in_words(reason) for reason in REASONS}
    rejected["reason"] = rejected["reason"].replace(words | {"criteria": "failed criteria before it came here"})
    tool = facts["table"].get("tool")
    whose = f" of {tool}" if tool else ""
    warnings = [f"The particles came as a table{whose}: their micrographs and outlines cannot be looked at here."]
    if analysis.by_sample is None:
        warnings.append("No particle has a value in every column that is needed: there are no statistics.")
    elif facts["weight"] is None:
        warnings.append(
            "The table has no border weights: large particles, which the border cuts more often, are too few."
        )
    kept = [name for name in facts["table"].get("ignored", []) if name != " "]
    if kept:
        warnings.append("Columns that could not be used: " + ", ".join(kept) + ".")
    index = _index(analysis.micrographs, seen)
    assumed = bool((index["pixel_size_source"] == PIXEL_SIZE_ASSUMED).any())
    return ReportContent(
        title=title,
        samples=[str(name) for name in analysis.counts["sample"]],
        assumed=assumed,
        micrographs=index,
        accepted={str(sample): int(number) for sample, number in counts["accepted"].items()},
        rejected=rejected,
        estimates=analysis.by_sample,
        size_resolved=analysis.by_size,
        densities=analysis.densities,
        sizes=None if analysis.comparisons is None else analysis.comparisons.sizes,
        across=None if analysis.comparisons is None else analysis.comparisons.across,
        quality=quality_tables(index, analysis.quality_effect, assumed=assumed),
        tables=list(statistics_tables(analysis, assumed=assumed)),
        onsets=None if analysis.onsets is None else onset_content(analysis.onsets, assumed=assumed),
        synthesis=None if analysis.synthesis is None else synthesis_content(analysis.synthesis, assumed=assumed),
        populations=None
        if analysis.populations is None
        else populations_content(analysis.populations, assumed=assumed),
        warnings=[*warnings, *analysis.not_done],
        provenance=facts,
    )


def _index(known: pd.DataFrame, seen: pd.DataFrame) -> pd.DataFrame:
    """Lay out as a run's index what is known of the micrographs that count."""
    rows = known[known["status"] == "done"] if "status" in known.columns else known
    rows = rows.astype(dict.fromkeys(KEYS, "str")).merge(seen[[*KEYS, "rows"]], on=list(KEYS), how="left")
    conditions = [name for name in rows.columns if str(name).startswith(CONDITION_PREFIX)]
    said = {name: rows[name] for name in (*MICROGRAPHS.names, *conditions) if name in rows.columns}
    nothing = pd.Series(None, index=rows.index, dtype=object)
    index = pd.DataFrame({name: nothing for name in MICROGRAPHS.names} | said)
    index["name"] = index["name"].where(index["name"].notna(), index["micrograph"])
    return index.assign(status="done", n_detected=rows["rows"].fillna(0).astype("int64"))
