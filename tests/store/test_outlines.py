import hashlib

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanocensus.errors import DamageError, FormatVersionError, StoreError, TableError
from nanocensus.schema import PARTICLES
from nanocensus.store.manifest import Manifest, read_manifest, write_manifest
from nanocensus.store.particles.outlines import ANGLES, outlines_schema, read_outlines, write_outlines
from nanocensus.store.particles.tables import read_particles, write_part


def name(i):
    return f"{i:016x}"


def radii_of(micrograph, n):
    return np.random.default_rng(int(micrograph, 16)).uniform(1.0, 9.0, (n, ANGLES))


def labels_of(n):
    return np.arange(1, n + 1, dtype=np.int32)


def index_row(micrograph, sample="A", order=0, **more):
    return {
        "micrograph": micrograph, "name": f"{sample}/{order}.tif", "sample": sample, "order": order, "height_px": 4,
        "width_px": 5, "recorded_dtype": "uint8", "pixel_size_nm": 0.1, "pixel_size_source": "given",
        "content_digest": micrograph * 4, "status": "done", "measure_digest": f"settings of {micrograph}",
    } | more  # fmt: skip


def particles(micrograph, n, sample):
    """A particle table whose area tells which outline belongs to a row: its first radius."""
    first = radii_of(micrograph, n)[:, 0]
    values = {"string": "outline", "bool": False, "int32": 1, "float64": 0.5}
    columns = {column.name: [values[column.dtype]] * n for column in PARTICLES.columns}
    columns |= {"sample": [sample] * n, "micrograph": [micrograph] * n, "label": labels_of(n), "area_nm2": first}
    return pa.table(columns, schema=PARTICLES.arrow())


def output(out, blocks):
    """Write outlines, particles and the index of {(sample, part): [(micrograph, n), ...]}."""
    index = []
    for (sample, part), members in blocks.items():
        rows = [index_row(m, sample, int(m, 16), n_detected=n) for m, n in members]
        radii, labels = [radii_of(m, n) for m, n in members], [labels_of(n) for _, n in members]
        write_outlines(out / "outlines" / part, radii, labels, rows)
        digest = write_part(out / "particles" / part, [particles(m, n, sample) for m, n in members], rows)
        index += [row | {"part": part, "part_digest": digest} for row in rows]
    write_manifest(out, Manifest.from_rows(index, []))


BLOCKS = {
    ("B10", "z.parquet"): [(name(1), 3), (name(2), 0)],
    ("B9", "y.parquet"): [(name(6), 2), (name(7), 4)],
    ("B9", "w.parquet"): [(name(9), 0)],
    ("B9", "x.parquet"): [(name(10), 1)],
}


@settings(max_examples=10)
@given(counts=st.lists(st.integers(0, 9), min_size=1, max_size=5))
def test_a_part_holds_one_row_group_a_micrograph_in_order(counts, tmp_path_factory):
    path = tmp_path_factory.mktemp("part") / "outlines" / "part-0.parquet"
    rows = [index_row(name(i), order=i) for i in range(len(counts))]
    radii = [radii_of(name(i), n) for i, n in enumerate(counts)]
    digest = write_outlines(path, radii, [labels_of(n) for n in counts], rows)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    file = pq.ParquetFile(path, page_checksum_verification=True)
    assert file.num_row_groups == len(counts)
    for group, (expected, row) in enumerate(zip(radii, rows, strict=True)):
        table = file.read_row_group(group)
        assert table["label"].to_pylist() == list(range(1, len(expected) + 1))
        assert set(table["micrograph"].to_pylist()) <= {row["micrograph"]}
        found = np.array(table["radii"].to_pylist(), np.float32).reshape(-1, ANGLES)
        np.testing.assert_array_equal(found, expected.astype(np.float32))


def test_types_units_angles_checksums_and_version_are_in_the_file(tmp_path):
    path = tmp_path / "p.parquet"
    write_outlines(path, [radii_of(name(1), 5)], [labels_of(5)], [index_row(name(1))])
    file = pq.ParquetFile(path)
    assert file.schema_arrow.equals(outlines_schema())
    radii = file.schema_arrow.field("radii")
    assert (radii.type.list_size, radii.type.value_type, radii.nullable) == (128, pa.float32(), False)
    assert radii.metadata[b"unit"] == b"nm"
    assert b"2 pi i / 128 from +x" in radii.metadata[b"meaning"]
    assert file.metadata.metadata[b"nanocensus.table"] == b"outlines"
    assert file.metadata.metadata[b"nanocensus.format_version"] == b"1.3"
    chunk = file.metadata.row_group(0).column(3)
    assert (chunk.path_in_schema, chunk.compression) == ("radii.list.element", "ZSTD")
    data = bytearray(path.read_bytes())
    data[chunk.data_page_offset + 100] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(OSError, match=r"(?i)crc|checksum|deserialize|thrift"):
        pq.read_table(path, page_checksum_verification=True)


