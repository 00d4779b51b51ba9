"""Training data: read whole, and held out by fields."""

import tomllib
from pathlib import Path

import imageio.v3
import numpy as np
import pytest

from nanocensus.errors import InputError, JobError
from nanocensus.sections import parse_section
from nanocensus.segment.training_data import assign_folds, read_training_images
from nanocensus.segment.training_spec import TrainingSpec

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
    assert all(image.mask.dtype == bool and 0 < image.mask.mean() < 0.5 for image in images)


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


def test_patches_larger_than_a_micrograph_are_refused(folder):
    spec = parse_section(TrainingSpec, {**PATHS, "patch": 64}, section="training", base=folder)
    with pytest.raises(JobError, match="at most 32"):
        read_training_images(spec)
