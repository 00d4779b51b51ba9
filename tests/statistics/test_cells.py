import warnings

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanocensus.errors import FormatVersionError, StatisticsError, StoreError, TableError
from nanocensus.statistics.cells.cells import Cells, cells, delayed_cells, size_bins
from nanocensus.statistics.cells.quanta import LARGEST_INTEGER, quantum_of
from nanocensus.statistics.synthesis.spread import spread_against_mean
from nanocensus.statistics.synthesis.synthesis import synthesis_model
from nanocensus.statistics.variance.nested import nested_variance

OF = ["circularity", "edge_length_nm"]
BY = ["sample", size_bins(0.2)]


def draw_particles(seed, n=400, samples=3, micrographs=6):
    rng = np.random.default_rng(seed)
    sample = rng.integers(0, samples, n)
    return pd.DataFrame(
        {
            "sample": np.char.add("Co0.", sample.astype(str)),
            "micrograph": [f"{s:02d}{m:02d}" for s, m in zip(sample, rng.integers(0, micrographs, n), strict=True)],
            "edge_length_nm": rng.lognormal(1.6, 0.25, n),
            "circularity": np.clip(rng.normal(0.9, 0.03, n), 0, 4),
            "border_weight": 1 + rng.exponential(0.1, n),
            "touches_border": False,
        }
    )


def total(table, column, moment):
    """The exact sum, in unbounded integers."""
    low, high = table[f"{column}_{moment}_low"], table[f"{column}_{moment}_high"]
    return [(int(h) << 32) + int(lo) for lo, h in zip(low, high, strict=True)]


def slow_cells(rows, weight):
    """The same sums, a particle at a time, in unbounded integers."""
    found = {}
    for row in rows.to_dict("records"):
        length, circularity = round(row["edge_length_nm"] * 4096), round(row["circularity"] * 2**18)
        w = round(row["border_weight"] * 1024) if weight else 1024
        k = next(k for k in range(-1, 10**6) if length < round((k + 1) * 4096 / 5))
        cell = found.setdefault((row["sample"], row["micrograph"], k), [0] * 6)
        terms = (1, w, w * circularity, w * circularity**2, w * length, w * length**2)
        for place, term in enumerate(terms):
            cell[place] += term
    return dict(sorted(found.items()))


@pytest.mark.parametrize("weight", ["border_weight", None])
def test_cells_are_the_sums_of_a_slow_loop(weight):
    rows = draw_particles(0)
    table = cells(rows, by=BY, of=OF, weight=weight).table
    expected = slow_cells(rows, weight)
    keys = list(table[["sample", "micrograph", "size_bin"]].itertuples(index=False, name=None))
    assert keys == list(expected)
    columns = [table["n"].tolist(), table["w"].tolist()]
    columns += [total(table, name, moment) for name in OF for moment in ("wq", "wqq")]
    assert [list(row) for row in zip(*columns, strict=True)] == list(expected.values())


WHOLE = cells(draw_particles(1), by=BY, of=OF)


@settings(max_examples=12)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_bytes_do_not_depend_on_order_or_partitions(seed, partitions):
    rows = draw_particles(1).sample(frac=1, random_state=seed, ignore_index=True)
    made = cells(dd.from_pandas(rows, npartitions=partitions, sort=False), by=BY, of=OF)
    assert made.digest == WHOLE.digest
    assert {name: made.table[name].to_numpy().tobytes() for name in made.recipe.sums} == {
        name: WHOLE.table[name].to_numpy().tobytes() for name in WHOLE.recipe.sums
    }


@settings(max_examples=12)
@given(st.lists(st.integers(0, 4), min_size=400, max_size=400))
def test_cells_of_any_split_add_up_to_the_cells_of_the_whole(parts):
    rows, parts = draw_particles(1), np.array(parts)
    made = [cells(rows[parts == part], by=BY, of=OF) for part in set(parts.tolist())]
    together = sum(made[1:], start=made[0])
    assert together.digest == WHOLE.digest


def test_a_digest_tells_one_particle_from_another():
    rows = draw_particles(1)
    rows.loc[0, "circularity"] += 1e-5
    assert cells(rows, by=BY, of=OF).digest != WHOLE.digest


def test_sums_of_the_largest_values_and_weights_do_not_overflow():
    rows = pd.DataFrame({"sample": "A", "micrograph": "x", "big": np.full(5000, -float(LARGEST_INTEGER)), "w": 64.0})
    made = cells(rows, by=["sample"], of=["big"], weight="w", scale={"big": 1.0})
    assert total(made.table, "big", "wq") == [-5000 * 2**16 * LARGEST_INTEGER]
    assert total(made.table, "big", "wqq") == [5000 * 2**16 * LARGEST_INTEGER**2]


def test_particles_in_no_bin_are_counted_apart():
    rows = draw_particles(2)
    made = cells(rows, by=["sample", size_bins(edges=[4.0, 5.0, 6.0])], of=OF)
    inside = rows["edge_length_nm"].between(4.0, 6.0, inclusive="left")
    assert made.n_outside == int((~inside).sum()) > 0
    assert made.table["n"].sum() == len(rows)


