"""Training data: read whole, and held out by fields."""

import tomllib
import weakref
from pathlib import Path

import imageio.v3
import numpy as np
import pandas as pd
import pytest

from nanocensus.errors import InputError, JobError
from nanocensus.pipeline.training import patches as training_patches
from nanocensus.pipeline.training.patches import _Shelf, validation_patches
from nanocensus.sections import parse_section
from nanocensus.segment.preparation.flatfield import flatten
from nanocensus.segment.training.data import TrainingImage, assign_folds, read_training_images
from nanocensus.segment.training.patches import prepare
from nanocensus.segment.training.spec import TrainingSpec
from nanocensus.simulate.rendering import write_simulated
from nanocensus.simulate.spec import SimulationSpec
from nanocensus.store.images.ingest import ingest
from nanocensus.store.studies.sources import find_sources

PATHS = {"images": "i", "masks": "m", "groups": "g.csv", "models": "out"}
JOB = Path(__file__).parents[2] / "jobs" / "train-demo.toml"


def test_no_field_is_split_and_folds_are_even():
    groups = [str(number) for number in np.random.default_rng(0).integers(0, 18, 30)]
    folds = assign_folds(groups, 3)
    assert all(len({fold for g, fold in zip(groups, folds, strict=True) if g == group}) == 1 for group in groups)
    assert max(map(folds.count, range(3))) - min(map(folds.count, range(3))) <= 1


def test_more_folds_than_fields_are_refused():
    with pytest.raises(JobError, match="at most 2"):
        assign_folds(["a", "a", "b"], 3)


def test_the_demonstration_lists_every_micrograph_once():
    spec = parse_section(TrainingSpec, tomllib.loads(JOB.read_text()), section="training", base=JOB.parent)
    images = read_training_images(spec)
    assert len(images) == 30
    assert {image.name for image in images} == {path.name for path in spec.images.iterdir()}
    masks = [image.read_mask() for image in images]
    assert all(mask.dtype == bool and 0 < mask.mean() < 0.5 for mask in masks)


@pytest.fixture
def folder(tmp_path):
    for name, value in (("i", 7), ("m", 255)):
        (tmp_path / name).mkdir()
        imageio.v3.imwrite(tmp_path / name / "a.png", np.diag(np.full(32, value, np.uint8)))
    (tmp_path / "g.csv").write_text("image,field\na.png,1\n")
    return tmp_path


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda folder: (folder / "g.csv").unlink(), "no file g.csv"),
        (lambda folder: (folder / "g.csv").write_text("name\na.png\n"), "columns image and field"),
        (lambda folder: (folder / "g.csv").write_text("image,field\na.png\n"), "a field for each"),
        (lambda folder: (folder / "g.csv").write_text("image;field\na,b;1\n"), "got image;field"),
        (lambda folder: (folder / "g.csv").write_text("image,field\na.png,1\na.png ,2\n"), "a.png in 2 rows"),
        (lambda folder: (folder / "g.csv").write_bytes(b"\xff\xfe\x00\x01"), "a CSV file"),
        (lambda folder: (folder / "m" / "a.png").unlink(), "one file a in"),
        (lambda folder: (folder / "i" / "a.png").write_bytes(b"no image"), "a readable"),
        (lambda folder: imageio.v3.imwrite(folder / "m" / "a.png", np.zeros((4, 8), np.uint8)), "32 x 32"),
    ],
)
def test_data_that_cannot_be_read_are_refused(folder, spoil, complaint):
    spec = parse_section(TrainingSpec, {**PATHS, "patch": 32}, section="training", base=folder)
    assert [image.group for image in read_training_images(spec)] == ["1"]
    spoil(folder)
    with pytest.raises(InputError, match=complaint):
        read_training_images(spec)


def test_a_table_of_fields_may_come_from_excel_and_spaces_make_no_field(folder):
    (folder / "i" / "b.png").write_bytes((folder / "i" / "a.png").read_bytes())
    (folder / "m" / "b.png").write_bytes((folder / "m" / "a.png").read_bytes())
    (folder / "g.csv").write_bytes(b"\xef\xbb\xbfimage, field,note\r\na.png,1,x\r\n,,\r\nb.png , 1\r\n")
    spec = parse_section(TrainingSpec, {**PATHS, "patch": 32}, section="training", base=folder)
    assert [(image.name, image.group) for image in read_training_images(spec)] == [("a.png", "1"), ("b.png", "1")]


