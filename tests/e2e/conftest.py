"""A small folder of micrographs with everything that a real one has: several samples, fields, and files to refuse.

The folder and the run on it are made once a test run, whatever the number of processes; tests that change them take a
copy.
"""

import fcntl
import os
import pickle
import shutil

import imageio.v3
import numpy as np
import pandas as pd
import pytest

import nanocensus as nc
from nanocensus.pipeline.job.spec import parse_job
from nanocensus.pipeline.run.runner import census
from nanocensus.provenance import file_digest
from nanocensus.simulate.rendering import write_simulated
from nanocensus.simulate.spec import SimulationSpec
from nanocensus.store.manifest import OutputLock

SPEC = SimulationSpec(shape=(256, 256), pixel_size_nm=0.1, mean_particles=10.0, mean_edge_length_nm=3.2)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """Give a function that fills a folder in the first process that asks; all get the path and what was returned.

    No test may change the folder. That none did is looked at when the process ends.
    """
    root, folders = tmp_path_factory.getbasetemp(), {}
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def made(name, fill):
        folder, told = root / f"once-{name}", root / f"once-{name}.pickle"
        with open(root / f"once-{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not told.exists():
                shutil.rmtree(folder, ignore_errors=True)  # another process may have failed half way
                folder.mkdir()
                told.write_bytes(pickle.dumps((fill(folder), _contents(folder))))
            returned, folders[folder] = pickle.loads(told.read_bytes())
        return folder, returned

    yield made
    for folder, before in folders.items():
        assert _contents(folder) == before, "a test changed what all share; let it take a copy"


def _fill_raw(root):
    tables = []
    for seed, sample in enumerate(("Co0.2", "Co0.8")):
        folder = root / sample
        write_simulated(folder, SPEC, n=4, seed=seed, sample="images")
        table = pd.read_csv(folder / "micrographs.csv")
        table["file"], table["mask"] = f"{sample}/" + table["file"], f"{sample}/" + table["mask"]
        tables.append(table.assign(sample=sample, group=[f"f{i}" for i in (0, 0, 1, 2)], Co_mmol=float(sample[2:])))
    colour = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    imageio.v3.imwrite(root / "colour.png", colour)
    shutil.copy(root / tables[0]["file"][0], root / "copy.tif")
    (root / "broken.tif").write_bytes(b"II*\0 not a picture")
    extra = pd.DataFrame({"file": ["colour.png", "copy.tif", "broken.tif"], "sample": "Co0.2", "order": [7, 8, 9]})
    pd.concat([*tables, extra]).to_csv(root / "micrographs.csv", index=False)


@pytest.fixture(scope="session")
def raw(made_once):
    """Eight micrographs of two samples in five fields, a colour picture, a copy and a file that is no image."""
    return made_once("raw", _fill_raw)[0]


@pytest.fixture(scope="session")
def job_of(raw):
    """Give the job that analyses the folder, as a job file would say it."""

    def job(out, **sections):
        return {
            "out": str(out),
            "seed": 1,
            "input": {"folder": str(raw), "table": str(raw / "micrographs.csv")},
            "criteria": {"min_area_nm2": 1.0},
            "statistics": {"bin_quantiles": 3, "descriptors": ["edge_length_nm", "circularity"]},
            "report": {"micrographs": 2},
            **sections,
        }

    return job


@pytest.fixture(scope="session")
def finished(job_of, made_once, request):
    """A run with one worker and blocks of 16."""
    return made_once("finished", lambda out: nc.run(job_of(out), request.getfixturevalue("client")))


@pytest.fixture(scope="session")
def measured(client):
    """Run a job as far as the particles and their index, where neither statistics nor the report are looked at."""

    def measure(job, **told):
        job = parse_job(job)
        with OutputLock(job.out):
            return census(job, client=client, **told)

    return measure


@pytest.fixture
def copied(finished, tmp_path):
    """The same results in a folder that a test may change."""
    return shutil.copytree(finished[0], tmp_path / "copied")


def _contents(folder):
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): file_digest(path) for path in files}


def _results(out):
    index = nc.read_micrographs(out).drop(columns=["part", "part_digest"])
    return (
        nc.read_particles(out).compute().reset_index(drop=True),
        index,
        _contents(out / "statistics.zarr"),
        _contents(out / "tables"),
    )


@pytest.fixture(scope="session")
def contents():
    """Give the digest of every file in a folder, by its path."""
    return _contents


@pytest.fixture(scope="session")
def assert_equal_results():
    """Compare everything that has to be equal: particles, index but for the parts, statistics and tables."""

    def compare(one, other):
        for mine, theirs in zip(_results(one), _results(other), strict=True):
            if isinstance(mine, pd.DataFrame):
                pd.testing.assert_frame_equal(mine, theirs)
            else:
                assert mine == theirs

    return compare
