"""What the report says of onset sizes: a sentence each, the figures' data, and every sample's own in a table."""

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import pandas as pd

from nanocensus.pipeline.baselines.beyond import Beyond
from nanocensus.pipeline.onsets.analysis import OnsetAnalysis
from nanocensus.pipeline.onsets.columns import COMBINED, SAMPLING
from nanocensus.pipeline.onsets.results import FoundOnsets
from nanocensus.pipeline.onsets.variants import BASELINE, CRITERIA, FOLDS, PIXEL_SIZE, THRESHOLD, WEIGHT
from nanocensus.show.figures.theme import quantity_name, unit_sign
from nanocensus.show.numbers import p_value, p_words, with_interval, with_reach
from nanocensus.show.report.content import OnsetContent, ReportTable
from nanocensus.statistics.onsets.samples import JOINT, SIZE
from nanocensus.statistics.onsets.table import READINGS

_SOURCE_WORDS = {
    SAMPLING: "sampling",
    THRESHOLD: "the threshold",
    FOLDS: "the disagreement of the networks",
    PIXEL_SIZE: "the pixel size",
    WEIGHT: "the border weight",
    CRITERIA: "the criteria",
    BASELINE: "how well what is taken off is known",
}

_OF_BASELINE = "Baseline: the course of the constant shape, and the numbers of pairs, drawn by their standard errors. "


def onset_content(made: OnsetAnalysis, beside: Beyond | None = None, *, assumed: bool) -> OnsetContent:
    """Give the section of the report.

    Parameters
    ----------
    made : OnsetAnalysis
    beside : Beyond, optional
        The data beside what is taken off them.
    assumed : bool
        Whether a pixel size was made up.
    """
    sign = unit_sign(SIZE, assumed=assumed)
    found = made.found
    told = [*found.sentences, *([] if beside is None else beside.sentences), *_readings(found), *_expanded(made)]
    sentences = [_capital(sentence.replace(" nm", f" {sign}")) for sentence in told]
    envelope = None if beside is None else beside.taken.constant.envelope
    return OnsetContent(
        found.table, found.curves, sentences, [*_tables(found, sign), *_budgets(made, sign)],
        None if envelope is None else envelope.table, None if beside is None else beside.means,
    )  # fmt: skip


def _readings(found: FoundOnsets) -> Iterator[str]:
    for of, rows in found.table[found.table["sample"].isin(READINGS)].groupby("descriptor", sort=False):
        read = ["none" if pd.isna(value) else f"{value:.1f} nm" for value in rows["estimate_nm"]]
        yield (
            f"the paper's readings of {quantity_name(str(of))}, to compare and not to believe: {read[0]} (the highest 0.2 nm bin), "
            f"{read[1]} (the last bin up to which the CV between samples stays below 1 %)."
        )


def _expanded(made: OnsetAnalysis) -> Iterator[str]:
    """Say how sure one may be of each bend with all that could move it."""
    if made.sensitivity is None:
        return
    for (of, bend), rows in made.sensitivity.onsets.groupby(["descriptor", "bend"], sort=False):
        last = rows[rows["sample"] == JOINT] if JOINT in set(rows["sample"]) else rows
        if last["sample"].nunique() > 1:  # there is none of all samples: each has its own line in the table
            continue
        whole, parts = last[last["source"] == COMBINED].iloc[0], last[last["source"] != COMBINED]
        most = parts.iloc[int(parts["standard_uncertainty_nm"].fillna(0.0).to_numpy().argmax())]
        more = f", {whole['remark']}" if whole["remark"] else ""
        place = with_reach(_place_of(made.found, last.iloc[0]), whole["expanded_uncertainty_nm"])
        yield (
            f"with all else that could move it, {bend} of {_words(made.found, of)}, {whole['sample']}: {place} nm (expanded "
            f"uncertainty, k = {whole['coverage_factor']:.2g}{more}); the largest part is "
            f"{_SOURCE_WORDS[most['source']]}, {most['share']:.0%} of the variance."
        )


