"""The GPU's share of a block, its workers, and what becomes of a block that was predicted elsewhere."""

import numpy as np
import pytest

from nanocensus.errors import DeviceError, ImageError
from nanocensus.pipeline.block import process_block
from nanocensus.pipeline.clusters import device_of, open_client, where_to_measure
from nanocensus.pipeline.gpu_block import Predicted, predict_block
from nanocensus.pipeline.plan import Block, make_task
from nanocensus.pipeline.spec import ClusterSection, MeasureSection
from nanocensus.segment.weights import load_model
from nanocensus.store.ingest import STORE_FOLDER
from nanocensus.store.micrographs import content_digest, create_store, read_probability, write_micrograph
from nanocensus.store.tables import PARTICLES_FOLDER, read_part_rows

SETTINGS = MeasureSection()


def micrograph(shape, seed, dtype):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    dark = np.hypot(y % 64 - 32, x % 64 - 32) < 14
    return np.where(dark, rng.normal(90, 6, shape), rng.normal(140, 6, shape)).astype(dtype)


@pytest.fixture
def block(tmp_path):
    """Micrographs of two shapes and types in a store, and the block of them."""
    kinds = [((128, 128), "uint8"), ((128, 128), "uint8"), ((96, 160), "uint16"), ((128, 128), "float32")]
    model, store, tasks = load_model("default"), tmp_path / STORE_FOLDER, []
    create_store(store)
    for seed, (shape, dtype) in enumerate(kinds):
        pixels = micrograph(shape, seed, dtype)
        digest = content_digest(pixels)
        write_micrograph(store, digest[:16], pixels, name=f"{seed}.tif", pixel_size_nm=0.1)
        row = {"micrograph": digest[:16], "content_digest": digest, "name": f"{seed}.tif", "sample": "a",
               "pixel_size_nm": 0.1}  # fmt: skip
        tasks.append(
            make_task(row, model="default", model_name="default", model_digest=model.digest, tile_px=512,
                      measure=SETTINGS)
        )  # fmt: skip
    return Block("part-0.parquet", tuple(tasks))


def names(block):
    return [task.row["micrograph"] for task in block.tasks]


def maps(block, out):
    return [read_probability(out / STORE_FOLDER, name) for name in names(block)]


def test_every_map_of_a_block_is_in_the_store_under_its_digest(block, tmp_path):
    predicted = predict_block(block, tmp_path)
    assert predicted.failed == {}
    model = load_model("default")
    for task, seed, found in zip(block.tasks, range(4), maps(block, tmp_path), strict=True):
        shape, dtype = [((128, 128), "uint8"), ((128, 128), "uint8"), ((96, 160), "uint16"), ((128, 128), "float32")][
            seed
        ]
        assert found[1] == task.segment_digest
        expected = model.probability(micrograph(shape, seed, dtype))
        assert abs(found[0].astype(int) - expected).max() <= 1
        assert (expected > 127).any()


def test_what_is_there_is_not_predicted_again(block, tmp_path):
    predict_block(block, tmp_path)
    stamps = [(tmp_path / STORE_FOLDER / name / "probability").stat().st_ino for name in names(block)]
    predict_block(block, tmp_path)
    assert stamps == [(tmp_path / STORE_FOLDER / name / "probability").stat().st_ino for name in names(block)]


def test_a_damaged_micrograph_fails_with_its_reason_and_costs_the_others_nothing(block, tmp_path):
    shard = tmp_path / STORE_FOLDER / names(block)[1] / "0" / "c" / "0" / "0"
    shard.write_bytes(shard.read_bytes()[:-40])
    predicted = predict_block(block, tmp_path)
    assert list(predicted.failed) == [names(block)[1]]
    rows = process_block(block, tmp_path, 512, SETTINGS, predicted).rows
    assert [row["status"] for row in rows] == ["done", "failed", "done", "done"]
    assert "the bytes that were written" in rows[1]["reason"]
    assert rows[1]["measure_digest"] is None  # so that the next run tries again
    assert all(row["n_detected"] > 0 for row in (rows[0], rows[2], rows[3]))


def test_a_micrograph_that_is_at_fault_itself_is_not_tried_again(block, tmp_path):
    at_fault = Predicted({names(block)[0]: ImageError("micrograph", expected="a", got="b", remedy="C.")}, 0.0)
    predict_block(block, tmp_path)
    row = process_block(block, tmp_path, 512, SETTINGS, at_fault).rows[0]
    assert (row["status"], row["measure_digest"]) == ("failed", block.tasks[0].measure_digest)


def test_a_map_that_a_gpu_should_have_written_is_not_quietly_predicted_on_the_cpu(block, tmp_path):
    rows = process_block(block, tmp_path, 512, SETTINGS, Predicted({}, 0.0)).rows
    assert {row["status"] for row in rows} == {"failed"}
    assert "the map that a GPU has just written" in rows[0]["reason"]


def test_workers_with_a_gpu_predict_and_workers_beside_them_measure(block, tmp_path, monkeypatch):
    monkeypatch.setenv("DASK_CUDA_TEST_DISABLE_DEVICE_SPECIFIC", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with open_client(ClusterSection(workers=1), gpu=True) as client:
        assert where_to_measure(client) == {"HOST": 1}
        predicted = client.submit(predict_block, block, tmp_path, resources={"GPU": 1})
        result = client.submit(process_block, block, tmp_path, 512, SETTINGS, predicted, resources={"HOST": 1}).result()
        with pytest.raises(DeviceError, match="JAX to see it"):  # of a GPU that is only pretended
            device_of(client, "gpu")
    assert [row["status"] for row in result.rows] == ["done"] * 4
    assert [row["n_detected"] for row in read_part_rows(tmp_path / PARTICLES_FOLDER / block.part)] == [
        row["n_detected"] for row in result.rows
    ]
