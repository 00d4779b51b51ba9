"""Variance components and their intervals, against slow analyses of variance and against planted truth."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanocensus.statistics.cells.cells import cells, size_bins
from nanocensus.statistics.variance import intraclass
from nanocensus.statistics.variance.components import variance_components
from nanocensus.statistics.variance.intraclass import MicrographSums


def slow_components(groups):
    """One-way analysis of variance, as the textbook has it."""
    groups = [group for group in groups if len(group)]
    everything = np.concatenate(groups)
    count, total = len(groups), len(everything)
    within = sum(((group - group.mean()) ** 2).sum() for group in groups) / (total - count)
    msb = sum(len(group) * (group.mean() - everything.mean()) ** 2 for group in groups) / (count - 1)
    size = (total - sum(len(group) ** 2 for group in groups) / total) / (count - 1)
    return (msb - within) / size, within, msb / within


def as_sums(groups):
    everything = np.concatenate(groups)
    centred = [group - everything.mean() for group in groups]
    parts = ([len(group), group.sum(), (group**2).sum()] for group in centred)
    return MicrographSums(*(np.array(part, np.float64)[:, None] for part in zip(*parts, strict=True)))


def draw_groups(seed, micrographs=12, mean=8.0):
    rng = np.random.default_rng(seed)
    return [
        0.5 * rng.standard_normal() + rng.standard_normal(max(n, 2 if i < 2 else 0))
        for i, n in enumerate(rng.poisson(mean, micrographs))
    ]


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(3, 15), st.sampled_from([1.5, 8.0]))
def test_components_are_those_of_the_textbook(seed, micrographs, mean):
    groups = draw_groups(seed, micrographs, mean)
    if sum(map(len, groups)) <= sum(len(group) > 0 for group in groups):
        return
    made = intraclass.components(as_sums(groups))
    between, within, _ = slow_components(groups)
    assert made.within.item() == pytest.approx(within, rel=1e-9)
    assert (made.ratio * made.within).item() == pytest.approx(between, rel=1e-6, abs=1e-12)
    assert made.between.item() == pytest.approx(max(between, 0.0), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("run", [1, 3])
def test_the_interval_is_the_jackknife_of_the_logarithm_of_f(run):
    from scipy import stats

    groups = draw_groups(5)
    whole = as_sums(groups)
    cluster = np.arange(12) // run
    lower, upper = intraclass.ratio_interval(whole, cluster, level=0.9)
    between, within, _ = slow_components(groups)
    size = intraclass.components(whole).pair_size.item()
    theta, count = np.log(1 + size * between / within), 12 // run
    pseudo = []
    for k in range(count):
        b, w, _ = slow_components([group for group, of in zip(groups, cluster, strict=True) if of != k])
        pseudo.append(count * theta - (count - 1) * np.log(max(1 + size * b / w, 1e-9)))
    reach = stats.t.ppf(0.95, count - 1) * np.std(pseudo, ddof=1) / np.sqrt(count)
    expected = [max(np.expm1(theta + sign * reach) / size, 0) for sign in (-1, 1)]
    assert [lower.item(), upper.item()] == pytest.approx(expected, rel=1e-9)


@settings(max_examples=20)
@given(st.integers(1, 700), st.integers(1, 120), st.lists(st.floats(0, 1), min_size=1, max_size=4), st.floats(0.1, 5))
def test_the_variance_of_a_sequence_is_the_mean_over_where_it_begins(n, size, gamma, within):
    gamma = np.array(gamma)
    expected = []
    for begin in range(size):
        of = (np.arange(n) + begin) // size
        apart = np.abs(of[:, None] - of)
        expected.append(within / n + np.where(apart < len(gamma), gamma[np.minimum(apart, len(gamma) - 1)], 0).mean())
    found = intraclass.mean_variance(np.array([float(n)]), float(size), gamma, within)
    # Particles are counted, not a continuum: the difference is that of a sum and an integral, below gamma / (3 n size).
    assert found.item() == pytest.approx(np.mean(expected), abs=(gamma.max() + 1e-9) / min(n, size) / max(n, size))


def draw_effects(rng, runs, micrographs, phi):
    effects = rng.standard_normal((micrographs, runs))
    for j in range(1, micrographs):
        effects[j] = phi * effects[j - 1] + np.sqrt(1 - phi**2) * effects[j]
    return effects


def simulate(seed, *, runs, micrographs, icc=0.07, phi=0.0, per=40.0):
    """Sums of normal particles about a true mean of 0, drawn without the particles; a column a run."""
    rng = np.random.default_rng(seed)
    n = np.maximum(rng.poisson(rng.gamma(12, per / 12, (micrographs, runs))), 1).astype(np.float64)
    mean = np.sqrt(icc) * draw_effects(rng, runs, micrographs, phi) + np.sqrt((1 - icc) / n) * rng.standard_normal(
        n.shape
    )
    squares = (1 - icc) * np.where(n > 1, rng.chisquare(np.maximum(n - 1, 0.5)), 0)
    centre = (n * mean).sum(0) / n.sum(0)
    return MicrographSums(n, n * (mean - centre), squares + n * (mean - centre) ** 2), centre


@pytest.mark.parametrize(("micrographs", "seed"), [(8, 1), (20, 2), (78, 3)])
def test_intervals_cover_the_intraclass_correlation(micrographs, seed):
    # 600 runs: a coverage of 94 % has a standard error of 1 %.
    sums, _ = simulate(seed, runs=600, micrographs=micrographs)
    lower, upper = intraclass.ratio_interval(sums, np.arange(micrographs), level=0.95)
    covered = ((lower <= 0.07 / 0.93) & (upper >= 0.07 / 0.93)).mean()
    assert 0.905 <= covered <= 0.98


def test_independent_neighbours_count_as_independent_and_alike_ones_do_not():
    for phi, least, most in (
        (0.0, 1.0, 1.25),
        (0.4, 1.8, 2.8),
    ):  # the long-run factor of AR(1) is (1 + phi) / (1 - phi)
        sums, _ = simulate(7, runs=300, micrographs=78, phi=phi, per=400.0)
        gamma = intraclass.autocovariances(sums, intraclass.components(sums))
        factor = 1 + 2 * gamma[1:].sum(0) / gamma[0]
        assert least <= factor.mean() <= most
        assert (np.diff(gamma, axis=0) <= 0).all()
        assert (gamma >= 0).all()


def test_runs_replace_single_micrographs_where_neighbours_are_alike():
    assert intraclass.runs(78, 0.5).max() + 1 == 11
    assert intraclass.runs(200, 0.5).max() + 1 == 20
    assert intraclass.runs(12, 0.9).max() + 1 == 12


def table(seed=0, micrographs=40, per=50):
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(micrographs), per)
    size = 5 + 0.3 * rng.standard_normal(micrographs)[of] + rng.standard_normal(len(of))
    return pd.DataFrame(
        {"sample": "A", "micrograph": [f"{k:03d}" for k in of], "edge_length_nm": size.clip(0.1), "border_weight": 1.0}
    )


def test_the_labelled_components_are_those_of_the_particles():
    rows = table()
    found = variance_components(cells(rows, by=["sample"], of=["edge_length_nm"])).squeeze()
    between, within, _ = slow_components(
        [group.to_numpy() for _, group in rows.groupby("micrograph")["edge_length_nm"]]
    )
    # Values are rounded to quanta of 2^-12 nm.
    assert float(found["between_variance"]) == pytest.approx(between, rel=1e-3)
    assert float(found["within_variance"]) == pytest.approx(within, rel=1e-4)
    assert float(found["variance"]) == pytest.approx(rows["edge_length_nm"].var(), rel=1e-4)
    icc = between / (between + within)
    assert float(found["icc"]) == pytest.approx(icc, rel=1e-3)
    factor = float(found["long_run_factor"])
    effect = (factor * between * 50 + within) / (between + within)
    assert float(found["design_effect"]) == pytest.approx(effect, rel=1e-3)
    assert float(found["effective_n"]) == pytest.approx(2000 / effect, rel=1e-3)
    for name in ("icc", "design_effect", "effective_n", "between_variance"):
        assert found[f"{name}_lower"] < found[name] < found[f"{name}_upper"], name


def test_weights_that_are_all_alike_change_nothing():
    rows = table()
    plain, heavy = (
        variance_components(cells(rows.assign(border_weight=weight), by=["sample"], of=["edge_length_nm"]))
        for weight in (1.0, 3.0)
    )
    for name in plain.data_vars:
        if plain[name].dtype.kind == "f":
            np.testing.assert_allclose(plain[name], heavy[name], rtol=1e-9, err_msg=name)


def test_the_order_of_acquisition_is_that_of_the_table_of_micrographs():
    rng = np.random.default_rng(3)
    rows = table(micrographs=60)
    drift = np.linspace(-1, 1, 60)  # in the order of acquisition, which the names hide
    names = rng.permutation(60)
    rows["edge_length_nm"] += drift[rows["micrograph"].astype(int)]
    rows["micrograph"] = [f"{names[int(k)]:03d}" for k in rows["micrograph"]]
    index = pd.DataFrame({"sample": "A", "micrograph": [f"{k:03d}" for k in names], "order": np.arange(60)})
    ordered, unordered = (
        variance_components(cells(rows, known, by=["sample"], of=["edge_length_nm"])).squeeze()
        for known in (index, None)
    )
    assert ordered["neighbour_correlation"] > 0.6
    assert unordered["neighbour_correlation"] < 0.4
    assert ordered["n_clusters"] == 10


def test_groups_are_left_out_whole_and_few_of_them_refuse():
    rows = table()
    index = rows[["sample", "micrograph"]].drop_duplicates().assign(group=lambda known: known["micrograph"].str[:2])
    made = cells(rows, index, by=["sample"], of=["edge_length_nm"])
    assert int(variance_components(made)["n_clusters"].item()) == 4
    few = variance_components(cells(rows, index.assign(group="one"), by=["sample"], of=["edge_length_nm"])).squeeze()
    assert "1 clusters" in str(few["refusal"].item())
    assert np.isnan(few["icc_upper"])
    assert np.isfinite(few["icc"])


def test_micrographs_of_a_group_count_as_alike_in_whatever_order_they_were_recorded():
    rng = np.random.default_rng(5)
    groups, each, particles = 15, 4, 30
    group = np.repeat(np.arange(groups), each)
    names = [f"m{number:03d}" for number in range(groups * each)]
    rows = pd.DataFrame({"sample": "A", "micrograph": np.repeat(names, particles)})
    rows["edge_length_nm"] = 5 + np.repeat(0.3 * rng.standard_normal(groups)[group], particles)
    rows["edge_length_nm"] += 0.5 * rng.standard_normal(len(rows))
    in_groups = np.arange(groups * each)
    in_turns = in_groups % each * groups + group
    found = []
    for order in (in_groups, in_turns):
        known = pd.DataFrame(
            {"sample": "A", "micrograph": names, "group": [f"g{k:02d}" for k in group], "order": order}
        )
        made = cells(rows, known, by=["sample"], of=["edge_length_nm"], weight=None)
        found.append(variance_components(made).squeeze())
    one, other = found
    assert one["long_run_factor"] > 3
    for name in ("long_run_factor", "long_run_factor_upper", "effective_n", "design_effect_upper"):
        np.testing.assert_allclose(one[name], other[name], rtol=1e-9)  # sums in another order
    mean_error = float(np.sqrt(other["variance"] / other["effective_n"]))
    assert mean_error == pytest.approx(np.sqrt((0.3**2 + 0.5**2 / (each * particles)) / groups), rel=0.4)
    assert other["neighbour_correlation"] < 0.5 < one["neighbour_correlation"]


def test_every_size_bin_has_components_and_sparse_ones_say_why_not():
    made = cells(table(), by=["sample", size_bins(1.0)], of=["edge_length_nm"])
    found = variance_components(made).squeeze()
    whole = found["refusal"] == ""
    assert whole.sum() >= 4
    assert np.isfinite(found["icc_upper"].where(whole, drop=True)).all()
    assert np.isnan(found["icc_upper"].where(~whole, drop=True)).all()
    assert (found["n"] > 0).any()
    assert (found["n_micrographs"] == 40).all()
