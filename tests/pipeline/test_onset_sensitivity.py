"""What else could move an onset: every way against the obvious one, the budget against GUM, and what stays unknown."""

import dataclasses

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nanocensus.measure.acceptance import apply_criteria
from nanocensus.measure.criteria import Criteria, SampleCriteria
from nanocensus.pipeline.job.onset_section import OnsetRanges, OnsetsSection
from nanocensus.pipeline.job.sections import MeasureSection
from nanocensus.pipeline.onsets.analysis import analyse_onsets
from nanocensus.pipeline.onsets.budget import combined, standard_uncertainties
from nanocensus.pipeline.onsets.maps import Maps, measured_again, ways_on_maps
from nanocensus.pipeline.onsets.sensitivity import Material
from nanocensus.pipeline.onsets.variants import of_criteria
from nanocensus.schema import PARTICLES
from nanocensus.simulate.growth import Growth
from nanocensus.simulate.population_spec import PopulationSpec, SampleSpec
from nanocensus.simulate.populations import simulate_population
from nanocensus.statistics.cells.cells import cells, size_bins
from nanocensus.statistics.estimation.binning import size_statistics
from nanocensus.statistics.onsets.onset import onsets
from nanocensus.statistics.onsets.places import bend_places
from nanocensus.statistics.onsets.samples import JOINT
from nanocensus.store.images.ingest import STORE_FOLDER
from nanocensus.store.images.micrographs import content_digest, create_store, write_micrograph, write_probability

RANGE = (2.6, 7.6)
SECTION = OnsetsSection({"circularity": OnsetRanges(RANGE)}, replicates=99, eccentricity_step=0.0)
CRITERIA = Criteria(min_solidity=0.95, min_mean_probability=None)


@pytest.fixture(scope="module")
def population():
    growth = Growth(0.025, 0.01, circularity=0.90, solidity=0.985)
    samples = [
        SampleSpec(name, growth=growth, n_particles=9_000, n_micrographs=14, median_edge_length_nm=5.2, log_sd=0.25)
        for name in ("A", "B")
    ]
    made = simulate_population(PopulationSpec(tuple(samples)), seed=5)
    edge = made.particles["edge_length_nm"]
    rows = made.particles.assign(
        area_p40_nm2=(edge + 0.05) ** 2, area_p60_nm2=(edge - 0.05) ** 2, edge_length_sibling_sd_nm=0.03,
        estimator="outline", area_nm2=edge**2,
    )  # fmt: skip
    return rows, made.micrographs[["sample", "micrograph"]]


def material(population, **changes):
    rows, micrographs = population
    known = {"A": 0.01, "B": 0.01}
    return dataclasses.replace(Material(rows, micrographs, CRITERIA, "border_weight", known), **changes)


@pytest.fixture(scope="module")
def analysed(population):
    return analyse_onsets(material(population), SECTION, cluster="group", level=0.95, seed=0)


def budget(made, sample=JOINT):
    table = made.sensitivity.onsets
    return table[table["sample"] == sample].set_index("source")


def joint_of(rows, micrographs, **options):
    made = onsets(rows, micrographs, between_nm=RANGE, replicates=99, **options)
    return made.table.set_index("sample").loc[JOINT, "estimate_nm"]


def accepted(rows, criteria=CRITERIA):
    judged = apply_criteria(rows, criteria)
    return judged[judged["failed_criteria"] == 0]


def test_places_are_the_estimates_of_the_whole_procedure(population):
    rows, micrographs = population
    made = cells(rows, micrographs, by=["sample", size_bins(0.1)], of=["circularity", "edge_length_nm"])
    table = onsets(made, between_nm=RANGE, replicates=99).table.set_index("sample")["estimate_nm"]
    places = bend_places(made, of="circularity", between=RANGE, cluster="group")
    assert places == pytest.approx({name: table[name] for name in ("A", "B", JOINT)})
    shared = bend_places(made, of="circularity", between=RANGE, cluster="group", shares={"A": 1.0, "B": 3.0})
    assert shared[JOINT] == pytest.approx((places["A"] + 3 * places["B"]) / 4)
    assert bend_places(made, of="circularity", between=(20.0, 25.0), cluster="group") == {}


