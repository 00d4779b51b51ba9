"""The plan of a finished run, from the command line."""

import sys

import pytest

import nanocensus as nc
from nanocensus import cli
from nanocensus.errors import TableError


def test_a_run_is_planned_in_plain_words(finished, monkeypatch, capsys):
    out, _ = finished
    for arguments in (["--half-width", "0.5", "--of", "edge_length_nm"], ["--cv", "0.5", "--by-size"]):
        monkeypatch.setattr(sys, "argv", ["nanocensus", "plan", str(out), *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
        printed = capsys.readouterr().out
        assert not left.value.code
        assert "Co0.2" in printed
        assert "nan" not in printed.replace("nanocensus", "")
        assert ("size, nm" in printed) == ("--by-size" in arguments)
    assert "circularity" in printed  # the job's descriptors, where none is named


def test_a_plan_is_that_of_the_accepted_particles_with_the_weights_of_the_job(copied):
    from nanocensus.pipeline.run.sampling import plan_run

    plan = plan_run(copied, of=["circularity"], half_width=0.05)
    by_sample = nc.analyse(copied).by_sample.sel(descriptor="circularity", statistic="mean")
    assert plan["mean"].tolist() == by_sample["estimate"].values.tolist()
    assert plan["n"].tolist() == by_sample["n"].values.tolist()
    with pytest.raises(TableError, match="Did you mean 'circularity'"):
        plan_run(copied, of=["circularty"], half_width=0.05)


def test_a_study_on_the_workers_of_a_cluster_is_that_in_memory(finished, client):
    out, _ = finished
    particles, micrographs = nc.read_particles(out), nc.read_micrographs(out)
    options = {"of": ["circularity"], "group_sizes": [5, 10], "micrographs_per_group": [1, 2], "block": 1}
    with client.as_current():
        lazy = nc.sampling_study(particles, micrographs, **options)
    loaded = nc.sampling_study(particles.compute(scheduler="sync"), micrographs, **options)
    assert lazy.identical(loaded)
    assert (lazy["n_groups"].sel(group_size=5) > 1).all()
