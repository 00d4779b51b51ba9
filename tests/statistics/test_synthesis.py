"""Models of samples' means by the conditions of their synthesis, against loops that fit one choice after the other."""

import itertools

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import nanocensus as nc
from nanocensus.errors import StatisticsError
from nanocensus.statistics.synthesis.design import Design, design_of
from nanocensus.statistics.synthesis.fit import cloud, judge_line, judge_power, permutation_p, power_prediction
from nanocensus.statistics.synthesis.power_models import (
    exponent_grid,
    line,
    line_interval,
    line_shares,
    line_terms,
    predicted,
    search,
    shares_explained,
)

COBALT = np.array([0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.6, 0.6, 0.6])
WATER = np.array([0.7] * 7 + [0.43, 0.6, 1.0])
LOGS = np.log(np.column_stack([COBALT, WATER]))
LOGS -= LOGS.mean(0)
GRID = exponent_grid(2)
CONDITION = np.arange(len(COBALT))


def residuals_of(logs, exponents, values):
    """Give what a product of powers leaves, by least squares."""
    terms = np.column_stack([np.ones(len(values)), np.prod(np.exp(logs) ** exponents, axis=1)])
    return values - terms @ np.linalg.lstsq(terms, values, rcond=None)[0]


def clustered_means(rng, truth, *, between=0.0, clusters=30, shift=0.3, replicates=199):
    """Give means of clusters about a truth that syntheses scatter about, and deviations of their resamples."""
    centre = truth + between * rng.standard_normal(len(truth))
    drawn = centre[:, None] + shift * rng.standard_normal((len(truth), clusters))
    means = drawn.mean(1)
    counts = rng.multinomial(clusters - 1, np.full(clusters, 1 / clusters), (replicates, len(truth)))
    return means, (counts * drawn).sum(-1) / (clusters - 1) - means


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 2), st.integers(6, 10))
def test_the_search_is_that_of_a_loop_over_least_squares(seed, conditions, samples):
    rng = np.random.default_rng(seed)
    logs = rng.uniform(-1, 1, (samples, conditions))
    values = rng.normal(5, 1, samples)
    grid = exponent_grid(conditions, largest=2.0)
    left = np.array([(residuals_of(logs, exponents, values) ** 2).sum() for exponents in grid])
    r2 = 1 - left / ((values - values.mean()) ** 2).sum()
    np.testing.assert_allclose(shares_explained(logs, grid, values), r2, atol=1e-9)
    found = search(logs, grid, values)
    assert float(found.r2) == pytest.approx(r2.max(), abs=1e-9)
    np.testing.assert_allclose(
        predicted(found, logs, grid), values - residuals_of(logs, grid[found.choice], values), atol=1e-8
    )


def test_q2_and_left_out_predictions_are_those_of_a_loop():
    rng = np.random.default_rng(3)
    means, deviations = clustered_means(rng, 4 + 3.5 * COBALT / np.sqrt(WATER), between=0.3)
    verdict = judge_power(means, deviations, LOGS, CONDITION, GRID, level=0.95, permutations=99, rng=rng)
    said, others = [], []
    for left in range(len(means)):
        kept = np.delete(np.arange(len(means)), left)
        best = min(GRID, key=lambda e, kept=kept: (residuals_of(LOGS[kept], e, means[kept]) ** 2).sum())
        powers = np.prod(np.exp(LOGS) ** best, axis=1)
        factor, offset = np.polyfit(powers[kept], means[kept], 1)
        said.append(offset + factor * powers[left])
        others.append(means[kept].mean())
    np.testing.assert_allclose(verdict.left_out.middle, said, rtol=1e-6)
    skill = 1 - ((means - said) ** 2).sum() / ((means - others) ** 2).sum()
    assert verdict.q2 == pytest.approx(skill, abs=1e-6)


def test_samples_of_equal_conditions_are_left_out_together():
    logs, condition = np.vstack([LOGS, LOGS[:1]]), np.append(CONDITION, 0)
    means = np.append(np.arange(10.0) ** 1.5, 7.0)
    verdict = judge_line(means, np.ones(11), logs, condition, level=0.95, permutations=99, rng=np.random.default_rng(0))
    fitted = line(logs[1:10], means[1:10])
    expected = line_terms(logs[:1]) @ fitted.coefficients
    np.testing.assert_allclose(verdict.left_out.middle[[0, 10]], np.repeat(expected, 2))


