import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nanocensus.statistics.estimation.intervals import (
    ClusterSums,
    degrees_of_freedom,
    leaving_one_out,
    linearised,
    moments,
    refusals,
    standard_error,
)
from nanocensus.statistics.estimation.reductions import cv, mean, sd


def draw(seed, sizes, weighted=False):
    rng = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(len(sizes)), sizes)
    values = 0.9 + 0.01 * rng.standard_normal(len(sizes))[cluster] + 0.03 * rng.standard_normal(len(cluster))
    weights = 1 + rng.exponential(0.2, len(cluster)) if weighted else np.ones(len(cluster))
    return cluster, values, weights


def sums_of(cluster, values, weights):
    count = int(cluster.max()) + 1

    def add(terms):
        return np.bincount(cluster, terms, count)[:, None]

    n = np.bincount(cluster, minlength=count)[:, None]
    parts = (add(weights), add(weights * values), add(weights * values**2))
    return ClusterSums(n, *parts, moments(n, *parts))


def cr2_by_matrices(cluster, values):
    """The standard error by the definition: residuals times (1 - H)^(-1/2), cluster by cluster."""
    total, meat = len(values), 0.0
    residuals = values - values.mean()
    for number in np.unique(cluster):
        mine = residuals[cluster == number]
        eigenvalues, vectors = np.linalg.eigh(np.eye(len(mine)) - 1 / total)
        adjusted = vectors @ ((vectors.T @ mine) / np.sqrt(eigenvalues))
        meat += adjusted.sum() ** 2
    return np.sqrt(meat) / total


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(5, 15), min_size=4, max_size=12))
def test_the_standard_error_of_the_mean_is_cr2_by_its_definition(seed, sizes):
    cluster, values, weights = draw(seed, sizes)
    found = mean.estimates(sums_of(cluster, values, weights), 0.95)
    np.testing.assert_allclose(found.standard_error, cr2_by_matrices(cluster, values), rtol=1e-9)


def test_equal_clusters_give_the_cluster_robust_error_of_statsmodels():
    cluster, values, _ = draw(3, [12] * 9)
    fit = sm.OLS(values, np.ones(len(values))).fit(cov_type="cluster", cov_kwds={"groups": cluster})
    found = mean.estimates(sums_of(cluster, values, np.ones(len(values))), 0.95)
    np.testing.assert_allclose(found.estimate, fit.params, rtol=1e-12)
    np.testing.assert_allclose(found.standard_error, fit.bse, rtol=1e-9)
    np.testing.assert_allclose(found.degrees_of_freedom, 8, rtol=1e-12)
    np.testing.assert_allclose(found.upper - found.estimate, stats.t.ppf(0.975, 8) * fit.bse, rtol=1e-9)


def test_weights_give_the_cluster_robust_error_of_weighted_least_squares():
    cluster, values, weights = draw(4, [10] * 8, weighted=True)
    weights /= np.bincount(cluster, weights)[cluster] / 10  # equal totals, where CR2 is the correction J / (J - 1)
    fit = sm.WLS(values, np.ones(len(values)), weights=weights).fit(cov_type="cluster", cov_kwds={"groups": cluster})
    found = mean.estimates(sums_of(cluster, values, weights), 0.95)
    np.testing.assert_allclose(found.estimate, fit.params, rtol=1e-12)
    np.testing.assert_allclose(found.standard_error, fit.bse, rtol=1e-9)


@pytest.mark.parametrize("reduction", [sd, cv])
def test_slopes_are_derivatives(reduction):
    from nanocensus.statistics.estimation.intervals import Moments

    at = Moments(np.array([50.0]), np.array([0.9]), np.array([0.001]))
    slopes = reduction.slopes(at)
    for field, slope in zip(("mean", "variance"), slopes, strict=True):
        step = 1e-6 * getattr(at, field)
        up, down = (reduction.value(at._replace(**{field: getattr(at, field) + sign * step})) for sign in (1, -1))
        np.testing.assert_allclose(slope, (up - down) / (2 * step), rtol=1e-6, atol=1e-12)


def plain(values, weights, reduction):
    average = np.average(values, weights=weights)
    spread = np.sqrt(np.average((values - average) ** 2, weights=weights) * len(values) / (len(values) - 1))
    return spread / average if reduction is cv else spread


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", [sd, cv])
def test_the_interval_of_a_spread_is_the_jackknife_by_a_plain_loop(reduction, weighted):
    cluster, values, weights = draw(8, np.random.default_rng(8).integers(5, 60, 12), weighted)
    found = reduction.estimates(sums_of(cluster, values, weights), 0.9)
    whole = plain(values, weights, reduction)
    kept = [cluster != number for number in range(12)]
    changes = np.array([plain(values[k], weights[k], reduction) ** -0.5 for k in kept]) - whole**-0.5
    error = np.sqrt(11 / 12 * (changes**2).sum())
    kurtosis = 12 * (changes**4).sum() / (changes**2).sum() ** 2
    sizes = np.bincount(cluster, weights)[:, None]
    freedom = min(float(degrees_of_freedom(sizes, np.array([float(len(values))]))[0]), 24 / (kurtosis - 1))
    reach = stats.t.ppf(0.95, freedom)
    np.testing.assert_allclose(found.estimate, whole, rtol=1e-10)
    np.testing.assert_allclose(found.degrees_of_freedom, freedom, rtol=1e-8)
    np.testing.assert_allclose(found.lower, (whole**-0.5 + reach * error) ** -2, rtol=1e-9)
    np.testing.assert_allclose(found.upper, (whole**-0.5 - reach * error) ** -2, rtol=1e-9)
    np.testing.assert_allclose(found.standard_error, 2 * error * whole**1.5, rtol=1e-8)


