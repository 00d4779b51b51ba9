"""How every figure looks: one colour and one marker a sample, axis labels with units, quiet frames."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import holoviews as hv
import holoviews.plotting.bokeh  # registers the backend that every figure is drawn with

from nanocensus.schema import PARTICLES
from nanocensus.show.numbers import statistic_words

PALETTE = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9",
    "#333333", "#882255", "#999933", "#332288", "#44AA99", "#AA6644",
)  # fmt: skip
"""Okabe and Ito's colours, then Tol's: told apart under the common colour-vision deficiencies."""
MARKERS = ("circle", "square", "triangle", "diamond", "inverted_triangle")
"""A second way to tell samples apart. 5 and 12 share no divisor, so 60 samples differ in at least one of both."""

ACCEPTED_COLOUR, REJECTED_COLOUR, TRUTH_COLOUR = "#4FC3F7", "#FF7A1A", "#FFF07A"
"""Light enough for the grey of a micrograph."""
INK, QUIET, HAIRLINE_DARK, HAIRLINE = "#222222", "#666666", "#BBBBBB", "#DDDDDD"
FONT = "Helvetica, Arial, sans-serif"
FONT_SIZES: Mapping[str, str] = {
    "labels": "10pt", "ticks": "9pt", "legend": "9pt", "title": "10pt", "legend_title": "9pt",
}  # fmt: skip
FIGURE_WIDTH, FIGURE_HEIGHT = 680, 340
"""Fits the width of a printed A4 page."""

_UNIT_SIGNS: Mapping[str, str] = {"nm2": "nm²", "1": ""}
_UNITS_OF_NAMES = ("nm2", "nm", "px", "rad")
_LENGTHS = ("nm", "nm2")
LONGEST_NAME = 28
_LEGEND_ROW = 24
_MOST_LAYERS = 1000
"""HoloViews hides the legend of more layers than this."""


@dataclass(frozen=True)
class SampleStyle:
    """How one sample is drawn and called wherever it appears."""

    colour: str
    marker: str
    label: str
    """Its name, shortened where it is long; no other sample's of the study."""


def sample_styles(samples: Sequence[str]) -> dict[str, SampleStyle]:
    """Give each sample its colour and marker, by its place in the sequence.

    Parameters
    ----------
    samples : sequence of str
        Names of all samples of a study, in its order. Figures of some of them get the styles of all of them.

    Examples
    --------
    >>> sample_styles(["Co0.2", "Co0.4"])["Co0.2"]
    SampleStyle(colour='#0072B2', marker='circle', label='Co0.2')
    """
    labels = short_names(samples)
    return {
        name: SampleStyle(PALETTE[i % len(PALETTE)], MARKERS[i % len(MARKERS)], labels[name])
        for i, name in enumerate(samples)
    }


def quantity_name(column: str) -> str:
    """Give the words for a column, without its unit.

    Examples
    --------
    >>> quantity_name("edge_length_nm")
    'edge length'
    """
    unit = _unit_of_name(column)
    return (column.removesuffix(f"_{unit}") if unit else column).replace("_", " ")


def unit_sign(column: str, *, assumed: bool = False) -> str:
    """Give the unit of a particle column as printed, with the word of warning when its scale is assumed.

    Parameters
    ----------
    column : str
        A column of `schema.PARTICLES`, or one of the user's own, whose name ends in its unit if it has one.
    assumed : bool
        Whether the user made the pixel size up.

    Examples
    --------
    >>> unit_sign("area_nm2", assumed=True), unit_sign("core_radius_nm")
    ('nm², assumed scale', 'nm')
    >>> unit_sign("circularity", assumed=True)
    ''
    """
    unit = PARTICLES[column].unit if column in PARTICLES else _unit_of_name(column)
    sign = _UNIT_SIGNS.get(unit, unit)
    return f"{sign}, assumed scale" if assumed and unit in _LENGTHS else sign


def axis_label(column: str, *, assumed: bool = False) -> str:
    """Give the label of an axis: the quantity and its unit.

    Examples
    --------
    >>> axis_label("edge_length_nm")
    'edge length (nm)'
    """
    sign = unit_sign(column, assumed=assumed)
    return f"{quantity_name(column)} ({sign})" if sign else quantity_name(column)


def statistic_label(statistic: str, column: str, *, assumed: bool = False) -> str:
    """Give the label of a statistic of a column: its words, the quantity and the unit, which a ratio to the mean has not.

    Examples
    --------
    >>> statistic_label("mean", "edge_length_nm"), statistic_label("cv", "edge_length_nm")
    ('mean edge length (nm)', 'coefficient of variation edge length')
    """
    label = quantity_name(column) if statistic == "cv" else axis_label(column, assumed=assumed)
    return f"{statistic_words(statistic)} {label}"


def _unit_of_name(column: str) -> str:
    """Give the unit that the name of a column ends in; nothing if it ends in none."""
    return next((unit for unit in _UNITS_OF_NAMES if column.endswith(f"_{unit}")), "")


