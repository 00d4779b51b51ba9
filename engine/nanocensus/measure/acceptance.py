"""Which particles count: criteria applied to a table as a bitmask of reasons, and never baked into it."""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast, overload

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int64, UInt16

from nanocensus.errors import TableError
from nanocensus.measure.criteria import Criteria

FAILED = "failed_criteria"
"""The column that `apply_criteria` adds: a bit a reason, in the order of `REASONS`; 0 for an accepted particle."""

Frame = TypeVar("Frame")


@dataclass(frozen=True)
class Rule:
    """One way to be left out: the criterion, the column it looks at, and what is acceptable."""

    reason: str
    criterion: str
    column: str
    accepts: Callable[[Any, Any], Any]

    def bound(self, criteria: Criteria) -> float | None:
        """Give the bound as a number; None if the criterion is off."""
        bound = getattr(criteria, self.criterion)
        return None if bound is None or bound is False else float(bound)


RULES = (
    Rule("border", "exclude_border", "touches_border", operator.lt),  # as numbers: below 1, which is True
    Rule("too_few_pixels", "min_pixels", "pixel_count", operator.ge),
    Rule("area_too_small", "min_area_nm2", "area_nm2", operator.ge),
    Rule("area_too_large", "max_area_nm2", "area_nm2", operator.le),
    Rule("eccentricity", "max_eccentricity", "eccentricity", operator.lt),
    Rule("solidity", "min_solidity", "solidity", operator.gt),
    Rule("convexity", "min_convexity", "convexity", operator.gt),
    Rule("mean_probability", "min_mean_probability", "mean_probability", operator.ge),
)

REASONS: tuple[str, ...] = tuple(rule.reason for rule in RULES)
"""Names of the reasons, in the order of their bits."""


def failed_criteria(frame: pd.DataFrame, criteria: Criteria) -> UInt16[np.ndarray, " n"]:
    """Give each particle's failed criteria as a bitmask, in the order of `REASONS`.

    A missing value is not acceptable to a criterion that needs it: particles measured from labels alone have no mean
    probability, so switch that criterion off for their samples.

    Parameters
    ----------
    frame : pandas.DataFrame
        With the columns that the criteria look at, and `sample` if some samples have bounds of their own.
    criteria : Criteria

    Returns
    -------
    uint16 (n,)
        0 for an accepted particle.

    Raises
    ------
    TableError
        If a column is missing, or holds something else than numbers.
    """
    own = list(criteria.samples or {})
    for each in (criteria, *map(criteria.of, own)):
        _require_columns(frame, each)
    if not own:
        return _failed(frame, criteria)
    if "sample" not in frame:
        raise _missing(frame, "sample", "samples", "Add the column, or give all samples the same criteria.")
    samples = frame["sample"].to_numpy(dtype=object, na_value="")
    failed = np.zeros(len(frame), np.uint16)
    for sample in pd.unique(samples):
        rows = samples == sample
        failed[rows] = _failed(frame[rows], criteria.of(sample))
    return failed


def _failed(frame: pd.DataFrame, criteria: Criteria) -> UInt16[np.ndarray, " n"]:
    failed = np.zeros(len(frame), np.uint16)
    for bit, rule in enumerate(RULES):
        bound = rule.bound(criteria)
        if bound is not None:
            failed[~_accepted(frame, rule, bound)] |= np.uint16(1 << bit)
    return failed


def _accepted(frame: pd.DataFrame, rule: Rule, bound: float) -> Bool[np.ndarray, " n"]:
    try:
        values = frame[rule.column].astype("Float64")
    except (TypeError, ValueError):
        raise TableError(
            "particles",
            expected=f"numbers in the column {rule.column!r}",
            got=str(frame[rule.column].dtype),
            remedy="Turn it into numbers (pandas.to_numeric), of true and false 1 and 0.",
        ) from None
    accepted = rule.accepts(values, bound)
    return np.asarray(accepted.fillna(False), dtype=bool)


def _require_columns(frame: pd.DataFrame, criteria: Criteria) -> None:
    for rule in RULES:
        if rule.bound(criteria) is not None and rule.column not in frame:
            remedy = f"Add the column, or switch the criterion off ({rule.criterion} = False)."
            raise _missing(frame, rule.column, rule.criterion, remedy)


def _missing(frame: pd.DataFrame, column: str, criterion: str, remedy: str) -> TableError:
    return TableError(
        "particles",
        expected=f"a column {column!r} for the criterion {criterion!r}",
        got=", ".join(map(str, frame.columns)) or "no columns",
        remedy=remedy,
    )