@pytest.mark.parametrize("bins", [size_bins(0.2), size_bins(edges=[4.0, 5.0]), size_bins(quantiles=3)])
def test_bins_added_up_are_the_cells_that_were_never_cut(bins):
    rows = draw_particles(2)
    assert cells(rows, by=["sample", bins], of=OF).of_all_sizes().digest == cells(rows, by=["sample"], of=OF).digest


def test_micrographs_without_particles_stay():
    rows = draw_particles(3)
    known = rows[["sample", "micrograph"]].drop_duplicates()
    empty = pd.DataFrame({"sample": ["Co0.0", "Co0.9"], "micrograph": ["empty", "lost"], "status": ["done", "failed"]})
    micrographs = pd.concat([known.assign(status="done"), empty])
    made = cells(rows, micrographs, by=BY, of=OF)
    assert set(made.micrographs["micrograph"]) == {*known["micrograph"], "empty"}


def test_saved_cells_come_back_whole_without_a_warning(tmp_path):
    rows = draw_particles(4)
    known = rows[["sample", "micrograph"]].drop_duplicates().reset_index(drop=True)
    micrographs = known.assign(
        group=[None if i % 3 else f"square {i}" for i in known.index], condition_Co=np.linspace(0.2, 0.8, len(known))
    )
    micrographs["session"] = pd.Series([7, None] * len(known), dtype="Int64")[: len(known)]
    for keys in (["sample", size_bins(quantiles=4)], ["condition_Co"], BY):
        made = cells(rows, micrographs, by=keys, of=OF)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            made.save(tmp_path / "cells.zarr")
            back = Cells.open(tmp_path / "cells.zarr")
        assert back.digest == made.digest
        assert back.recipe == made.recipe
        pd.testing.assert_frame_equal(back.table, made.table)
        pd.testing.assert_frame_equal(back.micrographs, made.micrographs)
        assert (back + made).table["n"].sum() == 2 * len(rows)


def test_what_is_not_saved_cells_is_refused(tmp_path):
    with pytest.raises(StoreError, match="saved cells"):
        Cells.open(tmp_path / "nothing.zarr")


def test_cells_of_a_newer_version_are_refused(tmp_path):
    path = tmp_path / "cells.zarr"
    WHOLE.save(path)
    metadata = (path / "zarr.json").read_text()
    (path / "zarr.json").write_text(metadata.replace('"format_version": "1.', '"format_version": "9.'))
    with pytest.raises(FormatVersionError):
        Cells.open(path)


def test_a_missing_value_is_named_with_how_many():
    rows = draw_particles(5)
    rows.loc[[3, 200, 390], "circularity"] = np.nan
    for given_rows in (rows, dd.from_pandas(rows, npartitions=4)):
        with pytest.raises(TableError, match=r"'circularity'.* got 3 missing"):
            cells(given_rows, by=BY, of=OF)


def test_a_value_out_of_range_is_named_with_the_range():
    rows = draw_particles(5)
    rows.loc[7, "circularity"] = 4.5
    with pytest.raises(TableError, match=r"'circularity': expected values from 0 to 4, got 4\.5"):
        cells(rows, by=BY, of=OF)
    rows.loc[7, "circularity"] = -np.inf
    with pytest.raises(TableError, match="got -inf"):
        cells(dd.from_pandas(rows, npartitions=3), by=["sample", size_bins(quantiles=3)], of=OF)


def test_border_particles_without_a_weight_are_refused_with_two_ways_out():
    rows = draw_particles(5)
    rows.loc[[1, 2], "border_weight"] = np.nan
    with pytest.raises(StatisticsError, match=r"2 without one.*exclude_border.*weight=None"):
        cells(rows, by=BY, of=OF)
    assert cells(rows, by=BY, of=OF, weight=None).table["n"].sum() == len(rows)


def test_rows_without_identity_are_refused():
    rows = draw_particles(5)
    rows.loc[0, "micrograph"] = None
    with pytest.raises(TableError, match=r"'micrograph'.* 1 missing"):
        cells(rows, by=BY, of=OF)


def test_an_unknown_column_needs_a_scale():
    rows = draw_particles(5).assign(roughness=1.5)
    with pytest.raises(TableError, match=r"scale=\{'roughness': step\}"):
        cells(rows, by=BY, of=["roughness"])
    made = cells(rows, by=BY, of=["roughness"], scale={"roughness": 0.25})
    assert sum(total(made.table, "roughness", "wq")) == 6 * made.table["w"].sum()
    with pytest.raises(TableError, match="positive"):
        cells(rows, by=BY, of=["roughness"], scale={"roughness": 0.0})


def test_a_column_in_steps_of_ones_own_keeps_its_unit_and_all_steps_of_its_histogram():
    own = quantum_of("edge_length_nm", {"edge_length_nm": 2.0**-10})
    assert (own.step, own.unit, own.histogram_shift) == (2.0**-10, "nm", 0)
    assert (quantum_of("edge_length_nm").unit, quantum_of("edge_length_nm").histogram_shift) == ("nm", 3)
    assert quantum_of("brightness", {"brightness": 1}).unit == ""


