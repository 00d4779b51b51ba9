"""A training goes on from another network, and remembers what that one has seen."""

import numpy as np
import pandas as pd
import pytest

from nanocensus.errors import JobError
from nanocensus.pipeline.training.train import TrainingSpec, train
from nanocensus.sections import parse_section
from nanocensus.segment.prediction.weights import load_model


def test_a_network_goes_on_from_another(small, tmp_path):
    folder, job, results = small
    further = {**job, "folds": 0, "name": "further", "start": str(results[2].path), "simulated": 0.5}
    (result,) = train(parse_section(TrainingSpec, further, section="training", base=folder))
    assert result.card["trained_on"]["start"] == results[2].model.digest
    assert result.model.digest != results[2].model.digest
    nearness = [
        max(np.abs(result.model.parameters[name] - values).max() for name, values in other.parameters.items())
        for other in (results[2].model, results[0].model)
    ]
    assert nearness[0] < 0.1  # five steps do not lead far
    with pytest.raises(JobError, match="base and levels"):
        train(parse_section(TrainingSpec, {**further, "base": 2}, section="training", base=folder))


def test_folds_do_not_go_on_from_a_network_that_has_seen_what_they_are_judged_on(small, tmp_path):
    folder, job, results = small
    fold, seen = results[0].path, results[0].card["trained_on"]["micrographs"]
    further = {**job, "name": "further", "models": str(tmp_path / "models"), "start": str(fold), "steps": 1}
    with pytest.raises(JobError, match=f"learned from {len(seen)} of them, such as {seen[0]}"):
        train(parse_section(TrainingSpec, further, section="training", base=folder))
    fields = pd.read_csv(folder / "fields.csv")
    renamed = tmp_path / "fields.csv"  # micrographs of the same names, but of other fields
    fields.assign(field=[f"another {field}" for field in fields["field"]]).to_csv(renamed, index=False)
    results = train(parse_section(TrainingSpec, {**further, "groups": str(renamed)}, section="training", base=folder))
    assert len(results) == 3
    alone = tmp_path / fold.name  # weights without their card
    alone.write_bytes(fold.read_bytes())
    results = train(
        parse_section(TrainingSpec, {**further, "start": str(alone), "folds": 2}, section="training", base=folder)
    )
    assert [result.card["trained_on"]["start"] for result in results] == [load_model(fold).digest] * 3


def test_what_a_network_went_on_from_is_not_forgotten(crops, small, tmp_path):
    folder, job, results = small
    (tmp_path / "one.csv").write_text(f"image,field\n{crops[0]},elsewhere\n")

    def trained(**changes):
        models = {"models": str(tmp_path / "models"), "steps": 1, **changes}
        return train(parse_section(TrainingSpec, {**job, **models}, section="training", base=folder))

    known = results[0].card["trained_on"]
    first, groups = {"name": "first", "folds": 0, "start": str(results[0].path)}, {"groups": str(tmp_path / "one.csv")}
    (second,) = trained(**first, **groups)
    assert second.card["trained_on"]["before"] == {key: sorted(known[key]) for key in ("micrographs", "fields")}
    (third,) = trained(**groups, name="second", folds=0, start=str(second.path))
    assert third.card["trained_on"]["before"]["fields"] == sorted([*known["fields"], "elsewhere"])
    with pytest.raises(JobError, match=f"learned from {len(known['micrographs'])} of them"):
        trained(name="third", start=str(third.path))
