"""Resamples of clusters from cells, against resamples of the particles themselves."""

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanocensus.errors import StatisticsError
from nanocensus.statistics.cells.cells import Cells, cells, size_bins
from nanocensus.statistics.estimation.bootstrap import bootstrap
from nanocensus.statistics.estimation.estimation import estimate
from nanocensus.statistics.estimation.philox import name_word
from nanocensus.statistics.estimation.reductions import MomentReduction, cv, mean, median, sd
from nanocensus.statistics.estimation.resampling import draw_clusters, replicate_sums

OF = ["circularity", "edge_length_nm"]
BY = ["sample", size_bins(0.5)]
ASKED = {name: [mean, sd, cv] for name in OF}


def draw_particles(seed, micrographs=24, per_micrograph=30, samples=("A", "B")):
    rng = np.random.default_rng(seed)
    tables = []
    for sample in samples:
        of = np.repeat(np.arange(micrographs), rng.poisson(per_micrograph, micrographs))
        values = 0.9 + 0.01 * rng.standard_normal(micrographs)[of] - 0.02 * rng.gamma(2, 1, len(of))
        tables.append(
            pd.DataFrame(
                {
                    "sample": sample,
                    "micrograph": [f"{sample}{i:03d}" for i in of],
                    "circularity": values,
                    "edge_length_nm": rng.lognormal(1.6, 0.12, len(of)),
                    "border_weight": 1 + rng.exponential(0.1, len(of)),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


@settings(max_examples=40)
@given(st.integers(0, 100), st.lists(st.lists(st.integers(-(2**90), 2**90), min_size=3, max_size=3), min_size=2))
def test_sums_of_replicates_are_the_floats_nearest_to_exact_integers(seed, rows):
    sums = np.array(rows, object)
    drawn = draw_clusters(len(rows), 5, seed=seed, name=0)
    found = replicate_sums(sums, drawn)
    exact = [[sum(int(w) * row[place] for w, row in zip(column, rows, strict=True)) for column in drawn.T]
             for place in range(3)]  # fmt: skip
    # Up to two limbs there is one rounding, of the last addition; each further limb may add another.
    np.testing.assert_allclose(found, np.array(exact, float), rtol=2e-15, atol=0)
    small = np.array([[value % 2**40 - 2**39 for value in row] for row in rows])
    twice = np.array([[value % 2**80 - 2**79 for value in row] for row in rows], object)
    for table in (small, twice):
        exact = [[sum(int(w) * int(v) for w, v in zip(column, table[:, place], strict=True)) for column in drawn.T]
                 for place in range(3)]  # fmt: skip
        np.testing.assert_array_equal(replicate_sums(table, drawn), np.array(exact, float))


def test_draws_are_those_of_numpys_philox_taken_one_by_one():
    count, name = 7, name_word("sample A")
    drawn = draw_clusters(count, 6, seed=9, name=name)
    for replicate in range(6):
        words = []
        for block in range(2):
            counter = np.array([block, replicate, name, 0], np.uint64)
            # numpy adds one to the counter before its first block
            counter = (
                counter - np.array([1, 0, 0, 0], np.uint64)
                if block
                else np.array(
                    [2**64 - 1, replicate - 1 if replicate else 2**64 - 1, name if replicate else name - 1, 0],
                    np.uint64,
                )
            )
            words += np.random.Philox(key=np.array([9, 3], np.uint64), counter=counter).random_raw(4).tolist()
        places = [int((word >> 11) * 2.0**-53 * count) for word in words[: count - 1]]
        assert drawn[:, replicate].tolist() == np.bincount(places, minlength=count).tolist()


def test_draws_are_even_and_do_not_depend_on_how_many_or_on_others():
    drawn = draw_clusters(20, 4000, seed=1, name=5)
    assert set(drawn.sum(axis=0)) == {19.0}
    # Binomial counts: mean 0.95 and variance 0.9025; four standard errors of 4000 replicates.
    np.testing.assert_allclose(drawn.mean(axis=1), 0.95, atol=4 * 0.95 / np.sqrt(4000))
    np.testing.assert_allclose(drawn.var(axis=1), 0.9025, rtol=0.13)
    np.testing.assert_array_equal(draw_clusters(20, 10, seed=1, name=5), drawn[:, :10])
    assert not np.array_equal(draw_clusters(20, 10, seed=1, name=6), drawn[:, :10])
    assert not np.array_equal(draw_clusters(20, 10, seed=2, name=5), drawn[:, :10])


@pytest.mark.parametrize("weight", ["border_weight", None])
def test_replicates_are_statistics_of_micrographs_drawn_again(weight):
    rows = draw_particles(0)
    made = cells(rows, by=BY, of=OF, weight=weight)
    found = bootstrap(made, ASKED, replicates=4, seed=3)["replicates"]
    compared = 0
    for sample in ("A", "B"):
        mine = rows[rows["sample"] == sample]
        names = np.sort(mine["micrograph"].unique())
        drawn = draw_clusters(len(names), 4, seed=3, name=name_word(f"sample {sample}"))
        for centre in found["size_bin"].to_numpy():
            here = mine[np.abs(mine["edge_length_nm"] - centre) < 0.25]
            if len(here) < 100:
                continue
            for replicate in range(4):
                times = drawn[np.searchsorted(names, here["micrograph"]), replicate].astype(int)
                again = here.loc[np.repeat(here.index, times)]
                x = np.rint(again["circularity"].to_numpy() * 2**18) / 2**18  # as the schema rounds them
                w = np.rint(again["border_weight"].to_numpy() * 1024) if weight else np.ones(len(again))
                average = np.average(x, weights=w)
                n = len(x) * len(names) / (len(names) - 1)
                spread = np.sqrt(np.average((x - average) ** 2, weights=w) * n / (n - 1))
                values = found.sel(sample=sample, size_bin=centre, descriptor="circularity").isel(replicate=replicate)
                np.testing.assert_allclose(values, [average, spread, spread / average], rtol=1e-11)
                compared += 1
    assert compared >= 16


def test_bytes_do_not_depend_on_order_partitions_or_workers(tmp_path):
    rows = draw_particles(1)
    whole = cells(rows, by=BY, of=OF)
    expected = bootstrap(whole, ASKED, replicates=200)
    whole.save(tmp_path / "cells.zarr")
    shuffled = rows.sample(frac=1, random_state=5, ignore_index=True)
    half = rows.index < 300
    others = [Cells.open(tmp_path / "cells.zarr"), cells(rows[~half], by=BY, of=OF) + cells(rows[half], by=BY, of=OF)]
    others += [cells(dd.from_pandas(shuffled, npartitions=k, sort=False), by=BY, of=OF) for k in (1, 7, 40)]
    for made in others:
        again = bootstrap(made, ASKED, replicates=200)
        assert again["replicates"].to_numpy().tobytes() == expected["replicates"].to_numpy().tobytes()
        assert again.identical(expected)


def test_replicates_of_one_sample_do_not_depend_on_other_samples():
    rows = draw_particles(2)
    both = bootstrap(cells(rows, by=["sample"], of=OF), ASKED, replicates=50)["replicates"]
    alone = bootstrap(cells(rows[rows["sample"] == "B"], by=["sample"], of=OF), ASKED, replicates=50)["replicates"]
    np.testing.assert_array_equal(both.sel(sample=["B"]), alone)
    assert not np.array_equal(both.sel(sample="A"), both.sel(sample="B"))


def test_bins_share_the_draw_so_that_their_sums_are_those_of_the_whole():
    rows = draw_particles(3, samples=("A",))
    asked = {"circularity": [mean]}
    by_size = bootstrap(cells(rows, by=BY, of=OF, weight=None), asked, replicates=20)["replicates"].squeeze()
    whole = bootstrap(cells(rows, by=["sample"], of=OF, weight=None), asked, replicates=20)["replicates"].squeeze()
    names = np.sort(rows["micrograph"].unique())
    drawn = draw_clusters(len(names), 20, seed=0, name=name_word("sample A"))
    n = pd.crosstab(rows["micrograph"], np.floor(rows["edge_length_nm"] / 0.5)).to_numpy()
    held = (n.T @ drawn) * (n.sum(0) > 0)[:, None]
    np.testing.assert_allclose((by_size.fillna(0.0) * held).sum("size_bin") / held.sum(0), whole, rtol=1e-12)


def test_the_interval_is_bootstrap_t_by_a_plain_loop():
    rows = draw_particles(4, samples=("A",))
    found = bootstrap(cells(rows, by=["sample"], of=OF, weight=None), {"circularity": [mean, cv]}, replicates=150,
                      level=0.9).squeeze()  # fmt: skip
    names = np.sort(rows["micrograph"].unique())
    x = np.rint(rows["circularity"].to_numpy() * 2**18) / 2**18
    of = np.searchsorted(names, rows["micrograph"])

    def said(times):
        """Logarithm of the CV, and its linearised error, of clusters taken that many times."""
        scale = len(names) / times.sum()
        w = times[of] * scale
        n, m = w.sum(), np.average(x, weights=w)
        v = np.average((x - m) ** 2, weights=w)
        sigma = np.sqrt(v * n / (n - 1))
        each = np.bincount(of, ((x - m) ** 2 - v) * n / (n - 1) / (2 * sigma**2) - (x - m) / m)
        return np.log(sigma / m), np.sqrt((times * scale * each**2).sum()) / n

    value, error = said(np.ones(len(names)))
    drawn = draw_clusters(len(names), 150, seed=0, name=name_word("sample A"))
    distances = [(again - value) / other for again, other in (said(times) for times in drawn.T)]
    low, high = np.quantile(distances, [0.05, 0.95])
    here = found.sel(statistic="cv")
    np.testing.assert_allclose(here["estimate"], np.exp(value), rtol=1e-10)
    np.testing.assert_allclose([here["lower"], here["upper"]], np.exp([value - high * error, value - low * error]),
                               rtol=1e-6)  # fmt: skip
    np.testing.assert_allclose(here["standard_error"], here["replicates"].std(), rtol=1e-12)
    assert found.attrs["method"]["cv"] == "bootstrap-t of clusters (Rao-Wu), on the logarithm"


def test_errors_of_replicates_agree_with_those_of_estimate():
    made = cells(draw_particles(5, micrographs=80), by=["sample"], of=OF)
    again, once = bootstrap(made, ASKED), estimate(made, ASKED)
    np.testing.assert_allclose(again["estimate"], once["estimate"], rtol=1e-12)
    # Two approximations: 1.6 % from 2000 replicates, and terms of order 1 / 80.
    np.testing.assert_allclose(again["standard_error"], once["standard_error"], rtol=0.1)
    np.testing.assert_allclose(again["upper"] - again["lower"], once["upper"] - once["lower"], rtol=0.15)
    assert again["n"].identical(once["n"])


def test_few_clusters_have_replicates_and_no_interval():
    found = bootstrap(cells(draw_particles(6, micrographs=19), by=["sample"], of=OF), {"circularity": [cv]})
    assert np.isfinite(found["replicates"]).all()
    assert np.isnan(found["lower"]).all()
    assert set(found["refusal"].to_numpy().ravel()) == {
        "19 clusters: resampling needs 20, estimate() does with fewer"
    }  # fmt: skip
    empty = bootstrap(cells(draw_particles(6, micrographs=1), by=["sample"], of=OF), {"circularity": [cv]})
    assert np.isnan(empty["replicates"]).all()
    assert all("1 clusters" in text for text in empty["refusal"].to_numpy().ravel())


def test_what_has_no_spread_is_refused():
    rows = draw_particles(7).assign(circularity=0.5)
    found = bootstrap(cells(rows, by=["sample"], of=OF), {"circularity": [mean, cv]}, replicates=50)
    assert (found["replicates"].sel(statistic="mean") == 0.5).all()
    assert all("no value" in text for text in found["refusal"].sel(statistic="cv").to_numpy().ravel())


def test_a_users_own_reduction_is_resampled_too():
    def rms(m):
        return np.sqrt(m.mean**2 + m.variance)

    own = MomentReduction("rms", rms, lambda m: (m.mean / rms(m), 0.5 / rms(m)))
    found = bootstrap(cells(draw_particles(8), by=["sample"], of=OF), {"circularity": [own, mean, sd]}, replicates=30)
    parts = {name: found["replicates"].sel(statistic=name).to_numpy() for name in ("rms", "mean", "sd")}
    np.testing.assert_allclose(parts["rms"] ** 2, parts["mean"] ** 2 + parts["sd"] ** 2, rtol=1e-4)
    assert (found["lower"].sel(statistic="rms") < found["estimate"].sel(statistic="rms")).all()


def test_what_cannot_be_resampled_is_refused_with_the_way_out():
    made = cells(draw_particles(9), by=["sample"], of=OF)
    with pytest.raises(StatisticsError, match=r"got median.*Woodruff"):
        bootstrap(made, {"circularity": [mean, median]})
    with pytest.raises(StatisticsError, match="2 or more"):
        bootstrap(made, {"circularity": [mean]}, replicates=1)
    with pytest.raises(StatisticsError, match="seed"):
        bootstrap(made, {"circularity": [mean]}, seed=-1)
    with pytest.raises(StatisticsError, match="solidity"):
        bootstrap(made, {"solidity": [mean]})
