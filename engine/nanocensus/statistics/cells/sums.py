"""Sums per cell as arrays: what partitions give, and how they are added, in any order.

Cells lie in runs: those of one micrograph, in the order of their bins. A block is many runs, a column of integers a sum.
The same micrograph may have several runs, in one block or in several, until `cells.ordered.ordered` adds them up.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Int32, Int64

from nanocensus.statistics.cells import _kernels
from nanocensus.statistics.cells._kernels import LIMB_BITS, UNIT_BITS
from nanocensus.statistics.cells.names import Pairs, count_different, numbered, one_after_another
from nanocensus.statistics.cells.size_bins import OUTSIDE

_MOST_REPEATED = 1.5
"""Runs a micrograph, above which they are added up."""
_SMALL = 2**13
"""Cells up to which blocks are put into one; larger ones are not copied, what each costs is little beside its cells."""
EXACT = 2**62
"""What sums of w q^2 stay below while they are single integers; |sum w q| is never larger, since q is whole."""


class Seen(NamedTuple):
    """What one column of the particles was seen to hold."""

    missing: int
    lowest: float
    highest: float


class Block(NamedTuple):
    """Runs of cells."""

    names: Pairs
    """Sample and micrograph of each run."""
    borders: Int64[np.ndarray, " border"]
    """Cells of run i are borders[i]:borders[i + 1]; there is one at least."""
    bins: Int32[np.ndarray, " cell"]
    """Number of the bin, or OUTSIDE."""
    sums: tuple[Int[np.ndarray, " _"], ...]
    """The number of particles, their weight in quanta (unless each counts 1), then sum w q and sum w q^2 of every column.
    In limbs there are always number and weight, and every other sum is two columns: the low 32 bits, and the rest."""
    in_limbs: bool = False

    @property
    def lengths(self) -> Int64[np.ndarray, " run"]:
        """Number of cells of each run."""
        return np.diff(self.borders)


class CellSums(NamedTuple):
    """A part of the cells, and what was seen on the way."""

    blocks: tuple[Block, ...]
    """Large blocks of different micrographs stay apart: they are copied once, when a table is made."""
    seen: dict[str, Seen]


def add_cells(parts: Sequence[CellSums]) -> CellSums:
    """Add parts, in any order."""
    blocks = [block for part in parts for block in part.blocks]
    if len(blocks) > 1:
        names = one_after_another([block.names for block in blocks])
        repeated = names.n > _MOST_REPEATED * count_different(names)
        blocks = [added(blocks)] if repeated else list(_small_together(blocks))
    return CellSums(tuple(blocks), add_seen([part.seen for part in parts]))


def added(blocks: Sequence[Block]) -> Block:
    """Add up the cells of each micrograph: one run of each, in the order of sample and micrograph.

    Parameters
    ----------
    blocks : sequence of Block
        At least one, all with or all without weights unless they are in limbs.
    """
    names, number = numbered(one_after_another([block.names for block in blocks]))
    runs = np.repeat(number, np.concatenate([block.lengths for block in blocks]))
    bins = np.concatenate([block.bins for block in blocks])
    found, place = _numbered((runs << LIMB_BITS) | (bins.astype(np.int64) - OUTSIDE))
    largest = max((int(values.max()) for block in blocks for values in block.sums if len(values)), default=0)
    limbs = any(block.in_limbs for block in blocks) or largest * int(np.bincount(place).max(initial=0)) >= EXACT
    parts = [in_limbs(block) for block in blocks] if limbs else blocks
    sums = [np.zeros(len(found), np.int64) for _ in parts[0].sums]
    start = 0
    for part in parts:
        here = place[start : start + len(part.bins)]
        for values, total in zip(part.sums, sums, strict=True):
            _kernels.add_at(here, values, total)
        start += len(part.bins)
    if limbs:
        carry(sums)
    borders = np.searchsorted(found >> LIMB_BITS, np.arange(names.n + 1))
    kept = tuple(sums) if limbs else tuple(map(narrow, sums))
    return Block(names, borders, ((found & (2**LIMB_BITS - 1)) + OUTSIDE).astype(np.int32), kept, limbs)


def _numbered(keys: Int64[np.ndarray, " row"]) -> tuple[Int64[np.ndarray, " cell"], Int64[np.ndarray, " row"]]:
    """Give the sorted different keys, and each key's place among them."""
    if (keys[1:] < keys[:-1]).any():
        found, number = np.unique(keys, return_inverse=True)
        return found, number
    new = np.diff(keys, prepend=-1) > 0
    return keys[new], np.cumsum(new) - 1


def in_limbs(block: Block) -> Block:
    """Split the sums of a block at 32 bits, so that many can be added and nothing overflows."""
    return block if block.in_limbs else block._replace(sums=tuple(limbs_of(block.sums, len(block.sums))), in_limbs=True)


def limbs_of(sums: Iterable[Int[np.ndarray, " cell"]], count: int) -> Iterator[Int64[np.ndarray, " cell"]]:
    """Give so many single sums in limbs, one after the other; without weights each particle counts 2^10 quanta."""
    columns = (values.astype(np.int64) for values in sums)
    weighted = count % 2 == 0
    shift = 0 if weighted else UNIT_BITS
    n = next(columns)
    yield n
    yield next(columns) if weighted else n << UNIT_BITS
    for values in columns:
        yield (values << shift) & (2**LIMB_BITS - 1)
        yield values >> (LIMB_BITS - shift)


def carry(sums: Sequence[Int64[np.ndarray, " cell"]] | Int64[np.ndarray, "sum cell"]) -> None:
    """Carry low limbs over 32 bits into high ones, so that equal sums are equal bytes."""
    for low, high in zip(sums[2::2], sums[3::2], strict=True):
        high += low >> LIMB_BITS
        low &= 2**LIMB_BITS - 1


def _small_together(blocks: Sequence[Block]) -> Iterable[Block]:
    """Put blocks into one, as many as make a small one."""
    held: list[Block] = []
    for block in blocks:
        if held and (sum(len(one.bins) for one in [*held, block]) > _SMALL or block.in_limbs != held[0].in_limbs):
            yield together(held)
            held = []
        held.append(block)
    yield together(held)


def together(blocks: Sequence[Block]) -> Block:
    """Put the runs of blocks, in limbs or not, one after the other."""
    if len(blocks) == 1:
        return blocks[0]
    starts = np.cumsum([0, *(len(block.bins) for block in blocks)])
    return Block(
        one_after_another([block.names for block in blocks]),
        np.concatenate([[0], *(block.borders[1:] + start for block, start in zip(blocks, starts, strict=False))]),
        np.concatenate([block.bins for block in blocks]),
        tuple(np.concatenate(columns) for columns in zip(*(block.sums for block in blocks), strict=True)),
        blocks[0].in_limbs,
    )


def narrow(values: Int[np.ndarray, " cell"]) -> Int[np.ndarray, " cell"]:
    """Copy integers, into 32 bits where all fit."""
    fit = not len(values) or -(2**31) <= values.min() <= values.max() < 2**31
    return values.astype(np.int32 if fit else np.int64)


def add_seen(parts: Sequence[dict[str, Seen]]) -> dict[str, Seen]:
    """Put together what was seen in several parts."""
    made: dict[str, Seen] = {}
    for part in parts:
        for column, (missing, lowest, highest) in part.items():
            known = made.get(column, Seen(0, np.inf, -np.inf))
            made[column] = Seen(known.missing + missing, min(known.lowest, lowest), max(known.highest, highest))
    return made
