"""Onset sizes in a job: the tables and the section of the report, from particles to the page."""

import dataclasses
import json
import re
import shutil

import imageio.v3
import jsonschema
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import nanocensus as nc
from nanocensus.cli import app
from nanocensus.errors import JobError, TableError
from nanocensus.pipeline.analysis.analyse import analyse_run
from nanocensus.pipeline.baselines.constant_shapes import constant_shape_of
from nanocensus.pipeline.job.onset_section import OnsetRanges, OnsetsSection
from nanocensus.pipeline.job.statistics_section import StatisticsSection
from nanocensus.pipeline.onsets.analysis import OnsetAnalysis
from nanocensus.pipeline.onsets.columns import ONSET_TABLES
from nanocensus.pipeline.onsets.results import find_onsets, onset_cells
from nanocensus.pipeline.report.onsets import onset_content
from nanocensus.pipeline.report.reporting import report_run
from nanocensus.pipeline.run.record import job_of_run
from nanocensus.simulate.growth import Growth
from nanocensus.simulate.population_spec import PopulationSpec, SampleSpec
from nanocensus.simulate.populations import simulate_population
from nanocensus.simulate.rendering import simulate_micrograph, write_simulated
from nanocensus.simulate.spec import FamilyWeights, SimulationSpec
from nanocensus.statistics.onsets.samples import JOINT

SOUGHT = {
    "replicates": 199,
    "descriptors": {"circularity": {"between_nm": [2.6, 7.6]}, "solidity": {"between_nm": [2.6, 7.6]}},
}
COLUMNS = ["sample", "micrograph", "label", "edge_length_nm", "circularity", "solidity", "border_weight"]


@pytest.fixture(scope="module")
def population():
    growth = Growth(0.025, 0.01, circularity=0.90, solidity=0.985)
    samples = [
        SampleSpec(name, growth=growth, n_particles=12_000, n_micrographs=14, median_edge_length_nm=5.2, log_sd=0.25)
        for name in ("A", "B", "C")
    ]
    made = simulate_population(PopulationSpec(tuple(samples)), seed=5)
    whole = made.particles[~made.particles["touches_border"]]
    return whole[COLUMNS], made.micrographs[["sample", "micrograph"]]


@pytest.fixture(scope="module")
def analysed(population, tmp_path_factory):
    out = tmp_path_factory.mktemp("analysed")
    particles, micrographs = population
    return out, nc.analyse_particles(particles, micrographs, out=out, of=["circularity"], onsets=SOUGHT)


def test_the_tables_are_those_of_the_contracts(analysed):
    out, made = analysed
    assert set(ONSET_TABLES) - set(made.onsets.tables()) == {"rejected_by_size"}  # no criteria were applied here
    for name in made.onsets.tables():
        contract = ONSET_TABLES[name]
        path = out / f"tables/{name}.csv"
        written = pd.read_csv(
            path,
            keep_default_na=False,
            na_values={column.name: [""] for column in contract.columns if column.dtype == "float64"},
        )
        assert list(written.columns) == list(contract.names)
        rows = written.astype(object).where(written.notna(), None).to_dict("records")
        validator = jsonschema.Draft202012Validator(contract.json_schema())
        assert rows
        for row in rows[:40]:
            validator.validate(row)
    joint = made.onsets.found.table.query("sample == @JOINT and descriptor == 'circularity'").iloc[0]
    assert joint["lower_nm"] < 4.3 < joint["upper_nm"]


def test_what_is_written_is_what_the_public_function_gives(analysed, population):
    _, made = analysed
    alone = nc.onsets(*population, of="circularity", between_nm=(2.6, 7.6), replicates=199)
    ours = made.onsets.found.table[made.onsets.found.table["descriptor"] == "circularity"].reset_index(drop=True)
    pd.testing.assert_frame_equal(ours, alone.table[list(ours.columns)])
    assert list(made.onsets.found.sentences[:1]) == alone.sentences


def test_the_report_says_where_and_labels_the_readings(analysed):
    out, made = analysed
    text = (out / "report.html").read_text(encoding="utf-8")
    assert '<h2 id="onsets">Onset sizes</h2>' in text
    for sentence in made.onsets.found.sentences:
        assert sentence[1:] in text
    assert text.count("paper&#39;s reading: the highest 0.2 nm bin") == 2
    assert text.count("The paper&#39;s readings of ") == 2
    assert "without what is not known: threshold, folds, pixel size, criteria" in text
    assert "What could move an onset: standard uncertainties (nm)" in text
    assert "onset-circularity" in text
    assert "onset-solidity" in text


