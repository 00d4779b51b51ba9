"""What the report of a run is made of, gathered from its results."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr
from scipy.stats import betabinom, binom

from nanocensus.errors import StoreError
from nanocensus.measure.acceptance import FAILED, REASONS, apply_criteria, decode_failed
from nanocensus.measure.outline import outlines
from nanocensus.pipeline.analysis.analyse import Analysis
from nanocensus.pipeline.analysis.quality_effect import quality_tables
from nanocensus.pipeline.job.spec import Job
from nanocensus.pipeline.populations.comparisons import report_tables
from nanocensus.pipeline.populations.synthesis import synthesis_content
from nanocensus.pipeline.report.agreement import Agreement, agreement_of_run
from nanocensus.pipeline.report.criteria_words import criteria_in_words, reason_in_words
from nanocensus.pipeline.report.onsets import onset_content
from nanocensus.pipeline.report.populations import cut_representatives, populations_content
from nanocensus.pipeline.report.scale_words import scale_in_words
from nanocensus.pipeline.run.record import run_record
from nanocensus.pipeline.run.scale import known_scales
from nanocensus.pipeline.shapes import results as shape_results
from nanocensus.schema import PIXEL_SIZE_ASSUMED
from nanocensus.segment.preparation.flatfield import unevenness
from nanocensus.segment.preparation.preparation import prepare
from nanocensus.show.figures.theme import quantity_name
from nanocensus.show.numbers import count, with_interval
from nanocensus.show.report.content import Picture, PopulationsContent, ReportContent, ReportTable
from nanocensus.show.report.report import render_report
from nanocensus.store.commit import commit_bytes
from nanocensus.store.images.ingest import STORE_FOLDER
from nanocensus.store.images.micrographs import read_labels, read_pixels, read_probability
from nanocensus.store.manifest import read_manifest
from nanocensus.store.particles.tables import read_particles

REPORT = "report.html"
_FAR_SHARE = 0.05
"""Share of the training's micrographs whose domain_score is above 1."""
_BY_CHANCE = 0.01
"""Chance of as many above 1 among micrographs like the training's, from which on down the report warns."""


def report_run(job: Job, analysis: Analysis) -> Path:
    """Write the report of a run.

    Parameters
    ----------
    job : Job
        Names the results and says what to show.
    analysis : Analysis
        Their statistics.

    Returns
    -------
    Path
        The HTML file; it needs no other.

    Raises
    ------
    StoreError
        If there are no results, or they are damaged.
    """
    manifest = read_manifest(job.out)
    micrographs = analysis.micrographs
    counts = analysis.counts.set_index("sample")
    agreement = agreement_of_run(job.out, level=job.statistics.level)
    assumed = bool((micrographs["pixel_size_source"] == PIXEL_SIZE_ASSUMED).any())
    record = run_record(job.out)
    scales = known_scales(job.out)
    content = ReportContent(
        title=job.title,
        samples=[str(sample) for sample in micrographs["sample"].drop_duplicates()],
        assumed=assumed,
        micrographs=micrographs,
        refusals=manifest.refusals,
        accepted={str(sample): int(number) for sample, number in counts["accepted"].items()},
        rejected=_rejected(counts),
        criteria=criteria_in_words(job.criteria, assumed=assumed),
        estimates=analysis.by_sample,
        size_resolved=analysis.by_size,
        densities=analysis.densities,
        sizes=None if analysis.comparisons is None else analysis.comparisons.sizes,
        across=None if analysis.comparisons is None else analysis.comparisons.across,
        onsets=None if analysis.onsets is None else onset_content(analysis.onsets, analysis.beyond, assumed=assumed),
        synthesis=None if analysis.synthesis is None else synthesis_content(analysis.synthesis, assumed=assumed),
        populations=_populations(job, analysis, assumed=assumed),
        shapes=analysis.shapes,
        pictures=_with_flattened(list(_pictures(job, micrographs)), job),
        agreement=agreement.rows if len(agreement.rows) else None,
        quality=quality_tables(micrographs, analysis.quality_effect, assumed=assumed),
        tables=[
            *statistics_tables(analysis, assumed=assumed),
            *(shape_results.report_tables(analysis.shapes, assumed=assumed) if analysis.shapes is not None else ()),
            *_agreement_table(agreement, job.statistics.level),
        ],
        scale=[scale_in_words(each) for each in scales if not each.disagrees],
        warnings=[
            *domain_warnings(micrographs, record.get("described", {})),
            *(scale_in_words(each) for each in scales if each.disagrees),
            *analysis.not_done,
        ],
        provenance={key: value for key, value in record.items() if key not in ("seconds", "n_reused")},
    )
    path = job.out / REPORT
    commit_bytes(path, render_report(content).encode())
    return path


