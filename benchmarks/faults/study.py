"""Kill runs in every way, at named points and at random instants; compare what is left with an undisturbed run.

    python benchmarks/faults/study.py KILLS.jsonl [scenario ...]

writes a line for each run that was killed and done again to its end. Scenarios that the file holds already are passed over,
so the same command goes on where it was stopped. `--page` prints the table of docs/explanation/reliability.md from such a
file. All of them take up to an hour on two cores. A threshold stands in the place of the network.
"""

import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from disturbed import Cluster, Disturbed, kill, kills_in, running, workers_of

from nanocensus.pipeline.job.sections import MeasureSection
from nanocensus.pipeline.run.block import compile_kernels
from nanocensus.segment.prediction.weights import load_model

MOMENTS = ("begun", "written", "committed")
"""Before a file or folder is written; between its writing and the rename into its place; after that."""
WORKER_PATHS = (
    "/particles/part-",
    "/probability",
    "/labels/particles",
    "thumbnails/",
    "micrographs.zarr",
    "/labels/truth",
)
CLIENT_PATHS = ("micrographs.parquet", "refusals.parquet", ".sources.json", "run.json", "tables/")
POINTS, RANDOM = "named points", "random instants"
LOCAL = {"workers": 2}


def points_of(path):
    """Give the moments at a path; an image begins as a folder of another name, which `micrographs.zarr` stands for."""
    return MOMENTS[1:] if path.startswith(("/probability", "/labels")) else MOMENTS


def process_points(study, _):
    """Kill runs whose client, scheduler and worker are one process, at named points."""
    for number, path in enumerate((*WORKER_PATHS, *CLIENT_PATHS)):
        name, kills = f"process-{number}", 0
        for after, moment in enumerate(points_of(path)):
            later = after if path in WORKER_PATHS else 0
            tickets = study.plan(pause=0, points=[{"moment": moment, "path": path, "after": later}])
            study.wait(study.begin(name, kind="inline"))
            kills += kills_in(tickets)
        yield "everything, one process", POINTS, kills, study.finish(name, kind="inline")


def process_random(study, rng, runs=4, kills=10):
    """Kill such runs at random instants."""
    for number in range(runs):
        name, killed = f"process-random-{number}", 0
        for _ in range(kills):
            study.plan(pause=0.05)
            killed += after_a_while(study.begin(name, kind="inline"), rng.uniform(0.1, study.seconds))
        yield "everything, one process", RANDOM, killed, study.finish(name, kind="inline")


