"""The paper's data set in numbers: 441,067 particles of 727 micrographs by sample and 0.2 nm of size."""

import numpy as np
import pandas as pd
import pytest

from nanocensus.measure.criteria import Criteria
from nanocensus.pipeline.job.onset_section import OnsetRanges, OnsetsSection
from nanocensus.pipeline.onsets.analysis import analyse_onsets
from nanocensus.pipeline.onsets.sensitivity import Material
from nanocensus.simulate.paper import PAPER
from nanocensus.simulate.populations import simulate_population
from nanocensus.statistics.cells.cells import cells, size_bins
from nanocensus.statistics.estimation.binning import size_statistics


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


@pytest.fixture(scope="module")
def paper():
    """The study of Cho et al. as simulated, with all columns that can be varied."""
    made = simulate_population(PAPER, seed=1)
    edge = made.particles["edge_length_nm"]
    rng = np.random.default_rng(0)
    rows = made.particles.assign(
        area_nm2=edge**2, area_p40_nm2=(edge + 0.05) ** 2, area_p60_nm2=(edge - 0.05) ** 2, estimator="outline",
        edge_length_sibling_sd_nm=0.03 + 0.01 * rng.random(len(edge)),
        convexity=rng.normal(0.97, 0.02, len(edge)).clip(0, 1),
    )  # fmt: skip
    known = dict.fromkeys(made.micrographs["sample"].unique(), 0.01)
    return Material(rows, made.micrographs, Criteria(min_convexity=0.9), "border_weight", known)


@pytest.mark.benchmark(group="onsets of two descriptors, and in 33 other ways")
def test_our_onsets_and_what_could_move_them(benchmark, paper):
    ranges = OnsetRanges((2.6, 7.6), (6.6, 10.4))
    section = OnsetsSection({"circularity": ranges, "solidity": ranges})
    options = {"cluster": "group", "level": 0.95, "seed": 0}
    made = benchmark.pedantic(analyse_onsets, (paper, section), options, rounds=1)
    assert len(made.sensitivity.onsets) > 100
