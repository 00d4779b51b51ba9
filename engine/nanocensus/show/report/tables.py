"""The tables of the report, as text in cells: every number that a figure shows can be read here."""

import math
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from nanocensus.schema import CONDITION_PREFIX
from nanocensus.show.figures.sizes import binned_column
from nanocensus.show.figures.theme import axis_label, quantity_name, statistic_label, unit_sign
from nanocensus.show.numbers import count, decimals_for, statistic_words, with_interval, with_reach
from nanocensus.show.report.content import (
    OnsetContent,
    PopulationsContent,
    ReportContent,
    ReportTable,
    SynthesisContent,
)

_MOST_KEY_DESCRIPTORS = 4
_SCALE_NOTE = (
    "± with the scale's share: expanded uncertainty ({level}) of sampling and pixel size together, to compare with other "
    "instruments and laboratories; between samples of one calibration the error of the scale cancels. It is unknown where "
    "the pixel size's uncertainty is (pixel_size_uncertainty states it, nanocensus scale finds it), or an interval was refused."
)


@dataclass(frozen=True)
class HtmlTable:
    """A table ready to print."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    numeric: Sequence[bool] = ()
    """Which columns are set flush right."""
    footnotes: Sequence[tuple[str, str]] = ()
    """Marks and why the intervals with that mark were refused."""
    heading: str = ""
    """What it is called in a list of tables."""


class Refusals:
    """Gives each reason for which intervals of one table were refused a mark.

    Reasons that differ in their numbers alone, the counts of the row, share one.
    """

    def __init__(self) -> None:
        self._reasons: dict[str, list[str]] = {}

    def cell(self, estimate: float, lower: float, upper: float, reason: str) -> str:
        """Write an estimate with its interval, or with the mark of the reason why there is none."""
        text = with_interval(estimate, lower, upper)
        if not reason or not math.isfinite(estimate):
            return text
        pattern = re.sub(r"\d+", "0", reason)
        alike = self._reasons.setdefault(pattern, [])
        if reason not in alike:
            alike.append(reason)
        return f"{text} [refused {_mark(list(self._reasons).index(pattern))}]"

    def footnotes(self) -> list[tuple[str, str]]:
        """Give the marks and their reasons, in order of appearance."""
        return [
            (_mark(i), alike[0] if len(alike) == 1 else f"for example: {alike[0]}")
            for i, alike in enumerate(self._reasons.values())
        ]


def _mark(number: int) -> str:
    return string.ascii_lowercase[number % 26] * (1 + number // 26)


def tables(content: ReportContent) -> dict[str, list[HtmlTable]]:
    """Give the tables of each section of the report; a section that has nothing to say has none."""
    return {
        "samples": [_samples(content)],
        "key": _key_numbers(content),
        "per_sample": _per_sample(content),
        "per_bin": _per_bin(content),
        "rejected": _rejected(content),
        "refusals": _files(content.refusals, "Files that did not become micrographs"),
        "failed": _files(_failed(content.micrographs), "Micrographs that failed"),
        "agreement": _agreement(content),
        "quality": _further(content.quality, content.samples),
        "synthesis": _further(_tables_of(content.synthesis), content.samples),
        "populations": _further(_tables_of(content.populations), content.samples),
        "onsets": _further(_tables_of(content.onsets), content.samples),
        "further": _further(content.tables, content.samples),
    }


def _tables_of(section: SynthesisContent | PopulationsContent | OnsetContent | None) -> Sequence[ReportTable]:
    return () if section is None else section.tables


def _further(given: Sequence[ReportTable], samples: Sequence[str]) -> list[HtmlTable]:
    return [_printed(table.caption, _in_order(table.frame, samples), table.note) for table in given]


def _in_order(frame: pd.DataFrame, samples: Sequence[str]) -> pd.DataFrame:
    """Put rows in the order of the study's samples, within what stands to the left of them; rows of all samples come last."""
    if "sample" not in frame:
        return frame
    place = {name: number for number, name in enumerate(samples)}
    of_rows = np.array([place.get(str(name), len(place)) for name in frame["sample"]], np.int64)
    before = [pd.factorize(frame[name])[0].astype(np.int64) for name in frame.columns[: list(frame).index("sample")]]
    return frame.iloc[np.lexsort([of_rows, *reversed(before)])]