def plain_text(text: str, *, longest: int | None = LONGEST_NAME) -> str:
    r"""Make a user's text safe as a label.

    BokehJS takes ``$$...$$``, ``\(...\)`` and ``\[...\]`` for formulas and would ask a server on the web for the
    code to set them: a character of no width keeps them text.

    Parameters
    ----------
    text : str
        A sample's or file's name.
    longest : int, optional
        Number of characters to keep to, by a cut in the middle: names of samples and files often differ at their ends
        alone. None cuts nothing.

    Examples
    --------
    >>> plain_text("Nanoparticles of the second batch, no. 12")
    'Nanoparticles …batch, no. 12'
    """
    for formula in ("$$", "\\(", "\\["):
        text = text.replace(formula, "\u200b".join(formula))
    if longest is None or len(text) <= longest:
        return text
    return f"{text[: longest // 2]}…{text[len(text) - (longest - 1) // 2 :]}"


def short_names(names: Sequence[str], *, longest: int = LONGEST_NAME) -> dict[str, str]:
    """Make names safe and short as `plain_text` does, and none like another.

    Those that are alike at both ends are cut round the place from which on they differ; what is alike even then is numbered.

    Parameters
    ----------
    names : sequence of str
        Different names.
    longest : int
        Number of characters to keep to, but for such a number.

    Examples
    --------
    >>> names = [f"cobalt oxide nanoparticles, {acid} acid, washed twice" for acid in ("oleic", "lauric")]
    >>> list(short_names(names).values())
    ['cobalt …oleic acid, …d twice', 'cobalt …lauric acid,…d twice']
    """
    labels = {name: plain_text(name, longest=longest) for name in names}
    for alike in _alike(labels):
        place, end = len(os.path.commonprefix(alike)), longest // 4  # noqa: RUF071  letters are what is compared
        for name in alike:
            middle = name[place : min(place + longest - 2 * end - 2, len(name) - end)]
            labels[name] = plain_text(f"{name[:end]}…{middle}…{name[-end:]}", longest=None)
    for alike in _alike(labels):
        labels |= {name: f"{labels[name]} ({number})" for number, name in enumerate(alike, start=1)}
    return labels


def _alike(labels: Mapping[str, str]) -> list[list[str]]:
    """Give the names that share a label."""
    of = {label: [name for name in labels if labels[name] == label] for label in labels.values()}
    return [names for names in of.values() if len(names) > 1]


def hover_format(decimals: int) -> str:
    """Give what Bokeh takes, behind the name of a column, for a number with so many decimals.

    Examples
    --------
    >>> hover_format(3), hover_format(0)
    ('{0.000}', '{0}')
    """
    return f"{{0.{'0' * decimals}}}" if decimals else "{0}"


def height_beside_legend(entries: int) -> int:
    """Give the height of a figure, px, whose legend of so many entries stands to its right."""
    return max(FIGURE_HEIGHT, _LEGEND_ROW * (entries + 2))


def set_in_frame(
    element: hv.Overlay,
    *,
    title: str = "",
    width: int | None = FIGURE_WIDTH,
    height: int | None = FIGURE_HEIGHT,
    legend: str | None = "right",
    grid: bool = True,
    hooks: Sequence[Callable[[Any, Any], None]] = (),
    **options: object,
) -> hv.Overlay:
    """Put an overlay into the frame that all figures share.

    Parameters
    ----------
    element : holoviews Overlay
        What is drawn.
    title : str
        Stands above it, in the size of the labels.
    width, height : int, optional
        Of the whole figure, px of the screen; None where the options give those of the frame instead.
    legend : str, optional
        Its position; None hides it.
    grid : bool
        Whether faint lines mark the values of the vertical axis.
    hooks : sequence of callables
        Called with the plot and the element when it is drawn, after the frame is styled.
    **options
        Other options of a HoloViews overlay.
    """
    frame: dict[str, object] = {
        "title": title,
        "width": width,
        "height": height,
        "show_legend": legend is not None,
        "legend_limit": _MOST_LAYERS,
        "fontsize": FONT_SIZES,
        "toolbar": "above",
        "default_tools": ["box_zoom", "reset", "save"],
        "hooks": [_quieten, *([_faint_grid] if grid else []), *hooks],
    }
    if legend is not None:
        frame["legend_position"] = legend
    return element.opts(backend="bokeh", **(frame | options))


def _quieten(plot: Any, element: Any) -> None:  # noqa: ANN401  the signature of a HoloViews hook
    figure = plot.state
    figure.toolbar.autohide = True
    figure.toolbar.logo = None
    figure.outline_line_color = None
    figure.background_fill_color = figure.border_fill_color = "white"
    figure.min_border = 4
    figure.title.text_font = FONT
    figure.title.text_font_style, figure.title.text_color = "bold", INK
    for axis in figure.axis:
        axis.axis_label_text_font = axis.major_label_text_font = FONT
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_color = axis.major_label_text_color = INK
        axis.axis_line_color = axis.major_tick_line_color = QUIET
        axis.minor_tick_line_color = None
        axis.major_tick_in = 0
    for grid in figure.grid:
        grid.grid_line_color = None
    for legend in figure.legend:
        legend.label_text_font, legend.label_text_color = FONT, INK
        legend.border_line_color = None
        legend.background_fill_alpha = 0.0
        legend.spacing, legend.padding, legend.margin = (4, 0, 12) if legend.orientation == "vertical" else (16, 0, 4)
        if legend.orientation == "vertical":
            legend.location = "top_left"


def _faint_grid(plot: Any, element: Any) -> None:  # noqa: ANN401  the signature of a HoloViews hook
    for grid in plot.state.grid:
        grid.grid_line_color = HAIRLINE if grid.dimension == 1 else None
