"""Kill runs in every way, at named points and at random instants; compare what is left with an undisturbed run.

    python benchmarks/faults/study.py KILLS.jsonl [whole-points whole-random worker-points ...]

writes a line for each ending of a run; `--page` prints the table of docs/explanation/reliability.md from such a file. It
takes about half an hour on two cores, and needs no network that takes time: a threshold stands in its place.
"""

import json
import os
import random
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import psutil

import nanocensus as nc
from nanocensus.pipeline.analyse import analyse_run
from nanocensus.pipeline.runner import census
from nanocensus.pipeline.spec import parse_job
from nanocensus.provenance import file_digest
from nanocensus.segment.weights import load_model
from nanocensus.simulate.rendering import write_simulated
from nanocensus.simulate.spec import SimulationSpec
from nanocensus.store.manifest import OutputLock

SPEC = SimulationSpec(shape=(96, 96), pixel_size_nm=0.1, mean_particles=4.0, mean_edge_length_nm=2.4)
FAILPOINTS = Path(__file__).absolute().parents[2] / "tests" / "faults" / "failpoints.py"
failpoints = SimpleNamespace(**runpy.run_path(str(FAILPOINTS)))
MOMENTS = ("begun", "written", "committed")
WORKER_PATHS = (
    "/particles/part-",
    "/probability",
    "/labels/particles",
    "thumbnails/",
    "micrographs.zarr",
    "/labels/truth",
)
CLIENT_PATHS = ("micrographs.parquet", "refusals.parquet", ".sources.json", "run.json", "tables/")
N = 12


