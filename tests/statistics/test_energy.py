"""Energy distances on a grid against all pairs of particles, and the level of their test on clustered samples."""

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import cdist

from nanocensus.errors import StatisticsError, TableError
from nanocensus.statistics.cells.cells import cells
from nanocensus.statistics.distributions.energy import coefficients, distance_sums, energy_distances
from nanocensus.statistics.distributions.plane_histograms import REACH, STEPS_PER_SD, plane_histograms

OF = ("edge_length_nm", "circularity")


def table(rng, *, samples="AB", clusters=6, particles=20, move=0.0, shift=0.3):
    rows = []
    for place, sample in enumerate(samples):
        for one in range(clusters):
            size = 5 + move * place + shift * rng.standard_normal() + rng.standard_normal(particles)
            shape = 0.9 - 0.01 * (size - 5) + 0.02 * rng.standard_normal(particles)
            rows.append(
                pd.DataFrame(
                    {"sample": sample, "micrograph": f"{sample}{one}", OF[0]: np.maximum(size, 0.1), OF[1]: shape}
                )
            )
    return pd.concat(rows, ignore_index=True)


def slow_distance(one, other):
    return 2 * cdist(one, other).mean() - cdist(one, one).mean() - cdist(other, other).mean()


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(5, 40))
def test_sums_of_distances_are_those_over_all_pairs(seed, clusters, side):
    rng = np.random.default_rng(seed)
    weights = rng.poisson(0.05, (clusters, side, side)) * rng.uniform(1, 2, (clusters, side, side))
    x, y = np.divmod(np.arange(side * side), side)
    places = np.column_stack([x, y]) / STEPS_PER_SD
    flat = weights.reshape(clusters, -1)
    np.testing.assert_allclose(distance_sums(weights), flat @ cdist(places, places) @ flat.T, rtol=1e-9, atol=1e-9)


def test_the_distance_is_that_of_all_pairs_of_particles():
    rng = np.random.default_rng(0)
    rows = table(rng, clusters=8, particles=60, move=0.5)
    found = energy_distances(rows, weight=None, permutations=9).iloc[0]
    moments = [rows[rows["sample"] == sample][list(OF)] for sample in "AB"]
    sd = np.sqrt(np.mean([part.var(ddof=0) for part in moments], 0) + np.var([part.mean() for part in moments], 0))
    one, other = (part.to_numpy() / sd for part in moments)
    exact = slow_distance(one, other)
    # Snapped to cells of a tenth of a standard deviation: of distances about 1, that changes their mean by parts in 1000.
    assert found["distance"] == pytest.approx(exact, rel=0.02)
    assert found["coefficient"] == pytest.approx(exact / (2 * cdist(one, other).mean()), rel=0.02)
    assert found["n_first"] == found["n_second"] == 480
    assert (found["first"], found["second"]) == ("B", "A")


def test_weights_count_a_particle_more_than_once():
    rng = np.random.default_rng(1)
    rows = table(rng, move=0.5)
    weighted = rows.assign(border_weight=1.0 + (rows.index % 2))
    twice = pd.concat([rows, rows[rows.index % 2 == 1]])
    made = [cells(part, by=["sample"], of=OF, weight=w) for part, w in ((weighted, "border_weight"), (twice, None))]
    one, other = (plane_histograms(m, part, OF, "group") for m, part in zip(made, (weighted, twice), strict=True))
    np.testing.assert_array_equal(one.weights, other.weights)


def test_every_deal_of_clusters_gives_its_own_distance():
    rng = np.random.default_rng(2)
    weights = rng.poisson(0.3, (5, 8, 8)).astype(float)
    first = rng.random((20, 5)) < 0.5
    first[:, 0], first[:, 1] = True, False
    x, y = np.divmod(np.arange(64), 8)
    places = np.column_stack([x, y]) / STEPS_PER_SD
    distances, _ = coefficients(distance_sums(weights), weights.sum((1, 2)), first)
    for deal, found in zip(first, distances, strict=True):
        one, other = (np.repeat(places, weights[chosen].sum(0).ravel().astype(int), axis=0) for chosen in (deal, ~deal))
        assert found == pytest.approx(slow_distance(one, other), abs=1e-9)


