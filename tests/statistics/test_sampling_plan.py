"""Plans, against a search micrograph by micrograph and against populations that are drawn again and again."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nanocensus.errors import StatisticsError
from nanocensus.statistics.cells.cells import cells, size_bins
from nanocensus.statistics.sampling.planner import mean_error, micrograph_variance, micrographs_needed
from nanocensus.statistics.sampling.sampling_plan import FEWEST_TO_STOP, sampling_plan
from nanocensus.statistics.variance import intraclass
from nanocensus.statistics.variance.intraclass import MicrographSums

OF = ["edge_length_nm"]


def table(seed=0, micrographs=20, per=80, between=0.3):
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(micrographs), per)
    size = 5 + between * rng.standard_normal(micrographs)[of] + rng.standard_normal(len(of))
    return pd.DataFrame({"sample": "A", "micrograph": [f"{k:03d}" for k in of], "edge_length_nm": size.clip(0.1)})


MADE = cells(table(2), by=["sample"], of=OF, weight=None)


@pytest.mark.parametrize("level", [None, 0.9])
def test_the_smallest_number_of_micrographs_is_found(level):
    variance = np.array([0.01, 1.0, 7.3, 250.0])
    goal, m, share = np.full(4, 0.4), np.array([1.5, 100.0, 3.0, 40.0]), np.array([1.0, 1.0, 0.25, 0.5])
    for found, v, g, per, of in zip(
        micrographs_needed(variance, goal, m, share, level=level), variance, goal, m, share, strict=True
    ):
        numbers = np.arange(1.0, 20_000)
        t = 1.0 if level is None else stats.t.ppf((1 + level) / 2, np.maximum(of * numbers - 1, 1))
        enough = (t * np.sqrt(v / numbers) <= g) & (numbers * per >= 20) & (numbers * of >= 4)
        assert found == numbers[enough].min()


def test_the_error_of_a_mean_is_what_populations_show():
    # 4,000 means of 30 ragged micrographs: their standard deviation has a standard error of 1.1 %.
    rng = np.random.default_rng(1)
    n = rng.poisson(rng.gamma(4, 3, (30, 4000))).astype(float)
    means = (n * rng.standard_normal(n.shape) + np.sqrt(n) * 2 * rng.standard_normal(n.shape)).sum(0) / n.sum(0)
    crowd, m = np.array([(n**2).sum() / n.sum()]), np.array([n.mean()])
    one = np.ones(1)
    error = mean_error(30 * one, micrograph_variance(one, 4 * one, one, crowd, m), one, level=None)
    assert error.item() == pytest.approx(means.std(), rel=0.05)


def test_three_targets_agree_with_each_other():
    plans = {
        "standard_error": sampling_plan(MADE, standard_error=0.05),
        "cv": sampling_plan(MADE, cv=0.05 / float(sampling_plan(MADE, cv=1)["mean"].item())),
    }
    assert plans["standard_error"]["needed"].tolist() == plans["cv"]["needed"].tolist()
    wide = sampling_plan(MADE, half_width=0.05)
    assert wide["needed"].item() > 3.8 * plans["standard_error"]["needed"].item()  # 1.96 squared
    reached = plans["standard_error"]["reached"].item()
    assert sampling_plan(MADE, standard_error=reached * 1.0001)["needed"].item() == 20
    assert sampling_plan(MADE, standard_error=reached * 0.9999)["needed"].item() == 21


def test_particles_that_resemble_each_other_are_needed_in_larger_numbers():
    plan = sampling_plan(MADE, cv=0.01).iloc[0]
    assert plan["needed_particles"] == pytest.approx(80 * plan["needed"])
    assert plan["needed_particles"] > 4 * plan["independent_particles"]
    assert plan["needed_lower"] < plan["needed"] < plan["needed_upper"]


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({"half_width": 3.0}, "enough"),
        ({"half_width": 0.16}, r"likely enough, not certain: 0 to \d+ more"),
        ({"half_width": 0.1}, r"about \d+ more \(\d+ to \d+\)"),
        ({"half_width": 0.001}, r"out of reach: about [\d,]+ micrographs, more than 1,000"),
    ],
)
def test_advice_is_in_words(target, words):
    plan = sampling_plan(MADE, **target)
    assert plan["advice"].str.fullmatch(words).all(), plan["advice"].item()
    assert plan["enough"].item() == (words == "enough")


def test_what_is_at_hand_is_never_out_of_reach():
    plan = sampling_plan(MADE, half_width=0.16, at_most=10)
    assert plan["needed"].item() > 10
    assert plan["advice"].item() == "likely enough, not certain: 0 to 22 more"


def test_fewer_than_ten_clusters_are_never_enough():
    nine, ten = (
        cells(table(micrographs=n), by=["sample"], of=OF, weight=None) for n in (FEWEST_TO_STOP - 1, FEWEST_TO_STOP)
    )
    assert "go on" in sampling_plan(nine, half_width=2.0)["advice"].item()
    assert sampling_plan(ten, half_width=2.0)["advice"].item() == "enough"


def test_size_bins_are_planned_one_by_one_and_sparse_ones_cannot_be():
    plan = sampling_plan(cells(table(), by=["sample", size_bins(1.0)], of=OF, weight=None), half_width=0.05)
    assert {"size_bin", "size_left", "size_right"} <= set(plan.columns)
    sparse = plan["advice"].str.startswith("cannot be planned")
    assert sparse.any()
    assert (~sparse).sum() >= 4
    assert plan.loc[sparse, ["needed", "needed_upper"]].isna().all(axis=None)
    assert not plan.loc[sparse, "enough"].any()
    tails = plan[~sparse].sort_values("n")
    assert tails["needed"].iloc[0] > tails["needed"].iloc[-1]  # a rare size needs more micrographs than a common one


def test_micrographs_without_particles_are_needed_too():
    rows = table(2)
    index = pd.DataFrame({"sample": "A", "micrograph": [f"{k:03d}" for k in range(40)], "order": range(40)})
    half_empty = sampling_plan(cells(rows, index, by=["sample"], of=OF, weight=None), standard_error=0.05)
    assert half_empty["n_micrographs"].item() == 40
    assert half_empty["needed"].item() == pytest.approx(
        2 * sampling_plan(MADE, standard_error=0.05)["needed"].item(), rel=0.2
    )


def test_a_target_is_one_and_positive_and_of_a_column_that_is_there():
    for target in ({}, {"cv": 0.1, "half_width": 1.0}, {"cv": 0.0}, {"half_width": float("nan")}):
        with pytest.raises(StatisticsError, match="one target, positive"):
            sampling_plan(MADE, **target)
    with pytest.raises(StatisticsError, match="some of edge_length_nm"):
        sampling_plan(MADE, cv=0.1, of=["solidity"])
    with pytest.raises(StatisticsError, match="at least 1, got 0"):
        sampling_plan(MADE, cv=0.1, at_most=0)


def stopped(seed, runs, goal, rule, most=80):
    """Ask after every micrograph from the fourth on: when each run stops, whether its interval then holds the truth (0)."""
    rng = np.random.default_rng(seed)
    n = rng.poisson(rng.gamma(12, 40 / 12, (most, runs))).astype(float) + 1
    mean = np.sqrt(0.07) * rng.standard_normal(n.shape) + np.sqrt(0.93 / n) * rng.standard_normal(n.shape)
    squares = 0.93 * rng.chisquare(np.maximum(n - 1, 0.5))
    when, right = np.zeros(runs), np.zeros(runs, bool)
    for count in range(4, most + 1):
        own, means = n[:count], mean[:count]
        centre = (own * means).sum(0) / own.sum(0)
        sums = MicrographSums(own, own * (means - centre), squares[:count] + own * (means - centre) ** 2)
        made, one = intraclass.components(sums), np.ones(runs)
        between = made.between
        if rule == "upper":
            between = intraclass.ratio_interval(sums, np.arange(count), level=0.95)[1] * made.within
        crowd, m = (own**2).sum(0) / own.sum(0), own.mean(0)
        halves = [
            mean_error(count * one, micrograph_variance(sb2, made.within, one, crowd, m), one, level=0.95)
            for sb2 in (between, made.between)
        ]
        new = (when == 0) & (halves[0] <= goal) & (count >= (FEWEST_TO_STOP if rule == "upper" else 4))
        when[new], right[new] = count, (np.abs(centre) <= halves[1])[new]
    return when, right


def test_asking_after_every_micrograph_keeps_its_promise():
    # 500 runs: three standard errors of 95 % are 3 %. At the truth, 29 micrographs are needed.
    truth = micrographs_needed(
        np.array([0.07 * 1.1 + 0.93 / 41]), np.array([0.12]), np.array([41.0]), np.ones(1), level=0.95
    ).item()
    when, right = stopped(1, 500, 0.12, "upper")
    assert (when > 0).all()
    assert right.mean() >= 0.92
    assert (when >= truth - 1).mean() >= 0.9  # what was promised is so
    believed, _ = stopped(1, 500, 0.12, "estimate")
    assert (believed >= truth - 1).mean() < 0.75  # and would often not be, had the estimate been believed
