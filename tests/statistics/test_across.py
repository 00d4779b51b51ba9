from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from nanocensus.errors import StatisticsError
from nanocensus.statistics.cells.cells import cells
from nanocensus.statistics.estimation.across import cv_across_samples, spread
from nanocensus.statistics.estimation.binning import size_statistics
from nanocensus.statistics.estimation.bootstrap import bootstrap
from nanocensus.statistics.estimation.estimation import estimate
from nanocensus.statistics.estimation.intervals import degrees_of_freedom, standard_error
from nanocensus.statistics.estimation.reductions import mean


def everything(estimates, errors, freedom, level=0.95):
    shape = (len(estimates), 1)
    parts = (np.broadcast_to(np.asarray(part, float)[..., None], shape).copy() for part in (estimates, errors, freedom))
    found = spread(*parts, np.ones(shape, bool), level=level)
    return [float(part[0]) for part in found]


def test_errors_that_are_known_and_equal_give_the_noncentral_chi_square():
    rng = np.random.default_rng(1)
    for cv in (0.0, 0.002, 0.02):
        estimates, error = 0.9 * (1 + cv * rng.standard_normal(8)) + 0.002 * rng.standard_normal(8), 0.002
        naive, corrected, lower, upper, _ = everything(estimates, [error] * 8, [1e9] * 8)
        total, mean = ((estimates - estimates.mean()) ** 2).sum(), estimates.mean()
        np.testing.assert_allclose(naive, estimates.std(ddof=1) / mean)
        np.testing.assert_allclose(corrected, np.sqrt(max(total - 7 * error**2, 0) / 7) / mean)
        for end, probability in ((lower, 0.975), (upper, 0.025)):
            central = (end * mean) ** 2 * 7 / error**2
            found = stats.ncx2.cdf(total / error**2, 7, max(central, 1e-12))
            if end > 0:
                np.testing.assert_allclose(found, probability, atol=1e-6)
            else:
                assert found <= probability


@pytest.mark.parametrize("error", [1e-3, 1e-5, 1e-6, 1e-9, 1e-12])
def test_errors_far_below_the_differences_give_the_normal_interval_of_the_standard_deviation(error):
    # The sum of squares then moves along the deviations alone, by a normal number of the standard deviation `error`.
    estimates = np.array([0.85, 0.90, 0.95, 1.00])
    _, corrected, lower, upper, _ = everything(estimates, [error] * 4, [1e9] * 4)
    reach = stats.norm.ppf(0.975) * error / np.sqrt(3) / estimates.mean()
    np.testing.assert_allclose([corrected - lower, upper - corrected], reach, rtol=0.02, atol=1e-13)


def test_samples_of_equal_values_have_no_standard_error():
    rows = pd.DataFrame(
        {"sample": np.repeat(list("ABC"), 200), "micrograph": np.tile(np.repeat(list("stuvwxyz"), 25), 3)}
    )
    rows["x"] = rows["sample"].map({"A": 0.1234, "B": 0.4937, "C": 0.8641})
    rows["weight"] = np.random.default_rng(0).uniform(1, 3, len(rows))
    made = cells(rows, by=["sample"], of=["x"], weight="weight", scale={"x": 0.0001})
    ds = estimate(made, {"x": [mean]})
    assert (ds["standard_error"] == 0).all()
    assert "standard error" in cv_across_samples(ds)["refusal"].item()


def test_no_difference_is_judged_by_an_f_test():
    # Equal errors of 9 degrees of freedom each: at theta = 0 the sum of squares over the noise is F(7, 72).
    error = 0.003
    for share, excluded in ((0.974, False), (0.976, True)):
        total = 7 * error**2 * stats.f.ppf(share, 7, 72)
        shape = np.arange(8) - 3.5
        estimates = 0.9 + shape * np.sqrt(total / (shape**2).sum())
        lower = everything(estimates, [error] * 8, [9.0] * 8)[2]
        assert (lower > 0) == excluded


def test_a_higher_level_is_wider_and_holds_the_estimate():
    estimates = [0.90, 0.91, 0.93, 0.89]
    ends = [everything(estimates, [0.003] * 4, [9.0] * 4, level)[1:4] for level in (0.5, 0.9, 0.99)]
    for (middle, lower, upper), (_, wider_lower, wider_upper) in pairwise(ends):
        assert wider_lower < lower < middle < upper < wider_upper


def test_samples_left_out_are_named_and_change_nothing():
    rng = np.random.default_rng(2)
    estimates, errors, freedom = 0.9 + 0.01 * rng.standard_normal((5, 3)), np.full((5, 3), 0.002), np.full((5, 3), 9.0)
    errors[1, 1] = estimates[3, 1] = np.nan
    used = np.isfinite(errors) & np.isfinite(estimates)
    found = spread(estimates, errors, freedom, used, level=0.95)
    alone = spread(*(part[[0, 2, 4]] for part in (estimates, errors, freedom, used)), level=0.95)
    for one, other in zip(found, alone, strict=True):
        np.testing.assert_allclose(one[1], other[1])
    assert found.n_samples.tolist() == [5, 3, 5]


