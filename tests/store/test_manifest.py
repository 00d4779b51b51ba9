import os
import resource
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nanocensus.errors import DamageError, FormatVersionError, LockedError, StoreError, TableError
from nanocensus.schema import MICROGRAPHS, REFUSALS
from nanocensus.store import commit
from nanocensus.store.manifest import (
    LOCK_FILE,
    MICROGRAPHS_FILE,
    Manifest,
    OutputLock,
    read_manifest,
    write_manifest,
)


def row(name: str, sample: str = "A", order: int = 0, **more):
    return {
        "micrograph": f"{abs(hash(name)) % 16**8:016x}", "name": name, "sample": sample, "order": order,
        "height_px": 4, "width_px": 5, "recorded_dtype": "uint8", "pixel_size_nm": 0.1, "pixel_size_source": "given",
        "content_digest": "0" * 64, "status": "ingested",
    } | more  # fmt: skip


REFUSED = [{"name": "A/9.tif", "sample": "A", "reason": "because"}]


def test_a_manifest_comes_back_with_its_types_nulls_and_order(tmp_path):
    rows = [
        row("A/10.tif", order=3),
        row("B10/1.tif", "B10", n_detected=5, condition_Co=0.4, pixel_size_uncertainty=0.01),
        row("A/2.tif", order=3, group="g", n_detected=np.int32(0), condition_note="x"),
        row("B9/1.tif", "B9", condition_note="1.5", condition_Co=np.nan),
    ]
    written = Manifest.from_rows(rows, REFUSED)
    write_manifest(tmp_path, written)
    read = read_manifest(tmp_path)
    pd.testing.assert_frame_equal(read.micrographs, written.micrographs)
    pd.testing.assert_frame_equal(read.refusals, written.refusals)
    assert list(read.micrographs["name"]) == ["A/2.tif", "A/10.tif", "B9/1.tif", "B10/1.tif"]
    assert read.micrographs["n_detected"].dtype == "Int32"
    assert read.micrographs["order"].dtype == np.int32
    assert [r["n_detected"] for r in read.rows()] == [0, None, None, 5]
    assert [r["condition_Co"] for r in read.rows()] == [None, None, None, 0.4]
    assert [r["condition_note"] for r in read.rows()] == ["x", None, "1.5", None]
    assert read.rows()[3] == dict.fromkeys(MICROGRAPHS.names) | rows[1] | {"condition_note": None}


def test_an_empty_manifest_has_all_columns(tmp_path):
    write_manifest(tmp_path, Manifest.from_rows([], []))
    read = read_manifest(tmp_path)
    assert tuple(read.micrographs.columns) == MICROGRAPHS.names
    assert tuple(read.refusals.columns) == REFUSALS.names
    assert len(read.micrographs) == len(read.refusals) == 0


def test_units_and_meanings_travel_in_the_file(tmp_path):
    write_manifest(tmp_path, Manifest.from_rows([row("A/1.tif")], []))
    schema = pq.read_schema(tmp_path / MICROGRAPHS_FILE)
    assert schema.field("pixel_size_nm").metadata[b"unit"] == b"nm"
    assert schema.metadata[b"nanocensus.format_version"]


def test_the_bytes_depend_on_the_content_only(tmp_path):
    rows = [row("A/1.tif"), row("A/2.tif", condition_Co=1.0)]
    write_manifest(tmp_path / "one", Manifest.from_rows(rows, REFUSED))
    write_manifest(tmp_path / "two", Manifest.from_rows(rows[::-1], REFUSED))
    assert (tmp_path / "one" / MICROGRAPHS_FILE).read_bytes() == (tmp_path / "two" / MICROGRAPHS_FILE).read_bytes()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sample": None}, "nothing in sample"),
        ({"Co": 1.0}, "unknown columns"),
        ({"n_detected": "many"}, "declared types"),
        ({"order": 2**40}, "declared types"),
    ],
)
def test_rows_that_do_not_fit_are_refused(change, reason):
    with pytest.raises(TableError, match=reason):
        Manifest.from_rows([row("A/1.tif") | change], [])


