"""The particles that stand for a sample or a size: those nearest to the median of all descriptors at once."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64

from nanocensus.errors import StatisticsError, TableError
from nanocensus.statistics.cells.bin_numbers import place_in_bins
from nanocensus.statistics.cells.partitions import Particles
from nanocensus.statistics.cells.quanta import Number, Quantum, quantum_of
from nanocensus.statistics.cells.rows import numbers, rows_of
from nanocensus.statistics.cells.size_bins import SizeBins
from nanocensus.statistics.estimation.binning import DESCRIPTORS
from nanocensus.store.particles.row_groups import check_columns

_PLACES = ["size_bin", "size_left", "size_right"]
_NORMAL = 1.4826
"""Standard deviations of a normal distribution in its median absolute deviation."""


def representatives(
    particles: Particles,
    *,
    of: Sequence[str] = DESCRIPTORS,
    bins: SizeBins | None = None,
    number: int = 1,
    scale: Mapping[str, Number] | None = None,
) -> pd.DataFrame:
    """Choose the particles nearest to the median of their sample, or of each of its size bins.

    Parameters
    ----------
    particles : pandas or dask DataFrame
        Accepted particles; the columns used are held in memory, a sample at a time.
    of : sequence of str
        The descriptors.
    bins : SizeBins, optional
        Size bins; whole samples if absent.
    number : int
        How many particles of each.
    scale : mapping of str to float, optional
        See `quantum_of`; of the binned column.

    Returns
    -------
    DataFrame
        One row a chosen particle: sample, size_bin (its centre), size_left, size_right (with bins), rank from 1, micrograph, label,
        `distance`, the descriptors, and `n`, the particles that it stands for. The distance is Euclid's, each descriptor in median
        absolute deviations (times 1.4826) of the whole sample; one without any spread does not count. Of equally near particles the
        first by micrograph and label is chosen.

    Raises
    ------
    TableError
        For absent columns, and missing or infinite values.
    StatisticsError
        If no particle is asked for, or there is none.

    Examples
    --------
    >>> rows = pd.DataFrame({"sample": "A", "micrograph": "x", "label": [1, 2, 3], "circularity": [0.7, 0.9, 0.91]})
    >>> representatives(rows, of=["circularity"])[["label", "rank", "n"]].values.tolist()
    [[2, 1, 3]]
    """
    if number < 1 or not of:
        raise StatisticsError(
            "representatives", expected="at least one particle and one descriptor", got=f"{number} by {len(of)}",
            remedy="Ask for one.",
        )  # fmt: skip
    sized = [] if bins is None else [bins.of]
    wanted = list(dict.fromkeys(["sample", "micrograph", "label", *of, *sized]))
    check_columns(wanted, particles.columns)
    frame = particles[wanted]
    names = frame["sample"].drop_duplicates()
    names = names if isinstance(names, pd.Series) else names.compute()
    if names.empty:
        raise StatisticsError(
            "representatives", expected="at least one particle", got="none", remedy="Check the criteria."
        )
    if names.isna().any():
        raise _incomplete("sample", int(frame["sample"].isna().sum()))
    quantum = None if bins is None else quantum_of(bins.of, scale)
    found = [_of_sample(frame[frame["sample"] == name], of, bins, quantum, number) for name in sorted(names)]
    return pd.concat(found, ignore_index=True)


def nearest(values: Float64[np.ndarray, "particle descriptor"], scale: Float64[np.ndarray, " descriptor"],
            number: Number) -> tuple[Int64[np.ndarray, " chosen"], Float64[np.ndarray, " chosen"]]:  # fmt: skip
    """Give the rows nearest to the median of all, nearest first, and their distances.

    Parameters
    ----------
    values : float64 array (particle, descriptor)
    scale : float64 array (descriptor,)
        What one is in each; 0 leaves a descriptor out.
    number : int
    """
    used = scale > 0
    away = (values[:, used] - np.median(values[:, used], axis=0)) / scale[used]
    distance = np.sqrt((away**2).sum(1))
    chosen = np.argsort(distance, kind="stable")[: int(number)]
    return chosen.astype(np.int64), np.asarray(distance[chosen])


def _of_sample(part: Particles, of: Sequence[str], bins: SizeBins | None, quantum: Quantum | None,
               number: int) -> pd.DataFrame:  # fmt: skip
    rows = part if isinstance(part, pd.DataFrame) else part.compute()
    rows = rows.sort_values(["micrograph", "label"], ignore_index=True, key=_by_name)
    for name in [*of, *([] if bins is None else [bins.of])]:
        if missing := int((~np.isfinite(numbers(rows[name]))).sum()):
            raise _incomplete(name, missing)
    values = np.column_stack([numbers(rows[name]) for name in of])
    scale = _NORMAL * np.median(np.abs(values - np.median(values, axis=0)), axis=0)
    if bins is None or quantum is None:
        chosen, distance = nearest(values, scale, number)
        return _table(rows, of, chosen, distance).assign(n=len(rows))
    grid = bins.grid(quantum)
    places = place_in_bins(rows_of(rows[[bins.of]]), quantum, grid).astype(np.int64)
    parts = []
    for place in np.unique(places[places >= 0]):
        here = np.flatnonzero(places == place)
        chosen, distance = nearest(values[here], scale, number)
        bounds = bins.bounds(np.array([place + grid.first]))
        table = _table(rows, of, here[chosen], distance).assign(n=len(here))
        ends = dict(zip(_PLACES, (float(bounds.centre[0]), float(bounds.left[0]), float(bounds.right[0])), strict=True))
        parts.append(table.assign(**ends))
    ordered = ["sample", *_PLACES, "rank", "micrograph", "label", "distance", *of, "n"]
    return pd.concat(parts, ignore_index=True)[ordered] if parts else pd.DataFrame(columns=ordered)


def _by_name(column: pd.Series) -> pd.Series:
    """Let categories be sorted by their names, not by the order that a reader gave them."""
    return column.astype("str") if isinstance(column.dtype, pd.CategoricalDtype) else column


def _table(rows: pd.DataFrame, of: Sequence[str], chosen: np.ndarray, distance: np.ndarray) -> pd.DataFrame:
    table = rows.iloc[chosen][["sample", "micrograph", "label", *of]].reset_index(drop=True)
    table.insert(1, "rank", np.arange(1, len(chosen) + 1))
    table.insert(4, "distance", distance)
    return table


def _incomplete(column: str, missing: int) -> TableError:
    return TableError(
        f"column {column!r}", expected="a finite value in every row", got=f"{missing} without one",
        remedy="Drop those particles, or leave the column out.",
    )  # fmt: skip
