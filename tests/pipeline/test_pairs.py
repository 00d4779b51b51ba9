"""Pairs that are measured as one: found again in crowded fields whose true pairs are known."""

import dataclasses
import math
import shutil

import jsonschema
import numpy as np
import pandas as pd
import pytest

from nanocensus.errors import InputError, StatisticsError
from nanocensus.measure.acceptance import apply_criteria
from nanocensus.measure.criteria import Criteria
from nanocensus.measure.descriptors import measure
from nanocensus.pipeline.analysis.analyse import analyse_judged
from nanocensus.pipeline.baselines.cluster_model import crowded_sample
from nanocensus.pipeline.baselines.constant_shapes import ConstantShape
from nanocensus.pipeline.baselines.excess import excess_trends
from nanocensus.pipeline.baselines.excess_columns import EXCESS_TABLES
from nanocensus.pipeline.baselines.measuring import Measuring
from nanocensus.pipeline.baselines.null_envelope import null_envelope
from nanocensus.pipeline.baselines.pairs import PairContamination, pair_contamination
from nanocensus.pipeline.job.onset_section import OnsetRanges, OnsetsSection
from nanocensus.pipeline.question import Question
from nanocensus.pipeline.report.onsets import onset_content
from nanocensus.simulate.copies import at_random
from nanocensus.simulate.maps import render_map
from nanocensus.simulate.seeds import sample_seed
from nanocensus.simulate.shapes import disc

SIDE, FIELDS, PX = 1024, 4, 0.172
MEASURING = Measuring(pixel_size_nm=PX, edge_width_nm=0.4588)  # a blur of 1 px


def crowded_field(rng, n, overlapping):
    """Place discs at random; one that meets another stays with the chance `overlapping`, else it looks for another place."""
    centres, radii, placed = np.empty((0, 2)), np.empty(0), []
    for _ in range(n):
        size = 5.0 * math.exp(0.25 * rng.standard_normal()) / PX
        radius = size / math.sqrt(math.pi)
        while True:
            centre = rng.uniform(0, SIDE, 2)
            free = (np.hypot(*(centres - centre).T) > radii + radius + 3).all()
            if free or rng.random() < overlapping:
                break
        centres, radii = np.vstack([centres, centre]), np.append(radii, radius)
        y, x = centre.tolist()
        placed.append(dataclasses.replace(at_random("disc", disc().scaled(size), rng), centre=(y, x)))
    return placed


def measured_fields(overlapping, n=180, fields=FIELDS):
    rng = np.random.default_rng(11)
    frames = []
    for field in range(fields):
        placed = crowded_field(rng, n, overlapping)
        found = measure(render_map(placed, (SIDE, SIDE), blur_px=1.0), pixel_size_nm=PX)
        inside = [[min(max(round(c), 0), SIDE - 1) for c in one.centre] for one in placed]
        members = pd.Series([found.labels[y, x] for y, x in inside]).value_counts()
        table = found.table.to_pandas()
        frames.append(table.assign(sample="A", micrograph=str(field), members=table["label"].map(members).fillna(0)))
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="module")
def envelope():
    return null_envelope(MEASURING, shapes=["disc"], between_nm=(2.4, 11.0), copies=30)


@pytest.fixture(scope="module")
def micrographs():
    names = [str(field) for field in range(FIELDS)]
    return pd.DataFrame({"sample": "A", "micrograph": names, "height_px": SIDE, "width_px": SIDE, "pixel_size_nm": PX})


@pytest.fixture(scope="module")
def crowded(envelope, micrographs):
    particles = measured_fields(overlapping=0.25)
    return particles, pair_contamination(particles, micrographs, envelope, clusters=60)


def accepted_of(particles):
    judged = apply_criteria(particles, Criteria())
    return judged[judged["failed_criteria"] == 0]


def test_the_number_of_accepted_pairs_is_found_again(crowded):
    particles, found = crowded
    true = int((accepted_of(particles)["members"] >= 2).sum())
    assert true > 25  # else the fields test nothing
    expected = float((found.rates["n_merged"] * found.rates["accepted"]).sum())
    error = float(np.hypot(*(found.rates["error"] * found.rates["accepted"])))
    assert error < 0.7 * true  # else the estimate says nothing
    assert abs(expected - true) < 3 * math.hypot(error, math.sqrt(true))  # the true number is itself a draw


