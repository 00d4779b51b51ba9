"""Which conditions samples were made under, and what such a choice of conditions can tell."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64

from nanocensus.errors import StatisticsError
from nanocensus.schema import CONDITION_PREFIX

MOST_CONDITIONS = 3
MORE_THAN_CONDITIONS = 4
"""Samples of different conditions that are needed beyond the number of conditions: so that one may be left out."""
_ALIKE = 0.9
"""Share of a logarithm's variance that others explain, from which on their effects are not told apart."""
_NO_JOINT = 0.02
"""Share of the product of two logarithms that a sum does not explain, below which products and sums fit alike."""
_SUBJECT = "conditions of the synthesis"


@dataclass(frozen=True, eq=False)
class Design:
    """The conditions of samples."""

    samples: tuple[str, ...]
    names: tuple[str, ...]
    """Of the conditions, without the prefix of their columns."""
    values: Float64[np.ndarray, "sample condition"]

    @property
    def logs(self) -> Float64[np.ndarray, "sample condition"]:
        """Logarithms, less their mean over the samples."""
        return np.asarray(np.log(self.values) - self.centre)

    @property
    def centre(self) -> Float64[np.ndarray, " condition"]:
        """Mean of the logarithms."""
        return np.asarray(np.log(self.values).mean(0))

    @property
    def condition(self) -> Int64[np.ndarray, " sample"]:
        """Number of the combination of conditions that each sample has; equal ones were made alike."""
        return np.unique(self.values, axis=0, return_inverse=True)[1].astype(np.int64).ravel()

    def of(self, kept: np.ndarray) -> "Design":
        """Give some of the samples."""
        return Design(tuple(np.array(self.samples, object)[kept]), self.names, self.values[kept])

    def refusal(self) -> str:
        """Say why nothing can be fitted, or ""."""
        needed, found = len(self.names) + MORE_THAN_CONDITIONS, len(np.unique(self.values, axis=0))
        if found < needed:
            return f"{found} different conditions: {len(self.names)} of them at once need {needed}"
        same = [name for name, column in zip(self.names, self.values.T, strict=True) if len(np.unique(column)) < 2]
        return f"{' and '.join(same)} the same in all samples" if same else ""

    def notes(self) -> tuple[str, ...]:
        """Say in sentences what these conditions cannot tell apart."""
        return tuple(_notes(self))

    def outside(self, new: Float64[np.ndarray, " condition"]) -> str:
        """Say in what a condition lies outside of those of the samples, or ""."""
        ranges = zip(self.names, new, self.values.min(0), self.values.max(0), strict=True)
        told = [f"{name} outside {low:g} to {high:g}" for name, at, low, high in ranges if not low <= at <= high]
        if (
            not told
            and _leverage(self.logs, np.log(new)[None] - self.centre)[0] > _leverage(self.logs, self.logs).max()
        ):
            told = ["no sample is near this combination"]
        return ", ".join(told)


def design_of(micrographs: pd.DataFrame, conditions: Sequence[str] | None = None) -> Design:
    """Read the conditions of samples from the table of micrographs.

    Parameters
    ----------
    micrographs : DataFrame
        sample, and a column a condition ("condition_Co").
    conditions : sequence of str, optional
        Which, with or without "condition_"; all that are numbers and differ between samples if absent.

    Raises
    ------
    StatisticsError
        If there is none, one is missing, no number, not positive, or not the same in all micrographs of a sample, or
        there are more than three.
    """
    columns = _chosen(micrographs, conditions)
    frame = micrographs[["sample", *columns]].drop_duplicates().sort_values("sample")
    names = tuple(column.removeprefix(CONDITION_PREFIX) for column in columns)
    numbers = frame[columns].apply(pd.to_numeric, errors="coerce")
    for column, name in zip(columns, names, strict=True):
        bad = frame.loc[~(numbers[column] > 0), "sample"].astype(str)
        if len(bad):
            raise StatisticsError(
                f"condition {name!r}", expected="a positive number for every sample",
                got="none of " + ", ".join(dict.fromkeys(bad)),
                remedy="Fill the column in the table of micrographs, or leave the condition out.",
            )  # fmt: skip
    twice = frame.loc[frame["sample"].duplicated(), "sample"]
    if len(twice):
        raise StatisticsError(
            _SUBJECT, expected="the same in all micrographs of a sample", got=f"several in {twice.iloc[0]}",
            remedy="Give each condition a sample of its own.",
        )  # fmt: skip
    return Design(tuple(frame["sample"].astype(str)), names, numbers.to_numpy(np.float64))


