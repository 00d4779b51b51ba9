import hashlib
from pathlib import Path

import dask
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanocensus.errors import DamageError, FormatVersionError, StoreError, TableError
from nanocensus.schema import PARTICLES
from nanocensus.store.images.integrity import broken_images
from nanocensus.store.images.micrographs import read_labels, read_pixels, read_probability
from nanocensus.store.manifest import Manifest, read_manifest, write_manifest
from nanocensus.store.particles.outlines import read_outlines
from nanocensus.store.particles.row_groups import open_particles
from nanocensus.store.particles.tables import read_micrographs, read_part_rows, read_particles, write_part

SCHEMA = PARTICLES.arrow()


def particles(micrograph: str, n: int, sample: str = "A") -> pa.Table:
    rng = np.random.default_rng(int(micrograph, 16))
    columns = {}
    for column in PARTICLES.columns:
        if column.dtype == "string":
            columns[column.name] = [{"sample": sample, "micrograph": micrograph}.get(column.name, "outline")] * n
        elif column.dtype == "int32":
            columns[column.name] = np.arange(1, n + 1, dtype=np.int32)
        elif column.dtype == "bool":
            columns[column.name] = rng.random(n) < 0.5
        else:
            values = rng.random(n)
            columns[column.name] = [None if column.nullable and v < 0.3 else v for v in values]
    return pa.table(columns, schema=SCHEMA)


def index_row(micrograph: str, sample: str = "A", order: int = 0, **more):
    return {
        "micrograph": micrograph, "name": f"{sample}/{order}.tif", "sample": sample, "order": order, "height_px": 4,
        "width_px": 5, "recorded_dtype": "uint8", "pixel_size_nm": 0.1, "pixel_size_source": "given",
        "content_digest": micrograph * 4, "status": "done",
    } | more  # fmt: skip


def name(i: int) -> str:
    return f"{i:016x}"


def output(out, blocks):
    """Write parts and the index of {(sample, part): [(micrograph, n), ...]}; give the expected table of each part."""
    rows, expected = [], {}
    for (sample, part), members in blocks.items():
        tables = [particles(micrograph, n, sample) for micrograph, n in members]
        plain = [index_row(m, sample, int(m, 16), n_detected=n) for m, n in members]
        digest = write_part(out / "particles" / part, tables, plain)
        rows += [r | {"part": part, "part_digest": digest} for r in plain]
        expected[part] = pa.concat_tables(tables)
    write_manifest(out, Manifest.from_rows(rows, []))
    return expected


def assert_equal(frame: pd.DataFrame, table: pa.Table) -> None:
    expected = table.to_pandas(ignore_metadata=True)
    pd.testing.assert_frame_equal(frame.reset_index(drop=True), expected, check_dtype=False)


@settings(max_examples=20)
@given(counts=st.lists(st.integers(0, 9), min_size=1, max_size=5))
def test_a_part_holds_one_row_group_a_micrograph_in_order(counts, tmp_path_factory):
    path = tmp_path_factory.mktemp("part") / "particles" / "part-0.parquet"
    tables = [particles(name(i), n) for i, n in enumerate(counts)]
    rows = [index_row(name(i), order=i, n_detected=n, pixel_size_uncertainty=np.nan) for i, n in enumerate(counts)]
    digest = write_part(path, tables, rows)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    file = pq.ParquetFile(path, page_checksum_verification=True)
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == counts
    for i, table in enumerate(tables):
        assert file.read_row_group(i).equals(table.cast(file.schema_arrow))
    assert read_part_rows(path) == [row | {"pixel_size_uncertainty": None} for row in rows]


def test_the_bytes_of_a_part_depend_on_its_content_only(tmp_path):
    tables = [particles(name(i), 20) for i in range(3)]
    rows = [index_row(name(i)) for i in range(3)]
    chunked = [pa.concat_tables([table[:7], table[7:]]) for table in tables]
    reordered = [dict(reversed(row.items())) for row in rows]
    digests = {
        write_part(tmp_path / "a.parquet", tables, rows),
        write_part(tmp_path / "elsewhere" / "b.parquet", tables, reordered),
        write_part(tmp_path / "a.parquet", chunked, rows),
    }
    assert len(digests) == 1
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"a.parquet", "b.parquet"}


def test_units_types_checksums_and_version_are_in_the_file(tmp_path):
    write_part(tmp_path / "p.parquet", [particles(name(1), 5)], [index_row(name(1))])
    file = pq.ParquetFile(tmp_path / "p.parquet")
    assert file.schema_arrow.equals(SCHEMA)
    assert file.schema_arrow.field("area_nm2").metadata[b"unit"] == b"nm2"
    assert file.metadata.metadata[b"nanocensus.table"] == b"particles"
    chunk = file.metadata.row_group(0).column(0)
    assert chunk.compression == "ZSTD"
    assert chunk.has_dictionary_page
    data = bytearray((tmp_path / "p.parquet").read_bytes())
    data[chunk.data_page_offset + 30] ^= 0xFF
    (tmp_path / "p.parquet").write_bytes(data)
    with pytest.raises(OSError, match=r"(?i)crc|checksum|deserialize|thrift"):
        pq.read_table(tmp_path / "p.parquet", page_checksum_verification=True)


