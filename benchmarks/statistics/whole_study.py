"""How long all statistics of the paper's whole study take: 441,067 particles of ten samples on 727 micrographs.

    python benchmarks/statistics/whole_study.py > benchmarks/results/whole-study.md

Particles are simulated (`simulate.paper`). One call of `nc.analyse_particles` does everything that a table of particles allows:
size-resolved means and CVs with intervals, size distributions, comparisons, densities and modes, onset sizes of circularity and
solidity, models of the synthesis, populations, tables and the report. What compiles has compiled on a tenth of the
micrographs. Mean shapes need outlines, and are timed by `mean_shape_study.py time`.
"""

import os
import resource
import tempfile
import time
from pathlib import Path

import nanocensus as nc
from nanocensus.provenance import machine
from nanocensus.simulate.paper import PAPER
from nanocensus.simulate.populations import simulate_population

ONSETS = {"descriptors": {"circularity": {"between_nm": [2.6, 7.6]}, "solidity": {"between_nm": [2.6, 7.6]}}}
REST = {"synthesis": {}, "populations": {}}
PARTS = {
    "size-resolved statistics, distributions, comparisons, report": {},
    "the same with onset sizes": {"onsets": ONSETS},
    "the same with models of the synthesis and populations": REST,
    "everything": {"onsets": ONSETS, **REST},
}
ROUNDS = 3


def seconds(work):
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - processor


def main():
    """Print a page with the seconds of each part, and of all."""
    whole = simulate_population(PAPER, seed=0)
    few = whole.micrographs.groupby("sample").head(8)
    part = whole.particles[whole.particles["micrograph"].isin(few["micrograph"])]
    print("# All statistics of 441,067 particles\n\nWritten by `benchmarks/statistics/whole_study.py`.\n")
    cores = len(os.sched_getaffinity(0))
    print(f"{machine().get('processor', 'unknown processor')}, {cores} of its cores; {len(whole.particles):,} particles on "
          f"{len(whole.micrographs)} micrographs\n")  # fmt: skip
    print("| what | s | s of the processor |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        nc.analyse_particles(part, few, out=Path(folder) / "few", **PARTS["everything"])
        for number, (name, asked) in enumerate(PARTS.items()):
            out = Path(folder) / str(number)
            clock, processor = min(
                seconds(
                    lambda asked=asked, out=out: nc.analyse_particles(
                        whole.particles, whole.micrographs, out=out, **asked
                    )
                )
                for _ in range(ROUNDS)
            )
            print(f"| {name} | {clock:.1f} | {processor:.1f} |", flush=True)
    print(
        f"\nThe least of {ROUNDS} rounds. {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB at most."
    )


if __name__ == "__main__":
    main()
