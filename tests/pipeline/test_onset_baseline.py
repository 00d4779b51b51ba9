"""How well a baseline is known: other baselines that might as well have come out, and what they do to an onset."""

import numpy as np
import pandas as pd
import pytest

from nanocensus.pipeline.baselines.constant_shapes import ConstantShape
from nanocensus.pipeline.baselines.measuring import Measuring
from nanocensus.pipeline.baselines.null_envelope import NullEnvelope, null_envelope
from nanocensus.pipeline.baselines.onset_baselines import TakenOff
from nanocensus.pipeline.baselines.pair_shifts import smooth_shift
from nanocensus.pipeline.job.onset_section import OnsetRanges, OnsetsSection
from nanocensus.pipeline.onsets.analysis import analyse_onsets
from nanocensus.pipeline.onsets.sensitivity import Material
from nanocensus.pipeline.report.onsets import onset_content
from nanocensus.simulate.growth import Growth
from nanocensus.simulate.population_spec import PopulationSpec, SampleSpec
from nanocensus.simulate.populations import simulate_population
from nanocensus.statistics.cells.cells import cells, size_bins
from nanocensus.statistics.onsets.places import bend_places, bend_places_beside
from nanocensus.statistics.onsets.samples import JOINT

RANGE = (2.6, 7.6)
SECTION = OnsetsSection({"circularity": OnsetRanges(RANGE)}, replicates=99)
PAPER = Measuring(pixel_size_nm=0.172, edge_width_nm=0.46, estimator="paper")


@pytest.fixture(scope="module")
def population():
    growth = Growth(0.025, 0.01, circularity=0.90, solidity=0.985)
    samples = [
        SampleSpec(name, growth=growth, n_particles=8_000, n_micrographs=12, median_edge_length_nm=5.2, log_sd=0.25)
        for name in ("A", "B")
    ]
    made = simulate_population(PopulationSpec(tuple(samples)), seed=5)
    return made.particles, made.micrographs[["sample", "micrograph"]]


@pytest.fixture(scope="module")
def made(population):
    return cells(*population, by=["sample", size_bins(0.1)], of=["circularity", "edge_length_nm"])


def envelope_of(error):
    """Give an envelope of discs whose circularity falls with size and is known to some standard error at each."""
    size = np.linspace(2.2, 8.2, 16)
    rows = pd.DataFrame({"shape": "disc", "descriptor": "circularity", "size_nm": size, "value": 0.9 + 0.1 / size})
    return NullEnvelope(PAPER, (2.2, 8.2), rows.assign(standard_error=error))


def taken(error, seed=3):
    envelope = envelope_of(error)
    return TakenOff(ConstantShape("disc", envelope, envelope), None, ["A", "B"], seed)


@pytest.mark.parametrize("shares", [None, {"A": 1.0, "B": 3.0}])
def test_places_beside_many_baselines_are_those_with_each_taken_off_alone(made, shares):
    baseline = envelope_of(0.002).baseline("circularity")
    parts = [
        baseline.assign(sample=name, value=baseline["value"] * factor) for name, factor in (("B", 1.0), ("A", 0.9))
    ]
    asked = {"of": "circularity", "between": RANGE, "cluster": "group", "shares": shares}
    for frame in (baseline, pd.concat(parts, ignore_index=True)):
        changes = np.random.default_rng(2).normal(0, 0.002, (4, len(frame))).cumsum(1) / 5
        found = bend_places_beside(made, **asked, baseline=frame, changes=changes)
        assert set(found) == {"A", "B", JOINT}
        for draw, change in enumerate(changes):
            alone = bend_places(made, **asked, baseline=frame.assign(value=frame["value"] + change))
            assert {name: places[draw] for name, places in found.items()} == pytest.approx(alone, rel=1e-9)
        assert np.ptp(found[JOINT]) > 0.01  # else they are all the same, and nothing is tested


def test_the_baseline_varies_as_least_squares_says_of_its_standard_errors():
    error = np.linspace(0.001, 0.004, 16)
    envelope = envelope_of(error)
    changes = envelope.changes("circularity", "disc", 2000, np.random.default_rng(1))
    curve = envelope.baseline("circularity")
    own, wanted = (np.vander(1 / np.asarray(size), 5) for size in (envelope.table["size_nm"], curve["size_nm"]))
    solved = wanted @ np.linalg.pinv(own / error[:, None]) / error
    np.testing.assert_allclose(changes.std(0), np.sqrt((solved**2) @ error**2), rtol=0.08)  # 1.6 % each, 120 sizes
    np.testing.assert_allclose(changes.mean(0) / changes.std(0), 0, atol=0.1)


