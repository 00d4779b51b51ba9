"""The training job, checked at the door."""

from pathlib import Path

import pytest

from nanocensus.errors import JobError
from nanocensus.sections import parse_section
from nanocensus.segment.training_spec import TrainingSpec

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
