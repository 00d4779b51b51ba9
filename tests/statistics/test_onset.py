"""Onset sizes: the fit against least squares, intervals against planted bends, refusals."""

import numpy as np
import pandas as pd
import pytest

from nanocensus.errors import StatisticsError
from nanocensus.simulate.growth import Growth
from nanocensus.simulate.population_spec import PopulationSpec, SampleSpec
from nanocensus.simulate.populations import simulate_population
from nanocensus.statistics.cells.cells import cells, size_bins
from nanocensus.statistics.estimation.heterogeneity import heterogeneity
from nanocensus.statistics.onsets.existence import bend_p_value, null_scores
from nanocensus.statistics.onsets.fit import Bends, bent, explained, explained_beside, fitted, profile, refined
from nanocensus.statistics.onsets.intervals import cluster_weights, locate
from nanocensus.statistics.onsets.onset import onsets, tried_bends
from nanocensus.statistics.onsets.samples import JOINT

RANGE = (2.6, 7.6)


def curved(rng, curve, *, name="A", clusters=14, per=900, noise=0.03):
    """Draw one sample whose descriptor follows a curve of size, and give what is fitted."""
    size = rng.uniform(*RANGE, (clusters, per))
    y = curve(size) + 0.008 * rng.standard_normal((clusters, 1)) + noise * rng.standard_normal((clusters, per))
    bins = round((RANGE[1] - RANGE[0]) / 0.1)
    cell = np.floor((size - RANGE[0]) / 0.1).astype(int) + bins * np.arange(clusters)[:, None]
    n, x, first, second = (np.bincount(cell.ravel(), w.ravel(), clusters * bins).reshape(clusters, bins)
                           for w in (np.ones_like(y), size, y, y**2))  # fmt: skip
    total = n.sum(0)
    return profile(name, x.sum(0) / total, n, first, second.sum(0) / total - (first.sum(0) / total) ** 2)


def kink(at, slope=-0.02):
    return lambda size: 0.9 + slope * np.maximum(size - at, 0)


def spec(**changes):
    growth = Growth(0.025, 0.01, circularity=0.90, solidity=0.985)
    names = changes.pop("names", ("A", "B", "C"))
    facts = {"n_particles": 16_000, "n_micrographs": 16, "median_edge_length_nm": 5.2, "log_sd": 0.25} | changes
    return PopulationSpec(tuple(SampleSpec(name, growth=growth, **facts) for name in names))


@pytest.fixture(scope="module")
def population():
    return simulate_population(spec(), seed=5)


@pytest.fixture(scope="module")
def found(population):
    return onsets(population.particles, population.micrographs, between_nm=RANGE, replicates=299)


def row(made, sample, bend="onset"):
    table = made.table
    return table[(table["sample"] == sample) & (table["bend"] == bend)].iloc[0]


def test_the_gain_of_a_bend_is_that_of_weighted_least_squares():
    sample = curved(np.random.default_rng(1), kink(4.5), clusters=5, per=400)
    bends = Bends(np.array([4.0, 4.5, 5.0]), np.array([0.0, 0.6]))
    weights = np.vstack([np.ones(5), cluster_weights(5, 2, 0, "a")[1:]])
    fast = explained(sample, bends, weights)
    clusters, bins = sample.precision.shape
    for r, weight in enumerate(weights):
        root = np.sqrt(sample.precision * weight[:, None]).ravel()
        there = root > 0
        y = np.divide(
            sample.value, sample.precision, where=sample.precision > 0, out=np.zeros((clusters, bins))
        ).ravel()

        def rest(*columns, root=root, there=there, y=y):
            design = np.stack([np.repeat(np.eye(clusters), bins, axis=1)[j] for j in range(clusters)] + list(columns))
            a, b = (design * root).T[there], (y * root)[there]
            return float(((b - a @ np.linalg.lstsq(a, b, rcond=None)[0]) ** 2).sum())

        x = np.tile(sample.size, clusters)
        for h, half in enumerate(bends.half_width.tolist()):
            for k, place in enumerate(bends.place.tolist()):
                q = np.tile(bent(sample.size - place, half), clusters)
                np.testing.assert_allclose(fast[r, h, k], rest(x) - rest(x, q), rtol=1e-6, atol=1e-6)


def test_the_gain_beside_known_curves_is_that_of_the_sample_without_them():
    rng = np.random.default_rng(3)
    sample, bends = curved(rng, kink(4.5), clusters=5, per=400), tried_bends(RANGE)
    curves = np.vstack([np.zeros(len(sample.size)), 0.01 * rng.standard_normal((3, len(sample.size)))])
    found = explained_beside(sample, bends, curves)
    for curve, gain in zip(curves, found, strict=True):
        alone = explained(sample._replace(value=sample.value - sample.precision * curve), bends, np.ones((1, 5)))[0]
        np.testing.assert_allclose(gain, alone, rtol=1e-7, atol=1e-7 * alone.max())


