"""How a network's maps compare with the truth: by size, by threshold and by probability."""

from collections.abc import Mapping

import holoviews as hv
import numpy as np
import pandas as pd

from nanocensus.show.figures.theme import (
    HAIRLINE_DARK,
    INK,
    QUIET,
    SampleStyle,
    height_beside_legend,
    hover_format,
    plain_text,
    set_in_frame,
)
from nanocensus.show.numbers import decimals_of_column

_SQUARE = 300
_HEIGHT = 300
_BAR_SHARE = 0.35
"""Reach of the vertical axis beyond the estimates, in their range: longer intervals run out of the frame."""


def error_by_size(
    rows: pd.DataFrame,
    *,
    by: str,
    styles: Mapping[str, SampleStyle],
    size_label: str,
    value_label: str,
    factor: float = 1.0,
    level_line: float | None = 0.0,
    ylim: tuple[float | None, float | None] | None = None,
) -> hv.Overlay:
    """Draw a figure of merit by true size: a point a bin, its interval upright, the bin lying.

    Parameters
    ----------
    rows : pd.DataFrame
        Columns size_left, size_right, mean_size, estimate, lower, upper, n, n_clusters, refusal, and `by`.
    by : str
        Column whose values are told apart.
    styles : Mapping
        Colour and marker of each of them; those not in it are not drawn.
    size_label, value_label : str
        Of the axes.
    factor : float
        By which the values are multiplied: 100 for percent.
    level_line : float, optional
        Where no error would be, after the factor.
    ylim : (float or None, float or None), optional
        Of the vertical axis; so that all estimates and most intervals are seen if absent.
    """
    layers: list[hv.Element] = []
    shown = rows[rows[by].isin(list(styles))]
    if level_line is not None:
        layers.append(hv.HLine(level_line).opts(backend="bokeh", color=HAIRLINE_DARK, line_width=1.2))
    for name, style in styles.items():
        own = shown[shown[by] == name]
        layers += _points(own, style.label, style, factor)
    high, low = shown["size_right"].max(), shown["size_left"].min()
    room = 0.03 * (high - low) if len(shown) else 0.0
    return set_in_frame(
        hv.Overlay(layers or [hv.Curve([])]),
        height=max(_HEIGHT, height_beside_legend(len(styles)) - 40),
        legend="right" if len(styles) > 1 else None,
        xlabel=size_label,
        ylabel=value_label,
        xlim=(low - room, high + room) if len(shown) else (0.0, 1.0),
        ylim=ylim or _reach(shown, factor, level_line),
    )


def _points(rows: pd.DataFrame, label: str, style: SampleStyle, factor: float) -> list[hv.Element]:
    numbers = {name: rows[name].to_numpy(np.float64) * factor for name in ("estimate", "lower", "upper")}
    x = rows["mean_size"].to_numpy(np.float64)
    left, right = (rows[name].to_numpy(np.float64) for name in ("size_left", "size_right"))
    table = pd.DataFrame(
        {"x": x, **numbers, "left": left, "right": right, "n": rows["n"].astype(int), "fields": rows["n_clusters"].astype(int),
         "refusal": [plain_text(text, longest=None) for text in rows["refusal"]]}
    )  # fmt: skip
    known = table["lower"].notna()
    line = {"backend": "bokeh", "color": style.colour}
    form = hover_format(decimals_of_column(*numbers.values()))
    tooltips = [("size", "@left{0.00} to @right{0.00}"), ("estimate", f"@estimate{form}"), ("particles", "@n")]
    interval = ("interval", f"@lower{form} to @upper{form}")
    details = ["lower", "upper", "left", "right", "n", "fields", "refusal"]
    common = {"backend": "bokeh", "marker": style.marker, "size": 7, "line_color": style.colour, "tools": ["hover"]}
    lines = [(left, numbers["estimate"], right, numbers["estimate"]), (x, numbers["lower"], x, numbers["upper"])]
    ends = tuple(np.concatenate(parts) for parts in zip(*lines, strict=True))
    sure = hv.Points(table[known], ["x", "estimate"], details, label=label).opts(
        fill_color=style.colour, hover_tooltips=[*tooltips, interval, ("fields", "@fields")], **common
    )
    layers = [hv.Segments(ends).opts(line_width=1.3, alpha=0.7, **line)]
    if known.any():  # a legend's entry needs a mark that is drawn
        layers.append(sure)
    if not known.all():
        refused = [*tooltips, ("interval", "refused: @refusal")]
        unsure = hv.Points(table[~known], ["x", "estimate"], details, label="" if known.any() else label)
        layers.append(unsure.opts(fill_color="white", show_legend=not known.any(), hover_tooltips=refused, **common))
    return layers