@pytest.mark.slow
def test_the_baseline_varies_as_those_of_other_copies_do():
    asked = {"shapes": ["disc"], "of": ["circularity"], "between_nm": (3.0, 8.0), "copies": 30}
    others = np.array([null_envelope(PAPER, **asked, seed=seed).baseline("circularity")["value"] for seed in range(24)])
    changes = null_envelope(PAPER, **asked, seed=99).changes("circularity", "disc", 400, np.random.default_rng(1))
    ratio = changes.std(0) / others.std(0, ddof=1)
    assert 0.7 < np.exp(np.log(ratio).mean()) < 1.4  # 24 others tell their spread to 15 %, and sizes share them


def test_the_change_of_the_smooth_shift_is_that_of_fitting_it_anew():
    rng = np.random.default_rng(4)
    left = np.arange(30, 80, 2) / 10
    shift = -0.01 * np.exp(-0.5 * ((left - 6.5) / 1.5) ** 2) * (1 + 0.1 * rng.standard_normal(len(left)))
    rows = pd.DataFrame(
        {"size_left": left, "size_right": left + 0.2, "n": rng.integers(20, 200, len(left)), "shift": shift}
    )
    size = np.linspace(2.5, 8.5, 40)
    changed = 1e-5 * rng.standard_normal((6, len(left)))
    smooth = smooth_shift(rows)
    anew = np.array([smooth_shift(rows.assign(shift=shift + one)).at(size) for one in changed]) - smooth.at(size)
    np.testing.assert_allclose(smooth.changes(changed, size), anew, atol=2e-6)
    assert np.abs(anew).max() > 1e-5
    few = smooth_shift(rows.head(3))
    mean = np.average(changed[:, :3], axis=1, weights=rows["n"].head(3))
    np.testing.assert_allclose(few.changes(changed[:, :3], size), np.tile(mean[:, None], 40))


@pytest.fixture(scope="module")
def analysed(population):
    particles, micrographs = population
    known = taken(0.0015)
    material = Material(particles, micrographs, None, None, {})
    options = {"cluster": "group", "level": 0.95, "seed": 0, "baselines": known.baselines(SECTION)}
    return [analyse_onsets(material, SECTION, **options, changes=changes) for changes in (known.changes(SECTION), None)]


@pytest.mark.parametrize("sample", ["A", "B", JOINT])
def test_what_the_baseline_contributes_is_how_far_onsets_move_with_others(made, analysed, sample):
    known = taken(0.0015)
    baseline, changes = known.baselines(SECTION)["circularity"], known.changes(SECTION)["circularity"]
    assert len(changes) == 100
    asked = {"of": "circularity", "between": RANGE, "cluster": "group"}
    nominal = bend_places(made, **asked, baseline=baseline)[sample]
    moved = [bend_places(made, **asked, baseline=baseline.assign(value=baseline["value"] + change))[sample]
             for change in changes[::5]]  # fmt: skip
    table = analysed[0].sensitivity.onsets
    found = table[table["sample"] == sample].set_index("source")
    part = found.loc["baseline", "standard_uncertainty_nm"]
    assert part == pytest.approx(np.sqrt(np.mean((np.array(moved) - nominal) ** 2)), rel=0.4)  # 20 of 100 draws: 16 %
    assert found.loc["baseline", "smallest_nm"] <= min(moved) + 1e-9
    assert found.loc["baseline", "largest_nm"] >= max(moved) - 1e-9
    parts = found["standard_uncertainty_nm"].drop("combined")
    assert found.loc["combined", "standard_uncertainty_nm"] == pytest.approx(np.sqrt((parts**2).sum()))
    assert found.loc["combined", "expanded_uncertainty_nm"] > 2 * found.loc["sampling", "standard_uncertainty_nm"]
    assert found.loc["baseline", "remark"] == "draws by its standard errors"


def test_a_baseline_that_counts_as_exact_has_no_line(analysed):
    with_line, without = (made.sensitivity for made in analysed)
    assert "baseline" in set(with_line.onsets["source"])
    assert "baseline" not in set(without.onsets["source"])
    pd.testing.assert_frame_equal(with_line.bin_means, without.bin_means)
    notes = [onset_content(made, assumed=False).tables[-1] for made in analysed]
    assert ["baseline" in one.frame.columns for one in notes] == [True, False]
    assert ["Baseline: " in one.note for one in notes] == [True, False]


def test_draws_depend_on_seed_and_descriptor_alone():
    one, same, other = (taken(0.002, seed).changes(SECTION)["circularity"] for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert (one != other).all()
    exact = TakenOff(ConstantShape("disc", envelope_of(0.002), None), None, ["A"], 3)
    assert exact.changes(SECTION) == {}
