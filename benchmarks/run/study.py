"""What a run costs beside its work: overhead a micrograph, speed-up by a second worker, growth of a worker's memory.

    python benchmarks/run/study.py overhead [10000 ...]      stub blocks: plan, scheduler, log and index alone
    python benchmarks/run/study.py workers                   the same 288 micrographs by 1 and by 2 workers of one core
    python benchmarks/run/study.py memory                    300 micrographs by one worker

Each prints lines of JSON; benchmarks/results/run.jsonl keeps them. Nothing else should run on the machine for `workers`.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np

from nanocensus.device import Device
from nanocensus.pipeline.job.plan import Network, assign_parts, cut_blocks, make_task, planned_row
from nanocensus.pipeline.job.spec import parse_job
from nanocensus.pipeline.job.work_sections import ClusterSection
from nanocensus.pipeline.run import work
from nanocensus.pipeline.run.block import STAGES, BlockResult, Effort
from nanocensus.pipeline.run.journal import MICROGRAPH, Journal, rate_of_last_run, read_events
from nanocensus.pipeline.run.runner import census
from nanocensus.pipeline.workers.clusters import open_client
from nanocensus.pipeline.workers.dispatch import never, silent
from nanocensus.provenance import digest, machine
from nanocensus.store.manifest import Manifest, OutputLock, rows_of
from nanocensus.store.particles.tables import read_micrographs

SIDE, DONE, REPEATS, WARM_UP, GROWING = 1024, 288, 2, 100, 300


def note(**facts):
    print(json.dumps({**facts, **machine(), "cores": len(os.sched_getaffinity(0))}), flush=True)


def stub(block, *_, **__):
    """Be a block whose work takes no time."""
    outcome = {"status": "done", "n_detected": 600, "part_digest": "0" * 64}
    rows = tuple({**planned_row(task, block.part), **outcome} for task in block.tasks)
    return BlockResult(rows, tuple(Effort(dict.fromkeys(STAGES, 0.0), 0.0) for _ in rows))


def overhead(numbers):
    """Time all that a run does with blocks but the blocks: in blocks of 16, and of one up to 10,000 micrographs.

    The CPU time is that of the process of client and scheduler, and says the same on a busy machine.
    """
    work.process_block = stub
    with open_client(ClusterSection(workers=2)) as client, tempfile.TemporaryDirectory() as folder:
        for n in numbers:
            for size in (16, 1) if n <= 10_000 else (16,):
                out = Path(folder) / f"{n}-{size}"
                out.mkdir()
                manifest = Manifest.from_rows(map(row, range(n)), [])
                job = parse_job({"out": str(out), "simulate": {}, "blocks": {"micrographs": size}})
                start, spent = perf_counter(), process_time()
                blocks = plan(manifest, job)
                planned = process_time()
                with Journal(out) as journal:
                    doing = work.Work(job, client, Device("cpu", "CPU", "asked for"), journal, silent, never)
                    doing.process(blocks, manifest, retry_failed=False)
                taken, used = perf_counter() - start, process_time() - spent
                assert len(read_micrographs(out)) == n
                note(what="overhead", micrographs=n, block=size, plan_cpu_ms=1e3 * (planned - spent) / n,
                     cpu_ms=1e3 * used / n, wall_ms=1e3 * taken / n)  # fmt: skip


def row(number):
    content = digest(number)
    return {
        "micrograph": content[:16], "content_digest": content, "name": f"s/{number:06}.tif", "sample": f"s{number % 8}",
        "order": number, "height_px": 4096, "width_px": 4096, "recorded_dtype": "uint16", "pixel_size_nm": 0.086,
        "pixel_size_source": "given", "status": "ingested",
    }  # fmt: skip


def plan(manifest, job):
    network = Network("default", "default", "0" * 64)
    tasks = {
        each["micrograph"]: make_task(each, network, inference=job.segment.inference, measure=job.measure)
        for each in rows_of(manifest.micrographs)
    }
    return cut_blocks(assign_parts(manifest.micrographs, job.blocks.micrographs), tasks)


def simulated(out, n, side, workers):
    shape = {"shape": [side, side], "mean_particles": side * side / 16384, "mean_edge_length_nm": 3.2}
    return parse_job({
        "out": str(out), "simulate": {"micrographs": n, "micrograph": shape}, "store": {"pyramid": False},
        "blocks": {"micrographs": 2}, "cluster": {"workers": workers},
    })  # fmt: skip


def workers():
    """Time the same micrographs with one and with two workers, in turn; kernels and files are warm from the first round.

    `seconds` holds the start of the workers, some 3 s of CPU each for imports and the network's compilation; `per_minute`
    is the rate from the first block to the last.
    """
    seconds, rates = {1: [], 2: []}, {1: [], 2: []}
    for repeat in range(REPEATS + 1):
        for number in (1, 2):
            with tempfile.TemporaryDirectory() as folder:
                job = simulated(folder, DONE, SIDE, number)
                with OutputLock(job.out):
                    spent = census(job).seconds["process"]
                rate = rate_of_last_run(job.out)
            if repeat:
                seconds[number].append(spent)
                rates[number].append(rate)
    note(what="workers", micrographs=DONE, side_px=SIDE, seconds=seconds, ratio=min(seconds[1]) / min(seconds[2]),
         per_minute=rates, rate_ratio=max(rates[2]) / max(rates[1]))  # fmt: skip


def memory():
    """Fit a line to what a worker holds after each micrograph, once it has seen the first hundred."""
    with tempfile.TemporaryDirectory() as folder:
        job = simulated(folder, GROWING, 256, 1)
        with OutputLock(job.out):
            census(job)
        held = [event["memory_mib"] for event in read_events(job.out) if event["event"] == MICROGRAPH]
    slope = np.polyfit(np.arange(len(held) - WARM_UP), held[WARM_UP:], 1)[0]
    grown = (np.mean(held[-20:]) - np.mean(held[WARM_UP : WARM_UP + 20])) / (len(held) - WARM_UP - 20)
    note(what="memory", micrographs=len(held), first_mib=held[0], at_100_mib=held[WARM_UP], last_mib=held[-1],
         slope_mib=slope, mean_growth_mib=grown)  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1] == "overhead":
        overhead([int(text) for text in sys.argv[2:]] or [10_000])
    else:
        {"workers": workers, "memory": memory}[sys.argv[1]]()
