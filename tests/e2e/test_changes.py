"""The same output again: what changed is done again, what did not is kept, and what was stopped goes on."""

import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib

import pandas as pd
import pytest

import nanocensus as nc
from nanocensus.simulate.rendering import write_simulated
from nanocensus.simulate.spec import SimulationSpec

SPEC = SimulationSpec(shape=(256, 256), pixel_size_nm=0.1, mean_particles=10.0, mean_edge_length_nm=3.2)


def write_job(job, path):
    """Write a job as TOML; its values are texts, numbers and lists of such."""
    import json

    top = {key: value for key, value in job.items() if not isinstance(value, dict)}
    lines = [f"{key} = {json.dumps(value)}" for key, value in top.items()]
    for section, values in job.items():
        if isinstance(values, dict):
            lines += [f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    path.write_text("\n".join(lines))
    assert tomllib.loads(path.read_text()) == job
    return path


def test_a_finished_run_does_nothing_again(copied, job_of, client, contents):
    before = contents(copied)
    assert nc.run(job_of(copied), client).n_reused == 8
    after = contents(copied)
    assert {name for name in after if after[name] != before.get(name)} <= {"run.json", "report.html", "log.jsonl"}


def test_other_criteria_redo_no_particle(copied, job_of, client, contents):
    parts = contents(copied / "particles")
    accepted = pd.read_csv(copied / "tables/counts.csv")["accepted"].sum()
    assert nc.run(job_of(copied, criteria={"min_area_nm2": 12.0}), client).n_reused == 8
    assert contents(copied / "particles") == parts
    assert pd.read_csv(copied / "tables/counts.csv")["accepted"].sum() < accepted


def test_another_estimator_redoes_no_segmentation(copied, job_of, measured, contents):
    def maps():
        return {name: digest for name, digest in contents(copied / "micrographs.zarr").items() if "probability" in name}

    before, parts = maps(), contents(copied / "particles")
    assert measured(job_of(copied, measure={"estimator": "paper"})).n_reused == 0
    assert maps() == before
    assert set(nc.read_particles(copied)["estimator"].compute()) == {"paper"}
    measured(job_of(copied))
    assert contents(copied / "particles") == parts  # bytes do not tell what was there in between


def test_nothing_accepted_leaves_no_statistics_of_an_earlier_run(copied, job_of, client):
    nc.run(job_of(copied, criteria={"min_area_nm2": 1e5}), client)
    assert (pd.read_csv(copied / "tables/counts.csv")["accepted"] == 0).all()
    assert not (copied / "statistics.zarr").exists()
    assert not (copied / "tables/by_size.csv").exists()


@pytest.mark.slow
def test_files_that_are_gone_are_counted(copied, job_of, client, raw, tmp_path):
    table = pd.read_csv(raw / "micrographs.csv").iloc[1:]
    job = job_of(copied)
    table.to_csv(tmp_path / "fewer.csv", index=False)
    job["input"] = {"folder": str(raw), "table": str(tmp_path / "fewer.csv")}
    summary = nc.run(job, client)
    assert (summary.n_gone, summary.n_micrographs) == (1, 8)  # the copy of the one that is gone takes its place
    assert len(list((copied / "particles").iterdir())) == len(set(nc.read_micrographs(copied)["part"]))


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_with_the_same_results(finished, job_of, tmp_path, assert_equal_results):
    out = tmp_path / "out"
    job = write_job(job_of(out, blocks={"micrographs": 1}, cluster={"workers": 1}), tmp_path / "job.toml")
    command = [sys.executable, "-m", "nanocensus", "run", str(job)]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not list(out.glob("particles/part-*.parquet")):
            assert process.poll() is None, "the run ended before it could be killed"
            time.sleep(0.01)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    left = len(list(out.glob("particles/part-*.parquet")))
    assert 1 <= left < 8
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert f"({left} were already done" in again.stdout.replace("\n", " ")
    assert_equal_results(finished[0], out)


def test_other_weights_redo_everything_and_say_so_first(copied, job_of, measured, caplog):
    said = []

    def watch(progress):
        if progress.stage == "measure" and not progress.done:
            said.extend(record.getMessage() for record in caplog.records)

    summary = measured(job_of(copied, segment={"model": "default-fold0"}), on_progress=watch)
    assert summary.n_reused == 0
    assert any(line.startswith("8 of 8 micrographs are segmented anew") for line in said)


def test_new_micrographs_are_picked_up_and_the_others_kept(copied, job_of, measured, raw, tmp_path):
    more = shutil.copytree(raw, tmp_path / "more")
    write_simulated(tmp_path / "later", SPEC, n=1, seed=77, sample="images")
    shutil.copy(next((tmp_path / "later" / "images").glob("*[0-9].tif")), more / "Co0.8" / "later.tif")
    new = pd.DataFrame({"file": ["Co0.8/later.tif"], "sample": "Co0.8", "order": 99})
    pd.concat([pd.read_csv(raw / "micrographs.csv"), new]).to_csv(more / "micrographs.csv", index=False)
    job = job_of(copied, input={"folder": str(more), "table": str(more / "micrographs.csv")})
    parts = {path.name for path in (copied / "particles").iterdir()}
    summary = measured(job)
    assert (summary.n_micrographs, summary.n_reused, summary.n_failed) == (9, 8, 0)
    assert parts < {path.name for path in (copied / "particles").iterdir()}
