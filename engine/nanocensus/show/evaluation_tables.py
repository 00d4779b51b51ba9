"""The tables of the page of an evaluation, as text in cells."""

import pandas as pd

from nanocensus.show.evaluation_content import EvaluationContent
from nanocensus.show.numbers import count
from nanocensus.show.report_tables import HtmlTable, Refusals

_METHODS = {"network": "network", "otsu": "Otsu"}
_KEY = (
    ("dice", "Dice", 1.0), ("f1", "F1", 1.0), ("f1_large", "F1 of large ones", 1.0),
    ("boundary_error_px", "boundary error (px)", 1.0), ("edge_length_error", "edge length (% off)", 100.0),
    ("circularity_error", "circularity off by", 1.0),
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
        own = members.set_index("figure")
        cells = [_cell(own.loc[name], refusals, factor) for name, _, factor in _KEY]
        rows.append([f"{sample}: {_METHODS[str(method)]}", *cells])
    note = (
        f"Large: from {content.large_px} pixels on. Matches have an intersection over union above 0.5. The boundary error is "
        "positive where particles are found too large."
    )
    caption = f"The network beside Otsu's threshold [{100 * content.level:g} % interval over fields]"
    header = ["sample: method", *(words for _, words, _ in _KEY)]
    return HtmlTable(caption, header, rows, note, [False] + [True] * len(_KEY), refusals.footnotes())


def _cell(row: "pd.Series[object]", refusals: Refusals, factor: float = 1.0) -> str:
    numbers = [float(str(row[name])) * factor for name in ("estimate", "lower", "upper")]
    return refusals.cell(*numbers, str(row["refusal"]))


def _words(figure: str) -> str:
    base = figure.removesuffix("_slope")
    return ("slope in size of: " if base != figure else "") + _WORDS[base]


def _summary(content: EvaluationContent, sample: str) -> HtmlTable:
    refusals, rows = Refusals(), []
    own = content.summary[content.summary["sample"] == sample]
    methods = list(dict.fromkeys(own["method"]))
    for figure in dict.fromkeys(own["figure"]):
        cells = []
        for method in methods:
            found = own[(own["figure"] == figure) & (own["method"] == method)]
            cells.append(_cell(found.iloc[0], refusals) if len(found) else "–")
        unit = own.loc[own["figure"] == figure, "unit"].iloc[0]
        rows.append([_words(figure), "" if unit == "1" else str(unit), *cells])
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
        by_figure = members.set_index("figure")
        cells = [_cell(by_figure.loc[name], refusals) if name in by_figure.index else "–" for name in figures]
        total = by_figure.loc["detection_rate", "n"] if "detection_rate" in by_figure.index else 0
        rows.append([f"{left:.2f} – {right:.2f}", count(float(total)), *cells])
    header = [f"true edge length ({content.size_unit})", "particles", *(_words(name) for name in figures)]
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
    header = ["sample", "threshold", "Dice", "intersection over union", "edge length (% off)"]
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