def test_the_bytes_of_a_part_depend_on_its_content_only(tmp_path):
    radii, labels = [radii_of(name(i), 20) for i in range(3)], [labels_of(20)] * 3
    rows = [index_row(name(i)) for i in range(3)]
    other_rows = [dict(reversed(row.items())) | {"status": "done", "order": 8} for row in rows]
    digests = {
        write_outlines(tmp_path / "a.parquet", radii, labels, rows),
        write_outlines(tmp_path / "elsewhere" / "b.parquet", [r.astype(np.float32) for r in radii], labels, other_rows),
        write_outlines(tmp_path / "a.parquet", [np.asfortranarray(r) for r in radii], labels, rows),
    }
    assert len(digests) == 1
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"a.parquet", "b.parquet"}


def test_outlines_lie_row_for_row_beside_the_particles_and_opening_them_reads_nothing(tmp_path):
    output(tmp_path, BLOCKS)
    for path in (tmp_path / "outlines").iterdir():
        path.rename(path.with_suffix(".away"))

    def refuse(*_, **__):
        raise AssertionError("opening the outlines computed something")

    with dask.config.set(scheduler=refuse):
        outlines = read_outlines(tmp_path)
    for path in (tmp_path / "outlines").iterdir():
        path.rename(path.with_suffix(".parquet"))
    particles = read_particles(tmp_path)
    assert isinstance(outlines.data, da.Array)
    assert outlines.dims == ("particle", "angle")
    assert (outlines.shape, outlines.dtype, outlines.attrs["units"]) == ((10, 128), np.float32, "nm")
    np.testing.assert_allclose(np.diff(outlines["angle"]), 2 * np.pi / 128)
    assert outlines.data.numblocks[0] == particles.npartitions
    whole = outlines.compute(scheduler="sync")
    rows = particles.compute(scheduler="sync")
    np.testing.assert_array_equal(whole[:, 0], rows["area_nm2"].to_numpy(np.float32))
    for k in range(particles.npartitions):
        chunk = outlines.data.blocks[k].compute(scheduler="sync")
        partition = particles.partitions[k].compute(scheduler="sync")
        assert chunk.shape == (len(partition), 128)
        np.testing.assert_array_equal(chunk[:, 0], partition["area_nm2"].to_numpy(np.float32))


def test_particles_can_be_chosen_by_their_rows(tmp_path):
    output(tmp_path, BLOCKS)
    rows = read_particles(tmp_path).compute(scheduler="sync").reset_index(drop=True)
    large = np.flatnonzero(rows["area_nm2"] > rows["area_nm2"].median())
    chosen = read_outlines(tmp_path).isel(particle=large).compute(scheduler="sync")
    np.testing.assert_array_equal(chosen[:, 0], rows["area_nm2"].to_numpy(np.float32)[large])


def test_a_folder_without_particles_has_no_outlines_and_one_without_outlines_says_how_to_make_them(tmp_path):
    output(tmp_path / "empty", {})
    assert read_outlines(tmp_path / "empty").compute(scheduler="sync").shape == (0, 128)
    output(tmp_path, BLOCKS)
    for path in (tmp_path / "outlines").iterdir():
        path.unlink()
    with pytest.raises(StoreError, match=r"expected outlines beside the particles.*outlines = true"):
        read_outlines(tmp_path)
    with pytest.raises(StoreError, match="nanocensus ingest"):
        read_outlines(tmp_path / "nowhere")


def test_micrographs_that_the_index_no_longer_counts_are_left_out(tmp_path):
    output(tmp_path, {("A", "p.parquet"): [(name(1), 3), (name(2), 4), (name(3), 5)]})
    rows = read_manifest(tmp_path).rows()
    rows[1] |= {"part": None, "part_digest": None, "status": "ingested", "n_detected": None}
    write_manifest(tmp_path, Manifest.from_rows(rows, []))
    found = read_outlines(tmp_path).compute(scheduler="sync")
    expected = np.concatenate([radii_of(name(1), 3), radii_of(name(3), 5)]).astype(np.float32)
    np.testing.assert_array_equal(found, expected)


