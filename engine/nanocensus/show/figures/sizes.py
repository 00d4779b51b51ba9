"""How a descriptor changes with size: a point a bin and sample, with its interval."""

from collections.abc import Mapping, Sequence

import holoviews as hv
import numpy as np
import pandas as pd
import xarray as xr

from nanocensus.show.figures.theme import (
    HAIRLINE_DARK,
    SampleStyle,
    axis_label,
    height_beside_legend,
    hover_format,
    plain_text,
    set_in_frame,
    statistic_label,
    unit_sign,
)
from nanocensus.show.figures.theme import sample_styles as styles_of
from nanocensus.show.numbers import decimals_of_column

SIZE_COLUMN = "edge_length_nm"
"""What particles are binned by unless told otherwise."""
_SHARE_OF_BIN = 0.6
"""Width, as a share of a bin, over which the samples stand side by side, so that intervals do not hide each other."""
_MEASURES = ("n", "n_micrographs", "n_clusters")
_OCCUPIED = "n_occupied_clusters"


def size_resolved(
    ds: xr.Dataset,
    descriptor: str,
    *,
    statistic: str = "mean",
    only: Sequence[str] | None = None,
    styles: Mapping[str, SampleStyle] | None = None,
    assumed: bool = False,
    title: str = "",
) -> hv.Overlay:
    """Draw a statistic of a descriptor in every size bin of every sample, with its interval.

    Filled markers have an interval, drawn as a bar; open markers are estimates whose interval was refused, the reason
    on hover; a line joins those with one. Samples stand side by side within a bin. The vertical axis shows the
    estimates that have an interval and as much again on either side: what is longer or farther runs out of the frame.

    Parameters
    ----------
    ds : xr.Dataset
        Of `statistics.estimate` by sample and size bin.
    descriptor, statistic : str
        Which.
    only : sequence of str, optional
        Samples to draw with markers and intervals; the others are thin grey lines on the same axes.
    styles : Mapping, optional
        Colour and marker of each sample (`theme.sample_styles`); by the order in `ds` if absent.
    assumed : bool
        Whether the user made the pixel size up.
    title : str
        Stands above the figure.

    Raises
    ------
    KeyError
        If `ds` has no such descriptor or statistic.
    """
    styles = styles or styles_of([str(sample) for sample in ds["sample"].values])
    present = [name for name in styles if name in ds["sample"].values]
    front = [name for name in present if only is None or name in only]
    rows = interval_rows(ds, descriptor, statistic, side_by_side=front)
    behind = [_grey_line(rows[rows["sample"] == name]) for name in present if name not in front]
    layers: list[hv.Element] = [*behind]
    for name in front:
        layers += _sample_layers(
            rows[rows["sample"] == name], name, styles[name], unit_sign(binned_column(ds), assumed=assumed)
        )
    margin = float((rows["size_right"] - rows["size_left"]).min() / 2) if len(rows) else 0.0
    return set_in_frame(
        hv.Overlay(layers or [hv.Curve([])]),
        title=title,
        height=height_beside_legend(len(front)),
        xlabel=axis_label(binned_column(ds), assumed=assumed),
        ylabel=statistic_label(statistic, descriptor, assumed=assumed),
        xlim=(rows["size_left"].min() - margin, rows["size_right"].max() + margin) if len(rows) else (0.0, 1.0),
        ylim=_vertical_range(rows),
    )


def binned_column(ds: xr.Dataset) -> str:
    """Give the column whose bins the size bins are.

    Examples
    --------
    >>> binned_column(xr.Dataset(attrs={"size_bins": {"of": "feret_max_nm"}})), binned_column(xr.Dataset())
    ('feret_max_nm', 'edge_length_nm')
    """
    return str(ds.attrs.get("size_bins", {}).get("of", SIZE_COLUMN))


