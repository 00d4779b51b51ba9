"""Twelve small micrographs, workers that die when they are told to, and a run that nothing disturbed."""

import json
import os
from pathlib import Path

import dask
import pytest

from nanocensus.pipeline.job.spec import parse_job
from nanocensus.pipeline.job.work_sections import ClusterSection
from nanocensus.pipeline.run.runner import census
from nanocensus.pipeline.workers.clusters import open_client
from nanocensus.simulate.rendering import write_simulated
from nanocensus.simulate.spec import SimulationSpec
from nanocensus.store.manifest import OutputLock

SPEC = SimulationSpec(shape=(96, 96), pixel_size_nm=0.1, mean_particles=4.0, mean_edge_length_nm=2.4)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Twelve micrographs, and four files that cannot be read: cut short, a bit flipped, empty, and a header that lies."""
    folder = tmp_path_factory.mktemp("scenes")
    write_simulated(folder, SPEC, n=12, seed=3, sample="s")
    images = sorted((folder / "s").glob("*[0-9].tif"))
    whole = images[0].read_bytes()
    (folder / "s" / "cut.tif").write_bytes(whole[: len(whole) // 2])
    (folder / "s" / "empty.tif").write_bytes(b"")
    flipped = bytearray(whole)
    flipped[4] ^= 0x80  # of the offset of the first directory
    (folder / "s" / "flipped.tif").write_bytes(flipped)
    huge = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x10\0\0\0\0"
    (folder / "s" / "huge.png").write_bytes(huge)
    listed = (folder / "micrographs.csv").read_text().splitlines()
    columns = listed[0].split(",")
    for order, name in enumerate(("cut.tif", "empty.tif", "flipped.tif", "huge.png"), start=100):
        told = {"file": f"s/{name}", "sample": "s", "order": str(order)}
        listed.append(",".join(told.get(column, "") for column in columns))
    (folder / "micrographs.csv").write_text("\n".join(listed) + "\n")
    return folder


@pytest.fixture(scope="module")
def sixty(tmp_path_factory):
    """The listing of sixty micrographs."""
    return write_simulated(tmp_path_factory.mktemp("sixty"), SPEC, n=60, seed=5, sample="s")


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """Write the plan of what goes wrong; without arguments nothing does."""
    folder = tmp_path_factory.mktemp("plan")

    def write(**faults):
        write.number += 1
        told = {"tickets": str(folder / f"tickets-{write.number}"), **faults}
        (folder / "new.json").write_text(json.dumps(told))
        (folder / "new.json").replace(folder / "plan.json")

    write.number = 0
    write()
    os.environ["NANOCENSUS_FAULTS"] = str(folder / "plan.json")
    yield write
    del os.environ["NANOCENSUS_FAULTS"]


@pytest.fixture(scope="module")
def mortal(plan):
    """One worker that dies as planned, and is started again as any other."""
    preload = [str(Path(__file__).with_name("failpoints.py"))]
    with dask.config.set({"distributed.worker.preload": preload}), open_client(ClusterSection(workers=1)) as client:
        yield client


@pytest.fixture(scope="module")
def job_of(raw):
    """Give the job of an output folder."""

    def job(out, **sections):
        told = {
            "out": str(out),
            "input": {"folder": str(raw), "table": str(raw / "micrographs.csv")},
            "blocks": {"micrographs": 3},
            "criteria": {"min_area_nm2": 0.5, "min_pixels": 20},
            "statistics": {"bin_quantiles": 3},
            "report": {"micrographs": 0},
            **sections,
        }
        return parse_job(told)

    return job


@pytest.fixture(scope="module")
def run(mortal):
    """Do a job up to its particle table, on workers that die as planned."""

    def do(job, **options):
        with OutputLock(job.out):
            return census(job, client=mortal, **options)

    return do


@pytest.fixture(scope="module")
def undisturbed(plan, run, job_of, tmp_path_factory):
    """A run in which all goes well."""
    plan()
    out = tmp_path_factory.mktemp("undisturbed")
    run(job_of(out))
    return out


@pytest.fixture(autouse=True)
def calm(plan):
    """Leave no fault to the next test."""
    plan()
    yield
    plan()
