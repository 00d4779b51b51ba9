"""How a descriptor is distributed in each sample: histograms, and violins side by side."""

import math
from collections.abc import Mapping, Sequence

import holoviews as hv
import numpy as np
import xarray as xr

from nanocensus.show.figures.theme import (
    FIGURE_HEIGHT,
    FIGURE_WIDTH,
    INK,
    LONGEST_NAME,
    SampleStyle,
    axis_label,
    height_beside_legend,
    hover_format,
    plain_text,
    quantity_name,
    set_in_frame,
    short_names,
)
from nanocensus.show.figures.theme import sample_styles as styles_of
from nanocensus.show.numbers import decimals_of_column

SUMMARIES = ("mean", "median", "mode", "lower_quartile", "upper_quartile", "range_lower", "range_upper")
"""What a violin marks; the range holds 95 % of the particles."""
_FEWEST_BARS_ACROSS_RANGE, _MOST_BARS_ACROSS_RANGE = 6, 30
_POINTS_OF_VIOLIN = 128
_POINTS_OF_FIT = 200
_HALF_WIDTH = 0.4
_MOST_UPRIGHT_NAMES, _LONGEST_UPRIGHT_NAME = 6, 14
_ROTATION = 40
_PX_OF_A_LETTER, _PX_BESIDE_FRAME = 6.2, 40
_FAINTEST = 2e-3
"""Share of a violin's largest density below which its tail is a line that tells nothing."""


def histogram(
    density_ds: xr.Dataset,
    column: str,
    *,
    fit: xr.Dataset | None = None,
    styles: Mapping[str, SampleStyle] | None = None,
    assumed: bool = False,
    title: str = "",
) -> hv.Overlay:
    """Draw the histogram of a column, one outline a sample: the share of its particles in each bar.

    Parameters
    ----------
    density_ds : xr.Dataset
        Of `statistics.distributions.density.densities`: `weight` along sample and x, with the ends `x_left`, `x_right` of its cells,
        which are joined to 6 to 30 bars over the range of 95 % of the particles, more for more particles.
    column : str
        Its column.
    fit : xr.Dataset, optional
        Of `statistics.distributions.size_distribution`: its log-normal distributions by number are drawn as dashed lines.
    styles : Mapping, optional
        Colour of each sample (`theme.sample_styles`); by the order in `density_ds` if absent.
    assumed : bool
        Whether the user made the pixel size up.
    title : str
        Stands above the figure.
    """
    styles = styles or styles_of([str(sample) for sample in density_ds["sample"].values])
    bars = _bars(density_ds)
    drawn = [name for name in styles if name in bars["sample"].values and bars["weight"].sel(sample=name).sum() > 0]
    layers = []
    for name in drawn:
        weight = bars["weight"].sel(sample=name).values.astype(float)
        share = weight / weight.sum()
        layers.append(_steps(bars["x_left"].values, bars["x_right"].values, share, styles[name], len(drawn) == 1))
        if fit is not None and name in fit["sample"].values:
            layers.append(_log_normal(bars, fit.sel(sample=name, weighting="number"), styles[name]))
    return set_in_frame(
        hv.Overlay(layers or [hv.Curve([])]),
        title=title,
        height=height_beside_legend(len(drawn)),
        xlabel=axis_label(column, assumed=assumed),
        ylabel="share of particles",
        ylim=(0.0, None),
    )


def _bars(ds: xr.Dataset) -> xr.Dataset:
    # A bar of one particle tells nothing: few particles get few bars (the square root of their number).
    largest = int(ds["n"].max()) if ds.sizes["sample"] else 0
    n_bars = min(_MOST_BARS_ACROSS_RANGE, max(_FEWEST_BARS_ACROSS_RANGE, math.isqrt(largest)))
    width = float((ds["range_upper"].max() - ds["range_lower"].min()) / n_bars)
    cell = float((ds["x_right"] - ds["x_left"]).mean())
    joined = max(1, round(width / cell)) if np.isfinite(width) else 1
    coarse = ds[["weight"]].reset_coords(drop=True).coarsen(x=joined, boundary="pad").sum()
    n_bars, ends = coarse.sizes["x"], np.append(ds["x_left"].values, ds["x_right"].values[-1])
    edges = ends[0] + (ends[-1] - ends[0]) / (len(ends) - 1) * joined * np.arange(n_bars + 1)
    return coarse.assign_coords(x_left=("x", edges[:-1]), x_right=("x", edges[1:]))


