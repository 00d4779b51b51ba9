"""Summing over the partitions of the particles, in any order, as a dask graph."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import dask.dataframe as dd
import numpy as np
import pandas as pd
from dask.delayed import Delayed, delayed
from jaxtyping import Float64, Int64

from nanocensus.errors import TableError

Particles = pd.DataFrame | dd.DataFrame
"""Rows of particles: in memory, or a dask DataFrame whose partitions are visited one by one."""
Part = TypeVar("Part")

FAN_IN = 16
"""Parts added up by one task; more would hold more of them in memory, fewer would add some of them more often."""


def over_partitions(
    frames: Sequence[Particles],
    columns: Sequence[str],
    chunk: Callable[..., Part],
    combine: Callable[[Sequence[Part]], Part],
    *arguments: Any,  # noqa: ANN401  whatever the chunk takes; a Delayed is computed before
) -> Delayed:
    """Build the graph of a tree of additions; nothing is computed.

    Parameters
    ----------
    frames : sequence of DataFrame
        Their rows together are the particles.
    columns : sequence of str
        The columns that `chunk` reads; others are not loaded.
    chunk : callable
        Called as chunk(partition, *arguments) -> part.
    combine : callable
        Adds a list of parts; must be associative and commutative.
    *arguments
        Passed to every chunk; shared in the graph.

    Returns
    -------
    Delayed
        The combined part.

    Raises
    ------
    TableError
        If a frame lacks one of the columns.
    """
    wanted = list(dict.fromkeys(columns))
    for frame in frames:
        missing = [name for name in wanted if name not in frame.columns]
        if missing:
            raise TableError(
                "particles", expected="the columns " + ", ".join(wanted), got="none named " + ", ".join(missing),
                remedy="Rename or add the columns; docs/reference/columns.md lists them.",
            )  # fmt: skip
    shared = [argument if isinstance(argument, Delayed) else delayed(argument, pure=False) for argument in arguments]
    visit = delayed(chunk, pure=False)
    return tree_of_sums(
        [visit(partition, *shared) for frame in frames for partition in _pieces(frame[wanted])], combine
    )


def tree_of_sums(parts: Sequence[Any], combine: Callable[[Sequence[Part]], Part]) -> Delayed:
    """Build the graph that adds parts, a few at a time, so that few are in memory; nothing is computed.

    Parameters
    ----------
    parts : sequence of Delayed, or of containers of them
        At least one.
    combine : callable
        Adds a list of parts; must be associative and commutative.
    """
    add, level = delayed(combine, pure=False), list(parts)
    while True:
        level = [add(level[start : start + FAN_IN]) for start in range(0, len(level), FAN_IN)]
        if len(level) == 1:
            root: Delayed = level[0]
            return root


def compute(graph: Delayed) -> Any:  # noqa: ANN401  whatever the graph makes
    """Compute a graph with the scheduler or client that is set."""
    return graph.compute()


def _pieces(frame: Particles) -> list[Delayed]:
    if isinstance(frame, pd.DataFrame):
        return [delayed(frame, pure=False)]
    return list(frame.to_delayed())


def add_rows(tables: Sequence[pd.DataFrame], keys: Sequence[str]) -> pd.DataFrame:
    """Add integer columns over equal keys; rows come out sorted by the keys.

    Examples
    --------
    >>> part = pd.DataFrame({"step": [3, 1], "w": [1, 2]})
    >>> add_rows([part, part], ["step"]).to_dict("list")
    {'step': [1, 3], 'w': [4, 2]}
    """
    return pd.concat(tables, ignore_index=True).groupby(list(keys), sort=True).sum().reset_index()


def numbers(column: pd.Series) -> Float64[np.ndarray, " row"]:
    """Give a column as float64, missing values as NaN, whatever library holds it.

    Raises
    ------
    TableError
        If it holds no numbers.
    """
    try:
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise TableError(
            f"column {column.name!r}", expected="numbers", got=str(column.dtype), remedy="Convert it to float64."
        ) from None


def number_pairs(frame: pd.DataFrame) -> tuple[Int64[np.ndarray, " row"], pd.DataFrame]:
    """Give numbers to the (sample, micrograph) pairs of rows.

    Returns
    -------
    codes : int64 array
        A number per row; -1 where an identity is missing.
    pairs : DataFrame
        Columns sample and micrograph (text); row i is pair i.
    """
    sample, samples = pd.factorize(frame["sample"])
    micrograph, micrographs = pd.factorize(frame["micrograph"])
    both = sample.astype(np.int64) * max(len(micrographs), 1) + micrograph
    both[(sample < 0) | (micrograph < 0)] = -1
    codes, found = pd.factorize(pd.Series(both).where(both >= 0))
    numbered = np.asarray(found, np.int64)
    pairs = {
        "sample": pd.Index(samples).astype(str).to_numpy(object)[numbered // max(len(micrographs), 1)],
        "micrograph": pd.Index(micrographs).astype(str).to_numpy(object)[numbered % max(len(micrographs), 1)],
    }
    return codes.astype(np.int64), pd.DataFrame(pairs, dtype="str")
