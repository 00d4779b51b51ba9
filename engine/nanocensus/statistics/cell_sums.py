"""Sums per cell as arrays: what partitions give, what is added in any order, and how it becomes a table.

A cell is a key of 64 bits: the number of its (sample, micrograph) among the sorted names, and its bin.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Int64

from nanocensus.statistics import _kernels
from nanocensus.statistics.rows import Name, pairs_table
from nanocensus.statistics.size_bins import OUTSIDE

KEYS = ("sample", "micrograph", "size_bin")
_BIN_BITS = 32
_MOST_REPEATED = 1.5
"""Blocks are added up once their micrographs recur so often."""


class Seen(NamedTuple):
    """What one column of the particles was seen to hold."""

    missing: int
    lowest: float
    highest: float


class Block(NamedTuple):
    """Cells that were summed together."""

    names: list[Name]
    """Sample and micrograph, by their number in the keys."""
    keys: Int64[np.ndarray, " cell"]
    sums: Int64[np.ndarray, "cell sum"]
    """In one of the two layouts of `_kernels.sum_runs`."""


class CellSums(NamedTuple):
    """A part of the cells, and what was seen on the way."""

    blocks: tuple[Block, ...]
    """Blocks of different micrographs stay apart: they are copied once, at the end."""
    seen: dict[str, Seen]


def cell_keys(pairs: Int64[np.ndarray, " cell"], bins: Int64[np.ndarray, " cell"]) -> Int64[np.ndarray, " cell"]:
    """Put the number of the pair and that of the bin into one; sorted by the pair, then the bin."""
    return np.asarray((pairs << _BIN_BITS) | (bins - OUTSIDE))


def pairs_of(keys: Int64[np.ndarray, " cell"]) -> Int64[np.ndarray, " cell"]:
    """Give the number of the pair in each key."""
    return np.asarray(keys >> _BIN_BITS)


def bins_of(keys: Int64[np.ndarray, " cell"]) -> Int64[np.ndarray, " cell"]:
    """Give the number of the bin in each key."""
    return np.asarray((keys & (2**_BIN_BITS - 1)) + OUTSIDE)


def add_cells(parts: Sequence[CellSums]) -> CellSums:
    """Add parts, in any order."""
    blocks = tuple(block for part in parts for block in part.blocks)
    held = sum(len(block.names) for block in blocks)
    if held > _MOST_REPEATED * len({name for block in blocks for name in block.names}):
        width = blocks[0].sums.shape[1]
        blocks = (joined(blocks, (width - 1) // 2 if width % 2 else (width - 2) // 4),)
    return CellSums(blocks, add_seen([part.seen for part in parts]))


def joined(blocks: Sequence[Block], n_columns: int) -> Block:
    """Add up blocks: cells sorted by sample, micrograph and bin, in the layout with weights, low limbs below 2^32.

    Parameters
    ----------
    blocks : sequence of Block
    n_columns : int
        Number of columns whose sums are held.
    """
    names = sorted(dict.fromkeys(name for block in blocks for name in block.names))  # quick where nearly in order
    number = {name: place for place, name in enumerate(names)}
    keys = []
    for block in blocks:
        pairs = np.array([number[name] for name in block.names], np.int64)
        keys.append(cell_keys(pairs[pairs_of(block.keys)], bins_of(block.keys)))
    return Block(names, *add_equal(keys, [block.sums for block in blocks], n_columns))


def add_equal(
    keys: Sequence[Int64[np.ndarray, " _"]], cells: Sequence[Int64[np.ndarray, "_ _"]], n_columns: int
) -> tuple[Int64[np.ndarray, " cell"], Int64[np.ndarray, "cell sum"]]:
    """Add sums of equal keys, which may come in any order; they come out sorted, in the layout with weights."""
    found, number = _numbered(np.concatenate([*keys, np.empty(0, np.int64)]))
    sums = np.zeros((len(found), 2 + 4 * n_columns), np.int64)
    start = 0
    for part in cells:
        _kernels.add_cells(number[start : start + len(part)], part, sums)
        start += len(part)
    return found, sums


def _numbered(keys: Int64[np.ndarray, " row"]) -> tuple[Int64[np.ndarray, " cell"], Int64[np.ndarray, " row"]]:
    """Give the sorted different keys, and each key's place among them."""
    if (keys[1:] < keys[:-1]).any():
        found, number = np.unique(keys, return_inverse=True)
        return found, number
    new = np.diff(keys, prepend=-1) > 0
    return keys[new], np.cumsum(new) - 1


def add_seen(parts: Sequence[dict[str, Seen]]) -> dict[str, Seen]:
    """Put together what was seen in several parts."""
    made: dict[str, Seen] = {}
    for part in parts:
        for column, (missing, lowest, highest) in part.items():
            known = made.get(column, Seen(0, np.inf, -np.inf))
            made[column] = Seen(known.missing + missing, min(known.lowest, lowest), max(known.highest, highest))
    return made


def as_table(block: Block, columns: Sequence[str]) -> pd.DataFrame:
    """Lay out a joined block: sample and micrograph as categories, size_bin, and the sums under their names."""
    pairs = pairs_of(block.keys)
    table = pd.DataFrame(block.sums, columns=list(columns), copy=False)
    for place, key in enumerate(KEYS[:2]):
        texts = sorted({name[place] for name in block.names})
        code = {text: number for number, text in enumerate(texts)}
        of_name = np.array([code[name[place]] for name in block.names], np.int32)
        values = pd.Categorical.from_codes(of_name[pairs], pd.Index(texts, dtype="str"))
        table.insert(place, key, pd.Series(values))
    table.insert(2, "size_bin", bins_of(block.keys))
    return table


def as_block(table: pd.DataFrame, columns: Sequence[str]) -> Block:
    """Take a table of cells apart again."""
    codes, names = pair_numbers(table)
    keys = cell_keys(codes, table["size_bin"].to_numpy(np.int64))
    return Block(names, keys, np.ascontiguousarray(table[list(columns)].to_numpy(np.int64)))


def pair_rows(table: pd.DataFrame, pairs: pd.MultiIndex) -> Int64[np.ndarray, " row"]:
    """Give the place of each row's sample and micrograph among known ones, -1 for others."""
    runs, names = pair_numbers(table)
    places = pairs.get_indexer(pd.MultiIndex.from_frame(pairs_table(names)))
    return np.asarray(places[runs], np.int64)


def pair_numbers(table: pd.DataFrame) -> tuple[Int64[np.ndarray, " row"], list[Name]]:
    """Give the number of the run of one sample and micrograph that each row is in, and the name of each run."""
    codes = [pd.factorize(table[key])[0] for key in KEYS[:2]]
    starts = np.flatnonzero((np.diff(codes[0], prepend=-1) != 0) | (np.diff(codes[1], prepend=-1) != 0))
    first = table[list(KEYS[:2])].iloc[starts].astype("str")
    runs = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(table))))
    return runs, list(zip(first["sample"], first["micrograph"], strict=True))