def apply_criteria(particles: Frame, criteria: Criteria) -> Frame:
    """Add the column `failed_criteria`; nothing is dropped.

    Parameters
    ----------
    particles : pandas.DataFrame or dask.dataframe.DataFrame
        Of a dask DataFrame nothing is computed.
    criteria : Criteria
        A sample with bounds of its own has them wherever its particles stand; names of other samples do no harm.

    Returns
    -------
    The same kind of frame
        With a uint16 column, 0 for an accepted particle, else a bit for each of `REASONS`.

    Raises
    ------
    TableError
        If a column is missing or holds something else than numbers, or it is no DataFrame.

    Examples
    --------
    >>> frame = pd.DataFrame({"area_nm2": [5.0, 7.0], "pixel_count": [500, 700]})
    >>> area_only = Criteria(max_eccentricity=False, min_solidity=False, exclude_border=False)
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


@overload
def decode_failed(failed: int) -> tuple[str, ...]: ...
@overload
def decode_failed(failed: Frame) -> Frame: ...
def decode_failed(failed: Any) -> Any:
    """Name the reasons that a bitmask stands for.

    Parameters
    ----------
    failed : int, pandas.Series or dask.dataframe.Series
        A bitmask, or a column of them (`failed_criteria`); of a dask Series nothing is computed.

    Returns
    -------
    tuple of str, or the same kind of column
        The reasons in the order of `REASONS`; in a column as text with commas between them, empty where accepted.

    Raises
    ------
    TableError
        If a bit stands for no reason, or it is neither a whole number nor a column of them.

    Examples
    --------
    >>> decode_failed(33)
    ('border', 'solidity')
    >>> decode_failed(pd.Series([0, 33, 4])).tolist()
    ['', 'border, solidity', 'area_too_small']
    """
    if isinstance(failed, int | np.integer):
        return _reasons(int(failed))
    if isinstance(failed, pd.Series):
        masks, places = np.unique(_bitmasks(failed), return_inverse=True)
        words = pd.array([", ".join(_reasons(int(mask))) for mask in masks], dtype=pd.StringDtype("pyarrow"))
        return pd.Series(words.take(places), index=failed.index, name="reasons")
    if not hasattr(failed, "map_partitions"):
        raise TableError(
            "failed criteria",
            expected="a whole number or a column of them",
            got=type(failed).__name__,
            remedy='Give the column "failed_criteria" that apply_criteria adds.',
        )
    return failed.map_partitions(decode_failed, meta=decode_failed(failed._meta))


def _bitmasks(failed: pd.Series) -> Int64[np.ndarray, " n"]:
    """Give a column of bitmasks as numbers, or refuse what is none."""
    values = pd.to_numeric(failed, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    if not (values == np.floor(values)).all():  # NaN fails this too
        raise TableError(
            "failed criteria",
            expected="a whole number for every particle",
            got=f"{failed.dtype}, some missing or no whole numbers",
            remedy='Give the column "failed_criteria" as apply_criteria adds it.',
        )
    return np.asarray(values.astype(np.int64))


def _reasons(mask: int) -> tuple[str, ...]:
    if not 0 <= mask < 1 << len(REASONS):
        raise TableError(
            "failed criteria",
            expected=f"a bitmask from 0 to {(1 << len(REASONS)) - 1}",
            got=str(mask),
            remedy="Apply the criteria again with this version of nanocensus.",
        )
    return tuple(reason for bit, reason in enumerate(REASONS) if mask >> bit & 1)


def count_rejections(frame: pd.DataFrame) -> pd.Series:
    """Count the particles that failed each criterion, whatever else they failed.

    Parameters
    ----------
    frame : pandas.DataFrame
        With the column `failed_criteria`.

    Returns
    -------
    pandas.Series
        Counts, indexed by `REASONS`.

    Raises
    ------
    TableError
        If the criteria were not applied, or the column holds no bitmasks.
    """
    if FAILED not in frame:
        raise TableError(
            "particles",
            expected=f"a column {FAILED!r}",
            got=", ".join(map(str, frame.columns)) or "no columns",
            remedy="Call apply_criteria first.",
        )
    failed = _bitmasks(frame[FAILED])
    counts = [int(np.count_nonzero(failed & (1 << bit))) for bit in range(len(REASONS))]
    return pd.Series(counts, index=pd.Index(REASONS, name="reason"), name="particles")
