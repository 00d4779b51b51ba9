"""The models of one descriptor laid out as tables: formulas, coefficients, the cloud of exponents, predictions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float64

from nanocensus.statistics.estimation.philox import generator
from nanocensus.statistics.synthesis.design import Design
from nanocensus.statistics.synthesis.fit import (
    LINE,
    POWER,
    Prediction,
    Verdict,
    cloud,
    judge_line,
    judge_power,
    line_prediction,
    power_prediction,
)
from nanocensus.statistics.synthesis.power_models import Grid, exponent_grid, line, line_interval, search

LEFT_OUT, UNSEEN = "left out", "unseen"
MODELS = ["descriptor", "unit", "model", "formula", "n_samples", "n_conditions", "r2", "q2", "p", "residual_sd",
          "sampling_sd", "refusal"]  # fmt: skip
_COEFFICIENTS = ["descriptor", "model", "condition", "what", "estimate", "lower", "upper", "unit"]


@dataclass(frozen=True, eq=False)
class Observed:
    """The means of one descriptor, of the samples that have an interval."""

    name: str
    unit: str
    means: Float64[np.ndarray, " sample"]
    deviations: Float64[np.ndarray, "replicate sample"]
    """Of the means in resamples of clusters."""
    design: Design
    limits: tuple[float, float]
    """What the descriptor's values can be."""

    def refusal(self) -> str:
        """Say why there are no models, or ""."""
        refusal = self.design.refusal()
        if not refusal and np.ptp(self.means) <= 1e-9 * np.abs(self.means).max():
            return "the means of all samples are the same"
        return refusal


@dataclass(frozen=True)
class Options:
    """How models are judged."""

    level: float
    permutations: int
    seed: int
    unseen: Mapping[str, np.ndarray]
    """Conditions to predict."""


class Tables(NamedTuple):
    """See `synthesis.SynthesisModel`."""

    models: pd.DataFrame
    coefficients: pd.DataFrame
    exponents: pd.DataFrame
    predictions: pd.DataFrame


def tables_of(given: Observed, options: Options) -> Tables:
    """Fit and judge both models of one descriptor; a refusal alone where there is nothing to fit."""
    design, means = given.design, given.means
    counts: dict[str, object] = {"n_samples": len(means), "n_conditions": len(np.unique(design.values, axis=0))}
    head: dict[str, object] = {"descriptor": given.name, "unit": given.unit}
    refusal = given.refusal()
    if refusal:
        refused = [head | {"model": model, "formula": ""} | counts | {"refusal": refusal} for model in (POWER, LINE)]
        empty = pd.DataFrame({"descriptor": pd.Series(dtype="str")})
        return Tables(pd.DataFrame(refused, columns=MODELS), empty, empty, empty)
    grid = exponent_grid(len(design.names))
    rng = generator(options.seed, f"synthesis {given.name}")
    level, permutations = options.level, options.permutations
    power = judge_power(
        means, given.deviations, design.logs, design.condition, grid, level=level, permutations=permutations, rng=rng
    )
    variances = (given.deviations**2).mean(0)
    plane = judge_line(means, variances, design.logs, design.condition, level=level, permutations=permutations, rng=rng)
    sampling = {"sampling_sd": float(np.sqrt((given.deviations**2).mean())), "refusal": ""}
    rows = [
        head | {"model": model, "formula": formula} | counts | _judged(verdict) | sampling
        for model, formula, verdict in ((POWER, _product(given, grid), power), (LINE, _sum(given), plane))
    ]
    seen = cloud(means, given.deviations, design.logs, grid, level=level, rng=rng)
    columns = {f"exponent_{name}": grid[:, i] for i, name in enumerate(design.names)}
    exponents = {"descriptor": given.name, **columns, "r2": seen.r2, "share": seen.share, "inside": seen.inside}
    coefficients = [*_powers(given, grid, seen.inside), *_slopes(given, level)]
    predictions = [*_left_out(given, (power, plane)), *_unseen(given, grid, options, rng)]
    return Tables(
        pd.DataFrame(rows, columns=MODELS),
        pd.DataFrame(coefficients, columns=_COEFFICIENTS),
        pd.DataFrame(exponents),
        pd.DataFrame(predictions),
    )