def _reach(rows: pd.DataFrame, factor: float, level_line: float | None) -> tuple[float, float]:
    ends = [rows[name].to_numpy(np.float64) * factor for name in ("estimate", "lower", "upper")]
    # Bins without an interval hold few particles and scatter: they may lie outside, like long intervals.
    sure = rows["lower"].notna().to_numpy()
    middle = ends[0][sure] if sure.any() else ends[0]
    middle = np.append(middle[np.isfinite(middle)], [] if level_line is None else [level_line])
    if not middle.size:
        return -1.0, 1.0
    low, high = float(middle.min()), float(middle.max())
    room = (high - low) or abs(high) * 0.1 or 1.0
    known = np.isfinite(ends[1]) & np.isfinite(ends[2])
    lowest = float(ends[1][known].min()) if known.any() else low
    highest = float(ends[2][known].max()) if known.any() else high
    least, most = max(min(lowest, low), low - room), min(max(highest, high), high + room)
    return least - _BAR_SHARE * 0.3 * room, most + _BAR_SHARE * 0.3 * room


def by_threshold(
    rows: pd.DataFrame,
    column: str,
    *,
    styles: Mapping[str, SampleStyle],
    label: str,
    threshold: float,
    factor: float = 1.0,
    level_line: float | None = None,
) -> hv.Overlay:
    """Draw a figure of merit against the threshold at which the map is cut.

    Parameters
    ----------
    rows : pd.DataFrame
        Columns sample, threshold and `column`.
    column : str
        Which.
    styles : Mapping
        Colour of each sample.
    label : str
        Of the vertical axis.
    threshold : float
        That which is used: a line upright.
    factor : float
        By which the values are multiplied.
    level_line : float, optional
        Where no error would be.
    """
    layers: list[hv.Element] = [hv.VLine(threshold).opts(backend="bokeh", color=INK, line_dash="dashed", line_width=1)]
    if level_line is not None:
        layers.append(hv.HLine(level_line).opts(backend="bokeh", color=HAIRLINE_DARK, line_width=1.2))
    for name, style in styles.items():
        own = rows[rows["sample"] == name]
        points = (own["threshold"].to_numpy(np.float64), own[column].to_numpy(np.float64) * factor)
        layers.append(
            hv.Curve(points, "threshold", column, label=style.label).opts(
                backend="bokeh", color=style.colour, line_width=2, tools=["hover"]
            )
        )
    return set_in_frame(
        hv.Overlay(layers),
        height=max(_HEIGHT, height_beside_legend(len(styles)) - 40),
        legend="right" if len(styles) > 1 else None,
        xlabel="threshold of the probability",
        ylabel=label,
        xlim=(0.0, 1.0),
    )


def reliability(rows: pd.DataFrame, *, styles: Mapping[str, SampleStyle], column: str, label: str) -> hv.Overlay:
    """Draw how often pixels of each probability are particle; a calibrated map lies on the diagonal.

    Parameters
    ----------
    rows : pd.DataFrame
        Columns sample, mean_probability, pixels and `column`.
    styles : Mapping
        Colour and marker of each sample.
    column : str
        `share_of_truth` or `mean_area_fraction`.
    label : str
        Of the vertical axis.
    """
    layers: list[hv.Element] = [
        hv.Curve([(0.0, 0.0), (1.0, 1.0)], label="calibrated").opts(
            backend="bokeh", color=QUIET, line_dash="dashed", line_width=1
        )
    ]
    for name, style in styles.items():
        own = rows[(rows["sample"] == name) & rows[column].notna()]
        table = pd.DataFrame({part: own[part].to_numpy(np.float64) for part in ("mean_probability", column, "pixels")})
        tooltips = [
            ("probability", "@mean_probability{0.000}"),
            (label, f"@{column}{{0.000}}"),
            ("pixels", "@pixels{0,0}"),
        ]
        layers += [
            hv.Curve(table, "mean_probability", column, label=style.label).opts(
                backend="bokeh", color=style.colour, line_width=1.6
            ),
            hv.Points(table, ["mean_probability", column], ["pixels"], label=style.label).opts(
                backend="bokeh",
                color=style.colour,
                marker=style.marker,
                size=6,
                tools=["hover"],
                hover_tooltips=tooltips,
            ),
        ]
    return set_in_frame(
        hv.Overlay(layers), width=None, height=None, frame_width=_SQUARE, frame_height=_SQUARE, legend="bottom",
        xlabel="probability of the map", ylabel=label, xlim=(0.0, 1.0), ylim=(0.0, 1.0),
    )  # fmt: skip
