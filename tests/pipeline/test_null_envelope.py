"""Constant shapes measured as the data were: what they read, and whether the data read more."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from nanocensus.errors import InputError, StatisticsError, TableError
from nanocensus.measure.descriptors import measure_particles
from nanocensus.pipeline.baselines.excess import excess_trends
from nanocensus.pipeline.baselines.measuring import Measuring, measure_copies, measure_groups, measuring_of_maps
from nanocensus.pipeline.baselines.null_envelope import envelope_of_particles, null_envelope
from nanocensus.simulate.copies import at_random, render_apart
from nanocensus.simulate.shapes import disc, lobed
from nanocensus.statistics.onsets.onset import onsets

PAPER = Measuring(pixel_size_nm=0.086, edge_width_nm=0.23, estimator="paper")
OUTLINE = dataclasses.replace(PAPER, estimator="outline")


@pytest.fixture(scope="module")
def envelope():
    return null_envelope(PAPER, shapes=["disc"], between_nm=(2.6, 9.0), copies=40)


def rows_of(envelope, rise=0.0, n=3000, scatter=0.01):
    """Draw particles that read what a constant disc reads, and a rise per nm of their own."""
    rng = np.random.default_rng(5)
    size = rng.uniform(3, 7, n)
    value = envelope.at(size, "circularity") + rise * (size - 5) + scatter * rng.standard_normal(n)
    micrograph = rng.integers(20, size=n).astype(str)
    return pd.DataFrame({"sample": "A", "micrograph": micrograph, "edge_length_nm": size, "circularity": value})


def test_a_copy_is_measured_as_a_user_would_measure_its_map():
    outline = disc().scaled(50.0)
    particle = at_random("disc", outline, np.random.default_rng(0))
    found = measure_groups([[particle]], OUTLINE, np.random.default_rng(0)).loc[0]
    sheet = render_apart([[particle]], blur_px=OUTLINE.blur_px_at(50 * 0.086))
    alone = measure_particles(sheet.probability, pixel_size_nm=0.086).loc[0]
    for name in ("circularity", "solidity", "edge_length_nm", "edge_width_nm"):
        assert found[name] == alone[name]


def test_the_edge_of_a_copy_is_as_wide_as_was_asked_for():
    wide = Measuring(pixel_size_nm=0.086, edge_width_nm=0.2, edge_growth_nm3=0.9, smallest_nm=3.0)
    for size in (3.0, 5.0, 8.0):
        found = measure_copies(disc(), size, wide, 40, np.random.default_rng(1))["edge_width_nm"]
        assert found.mean() == pytest.approx(
            wide.edge_width_at(size), rel=0.02
        )  # the formula is that of a straight edge
    assert wide.edge_width_at(2.0) == wide.edge_width_at(3.0) == pytest.approx(0.3)


def test_sharpness_and_noise_of_maps_are_found_again():
    true = Measuring(pixel_size_nm=0.086, edge_width_nm=0.21, edge_growth_nm3=0.6, noise=0.06)
    rng = np.random.default_rng(2)
    maps = []
    for size in np.linspace(2.8, 8.0, 8).tolist():
        groups = [[at_random("disc", disc().scaled(size / 0.086), rng)] for _ in range(25)]
        sheet = render_apart(groups, blur_px=true.blur_px_at(size), noise=true.noise, rng=rng)
        maps.append(("A", sheet.probability))
    found = measuring_of_maps(maps, Measuring(0.086, 0.0, estimator="crofton"))
    assert found.estimator == "crofton"
    assert found.noise == pytest.approx(0.06, rel=0.15)  # of a dozen sizes, that about the median alone is matched
    for size in (3.0, 5.0, 8.0):
        assert found.edge_width_at(size) == pytest.approx(true.edge_width_at(size), rel=0.05)


def test_a_map_that_steps_has_no_edge_width():
    labels = np.zeros((300, 300), np.uint8)
    for y in range(25, 300, 50):
        for x in range(25, 300, 50):
            yy, xx = np.mgrid[:300, :300]
            labels[np.hypot(yy - y, xx - x) < 17] = 255
    found = measuring_of_maps([("A", labels)], Measuring(0.2, 0.5))
    assert (found.edge_width_nm, found.noise, found.blur_px_at(6.0)) == (0.0, 0.0, 0.0)


def test_too_few_particles_tell_nothing_of_maps():
    with pytest.raises(StatisticsError, match="at least 20 accepted particles"):
        measuring_of_maps([("A", np.zeros((50, 50), np.uint8))], PAPER)


def test_a_disc_counted_by_pixels_gets_less_circular_as_it_grows(envelope):
    """The known confound: .94 at 2.6 nm, .91 at 8.5 nm for a perfect disc at 0.086 nm a pixel."""
    read = envelope.at(np.array([2.7, 4.3, 8.5]), "circularity")
    assert read == pytest.approx([0.944, 0.925, 0.912], abs=0.004)
    assert np.all(np.diff(envelope.baseline("circularity")["value"]) < 0)


def test_the_fitted_curve_goes_through_the_values(envelope):
    table = envelope.table
    off = ((table["value"] - table["fitted"]) / table["standard_error"]).to_numpy()
    assert np.sqrt((off**2).mean()) < 1.5  # 1 if the curve has no error of its own, less for what is fitted
    assert ((table["spread_lower"] < table["value"]) & (table["value"] < table["spread_upper"])).all()
    assert (table["n"] == 40).all()


def test_the_baseline_is_what_onsets_are_told(envelope):
    curve = envelope.baseline("circularity")
    assert list(curve) == ["size_nm", "value"]
    assert curve["size_nm"].iloc[[0, -1]].tolist() == [2.6, 9.0]
    assert np.diff(curve["size_nm"]).min() > 0
    assert np.diff(curve["size_nm"]).max() <= 0.05 + 1e-9


def test_any_outline_has_an_envelope():
    own = lobed(0.08)
    found = null_envelope(OUTLINE, shapes={"mine": own}, of=["solidity"], between_nm=(5.0, 9.0), copies=30)
    assert set(found.table["shape"]) == {"mine"}
    assert found.at(np.array([9.0]), "solidity", "mine")[0] == pytest.approx(own.solidity, abs=0.005)


def test_equal_seeds_give_equal_envelopes_and_shapes_do_not_depend_on_each_other():
    coarse = Measuring(pixel_size_nm=0.2, edge_width_nm=0.53, estimator="paper")
    alone, again = (
        null_envelope(coarse, shapes=shapes, between_nm=(2.4, 4.0), copies=30)
        for shapes in (["disc"], ["disc", "square"])
    )
    discs = again.table[again.table["shape"] == "disc"].reset_index(drop=True)
    pd.testing.assert_frame_equal(discs, alone.table)
    assert not null_envelope(coarse, shapes=["disc"], between_nm=(2.4, 4.0), copies=30, seed=1).table.equals(
        alone.table
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"shapes": ["hexagon"]}, "hexagon"),
        ({"of": ["roundish"]}, "roundish"),
        ({"of": ["sample"]}, "sample"),
        ({"copies": 3}, "at least 30 copies"),
        ({"between_nm": (0.2, 9.0)}, "at least 8 px"),
        ({"between_nm": (5.0, 4.0)}, "increasing"),
    ],
)
def test_what_cannot_be_asked_is_refused(changed, message):
    with pytest.raises(InputError, match=message):
        null_envelope(PAPER, **({"shapes": ["disc"], "of": ["circularity"], "copies": 30} | changed))


def test_a_descriptor_that_an_estimator_lacks_is_refused():
    with pytest.raises(StatisticsError, match="psi_4"):
        null_envelope(PAPER, shapes=["disc"], of=["psi_4"], copies=30)


def test_an_unknown_curve_is_refused_by_the_known_ones(envelope):
    with pytest.raises(InputError, match="disc circularity, disc solidity"):
        envelope.baseline("circularity", "square")


def test_the_trend_of_constant_discs_is_inside_the_envelope(envelope):
    trends = excess_trends(rows_of(envelope), envelope, between_nm=(3.0, 7.0), of=["circularity"])
    row = trends.iloc[0]
    assert row["verdict"] == "inside"
    assert row["upper"] < 0  # it falls, beyond doubt
    assert "fall of circularity from 3 to 7 nm" in trends["sentence"][0]
    assert "cannot be told from that of constant discs measured the same way" in trends["sentence"][0]


@pytest.mark.parametrize(
    ("rise", "verdict", "words"), [(-0.004, "beyond", "goes beyond"), (0.002, "against", "what is left is")]
)
def test_a_trend_of_the_particles_own_is_told_apart(envelope, rise, verdict, words):
    trends = excess_trends(rows_of(envelope, rise), envelope, between_nm=(3.0, 7.0), of=["circularity"])
    row = trends.iloc[0]
    assert row["verdict"] == verdict
    assert row["excess_lower"] < 4 * rise < row["excess_upper"]
    assert row["excess"] == pytest.approx(row["change"] - row["envelope_change"])
    assert words in trends["sentence"][0]


def test_the_shape_is_compared_at_the_sizes_of_the_particles_that_have_the_descriptor(envelope):
    rows = rows_of(envelope)
    without = rows["edge_length_nm"] > 5.0
    asked = {"between_nm": (3.0, 7.0), "of": ["circularity"]}
    some = excess_trends(rows.assign(circularity=rows["circularity"].mask(without)), envelope, **asked)
    pd.testing.assert_frame_equal(some, excess_trends(rows[~without], envelope, **asked))
    assert some["excess"][0] == pytest.approx(some["change"][0] - some["envelope_change"][0])


def test_an_envelope_that_is_hardly_known_finds_no_trend_beyond_it_more_often_than_by_chance(envelope):
    """The means of the envelope are drawn by their standard errors, and the particles read what it truly is."""
    rng = np.random.default_rng(9)
    rows = rows_of(envelope, n=20_000, scatter=0.01)  # so many that the envelope is what is known least
    asked = {"between_nm": (3.0, 7.0), "of": ["circularity"]}
    means, errors = envelope.table["value"], envelope.table["standard_error"]

    def excess():
        drawn = envelope.table.assign(value=means + errors * rng.standard_normal(len(means)))
        return excess_trends(rows, dataclasses.replace(envelope, table=drawn), **asked).iloc[0]

    found = pd.DataFrame([excess() for _ in range(200)])
    assert found["excess"].std() > 0.6 * (found["excess_upper"] - found["excess_lower"]).mean() / 4
    assert (found["verdict"] != "inside").mean() < 0.08
    alone = excess_trends(rows, dataclasses.replace(envelope, table=envelope.table.assign(standard_error=0.0)), **asked)
    assert (
        alone["excess_upper"][0] - alone["excess_lower"][0]
        < 0.7 * (found["excess_upper"] - found["excess_lower"]).min()
    )


def test_what_counts_as_one_is_settled_where_it_is_left_open(envelope):
    rows = rows_of(envelope)
    asked = {"between_nm": (3.0, 7.0), "of": ["circularity"]}
    found = excess_trends(rows, envelope, cluster="auto", **asked)
    pd.testing.assert_frame_equal(found, excess_trends(rows, envelope, cluster="micrograph", **asked))


def test_few_micrographs_get_a_reason_and_no_verdict(envelope):
    rows = rows_of(envelope)
    trends = excess_trends(
        rows[rows["micrograph"].isin(["1", "2"])], envelope, between_nm=(3.0, 7.0), of=["circularity"]
    )
    assert trends.iloc[0]["verdict"] == ""
    assert trends.iloc[0]["refusal"]
    assert "is not compared" in trends["sentence"][0]


def test_trends_need_sizes_columns_and_their_micrographs(envelope):
    rows = rows_of(envelope)
    with pytest.raises(StatisticsError, match=r"2\.6 to 9 nm"):
        excess_trends(rows, envelope, between_nm=(2.0, 7.0))
    with pytest.raises(TableError, match="solidity"):
        excess_trends(rows, envelope, between_nm=(3.0, 7.0))
    strange = pd.DataFrame({"sample": ["A"], "micrograph": ["zz"]})
    with pytest.raises(TableError, match="others"):
        excess_trends(rows, envelope, between_nm=(3.0, 7.0), of=["circularity"], micrographs=strange)


@pytest.fixture(scope="module")
def discs():
    """Constant discs of 3 to 7 nm on ten micrographs, counted by pixels."""
    rng = np.random.default_rng(8)
    sizes = rng.uniform(2.95, 7.05, 1000) / 0.086
    found = measure_groups([[at_random("disc", disc().scaled(size), rng)] for size in sizes.tolist()], PAPER, rng)
    names = np.char.mod("m%d", np.arange(len(found)) % 10)
    return found.assign(sample="A", micrograph=names)[["sample", "micrograph", "edge_length_nm", "circularity"]]


def onset_of(particles, envelope, bend=0.0):
    """Seek an onset on the excess, set on the level of a disc of 5 nm; with a bend of the particles' own at 5 nm."""
    size = particles["edge_length_nm"].to_numpy()
    level = envelope.at(np.array([5.0]), "circularity")[0]
    own = -bend * np.maximum(size - 5.0, 0.0)
    excess = particles["circularity"] - envelope.at(size, "circularity") + level + own
    rows = particles.assign(circularity=excess)
    return onsets(rows, between_nm=(3.0, 7.0), weight=None, replicates=199).table.iloc[0]


