"""Mean outlines by sample and size, side by side: the mean with its band, and all outlines that it is the mean of."""

import base64
import io
from collections.abc import Callable, Sequence
from typing import Any

import holoviews as hv
import numpy as np
import xarray as xr
from jaxtyping import Float64, Int64
from PIL import Image

from nanocensus.show.figures.sizes import binned_column
from nanocensus.show.figures.theme import FIGURE_WIDTH, INK, PALETTE, QUIET, axis_label, set_in_frame, short_names

MOST_BINS = 6
_MOST_WIDE_PX, _SIDE_MARGIN_PX = 130, 120
_GREY = 110
"""What is taken from white where most outlines pass: dark enough to be seen, light enough for lines over it."""
_ROOT = 0.5
"""Power of the counts that is shown: single outlines beside the many stay visible."""
_DIAGONAL = np.pi / 4
"""Corners are drawn on the diagonals."""
_PAPER_COLOUR, _NULL_COLOUR = PALETTE[1], QUIET


def mean_shapes(
    ds: xr.Dataset,
    *,
    samples: Sequence[str] | None = None,
    bins: Sequence[int] | None = None,
    density: bool = True,
    assumed: bool = False,
    title: str = "",
) -> hv.Overlay:
    """Draw mean outlines, a row a sample and a column a size bin, all at the same mean radius.

    Black with a band: the mean, what alignment adds taken off, and where it lies as a whole. Grey and dashed: the mean of
    aligned outlines where it is not told from what alignment makes of roughness. Orange and dotted: the paper's running mean.
    Behind them how many outlines pass through each place. Panels without enough particles are empty.

    Parameters
    ----------
    ds : xr.Dataset
        Of `nc.mean_shapes`.
    samples : sequence of str, optional
        Which, from the top; all if absent.
    bins : sequence of int, optional
        Places of the size bins along their dimension; at most six of those with a mean, evenly spread, if absent.
    density : bool
        Whether all outlines are shown behind.
    assumed : bool
        Whether the user made the pixel size up.
    title : str
        Stands above the figure.
    """
    names = [str(name) for name in (ds["sample"].values if samples is None else samples)]
    shown = ds.sel(sample=names).isel(size_bin=list(spread_bins(ds) if bins is None else bins))
    rows, columns = len(names), shown.sizes["size_bin"]
    pitch = float(np.ptp(shown["x"].values)) * shown.sizes["x"] / (shown.sizes["x"] - 1)  # the side of a density
    lines: dict[str, list[np.ndarray]] = {"mean": [], "unclear": [], "paper": []}
    bands = []
    for row in range(rows):
        for column in range(columns):
            panel, place = shown.isel(sample=row, size_bin=column), (column * pitch, -row * pitch)
            told = not np.isnan(panel["radius"].values).any()
            lines["mean" if told else "unclear"].append(_closed(panel["radius" if told else "aligned"].values, place))
            lines["paper"].append(_closed_whole(panel["running_mean"].values, place))
            if told:
                edges = [_closed(panel[f"band_{end}"].values, place) for end in ("upper", "lower")]
                bands.append(np.concatenate([edges[0], edges[1][::-1]]))
    layers = [
        hv.Polygons([{"x": band[:, 0], "y": band[:, 1]} for band in bands], ["x", "y"]).opts(
            backend="bokeh", fill_color=PALETTE[0], fill_alpha=0.35, line_width=0, show_legend=False
        ),
        _lines(lines["unclear"], "not told from roughness", _NULL_COLOUR, "dashed", 1.2),
        _lines(lines["paper"], "running mean of the paper", _PAPER_COLOUR, "dotted", 1.2),
        _lines(lines["mean"], "mean outline", INK, "solid", 1.4),
    ]
    left, top = -pitch / 2, pitch / 2
    wide, high = max(columns, 1) * pitch, max(rows, 1) * pitch
    side = min(_MOST_WIDE_PX, (FIGURE_WIDTH - _SIDE_MARGIN_PX) / max(columns, 1))
    hooks = [_picture_behind(_mosaic(shown["density"].values), left, top, wide, high)] if density and columns else []
    return set_in_frame(
        hv.Overlay(layers),
        title=title,
        legend="bottom",
        grid=False,
        hooks=hooks,
        width=None,
        height=None,
        frame_width=round(side * max(columns, 1)),
        frame_height=round(side * max(rows, 1)),
        xlim=(left, left + wide),
        ylim=(top - high, top),
        xlabel=axis_label(binned_column(ds), assumed=assumed),
        ylabel="",
        xticks=[
            (column * pitch, f"{float(panel['size_left']):.4g}–{float(panel['size_right']):.4g}")
            for column, panel in enumerate(shown.isel(size_bin=place) for place in range(columns))
        ],
        yticks=[(-row * pitch, label) for row, label in enumerate(short_names(names).values())],
    )


