"""A run in which something goes wrong ends as one in which nothing did: nothing lost, nothing twice, failures named."""

import concurrent.futures
import contextlib
import os
import signal
import threading

import numpy as np
import pandas as pd
import pytest

import nanocensus as nc
from nanocensus.errors import StoreError
from nanocensus.pipeline.run.inspection import progress_by_sample, verify
from nanocensus.pipeline.run.journal import read_events
from nanocensus.provenance import file_digest


def assert_as_undisturbed(out, undisturbed):
    """Compare the index, the bytes of every part and of everything in the store."""
    pd.testing.assert_frame_equal(nc.read_micrographs(out), nc.read_micrographs(undisturbed))
    for folder in ("particles", "micrographs.zarr"):
        one, other = (
            {path.relative_to(each): file_digest(path) for path in (each / folder).rglob("*") if path.is_file()}
            for each in (out, undisturbed)
        )
        assert one == other
    assert not list(out.rglob("*.partial"))
    particles = nc.read_particles(out).compute()
    assert not particles.duplicated(["micrograph", "label"]).any()


def test_broken_files_are_refused_by_name_and_cost_nobody_else_anything(undisturbed):
    status = progress_by_sample(undisturbed)
    assert status.by_sample.loc["s", ["done", "failed", "left"]].tolist() == [12, 0, 0]
    assert sorted(name for name, _ in status.refusals) == ["s/cut.tif", "s/empty.tif", "s/flipped.tif", "s/huge.png"]
    assert all("expected" in reason for _, reason in status.refusals)


def test_every_micrograph_leaves_a_line_in_the_log(undisturbed):
    events = [event for event in read_events(undisturbed) if event["event"] == "micrograph"]
    assert sorted(event["name"] for event in events) == sorted(nc.read_micrographs(undisturbed)["name"])
    assert all(event[f"{stage}_s"] >= 0 for event in events for stage in ("read", "network", "measure", "write"))
    assert all(event["memory_mib"] > 10 for event in events)
    assert [event["event"] for event in read_events(undisturbed)][-1] == "end"


@pytest.mark.slow
def test_workers_killed_before_while_and_after_a_part_is_put_in_its_place_cost_nothing(
    plan, run, job_of, undisturbed, tmp_path
):
    moments = ("begun", "written", "committed")
    plan(points=[{"moment": moment, "path": "/particles/part-", "after": 1} for moment in moments])
    summary = run(job_of(tmp_path))
    assert (summary.n_micrographs, summary.n_failed) == (12, 0)
    assert sum(event["event"] == "suspect" for event in read_events(tmp_path)) >= 1
    assert_as_undisturbed(tmp_path, undisturbed)


def kill_now_and_then(client, rng, ended):
    """Kill the worker at random instants until told to end; give how often."""
    killed = 0
    while not ended.wait(rng.uniform(2.0, 8.0)) and killed < 4:
        for nanny in list(client.cluster.workers.values()):
            with contextlib.suppress(AttributeError, ProcessLookupError):  # it may be starting again
                os.kill(nanny.process.pid, signal.SIGKILL)
                killed += 1
    return killed


@pytest.mark.slow
def test_sixty_micrographs_survive_kills_at_named_points_and_at_random_instants(
    plan, run, mortal, job_of, sixty, tmp_path
):
    rng, told, ended = np.random.default_rng(4), {"folder": str(sixty.parent), "table": str(sixty)}, threading.Event()
    run(job_of(tmp_path / "undisturbed", input=told))
    places = (("begun", "micrographs.zarr"), ("written", "/probability"), ("committed", "/labels/particles"),
              ("written", "/particles/part-"), ("committed", "/particles/part-"))  # fmt: skip
    plan(
        pause=0.2,
        points=[{"moment": moment, "path": path, "after": int(rng.integers(15))} for moment, path in places],
    )
    with concurrent.futures.ThreadPoolExecutor() as aside:
        killing = aside.submit(kill_now_and_then, mortal, rng, ended)
        summary = run(job_of(tmp_path / "disturbed", input=told))
        ended.set()
    assert killing.result() >= 2
    plan()
    assert summary.n_micrographs == 60
    assert run(job_of(tmp_path / "disturbed", input=told), retry_failed=True).n_failed == 0
    assert_as_undisturbed(tmp_path / "disturbed", tmp_path / "undisturbed")


def test_a_micrograph_that_kills_every_worker_fails_alone_until_it_is_tried_again(
    plan, run, job_of, undisturbed, tmp_path
):
    deadly = nc.read_micrographs(undisturbed).iloc[4]
    job = job_of(tmp_path, cluster={"retries": 0})
    plan(poison=deadly["micrograph"])
    assert run(job).n_failed == 1
    status = progress_by_sample(tmp_path)
    assert status.by_sample.loc["s", ["done", "failed", "left"]].tolist() == [11, 1, 0]
    ((name, reason),) = status.failures
    assert name == deadly["name"]
    assert "--retry-failed" in reason
    others = nc.read_particles(undisturbed).compute()
    others = others[others["micrograph"] != deadly["micrograph"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(nc.read_particles(tmp_path).compute().reset_index(drop=True), others)
    plan()
    assert run(job).n_reused == 12  # the same command does not fall for it again
    assert run(job, retry_failed=True).n_failed == 0
    assert_as_undisturbed(tmp_path, undisturbed)


@pytest.mark.parametrize("where", ["particles", pytest.param("probability", marks=pytest.mark.slow)])
def test_a_full_disk_stops_or_fails_by_name_and_the_same_command_goes_on(
    plan, run, job_of, undisturbed, tmp_path, where
):
    plan(full=where)
    job = job_of(tmp_path)
    assert run(job).n_failed == 12
    assert all("No space left" in reason for _, reason in progress_by_sample(tmp_path).failures)
    plan()
    assert run(job).n_failed == 0
    assert_as_undisturbed(tmp_path, undisturbed)


@pytest.mark.slow
def test_a_full_disk_at_the_door_stops_the_run_and_the_same_command_goes_on(plan, run, job_of, undisturbed, tmp_path):
    plan(full="micrographs.zarr")
    with pytest.raises(StoreError, match="No space left"):
        run(job_of(tmp_path))
    plan()
    run(job_of(tmp_path))
    assert_as_undisturbed(tmp_path, undisturbed)


def test_a_run_that_is_told_to_stop_finishes_what_is_in_flight_and_goes_on_later(run, job_of, undisturbed, tmp_path):
    reached = []
    with pytest.raises(KeyboardInterrupt):
        run(
            job_of(tmp_path, blocks={"micrographs": 1}),
            on_progress=lambda progress: reached.append(progress.done if progress.stage == "measure" else 0),
            stopping=lambda: max(reached, default=0) >= 2,
        )
    status = progress_by_sample(tmp_path).by_sample.loc["s"]
    assert 2 <= status["done"] < 12
    assert status["done"] + status["left"] == 12
    assert [event["event"] for event in read_events(tmp_path)][-1] == "stopped"
    summary = run(job_of(tmp_path, blocks={"micrographs": 1}))
    assert summary.n_reused == status["done"]
    pd.testing.assert_frame_equal(
        nc.read_particles(tmp_path).compute().reset_index(drop=True),
        nc.read_particles(undisturbed).compute().reset_index(drop=True),
    )
    assert verify(tmp_path)[1:] == []  # the first says that there is no record of a finished run
