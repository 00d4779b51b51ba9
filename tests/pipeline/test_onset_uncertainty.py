"""The expanded uncertainty of onsets: a slice of its study, with the truth planted, and the page that is written from all of it."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEEDS = range(700_000, 700_012)


@pytest.fixture(scope="module")
def study():
    spec = importlib.util.spec_from_file_location(
        "onset_uncertainty_study", ROOT / "benchmarks/statistics/onset_uncertainty_study.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("name", "fewest", "most_alone"), [("pixel size", 10, 9), ("samples that differ", 9, 12)])
def test_onsets_with_their_expanded_uncertainty_hold_the_truth(study, name, fewest, most_alone):
    runs = [study.one_run(study.SCENARIOS[name], seed)["solidity"] for seed in SEEDS]
    assert all(run["told"] for run in runs)
    # At 95 % fewer than 10 of 12 is a chance of 2 %, at 93 % fewer than 9 of 1 %; the draw is fixed. The interval of
    # sampling alone, which knows nothing of the pixel size, holds half.
    assert sum(run["covered"] for run in runs) >= fewest
    assert sum(run["covered_by_interval"] for run in runs) <= most_alone
    if name == "samples that differ":
        assert sum(run["random_effects"] for run in runs) >= 6


def test_what_is_simulated_is_off_by_what_the_tables_state(study):
    exact, _ = study.simulate(study.SCENARIOS["sampling alone"], 3)
    off, _ = study.simulate(study.SCENARIOS["all of these, and criteria"], 3)
    ratio = off.particles["edge_length_nm"] / exact.particles["edge_length_nm"]
    assert 0 < abs(ratio.mean() - 1) < 0.05  # one error of scale and one shift for all
    assert off.relative == dict.fromkeys(off.relative, study.PIXEL)
    assert exact.relative == {}
    wide = off.particles["area_p40_nm2"] ** 0.5 - off.particles["edge_length_nm"]
    assert wide.to_numpy() == pytest.approx(study.THRESHOLD_NM)
    assert not {"area_p40_nm2", "edge_length_sibling_sd_nm"} & set(exact.particles.columns)


def test_the_page_is_the_one_that_the_results_give(study, tmp_path, monkeypatch):
    kept = ROOT / "benchmarks/results"
    (tmp_path / "onset-uncertainty.jsonl").write_text((kept / "onset-uncertainty.jsonl").read_text())
    monkeypatch.setattr(study, "RESULTS", tmp_path)
    study.report()
    assert (tmp_path / "onset-uncertainty.md").read_text() == (kept / "onset-uncertainty.md").read_text()
    seeds = {}
    for line in (kept / "onset-uncertainty.jsonl").read_text().splitlines():
        record = json.loads(line)
        seeds.setdefault(record["scenario"], []).extend(range(*record["seeds"]))
    assert set(seeds) == set(study.SCENARIOS)
    assert all(len(set(each)) == len(each) for each in seeds.values())  # no seed counts twice
