import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nanocensus.errors import StatisticsError, TableError
from nanocensus.statistics.distributions.bandwidths import improved_sheather_jones
from nanocensus.statistics.distributions.density import densities, kernel_density


def draw_particles(seed, n=3000):
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame({"sample": rng.choice(["Co0.2", "Co0.8"], n), "micrograph": rng.choice(list("abcdef"), n)})
    rows["circularity"] = np.clip(0.93 - 0.02 * rng.gamma(3, 1, n) * np.where(rows["sample"] == "Co0.8", 1.5, 1), 0, 4)
    rows["border_weight"] = 1 + rng.exponential(0.2, n)
    return rows


@pytest.mark.parametrize("weight", ["border_weight", None])
def test_the_density_is_the_kernel_sum_of_scipy(weight):
    rows = draw_particles(0)
    found = densities(rows, "circularity", weight=weight)
    for sample, mine in rows.groupby("sample"):
        here = found.sel(sample=sample)
        x, w = mine["circularity"].to_numpy(), mine["border_weight"].to_numpy() if weight else np.ones(len(mine))
        kernel = stats.gaussian_kde(x, weights=w)
        # scipy's bandwidth is a factor on the weighted standard deviation, itself with Kish's correction.
        kernel.set_bandwidth(here["bandwidth"].item() / np.sqrt(kernel.covariance[0, 0]) * kernel.factor)
        expected = kernel(here["x"].to_numpy())
        assert np.abs(here["density"] - expected).max() < 1e-3 * expected.max()
        kernel.set_bandwidth(here["mode_bandwidth"].item() / np.sqrt(kernel.covariance[0, 0]) * kernel.factor)
        smoother = kernel(here["x"].to_numpy())
        assert abs(here["mode"].item() - here["x"].to_numpy()[smoother.argmax()]) < 2 * float(np.diff(here["x"])[0])


def test_densities_integrate_to_one_and_counts_to_the_particles():
    rows = draw_particles(1)
    found = densities(rows, "circularity")
    width = (found["x_right"] - found["x_left"]).to_numpy()
    np.testing.assert_allclose((found["density"] * width).sum("x"), 1.0, rtol=1e-9)
    assert found["count"].sum("x").to_numpy().tolist() == rows["sample"].value_counts().sort_index().tolist()
    np.testing.assert_array_equal(found["n"], found["count"].sum("x"))
    assert (found["density"] >= 0).all()


def test_counts_are_those_of_numpy_on_the_same_grid():
    rows = draw_particles(2)
    found = densities(rows, "circularity", points=100)
    edges = np.append(found["x_left"], found["x_right"][-1])
    assert len(edges) <= 101
    for sample, mine in rows.groupby("sample"):
        expected = np.histogram(np.rint(mine["circularity"] * 2**18) / 2**18, edges)[0]
        np.testing.assert_array_equal(found["count"].sel(sample=sample), expected)


def test_what_is_marked_on_a_violin_is_that_of_the_values():
    rows = draw_particles(3)
    found = densities(rows, "circularity", weight=None)
    for sample, mine in rows.groupby("sample")["circularity"]:
        here = found.sel(sample=sample)
        np.testing.assert_allclose(here["mean"], mine.mean(), atol=4e-6)
        np.testing.assert_allclose(here["sd"], mine.std(), rtol=1e-4)
        shares = {"median": 0.5, "lower_quartile": 0.25, "upper_quartile": 0.75, "range_lower": 0.025,
                  "range_upper": 0.975}  # fmt: skip
        for name, share in shares.items():
            expected = np.quantile(mine, share, method="averaged_inverted_cdf")
            np.testing.assert_allclose(here[name], expected, atol=4e-6)


def test_partitions_and_order_change_nothing():
    rows = draw_particles(4)
    shuffled = rows.sample(frac=1, random_state=2, ignore_index=True)
    again = densities(dd.from_pandas(shuffled, npartitions=5, sort=False), "circularity")
    assert again.identical(densities(rows, "circularity"))


