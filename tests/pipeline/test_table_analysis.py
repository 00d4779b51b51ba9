"""Any table of particles becomes statistics; what cannot be counted is counted apart."""

import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from typer.testing import CliRunner

import nanocensus as nc
from nanocensus.cli import app
from nanocensus.errors import StoreError, TableError


def draw(seed=0, n=300, micrographs=6):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "sample": np.where(np.arange(n) % 2, "A", "B"),
            "micrograph": [f"m{i}" for i in rng.integers(0, micrographs, n)],
            "label": np.arange(n) + 1,
            "edge_length_nm": rng.lognormal(1.5, 0.2, n),
            "circularity": np.clip(rng.normal(0.9, 0.02, n), 0, 1),
            "Round": rng.uniform(0.5, 40.0, n),
        }
    )


def mean_of(analysis, column, sample="A"):
    return float(analysis.by_sample["estimate"].sel(sample=sample, descriptor=column, statistic="mean"))


def test_missing_and_infinite_values_are_counted_and_never_averaged_in(tmp_path):
    rows = draw()
    rows.loc[[1, 3], "circularity"] = np.nan
    rows.loc[5, "edge_length_nm"] = np.inf
    made = nc.analyse_particles(rows, out=tmp_path)
    counts = made.counts.set_index("sample").loc["A"]
    assert (counts["detected"], counts["accepted"]) == (150, 147)
    assert (counts["no circularity"], counts["infinite edge_length_nm"], counts["no edge_length_nm"]) == (2, 1, 0)
    clean = rows.drop(index=[1, 3, 5])
    expected = nc.sample_statistics(clean, of=["edge_length_nm", "circularity"], weight=None)
    pd.testing.assert_frame_equal(made.by_sample["estimate"].to_dataframe(), expected["estimate"].to_dataframe())
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "no circularity" in report
    assert "infinite edge_length_nm" in report
    written = pd.read_csv(tmp_path / "tables/counts.csv").set_index("sample")
    assert written.loc["A", "accepted"] == 147
    assert (tmp_path / "tables/size_distribution.csv").is_file()
    assert (tmp_path / "cells.zarr").is_dir()
    assert (tmp_path / "statistics.zarr/by_size").is_dir()


def test_a_column_that_nobody_knows_can_be_analysed(tmp_path):
    rows = draw()
    made = nc.analyse_particles(rows, out=tmp_path, of=["Round"])
    assert mean_of(made, "Round") == pytest.approx(rows.loc[rows["sample"] == "A", "Round"].mean(), abs=40 / 2**22)


def test_parquet_gives_what_memory_gives(tmp_path):
    rows = draw()
    for number, part in enumerate(np.array_split(np.arange(len(rows)), 4)):
        rows.iloc[part].to_parquet(tmp_path / f"{number}.parquet", index=False)
    lazy = nc.analyse_particles(nc.read_particle_table(tmp_path), out=tmp_path / "lazy", of=["edge_length_nm", "Round"])
    whole = nc.analyse_particles(rows, out=tmp_path / "whole", of=["edge_length_nm", "Round"])
    pd.testing.assert_frame_equal(lazy.by_sample.to_dataframe(), whole.by_sample.to_dataframe())
    pd.testing.assert_frame_equal(lazy.counts, whole.counts)


def test_one_micrograph_has_an_estimate_and_no_interval(tmp_path):
    made = nc.analyse_particles(draw(micrographs=1), out=tmp_path, of=["edge_length_nm"])
    one = made.by_sample.sel(sample="A", descriptor="edge_length_nm", statistic="mean")
    assert np.isfinite(one["estimate"])
    assert np.isnan(one["lower"])
    assert "cluster" in str(one["refusal"].item())


def test_micrographs_without_particles_are_clusters(tmp_path):
    rows = draw()
    known = rows[["sample", "micrograph"]].drop_duplicates()
    more = pd.concat([known, pd.DataFrame({"sample": ["A"], "micrograph": ["bare"]})])
    made = nc.analyse_particles(rows, more, out=tmp_path, of=["edge_length_nm"])
    assert made.by_sample["n_micrographs"].to_series().to_dict() == {"A": 7, "B": 6}


def test_files_without_rows_are_micrographs_without_particles(tmp_path):
    for number in range(5):
        lines = "".join(f"{4 + 0.1 * i + number / 7:.3f}\n" for i in range(8)) if number else ""
        (tmp_path / f"{number}.csv").write_text("edge_length_nm\n" + lines)
    said = CliRunner().invoke(app, ["analyse", str(tmp_path), "--sample", "A", "--out", str(tmp_path / "out")])
    assert said.exit_code == 0, said.output
    table = pd.read_csv(tmp_path / "out/tables/by_sample.csv")
    assert set(table["n_micrographs"]) == {5}
    assert set(table["n"]) == {32}