def test_the_line_and_its_intervals_are_those_of_a_textbook():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-1, 1, 8), rng.standard_normal(8)
    book = stats.linregress(x, y)
    fitted = line(x[:, None], y)
    assert fitted.coefficients[1] == pytest.approx(book.slope)
    lower, upper = line_interval(fitted, np.array([[0.0, 1.0]]), level=0.9, new=False)
    reach = stats.t.ppf(0.95, 6) * book.stderr
    np.testing.assert_allclose([lower[0], upper[0]], [book.slope - reach, book.slope + reach])
    lower, upper = line_interval(fitted, np.array([[1.0, 0.5]]), level=0.9, new=True)
    s2 = ((y - book.intercept - book.slope * x) ** 2).sum() / 6
    square = s2 * (1 + 1 / 8 + (0.5 - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum())
    assert (upper[0] - lower[0]) / 2 == pytest.approx(stats.t.ppf(0.95, 6) * np.sqrt(square))
    assert line_shares(x[:, None], y) == pytest.approx(book.rvalue**2)


def test_the_confidence_set_is_that_of_the_f_test_of_every_choice():
    rng = np.random.default_rng(1)
    means, deviations = clustered_means(rng, 4 + 3.5 * COBALT / np.sqrt(WATER), between=0.3)
    left = np.array([(residuals_of(LOGS, exponents, means) ** 2).sum() for exponents in GRID])
    f = (left - left.min()) / 2 / (left.min() / (len(means) - 4))
    seen = cloud(means, deviations, LOGS, GRID, level=0.9, rng=rng)
    np.testing.assert_array_equal(seen.inside, f <= stats.f.ppf(0.9, 2, len(means) - 4))
    assert seen.share.sum() == pytest.approx(1.0)


def test_p_of_few_samples_is_the_share_of_all_orders():
    means = np.random.default_rng(0).standard_normal(6)
    logs = LOGS[:6, :1]
    grid = exponent_grid(1)

    def best(values):
        return shares_explained(logs, grid, values).max(-1)

    orders = [best(means[list(order)]) for order in itertools.permutations(range(6))]
    expected = np.mean(np.array(orders) >= best(means) - 1e-12)
    assert permutation_p(means, np.ones(6), best, 1000, np.random.default_rng(0)) == pytest.approx(expected)
    assert permutation_p(means, np.ones(6), best, 700, np.random.default_rng(0)) == pytest.approx(expected, abs=0.06)


def test_exponents_do_not_depend_on_the_units_of_conditions():
    rng = np.random.default_rng(5)
    means, _ = clustered_means(rng, 4 + 3.5 * COBALT / np.sqrt(WATER))
    shifted = LOGS + np.log([1000.0, 60.0])
    assert search(shifted, GRID, means).choice == search(LOGS, GRID, means).choice


RUNS = 100


@pytest.mark.parametrize(("between", "clusters"), [(0.3, [30]), (0.0, [6, 20, 20, 60, 60, 20, 6, 20, 60, 20])])
def test_p_is_uniform_where_means_have_nothing_to_do_with_conditions(between, clusters):
    found = []
    for seed in range(RUNS):
        rng = np.random.default_rng([7, seed])
        parts = [
            clustered_means(rng, np.full(10 // len(clusters), 6.0), between=between, clusters=count)
            for count in clusters
        ]
        means, variances = np.concatenate([m for m, _ in parts]), np.concatenate([(d**2).mean(0) for _, d in parts])
        found.append(
            permutation_p(means, variances, lambda values: shares_explained(LOGS, GRID, values).max(-1), 199, rng)
        )
    # Uniform on 1/200, ..., 1: spread evenly within the steps it is uniform on (0, 1). One seeded draw.
    spread = np.array(found) - np.random.default_rng(0).uniform(0, 1 / 200, RUNS)
    assert stats.kstest(spread, "uniform").pvalue > 0.01
    assert stats.binomtest(int((np.array(found) <= 0.05).sum()), RUNS, 0.05).pvalue > 0.01


@pytest.mark.parametrize("between", [0.0, 0.2])
def test_planted_exponents_are_in_the_set_and_a_new_synthesis_in_its_interval(between):
    truth = 4 + 3.5 * COBALT / np.sqrt(WATER)
    planted = int(np.flatnonzero((GRID == [1.0, -0.5]).all(1))[0])
    new = np.log([[0.45, 0.65]]) - np.log(np.column_stack([COBALT, WATER])).mean(0)
    inside = held = 0
    for seed in range(RUNS):
        rng = np.random.default_rng([11, seed])
        means, deviations = clustered_means(rng, truth, between=between, replicates=99)
        inside += int(cloud(means, deviations, LOGS, GRID, level=0.95, rng=rng).inside[planted])
        said = power_prediction(means, deviations, LOGS, new, GRID, level=0.95, rng=rng)
        measured = clustered_means(rng, np.array([4 + 3.5 * 0.45 / np.sqrt(0.65)]), between=between, replicates=2)[0]
        held += int(said.lower[0] <= measured[0] <= said.upper[0])
    # 95 % and more (benchmarks/results/synthesis.md); fewer than 90 of 100 have a chance of 1 % at 95 %, and the draw is fixed.
    assert inside >= 90
    assert held >= 90


def particles_of(cobalt, water, *, micrographs=6, particles=30, seed=0, constant=False):
    rng = np.random.default_rng(seed)
    rows, index = [], []
    for number, (co, dw) in enumerate(zip(cobalt, water, strict=True)):
        sample = f"S{number:02d}"
        for one in range(micrographs):
            name = f"{sample}-{one}"
            index.append({"sample": sample, "micrograph": name, "condition_Co": co, "condition_water": dw})
            middle = 5.0 if constant else 4 + 3.5 * co / np.sqrt(dw) + 0.05 * rng.standard_normal()
            scatter = 0.0 if constant else 0.3
            rows.append(pd.DataFrame({"sample": sample, "micrograph": name,
                                      "edge_length_nm": middle + scatter * rng.standard_normal(particles)}))  # fmt: skip
    return pd.concat(rows, ignore_index=True), pd.DataFrame(index)


OPTIONS = {"of": ["edge_length_nm"], "weight": None, "replicates": 99, "permutations": 199}


def test_a_table_of_particles_is_modelled_with_everything_by_name():
    particles, micrographs = particles_of(COBALT, WATER)
    unseen = {"both": {"Co": 0.2, "water": 0.43}, "far": {"condition_Co": 2.0, "condition_water": 0.7}}
    made = nc.synthesis_model(particles, micrographs, unseen=unseen, **OPTIONS)
    power, straight = made.models.to_dict("records")
    assert power["formula"].endswith("Co^1 water^-0.5")
    assert float(power["formula"].split(" + ")[1].split()[0]) == pytest.approx(3.5, rel=0.1)
    assert power["r2"] > 0.98
    assert power["q2"] > 0.95
    assert power["p"] == 1 / 200
    assert straight["q2"] < power["q2"]
    assert 0 < power["sampling_sd"] < 0.05
    exponents = made.coefficients[made.coefficients["model"] == power["model"]].set_index("condition")
    assert (exponents["lower"] <= [1.0, -0.5]).all()
    assert (exponents["upper"] >= [1.0, -0.5]).all()
    told = made.predictions.set_index(["model", "sample"])
    assert set(told["kind"]) == {"left out", "unseen"}
    assert len(told) == 2 * 12
    both = told.loc[(power["model"], "both")]
    assert both["lower"] < 4 + 3.5 * 0.2 / np.sqrt(0.43) < both["upper"]
    assert np.isnan(both["observed"])
    assert both["outside"] == "no sample is near this combination"
    assert told.loc[(power["model"], "far"), "outside"] == "Co outside 0.2 to 0.8"
    means = nc.sample_statistics(particles, micrographs, of=["edge_length_nm"], weight=None)["estimate"]
    expected = means.sel(statistic="mean", descriptor="edge_length_nm", sample="S03").item()
    assert told.loc[(power["model"], "S03"), "observed"] == pytest.approx(expected)
    assert "varied one at a time" in made.notes[0]


def test_the_order_of_rows_and_partitions_does_not_show():
    particles, micrographs = particles_of(COBALT, WATER, particles=5)
    one = nc.synthesis_model(particles, micrographs, **OPTIONS)
    shuffled = dd.from_pandas(particles.sample(frac=1, random_state=0).reset_index(drop=True), npartitions=3)
    other = nc.synthesis_model(shuffled, micrographs[::-1], **OPTIONS)
    for name in ("models", "coefficients", "exponents", "predictions"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop(columns=["condition_Co", "condition_water"]), "got none"),
        (lambda rows: rows.assign(condition_Co=rows["condition_Co"].where(rows["sample"] != "S04")), "S04"),
        (lambda rows: rows.assign(condition_Co=rows["condition_Co"] - 0.5), "positive number"),
        (lambda rows: rows.assign(condition_Co=np.linspace(1, 2, len(rows))), "several in S00"),
        (lambda rows: rows.assign(condition_a=rows["condition_Co"], condition_b=rows["condition_Co"]), "at most 3"),
        (lambda rows: rows.assign(condition_Co="high", condition_water="low"), "numbers that differ"),
    ],
)
def test_conditions_that_cannot_be_used_are_refused(change, message):
    particles, micrographs = particles_of(COBALT, WATER, micrographs=4, particles=5)
    with pytest.raises(StatisticsError, match=message):
        nc.synthesis_model(particles, change(micrographs), **OPTIONS)


@pytest.mark.parametrize(("samples", "found"), [(slice(0, 1), "got none"), (slice(2, 7), "5 different conditions")])
def test_too_few_conditions_are_refused_with_what_is_missing(samples, found):
    particles, micrographs = particles_of(COBALT[samples], WATER[samples] + 0.01 * np.arange(10)[samples], particles=5)
    with pytest.raises(StatisticsError, match=found):
        nc.synthesis_model(particles, micrographs, **OPTIONS)


@pytest.mark.parametrize("stated", [{"Co": 0.3}, {"Co": 0.3, "water": np.inf}])
def test_a_condition_to_predict_that_is_unknown_or_infinite_is_refused(stated):
    particles, micrographs = particles_of(COBALT, WATER, micrographs=4, particles=5)
    with pytest.raises(StatisticsError, match="positive number for Co, water"):
        nc.synthesis_model(particles, micrographs, unseen={"x": stated}, **OPTIONS)


def test_means_without_an_interval_are_left_out_by_name_until_too_few_remain():
    particles, micrographs = particles_of(COBALT, WATER)
    few = micrographs[~micrographs["micrograph"].isin([f"S02-{i}" for i in (3, 4, 5)])]
    particles = particles[particles["micrograph"].isin(few["micrograph"])]
    made = nc.synthesis_model(particles, few, **OPTIONS)
    assert made.models["n_samples"].tolist() == [9, 9]
    assert made.notes[-1] == "Left out, since their mean edge_length_nm has no interval: S02."
    particles, micrographs = particles_of(COBALT, WATER, micrographs=3)
    made = nc.synthesis_model(particles, micrographs, **OPTIONS)
    assert made.models["refusal"].str.contains("0 different conditions").all()
    assert made.models[["r2", "q2", "p"]].isna().all(axis=None)
    assert made.predictions.empty


def test_constant_means_are_refused():
    particles, micrographs = particles_of(COBALT, WATER, constant=True)
    made = nc.synthesis_model(particles, micrographs, **OPTIONS)
    assert made.models["refusal"].tolist() == ["the means of all samples are the same"] * 2


def design(cobalt, water):
    values = np.column_stack([cobalt, water])
    return Design(tuple(f"S{i}" for i in range(len(values))), ("Co", "water"), values)


def test_notes_say_what_a_design_cannot_tell():
    assert "varied one at a time" in " ".join(design(COBALT, WATER).notes())
    factorial = np.array(list(itertools.product([0.2, 0.4, 0.8], [0.4, 0.7, 1.0])))
    assert design(*factorial.T).notes() == ()
    together = design(COBALT, COBALT * np.linspace(1, 1.1, 10)).notes()
    assert "changed together" in together[0]
    one_more = design(np.append(COBALT, 0.3), np.append(WATER, 0.43)).notes()
    assert one_more == ("Whether Co and water act as a product or as a sum is told by S10 alone.",)


def test_a_sum_of_powers_fits_a_cross_exactly_as_well_as_a_product():
    product = 4 + 3.5 * COBALT / np.sqrt(WATER)
    terms = np.column_stack([np.ones(10), COBALT, WATER**-0.5])
    left = product - terms @ np.linalg.lstsq(terms, product, rcond=None)[0]
    assert np.abs(left).max() < 1e-12


def test_conditions_are_read_by_name_in_the_order_of_samples():
    _, micrographs = particles_of(COBALT, WATER)
    found = design_of(micrographs[::-1], ["water"])
    assert found.samples == tuple(f"S{i:02d}" for i in range(10))
    np.testing.assert_array_equal(found.values[:, 0], WATER)
    assert design_of(micrographs).names == ("Co", "water")
