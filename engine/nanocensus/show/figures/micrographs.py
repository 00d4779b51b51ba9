"""A micrograph with the outlines of what was found on it, small enough to travel in a report."""

import base64
import io
import math
from collections.abc import Callable, Sequence
from typing import Any

import holoviews as hv
import numpy as np
from bokeh.models.annotations import ScaleBar
from bokeh.models.annotations.dimensional import Metric
from jaxtyping import Float64, Num, UInt8
from PIL import Image

from nanocensus.errors import InputError
from nanocensus.show.figures.theme import (
    ACCEPTED_COLOUR,
    FONT,
    INK,
    REJECTED_COLOUR,
    TRUTH_COLOUR,
    plain_text,
    set_in_frame,
)

LARGEST_SIDE_PX = 768
"""Side of the embedded picture: a micrograph of 4096 px would be sixteen megabytes."""
JPEG_QUALITIES = (75, 60, 45, 30)
"""The first that keeps to the largest size is taken: noise does not pack."""
LARGEST_JPEG_BYTES = 130_000
_STRETCH_PERCENTILES = (0.5, 99.5)
_STRETCH_SAMPLES_PER_SIDE = 1024
_SPACING_PX = 2.0
"""Distance along an outline, in pixels of the embedded picture, between the points that are drawn: on a circle of
radius 10 the chord lies 0.05 pixels inside."""
_STEP_PX = 1 / 8
"""Drawn coordinates are rounded to a power of two below this share of such a pixel, which packs into half the bytes."""
_FEWEST_POINTS = 8
_STRIP_COLOUR = "#4A4A4A"

Outline = Float64[np.ndarray, "_ 2"]


def micrograph(
    pixels: Num[np.ndarray, "y x"],
    *,
    pixel_size_nm: float,
    accepted: Sequence[Outline] = (),
    rejected: Sequence[Outline] = (),
    reasons: Sequence[str] = (),
    truth: Sequence[Outline] | None = None,
    title: str = "",
    assumed: bool = False,
    width: int = 480,
    words: tuple[str, str] = ("accepted", "rejected"),
    scale_bar: bool = True,
) -> hv.Overlay:
    """Draw a micrograph, the outlines of its particles, and a scale bar.

    The picture is stretched between the percentiles 0.5 and 99.5, made at most 768 px wide and high, and embedded as
    JPEG; outlines are thinned to a point every 2 of its pixels. Measurements never see either.

    Parameters
    ----------
    pixels : (y, x) array
        As recorded.
    pixel_size_nm : float
        Side of a pixel, nm.
    accepted, rejected : sequence of (k, 2) float64 arrays
        Outlines as (y, x) in pixels, pixel centres at integers.
    reasons : sequence of str
        Why each of `rejected` is; shown when the pointer is on it.
    truth : sequence of (k, 2) float64 arrays, optional
        Outlines of the true particles.
    title : str
        Stands above the picture.
    assumed : bool
        Whether the user made the pixel size up; the scale bar then says so.
    width : int
        Of the picture on the screen, px.
    words : (str, str)
        What the legend calls the accepted and the rejected ones.
    scale_bar : bool
        Whether the pixel size is one, and a bar of that scale is drawn.

    Raises
    ------
    InputError
        If there is not one reason a rejected outline.

    Examples
    --------
    >>> square = np.array([[1.0, 1.0], [1.0, 5.0], [5.0, 5.0], [5.0, 1.0]])
    >>> figure = micrograph(np.eye(8), pixel_size_nm=0.5, accepted=[square])
    >>> [element.label for element in figure]
    ['accepted (1)', 'rejected (0)']
    """
    if len(reasons) != len(rejected):
        raise InputError(
            "micrograph figure",
            expected=f"one reason a rejected outline ({len(rejected)})",
            got=f"{len(reasons)} reasons",
            remedy="Give reasons in the order of the rejected outlines.",
        )
    high, wide = pixels.shape
    shrink = max(1.0, max(high, wide) / LARGEST_SIDE_PX)
    to_scale = _Thinning(shown_pixel=shrink, pixel_size_nm=pixel_size_nm)
    layers = [
        _line_layer(to_scale.chained(accepted), f"{words[0]} ({len(accepted)})", ACCEPTED_COLOUR, "solid", 1.5),
        # Polygons get no entry in a legend: this line without points is it.
        _line_layer(to_scale.chained([]), f"{words[1]} ({len(rejected)})", REJECTED_COLOUR, "solid", 1.5),
    ]
    if rejected:
        layers.append(_reasons_layer(to_scale, rejected, reasons, words[1]))
    if truth is not None:
        layers.append(_line_layer(to_scale.chained(truth), f"truth ({len(truth)})", TRUTH_COLOUR, "dashed", 1.0))
    extent_x_nm, extent_y_nm = wide * pixel_size_nm, high * pixel_size_nm
    return set_in_frame(
        hv.Overlay(layers),
        title=plain_text(title, longest=64),
        legend="bottom",
        grid=False,
        hooks=[
            _legend_strip,
            _picture_behind(embedded_picture(pixels), extent_x_nm, extent_y_nm),
            *([_scale_bar(assumed=assumed)] if scale_bar else []),
        ],
        width=None,
        height=None,
        frame_width=width,
        frame_height=max(1, round(width * high / wide)),
        xlim=(0.0, extent_x_nm),
        ylim=(0.0, extent_y_nm),
        invert_yaxis=True,
        xaxis=None,
        yaxis=None,
    )


