"""Windows fit into the memory of a worker, which is known before the run; the maps are those of any other windows."""

import json

import numpy as np
import pytest
from distributed.system import memory_limit
from hypothesis import example, given
from hypothesis import strategies as st

from nanocensus.errors import InputError
from nanocensus.pipeline.job.plan import Network, PlannedMap, Task
from nanocensus.pipeline.job.spec import parse_job
from nanocensus.pipeline.job.work_sections import ClusterSection
from nanocensus.pipeline.run.journal import START, read_events
from nanocensus.pipeline.run.runner import census
from nanocensus.pipeline.workers import local_cluster
from nanocensus.pipeline.workers.clusters import open_client
from nanocensus.pipeline.workers.memory import Need, fitting_tile, limit_of_workers, machine_memory
from nanocensus.segment.prediction.memory import feature_bytes
from nanocensus.segment.prediction.weights import load_model
from nanocensus.store.images.ingest import STORE_FOLDER
from nanocensus.store.images.micrographs import read_probability
from nanocensus.store.manifest import OutputLock, read_manifest

MIB = 2**20


def task(height, width):
    planned = PlannedMap(Network("default", "default", "d"), "s")
    return Task({"name": "s/1.tif", "height_px": height, "width_px": width}, planned, "p")


@given(
    st.lists(st.tuples(st.integers(1, 9000), st.integers(1, 9000)), min_size=1, max_size=4), st.integers(100, 20_000)
)
@example([(4096, 4096)], 2048)
@example([(4096, 4096), (600, 16_384)], 1700)
def test_any_micrograph_fits_with_the_windows_that_are_chosen_or_none_is_begun(shapes, limit_mib):
    config, usable = load_model("default").config, 0.8 * limit_mib * MIB
    try:
        found = fitting_tile(None, [task(*shape) for shape in shapes], limit_mib * MIB)
    except InputError:
        assert max(Need("", config, *shape).memory(896) for shape in shapes) > usable
        return
    assert 896 <= found.tile_px <= 2272
    assert all(Need("", config, *shape).memory(found.tile_px) <= usable for shape in shapes)


@pytest.mark.parametrize("limit_mib", [1600, 1700, 1800])
def test_windows_are_as_large_as_fits(limit_mib):
    need, usable = Need("", load_model("default").config, 4096, 4096), 0.8 * limit_mib * MIB
    found = fitting_tile(None, [task(4096, 4096)], limit_mib * MIB)
    assert 896 < found.tile_px < 2272
    per_pixel = feature_bytes(need.config) + 12
    rest = need.memory(4096) - per_pixel * 4096**2
    assert per_pixel * found.tile_px**2 <= usable - rest < per_pixel * (found.tile_px + 32) ** 2
    assert found.tile_reason.startswith("the largest that fits")


def test_what_the_job_says_is_taken_with_a_warning_if_it_may_be_too_much(caplog):
    assert fitting_tile(4096, [task(4096, 4096)], 8192 * MIB).tile_px == 4096
    assert "windows" not in caplog.text
    assert fitting_tile(4096, [task(4096, 4096)], 1500 * MIB).tile_px == 4096
    assert "may need 2.1 GiB" in caplog.text


def test_without_a_limit_the_ordinary_windows_are_taken():
    assert fitting_tile(None, [task(16_384, 16_384)], None).tile_px == 2272


def test_local_workers_share_the_memory_however_many_cores_there_are():
    with open_client(ClusterSection(workers=2)) as client:
        limit = limit_of_workers(client, {})
    assert 0.3 * machine_memory() < limit <= memory_limit() // 2


SCENE = {"shape": [1300, 1300], "mean_particles": 60.0, "mean_edge_length_nm": 4.2}


def do(out, memory_mib, monkeypatch):
    """Do a job where the machine has so much memory."""
    monkeypatch.setattr(local_cluster, "machine_memory", lambda: memory_mib * MIB)
    cluster = {"workers": 1}
    job = parse_job({"out": str(out), "simulate": {"micrographs": 1, "micrograph": SCENE}, "cluster": cluster})
    with OutputLock(job.out):
        return census(job)


@pytest.mark.slow
def test_a_worker_with_too_little_memory_is_refused_before_anything_is_segmented(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"1300 x 1300 pixels: expected workers that may use at least .* GiB each"):
        do(tmp_path, 700, monkeypatch)
    assert START not in [event["event"] for event in read_events(tmp_path)]
    assert not list((tmp_path / STORE_FOLDER).glob("*/probability"))


@pytest.mark.slow
def test_smaller_windows_give_the_same_map_and_leave_nothing_to_be_done_with_larger_ones(tmp_path, monkeypatch):
    maps = {}
    for name, memory_mib in (("small", 1030), ("large", 4000)):
        summary = do(tmp_path / name, memory_mib, monkeypatch)
        record = (
            json.loads((tmp_path / name / "run.json").read_text()) if (tmp_path / name / "run.json").exists() else {}
        )
        assert record["windows"]["tile_px"] == summary.tile.tile_px
        (row,) = read_manifest(tmp_path / name).rows()
        maps[name], digest = read_probability(tmp_path / name / STORE_FOLDER, row["micrograph"])
        maps[name] = maps[name].astype(int)
        assert digest == row["segment_digest"]
    assert np.abs(maps["small"] - maps["large"]).max() <= 1
    assert do(tmp_path / "small", 4000, monkeypatch).n_reused == 1