def test_without_noise_the_bend_and_the_curve_are_found():
    def curve(size):
        return 0.9 - 0.02 * bent(size - 4.83, 0.3)

    size = np.arange(2.65, 7.6, 0.1)
    weight = np.full((3, len(size)), 50.0)
    sample = profile("A", size, weight, weight * curve(size), np.full(len(size), 1e-4))
    bends = Bends(np.arange(3.2, 7.0, 0.05), np.array([0.0, 0.3]))
    gains = explained(sample, bends, np.ones((1, 3)))
    assert gains.max(2).argmax(1)[0] == 1
    assert refined(gains[:, 1], bends.place)[0] == pytest.approx(4.83, abs=0.003)  # a parabola through three places
    drawn = fitted(sample, 4.83, 0.3)
    np.testing.assert_allclose(drawn - drawn[0], curve(size) - curve(size)[0], atol=1e-12)


def test_weights_of_replicates_depend_on_seed_and_sample_alone():
    one = cluster_weights(12, 50, 7, "Co0.4")
    np.testing.assert_array_equal(one, cluster_weights(12, 50, 7, "Co0.4"))
    assert not np.array_equal(one, cluster_weights(12, 50, 7, "Co0.6"))
    np.testing.assert_allclose(one.sum(1), 12)


def test_random_signs_have_the_scores_of_a_fit_by_least_squares():
    sample = curved(np.random.default_rng(3), kink(4.5), clusters=6, per=500)
    bends = Bends(np.array([4.5, 5.0]), np.array([0.0]))
    clusters, bins = sample.precision.shape
    dummies = np.repeat(np.eye(clusters), bins, axis=1)
    x = np.tile((sample.size - sample.size.mean()) / np.ptp(sample.size), clusters)
    design = np.vstack([dummies, *(x**power for power in (1, 2, 3, 4))])
    w = sample.precision.ravel()
    y = np.divide(sample.value.ravel(), w, where=w > 0, out=np.zeros_like(w))

    def left(values):
        root = np.sqrt(w)
        return values - design.T @ np.linalg.lstsq((design * root).T, values * root, rcond=None)[0]

    for k, column in enumerate(bends.columns(sample.size)):
        slow = (w * left(y) * left(np.tile(column, clusters))).reshape(clusters, bins).sum(1)
        # The fast way leaves out how the clusters' intercepts share in the projection: they are its own, so nothing.
        np.testing.assert_allclose(null_scores(sample, bends)[:, k], slow, rtol=1e-5, atol=1e-7 * np.abs(slow).max())


def test_samples_that_bend_at_different_sizes_are_found_and_their_mean_is_given():
    rng = np.random.default_rng(8)
    places = (4.2, 4.5, 4.8, 5.1, 5.4)
    samples = [curved(rng, kink(place), name=str(place)) for place in places]
    weights = [cluster_weights(14, 299, 1, sample.name) for sample in samples]
    joint, each, differences = locate(samples, tried_bends(RANGE), weights, 0.95)
    assert differences is not None
    assert differences.p < 1e-3
    assert joint.method.startswith("mean over samples")
    # SD 0.47 over five samples: t with 4 degrees of freedom gives 4.8 +- 0.59.
    assert joint.lower < 4.8 < joint.upper
    assert 0.7 < joint.upper - joint.lower < 1.9
    assert sum(place.lower < true < place.upper for place, true in zip(each, places, strict=True)) >= 4


def test_equal_places_do_not_differ():
    assert heterogeneity(np.array([4.3, 4.31, 4.29, 4.3]), np.full(4, 0.02**2)).sd == 0.0


SMOOTH = {
    "line": lambda x: 0.9 - 0.01 * x,
    "parabola": lambda x: 0.9 - 0.004 * (x - 2) ** 2,
    "inverse": lambda x: 0.7 + 0.3 / x,
}


@pytest.mark.parametrize("curve", SMOOTH.values(), ids=SMOOTH)
def test_smooth_curves_alarm_seldom(curve):
    alarms = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        samples = [curved(rng, curve, name=name) for name in "AB"]
        alarms += bend_p_value(samples, tried_bends(RANGE), replicates=99, seed=seed, purpose="test") < 0.05
    assert alarms <= 8  # at 7 % more than 8 of 40 is a chance of 1 in 1,000


