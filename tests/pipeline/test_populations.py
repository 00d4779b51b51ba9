"""Synthesis models and further comparisons of a job: tables, sentences and pictures, from a simulated population."""

import dataclasses
import re

import jsonschema
import numpy as np
import pandas as pd
import pytest

import nanocensus as nc
from nanocensus.errors import JobError
from nanocensus.pipeline.job.spec import parse_job
from nanocensus.pipeline.populations.columns import POPULATION_TABLES, SYNTHESIS_TABLES
from nanocensus.pipeline.populations.synthesis import ModelledSynthesis, synthesis_content, synthesis_tables
from nanocensus.pipeline.report.populations import populations_content
from nanocensus.simulate.paper import PAPER
from nanocensus.simulate.populations import simulate_population

COLUMNS = ["sample", "micrograph", "label", "edge_length_nm", "circularity", "solidity"]
SAMPLES = ["Co0.2", "Co0.4", "Co0.6", "Co0.8", "DW0.43", "DW1.0"]
UNSEEN = {"between": {"cobalt_mmol": 0.45, "water_ml": 0.7}}


@pytest.fixture(scope="module")
def population():
    made = simulate_population(PAPER, seed=1, samples=SAMPLES, orders=range(8))
    return made.particles.groupby("micrograph", observed=True).head(40)[COLUMNS], made.micrographs


@pytest.fixture(scope="module")
def analysed(population, tmp_path_factory):
    out = tmp_path_factory.mktemp("populations")
    particles, micrographs = population
    asked = {"synthesis": {"unseen": UNSEEN}, "populations": {"permutations": 99}}
    return out, nc.analyse_particles(particles, micrographs, out=out, of=COLUMNS[3:5], bins=nc.size_bins(2.0), **asked)


@pytest.mark.parametrize("name", POPULATION_TABLES)
def test_the_tables_are_those_of_the_contracts(analysed, name):
    contract = POPULATION_TABLES[name]
    missing = {column.name: [""] for column in contract.columns if column.dtype in ("float64", "int32")}
    written = pd.read_csv(analysed[0] / f"tables/{name}.csv", keep_default_na=False, na_values=missing)
    assert [column for column in written.columns if column in contract.names] == list(contract.names)
    more = set(written.columns) - set(contract.names)
    of_its_own = set(COLUMNS[3:5]) if name == "representatives" else set()
    assert all(contract.open_prefix and column.startswith(contract.open_prefix) for column in more - of_its_own)
    rows = written[list(contract.names)].astype(object).where(written.notna(), None).to_dict("records")
    validator = jsonschema.Draft202012Validator(contract.json_schema())
    assert rows
    for row in rows[:40]:
        validator.validate(row)


def test_what_is_written_is_what_the_public_functions_give(analysed, population):
    particles, micrographs = population
    made = analysed[1]
    alone = nc.synthesis_model(particles, micrographs, of=COLUMNS[3:5], unseen=UNSEEN, weight=None)
    pd.testing.assert_frame_equal(made.synthesis.model.models, alone.models)
    pd.testing.assert_frame_equal(made.synthesis.model.predictions, alone.predictions)
    nested = nc.nested_variance(particles, micrographs, of=COLUMNS[3:5], weight=None)
    pd.testing.assert_frame_equal(made.populations.nested, nested)
    spreads = nc.spread_against_mean(particles, micrographs, of=COLUMNS[3:5], weight=None)
    pd.testing.assert_frame_equal(made.populations.spreads.table, spreads.table)


def test_the_report_has_both_sections_with_their_sentences(analysed):
    out, made = analysed
    text = (out / "report.html").read_text(encoding="utf-8")
    assert "Means and the conditions of the synthesis</h2>" in text
    assert "Populations beside each other</h2>" in text
    for target in ("predictions-circularity", "exponents-edge_length_nm", "spread-circularity"):
        assert f'id="{target}"' in text
    assert "varied one at a time" in text
    said = populations_content(made.populations, assumed=True)
    assert any(
        "narrowing by itself says nothing" in sentence or "circularity" in sentence for sentence in said.sentences
    )
    captions = [table.caption for table in said.tables]
    assert captions[0].startswith("How far samples lie apart")
    nested = said.tables[1].frame
    assert nested["quantity"].tolist()[0] == "edge length (nm, assumed scale)"
    assert nested["between"].tolist()[:2] == ["micrographs", "particles of a micrograph"]


def test_p_values_have_one_form_wherever_they_are_printed(analysed):
    text = re.sub("<script.*?</script>", "", (analysed[0] / "report.html").read_text(encoding="utf-8"), flags=re.DOTALL)
    printed = re.findall(r"\bp [=&<≤\d].{9}", text)
    assert len(printed) > 10
    assert not [each for each in printed if not re.match(r"p (= [01]\.\d{3}\b|(<|&lt;) 0\.001)", each)]


def test_of_many_samples_the_report_prints_the_pairs_with_the_first(analysed):
    energy = populations_content(analysed[1].populations, assumed=False).tables[0]
    assert len(energy.frame) == 5
    assert "5 of 15 pairs" in energy.note