def test_micrographs_that_failed_or_are_excluded_make_no_sample_sparser(crowded, micrographs):
    judged = apply_criteria(crowded[0], Criteria())
    known = micrographs.assign(status="done", excluded=None)
    failed, excluded = known.assign(status="failed", micrograph="x"), known.assign(excluded=True, micrograph="y")
    found, alone = (
        crowded_sample("A", judged, rows, Criteria()).density_per_nm2
        for rows in (pd.concat([known, failed, excluded], ignore_index=True), micrographs)
    )
    assert found == alone == pytest.approx(len(judged) / (FIELDS * (SIDE * PX) ** 2))


@pytest.mark.slow
def test_the_shift_of_the_mean_is_that_of_the_true_pairs(envelope, micrographs):
    fields = 24
    particles = measured_fields(overlapping=0.25, fields=fields)
    areas = pd.concat([micrographs.head(1).assign(micrograph=str(field)) for field in range(fields)])
    found = pair_contamination(particles, areas, envelope)
    accepted = accepted_of(particles)
    large = accepted[accepted["edge_length_nm"].between(6.0, found.table["size_right"].max())]
    single = large[large["members"] < 2]
    for descriptor in ("circularity", "solidity"):
        rows = found.table[(found.table["descriptor"] == descriptor) & (found.table["size_left"] > 5.9)]
        shift = float(np.average(rows["shift"], weights=rows["n"]))
        true = large[descriptor].mean() - single[descriptor].mean()
        assert true < 0
        assert shift == pytest.approx(true, rel=0.4)  # 200 true pairs, 7 %; the estimate's own error is near 15 %


def test_pairs_are_fewer_than_random_placement_has_where_particles_keep_apart(crowded):
    particles, found = crowded
    rates = found.rates.set_index("kind").loc["overlapping"]
    assert rates["n_merged"] < 0.6 * rates["n_random"]
    assert rates["density_per_nm2"] == pytest.approx(len(particles) / (FIELDS * (SIDE * PX) ** 2))
    assert rates["n_detected"] == len(particles)


def test_where_particles_keep_apart_there_are_no_pairs(envelope, micrographs):
    particles = measured_fields(overlapping=0.0, n=90)
    found = pair_contamination(particles, micrographs, envelope, clusters=30)
    assert found.rates["n_merged"].tolist() == [0.0, 0.0]
    assert (found.table[["share", "shift"]] == 0).all(axis=None)
    pd.testing.assert_frame_equal(found.baseline("solidity", "A"), envelope.baseline("solidity"))


def pairs_with(envelope, shift):
    """Give a result whose bins shift by a function of their centres."""
    left = np.arange(30, 90) / 10
    rows = pd.DataFrame(
        {"sample": "A", "size_left": left, "size_right": left + 0.1, "n": 100, "descriptor": "solidity"}
    )
    return PairContamination(envelope, "disc", rows.assign(shift=shift(left + 0.05)), pd.DataFrame())


def added(found, envelope):
    curve, alone = found.baseline("solidity", "A"), envelope.baseline("solidity")
    return alone["size_nm"].to_numpy(), (curve["value"] - alone["value"]).to_numpy()


def test_the_baseline_takes_the_pairs_in_without_the_jumps_of_single_bins(envelope):
    def true(size):
        return -0.01 * np.exp(-0.5 * ((size - 8.5) / 1.2) ** 2)

    jumps = np.random.default_rng(4).poisson(20, 60) / 20
    size, shift = added(pairs_with(envelope, lambda size: true(size) * jumps), envelope)
    inside = (size > 3.1) & (size < 8.9)
    assert shift[inside] == pytest.approx(
        true(size[inside]), abs=0.001
    )  # 1 / sqrt(20) in a bin, a tenth of it smoothed
    assert np.abs(np.diff(shift[inside], 2)).max() < 1e-4  # no kink; two bins differ by 2e-3


