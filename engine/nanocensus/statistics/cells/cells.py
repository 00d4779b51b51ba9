"""Cells: integer sums per (sample, micrograph, size bin), the material of every statistic.

Integer sums can be added in any order, over any partitioning, on any machine, to the same bytes; floating-point sums
cannot. The micrograph stays in the key, since it (or its group or session) is the unit that was drawn at random.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from dask.delayed import Delayed, delayed

from nanocensus.errors import StatisticsError, TableError
from nanocensus.statistics.cells import saved as cell_store
from nanocensus.statistics.cells.bin_numbers import Axis, Numbering, numbered_through
from nanocensus.statistics.cells.known_micrographs import kept_micrographs, sorted_micrographs
from nanocensus.statistics.cells.ordered import OrderedCells, ordered
from nanocensus.statistics.cells.partitions import ParticleSource, compute, opened, over_partitions
from nanocensus.statistics.cells.quanta import Number, quantum_of
from nanocensus.statistics.cells.recipe import Recipe, check_seen, sum_cells
from nanocensus.statistics.cells.size_bins import OUTSIDE, SizeBins, size_bins
from nanocensus.statistics.cells.step_histograms import quantile_bins
from nanocensus.statistics.cells.sums import CellSums, add_cells

__all__ = ["Cells", "SizeBins", "cells", "delayed_cells", "size_bins"]


@dataclass(frozen=True, eq=False)
class Cells:
    """Additive sums per (sample, micrograph, size bin); make them with `cells`."""

    sums: OrderedCells = field(repr=False)
    """The sums of each cell that holds particles."""
    micrographs: pd.DataFrame
    """One row a micrograph, sorted, those without particles too: sample, micrograph, and what groups them."""
    by: tuple[str, ...]
    """The keys of a result, besides the size bin."""
    recipe: Recipe
    """Columns, bins and weight."""
    particles: tuple[ParticleSource, ...] = field(default=(), repr=False)
    """Where the particles came from, for the pass over values that quantiles need; not saved."""

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a cell that holds particles, sorted: sample, micrograph, size_bin, then the integer sums.

        These are n, w (weights in quanta of 2^-10) and, per column, sum w q and sum w q^2 in two limbs each. The table is
        made when it is first asked for, and takes two to three times the memory of `sums`. Of a second column that is
        binned, the bins are called by its name (circularity_bin).
        """
        return self._of_each_column(self.sums.table(self.recipe.sums))

    @property
    def digest(self) -> str:
        """SHA-256 of the sums and their keys: equal particles give equal digests, however they came."""
        facts = [(name, self.micrographs[name].tolist()) for name in self.micrographs.columns]
        return hashlib.sha256(repr((self.by, self.recipe, self.sums.digest(), facts)).encode()).hexdigest()

    @property
    def n_outside(self) -> int:
        """Number of particles in no bin."""
        return int(self.sums.add_up(np.zeros(self.sums.names.n, np.int64), 1, self.sums.bin_range)[0, 0, 0])

    def totals(self) -> pd.DataFrame:
        """Add up the micrographs of each sample: one row a sample and bin that hold particles, sorted.

        Returns
        -------
        DataFrame
            sample, the bins, and the integer sums as in `table`.
        """
        sample, samples = pd.factorize(self.sums.names.sample.to_pandas(), sort=True)
        bins = self.sums.bin_range
        sums = self.sums.add_up(sample, len(samples), bins)
        at = np.nonzero(sums[0])
        made = {"sample": pd.Series(samples[at[0]], dtype="str"), "size_bin": np.array([OUTSIDE, *bins])[at[1]]}
        whole = made | {name: values[at] for name, values in zip(self.recipe.sums, sums, strict=True)}
        return self._of_each_column(pd.DataFrame(whole))

    def _of_each_column(self, table: pd.DataFrame) -> pd.DataFrame:
        """Tell the numbers of bins of a second column from those of the first, in a table of both together."""
        axes = self.recipe.axes
        parts = numbered_through(axes).apart(table["size_bin"].to_numpy())
        for axis, part in zip(axes[1:], parts[1:], strict=True):
            table["size_bin"] = parts[0]
            table.insert(list(table.columns).index("size_bin") + 1, f"{axis.name}_bin", part)
        return table

    def __add__(self, other: "Cells") -> "Cells":
        """Add the cells of other particles, of the same micrographs or others.

        Raises
        ------
        StatisticsError
            If the two do not hold the same sums in the same bins.
        TableError
            If they say different things about a micrograph.
        """
        if (self.by, self.recipe) != (other.by, other.recipe):
            raise StatisticsError(
                "sum of cells", expected="equal keys, columns, bins and weights", got="different ones",
                remedy="Build both with the same arguments of cells().",
            )  # fmt: skip
        both = pd.concat([self.micrographs, other.micrographs]).drop_duplicates()
        whole = ordered([*self.sums.runs(), *other.sums.runs()], len(self.recipe.quanta))
        # Half of the particles would give quantiles of that half: then rather none.
        frames = self.particles + other.particles if self.particles and other.particles else ()
        return replace(self, sums=whole, micrographs=sorted_micrographs(both), particles=frames)

    def of_all_sizes(self) -> "Cells":
        """Add up the size bins, and what lies in none: the cells that were not cut by size, without another pass."""
        recipe = replace(self.recipe, axes=())
        return replace(self, sums=self.sums.rebinned(np.zeros_like), recipe=recipe)

    def in_bins(self, bins: SizeBins, number: Callable[[np.ndarray], np.ndarray]) -> "Cells":
        """Add up bins of the same column into wider ones.

        Parameters
        ----------
        bins : SizeBins
            The wider ones.
        number : callable
            Gives the numbers of the wider bins that bins (int32 array) are parts of; what lies outside stays there.

        Raises
        ------
        StatisticsError
            If two columns are binned.
        """
        if self.recipe.bins is None:
            return self

        def wider(held: np.ndarray) -> np.ndarray:
            return np.where(held == OUTSIDE, OUTSIDE, number(held))

        axes = tuple(axis._replace(bins=bins) for axis in self.recipe.axes)
        return replace(self, sums=self.sums.rebinned(wider), recipe=replace(self.recipe, axes=axes))

    def save(self, path: Path) -> None:
        """Write them as a Zarr group (version 3), replacing what is there."""
        cell_store.write(path, self.sums, self.micrographs, self.by, self.recipe)

    @classmethod
    def open(cls, path: Path) -> "Cells":
        """Read saved cells; without particles, so quantiles need them given to `estimate`.

        Raises
        ------
        StoreError
            If there are no cells, or a newer nanocensus wrote them.
        """
        return cls(*cell_store.read(path))