def _populations(job: Job, analysis: Analysis, *, assumed: bool) -> PopulationsContent | None:
    found = analysis.populations
    if found is None:
        return None
    pictures = list(cut_representatives(job, analysis.micrographs, found.representatives))
    return populations_content(found, assumed=assumed, pictures=pictures)


def _rejected(counts: pd.DataFrame) -> pd.DataFrame:
    """Lay the rejections out with one row a sample and reason that occurred."""
    long = counts[list(REASONS)].melt(ignore_index=False, var_name="reason", value_name="particles").reset_index()
    long["reason"] = long["reason"].map(reason_in_words)
    return long[long["particles"] > 0].reset_index(drop=True)


def domain_warnings(micrographs: pd.DataFrame, described: Mapping[str, int]) -> list[str]:
    """Warn where a network has seen nothing like more of its micrographs than chance explains.

    Parameters
    ----------
    micrographs : DataFrame
        The index.
    described : mapping of str to int
        Micrographs that the card of each network describes, by its name; of a network that is not there, of a run that did
        not record them, the limit is taken to be known exactly.

    Returns
    -------
    list of str
        A sentence a network.
    """
    scored = micrographs[(micrographs["status"] == "done") & micrographs["domain_score"].notna()]
    several = scored["model"].nunique() > 1
    warnings = []
    for network, scores in scored.groupby("model", sort=False)["domain_score"]:
        far = int((scores > 1).sum())
        if far and _chance_of(far, len(scores), described.get(str(network))) <= _BY_CHANCE:
            named = f"the network {network}" if several else "the network"
            unlike = (
                f"{far} of {len(scores)} micrographs are unlike what {named} was trained on (domain_score above 1, "
            )
            warnings.append(
                f"{unlike}the largest {scores.max():.2g}): look at their outlines before you believe the numbers."
            )
    return warnings


def _chance_of(far: int, number: int, described: int | None) -> float:
    """Give the chance that of so many micrographs like the training's as many or more score above 1.

    How many of n exceed the empirical quantile of N is beta-binomial, as h = 1 + (N - 1) q of the N are below it.
    """
    if described is None:
        return float(binom.sf(far - 1, number, _FAR_SHARE))
    below = 1 + (described - 1) * (1 - _FAR_SHARE)
    return float(betabinom.sf(far - 1, number, described + 1 - below, below))


def statistics_tables(analysis: Analysis, *, assumed: bool) -> Iterator[ReportTable]:
    """Give the tables that follow from the particles alone: sizes, differences, and what the particles are worth.

    Parameters
    ----------
    analysis : Analysis
    assumed : bool
        Whether a pixel size was made up.
    """
    if analysis.comparisons is not None:
        yield from report_tables(analysis.comparisons, assumed=assumed)
    yield from _worth_table(analysis.worth)


def _agreement_table(agreement: Agreement, level: float) -> Sequence[ReportTable]:
    if agreement.pooled.empty:
        return ()
    note = (
        "Ratios of sums over all micrographs of a sample; the intervals are over fields (CR2, t). Dice counts every "
        "pixel; particles count from 20 pixels on, before any criterion, those on the border too."
    )
    caption = f"Agreement with the true particles, pooled, with {100 * level:g} % intervals"
    return (ReportTable(caption, agreement.pooled.drop(columns="n").rename(columns={"n_clusters": "fields"}), note),)