class _Thinning:
    """Turns outlines in pixels into lines in nm with no more points than the picture can show."""

    def __init__(self, *, shown_pixel: float, pixel_size_nm: float) -> None:
        self.spacing_px, self.pixel_size_nm = _SPACING_PX * shown_pixel, pixel_size_nm
        self.step_nm = 2.0 ** math.floor(math.log2(_STEP_PX * shown_pixel * pixel_size_nm))

    def thinned(self, outline: Outline) -> tuple[np.ndarray, np.ndarray]:
        """Give x and y of a closed line, nm from the upper left corner, float32."""
        closed = np.concatenate([outline, outline[:1]])
        along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
        kept = np.searchsorted(along, np.arange(0.0, along[-1], self.spacing_px))
        if len(kept) < _FEWEST_POINTS:
            kept = np.arange(len(closed) - 1)
        points_nm = (closed[np.append(np.unique(kept), len(closed) - 1)] + 0.5) * self.pixel_size_nm
        y, x = (np.round(points_nm / self.step_nm) * self.step_nm).astype(np.float32).T
        return x, y

    def chained(self, outlines: Sequence[Outline]) -> tuple[np.ndarray, np.ndarray]:
        """Give all outlines as one line with gaps (NaN): a fifth of the bytes of one line each."""
        gap = np.array([np.nan], np.float32)
        lines = [self.thinned(outline) for outline in outlines]
        xs = [part for x, _ in lines for part in (x, gap)]
        ys = [part for _, y in lines for part in (y, gap)]
        return np.concatenate([gap, *xs]), np.concatenate([gap, *ys])


def _line_layer(line: tuple[np.ndarray, np.ndarray], label: str, colour: str, dash: str, width: float) -> hv.Curve:
    curve = hv.Curve(line, "x (nm)", "y (nm)", label=label)
    return curve.opts(backend="bokeh", color=colour, line_dash=dash, line_width=width)


def _reasons_layer(to_scale: _Thinning, rejected: Sequence[Outline], reasons: Sequence[str], word: str) -> hv.Polygons:
    lines = [to_scale.thinned(outline) for outline in rejected]
    shapes = [
        {"x (nm)": x, "y (nm)": y, "reason": plain_text(reason, longest=None)}
        for (x, y), reason in zip(lines, reasons, strict=True)
    ]
    polygons = hv.Polygons(shapes, ["x (nm)", "y (nm)"], "reason")
    return polygons.opts(
        backend="bokeh",
        color=REJECTED_COLOUR,  # or HoloViews would colour by reason, which nothing explains
        fill_color=REJECTED_COLOUR,
        fill_alpha=0.12,
        line_color=REJECTED_COLOUR,
        line_width=1.5,
        hover_fill_alpha=0.4,
        tools=["hover"],
        hover_tooltips=[(word, "@reason")],
        show_legend=False,
    )


def embedded_picture(pixels: Num[np.ndarray, "y x"], *, largest_side_px: int = LARGEST_SIDE_PX) -> str:
    """Give a micrograph, or a part of one, as a small grey JPEG in a data URI.

    Parameters
    ----------
    pixels : (y, x) array
        As recorded.
    largest_side_px : int
        It is made no wider and no higher than this.
    """
    picture = Image.fromarray(_stretched(pixels), mode="L")
    picture.thumbnail((largest_side_px, largest_side_px), Image.Resampling.BOX, reducing_gap=None)
    for quality in JPEG_QUALITIES:
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=quality, optimize=True)
        if stream.tell() <= LARGEST_JPEG_BYTES:
            break
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _stretched(pixels: Num[np.ndarray, "y x"]) -> UInt8[np.ndarray, "y x"]:
    step = max(1, max(pixels.shape) // _STRETCH_SAMPLES_PER_SIDE)
    sparse = pixels[::step, ::step]
    finite = sparse[np.isfinite(sparse)]
    low, high = np.percentile(finite, _STRETCH_PERCENTILES) if finite.size else (0.0, 1.0)
    unit = (pixels.astype(np.float32) - np.float32(low)) / np.float32(high - low if high > low else 1.0)
    return np.asarray((np.clip(np.nan_to_num(unit), 0.0, 1.0) * 255).round(), np.uint8)


def _picture_behind(uri: str, extent_x_nm: float, extent_y_nm: float) -> Callable[[Any, Any], None]:
    # HoloViews has no element for an encoded picture, and its Image and RGB embed every pixel raw.
    def hook(plot: Any, element: Any) -> None:  # noqa: ANN401  the signature of a HoloViews hook
        if not plot.state.select(name="micrograph"):
            plot.state.image_url(
                url=[uri], x=0, y=0, w=extent_x_nm, h=extent_y_nm, anchor="top_left", level="image", name="micrograph"
            )

    return hook


def _scale_bar(*, assumed: bool) -> Callable[[Any, Any], None]:
    def hook(plot: Any, element: Any) -> None:  # noqa: ANN401  the signature of a HoloViews hook
        if plot.state.select(type=ScaleBar):
            return
        bar = ScaleBar(
            range=plot.state.x_range,
            dimensional=Metric(base_unit="m"),
            unit="nm",
            location="bottom_left",
            label="@{value} @{unit} (assumed scale)" if assumed else "@{value} @{unit}",
            label_text_font=FONT,
            label_text_color=INK,
            background_fill_alpha=0.75,
            border_line_color=None,
        )
        plot.state.add_layout(bar)

    return hook


def _legend_strip(plot: Any, element: Any) -> None:  # noqa: ANN401  the signature of a HoloViews hook
    # The colours are chosen for the grey of micrographs: on the white of the page the light ones would not be seen.
    for legend in plot.state.legend:
        legend.background_fill_color, legend.background_fill_alpha = _STRIP_COLOUR, 1.0
        legend.label_text_color = "white"
        legend.padding, legend.spacing, legend.margin = 6, 16, 0
