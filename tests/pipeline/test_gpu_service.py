"""Workers that own a GPU, workers beside them, and the memory that they share; on pretended GPUs."""

import dataclasses
import os
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pyarrow.parquet as pq
import pytest

from nanocensus.device import Device, resolve_device
from nanocensus.errors import DeviceError
from nanocensus.pipeline.job.plan import Block, Network, make_task
from nanocensus.pipeline.job.sections import MeasureSection
from nanocensus.pipeline.job.work_sections import ClusterSection
from nanocensus.pipeline.run import runner
from nanocensus.pipeline.run.block import process_block
from nanocensus.pipeline.workers import gpu_service
from nanocensus.pipeline.workers.clusters import describe, device_of, open_client, where_blocks_go
from nanocensus.segment.prediction.inference import Inference
from nanocensus.segment.prediction.weights import load_model
from nanocensus.segment.preparation.preparation import Preparation
from nanocensus.simulate.rendering import write_simulated
from nanocensus.simulate.spec import SimulationSpec
from nanocensus.store.images.ingest import STORE_FOLDER
from nanocensus.store.images.micrographs import content_digest, create_store, read_probability, write_micrograph
from nanocensus.store.particles.tables import PARTICLES_FOLDER

SETTINGS = MeasureSection()
KINDS = [((128, 128), "uint8"), ((128, 192), "uint16"), ((96, 160), "float32")]
PREPARATIONS = [Preparation(), Preparation(flat_field=False), Preparation(contrast="bright")]


def micrograph(seed):
    shape, dtype = KINDS[seed]
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    dark = np.hypot(y % 64 - 32, x % 64 - 32) < 14
    levels = (140, 90) if PREPARATIONS[seed].contrast == "bright" else (90, 140)
    return np.where(dark, rng.normal(levels[0], 6, shape), rng.normal(levels[1], 6, shape)).astype(dtype)


@pytest.fixture
def block(tmp_path):
    """Micrographs of several shapes and types in a store, and the block of them."""
    model, store, tasks = load_model("default"), tmp_path / STORE_FOLDER, []
    create_store(store)
    for seed in range(len(KINDS)):
        pixels = micrograph(seed)
        digest = content_digest(pixels)
        write_micrograph(store, digest[:16], pixels, name=f"{seed}.tif", pixel_size_nm=0.1)
        row = {"micrograph": digest[:16], "content_digest": digest, "name": f"{seed}.tif", "sample": "a",
               "pixel_size_nm": 0.1}  # fmt: skip
        network = Network("default", "default", model.digest)
        tasks.append(
            make_task(row, network, inference=Inference(512), measure=SETTINGS, preparation=PREPARATIONS[seed])
        )
    return Block("part-0.parquet", tuple(tasks))


