import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from nanocensus.errors import StatisticsError, TableError
from nanocensus.statistics.distributions.size_distribution import ISO_NAMES, size_distribution


def draw(seed, micrographs=30, per=60, between=0.08, within=0.18, samples=("A", "B")):
    """Log-normal sizes; the second sample is 1.3 times as large."""
    rng = np.random.default_rng(seed)
    frames = []
    for place, sample in enumerate(samples):
        number = np.repeat(np.arange(micrographs), per)
        shift = between * rng.standard_normal(micrographs)
        size = 5.0 * 1.3**place * np.exp(shift[number] + within * rng.standard_normal(len(number)))
        frames.append(pd.DataFrame({"sample": sample, "micrograph": [f"{sample}{j}" for j in number],
                                    "edge_length_nm": size, "border_weight": 1 + 0.01 * size}))  # fmt: skip
    return pd.concat(frames, ignore_index=True)


def by_numpy(x, w):
    """The statistics by their definitions, with weights."""
    order = np.argsort(x)
    cumulative = np.cumsum(w[order]) / w.sum()
    d10, d50, d90 = (x[order][np.searchsorted(cumulative, share)] for share in (0.1, 0.5, 0.9))
    log_mean = np.average(np.log(x), weights=w)
    log_sd = np.sqrt(np.average((np.log(x) - log_mean) ** 2, weights=w))
    return {"d10": d10, "d50": d50, "d90": d90, "span": (d90 - d10) / d50, "mean": np.average(x, weights=w),
            "harmonic_mean": 1 / np.average(1 / x, weights=w), "geometric_mean": np.exp(log_mean),
            "gsd": np.exp(log_sd)}  # fmt: skip


@pytest.mark.parametrize("weight", ["border_weight", None])
def test_every_number_is_that_of_its_definition(weight):
    rows = draw(1)
    found = size_distribution(rows, weight=weight)
    for sample, mine in rows.groupby("sample"):
        x = mine["edge_length_nm"].to_numpy()
        w = mine[weight].to_numpy() if weight else np.ones(len(x))
        for weighting, weights in (("number", w), ("volume", w * x**3)):
            here = found["estimate"].sel(sample=sample, weighting=weighting)
            for name, expected in by_numpy(x, weights).items():
                # Percentiles lie between neighbouring particles, and weights are rounded to 2^-16 of the largest.
                np.testing.assert_allclose(here.sel(statistic=name), expected, rtol=3e-3 if name[0] in "ds" else 2e-4)


def test_the_means_by_volume_are_those_of_de_brouckere_and_sauter():
    rows = draw(2, samples=("A",))
    x = rows["edge_length_nm"].to_numpy()
    found = size_distribution(rows, weight=None)["estimate"].sel(sample="A", weighting="volume")
    np.testing.assert_allclose(found.sel(statistic="mean"), (x**4).sum() / (x**3).sum(), rtol=1e-4)
    np.testing.assert_allclose(found.sel(statistic="harmonic_mean"), (x**3).sum() / (x**2).sum(), rtol=1e-4)
    names = size_distribution(rows, weight=None)["iso_name"].sel(weighting="volume")
    assert "De Brouckere" in names.sel(statistic="mean").item()
    assert "Sauter" in names.sel(statistic="harmonic_mean").item()
    assert set(ISO_NAMES) == set(names["statistic"].to_numpy())


def test_sizes_below_an_eighth_of_a_nanometre_count_too():
    rows = draw(2)
    rows["edge_length_nm"] /= 40
    found = size_distribution(rows, weight=None)["estimate"].sel(weighting="number")
    for sample, own in rows.groupby("sample"):
        expected = by_numpy(own["edge_length_nm"].to_numpy(), np.ones(len(own)))
        for name in ("mean", "harmonic_mean", "geometric_mean"):
            # Lengths are rounded to 2^-12 nm, a fifth of a percent here, to both sides.
            np.testing.assert_allclose(found.sel(sample=sample, statistic=name), expected[name], rtol=1e-4)


def test_a_constant_factor_of_length_changes_lengths_alone():
    rows = draw(3)
    one = size_distribution(rows, weight=None)
    twice = size_distribution(rows.assign(edge_length_nm=2 * rows["edge_length_nm"]), weight=None)
    for name in ISO_NAMES:
        factor = 1 if name in ("span", "gsd") else 2
        for part in ("estimate", "lower", "upper"):
            np.testing.assert_allclose(
                twice[part].sel(statistic=name), factor * one[part].sel(statistic=name), rtol=2e-3
            )


