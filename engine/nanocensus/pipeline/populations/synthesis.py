"""The models of the synthesis that a job asks for: made, laid out as tables, and said in the report."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from nanocensus.errors import StatisticsError
from nanocensus.pipeline.populations.columns import SYNTHESIS_MODELS, SYNTHESIS_TABLES
from nanocensus.pipeline.question import Question
from nanocensus.show.figures.theme import quantity_name, unit_sign
from nanocensus.show.numbers import p_value, p_words, with_interval
from nanocensus.show.report.content import ReportTable, SynthesisContent
from nanocensus.statistics.cells.cells import Cells
from nanocensus.statistics.synthesis.synthesis import SynthesisModel, synthesis_model
from nanocensus.statistics.synthesis.tables import UNSEEN


@dataclass(frozen=True, eq=False)
class ModelledSynthesis:
    """What came of it; the model is None where these samples allow none, and the refusal says why."""

    model: SynthesisModel | None
    refusal: str
    level: float


def model_synthesis(made: Cells, micrographs: pd.DataFrame, asked: Question) -> ModelledSynthesis | None:
    """Model the means of a job's samples; None if it does not ask for it.

    Parameters
    ----------
    made : Cells
        By sample, of the job's descriptors.
    micrographs : DataFrame
        With the conditions.
    asked : Question
    """
    if asked.synthesis is None:
        return None
    try:
        found = synthesis_model(
            made, micrographs, of=asked.of, conditions=asked.synthesis.conditions or None, unseen=asked.synthesis.unseen,
            cluster=asked.cluster, level=asked.level, seed=asked.seed,
        )  # fmt: skip
    except StatisticsError as error:  # everything else of the run stands
        return ModelledSynthesis(None, str(error), asked.level)
    return ModelledSynthesis(found, "", asked.level)


def synthesis_tables(found: ModelledSynthesis) -> dict[str, pd.DataFrame]:
    """Give the tables by the names of their files; where nothing was modelled, a row with the refusal."""
    if found.model is None:
        row = pd.DataFrame([{"refusal": found.refusal}], columns=list(SYNTHESIS_MODELS.names))
        return {SYNTHESIS_MODELS.name: row}
    parts = (found.model.models, found.model.coefficients, found.model.exponents, found.model.predictions)
    return dict(zip(SYNTHESIS_TABLES, parts, strict=True))


def synthesis_content(found: ModelledSynthesis, *, assumed: bool) -> SynthesisContent:
    """Give the section of the report.

    Parameters
    ----------
    found : ModelledSynthesis
    assumed : bool
        Whether a pixel size was made up.
    """
    if found.model is None:
        return SynthesisContent([f"No model of the synthesis: {found.refusal}"])
    return SynthesisContent(
        [*_verdicts(found.model.models), *found.model.notes],
        found.model.predictions,
        found.model.exponents,
        list(_tables(found.model, found.level, assumed=assumed)),
    )


def _verdicts(models: pd.DataFrame) -> Iterator[str]:
    for of, rows in models.groupby("descriptor", sort=False):
        quantity = f"Mean {quantity_name(str(of))}"
        if rows["refusal"].iloc[0]:
            yield f"{quantity}: no model, {rows['refusal'].iloc[0]}."
            continue
        best, _ = sorted(rows.to_dict("records"), key=lambda row: -float(row["q2"]))
        if best["p"] > 0.05:
            yield f"{quantity}: no model explains more than chance would ({p_words(rows['p'].min())})."
        elif best["q2"] <= 0:
            yield f"{quantity} depends on the conditions ({p_words(best['p'])}), but no model predicts a condition left out."
        else:
            said = "" if best["q2"] > 0.5 else ", and predicts poorly"
            yield f"{quantity} = {best['formula']}, the {best['model']}: Q² {best['q2']:.2f}, {p_words(best['p'])}{said}."


def _tables(model: SynthesisModel, level: float, *, assumed: bool) -> Iterator[ReportTable]:
    interval = f"{100 * level:g} % interval"
    told = model.models[model.models["refusal"] == ""]
    rows = [
        {"quantity": quantity_name(row["descriptor"]) + _sign(row["descriptor"], assumed), "model": row["model"],
         "formula": row["formula"].replace("-", "−"), "R²": row["r2"], "Q²": row["q2"], "p": p_value(row["p"]),
         "scatter about it": row["residual_sd"], "of it from sampling": row["sampling_sd"],
         "exponents or slopes": _coefficients(model.coefficients, row["descriptor"], row["model"])}
        for row in told.to_dict("records")
    ]  # fmt: skip
    yield ReportTable(
        f"Means of the samples against the conditions of their synthesis [{interval}]",
        pd.DataFrame(rows),
        "A search over exponents always fits a few samples well, so R² is no evidence. Q² repeats it without each condition: 1 is "
        "perfect, 0 no better than the mean of the others. p: the chance of so large an R² if the means had nothing to do with the "
        "conditions. Brackets: range of the exponents in the joint confidence set, and intervals of slopes.",
    )  # fmt: skip
    if len(model.predictions):
        yield ReportTable(
            f"Samples predicted from those of other conditions [{interval}]",
            pd.DataFrame(list(_predicted(model, assumed=assumed))),
            "By the model with the larger Q². The interval is of the measured mean of one more synthesis; * : the prediction "
            "extrapolates, synthesis_predictions.csv says in what.",
        )


def _coefficients(coefficients: pd.DataFrame, of: object, model: object) -> str:
    rows = coefficients[(coefficients["descriptor"] == of) & (coefficients["model"] == model)]
    if rows["what"].iloc[0] == "exponent":
        texts = [
            f"{r['condition']} {r['estimate']:g} [{r['lower']:g}, {r['upper']:g}]" for r in rows.to_dict("records")
        ]
        return "; ".join(texts).replace("-", "−")
    numbers = [(r["condition"], with_interval(r["estimate"], r["lower"], r["upper"])) for r in rows.to_dict("records")]
    return "; ".join(f"{name} {text}" for name, text in numbers)


def _predicted(model: SynthesisModel, *, assumed: bool) -> Iterator[dict[str, str]]:
    models = model.models[model.models["refusal"] == ""]
    best = models.loc[models.groupby("descriptor", sort=False)["q2"].idxmax(), ["descriptor", "model"]]
    chosen = best.merge(model.predictions, on=["descriptor", "model"], sort=False)
    for (sample, kind), rows in chosen.groupby(["sample", "kind"], sort=False):
        row = {"sample": f"{sample} (not made)" if kind == UNSEEN else str(sample)}
        for one in rows.to_dict("records"):
            name = quantity_name(str(one["descriptor"])) + _sign(one["descriptor"], assumed)
            observed = {} if kind == UNSEEN else {f"{name}, measured": f"{one['observed']:.4g}"}
            said = with_interval(one["predicted"], one["lower"], one["upper"]) + ("*" if one["outside"] else "")
            row |= {f"{name}, measured": "–"} | observed | {f"{name}, predicted": said}
        yield row


def _sign(descriptor: object, assumed: bool) -> str:
    sign = unit_sign(str(descriptor), assumed=assumed)
    return f" ({sign})" if sign else ""
