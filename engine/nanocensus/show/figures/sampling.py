"""What more data would bring: the scatter of groups against their size, and curves of less data against those of all."""

import math
from collections.abc import Iterator, Mapping, Sequence

import holoviews as hv
import numpy as np
import pandas as pd
import xarray as xr

from nanocensus.show.figures.theme import (
    SampleStyle,
    height_beside_legend,
    plain_text,
    quantity_name,
    set_in_frame,
    unit_sign,
)
from nanocensus.show.figures.theme import sample_styles as styles_of
from nanocensus.show.numbers import count

_PERCENT = 100.0
_MARKER = 7
_ROOM = 1.3
"""Factor between the outermost markers and the frame."""


def group_scatter(
    ds: xr.Dataset,
    descriptor: str,
    *,
    only: Sequence[str] | None = None,
    styles: Mapping[str, SampleStyle] | None = None,
    title: str = "",
) -> hv.Overlay:
    """Draw the CV of group means against the number of particles in a group, with intervals and theory.

    Filled markers are groups of particles recorded one after the other, their theory a line; open markers are random
    groups, their theory a dashed line. Both axes are logarithmic: random groups fall with a slope of one half.

    Parameters
    ----------
    ds : xr.Dataset
        Of `sampling_study`.
    descriptor : str
        Which.
    only : sequence of str, optional
        Samples to draw; all if absent.
    styles : Mapping, optional
        Colour and marker of each sample (`theme.sample_styles`); by the order in `ds` if absent.
    title : str
        Stands above the figure.

    Raises
    ------
    KeyError
        If `ds` has no such descriptor or sample.
    """
    layers: list[hv.Element] = []
    for name, style, own in _samples(ds, descriptor, only, styles):
        for grouping in ("sequential", "random"):
            rows = _rows(own.sel(grouping=grouping), name)
            layers += _one_kind(rows, "group_size", "cv", style, f"{name}, {grouping}", solid=grouping == "sequential")
    return _log_frame(
        layers,
        title=title,
        xlabel="particles in a group",
        ylabel=f"CV of the groups’ mean {quantity_name(descriptor)} (%)",
    )


def data_size(
    ds: xr.Dataset,
    descriptor: str,
    *,
    only: Sequence[str] | None = None,
    styles: Mapping[str, SampleStyle] | None = None,
    assumed: bool = False,
    title: str = "",
) -> hv.Overlay:
    """Draw how far size-resolved curves of a part of the data lie from those of all, against its number of particles.

    Filled markers are whole micrographs, open ones particles drawn at random from all micrographs. The deviation is a
    root mean square over size bins, each with its share of the particles, and over replicates.

    Parameters
    ----------
    ds : xr.Dataset
        Of `data_size_study`.
    descriptor : str
        Which.
    only, styles, title
        As for `group_scatter`.
    assumed : bool
        Whether the user made the pixel size up.

    Raises
    ------
    KeyError
        If `ds` has no such descriptor or sample.
    """
    layers: list[hv.Element] = []
    for name, style, own in _samples(ds, descriptor, only, styles):
        for drawn, words in (("micrographs", "whole micrographs"), ("particles", "random particles")):
            one = own.sel(drawn=drawn)
            columns = {key: one[key].values for key in ("n_drawn", "rms_deviation_all", "micrographs_drawn")}
            rows = pd.DataFrame(columns | {"sample": plain_text(name, longest=None)}).dropna()
            layers += _one_kind(
                rows, "n_drawn", "rms_deviation_all", style, f"{name}, {words}", solid=drawn == "micrographs"
            )
    sign = unit_sign(descriptor, assumed=assumed)
    return _log_frame(
        layers,
        title=title,
        xlabel="particles in the part",
        ylabel=f"deviation of {quantity_name(descriptor)} by size{f' ({sign})' if sign else ''}",
    )