def _chosen(micrographs: pd.DataFrame, conditions: Sequence[str] | None) -> list[str]:
    known = [str(name) for name in micrographs.columns if str(name).startswith(CONDITION_PREFIX)]
    if conditions is None:
        columns = [name for name in known if _varies(micrographs[name])]
        expected = "columns of numbers that differ between samples (condition_...)"
    else:
        columns = [CONDITION_PREFIX + name.removeprefix(CONDITION_PREFIX) for name in conditions]
        expected = "columns among " + (", ".join(known) or "none: there is no column condition_...")
    missing = [name for name in columns if name not in known]
    if missing or not columns:
        raise StatisticsError(
            _SUBJECT, expected=expected, got=", ".join(missing) or "none",
            remedy="Add a column a condition to the listing of micrographs; nanocensus init reads them from names.",
        )  # fmt: skip
    if len(columns) > MOST_CONDITIONS:
        raise StatisticsError(
            _SUBJECT, expected=f"at most {MOST_CONDITIONS} at once", got=", ".join(columns),
            remedy="Choose some: conditions = [...].",
        )  # fmt: skip
    return columns


def _varies(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and column.nunique() > 1


def conditions_as_row(design: Design, given: Mapping[str, float], name: str) -> Float64[np.ndarray, " condition"]:
    """Put the conditions of an unseen sample in order.

    Raises
    ------
    StatisticsError
        If one is missing, unknown, or no positive finite number.
    """
    plain = {key.removeprefix(CONDITION_PREFIX): value for key, value in given.items()}
    if set(plain) != set(design.names) or not all(0 < value < math.inf for value in plain.values()):
        raise StatisticsError(
            f"unseen condition {name!r}", expected="a finite, positive number for " + ", ".join(design.names),
            got=", ".join(f"{key} = {value:g}" for key, value in plain.items()) or "none", remedy="State these.",
        )  # fmt: skip
    return np.array([plain[key] for key in design.names], np.float64)


def _notes(design: Design) -> Iterator[str]:
    logs, names = design.logs, design.names
    for i, name in enumerate(names):
        others = np.delete(logs, i, axis=1)
        if others.shape[1] and 1 - _left_over(logs[:, i], others) > _ALIKE:
            told = " and ".join(other for other in names if other != name)
            yield f"{name} changed together with {told}: their effects, and so their exponents, cannot be told apart."
    for (i, one), (j, other) in combinations(enumerate(names), 2):
        joint = logs[:, i] * logs[:, j]
        if _left_over(joint, logs) < _NO_JOINT:
            yield (
                f"{one} and {other} were varied one at a time: a sum of powers fits such samples exactly as well as their "
                "product. What happens where both change is not known from them."
            )
        elif (single := _without_one(joint, logs)) is not None:
            yield f"Whether {one} and {other} act as a product or as a sum is told by {design.samples[single]} alone."


def _left_over(values: np.ndarray, logs: np.ndarray) -> float:
    """Give the share of the variance that a plane in the logarithms leaves."""
    centred = values - values.mean()
    total = float((centred**2).sum())
    terms = np.column_stack([np.ones(len(logs)), logs])
    residual = values - terms @ np.linalg.lstsq(terms, values, rcond=None)[0]
    return float((residual**2).sum()) / total if total > 1e-24 else 0.0


def _without_one(joint: np.ndarray, logs: np.ndarray) -> int | None:
    """Give the place of the one sample without which products and sums would fit alike, if there is one."""
    for place in range(len(joint)):
        if _left_over(np.delete(joint, place), np.delete(logs, place, axis=0)) < _NO_JOINT:
            return place
    return None


def _leverage(logs: np.ndarray, new: np.ndarray) -> np.ndarray:
    terms, others = (np.column_stack([np.ones(len(part)), part]) for part in (logs, new))
    return np.asarray(np.einsum("mt,tu,mu->m", others, np.linalg.pinv(terms.T @ terms), others))