def test_each_way_is_the_onset_of_particles_changed_by_hand(population, analysed):
    rows, micrographs = population
    held = accepted(rows)
    edge = held["edge_length_nm"]
    nominal = joint_of(held, micrographs)
    found = budget(analysed)

    def ends(*others):
        return min(nominal, *others), max(nominal, *others)

    wide, narrow = (joint_of(held.assign(edge_length_nm=edge + shift), micrographs) for shift in (0.05, -0.05))
    assert tuple(found.loc["threshold", ["smallest_nm", "largest_nm"]]) == pytest.approx(ends(wide, narrow))
    assert found.loc["threshold", "standard_uncertainty_nm"] == pytest.approx(np.ptp([nominal, wide, narrow]) / 12**0.5)
    wide, narrow = (joint_of(held.assign(edge_length_nm=edge + shift), micrographs) for shift in (0.03, -0.03))
    assert found.loc["folds", "standard_uncertainty_nm"] == pytest.approx(
        (((wide - nominal) ** 2 + (narrow - nominal) ** 2) / 2) ** 0.5
    )
    bare = joint_of(held, micrographs, weight=None)
    assert found.loc["border weight", "standard_uncertainty_nm"] == pytest.approx(abs(bare - nominal) / 12**0.5)
    assert found.loc["pixel size", "standard_uncertainty_nm"] == pytest.approx(0.01 * nominal)
    moved = [
        joint_of(accepted(rows, dataclasses.replace(CRITERIA, min_solidity=bound)), micrographs)
        for bound in (0.93, 0.97)
    ]
    assert tuple(found.loc["criteria", ["smallest_nm", "largest_nm"]]) == pytest.approx(ends(*moved))
    assert found.loc["criteria", "standard_uncertainty_nm"] > 0


def test_the_combination_is_the_root_of_the_sum_of_squares_with_k_2(analysed):
    for sample in ("A", "B", JOINT):
        found = budget(analysed, sample)
        parts = found["standard_uncertainty_nm"].drop("combined")
        assert len(parts) == 6
        total = found.loc["combined", "standard_uncertainty_nm"]
        assert total == pytest.approx((parts**2).sum() ** 0.5)
        assert found.loc["combined", "expanded_uncertainty_nm"] == pytest.approx(2 * total)
        assert found.loc["combined", "coverage_factor"] == pytest.approx(2)
        assert found["coverage_factor"].drop("combined").isna().all()
        assert found["share"].drop("combined").sum() == pytest.approx(1.0)
        table = analysed.found.table.set_index("sample")
        assert found.loc["sampling", "standard_uncertainty_nm"] == table.loc[sample, "standard_error_nm"]
        assert found.loc["combined", "remark"] == ""


def test_bin_means_are_those_of_wide_bins_and_so_are_their_contributions(population, analysed):
    held, micrographs = accepted(population[0]), population[1]
    edge = held["edge_length_nm"]

    def means(factor=1.0, weight="border_weight"):
        rows = held.assign(edge_length_nm=edge * factor)
        made = size_statistics(rows, micrographs, of=["circularity"], weight=weight)
        found = made.sel(descriptor="circularity", statistic="mean").reset_coords()
        frame = found[["estimate", "standard_error"]].to_dataframe()
        return frame.set_axis(pd.MultiIndex.from_tuples([(s, round(centre, 9)) for s, centre in frame.index]))

    table = analysed.sensitivity.bin_means
    centre = ((table["size_left"] + table["size_right"]) / 2).round(9)
    thick = table.set_axis(pd.MultiIndex.from_arrays([table["sample"], centre]))[(table["n"] > 100).to_numpy()]
    assert len(thick) > 20
    own = means().reindex(thick.index)
    np.testing.assert_allclose(thick["mean"], own["estimate"], rtol=1e-12)
    np.testing.assert_allclose(thick["standard_error"], own["standard_error"], rtol=1e-9)
    wide, narrow = (means(factor).reindex(thick.index)["estimate"] for factor in (1.01, 0.99))
    shifts = ((wide - own["estimate"]) ** 2 + (narrow - own["estimate"]) ** 2) / 2
    np.testing.assert_allclose(thick["from_pixel_size"], shifts**0.5, atol=1e-12)
    bare = means(weight=None).reindex(thick.index)["estimate"]
    np.testing.assert_allclose(thick["from_border_weight"], (bare - own["estimate"]).abs() / 12**0.5, atol=1e-12)
    total = thick[["standard_error", *(name for name in table.columns if name.startswith("from_"))]]
    np.testing.assert_allclose(thick["combined_standard_uncertainty"], np.sqrt((total**2).sum(axis=1)))