def test_clusters_that_lack_a_descriptor_are_in_no_mean_of_it(micrographs):
    envelope = null_envelope(MEASURING, shapes=["disc"], of=["circularity", "psi_2"], between_nm=(2.4, 11.0), copies=30)
    particles = measured_fields(0.2)
    found = pair_contamination(particles, micrographs, envelope, of=["circularity", "psi_2"], clusters=100)
    shifts = found.table.pivot(index="size_left", columns="descriptor", values="shift")
    assert np.isfinite(shifts["psi_2"]).all()
    assert shifts["psi_2"].max() > 0
    assert np.isfinite(found.shift_changes(np.array([4.0, 6.0]), "psi_2", "A")).all()
    alone = pair_contamination(particles, micrographs, envelope, of=["circularity"], clusters=100)
    assert found.rates.equals(alone.rates)


def test_without_pairs_the_baseline_is_that_of_the_envelope(envelope):
    _, shift = added(pairs_with(envelope, lambda size: 0 * size), envelope)
    assert (shift == 0).all()
    with pytest.raises(InputError, match="B solidity"):
        pairs_with(envelope, np.zeros_like).baseline("solidity", "B")


def test_few_particles_and_unknown_outlines_are_refused(crowded, envelope, micrographs):
    particles, _ = crowded
    with pytest.raises(StatisticsError, match="at least 50 accepted"):
        pair_contamination(particles.head(20), micrographs, envelope)
    with pytest.raises(InputError, match="hexagon"):
        pair_contamination(particles, micrographs, envelope, shape="hexagon")


@pytest.mark.slow
def test_particles_so_sparse_that_none_ever_meet_have_no_pairs(envelope, micrographs):
    sizes = np.linspace(4.01, 4.99, 120)
    rows = pd.DataFrame({"edge_length_nm": sizes, "area_nm2": sizes**2, "pixel_count": 1000, "eccentricity": 0.1,
                         "solidity": 0.99, "circularity": 0.98, "touches_border": False, "sample": "A"})  # fmt: skip
    found = pair_contamination(rows, micrographs.assign(height_px=10**6, width_px=10**6), envelope, clusters=10)
    assert found.rates["n_merged"].tolist() == [0.0, 0.0]
    assert len(found.table) == 10
    assert (found.table["share"] == 0).all()


def test_criteria_that_reject_none_by_shape_tell_nothing_of_pairs(crowded, envelope, micrographs):
    loose = Criteria(max_eccentricity=None, min_solidity=None)
    with pytest.raises(StatisticsError, match="reject by eccentricity, solidity or convexity, got none"):
        pair_contamination(crowded[0], micrographs, envelope, criteria=loose)


def test_rejected_particles_that_are_no_pairs_are_found_out_by_what_the_accepted_lack(envelope, micrographs):
    """Single particles that are long enough to be rejected would be many overlapping pairs, most of which are accepted."""
    particles = measured_fields(overlapping=0.0, n=90)
    broken = particles.sample(100, random_state=1).assign(solidity=0.93, eccentricity=0.87)
    with pytest.raises(StatisticsError, match=r"pairs of A: expected \d+ accepted particles as long or concave"):
        pair_contamination(pd.concat([particles, broken], ignore_index=True), micrographs, envelope, clusters=60)


def test_the_trend_of_single_discs_with_pairs_among_them_is_that_of_discs_with_pairs(crowded, envelope):
    particles, found = crowded
    rows = accepted_of(particles)
    kept = {"between_nm": (3.0, 8.5), "of": ["solidity"]}
    alone, both = (excess_trends(rows, envelope, pairs=pairs, **kept).iloc[0] for pairs in (None, found))
    assert not alone["pairs"]
    assert both["pairs"]
    curve = found.shift(rows["edge_length_nm"][rows["edge_length_nm"].between(3.0, 8.5)].to_numpy(), "solidity", "A")
    assert (curve < 0).all()
    assert both["envelope_change"] < alone["envelope_change"]
    assert abs(both["excess"]) < abs(alone["excess"])
    assert "with the pairs among them measured the same way" in both["sentence"]


