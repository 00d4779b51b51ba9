import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats import multitest

from nanocensus.errors import StatisticsError
from nanocensus.statistics.cells.cells import cells, size_bins
from nanocensus.statistics.estimation.bootstrap import bootstrap
from nanocensus.statistics.estimation.contrasts import compare, difference, ratio
from nanocensus.statistics.estimation.estimation import estimate
from nanocensus.statistics.estimation.reductions import cv, mean, median, sd

ASKED = [mean, median, sd, cv]


def draw(seed, samples=("A", "B", "C"), micrographs=9, per=40, between=0.008):
    """Particles of samples whose mean circularity differs by 0.01 from one to the next."""
    rng = np.random.default_rng(seed)
    frames = []
    for place, sample in enumerate(samples):
        number = np.repeat(np.arange(micrographs + 3 * place), per)
        shift = between * rng.standard_normal(micrographs + 3 * place)
        values = 0.87 + 0.01 * place + shift[number] + 0.03 * (1 + place) * rng.standard_normal(len(number))
        frames.append(pd.DataFrame({"sample": sample, "micrograph": [f"{sample}{j}" for j in number],
                                    "circularity": values, "edge_length_nm": rng.uniform(4.0, 4.4, len(number))}))  # fmt: skip
    return pd.concat(frames, ignore_index=True)


def estimates(rows, binned=False, asked=ASKED):
    by = ["sample", size_bins(0.2)] if binned else ["sample"]
    return estimate(cells(rows, by=by, of=["circularity"], weight=None), {"circularity": asked})


def test_equal_micrographs_give_welch_test_of_their_means():
    rows = draw(1)
    found = difference(estimates(rows), "B", "A").sel(descriptor="circularity", statistic="mean")
    by_micrograph = rows.groupby(["sample", "micrograph"])["circularity"].mean()
    expected = stats.ttest_ind(by_micrograph["B"], by_micrograph["A"], equal_var=False)
    # Values were rounded to 2^-18 on the way.
    np.testing.assert_allclose(found["estimate"], by_micrograph["B"].mean() - by_micrograph["A"].mean(), atol=1e-5)
    np.testing.assert_allclose(found["degrees_of_freedom"], expected.df, rtol=1e-3)
    np.testing.assert_allclose(found["p"], expected.pvalue, rtol=1e-2)
    np.testing.assert_allclose([found["lower"], found["upper"]], expected.confidence_interval(0.95), atol=1e-5)


@pytest.mark.parametrize("kind", ["difference", "ratio"])
def test_exchanged_sides_say_the_same(kind):
    ds = estimates(draw(2))
    one, other = (compare(ds.isel(sample=order), kind=kind).isel(comparison=0) for order in ([0, 1], [1, 0]))
    turned = {"difference": lambda x: -x, "ratio": lambda x: 1 / x}[kind]
    for name, mirror in (("estimate", "estimate"), ("lower", "upper"), ("upper", "lower")):
        np.testing.assert_allclose(one[name], turned(other[mirror]), rtol=1e-9)
    np.testing.assert_allclose(one["p"], other["p"], rtol=1e-9)
    assert (one["lower"] < one["estimate"]).all()
    assert (one["estimate"] < one["upper"]).all()


def test_the_interval_of_a_ratio_is_that_of_a_difference_of_logarithms():
    ds = estimates(draw(3))
    for statistic in ("mean", "median"):
        found = ratio(ds, "C", "A").sel(descriptor="circularity", statistic=statistic)
        a, b = (ds.sel(sample=name, descriptor="circularity", statistic=statistic) for name in ("C", "A"))
        one, other = ((side["standard_error"] / side["estimate"]) ** 2 for side in (a, b))
        freedom = (one + other) ** 2 / (one**2 / a["degrees_of_freedom"] + other**2 / b["degrees_of_freedom"])
        factor = np.exp(stats.t.ppf(0.975, freedom) * np.sqrt(one + other))
        np.testing.assert_allclose(found["estimate"], a["estimate"] / b["estimate"])
        np.testing.assert_allclose(found["lower"] * factor, found["estimate"])
        np.testing.assert_allclose(found["upper"] / factor, found["estimate"])
        distance = abs(np.log(found["estimate"])) / np.sqrt(one + other)
        np.testing.assert_allclose(found["p"], 2 * stats.t.sf(distance, freedom), rtol=1e-6, atol=1e-12)