def test_equal_values_still_have_a_curve():
    rows = pd.DataFrame({"sample": "A", "micrograph": "x", "circularity": [0.9] * 5})
    found = densities(rows, "circularity", weight=None).squeeze()
    np.testing.assert_allclose(found["mode"], 0.9, atol=1e-4)
    assert found["density"].max() > 0


def test_mass_reflects_at_the_ends_of_the_grid():
    weight = np.zeros(64)
    weight[0] = 1.0
    edges = np.linspace(0.0, 1.0, 65)
    found = kernel_density(weight, edges, 0.05)
    np.testing.assert_allclose(found.sum() / 64, 1.0)
    centres = (edges[:-1] + edges[1:]) / 2
    expected = stats.norm.pdf(centres, centres[0], 0.05) + stats.norm.pdf(centres, -centres[0], 0.05)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_values_that_cannot_be_counted_are_refused():
    rows = draw_particles(5)
    rows.loc[0, "circularity"] = np.nan
    with pytest.raises(TableError, match="1 missing"):
        densities(dd.from_pandas(rows, npartitions=2), "circularity")
    with pytest.raises(StatisticsError, match="particles"):
        densities(rows.iloc[:0], "circularity")
    kept = draw_particles(5)
    sample = kept["sample"].iloc[0]
    with pytest.raises(StatisticsError, match=f"none in {sample}"):
        densities(kept.assign(weight=(kept["sample"] != sample).astype(float)), "circularity", weight="weight")


def test_the_drawn_density_is_nearer_to_two_peaks_than_silvermans():
    rng = np.random.default_rng(6)
    low = rng.random(20_000) < 0.6
    values = np.where(low, 0.82, 0.90) + np.where(low, 0.02, 0.015) * rng.standard_normal(20_000)
    rows = pd.DataFrame({"sample": "A", "micrograph": "x", "circularity": values})
    found = densities(rows, "circularity", weight=None).squeeze()
    x = found["x"].to_numpy()
    truth = 0.6 * stats.norm.pdf(x, 0.82, 0.02) + 0.4 * stats.norm.pdf(x, 0.90, 0.015)
    edges = np.append(found["x_left"], found["x_right"][-1])
    smoother = kernel_density(found["weight"].to_numpy(), edges, float(found["mode_bandwidth"]))
    assert ((found["density"] - truth) ** 2).sum() < 0.5 * ((smoother - truth) ** 2).sum()
    assert abs(found["mode"] - x[truth.argmax()]) < 0.003  # three of its standard errors in the method's study


def test_the_bandwidth_to_draw_is_the_fixed_point_by_its_definition():
    """Sums over the particles' cosines in place of a transform of their histogram."""
    rng = np.random.default_rng(7)
    values = np.concatenate([rng.normal(0.4, 0.05, 300), rng.normal(0.7, 0.03, 200)])
    edges = np.linspace(0, 1, 1025)
    counts = np.histogram(values, edges)[0].astype(np.float64)
    found = improved_sheather_jones(counts, 1.0, 500)
    k = np.arange(1, 1024)
    a = np.cos(np.pi * np.outer(k, values)).mean(1) ** 2

    def norm(s, t):
        return 2 * (np.pi * k.astype(float)) ** (2 * s) @ (a * np.exp(-((np.pi * k) ** 2) * t))

    def next_t(t):
        f = norm(7, t)
        for s in (6, 5, 4, 3, 2):
            odd = np.prod(np.arange(1, 2 * s, 2)) / np.sqrt(2 * np.pi)
            f = norm(s, (2 * (1 + 2.0 ** -(s + 0.5)) / 3 * odd / (500 * f)) ** (2 / (3 + 2 * s)))
        return (2 * 500 * np.sqrt(np.pi) * f) ** -0.4

    np.testing.assert_allclose(next_t(found**2), found**2, rtol=1e-2)  # the histogram's cells shift values a little


def test_values_without_a_fixed_point_have_none():
    for occupied in ([30], [10, 50], range(64)):
        counts = np.zeros(64)
        counts[list(occupied)] = 1.0
        assert improved_sheather_jones(counts, 1.0, len(occupied)) is None
