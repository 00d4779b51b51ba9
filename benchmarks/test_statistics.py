"""The paper's data set in numbers: 441,067 particles of 727 micrographs by sample and 0.2 nm of size."""

import numpy as np
import pandas as pd
import pytest

from nanocensus.statistics.binning import size_statistics
from nanocensus.statistics.cells import cells, size_bins


@pytest.fixture(scope="module")
def particles():
    rng = np.random.default_rng(0)
    n, micrographs = 441_067, 727
    of = rng.integers(micrographs, size=n)
    size = np.exp(rng.normal(1.7, 0.3, n) + rng.normal(0, 0.08, micrographs)[of])
    return pd.DataFrame(
        {
            "sample": pd.array([f"Co0.{k % 8}" for k in of], dtype="string[pyarrow]"),
            "micrograph": pd.array([f"{k:016x}" for k in of], dtype="string[pyarrow]"),
            "edge_length_nm": size.clip(0.5, 60),
            "circularity": (0.9 + 0.02 * rng.standard_normal(n)).clip(0, 1),
            "border_weight": np.ones(n),
        }
    )


OF = ["edge_length_nm", "circularity"]


@pytest.mark.benchmark(group="sums by sample, micrograph and size")
def test_our_cells(benchmark, particles):
    made = benchmark(cells, particles, by=["sample", size_bins(0.2)], of=OF)
    assert made.table["n"].sum() == len(particles)


@pytest.mark.benchmark(group="sums by sample, micrograph and size")
def test_pandas(benchmark, particles):
    def group():
        bins = np.floor(particles["edge_length_nm"] / 0.2).astype("int64")
        return particles.groupby(["sample", "micrograph", bins.rename("bin")])[OF].agg(["count", "sum", "var"])

    assert benchmark(group)["circularity"]["count"].sum() == len(particles)


@pytest.mark.benchmark(group="with intervals and medians")
def test_our_size_statistics(benchmark, particles):
    found = benchmark.pedantic(size_statistics, (particles,), {"of": OF}, rounds=3)
    assert found.sizes["sample"] == 8
