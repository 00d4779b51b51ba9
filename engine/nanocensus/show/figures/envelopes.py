"""What constant shapes read at each size, behind what the data read."""

from collections.abc import Mapping

import holoviews as hv
import pandas as pd

from nanocensus.show.figures.sizes import SIZE_COLUMN
from nanocensus.show.figures.theme import (
    INK,
    SampleStyle,
    axis_label,
    height_beside_legend,
    plain_text,
    sample_styles,
    set_in_frame,
    statistic_label,
)

_DASHES = ("solid", "dashed", "dotted", "dotdash", "dashdot")
_SHADE, _POINT = 0.12, 4


def null_envelope(
    table: pd.DataFrame,
    *,
    descriptor: str,
    means: pd.DataFrame | None = None,
    styles: Mapping[str, SampleStyle] | None = None,
    assumed: bool = False,
    title: str = "",
) -> hv.Overlay:
    """Draw a descriptor of constant shapes against size, with the spread of single particles, and the means of the data.

    Parameters
    ----------
    table : DataFrame
        Of a `NullEnvelope`.
    descriptor : str
        Which.
    means : DataFrame, optional
        sample, size_nm and mean, one row a size bin: the curves of `Onsets` are such.
    styles : Mapping, optional
        Colour and marker of each sample (`theme.sample_styles`); by their order if absent.
    assumed : bool
        Whether the user made the pixel size up.
    title : str
        Stands above the figure.
    """
    rows = table[table["descriptor"] == descriptor]
    shapes = [str(shape) for shape in rows["shape"].unique()]
    layers: list[hv.Element] = []
    for place, shape in enumerate(shapes):
        layers += _shape_layers(rows[rows["shape"] == shape], shape, _DASHES[place % len(_DASHES)])
    names = [] if means is None else [str(name) for name in means["sample"].unique()]
    if means is not None:
        styles = styles or sample_styles(names)
        layers += [_points(means[means["sample"] == name], styles[name]) for name in names]
    return set_in_frame(
        hv.Overlay(layers or [hv.Curve([])]),
        title=title,
        height=height_beside_legend(len(shapes) + len(names)),
        xlabel=axis_label(SIZE_COLUMN, assumed=assumed),
        ylabel=statistic_label("mean", descriptor, assumed=assumed),
    )


def _shape_layers(rows: pd.DataFrame, shape: str, dash: str) -> list[hv.Element]:
    band = hv.Area((rows["size_nm"], rows["spread_lower"], rows["spread_upper"]), "size_nm", ["value", "upper"]).opts(
        backend="bokeh", color=INK, alpha=_SHADE, line_alpha=0, show_legend=False
    )
    label = plain_text(f"constant {shape.replace('_', ' ')}")
    line = hv.Curve(rows, "size_nm", "fitted", label=label).opts(
        backend="bokeh", color=INK, line_width=1.2, line_dash=dash
    )
    return [band, line]


def _points(rows: pd.DataFrame, style: SampleStyle) -> hv.Points:
    return hv.Points(rows, ["size_nm", "mean"], [], label=style.label).opts(
        backend="bokeh", color=style.colour, marker=style.marker, size=_POINT, alpha=0.8
    )
