"""What a run writes of its samples beside each other, from a simulated population."""

import io

import numpy as np
import pandas as pd
import pytest

import nanocensus as nc
from nanocensus.pipeline.job.spec import parse_job
from nanocensus.pipeline.populations.comparisons import compare_samples, comparison_tables, report_tables
from nanocensus.pipeline.question import question_of
from nanocensus.simulate.paper import PAPER
from nanocensus.simulate.populations import simulate_population


def compared(samples, per_micrograph=300):
    population = simulate_population(PAPER, seed=1, samples=samples, orders=range(12))
    particles = population.particles.groupby("micrograph", observed=True).head(per_micrograph)
    asked = question_of(parse_job({"out": "results", "input": {"folder": "raw"}}))
    index = population.micrographs
    by_sample, by_size = nc.sample_statistics(particles, index), nc.size_statistics(particles, index)
    return compare_samples(particles, index, asked, by_sample, by_size), by_sample, by_size


@pytest.fixture(scope="module")
def three():
    return compared(["Co0.2", "Co0.4", "Co0.8"])


def test_the_tables_hold_every_number_of_the_comparisons(three):
    made, by_sample, by_size = three
    tables = {
        name: pd.read_csv(io.StringIO(table.to_csv(index=False))) for name, table in comparison_tables(made).items()
    }
    assert set(tables) == {"size_distribution", "lognormal_fit", "contrasts", "across_samples"}
    sizes = tables["size_distribution"].set_index(["sample", "weighting", "statistic"])
    assert len(sizes) == 3 * 2 * 8
    row = sizes.loc["Co0.8", "volume", "mean"]
    assert row["iso_name"] == "x_1,3 = D[4,3], De Brouckere"
    assert row["lower"] < row["estimate"] < row["upper"]
    contrasts = tables["contrasts"]
    assert contrasts["kind"].value_counts().to_dict() == {
        "difference": 27 + 27 * by_size.sizes["size_bin"],
        "ratio": 27,
    }
    whole = contrasts[contrasts["size_bin"].isna() & (contrasts["kind"] == "difference")]
    here = whole[(whole["first"] == "Co0.8") & (whole["second"] == "Co0.2") & (whole["descriptor"] == "edge_length_nm")]
    means = by_sample["estimate"].sel(descriptor="edge_length_nm", statistic="mean")
    expected = float(means.sel(sample="Co0.8") - means.sel(sample="Co0.2"))
    np.testing.assert_allclose(here.loc[here["statistic"] == "mean", "estimate"], expected)
    fit = tables["lognormal_fit"]
    np.testing.assert_allclose(fit.groupby(["sample", "weighting"])["share"].sum(), 1.0)
    across = tables["across_samples"]
    assert len(across) == 3 * by_size.sizes["size_bin"]
    assert across.loc[across["refusal"].isna(), "n_samples"].min() == 3


def test_the_report_prints_sizes_and_differences(three):
    sizes, differences = report_tables(three[0], assumed=True)
    assert "nm, assumed scale" in sizes.caption
    assert sizes.frame["sample"].tolist() == ["Co0.2", "Co0.2", "Co0.4", "Co0.4", "Co0.8", "Co0.8"]
    assert {"D10", "D50", "D90", "span", "gsd", "log-normal misfit"} <= set(sizes.frame.columns)
    assert differences.frame["samples"].tolist() == ["Co0.4 − Co0.2", "Co0.8 − Co0.2", "Co0.8 − Co0.4"]
    assert differences.frame["edge length (nm, assumed scale)"].str.contains(r"\[.*\], p ").all()


def test_one_sample_has_a_size_distribution_alone():
    made, _, _ = compared(["Co0.4"])
    assert set(comparison_tables(made)) == {"size_distribution", "lognormal_fit"}
    assert len(list(report_tables(made, assumed=False))) == 1


def test_of_many_samples_the_report_prints_the_differences_from_the_first():
    made, _, _ = compared([sample.name for sample in PAPER.samples], per_micrograph=60)
    _, differences = report_tables(made, assumed=False)
    count = len(PAPER.samples)
    assert len(differences.frame) == count - 1
    assert differences.frame["samples"].str.endswith("− " + min(sample.name for sample in PAPER.samples)).all()
    assert f"{count - 1} of {count * (count - 1) // 2} pairs" in differences.note
    by_size = comparison_tables(made)["contrasts"].dropna(subset=["size_bin"])
    assert by_size["second"].nunique() == 1
