"""Trainings of a few steps that several files look at."""

from pathlib import Path

import imageio.v3
import pytest

from nanocensus.pipeline.training.train import TrainingSpec, train
from nanocensus.sections import parse_section

LEARNER = {"steps": 5, "batch": 2, "patch": 32, "base": 1, "levels": 1}
"""What most networks here are taught by; they share it, so that XLA compiles their steps once."""


@pytest.fixture(scope="session")
def demo():
    """The folder of the demonstration's micrographs and masks."""
    return Path(__file__).parents[3] / "jobs" / "demo"


@pytest.fixture(scope="session")
def crops():
    """Names of the demonstration's micrographs that are learned from."""
    return "test_00.png", "test_03.png", "test_07.png", "train_10.png"


@pytest.fixture(scope="session")
def simulated():
    """A training job of scenes alone."""
    return {"name": "scenes", "models": "models", "simulated": 1.0, "folds": 0, **LEARNER}


@pytest.fixture(scope="session")
def small(demo, crops, tmp_path_factory):
    """A training job of two folds over four scraps, and its results."""
    folder = tmp_path_factory.mktemp("folds")
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
        for name in crops:
            imageio.v3.imwrite(folder / kind / name, imageio.v3.imread(demo / kind / name)[:96, :128])
    (folder / "fields.csv").write_text("image,field\n" + "".join(f"{name},{name[:5]}{name[6]}\n" for name in crops))
    job = {
        "name": "small", "images": "images", "masks": "masks", "groups": "fields.csv",
        "models": "models", "folds": 2, **LEARNER,
    }  # fmt: skip
    return folder, job, train(parse_section(TrainingSpec, job, section="training", base=folder))
