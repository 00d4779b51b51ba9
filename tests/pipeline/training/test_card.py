"""The card of a network states where it is at home."""

import dataclasses
import shutil

import pandas as pd
import pytest

from nanocensus.pipeline.training.card import domain
from nanocensus.pipeline.training.patches import PatchSource
from nanocensus.pipeline.training.train import TrainingSpec
from nanocensus.sections import parse_section
from nanocensus.segment.judging.metrics import dice
from nanocensus.segment.prediction.weights import load_model
from nanocensus.segment.training.data import read_training_images
from nanocensus.simulate.rendering import write_simulated
from nanocensus.simulate.spec import SimulationSpec
from nanocensus.store.images.ingest import ingest
from nanocensus.store.studies.sources import find_sources


def test_a_network_is_at_home_with_those_unseen_scenes_that_it_maps_well(simulated, tmp_path):
    job = simulated | {"steps": 24, "patch": 192, "base": 12, "levels": 4}
    spec = parse_section(TrainingSpec, job, section="training", base=tmp_path)
    model, source = load_model("simulated"), PatchSource(spec, [])
    mapped = [dice(scene.coverage > 0.5, model.probability(scene.pixels) >= 128) for scene in source.unseen(24)]
    assert 6 < sum(each >= 0.9 for each in mapped) < 24
    assert domain(model, spec, source, [])["micrographs"] == sum(each >= 0.9 for each in mapped)


def test_the_card_states_the_pixel_sizes_of_micrographs_that_all_have_one(tmp_path):
    plain = SimulationSpec(shape=(192, 192), mean_particles=4.0, mean_edge_length_nm=3.0)
    for sample, size in (("fine", 0.1), ("coarse", 0.12)):
        spec = dataclasses.replace(plain, pixel_size_nm=size)
        listed = write_simulated(tmp_path / "raw", spec, n=1, seed=3, sample=sample)
    table = pd.read_csv(listed)
    table.assign(field="1").rename(columns={"file": "image"}).to_csv(tmp_path / "fields.csv", index=False)
    for name, mask in zip(table["file"], table["mask"], strict=True):  # masks of the micrographs' names
        (tmp_path / "masks" / name).parent.mkdir(parents=True)
        shutil.copy(tmp_path / "raw" / mask, tmp_path / "masks" / name)
    ingest(find_sources(tmp_path / "raw", table=listed), tmp_path / "known")
    ingest(find_sources(tmp_path / "raw", table=listed, pixel_size_nm=0.3, assumed=True), tmp_path / "made-up")
    folders = {"images": "raw", "masks": "masks", "groups": "fields.csv"}
    stated = []
    for source in (folders, {"store": "known"}, {"store": "made-up"}):
        job = {**source, "models": "models", "patch": 32, "folds": 0}
        spec = parse_section(TrainingSpec, job, section="training", base=tmp_path)
        images = read_training_images(spec)
        stated.append(domain(load_model("simulated"), spec, PatchSource(spec, images), images)["pixel_size_nm"])
    assert stated == [pytest.approx([0.1, 0.12])] * 2 + [None]