def spread_bins(ds: xr.Dataset, most: int = MOST_BINS) -> Sequence[int]:
    """Choose size bins, evenly spread from the first to the last in which a sample has a mean outline (or any, if none has).

    Examples
    --------
    >>> aligned, n = np.where(np.arange(9)[None, :, None] > 1, 1.0, np.nan), np.ones((1, 9))
    >>> ds = xr.Dataset({"aligned": (("sample", "size_bin", "angle"), aligned), "n": (("sample", "size_bin"), n)})
    >>> spread_bins(ds, 3), spread_bins(ds.assign(aligned=ds["aligned"] * np.nan), 3)
    ([2, 5, 8], [0, 4, 8])
    """
    known = np.flatnonzero(np.isfinite(ds["aligned"].values).all(axis=2).any(axis=0))
    known = known if len(known) else np.flatnonzero((ds["n"].values > 0).any(axis=0))
    places = np.linspace(0, len(known) - 1, min(most, len(known))).round().astype(int)
    return [int(known[place]) for place in np.unique(places)]


def _closed(half: Float64[np.ndarray, " angle"], place: tuple[float, float]) -> Float64[np.ndarray, "point 2"]:
    """Give the closed line of an outline from its radii between a corner and the middle of a face."""
    return _closed_whole(np.tile(np.concatenate([half, half[-2:0:-1]]), 4), place)


def _closed_whole(radii: Float64[np.ndarray, " ray"], place: tuple[float, float]) -> Float64[np.ndarray, "point 2"]:
    closed = np.append(radii, radii[:1])
    angle = _DIAGONAL + 2.0 * np.pi * np.arange(len(closed)) / len(radii)
    return np.stack([place[0] + closed * np.cos(angle), place[1] + closed * np.sin(angle)], axis=1)


def _lines(lines: Sequence[np.ndarray], label: str, colour: str, dash: str, width: float) -> hv.Curve:
    """Draw closed lines as one with gaps."""
    gap = np.full((1, 2), np.nan)
    points = np.concatenate([gap, *(part for line in lines for part in (line, gap))]).astype(np.float32)
    curve = hv.Curve((points[:, 0], points[:, 1]), "x", "y", label=label)
    return curve.opts(backend="bokeh", color=colour, line_dash=dash, line_width=width)


def _mosaic(density: Int64[np.ndarray, "sample bin y x"]) -> str:
    """Lay the densities of all panels side by side in one grey picture, each as dark as its own largest count."""
    samples, bins, side, _ = density.shape
    most = np.maximum(density.max(axis=(2, 3), keepdims=True), 1)
    grey = 255 - np.rint(_GREY * (density / most) ** _ROOT)
    # Counts have y upwards, pictures downwards.
    tiles = grey[:, :, ::-1].transpose(0, 2, 1, 3).reshape(samples * side, bins * side)
    stream = io.BytesIO()
    Image.fromarray(tiles.astype(np.uint8), mode="L").save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _picture_behind(uri: str, left: float, top: float, wide: float, high: float) -> Callable[[Any, Any], None]:
    # HoloViews has no element for an encoded picture, and its Image embeds every square raw.
    def hook(plot: Any, element: Any) -> None:  # noqa: ANN401  the signature of a HoloViews hook
        if not plot.state.select(name="density"):
            plot.state.image_url(
                url=[uri], x=left, y=top, w=wide, h=high, anchor="top_left", level="image", name="density"
            )

    return hook