def _worth_table(worth: xr.Dataset | None) -> Sequence[ReportTable]:
    """Say how many independent particles would give the means as well."""
    if worth is None:
        return ()
    rows = worth.drop_vars(["autocovariance", "lag"]).to_dataframe().reset_index()
    shown = {
        "sample": rows["sample"],
        "quantity": rows["descriptor"].map(quantity_name),
        "micrographs": rows["n_micrographs"].astype(int),
        "particles": rows["n"].astype(int),
        "intraclass correlation": [with_interval(*ends) for ends in _with_ends(rows, "icc")],
        "worth independent particles": [
            f"{count(n)} [{count(low)}, {count(high)}]" if isfinite(low) else count(n)
            for n, low, high in _with_ends(rows, "effective_n")
        ],
    }
    caption = f"What the particles are worth, with {100 * worth.attrs['level']:g} % intervals"
    note = (
        "Particles of one micrograph resemble each other: the intraclass correlation is the share of their variance that "
        "lies between micrographs. The mean is known as well as from so many independent particles. nanocensus plan says "
        "how many micrographs a target needs."
    )
    return (ReportTable(caption, pd.DataFrame(shown), note),)


def _with_ends(rows: pd.DataFrame, name: str) -> list[tuple[float, float, float]]:
    return list(zip(rows[name], rows[f"{name}_lower"], rows[f"{name}_upper"], strict=True))


def _pictures(job: Job, micrographs: pd.DataFrame) -> Iterator[Picture]:
    """Choose micrographs evenly over the samples, and draw what was found on them."""
    done = micrographs[micrographs["status"] == "done"]
    chosen = _spread(done, job.report.micrographs)
    particles = apply_criteria(read_particles(job.out, excluded=True), job.criteria)
    shown = particles[particles["micrograph"].isin(list(chosen["micrograph"]))].compute()
    for row in chosen.itertuples():
        found = shown[shown["micrograph"] == row.micrograph]
        yield _picture(job.out / STORE_FOLDER, row, found, job.measure.threshold)


def _with_flattened(pictures: list[Picture], job: Job) -> list[Picture]:
    """Add what the network saw to the picture whose background is the most uneven."""
    if not job.segment.flat_field or not pictures:
        return pictures
    found = [unevenness(picture.pixels, contrast=job.segment.contrast) for picture in pictures]
    if max(found) == 0:
        return pictures
    most = found.index(max(found))
    prepared = prepare(pictures[most].pixels, job.segment.preparation)
    pictures[most] = dataclasses.replace(pictures[most], prepared=prepared, unevenness=found[most])
    return pictures


def _spread(done: pd.DataFrame, number: int) -> pd.DataFrame:
    """Deal micrographs out over the samples, evenly along each one's order of acquisition."""
    sizes = done["sample"].value_counts(sort=False)
    shares = dict.fromkeys(sizes.index, 0)
    while sum(shares.values()) < min(number, len(done)):
        for sample in shares:
            if shares[sample] < sizes[sample] and sum(shares.values()) < number:
                shares[sample] += 1
    chosen: list[int] = []
    for sample, share in shares.items():
        rows = done.index[done["sample"] == sample]
        chosen += [int(rows[place * len(rows) // share]) for place in range(share)]
    return done.loc[chosen]


def _picture(store: Path, row: Any, particles: pd.DataFrame, threshold: float) -> Picture:  # noqa: ANN401  a row of pandas
    labels, stored = read_labels(store, row.micrograph), read_probability(store, row.micrograph)
    if labels is None or stored is None:
        raise StoreError(
            f"micrograph {row.micrograph} ({row.name})",
            expected="its labels and probability map",
            got="none",
            remedy=f"Run `nanocensus doctor {store.parent}`, then the job again: what is missing is done again.",
        )
    found = outlines(stored[0], labels, threshold=threshold)
    failed = dict(zip(particles["label"], particles[FAILED], strict=True))
    rejected = [(found[label - 1], bits) for label, bits in failed.items() if bits]
    truth = read_labels(store, row.micrograph, name="truth") if isinstance(row.truth, str) else None
    return Picture(
        name=row.name,
        sample=row.sample,
        pixels=read_pixels(store, row.micrograph),
        pixel_size_nm=row.pixel_size_nm,
        assumed=row.pixel_size_source == PIXEL_SIZE_ASSUMED,
        accepted=[found[label - 1] for label, bits in failed.items() if not bits],
        rejected=[outline for outline, _ in rejected],
        reasons=[_reasons(int(bits)) for _, bits in rejected],
        truth=None if truth is None else outlines(None, truth),
    )


def _reasons(bits: int) -> str:
    return ", ".join(map(reason_in_words, decode_failed(bits)))