def test_no_manifest_a_damaged_and_a_newer_one_are_told_apart(tmp_path):
    with pytest.raises(StoreError, match="nanocensus ingest"):
        read_manifest(tmp_path)
    write_manifest(tmp_path, Manifest.from_rows([row(f"A/{i}.tif") for i in range(20)], REFUSED))
    path = tmp_path / MICROGRAPHS_FILE
    whole = path.read_bytes()
    for damaged in (b"", whole[:100], whole[:-5], whole[:200] + b"\0" * 50 + whole[250:]):
        path.write_bytes(damaged)
        with pytest.raises(DamageError, match=MICROGRAPHS_FILE):
            read_manifest(tmp_path)
    path.write_bytes(whole)
    newer = pq.read_table(path).replace_schema_metadata({"nanocensus.format_version": "2.0"})
    pq.write_table(newer, path)
    with pytest.raises(FormatVersionError):
        read_manifest(tmp_path)


def test_an_older_minor_version_without_a_nullable_column_opens(tmp_path):
    write_manifest(tmp_path, Manifest.from_rows([row("A/1.tif", model="m")], []))
    older = pq.read_table(tmp_path / MICROGRAPHS_FILE).drop_columns(["model", "n_detected"])
    older = older.replace_schema_metadata({"nanocensus.format_version": "1.1"})  # before files were sealed
    pq.write_table(older, tmp_path / MICROGRAPHS_FILE)
    assert read_manifest(tmp_path).rows()[0]["model"] is None
    missing = pa.table(older).drop_columns(["sample"])
    pq.write_table(missing, tmp_path / MICROGRAPHS_FILE)
    with pytest.raises(DamageError):
        read_manifest(tmp_path)


def test_a_crash_while_writing_keeps_the_old_index_and_leaves_nothing_that_reads(tmp_path, monkeypatch):
    write_manifest(tmp_path, Manifest.from_rows([row("A/1.tif")], []))

    class Killed(BaseException):
        pass

    def kill(_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(commit.os, "fsync", kill)
        with pytest.raises(Killed):
            write_manifest(tmp_path, Manifest.from_rows([row("A/2.tif")], []))
    assert read_manifest(tmp_path).rows()[0]["name"] == "A/1.tif"
    leftover = commit.partial_path(tmp_path / MICROGRAPHS_FILE)
    leftover.write_bytes(b"half")
    (tmp_path / ".micrographs.zarr.x.partial" / "0").mkdir(parents=True)
    assert read_manifest(tmp_path).rows()[0]["name"] == "A/1.tif"
    with OutputLock(tmp_path):
        assert {path.name for path in tmp_path.iterdir()} == {MICROGRAPHS_FILE, "refusals.parquet", LOCK_FILE}


def test_a_lock_keeps_others_out_until_it_is_given_back(tmp_path):
    out = tmp_path / "out"
    with OutputLock(out):
        with pytest.raises(LockedError, match=str(os.getpid())), OutputLock(out):
            pass
        with OutputLock(tmp_path / "other"):
            pass
    with OutputLock(out):
        pass


def test_a_killed_holder_leaves_no_lock(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from nanocensus.store.manifest import OutputLock\n"
        "with OutputLock(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LockedError, match=str(holder.pid)), OutputLock(tmp_path):
            pass
        holder.send_signal(signal.SIGKILL)
    with OutputLock(tmp_path):
        pass


def test_a_full_disk_is_said_by_name_and_holds_no_lock(tmp_path):
    (tmp_path / "out").mkdir()
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, allowed[1]))
    try:
        with pytest.raises(StoreError, match="expected a place that can be written"), OutputLock(tmp_path / "out"):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
    with OutputLock(tmp_path / "out"):
        pass