def test_constant_discs_have_no_onset_on_the_excess(discs, envelope):
    found = onset_of(discs, envelope)
    assert "a smooth curve explains as much" in found["refusal"]
    trend = excess_trends(discs, envelope, between_nm=(3.0, 7.0), of=["circularity"]).iloc[0]
    assert trend["upper"] < -0.01  # what is seen falls
    assert abs(trend["excess"]) < 0.001  # what is left does not


def test_an_onset_of_the_particles_own_is_found_on_the_excess(discs, envelope):
    found = onset_of(discs, envelope, bend=0.02)
    assert found["refusal"] == ""
    assert found["lower_nm"] < 5.0 < found["upper_nm"]


def test_particles_of_one_shape_make_the_envelope_that_copies_make(discs, envelope):
    found = envelope_of_particles(discs, PAPER, of=["circularity"])
    low, high = found.between_nm
    assert 3.0 < low < 3.4
    assert 6.6 < high < 7.0
    sizes = np.linspace(low, high, 9)
    # Twelve means of 83 discs that scatter by 0.006; at the ends a fit of five terms is as good as one of them.
    assert found.at(sizes, "circularity") == pytest.approx(envelope.at(sizes, "circularity"), abs=0.003)
    with pytest.raises(StatisticsError, match="at least 360 particles"):
        envelope_of_particles(discs.head(100), PAPER, of=["circularity"])
