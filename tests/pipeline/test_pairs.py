"""Pairs that are measured as one: found again in crowded fields whose true pairs are known."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

from nanocensus.errors import InputError, StatisticsError
from nanocensus.measure.acceptance import apply_criteria
from nanocensus.measure.criteria import Criteria
from nanocensus.measure.descriptors import measure
from nanocensus.pipeline.measuring import Measuring
from nanocensus.pipeline.null_envelope import null_envelope
from nanocensus.pipeline.pairs import PairContamination, pair_contamination
from nanocensus.simulate.copies import at_random
from nanocensus.simulate.maps import render_map
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