def first_statistic(ds: xr.Dataset) -> str:
    """Give the statistic that figures and key numbers show: the mean if it is there, else the first."""
    names = [str(name) for name in ds["statistic"].values]
    return "mean" if "mean" in names else names[0]


def _samples(content: ReportContent) -> HtmlTable:
    micrographs = content.micrographs
    conditions = [name for name in micrographs.columns if str(name).startswith(CONDITION_PREFIX)]
    header = ["sample", *(axis_label(name.removeprefix(CONDITION_PREFIX)) for name in conditions)]
    header += ["micrographs", "failed", "fields", "particles detected", "accepted"]
    rows = []
    for name in content.samples:
        own = micrographs[micrographs["sample"] == name]
        fields = own["group"].fillna(own["micrograph"]).nunique()
        numbers = [len(own), int((own["status"] == "failed").sum()), fields, own["n_detected"].sum()]
        numbers.append(content.accepted.get(name, math.nan))
        rows.append(
            [name, *(_one_value(own[condition]) for condition in conditions), *(count(number) for number in numbers)]
        )
    return HtmlTable("What was measured", header, rows, numeric=[False] * (1 + len(conditions)) + [True] * 5)


def _one_value(values: pd.Series) -> str:
    known = values.dropna().unique()
    if len(known) == 0:
        return "–"
    if len(known) > 1:
        return "several"
    return f"{known[0]:g}" if isinstance(known[0], float | np.floating) else str(known[0])


def _key_numbers(content: ReportContent) -> list[HtmlTable]:
    ds = content.estimates
    if ds is None:
        return []
    statistic = first_statistic(ds)
    shown = [str(name) for name in ds["descriptor"].values][:_MOST_KEY_DESCRIPTORS]
    refusals = Refusals()
    rows = []
    for name in content.samples:
        cells = [_cell(ds, refusals, sample=name, descriptor=column, statistic=statistic) for column in shown]
        rows.append([name, _number_of(ds, "n", sample=name), *cells])
    header = ["sample", "particles", *(statistic_label(statistic, column, assumed=content.assumed) for column in shown)]
    caption = f"Each sample in one line: {statistic_words(statistic)} [{_level(ds)} interval]"
    return [HtmlTable(caption, header, rows, "", [False] + [True] * (1 + len(shown)), refusals.footnotes())]


def _per_sample(content: ReportContent) -> list[HtmlTable]:
    ds = content.estimates
    if ds is None:
        return []
    statistics = [str(name) for name in ds["statistic"].values]
    made = []
    for column in (str(name) for name in ds["descriptor"].values):
        refusals = Refusals()
        scaled = _scaled(ds, column)
        rows = [
            [name, *(_number_of(ds, which, sample=name) for which in ("n", "n_micrographs", "n_clusters"))]
            + [_cell(ds, refusals, sample=name, descriptor=column, statistic=statistic) for statistic in statistics]
            + [_with_scale(ds, sample=name, descriptor=column, statistic=statistic) for statistic in scaled]
            for name in content.samples
        ]
        sign = unit_sign(column, assumed=content.assumed)
        caption = f"{quantity_name(column).capitalize()}{f' ({sign})' if sign else ''} by sample"
        header = ["sample", "particles", "micrographs", "clusters", *(statistic_words(name) for name in statistics)]
        header += [f"{statistic_words(name)} ± with the scale's share" for name in scaled]
        numeric = [False] + [True] * (len(header) - 1)
        note = _SCALE_NOTE.format(level=_level(ds)) if scaled else ""
        made.append(HtmlTable(caption, header, rows, note, numeric, refusals.footnotes()))
    return made