def test_rejected_particles_are_counted_by_size(population, analysed):
    judged = apply_criteria(population[0], CRITERIA)
    inside = judged[~judged["touches_border"]]
    table = analysed.rejected
    place = np.floor(inside["edge_length_nm"] / 0.2).astype(int)
    expected = inside.assign(out=inside["failed_criteria"] > 0, solid=inside["solidity"] <= 0.95).groupby(
        ["sample", place]
    )
    assert table["n"].tolist() == expected.size().tolist()
    assert table["n_rejected"].tolist() == expected["out"].sum().tolist()
    assert table["solidity"].tolist() == expected["solid"].sum().tolist()
    assert table["n_rejected"].sum() > 0
    np.testing.assert_allclose(table["rejected_share"], table["n_rejected"] / table["n"])
    assert set((table["size_right"] - table["size_left"]).round(9)) == {0.2}


def test_a_dask_frame_gives_what_one_in_memory_gives(population, analysed):
    lazy = material(population, particles=dd.from_pandas(population[0], npartitions=3))
    made = analyse_onsets(lazy, SECTION, cluster="group", level=0.95, seed=0)
    for name, table in analysed.tables().items():
        pd.testing.assert_frame_equal(made.tables()[name].reset_index(drop=True), table.reset_index(drop=True))


def test_what_is_not_known_is_named_and_left_out(population):
    rows, micrographs = population
    bare = rows.drop(columns=["area_p40_nm2", "edge_length_sibling_sd_nm"])
    poor = material((bare, micrographs), relative={"A": 0.01, "B": float("nan")}, criteria=None, weight=None)
    few = dataclasses.replace(poor, particles=bare[~bare["touches_border"]])
    made = analyse_onsets(few, SECTION, cluster="group", level=0.95, seed=0)
    found = budget(made)
    assert found.loc["combined", "remark"] == "without what is not known: threshold, folds, pixel size, criteria"
    unknown = found.loc[["threshold", "folds", "pixel size", "criteria"]]
    assert unknown["standard_uncertainty_nm"].isna().all()
    assert unknown["remark"].str.startswith("not known: ").all()
    assert "pixel_size_uncertainty" in unknown.loc["pixel size", "remark"]
    assert np.isfinite(budget(made, "A").loc["pixel size", "standard_uncertainty_nm"])
    assert found.loc["combined", "expanded_uncertainty_nm"] > 0
    assert made.rejected is None
    means = made.sensitivity.bin_means.set_index("sample")
    assert means.loc["B", "from_pixel_size"].isna().all()
    assert means.loc["A", "from_pixel_size"].notna().any()


def test_criteria_without_a_bound_on_shape_contribute_nothing(population):
    loose = Criteria(min_solidity=None, max_eccentricity=None)
    made = analyse_onsets(material(population, criteria=loose), SECTION, cluster="group", level=0.95, seed=0)
    assert budget(made).loc["criteria", "standard_uncertainty_nm"] == 0.0
    assert budget(made).loc["criteria", "remark"] == "no bound on shape is set"


def test_a_bound_that_leaves_no_particle_makes_the_criteria_unknown(population):
    narrow = population[0].assign(solidity=0.955)
    made = analyse_onsets(material(population, particles=narrow), SECTION, cluster="group", level=0.95, seed=0)
    found = budget(made).loc["criteria"]
    assert np.isnan(found["standard_uncertainty_nm"])
    assert found["remark"] == "not known: it could not be found in one of the ways"


