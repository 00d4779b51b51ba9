"""The report: one HTML file that a microscopist sends to a colleague, who needs nothing else to read it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files

import holoviews as hv
import jinja2
from markupsafe import Markup

from nanocensus.show import figures, report_tables, report_words
from nanocensus.show.content import ReportContent
from nanocensus.show.embedding import content_security_policy, figure_json, viewer_script
from nanocensus.show.size_figures import SIZE_COLUMN
from nanocensus.show.theme import SampleStyle, quantity_name, sample_styles

_TEMPLATES = files("nanocensus.show") / "templates"
_PICTURE_WIDTH = 456
_SAMPLES_PER_PANEL = 4
"""Samples whose intervals can be told apart in one figure by size."""


@dataclass(frozen=True)
class _Figure:
    """A figure in its place in the page."""

    target: str
    json: Markup
    caption: str
    description: str
    """For those who do not see it."""


def render_report(content: ReportContent) -> str:
    """Write the report as one HTML file.

    The page asks nobody for anything: its Content-Security-Policy allows the two scripts it carries, by their digests,
    and pictures inside the page; a browser refuses all else. Equal contents give equal bytes.

    Parameters
    ----------
    content : ReportContent
        What it says.

    Returns
    -------
    str
        The text of the file, to be written as UTF-8.

    Examples
    --------
    >>> render_report(ReportContent("Nothing yet", samples=["Co0.2"]))[:15]
    '<!doctype html>'
    """
    styles = sample_styles(content.samples)
    viewer, drawing = viewer_script(), _template_text("report.js")
    return (
        _environment()
        .get_template("report.html")
        .render(
            content=content,
            policy=content_security_policy([viewer, drawing]),
            css=Markup(_template_text("report.css")),
            viewer=Markup(viewer),
            drawing=Markup(drawing),
            styles=styles,
            words=report_words.words(content),
            tables=report_tables.tables(content),
            pictures=list(_pictures(content)),
            distributions=list(_distributions(content, styles)),
            by_size=list(_by_size(content, styles)),
            rejections=list(_rejections(content, styles)),
            agreement=list(_agreement(content, styles)),
        )
    )


def _template_text(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _environment() -> jinja2.Environment:
    loader = jinja2.FunctionLoader(_template_text)
    return jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def _figure(target: str, element: hv.Overlay, caption: str, description: str) -> _Figure:
    return _Figure(target, Markup(figure_json(element, target)), caption, description)


def _pictures(content: ReportContent) -> Iterator[_Figure]:
    for i, picture in enumerate(content.pictures):
        element = figures.micrograph(
            picture.pixels,
            pixel_size_nm=picture.pixel_size_nm,
            accepted=picture.accepted,
            rejected=picture.rejected,
            reasons=picture.reasons,
            truth=picture.truth,
            assumed=picture.assumed,
            width=_PICTURE_WIDTH,
        )
        counts = f"{len(picture.accepted)} particles accepted, {len(picture.rejected)} rejected"
        if picture.truth is not None:
            counts += f", {len(picture.truth)} in the truth"
        yield _figure(
            f"micrograph-{i}", element, f"{picture.sample}: {picture.name}",
            f"Micrograph {picture.name} of sample {picture.sample} with the outlines of its particles: {counts}.",
        )  # fmt: skip


def _distributions(content: ReportContent, styles: Mapping[str, SampleStyle]) -> Iterator[_Figure]:
    for i, (column, ds) in enumerate(content.densities.items()):
        quantity = quantity_name(column)
        weighted = ", each particle with its weight (see below)" if ds.attrs.get("weighting") else ""
        yield _figure(
            f"histogram-{i}", figures.histogram(ds, column, styles=styles, assumed=content.assumed),
            f"Distribution of {quantity}: share of the particles of each sample in each step of the axis{weighted}.",
            f"Histograms of {quantity}, one a sample.",
        )  # fmt: skip
        yield _figure(
            f"violins-{i}", figures.violins(ds, column, styles=styles, assumed=content.assumed),
            f"{quantity.capitalize()} by sample: smoothed density with mean, median, mode, the middle half of the "
            "particles (25–75 %) and the range of 95 % of them (2.5–97.5 %). These are ranges of the particles, not "
            "intervals of a mean.",
            f"Violins of {quantity}, one a sample; the values are in the tables.",
        )  # fmt: skip


def _by_size(content: ReportContent, styles: Mapping[str, SampleStyle]) -> Iterator[_Figure]:
    ds = content.size_resolved
    if ds is None or not ds.sizes.get("size_bin"):
        return
    statistic = report_tables.first_statistic(ds)
    level = report_words.level_words(ds)
    # The mean size in a size bin says nothing.
    shown = [str(name) for name in ds["descriptor"].values if name != SIZE_COLUMN]
    present = [name for name in content.samples if name in ds["sample"].values]
    panels = [present[i : i + _SAMPLES_PER_PANEL] for i in range(0, len(present), _SAMPLES_PER_PANEL)]
    others = " Grey lines: the other samples." if len(panels) > 1 else ""
    for descriptor in shown:
        quantity = quantity_name(descriptor)
        for panel in panels:
            element = figures.size_resolved(
                ds, descriptor, statistic=statistic, only=panel, styles=styles, assumed=content.assumed
            )
            yield _figure(
                f"by-size-{descriptor}-{panels.index(panel)}", element,
                f"{quantity.capitalize()} by size: {', '.join(panel)}. Bars are {level} intervals; open markers are "
                "estimates whose interval was refused, and such may lie outside the frame: all are in the tables. "
                f"Samples stand side by side within a bin.{others}",
                f"{quantity.capitalize()} in each size bin of {', '.join(panel)}, with intervals; the values are in "
                "the tables.",
            )  # fmt: skip


def _rejections(content: ReportContent, styles: Mapping[str, SampleStyle]) -> Iterator[_Figure]:
    if len(content.rejected):
        yield _figure(
            "rejections", figures.rejections(content.rejected, styles=styles),
            "Particles rejected, by reason. One that fails two criteria counts under both.",
            "Bars of the number of rejected particles by reason and sample; the values are in the table.",
        )  # fmt: skip


def _agreement(content: ReportContent, styles: Mapping[str, SampleStyle]) -> Iterator[_Figure]:
    table = content.agreement
    if table is None or not len(table):
        return
    yield _figure(
        "agreement-counts", figures.agreement(table, of="counts", styles=styles),
        "Particles detected against particles in the truth, a point a micrograph; the line is equality.",
        "Scatter of detected against true numbers of particles; the values are in the table.",
    )  # fmt: skip
    yield _figure(
        "agreement-dice", figures.agreement(table, of="dice", bar=content.dice_asked_for, styles=styles),
        "Overlap of detected and true area (Dice coefficient) by field, a point a micrograph.",
        "Dice coefficients of the micrographs by field; the values are in the table.",
    )  # fmt: skip