def test_intervals_of_planted_kinks_cover_them():
    covered, widths = 0, []
    for seed in range(40):
        rng = np.random.default_rng([77, seed])
        samples = [curved(rng, kink(4.6), name=name, per=500) for name in "ABC"]
        weights = [cluster_weights(14, 199, seed, sample.name) for sample in samples]
        joint, _, _ = locate(samples, tried_bends(RANGE), weights, 0.95)
        covered += joint.lower <= 4.6 <= joint.upper
        widths.append(joint.upper - joint.lower)
    assert covered >= 32  # at 93 % fewer than 32 of 40 is a chance of 1 in 600
    assert np.mean(widths) < 0.5


def test_planted_onsets_are_found_by_the_way_of_users(found):
    joint = row(found, JOINT)
    assert joint["refusal"] == ""
    assert abs(joint["estimate_nm"] - 4.3) < 0.15  # four standard errors of this population
    assert joint["upper_nm"] - joint["lower_nm"] < 0.3
    assert found.sentences == [
        f"onset of circularity, all samples: {joint['estimate_nm']:.2f} nm [{joint['lower_nm']:.2f}, {joint['upper_nm']:.2f}]."
    ]
    assert set(found.curves["sample"]) == {"A", "B", "C"}
    assert found.table["sample"].str.startswith("paper's reading").sum() == 2


def test_cells_give_what_particles_give_in_any_order(population, found):
    shuffled = population.particles.sample(frac=1, random_state=2)
    made = cells(shuffled, population.micrographs, by=["sample", size_bins(0.1)], of=["circularity", "edge_length_nm"])
    again = onsets(made, between_nm=RANGE, replicates=299)
    pd.testing.assert_frame_equal(found.table, again.table)


def test_a_sample_alone_has_its_own_onset_and_no_joint_one(population):
    one = population.particles[population.particles["sample"] == "A"]
    made = onsets(
        one, population.micrographs[population.micrographs["sample"] == "A"], between_nm=RANGE, replicates=199
    )
    assert row(made, "A")["lower_nm"] < 4.3 < row(made, "A")["upper_nm"]
    assert "needs 2" in row(made, JOINT)["refusal"]
    assert made.sentences[0].startswith("onset of circularity, A: 4")


def numbers(made):
    ours = made.table[~made.table["sample"].str.startswith("paper's")]
    return ours[["estimate_nm", "lower_nm", "upper_nm"]].to_numpy(float)


def test_three_micrographs_are_refused_with_what_is_missing(population):
    first = population.micrographs.groupby("sample").head(3)
    kept = population.particles[population.particles["micrograph"].isin(list(first["micrograph"]))]
    made = onsets(kept, first, between_nm=RANGE)
    assert "particles in 3 clusters: an interval needs 10" in row(made, "A")["refusal"]
    assert np.isnan(numbers(made)).all()


def test_few_bins_are_refused_with_what_is_missing(population):
    narrow = population.particles[population.particles["edge_length_nm"].between(4.01, 4.29)]
    made = onsets(narrow, population.micrographs, between_nm=RANGE)
    assert "bins of 0.1 nm with 20 particles: a bend needs 12" in row(made, "A")["refusal"]
    assert np.isnan(numbers(made)).all()


def test_a_constant_descriptor_is_refused(population):
    made = onsets(population.particles.assign(circularity=0.9), population.micrographs, between_nm=RANGE)
    assert row(made, "A")["refusal"] == "circularity does not vary"
    assert np.isnan(numbers(made)).all()


def test_a_line_gets_a_sentence_and_no_number(population):
    rng = np.random.default_rng(4)
    rows = population.particles
    line = 0.9 - 0.01 * (rows["edge_length_nm"] - 5) + 0.02 * rng.standard_normal(len(rows))
    made = onsets(rows.assign(circularity=line.clip(0, 1)), population.micrographs, between_nm=RANGE, replicates=199)
    assert "a smooth curve explains as much" in made.sentences[0]
    assert np.isnan(numbers(made)).all()


def test_ranges_and_cells_that_make_no_sense_are_refused(population):
    with pytest.raises(StatisticsError, match="range of the onset"):
        onsets(population.particles, between_nm=(5.0, 5.5))
    wide = cells(population.particles, by=["sample", size_bins(0.2)], of=["circularity", "edge_length_nm"])
    with pytest.raises(StatisticsError, match="cells of onsets"):
        onsets(wide, between_nm=RANGE)
    with pytest.raises(StatisticsError, match="replicates"):
        onsets(wide, between_nm=RANGE, replicates=3)


