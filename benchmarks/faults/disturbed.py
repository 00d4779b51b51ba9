"""A job that is done again and again while its processes are killed, and a cluster of which each process can be."""

import asyncio
import contextlib
import faulthandler
import json
import os
import runpy
import signal
import socket
import time
import traceback
from pathlib import Path
from types import SimpleNamespace

import dask
import distributed
import pandas as pd
import psutil

import nanocensus as nc
from nanocensus.pipeline.analysis.analyse import analyse_run
from nanocensus.pipeline.job.spec import parse_job
from nanocensus.pipeline.run.runner import census
from nanocensus.provenance import file_digest
from nanocensus.simulate.rendering import write_simulated
from nanocensus.simulate.spec import SimulationSpec
from nanocensus.store.manifest import OutputLock

SPEC = SimulationSpec(shape=(96, 96), pixel_size_nm=0.1, mean_particles=4.0, mean_edge_length_nm=2.4)
FAILPOINTS = Path(__file__).absolute().parents[2] / "tests" / "faults" / "failpoints.py"
failpoints = SimpleNamespace(**runpy.run_path(str(FAILPOINTS)))
PATIENCE = 600.0
"""How long a run may take before it counts as one that hangs, seconds: some thirty times what it takes."""
HERE = "127.0.0.1"


