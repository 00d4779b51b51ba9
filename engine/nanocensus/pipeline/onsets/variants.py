"""Other ways in which the same particles could have been measured, weighted and accepted: what onsets are found in again."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd

from nanocensus.measure.acceptance import failed_criteria
from nanocensus.measure.criteria import Criteria
from nanocensus.schema import PARTICLES
from nanocensus.statistics.cells.partitions import Particles
from nanocensus.statistics.cells.rows import numbers
from nanocensus.statistics.onsets.samples import SIZE

THRESHOLD, FOLDS, PIXEL_SIZE, WEIGHT, CRITERIA = "threshold", "folds", "pixel size", "border weight", "criteria"
SOURCES = (THRESHOLD, FOLDS, PIXEL_SIZE, WEIGHT, CRITERIA)
BASELINE = "baseline"
"""No other way to measure the particles: what is taken off their means, and of onsets alone, where something is."""
BORDER_WEIGHT = "border_weight"
AREAS = ("area_p40_nm2", "area_p60_nm2")
SIBLINGS = "edge_length_sibling_sd_nm"
OPTIONAL = (*AREAS, SIBLINGS, "area_nm2", "estimator")
"""Columns that are used where there are any."""
_POWERS: Mapping[str, int] = {"nm": 1, "nm2": 2}
Change = Callable[[pd.DataFrame], pd.DataFrame]


@dataclasses.dataclass(frozen=True)
class Variant:
    """One other way."""

    source: str
    """Which of `SOURCES` is varied."""
    name: str
    change: Change
    """From all particles of a partition to the accepted ones, with the sizes of this way."""
    weight: str | None
    """Column of weights."""
    particles: Particles | None = None
    """Where it is not the same particles that are changed."""


def each_partition(particles: Particles, change: Change) -> Particles:
    """Change a frame, or lazily each partition of one."""
    if isinstance(particles, pd.DataFrame):
        return change(particles)
    changed: Particles = particles.map_partitions(change, meta=change(particles._meta))
    return changed


def accepted(rows: pd.DataFrame, criteria: Criteria | None) -> pd.DataFrame:
    """Give the particles that meet the criteria; all of them if there are none."""
    return rows if criteria is None else rows[failed_criteria(rows, criteria) == 0]


def of_thresholds(criteria: Criteria | None, weight: str | None) -> Iterator[Variant]:
    """Sizes of outlines drawn at probabilities of 0.4 and 0.6, on the same particles with the same shapes."""
    for name, column in zip(("0.4", "0.6"), AREAS, strict=True):
        yield Variant(THRESHOLD, name, partial(_at_threshold, criteria=criteria, column=column), weight)


def _at_threshold(rows: pd.DataFrame, criteria: Criteria | None, column: str) -> pd.DataFrame:
    held = accepted(rows, criteria)
    inside, outside = (numbers(held[name]) for name in AREAS)
    # Other estimators count pixels: there the two outlines are compared with the one halfway between them.
    own = np.where(held["estimator"] == "outline", numbers(held["area_nm2"]), np.sqrt(inside * outside))
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.sqrt(numbers(held[column]) / own)
    return _with_size(held, np.where(np.isfinite(ratio), ratio, 1.0))


def of_folds(criteria: Criteria | None, weight: str | None) -> Iterator[Variant]:
    """Sizes one standard deviation of the sibling networks larger and smaller, as if they disagreed on all alike."""
    for name, sign in (("larger", 1.0), ("smaller", -1.0)):
        yield Variant(FOLDS, name, partial(_shifted, criteria=criteria, sign=sign), weight)


def _shifted(rows: pd.DataFrame, criteria: Criteria | None, sign: float) -> pd.DataFrame:
    held = accepted(rows, criteria)
    relative = np.nan_to_num(numbers(held[SIBLINGS])) / numbers(held[SIZE])
    return _with_size(held, np.maximum(1.0 + sign * relative, 0.0))


def of_pixel_sizes(
    criteria: Criteria | None, weight: str | None, relative: Mapping[str, float], descriptors: Sequence[str]
) -> Iterator[Variant]:
    """Lengths and areas of each sample one relative standard uncertainty of its pixel size larger and smaller."""
    powers = {name: _POWERS.get(PARTICLES[name].unit, 0) if name in PARTICLES else 0 for name in descriptors}
    for name, sign in (("larger", 1.0), ("smaller", -1.0)):
        factors = {sample: 1.0 + sign * one for sample, one in relative.items() if np.isfinite(one)}
        yield Variant(PIXEL_SIZE, name, partial(_scaled, criteria=criteria, factors=factors, powers=powers), weight)


def _scaled(
    rows: pd.DataFrame, criteria: Criteria | None, factors: Mapping[str, float], powers: Mapping[str, int]
) -> pd.DataFrame:
    held = accepted(rows, criteria)
    factor = held["sample"].astype(object).map(factors).astype(float).fillna(1.0).to_numpy(np.float64)
    lengths = {name: numbers(held[name]) * factor**power for name, power in powers.items() if power}
    return _with_size(held, factor).assign(**lengths)


def of_weights(criteria: Criteria | None, weight: str | None) -> Iterator[Variant]:
    """Weights for the border where there were none, or none where there were."""
    other = BORDER_WEIGHT if weight is None else None
    yield Variant(WEIGHT, "with" if other else "without", partial(accepted, criteria=criteria), other)


def of_criteria(criteria: Criteria | None, weight: str | None, steps: Mapping[str, float]) -> Iterator[Variant]:
    """All combinations of the bounds on shape: as they are, a step to either side."""
    axes = {} if criteria is None else {name: step for name, step in steps.items() if step and _bounds(criteria, name)}
    for signs in itertools.product((-1, 0, 1), repeat=len(axes)):
        if criteria is None or not any(signs):
            continue
        moved = criteria
        for (name, step), sign in zip(axes.items(), signs, strict=True):
            moved = _moved(moved, name, sign * step)
        words = ", ".join(f"{name} {sign * step:+g}" for (name, step), sign in zip(axes.items(), signs, strict=True))
        yield Variant(CRITERIA, words, partial(accepted, criteria=moved), weight)


def _bounds(criteria: Criteria, name: str) -> bool:
    every = [criteria, *(criteria.of(sample) for sample in criteria.samples or {})]
    return any(getattr(one, name) is not None for one in every)


def _moved(criteria: Criteria, name: str, by: float) -> Criteria:
    """Move a bound of all samples, and those that samples have of their own."""

    def move(section: object) -> dict[str, float]:
        bound = getattr(section, name)
        return {} if bound is None or bound is False else {name: min(max(bound + by, 0.0), 1.0)}

    own = {sample: dataclasses.replace(one, **move(one)) for sample, one in (criteria.samples or {}).items()}  # type: ignore[arg-type]  # a bound
    return dataclasses.replace(criteria, samples=own or criteria.samples, **move(criteria))  # type: ignore[arg-type]  # a bound


def _with_size(rows: pd.DataFrame, factor: np.ndarray) -> pd.DataFrame:
    return rows.assign(**{SIZE: numbers(rows[SIZE]) * factor})