MANY = 12
SOUGHT = OnsetsSection(
    {"circularity": OnsetRanges((3.0, 7.0)), "solidity": OnsetRanges((3.0, 7.0))}, replicates=99, uncertainty=False,
    constant_shape="disc", pairs=True,
)  # fmt: skip


@pytest.fixture(scope="module")
def run_of_many():
    """Twelve crowded fields of sample A, and a sample B of one field with few particles; as a run holds them."""
    particles = measured_fields(overlapping=0.25, fields=MANY)
    few = particles[particles["micrograph"] == "0"].head(30).assign(sample="B", micrograph="few")
    names = [*map(str, range(MANY)), "few"]
    index = pd.DataFrame({"sample": ["A"] * MANY + ["B"], "micrograph": names, "height_px": SIDE, "width_px": SIDE,
                          "pixel_size_nm": PX, "status": "done", "flags": None, "excluded": False})  # fmt: skip
    return apply_criteria(pd.concat([particles, few], ignore_index=True), Criteria()), index


def analysed(run, envelope, out, section=SOUGHT):
    judged, index = run
    counts = pd.DataFrame({"sample": ["A", "B"], "accepted": [len(judged), 0]})
    taken = ConstantShape("disc", envelope, envelope if section.constant_shape else None)
    asked = Question(["edge_length_nm", "circularity"], None, criteria=Criteria(), onsets=section, constant=taken)
    return analyse_judged(judged, index, counts, asked, out)


@pytest.fixture(scope="module")
def asked_for(run_of_many, envelope, tmp_path_factory):
    out = tmp_path_factory.mktemp("pairs")
    return out, analysed(run_of_many, envelope, out)


def test_a_job_that_asks_for_pairs_writes_what_the_function_gives(asked_for, run_of_many, envelope):
    out, made = asked_for
    judged, index = run_of_many
    stream = int(sample_seed(0, "A").generate_state(1)[0])
    alone = pair_contamination(judged[judged["sample"] == "A"], index, envelope, seed=stream)
    for name, table in (("pair_contamination", alone.table), ("pair_rates", alone.rates)):
        pd.testing.assert_frame_equal(pd.read_csv(out / f"tables/{name}.csv"), table, check_dtype=False)
    size = np.linspace(3.0, 7.0, 9)
    np.testing.assert_array_equal(
        made.beyond.taken.pairs.shift(size, "solidity", "A"), alone.shift(size, "solidity", "A")
    )
    true = int((judged.query("sample == 'A' and failed_criteria == 0")["members"] >= 2).sum())
    rows = alone.table.query("descriptor == 'solidity'")
    assert true > 60
    error = float((rows["share_error"] * rows["n"]).sum())
    assert abs(float((rows["share"] * rows["n"]).sum()) - true) < 3 * math.hypot(error, true**0.5)


def test_the_tables_of_what_is_taken_off_are_those_of_the_contracts(asked_for):
    out, _ = asked_for
    for name, contract in EXCESS_TABLES.items():
        text = {column.name: [""] for column in contract.columns if column.dtype == "float64"}
        written = pd.read_csv(out / f"tables/{name}.csv", keep_default_na=False, na_values=text)
        assert list(written.columns) == list(contract.names)
        validator = jsonschema.Draft202012Validator(contract.json_schema())
        for row in written.astype(object).where(written.notna(), None).to_dict("records"):
            validator.validate(row)
        assert len(written)


def test_pairs_are_taken_off_the_means_together_with_the_shape(asked_for, run_of_many, envelope, tmp_path):
    _, made = asked_for
    plain = analysed(run_of_many, envelope, tmp_path, dataclasses.replace(SOUGHT, pairs=False))
    with_pairs, without = (one.onsets.found.curves.query("descriptor == 'solidity'") for one in (made, plain))
    assert len(with_pairs) > 20
    shift = made.beyond.taken.pairs.shift(with_pairs["size_nm"].to_numpy(), "solidity", "A")
    assert shift.min() < -0.001
    # The baseline is read straight between its points, 0.05 nm apart.
    np.testing.assert_allclose(with_pairs["mean"] - without["mean"], -shift, atol=2e-5)
    assert made.beyond.trends["pairs"].tolist() == [True, False, True, False]  # nothing can be told of sample B
    assert not plain.beyond.trends["pairs"].any()


