"""All cells in the order of sample, micrograph and bin: one micrograph after another, wherever its run lies.

Blocks are not copied to be put in order. What reads cells adds them up run by run, or takes one column at a time.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Bool, Int, Int32, Int64

from nanocensus.statistics.cells import _kernels
from nanocensus.statistics.cells._kernels import UNIT_BITS
from nanocensus.statistics.cells.names import Pairs, numbered, one_after_another
from nanocensus.statistics.cells.size_bins import OUTSIDE
from nanocensus.statistics.cells.sums import Block, added, carry, in_limbs, limbs_of

KEYS = ("sample", "micrograph", "size_bin")


@dataclass(frozen=True, eq=False)
class OrderedCells:
    """The cells of all micrographs; make them with `ordered`."""

    names: Pairs
    """Sample and micrograph, sorted."""
    blocks: tuple[Block, ...]
    """All in limbs, or none."""
    numbers: tuple[Int64[np.ndarray, " _"], ...]
    """The place among the names of each block's runs; -1 of those that were added up in another block."""

    @cached_property
    def lengths(self) -> Int64[np.ndarray, " micrograph"]:
        """Number of cells of each micrograph."""
        made = np.zeros(self.names.n, np.int64)
        for block, own in zip(self.blocks, self.numbers, strict=True):
            made[own[own >= 0]] = block.lengths[own >= 0]
        return made

    @cached_property
    def _pieces(self) -> list[tuple[Block, slice]]:
        """The cells in order: which of which block."""
        number = np.concatenate(self.numbers)
        owner = np.repeat(np.arange(len(self.blocks)), [len(own) for own in self.numbers])
        run = np.concatenate([np.arange(len(own)) for own in self.numbers])
        order = np.argsort(number, kind="stable")[np.count_nonzero(number < 0) :]
        owner, run = owner[order], run[order]
        starts = np.flatnonzero((np.diff(owner, prepend=-1) != 0) | (np.diff(run, prepend=-1) != 1))
        pieces = []
        for start, stop in pairwise([*starts.tolist(), len(order)]):
            block = self.blocks[owner[start]]
            pieces.append((block, slice(int(block.borders[run[start]]), int(block.borders[run[stop - 1] + 1]))))
        return pieces

    @property
    def bins(self) -> Int32[np.ndarray, " cell"]:
        """Number of the bin of each cell, or OUTSIDE."""
        return np.concatenate([np.empty(0, np.int32), *(block.bins[cells] for block, cells in self._pieces)])

    @property
    def bin_range(self) -> range:
        """The numbers of bins from the lowest to the highest that holds particles."""
        inside = [block.bins[block.bins != OUTSIDE] for block in self.blocks]
        ends = [(int(bins.min()), int(bins.max())) for bins in inside if len(bins)]
        return range(min(low for low, _ in ends), max(high for _, high in ends) + 1) if ends else range(0)

    def columns(self) -> Iterator[Int64[np.ndarray, " cell"]]:
        """Give number, weight and the limbs of every sum, one after the other."""
        count = len(self.blocks[0].sums)
        none = np.empty(0, np.int32)
        whole = (np.concatenate([none, *(block.sums[at][cells] for block, cells in self._pieces)])
                 for at in range(count))  # fmt: skip
        yield from whole if self.blocks[0].in_limbs else limbs_of(whole, count)

    def runs(self) -> list[Block]:
        """Give the blocks without what was added up in others."""
        return [_chosen(block, own >= 0) for block, own in zip(self.blocks, self.numbers, strict=True)]

    def renumbered(self, number: Callable[[Int32[np.ndarray, " cell"]], Int[np.ndarray, " cell"]]) -> "OrderedCells":
        """Give the same cells, whose bins have other numbers in the same order."""
        blocks = (block._replace(bins=number(block.bins).astype(np.int32)) for block in self.blocks)
        return replace(self, blocks=tuple(blocks))

    def rebinned(self, number: Callable[[Int32[np.ndarray, " cell"]], Int[np.ndarray, " cell"]]) -> "OrderedCells":
        """Give the cells of other bins, several of which may become one, by the numbers of theirs."""
        blocks = [block._replace(bins=number(block.bins).astype(np.int32)) for block in self.runs()]
        return ordered([added(blocks)], (len(self.blocks[0].sums) - 1) // 2)

    def table(self, names: Sequence[str]) -> pd.DataFrame:
        """Lay them out: sample and micrograph as categories, size_bin, and the sums under their names."""
        made: dict[str, object] = {}
        for key, texts in zip(KEYS, self.names, strict=False):
            codes, values = pd.factorize(texts.to_pandas(), sort=True)
            codes = np.repeat(codes.astype(np.int32), self.lengths)
            made[key] = pd.Categorical.from_codes(codes, pd.Index(values, dtype="str"))
        made["size_bin"] = self.bins.astype(np.int64)
        return pd.DataFrame(made | dict(zip(names, self.columns(), strict=True)), copy=False)

    def digest(self) -> str:
        """Give the SHA-256 of keys and sums."""
        state = hashlib.sha256(repr([texts.to_pylist() for texts in self.names]).encode())
        for column in (self.lengths, self.bins.astype(np.int64), *self.columns()):
            state.update(column.tobytes())
        return state.hexdigest()

    def add_up(
        self, rows: Int64[np.ndarray, " micrograph"], n_rows: int, bins: range
    ) -> Int64[np.ndarray, "sum row bin"]:
        """Add up the cells of micrographs.

        Parameters
        ----------
        rows : int64 array (micrograph,)
            Where each is added; those at -1 are left out.
        n_rows : int
        bins : range
            Numbers of the bins, which lie among them or are OUTSIDE.

        Returns
        -------
        int64 array (sum, row, 1 + bin)
            Number, weight and limbs, of what lies outside and then of each bin.
        """
        block = self.blocks[0]
        width = len(block.sums) if block.in_limbs else len(list(limbs_of(block.sums, len(block.sums))))
        totals = np.zeros((width, n_rows, 1 + len(bins)), np.int64)
        flat = totals.reshape(width, -1)
        for block, own in zip(self.blocks, self.numbers, strict=True):
            wanted = np.where(own >= 0, rows[own], -1)
            runs = np.flatnonzero(wanted >= 0)
            if len(runs):
                where = (runs, wanted[runs] * totals.shape[2], block.borders, block.bins, bins.start)
                _add_block(block, where, flat)
        carry(flat)
        return totals


def _add_block(block: Block, where: tuple[object, ...], totals: Int64[np.ndarray, "sum row"]) -> None:
    n, *others = block.sums
    _kernels.add_runs(*where, n, 0, totals[0])
    if block.in_limbs:
        for values, total in zip(others, totals[1:], strict=True):
            _kernels.add_runs(*where, values, 0, total)
        return
    weighted = len(others) % 2 == 1
    shift = 0 if weighted else UNIT_BITS
    _kernels.add_runs(*where, others[0] if weighted else n, shift, totals[1])
    for at, values in enumerate(others[1:] if weighted else others):
        _kernels.add_runs_in_limbs(*where, values, shift, totals[2 + 2 * at], totals[3 + 2 * at])


def ordered(blocks: Sequence[Block], n_columns: int) -> OrderedCells:
    """Add up the micrographs that have several runs, and put all in order.

    Parameters
    ----------
    blocks : sequence of Block
    n_columns : int
        Number of columns whose sums are held.
    """
    names, number = numbered(one_after_another([block.names for block in blocks]))
    borders = np.cumsum([block.names.n for block in blocks])
    numbers = np.split(number, borders)[: len(blocks)]
    repeated = np.bincount(number) > 1
    parts = [_chosen(block, repeated[own]) for block, own in zip(blocks, numbers, strict=True) if repeated[own].any()]
    numbers = [np.where(repeated[own], -1, own) for own in numbers]
    kept = [place for place, own in enumerate(numbers) if (own >= 0).any()]
    made, places = [blocks[place] for place in kept], [numbers[place] for place in kept]
    if repeated.any():
        made.append(added(parts))
        places.append(np.flatnonzero(repeated))
    if not made:
        nothing = np.empty(0, np.int32)
        made, places = [Block(names, np.zeros(1, np.int64), nothing, (nothing,) * (1 + 2 * n_columns))], [number]
    if any(block.in_limbs for block in made):
        made = [in_limbs(block) for block in made]
    return OrderedCells(names, tuple(made), tuple(places))


def _chosen(block: Block, runs: Bool[np.ndarray, " run"]) -> Block:
    """Give some runs of a block."""
    if runs.all():
        return block
    cells, lengths = np.flatnonzero(np.repeat(runs, block.lengths)), block.lengths[runs]
    return block._replace(
        names=block.names.take(np.flatnonzero(runs)), borders=np.cumsum([0, *lengths]), bins=block.bins[cells],
        sums=tuple(values[cells] for values in block.sums),
    )  # fmt: skip


def of_table(table: pd.DataFrame, names: Sequence[str]) -> Block:
    """Take a table of cells, sorted by its keys, for a block again."""
    codes = [pd.factorize(table[key])[0] for key in KEYS[:2]]
    starts = np.flatnonzero((np.diff(codes[0], prepend=-1) != 0) | (np.diff(codes[1], prepend=-1) != 0))
    texts = (pa.array(table[key].iloc[starts].astype("str"), pa.string()) for key in KEYS[:2])
    sums = tuple(table[name].to_numpy(np.int64) for name in names)
    return Block(Pairs(*texts), np.append(starts, len(table)), table["size_bin"].to_numpy(np.int32), sums, True)