def test_a_sample_that_keeps_its_border_particles_leaves_weights_unknown(population):
    own = Criteria(min_solidity=0.95, samples={"A": SampleCriteria(exclude_border=False)})
    kept = material(population, criteria=own, weight=None)
    made = analyse_onsets(kept, SECTION, cluster="group", level=0.95, seed=0)
    assert budget(made).loc["border weight", "remark"].startswith("not known: particles on the border")


def test_the_mean_over_samples_that_differ_moves_as_the_samples_do(population):
    """Each sample's sizes are stretched by its own factor, so that they bend at different sizes."""
    rows = population[0]
    parts = []
    for name, factor in {"C": 0.94, "D": 1.0, "E": 1.06}.items():
        one = rows[rows["sample"] == "A"]
        parts.append(one.assign(sample=name, edge_length_nm=one["edge_length_nm"] * factor))
    many = pd.concat(parts, ignore_index=True)
    edge = many["edge_length_nm"]
    many = many.assign(area_nm2=edge**2, area_p40_nm2=(edge * 1.02) ** 2, area_p60_nm2=(edge * 0.98) ** 2)
    index = many[["sample", "micrograph"]].drop_duplicates()
    relative = dict.fromkeys(many["sample"].unique(), 0.01)
    differing = Material(many, index, CRITERIA, "border_weight", relative)
    made = analyse_onsets(differing, SECTION, cluster="group", level=0.95, seed=0)
    joint = made.found.table.set_index("sample").loc[JOINT]
    assert joint["method"].startswith("mean over samples")
    assert joint["degrees_of_freedom"] == 2
    whole, error = budget(made).loc["combined"], joint["standard_error_nm"]
    freedom = 2 * (whole["standard_uncertainty_nm"] / error) ** 4
    assert whole["coverage_factor"] == pytest.approx(stats.t.ppf(stats.norm.cdf(2), freedom))
    assert whole["expanded_uncertainty_nm"] > 2.5 * whole["standard_uncertainty_nm"]
    found = budget(made).loc["threshold"]
    # All sizes 2 % larger or smaller move every onset by as much; the bins in which they are counted stay.
    assert found["largest_nm"] == pytest.approx(1.02 * joint["estimate_nm"], abs=0.03)
    assert found["smallest_nm"] == pytest.approx(0.98 * joint["estimate_nm"], abs=0.03)


def test_where_no_onset_is_told_there_is_no_budget(population):
    flat = population[0].assign(circularity=0.9)
    made = analyse_onsets(material(population, particles=flat), SECTION, cluster="group", level=0.95, seed=0)
    assert made.sensitivity.onsets.empty
    assert len(made.sensitivity.bin_means)


@pytest.fixture
def kept_maps(tmp_path):
    """Two micrographs with a map of their own and one of a sibling network, whose discs are larger by 2 px."""
    y, x = np.mgrid[:120, :120]
    store, rows = tmp_path / STORE_FOLDER, []
    create_store(store)
    for radius in (30.0, 31.0):
        # The maps fall from 1 to 0 over 4 px: a tenth of that is 0.4 px.
        soft = [np.clip((r - np.hypot(y - 60, x - 60)) / 4 + 0.5, 0, 1) for r in (radius, radius + 2)]
        maps = [np.rint(255 * one).astype(np.uint8) for one in soft]
        name = content_digest(maps[0])[:16]
        write_micrograph(store, name, maps[0], name=name, pixel_size_nm=0.1)
        write_probability(store, name, maps[0], segment_digest="a")
        write_probability(store, name, maps[1], segment_digest="b", sibling="fold")
        rows.append({"sample": "S", "micrograph": name, "pixel_size_nm": 0.1, "status": "done"})
    return Maps(tmp_path, MeasureSection()), pd.DataFrame(rows)