def test_the_p_of_a_difference_of_spreads_is_that_of_their_ratio():
    ds = estimates(draw(3))
    for statistic in ("sd", "cv"):
        here = {"descriptor": "circularity", "statistic": statistic}
        np.testing.assert_array_equal(ratio(ds, "C", "A")["p"].sel(here), difference(ds, "C", "A")["p"].sel(here))


def test_bootstrapped_samples_are_compared_by_their_limits_and_have_no_p():
    made = cells(draw(12, samples=("A", "B"), micrographs=24), by=["sample"], of=["circularity"], weight=None)
    asked = {"circularity": [mean, cv]}
    drawn, plain = bootstrap(made, asked, replicates=500), estimate(made, asked)
    for kind in ("difference", "ratio"):
        found, by_t = (compare(ds, kind=kind).squeeze() for ds in (drawn, plain))
        assert (found["refusal"] == "").all()
        assert (found["lower"] < found["estimate"]).all()
        assert found["p"].isnull().all()
        assert found["p_holm"].isnull().all()
        # 500 replicates of 24 and more clusters, against t: two intervals of equal level for the same clusters.
        np.testing.assert_allclose(found["upper"] - found["lower"], by_t["upper"] - by_t["lower"], rtol=0.35)
    sides = {name: drawn.sel(sample=name, descriptor="circularity", statistic="cv") for name in ("A", "B")}
    below = np.hypot(
        *(np.log(sides[x][p] / sides[x][q]) for x, p, q in (("B", "estimate", "lower"), ("A", "upper", "estimate")))
    )
    found = compare(drawn, kind="ratio").sel(descriptor="circularity", statistic="cv").squeeze()
    np.testing.assert_allclose(found["lower"], found["estimate"] * np.exp(-below))


def test_a_difference_of_spreads_has_the_distances_of_both_limits():
    ds = estimates(draw(4))
    for statistic in ("sd", "cv"):
        found = difference(ds, "C", "A").sel(descriptor="circularity", statistic=statistic)
        a, b = (ds.sel(sample=name, descriptor="circularity", statistic=statistic) for name in ("C", "A"))
        below = np.hypot(a["estimate"] - a["lower"], b["upper"] - b["estimate"])
        above = np.hypot(a["upper"] - a["estimate"], b["estimate"] - b["lower"])
        np.testing.assert_allclose(found["estimate"] - found["lower"], below, rtol=1e-9)
        np.testing.assert_allclose(found["upper"] - found["estimate"], above, rtol=1e-9)


def test_all_pairs_and_a_reference():
    ds = estimates(draw(5))
    assert compare(ds)["comparison"].to_numpy().tolist() == ["B − A", "C − A", "C − B"]
    found = compare(ds, kind="ratio", reference="B")
    assert found["comparison"].to_numpy().tolist() == ["A / B", "C / B"]
    assert (found["first"].to_numpy().tolist(), found["second"].to_numpy().tolist()) == (["A", "C"], ["B", "B"])
    alone = ratio(ds, "C", "B")
    for name in ("estimate", "lower", "upper", "p"):
        np.testing.assert_array_equal(found[name].isel(comparison=1), alone[name])


def test_holm_adjusts_over_comparisons_and_size_bins_and_nothing_else():
    rows = draw(6)
    found = compare(estimates(rows, binned=True))
    assert found["p"].dims == ("comparison", "size_bin", "descriptor", "statistic")
    for statistic in ("mean", "cv"):
        p, adjusted = (found[name].sel(statistic=statistic).to_numpy().ravel() for name in ("p", "p_holm"))
        assert len(p) == 3 * 2
        np.testing.assert_allclose(adjusted, multitest.multipletests(p, method="holm")[1], rtol=1e-9)
    one = difference(estimates(rows, binned=True), "B", "A").sel(statistic="mean")
    np.testing.assert_allclose(
        one["p_holm"].to_numpy().ravel(), multitest.multipletests(one["p"].to_numpy().ravel(), method="holm")[1]
    )