def _steps(left: np.ndarray, right: np.ndarray, height: np.ndarray, style: SampleStyle, filled: bool) -> hv.Element:
    used = np.flatnonzero(height > 0)
    inside = slice(used[0], used[-1] + 1) if used.size else slice(0, 0)
    left, right, height = left[inside], right[inside], height[inside]
    x = np.concatenate([left[:1], np.column_stack([left, right]).ravel(), right[-1:]])
    y = np.concatenate([np.zeros(len(left[:1])), np.repeat(height, 2), np.zeros(len(right[-1:]))])
    if filled:
        return hv.Area((x, y), "value", "share", label=style.label).opts(
            backend="bokeh", fill_color=style.colour, fill_alpha=0.25, line_color=style.colour, line_width=1.5
        )
    return hv.Curve((x, y), "value", "share", label=style.label).opts(
        backend="bokeh", color=style.colour, line_width=1.6
    )


def _log_normal(bars: xr.Dataset, fit: xr.Dataset, style: SampleStyle) -> hv.Curve:
    """Draw the share of a log-normal distribution in a bar round each place."""
    centre, spread = (float(np.log(fit["estimate"].sel(statistic=name))) for name in ("geometric_mean", "gsd"))
    left, right = float(bars["x_left"][0]), float(bars["x_right"][-1])
    x = np.linspace(max(left, 0.0), right, _POINTS_OF_FIT + 1)[1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.exp(-0.5 * ((np.log(x) - centre) / spread) ** 2) / (x * spread * math.sqrt(2 * math.pi))
    width = float((bars["x_right"] - bars["x_left"]).mean())
    return hv.Curve((x, share * width), "value", "share").opts(
        backend="bokeh", color=style.colour, line_width=1.2, line_dash="dashed", show_legend=False
    )


def violins(
    density_ds: xr.Dataset,
    column: str,
    *,
    styles: Mapping[str, SampleStyle] | None = None,
    assumed: bool = False,
    title: str = "",
) -> hv.Overlay:
    """Draw the smoothed density of a column for each sample, side by side, all of the same width.

    Star: mean. Circle: median. Short line: mode (highest point of the density). Thick bar: the middle half of the
    particles. Thin line: 2.5 % to 97.5 % of the particles; a range of the data, not an interval of the mean.

    Parameters
    ----------
    density_ds : xr.Dataset
        Of `statistics.distributions.density.densities`: `density` along sample and x, `n` and the `SUMMARIES` along sample.
    column : str
        Its column.
    styles : Mapping, optional
        Colour of each sample; by the order in `density_ds` if absent.
    assumed : bool
        Whether the user made the pixel size up.
    title : str
        Stands above the figure.
    """
    styles = styles or styles_of([str(sample) for sample in density_ds["sample"].values])
    samples = list(styles)
    places = {name: float(i) for i, name in enumerate(samples)}
    drawn = [name for name in samples if name in density_ds["sample"].values and density_ds["n"].sel(sample=name) > 0]
    layers: list[hv.Element] = [_body(density_ds, name, places[name], styles[name]) for name in drawn]
    layers += _marks(density_ds, column, drawn, [places[name] for name in drawn], [styles[name] for name in drawn])
    upright = len(samples) <= _MOST_UPRIGHT_NAMES and max(map(len, samples), default=0) <= _LONGEST_UPRIGHT_NAME
    names = short_names(samples, longest=_room_for_names(len(samples))).values()
    return set_in_frame(
        hv.Overlay(layers or [hv.Curve([])]),
        title=title,
        height=FIGURE_HEIGHT + 60,
        legend="bottom",
        xlabel="",
        ylabel=axis_label(column, assumed=assumed),
        xticks=[(place, label) for place, label in zip(places.values(), names, strict=True)],
        xrotation=0 if upright else _ROTATION,
        xlim=(-0.6, max(1, len(samples)) - 0.4),
    )


def _room_for_names(samples: int) -> int:
    """Give the letters that a turned name may have without running out of the figure to the left of the first violin."""
    room = _PX_BESIDE_FRAME + 0.6 / (samples + 0.2) * (FIGURE_WIDTH - _PX_BESIDE_FRAME)
    return min(LONGEST_NAME, int(room / (_PX_OF_A_LETTER * math.cos(math.radians(_ROTATION)))))


def _body(ds: xr.Dataset, name: str, place: float, style: SampleStyle) -> hv.Polygons:
    height = ds["density"].sel(sample=name).values
    value = ds["x"].values
    seen = np.isfinite(height) & (height > _FAINTEST * np.nanmax(height))
    step = max(1, seen.sum() // _POINTS_OF_VIOLIN)
    height, value = height[seen][::step], value[seen][::step]
    half = _HALF_WIDTH * height / height.max()
    outline = {
        "place": np.concatenate([place - half, place + half[::-1]]),
        "value": np.concatenate([value, value[::-1]]),
    }
    outline = {key: points.astype(np.float32) for key, points in outline.items()}
    return hv.Polygons([outline], ["place", "value"]).opts(
        backend="bokeh", fill_color=style.colour, fill_alpha=0.3, line_color=style.colour, line_width=1,
        show_legend=False,
    )  # fmt: skip


def _mode_words(ds: xr.Dataset, decimals: int) -> list[str]:
    """Write each sample's interval of the mode, where `ds` has them."""
    if "mode_lower" not in ds:
        return [""] * ds.sizes["sample"]
    parts = (ds[name].values for name in ("mode_lower", "mode_upper", "mode_refusal"))
    return [f"(refused: {refusal})" if refusal else f"[{low:.{decimals}f}, {high:.{decimals}f}]"
            for low, high, refusal in zip(*parts, strict=True)]  # fmt: skip


def _marks(
    ds: xr.Dataset, column: str, names: Sequence[str], places: Sequence[float], styles: Sequence[SampleStyle]
) -> list[hv.Element]:
    if not names:
        return []
    chosen = ds.sel(sample=list(names))
    of = {summary: chosen[summary].values.astype(float) for summary in SUMMARIES}
    x = np.asarray(places)
    labels = [plain_text(name, longest=None) for name in names]
    colours = [style.colour for style in styles]
    details = {summary: of[summary] for summary in SUMMARIES} | {"sample": labels, "n": chosen["n"].values}
    decimals = decimals_of_column(of["median"])
    details["mode_interval"] = _mode_words(chosen, decimals)
    table = {"place": x, "value": of["median"], **details, "colour": colours}
    form = hover_format(decimals)
    tooltips = [
        ("sample", "@sample"),
        ("particles", "@n"),
        (f"mean {quantity_name(column)}", f"@mean{form}"),
        ("median", f"@median{form}"),
        ("mode", f"@{{mode}}{form} @{{mode_interval}}"),  # in braces: HoloViews takes @mode for mode
        ("25–75 %", f"@lower_quartile{form} – @upper_quartile{form}"),
        ("2.5–97.5 %", f"@range_lower{form} – @range_upper{form}"),
    ]
    line = {"backend": "bokeh", "color": INK}
    return [
        hv.Segments((x, of["range_lower"], x, of["range_upper"]), label="2.5–97.5 % of particles").opts(line_width=1, **line),
        hv.Segments((x, of["lower_quartile"], x, of["upper_quartile"]), label="25–75 % of particles").opts(line_width=6, alpha=0.55, **line),
        hv.Segments((x - 0.14, of["mode"], x + 0.14, of["mode"]), label="mode").opts(line_width=2, **line),
        hv.Points(table, ["place", "value"], [*details, "colour"], label="median").opts(
            backend="bokeh", marker="circle", size=12, color="colour", line_color="white", tools=["hover"],
            hover_tooltips=tooltips,
        ),
        hv.Points((x, of["mean"]), label="mean").opts(
            backend="bokeh", marker="star", size=9, color="white", line_color=INK
        ),
    ]  # fmt: skip
