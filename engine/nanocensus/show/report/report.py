"""The report: one HTML file that a microscopist sends to a colleague, who needs nothing else to read it."""

from collections.abc import Iterator, Mapping

import holoviews as hv
import numpy as np
import xarray as xr

from nanocensus.show.figures import figures
from nanocensus.show.figures import shapes as shape_figures
from nanocensus.show.figures.sizes import SIZE_COLUMN, binned_column
from nanocensus.show.figures.theme import SampleStyle, axis_label, quantity_name, sample_styles
from nanocensus.show.figures.tiles import Tile, tiles
from nanocensus.show.page import Figure, figure_in_page, render_page
from nanocensus.show.report import tables as report_tables
from nanocensus.show.report import words as report_words
from nanocensus.show.report.content import OnsetContent, Picture, ReportContent

_PICTURE_WIDTH = 456
_SAMPLES_PER_PANEL = 4
"""Samples whose intervals can be told apart in one figure by size."""


def render_report(content: ReportContent) -> str:
    """Write the report as one HTML file.

    The page asks nobody for anything (see `page.render_page`). Equal contents give equal bytes.

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
    return render_page(
        "report.html",
        css=("report.css", "tiles.css"),
        content=content,
        styles=styles,
        words=report_words.words(content),
        tables=report_tables.tables(content),
        pictures=list(_pictures(content)),
        distributions=list(_distributions(content, styles)),
        by_size=[*_by_size(content, styles), *_across(content), *_shapes(content)],
        onsets=list(_onsets(content, styles)),
        synthesis=list(_synthesis(content, styles)),
        spreads=list(_spreads(content, styles)),
        representatives=list(_representatives(content)),
        size=axis_label(SIZE_COLUMN, assumed=content.assumed),
        rejections=list(_rejections(content, styles)),
        agreement=list(_agreement(content, styles)),
    )


def _pictures(content: ReportContent) -> Iterator[Figure]:
    for i, picture in enumerate(content.pictures):
        counts = f"{len(picture.accepted)} particles accepted, {len(picture.rejected)} rejected"
        if picture.truth is not None:
            counts += f", {len(picture.truth)} in the truth"
        yield figure_in_page(
            f"micrograph-{i}", _drawn(picture, picture.pixels), f"{picture.sample}: {picture.name}",
            f"Micrograph {picture.name} of sample {picture.sample} with the outlines of its particles: {counts}.",
        )  # fmt: skip
        if picture.prepared is not None:
            yield figure_in_page(
                f"prepared-{i}", _drawn(picture, picture.prepared),
                f"{picture.sample}: {picture.name} as the network saw it, flattened: hot pixels are replaced, and it is "
                f"divided by its background, which is {100 * picture.unevenness:.0f} % darker at its darkest than at its "
                "brightest; of the micrographs shown here the most uneven.",
                f"Micrograph {picture.name} of sample {picture.sample} after flattening, with the same outlines.",
            )  # fmt: skip


def _drawn(picture: Picture, pixels: np.ndarray) -> hv.Overlay:
    return figures.micrograph(
        pixels,
        pixel_size_nm=picture.pixel_size_nm,
        accepted=picture.accepted,
        rejected=picture.rejected,
        reasons=picture.reasons,
        truth=picture.truth,
        assumed=picture.assumed,
        width=_PICTURE_WIDTH,
    )


def _distributions(content: ReportContent, styles: Mapping[str, SampleStyle]) -> Iterator[Figure]:
    for i, (column, ds) in enumerate(content.densities.items()):
        quantity = quantity_name(column)
        weighted = ", each particle with its weight (see below)" if ds.attrs.get("weighting") else ""
        fit = content.sizes if content.sizes is not None and content.sizes.attrs["of"] == column else None
        fitted = (
            " Dashed: log-normal distributions of the same geometric mean and standard deviation."
            if fit is not None
            else ""
        )
        yield figure_in_page(
            f"histogram-{i}", figures.histogram(ds, column, fit=fit, styles=styles, assumed=content.assumed),
            f"Distribution of {quantity}: share of the particles of each sample in each step of the axis{weighted}.{fitted}",
            f"Histograms of {quantity}, one a sample.",
        )  # fmt: skip
        yield figure_in_page(
            f"violins-{i}", figures.violins(ds, column, styles=styles, assumed=content.assumed),
            f"{quantity.capitalize()} by sample: smoothed density with mean, median, mode, the middle half of the "
            "particles (25–75 %) and the range of 95 % of them (2.5–97.5 %). These are ranges of the particles, not "
            "intervals of a mean.",
            f"Violins of {quantity}, one a sample; the values are in the tables.",
        )  # fmt: skip


def _by_size(content: ReportContent, styles: Mapping[str, SampleStyle]) -> Iterator[Figure]:
    ds = content.size_resolved
    if ds is None or not ds.sizes.get("size_bin"):
        return
    statistic = report_tables.first_statistic(ds)
    level = report_words.level_words(ds)
    # The mean size in a size bin says nothing.
    shown = [str(name) for name in ds["descriptor"].values if name != binned_column(ds)]
    there = ds["estimate"].notnull().any([name for name in ds["estimate"].dims if name != "sample"])
    present = [name for name in content.samples if name in ds["sample"].values and bool(there.sel(sample=name))]
    panels = [present[i : i + _SAMPLES_PER_PANEL] for i in range(0, len(present), _SAMPLES_PER_PANEL)]
    others = " Grey lines: the other samples." if len(panels) > 1 else ""
    known = (ds["lower"].notnull() & ds["upper"].notnull()).sel(statistic=statistic)
    for descriptor in shown:
        quantity = quantity_name(descriptor)
        for panel in panels:
            element = figures.size_resolved(
                ds, descriptor, statistic=statistic, only=panel, styles=styles, assumed=content.assumed
            )
            yield figure_in_page(
                f"by-size-{descriptor}-{panels.index(panel)}", element,
                f"{quantity.capitalize()} by size: {', '.join(panel)}. "
                f"{_bars(known.sel(descriptor=descriptor), level)}{' Samples stand side by side within a bin.' * (len(panel) > 1)}"
                f"{others}",
                f"{quantity.capitalize()} in each size bin of {', '.join(panel)}, with intervals; the values are in "
                "the tables.",
            )  # fmt: skip


def _bars(known: xr.DataArray, level: str) -> str:
    """Say what the marks of a figure by size are, some of which have an interval."""
    if not known.any():
        return "Open markers are estimates whose interval was refused, as all were here: why is in the tables."
    return (
        f"Bars are {level} intervals; open markers are estimates whose interval was refused, and such may lie outside the "
        "frame: all are in the tables."
    )


def _across(content: ReportContent) -> Iterator[Figure]:
    ds = content.across
    if ds is None or not (ds["n_samples"] > 1).any():
        return
    level = report_words.level_words(ds)
    known = bool((ds["lower"].notnull() & (ds["descriptor"] != binned_column(ds))).any())
    filled = f"Filled: with the noise of the means taken out, and {level} intervals; h" if known else "H"
    yield figure_in_page(
        "across-samples", figures.cv_across_samples(ds, assumed=content.assumed),
        f"How much the samples differ at each size: coefficient of variation across their means. {filled}ollow: as it "
        "stands, which noise alone keeps above zero. Samples without a standard error in a size bin are left out of it; "
        "across_samples.csv names them.",
        "Coefficient of variation across samples in each size bin; the values are in across_samples.csv.",
    )  # fmt: skip


def _synthesis(content: ReportContent, styles: Mapping[str, SampleStyle]) -> Iterator[Figure]:
    given = content.synthesis
    if given is None or given.predictions is None or given.exponents is None:
        return
    for of, rows in given.predictions.groupby("descriptor", sort=False):
        quantity = quantity_name(str(of))
        yield figure_in_page(
            f"predictions-{of}", figures.predictions(rows, styles=styles, assumed=content.assumed),
            f"Mean {quantity} as measured, and as predicted from the samples of other conditions alone, with intervals; the line is "
            "equality. Filled: product of powers; hollow: log-linear.",
            f"Predicted against measured mean {quantity}; the values are in synthesis_predictions.csv.",
        )  # fmt: skip
        cloud = given.exponents[given.exponents["descriptor"] == of]
        yield figure_in_page(
            f"exponents-{of}", figures.exponents(cloud),
            f"Exponents for the mean {quantity}: those that the means allow (filled), and in what share of the resamples each is the "
            "best (size).",
            f"Exponents of the conditions for {quantity}; the values are in synthesis_exponents.csv.",
        )  # fmt: skip


def _spreads(content: ReportContent, styles: Mapping[str, SampleStyle]) -> Iterator[Figure]:
    if content.populations is None:
        return
    for of, rows in content.populations.spreads.groupby("descriptor", sort=False):
        quantity = quantity_name(str(of))
        yield figure_in_page(
            f"spread-{of}", figures.spread_against_mean(rows, styles=styles, assumed=content.assumed),
            f"Standard deviation of {quantity} against its mean (of ratios: against the distance of the mean from 1), a point a sample, "
            "on logarithmic axes. Grey lines: a spread in proportion.",
            f"Standard deviation of {quantity} against its mean; the values are in by_sample.csv.",
        )  # fmt: skip


def _representatives(content: ReportContent) -> Iterator[tuple[str, list[Tile]]]:
    for part in () if content.populations is None else content.populations.representatives:
        yield (
            part.sample,
            tiles(
                part.crops, nm_per_tile=part.nm_per_tile, assumed=content.assumed, quantity=quantity_name(SIZE_COLUMN)
            ),
        )


def _onsets(content: ReportContent, styles: Mapping[str, SampleStyle]) -> Iterator[Figure]:
    if content.onsets is None:
        return
    for (descriptor, bend), curves in content.onsets.curves.groupby(["descriptor", "bend"], sort=False):
        rows = content.onsets.table
        quantity = quantity_name(str(descriptor))
        excess = "the excess of " if curves["excess"].any() else ""
        yield figure_in_page(
            f"{bend}-{descriptor}",
            figures.onset(
                rows[rows["descriptor"] == descriptor], curves, bend=str(bend), styles=styles, assumed=content.assumed
            ),
            f"{str(bend).capitalize()} of {excess}{quantity}: means in bins of 0.1 nm, and the curves that were fitted where a "
            "bend is told. Grey: the interval of all samples together, or of the only one; there is none where it is refused.",
            f"Mean {quantity} against size with the fitted {bend} of each sample; the values are in onset_curves.csv.",
        )
    yield from _envelopes(content.onsets, styles, assumed=content.assumed)


def _envelopes(onsets: OnsetContent, styles: Mapping[str, SampleStyle], *, assumed: bool) -> Iterator[Figure]:
    if onsets.envelope is None or onsets.means is None:
        return
    for descriptor, means in onsets.means.groupby("descriptor", sort=False):
        quantity = quantity_name(str(descriptor))
        yield figure_in_page(
            f"envelope-{descriptor}",
            figures.null_envelope(
                onsets.envelope, descriptor=str(descriptor), means=means, styles=styles, assumed=assumed
            ),
            f"{quantity.capitalize()} of a constant shape, measured as the particles were, and the means of the data: only what "
            "goes beyond the curve of the shape is the particles' own. Shaded: 95 % of single particles of that shape.",
            f"Mean {quantity} of each sample against size over the curve of a constant shape; the values are in "
            "null_envelope.csv.",
        )


def _shapes(content: ReportContent) -> Iterator[Figure]:
    ds = content.shapes
    if ds is None or not shape_figures.spread_bins(ds):
        return
    yield figure_in_page(
        "mean-shapes", figures.mean_shapes(ds, assumed=content.assumed),
        "Mean outlines by sample and size, all at the same mean radius; grey: all the outlines over one another. Black: the mean, "
        f"with the band in which it lies as a whole ({report_words.level_words(ds)}), and what alignment alone adds taken off. "
        "Dashed: means that cannot be told from what alignment makes of the roughness of round particles. Dotted: the paper's "
        "running mean, which depends on the order of the particles.",
        "Outlines in a grid, a row a sample and a column a size; their indices are in the tables.",
    )  # fmt: skip


def _rejections(content: ReportContent, styles: Mapping[str, SampleStyle]) -> Iterator[Figure]:
    if len(content.rejected):
        yield figure_in_page(
            "rejections", figures.rejections(content.rejected, styles=styles),
            "Particles rejected, by reason. One that fails two criteria counts under both.",
            "Bars of the number of rejected particles by reason and sample; the values are in the table.",
        )  # fmt: skip


def _agreement(content: ReportContent, styles: Mapping[str, SampleStyle]) -> Iterator[Figure]:
    table = content.agreement
    if table is None or not len(table):
        return
    yield figure_in_page(
        "agreement-counts", figures.agreement(table, of="counts", styles=styles),
        "Particles detected against particles in the truth, a point a micrograph; the line is equality.",
        "Scatter of detected against true numbers of particles; the values are in the table.",
    )  # fmt: skip
    yield figure_in_page(
        "agreement-dice", figures.agreement(table, of="dice", bar=content.dice_asked_for, styles=styles),
        "Overlap of detected and true area (Dice coefficient) by field, a point a micrograph.",
        "Dice coefficients of the micrographs by field; the values are in the table.",
    )  # fmt: skip