def test_tables_that_do_not_fit_are_refused(tmp_path):
    path, row = tmp_path / "p.parquet", index_row(name(1))
    good = particles(name(1), 3)
    wrong = good.set_column(2, "label", pa.array(["a", "b", "c"]))
    for table, reason in [
        (good.drop_columns(["area_nm2"]), "area_nm2"),
        (good.append_column("extra", pa.array([1, 2, 3])), "columns"),
        (wrong, "schema"),
        (particles(name(2), 3), f"particles of \\['{name(2)}'\\]"),
    ]:
        with pytest.raises(TableError, match=reason):
            write_part(path, [table], [row])
    assert not path.exists()


def test_particles_come_in_the_order_of_the_index_and_building_them_reads_nothing(tmp_path):
    blocks = {
        ("B10", "z.parquet"): [(name(1), 3), (name(2), 0)],
        ("B9", "y.parquet"): [(name(6), 2), (name(7), 4)],
        ("B9", "x.parquet"): [(name(8), 1)],
    }
    expected = output(tmp_path, blocks)
    for path in (tmp_path / "particles").iterdir():
        path.rename(path.with_suffix(".away"))

    def refuse(*_, **__):
        raise AssertionError("building the frame computed something")

    with dask.config.set(scheduler=refuse):
        frame = read_particles(tmp_path)
    for path in (tmp_path / "particles").iterdir():
        path.rename(path.with_suffix(".parquet"))
    assert frame.npartitions == 3
    assert frame.divisions == (None,) * 4
    assert tuple(frame.columns) == PARTICLES.names
    order = ["y.parquet", "x.parquet", "z.parquet"]
    assert_equal(frame.compute(scheduler="sync"), pa.concat_tables([expected[part] for part in order]))
    for i, part in enumerate(order):
        partition = frame.partitions[i].compute(scheduler="sync")
        assert_equal(partition, expected[part])
        pd.testing.assert_series_equal(partition.dtypes, frame._meta.dtypes)


