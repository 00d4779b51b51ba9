"""How much samples differ at each size: the CV across their means."""

from collections.abc import Sequence

import holoviews as hv
import numpy as np
import pandas as pd
import xarray as xr

from nanocensus.show.figures.sizes import binned_column
from nanocensus.show.figures.theme import (
    MARKERS,
    PALETTE,
    axis_label,
    height_beside_legend,
    plain_text,
    quantity_name,
    set_in_frame,
    unit_sign,
)

_SHARE_OF_BIN = 0.5
_MOST_OF_LARGEST = 2.0
"""The vertical axis ends here, as a multiple of the largest CV: longer intervals run out of the frame."""


def cv_across_samples(
    ds: xr.Dataset, *, descriptors: Sequence[str] | None = None, assumed: bool = False, title: str = ""
) -> hv.Overlay:
    """Draw the coefficient of variation across samples against size, with intervals, in percent.

    Filled markers: noise taken out, with the interval as a bar. Hollow squares: as it stands, noise and all, which is
    what is usually shown. Where the interval was refused there is the hollow square alone.

    Parameters
    ----------
    ds : xr.Dataset
        Of `statistics.cv_across_samples` by size bin and descriptor.
    descriptors : sequence of str, optional
        Which; all but the size if absent.
    assumed : bool
        Whether the user made the pixel size up.
    title : str
        Stands above the figure.
    """
    binned = binned_column(ds)
    shown = (
        [str(name) for name in ds["descriptor"].values if name != binned] if descriptors is None else list(descriptors)
    )
    offsets = (np.arange(len(shown)) - (len(shown) - 1) / 2) / max(1, len(shown)) * _SHARE_OF_BIN
    layers: list[hv.Element] = []
    largest = 0.0
    for place, (name, offset) in enumerate(zip(shown, offsets.tolist(), strict=True)):
        rows = _rows(ds.sel(descriptor=name), offset)
        layers += _layers(
            rows,
            quantity_name(name),
            PALETTE[place % len(PALETTE)],
            MARKERS[place % len(MARKERS)],
            unit_sign(binned, assumed=assumed),
        )
        largest = max(largest, float(rows[["naive", "estimate"]].max().max()) if len(rows) else 0.0)
    return set_in_frame(
        hv.Overlay(layers or [hv.Curve([])]),
        title=title,
        height=height_beside_legend(2 * len(shown)),
        xlabel=axis_label(binned, assumed=assumed),
        ylabel="CV across samples (%)",
        ylim=(0.0, _MOST_OF_LARGEST * largest or 1.0),
    )


def _rows(one: xr.Dataset, offset: float) -> pd.DataFrame:
    left, right = one["size_left"].values, one["size_right"].values
    columns = {name: 100 * one[name].values for name in ("naive", "estimate", "lower", "upper")}
    rows = pd.DataFrame(
        {"x": (left + right) / 2 + offset * (right - left), "size_left": left, "size_right": right, **columns,
         "n_samples": one["n_samples"].values, "refusal": one["refusal"].values, "left_out": one["left_out"].values}
    )  # fmt: skip
    for name in ("refusal", "left_out"):
        rows[name] = [plain_text(str(text), longest=None) or "–" for text in rows[name]]
    found: pd.DataFrame = rows[np.isfinite(rows["naive"]) & (rows["n_samples"] > 1)].reset_index(drop=True)
    return found


def _layers(rows: pd.DataFrame, label: str, colour: str, marker: str, unit: str) -> list[hv.Element]:
    known = rows[np.isfinite(rows["lower"]) & np.isfinite(rows["upper"])]
    bars = hv.ErrorBars(
        (known["x"], known["estimate"], known["estimate"] - known["lower"], known["upper"] - known["estimate"]),
        "x", ["estimate", "below", "above"], label=label,
    ).opts(backend="bokeh", color=colour, line_width=1.2, upper_head=None, lower_head=None)  # fmt: skip
    details = ["estimate", "lower", "upper", "naive", "size_left", "size_right", "n_samples", "left_out", "refusal"]
    common = {"backend": "bokeh", "line_color": colour, "tools": ["hover"]}
    filled = hv.Points(known, ["x", "estimate"], details[1:], label=label).opts(
        marker=marker, size=6, fill_color=colour, hover_tooltips=_tooltips(unit), **common
    )
    hollow = hv.Points(
        rows, ["x", "naive"], [name for name in details if name != "naive"], label=f"{label}, naive"
    ).opts(marker="square", size=5, fill_color="white", hover_tooltips=_tooltips(unit), **common)
    return [hollow, bars, filled] if len(known) else [hollow]  # a legend's entry needs a mark that is drawn


def _tooltips(unit: str) -> list[tuple[str, str]]:
    return [
        ("size", f"@size_left{{0.00}} to @size_right{{0.00}} {unit}".rstrip()),
        ("CV, noise taken out", "@estimate{0.000} %"),
        ("interval", "@lower{0.000} to @upper{0.000} %"),
        ("CV, naive", "@naive{0.000} %"),
        ("samples", "@n_samples"),
        ("left out", "@left_out"),
        ("refused", "@refusal"),
    ]
