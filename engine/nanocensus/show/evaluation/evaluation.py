"""The page of an evaluation: one HTML file that says what a network is worth, and where it fails."""

from collections.abc import Iterator, Mapping

from nanocensus.show.evaluation.content import EvaluationContent, unit_words
from nanocensus.show.evaluation.tables import evaluation_tables
from nanocensus.show.evaluation.words import evaluation_words
from nanocensus.show.figures.evaluation import by_threshold, error_by_size, reliability
from nanocensus.show.figures.micrographs import micrograph
from nanocensus.show.figures.tallies import agreement
from nanocensus.show.figures.theme import PALETTE, SampleStyle, sample_styles
from nanocensus.show.page import Figure, figure_in_page, render_page

_PICTURE_WIDTH = 456
METHOD_NAMES = {"network": "network", "otsu": "Otsu's threshold"}
_METHOD_STYLES = {
    "Otsu's threshold": SampleStyle(PALETTE[1], "square", "Otsu's threshold"),
    "network": SampleStyle(PALETTE[0], "circle", "network"),
}
"""The network is drawn last, over the other."""
_BY_SIZE = (
    ("edge_length_error", "error of the edge length (%)", 100.0,
     "Found over true edge length less one, of particles that were found, whole and alone."),
    ("boundary_error_px", "boundary error (px)", 1.0,
     "Mean signed distance of the found outline from the true one; above zero the network draws particles too large."),
    ("circularity_error", "error of circularity", 1.0, "Found less true circularity."),
    ("solidity_error", "error of solidity", 1.0, "Found less true solidity."),
    ("edge_width_px", "width of the edge (px)", 1.0,
     "Distance over which the probability rises from 0.1 to 0.9 across the outline: how sure the network is of the edge."),
)  # fmt: skip


def render_evaluation(content: EvaluationContent) -> str:
    """Write the page of an evaluation as one HTML file.

    The page asks nobody for anything (see `page.render_page`). Equal contents give equal bytes.

    Parameters
    ----------
    content : EvaluationContent
        What it says.

    Returns
    -------
    str
        The text of the file, to be written as UTF-8.
    """
    styles = sample_styles(_shown(content))
    return render_page(
        "evaluation.html",
        content=content,
        words=evaluation_words(content),
        tables=evaluation_tables(content),
        overview=list(_overview(content)),
        pictures=list(_pictures(content)),
        by_size=list(_by_size(content, styles)),
        thresholds=list(_thresholds(content, styles)),
        calibration=list(_calibration(content, styles)),
    )


def _shown(content: EvaluationContent) -> list[str]:
    """Give the samples, without all of them together."""
    return list(content.samples[:-1] if len(content.samples) > 1 else content.samples)


def _overview(content: EvaluationContent) -> Iterator[Figure]:
    rows = content.micrographs.assign(sample=content.micrographs["method"].map(METHOD_NAMES))
    yield figure_in_page(
        "dice", agreement(rows, of="dice", styles=_METHOD_STYLES),
        "Overlap of found and true area (Dice coefficient), a point a micrograph, beside the baseline.",
        "Dice coefficients of the micrographs by field; the values are in the table.",
    )  # fmt: skip


def _pictures(content: EvaluationContent) -> Iterator[Figure]:
    for i, picture in enumerate(content.pictures):
        element = micrograph(
            picture.pixels,
            pixel_size_nm=picture.pixel_size_nm,
            accepted=picture.accepted,
            rejected=picture.rejected,
            reasons=picture.reasons,
            truth=picture.truth,
            assumed=picture.assumed,
            width=_PICTURE_WIDTH,
            words=("matched", "false"),
            scale_bar=content.size_unit == "nm",
        )
        true = len(picture.truth or ())
        yield figure_in_page(
            f"micrograph-{i}", element, f"{picture.sample}: {picture.name}",
            f"Micrograph {picture.name}: {len(picture.accepted)} of {true} true particles matched, "
            f"{len(picture.rejected)} false ones.",
        )  # fmt: skip


def _by_size(content: EvaluationContent, styles: Mapping[str, SampleStyle]) -> Iterator[Figure]:
    size_label = f"true edge length ({unit_words(content.size_unit, assumed=content.assumed)})"
    of = content.by_size
    rows = of[(of["figure"] == "detection_rate") & (of["sample"] == content.samples[-1])]
    named = rows.assign(method=rows["method"].map(METHOD_NAMES))
    yield figure_in_page(
        "detection", error_by_size(named, by="method", styles=_METHOD_STYLES, size_label=size_label, level_line=1.0,
                                   value_label="share that is found", ylim=(0.0, 1.05)),
        "Share of the true particles that are matched, by size.",
        "Detection rate by size; the values are in the table.",
    )  # fmt: skip
    for figure, label, factor, words in _BY_SIZE:
        rows = of[(of["figure"] == figure) & (of["method"] == "network")]
        if rows["estimate"].notna().any():
            element = error_by_size(
                rows, by="sample", styles=styles, size_label=size_label, value_label=label, factor=factor,
                level_line=None if figure == "edge_width_px" else 0.0,
            )  # fmt: skip
            yield figure_in_page(f"size-{figure}", element, words, f"{label} by size; the values are in the table.")


def _thresholds(content: EvaluationContent, styles: Mapping[str, SampleStyle]) -> Iterator[Figure]:
    if content.thresholds.empty:
        return
    yield figure_in_page(
        "threshold-dice", by_threshold(content.thresholds, "dice", styles=styles, label="Dice coefficient",
                                       threshold=content.threshold),
        "Dice coefficient of all pixels against the threshold; the dashed line is the one in use.",
        "Dice against the threshold; the values are in the table.",
    )  # fmt: skip
    if content.thresholds["edge_length_error"].notna().any():
        yield figure_in_page(
            "threshold-length", by_threshold(content.thresholds, "edge_length_error", styles=styles, factor=100.0,
                                             label="error of the edge length (%)", threshold=content.threshold,
                                             level_line=0.0),
            "Mean error of the edge length against the threshold. Where it crosses zero, sizes are right; how steep it is "
            "says how much hangs on the choice.",
            "Edge length against the threshold; the values are in the table.",
        )  # fmt: skip


def _calibration(content: EvaluationContent, styles: Mapping[str, SampleStyle]) -> Iterator[Figure]:
    for column, label, words in (
        ("share_of_truth", "share that is particle",
         "Share of the pixels of each probability that are particle in the mask."),
        ("mean_area_fraction", "mean area fraction",
         "Mean area fraction of those pixels, the mask being smoothed by 0.7 px: for networks trained on area fractions. "
         + "Such a network crosses the other figure steeply, for a mask knows no half pixels."),
    ):  # fmt: skip
        element = reliability(content.calibration, styles=styles, column=column, label=label)
        yield figure_in_page(
            f"calibration-{column}", element, words, f"{label} against the probability; see the table."
        )