def _budgets(made: OnsetAnalysis, sign: str) -> Iterator[ReportTable]:
    if made.sensitivity is None or made.sensitivity.onsets.empty:
        return
    table = made.sensitivity.onsets
    rows = []
    for (of, bend, sample), parts in table.groupby(["descriptor", "bend", "sample"], sort=False):
        each = parts.set_index("source")
        row: dict[str, object] = {"bend": f"{bend} of {_words(made.found, of)}", "sample": sample}
        row |= {source: _nm(each.at[source, "standard_uncertainty_nm"]) for source in each.index}
        rows.append(row | {"U (95 %)": _nm(each.at[COMBINED, "expanded_uncertainty_nm"])})
    yield ReportTable(
        f"What could move an onset: standard uncertainties ({sign})",
        pd.DataFrame(rows),
        "Threshold: sizes at probabilities of 0.4 and 0.6, shapes as they are. Folds: sizes one standard deviation of the sibling "
        "networks larger and smaller, as if all particles shared it. Criteria: bounds on solidity, convexity and eccentricity a step to "
        f"either side, in all combinations. {_OF_BASELINE if BASELINE in set(table['source']) else ''}A dash is a contribution that is not known, and not in the combination. Between samples "
        "of one calibration and one network the common errors cancel: there the intervals above are right. "
        "onset_uncertainty.csv says more; bin_mean_uncertainty.csv holds the same of the bin means, rejected_by_size.csv what "
        "the criteria reject at each size.",
    )


def _tables(found: FoundOnsets, sign: str) -> Iterator[ReportTable]:
    for of, rows in found.table.groupby("descriptor", sort=False):
        yield ReportTable(
            f"Where {_words(found, of)} changes its course [{100 * found.level:g} % interval]",
            pd.DataFrame([_printed(row, sign) for row in rows.to_dict("records")]),
            "Half width: 0 is a kink; it is only roughly known. p: the chance of so clear a bend if the descriptor followed "
            "smooth curves. The paper's readings carry the width of a bin and no interval: they are there to compare, not to "
            "believe. onsets.csv holds all digits, onset_curves.csv what was fitted.",
        )


def _printed(row: Mapping[Hashable, Any], sign: str) -> dict[str, object]:
    place = with_interval(row["estimate_nm"], row["lower_nm"], row["upper_nm"])
    return {
        "bend": row["bend"],
        "sample": row["sample"],
        f"edge length ({sign})": "none given" if row["refusal"] else place,
        f"half width ({sign})": _short(row["half_width_nm"]),
        "p": p_value(row["existence_p"]),
        "particles": row["n"],
        "clusters": row["n_clusters"],
        "how, or why there is none": row["refusal"] or row["method"] + _differ(row),
    }


def _differ(row: Mapping[Hashable, Any]) -> str:
    """Say whether samples bend at different sizes, where they were compared."""
    return "" if pd.isna(row["q_p"]) else f"; that samples differ: {p_words(row['q_p'])}"


def _words(found: FoundOnsets, of: object) -> str:
    """Name what bends."""
    rows = found.table[found.table["descriptor"] == of]
    return ("the excess of " if rows["excess"].any() else "") + quantity_name(str(of))


def _place_of(found: FoundOnsets, row: "pd.Series[Any]") -> float:
    same = found.table[["descriptor", "bend", "sample"]].eq(row[["descriptor", "bend", "sample"]]).all(axis=1)
    return float(found.table.loc[same, "estimate_nm"].iloc[0])


def _nm(length: Any) -> str:  # noqa: ANN401  a cell of a table
    return "–" if pd.isna(length) else f"{length:.4f}"


def _short(number: Any) -> str:  # noqa: ANN401  a cell of a table
    return "–" if pd.isna(number) else f"{number:.2g}"


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]