def test_patches_larger_than_a_micrograph_are_refused(folder):
    spec = parse_section(TrainingSpec, {**PATHS, "patch": 64}, section="training", base=folder)
    with pytest.raises(JobError, match="at most 32"):
        read_training_images(spec)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Four simulated micrographs with their masks in a store, and one without, in two groups."""
    folder = tmp_path_factory.mktemp("store")
    spec = SimulationSpec(shape=(96, 128), mean_particles=4.0, mean_edge_length_nm=2.0)
    table = pd.read_csv(write_simulated(folder / "raw", spec, n=5, seed=3))
    table["group"] = ["east", "east", "west", "west", "west"]
    table.loc[4, "mask"] = None
    table.to_csv(folder / "raw" / "micrographs.csv", index=False)
    ingest(find_sources(folder / "raw", table=folder / "raw" / "micrographs.csv"), folder / "out")
    return folder


def test_a_store_gives_the_micrographs_that_came_with_masks(run):
    job = {"store": "out", "models": "models", "patch": 32}
    images = read_training_images(parse_section(TrainingSpec, job, section="training", base=run))
    assert [image.group for image in images] == ["east", "east", "west", "west"]
    table = pd.read_csv(run / "raw" / "micrographs.csv").set_index("file")
    for image in images:
        assert image.shape == (96, 128)
        assert np.array_equal(image.read_pixels(), imageio.v3.imread(run / "raw" / image.name))
        mask = imageio.v3.imread(run / "raw" / table.loc[image.name, "mask"])
        assert np.array_equal(image.read_mask(), mask > 0)
        assert mask.any()


def test_a_store_without_masks_is_refused(run, tmp_path):
    table = pd.read_csv(run / "raw" / "micrographs.csv").drop(columns="mask")
    table.to_csv(run / "raw" / "bare.csv", index=False)
    ingest(find_sources(run / "raw", table=run / "raw" / "bare.csv"), tmp_path / "out")
    spec = parse_section(TrainingSpec, {"store": "out", "models": "models"}, section="training", base=tmp_path)
    with pytest.raises(JobError, match="column `mask`"):
        read_training_images(spec)


def test_a_store_and_folders_are_refused():
    with pytest.raises(JobError, match="nothing where there are images"):
        parse_section(TrainingSpec, {**PATHS, "store": "out"}, section="training", base=Path())


def test_a_small_memory_holds_some_micrographs_at_a_time_and_each_has_its_turn(run):
    job = {"store": "out", "models": "models", "patch": 32, "steps": 12, "folds": 0}
    spec = parse_section(TrainingSpec, job, section="training", base=run)
    images = read_training_images(spec)
    one = 24 * 96 * 128
    whole, some = _Shelf(spec, images, 8 * one), _Shelf(spec, images, 4 * one)
    assert [len(whole.at(step)) for step in (0, 11)] == [8, 8]  # each flattened and as recorded
    shown = [some.at(step) for step in range(12)]
    assert all(len(crops) == 4 for crops in shown)
    turns = [tuple(float(crop.pixels[3, 5]) for crop in crops) for crops in shown]
    assert len(set(turns)) == 4  # a new one every third step
    assert len({value for turn in turns for value in turn}) == 8
    again = _Shelf(spec, images, 4 * one)
    assert np.array_equal(again.at(7)[0].pixels, shown[7][0].pixels)


def test_patches_to_look_at_are_cut_evenly_and_one_micrograph_is_ready_at_a_time(run, monkeypatch):
    spec = parse_section(TrainingSpec, {"store": "out", "models": "models", "patch": 32}, section="training", base=run)
    images = read_training_images(spec)
    ready, left = [], []

    def counted(pixels, mask):
        left.append(sum(crop() is not None for crop in ready))
        crop = prepare(pixels, mask)
        ready.append(weakref.ref(crop.pixels))
        return crop

    monkeypatch.setattr(training_patches, "prepare", counted)
    pixels, targets = validation_patches(images, 32)
    assert left == [0, 1, 1, 1]  # the one before, until the next takes its place
    whole = [prepare(flatten(image.read_pixels()), image.read_mask()) for image in images]
    cells = [(crop, np.s_[y : y + 32, x : x + 32]) for crop in whole for y in (0, 32, 64) for x in (0, 32, 64, 96)]
    places = [
        [place for place, (crop, cell) in enumerate(cells) if np.array_equal(crop.pixels[cell], patch)]
        for patch in pixels
    ]
    chosen = [place for (place,) in places]
    assert len(chosen) == 32
    assert set(np.diff([-1, *chosen, 48])) <= {1, 2, 3}  # in order, and evenly: two of three
    assert np.array_equal(targets, [cells[place][0].target[cells[place][1]] for place in chosen])
    again = validation_patches(images, 32)
    assert np.array_equal(again[0], pixels)


def test_patches_to_look_at_are_of_all_micrographs_however_many_and_of_all_their_parts():
    rng, seen = np.random.default_rng(0), []
    noise = rng.normal(size=(64, 64)).astype(np.float32)

    def image(number):
        def read_pixels():
            seen.append(number)
            return noise

        return TrainingImage(str(number), "1", (64, 64), None, read_pixels, lambda: noise > 1)

    _, targets = validation_patches([image(number) for number in range(96)], 16)
    assert [number // 3 for number in seen] == list(range(32))  # one of every three
    whole = prepare(flatten(noise), noise > 1).target
    places = [(y, x) for y in range(0, 64, 16) for x in range(0, 64, 16)]
    shown = {
        place for place in places for patch in targets if np.array_equal(whole[place[0] :, place[1] :][:16, :16], patch)
    }
    assert len(shown) > 8  # of sixteen