def test_absent_columns_are_named():
    with pytest.raises(TableError, match="none named solidity"):
        cells(draw_particles(5), by=BY, of=["solidity"])
    with pytest.raises(TableError, match="table of micrographs"):
        cells(draw_particles(5), by=["condition_Co"], of=OF)
    micrographs = draw_particles(5)[["sample", "micrograph"]].drop_duplicates()
    with pytest.raises(TableError, match="none named condition_Co"):
        cells(draw_particles(5), micrographs, by=["condition_Co"], of=OF)


def test_text_where_numbers_should_be_is_refused():
    rows = draw_particles(5).assign(circularity="round")
    with pytest.raises(TableError, match="expected numbers"):
        cells(rows, by=BY, of=OF)


def test_particles_of_unknown_micrographs_are_refused():
    rows = draw_particles(5)
    micrographs = rows[["sample", "micrograph"]].drop_duplicates().iloc[1:]
    with pytest.raises(TableError, match="1 other micrographs"):
        cells(rows, micrographs, by=BY, of=OF)


def test_two_rows_of_one_micrograph_are_refused():
    rows = draw_particles(5)
    micrographs = rows[["sample", "micrograph"]].drop_duplicates()
    with pytest.raises(TableError, match="one row a micrograph"):
        cells(rows, pd.concat([micrographs, micrographs.iloc[:1]]), by=BY, of=OF)


def test_cells_of_different_recipes_do_not_add():
    other = cells(draw_particles(1), by=BY, of=OF, weight=None)
    with pytest.raises(StatisticsError, match="same arguments"):
        WHOLE + other


def refuse_to_compute(*_, **__):
    raise AssertionError("computed while the graph was built")


def test_building_the_graph_computes_nothing():
    rows = dd.from_pandas(draw_particles(1), npartitions=5)
    with dask.config.set(scheduler=refuse_to_compute):
        graph = delayed_cells(rows, by=BY, of=OF)
        at_quantiles = delayed_cells(rows, by=[size_bins(quantiles=3)], of=OF)
        with pytest.raises(AssertionError, match="while the graph"):
            graph.compute()
    assert graph.compute().digest == WHOLE.digest
    assert at_quantiles.compute().table["n"].sum() == 400


def test_only_the_columns_that_are_needed_are_read(tmp_path):
    rows = draw_particles(1)
    rows.to_parquet(tmp_path / "part-0.parquet")
    particles = dd.read_parquet(tmp_path / "part-0.parquet")
    graph = delayed_cells(particles, by=BY, of=["circularity"])
    assert "touches_border" not in repr(dict(graph.dask))
    assert cells(particles, by=BY, of=OF).digest == WHOLE.digest


@pytest.mark.parametrize("kind", ["category", "string", "object"])
def test_the_type_of_text_does_not_matter(kind):
    rows = draw_particles(1).astype({"sample": kind, "micrograph": kind})
    assert cells(rows, by=BY, of=OF).digest == WHOLE.digest
    arrow = draw_particles(1).astype({"circularity": "double[pyarrow]", "border_weight": "Float64"})
    assert cells(arrow, by=BY, of=OF).digest == WHOLE.digest


def test_no_particles_make_empty_cells():
    made = cells(draw_particles(1).iloc[:0], by=BY, of=OF)
    assert len(made.table) == 0
    assert (made + WHOLE).digest == WHOLE.digest


def test_statistics_of_samples_take_cells_by_sample_alone():
    rows = draw_particles(0)
    micrographs = rows[["sample", "micrograph"]].drop_duplicates().assign(session="s")
    micrographs["condition_Co"] = 1.0 + pd.factorize(micrographs["sample"])[0]
    by_session = cells(rows, micrographs, by=["sample", "session"], of=OF)
    lacking = cells(rows, micrographs, by=["sample"], of=OF[:1])
    for ask in (nested_variance, spread_against_mean, synthesis_model):
        for made, told in ((by_session, "got by sample, session"), (lacking, "of circularity$|of circularity[.]")):
            with pytest.raises(StatisticsError, match=told):
                ask(made, micrographs, of=OF)


@pytest.mark.parametrize("backend", ["numpy_nullable", "pyarrow"])
def test_equal_tables_of_any_library_give_equal_digests(backend):
    rows = draw_particles(1)
    micrographs = rows[["sample", "micrograph"]].drop_duplicates().assign(condition_Co=0.5)
    micrographs["order"] = np.arange(len(micrographs), dtype=np.int32)
    made = [
        cells(*tables, by=["sample", "condition_Co"], of=OF)
        for tables in (
            (rows, micrographs),
            [table.convert_dtypes(dtype_backend=backend) for table in (rows, micrographs)],
        )
    ]
    assert made[0].digest == made[1].digest
    unordered = micrographs.convert_dtypes(dtype_backend=backend)
    unordered.loc[unordered.index[0], "order"] = pd.NA
    assert cells(rows, unordered, by=["sample"], of=OF).micrographs["order"].isna().sum() == 1
