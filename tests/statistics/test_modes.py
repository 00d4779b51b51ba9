import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from nanocensus.errors import StatisticsError
from nanocensus.statistics.distributions.density import densities, kernel_density, mode
from nanocensus.statistics.distributions.modes import _modes, mode_intervals


def draw(seed, samples, micrographs, per=100):
    """Skewed circularities, whose micrographs share a shift."""
    rng = np.random.default_rng(seed)
    n = rng.poisson(rng.gamma(12.0, per / 12.0, (samples, micrographs)))
    sample, micrograph = (np.repeat(index.ravel(), n.ravel()) for index in np.indices(n.shape))
    shift = 0.006 * rng.standard_normal(n.shape)
    values = 0.87 + shift[sample, micrograph] - 0.01 * (rng.gamma(3.0, 1.0, len(sample)) - 3.0)
    return pd.DataFrame({"sample": np.char.mod("S%04d", sample), "micrograph": np.char.mod("%06d", sample * 1000 + micrograph),
                         "circularity": values})  # fmt: skip


def test_modes_of_many_histograms_are_those_of_each():
    rng = np.random.default_rng(1)
    edges = np.linspace(0.5, 1.1, 301)
    weights = np.stack([np.histogram(rng.normal(0.8, 0.05, 500), edges)[0] for _ in range(20)], axis=1).astype(float)
    found = _modes(weights, 0.5, 0.002, 0.02)
    np.testing.assert_allclose(
        found, [mode(kernel_density(column, edges, 0.02), edges) for column in weights.T], atol=1e-9
    )


def test_the_interval_is_that_of_drawing_micrographs_particle_by_particle():
    rows = draw(2, samples=1, micrographs=15)
    shape = densities(rows, "circularity", weight=None)
    found = mode_intervals(shape, rows, replicates=2000).squeeze()
    width = shape["mode_bandwidth"].item()
    rng = np.random.default_rng(3)
    groups = [group["circularity"].to_numpy() for _, group in rows.groupby("micrograph")]
    edges = np.linspace(0.6, 1.05, 1801)
    modes = []
    for _ in range(2000):
        drawn = np.concatenate([groups[i] for i in rng.integers(0, 15, 14)])
        modes.append(
            mode(
                kernel_density(np.histogram(drawn, edges)[0].astype(float), edges, width),
                edges,
            )
        )
    tail = special.ndtr(stats.t.ppf(0.025, 14))
    # An end has a Monte Carlo error of some 4 % of the length from each of the two sets of draws.
    length = float(found["mode_upper"] - found["mode_lower"])
    np.testing.assert_allclose(
        [found["mode_lower"], found["mode_upper"]], np.quantile(modes, [tail, 1 - tail]), atol=0.15 * length
    )
    assert found["mode_lower"] < found["mode"] < found["mode_upper"]


def test_partitions_order_and_other_samples_change_nothing():
    rows = draw(4, samples=3, micrographs=9)
    found = mode_intervals(densities(rows, "circularity", weight=None), rows)
    shuffled = dd.from_pandas(rows.sample(frac=1, random_state=1, ignore_index=True), npartitions=4, sort=False)
    again = mode_intervals(densities(shuffled, "circularity", weight=None), shuffled)
    assert again.identical(found)
    assert not mode_intervals(densities(rows, "circularity", weight=None), rows, seed=1).identical(found)


def test_a_narrow_sample_of_lengths_beside_a_wide_one_has_its_interval():
    rng = np.random.default_rng(6)
    micrographs = [f"{number % 10:02d}" for number in range(2000)]
    narrow, wide = (pd.DataFrame({"sample": name, "micrograph": [f"{name}{each}" for each in micrographs],
                                  "edge_length_nm": rng.normal(centre, sd, 2000)})
                    for name, centre, sd in (("A", 4.0, 0.2), ("B", 40.0, 5.0)))  # fmt: skip
    rows = pd.concat([narrow, wide], ignore_index=True)
    found = mode_intervals(densities(rows, "edge_length_nm", weight=None), rows)
    assert (found["mode_refusal"] == "").all()
    assert (found["mode_lower"] < found["mode"]).all()
    assert (found["mode"] < found["mode_upper"]).all()


def test_few_clusters_are_refused_with_their_numbers():
    rows = pd.concat([draw(5, samples=1, micrographs=7), draw(6, samples=1, micrographs=8).replace("S0000", "T")])
    found = mode_intervals(densities(rows, "circularity", weight=None), rows)
    first, second = (found.sel(sample=name) for name in ("S0000", "T"))
    assert first["mode_refusal"].item().endswith("particles in 7 clusters: an interval of the mode needs 20 in 8")
    assert np.isnan(first["mode_lower"])
    assert np.isfinite(first["mode"])
    assert second["mode_refusal"].item() == ""
    assert second["mode_lower"] < second["mode_upper"]


def test_other_particles_are_refused():
    rows = draw(7, samples=1, micrographs=9)
    with pytest.raises(StatisticsError, match="Give the same particles"):
        mode_intervals(densities(rows, "circularity", weight=None), rows.iloc[1:])


def covered(samples, micrographs, seed):
    rows = draw(seed, samples, micrographs)
    shape = densities(rows, "circularity", weight=None)
    rng = np.random.default_rng(99)
    many = 0.87 + 0.006 * rng.standard_normal(1_000_000) - 0.01 * (rng.gamma(3.0, 1.0, 1_000_000) - 3.0)
    edges = np.linspace(0.5, 1.1, 4097)
    histogram = np.histogram(many, edges)[0].astype(float)
    found = mode_intervals(shape, rows, replicates=500)
    truth = np.array(
        [mode(kernel_density(histogram, edges, width), edges) for width in shape["mode_bandwidth"].to_numpy()]
    )
    return float(((found["mode_lower"] <= truth) & (truth <= found["mode_upper"])).mean())


def test_the_interval_holds_the_mode_as_often_as_it_says():
    # 150 samples: a coverage of 95 % has a standard error of 1.8 %, so three of them below.
    assert covered(150, 12, 8) >= 0.89


@pytest.mark.slow
@pytest.mark.parametrize("micrographs", [8, 20, 60])
def test_coverage_of_the_mode_in_500_samples(micrographs):
    assert 0.92 <= covered(500, micrographs, 100 + micrographs) <= 0.98
