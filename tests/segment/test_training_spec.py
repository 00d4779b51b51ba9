"""The training job, checked at the door."""

from pathlib import Path

import pytest

from nanocensus.errors import JobError
from nanocensus.sections import parse_section, read_toml
from nanocensus.segment.networks.architecture import ResNetUNetConfig
from nanocensus.segment.training.spec import TrainingSpec

PATHS = {"images": "i", "masks": "m", "groups": "g.csv", "models": "out"}


def test_paths_start_from_the_job_file():
    spec = parse_section(TrainingSpec, {**PATHS, "masks": "/elsewhere/m"}, section="training", base=Path("/jobs"))
    assert (spec.images, spec.masks) == (Path("/jobs/i"), Path("/elsewhere/m"))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"step": 5}, "Did you mean 'steps'"),
        ({"steps": "5"}, "a whole number"),
        ({"steps": True}, "a whole number"),
        ({"steps": 1.0}, "a whole number"),
        ({"images": 3}, "a path"),
        ({"learning_rate": "fast"}, "a number"),
        ({"steps": 0}, "at least 1"),
        ({"folds": 1}, "0, or at least 2"),
        ({"patch": 100}, "multiple of the network's stride"),
        ({"base": 0}, "1 to 256"),
        ({"network": "paper", "base": 6}, "by fours"),
        ({"network": "slow"}, "one of 'fast', 'paper'"),
        ({"learning_rate": 1}, "between 0 and 1"),
        ({"name": "a/b"}, "a file name"),
        ({"simulated": 1.5}, "0 to 1"),
        ({"simulated": float("nan")}, "a finite number"),
        ({"simulated": 0.05, "batch": 8}, "some patches of either kind, got 0.05"),  # none of eight
        ({"simulated": 0.95, "batch": 8}, "some patches of either kind"),  # all eight
        ({"schedule": "stairs"}, "one of 'cosine', 'halved'"),
        ({"keep": "best", "folds": 0}, "'average' without folds"),
    ],
)
def test_what_cannot_be_trained_is_refused(change, complaint):
    with pytest.raises(JobError, match=complaint):
        parse_section(TrainingSpec, {**PATHS, **change}, section="training", base=Path())


@pytest.mark.parametrize("key", PATHS)
def test_the_folders_must_be_given(key):
    with pytest.raises(JobError, match=key):
        parse_section(
            TrainingSpec, {name: path for name, path in PATHS.items() if name != key}, section="training", base=Path()
        )


def test_the_paper_s_recipe_is_a_job():
    job = Path(__file__).parents[2] / "jobs" / "train-paper.toml"
    spec = parse_section(TrainingSpec, read_toml(job), section="training", base=job.parent)
    assert spec.architecture == ResNetUNetConfig()
    assert (spec.learning_rate, spec.schedule, spec.weight_decay, spec.loss) == (0.04, "halved", 0, "usual")
    assert (spec.batch, spec.folds, spec.augmentation, spec.keep) == (8, 8, "flips", "best")