def test_a_failed_micrograph_has_no_outlines(tmp_path):
    rows = [index_row(name(1), n_detected=2), index_row(name(2), order=1, status="failed", measure_digest=None)]
    write_outlines(tmp_path / "outlines" / "p.parquet", [radii_of(name(1), 2), np.empty((0, 128))],
                   [labels_of(2), labels_of(0)], rows)  # fmt: skip
    index = [row | {"part": "p.parquet", "part_digest": "0" * 64} for row in rows]
    write_manifest(tmp_path, Manifest.from_rows(index, []))
    assert read_outlines(tmp_path).compute(scheduler="sync").shape == (2, 128)


def test_every_changed_byte_that_matters_is_noticed(tmp_path):
    """A flip goes unnoticed only where it changes nothing that is read (padding, who wrote the file, statistics)."""
    output(tmp_path, {("A", "p.parquet"): [(name(1), 2)]})
    path = tmp_path / "outlines" / "p.parquet"
    whole = path.read_bytes()
    expected = read_outlines(tmp_path).compute(scheduler="sync")
    noticed = 0
    rng = np.random.default_rng(0)
    places = rng.choice(len(whole), 300, replace=False)
    for place in places:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        try:
            found = read_outlines(tmp_path).compute(scheduler="sync")
        except (DamageError, FormatVersionError):
            noticed += 1
        else:
            np.testing.assert_array_equal(found, expected)
    assert noticed > 0.5 * len(places)


def test_missing_exchanged_stale_and_newer_parts_are_named(tmp_path):
    output(tmp_path, {("A", "p.parquet"): [(name(1), 30)], ("B", "q.parquet"): [(name(2), 30)]})
    path = tmp_path / "outlines" / "p.parquet"
    whole = path.read_bytes()

    def refused(reason):
        with pytest.raises(DamageError, match=rf"outlines/p\.parquet.*{reason}.*Set outlines = true under \[measure\]"):
            read_outlines(tmp_path).compute(scheduler="sync")

    path.write_bytes((tmp_path / "outlines" / "q.parquet").read_bytes())
    refused("lacks micrograph")
    stale = index_row(name(1), n_detected=30, measure_digest="other settings")
    write_outlines(path, [radii_of(name(1), 30)], [labels_of(30)], [stale])
    refused("not those of the particles")
    write_outlines(path, [radii_of(name(1), 29)], [labels_of(29)], [index_row(name(1))])
    refused("not those of the particles")
    table = pq.ParquetFile(pa.BufferReader(whole)).read()
    changed = table.set_column(2, table.schema.field("label"), pa.array(labels_of(30)[::-1].copy()))
    pq.write_table(changed.replace_schema_metadata(pq.ParquetFile(pa.BufferReader(whole)).metadata.metadata), path)
    refused("digest")
    path.write_bytes(whole[:50])
    refused("other bytes")
    path.unlink()
    refused("no such file")
    pq.write_table(table.replace_schema_metadata({"nanocensus.format_version": "2.0"}), path)
    with pytest.raises(FormatVersionError):
        read_outlines(tmp_path).compute(scheduler="sync")


@pytest.mark.parametrize(
    ("radii", "n", "reason"),
    [
        (np.ones((3, 127)), 3, "shape"),
        (np.ones((3, 128)), 2, "shape"),
        (np.full((1, 128), np.nan), 1, "not finite"),
        (np.full((1, 128), np.inf), 1, "not finite"),
    ],
)
def test_outlines_that_do_not_fit_are_refused(radii, n, reason, tmp_path):
    with pytest.raises(TableError, match=reason):
        write_outlines(tmp_path / "p.parquet", [radii], [labels_of(n)], [index_row(name(1))])
    assert not list(tmp_path.iterdir())


def test_pandas_reads_the_file_too(tmp_path):
    write_outlines(tmp_path / "p.parquet", [radii_of(name(1), 3)], [labels_of(3)], [index_row(name(1))])
    frame = pd.read_parquet(tmp_path / "p.parquet")
    assert list(frame.columns) == ["sample", "micrograph", "label", "radii"]
    np.testing.assert_array_equal(np.stack(frame["radii"]), radii_of(name(1), 3).astype(np.float32))
