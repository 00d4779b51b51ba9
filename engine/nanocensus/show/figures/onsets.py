"""Where a descriptor changes its course: fine bin means, the fitted bent cables, and the onset with its interval."""

from collections.abc import Mapping, Sequence

import holoviews as hv
import numpy as np
import pandas as pd

from nanocensus.show.figures.sizes import SIZE_COLUMN
from nanocensus.show.figures.theme import (
    INK,
    SampleStyle,
    axis_label,
    height_beside_legend,
    quantity_name,
    sample_styles,
    set_in_frame,
)

_POINT, _SHADE = 3, 0.18


def onset(
    table: pd.DataFrame,
    curves: pd.DataFrame,
    *,
    bend: str = "onset",
    styles: Mapping[str, SampleStyle] | None = None,
    assumed: bool = False,
    title: str = "",
) -> hv.Overlay:
    """Draw the means in fine size bins, the fitted curves, and the onset of all samples with its interval.

    A sample whose onset is refused has points and no curve. The grey band is the interval of all samples together, or of
    the only one; there is none where it is refused.

    Parameters
    ----------
    table, curves : DataFrame
        Of an `Onsets` (see `statistics.onsets.onset`).
    bend : str
        "onset" or "saturation".
    styles : Mapping, optional
        Colour and marker of each sample (`theme.sample_styles`); by their order if absent.
    assumed : bool
        Whether the user made the pixel size up.
    title : str
        Stands above the figure.
    """
    rows, drawn = table[table["bend"] == bend], curves[curves["bend"] == bend]
    names = [str(name) for name in drawn["sample"].unique()]
    styles = styles or sample_styles(names)
    layers: list[hv.Element] = [*_band(rows, names)]
    for name in names:
        layers += _sample_layers(drawn[drawn["sample"] == name], styles[name])
    descriptor = str(rows["descriptor"].iloc[0]) if len(rows) else ""
    quantity = quantity_name(descriptor)
    mean = "mean excess of" if rows["excess"].any() else "mean"
    return set_in_frame(
        hv.Overlay(layers or [hv.Curve([])]),
        title=title,
        height=height_beside_legend(len(names)),
        xlabel=axis_label(SIZE_COLUMN, assumed=assumed),
        ylabel=axis_label(descriptor, assumed=assumed).replace(quantity, f"{mean} {quantity}", 1),
    )


def _band(rows: pd.DataFrame, names: Sequence[str]) -> list[hv.Element]:
    told = rows[np.isfinite(rows["lower_nm"].astype(float))]
    if len(names) > 1:
        told = told[~told["sample"].isin(list(names))]
    if told.empty:
        return []
    low, at, high = told.iloc[0][["lower_nm", "estimate_nm", "upper_nm"]].astype(float)
    common = {"backend": "bokeh", "color": INK}
    return [hv.VSpan(low, high).opts(alpha=_SHADE, **common), hv.VLine(at).opts(line_width=1, **common)]


def _sample_layers(rows: pd.DataFrame, style: SampleStyle) -> list[hv.Element]:
    label = style.label
    points = hv.Points(rows, ["size_nm", "mean"], [], label=label).opts(
        backend="bokeh", color=style.colour, marker=style.marker, size=_POINT, alpha=0.7
    )
    line = hv.Curve(rows[np.isfinite(rows["fitted"])], "size_nm", "fitted").opts(
        backend="bokeh", color=style.colour, line_width=1.5, show_legend=False
    )
    return [points, line]
