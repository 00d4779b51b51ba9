"""The sentences of the page of an evaluation, which depend on what was found."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from nanocensus.show.evaluation_content import EvaluationContent
from nanocensus.show.numbers import count, counted, with_interval
from nanocensus.show.report_tables import flattened


@dataclass(frozen=True)
class EvaluationWords:
    """Sentences, and the facts behind the figures."""

    headline: str
    subject: str
    findings: Sequence[str]
    truth: str
    level: str
    facts: Sequence[tuple[str, str]]


def network_rows(content: EvaluationContent) -> pd.DataFrame:
    """Give the figures of merit of the network, of all samples together."""
    of = content.summary
    return of[(of["method"] == "network") & (of["sample"] == content.samples[-1])]


def evaluation_words(content: EvaluationContent) -> EvaluationWords:
    """Give the sentences."""
    figures = network_rows(content).set_index("figure")
    own = content.micrographs[content.micrographs["method"] == "network"]
    networks = sorted({str(name) for name in own["model"]})
    fields = own["group"].nunique()
    subject = (
        f"{', '.join(networks)} on {counted(len(own), 'micrograph')} of {counted(fields, 'field')} with "
        f"{counted(int(own['n_true'].sum()), 'true particle')}"
    )
    return EvaluationWords(
        headline=f"Dice {number(figures, 'dice')}, F1 {number(figures, 'f1')}, edge length "
        f"{number(figures, 'edge_length_error', factor=100.0)} % off",
        subject=subject,
        findings=list(_findings(figures, content)),
        truth=_truth(content, int(own["n_true"].sum())),
        level=f"{100 * content.level:g} %",
        facts=list(flattened(content.provenance)),
    )


def number(figures: pd.DataFrame, name: str, *, factor: float = 1.0) -> str:
    """Write a figure with its interval."""
    if name not in figures.index:
        return "–"
    row = figures.loc[name]
    return with_interval(*(float(row[part]) * factor for part in ("estimate", "lower", "upper")))


def _findings(figures: pd.DataFrame, content: EvaluationContent) -> Sequence[str]:
    made = []
    bias = figures.loc["boundary_error_px"]
    if math.isfinite(float(bias["estimate"])):
        way = "outside" if bias["estimate"] > 0 else "inside"
        sure = _away_from_zero(bias)
        made.append(
            f"Found outlines lie {abs(float(bias['estimate'])):.2f} px {way} the true ones on average"
            + (f" (interval {number(figures, 'boundary_error_px')} px)." if sure is not None else ".")
            + ("" if sure is not False else " That may be nothing: the interval holds zero.")
        )
    for name, words, factor, unit in (
        ("edge_length_error_slope", "The error of the edge length", 100.0, "%"),
        ("circularity_error_slope", "The error of circularity", 1.0, ""),
    ):
        row = figures.loc[name]
        sure = _away_from_zero(row)
        if sure is not None:
            how = "changes with size" if sure else "shows no slope in size"
            made.append(f"{words} {how}: {number(figures, name, factor=factor)} {unit} per {content.size_unit}.")
    best = content.thresholds[content.thresholds["sample"] == content.samples[-1]]
    if len(best):
        top = best.loc[best["dice"].astype(float).idxmax()]
        made.append(f"Dice is highest at a threshold of {top['threshold']:.2f} ({top['dice']:.4f}).")
    return made


def _away_from_zero(row: "pd.Series[object]") -> bool | None:
    """Say whether an interval leaves zero out; None where there is no interval."""
    lower, upper = float(str(row["lower"])), float(str(row["upper"]))
    if not (math.isfinite(lower) and math.isfinite(upper)):
        return None
    return lower > 0 or upper < 0


def _truth(content: EvaluationContent, n_true: int) -> str:
    if content.planted == n_true and n_true:
        return "All true outlines were planted, so that their sizes and shapes are known exactly."
    start = (
        f"{count(content.planted)} of {count(n_true)} true outlines were planted and are known exactly; of the others "
    )
    return (
        (start if content.planted else "The truth is masks. ")
        + ("the" if content.planted else "The")
        + " size is that of the mask's pixels, and circularity and solidity are measured on the mask, smoothed by 1 px."
    )