def test_the_report_says_how_many_pairs_there_are_and_what_they_do(asked_for):
    _, made = asked_for
    said = onset_content(made.onsets, made.beyond, assumed=False).sentences
    assert (
        "The baseline that is taken off the means: what a constant disc shows of each size, and what pairs of particles that are "
        "measured as one add in each sample." in said
    )
    told = next(sentence for sentence in said if sentence.startswith("A: an estimated "))
    found = made.beyond.taken.pairs.found
    rows = found.table.query("descriptor == 'circularity' and size_left > 2.9 and size_right < 7.1")
    assert f"{np.average(rows['share'], weights=rows['n']):.1%}" in told
    centre = ((rows["size_left"] + rows["size_right"]) / 2).to_numpy()
    for of in ("circularity", "solidity"):
        shift = found.shift(centre, of, "A")
        assert f"mean {of} by {shift[np.abs(shift).argmax()]:+.4f}" in told
    refused = next(sentence for sentence in said if sentence.startswith("B: what pairs"))
    assert "at least 50 accepted particles" in refused
    assert any("single particles are rejected too" in sentence for sentence in said)


def test_pairs_can_be_taken_off_without_a_shape(asked_for):
    _, made = asked_for
    with_shape = made.beyond.taken
    taken = dataclasses.replace(with_shape, constant=dataclasses.replace(with_shape.constant, envelope=None))
    baselines = taken.baselines(SOUGHT)
    for of in ("circularity", "solidity"):
        one, other = (baselines[of].query("sample == @name") for name in ("A", "B"))
        np.testing.assert_array_equal(one["value"], with_shape.pairs.shift(one["size_nm"].to_numpy(), of, "A"))
        assert (other["value"] == 0).all()
    assert next(taken.sentences(SOUGHT)) == (
        "the baseline that is taken off the means: what pairs of particles that are measured as one add in each sample."
    )
    assert set(taken.tables()) == {"pair_contamination", "pair_rates"}


def test_pairs_vary_with_their_counts_and_each_sample_by_itself(asked_for):
    _, made = asked_for
    taken = made.beyond.taken
    found, size = taken.pairs.found, taken.constant.course("solidity")["size_nm"].to_numpy()
    rows = found.table.query("descriptor == 'solidity'")
    draws = found.draws["A", "solidity"]
    assert draws.shape == (100, len(rows))
    shift, error = (float(np.average(rows[name], weights=rows["n"])) for name in ("shift", "share_error"))
    mean = np.average(draws, axis=1, weights=rows["n"])
    assert mean.mean() == pytest.approx(shift, abs=0.5 * mean.std() + 1e-9)
    # Number and shift go together: as uncertain as the share, which bins have in common for the most part.
    share = float(np.average(rows["share"], weights=rows["n"]))
    assert 0.3 * error / share < mean.std() / abs(shift) < 1.2 * error / share
    alone = dataclasses.replace(taken, pairs=None).changes(SOUGHT)["solidity"]
    both = taken.changes(SOUGHT)["solidity"].reshape(len(alone), 2, -1)
    np.testing.assert_allclose(both[:, 1], alone)  # nothing can be told of sample B
    np.testing.assert_allclose(both[:, 0] - alone, found.shift_changes(size, "solidity", "A"), atol=1e-12)
    assert (both[:, 0].std(0) > alone.std(0)).mean() > 0.9


def test_what_is_not_asked_for_again_is_removed(asked_for, run_of_many, envelope, tmp_path):
    out = shutil.copytree(asked_for[0], tmp_path / "again")
    analysed(run_of_many, envelope, out, dataclasses.replace(SOUGHT, constant_shape=None, pairs=False))
    assert not set(EXCESS_TABLES) & {path.stem for path in (out / "tables").glob("*.csv")}
