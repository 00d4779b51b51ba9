"""Which particles count: criteria that are applied to a table and never baked into it."""

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd
from jaxtyping import Bool, UInt16

from nanocensus.errors import InputError, TableError

FAILED = "failed_criteria"
"""The column that `apply_criteria` adds: a bit a reason, in the order of `REASONS`; 0 for an accepted particle."""

Frame = TypeVar("Frame")


@dataclass(frozen=True)
class Criteria:
    """What a particle has to be to enter the statistics.

    The least area is that of Cho et al. (ACS Nano 2024, 18, 29736); their other bounds differ from sample to sample
    and are not published in the text, so the defaults here are ours. `None` switches a criterion off.
    """

    min_area_nm2: float | None = 6.0
    """Smallest area, nm2, itself accepted."""
    max_area_nm2: float | None = None
    """Largest area, nm2, itself accepted."""
    max_eccentricity: float | None = 0.85
    """The eccentricity has to be below this; rods and pairs of touching particles are above."""
    min_solidity: float | None = 0.90
    """The solidity has to be above this; most agglomerates are below."""
    min_convexity: float | None = None
    """The convexity has to be above this; what it means depends on the estimator, so there is no default."""
    exclude_border: bool = True
    """Whether particles on the micrograph's border are left out."""
    min_pixels: int | None = 200
    """Smallest number of pixels, itself accepted; with fewer, circularity tells more of pixels than of particles."""

    def __post_init__(self) -> None:
        """Check the bounds."""
        for field in fields(self):
            _parse(field.name, getattr(self, field.name))
        if self.min_area_nm2 is not None and self.max_area_nm2 is not None and self.max_area_nm2 < self.min_area_nm2:
            raise _refusal("max_area_nm2", f"at least min_area_nm2, {self.min_area_nm2:g}", self.max_area_nm2)


_BOUNDS: Mapping[str, tuple[float, float]] = {
    "min_area_nm2": (0.0, math.inf),
    "max_area_nm2": (0.0, math.inf),
    "max_eccentricity": (0.0, 1.0),
    "min_solidity": (0.0, 1.0),
    "min_convexity": (0.0, 1.0),
    "min_pixels": (0.0, math.inf),
}


@dataclass(frozen=True)
class _Reason:
    """One way to be left out: the criterion, the column it looks at, and what is acceptable."""

    name: str
    criterion: str
    column: str
    accepts: Callable[[Any, Any], Any]


_RULES = (
    _Reason("border", "exclude_border", "touches_border", operator.lt),  # as numbers: below 1, which is True
    _Reason("too_few_pixels", "min_pixels", "pixel_count", operator.ge),
    _Reason("area_too_small", "min_area_nm2", "area_nm2", operator.ge),
    _Reason("area_too_large", "max_area_nm2", "area_nm2", operator.le),
    _Reason("eccentricity", "max_eccentricity", "eccentricity", operator.lt),
    _Reason("solidity", "min_solidity", "solidity", operator.gt),
    _Reason("convexity", "min_convexity", "convexity", operator.gt),
)

REASONS: tuple[str, ...] = tuple(rule.name for rule in _RULES)
"""Names of the reasons, in the order of their bits."""


def failed_criteria(frame: pd.DataFrame, criteria: Criteria) -> UInt16[np.ndarray, " n"]:
    """Give each particle's failed criteria as a bitmask, in the order of `REASONS`.

    A missing value is not acceptable to a criterion that needs it.

    Parameters
    ----------
    frame : pandas.DataFrame
        With the columns that the criteria look at.
    criteria : Criteria

    Returns
    -------
    uint16 (n,)
        0 for an accepted particle.

    Raises
    ------
    TableError
        If a column is missing.
    """
    failed = np.zeros(len(frame), np.uint16)
    for bit, rule in enumerate(_RULES):
        bound = getattr(criteria, rule.criterion)
        if bound is None or bound is False:
            continue
        failed[~_accepted(frame, rule, float(bound))] |= np.uint16(1 << bit)
    return failed