@pytest.mark.parametrize("weighting", ["number", "volume"])
def test_the_error_of_the_span_is_that_of_the_jackknife_of_groups(weighting):
    rows = draw(4, micrographs=240, samples=("A",))
    rows["edge_length_nm"] = rows["edge_length_nm"].round(3)
    group = rows["micrograph"].str[1:].astype(int) // 8  # a jackknife by single micrographs jumps with the percentiles
    found = size_distribution(rows, weight=None).sel(sample="A", weighting=weighting, statistic="span")
    x = rows["edge_length_nm"].to_numpy()
    w = x**3 if weighting == "volume" else np.ones(len(x))
    out = np.array([by_numpy(x[group != k], w[group != k])["span"] for k in range(30)])
    jackknife = np.sqrt(29 / 30 * ((out - out.mean()) ** 2).sum())
    # The jackknife of 30 groups has itself a relative standard error of 1 / sqrt(58) = 13 %.
    np.testing.assert_allclose(found["standard_error"], jackknife, rtol=0.35)
    np.testing.assert_allclose(found["lower"] * found["upper"], found["estimate"] ** 2, rtol=1e-9)


def test_a_log_normal_distribution_leaves_nothing_over_and_another_does():
    rng = np.random.default_rng(5)
    rows = pd.DataFrame(
        {"sample": np.repeat(["A", "B"], 20_000), "micrograph": np.tile(np.arange(40), 1000).astype(str)}
    )
    two = np.where(rng.random(20_000) < 0.5, 4.0, 6.5)
    rows["edge_length_nm"] = np.concatenate(
        [rng.lognormal(np.log(5), 0.2, 20_000), two * np.exp(0.05 * rng.standard_normal(20_000))]
    )
    found = size_distribution(rows, weight=None)
    good, bad = (found.sel(sample=name, weighting="number") for name in "AB")
    # Kolmogorov's distance of 20,000 values with two fitted parameters stays below 0.009 in 999 of 1000 cases.
    assert good["largest_distance"] < 0.009
    assert bad["largest_distance"] > 0.1
    np.testing.assert_allclose(good["share"].sum(), 1.0)
    np.testing.assert_allclose(good["residual"], good["share"] - good["fitted_share"])
    here = good.sel(size_bin=5.1)
    x = rows["edge_length_nm"].to_numpy()[:20_000]
    np.testing.assert_allclose(here["share"], np.mean((x >= 5.0) & (x < 5.2)), atol=1e-4)
    fitted = stats.lognorm(s=np.log(x).std(), scale=np.exp(np.log(x).mean()))
    np.testing.assert_allclose(here["fitted_share"], fitted.cdf(5.2) - fitted.cdf(5.0), rtol=1e-3)
    # Hatch and Choate: by volume a log-normal distribution has the same sigma and a median exp(3 sigma^2) times as large.
    sigma = np.log(good["estimate"].sel(statistic="gsd"))
    volume = found["estimate"].sel(sample="A", weighting="volume")
    np.testing.assert_allclose(
        volume.sel(statistic="d50"), good["estimate"].sel(statistic="d50") * np.exp(3 * sigma**2), rtol=0.02
    )
    np.testing.assert_allclose(np.log(volume.sel(statistic="gsd")), sigma, rtol=0.03)


def test_partitions_and_order_change_nothing():
    rows = draw(6)
    shuffled = rows.sample(frac=1, random_state=1, ignore_index=True)
    again = size_distribution(dd.from_pandas(shuffled, npartitions=4, sort=False))
    xr.testing.assert_allclose(again, size_distribution(rows), rtol=1e-12)


def test_a_sample_of_few_micrographs_has_numbers_and_no_intervals():
    rows = draw(7, micrographs=6)
    rows = rows[(rows["sample"] == "A") | rows["micrograph"].isin(["B0", "B1", "B2"])]
    found = size_distribution(rows)
    assert (found["refusal"].sel(sample="B") == "180 particles in 3 clusters: an interval needs 20 in 4").all()
    assert np.isfinite(found["estimate"]).all()
    for name in ("lower", "upper", "standard_error"):
        assert np.isnan(found[name].sel(sample="B")).all()
    assert np.isfinite(found["lower"].sel(sample="A", weighting="number", statistic="gsd"))


def test_every_interval_holds_its_estimate_and_no_gsd_goes_below_one():
    found = size_distribution(draw(8, micrographs=8))
    told = found["refusal"] == ""
    assert ((found["lower"] < found["estimate"]) & (found["estimate"] < found["upper"])).where(told, True).all()
    assert (found["lower"].sel(statistic="gsd") > 1).all()


