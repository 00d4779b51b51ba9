"""Which rows of a table of particles can be counted, and why the others cannot."""

import functools
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from nanocensus.errors import TableError
from nanocensus.measure.acceptance import FAILED, REASONS
from nanocensus.schema import PARTICLES
from nanocensus.statistics.cells.partitions import Particles, add_rows, compute, over_partitions
from nanocensus.statistics.cells.quanta import LARGEST_INTEGER, Number
from nanocensus.statistics.cells.rows import number_pairs, numbers

KEYS = ("sample", "micrograph")
WEIGHT = "border_weight"


def look(frame: Particles, needed: Sequence[str], size: str | None) -> pd.DataFrame:
    """Count, per micrograph, rows and those that cannot be used by reason; give the largest values too.

    Parameters
    ----------
    frame : pandas or dask DataFrame
        Particles with sample and micrograph.
    needed : sequence of str
        Columns that need a finite value.
    size : str or None
        The one of them that also may not be zero: a particle without a size has no share of the volume.

    Returns
    -------
    DataFrame
        One row a micrograph with particles: sample, micrograph, rows, accepted, a column a reason, and "largest ..." of
        each needed column.

    Raises
    ------
    TableError
        If a row has no sample or micrograph, or a particle is there twice.
    """
    optional = [name for name in (FAILED, "label") if name in frame.columns]
    graph = over_partitions([frame], [*KEYS, *needed, *optional], _look_at, _together, list(needed), size)
    seen: pd.DataFrame = compute(graph)
    if "label" in optional:
        _refuse_across(frame, seen[seen["parts"] > 1])
    return seen.drop(columns="parts")


def _refuse_across(frame: Particles, apart: pd.DataFrame) -> None:
    """Refuse particles that are there in two partitions, among the micrographs whose rows lie in several."""
    if apart.empty:
        return
    held = frame[[*KEYS, "label"]]
    held = held[held["micrograph"].astype("str").isin(list(apart["micrograph"]))]
    _refuse_repeated(held if isinstance(held, pd.DataFrame) else held.compute())


def _refuse_repeated(rows: pd.DataFrame) -> None:
    twice = rows["label"].notna() & rows.duplicated([*KEYS, "label"])
    if twice.any():
        first = rows[twice].iloc[0]
        raise TableError(
            "particles", expected="each particle once (sample, micrograph and label)",
            got=f"{int(twice.sum())} again, first {str(first['label']).removesuffix('.0')} of micrograph {first['micrograph']!r}",
            remedy="Remove the copies; micrographs of one name in several files need a column that tells them apart.",
        )  # fmt: skip


def _look_at(rows: pd.DataFrame, needed: Sequence[str], size: str | None) -> pd.DataFrame:
    codes, pairs = number_pairs(rows)
    if (codes < 0).any():
        raise TableError(
            "particles", expected="a sample and a micrograph in every row", got=f"{int((codes < 0).sum())} without one",
            remedy="Fill those cells in, or remove the rows.",
        )  # fmt: skip
    if "label" in rows:
        _refuse_repeated(rows)
    found = {"rows": np.ones(len(rows), np.int64), "accepted": np.zeros(len(rows), np.int64)}
    left = np.ones(len(rows), bool)
    if FAILED in rows:
        bits = np.nan_to_num(numbers(rows[FAILED]), nan=-1.0)
        ours = (bits >= 0) & (bits < 2 ** len(REASONS)) & (rows[FAILED].dtype != bool)
        found["criteria"], left = ((bits != 0) & ~ours).astype(np.int64), bits == 0
        found |= {reason: np.where(ours, bits, 0).astype(np.int64) >> bit & 1 for bit, reason in enumerate(REASONS)}
    largest = {}
    fine = left.copy()
    for name in needed:
        values = numbers(rows[name])
        finite = np.isfinite(values)
        found[f"no {name}"] = (left & np.isnan(values)).astype(np.int64)
        found[f"infinite {name}"] = (left & np.isinf(values)).astype(np.int64)
        fine &= finite
        if name == size:
            found[f"zero {name}"] = (left & (values == 0)).astype(np.int64)
            fine &= values != 0
        largest[f"largest {name}"] = np.where(finite, np.abs(values), 0.0)
    found["accepted"] = fine.astype(np.int64)
    by = pd.Series(codes)
    summed = pd.DataFrame(found).groupby(by).sum().join(pd.DataFrame(largest).groupby(by).max())
    return pd.concat(
        [pairs.iloc[summed.index.to_numpy()].reset_index(drop=True), summed.reset_index(drop=True).assign(parts=1)],
        axis=1,
    )


def _together(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    whole = [name for name in parts[0].columns if not name.startswith("largest ")]
    most = [*KEYS, *(name for name in parts[0].columns if name.startswith("largest "))]
    highest = pd.concat([part[most] for part in parts]).groupby(list(KEYS), sort=True).max().reset_index()
    return add_rows([part[whole] for part in parts], KEYS).merge(highest, on=list(KEYS))


def usable(frame: Particles, needed: Sequence[str], size: str | None, more: Sequence[str] = ()) -> Particles:
    """Leave out, lazily, what `look` counted as not accepted; of more columns those that there are come along."""
    held = [name for name in (FAILED, *more) if name in frame.columns]
    wanted = list(dict.fromkeys([*KEYS, *needed, *held]))
    if isinstance(frame, pd.DataFrame):
        return _keep(frame[wanted], needed, size)
    kept: Particles = frame[wanted].map_partitions(_keep, list(needed), size, meta=frame._meta[wanted])
    return kept


def _keep(rows: pd.DataFrame, needed: Sequence[str], size: str | None) -> pd.DataFrame:
    fine = [np.isfinite(numbers(rows[name])) for name in needed]
    if FAILED in rows:
        fine.append(numbers(rows[FAILED]) == 0)
    if size is not None:
        fine.append(numbers(rows[size]) != 0)
    kept: pd.DataFrame = rows[functools.reduce(np.logical_and, fine)]
    return kept


def steps_of(seen: pd.DataFrame, needed: Sequence[str]) -> dict[str, Number]:
    """Choose the steps of columns that the schema cannot count: powers of two, for equal tables equal."""
    unknown = [name for name in needed if name not in PARTICLES or PARTICLES[name].quantum is None]
    unknown = [name for name in unknown if name != WEIGHT]
    most = {name: float(seen[f"largest {name}"].max()) for name in unknown}
    return {name: 2.0 ** np.ceil(np.log2(2 * (value or 1.0) / LARGEST_INTEGER)) for name, value in most.items()}


def counts_of(seen: pd.DataFrame, samples: Iterable[str], excluded: pd.DataFrame) -> pd.DataFrame:
    """Count by sample what `look` counted by micrograph: one row a sample, those without particles too.

    A particle may have several reasons; one that has none but lies on a micrograph of `excluded` counts under
    `on_excluded_micrographs`.
    """
    pairs = pd.MultiIndex.from_frame(excluded[list(KEYS)].astype("str"))
    on_excluded = seen["accepted"].where(pd.MultiIndex.from_frame(seen[list(KEYS)]).isin(pairs), 0)
    seen = seen.assign(accepted=seen["accepted"] - on_excluded, on_excluded_micrographs=on_excluded)
    whole = [name for name in seen.columns if name not in KEYS and not name.startswith("largest ")]
    by_sample = seen.groupby("sample")[whole].sum()
    counts = by_sample.reindex([str(name) for name in samples], fill_value=0).rename(columns={"rows": "detected"})
    return counts.rename_axis("sample").reset_index()