def test_excluded_micrographs_of_one_sample_leave_those_of_that_name_in_another(tmp_path):
    rows = draw()
    known = rows[["sample", "micrograph"]].drop_duplicates()
    bad = (known["sample"] == "A") & (known["micrograph"] == "m2")
    known = known.assign(excluded=bad, flags=np.where(bad, "blurred: 3 nm", None))
    made = nc.analyse_particles(rows, known, out=tmp_path, of=["edge_length_nm"])
    gone = (rows["sample"] == "A") & (rows["micrograph"] == "m2")
    expected = nc.sample_statistics(rows[~gone], of=["edge_length_nm"], weight=None)
    xr.testing.assert_equal(made.by_sample["estimate"].drop_vars("unit"), expected["estimate"].drop_vars("unit"))
    counts = made.counts.set_index("sample")
    assert counts["on_excluded_micrographs"].to_dict() == {"A": gone.sum(), "B": 0}
    assert counts["accepted"].to_dict() == {"A": 150 - gone.sum(), "B": 150}
    effect = pd.read_csv(tmp_path / "tables/quality_effect.csv")
    assert effect[["sample", "n_micrographs", "n_flagged"]].to_numpy().tolist() == [["A", 6, 1]]
    assert effect["mean_all"].item() == pytest.approx(
        rows.loc[rows["sample"] == "A", "edge_length_nm"].mean(), abs=1e-4
    )
    assert "Means with the flagged micrographs" in (tmp_path / "report.html").read_text(encoding="utf-8")
    with pytest.raises(TableError, match="true or false"):
        nc.analyse_particles(rows, known.assign(excluded="no"), out=tmp_path)


def test_a_particle_of_size_zero_has_no_share_of_the_volume_and_is_counted_apart(tmp_path):
    rows = draw()
    rows.loc[1, "edge_length_nm"] = 0.0
    made = nc.analyse_particles(rows, out=tmp_path, of=["circularity"])
    assert made.counts.set_index("sample").loc["A", ["zero edge_length_nm", "accepted"]].to_list() == [1, 149]
    assert made.comparisons.sizes["n"].sel(sample="A") == 149


def test_a_table_without_sizes_has_comparisons_all_the_same(tmp_path):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables/size_distribution.csv").touch()  # as of an earlier analysis
    made = nc.analyse_particles(draw().drop(columns="edge_length_nm"), out=tmp_path, of=["circularity"])
    assert {path.stem for path in (tmp_path / "tables").iterdir()} == {
        "counts", "by_sample", "contrasts", "quality_effect"
    }  # fmt: skip
    assert made.comparisons.differences.sizes["comparison"] == 1
    assert "Differences of means" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_particle_that_is_there_twice_is_refused(tmp_path):
    rows = draw()
    with pytest.raises(TableError, match="each particle once"):
        nc.analyse_particles(pd.concat([rows, rows.iloc[:3]]), out=tmp_path)


def test_a_particle_that_is_there_in_two_files_is_refused(tmp_path):
    rows = draw()
    rows.iloc[:200].to_parquet(tmp_path / "a.parquet", index=False)
    rows.iloc[199:].to_parquet(tmp_path / "b.parquet", index=False)
    twice = rows.iloc[199]
    with pytest.raises(TableError, match=f"1 again, first {twice['label']} of micrograph '{twice['micrograph']}'"):
        nc.analyse_particles(nc.read_particle_table(tmp_path), out=tmp_path / "out")


def test_labels_may_be_text(tmp_path):
    rows = draw().assign(label=[f"p{i}" for i in range(300)])
    assert nc.analyse_particles(rows, out=tmp_path).counts["accepted"].sum() == 300
    with pytest.raises(TableError, match="1 again, first p7 of"):
        nc.analyse_particles(pd.concat([rows, rows.iloc[[7]]]), out=tmp_path)


def test_a_micrograph_that_is_listed_twice_is_refused(tmp_path):
    rows = draw()
    known = rows[["sample", "micrograph"]].drop_duplicates()
    with pytest.raises(TableError, match="one row a micrograph"):
        nc.analyse_particles(rows, pd.concat([known, known.iloc[:1]]), out=tmp_path)


