from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from nanocensus.errors import JobError
from nanocensus.measure.descriptors import measure
from nanocensus.measure.detail import detail
from nanocensus.measure.quality import quality
from nanocensus.measure.registration import find_overlaps, thumbnail
from nanocensus.pipeline.job.sections import QualitySection
from nanocensus.pipeline.job.spec import parse_job
from nanocensus.pipeline.run.details import with_scores
from nanocensus.pipeline.run.quality import flags
from nanocensus.pipeline.run.registration import Pair
from nanocensus.segment.prediction.weights import load_model
from nanocensus.simulate.sessions import Faults, simulate_session
from nanocensus.simulate.spec import SimulationSpec


def index(n=10, **changes):
    """Scores of ordinary micrographs, and what is changed of some by number."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "micrograph": [f"{number:016x}" for number in range(n)],
            "name": [f"{number}.tif" for number in range(n)],
            "sample": "A",
            "pixel_size_nm": 0.1,
            "blur_nm": 0.2 * np.exp(0.03 * rng.normal(size=n)),
            "drift_nm": 0.2 + 0.03 * rng.normal(size=n),
            "saturated_share": 0.001,
            "background_range": 0.08 + 0.005 * rng.normal(size=n),
            "covered_share": 0.2 + 0.01 * rng.normal(size=n),
            "touching_share": 0.1 + 0.02 * rng.normal(size=n),
            "domain_score": 0.5,
            "detail_loss_z": rng.normal(size=n).clip(-2, 2),
            "detail_asymmetry_z": rng.normal(size=n).clip(-2, 2),
        }
    )
    for column, values in changes.items():
        for number, value in values.items():
            rows.loc[number, column] = value
    return rows


def pair(first, second, share):
    return Pair(f"{first:016x}", f"{second:016x}", share, 0.0, 0.0, 20.0)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("blur_nm", 0.4, "blurred: edges 0.4 nm wide (1"),
        ("drift_nm", 0.9, "drifted: 0.9 nm ("),
        ("saturated_share", 0.03, "saturated: 3.0% of the pixels (the bound is 0.01)"),
        ("background_range", 0.4, "uneven: background over 40% ("),
        ("covered_share", 0.6, "crowded: 60% covered ("),
        ("touching_share", 0.9, "crowded: 90% of the particles touch ("),
        ("detail_loss_z", 6.2, "blurred: little fine detail (6.2 sd above its like)"),
        (
            "detail_asymmetry_z",
            7.0,
            "drifted or striped: detail that differs between directions (7.0 sd above its like)",
        ),
    ],
)
def test_a_score_far_above_its_like_is_flagged_and_below_is_not(column, value, words):
    (found,) = [each for each in flags(index(**{column: {4: value}}), [], QualitySection()) if each]
    assert len(found) == 1
    assert found[0].startswith(words)
    below = 0.14 if column == "blur_nm" else 0.0  # no edge is narrower than the least that is tried
    assert not any(flags(index(**{column: {4: below}}), [], QualitySection()))


def test_a_bound_is_absolute_and_false_switches_a_rule_off():
    rows = index(blur_nm={4: 0.4}, saturated_share={5: 0.03}, domain_score={6: 2.5})
    off = QualitySection(blur_z=False, max_saturated_share=False)
    assert not any(flags(rows, [], off))
    bounded = flags(rows, [], QualitySection(max_blur_nm=0.3, blur_z=False, max_domain_score=2.0))
    assert [bool(each) for each in bounded] == [number in (4, 5, 6) for number in range(10)]
    assert bounded[4] == ["blurred: edges 0.4 nm wide (the bound is 0.3)"]
    assert all(flags(rows, [], QualitySection(max_covered_share=0.0)))


def test_two_rules_about_one_thing_give_one_reason():
    found = flags(index(covered_share={3: 0.6}, touching_share={3: 0.9}), [], QualitySection(max_covered_share=0.5))
    assert [len(each) for each in found] == [1 if number == 3 else 0 for number in range(10)]


def test_a_drifted_micrograph_is_not_called_blurred_too():
    found = flags(index(drift_nm={3: 2.0}, blur_nm={3: 0.3}, detail_loss_z={3: 9.0}), [], QualitySection())
    assert [each.split(":")[0] for each in found[3]] == ["drifted"]


def test_the_wide_edges_of_a_blurred_micrograph_may_be_more_unequal():
    found = flags(index(drift_nm={3: 0.7}, blur_nm={3: 0.6}), [], QualitySection())
    assert [each.split(":")[0] for each in found[3]] == ["blurred"]


def test_samples_are_held_against_themselves_and_small_ones_against_the_run():
    rows = pd.concat([index(9), index(9).assign(sample="B", blur_nm=lambda own: 3 * own["blur_nm"])], ignore_index=True)
    assert not any(flags(rows, [], QualitySection()))  # B is coarser, all of it
    few = pd.concat([index(9), index(2).assign(sample="B", blur_nm=0.6)], ignore_index=True)
    assert [bool(each) for each in flags(few, [], QualitySection())] == [False] * 9 + [True] * 2
    assert not any(flags(index(7, blur_nm={3: 0.9}), [], QualitySection()))  # too few to know what is ordinary
    sessions = rows.assign(sample="A", session=np.repeat(["one", "two"], 9))
    assert not any(flags(sessions, [], QualitySection()))  # sessions too, where they are recorded
    other = few.assign(pixel_size_nm=np.where(few["sample"] == "B", 0.2, 0.1))
    assert not any(flags(other, [], QualitySection()))


def test_a_score_that_is_missing_is_no_reason():
    rows = index(blur_nm={2: np.nan}, touching_share={2: np.nan})
    assert not any(flags(rows, [], QualitySection()))
    assert not any(flags(rows.assign(blur_nm=np.nan), [], QualitySection()))


def test_of_overlapping_micrographs_the_later_go_and_what_is_left_does_not_overlap():
    chain = [pair(0, 1, 0.5), pair(1, 2, 0.5), pair(2, 3, 0.05), pair(5, 6, 1.0), pair(5, 7, 0.4), pair(6, 7, 0.9)]
    found = flags(index(), chain, QualitySection())
    assert {number: each for number, each in enumerate(found) if each} == {
        1: ["repeats 50% of 0.tif"],
        6: ["repeats 100% of 5.tif"],
        7: ["repeats 40% of 5.tif"],
    }
    assert not any(flags(index(), chain, QualitySection(max_overlap_share=False)))


def test_pairs_of_files_that_left_and_of_another_order_do_no_harm():
    found = flags(index(4), [pair(3, 1, 0.5), pair(2, 8, 1.0), pair(9, 0, 1.0)], QualitySection())
    assert {number: each for number, each in enumerate(found) if each} == {3: ["repeats 50% of 1.tif"]}


def test_a_blurred_micrograph_does_not_push_out_the_one_that_repeats_it():
    found = flags(index(blur_nm={0: 0.5}), [pair(0, 1, 1.0)], QualitySection())
    assert [bool(each) for each in found[:2]] == [True, False]


def test_a_bound_below_zero_is_refused():
    with pytest.raises(JobError, match=r"\[quality\] blur_z: expected 0 or more, or false"):
        parse_job({"out": "r", "input": {"folder": "x"}, "quality": {"blur_z": -1.0}})
    assert parse_job({"out": "r", "input": {"folder": "x"}, "quality": {"blur_z": False}}).quality.blur_z is False


FAULTS = Faults(
    blurred={2: 2.0},
    drifted={5: 6.0},
    saturated={7: 0.03},
    repeated={9: (1, 1.0), 11: (4, 0.5)},
)
EXPECTED = {2: "blurred", 5: "drifted", 7: "saturated", 9: "repeats 100%", 11: "repeats 50%"}


def judged(kind, n, faults, seed):
    spec = SimulationSpec(shape=(512, 512), imaging=kind)
    images = simulate_session(spec, n, np.random.default_rng([seed, *kind.encode()]), faults)
    model, rows = load_model("default"), []
    for number, image in enumerate(images):
        probability = model.probability(image, pixel_size_nm=0.086)
        table = measure(probability, pixel_size_nm=0.086).table
        scores = asdict(quality(image, probability, table, pixel_size_nm=0.086))
        rows.append({"micrograph": f"{number:016x}", "name": f"{number}.tif", "sample": "A", "pixel_size_nm": 0.086,
                     "domain_score": np.nan, **scores})  # fmt: skip
    pairs = [
        pair(each.first, each.second, each.share) for each in find_overlaps([thumbnail(image) for image in images])
    ]
    index = with_scores(pd.DataFrame(rows), {number: detail(image) for number, image in enumerate(images)})
    return flags(index, pairs, QualitySection())


def test_planted_faults_are_found_by_their_name_and_nothing_else_is():
    found = judged("defocus", 13, FAULTS, 21)
    words = {number: each[0].split(" of ")[0].split(":")[0] for number, each in enumerate(found) if each}
    named = {number: word.removesuffix(" or striped") for number, word in words.items()}
    # The seam that is planted with half a micrograph is a straight edge too, which a drifted micrograph is full of.
    assert named.pop(11) in {EXPECTED[11], "drifted"}
    assert named == {number: word for number, word in EXPECTED.items() if number != 11}


def test_ordinary_micrographs_are_not_flagged():
    assert not any(judged("shells", 12, Faults(), 22))
