"""Populations: what was planted is what is found, by plain sums and by the statistics of the package."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from nanocensus.errors import InputError
from nanocensus.schema import MICROGRAPHS, PARTICLES
from nanocensus.simulate.growth import Growth
from nanocensus.simulate.paper import CIRCULARITY, PAPER, SOLIDITY
from nanocensus.simulate.population_spec import PopulationSpec, SampleSpec
from nanocensus.simulate.populations import simulate_population
from nanocensus.simulate.scatter import draw_effects
from nanocensus.statistics.cells.cells import cells, size_bins
from nanocensus.statistics.estimation.estimation import estimate
from nanocensus.statistics.estimation.reductions import mean

GROWTH = Growth(0.024, 0.013, circularity=CIRCULARITY, solidity=SOLIDITY)
SAMPLE = SampleSpec("A", 60_000, 60, 6.0, 0.2, GROWTH)


def drawn(seed=0, **changes):
    return simulate_population(PopulationSpec((dataclasses.replace(SAMPLE, **changes),)), seed=seed)


@pytest.fixture(scope="module")
def paper():
    return simulate_population(PAPER, seed=0)


def variance_components(values, names):
    """Between and within micrographs, by the analysis of variance of unequal groups."""
    groups = values.groupby(names)
    n, means = groups.size(), groups.mean()
    within = ((values - names.map(means)) ** 2).sum() / (n.sum() - len(n))
    across = (n * (means - values.mean()) ** 2).sum() / (len(n) - 1)
    return (across - within) / ((n.sum() - (n**2).sum() / n.sum()) / (len(n) - 1)), within


def test_the_preset_has_the_papers_samples_and_counts(paper):
    assert (len(paper.particles), len(paper.micrographs)) == (441_067, 727)
    counts = paper.particles["sample"].value_counts()
    assert (counts["Co0.4"], counts.min(), counts.max()) == (65_404, 24_394, 65_404)
    water = counts[counts.index.str.startswith("DW")]
    assert water.between(27_822, 32_879).all()
    assert (paper.micrographs["sample"] == "Co0.4").sum() == 78
    per_micrograph = paper.particles.groupby("micrograph").size()
    assert (len(per_micrograph), round(per_micrograph.mean())) == (727, 607)


def test_columns_are_those_declared(paper):
    frame = paper.particles
    assert list(frame) == [name for name in PARTICLES.names if name in frame]
    kinds = {"string": "str", "bool": "bool", "int32": "int32", "float64": "float64"}
    assert frame.dtypes.astype(str).to_dict() == {name: kinds[PARTICLES[name].dtype] for name in frame}
    assert frame.notna().all(axis=None)
    for column in (PARTICLES[name] for name in frame):
        assert column.minimum is None or (frame[column.name] >= column.minimum).all(), column.name
        assert column.maximum is None or (frame[column.name] <= column.maximum).all(), column.name
    assert set(MICROGRAPHS.names) | {"condition_cobalt_mmol", "condition_water_ml"} == set(paper.micrographs)


def test_columns_agree_with_one_another(paper):
    frame = paper.particles
    np.testing.assert_allclose(frame["edge_length_nm"] ** 2, frame["area_nm2"], rtol=1e-12)
    np.testing.assert_allclose(
        4 * np.pi * frame["area_nm2"] / frame["perimeter_nm"] ** 2, frame["circularity"], rtol=1e-12
    )
    np.testing.assert_allclose(frame["area_nm2"] / frame["hull_area_nm2"], frame["solidity"], rtol=1e-12)
    assert (frame[["circularity", "solidity"]] < 1).all(axis=None)
    assert (frame["area_nm2"] >= 6).all()
    half, side = frame["equivalent_diameter_nm"] / 2, 4096 * 0.086
    for name in ("centroid_y_nm", "centroid_x_nm"):
        assert ((frame[name] >= half) & (frame[name] <= side - half)).all()
    np.testing.assert_allclose(frame["border_weight"], (side / (side - 2 * half)) ** 2, rtol=1e-12)
    top = frame["centroid_y_nm"] - half
    for _, rows in frame.assign(top=top).groupby("micrograph"):
        assert rows["label"].tolist() == list(range(1, len(rows) + 1))
        assert rows["top"].is_monotonic_increasing


def test_the_index_counts_its_particles(paper):
    index = paper.micrographs.set_index("micrograph")
    counted = paper.particles.groupby("micrograph").size()
    assert index["n_detected"].to_dict() == counted.to_dict()
    assert index["sample"].to_dict() == paper.particles.groupby("micrograph")["sample"].first().to_dict()
    assert paper.effects.set_index("micrograph")["n_particles"].to_dict() == counted.to_dict()


def test_a_part_of_a_study_has_the_rows_that_it_has_in_the_whole(paper):
    part = simulate_population(PAPER, seed=0, samples=["DW0.6", "Co0.4"], orders=[5, 2])
    assert len(part.micrographs) == 4
    whole = paper.particles[paper.particles["micrograph"].isin(part.micrographs["micrograph"])]
    pd.testing.assert_frame_equal(part.particles, whole.reset_index(drop=True))


def test_another_seed_gives_others():
    ours, theirs = (simulate_population(PAPER, seed=seed, samples=["Co0.2"], orders=[0]) for seed in (0, 1))
    assert not set(ours.micrographs["micrograph"]) & set(theirs.micrographs["micrograph"])
    assert not set(ours.particles["edge_length_nm"]) & set(theirs.particles["edge_length_nm"])


@pytest.mark.parametrize("descriptor", ["circularity", "solidity"])
def test_means_follow_the_planted_curve(descriptor):
    """Without effects of micrographs particles are independent: 4 standard errors in each of 40 bins."""
    frame = drawn(icc=0.0).particles
    told = getattr(GROWTH, f"{descriptor}_at")(frame["edge_length_nm"].to_numpy())
    excess = (frame[descriptor] - told).groupby((frame["edge_length_nm"] / 0.2).astype(int))
    z = (excess.mean() / excess.std() * np.sqrt(excess.size()))[excess.size() > 50]
    assert len(z) > 25
    assert z.abs().max() < 4
    assert z.std() == pytest.approx(1, abs=0.4)


def test_scatter_is_skewed_below_one_and_as_wide_as_told():
    frame = drawn(icc=0.07, n_micrographs=600).particles
    plateau = frame[frame["edge_length_nm"] < 4.3]
    assert len(plateau) > 2000
    assert plateau["circularity"].std() == pytest.approx(SAMPLE.circularity_sd, rel=0.06)
    assert plateau["solidity"].std() == pytest.approx(SAMPLE.solidity_sd, rel=0.06)
    assert plateau["circularity"].skew() < -0.3
    assert plateau["solidity"].skew() < -0.8
    late = frame[frame["edge_length_nm"] > 8.5]
    assert late["circularity"].std() > 1.1 * plateau["circularity"].std()


@pytest.mark.parametrize("icc", [0.0, 0.07, 0.3])
def test_micrographs_differ_by_the_share_that_was_told(icc):
    flat = dataclasses.replace(GROWTH, circularity_slope=0.0, solidity_slope=0.0)
    frame = drawn(icc=icc, growth=flat, n_micrographs=600).particles
    columns = {"size": np.log(frame["edge_length_nm"]), "circularity": frame["circularity"]}
    for values in (*columns.values(), frame["solidity"]):
        between, within = variance_components(values, frame["micrograph"])
        assert between / (between + within) == pytest.approx(icc, abs=0.004 + 0.2 * icc)
    assert columns["size"].std() == pytest.approx(SAMPLE.log_sd, rel=0.05)


def test_consecutive_micrographs_are_as_alike_as_told():
    rng = np.random.default_rng(0)
    made = [dataclasses.replace(SAMPLE, n_micrographs=3000, autocorrelation=phi) for phi in (0.6, 0.0)]
    effects, alone = (pd.DataFrame([vars(effect) for effect in draw_effects(sample, rng)]) for sample in made)
    for name in ("edge_length_factor", "circularity_factor", "solidity_factor"):
        logs = np.log(effects[name])
        assert np.corrcoef(logs[1:], logs[:-1])[0, 1] == pytest.approx(0.6, abs=0.06)
        assert logs.std() == pytest.approx(np.log(alone[name]).std(), rel=0.1)


def test_a_drift_moves_sizes_along_acquisition():
    population = drawn(drift=0.2, icc=0.0)
    of = population.particles["micrograph"].map(population.effects.set_index("micrograph")["order"])
    slope, _ = np.polyfit(of / 59, np.log(population.particles["edge_length_nm"]), 1)
    assert slope == pytest.approx(0.2, abs=0.015)


def test_border_weights_make_up_for_the_particles_that_the_border_cut():
    spec = PopulationSpec(
        (dataclasses.replace(SAMPLE, icc=0.0, n_particles=200_000, log_sd=0.3),), side_px=512, smallest_area_nm2=0.0
    )
    frame = simulate_population(spec, seed=3).particles
    planted = 6.0 * np.exp(0.3**2 / 2)
    error = frame["edge_length_nm"].std() / np.sqrt(len(frame))
    assert frame["edge_length_nm"].mean() < planted - 10 * error
    weighted = np.average(frame["edge_length_nm"], weights=frame["border_weight"])
    assert weighted == pytest.approx(planted, abs=4 * error)


def group_cv(values, n):
    k = len(values) // n
    means = values[: k * n].reshape(k, n).mean(axis=1)
    return means.std(ddof=1) / means.mean()


def test_groups_scatter_as_in_the_paper():
    """About 1 % for 1000 random particles; in sequence about 4 % for 5000 and 2 % for 10,000, half that of 500.

    Single populations scatter by a quarter, so the root mean square of 20 is looked at.
    """
    sequential, at_random = [], []
    for seed in range(20):
        sizes = simulate_population(PAPER, seed=seed, samples=["Co0.4"]).particles["edge_length_nm"].to_numpy()
        sequential.append([group_cv(sizes, n) for n in (500, 5000, 10_000)])
        at_random.append(group_cv(np.random.default_rng(seed).permutation(sizes), 1000))
    few, middle, many = np.sqrt(np.mean(np.square(sequential), axis=0))
    assert np.sqrt(np.mean(np.square(at_random))) == pytest.approx(0.01, abs=0.001)
    assert 0.03 < middle < 0.05
    assert 0.015 < many < 0.03
    assert 0.35 < middle / few < 0.55


def test_the_statistics_of_the_package_find_what_was_planted(paper):
    """The interval of the mean departure from the planted curve holds 0, in 95 % of the bins of all samples."""
    growths = {sample.name: sample.growth for sample in PAPER.samples}
    departures = pd.DataFrame(index=paper.particles.index)
    for name in ("circularity", "solidity"):
        told = paper.particles.groupby("sample")["edge_length_nm"].transform(
            lambda sizes, name=name: getattr(growths[sizes.name], f"{name}_at")(sizes.to_numpy())
        )
        departures[f"{name}_departure"] = paper.particles[name] - told
    made = cells(
        paper.particles.join(departures),
        paper.micrographs,
        by=["sample", size_bins(0.2)],
        of=list(departures),
        scale=dict.fromkeys(departures, 2.0**-18),
    )
    found = estimate(made, {name: [mean] for name in departures})
    shown = np.isfinite(found["lower"])
    assert int(shown.sum()) > 400
    inside = (found["lower"] <= 0) & (found["upper"] >= 0)
    for name in departures:  # bins of a sample share their micrographs, so 95 % comes with a wide margin
        assert float(inside.where(shown).sel(descriptor=name).mean()) > 0.88


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_micrographs": 0},
        {"n_particles": -1},
        {"icc": 1.0},
        {"autocorrelation": 1.0},
        {"log_sd": -0.1},
        {"solidity_sd": 0.3},
        {"growth": Growth(0.01, 0.01)},
        {"drift": float("nan")},
        {"median_edge_length_nm": 2.4},
        {"median_edge_length_nm": 200.0},
    ],
)
def test_populations_that_cannot_be_are_refused(wrong):
    with pytest.raises(InputError, match="sample 'A'"):
        drawn(**wrong)


def test_unknown_samples_and_negative_seeds_are_refused():
    with pytest.raises(InputError, match=r"got Co9"):
        simulate_population(PAPER, seed=0, samples=["Co9"])
    with pytest.raises(InputError, match="seed"):
        simulate_population(PAPER, seed=-1)
    with pytest.raises(InputError, match="orders"):
        simulate_population(PAPER, seed=0, orders=[10_000])
    with pytest.raises(InputError, match="different names"):
        PopulationSpec((SAMPLE, SAMPLE))
