"""The demonstration: honest about what its networks saw, and run on a few of its micrographs."""

import dataclasses
import importlib.resources
import json
from pathlib import Path

import pandas as pd

import nanocensus as nc
from nanocensus.pipeline.report.agreement import agreement_of_run

JOBS = Path(__file__).parents[2] / "jobs"


def listing():
    return pd.read_csv(JOBS / "demo" / "micrographs.csv")


def test_every_field_is_shown_once_and_predicted_by_a_network_that_never_saw_it():
    rows = listing()
    fields = pd.read_csv(JOBS / "demo" / "fields.csv").set_index("image")["field"]
    assert rows["group"].is_unique
    assert len(rows) == fields.nunique() == 18
    models = importlib.resources.files("nanocensus.segment") / "models"
    for row in rows.itertuples():
        card = json.loads((models / f"{row.model}.json").read_text())
        field = str(fields[Path(row.file).name])
        assert row.group == f"field {int(field):02d}"
        assert field in card["held_out"]["fields"]
        assert field not in card["trained_on"]["fields"]


def test_the_job_of_the_demonstration_runs(tmp_path, client):
    job = nc.read_job(JOBS / "demo.toml")
    listing().groupby("model").head(1).to_csv(tmp_path / "few.csv", index=False)
    toy = dataclasses.replace(
        job,
        out=tmp_path / "out",
        input=dataclasses.replace(job.input, table=tmp_path / "few.csv"),
        simulate=dataclasses.replace(job.simulate, micrographs=1),
        report=dataclasses.replace(job.report, micrographs=2),
    )
    summary = nc.run(toy, client)
    assert (summary.n_micrographs, summary.n_failed, summary.n_refused) == (4, 0, 0)
    dice = agreement_of_run(summary.out).rows.groupby("sample")["dice"].min()
    assert dice["metal nanoparticles"] > 0.97
    assert dice["simulated"] > 0.9
    page = (summary.out / "report.html").read_text()
    assert "The scale is assumed" in page