def curve(rows, course):
    """The particles with a descriptor that follows a course of size, and noise."""
    noise = 0.02 * np.random.default_rng(6).standard_normal(len(rows))
    return rows.assign(circularity=(course(rows["edge_length_nm"].to_numpy()) + noise).clip(0, 2))


def test_a_bend_that_constant_shapes_show_too_is_none_of_the_excess(population):
    size = np.arange(2.0, 8.05, 0.1)
    rows = curve(population.particles, kink(4.6))
    raw = onsets(rows, population.micrographs, between_nm=RANGE, replicates=199)
    assert 4.4 < row(raw, JOINT)["estimate_nm"] < 4.8
    assert not raw.table["excess"].any()
    envelope = pd.DataFrame({"size_nm": size, "value": kink(4.6)(size)})
    made = onsets(rows, population.micrographs, between_nm=RANGE, replicates=199, baseline=envelope)
    assert np.isnan(numbers(made)).all()
    assert made.sentences[0].startswith("onset of the excess of circularity over its baseline, all samples: none")
    paper = made.table["sample"].str.startswith("paper's")
    assert made.table["excess"].tolist() == (~paper).tolist()
    pd.testing.assert_frame_equal(made.table[paper], raw.table[paper])  # the paper reads the means as they are
    # The mean of a bin loses the baseline at the bin's mean size.
    np.testing.assert_allclose(
        made.curves["mean"], raw.curves["mean"] - np.interp(raw.curves["size_nm"], size, envelope["value"])
    )


def test_a_bend_that_constant_shapes_hide_is_found_in_the_excess(population):
    size = np.arange(2.0, 8.05, 0.1)
    rows = curve(population.particles, lambda x: kink(4.6)(x) + kink(6.0)(x) - kink(3.6)(x))
    envelope = pd.DataFrame({"size_nm": size, "value": kink(6.0)(size) - kink(3.6)(size)})
    made = onsets(rows, population.micrographs, between_nm=RANGE, replicates=199, baseline=envelope)
    assert row(made, JOINT)["lower_nm"] < 4.6 < row(made, JOINT)["upper_nm"]


@pytest.mark.parametrize(
    ("size", "value", "words"),
    [
        ([3.0, 9.0], [0.9, 0.8], "one from 3 to 9 nm"),
        ([2.0, 7.0], [0.9, 0.8], "one from 2 to 7 nm"),
        ([2.0, 9.0, 8.0], [0.9, 0.8, 0.8], "sizes increasing"),
        ([2.0, 9.0], [0.9, np.nan], "rows of numbers"),
    ],
)
def test_a_baseline_that_does_not_cover_the_range_is_refused(population, size, value, words):
    with pytest.raises(StatisticsError, match=words):
        onsets(population.particles, between_nm=RANGE, baseline=pd.DataFrame({"size_nm": size, "value": value}))


def test_a_baseline_without_its_columns_is_refused(population):
    with pytest.raises(StatisticsError, match="none named value"):
        onsets(population.particles, between_nm=RANGE, baseline=pd.DataFrame({"size_nm": [2.0, 9.0]}))


def test_each_sample_loses_a_baseline_of_its_own(population):
    """The samples bend at different sizes by what is known of each; what is left of both bends at 4.6 nm."""
    size, own = np.arange(2.0, 8.05, 0.1), {"A": 3.6, "B": 6.2, "C": 5.5}
    parts, known = [], []
    for name, bend in own.items():
        rows = population.particles[population.particles["sample"] == "A"].assign(sample=name)
        parts.append(curve(rows, lambda x, bend=bend: kink(4.6)(x) + kink(bend, -0.04)(x)))
        known.append(pd.DataFrame({"sample": name, "size_nm": size, "value": kink(bend, -0.04)(size)}))
    rows, baseline = pd.concat(parts, ignore_index=True), pd.concat(known, ignore_index=True)
    made = onsets(rows, between_nm=RANGE, replicates=199, baseline=baseline)
    assert row(made, JOINT)["lower_nm"] < 4.6 < row(made, JOINT)["upper_nm"]
    assert row(made, JOINT)["q_p"] > 0.01
    for name in own:
        alone = onsets(rows[rows["sample"] == name], between_nm=RANGE, replicates=199,
                       baseline=baseline.query("sample == @name")[["size_nm", "value"]])  # fmt: skip
        ours = made.curves.query("sample == @name").reset_index(drop=True)
        np.testing.assert_array_equal(ours["mean"], alone.curves["mean"])
    with pytest.raises(StatisticsError, match="expected rows of C, got those of A, B"):
        onsets(rows, between_nm=RANGE, baseline=baseline.query("sample != 'C'"))