class Disturbed:
    """Runs of one job over some micrographs, in folders of their own, and what they have to end as."""

    def __init__(self, root, micrographs):
        self.root, self.n, self.plans = root, micrographs, 0
        os.environ["NANOCENSUS_FAULTS"] = str(root / "plan.json")
        write_simulated(root / "raw", SPEC, n=micrographs, seed=3, sample="s")
        self.plan(pause=0)
        start = time.monotonic()
        assert self.wait(self.begin("undisturbed", kind="inline")) == 0, self.console()
        self.seconds = time.monotonic() - start
        self.truth = contents(root / "undisturbed")

    def plan(self, pause=0.2, **faults):
        """Say what is to go wrong from now on; give the folder that counts how often it did."""
        self.plans += 1
        told = {"tickets": str(self.root / f"tickets-{self.plans}"), "pause": pause, **faults}
        (self.root / "new.json").write_text(json.dumps(told))
        (self.root / "new.json").replace(self.root / "plan.json")
        return Path(told["tickets"])

    def begin(self, name, *, retry_failed=False, **cluster):
        """Begin a run, its client in a process of its own; give the number of that process."""
        return self.forked(_do, self.root, name, cluster, retry_failed)

    def forked(self, function, *arguments):
        """Call a function in a process, forked off this one to save its start; its workers are spawned as ever."""
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            os.setsid()
            log = os.open(self.root / "console.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            faulthandler.register(signal.SIGUSR1, all_threads=True)
            code = function(*arguments)
        except BaseException:  # noqa: BLE001  whatever a call raises is in the log
            traceback.print_exc()
        finally:
            os._exit(code)

    def wait(self, pid, seconds=PATIENCE):
        """Give how a process ended; None if it has not by then: it is killed, and where it was is in the log."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not running(pid):
                return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            time.sleep(0.05)
        os.kill(pid, signal.SIGUSR1)
        time.sleep(2)
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return None

    def finish(self, name, **cluster):
        """Give the same job to its end; say how it came there, and what differs from an undisturbed run."""
        self.plan(pause=0)
        codes = [self.wait(self.begin(name, **cluster))]
        if codes[-1] == 2:  # done, but some micrographs failed
            codes.append(self.wait(self.begin(name, retry_failed=True, **cluster)))
        assert codes[-1] == 0, f"{codes}\n{self.console()}"
        found = contents(self.root / name)
        differing = sorted(key for key in found.keys() | self.truth.keys() if found.get(key) != self.truth.get(key))
        return {"codes": codes, "equal": not differing, "differing": differing, **counted(self.root / name)}

    def console(self):
        return (self.root / "console.log").read_text(errors="replace")[-20_000:]


def _do(root, name, cluster, retry_failed):
    """Do a job up to its statistics; give 2 if micrographs failed."""
    job = parse_job({
        "out": str(root / name),
        "input": {"folder": str(root / "raw"), "table": str(root / "raw" / "micrographs.csv")},
        "blocks": {"micrographs": 3},
        "criteria": {"min_area_nm2": 0.5, "min_pixels": 20},
        "statistics": {"bin_quantiles": 3},
        "cluster": cluster,
    })  # fmt: skip
    failpoints.install()
    with dask.config.set({"distributed.worker.preload": [str(FAILPOINTS)]}), OutputLock(job.out):
        summary = census(job, retry_failed=retry_failed)
        analyse_run(job)
    return 2 if summary.n_failed else 0


def running(pid):
    """Say whether a process has not ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def workers_of(pid):
    """Give the worker processes of a run or nanny: what it spawned, but for the tracker of its resources."""
    with contextlib.suppress(psutil.NoSuchProcess):
        found = psutil.Process(pid).children(recursive=True)
        return [each.pid for each in found if "spawn_main" in " ".join(each.cmdline())]
    return []


def kill(pid):
    """Kill a process, and wait until it is gone; say whether it was running."""
    there = running(pid)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    while running(pid):
        time.sleep(0.01)
    return there


def contents(out):
    """Give the digest of everything that has to be equal."""
    files = [path for name in ("micrographs.zarr", "particles", "statistics.zarr", "tables", "thumbnails")
             for path in (out / name).rglob("*") if path.is_file()]  # fmt: skip
    files += [out / "micrographs.parquet", out / "refusals.parquet"]
    return {str(path.relative_to(out)): file_digest(path) for path in files}


def counted(out):
    """Count micrographs and those that failed, and particles that are missing or there twice."""
    index, particles = nc.read_micrographs(out), nc.read_particles(out).compute(scheduler="sync")
    rows = particles.groupby("micrograph").size().reindex(index["micrograph"], fill_value=0)
    return {
        "micrographs": len(index),
        "failed": int((index["status"] == "failed").sum()),
        "lost": int((pd.Series(index["n_detected"].to_numpy(int)) - rows.to_numpy()).clip(lower=0).sum()),
        "twice": int(particles.duplicated(["micrograph", "label"]).sum()),
    }


def kills_in(tickets):
    """Count the kills at named points."""
    return len(list(tickets.glob("*/kills/*")))


class Cluster:
    """A scheduler and nannies with a worker each, every one a process of its own; a run knows the address alone."""

    def __init__(self, study, workers=2):
        self.study, self.workers, self.pids = study, workers, []

    def __enter__(self):
        self.start()
        return self

    def start(self):
        """Start all anew, beside what may be left of an earlier one."""
        with socket.create_server((HERE, 0)) as probe:
            port = probe.getsockname()[1]
        self.address = f"tcp://{HERE}:{port}"
        self.scheduler = self._fork(_schedule, port)
        self.nannies = []
        self.replace_nannies()

    def replace_nannies(self):
        """Start a nanny and its worker for each that is gone."""
        self.nannies = [pid for pid in self.nannies if running(pid)]
        while len(self.nannies) < self.workers:
            self.nannies.append(self._fork(_nurse, self.address, str(self.study.root / "dask")))
        assert self.study.wait(self.study.forked(_meet, self.address, self.workers)) == 0, self.study.console()

    def _fork(self, function, *arguments):
        self.pids.append(self.study.forked(lambda: asyncio.run(function(*arguments))))
        return self.pids[-1]

    def __exit__(self, *_):
        for pid in self.pids:
            for each in [*workers_of(pid), pid]:
                kill(each)
            os.waitpid(pid, 0)


def _meet(address, workers):
    with distributed.Client(address, timeout=60, set_as_default=False) as client:
        client.wait_for_workers(workers, timeout=300)
    return 0


async def _schedule(port):
    async with distributed.Scheduler(host=HERE, port=port, dashboard=False) as scheduler:
        await scheduler.finished()
    return 0


async def _nurse(address, folder):
    options = {"nthreads": 1, "host": HERE, "local_directory": folder, "preload": [str(FAILPOINTS)]}
    async with distributed.Nanny(address, **options) as nanny:
        await nanny.finished()
    return 0
