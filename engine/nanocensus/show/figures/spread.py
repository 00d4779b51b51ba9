"""Whether samples of larger means scatter more: standard deviations against means, on logarithmic axes."""

from collections.abc import Mapping

import holoviews as hv
import numpy as np
import pandas as pd

from nanocensus.show.figures.theme import (
    HAIRLINE_DARK,
    SampleStyle,
    axis_label,
    height_beside_legend,
    quantity_name,
    sample_styles,
    set_in_frame,
)

_PROPORTIONS = 5
"""Lines of a spread in proportion."""


def spread_against_mean(
    points: pd.DataFrame, *, styles: Mapping[str, SampleStyle] | None = None, assumed: bool = False, title: str = ""
) -> hv.Overlay:
    """Draw the standard deviation of one descriptor against its mean, or its mean distance from 1, a point a sample.

    Parameters
    ----------
    points : DataFrame
        Rows of one descriptor of the `points` of `Spreads`.
    styles : Mapping, optional
        Colour and marker of each sample; by their order if absent.
    assumed : bool
        Whether the user made the pixel size up.
    title : str
        Stands above the figure.
    """
    rows = points[(points["room"] > 0) & (points["sd"] > 0)]
    styles = styles or sample_styles([str(name) for name in rows["sample"]])
    descriptor = str(points["descriptor"].iloc[0]) if len(points) else ""
    ratio = bool(len(rows)) and not np.allclose(rows["room"], rows["mean"])
    layers: list[hv.Element] = list(_proportions(rows))
    for row in rows.to_dict("records"):
        style = styles[str(row["sample"])]
        ends = np.nan_to_num([row["sd"] - row["sd_lower"], row["sd_upper"] - row["sd"]])
        bar = hv.ErrorBars([(row["room"], row["sd"], *ends)], "x", ["y", "below", "above"])
        layers.append(bar.opts(backend="bokeh", color=style.colour, line_width=1.2, upper_head=None, lower_head=None))
        point = hv.Points([(row["room"], row["sd"])], ["x", "y"], label=style.label)
        layers.append(point.opts(backend="bokeh", color=style.colour, marker=style.marker, size=7))
    quantity, label = quantity_name(descriptor), axis_label(descriptor, assumed=assumed)
    return set_in_frame(
        hv.Overlay(layers or [hv.Curve([])]), title=title, height=height_beside_legend(len(rows)), logx=True, logy=True,
        xlabel=f"1 − mean {quantity}" if ratio else f"mean {label}",
        ylabel=f"standard deviation of {label}",
    )  # fmt: skip


def _proportions(rows: pd.DataFrame) -> list[hv.Element]:
    if rows.empty:
        return []
    shares = rows["sd"] / rows["room"]
    ends = rows["room"].min() * 0.95, rows["room"].max() * 1.05
    lines = np.geomspace(shares.min(), shares.max(), _PROPORTIONS)
    return [
        hv.Curve([(end, share * end) for end in ends]).opts(
            backend="bokeh", color=HAIRLINE_DARK, line_width=1, show_legend=False
        )
        for share in lines
    ]