def test_no_rows_are_refused_and_no_accepted_ones_are_said(tmp_path):
    with pytest.raises(TableError, match="at least one"):
        nc.analyse_particles(draw().iloc[:0], out=tmp_path)
    asked = {"onsets": {"descriptors": {"circularity": {"between_nm": [2.6, 7.6]}}}, "synthesis": {}, "populations": {}}
    made = nc.analyse_particles(draw().assign(failed_criteria=4), out=tmp_path, **asked)
    assert made.by_sample is None
    assert made.counts["accepted"].sum() == 0
    assert made.counts["area_too_small"].sum() == 300
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "there are no statistics" in report
    assert [sentence.split("]")[0].split("[")[1] for sentence in made.not_done] == [
        "onsets",
        "synthesis",
        "populations",
    ]
    assert all(sentence in report for sentence in made.not_done)
    assert nc.analyse_particles(draw(), out=tmp_path / "other", onsets=asked["onsets"]).not_done == ()


def test_tables_of_the_report_have_the_order_in_which_people_number_samples(tmp_path):
    rows = draw(n=900)
    rows["sample"] = [("S1", "S5", "S11")[number % 3] for number in range(900)]
    nc.analyse_particles(rows, out=tmp_path, populations={"permutations": 99})
    page = re.sub("<script.*?</script>", "", (tmp_path / "report.html").read_text(encoding="utf-8"), flags=re.DOTALL)
    columns = [re.findall(r"<tr>\s*<t[hd][^>]*>(S\d+(?: [^<]*S\d+)?)</t", table) for table in page.split("<table")[1:]]
    orders = {tuple(dict.fromkeys(names)) for names in columns if names}
    assert {("S1", "S5", "S11"), ("S5 − S1", "S11 − S1", "S5 − S11")} <= orders
    for names in orders:
        assert list(names) == sorted(names, key=lambda name: [int(part) for part in re.findall(r"\d+", name)][::-1])


def test_categories_are_text(tmp_path):
    rows = draw()
    categories = rows.astype({"sample": "category", "micrograph": "category"})
    made = nc.analyse_particles(categories, out=tmp_path / "c", of=["edge_length_nm"])
    expected = nc.analyse_particles(rows, out=tmp_path / "s", of=["edge_length_nm"])
    pd.testing.assert_frame_equal(made.by_sample.to_dataframe(), expected.by_sample.to_dataframe())


def test_an_absent_column_is_named(tmp_path):
    with pytest.raises(TableError, match="none named solidity"):
        nc.analyse_particles(draw(), out=tmp_path, of=["solidity"])


def test_a_table_needs_a_folder_to_write_to(tmp_path):
    draw().to_csv(tmp_path / "t.csv", index=False)
    said = CliRunner().invoke(app, ["analyse", str(tmp_path / "t.csv")])
    assert "--out" in str(said.exception)


def test_what_is_done_with_runs_refuses_the_analysis_of_a_table_by_name(tmp_path):
    nc.analyse_particles(draw(), out=tmp_path)
    for of_runs in (nc.report, nc.analyse, nc.criteria_gallery):
        with pytest.raises(StoreError, match="the record of a finished run, got that of an analysis of a table"):
            of_runs(tmp_path)


def test_auto_is_one_unit_for_all_of_a_study(tmp_path):
    rng = np.random.default_rng(0)
    drift = [0.0]
    for step in rng.standard_normal(59):
        drift.append(0.7 * drift[-1] + step)
    known = pd.DataFrame({"sample": "A", "micrograph": [f"{i:03d}" for i in range(60)], "order": range(60)})
    names = np.repeat(known["micrograph"], 10)
    alike = pd.DataFrame({"micrograph": names, "edge_length_nm": 5 + 0.3 * rng.standard_normal(600)})
    drifting = pd.DataFrame({"micrograph": names, "edge_length_nm": np.repeat(20 + 3 * np.array(drift), 10)})
    rows = pd.concat([alike, drifting], ignore_index=True).assign(sample="A")
    bins = nc.size_bins(edges=[2.0, 4.0, 6.0, 8.0])  # which leave out what drifts
    analysis = nc.analyse_particles(rows, known, out=tmp_path, of=["edge_length_nm"], bins=bins, cluster="auto")
    found = (analysis.by_sample, analysis.by_size, analysis.worth, analysis.comparisons.sizes)
    assert {each.attrs["cluster"] for each in found} == {"run"}
    assert analysis.densities["edge_length_nm"].attrs["mode_cluster"] == "run"