def _judged(verdict: Verdict) -> dict[str, object]:
    return {
        "r2": verdict.r2,
        "q2": verdict.q2,
        "p": verdict.p,
        "residual_sd": float(np.sqrt(verdict.residual_variance)),
    }


def _powers(given: Observed, grid: Grid, inside: np.ndarray) -> Iterator[dict[str, object]]:
    best = grid[search(given.design.logs, grid, given.means).choice]
    for name, exponent, among in zip(given.design.names, best, grid[inside].T, strict=True):
        yield {"descriptor": given.name, "model": POWER, "condition": name, "what": "exponent", "estimate": exponent,
               "lower": among.min(), "upper": among.max(), "unit": "1"}  # fmt: skip


def _slopes(given: Observed, level: float) -> Iterator[dict[str, object]]:
    fitted = line(given.design.logs, given.means)
    slopes = fitted.coefficients[1:]
    ends = line_interval(fitted, np.eye(len(slopes) + 1)[1:], level=level, new=False)
    for name, slope, lower, upper in zip(given.design.names, slopes, *ends, strict=True):
        yield {"descriptor": given.name, "model": LINE, "condition": name, "what": "slope in ln", "estimate": slope,
               "lower": lower, "upper": upper, "unit": given.unit}  # fmt: skip


def _left_out(given: Observed, verdicts: tuple[Verdict, Verdict]) -> Iterator[dict[str, object]]:
    design = given.design
    for model, verdict in zip((POWER, LINE), verdicts, strict=True):
        for i, sample in enumerate(design.samples):
            others = design.of(np.flatnonzero(design.condition != design.condition[i]))
            outside = others.outside(design.values[i])
            numbers = (float(given.means[i]), *_ends(given, verdict.left_out, i))
            yield _row(given, (model, sample, LEFT_OUT), design.values[i], numbers, outside)


def _unseen(given: Observed, grid: Grid, options: Options, rng: np.random.Generator) -> Iterator[dict[str, object]]:
    if not options.unseen:
        return
    design, new = given.design, np.stack(list(options.unseen.values()))
    logs = np.log(new) - design.centre
    power = power_prediction(given.means, given.deviations, design.logs, logs, grid, level=options.level, rng=rng)
    plane = line_prediction(given.means, design.logs, logs, level=options.level)
    for model, said in ((POWER, power), (LINE, plane)):
        for i, name in enumerate(options.unseen):
            numbers = (float("nan"), *_ends(given, said, i))
            yield _row(given, (model, name, UNSEEN), new[i], numbers, design.outside(new[i]))


def _ends(given: Observed, said: Prediction, place: int) -> tuple[float, ...]:
    """Give the prediction and its interval, which ends where the descriptor's values can."""
    ends = np.clip([said.lower[place], said.upper[place]], *given.limits)
    return (float(said.middle[place]), *ends.tolist())


def _row(given: Observed, names: tuple[str, str, str], values: np.ndarray, numbers: tuple[float, ...],
         outside: str) -> dict[str, object]:  # fmt: skip
    conditions = dict(zip((f"condition_{name}" for name in given.design.names), values.tolist(), strict=True))
    return {
        "descriptor": given.name, "unit": given.unit, **dict(zip(("model", "sample", "kind"), names, strict=True)),
        **conditions, **dict(zip(("observed", "predicted", "lower", "upper"), numbers, strict=True)), "outside": outside,
    }  # fmt: skip


def _product(given: Observed, grid: Grid) -> str:
    found = search(given.design.logs, grid, given.means)
    exponents = grid[found.choice]
    # Of the conditions themselves, not over their geometric means.
    factor = float(found.factor * np.exp(-exponents @ given.design.centre))
    powers = [f"{name}^{power:g}" for name, power in zip(given.design.names, exponents, strict=True) if power]
    return f"{float(found.offset):.4g} {_signed(factor)} {' '.join(powers)}"


def _sum(given: Observed) -> str:
    offset, *slopes = line(given.design.logs, given.means).coefficients
    terms = [f"{_signed(slope)} ln {name}" for name, slope in zip(given.design.names, slopes, strict=True)]
    return f"{offset - np.array(slopes) @ given.design.centre:.4g} {' '.join(terms)}"


def _signed(number: float) -> str:
    return f"{'+' if number >= 0 else '-'} {abs(number):.4g}"
