"""Means of samples against the conditions of their synthesis: predictions beside measurements, and the cloud of exponents."""

from collections.abc import Mapping

import holoviews as hv
import numpy as np
import pandas as pd

from nanocensus.show.figures.theme import (
    INK,
    PALETTE,
    QUIET,
    SampleStyle,
    axis_label,
    height_beside_legend,
    sample_styles,
    set_in_frame,
)
from nanocensus.statistics.synthesis.fit import POWER

_LARGEST, _SMALLEST = 26.0, 4.0
_ENDS = ["below", "above"]
_MARGIN = 0.05
"""Of the range of measured means, to both sides."""


def predictions(
    table: pd.DataFrame, *, styles: Mapping[str, SampleStyle] | None = None, assumed: bool = False, title: str = ""
) -> hv.Overlay:
    """Draw means predicted from the samples of other conditions against the measured ones.

    Filled markers are of the product of powers, hollow ones of the log-linear model, a little to the right.

    Parameters
    ----------
    table : DataFrame
        Rows of one descriptor of the `predictions` of a `SynthesisModel`.
    styles : Mapping, optional
        Colour and marker of each sample; by their order if absent.
    assumed : bool
        Whether the user made the pixel size up.
    title : str
        Stands above the figure.
    """
    rows = table[np.isfinite(table["observed"])]
    names = [str(name) for name in rows["sample"].unique()]
    styles = styles or sample_styles(names)
    label = axis_label(str(rows["descriptor"].iloc[0]), assumed=assumed) if len(rows) else ""
    low, high = (float(rows["observed"].agg(end)) if len(rows) else 0.0 for end in ("min", "max"))
    margin, nudge = _MARGIN * (high - low), 0.006 * (high - low)
    low, high = low - margin, high + margin
    layers: list[hv.Element] = [
        hv.Curve([(low, low), (high, high)]).opts(backend="bokeh", color=QUIET, line_width=1, show_legend=False)
    ]
    for row in rows.to_dict("records"):
        style, filled = styles[str(row["sample"])], row["model"] == POWER
        at = row["observed"] + (0.0 if filled else nudge)
        bar = (at, row["predicted"], row["predicted"] - row["lower"], row["upper"] - row["predicted"])
        layers.append(
            hv.ErrorBars([bar], "x", ["y", *_ENDS]).opts(
                backend="bokeh", color=style.colour, line_width=1.2, upper_head=None, lower_head=None
            )
        )
        point = hv.Points([(at, row["predicted"])], ["x", "y"], label=style.label)
        layers.append(
            point.opts(
                backend="bokeh", marker=style.marker, size=7, line_color=style.colour,
                fill_color=style.colour if filled else "white", show_legend=filled,
            )
        )  # fmt: skip
    return set_in_frame(
        hv.Overlay(layers), title=title, height=height_beside_legend(len(names)), xlabel=f"measured mean {label}",
        ylabel=f"predicted mean {label}",
    )  # fmt: skip


def exponents(table: pd.DataFrame, *, title: str = "") -> hv.Overlay:
    """Draw which exponents the means allow, and how often each choice is the best in resamples.

    Of three conditions the first two are shown, the third at what it is best at.

    Parameters
    ----------
    table : DataFrame
        Rows of one descriptor of the `exponents` of a `SynthesisModel`.
    title : str
        Stands above the figure.
    """
    names = [str(name) for name in table.columns if str(name).startswith("exponent_")]
    shown = names[:2] if len(names) > 1 else [*names, "zero"]
    rows = table.assign(zero=0.0).groupby(shown, as_index=False).agg(
        share=("share", "sum"), inside=("inside", "max"), r2=("r2", "max")
    )  # fmt: skip
    layers: list[hv.Element] = []
    for inside, label in ((False, "outside the confidence set"), (True, "inside")):
        part = rows[(rows["inside"] == inside) & (inside | (rows["share"] > 0))]
        if part.empty:  # a legend's entry needs a mark that is drawn
            continue
        sizes = np.maximum(_LARGEST * np.sqrt(part["share"]), _SMALLEST)
        points = hv.Points(part.assign(size=sizes), shown, ["share", "r2", "size"], label=label)
        layers.append(
            points.opts(
                backend="bokeh", size="size", line_color=PALETTE[0], fill_color=PALETTE[0] if inside else "white", alpha=0.85,
                tools=["hover"],
                hover_tooltips=[("share of resamples", "@share{0.000}"), ("R²", "@r2{0.000}")],
            )
        )  # fmt: skip
    best = rows.loc[[rows["r2"].idxmax()]] if len(rows) else rows
    layers.append(
        hv.Points(best, shown, [], label="largest R²").opts(
            backend="bokeh", marker="x", size=10, color=INK, line_width=2
        )
    )
    labels = [f"exponent of {name.removeprefix('exponent_').replace('_', ' ')}" for name in shown]
    return set_in_frame(
        hv.Overlay(layers), title=title, xlabel=labels[0], ylabel=labels[1] if len(names) > 1 else "",
        yaxis="left" if len(names) > 1 else None,
    )  # fmt: skip
