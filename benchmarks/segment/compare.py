"""Our networks on a CPU against the same networks in OpenVINO, measured in one run.

    python3.11 -m venv .venv-segment && .venv-segment/bin/pip install -r benchmarks/segment/requirements.txt
    PYTHONPATH=engine .venv-segment/bin/python benchmarks/segment/compare.py           # about three minutes

Writes benchmarks/results/segment.json, with all rounds, and segment.md. Candidates take turns, in rounds of random order,
in a process that is held to one core, and then in one that is held to two. Everyone has the same random weights; where
OpenVINO's float32 says something else than ours, nothing is written.
"""

import argparse
import gc
import json
import os
import platform
import re
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORES = (1, 2)
PACKAGES = ("jax", "flax", "numpy", "openvino")


def hold_to(cores):
    """Hold this process to its cores, before any engine counts them."""
    os.environ |= {"NPROC": str(cores), "JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": str(cores)}
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


def clocked(call, image):
    """Give wall and processor time, ms."""
    gc.disable()
    wall, processor = time.perf_counter(), time.process_time()
    call(image)
    spent = 1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - processor)
    gc.enable()
    return spent


def rounds_on(cores, side, rounds):
    """Time everyone in this process."""
    hold_to(cores)
    import numpy as np
    from networks import started

    image = np.random.default_rng(1).normal(size=(1, side, side)).astype(np.float32)
    lines = started(image, cores)
    spent = [[] for _ in lines]
    rng = np.random.default_rng(0)
    for _ in range(rounds):
        for number in rng.permutation(len(lines)):
            spent[number].append(clocked(lines[number].call, image))
    rows = []
    for line, times in zip(lines, spent, strict=True):
        row = {"network": line.network, "engine": line.engine, "difference": line.difference, "spread": line.spread}
        for name, values in zip(("wall", "cpu"), np.array(times).T, strict=True):
            row |= {f"{name}_median_ms": round(float(np.median(values)), 3), f"{name}_least_ms": round(min(values), 3)}
            row[f"{name}_rounds_ms"] = values.round(3).tolist()
        rows.append(row)
    return {"cores": cores, "side_px": side, "rows": rows}


def in_a_process(cores, side, rounds):
    """Run `rounds_on` in a process of its own: engines count the cores when they are imported."""
    command = [sys.executable, __file__, "--cores", str(cores), "--side", str(side), "--rounds", str(rounds)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def made_with():
    """Say on what and with which versions this runs; no host, no path."""
    import psutil

    from nanocensus.provenance import machine

    told = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {
        "machine": machine() | {"cores": os.cpu_count(), "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB"},
        "commit": told.stdout.strip(),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/segment", help="without its ending")
    parser.add_argument("--side", type=int, default=512, help="of the image, px")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--cores", type=int, help="print the rounds of one process as JSON, and write nothing")
    given = parser.parse_args()
    if given.cores:
        print(json.dumps(rounds_on(given.cores, given.side, given.rounds)))
        return
    from report import bars, markdown

    start, load = time.perf_counter(), os.getloadavg()[0]
    affordable = [cores for cores in CORES if cores <= len(os.sched_getaffinity(0))]
    runs = [in_a_process(cores, given.side, given.rounds) for cores in affordable]
    result = made_with() | {
        "load_before": round(load, 1),
        "took_s": round(time.perf_counter() - start),
        "bars": bars(runs),
        "runs": runs,
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    one_line = re.sub(r"\[[\s\d.,e+-]+\]", lambda numbers: " ".join(numbers[0].split()), json.dumps(result, indent=1))
    given.out.with_suffix(".json").write_text(one_line + "\n", encoding="utf-8")
    given.out.with_suffix(".md").write_text(text := markdown(result), encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
