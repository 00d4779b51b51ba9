"""Nominal 95 % intervals against simulated populations whose truth is known.

Every population is a sample of its own, so that one call estimates them all by the way that users go. Particles of a
micrograph share a shift (intracluster correlation 0.07), micrographs hold unequal numbers, scatter is skewed.
"""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from nanocensus.statistics.cells.cells import cells
from nanocensus.statistics.estimation.estimation import estimate
from nanocensus.statistics.estimation.reductions import cv, mean, median, quantile

CENTRE, BETWEEN, WITHIN = 0.87, 0.008, 0.030


def scatter(rng, n):
    return -WITHIN * (rng.standard_gamma(2.0, n) - 2.0) / np.sqrt(2.0)


def truth():
    rng = np.random.default_rng(2)
    values = CENTRE + BETWEEN * rng.standard_normal(2_000_000) + scatter(rng, 2_000_000)
    spread = np.hypot(BETWEEN, WITHIN)
    # The quantiles are known to 3e-5, a two-hundredth of the narrowest interval's length.
    return {
        "mean": CENTRE, "cv": spread / CENTRE, "median": np.median(values), "quantile_0.25": np.quantile(values, 0.25),
    }  # fmt: skip


TRUTH = truth()


def covered(populations, micrographs, seed, per_micrograph=41.0, told_at_least=1.0):
    rng = np.random.default_rng(seed)
    n = rng.poisson(rng.gamma(12.0, per_micrograph / 12.0, (populations, micrographs)))
    population, micrograph = (np.repeat(index.ravel(), n.ravel()) for index in np.indices(n.shape))
    shift = BETWEEN * rng.standard_normal(n.shape)
    rows = pd.DataFrame(
        {
            "sample": [f"{i:05d}" for i in population],
            "micrograph": [f"{i:05d}-{j:03d}" for i, j in zip(population, micrograph, strict=True)],
            "circularity": np.clip(CENTRE + shift[population, micrograph] + scatter(rng, len(population)), 0, 4),
        }
    )
    truths = xr.DataArray(list(TRUTH.values()), coords={"statistic": list(TRUTH)})
    made = cells(rows, by=["sample"], of=["circularity"], weight=None)
    found = estimate(made, {"circularity": [mean, cv, median, quantile(0.25)]}).isel(descriptor=0)
    told = found["refusal"] == ""
    assert told.mean() >= told_at_least
    right = (found["lower"] <= truths) & (truths <= found["upper"])
    return dict(
        zip(TRUTH, (right.sum("sample") / told.sum("sample")).sel(statistic=list(TRUTH)).to_numpy(), strict=True)
    )


@pytest.mark.parametrize(("micrographs", "seed"), [(8, 11), (20, 12)])
def test_intervals_cover_the_truth_as_often_as_they_say(micrographs, seed):
    # 150 populations: the standard error of a coverage of 95 % is 1.8 %, so three of them below; covering all would be a
    # chance of one in two thousand.
    for name, coverage in covered(150, micrographs, seed).items():
        assert 0.897 <= coverage < 1.0, name


def test_the_cv_of_a_thin_bin_is_covered():
    # 94 % in benchmarks/results/coverage.md, standard error 1.9 % here: below 0.88 once in a thousand. The linearised
    # interval on the logarithm covered 91 to 92 %.
    assert covered(150, 20, 14, per_micrograph=6.5, told_at_least=0.95)["cv"] >= 0.88


def test_runs_cover_where_micrographs_resemble_their_neighbours_and_micrographs_do_not():
    rng = np.random.default_rng(15)
    populations, micrographs, per, phi = 150, 78, 15, 0.6
    shift = rng.standard_normal((populations, micrographs))
    for j in range(1, micrographs):
        shift[:, j] = phi * shift[:, j - 1] + np.sqrt(1 - phi**2) * shift[:, j]
    names = [f"{i:03d}-{j:02d}" for i in range(populations) for j in range(micrographs)]
    samples = [f"{i:03d}" for i in range(populations)]
    known = pd.DataFrame({"sample": np.repeat(samples, micrographs), "micrograph": names,
                          "order": np.tile(np.arange(micrographs), populations)})  # fmt: skip
    rows = known.loc[np.repeat(known.index, per), ["sample", "micrograph"]].reset_index(drop=True)
    rows["circularity"] = CENTRE + np.repeat(BETWEEN * shift.ravel(), per) + scatter(rng, len(rows))
    made = cells(rows, known, by=["sample"], of=["circularity"], weight=None)
    found = {unit: estimate(made, {"circularity": [mean]}, cluster=unit).squeeze() for unit in ("run", "micrograph")}
    coverage = {
        unit: float(((one["lower"] <= CENTRE) & (one["upper"] >= CENTRE)).mean()) for unit, one in found.items()
    }
    # 94 and 80 % in benchmarks/results/coverage.md, standard errors 1.9 and 3.3 %: each fails once in a thousand.
    assert coverage["run"] >= 0.88
    assert coverage["micrograph"] <= 0.9


def test_treating_particles_as_independent_would_not_cover():
    rng = np.random.default_rng(13)
    populations, micrographs, per = 150, 20, 41
    shift = BETWEEN * rng.standard_normal((populations, micrographs, 1))
    values = (CENTRE + shift + scatter(rng, (populations, micrographs, per))).reshape(populations, -1)
    error = values.std(axis=1, ddof=1) / np.sqrt(values.shape[1])
    assert np.mean(np.abs(values.mean(axis=1) - CENTRE) < 1.96 * error) < 0.8


@pytest.mark.slow
@pytest.mark.parametrize(("micrographs", "seed"), [(8, 21), (20, 22)])
def test_coverage_of_400_populations_is_within_two_points_and_a_half(micrographs, seed):
    for name, coverage in covered(400, micrographs, seed).items():
        assert 0.92 <= coverage <= 0.98, name


@pytest.mark.slow
@pytest.mark.parametrize(("micrographs", "seed"), [(8, 31), (20, 32)])
def test_thin_tail_bins_are_covered_too(micrographs, seed):
    # 6.5 particles a micrograph: an interval may be refused, of a quantile since it would leave the data, of a CV since it
    # would have no upper end. The CV of a skewed scatter is the hardest (benchmarks/results/coverage.md): 94 %, whose
    # standard error is 1.2 % here.
    for name, coverage in covered(400, micrographs, seed, per_micrograph=6.5, told_at_least=0.98).items():
        assert (0.905 if name == "cv" else 0.92) <= coverage <= 0.99, name