@pytest.mark.parametrize("reduction", [sd, cv])
def test_many_clusters_give_the_linearised_error(reduction):
    sums = sums_of(*draw(8, np.random.default_rng(8).integers(25, 60, 80)))
    found = reduction.estimates(sums, 0.95)
    other = linearised(sums, reduction.value(sums.moments), reduction.slopes(sums.moments), level=0.95)
    # Two approximations of one variance; they differ by terms of order 1 / 80.
    np.testing.assert_allclose(found.standard_error, other.standard_error, rtol=0.05)


def test_leaving_out_a_cluster_gives_the_moments_of_the_others():
    cluster, values, weights = draw(5, [9, 1, 14, 6], weighted=True)
    found = leaving_one_out(sums_of(cluster, values, weights))
    for number in range(4):
        kept = cluster != number
        assert found.n[number, 0] == kept.sum()
        average = np.average(values[kept], weights=weights[kept])
        np.testing.assert_allclose(found.mean[number], average, rtol=1e-12)
        spread = np.average((values[kept] - average) ** 2, weights=weights[kept])
        np.testing.assert_allclose(found.variance[number], spread, rtol=1e-9)


def test_a_spread_that_hangs_on_one_cluster_has_no_interval():
    cluster = np.repeat(np.arange(5), 10)
    values = 0.5 + 1e-3 * (np.arange(50) % 2) + np.where(cluster == 4, np.linspace(-0.4, 0.4, 50), 0.0)
    found = cv.estimates(sums_of(cluster, values, np.ones(50)), 0.95)
    assert found.refusal.tolist() == ["the clusters differ too much to say how large it may be"]
    assert np.isnan(found.upper).all()


def test_one_particle_a_cluster_is_the_ordinary_jackknife():
    cluster, values, weights = draw(2, [1] * 25)
    found = sd.estimates(sums_of(cluster, values, weights), 0.95)
    assert found.refusal.tolist() == [""]
    assert found.lower < values.std(ddof=1) < found.upper


def test_a_cluster_without_particles_changes_no_interval():
    cluster, values, weights = draw(9, [20, 11, 30, 8, 17])
    sums = sums_of(cluster, values, weights)
    padded = ClusterSums(*(np.insert(part, 2, 0, axis=0) for part in sums[:4]), sums.moments)
    for reduction in (mean, sd, cv):
        for plain, more in zip(reduction.estimates(sums, 0.9), reduction.estimates(padded, 0.9), strict=True):
            np.testing.assert_array_equal(plain, more)


def test_unequal_clusters_have_fewer_degrees_of_freedom():
    weight = np.array([[200.0], [10.0], [10.0], [10.0], [10.0]])
    freedom = degrees_of_freedom(weight, weight.sum(0))
    v = 0.95 * weight + 0.05 * weight**2
    np.testing.assert_allclose(freedom, max(v.sum() ** 2 / (v**2).sum() - 1, 1))
    assert freedom < 2
    np.testing.assert_allclose(degrees_of_freedom(weight * 3, weight.sum(0)), freedom)


def test_too_few_clusters_or_particles_are_refused_with_their_numbers():
    n = np.array([[10, 10, 0, 5], [10, 10, 0, 5], [10, 0, 0, 5], [10, 0, 0, 4]])
    assert [bool(text) for text in refusals(n)] == [False, True, True, True]
    assert refusals(n)[3].startswith("19 particles in 4 clusters")


def test_what_is_refused_has_an_estimate_but_no_uncertainty():
    found = mean.estimates(sums_of(*draw(1, [50, 50])), 0.95)
    assert np.isfinite(found.estimate).all()
    for values in found[1:5]:
        assert np.isnan(values).all()


def test_equal_values_have_no_interval_of_their_spread():
    cluster = np.repeat(np.arange(5), 10)
    sums = sums_of(cluster, np.full(50, 0.5), np.ones(50))
    found = cv.estimates(sums, 0.95)
    assert found.estimate.tolist() == [0.0]
    assert "no spread" in found.refusal[0]
    assert mean.estimates(sums, 0.95).refusal.tolist() == [""]


def test_a_negative_mean_has_no_interval_of_its_cv():
    cluster, values, weights = draw(1, [10] * 5)
    assert "not positive" in cv.estimates(sums_of(cluster, -values, weights), 0.95).refusal[0]


def test_level_sets_the_length():
    sums = sums_of(*draw(1, [30] * 6))
    slopes = (np.ones(1), np.zeros(1))
    narrow = linearised(sums, sums.moments.mean, slopes, level=0.5)
    wide = linearised(sums, sums.moments.mean, slopes, level=0.99)
    ratio = stats.t.ppf(0.995, 5) / stats.t.ppf(0.75, 5)
    np.testing.assert_allclose(wide.upper - wide.lower, ratio * (narrow.upper - narrow.lower))
    np.testing.assert_allclose(
        standard_error(sums.first - sums.moments.mean * sums.weight, sums.weight), wide.standard_error
    )