def test_what_has_no_distribution_is_refused():
    rows = draw(9)
    with pytest.raises(TableError, match="none named feret_max_nm"):
        size_distribution(rows, of="feret_max_nm")
    with pytest.raises(StatisticsError, match="particles with a size and a weight"):
        size_distribution(rows.iloc[:0])
    rows.loc[3, "edge_length_nm"] = 0.0
    with pytest.raises(TableError, match="sizes above 0, got 0"):
        size_distribution(rows)


@pytest.mark.parametrize("correlation", [0.9, 0.0])
def test_clusters_are_settled_once_for_every_number(correlation):
    rng = np.random.default_rng(10)
    shift = np.zeros(60)
    for j in range(1, 60):
        shift[j] = correlation * shift[j - 1] + np.sqrt(1 - correlation**2) * rng.standard_normal()
    number = np.repeat(np.arange(60), 40)
    names = np.array([f"{j:02d}" for j in range(60)])
    size = 5 * np.exp(0.08 * shift[number] + 0.18 * rng.standard_normal(len(number)))
    rows = pd.DataFrame({"sample": "A", "micrograph": names[number], "edge_length_nm": size})
    micrographs = pd.DataFrame({"sample": "A", "micrograph": names, "order": np.arange(60)})
    found = size_distribution(rows, micrographs, weight=None, cluster="auto")
    settled = "run" if correlation else "micrograph"
    assert found.attrs["cluster"] == settled
    assert found["n_clusters"] == (6 if correlation else 60)
    xr.testing.assert_identical(found, size_distribution(rows, micrographs, weight=None, cluster=settled))


TRUTH = {"sd": np.hypot(0.08, 0.18)}


def covered(populations, micrographs, seed):
    rng = np.random.default_rng(seed)
    n = rng.poisson(rng.gamma(12.0, 41.0 / 12.0, (populations, micrographs)))
    sample, micrograph = (np.repeat(index.ravel(), n.ravel()) for index in np.indices(n.shape))
    shift = 0.08 * rng.standard_normal(n.shape)
    size = 5.0 * np.exp(shift[sample, micrograph] + 0.18 * rng.standard_normal(len(sample)))
    rows = pd.DataFrame({"sample": np.char.mod("%05d", sample), "micrograph": np.char.mod("%05d", 100 * sample + micrograph),
                         "edge_length_nm": size})  # fmt: skip
    found = size_distribution(rows, weight=None)
    sd, z = TRUTH["sd"], stats.norm.ppf(0.9)
    held = {}
    for weighting, power in (("number", 0), ("volume", 3)):
        centre = 5.0 * np.exp(power * sd**2)
        truth = {"d50": centre, "d10": centre * np.exp(-z * sd), "mean": centre * np.exp(sd**2 / 2),
                 "harmonic_mean": centre * np.exp(-(sd**2) / 2), "geometric_mean": centre, "gsd": np.exp(sd),
                 "span": np.exp(z * sd) - np.exp(-z * sd)}  # fmt: skip
        for name, value in truth.items():
            here = found.sel(weighting=weighting, statistic=name)
            told = (here["refusal"] == "").to_numpy()
            inside = ((here["lower"] <= value) & (value <= here["upper"])).to_numpy()
            held[weighting, name] = inside[told].mean()
    return held


def test_intervals_cover_the_truth_as_often_as_they_say():
    # 150 populations: the standard error of a coverage of 95 % is 1.8 %; three of them below. The gsd covers less
    # with few micrographs, most of all by volume, where it rests on few large particles (docs/explanation/intervals.md).
    for name, coverage in covered(150, 20, 61).items():
        assert coverage >= {("volume", "gsd"): 0.80, ("number", "gsd"): 0.85}.get(name, 0.89), name


@pytest.mark.slow
@pytest.mark.parametrize(("micrographs", "seed"), [(8, 71), (20, 72), (60, 73)])
def test_coverage_of_500_populations(micrographs, seed):
    for name, coverage in covered(500, micrographs, seed).items():
        assert coverage >= {("volume", "gsd"): 0.85, ("number", "gsd"): 0.90}.get(name, 0.92), name


def test_clusters_that_are_all_alike_have_no_interval_of_the_span_and_no_warning():
    rows = pd.DataFrame(
        {
            "sample": "A",
            "micrograph": np.repeat(list("wxyz"), 30),
            "edge_length_nm": np.tile(np.arange(4.0, 7.0, 0.1), 4),
        }
    )
    made = size_distribution(rows, weight=None).sel(sample="A", statistic="span", weighting="number")
    assert np.isfinite(made["estimate"])
    assert np.isnan(made["lower"])
    assert str(made["refusal"].item())