def test_what_has_no_interval_has_none_in_a_comparison_and_counts_for_none():
    rows = draw(7)
    few = rows["sample"].eq("B") & ~rows["micrograph"].isin(["B0", "B1", "B2"])
    found = compare(estimates(rows[~few])).sel(descriptor="circularity", statistic="mean")
    refusal = dict(zip(found["comparison"].to_numpy(), found["refusal"].to_numpy(), strict=True))
    assert refusal["B − A"] == "B: 120 particles in 3 clusters: an interval needs 20 in 4"
    assert refusal["C − A"] == ""
    here = found.sel(comparison="B − A")
    assert np.isfinite(here["estimate"])
    assert all(np.isnan(here[name]) for name in ("lower", "upper", "standard_error", "p", "p_holm"))
    np.testing.assert_array_equal(found["p_holm"].sel(comparison="C − A"), found["p"].sel(comparison="C − A"))


def test_what_was_not_asked_for_is_no_refusal():
    made = cells(draw(8), by=["sample"], of=["circularity", "edge_length_nm"], weight=None)
    ds = estimate(made, {"circularity": [mean], "edge_length_nm": [cv]})
    found = compare(ds)
    assert (found["refusal"].sel(descriptor="circularity", statistic="cv") == "not asked for").all()
    assert (found["refusal"].sel(descriptor="edge_length_nm", statistic="cv") == "").all()


def test_a_ratio_of_what_is_not_positive_is_refused():
    rows = draw(9, samples=("A", "B"), per=80)
    made = cells(rows.assign(log_circularity=np.log(rows["circularity"] + 0.2)), by=["sample"], of=["log_circularity"],
                 weight=None, scale={"log_circularity": 2.0**-18})  # fmt: skip
    ds = estimate(made, {"log_circularity": [mean]}) - 0.2
    ds = ds.assign_coords(refusal=(ds["estimate"].dims, np.full(ds["estimate"].shape, "", object)))
    found = ratio(ds, "B", "A").squeeze()
    assert "not positive" in found["refusal"].item()
    assert np.isnan(found["lower"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key": "size_bin"}, "Bins share their micrographs"),
        ({"key": "condition"}, "expected one of sample, got 'condition'"),
        ({"reference": "Z"}, "expected one of A, B, C, got Z"),
    ],
)
def test_what_cannot_be_compared_is_named(options, message):
    with pytest.raises(StatisticsError, match=message):
        compare(estimates(draw(10), binned=True), **options)


def test_one_sample_cannot_be_compared():
    with pytest.raises(StatisticsError, match="at least two values, got 1"):
        compare(estimates(draw(11, samples=("A",))))


def covered(pairs, micrographs, seed):
    """Share of pairs of samples of equal truth but for a shift of the mean whose intervals hold the truth."""
    rng = np.random.default_rng(seed)
    n = rng.poisson(rng.gamma(12.0, 41.0 / 12.0, (2 * pairs, micrographs)))
    sample, micrograph = (np.repeat(index.ravel(), n.ravel()) for index in np.indices(n.shape))
    shift = 0.008 * rng.standard_normal(n.shape) + 0.02 * (np.arange(2 * pairs) % 2)[:, None]
    scatter = -0.03 * (rng.standard_gamma(2.0, len(sample)) - 2.0) / np.sqrt(2.0)
    rows = pd.DataFrame({"sample": np.char.mod("%05d", sample), "micrograph": np.char.mod("%05d", sample * 100 + micrograph),
                         "circularity": 0.87 + shift[sample, micrograph] + scatter})  # fmt: skip
    ds = estimates(rows, asked=ASKED)
    pairs_of = [(f"{i + 1:05d}", f"{i:05d}") for i in range(0, 2 * pairs, 2)]
    truth = {"mean": 0.02, "median": 0.02, "sd": 0.0}
    spread = np.hypot(0.008, 0.03)
    truth["cv"] = spread / 0.89 - spread / 0.87
    held = {name: 0 for name in truth}
    for later, earlier in pairs_of:
        found = difference(ds, later, earlier).isel(descriptor=0)
        for name, value in truth.items():
            one = found.sel(statistic=name)
            held[name] += bool(one["lower"] <= value <= one["upper"])
    return {name: count / pairs for name, count in held.items()}


def test_differences_cover_the_truth_as_often_as_they_say():
    # 100 pairs: a coverage of 95 % has a standard error of 2.2 %, so nearly three of them below.
    for name, coverage in covered(100, 8, 41).items():
        assert coverage >= 0.89, name


@pytest.mark.slow
@pytest.mark.parametrize(("micrographs", "seed"), [(8, 51), (20, 52)])
def test_coverage_of_differences_in_400_pairs(micrographs, seed):
    for name, coverage in covered(400, micrographs, seed).items():
        assert 0.92 <= coverage <= 0.99, name
