import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanocensus.errors import StatisticsError
from nanocensus.statistics.cells.cells import Cells, cells, size_bins
from nanocensus.statistics.estimation.estimation import estimate
from nanocensus.statistics.estimation.reductions import MomentReduction, cv, mean, median, quantile, sd

STEP = 2.0**-12  # of the histograms of ratios


def draw_particles(seed, micrographs=8, per_micrograph=40, samples=("Co0.2", "Co0.8")):
    rng = np.random.default_rng(seed)
    tables = []
    for number, sample in enumerate(samples):
        n = rng.poisson(per_micrograph, micrographs)
        index = np.repeat(np.arange(micrographs), n)
        shift = 0.008 * rng.standard_normal(micrographs)
        tables.append(
            pd.DataFrame(
                {
                    "sample": sample,
                    "micrograph": [f"{number}{i:03d}" for i in index],
                    "edge_length_nm": rng.lognormal(1.6, 0.12, len(index)),
                    "circularity": 0.9 + shift[index] - 0.02 * rng.gamma(2, 1, len(index)),
                    "border_weight": 1 + rng.exponential(0.1, len(index)),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def micrographs_of(rows, **columns):
    known = rows[["sample", "micrograph"]].drop_duplicates().reset_index(drop=True)
    return known.assign(**columns)


def weighted_quantile(values, weights, p):
    """The value at which the cumulative weight reaches a share; the middle where it does so between two."""
    order = np.argsort(values)
    values, cumulative = values[order], np.cumsum(np.rint(weights[order] * 1024))
    target = p * cumulative[-1]
    if abs(target - round(target)) < 1e-6:
        target = round(target)
    at = int(np.searchsorted(cumulative, target))
    return values[at] if cumulative[at] > target or at + 1 == len(values) else (values[at] + values[at + 1]) / 2


@pytest.mark.parametrize("weight", ["border_weight", None])
def test_estimates_are_those_of_a_plain_loop_over_samples_and_bins(weight):
    rows = draw_particles(0)
    made = cells(rows, by=["sample", size_bins(0.4)], of=["circularity"], weight=weight)
    found = estimate(made, {"circularity": [mean, sd, cv, median, quantile(0.1)]})["estimate"].sel(
        descriptor="circularity"
    )
    size = np.floor(rows["edge_length_nm"] / 0.4).astype(int)
    compared = 0
    for sample in ("Co0.2", "Co0.8"):
        for k in range(size.min(), size.max() + 1):
            mine = rows[(rows["sample"] == sample) & (size == k)]
            here = found.sel(sample=sample).sel(size_bin=0.4 * k + 0.2, method="nearest")
            if mine.empty:
                assert here.isnull().all()
                continue
            x = np.rint(mine["circularity"].to_numpy() * 2**18) / 2**18  # as the schema rounds them
            w = np.rint(mine["border_weight"].to_numpy() * 1024) / 1024 if weight else np.ones(len(mine))
            average = np.average(x, weights=w)
            np.testing.assert_allclose(here.sel(statistic="mean"), average, rtol=1e-12)
            if len(x) > 1:
                spread = np.sqrt(np.average((x - average) ** 2, weights=w) * len(x) / (len(x) - 1))
                np.testing.assert_allclose(here.sel(statistic="sd"), spread, rtol=1e-9)
                np.testing.assert_allclose(here.sel(statistic="cv"), spread / average, rtol=1e-9)
            for name, p in (("median", 0.5), ("quantile_0.1", 0.1)):
                assert abs(here.sel(statistic=name) - weighted_quantile(x, w, p)) <= STEP
            compared += 1
    assert compared > 15


@settings(max_examples=15)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.sampled_from([0.05, 0.25, 0.5, 0.9]))
def test_quantiles_are_within_a_step_of_numpy(values, p):
    rows = pd.DataFrame({"sample": "A", "micrograph": "x", "circularity": values})
    made = cells(rows, by=["sample"], of=["circularity"], weight=None)
    found = estimate(made, {"circularity": [quantile(p)]})["estimate"].item()
    assert abs(found - np.quantile(values, p, method="averaged_inverted_cdf")) <= STEP


def test_everything_is_the_same_for_pandas_dask_and_any_partitioning():
    rows = draw_particles(1)
    asked = {"circularity": [mean, cv, median], "edge_length_nm": [sd, quantile(0.9)]}
    of, by = list(asked), ["sample", size_bins(0.2)]
    whole = estimate(cells(rows, by=by, of=of), asked)
    shuffled = rows.sample(frac=1, random_state=1, ignore_index=True)
    for partitions in (1, 7):
        again = estimate(cells(dd.from_pandas(shuffled, npartitions=partitions, sort=False), by=by, of=of), asked)
        assert again.identical(whole)


def test_the_layout_is_the_promised_one():
    rows = draw_particles(2)
    rows = rows[(rows["edge_length_nm"] < 4.4) | (rows["edge_length_nm"] >= 5.0)]
    found = estimate(cells(rows, by=["sample", size_bins(0.2)], of=["circularity"]), {"circularity": [mean, cv]})
    assert found["estimate"].dims == ("sample", "size_bin", "descriptor", "statistic")
    assert {"lower", "upper", "refusal", "size_left", "size_right", "unit"} <= set(found.coords)
    assert {"estimate", "standard_error", "degrees_of_freedom", "n", "n_micrographs", "n_clusters"} <= set(
        found.data_vars
    )
    gap = found.sel(size_bin=4.5, sample="Co0.2")
    assert gap["n"] == 0
    assert np.isnan(gap["estimate"]).all()
    assert (gap["size_left"], gap["size_right"]) == (4.4, 4.6)
    assert set(gap["refusal"].to_numpy().ravel()) == {"0 particles in 0 clusters: an interval needs 20 in 4"}
    assert found["n"].sum() == len(rows)
    assert found.attrs["cluster"] == "group"
    assert found.attrs["method"]["cv"] == "jackknife of clusters, t on 1/sqrt(value)"
    inside = found.where(found["refusal"] == "", drop=True)
    assert (inside["lower"] < inside["estimate"]).all()
    assert (inside["estimate"] < inside["upper"]).all()


def test_statistics_that_were_not_asked_for_are_marked():
    made = cells(draw_particles(2), by=["sample"], of=["circularity", "edge_length_nm"])
    found = estimate(made, {"circularity": [mean], "edge_length_nm": [cv]})
    assert found["refusal"].sel(descriptor="circularity", statistic="cv").to_numpy().tolist() == ["not asked for"] * 2


def test_clusters_are_groups_nested_in_samples_and_micrographs_where_there_is_none():
    rows = draw_particles(3)
    squares = [None if i % 8 in (0, 1) else f"square {i % 3}" for i in range(16)]
    micrographs = micrographs_of(rows, group=squares, session="monday")
    made = cells(rows, micrographs, by=["sample"], of=["circularity"])
    counts = {
        name: estimate(made, {"circularity": [mean]}, cluster=name)["n_clusters"].to_numpy().tolist()
        for name in ("group", "micrograph", "session")
    }
    assert counts == {"group": [5, 5], "micrograph": [8, 8], "session": [1, 1]}


def test_intervals_by_group_are_those_of_the_groups_as_micrographs():
    rows = draw_particles(4, micrographs=12)
    squares = [f"square {i % 6}" for i in range(24)]
    micrographs = micrographs_of(rows, group=squares)
    asked = {"circularity": [mean, cv, median]}
    grouped = estimate(cells(rows, micrographs, by=["sample"], of=["circularity"]), asked)
    names = dict(zip(micrographs["micrograph"], squares, strict=True))
    merged = rows.assign(micrograph=rows["micrograph"].map(names))
    alone = estimate(cells(merged, by=["sample"], of=["circularity"]), asked)
    for name in ("estimate", "standard_error", "lower", "upper", "degrees_of_freedom"):
        np.testing.assert_allclose(grouped[name], alone[name], rtol=1e-9)


def test_a_group_named_like_a_micrograph_is_not_that_micrograph():
    rows = draw_particles(3, samples=("A",))
    micrographs = micrographs_of(rows)
    micrographs["group"] = [None, micrographs["micrograph"][0], *[None] * 6]
    found = estimate(cells(rows, micrographs, by=["sample"], of=["circularity"]), {"circularity": [mean]})
    assert found["n_clusters"].item() == 8


def test_sessions_must_be_known():
    rows = draw_particles(3)
    made = cells(rows, micrographs_of(rows, session=None), by=["sample"], of=["circularity"])
    with pytest.raises(StatisticsError, match="session"):
        estimate(made, {"circularity": [mean]}, cluster="session")


def test_micrographs_without_particles_are_clusters():
    rows = draw_particles(5, samples=("A",))
    micrographs = pd.concat([micrographs_of(rows), pd.DataFrame({"sample": ["A"], "micrograph": ["empty"]})])
    found = estimate(cells(rows, micrographs, by=["sample"], of=["circularity"]), {"circularity": [mean, median]})
    without = estimate(cells(rows, by=["sample"], of=["circularity"]), {"circularity": [mean, median]})
    assert (found["n_micrographs"].item(), found["n_clusters"].item(), found["n_occupied_clusters"].item()) == (9, 9, 8)
    np.testing.assert_allclose(found["lower"], without["lower"], rtol=1e-12)
    np.testing.assert_allclose(found["upper"], without["upper"], rtol=1e-12)


def test_a_sample_whose_micrographs_are_all_empty_is_kept():
    rows = draw_particles(5, samples=("A",))
    micrographs = pd.concat([micrographs_of(rows), pd.DataFrame({"sample": ["B"], "micrograph": ["empty"]})])
    made = cells(rows, micrographs, by=["sample", size_bins(0.2)], of=["circularity"])
    found = estimate(made, {"circularity": [mean, median]})
    assert found["n"].sel(sample="B").sum() == 0
    assert found["n_micrographs"].sel(sample="B").to_numpy().tolist() == [1] * found.sizes["size_bin"]
    assert np.isnan(found["estimate"].sel(sample="B")).all()


def test_one_micrograph_gives_numbers_and_no_interval():
    rows = draw_particles(6, micrographs=1, samples=("A",))
    found = estimate(cells(rows, by=["sample"], of=["circularity"]), {"circularity": [mean, sd, cv, median]})
    assert np.isfinite(found["estimate"]).all()
    assert np.isnan(found["lower"]).all()
    assert all("1 clusters" in text for text in found["refusal"].to_numpy().ravel())


@pytest.mark.parametrize(("largest", "told"), [(190, True), (191, False)])
def test_one_micrograph_with_nearly_all_particles_gives_no_interval(largest, told):
    # 191 of 201 are more than 95 %: what its micrograph was like moves the mean, and the others do not say by how much.
    rng = np.random.default_rng(3)
    names = np.repeat(list("abcdef"), [largest, 2, 2, 2, 2, 2])
    rows = pd.DataFrame({"sample": "A", "micrograph": names, "circularity": rng.normal(0.9, 0.01, len(names))})
    ds = estimate(
        cells(rows, by=["sample"], of=["circularity"], weight=None), {"circularity": [mean, median]}
    ).squeeze()
    mean_alone = ds.sel(statistic="mean")
    assert (mean_alone["refusal"].item() == "") == np.isfinite(mean_alone["lower"].item()) == told
    if not told:
        assert set(ds["refusal"].to_numpy()) == {"one cluster holds 191 of 201 particles: the others say too little"}
    assert np.isfinite(ds["estimate"]).all()


def test_conditions_gather_samples_and_keep_their_clusters_apart():
    rows = draw_particles(7, samples=("a1", "a2", "b"))
    micrographs = micrographs_of(rows)
    micrographs["group"] = "square 1"
    micrographs["condition_Co"] = np.where(micrographs["sample"] == "b", 0.8, 0.2)
    found = estimate(cells(rows, micrographs, by=["condition_Co"], of=["circularity"]), {"circularity": [mean, median]})
    assert found["condition_Co"].to_numpy().tolist() == [0.2, 0.8]
    assert found["n_clusters"].to_numpy().tolist() == [2, 1]
    both = rows[rows["sample"] != "b"]
    np.testing.assert_allclose(
        found["estimate"].sel(condition_Co=0.2, statistic="mean").item(),
        np.average(both["circularity"], weights=both["border_weight"]),
        atol=3e-6,
    )


def test_no_keys_at_all_give_one_number():
    rows = draw_particles(7)
    found = estimate(cells(rows, by=[], of=["circularity"], weight=None), {"circularity": [mean]})
    assert found["estimate"].dims == ("descriptor", "statistic")
    np.testing.assert_allclose(found["estimate"].item(), rows["circularity"].mean(), atol=2e-6)


def test_particles_outside_are_reported_by_key():
    rows = draw_particles(8)
    found = estimate(
        cells(rows, by=["sample", size_bins(edges=[4.6, 5.0, 5.4])], of=["circularity"]),
        {"circularity": [mean, median]},
    )
    outside = ~rows["edge_length_nm"].between(4.6, 5.4, inclusive="left")
    assert found["n_outside"].to_numpy().tolist() == outside.groupby(rows["sample"]).sum().tolist()
    assert found["n"].sum() + found["n_outside"].sum() == len(rows)


def test_a_users_own_reduction_goes_through():
    def rms(m):
        return np.sqrt(m.mean**2 + m.variance)

    root_mean_square = MomentReduction("rms", rms, lambda m: (m.mean / rms(m), 0.5 / rms(m)))
    rows = draw_particles(9)
    made = cells(rows, by=["sample"], of=["circularity"], weight=None)
    found = estimate(made, {"circularity": [root_mean_square, mean]})
    expected = rows.groupby("sample")["circularity"].agg(lambda x: np.sqrt(np.mean(x**2)))
    np.testing.assert_allclose(found["estimate"].sel(statistic="rms").squeeze(), expected, atol=3e-6)
    # The spread within a sample is small, so the interval is nearly that of the mean.
    lengths = (found["upper"] - found["lower"]).squeeze()
    np.testing.assert_allclose(lengths.sel(statistic="rms"), lengths.sel(statistic="mean"), rtol=0.05)


def test_saved_cells_give_moments_alone_and_quantiles_with_particles(tmp_path):
    rows = draw_particles(10)
    made = cells(rows, by=["sample", size_bins(0.2)], of=["circularity"])
    made.save(tmp_path / "cells.zarr")
    back = Cells.open(tmp_path / "cells.zarr")
    assert estimate(back, {"circularity": [mean, cv]}).identical(estimate(made, {"circularity": [mean, cv]}))
    with pytest.raises(StatisticsError, match="particles=particles"):
        estimate(back, {"circularity": [median]})
    again = estimate(back, {"circularity": [median]}, particles=rows)
    assert again.identical(estimate(made, {"circularity": [median]}))
    with pytest.raises(StatisticsError, match="the cells were summed from"):
        estimate(back, {"circularity": [median]}, particles=rows.iloc[1:])
    with pytest.raises(StatisticsError, match="particles=particles"):
        estimate(back + made, {"circularity": [median]})


def test_added_cells_give_the_quantiles_of_both():
    rows = draw_particles(10)
    first, second = rows.iloc[::2], rows.iloc[1::2]
    parts = [cells(part, by=["sample"], of=["circularity"]) for part in (first, second)]
    whole = cells(rows, by=["sample"], of=["circularity"])
    asked = {"circularity": [median]}
    assert estimate(parts[0] + parts[1], asked).identical(estimate(whole, asked))


def test_moments_read_no_particles_again():
    made = cells(dd.from_pandas(draw_particles(11), npartitions=3), by=["sample"], of=["circularity"])

    def refuse(*_, **__):
        raise AssertionError("read again")

    with dask.config.set(scheduler=refuse):
        estimate(made, {"circularity": [mean, sd, cv]})
        with pytest.raises(AssertionError, match="read again"):
            estimate(made, {"circularity": [median]})


def test_woodruffs_interval_ends_where_the_share_does():
    rows = draw_particles(12, micrographs=10, samples=("A",))
    made = cells(rows, by=["sample"], of=["circularity"], weight=None)
    found = estimate(made, {"circularity": [median]}).squeeze()
    x = rows["circularity"].to_numpy()
    below = (x < found["estimate"].item()).astype(float)
    per = pd.DataFrame({"below": below, "n": 1.0}).groupby(rows["micrograph"].to_numpy()).sum()
    residuals, share = per["below"] - 0.5 * per["n"], per["n"] / per["n"].sum()
    error = np.sqrt((residuals**2 / (1 - share)).sum()) / per["n"].sum()
    from scipy import stats

    reach = stats.t.ppf(0.975, found["degrees_of_freedom"].item()) * error
    # The share is interpolated inside a step of the histogram, here it jumps at particles: a few of either.
    for end, p in (("lower", 0.5 - reach), ("upper", 0.5 + reach)):
        assert abs(found[end].item() - np.quantile(x, p, method="inverted_cdf")) < 6 * STEP


def test_an_extreme_quantile_of_few_particles_has_no_interval():
    rows = draw_particles(13, micrographs=6, per_micrograph=10, samples=("A",))
    made = cells(rows, by=["sample"], of=["circularity"])
    found = estimate(made, {"circularity": [quantile(0.999)]})
    assert found["refusal"].item() == "the interval would reach beyond the data"
    assert np.isnan(found["upper"].item())


@pytest.mark.parametrize("p", [0.0, 1.0, -0.5, float("nan")])
def test_shares_outside_zero_to_one_are_no_quantiles(p):
    with pytest.raises(StatisticsError, match="quantile"):
        quantile(p)


def test_questions_that_cells_cannot_answer_are_refused():
    made = cells(draw_particles(13), by=["sample"], of=["circularity"])
    with pytest.raises(StatisticsError, match="solidity"):
        estimate(made, {"solidity": [mean]})
    with pytest.raises(StatisticsError, match="got none"):
        estimate(made, {})
    with pytest.raises(StatisticsError, match="level"):
        estimate(made, {"circularity": [mean]}, level=95.0)
    nothing = cells(draw_particles(13).iloc[:0], by=["sample"], of=["circularity"])
    with pytest.raises(StatisticsError, match="at least one micrograph"):
        estimate(nothing, {"circularity": [mean]})


def test_micrographs_that_are_all_empty_give_an_answer_without_bins():
    rows = draw_particles(13)
    nothing = cells(rows.iloc[:0], micrographs_of(rows), by=["sample", size_bins(0.2)], of=["circularity"])
    found = estimate(nothing, {"circularity": [mean, median]})
    assert dict(found.sizes) == {"sample": 2, "size_bin": 0, "descriptor": 1, "statistic": 2}