def _accepted(frame: pd.DataFrame, rule: _Reason, bound: float) -> Bool[np.ndarray, " n"]:
    if rule.column not in frame:
        raise TableError(
            "particles",
            expected=f"a column {rule.column!r} for the criterion {rule.criterion!r}",
            got=", ".join(map(str, frame.columns)) or "no columns",
            remedy=f"Add the column, or switch the criterion off ({rule.criterion} = None, or False for the border).",
        )
    accepted = rule.accepts(frame[rule.column].astype("Float64"), bound)
    return np.asarray(accepted.fillna(False), dtype=bool)


def apply_criteria(particles: Frame, criteria: Criteria) -> Frame:
    """Add the column `failed_criteria`; nothing is dropped.

    Parameters
    ----------
    particles : pandas.DataFrame or dask.dataframe.DataFrame
        Of a dask DataFrame nothing is computed.
    criteria : Criteria

    Returns
    -------
    The same kind of frame
        With a uint16 column, 0 for an accepted particle, else a bit for each of `REASONS`.

    Raises
    ------
    TableError
        If a column is missing, or it is no DataFrame.

    Examples
    --------
    >>> frame = pd.DataFrame({"area_nm2": [5.0, 7.0], "pixel_count": [500, 700]})
    >>> area_only = Criteria(max_eccentricity=None, min_solidity=None, exclude_border=False)
    >>> apply_criteria(frame, area_only)["failed_criteria"].tolist()
    [4, 0]
    """
    if isinstance(particles, pd.DataFrame):
        return cast(Frame, _with_failed(particles, criteria))
    if not hasattr(particles, "map_partitions"):
        raise TableError(
            "particles",
            expected="a pandas or dask DataFrame",
            got=type(particles).__name__,
            remedy="Read them with read_particles, or convert the table (pyarrow: table.to_pandas()).",
        )
    lazy = cast(Any, particles)
    return cast(Frame, lazy.map_partitions(_with_failed, criteria, meta=_with_failed(lazy._meta, criteria)))


def _with_failed(frame: pd.DataFrame, criteria: Criteria) -> pd.DataFrame:
    return frame.assign(**{FAILED: failed_criteria(frame, criteria)})


def count_rejections(frame: pd.DataFrame, *, first_only: bool = False) -> pd.Series:
    """Count the particles that failed each criterion.

    Parameters
    ----------
    frame : pandas.DataFrame
        With the column `failed_criteria`.
    first_only : bool
        Count a particle once, under the first of its reasons, so that the counts add up to the number left out;
        otherwise under each.

    Returns
    -------
    pandas.Series
        Counts, indexed by `REASONS`.

    Raises
    ------
    TableError
        If the criteria were not applied.
    """
    if FAILED not in frame:
        raise TableError(
            "particles",
            expected=f"a column {FAILED!r}",
            got=", ".join(map(str, frame.columns)) or "no columns",
            remedy="Call apply_criteria first.",
        )
    failed = frame[FAILED].to_numpy().astype(np.int64)
    if first_only:
        failed = failed & -failed
    counts = [int(np.count_nonzero(failed & (1 << bit))) for bit in range(len(REASONS))]
    return pd.Series(counts, index=pd.Index(REASONS, name="reason"), name="particles")


def _parse(name: str, value: object) -> Any:  # noqa: ANN401  each criterion has its own type
    """Give a criterion's value in its own type, or refuse it."""
    if name == "exclude_border":
        if not isinstance(value, bool):
            raise _refusal(name, "true or false", value)
        return value
    if value is None:
        return None
    low, high = _BOUNDS[name]
    bounds = f"a number from {low:g} to {high:g}" if math.isfinite(high) else f"a finite number of at least {low:g}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _refusal(name, bounds, value)
    if not (math.isfinite(value) and low <= value <= high):
        raise _refusal(name, bounds, value)
    if name != "min_pixels":
        return float(value)
    if not isinstance(value, int):
        raise _refusal(name, "a whole number", value)
    return value


def _refusal(name: str, expected: str, got: object) -> InputError:
    return InputError(name, expected=expected, got=repr(got), remedy="Correct it, or leave it out.")
