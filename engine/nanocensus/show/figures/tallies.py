"""Counts as bars and points: particles rejected, and agreement with the truth."""

from collections.abc import Mapping
from typing import Literal

import holoviews as hv
import numpy as np
import pandas as pd

from nanocensus.errors import TableError
from nanocensus.show.figures.theme import INK, QUIET, SampleStyle, height_beside_legend, plain_text, set_in_frame
from nanocensus.show.figures.theme import sample_styles as styles_of

_ROW_HEIGHT, _FRAME_HEIGHT = 22, 90
_BAR_SHARE = 0.8
_SQUARE = 280


def rejections(table: pd.DataFrame, *, styles: Mapping[str, SampleStyle] | None = None, title: str = "") -> hv.Overlay:
    """Draw how many particles were rejected, by reason and sample.

    Parameters
    ----------
    table : pd.DataFrame
        Columns sample, reason, particles: one row each. A particle that fails two criteria counts under both.
    styles : Mapping, optional
        Colour of each sample; by first appearance in the table if absent.
    title : str
        Stands above the figure.

    Raises
    ------
    TableError
        If a column is missing.
    """
    _require(table, ("sample", "reason", "particles"))
    samples, reasons = list(dict.fromkeys(table["sample"])), list(dict.fromkeys(table["reason"]))
    styles = styles or styles_of(samples)
    thickness = _BAR_SHARE / max(1, len(samples))
    layers = []
    for i, name in enumerate(samples):
        rows = table[table["sample"] == name]
        middle = np.array([-reasons.index(reason) for reason in rows["reason"]], float)
        middle += _BAR_SHARE / 2 - (i + 0.5) * thickness
        count = rows["particles"].to_numpy(float)
        shown = (np.zeros(len(rows)), middle - thickness / 2, count, middle + thickness / 2)
        words = [plain_text(text, longest=None) for text in rows["reason"]]
        whose = [plain_text(name, longest=None)] * len(rows)
        bars = hv.Rectangles((*shown, words, whose), vdims=["reason", "sample"], label=styles[name].label)
        tooltips = [("sample", "@sample"), ("reason", "@reason"), ("particles", "@x1")]
        layers.append(
            bars.opts(
                backend="bokeh", color=styles[name].colour, line_color="white", line_width=0.5,
                tools=["hover"], hover_tooltips=tooltips,
            )
        )  # fmt: skip
    return set_in_frame(
        hv.Overlay(layers or [hv.Rectangles([])]),
        title=title,
        height=_FRAME_HEIGHT + max(_ROW_HEIGHT, 7 * len(samples)) * max(1, len(reasons)),
        grid=False,
        xlabel="particles rejected",
        ylabel="",
        yticks=[(-i, plain_text(reason, longest=40)) for i, reason in enumerate(reasons)],
        xlim=(0.0, max(1.0, float(table["particles"].max()) * 1.05) if len(table) else 1.0),
        ylim=(0.5 - max(1, len(reasons)), 0.5),
    )


def agreement(
    table: pd.DataFrame,
    *,
    of: Literal["counts", "dice"] = "counts",
    bar: float | None = None,
    styles: Mapping[str, SampleStyle] | None = None,
    title: str = "",
) -> hv.Overlay:
    """Draw how what was detected agrees with the truth, a point a micrograph.

    Parameters
    ----------
    table : pd.DataFrame
        Columns sample and name; n_true and n_detected for "counts"; group and dice for "dice".
    of : {"counts", "dice"}
        Particles detected against particles that are there, on the line of equality; or the overlap of the areas
        (Dice coefficient) by field; a micrograph without a group is its own.
    bar : float, optional
        The Dice coefficient that was asked for: a line across.
    styles : Mapping, optional
        Colour and marker of each sample.
    title : str
        Stands above the figure.

    Raises
    ------
    TableError
        If a column is missing.
    """
    _require(table, ("sample", "name", *(("n_true", "n_detected") if of == "counts" else ("group", "dice"))))
    styles = styles or styles_of(list(dict.fromkeys(table["sample"])))
    return _counts(table, styles, title) if of == "counts" else _dice(table, bar, styles, title)


def _counts(table: pd.DataFrame, styles: Mapping[str, SampleStyle], title: str) -> hv.Overlay:
    top = max(1.0, float(np.nanmax([table["n_true"].max(), table["n_detected"].max(), 0]))) * 1.05
    line = hv.Curve([(0.0, 0.0), (top, top)], label="equal").opts(
        backend="bokeh", color=QUIET, line_dash="dashed", line_width=1
    )
    tooltips = [("micrograph", "@name"), ("there", "@n_true"), ("detected", "@n_detected")]
    points = _points_by_sample(table, "n_true", "n_detected", styles, tooltips)
    return set_in_frame(
        hv.Overlay([line, *points]), title=title, width=None, height=None, frame_width=_SQUARE, frame_height=_SQUARE,
        xlabel="particles in the truth", ylabel="particles detected", xlim=(0.0, top), ylim=(0.0, top),
    )  # fmt: skip


def _dice(table: pd.DataFrame, bar: float | None, styles: Mapping[str, SampleStyle], title: str) -> hv.Overlay:
    table = table.assign(group=table["group"].fillna(table["name"]).astype(str))
    fields = list(dict.fromkeys(table["group"]))
    placed = table.assign(place=[float(fields.index(field)) for field in table["group"]])
    tooltips = [("micrograph", "@name"), ("field", "@group"), ("Dice", "@dice{0.000}")]
    layers = _points_by_sample(placed, "place", "dice", styles, tooltips)
    ends = (-0.5, max(1, len(fields)) - 0.5)
    if bar is not None:
        line = hv.Curve([(ends[0], bar), (ends[1], bar)], label=f"asked for: {bar:g}")
        layers = [line.opts(backend="bokeh", color=INK, line_dash="dashed", line_width=1), *layers]
    lowest = np.nanmin([table["dice"].min() if len(table) else np.nan, bar if bar is not None else np.nan, 1.0])
    room = max(0.005, 0.03 * (1.0 - float(lowest)))  # for the whole of a mark at 0 or 1
    return set_in_frame(
        hv.Overlay(layers or [hv.Points([])]),
        title=title,
        height=height_beside_legend(len(layers)),
        xlabel="field",
        ylabel="Dice coefficient",
        xticks=[(i, plain_text(field, longest=12)) for i, field in enumerate(fields)],
        xrotation=45 if len(fields) > 8 else 0,
        xlim=ends,
        ylim=(max(-room, float(lowest) - 0.05), 1.0 + room),
    )


def _points_by_sample(
    table: pd.DataFrame, x: str, y: str, styles: Mapping[str, SampleStyle], tooltips: list[tuple[str, str]]
) -> list[hv.Points]:
    layers = []
    for name in dict.fromkeys(table["sample"]):
        rows = table[table["sample"] == name]
        rows = rows.assign(name=[plain_text(str(text), longest=None) for text in rows["name"]])
        details = [column for column in ("name", "group") if column in rows]
        points = hv.Points(rows, [x, y], details, label=styles[name].label)
        layers.append(
            points.opts(
                backend="bokeh", color=styles[name].colour, marker=styles[name].marker, size=7, alpha=0.85,
                tools=["hover"], hover_tooltips=tooltips,
            )
        )  # fmt: skip
    return layers


def _require(table: pd.DataFrame, columns: tuple[str, ...]) -> None:
    missing = [column for column in columns if column not in table]
    if missing:
        raise TableError(
            "table of the figure",
            expected="the columns " + ", ".join(columns),
            got=f"none called {', '.join(missing)}",
            remedy="Rename the columns of the table.",
        )