def cells(particles: ParticleSource, micrographs: pd.DataFrame | None = None, *, by: Sequence[str | SizeBins],
          of: Sequence[str], weight: str | None = "border_weight",
          scale: Mapping[str, Number] | None = None) -> Cells:  # fmt: skip
    """Sum particles into cells: one pass, or two if bins lie at quantiles.

    Parameters
    ----------
    particles : pandas or dask DataFrame, path, or ParquetParticles
        Columns sample, micrograph, those of `of`, of the bins and the weight. Every row counts: apply criteria
        before. Of a Parquet file, a folder of them or a results folder only these columns are read, some row groups at
        a time, and with `open_particles` only rows that pass filters.
    micrographs : DataFrame, optional
        One row a micrograph: sample, micrograph, and group, session, order, conditions where known. Of a table with a
        `status` those that are "done" count, also those without particles, and of one with `excluded` those that are
        not. Without the table, the micrographs are those of the particles.
    by : sequence of str or SizeBins
        Keys of the results: "sample", "session", a condition (columns of `micrographs`), and one SizeBins, or two of
        different columns.
    of : sequence of str
        Columns whose moments are kept.
    weight : str or None
        Column of weights (0 to 64), or None to count each particle once.
    scale : mapping of str to float, optional
        Quantum of columns that the schema does not know (see `quantum_of`).

    Returns
    -------
    Cells

    Raises
    ------
    TableError
        For absent columns, missing values, values out of the declared range, or contradictory micrographs.
    StatisticsError
        For particles without a weight, or bins that make no sense.

    Examples
    --------
    >>> rows = pd.DataFrame({"sample": "A", "micrograph": ["x", "x", "y"], "edge_length_nm": [4.2, 4.3, 4.4]})
    >>> made = cells(rows, by=["sample", size_bins(0.2)], of=["edge_length_nm"], weight=None)
    >>> made.table[["micrograph", "size_bin", "n"]].to_dict("list")
    {'micrograph': ['x', 'y'], 'size_bin': [21, 22], 'n': [2, 1]}
    """
    particles = opened(particles)
    made: Cells = compute(delayed_cells(particles, micrographs, by=by, of=of, weight=weight, scale=scale))
    return replace(made, particles=(particles,))