@pytest.fixture(scope="module")
def pretended():
    """One worker that is said to own a GPU, and one beside it."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DASK_CUDA_TEST_DISABLE_DEVICE_SPECIFIC", "1")
        patched.setenv("CUDA_VISIBLE_DEVICES", "0")
        with open_client(ClusterSection(workers=1), gpu=True) as client:
            yield client


def test_a_gpu_has_a_worker_and_blocks_go_to_those_beside_it(pretended):
    assert describe(pretended) == {"workers": 2, "threads": 3, "gpus": 1}
    gpu, cpu = Device("gpu", "", ""), Device("cpu", "", "")
    assert where_blocks_go(pretended, gpu, SETTINGS) == {"HOST": 1}
    assert where_blocks_go(pretended, gpu, MeasureSection(labelling="cucim")) == {"GPU": 1}
    assert where_blocks_go(pretended, cpu, SETTINGS) == {"HOST": 1}  # JAX would take the GPU where there is one


def test_the_worker_beside_sees_no_gpu_and_the_other_its_own_and_leaves_memory_to_cupy(pretended):
    def environment(*names):
        import os

        return [os.environ.get(name) for name in names]

    beside = pretended.submit(environment, "JAX_PLATFORMS", "CUDA_VISIBLE_DEVICES", resources={"HOST": 1}).result()
    assert beside == ["cpu", ""]
    names = ("JAX_PLATFORMS", "JAX_CUDA_VISIBLE_DEVICES", "XLA_PYTHON_CLIENT_PREALLOCATE")
    assert pretended.submit(environment, *names, resources={"GPU": 1}).result() == [None, "0", "false"]


def test_ctrl_c_is_left_to_the_run_by_every_worker(pretended):
    def ignores_it():
        import signal

        return signal.getsignal(signal.SIGINT) is signal.SIG_IGN

    assert set(pretended.run(ignores_it).values()) == {True}


def test_a_cluster_leaves_the_environment_of_the_program_as_it_was():
    before = dict(os.environ)
    with open_client(ClusterSection(workers=1)):
        pass
    assert dict(os.environ) == before


@pytest.mark.skipif(resolve_device("auto").kind == "gpu", reason="JAX sees the GPU of this machine")
def test_a_gpu_that_jax_does_not_see_is_an_error(pretended):
    with pytest.raises(DeviceError, match="JAX to see it"):
        device_of(pretended, "gpu")


def test_maps_come_back_through_shared_memory_as_the_host_would_predict_them(pretended, block, tmp_path):
    arguments = (block, tmp_path, Inference(512), SETTINGS, True)
    result = pretended.submit(process_block, *arguments, resources={"HOST": 1}).result()
    assert [row["status"] for row in result.rows] == ["done"] * len(KINDS)
    assert all(row["n_detected"] >= 4 for row in result.rows)
    model = load_model("default")
    for seed, task in enumerate(block.tasks):
        found, digest = read_probability(tmp_path / STORE_FOLDER, task.row["micrograph"])
        assert digest == task.map.digest
        expected = model.probability(micrograph(seed), tile=512, **dataclasses.asdict(PREPARATIONS[seed]))
        assert abs(found.astype(int) - expected).max() <= 1


def test_a_damaged_micrograph_fails_with_its_reason_and_costs_the_others_nothing(pretended, block, tmp_path):
    shard = tmp_path / STORE_FOLDER / block.tasks[1].row["micrograph"] / "0" / "c" / "0" / "0"
    shard.write_bytes(shard.read_bytes()[:-40])
    rows = (
        pretended.submit(process_block, block, tmp_path, Inference(512), SETTINGS, True, resources={"HOST": 1})
        .result()
        .rows
    )
    assert [row["status"] for row in rows] == ["done", "failed", "done"]
    assert "the bytes that were written" in rows[1]["reason"]


def test_blocks_go_to_the_gpus_own_worker_where_there_is_no_other(pretended, block, tmp_path):
    rows = (
        pretended.submit(process_block, block, tmp_path, Inference(512), SETTINGS, True, resources={"GPU": 1})
        .result()
        .rows
    )
    assert [row["status"] for row in rows] == ["done"] * len(KINDS)


def test_the_benchmark_brings_micrographs_through_the_gpus_worker_to_their_particles(tmp_path, monkeypatch):
    monkeypatch.setenv("DASK_CUDA_TEST_DISABLE_DEVICE_SPECIFIC", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks" / "gpu")
    gpu, rows = Device("gpu", "pretended", "asked for"), []
    monkeypatch.setattr(runner, "resolve_device", lambda choice: gpu)
    monkeypatch.setattr(runner, "device_of", lambda client, choice: gpu)
    import bench

    spec = SimulationSpec(shape=(128, 128), pixel_size_nm=0.1, mean_particles=5.0, mean_edge_length_nm=2.0)
    write_simulated(tmp_path / "raw", spec, n=2, seed=1, sample="s")
    bench.stream(SimpleNamespace(add=rows.append), tmp_path / "raw" / "s", tmp_path / "out")
    assert [(row["micrographs"], row["failed"], row["device"]) for row in rows] == [(2, 0, "pretended")]
    assert rows[0]["particles"] > 0


def test_without_a_gpu_beside_it_a_worker_says_so_and_does_not_take_the_cpu(client, block, tmp_path):
    rows = client.submit(process_block, block, tmp_path, Inference(512), SETTINGS, True).result().rows
    assert {row["status"] for row in rows} == {"failed"}
    assert "offers the resource GPU" in rows[0]["reason"]
    assert rows[0]["measure_digest"] is None  # so that the next run tries again


def test_a_run_on_the_cpu_computes_there_where_jax_would_take_a_gpu(block, tmp_path, monkeypatch):
    computed_on = []

    class Watched:
        def probability(self, pixels, **_):
            computed_on.append(jax.config.jax_default_device)
            return np.zeros(pixels.shape, np.uint8)

    monkeypatch.setattr("nanocensus.pipeline.run.block.load_model", lambda place: Watched())
    process_block(block, tmp_path, Inference(512), SETTINGS)
    assert computed_on == [jax.local_devices(backend="cpu")[0]] * len(KINDS)


def test_blocks_of_a_cpu_run_go_anywhere_where_no_worker_owns_a_gpu(client):
    assert where_blocks_go(client, Device("cpu", "", ""), SETTINGS) == {}


def test_a_cluster_without_gpus_is_refused_or_taken_as_cpus_with_a_reason(client):
    assert device_of(client, "auto") == Device("cpu", "CPU", "auto: no worker offers the resource GPU")
    with pytest.raises(DeviceError, match="dask cuda worker"):
        device_of(client, "gpu")


def test_shared_memory_is_mapped_once_and_let_go_with_its_owner(monkeypatch):
    monkeypatch.setattr(gpu_service, "_KEPT_MAPPED", 1)
    memory = gpu_service._Memory(4096)
    mine, shared = memory.array((8, 8), np.dtype(np.uint8))
    mine[:] = 3
    assert (gpu_service._view(shared) == 3).all()
    assert gpu_service._mapped(shared) is gpu_service._mapped(shared)
    second = gpu_service._Memory(4096)
    other, other_shared = second.array((4,), np.dtype(np.uint8))
    gpu_service._view(other_shared)[:] = 9
    assert other.tolist() == [9] * 4
    assert list(gpu_service._mappings) == [other_shared.token]


def test_a_gpus_worker_that_does_not_answer_becomes_a_reason(pretended, monkeypatch):
    monkeypatch.setattr(gpu_service, "_PATIENCE", 0.05)
    monkeypatch.setattr(gpu_service, "_check_offered", lambda *_: None)
    nothing = gpu_service.Shared("", "", 0, (0, 0), "uint8")
    with pytest.raises(DeviceError, match="it was lost, or the GPU hangs"):
        gpu_service._ask(
            pretended, "10.255.255.1", (nothing, nothing, "default", Preparation())
        )  # a machine without workers


def test_a_late_answer_does_not_fall_into_the_memory_of_the_next_micrograph(monkeypatch):
    asked = []

    def never(client, host, arguments):
        asked.append(arguments[1])
        raise DeviceError("the GPU's worker", expected="an answer", got="none", remedy="Run again.")

    worker = SimpleNamespace(address="tcp://127.0.0.1:1", state=SimpleNamespace(total_resources={}))
    monkeypatch.setattr(gpu_service, "_ask", never)
    monkeypatch.setattr(gpu_service.distributed, "get_worker", lambda: worker)
    monkeypatch.setattr(gpu_service.distributed, "get_client", lambda: None)
    for _ in range(2):
        with pytest.raises(DeviceError):
            gpu_service.predict_on_gpu(micrograph(0), "default")
    assert asked[0].token != asked[1].token


def test_a_gpus_worker_that_is_lost_is_waited_for(pretended, block, tmp_path):
    gone = [
        a for a, facts in pretended.scheduler_info(n_workers=-1)["workers"].items() if facts["resources"].get("GPU")
    ]
    pretended.restart_workers(gone, timeout=60)
    rows = (
        pretended.submit(process_block, block, tmp_path, Inference(512), SETTINGS, True, resources={"HOST": 1})
        .result()
        .rows
    )
    assert [row["status"] for row in rows] == ["done"] * len(KINDS)


def test_maps_of_siblings_stay_apart_though_all_come_back_through_one_memory(pretended, block, tmp_path):
    own, *folds = (
        Network(name, name, load_model(name).digest) for name in ("default", "default-fold0", "default-fold1")
    )
    tasks = tuple(
        make_task(
            task.row, own, inference=Inference(512), measure=SETTINGS, preparation=task.preparation, siblings=folds
        )
        for task in block.tasks
    )

    def done():
        arguments = (Block(block.part, tasks), tmp_path, Inference(512), SETTINGS, True)
        pretended.submit(process_block, *arguments, resources={"HOST": 1}, pure=False).result()
        return pq.read_table(tmp_path / PARTICLES_FOLDER / block.part)

    predicted, of_stored_maps = done(), done()
    assert min(predicted["edge_length_sibling_sd_nm"].to_pylist()) > 0
    assert predicted.equals(of_stored_maps)