def _per_bin(content: ReportContent) -> list[HtmlTable]:
    ds = content.size_resolved
    if ds is None or not ds.sizes.get("size_bin"):
        return []
    statistic = first_statistic(ds)
    columns = [str(name) for name in ds["descriptor"].values]
    occupied = "n_occupied_clusters" if "n_occupied_clusters" in ds else "n_clusters"
    size = axis_label(binned_column(ds), assumed=content.assumed)
    header = [size, "particles", "micrographs", "clusters with particles"]
    header += [statistic_label(statistic, column, assumed=content.assumed) for column in columns]
    made = []
    for name in (sample for sample in content.samples if sample in ds["sample"].values):
        refusals, rows = Refusals(), []
        for i in np.flatnonzero(ds["n"].sel(sample=name).values > 0):
            one = ds.isel(size_bin=int(i))
            size = f"{float(one['size_left']):.2f} – {float(one['size_right']):.2f}"
            counts = [_number_of(one, which, sample=name) for which in ("n", "n_micrographs", occupied)]
            cells = [_cell(one, refusals, sample=name, descriptor=column, statistic=statistic) for column in columns]
            rows.append([size, *counts, *cells])
        caption = f"{name}: {statistic_words(statistic)} in each size bin [{_level(ds)} interval]"
        numeric = [True] * len(header)
        made.append(HtmlTable(caption, header, rows, "", numeric, refusals.footnotes(), heading=name))
    return made


def _rejected(content: ReportContent) -> list[HtmlTable]:
    table = content.rejected
    if not len(table):
        return []
    reasons = list(dict.fromkeys(table["reason"]))
    wide = table.pivot_table(index="reason", columns="sample", values="particles", aggfunc="sum", fill_value=0)
    shown = [name for name in content.samples if name in wide]
    rows = [[reason, *(count(wide.loc[reason, name]) for name in shown)] for reason in reasons]
    return [HtmlTable("Particles rejected", ["reason", *shown], rows, numeric=[False] + [True] * len(shown))]


def _failed(micrographs: pd.DataFrame) -> pd.DataFrame:
    return micrographs[micrographs["status"] == "failed"]


def _files(rows: pd.DataFrame, caption: str) -> list[HtmlTable]:
    if not len(rows):
        return []
    cells = [[_text(row[key]) for key in ("name", "sample", "reason")] for _, row in rows.iterrows()]
    return [HtmlTable(f"{caption} ({count(len(cells))})", ["file", "sample", "reason"], cells)]


def _agreement(content: ReportContent) -> list[HtmlTable]:
    table = content.agreement
    if table is None or not len(table):
        return []
    shown = table[["name", "sample", "group", "n_true", "n_detected", "dice"]]
    header = ["micrograph", "sample", "field", "particles in the truth", "detected", "Dice"]
    rows = [
        [name, sample, _text(group), count(n_true), count(n_detected), _text(dice, decimals=3)]
        for name, sample, group, n_true, n_detected, dice in shown.itertuples(index=False, name=None)
    ]
    return [HtmlTable("Agreement with the truth", header, rows, numeric=[False] * 3 + [True] * 3)]


def _printed(caption: str, frame: pd.DataFrame, note: str) -> HtmlTable:
    numeric = [pd.api.types.is_numeric_dtype(frame[name]) for name in frame.columns]
    rows = [[_text(value) for value in row] for row in frame.itertuples(index=False, name=None)]
    return HtmlTable(caption, [str(name) for name in frame.columns], rows, note, numeric)


def _cell(ds: xr.Dataset, refusals: Refusals, **where: str) -> str:
    if where["sample"] not in ds["sample"].values:
        return "–"
    one = ds.sel(where)
    estimate, lower, upper = (float(one[name]) for name in ("estimate", "lower", "upper"))
    return refusals.cell(estimate, lower, upper, str(one["refusal"].item()))


def _scaled(ds: xr.Dataset, column: str) -> list[str]:
    """Give the statistic to show with the uncertainty of the pixel size, if the column is one of lengths or areas."""
    lengths = "expanded_uncertainty" in ds and str(ds["unit"].sel(descriptor=column).item()).startswith("nm")
    return [first_statistic(ds)] if lengths else []


def _with_scale(ds: xr.Dataset, **where: str) -> str:
    if where["sample"] not in ds["sample"].values:
        return "–"
    one = ds.sel(where)
    return with_reach(float(one["estimate"]), float(one["expanded_uncertainty"]))


def _number_of(ds: xr.Dataset, which: str, *, sample: str) -> str:
    return count(float(ds[which].sel(sample=sample))) if sample in ds["sample"].values else "–"


def _level(ds: xr.Dataset) -> str:
    return f"{100 * float(ds.attrs.get('level', 0.95)):g} %"


def _text(value: object, *, decimals: int | None = None) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, float | np.floating):
        number = float(value)
        return f"{number:.{decimals_for(number, 4) if decimals is None else decimals}f}".replace("-", "−")
    return str(value)
