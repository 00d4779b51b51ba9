from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from nanocensus.measure.descriptors import measure
from nanocensus.pipeline.job.plan import Block, Network, make_task
from nanocensus.pipeline.job.sections import MeasureSection
from nanocensus.pipeline.run.block import process_block
from nanocensus.segment.prediction import openvino_engine
from nanocensus.segment.prediction.description import describe
from nanocensus.segment.prediction.domain import Domain
from nanocensus.segment.prediction.inference import Inference
from nanocensus.segment.prediction.weights import load_model
from nanocensus.store.images.ingest import STORE_FOLDER
from nanocensus.store.images.micrographs import content_digest, create_store, discard_results, write_micrograph
from nanocensus.store.particles.tables import PARTICLES_FOLDER


def test_the_time_of_a_stage_that_failed_counts(tmp_path):
    row = {
        "micrograph": "0" * 16, "name": "a.tif", "sample": "A", "order": 0, "height_px": 8, "width_px": 8,
        "recorded_dtype": "uint8", "pixel_size_nm": 0.1, "pixel_size_source": "given", "content_digest": "0" * 64,
    }  # fmt: skip
    settings = MeasureSection()
    task = make_task(row, Network("default", "default", ""), inference=Inference(64), measure=settings)
    result = process_block(Block("part-0.parquet", (task,)), tmp_path, Inference(64), settings)
    assert [row["status"] for row in result.rows] == ["failed"]  # its pixels are nowhere
    (effort,) = result.efforts
    assert effort.seconds["read"] > 0.0
    assert effort.memory_mib > 10.0


@pytest.mark.parametrize("known", [True, False])
def test_a_micrograph_is_scored_where_its_networks_domain_is_known_from_a_new_map_and_a_stored_one(tmp_path, known):
    store = tmp_path / STORE_FOLDER
    create_store(store)
    y, x = np.mgrid[:96, :96]
    pixels = np.where(np.hypot(y - 48, x - 48) < 20, 60, 120).astype(np.uint8) + (x % 3 * y % 5).astype(np.uint8)
    digest = content_digest(pixels)
    write_micrograph(store, digest[:16], pixels, name="a.tif", pixel_size_nm=0.1)
    model = load_model("default")
    found = describe(pixels, model.probability(pixels, tile=512))
    domain = Domain.of([found, replace(found, coverage=0.5)])
    row = {"micrograph": digest[:16], "name": "a.tif", "sample": "A", "content_digest": digest, "pixel_size_nm": 0.1}
    settings = MeasureSection()
    task = make_task(
        row,
        Network("default", "default", model.digest, domain if known else None),
        inference=Inference(512),
        measure=settings,
    )
    scores = []
    for _ in range(2):  # the second time the map is there
        result = process_block(Block("part-0.parquet", (task,)), tmp_path, Inference(512), settings)
        scores.append(result.rows[0]["domain_score"])
    assert scores == ([round(domain.score(found), 4)] * 2 if known else [None, None])


def test_a_block_asks_the_engine_that_it_is_told(tmp_path, monkeypatch):
    store = tmp_path / STORE_FOLDER
    create_store(store)
    y, x = np.mgrid[:96, :96]
    pixels = np.where(np.hypot(y - 48, x - 48) < 20, 60, 120).astype(np.uint8) + (x % 3 * y % 5).astype(np.uint8)
    digest, settings, inference = content_digest(pixels), MeasureSection(), Inference(512, "openvino", "bfloat16")
    write_micrograph(store, digest[:16], pixels, name="a.tif", pixel_size_nm=0.1)
    model = load_model("default")
    row = {"micrograph": digest[:16], "name": "a.tif", "sample": "A", "content_digest": digest, "pixel_size_nm": 0.1}
    task = make_task(row, Network("default", "default", model.digest), inference=inference, measure=settings)
    asked, run = [], openvino_engine.run
    monkeypatch.setattr(openvino_engine, "run", lambda *given: asked.append(given) or run(*given))
    result = process_block(Block("part-0.parquet", (task,)), tmp_path, inference, settings)
    assert [(row["status"], row["n_detected"]) for row in result.rows] == [("done", 1)]
    assert [(given[0].digest, given[1]) for given in asked] == [(model.digest, "bfloat16")]


def test_siblings_are_asked_once_and_their_disagreement_lands_in_the_table(tmp_path, monkeypatch):
    store = tmp_path / STORE_FOLDER
    create_store(store)
    y, x = np.mgrid[:128, :128]
    pixels = np.where(np.hypot(y - 60, x - 60) < 30, 60, 120).astype(np.uint8) + (x % 3 * y % 5).astype(np.uint8)
    digest, settings = content_digest(pixels), MeasureSection()
    write_micrograph(store, digest[:16], pixels, name="a.tif", pixel_size_nm=0.1)
    row = {"micrograph": digest[:16], "name": "a.tif", "sample": "A", "content_digest": digest, "pixel_size_nm": 0.1}
    folds = [load_model(f"default-fold{fold}") for fold in range(2)]
    known = {"network": Network("default", "default", "d"), "inference": Inference(512)}
    task = make_task(
        row, **known, measure=settings, siblings=[Network(model.name, model.name, model.digest) for model in folds]
    )
    alone = make_task(row, **known, measure=settings)
    assert alone.map.digest == task.map.digest
    assert alone.measure_digest != task.measure_digest
    process_block(Block("part-0.parquet", (task,)), tmp_path, Inference(512), settings)
    table = pq.read_table(tmp_path / PARTICLES_FOLDER / "part-0.parquet").to_pandas()
    lengths = [
        measure(model.probability(pixels, tile=512), pixel_size_nm=0.1).table["edge_length_nm"][0].as_py()
        for model in folds
    ]
    assert table["edge_length_sibling_sd_nm"][0] == pytest.approx(np.std(lengths, ddof=1), abs=0.004)
    assert table["sibling_share"][0] == 1.0
    monkeypatch.setattr("nanocensus.pipeline.run.block.load_model", None)  # all maps are there
    again = process_block(Block("part-1.parquet", (task,)), tmp_path, Inference(512), settings)
    assert again.rows[0]["status"] == "done"
    discard_results(store, digest[:16])
    assert not list((store / digest[:16]).glob("probability*"))
