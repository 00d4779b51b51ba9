"""The sentences of the page of an evaluation, which depend on what was found."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nanocensus.show.evaluation.content import EvaluationContent, unit_words
from nanocensus.show.numbers import count, counted, with_interval
from nanocensus.show.report.words import flattened


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
    figures = by_figure(network_rows(content))
    own = content.micrographs[content.micrographs["method"] == "network"]
    networks = sorted({str(name) for name in own["model"]})
    fields = len(own[["sample", "group"]].drop_duplicates())
    subject = (
        f"{', '.join(networks)} on {counted(len(own), 'micrograph')} of {counted(fields, 'field')} with "
        f"{counted(int(own['n_true'].sum()), 'true particle')}"
    )
    return EvaluationWords(
        headline=f"Dice {number(figures, 'dice')}, F1 {number(figures, 'f1')}, error of the edge length "
        f"{number(figures, 'edge_length_error', factor=100.0)} %",
        subject=subject,
        findings=list(_findings(figures, content)),
        truth=_truth(content, int(own["n_true"].sum())),
        level=f"{100 * content.level:g} %",
        facts=list(flattened(content.provenance)),
    )


Interval = tuple[float, float, float]
"""An estimate and the ends of its interval, NaN where there is none."""


def by_figure(rows: pd.DataFrame) -> dict[str, Interval]:
    """Give the figures of merit of one sample and method by their names."""
    numbers = rows[["estimate", "lower", "upper"]].to_numpy(np.float64, na_value=np.nan)
    return {str(name): (row[0], row[1], row[2]) for name, row in zip(rows["figure"], numbers.tolist(), strict=True)}


def number(figures: Mapping[str, Interval], name: str, *, factor: float = 1.0) -> str:
    """Write a figure with its interval."""
    estimate, lower, upper = figures[name]
    return with_interval(factor * estimate, factor * lower, factor * upper)


def _findings(figures: Mapping[str, Interval], content: EvaluationContent) -> Iterator[str]:
    bias = figures["boundary_error_px"]
    if math.isfinite(bias[0]):
        way = "outside" if bias[0] > 0 else "inside"
        known = f": {number(figures, 'boundary_error_px')} px" if _away_from_zero(bias) is not None else ""
        unsure = "" if _away_from_zero(bias) is not False else ". That may be nothing: the interval holds zero"
        yield f"Found outlines lie {abs(bias[0]):.2f} px {way} the true ones on average{known}{unsure}."
    for name, words, factor, unit in (
        ("edge_length_error_slope", "The error of the edge length", 100.0, "%"),
        ("circularity_error_slope", "The error of circularity", 1.0, ""),
    ):
        sure = _away_from_zero(figures[name])
        if sure is not None:
            how = "changes with size" if sure else "shows no slope in size"
            slope = f"{number(figures, name, factor=factor)} {unit}".rstrip()
            yield f"{words} {how}: {slope} per {unit_words(content.size_unit, assumed=content.assumed)}."
    of = content.thresholds[content.thresholds["sample"] == content.samples[-1]]
    dice, thresholds = (of[name].to_numpy(np.float64) for name in ("dice", "threshold"))
    if dice.size:
        best = int(np.argmax(dice))
        yield f"Dice is highest at a threshold of {thresholds[best]:.2f} ({dice[best]:.4f})."


def _away_from_zero(figure: Interval) -> bool | None:
    """Say whether an interval leaves zero out; None where there is no interval."""
    _, lower, upper = figure
    return lower > 0 or upper < 0 if math.isfinite(lower) and math.isfinite(upper) else None


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
