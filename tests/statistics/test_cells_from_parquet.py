"""Cells of Parquet files: the same bytes as from DataFrames, however the files are laid out."""

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanocensus.errors import DamageError, StatisticsError, TableError
from nanocensus.schema import PARTICLES
from nanocensus.statistics.cells.cells import Cells, cells, delayed_cells, size_bins
from nanocensus.statistics.distributions.density import densities
from nanocensus.statistics.distributions.size_distribution import size_distribution
from nanocensus.statistics.estimation.binning import size_statistics
from nanocensus.statistics.estimation.estimation import estimate
from nanocensus.statistics.estimation.reductions import mean, median
from nanocensus.statistics.sampling.block_sums import block_sums
from nanocensus.store.manifest import Manifest, write_manifest
from nanocensus.store.particles import row_groups
from nanocensus.store.particles.row_groups import open_particles
from nanocensus.store.particles.tables import write_part

OF = ["circularity", "edge_length_nm"]
BY = ["sample", size_bins(0.2)]


def draw_particles(seed=0, n=3000, samples=3, micrographs=6):
    rng = np.random.default_rng(seed)
    number = np.sort(rng.integers(0, samples * micrographs, n))
    return pd.DataFrame(
        {
            "sample": np.char.add("Co0.", (number // micrographs).astype(str)),
            "micrograph": [f"m{of:02d}" for of in number],
            "label": np.arange(1, n + 1),
            "edge_length_nm": rng.lognormal(1.6, 0.25, n),
            "circularity": np.clip(rng.normal(0.9, 0.03, n), 0, 4),
            "border_weight": 1 + rng.exponential(0.1, n),
            "touches_border": rng.random(n) < 0.1,
        }
    )


ROWS = draw_particles()
WHOLE = {weight: cells(ROWS, by=BY, of=OF, weight=weight) for weight in ("border_weight", None)}


def write(folder, rows, files=3, **options):
    folder.mkdir(exist_ok=True)
    for number, part in enumerate(np.array_split(np.arange(len(rows)), files)):
        rows.iloc[part].to_parquet(folder / f"part-{number}.parquet", index=False, **options)
    return folder


@pytest.mark.parametrize("weight", ["border_weight", None])
@settings(max_examples=10)
@given(seed=st.none() | st.integers(0, 2**32 - 1), files=st.integers(1, 5), group=st.integers(1, 3500),
       batch=st.sampled_from([64, 700, 2**17]), text=st.sampled_from(["str", "category"]))  # fmt: skip
def test_bytes_do_not_depend_on_order_files_row_groups_or_batches(
    tmp_path_factory, weight, seed, files, group, batch, text
):
    rows = ROWS if seed is None else ROWS.sample(frac=1, random_state=seed)
    group = max(group, len(rows) // 40)  # of less there would be thousands of them
    folder = write(tmp_path_factory.mktemp("rows"), rows.astype({"sample": text, "micrograph": text}), files,
                   row_group_size=group)  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_groups, "BATCH_ROWS", batch)
        made = cells(folder, by=BY, of=OF, weight=weight)
    assert made.digest == WHOLE[weight].digest
    pd.testing.assert_frame_equal(made.table, WHOLE[weight].table)
    for name in made.recipe.sums:
        assert made.table[name].to_numpy().tobytes() == WHOLE[weight].table[name].to_numpy().tobytes()


def test_pandas_dask_and_parquet_give_the_same_cells_and_estimates(tmp_path):
    folder = write(tmp_path / "rows", ROWS, row_group_size=200)
    sources = [
        ROWS,
        dd.from_pandas(ROWS, npartitions=4),
        dd.read_parquet(folder),
        folder,
        str(folder),
        open_particles(folder),
    ]
    made = [cells(source, by=BY, of=OF) for source in sources]
    assert len({one.digest for one in made}) == 1
    found = [estimate(one, {"circularity": [mean, median]}, cluster="micrograph") for one in made]
    for one in found[1:]:
        assert one.identical(found[0])


def test_every_statistic_takes_a_path(tmp_path):
    folder = write(tmp_path / "rows", ROWS, row_group_size=300)
    assert size_statistics(folder, of=OF).identical(size_statistics(ROWS, of=OF))
    assert densities(folder, "circularity").identical(densities(ROWS, "circularity"))
    assert size_distribution(folder).identical(size_distribution(ROWS))
    blocks = [block_sums(source, of=["circularity"], block=100, seed=3) for source in (folder, ROWS)]
    pd.testing.assert_frame_equal(blocks[0].random, blocks[1].random)
    assert blocks[0].cells.digest == blocks[1].cells.digest
    at_quantiles = [cells(source, by=["sample", size_bins(quantiles=5)], of=OF) for source in (folder, ROWS)]
    assert at_quantiles[0].digest == at_quantiles[1].digest


def test_parts_may_hold_other_types_of_equal_values(tmp_path):
    rows = ROWS.assign(
        circularity=ROWS["circularity"].astype("float32").astype("float64"), micrograph=ROWS["label"] % 7
    )
    rows["edge_length_nm"] = rows["edge_length_nm"].round()
    whole = cells(rows, by=BY, of=OF)
    parts = [rows.iloc[:1000].astype({"circularity": "float32", "micrograph": "str"}),
             rows.iloc[1000:2000].astype({"edge_length_nm": "int16", "sample": "category", "micrograph": "int8"}),
             rows.iloc[2000:].astype({"edge_length_nm": "float32", "micrograph": "int64"})]  # fmt: skip
    for number, part in enumerate(parts):
        part.to_parquet(tmp_path / f"part-{number}.parquet", index=False)
    assert cells(tmp_path, by=BY, of=OF).digest == whole.digest
    delayed = [dask.delayed(part) for part in parts]
    frame = dd.from_delayed(delayed, meta=rows.iloc[:0], verify_meta=False)
    assert cells(frame, by=BY, of=OF).digest == whole.digest


def test_only_the_wanted_columns_are_decoded(tmp_path, monkeypatch):
    folder = write(tmp_path / "rows", ROWS, row_group_size=500)
    read = []
    whole = pq.ParquetFile.read_row_groups
    monkeypatch.setattr(pq.ParquetFile, "read_row_groups",
                        lambda *given, columns, **more: read.extend(columns) or whole(*given, columns=columns, **more))  # fmt: skip
    cells(folder, by=["sample", size_bins(0.2)], of=["circularity"], weight=None)
    assert set(read) == {"sample", "micrograph", "circularity", "edge_length_nm"}
    read.clear()
    one = write(tmp_path / "one", ROWS[ROWS["micrograph"] == "m03"], 1)
    cells(one, by=["sample"], of=["circularity"], weight=None)
    assert read == ["circularity"]  # the footer says which sample and micrograph it is


def test_filters_keep_rows_and_skip_row_groups(tmp_path, monkeypatch):
    folder = write(tmp_path / "rows", ROWS, row_group_size=200)
    for filters, kept in [
        ([("touches_border", "==", False), ("circularity", ">=", 0.9)], ~ROWS["touches_border"] & (ROWS["circularity"] >= 0.9)),
        ([[("sample", "in", ["Co0.0"])], [("micrograph", "==", "m17")]], (ROWS["sample"] == "Co0.0") | (ROWS["micrograph"] == "m17")),
        ([("sample", "==", "none")], np.zeros(len(ROWS), bool)),
    ]:  # fmt: skip
        made = cells(open_particles(folder, filters=filters), by=BY, of=OF)
        assert made.digest == cells(ROWS[kept], by=BY, of=OF).digest
        assert dd.read_parquet(folder, filters=filters).compute().shape[0] == made.table["n"].sum()
    read = []
    whole = pq.ParquetFile.read_row_groups
    monkeypatch.setattr(pq.ParquetFile, "read_row_groups",
                        lambda file, groups, **more: read.extend(groups) or whole(file, groups, **more))  # fmt: skip
    cells(open_particles(folder, filters=[("sample", "==", "Co0.0")]), by=BY, of=OF)
    assert len(read) <= 6  # a third of 15


def test_quantiles_see_the_filtered_rows_only(tmp_path):
    folder = write(tmp_path / "rows", ROWS)
    made = cells(open_particles(folder, filters=[("circularity", "<", 0.9)]), by=["sample"], of=["circularity"])
    found = estimate(made, {"circularity": [median]}, cluster="micrograph")
    assert float(found["estimate"].max()) < 0.9


def test_absent_columns_are_named_with_the_nearest(tmp_path):
    folder = write(tmp_path / "rows", ROWS.rename(columns={"circularity": "Circularty"}))
    for source in (folder, dd.read_parquet(folder), pd.read_parquet(folder)):
        with pytest.raises(TableError, match=r"none named circularity.*Did you mean 'Circularty'"):
            cells(source, by=BY, of=OF)
    with pytest.raises(TableError, match=r"none named edge_lenght.*'edge_length_nm'"):
        open_particles(folder, filters=[("edge_lenght", ">", 4)])


@pytest.mark.parametrize(("bad", "words"), [(None, "got 2 missing"), (np.nan, "got 2 missing"), (np.inf, "got inf")])
def test_what_is_no_number_is_refused_and_counted(tmp_path, bad, words):
    rows = ROWS.astype({"circularity": "Float64"} if bad is None else {})
    rows.loc[[5, 2900], "circularity"] = bad
    with pytest.raises(TableError, match=words):
        cells(write(tmp_path / "rows", rows), by=BY, of=OF)


def test_weights_identities_and_texts_are_checked(tmp_path):
    with pytest.raises(StatisticsError, match="1 without one"):
        cells(
            write(tmp_path / "a", ROWS.assign(border_weight=ROWS["border_weight"].where(ROWS.index != 7))), by=BY, of=OF
        )
    for column in ("sample", "micrograph"):
        with pytest.raises(TableError, match=r"'micrograph'.* 1 missing"):
            cells(write(tmp_path / column, ROWS.assign(**{column: ROWS[column].where(ROWS.index != 7)})), by=BY, of=OF)
    with pytest.raises(TableError, match="expected numbers, got"):
        cells(write(tmp_path / "b", ROWS.assign(circularity="round")), by=BY, of=OF)


def test_empty_parts_and_micrographs_without_particles_stay(tmp_path):
    folder = write(tmp_path / "rows", ROWS)
    pq.write_table(pq.read_table(folder / "part-0.parquet").slice(0, 0), folder / "part-9.parquet")
    micrographs = ROWS[["sample", "micrograph"]].drop_duplicates()
    micrographs = pd.concat([micrographs, pd.DataFrame({"sample": ["Co0.0"], "micrograph": ["empty"]})])
    made = cells(folder, micrographs, by=BY, of=OF)
    assert made.digest == cells(ROWS, micrographs, by=BY, of=OF).digest
    assert "empty" in set(made.micrographs["micrograph"])
    only = write(tmp_path / "only", ROWS.iloc[:0], 1)
    assert len(cells(only, by=BY, of=OF).table) == 0


def test_a_category_without_particles_is_no_micrograph(tmp_path):
    rows = ROWS.astype({"micrograph": "category"})
    rows["micrograph"] = rows["micrograph"].cat.add_categories(["unused"])
    for source in (rows, write(tmp_path / "rows", rows)):
        assert cells(source, by=BY, of=OF).digest == WHOLE["border_weight"].digest


def test_text_and_damaged_files_are_refused(tmp_path):
    ROWS.to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(TableError, match="read_particle_table"):
        cells(tmp_path / "rows.csv", by=BY, of=OF)
    folder = write(tmp_path / "rows", ROWS, 1, compression=None)
    part = folder / "part-0.parquet"
    content = bytearray(part.read_bytes())
    graph = delayed_cells(folder, by=BY, of=OF)
    part.write_bytes(content[:2000])
    with pytest.raises(TableError, match=r"part-0\.parquet: expected a Parquet file"):
        graph.compute()


def as_measured(rows):
    """The declared columns: those of the rows, others empty or a small number."""
    columns = {}
    for column in PARTICLES.columns:
        kind = column.field().type
        filled = {"string": "-", "bool": False}.get(column.dtype, max(column.minimum or 0, 1))
        values = rows.get(column.name, None if column.nullable else filled)
        columns[column.name] = pa.array(
            values if isinstance(values, pd.Series) else [values] * len(rows), from_pandas=True
        ).cast(kind)
    return pa.table(columns, schema=PARTICLES.arrow())


def test_a_results_folder_is_read_by_its_index(tmp_path):
    groups = dict(list(ROWS.groupby("micrograph")))
    listed = [
        {"micrograph": name, "sample": own["sample"].iloc[0], "name": name, "order": 0, "height_px": 4, "width_px": 5,
         "recorded_dtype": "uint8", "pixel_size_nm": 0.1, "pixel_size_source": "given", "content_digest": "0" * 64,
         "status": "done"} for name, own in groups.items()
    ]  # fmt: skip
    part = tmp_path / "particles" / "part-0.parquet"
    part.parent.mkdir()
    empty = listed[-1] | {"micrograph": "empty", "name": "empty"}
    listed.append(empty)
    digest = write_part(part, [*(as_measured(own) for own in groups.values()), as_measured(ROWS[:0])], listed)
    left = listed[1:]  # one was removed since
    write_manifest(tmp_path, Manifest.from_rows([row | {"part": part.name, "part_digest": digest} for row in left], []))
    rows = ROWS[ROWS["micrograph"] != listed[0]["micrograph"]]
    assert cells(tmp_path, by=BY, of=OF).digest == cells(rows, by=BY, of=OF).digest
    inside = open_particles(tmp_path, filters=[("touches_border", "==", False), ("micrograph", "!=", "m05")])
    none = open_particles(tmp_path, filters=[("micrograph", "==", "nobody")])
    assert len(cells(none, by=BY, of=OF).table) == 0
    kept = rows[~rows["touches_border"] & (rows["micrograph"] != "m05")]
    assert cells(inside, by=BY, of=OF).digest == cells(kept, by=BY, of=OF).digest
    part.write_bytes(part.read_bytes()[:-1] + b"?")
    with pytest.raises(DamageError, match="part-0"):
        cells(tmp_path, by=BY, of=OF)


@pytest.mark.slow
def test_bytes_do_not_depend_on_the_number_of_worker_processes(tmp_path):
    rows = ROWS.sample(frac=1, random_state=3)
    folder = write(tmp_path / "rows", rows, 8, row_group_size=100)
    for workers in (1, 2, 3):
        with dask.config.set(scheduler="processes", num_workers=workers):
            assert cells(folder, by=BY, of=OF).digest == WHOLE["border_weight"].digest


def test_saved_cells_of_files_come_back(tmp_path):
    made = cells(write(tmp_path / "rows", ROWS), by=BY, of=OF)
    made.save(tmp_path / "cells.zarr")
    back = Cells.open(tmp_path / "cells.zarr")
    assert back.digest == made.digest
    found = estimate(back, {"circularity": [median]}, particles=tmp_path / "rows", cluster="micrograph")
    assert found.identical(estimate(made, {"circularity": [median]}, cluster="micrograph"))