def test_only_the_columns_asked_for_are_decoded(tmp_path, monkeypatch):
    expected = output(tmp_path, {("A", "p.parquet"): [(name(1), 30)]})["p.parquet"]
    asked = []
    read = pq.ParquetFile.read_row_groups

    def spy(self, groups, columns=None, **options):
        asked.append(columns)
        return read(self, groups, columns=columns, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", spy)
    frame = read_particles(tmp_path)
    mean = frame.groupby("sample")["circularity"].mean().compute(scheduler="sync")
    assert mean["A"] == pytest.approx(np.mean(expected.column("circularity").to_pylist()))
    assert [sorted(columns) for columns in asked] == [["circularity", "sample"]]


@pytest.mark.parametrize("blocks", [{}, {("A", "p.parquet"): [(name(1), 0), (name(2), 0)]}])
def test_no_parts_and_parts_without_particles_give_an_empty_typed_frame(tmp_path, blocks):
    output(tmp_path, blocks)
    full = output(tmp_path / "full", {("A", "p.parquet"): [(name(1), 2)]})
    assert full
    empty = read_particles(tmp_path).compute(scheduler="sync")
    assert len(empty) == 0
    expected = read_particles(tmp_path / "full").compute(scheduler="sync").dtypes
    pd.testing.assert_series_equal(empty.dtypes, expected)


def test_micrographs_that_the_index_no_longer_counts_are_left_out(tmp_path):
    output(tmp_path, {("A", "p.parquet"): [(name(1), 3), (name(2), 4), (name(3), 5)]})
    manifest = read_manifest(tmp_path)
    rows = manifest.rows()
    rows[1] |= {"part": None, "part_digest": None, "status": "ingested"}
    write_manifest(tmp_path, Manifest.from_rows(rows, []))
    frame = read_particles(tmp_path).compute(scheduler="sync")
    assert frame["micrograph"].value_counts().to_dict() == {name(1): 3, name(3): 5}


def test_a_missing_damaged_exchanged_or_newer_part_is_named(tmp_path):
    output(tmp_path, {("A", "p.parquet"): [(name(1), 30)], ("B", "q.parquet"): [(name(2), 30)]})
    path = tmp_path / "particles" / "p.parquet"
    whole = path.read_bytes()
    for where in (5, len(whole) // 2, len(whole) - 200, len(whole) - 6):  # data and footer
        flipped = bytearray(whole)
        flipped[where] ^= 0x04
        path.write_bytes(flipped)
        with pytest.raises(DamageError, match=r"p\.parquet"):
            read_particles(tmp_path).compute(scheduler="sync")
    path.write_bytes((tmp_path / "particles" / "q.parquet").read_bytes())
    with pytest.raises(DamageError, match=r"p\.parquet"):
        read_particles(tmp_path).compute(scheduler="sync")
    path.write_bytes(whole[:50])
    with pytest.raises(DamageError, match=r"p\.parquet"):
        read_part_rows(path)
    path.unlink()
    with pytest.raises(DamageError, match=r"no such file.*nanocensus doctor"):
        read_particles(tmp_path).compute(scheduler="sync")
    with pytest.raises(DamageError, match="no such file"):
        read_part_rows(path)
    table = particles(name(1), 3).replace_schema_metadata({"nanocensus.format_version": "2.0"})
    pq.write_table(table, path)
    with pytest.raises(FormatVersionError):
        read_part_rows(path)


def test_a_part_of_an_older_minor_version_opens_with_nulls(tmp_path):
    output(tmp_path, {("A", "p.parquet"): [(name(1), 4)]})
    path = tmp_path / "particles" / "p.parquet"
    file = pq.ParquetFile(path)
    older = file.read().drop_columns(["mean_probability"])
    told = {key: text for key, text in file.metadata.metadata.items() if key != b"nanocensus.seal"}
    pq.write_table(older.replace_schema_metadata(told | {b"nanocensus.format_version": b"1.1"}), path)
    rows = [r | {"part_digest": hashlib.sha256(path.read_bytes()).hexdigest()} for r in read_manifest(tmp_path).rows()]
    write_manifest(tmp_path, Manifest.from_rows(rows, []))
    frame = read_particles(tmp_path).compute(scheduler="sync")
    assert tuple(frame.columns) == PARTICLES.names
    assert frame["mean_probability"].isna().all()
    filtered = open_particles(tmp_path, filters=[[("mean_probability", ">", 0.0)], [("label", "==", 2)]])
    assert filtered.frame().compute(scheduler="sync")["label"].tolist() == [2]


def test_an_output_folder_without_an_index_says_what_to_do(tmp_path):
    with pytest.raises(StoreError, match="nanocensus ingest"):
        read_particles(tmp_path)
    with pytest.raises(StoreError, match="nanocensus ingest"):
        read_micrographs(tmp_path)


def test_the_micrographs_table_has_a_row_for_each_whatever_became_of_it(tmp_path):
    output(tmp_path, {("A", "p.parquet"): [(name(1), 3), (name(2), 0)]})
    micrographs = read_micrographs(tmp_path)
    assert list(micrographs["n_detected"]) == [3, 0]


def test_what_format_1_2_wrote_without_seals_opens_from_index_to_store():
    golden = Path(__file__).parents[1] / "golden" / "format-1.2"  # written by the program of that format
    (row,) = read_manifest(golden).rows()
    store = golden / "micrographs.zarr"
    y, x = np.mgrid[:24, :32]
    np.testing.assert_array_equal(read_pixels(store, row["micrograph"]), 100 + 3 * y + x)
    probability, cause = read_probability(store, row["micrograph"])
    np.testing.assert_array_equal(probability, 5 * y)
    assert cause == "segment"
    labels = read_labels(store, row["micrograph"])
    np.testing.assert_array_equal(labels, (y > 8) & (x > 8))
    assert read_particles(golden).compute(scheduler="sync")["pixel_count"].tolist() == [labels.sum()]
    assert read_outlines(golden).to_numpy().tolist() == [[4.0] * 128]
    assert broken_images(store, row["micrograph"], row["content_digest"]) == {}


def test_what_format_1_0_wrote_opens_and_what_it_did_not_know_is_missing():
    golden = Path(__file__).parents[1] / "golden" / "format-1.0"  # written by the program of that format
    opened = read_particles(golden)
    frame = opened.compute(scheduler="sync")
    assert list(frame.columns) == list(PARTICLES.names)
    assert frame.dtypes.astype(str).to_dict() == opened.dtypes.astype(str).to_dict()
    assert frame["label"].tolist() == [1, 2, 1]
    assert frame["bbox_top_px"].tolist() == [11, 46, 20]
    np.testing.assert_allclose(frame["equivalent_diameter_nm"], [1.8, 2.8, 4.0], rtol=1e-3)
    written = pq.read_schema(next((golden / "particles").iterdir())).names
    newer = [name for name in PARTICLES.names if name not in written]
    assert {"extent", "too_small", "parent_label", "gap_nm"} <= set(newer)
    assert frame[newer].isna().all(axis=None)
    assert frame[[name for name in written if name != "border_weight"]].notna().all(axis=None)
    assert read_micrographs(golden)["n_detected"].tolist() == [2, 1, 0]
    assert read_micrographs(golden)["domain_score"].isna().all()
