"""The bin table of one data set by nanocensus, polars, DuckDB, pandas and dask, and intervals beside scipy's and arch's.

    python benchmarks/statistics/engines.py [--rows N ...] [--rounds K] [--cores 0 [1]] > benchmarks/results/statistics.md

Count, mean and standard deviation of three columns by sample and 0.2 nm of size, from Parquet. Engines take turns, each
run is a process of its own on the given cores (`bin_table.py`), and a time stands only beside equal results. nanocensus
keeps its cells, the sums of every micrograph, as well. Peers that are not installed are left out and named.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from bin_table import ENGINES, OF, WIDTH_NM

import nanocensus as nc
from nanocensus.provenance import machine

ROOT = Path(__file__).parents[2]
FILE_ROWS, GROUP_ROWS, SAMPLES = 1_000_000, 100_000, 8
MOST_IN_MEMORY = 20_000_000
"""Rows up to which pandas is asked: it holds them all."""
REPLICATES = 2000


def make(folder, rows, per_micrograph):
    """Write float32 rows sorted by sample and micrograph; no size lies within a quantum of an edge of a bin."""
    for file, start in enumerate(range(0, rows, FILE_ROWS)):
        rng = np.random.default_rng(file)
        n = min(FILE_ROWS, rows - start)
        number = (start + np.arange(n)) // per_micrograph
        micrographs, code = np.unique(number, return_inverse=True)
        total = -(-rows // per_micrograph)
        size = np.exp(rng.normal(1.7, 0.3, n) + rng.normal(0, 0.08, len(micrographs))[code]).clip(0.5, 60)
        near = np.abs(size / WIDTH_NM - np.rint(size / WIDTH_NM)) * WIDTH_NM < 2**-12
        columns = {
            "sample": pa.DictionaryArray.from_arrays((micrographs * SAMPLES // total).astype(np.int32)[code], [f"Co0.{k}" for k in range(SAMPLES)]),
            "micrograph": pa.DictionaryArray.from_arrays(code.astype(np.int32), [f"{k:016x}" for k in micrographs]),
            OF[0]: (size + near * 2**-10).astype(np.float32),
            OF[1]: (0.9 + 0.02 * rng.standard_normal(n)).clip(0, 1).astype(np.float32),
            OF[2]: (0.97 + 0.01 * rng.standard_normal(n)).clip(0, 1).astype(np.float32),
        }  # fmt: skip
        pq.write_table(pa.table(columns), folder / f"part-{file:04d}.parquet", row_group_size=GROUP_ROWS,
                       use_dictionary=["sample", "micrograph"], compression="lz4")  # fmt: skip


def run(engine, folder, cores, table):
    command = ["taskset", "-c", ",".join(map(str, cores)), sys.executable, ROOT / "benchmarks/statistics/bin_table.py"]
    return json.loads(subprocess.check_output([*command, engine, folder, table], text=True))


def check(tables):
    """Stop unless all tables say the same: counts exactly, means and deviations to a quantum of their column."""
    reference = tables["nanocensus"]
    for engine, table in tables.items():
        same = reference[["sample", "bin", "n"]].equals(table[["sample", "bin", "n"]])
        steps = {"edge_length_nm": 2.0**-12, "circularity": 2.0**-18, "solidity": 2.0**-18}
        far = [name for name, step in steps.items() for what in ("mean", "sd")
               if not np.allclose(reference[f"{name}_{what}"], table[f"{name}_{what}"], rtol=0, atol=step, equal_nan=True)]  # fmt: skip
        if not same or far:
            raise SystemExit(f"{engine} has other results: {far or 'counts'}")


def bin_tables(rows, rounds, cores, per_micrograph, engines):
    with tempfile.TemporaryDirectory() as place:
        folder, found, tables = Path(place) / "rows", {engine: [] for engine in engines}, {}
        folder.mkdir()
        make(folder, rows, per_micrograph)
        bytes_ = sum(path.stat().st_size for path in folder.iterdir())
        for number in range(rounds):
            for engine in engines if number % 2 else engines[::-1]:
                told = run(engine, folder, cores, Path(place) / f"{engine}.parquet")
                tables[engine] = pd.read_parquet(Path(place) / f"{engine}.parquet")
                found[engine].append(told)
            check(tables)
        digests = {told["digest"] for told in found["nanocensus"]}
        half = (
            [run("nanocensus", folder, cores[:1], Path(place) / "one.parquet") for _ in range(rounds)]
            if len(cores) > 1
            else []
        )
        digests |= {told["digest"] for told in half}
    if len(digests) != 1:
        raise SystemExit("cells differ between rounds or workers")
    print(
        f"\n## {rows:,} rows, {bytes_ / 1e6:,.0f} MB, {-(-rows // per_micrograph):,} micrographs, core {', '.join(map(str, cores))}\n"
    )
    print("| engine | median s | least s | median s of processor | ratio to ours, median of rounds | peak GiB |")
    print("|---|---|---|---|---|---|")
    for engine, rounds_ in found.items():
        seconds, busy = ([told[name] for told in rounds_] for name in ("seconds", "cpu"))
        ratio = np.median(np.array(seconds) / [told["seconds"] for told in found["nanocensus"]])
        peak = max(told["peak"] for told in rounds_) / 2**30
        print(
            f"| {engine} | {np.median(seconds):.3f} | {min(seconds):.3f} | {np.median(busy):.3f} | {ratio:.2f} | {peak:.2f} |"
        )
    print(f"\nOurs: {found['nanocensus'][0]['cells']:,} cells of one micrograph each, in the same bytes each round.")
    if half:
        one, both = (np.median([told["seconds"] for told in part]) for part in (half, found["nanocensus"]))
        print(
            f"Strong scaling: {one:.3f} s on one core, {both:.3f} s on {len(cores)}: {one / both:.2f} times as fast, same bytes."
        )


def intervals(per_micrograph):
    """Resample the same clusters of the same bins: the mean circularity, percentiles of 2,000 replicates."""
    with tempfile.TemporaryDirectory() as place:
        make(Path(place), 441_067, per_micrograph)
        cells = nc.cells(place, by=["sample", nc.size_bins(WIDTH_NM)], of=["circularity"], weight=None)
        for _ in range(2):  # the first compiles
            start = time.perf_counter(), time.process_time()
            nc.bootstrap(cells, {"circularity": [nc.mean, nc.cv]}, replicates=REPLICATES, cluster="micrograph")
            nc.estimate(cells, {"circularity": [nc.median]}, cluster="micrograph")
            whole = time.perf_counter() - start[0], time.process_time() - start[1]
    start = time.perf_counter()
    found = nc.bootstrap(cells, {"circularity": [nc.mean]}, replicates=REPLICATES, cluster="micrograph")
    ours = time.perf_counter() - start
    replicates = found["replicates"].squeeze(["descriptor", "statistic"])
    busiest = found["n"].isel(sample=0).argmax("size_bin").item()
    ends = {"nanocensus, all bins": np.nanquantile(replicates.isel(sample=0, size_bin=busiest), [0.025, 0.975])}
    spent = {"nanocensus, all bins": ours}
    table = cells.table
    number = int(np.rint(float(found["size_left"][busiest]) / WIDTH_NM))
    first = table[(table["sample"] == table["sample"].cat.categories[0]) & (table["size_bin"] == number)]
    total = (first["circularity_wq_high"] * 2.0**32 + first["circularity_wq_low"]).to_numpy() * 2.0**-28
    n = first["n"].to_numpy(np.float64)
    absent = cells.micrographs["sample"].eq(table["sample"].cat.categories[0]).sum() - len(n)
    total, n = (np.concatenate([part, np.zeros(absent)]) for part in (total, n))
    from scipy.stats import bootstrap

    start = time.perf_counter()
    made = bootstrap((total, n), lambda a, b, axis: a.sum(axis) / b.sum(axis), paired=True, n_resamples=REPLICATES,
                     vectorized=True, method="percentile", random_state=0)  # fmt: skip
    spent["scipy.stats.bootstrap, one bin"] = time.perf_counter() - start
    ends["scipy.stats.bootstrap, one bin"] = np.array(made.confidence_interval)
    if importlib.util.find_spec("arch"):
        from arch.bootstrap import IIDBootstrap

        start = time.perf_counter()
        ends["arch, one bin"] = (
            IIDBootstrap(total, n, seed=0)
            .conf_int(lambda a, b: a.sum() / b.sum(), REPLICATES, method="percentile")
            .ravel()
        )
        spent["arch, one bin"] = time.perf_counter() - start
    held = int((found["n"] > 0).sum())
    print(
        f"\n## Percentiles of {REPLICATES:,} resamples of micrographs, mean circularity, 441,067 particles, {held} bins with particles\n"
    )
    print("| what | s | s a bin | lower | upper of the fullest bin |\n|---|---|---|---|---|")
    for what, seconds in spent.items():
        bins = held if "all" in what else 1
        print(f"| {what} | {seconds:.3f} | {seconds / bins:.5f} | {ends[what][0]:.5f} | {ends[what][1]:.5f} |")
    width = np.diff(ends["nanocensus, all bins"])
    if any(np.abs(other - ends["nanocensus, all bins"]).max() > 0.15 * width for other in ends.values()):
        raise SystemExit("intervals differ by more than chance")
    print("\nOurs draws one cluster less than there are (Rao and Wu), so it is wider by half a cluster's share.")
    print(
        f"From cells to Datasets, {REPLICATES:,} replicates of mean and CV, and Woodruff's medians with their two passes over the "
        f"particles: {whole[0]:.2f} s, {whole[1]:.2f} s of processor."
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[441_067, 10_000_000])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cores", type=int, nargs="+", default=[0])
    parser.add_argument("--per-micrograph", type=int, default=607)
    asked = parser.parse_args()
    there = [name for name in ENGINES if name == "nanocensus" or importlib.util.find_spec(name)]
    os.sched_setaffinity(0, asked.cores)
    commit = "unknown"
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, text=True).strip()
    print("# Bin tables and intervals beside other engines\n\nWritten by `benchmarks/statistics/engines.py`.\n")
    named = [
        f"{name} {version(name)}"
        for name in (*there, "pyarrow", "numba", "scipy", "arch")
        if importlib.util.find_spec(name)
    ]
    absent = [name for name in (*ENGINES, "arch") if not importlib.util.find_spec(name)]
    print("; ".join([*named, f"commit {commit}", machine().get("processor", "unknown processor")])
          + (f"; not installed: {', '.join(absent)}" if absent else "") + f"; load {os.getloadavg()[0]:.1f}")  # fmt: skip
    for rows in asked.rows:
        bin_tables(
            rows,
            asked.rounds,
            asked.cores,
            asked.per_micrograph,
            [name for name in there if name != "pandas" or rows <= MOST_IN_MEMORY],
        )
    intervals(asked.per_micrograph)
    print(f"\nLoad at the end: {os.getloadavg()[0]:.1f}.")


if __name__ == "__main__":
    main()
