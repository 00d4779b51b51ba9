"""Spread against mean: planted slopes, the ceiling of ratios, and what is refused."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import nanocensus as nc
from nanocensus.statistics.synthesis.spread import slope_over_samples


def particles_of(means, sds, *, column="edge_length_nm", micrographs=8, particles=200, seed=0, shift=0.1):
    rng = np.random.default_rng(seed)
    rows = []
    for number, (middle, sd) in enumerate(zip(means, sds, strict=True)):
        for one in range(micrographs):
            values = middle + sd * (shift * rng.standard_normal() + rng.standard_normal(particles))
            rows.append(pd.DataFrame({"sample": f"S{number}", "micrograph": f"{number}-{one}", column: values}))
    return pd.concat(rows, ignore_index=True)


def test_the_slope_is_that_of_a_straight_line_on_logarithms():
    rng = np.random.default_rng(0)
    room, spreads = rng.uniform(1, 3, 7), rng.uniform(0.1, 0.4, 7)
    found = slope_over_samples(room, spreads, np.zeros(7), level=0.9)
    book = stats.linregress(np.log(room), np.log(spreads))
    reach = stats.t.ppf(0.95, 5) * book.stderr
    assert found["slope"] == pytest.approx(book.slope)
    np.testing.assert_allclose([found["lower"], found["upper"]], [book.slope - reach, book.slope + reach])
    assert found["p_constant"] == pytest.approx(book.pvalue)


MEANS = np.linspace(4, 8, 8)


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_a_planted_power_of_the_mean_is_found(power):
    found = nc.spread_against_mean(particles_of(MEANS, 0.02 * MEANS**power), of=["edge_length_nm"], weight=None)
    row = found.table.iloc[0]
    assert row["lower"] < power < row["upper"]
    assert (row["p_constant"] < 0.05) == (power != 0)
    assert (row["p_in_proportion"] < 0.05) == (power != 1)
    assert row["against"] == "edge_length_nm"
    assert row["reliability"] > 0.95
    assert len(found.points) == 8


def test_a_distribution_that_only_nears_the_ceiling_narrows_in_proportion():
    rng = np.random.default_rng(3)
    rows = []
    for number, room in enumerate(np.linspace(0.05, 0.2, 8)):
        # One distribution of the distance from 1, stretched.
        distance = room * rng.gamma(4, 0.25, 1600)
        names = np.repeat([f"{number}-{i}" for i in range(8)], 200)
        rows.append(pd.DataFrame({"sample": f"S{number}", "micrograph": names, "circularity": 1 - distance}))
    found = nc.spread_against_mean(pd.concat(rows), of=["circularity"], weight=None)
    row = found.table.iloc[0]
    assert row["against"] == "1 - circularity"
    assert row["lower"] < 1 < row["upper"]
    assert row["p_constant"] < 1e-4
    assert row["p_in_proportion"] > 0.05
    np.testing.assert_allclose(found.points["room"], 1 - found.points["mean"])


def test_what_cannot_be_told_is_refused():
    few = nc.spread_against_mean(
        particles_of(MEANS[:3], 0.1 * MEANS[:3]), of=["edge_length_nm"], weight=None
    ).table.iloc[0]
    assert few["refusal"] == "3 samples with an interval: a slope over samples needs 4"
    assert np.isnan(few["slope"])
    alike = nc.spread_against_mean(particles_of(np.full(6, 5.0), np.full(6, 0.5)), of=["edge_length_nm"], weight=None)
    assert alike.table.iloc[0]["refusal"] == "the means of the samples differ little beyond their noise"
    rows = particles_of(MEANS, 0.1 * MEANS)
    thin = rows[(rows["sample"] != "S2") | rows["micrograph"].isin(["2-0", "2-1", "2-2"])]
    left = nc.spread_against_mean(thin, of=["edge_length_nm"], weight=None).table.iloc[0]
    assert left["left_out"] == "S2"
    assert left["n_samples"] == 7
    constant = nc.spread_against_mean(rows.assign(edge_length_nm=5.0), of=["edge_length_nm"], weight=None).table.iloc[0]
    assert constant["refusal"]
    assert np.isnan(constant["slope"])


def test_a_sample_of_one_micrograph_is_left_out_without_a_warning():
    particles = particles_of([4.0, 5.0, 6.0, 7.0, 8.0], [0.4, 0.5, 0.6, 0.7, 0.8], particles=20)
    alone = particles[particles["micrograph"] == "0-0"].assign(sample="one")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = nc.spread_against_mean(pd.concat([particles, alone]), of=["edge_length_nm"], weight=None).table.iloc[0]
    assert (found["left_out"], found["refusal"]) == ("one", "")
