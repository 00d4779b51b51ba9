"""The sentences of the report that depend on what was measured."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import xarray as xr

from nanocensus.schema import PIXEL_SIZE_ASSUMED, PIXEL_SIZE_LATTICE
from nanocensus.show.numbers import count, counted, statistic_words
from nanocensus.show.report.content import ReportContent

_CLUSTER_WORDS = {
    "run": "run of ten micrographs in the order of acquisition",
    "group": "field of view (micrographs that share a field or grid square are one cluster)",
    "micrograph": "micrograph",
    "session": "session at the microscope",
}


@dataclass(frozen=True)
class Words:
    """Sentences, and the facts behind the results."""

    headline: str
    calibration: Sequence[str]
    warnings: Sequence[str]
    level: str
    cluster: str
    weighted: bool
    """Whether particles were weighted for the border."""
    needs: str
    """What an interval needs: "20 particles and 4 clusters"."""
    methods: Sequence[str]
    """How the interval of each statistic was made."""
    outcome: str
    """What became of the files and micrographs."""
    flagged: str
    """How many micrographs the rules flagged, and whether those count."""
    facts: Sequence[tuple[str, Sequence[tuple[str, str]]]]
    """Sections of the provenance and their rows."""
    texts: Sequence[tuple[str, str]]
    """Provenance of several lines, printed as it is."""


def words(content: ReportContent) -> Words:
    """Give the sentences of a report."""
    ds = content.estimates if content.estimates is not None else content.size_resolved
    facts: Mapping[str, object] = {str(key): value for key, value in ds.attrs.items()} if ds is not None else {}
    sections, texts = _provenance(content.provenance)
    cluster = str(facts.get("cluster", "micrograph"))
    return Words(
        headline=_headline(content),
        calibration=_calibration(content.micrographs),
        warnings=content.warnings,
        level=level_words(ds),
        cluster=_CLUSTER_WORDS.get(cluster, cluster),
        weighted=bool(facts.get("weight")),
        needs=_needs(facts),
        methods=_methods(facts),
        outcome=_outcome(content),
        flagged=_flagged(content.micrographs),
        facts=sections,
        texts=texts,
    )


def _needs(facts: Mapping[str, object]) -> str:
    if "fewest_particles" not in facts or "fewest_clusters" not in facts:
        return "more particles and clusters"
    return f"at least {facts['fewest_particles']} particles on {facts['fewest_clusters']} clusters"


def _methods(facts: Mapping[str, object]) -> list[str]:
    methods = facts.get("method")
    if not isinstance(methods, Mapping):
        return []
    return [f"{statistic_words(str(name))}: {method}" for name, method in methods.items()]


def level_words(ds: xr.Dataset | None) -> str:
    """Give the level of the intervals: "95 %"."""
    return f"{100 * float(ds.attrs.get('level', 0.95)):g} %" if ds is not None else ""


def _headline(content: ReportContent) -> str:
    rows = content.micrographs
    measured = int(((rows["status"] == "done") & ~_is_excluded(rows)).sum())
    particles = sum(content.accepted.values())
    where = f"on {counted(measured, 'micrograph')} of {counted(len(content.samples), 'sample')}"
    detected = content.micrographs["n_detected"].sum()
    out_of = f" out of {count(detected)} detected" if detected and math.isfinite(detected) else ""
    left_out = int(_is_excluded(rows).sum())
    more = f"; {counted(left_out, 'micrograph')} excluded" if left_out else ""
    return f"{counted(particles, 'particle')} accepted{out_of}, {where}{more}"


def _is_excluded(micrographs: pd.DataFrame) -> "pd.Series[bool]":
    return micrographs["excluded"].eq(True)  # null before the rules were applied


def _flagged(micrographs: pd.DataFrame) -> str:
    number = int(micrographs["flags"].notna().sum())
    flagged = f"{counted(number, 'micrograph was', 'micrographs were')} flagged by the rules of the job"
    if _is_excluded(micrographs).any():
        return f"{flagged} and excluded: no statistic of this report holds their particles, but for the column that says so."
    return f"{flagged}. None is left out for it; with [quality] action = “exclude” all that are flagged would be."


def _calibration(micrographs: pd.DataFrame) -> list[str]:
    known = micrographs.dropna(subset=["pixel_size_nm"]).sort_values("pixel_size_nm", kind="stable")
    written = known["pixel_size_nm"].map("{:.5g} nm".format)
    return [
        f"{size} ({'; '.join(_who_says(rows) for _, rows in same.groupby('pixel_size_source', sort=True))})"
        for size, same in known.groupby(written, sort=False)
    ]


def _who_says(rows: pd.DataFrame) -> str:
    """Say where the pixel size of micrographs of one source comes from, how sure it is, and how many they are."""
    source = str(rows["pixel_size_source"].iloc[0])
    doubt = rows["pixel_size_uncertainty"].dropna()
    more = f", relative standard uncertainty {100 * float(doubt.max()):.2g} %" if len(doubt) else ""
    whose = "assumed, not measured" if source == PIXEL_SIZE_ASSUMED else _source_words(source)
    if source.startswith(PIXEL_SIZE_LATTICE):
        whose += f" instead of {float(rows['stated_pixel_size_nm'].iloc[0]):.5g} nm"
    return f"{whose}{more}, {counted(len(rows), 'micrograph')}"


def _source_words(source: str) -> str:
    if source.startswith(PIXEL_SIZE_LATTICE):
        return f"from the micrographs' own fringes: {source}"
    return "given by the user" if source == "given" else f"from the files: {source}"


def _outcome(content: ReportContent) -> str:
    failed, left = (int((content.micrographs["status"] == status).sum()) for status in ("failed", "ingested"))
    refused = len(content.refusals)
    if not failed and not refused and not left:
        return "No file was refused, and no micrograph failed."
    to_do = f", and {counted(left, 'micrograph is', 'micrographs are')} still to be measured" if left else ""
    return (
        f"{counted(refused, 'file was', 'files were')} refused and {counted(failed, 'micrograph')} failed{to_do}. "
        "None of them is in any statistic of this report."
    )


def _provenance(
    facts: Mapping[str, object],
) -> tuple[list[tuple[str, list[tuple[str, str]]]], list[tuple[str, str]]]:
    sections: list[tuple[str, list[tuple[str, str]]]] = []
    plain: list[tuple[str, str]] = []
    texts: list[tuple[str, str]] = []
    for key, value in facts.items():
        if isinstance(value, str) and "\n" in value:
            texts.append((key, value))
        elif isinstance(value, Mapping):
            sections.append((key, list(flattened(value))))
        else:
            plain += flattened({key: value})
    return ([("run", plain)] if plain else []) + sections, texts


def flattened(facts: Mapping[str, object], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Give nested facts as rows of a name with dots and a text."""
    for key, value in facts.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flattened(value, f"{name}.")
        elif isinstance(value, list | tuple) and any(isinstance(part, Mapping) for part in value):
            yield from flattened({str(number): part for number, part in enumerate(value, start=1)}, f"{name}.")
        elif isinstance(value, list | tuple):
            yield name, ", ".join(str(part) for part in value)
        else:
            yield name, "–" if value is None else str(value)