def test_predictions_are_printed_with_the_better_model(analysed):
    made = analysed[1].synthesis
    table = synthesis_content(made, assumed=False).tables[1].frame.set_index("sample")
    assert table.loc["between (not made)", "edge length (nm), measured"] == "–"
    best = made.model.models.set_index(["descriptor", "model"])["q2"].loc["edge_length_nm"].idxmax()
    rows = made.model.predictions.set_index(["descriptor", "model", "sample"])
    one = rows.loc[("edge_length_nm", best, "Co0.4")]
    decimals = len(table.loc["Co0.4", "edge length (nm), predicted"].split(" ")[0].split(".")[1])
    assert table.loc["Co0.4", "edge length (nm), predicted"].startswith(f"{one['predicted']:.{decimals}f} [")


@pytest.mark.slow
def test_what_was_not_asked_for_is_not_there(analysed, population, tmp_path):
    particles, micrographs = population
    few = particles.groupby("micrograph", observed=True).head(10)
    made = nc.analyse_particles(few, micrographs, out=tmp_path, of=["circularity"], bins=nc.size_bins(4.0))
    assert made.synthesis is None
    assert made.populations is None
    assert not {path.stem for path in (tmp_path / "tables").glob("*.csv")} & set(POPULATION_TABLES)
    assert "synthesis</h2>" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_study_without_conditions_keeps_its_statistics_and_says_what_is_missing(population, tmp_path):
    particles, micrographs = population
    plain = micrographs[["sample", "micrograph"]]
    few = particles.groupby("micrograph", observed=True).head(10)
    made = nc.analyse_particles(
        few,
        plain,
        out=tmp_path,
        of=["circularity"],
        bins=nc.size_bins(4.0),
        synthesis={},
    )
    assert made.by_sample is not None
    assert made.synthesis.model is None
    (written,) = pd.read_csv(tmp_path / "tables/synthesis_models.csv")["refusal"]
    assert "expected columns of numbers that differ between samples" in written
    assert "No model of the synthesis" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not (tmp_path / "tables/synthesis_predictions.csv").exists()


@pytest.mark.slow
def test_one_sample_has_no_distances_and_no_slope(population, tmp_path):
    particles, micrographs = population
    one = particles[particles["sample"] == "Co0.4"]
    index = micrographs[micrographs["sample"] == "Co0.4"]
    made = nc.analyse_particles(
        one,
        index,
        out=tmp_path,
        of=["circularity"],
        bins=nc.size_bins(2.0),
        synthesis={},
        populations={"permutations": 99},
    )
    assert made.populations.energy.empty
    assert made.populations.spreads.table["refusal"].str.contains("a slope over samples needs 4").all()
    assert "got none" in made.synthesis.refusal
    assert (made.populations.nested["sample"] == "Co0.4").all()
    assert populations_content(made.populations, assumed=False).tables


def test_a_refusal_has_a_row_of_its_own():
    tables = synthesis_tables(ModelledSynthesis(None, "nothing varies", 0.95))
    assert list(tables) == ["synthesis_models"]
    assert set(SYNTHESIS_TABLES) > set(tables)
    assert tables["synthesis_models"]["refusal"].tolist() == ["nothing varies"]


def job_with(**sections):
    return parse_job({"out": "results", "input": {"folder": "raw"}, **sections})


def test_sections_are_absent_unless_asked_for_and_checked_at_the_door():
    assert job_with().synthesis is job_with().populations is None
    asked = job_with(synthesis={"conditions": ["Co"], "unseen": {"x": {"Co": 1}}}, populations={})
    assert asked.synthesis.unseen == {"x": {"Co": 1.0}}
    assert asked.populations.permutations == 4999
    with pytest.raises(JobError, match="at most 3"):
        job_with(synthesis={"conditions": list("abcd")})
    with pytest.raises(JobError, match="at least 99"):
        job_with(populations={"permutations": 10})
    with pytest.raises(JobError, match="a number"):
        job_with(synthesis={"unseen": {"x": {"Co": "much"}}})


def test_sentences_state_the_ceiling_of_ratios(analysed):
    found = analysed[1].populations
    row = {"descriptor": "circularity", "against": "1 - circularity", "slope": 1.0, "lower": 0.8, "upper": 1.2, "p_constant": 1e-6,
           "p_in_proportion": 0.9, "refusal": ""}  # fmt: skip
    rows = pd.DataFrame(
        [row, row | {"p_in_proportion": 1e-4, "slope": 2.0}, row | {"p_constant": 0.5, "p_in_proportion": 0.01}]
    )
    spreads = dataclasses.replace(found.spreads, table=rows)
    first, second, third = populations_content(dataclasses.replace(found, spreads=spreads), assumed=False).sentences[:3]
    assert "ceiling at 1: narrowing by itself says nothing" in first
    assert "grows faster than the distance of the mean from 1" in second
    assert "the same at all means" in third
    assert np.isfinite(found.spreads.points["room"]).all()
