"""Sums of cells against unbounded integers, where they fit into 64 bits and where they do not."""

from collections import defaultdict

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanocensus.statistics.cells.cells import cells, size_bins
from nanocensus.statistics.cells.names import Pairs
from nanocensus.statistics.cells.ordered import ordered
from nanocensus.statistics.cells.sums import Block, added, in_limbs, together

LIMB = 2**32
WIDE = 2.0**23 - 1
"""As far from zero as a column may be, in quanta: one particle's w q^2 then takes 62 bits."""


def draw(seed, n, names=5, largest=WIDE):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "sample": rng.choice(["A", "B"], n),
            "micrograph": rng.choice([f"m{number}" for number in range(names)], n),
            "size": rng.integers(0, 6, n) * 1.0,
            "x": rng.choice([-largest, 1.0, largest], n),
            "weight": rng.choice([0.5, 1.0, 64.0], n),
        }
    )


def exact(rows, weight):
    """Sum particle by particle in Python's integers."""
    found = defaultdict(lambda: [0, 0, 0, 0])
    for row in rows.itertuples():
        w, q = 1024 if weight is None else round(row.weight * 1024), int(row.x)
        inside = 1 <= row.size < 5
        cell = found[row.sample, row.micrograph, (int(row.size) - 1) // 2 if inside else -(2**31)]
        for place, value in enumerate((1, w, w * q, w * q * q)):
            cell[place] += value
    return dict(found)


def in_python(table):
    keys = zip(table["sample"], table["micrograph"], table["size_bin"].tolist(), strict=True)
    first, second = (table[f"x_{of}_high"].astype(object) * LIMB + table[f"x_{of}_low"] for of in ("wq", "wqq"))
    return dict(zip(keys, map(list, zip(table["n"], table["w"], first, second, strict=True)), strict=True))


@pytest.mark.parametrize("weight", ["weight", None])
@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 400), names=st.integers(1, 9), parts=st.integers(1, 6),
       largest=st.sampled_from([3.0, 2.0**18, WIDE]))  # fmt: skip
def test_sums_are_those_of_unbounded_integers(weight, seed, n, names, parts, largest):
    rows = draw(seed, n, names, largest)
    made = cells(dd.from_pandas(rows, npartitions=parts), by=["sample", size_bins(edges=[1, 3, 5], of="size")],
                 of=["x"], weight=weight, scale={"x": 1.0, "size": 1.0})  # fmt: skip
    wanted = exact(rows, weight)
    assert in_python(made.table) == wanted
    assert list(in_python(made.table)) == sorted(wanted)
    assert made.n_outside == sum(cell[0] for key, cell in wanted.items() if key[2] == -(2**31))
    twice = made + made
    assert in_python(twice.table) == {key: [2 * value for value in cell] for key, cell in wanted.items()}
    assert (twice.table["x_wqq_low"] < LIMB).all()


@pytest.mark.parametrize("weight", ["weight", None])
def test_totals_are_the_table_without_micrographs(weight):
    rows = draw(3, 2000)
    made = cells(rows, by=["sample", size_bins(edges=[1, 3, 5], of="size")], of=["x"], weight=weight,
                 scale={"x": 1.0, "size": 1.0})  # fmt: skip
    totals = made.totals()
    wanted = exact(rows.assign(micrograph="all"), weight)
    assert in_python(totals.assign(micrograph="all")) == wanted
    assert list(zip(totals["sample"], totals["size_bin"], strict=True)) == sorted((key[0], key[2]) for key in wanted)


def block(runs):
    """A block of (micrograph, {bin: sum of q^2}), a particle a cell and no weights."""
    bins = [number for _, held in runs for number in held]
    second = [value for _, held in runs for value in held.values()]
    names = Pairs(pa.array(["A"] * len(runs)), pa.array([name for name, _ in runs]))
    borders = np.cumsum([0, *(len(held) for _, held in runs)])
    ones = np.ones(len(bins), np.int32)
    return Block(names, borders, np.array(bins, np.int32), (ones, ones, np.array(second, np.int64)))


def test_sums_that_leave_64_bits_go_on_in_limbs():
    large = 2**62 - 1
    once = block([("x", {0: large, 4: 3})])
    assert not added([once]).in_limbs
    made = added([once, once, once])
    assert made.in_limbs
    low, high = made.sums[4].astype(object), made.sums[5].astype(object)
    assert (high * LIMB + low).tolist() == [3 * large * 1024, 9 * 1024]


def test_a_micrograph_that_several_blocks_hold_comes_once_and_in_its_place():
    blocks = [
        block([("b", {1: 5}), ("d", {0: 1})]),
        block([("d", {0: 2, 3: 4}), ("a", {2: 7})]),
        block([("c", {1: 6})]),
    ]
    for given_blocks in (blocks, blocks[::-1], [together(blocks)], [added(blocks)], [*map(in_limbs, blocks)]):
        made = ordered(given_blocks, 1)
        assert made.names.micrograph.to_pylist() == ["a", "b", "c", "d"]
        assert made.lengths.tolist() == [1, 1, 1, 2]
        assert made.bins.tolist() == [2, 1, 1, 0, 3]
        columns = list(made.columns())
        assert (columns[5] * LIMB + columns[4]).tolist() == [1024 * value for value in (7, 5, 6, 3, 4)]
        assert made.digest() == ordered(blocks, 1).digest()
