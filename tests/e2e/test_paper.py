"""The job of the published study: what it says, and a run of it at toy size."""

import tomllib
from pathlib import Path

import pandas as pd
import pytest

import nanocensus as nc
from nanocensus.pipeline.job.spec import read_job

JOB = Path(__file__).parents[2] / "jobs/paper.toml"


def test_the_job_measures_bins_and_counts_as_published():
    job = read_job(JOB)
    assert (job.measure.estimator, job.measure.threshold, job.measure.split) == ("paper", 0.5, "none")
    assert job.weight_column is None
    assert job.statistics.bins().width_nm == 0.2
    assert job.criteria.min_area_nm2 == 6.0
    assert job.criteria.min_pixels is None or job.criteria.min_pixels is False
    assert set(job.onsets.descriptors) == {"circularity", "solidity"}
    assert job.synthesis.conditions == ("cobalt_mmol", "water_ml")
    assert job.populations is not None


def test_its_page_names_every_section_that_it_has():
    page = (JOB.parents[1] / "docs/explanation/the-paper.md").read_text(encoding="utf-8")
    for word in (
        "threshold",
        "perimeter",
        "touching",
        "bounds on shape",
        "border",
        "size bins",
        "onset",
        "synthesis",
        "held-out",
        "spread",
    ):
        assert word in page


@pytest.mark.slow
def test_the_job_runs_at_toy_size_and_says_what_so_little_cannot_tell(raw, client, tmp_path):
    said = tomllib.loads(JOB.read_text(encoding="utf-8"))
    said["input"] = {"folder": str(raw), "table": str(raw / "micrographs.csv")}
    said |= {"out": str(tmp_path / "out"), "synthesis": {}, "report": {"micrographs": 1}}
    said["criteria"] |= {"min_area_nm2": 1.0}
    nc.run(said, client)
    tables = tmp_path / "out/tables"
    onsets = pd.read_csv(tables / "onsets.csv")
    assert onsets["sample"].str.contains("paper's reading").any()
    assert (
        "2 different conditions: 1 of them at once need 5"
        in pd.read_csv(tables / "synthesis_models.csv")["refusal"].iloc[0]
    )
    slopes = pd.read_csv(tables / "spread_against_mean.csv")
    assert slopes["refusal"].str.contains("needs 4").all()
    chosen = pd.read_csv(tables / "representatives.csv")
    particles = nc.read_particles(tmp_path / "out").compute()
    known = set(zip(particles["micrograph"], particles["label"], strict=True))
    assert set(zip(chosen["micrograph"], chosen["label"], strict=True)) <= known
    report = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "Populations beside each other</h2>" in report
    assert "No model of the synthesis" in report
