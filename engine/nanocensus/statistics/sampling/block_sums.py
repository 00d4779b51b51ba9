"""One pass over the particles that leaves enough to form groups of any size: sums of short blocks, in two orders.

In the order of acquisition a block is so many consecutive labels of one micrograph; in the random order it is one of
65,536 places. Both are integer sums, so neither partitions nor the order of rows show.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Float64, Int64

from nanocensus.errors import TableError
from nanocensus.schema import WEIGHT_QUANTUM
from nanocensus.statistics.cells._kernels import LIMB_BITS
from nanocensus.statistics.cells.cells import Cells, finish
from nanocensus.statistics.cells.known_micrographs import kept_micrographs
from nanocensus.statistics.cells.ordered import KEYS, of_table
from nanocensus.statistics.cells.partitions import ParticleSource, add_rows, compute, over_partitions
from nanocensus.statistics.cells.quanta import Number, Quantum, quantum_of
from nanocensus.statistics.cells.recipe import Recipe, check_seen, complaints, look, sum_codes
from nanocensus.statistics.cells.rows import NO_NAMES, Rows, rows_of
from nanocensus.statistics.cells.sums import CellSums, Seen, add_seen
from nanocensus.statistics.estimation.philox import check_seed
from nanocensus.statistics.sampling.permutation import PLACES, random_places
from nanocensus.statistics.variance.components import acquisition_order

_LABEL = Quantum("label", 1.0, 0.0, 2.0**31 - 1)
_SEQUENTIAL, _RANDOM = ["sample", "micrograph", "block"], ["sample", "block"]


@dataclass(frozen=True, eq=False)
class BlockSums:
    """Sums of blocks of particles."""

    sequential: pd.DataFrame
    """One row a block that holds particles, in the order of acquisition: sample, micrograph, block, integer sums."""
    random: pd.DataFrame
    """One row an occupied place of the random order: sample, block, integer sums."""
    micrographs: pd.DataFrame
    """One row a micrograph in the order of acquisition, those without particles too: sample, micrograph, sums."""
    cells: Cells
    """The same particles by micrograph, to be estimated from."""


class BlockSequence(NamedTuple):
    """Blocks of one sample in an order."""

    n: Int64[np.ndarray, " block"]
    low: Int64[np.ndarray, " block"]
    high: Int64[np.ndarray, " block"]
    """The sum of a column in quanta is 2^32 high + low."""
    step: float


class _Parts(NamedTuple):
    sequential: pd.DataFrame
    random: pd.DataFrame
    seen: dict[str, Seen]


def block_sums(particles: ParticleSource, micrographs: pd.DataFrame | None = None, *, of: Sequence[str], block: int,
               seed: int, scale: Mapping[str, Number] | None = None) -> BlockSums:  # fmt: skip
    """Sum particles into blocks of both orders, in one pass.

    Parameters
    ----------
    particles : pandas or dask DataFrame
        Columns sample, micrograph, label and those of `of`. Every row counts once: apply criteria before.
    micrographs : DataFrame, optional
        As for `cells`; its column `order` says what was recorded after what.
    of : sequence of str
        Columns whose sums are kept.
    block : int
        Number of labels in a block.
    seed : int
        Of the random order, 0 to 2^64 - 1.
    scale : mapping of str to float, optional
        Quantum of columns that the schema does not know.

    Raises
    ------
    StatisticsError
        For a seed out of its range.
    TableError
        For absent columns, missing values, values out of the declared range, contradictory micrographs, or labels
        that do not number the particles of a micrograph.
    """
    check_seed(seed)
    columns = tuple(quantum_of(column, scale) for column in dict.fromkeys(of))
    recipe = Recipe(columns, (), None, also=(_LABEL,))
    kept = None if micrographs is None else kept_micrographs(micrographs, ["sample"])
    made: _Parts = compute(over_partitions([particles], recipe.columns, _sum_blocks, _add, recipe, block, seed))
    check_seen(made.seen, recipe)
    crowded = made.sequential[made.sequential["n"] > block]
    if len(crowded):
        raise TableError(
            "column 'label'", expected="a number of its own for every particle of a micrograph",
            got=f"equal ones in micrograph {crowded.iloc[0]['micrograph']!r}", remedy="Number the particles.",
        )  # fmt: skip
    table = add_rows([made.sequential.drop(columns="block").assign(size_bin=0)], KEYS)
    sums = CellSums((of_table(table, recipe.sums),), made.seen)
    cells = finish(sums, Recipe(columns, (), None), kept, ("sample",))
    known = cells.micrographs[["sample", "micrograph"]].iloc[acquisition_order(cells.micrographs)]
    order = pd.MultiIndex.from_frame(known)
    rank = order.get_indexer(pd.MultiIndex.from_frame(made.sequential[["sample", "micrograph"]]))
    acquired = made.sequential.iloc[np.lexsort([made.sequential["block"].to_numpy(), rank])].reset_index(drop=True)
    whole = table.set_index(["sample", "micrograph"])[recipe.sums].reindex(order, fill_value=0).reset_index()
    return BlockSums(acquired, made.random, whole, cells)


def sequence(blocks: pd.DataFrame, sample: str, quantum: Quantum) -> BlockSequence:
    """Give the blocks of one sample and column."""
    rows = blocks[blocks["sample"] == sample]
    names = ("n", f"{quantum.column}_wq_low", f"{quantum.column}_wq_high")
    n, low, high = (rows[name].to_numpy(np.int64) for name in names)
    return BlockSequence(n, low, high, quantum.step * WEIGHT_QUANTUM)


def cuts(n: Int64[np.ndarray, " block"], size: int) -> Int64[np.ndarray, " border"]:
    """Give the borders of blocks nearest to multiples of a number of particles; what is left over is in no group.

    Examples
    --------
    >>> cuts(np.array([3, 4, 3, 4, 3, 1]), 6).tolist()
    [0, 2, 4, 6]
    """
    running = np.concatenate([[0], np.cumsum(n)])
    wanted = size * np.arange(int(running[-1]) // size + 1)
    above = np.searchsorted(running, wanted)
    below = np.maximum(above - 1, 0)
    return np.where(wanted - running[below] < running[above] - wanted, below, above).astype(np.int64)


def group_means(blocks: BlockSequence, borders: Int64[np.ndarray, " border"]) -> Float64[np.ndarray, " group"]:
    """Give the means of the particles between borders; NaN of a group without particles."""
    n, low, high = (np.diff(np.concatenate([[0], np.cumsum(part)])[borders]) for part in blocks[:3])
    with np.errstate(invalid="ignore"):
        return np.asarray((high * 2.0**LIMB_BITS + low) * blocks.step / n)


def _sum_blocks(partition: pd.DataFrame | pa.Table, recipe: Recipe, block: int, seed: int) -> _Parts:
    rows = rows_of(partition)
    seen = look(rows, recipe.ranges)
    if complaints(seen, recipe.ranges):
        rows = rows.where(np.zeros(len(rows), bool))  # nothing can be counted, and `seen` says why
    labels = rows["label"].astype(np.int64)
    number = (labels - 1) // block
    span = int(number.max(initial=0)) + 2
    cells, keys = pd.factorize(rows.codes * np.int64(span) + number + 1)
    own = rows.pairs.iloc[keys // span].reset_index(drop=True).assign(block=keys % span - 1)
    sample, samples = pd.factorize(rows.pairs["sample"])
    places = random_places(rows.codes, rows.pairs, labels, seed=seed)
    at, found = pd.factorize(sample[rows.codes] * PLACES + places)
    drawn = pd.DataFrame({"sample": pd.Series(samples[found // PLACES], dtype="str"), "block": found % PLACES})
    return _Parts(_with_sums(own, rows, cells, recipe, seen), _with_sums(drawn, rows, at, recipe, seen), seen)


def _with_sums(
    keys: pd.DataFrame, rows: Rows, cells: np.ndarray, recipe: Recipe, seen: dict[str, Seen]
) -> pd.DataFrame:
    sums = sum_codes(Rows(cells.astype(np.int32), NO_NAMES, rows.buffers), len(keys), recipe, seen)
    return pd.concat([keys, pd.DataFrame(sums, columns=recipe.sums)], axis=1)


def _add(parts: Sequence[_Parts]) -> _Parts:
    return _Parts(
        _carried(add_rows([part.sequential for part in parts], _SEQUENTIAL)),
        _carried(add_rows([part.random for part in parts], _RANDOM)),
        add_seen([part.seen for part in parts]),
    )


def _carried(table: pd.DataFrame) -> pd.DataFrame:
    """Carry low limbs over 32 bits into high ones, so that equal sums are equal bytes."""
    lows = [name for name in table.columns if name.endswith("_low")]
    highs = {low: low.removesuffix("_low") + "_high" for low in lows}
    carried = {high: table[high] + table[low] // 2**LIMB_BITS for low, high in highs.items()}
    return table.assign(**carried, **{low: table[low] % 2**LIMB_BITS for low in lows})
