"""Summing over the partitions of the particles, in any order, as a dask graph."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import dask.dataframe as dd
import pandas as pd
from dask.delayed import Delayed, delayed

from nanocensus.store.particles.row_groups import ParquetParticles, RowGroups, check_columns, open_particles

Particles = pd.DataFrame | dd.DataFrame
"""Rows of particles: in memory, or a dask DataFrame whose partitions are visited one by one."""
ParticleSource = Particles | ParquetParticles | str | os.PathLike[str]
"""Particles, or where they lie in Parquet files (a path, or what `open_particles` gives): a few row groups of them are
visited at a time."""
Part = TypeVar("Part")

FAN_IN = 16
"""Parts added up by one task; more would hold more of them in memory, fewer would add some of them more often."""


def over_partitions(
    frames: Sequence[ParticleSource],
    columns: Sequence[str],
    chunk: Callable[..., Part],
    combine: Callable[[Sequence[Part]], Part],
    *arguments: Any,  # noqa: ANN401  whatever the chunk takes; a Delayed is computed before
) -> Delayed:
    """Build the graph of a tree of additions; nothing is computed.

    Parameters
    ----------
    frames : sequence of DataFrame, ParquetParticles or path
        Their rows together are the particles.
    columns : sequence of str
        The columns that `chunk` reads; others are not loaded.
    chunk : callable
        Called as chunk(partition, *arguments) -> part; a partition is a pandas DataFrame, or an Arrow table of the rows
        that are read at once.
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
    sources = [opened(frame) for frame in frames]
    for source in sources:
        check_columns(wanted, source.columns)
    shared = [argument if isinstance(argument, Delayed) else delayed(argument, pure=False) for argument in arguments]
    visit = delayed(partial(_visit, columns=wanted, chunk=chunk, combine=combine), pure=False)
    parts = [visit(piece, *shared) for source in sources for piece in _pieces(source, wanted)]
    return tree_of_sums(parts, combine)


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


def opened(particles: ParticleSource) -> Particles | ParquetParticles:
    """Give a DataFrame as it is, and open what lies at a path.

    Raises
    ------
    TableError, StoreError
        As `open_particles`.
    """
    return open_particles(particles) if isinstance(particles, str | os.PathLike) else particles


def as_frame(particles: ParticleSource) -> Particles:
    """Give particles as a DataFrame, a dask one where they lie in files."""
    source = opened(particles)
    return source.frame() if isinstance(source, ParquetParticles) else source


def _pieces(source: Particles | ParquetParticles, columns: Sequence[str]) -> list[Any]:
    if isinstance(source, ParquetParticles):
        # Dask need not look for other tasks in them.
        return [delayed(piece, traverse=False) for piece in source.pieces] or [pd.DataFrame(columns=list(columns))]
    if isinstance(source, pd.DataFrame):
        return [delayed(source[columns], pure=False)]
    return list(source[columns].to_delayed())


def _visit(piece: pd.DataFrame | RowGroups, *arguments: object, columns: Sequence[str], chunk: Callable[..., Part],
           combine: Callable[[Sequence[Part]], Part]) -> Part:  # fmt: skip
    """Take the part of one piece, adding up those of its batches."""
    if isinstance(piece, pd.DataFrame):
        return chunk(piece, *arguments)
    parts = [chunk(batch, *arguments) for batch in piece.batches(columns)]
    return combine(parts)


def add_rows(tables: Sequence[pd.DataFrame], keys: Sequence[str]) -> pd.DataFrame:
    """Add integer columns over equal keys; rows come out sorted by the keys.

    Examples
    --------
    >>> part = pd.DataFrame({"step": [3, 1], "w": [1, 2]})
    >>> add_rows([part, part], ["step"]).to_dict("list")
    {'step': [1, 3], 'w': [4, 2]}
    """
    return pd.concat(tables, ignore_index=True).groupby(list(keys), sort=True).sum().reset_index()