def after_a_while(pid, seconds, *, group=False):
    """Kill a process, or all of its group, unless it has ended before; say whether it was killed."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and running(pid):
        time.sleep(0.01)
    if group and running(pid):
        os.killpg(pid, signal.SIGKILL)
    else:
        kill(pid)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def worker_points(study, _):
    """Kill local workers at named points, several in a run."""
    for number, path in enumerate(WORKER_PATHS):
        points = [{"moment": moment, "path": path, "after": 3 * k} for k, moment in enumerate(points_of(path))]
        name, tickets = f"worker-{number}", study.plan(points=points)
        study.wait(study.begin(name, **LOCAL))
        yield "workers", POINTS, kills_in(tickets), study.finish(name, **LOCAL)


def worker_random(study, rng, runs=3, kills=6):
    """Kill local workers at random instants, several in a run."""
    for number in range(runs):
        name, killed = f"worker-random-{number}", 0
        study.plan(pause=1.0)
        run = study.begin(name, **LOCAL)
        while running(run) and killed < kills:
            time.sleep(rng.uniform(1.0, 6.0))
            there = workers_of(run)
            killed += bool(there) and kill(rng.choice(there))
        study.wait(run)
        yield "workers", RANDOM, killed, study.finish(name, **LOCAL)


def client_points(study, _):
    """Kill the client of a cluster at named points; its workers go on with what they have in hand."""
    with Cluster(study) as cluster:
        for number, path in enumerate(CLIENT_PATHS):
            name, kills = f"client-{number}", 0
            for moment in points_of(path):
                tickets = study.plan(points=[{"moment": moment, "path": path}])
                study.wait(study.begin(name, scheduler=cluster.address))
                kills += kills_in(tickets)
            yield "clients", POINTS, kills, study.finish(name, scheduler=cluster.address)


def client_random(study, rng, kills=6):
    """Kill clients at random instants: of a cluster, of local workers, and together with local workers."""
    with Cluster(study) as cluster:
        there = {"scheduler": cluster.address}
        for name, where, group in (("cluster", there, False), ("alone", LOCAL, False), ("group", LOCAL, True)):
            longest = study.seconds * (1 if where == there else 2)  # local workers have to start first
            name, killed = f"client-random-{name}", 0
            for _ in range(kills):
                study.plan()
                killed += after_a_while(study.begin(name, **where), rng.uniform(0.5, longest), group=group)
            yield "clients and their workers" if group else "clients", RANDOM, killed, study.finish(name, **where)


def scheduler_points(study, _):
    """Kill the scheduler of a cluster when a worker comes to a named point; its workers are left to end by themselves."""
    with Cluster(study) as cluster:
        for number, path in enumerate(("/particles/part-", "micrographs.zarr")):
            name, kills = f"scheduler-{number}", 0
            for moment in points_of(path):
                tickets = study.plan(points=[{"moment": moment, "path": path, "pid": cluster.scheduler}])
                study.wait(study.begin(name, scheduler=cluster.address))
                kills += kills_in(tickets)
                cluster.start()
            yield "schedulers", POINTS, kills, study.finish(name, scheduler=cluster.address)


def scheduler_random(study, rng, kills=6):
    """Kill the scheduler of a cluster at random instants."""
    name, killed = "scheduler-random", 0
    with Cluster(study) as cluster:
        for _ in range(kills):
            study.plan(pause=0.5)
            run = study.begin(name, scheduler=cluster.address)
            time.sleep(rng.uniform(0.5, 2 * study.seconds))
            killed += running(run) and kill(cluster.scheduler)
            study.wait(run)
            cluster.start()
        yield "schedulers", RANDOM, killed, study.finish(name, scheduler=cluster.address)


def nanny_points(study, _):
    """Kill two of three nannies when a worker comes to a named point; whoever they cared for goes with them."""
    places = [(moment, path) for path in ("/particles/part-", "micrographs.zarr") for moment in points_of(path)]
    with Cluster(study, workers=3) as cluster:
        for number in range(0, len(places), 2):
            points = [
                {"moment": moment, "path": path, "after": after, "pid": nanny}
                for after, ((moment, path), nanny) in enumerate(
                    zip(places[number : number + 2], cluster.nannies[:2], strict=True)
                )
            ]
            name, tickets = f"nanny-{number}", study.plan(points=points)
            study.wait(study.begin(name, scheduler=cluster.address))
            cluster.replace_nannies()
            yield "nannies", POINTS, kills_in(tickets), study.finish(name, scheduler=cluster.address)


def nanny_random(study, rng, runs=2, kills=4):
    """Kill nannies at random instants, several in a run."""
    with Cluster(study) as cluster:
        for number in range(runs):
            name, killed = f"nanny-random-{number}", 0
            study.plan(pause=1.0)
            run = study.begin(name, scheduler=cluster.address)
            while running(run) and killed < kills:
                time.sleep(rng.uniform(1.0, 4.0))
                killed += kill(rng.choice(cluster.nannies))
                cluster.replace_nannies()
            study.wait(run)
            yield "nannies", RANDOM, killed, study.finish(name, scheduler=cluster.address)


def sixty(study, rng, kills=16):
    """Kill a worker, a nanny, the client and the scheduler of a cluster in turn, in one larger run."""
    name, killed = "sixty", 0
    with Cluster(study) as cluster:
        study.plan(pause=0.5)
        run = study.begin(name, scheduler=cluster.address)
        for number in range(kills):
            time.sleep(rng.uniform(1.0, 8.0))
            whom = ("worker", "nanny", "client", "scheduler")[number % 4]
            if whom == "worker":
                there = [each for nanny in cluster.nannies for each in workers_of(nanny)]
                killed += bool(there) and kill(rng.choice(there))
            elif whom == "nanny":
                killed += kill(rng.choice(cluster.nannies))
                cluster.replace_nannies()
            else:
                killed += kill(run if whom == "client" else cluster.scheduler)
                study.wait(run)
                if whom == "scheduler":
                    cluster.start()
                run = study.begin(name, scheduler=cluster.address)
        study.wait(run)
        yield (
            "workers, nannies, clients and schedulers in turn",
            RANDOM,
            killed,
            study.finish(name, scheduler=cluster.address),
        )


def page(log):
    """Print the table of a log."""
    print("| killed | at | kills | micrographs | failed in the end | particles lost | counted twice | as undisturbed |")
    print("|---|---|---|---|---|---|---|---|")
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    groups = {}
    for row in rows:
        groups.setdefault((row["killed"], row["at"]), []).append(row)
    for (killed, at), group in [*groups.items(), (("in all", ""), rows)]:
        total = Counter()
        for row in group:
            total.update({key: row[key] for key in ("kills", "micrographs", "failed", "lost", "twice")})
        equal = f"{sum(row['equal'] for row in group)} of {len(group)} runs"
        cells = [killed, at, *(str(total[key]) for key in ("kills", "micrographs", "failed", "lost", "twice")), equal]
        print(f"| {' | '.join(cells)} |")


SCENARIOS = {
    "process-points": process_points,
    "process-random": process_random,
    "worker-points": worker_points,
    "worker-random": worker_random,
    "client-points": client_points,
    "client-random": client_random,
    "scheduler-points": scheduler_points,
    "scheduler-random": scheduler_random,
    "nanny-points": nanny_points,
    "nanny-random": nanny_random,
    "sixty": sixty,
}


def play(scenario, log):
    """Play a scenario, and write down its runs when all of them are done."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        study = Disturbed(Path(folder), 60 if scenario == "sixty" else 12)
        lines = []
        for killed, at, kills, found in SCENARIOS[scenario](study, random.Random(scenario)):
            facts = {"scenario": scenario, "killed": killed, "at": at, "kills": kills, **found}
            print(facts, flush=True)
            if not found["equal"]:
                print(study.console(), flush=True)
            lines.append(json.dumps(facts) + "\n")
    with log.open("a") as stream:
        stream.writelines(lines)


if __name__ == "__main__":
    log = Path(sys.argv[1])
    if "--page" in sys.argv:
        page(log)
    else:
        there = [json.loads(line)["scenario"] for line in log.read_text().splitlines()] if log.exists() else []
        load_model("default")  # here, so that what is forked off need not
        compile_kernels(MeasureSection())
        for name in sys.argv[2:] or SCENARIOS:
            if name not in there:
                play(name, log)