def three_micrographs(particles):
    return particles[particles["micrograph"].isin(list(particles["micrograph"].unique()[:3]))]


REFUSED = {
    "three micrographs": (three_micrographs, "particles in 3 clusters: an interval needs 10"),
    "few bins": (lambda rows: rows[rows["edge_length_nm"].between(4.01, 4.29)], "a bend needs 12"),
    "constant": (lambda rows: rows.assign(circularity=0.9), "circularity does not vary"),
    "one sample": (lambda rows: rows[rows["sample"] == "A"], "an onset of all needs 2"),
}


@pytest.mark.parametrize(("cut", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_told_is_refused_in_words_in_table_and_report(population, cut, words):
    section = OnsetsSection({"circularity": OnsetRanges((2.6, 7.6))}, replicates=99)
    made = onset_cells(cut(population[0]), None, section, "border_weight")
    found = find_onsets(made, section, cluster="group", level=0.95, seed=0)
    rows = found.table[~found.table["sample"].str.startswith("paper's")]
    told = rows[rows["refusal"].str.contains(words)]
    assert len(told)
    assert np.isnan(told[["estimate_nm", "lower_nm", "upper_nm", "standard_error_nm"]].to_numpy(float)).all()
    content = onset_content(OnsetAnalysis(found, None, None), assumed=False)
    printed = content.tables[0].frame.set_index("sample").loc[told["sample"].iloc[0]]
    assert printed["edge length (nm)"] == "none given"
    assert words in printed["how, or why there is none"]
    if words != REFUSED["one sample"][1]:  # there the only sample speaks
        assert "none given" in content.sentences[0]


def test_a_table_without_sizes_or_the_descriptor_is_refused(population, tmp_path):
    for missing in ("edge_length_nm", "solidity"):
        with pytest.raises(TableError, match=missing):
            nc.analyse_particles(population[0].drop(columns=missing), out=tmp_path, of=["circularity"], onsets=SOUGHT)


def test_the_command_line_seeks_onsets_in_a_table(population, tmp_path):
    particles, _ = population
    particles.groupby("micrograph").head(80).to_csv(tmp_path / "rows.csv", index=False)
    said = CliRunner().invoke(
        app,
        [
            "analyse",
            str(tmp_path / "rows.csv"),
            "--out",
            str(tmp_path / "out"),
            "--onset",
            "circularity=2.6:7.6,6.6:10.4",
            "--of",
            "circularity",
        ],
    )
    assert said.exit_code == 0, said.output
    table = pd.read_csv(tmp_path / "out/tables/onsets.csv")
    assert set(table["bend"]) == {"onset", "saturation"}
    wrong = CliRunner().invoke(
        app, ["analyse", str(tmp_path / "rows.csv"), "--out", str(tmp_path / "o"), "--onset", "circularity=2.6"]
    )
    assert isinstance(wrong.exception, JobError | SystemExit)
    assert wrong.exit_code != 0


@pytest.mark.slow
def test_a_run_whose_data_carry_no_onset_says_so_and_the_next_one_leaves_nothing_of_it(copied):
    job = job_of_run(copied)
    section = OnsetsSection({"circularity": OnsetRanges((2.0, 6.0))}, replicates=99, remeasure=True)
    asked = dataclasses.replace(job, onsets=section)
    made = analyse_run(asked)
    assert made.onsets is not None
    joint = made.onsets.found.table[made.onsets.found.table["sample"] == JOINT]
    assert joint["refusal"].str.startswith("0 samples").all()
    assert made.onsets.sensitivity.onsets.empty
    assert (made.onsets.sensitivity.bin_means["from_threshold"] > 0).any()  # measured again on the maps of the run
    text = report_run(asked, made).read_text(encoding="utf-8")
    assert "Onset of circularity, all samples: none given, 0 samples with enough data" in text
    written = {path.stem for path in (copied / "tables").glob("*.csv")}
    assert set(ONSET_TABLES) <= written
    assert analyse_run(job).onsets is None
    assert {path.stem for path in (copied / "tables").glob("*.csv")} == written - set(ONSET_TABLES)


def test_a_constant_shape_is_taken_off_and_compared_in_words(copied):
    sought = OnsetsSection(
        {"circularity": OnsetRanges((2.2, 5.0))}, replicates=99, uncertainty=False, constant_shape="disc"
    )
    made = analyse_run(dataclasses.replace(job_of_run(copied), onsets=sought))
    envelope = pd.read_csv(copied / "tables/null_envelope.csv")
    assert envelope["size_nm"].min() < 2.2
    assert envelope["size_nm"].max() > 5.0
    assert envelope["value"].between(0.97, 1.01).all()  # discs on sub-pixel outlines
    trends = pd.read_csv(copied / "tables/excess_trends.csv")
    assert list(trends["sample"]) == ["Co0.2", "Co0.8"]
    assert trends["sentence"].str.contains("constant discs").all()
    assert made.onsets.found.table.query("not method.str.startswith('reading')")["excess"].all()
    content = onset_content(made.onsets, made.beyond, assumed=False)
    assert set(trends["sentence"]) <= set(content.sentences)
    assert set(content.means["sample"]) == {"Co0.2", "Co0.8"}


def test_what_maps_cannot_tell_of_a_constant_shape_is_a_sentence_and_the_onsets_stay(copied):
    sought = OnsetsSection(
        {"circularity": OnsetRanges((0.4, 5.0))}, replicates=99, uncertainty=False, constant_shape="disc"
    )
    made = analyse_run(dataclasses.replace(job_of_run(copied), onsets=sought))
    content = onset_content(made.onsets, made.beyond, assumed=False)
    assert any("edge lengths of at least 8 px, 0.8 nm, got 0.1 to 5.3" in sentence for sentence in content.sentences)
    assert not made.onsets.found.table["excess"].any()
    assert not (copied / "tables/null_envelope.csv").exists()


def test_pairs_that_too_few_particles_tell_of_are_refused_in_words_for_each_sample(copied):
    sought = OnsetsSection({"circularity": OnsetRanges((2.2, 5.0))}, replicates=99, uncertainty=False, pairs=True)
    made = analyse_run(dataclasses.replace(job_of_run(copied), onsets=sought))
    content = onset_content(made.onsets, made.beyond, assumed=False)
    for sample in ("Co0.2", "Co0.8"):
        told = next(one for one in content.sentences if one.startswith(f"{sample}: what pairs of particles do"))
        assert "at least 50 accepted particles" in told
    assert not made.onsets.found.table["excess"].any()
    assert not (copied / "tables/pair_contamination.csv").exists()
    assert content.envelope is None


def test_a_run_estimates_its_overlapping_particles_takes_them_off_and_says_so(client, tmp_path):
    """Two sheets of discs lie over each other, as on a real grid: what lets through both is dark twice."""
    spec = SimulationSpec(shape=(256, 256), pixel_size_nm=0.1, mean_particles=9.0, mean_edge_length_nm=2.2,
                          edge_length_log_sd=0.2, gap_px=4.0, film_amplitude=0.1, families=FamilyWeights(disc=1.0))  # fmt: skip
    rng, bare, raw, out = (
        np.random.default_rng(1),
        spec.electrons_per_px * spec.counts_per_electron,
        tmp_path / "raw",
        tmp_path / "out",
    )
    raw.mkdir()
    for number in range(12):
        one, other = (simulate_micrograph(spec, rng).pixels / bare for _ in range(2))
        imageio.v3.imwrite(raw / f"{number}.tif", np.clip(np.rint(bare * one * other), 0, 65535).astype(np.uint16))
    job = {
        "out": str(out),
        "input": {"folder": str(raw), "pixel_size_nm": 0.1},
        "criteria": {"min_area_nm2": 1.0, "min_mean_probability": 0.0},
        "onsets": {"pairs": True, "replicates": 99, "descriptors": {"solidity": {"between_nm": [1.5, 3.5]}}},
    }
    nc.run(job, client)
    rates, bins = (pd.read_csv(out / f"tables/{name}.csv") for name in ("pair_rates", "pair_contamination"))
    assert rates["n_merged"].sum() > 3 * np.hypot(*rates["error"])
    assert bins["shift"].lt(0).all()
    assert pd.read_csv(out / "tables/onsets.csv").query("not sample.str.startswith('paper')")["excess"].all()
    text = (out / "report.html").read_text(encoding="utf-8")
    assert "what pairs of particles that are measured as one add in each sample." in text
    share = np.average(bins["share"], weights=bins["n"])
    told = re.search(
        r"an estimated ([\d.]+)% \(standard error [\d.]+%\) of the accepted particles from 1.5 to 3.5 nm", text
    )
    assert told[1] == f"{100 * share:.1f}"
    assert f"they shift mean solidity by {bins['shift'].min():+.4f} at" in text


@pytest.mark.parametrize("key", [{"pairs": True}, {"constant_shape": "disc"}, {"remeasure": True}])
def test_what_needs_the_maps_of_a_run_is_refused_of_a_table(population, tmp_path, key):
    with pytest.raises(JobError, match=next(iter(key))):
        nc.analyse_particles(population[0], out=tmp_path, of=["circularity"], onsets=SOUGHT | key)


THROUGH = OnsetsSection(
    {"circularity": OnsetRanges((2.2, 3.6))}, replicates=99, uncertainty=False, constant_shape="disc"
)


FEW = StatisticsSection(bin_quantiles=3, descriptors=("circularity",))


def job_with(out, run):
    return dataclasses.replace(job_of_run(out), statistics=FEW, onsets=dataclasses.replace(THROUGH, constant_run=run))


def test_a_run_that_cannot_stand_for_the_shape_is_refused_in_words(copied, tmp_path):
    lost = "no constant shape is compared, onsets are those of the data as they are: "
    few = analyse_run(job_with(copied, copied)).beyond.sentences
    assert few[0].startswith(lost + "envelope of particles: expected at least 360 particles")
    none = constant_shape_of(job_with(copied, tmp_path / "nothing"))
    assert none.envelope is None
    assert "expected the record of a finished run, got none" in none.refusal
    other = shutil.copytree(copied, tmp_path / "other")
    for change, words in (
        ({"job": {"measure": {"threshold": 0.6}}}, "threshold of other: expected that of the run, 0.5, got 0.6"),
        ({"models": {"default": "another"}}, "network of other: expected that of the run"),
    ):
        record = json.loads((copied / "run.json").read_text())
        for key, value in change.items():
            record[key] = record[key] | value
        (other / "run.json").write_text(json.dumps(record))
        assert words in constant_shape_of(job_with(copied, other)).refusal


def test_a_run_of_a_shape_without_its_name_is_refused(tmp_path):
    with pytest.raises(JobError, match="constant_shape"):
        dataclasses.replace(THROUGH, constant_shape=None, constant_run=tmp_path)


@pytest.mark.slow
def test_discs_that_came_through_the_network_are_all_that_discs_show_and_copies_are_not(client, tmp_path):
    spec = SimulationSpec(shape=(768, 768), pixel_size_nm=0.1, mean_particles=150.0, mean_edge_length_nm=2.6,
                          edge_length_log_sd=0.3, gap_px=8.0, families=FamilyWeights(disc=1.0))  # fmt: skip
    write_simulated(tmp_path / "raw", spec, n=6, seed=3, sample="discs")
    out = tmp_path / "discs"
    nc.run({"out": str(out), "input": {"folder": str(tmp_path / "raw"), "table": str(tmp_path / "raw/micrographs.csv")},
            "criteria": {"min_area_nm2": 1.0}}, client)  # fmt: skip
    job = job_of_run(out)
    with_run = analyse_run(dataclasses.replace(job, onsets=dataclasses.replace(THROUGH, constant_run=out)))
    copies = analyse_run(dataclasses.replace(job, onsets=THROUGH))
    through, drawn = (made.beyond.trends.iloc[0] for made in (with_run, copies))
    assert through["change"] == drawn["change"]
    # Its own particles: what is left is what a smooth curve through twelve means misses.
    assert through["verdict"] == "inside"
    assert abs(through["excess"]) < 0.5 * abs(drawn["excess"])
    said = with_run.beyond.sentences[0]
    assert "through the same network, if the micrographs of discs look like those of this run; at 2.9 nm edges" in said
    assert "not imaged alike" not in said
