"""One engine's bin table of a folder of Parquet, in a process of its own: how long it takes, and how much memory.

    python benchmarks/statistics/bin_table.py ENGINE FOLDER TABLE

Writes TABLE (Parquet: sample, bin, n, mean and standard deviation of three columns) and prints seconds and bytes as JSON.
The work is done twice, and the second time counts: code is compiled, garbage of that is collected, and files are in the
page cache by then. Cores are those that the process may run on (`taskset`).
"""

import gc
import json
import os
import resource
import sys
import time

CORES = len(os.sched_getaffinity(0))
for variable in ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "ARROW_NUM_THREADS"):
    os.environ[variable] = str(CORES)

import numpy as np
import pandas as pd

OF = ["edge_length_nm", "circularity", "solidity"]
WIDTH_NM = 0.2


def ours(folder):
    import dask

    import nanocensus as nc

    # Numba lets go of the interpreter, so threads are enough; for one core there is no need of another one.
    with dask.config.set(scheduler="threads" if CORES > 1 else "sync", num_workers=CORES):
        cells = nc.cells(folder, by=["sample", nc.size_bins(WIDTH_NM)], of=OF, weight=None)
    with np.errstate(invalid="ignore", divide="ignore"):  # deviations of one particle
        return cells, totals(cells)


def totals(cells):
    """Add up the micrographs of each bin."""
    sums = cells.totals()
    made, n = sums[["sample", "size_bin", "n"]].rename(columns={"size_bin": "bin"}), sums["n"]
    for quantum in cells.recipe.quanta:
        first, second = (
            (sums[f"{quantum.column}_{moment}_high"] * 2.0**32 + sums[f"{quantum.column}_{moment}_low"]) / sums["w"]
            for moment in ("wq", "wqq")
        )
        made[f"{quantum.column}_mean"] = first * quantum.step
        made[f"{quantum.column}_sd"] = np.sqrt((second - first**2) * n / (n - 1)) * quantum.step
    return made


def by_polars(folder):
    import polars as pl

    size = (pl.col(OF[0]) / WIDTH_NM).floor().cast(pl.Int32).alias("bin")
    asked = [
        part
        for name in OF
        for part in (pl.col(name).mean().alias(f"{name}_mean"), pl.col(name).std().alias(f"{name}_sd"))
    ]
    rows = pl.scan_parquet(f"{folder}/*.parquet").group_by("sample", size).agg(pl.len().alias("n"), *asked)
    return rows.collect(engine="streaming").to_pandas()


def by_duckdb(folder):
    import duckdb

    asked = ", ".join(f"avg({name}) as {name}_mean, stddev({name}) as {name}_sd" for name in OF)
    duckdb.sql(f"set threads to {CORES}")
    return duckdb.sql(f"select sample, cast(floor({OF[0]} / {WIDTH_NM}) as int) as bin, count(*) as n, {asked} "
                      f"from '{folder}/*.parquet' group by all").df()  # fmt: skip


def grouped(rows):
    rows = rows.assign(bin=(rows[OF[0]] / WIDTH_NM) // 1)
    by = rows.groupby(["sample", "bin"], observed=True)
    asked = {f"{name}_{short}": (name, long) for name in OF for short, long in (("mean", "mean"), ("sd", "std"))}
    return by.agg(n=(OF[0], "size"), **asked).reset_index()


def by_pandas(folder):
    return grouped(pd.read_parquet(folder, columns=["sample", *OF]).astype(dict.fromkeys(OF, "float64")))


def by_dask(folder):
    import dask
    import dask.dataframe as dd

    with dask.config.set(scheduler="threads", num_workers=CORES):
        return grouped(dd.read_parquet(folder, columns=["sample", *OF]).astype(dict.fromkeys(OF, "float64"))).compute()


ENGINES = {"nanocensus": ours, "polars": by_polars, "duckdb": by_duckdb, "pandas": by_pandas, "dask": by_dask}


def main(engine, folder, table):
    for _ in range(2):
        made = None  # two results at once would double the memory
        gc.collect()
        gc.freeze()
        start = time.perf_counter(), time.process_time()
        made = ENGINES[engine](folder)
        seconds, busy = time.perf_counter() - start[0], time.process_time() - start[1]
    told = {"seconds": seconds, "cpu": busy, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    if engine == "nanocensus":
        cells, made = made
        told |= {"cells": len(cells.table), "digest": cells.digest}
    made.astype({"sample": "str", "bin": "int64", "n": "int64"}).sort_values(["sample", "bin"]).to_parquet(
        table, index=False
    )
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