def particles(seed, samples=4, thin=None):
    rng = np.random.default_rng(seed)
    frames = []
    for place in range(samples):
        micrographs = rng.integers(0, 10, 2000)
        size = rng.uniform(4.0, 5.0, 2000)
        rows = pd.DataFrame({"sample": f"S{place}", "micrograph": [f"{place}-{j}" for j in micrographs],
                             "edge_length_nm": size, "solidity": rng.normal(0.95, 0.01, 2000),
                             "circularity": 0.85 + 0.01 * place * (size > 4.6) + rng.normal(0, 0.02, 2000)})  # fmt: skip
        frames.append(rows[(rows["edge_length_nm"] < 4.4) | (place < samples - (thin or 0))])
    return pd.concat(frames, ignore_index=True)


def test_samples_that_differ_only_when_large_are_told_so_by_size():
    ds = size_statistics(particles(3), weight=None)
    found = cv_across_samples(ds)
    assert found["estimate"].dims == ("size_bin", "descriptor")
    assert {"size_left", "size_right", "lower", "upper", "refusal", "left_out"} <= set(found.coords)
    circularity = found.sel(descriptor="circularity")
    small, large = circularity.sel(size_bin=4.1), circularity.sel(size_bin=4.9)
    assert small["lower"] == 0
    true = np.std(0.85 + 0.01 * np.arange(4), ddof=1) / 0.865
    assert large["lower"] < true < large["upper"]
    assert (found["naive"] >= found["estimate"]).all()
    means = ds["estimate"].sel(statistic="mean", descriptor="circularity", size_bin=4.9)
    np.testing.assert_allclose(large["naive"], means.std(ddof=1) / means.mean())


def test_too_few_samples_are_refused_and_named():
    found = cv_across_samples(size_statistics(particles(4, thin=2), weight=None)).sel(descriptor="circularity")
    here = found.sel(size_bin=4.7)
    assert here["refusal"] == "2 of the samples have a standard error: an interval needs 3"
    assert here["left_out"] == "S2, S3"
    assert np.isfinite(here["estimate"])
    assert np.isnan(here["lower"])
    assert here["n_samples"] == 2
    assert found.sel(size_bin=4.1)["left_out"] == ""


def test_a_mean_that_is_not_positive_has_no_cv():
    values = {"estimate": [-0.1, 0.0, 0.05], "standard_error": [0.01] * 3, "degrees_of_freedom": [9.0] * 3}
    dims = ("sample", "descriptor", "statistic")
    made = xr.Dataset({name: (dims, np.reshape(value, (3, 1, 1))) for name, value in values.items()},
                      {"sample": list("ABC"), "descriptor": ["x"], "statistic": ["mean"]})  # fmt: skip
    found = cv_across_samples(made).squeeze()
    assert "not positive" in found["refusal"].item()
    assert np.isnan(found["naive"])


@pytest.mark.parametrize("options", [{"key": "size_bin"}, {"key": "condition"}, {"statistic": "sd"}])
def test_other_keys_and_statistics_are_refused(options):
    with pytest.raises(StatisticsError, match="expected a key and a statistic of the estimates"):
        cv_across_samples(size_statistics(particles(5, samples=3), weight=None), **options)


def test_bootstrapped_estimates_are_refused():
    made = cells(particles(6), by=["sample"], of=["circularity"], weight=None)
    with pytest.raises(StatisticsError, match="none, as of a bootstrap"):
        cv_across_samples(bootstrap(made, {"circularity": [mean]}, replicates=50))


def covered(runs, micrographs, cv, seed):
    """Share of the runs whose interval holds the true CV of eight samples, with standard errors found from the data."""
    rng = np.random.default_rng(seed)
    shape = np.arange(8) - 3.5
    parts = []
    for centre in 0.9 * (1 + cv * shape / shape.std(ddof=1)):
        n = 1 + rng.poisson(rng.gamma(3.0, 8.0, (micrographs, runs)))
        sums = n * (centre + 0.008 * rng.standard_normal(n.shape)) + 0.03 * np.sqrt(n) * rng.standard_normal(n.shape)
        estimate, weight = sums.sum(0) / n.sum(0), n.astype(float)
        parts.append(
            (estimate, standard_error(sums - estimate * weight, weight), degrees_of_freedom(weight, weight.sum(0)))
        )
    stacked = [np.stack(part) for part in zip(*parts, strict=True)]
    found = spread(*stacked, np.ones((8, runs), bool), level=0.95)
    return np.mean((found.lower <= cv) & (cv <= found.upper))


@pytest.mark.parametrize(("micrographs", "cv"), [(8, 0.0), (8, 0.01), (20, 0.003), (60, 0.03)])
def test_the_interval_holds_the_true_cv_as_often_as_it_says(micrographs, cv):
    # 300 runs: a coverage of 95 % has a standard error of 1.3 %, so three of them below.
    assert covered(300, micrographs, cv, 7) >= 0.91


@pytest.mark.slow
@pytest.mark.parametrize("micrographs", [8, 20, 60])
@pytest.mark.parametrize("cv", [0.0, 0.001, 0.003, 0.01, 0.03])
def test_coverage_of_1000_runs(micrographs, cv):
    assert covered(1000, micrographs, cv, 8) >= 0.925