def _samples(
    ds: xr.Dataset, descriptor: str, only: Sequence[str] | None, styles: Mapping[str, SampleStyle] | None
) -> Iterator[tuple[str, SampleStyle, xr.Dataset]]:
    """Give name, style and numbers of each sample to draw."""
    names = [str(name) for name in ds["sample"].values]
    styles = styles or styles_of(names)
    for name in names if only is None else only:
        yield name, styles[name], ds.sel(descriptor=descriptor, sample=name)


def _rows(one: xr.Dataset, name: str) -> pd.DataFrame:
    """Give one row a size of groups that has a CV, in per cent."""
    columns = {key: one[key].values * _PERCENT for key in ("cv", "cv_lower", "cv_upper", "cv_theory")}
    rows = pd.DataFrame({"group_size": one["group_size"].values, **columns, "groups": one["n_groups"].values})
    found: pd.DataFrame = rows[np.isfinite(rows["cv"])].reset_index(drop=True)
    return found.assign(sample=plain_text(name, longest=None))


def _one_kind(rows: pd.DataFrame, x: str, y: str, style: SampleStyle, label: str, *, solid: bool) -> list[hv.Element]:
    """Give the layers of one sample and kind: theory or a joining line, intervals where there are any, and markers."""
    if rows.empty:
        return []
    label = plain_text(label, longest=None)
    line = hv.Curve(rows, x, "cv_theory" if "cv_theory" in rows else y, label=label).opts(
        backend="bokeh", color=style.colour, line_width=1.2, line_dash="solid" if solid else "dashed", alpha=0.7
    )
    layers = [line]
    if "cv_lower" in rows:
        reach = (rows[x], rows[y], rows[y] - rows["cv_lower"], rows["cv_upper"] - rows[y])
        layers.append(
            hv.ErrorBars(reach, x, [y, "below", "above"], label=label).opts(
                backend="bokeh", color=style.colour, line_width=1, upper_head=None, lower_head=None
            )
        )
    details = [column for column in rows.columns if column not in (x, y)]
    layers.append(
        hv.Points(rows, [x, y], details, label=label).opts(
            backend="bokeh", marker=style.marker, size=_MARKER, line_color=style.colour,
            fill_color=style.colour if solid else "white", tools=["hover"],
        )
    )  # fmt: skip
    return layers


def _log_frame(layers: list[hv.Element], *, title: str, xlabel: str, ylabel: str) -> hv.Overlay:
    """Set layers in a frame with logarithmic axes that hold all markers; long intervals run out of it."""
    if not layers:
        return set_in_frame(hv.Overlay([hv.Curve([])]), title=title, xlabel=xlabel, ylabel=ylabel)
    points = [layer for layer in layers if isinstance(layer, hv.Points)]
    x, y = (_log_range(np.concatenate([layer.dimension_values(axis) for layer in points])) for axis in (0, 1))
    return set_in_frame(
        hv.Overlay(layers),
        title=title,
        height=height_beside_legend(len({layer.label for layer in layers})),
        xlabel=xlabel,
        ylabel=ylabel,
        logx=True,
        logy=True,
        xlim=x,
        ylim=y,
        xticks=[(value, count(value)) for value in _round_values(*x)],
        yticks=[(value, f"{value:g}") for value in _round_values(*y)],
    )


def _log_range(values: np.ndarray) -> tuple[float, float]:
    positive = values[values > 0]
    return (float(positive.min()) / _ROOM, float(positive.max()) * _ROOM) if len(positive) else (1.0, 10.0)


def _round_values(low: float, high: float) -> list[float]:
    """Give 1, 2, 5, 10, ... between two values; where these are fewer than two, 1, 1.5, 2, 3, ..."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for steps in ((1, 2, 5), (1, 1.5, *range(2, 10))):
        found = [step * 10.0**decade for decade in decades for step in steps if low <= step * 10.0**decade <= high]
        if len(found) > 1:
            break
    return found
