"""What is known against size, taken off the bin means so that the bend of the excess is found.

A descriptor's estimator depends on size by itself: a constant square on a soft outline falls with a bend near 4.3 nm. What is
left after the course of a constant shape is taken away is the particles' own. Pairs that are measured as one differ from sample
to sample: so may what is taken off.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float64

from nanocensus.errors import StatisticsError
from nanocensus.statistics.cells.quanta import Number

COLUMNS = ("size_nm", "value")
SAMPLE = "sample"


class Baseline(NamedTuple):
    """A descriptor against size, straight between its points."""

    size_nm: Float64[np.ndarray, " point"]
    value: Float64[np.ndarray, " point"]

    def at(self, size_nm: Float64[np.ndarray, "*n"]) -> Float64[np.ndarray, "*n"]:
        """Give the descriptor at some sizes.

        Examples
        --------
        >>> Baseline(np.array([2.0, 4.0]), np.array([1.0, 0.5])).at(np.array([3.0])).tolist()
        [0.75]
        """
        return np.asarray(np.interp(size_nm, self.size_nm, self.value), np.float64)


@dataclass(frozen=True)
class Baselines:
    """The curve of each sample, or one of all."""

    of_all: Baseline | None
    of_each: Mapping[str, Baseline]

    def of(self, sample: str) -> Baseline:
        """Give the curve of a sample.

        Raises
        ------
        StatisticsError
            If there is none.
        """
        known = self.of_each.get(sample) if self.of_all is None else self.of_all
        if known is None:
            raise _refusal(
                f"rows of {sample}", "those of " + ", ".join(self.of_each), "Add them, or leave the sample out."
            )
        return known


def parse_baselines(frame: pd.DataFrame, ranges: Iterable[tuple[Number, Number]]) -> Baselines:
    """Check curves, and that they cover the sizes they are needed at.

    Parameters
    ----------
    frame : DataFrame
        Columns size_nm, increasing, and value, in the unit of the descriptor; with a column sample, a curve for each.
    ranges : iterable of (float, float)
        Edge lengths between which bends are sought, nm.

    Raises
    ------
    StatisticsError
        If they are no such curves, or one ends inside a range.
    """
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise _refusal("the columns size_nm and value", "none named " + " and ".join(missing), "Rename them.")
    sought = list(ranges)
    if SAMPLE not in frame.columns:
        return Baselines(_parsed(frame, sought), {})
    return Baselines(None, {str(name): _parsed(rows, sought) for name, rows in frame.groupby(SAMPLE, sort=False)})


def changes_at(
    size_nm: Float64[np.ndarray, " n"], frame: pd.DataFrame, changes: Float64[np.ndarray, "draw row"], sample: str
) -> Float64[np.ndarray, "draw n"]:
    """Give by how much the curve of a sample might be higher at some sizes.

    Parameters
    ----------
    size_nm : float64 array (n,)
    frame : DataFrame
        As for `parse_baselines`.
    changes : float64 array (draw, row)
        By how much the value of each row of the frame might be higher.
    sample : str
    """
    own = (frame[SAMPLE] == sample).to_numpy() if SAMPLE in frame.columns else np.full(len(frame), True)
    size = frame.loc[own, COLUMNS[0]].to_numpy(np.float64)
    return np.array([np.interp(size_nm, size, change) for change in changes[:, own]])


def _parsed(frame: pd.DataFrame, ranges: Iterable[tuple[Number, Number]]) -> Baseline:
    size, value = (frame[name].to_numpy(np.float64, na_value=np.nan) for name in COLUMNS)
    if len(size) < 2 or not (np.isfinite(size).all() and np.isfinite(value).all() and (np.diff(size) > 0).all()):
        raise _refusal(
            "two or more rows of numbers, sizes increasing", f"{len(size)} rows that are not", "Sort and complete it."
        )
    for low, high in ranges:
        if size[0] > low or size[-1] < high:
            raise _refusal(
                f"a curve over all of {low:g} to {high:g} nm", f"one from {size[0]:g} to {size[-1]:g} nm",
                "Compute it at more sizes, or seek the bend where it is known.",
            )  # fmt: skip
    return Baseline(size, value)


def _refusal(expected: str, got: str, remedy: str) -> StatisticsError:
    return StatisticsError("baseline", expected=expected, got=got, remedy=remedy)