class Study:
    """Runs of one job that are disturbed, each in its own folder."""

    def __init__(self, root, log):
        self.root, self.log = root, log
        self.rng = random.Random(0)
        write_simulated(root / "raw", SPEC, n=N, seed=3, sample="s")
        self.number = 0
        self.truth = None

    def plan(self, **faults):
        self.number += 1
        told = {"tickets": str(self.root / f"tickets-{self.number}"), "pause": 0.2, **faults}
        (self.root / "new.json").write_text(json.dumps(told))
        (self.root / "new.json").replace(self.root / "plan.json")
        return Path(told["tickets"])

    def job(self, name, scheduler=None):
        where = f'scheduler = "{scheduler}"' if scheduler else "workers = 2"
        path = self.root / f"{name}.toml"
        path.write_text(
            f'out = "{name}"\n[input]\nfolder = "raw"\ntable = "raw/micrographs.csv"\n[blocks]\nmicrographs = 3\n'
            f"[criteria]\nmin_area_nm2 = 0.5\nmin_pixels = 20\n[statistics]\nbin_quantiles = 3\n[report]\n"
            f"micrographs = 0\n[cluster]\n{where}\n"
        )
        return path

    def environment(self):
        return os.environ | {
            "NANOCENSUS_FAULTS": str(self.root / "plan.json"),
            "DASK_DISTRIBUTED__WORKER__PRELOAD": json.dumps([str(FAILPOINTS)]),
        }

    def start(self, job, *options):
        command = [sys.executable, str(FAILPOINTS), "run", str(job), *options]
        with (self.root / "console.log").open("ab") as console:
            return subprocess.Popen(
                command, env=self.environment(), stdout=console, stderr=console, start_new_session=True
            )

    def note(self, **facts):
        with self.log.open("a") as stream:
            stream.write(json.dumps(facts) + "\n")
        print(facts, flush=True)

    def undisturbed(self):
        self.plan()
        code = self.start(self.job("undisturbed")).wait()
        assert code == 0, (self.root / "console.log").read_text()
        self.truth = contents(self.root / "undisturbed")

    def finish(self, name, kills, what, scheduler=None):
        """Give the same command again until it ends, and write down what came out."""
        self.plan()
        job, codes = self.job(name, scheduler), []
        codes.append(self.start(job).wait())
        if codes[-1] == 1:  # done, but some micrographs failed
            codes.append(self.start(job, "--retry-failed").wait())
        found = contents(self.root / name)
        self.note(
            what=what,
            kills=kills,
            codes=codes,
            equal=found == self.truth,
            differing=sorted(key for key in found.keys() | self.truth.keys() if found.get(key) != self.truth.get(key)),
            **counted(self.root / name),
        )

    def fork(self, name, seconds=None):
        """Do a job in one process, which is forked off this one to save its start; kill it after some seconds."""
        pid = os.fork()
        if not pid:
            code = 1
            try:
                quietly(self.root / "console.log")
                os.environ["NANOCENSUS_FAULTS"] = str(self.root / "plan.json")
                failpoints.install()
                code = in_one_process(self.root, name)
            finally:
                os._exit(code)
        if seconds is not None:
            time.sleep(seconds)
            os.kill(pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def finish_forked(self, name, kills, what):
        """Do the same job again to its end, and write down what came out."""
        self.plan(pause=0)
        if not (self.root / "whole").exists():
            assert self.fork("whole") == 0, (self.root / "console.log").read_text()
        codes, truth = [self.fork(name)], contents(self.root / "whole")
        found = contents(self.root / name)
        differing = sorted(key for key in found.keys() | truth.keys() if found.get(key) != truth.get(key))
        self.note(what=what, kills=kills, codes=codes, equal=not differing, differing=differing,
                  **counted(self.root / name))  # fmt: skip


def quietly(log):
    stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(stream, 1)
    os.dup2(stream, 2)


def in_one_process(root, name):
    """Do a job up to its statistics, client, scheduler and worker in this process; give its exit code."""
    job = parse_job({
        "out": str(root / name),
        "input": {"folder": str(root / "raw"), "table": str(root / "raw" / "micrographs.csv")},
        "blocks": {"micrographs": 3},
        "criteria": {"min_area_nm2": 0.5, "min_pixels": 20},
        "statistics": {"bin_quantiles": 3},
        "cluster": {"kind": "inline"},
    })  # fmt: skip
    with OutputLock(job.out):
        summary = census(job)
        analyse_run(job)
    return 1 if summary.n_failed else 0


def contents(out):
    """Give the digest of everything that has to be equal."""
    files = [path for name in ("micrographs.zarr", "particles", "statistics.zarr", "tables", "thumbnails")
             for path in (out / name).rglob("*") if path.is_file()]  # fmt: skip
    found = {str(path.relative_to(out)): file_digest(path) for path in [*files, out / "micrographs.parquet"]}
    return found | {"refusals.parquet": file_digest(out / "refusals.parquet")}


def counted(out):
    index, particles = nc.read_micrographs(out), nc.read_particles(out).compute(scheduler="sync")
    rows = particles.groupby("micrograph").size().reindex(index["micrograph"], fill_value=0)
    twice = int(particles.duplicated(["micrograph", "label"]).sum())
    return {
        "micrographs": len(index),
        "failed": int((index["status"] == "failed").sum()),
        "lost": int((pd.Series(index["n_detected"].to_numpy(int)) - rows.to_numpy()).clip(lower=0).sum()),
        "twice": twice,
    }


def kills_in(tickets):
    return len(list(tickets.glob("*/kills/*")))


def worker_points(study):
    for number, path in enumerate(WORKER_PATHS):
        points = [{"moment": moment, "path": path, "after": 3 * k, "times": 2} for k, moment in enumerate(MOMENTS)]
        tickets = study.plan(points=points)
        name = f"worker-{number}"
        study.start(study.job(name)).wait()
        study.finish(name, kills_in(tickets), f"workers, at writing {path.strip('/')}")


def client_points(study):
    for number, path in enumerate(CLIENT_PATHS):
        name, kills = f"client-{number}", 0
        for moment in MOMENTS:
            tickets = study.plan(points=[{"moment": moment, "path": path}])
            study.start(study.job(name)).wait()
            kills += kills_in(tickets)
        study.finish(name, kills, f"client, at writing {path}")


def client_random(study, runs=2, kills=8):
    for number in range(runs):
        name, killed = f"client-random-{number}", 0
        for _ in range(kills):
            study.plan()
            run = study.start(study.job(name))
            time.sleep(study.rng.uniform(2.0, 14.0))
            if run.poll() is None:
                killed += 1
                os.killpg(run.pid, signal.SIGKILL)
            run.wait()
        study.finish(name, killed, "client and its workers, at random instants")


def whole_points(study):
    """Kill runs whose client, scheduler and worker are one process, at named points."""
    for path in (*WORKER_PATHS, *CLIENT_PATHS):
        name, kills = f"whole-{study.number}", 0
        tree = path.startswith(("/probability", "/labels"))  # begun as a folder beside the store
        for k, moment in enumerate(MOMENTS[1:] * 2 if tree else MOMENTS * 2):
            tickets = study.plan(points=[{"moment": moment, "path": path, "after": k if k < 4 else 0}], pause=0)
            study.fork(name)
            kills += kills_in(tickets)
        study.finish_forked(name, kills, f"everything, at writing {path.strip('/')}")


def whole_random(study, runs=6, kills=10):
    """Kill such runs at random instants."""
    for number in range(runs):
        name, killed = f"whole-random-{number}", 0
        for _ in range(kills):
            study.plan(pause=0.05)
            killed += study.fork(name, study.rng.uniform(0.2, 6.0)) == -signal.SIGKILL
        study.finish_forked(name, killed, "everything, at random instants")


def worker_random(study, runs=3, kills=9):
    for number in range(runs):
        name, killed = f"worker-random-{number}", 0
        study.plan(pause=1.0)
        run = study.start(study.job(name))
        while run.poll() is None and killed < kills:
            time.sleep(study.rng.uniform(1.0, 6.0))
            workers = [each for each in children(run.pid) if each.name() != "resource_tracker"]
            if workers:
                killed += kill(study.rng.choice(workers))
        run.wait()
        study.finish(name, killed, "workers, at random instants")


def children(pid):
    """Give the worker processes of a run: what it spawned, the tracker of its resources left out."""
    try:
        found = psutil.Process(pid).children(recursive=True)
        return [each for each in found if "spawn_main" in " ".join(each.cmdline())]
    except psutil.NoSuchProcess:
        return []


def kill(process):
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return 0
    return 1


def cluster(study, kills=5):
    """Kill the scheduler, a nanny and a worker of a cluster that the run only knows by its address."""
    for whom in ("scheduler", "nanny", "worker"):
        name, killed = f"cluster-{whom}", 0
        for _ in range(kills):
            study.plan(pause=0.5)
            with Cluster(study) as there:
                run = study.start(study.job(name, there.address))
                time.sleep(study.rng.uniform(5.0, 14.0))
                killed += kill(there.process(whom)) if run.poll() is None else 0
                if whom == "scheduler":
                    there.stop()
                try:
                    run.wait(90)
                except subprocess.TimeoutExpired:
                    study.note(what=f"{whom} of a cluster", hung=True)
                    run.kill()
                    run.wait()
        with Cluster(study) as there:
            study.finish(name, killed, f"{whom} of a cluster, at random instants", there.address)


class Cluster:
    """A scheduler and two workers with their nannies, each a process of its own."""

    def __init__(self, study):
        self.study = study
        self.address = f"tcp://127.0.0.1:{study.rng.randrange(20000, 60000)}"

    def __enter__(self):
        port = self.address.rsplit(":", 1)[1]
        scheduler = ["scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard"]
        worker = ["worker", self.address, "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1"]
        dask = [sys.executable, "-m", "dask"]
        self.processes = []
        with (self.study.root / "cluster.log").open("ab") as console:
            for command in (scheduler, worker, worker):
                self.processes.append(
                    subprocess.Popen([*dask, *command], env=self.study.environment(), stdout=console, stderr=console)
                )
        return self

    def process(self, whom):
        if whom == "worker":
            spawned = [each for process in self.processes[1:] for each in children(process.pid)]
            return spawned[0] if spawned else psutil.Process(self.processes[1].pid)
        return psutil.Process(self.processes[0 if whom == "scheduler" else 1].pid)

    def stop(self):
        for process in self.processes:
            for each in children(process.pid):
                kill(each)
            if process.poll() is None:
                process.kill()
            process.wait()

    def __exit__(self, *_):
        self.stop()


def page(log):
    """Print the table of a log."""
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    rows = [row for row in rows if "kills" in row]
    print("| killed | kills | micrographs | failed in the end | particles lost | counted twice | as undisturbed |")
    print("|---|---|---|---|---|---|---|")
    groups = {}
    for row in rows:
        groups.setdefault(row["what"], []).append(row)
    total = Counter()
    for what, group in [*groups.items(), ("in all", rows)]:
        total = Counter()
        for row in group:
            total.update({key: row[key] for key in ("kills", "micrographs", "failed", "lost", "twice")})
        equal = f"{sum(row['equal'] for row in group)} of {len(group)} runs"
        print(f"| {what} | {' | '.join(str(total[key]) for key in ('kills', 'micrographs', 'failed', 'lost', 'twice'))} | {equal} |")  # fmt: skip


SCENARIOS = {
    "whole-points": whole_points,
    "whole-random": whole_random,
    "worker-points": worker_points,
    "worker-random": worker_random,
    "client-points": client_points,
    "client-random": client_random,
    "cluster": cluster,
}

if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--page"]
    log = Path(arguments[0])
    if "--page" in sys.argv:
        page(log)
    else:
        with tempfile.TemporaryDirectory() as folder:
            chosen = arguments[1:] or list(SCENARIOS)
            study = Study(Path(folder), log)
            load_model("default")
            if not all(name.startswith("whole") for name in chosen):
                study.undisturbed()
            for name in chosen:
                SCENARIOS[name](study)