def test_particles_are_measured_again_on_the_maps_that_a_run_keeps(kept_maps):
    maps, rows = kept_maps
    columns = ["sample", "micrograph", "edge_length_nm", "circularity", "border_weight"]
    ways = list(ways_on_maps(maps, rows, None, "border_weight", columns))
    assert [(way.source, way.name) for way in ways] == [("threshold", "0.4"), ("threshold", "0.6"), ("folds", "fold")]
    radii = {"0.4": 0.4, "0.6": -0.4, "fold": 2.0}
    for way in ways:
        found = way.particles.compute()
        assert list(found.columns) == columns
        assert found["micrograph"].tolist() == rows["micrograph"].tolist()
        expected = np.sqrt(np.pi) * 0.1 * (np.array([30.0, 31.0]) + radii[way.name])
        np.testing.assert_allclose(found["edge_length_nm"], expected, rtol=0.003)  # of a disc drawn on pixels


def test_bin_means_change_with_what_is_measured_again(kept_maps):
    maps, rows = kept_maps
    whole = measured_again(maps, rows, PARTICLES.names).compute()
    again = dataclasses.replace(SECTION, remeasure=True)
    given = Material(whole, rows, Criteria(min_area_nm2=1.0), "border_weight", {}, maps)
    made = analyse_onsets(given, again, cluster="micrograph", level=0.95, seed=0)
    first = made.sensitivity.bin_means.iloc[0]
    assert (first["size_left"], first["n"]) == (5.2, 1)  # at every threshold, and larger on the sibling's map
    thresholds = [ways.particles.compute()["circularity"].iloc[0]
                  for ways in ways_on_maps(maps, rows, None, None, PARTICLES.names)][:2]  # fmt: skip
    expected = np.ptp([whole["circularity"].iloc[0], *thresholds]) / 12**0.5
    assert first["from_threshold"] == pytest.approx(expected, abs=4e-6)  # a quantum of circularity
    assert np.isnan(first["from_folds"])


def test_bounds_move_in_all_combinations_and_those_of_samples_with_them():
    criteria = Criteria(
        min_solidity=0.99, max_eccentricity=0.8, samples={"A": SampleCriteria(min_solidity=0.5, max_eccentricity=False)}
    )
    steps = {"min_solidity": 0.02, "min_convexity": 0.02, "max_eccentricity": 0.05}
    ways = list(of_criteria(criteria, None, steps))
    tried = [way.change.keywords["criteria"] for way in ways]
    bounds = {(round(one.min_solidity, 9), round(one.max_eccentricity, 9)) for one in tried}
    assert bounds == {(s, e) for s in (0.97, 0.99, 1.0) for e in (0.75, 0.8, 0.85)} - {(0.99, 0.8)}
    assert {round(one.of("A").min_solidity - 0.5, 9) for one in tried} == {-0.02, 0.0, 0.02}
    assert all(one.min_convexity is None and one.of("A").max_eccentricity is None for one in tried)
    assert ways[0].name == "min_solidity -0.02, max_eccentricity -0.05"
    assert list(of_criteria(None, None, steps)) == []


def test_a_way_without_an_estimate_makes_its_source_unknown():
    nominal = pd.Series({"A": 4.0, "B": 5.0})
    parts = standard_uncertainties(nominal, {"criteria": {"x": pd.Series({"A": 4.6}), "y": pd.Series({"A": 3.4, "B": 5.0})},
                                             "folds": {"larger": nominal + 0.2, "smaller": nominal - 0.1}})  # fmt: skip
    assert parts.loc["A", "criteria"] == pytest.approx(1.2 / 12**0.5)
    assert np.isnan(parts.loc["B", "criteria"])
    np.testing.assert_allclose(parts["folds"], 0.025**0.5)
    whole = combined(pd.Series({"A": 0.3, "B": 0.2}), parts, pd.Series({"A": 3.0, "B": np.nan}))
    # Welch and Satterthwaite: 3 * (total / 0.3)^4 degrees of freedom.
    freedom = 3 * (whole.loc["A", "combined"] / 0.3) ** 4
    assert whole.loc["A", "factor"] == pytest.approx(stats.t.ppf(stats.norm.cdf(2), freedom))
    assert whole.loc["B", "factor"] == pytest.approx(2.0)
    assert whole.loc["B", "combined"] == pytest.approx(0.065**0.5)
    assert whole["left_out"].tolist() == ["", "criteria"]