def interval_rows(ds: xr.Dataset, descriptor: str, statistic: str, *, side_by_side: Sequence[str] = ()) -> pd.DataFrame:
    """Give one row a sample and size bin that has an estimate.

    Parameters
    ----------
    ds : xr.Dataset
        Of `statistics.estimate` by sample and size bin.
    descriptor, statistic : str
        Which.
    side_by_side : sequence of str
        Samples that share the width of a bin; others stand in its middle.

    Returns
    -------
    pd.DataFrame
        Columns sample, size_left, size_right (nm), x (place in the bin, nm), estimate, lower, upper, n, n_micrographs,
        n_clusters, n_occupied_clusters (those with particles in the bin), refusal.
    """
    chosen = ds.sel(descriptor=descriptor, statistic=statistic)
    left, right = chosen["size_left"].values, chosen["size_right"].values
    offsets = (np.arange(len(side_by_side)) - (len(side_by_side) - 1) / 2) / max(1, len(side_by_side)) * _SHARE_OF_BIN
    offset_of = dict(zip(side_by_side, offsets.tolist(), strict=True))
    parts = [
        pd.DataFrame(columns=["sample", "size_left", "size_right", "x", "estimate", "lower", "upper"], dtype=float)
    ]
    for sample in chosen["sample"].values:
        one = chosen.sel(sample=sample)
        offset = offset_of.get(str(sample), 0.0)
        columns = {name: one[name].values for name in ("estimate", "lower", "upper", "refusal", *_MEASURES)}
        columns[_OCCUPIED] = one[_OCCUPIED if _OCCUPIED in one else "n_clusters"].values
        place = (left + right) / 2 + offset * (right - left)
        parts.append(
            pd.DataFrame({"sample": str(sample), "size_left": left, "size_right": right, "x": place, **columns})
        )
    rows = pd.concat(parts[1:] or parts, ignore_index=True)
    found: pd.DataFrame = rows[np.isfinite(rows["estimate"])].reset_index(drop=True)
    return found


def _sample_layers(rows: pd.DataFrame, name: str, style: SampleStyle, unit: str) -> list[hv.Element]:
    label = style.label
    known = rows[np.isfinite(rows["lower"]) & np.isfinite(rows["upper"])]
    bars = hv.ErrorBars(
        (known["x"], known["estimate"], known["estimate"] - known["lower"], known["upper"] - known["estimate"]),
        "x",
        ["estimate", "below", "above"],
        label=label,
    ).opts(backend="bokeh", color=style.colour, line_width=1.2, upper_head=None, lower_head=None)
    ends = (rows[end].to_numpy(np.float64) for end in ("estimate", "lower", "upper"))
    form = hover_format(decimals_of_column(*ends))
    details = ["estimate", "lower", "upper", "sample", "size_left", "size_right", *_MEASURES, _OCCUPIED, "refusal"]
    shown = rows.assign(
        sample=plain_text(name, longest=None), refusal=[plain_text(text, longest=None) for text in rows["refusal"]]
    )
    has_interval = rows.index.isin(known.index)
    line = hv.Curve(known, "x", "estimate", label=label).opts(
        backend="bokeh", color=style.colour, line_width=1, alpha=0.45
    )
    common = {"marker": style.marker, "size": 6, "line_color": style.colour, "tools": ["hover"]}
    filled = hv.Points(shown[has_interval], ["x", "estimate"], details[1:], label=label).opts(
        backend="bokeh", fill_color=style.colour, hover_tooltips=_tooltips(unit, form, refused=False), **common
    )
    opened = hv.Points(shown[~has_interval], ["x", "estimate"], details[1:], label="" if len(known) else label).opts(
        backend="bokeh",
        fill_color="white",
        hover_tooltips=_tooltips(unit, form, refused=True),
        show_legend=known.empty,
        **common,
    )
    return [line, bars, filled, opened] if len(known) else [opened]  # a legend's entry needs a mark that is drawn


def _grey_line(rows: pd.DataFrame) -> hv.Curve:
    known = rows[np.isfinite(rows["lower"]) & np.isfinite(rows["upper"])]
    return hv.Curve(known, "x", "estimate").opts(backend="bokeh", color=HAIRLINE_DARK, line_width=1, show_legend=False)


def _tooltips(unit: str, form: str, *, refused: bool) -> list[tuple[str, str]]:
    interval = ("interval", "refused: @refusal") if refused else ("interval", f"@lower{form} to @upper{form}")
    return [
        ("sample", "@sample"),
        ("size", f"@size_left{{0.00}} to @size_right{{0.00}} {unit}".rstrip()),
        ("estimate", f"@estimate{form}"),
        interval,
        ("particles", "@n"),
        ("clusters with particles", "@{n_occupied_clusters} of @{n_clusters}"),  # in braces: HoloViews takes @n for n
    ]


def _vertical_range(rows: pd.DataFrame) -> tuple[float, float]:
    known = rows[np.isfinite(rows["lower"]) & np.isfinite(rows["upper"])]
    shown = known if len(known) else rows
    if shown.empty:
        return 0.0, 1.0
    low, high = float(shown["estimate"].min()), float(shown["estimate"].max())
    room = (high - low) or abs(high) * 0.1 or 1.0
    lowest, highest = float(shown["lower"].fillna(low).min()), float(shown["upper"].fillna(high).max())
    return max(lowest, low - room) - 0.05 * room, min(highest, high + room) + 0.05 * room