def test_order_and_partitions_do_not_show():
    rows = table(np.random.default_rng(3), samples="ABC")
    shuffled = dd.from_pandas(rows.sample(frac=1, random_state=0).reset_index(drop=True), npartitions=4)
    options = {"weight": None, "permutations": 99}
    pd.testing.assert_frame_equal(energy_distances(rows, **options), energy_distances(shuffled, **options))


def test_what_lies_far_out_counts_at_the_edge():
    rows = table(np.random.default_rng(4))
    rows.loc[0, OF[0]] = 1000.0
    made = cells(rows, by=["sample"], of=OF, weight=None)
    plane = plane_histograms(made, rows, OF, "group")
    assert plane.weights.sum() == len(rows)
    assert plane.weights.shape[1:] == (2 * REACH * STEPS_PER_SD,) * 2
    assert plane.weights[:, -1].sum() == 1


def test_p_is_uniform_for_samples_of_the_same_clusters_and_small_for_others():
    rng = np.random.default_rng(5)
    side, runs = 40, 120
    found = []
    for _ in range(runs):
        centre = side / 2 + 3 * rng.standard_normal((12, 2))
        weights = np.zeros((12, side, side))
        for one, middle in enumerate(centre):
            x, y = np.clip(middle[:, None] + 5 * rng.standard_normal((2, 60)), 0, side - 1).astype(int)
            np.add.at(weights[one], (x, y), 1.0)
        truth = np.arange(12) < 6
        dealt = rng.permuted(np.tile(truth, (99, 1)), axis=1)
        distance, _ = coefficients(distance_sums(weights), weights.sum((1, 2)), np.vstack([truth, dealt]))
        found.append((1 + (distance[1:] >= distance[0]).sum()) / 100)
    spread = np.array(found) - rng.uniform(0, 0.01, runs)
    assert stats.kstest(spread, "uniform").pvalue > 0.01


def test_a_real_difference_stands_out_with_every_number_in_place():
    rng = np.random.default_rng(6)
    rows = pd.concat(
        [table(rng, samples="AB"), table(rng, samples="C", move=0).assign(edge_length_nm=lambda t: t[OF[0]] + 2)]
    )
    found = energy_distances(rows, weight=None, permutations=499).set_index(["first", "second"])
    assert found.loc[("C", "A"), "p_holm"] < 0.02
    assert found.loc[("B", "A"), "p"] > 0.05
    assert found.loc[("C", "A"), "coefficient"] > found.loc[("C", "A"), "chance"]
    assert found.loc[("B", "A"), "coefficient"] < found.loc[("B", "A"), "chance"]
    assert (found["p_holm"] >= found["p"]).all()


def test_too_little_is_refused():
    rng = np.random.default_rng(7)
    few = pd.concat([table(rng, samples="AB"), table(rng, samples="C", clusters=3)])
    found = energy_distances(few, weight=None, permutations=9).set_index(["first", "second"])
    assert found.loc[("C", "A"), "refusal"] == "C: 60 particles in 3 clusters: a test needs 20 in 4"
    assert found.loc[("C", "A"), ["distance", "p", "p_holm"]].isna().all()
    assert np.isfinite(found.loc[("B", "A"), "p"])
    with pytest.raises(StatisticsError, match="at least two samples"):
        energy_distances(table(rng, samples="A"), weight=None)
    with pytest.raises(TableError, match="missing"):
        energy_distances(table(rng).assign(circularity=np.nan), weight=None)


@pytest.mark.parametrize("weightless", ["C", "ABC"])
def test_samples_whose_weights_are_all_zero_are_refused(weightless):
    rows = table(np.random.default_rng(9), samples="ABC")
    rows["weight"] = (~rows["sample"].isin(list(weightless))).astype(float)
    found = energy_distances(rows, weight="weight", permutations=9).set_index(["first", "second"])
    assert "C: 0 particles in 0 clusters" in found.loc[("C", "A"), "refusal"]
    assert (found.loc[("B", "A"), "refusal"] == "") == (weightless == "C")


def test_constant_columns_have_no_distance():
    rows = table(np.random.default_rng(8)).assign(edge_length_nm=5.0, circularity=0.9)
    found = energy_distances(rows, weight=None, permutations=99).iloc[0]
    assert found["distance"] == 0
    assert found["p"] == 1