def cells_by_sample(particles: ParticleSource | Cells, micrographs: pd.DataFrame | None, of: Sequence[str],
                    weight: str | None) -> Cells:  # fmt: skip
    """Give cells of samples, all sizes together: of particles, or those given.

    Raises
    ------
    StatisticsError
        If the cells given are by other keys, lack a column, or are binned by two columns.
    """
    if not isinstance(particles, Cells):
        return cells(particles, micrographs, by=["sample"], of=of, weight=weight)
    held = [quantum.column for quantum in particles.recipe.quanta]
    if particles.by != ("sample",) or not set(of) <= set(held):
        raise StatisticsError(
            "cells", expected="by sample, of " + ", ".join(of),
            got=f"by {', '.join(particles.by) or 'no key'}, of {', '.join(held)}",
            remedy='Build them with cells(by=["sample"], of=[...]), or give the particles.',
        )  # fmt: skip
    return particles if particles.recipe.bins is None else particles.of_all_sizes()


def delayed_cells(particles: ParticleSource, micrographs: pd.DataFrame | None = None, *, by: Sequence[str | SizeBins],
                  of: Sequence[str], weight: str | None = "border_weight",
                  scale: Mapping[str, Number] | None = None) -> Delayed:  # fmt: skip
    """Build the graph whose result is `cells(...)`, without the particles; nothing is computed.

    Parameters and errors are those of `cells`; errors in values are raised when the graph is computed.
    """
    bins = [key for key in by if isinstance(key, SizeBins)]
    if len(bins) > 2 or len({one.of for one in bins}) < len(bins):
        raise StatisticsError(
            "by", expected="at most two SizeBins, of different columns", got=", ".join(one.of for one in bins),
            remedy="Bin two columns at a time.",
        )  # fmt: skip
    keys = tuple(key for key in by if isinstance(key, str))
    kept = None if micrographs is None else kept_micrographs(micrographs, keys)
    if kept is None and set(keys) - {"sample", "micrograph"}:
        raise TableError(
            "by", expected="sample or micrograph, where there is no table of micrographs", got=", ".join(keys),
            remedy="Give the table of micrographs that holds these columns.",
        )  # fmt: skip
    names = ["size", *(one.of for one in bins[1:])]
    axes = tuple(Axis(one, quantum_of(one.of, scale), name) for one, name in zip(bins, names, strict=False))
    columns = tuple(quantum_of(column, scale) for column in dict.fromkeys(of))
    recipe = Recipe(columns, axes, weight)
    final: Recipe | Delayed = recipe
    numbering: Numbering | Delayed
    if any(axis.bins.quantiles for axis in axes):
        found = [quantile_bins([particles], axis, recipe) if axis.bins.quantiles else axis for axis in axes]
        final = delayed(_with_axes, pure=False)(recipe, found)
        numbering = delayed(numbered_through, pure=False)(found)
    else:
        numbering = numbered_through(axes)
    sums = over_partitions([particles], recipe.columns, sum_cells, add_cells, recipe, numbering)
    made: Delayed = delayed(finish, pure=False)(sums, final, kept, keys)
    return made


def _with_axes(recipe: Recipe, axes: Sequence[Axis]) -> Recipe:
    return replace(recipe, axes=tuple(axes))


def finish(sums: CellSums, recipe: Recipe, micrographs: pd.DataFrame | None, by: tuple[str, ...]) -> Cells:
    """Make cells of their sums and their micrographs, once all particles have been seen."""
    check_seen(sums.seen, recipe)
    whole = ordered(sums.blocks, len(recipe.quanta))
    pairs = whole.names.frame()
    if micrographs is None:
        return Cells(whole, pairs, by, recipe)
    known = pd.MultiIndex.from_frame(micrographs[["sample", "micrograph"]])
    strange = pairs[~pd.MultiIndex.from_frame(pairs).isin(known)]
    if len(strange):
        first = strange.iloc[0]
        raise TableError(
            "particles", expected="particles of micrographs in the table (status done, not excluded)",
            got=f"{len(strange)} other micrographs, first {first['micrograph']!r} of sample {first['sample']!r}",
            remedy="Give the micrographs table of the same run, or leave it out; of excluded ones, drop its column excluded.",
        )  # fmt: skip
    return Cells(whole, micrographs, by, recipe)
