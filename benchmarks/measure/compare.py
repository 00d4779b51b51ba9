"""nanocensus and its peers, measured in one run: how long they take, and whether what they say is true.

    python3.11 -m venv .venv-peers && .venv-peers/bin/pip install -r benchmarks/measure/requirements.txt
    PYTHONPATH=engine .venv-peers/bin/python benchmarks/measure/compare.py           # about five minutes

Writes benchmarks/results/measure.json, with all rounds, and measure.md. Everyone runs on one core and one thread. A
ratio is given only for those that found scikit-image's particles with its areas; where nanocensus did not, nothing is
written.
"""

import argparse
import atexit
import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

ONE = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
COMPILED = tempfile.mkdtemp()
os.environ |= dict.fromkeys(ONE, "1") | {"NUMBA_CACHE_DIR": COMPILED}  # read when the packages below are imported
atexit.register(shutil.rmtree, COMPILED)

import psutil
from candidate import installed, one_thread_each
from features import OUR_OUTLINE_SET, REFERENCE
from report import markdown
from scenes import SCENES, STANDARD, particles_scene
from timing import EVERYONE, first_calls, timed, two_threads
from truth import truth_rows

from nanocensus.provenance import machine

ROOT = Path(__file__).parents[2]

PEERS = {
    "scikit-image's label + regionprops_table": (REFERENCE, 100.0),
    "DIPlib's Label + Measure": ("DIPlib Label + Measure", 8.0),
    "nyxus, which is given labels": ("nyxus, in memory", 8.0),
    "SimpleITK, which has no hull": ("SimpleITK + LabelShapeStatistics", 8.0),
    "OpenCV's polygons": ("OpenCV polygons", 2.0),
}
"""How many times their time, at least, that of the paper set must go into."""
OUTLINES_AT_MOST, THREADS_AT_LEAST = 4.0, 1.8


def bars(standard, threads):
    """Give what is asked of the standard scene, and what was found: by medians, and by the least of all rounds."""
    rows = {row["candidate"]: row for row in standard["rows"]}
    found = [
        _bar(f"mask to paper set against {what}", rows.get(name, {}), "ratio", least=bar)
        for what, (name, bar) in PEERS.items()
    ]
    outlines = _bar(
        "map to outline set against mask to paper set", rows[OUR_OUTLINE_SET], "ratio", most=OUTLINES_AT_MOST
    )
    return [
        *found,
        outlines,
        *(
            _bar(f"two threads against one, {_shared(each)}", each, "speedup", least=THREADS_AT_LEAST)
            for each in threads
        ),
    ]


def _shared(threads):
    return f"{threads['candidate']} (others kept {threads['others_cores']:g} cores busy)"


def _bar(what, row, name, least=None, most=None):
    value = row.get(name)
    met = None
    if value is not None:
        met = value >= least if most is None else value <= most
    return {
        "what": what,
        "ratio": value,
        "ratio_of_least": row.get(f"{name}_of_least"),
        "asked": f"at least {least:g}" if most is None else f"at most {most:g}",
        "met": met,
    }


def commit():
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return told.stdout.strip()


def made_with():
    """Say on what and with which versions this runs; no host, no path."""
    packages = {candidate.package for candidate in EVERYONE} - {"nanocensus"} | {"numba", "pandas", "pyarrow"}
    versions = {name: installed(name) or "not installed" for name in sorted(packages, key=str.lower)}
    memory = f"{psutil.virtual_memory().total / 2**30:.0f} GiB"
    return {
        "machine": machine() | {"cores": os.cpu_count(), "memory": memory},
        "commit": commit(),
        "versions": {"python": platform.python_version()} | versions,
        "candidates": [
            {"candidate": each.name, "gives": each.gives, "installed": bool(installed(each.package))}
            for each in EVERYONE
        ],
    }


def measured():
    """Run everything."""
    started, cores = time.perf_counter(), os.sched_getaffinity(0)
    one_thread_each()
    warm_up = first_calls(particles_scene("warm-up", 256, 4, 60.0))
    ours = [line.first_ms for line in warm_up if line.candidate.package == "nanocensus"]
    scenes, threads = [], []
    for name, draw in SCENES.items():
        scene = draw()
        print(f"{time.perf_counter() - started:4.0f} s  {name}: {scene.n} particles", flush=True)
        scenes.append(timed(scene))
        if name == STANDARD and len(cores) > 1:
            threads = two_threads(scene, cores)
    standard = next(found for found in scenes if found["scene"] == STANDARD)
    return {
        "compile_s": round(sum(ours) / 1e3, 1),
        "bars": bars(standard, threads),
        "scenes": scenes,
        "threads": threads,
        "truth": truth_rows(),
        "took_s": round(time.perf_counter() - started),
    }


def as_json(result):
    """Write lists of numbers, such as rounds, in one line each."""
    text = json.dumps(result, indent=1)
    return re.sub(r"\[[\s\d.,e+-]+\]", lambda numbers: " ".join(numbers[0].split()), text) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/measure", help="without its ending")
    out = parser.parse_args().out
    warnings.filterwarnings("ignore", "divide by zero", RuntimeWarning, "cp_measure")  # specks have no perimeter
    result = made_with() | measured()
    text = markdown(result)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".json").write_text(as_json(result), encoding="utf-8")
    out.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
