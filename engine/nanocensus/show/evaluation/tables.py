"""The tables of the page of an evaluation, as text in cells."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from nanocensus.show.evaluation.content import EvaluationContent, unit_words
from nanocensus.show.numbers import count
from nanocensus.show.report.tables import HtmlTable, Refusals

_METHODS = {"network": "network", "otsu": "Otsu"}
_KEY = (
    ("dice", "Dice", 1.0), ("f1", "F1", 1.0), ("f1_large", "F1 of large ones", 1.0),
    ("boundary_error_px", "boundary error (px)", 1.0), ("edge_length_error", "error of edge length (%)", 100.0),
    ("circularity_error", "error of circularity", 1.0),
)  # fmt: skip
_WORDS = {
    "dice": "Dice coefficient of all pixels", "iou": "intersection over union of all pixels",
    "precision": "precision of particles", "recall": "recall of particles", "f1": "F1 of particles",
    "f1_large": "F1 of large particles", "found_over_true": "particles found / true",
    "boundary_error_px": "signed boundary error", "boundary_error_nm": "signed boundary error",
    "boundary_distance_px": "distance of the boundaries", "edge_length_error": "relative error of the edge length",
    "circularity_error": "error of circularity", "solidity_error": "error of solidity",
    "edge_width_px": "width of the map's edge", "calibration_error": "expected calibration error",
    "detection_rate": "share that is found",
}  # fmt: skip


def evaluation_tables(content: EvaluationContent) -> dict[str, list[HtmlTable]]:
    """Give the tables of each section of the page."""
    return {
        "key": [_key(content)],
        "confusion": _confusion(content),
        "summary": [_summary(content, sample) for sample in content.samples],
        "by_size": [_by_size(content, sample) for sample in content.samples],
        "micrographs": [_micrographs(content)],
        "thresholds": [_thresholds(content)],
        "calibration": [_calibration(content)],
    }


def _key(content: EvaluationContent) -> HtmlTable:
    refusals, rows = Refusals(), []
    for (sample, method), members in content.summary.groupby(["sample", "method"], sort=False):
        written = _cells(members, refusals, {name: factor for name, _, factor in _KEY})
        cells = [written[name] for name, _, _ in _KEY]
        whose = f"{sample}: " if len(content.samples) > 1 else ""
        rows.append([f"{whose}{_METHODS[str(method)]}", *cells])
    note = (
        f"Large: from {content.large_px} pixels on. Matches have an intersection over union above 0.5. The boundary error is "
        "positive where particles are found too large."
    )
    caption = f"The network beside Otsu's threshold [{100 * content.level:g} % interval over fields]"
    header = ["", *(words for _, words, _ in _KEY)]
    return HtmlTable(caption, header, rows, note, [False] + [True] * len(_KEY), refusals.footnotes())


def _cells(rows: pd.DataFrame, refusals: Refusals, factors: Mapping[str, float] | None = None) -> dict[str, str]:
    """Write the figures of one sample and method (and bin), by their names."""
    numbers = rows[["estimate", "lower", "upper"]].to_numpy(np.float64, na_value=np.nan).tolist()
    written = {}
    for figure, (estimate, lower, upper), refusal in zip(rows["figure"], numbers, rows["refusal"], strict=True):
        if factors is None or figure in factors:
            factor = 1.0 if factors is None else factors[figure]
            written[str(figure)] = refusals.cell(factor * estimate, factor * lower, factor * upper, str(refusal))
    return written


def _words(figure: str) -> str:
    base = figure.removesuffix("_slope")
    return ("slope in size of: " if base != figure else "") + _WORDS[base]


def _summary(content: EvaluationContent, sample: str) -> HtmlTable:
    refusals, rows = Refusals(), []
    own = content.summary[content.summary["sample"] == sample]
    methods = list(dict.fromkeys(own["method"]))
    written = {method: _cells(own[own["method"] == method], refusals) for method in methods}
    units = dict(zip(own["figure"], own["unit"], strict=True))
    for figure, unit in units.items():
        cells = [written[method].get(figure, "–") for method in methods]
        rows.append([_words(figure), unit_words(str(unit), assumed=content.assumed), *cells])
    header = ["figure", "unit", *(_METHODS[name] for name in methods)]
    numeric = [False, False] + [True] * len(methods)
    return HtmlTable(
        f"{sample}: every figure of merit", header, rows, "", numeric, refusals.footnotes(), heading=sample
    )


def _by_size(content: EvaluationContent, sample: str) -> HtmlTable:
    of = content.by_size
    own = of[(of["sample"] == sample) & (of["method"] == "network")]
    figures = list(dict.fromkeys(own["figure"]))
    refusals, rows = Refusals(), []
    for (left, right), members in own.groupby(["size_left", "size_right"]):
        written = _cells(members, refusals)
        size = f"{left:.2f} – {right:.2f}"
        rows.append([size, count(members["n"].max()), *(written.get(name, "–") for name in figures)])
    header = [
        f"true edge length ({unit_words(content.size_unit, assumed=content.assumed)})",
        "particles",
        *(_words(name) for name in figures),
    ]
    caption = f"{sample}: the network by size"
    return HtmlTable(caption, header, rows, "", [True] * len(header), refusals.footnotes(), heading=sample)


def _confusion(content: EvaluationContent) -> list[HtmlTable]:
    made = []
    for sample in content.samples:
        own = content.confusion[content.confusion["sample"] == sample]
        rows = []
        for (method, true), members in own.groupby(["method", "true_class"], sort=False):
            cells = [f"{float(value):.4f}" if pd.notna(value) else "–" for value in members["soft_dice"]]
            rows.append([f"{_METHODS[str(method)]}: true {true}", *cells])
        header = ["", *(f"predicted {name}" for name in dict.fromkeys(own["predicted_class"]))]
        made.append(HtmlTable(f"{sample}: soft Dice between classes", header, rows, "", [False, True, True]))
    return made


def _micrographs(content: EvaluationContent) -> HtmlTable:
    of = content.micrographs
    baseline = of[of["method"] == "otsu"].set_index(["sample", "name"])["dice"]
    rows = [
        [row["name"], row["sample"], row["group"], row["model"], count(row["n_true"]), count(row["n_found"]),
         count(row["n_matched"]), f"{row['dice']:.4f}", f"{baseline[row['sample'], row['name']]:.4f}",
         "–" if pd.isna(row["boundary_error_px"]) else f"{row['boundary_error_px']:+.2f}".replace("-", "−")]
        for _, row in of[of["method"] == "network"].iterrows()
    ]  # fmt: skip
    header = ["micrograph", "sample", "field", "network", "true", "found", "matched", "Dice", "Otsu's", "boundary (px)"]
    return HtmlTable("Micrographs", header, rows, "", [False] * 4 + [True] * 6)


def _thresholds(content: EvaluationContent) -> HtmlTable:
    rows = [
        [row["sample"], f"{row['threshold']:.2f}", f"{row['dice']:.4f}", f"{row['iou']:.4f}",
         "–" if pd.isna(row["edge_length_error"]) else f"{100 * row['edge_length_error']:+.2f}".replace("-", "−")]
        for _, row in content.thresholds.iterrows()
    ]  # fmt: skip
    header = ["sample", "threshold", "Dice", "intersection over union", "error of edge length (%)"]
    return HtmlTable("The network's map cut at other thresholds", header, rows, "", [False] + [True] * 4)


def _calibration(content: EvaluationContent) -> HtmlTable:
    rows = [
        [row["sample"], f"{row['probability_lower']:.2f} – {row['probability_upper']:.2f}", count(row["pixels"]),
         *("–" if pd.isna(row[name]) else f"{row[name]:.3f}"
           for name in ("mean_probability", "share_of_truth", "mean_area_fraction"))]
        for _, row in content.calibration.iterrows()
    ]  # fmt: skip
    header = ["sample", "probability", "pixels", "mean probability", "share that is particle", "mean area fraction"]
    return HtmlTable("Pixels by probability", header, rows, "", [False] + [True] * 5)
