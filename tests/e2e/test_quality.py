"""A folder with planted faults, from files to the report: found, named, left out if asked, and nothing done twice."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import tifffile

import nanocensus as nc
from nanocensus.errors import TableError
from nanocensus.pipeline.baselines.measuring import measuring_of_run
from nanocensus.pipeline.run.sampling import plan_run
from nanocensus.provenance import file_digest
from nanocensus.simulate.sessions import Faults, simulate_session
from nanocensus.simulate.spec import SimulationSpec

FAULTS = Faults(
    blurred={2: 5.0}, drifted={4: 14.0}, saturated={6: 0.05}, repeated={8: (1, 1.0), 10: (3, 0.5)}
)  # fmt: skip
FLAGGED = {"02": "blurred", "04": "drifted", "06": "saturated", "08": "repeats 100% of S/01.tif",
           "10": "repeats 50% of S/03.tif"}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("session")
    spec = SimulationSpec(shape=(448, 448), mean_particles=14.0, mean_edge_length_nm=3.6, imaging="plain")
    (root / "S").mkdir()
    for number, image in enumerate(simulate_session(spec, 12, np.random.default_rng(5), FAULTS)):
        tifffile.imwrite(root / "S" / f"{number:02d}.tif", image)
    return root


def job(folder, out, **sections):
    return {"out": str(out), "input": {"folder": str(folder), "pixel_size_nm": 0.086}, "report": {"micrographs": 1},
            "statistics": {"descriptors": ["edge_length_nm", "circularity"]}, **sections}  # fmt: skip


@pytest.fixture(scope="module")
def reported(folder, client, tmp_path_factory):
    out = tmp_path_factory.mktemp("reported")
    return out, nc.run(job(folder, out), client)


@pytest.fixture(scope="module")
def excluded(reported, folder, client, tmp_path_factory):
    """The same results after the rule was changed."""
    out = shutil.copytree(reported[0], tmp_path_factory.mktemp("excluded") / "out")
    return out, nc.run(job(folder, out, quality={"action": "exclude"}), client)


def flagged(out):
    index = nc.read_micrographs(out)
    return {
        name[2:4]: flags for name, flags in zip(index["name"], index["flags"], strict=True) if isinstance(flags, str)
    }


def test_every_planted_fault_is_flagged_by_its_name_and_nothing_else_is(reported):
    out, summary = reported
    found = flagged(out)
    assert set(found) == set(FLAGGED)
    assert {name: text.split(":")[0] for name, text in found.items()} == {
        name: words for name, words in FLAGGED.items()
    }
    assert (summary.n_flagged, summary.n_excluded) == (5, 0)
    index = nc.read_micrographs(out).set_index("name")
    assert index.loc["S/10.tif", "overlap_share"] == pytest.approx(0.5, abs=0.02)
    assert index.loc["S/10.tif", "overlap_shift_x_px"] == pytest.approx(-224, abs=4)


def parts(out):
    return {path.name: file_digest(path) for path in (out / "particles").iterdir()}


def test_flagged_micrographs_count_unless_they_are_excluded(reported, excluded):
    out, summary = excluded
    all_of_them = pd.read_csv(reported[0] / "tables/by_sample.csv")
    effect = pd.read_csv(reported[0] / "tables/quality_effect.csv")
    assert (summary.n_reused, summary.n_flagged, summary.n_excluded) == (12, 5, 5)
    assert parts(out) == parts(reported[0])  # nothing is done again
    assert set(flagged(out)) == set(FLAGGED)

    left = pd.read_csv(out / "tables/by_sample.csv")
    assert (all_of_them["n_micrographs"] == 12).all()
    assert (left["n_micrographs"] == 7).all()
    for table, which in ((all_of_them, "all"), (left, "without")):
        means = table[table["statistic"] == "mean"].set_index("descriptor")
        of_effect = effect.set_index("descriptor")
        for ours, theirs in (("estimate", "mean"), ("lower", "lower"), ("upper", "upper")):
            assert means[ours].to_dict() == pytest.approx(of_effect[f"{theirs}_{which}"].to_dict())
    assert (effect["difference"] == effect["mean_all"] - effect["mean_without"]).all()

    counts = pd.read_csv(out / "tables/counts.csv").iloc[0]
    particles = nc.apply_criteria(nc.read_particles(out, excluded=True), nc.Criteria()).compute()
    accepted = particles[particles["failed_criteria"] == 0]
    index = nc.read_micrographs(out)
    on_excluded = accepted["micrograph"].isin(index.loc[index["excluded"], "micrograph"]).sum()
    assert (counts["accepted"], counts["on_excluded_micrographs"]) == (len(accepted) - on_excluded, on_excluded)
    text = (out / "report.html").read_text()
    assert "on 7 micrographs of 1 sample; 5 micrographs excluded" in text
    for name, words in FLAGGED.items():
        assert f"S/{name}.tif" in text
        assert words in text


def test_what_is_read_agrees_with_the_statistics_of_the_run(excluded):
    out = excluded[0]
    particles, index = nc.apply_criteria(nc.read_particles(out), nc.Criteria()), nc.read_micrographs(out)
    made = nc.size_statistics(particles[particles["failed_criteria"] == 0], index).to_dataframe().reset_index()
    written = pd.read_csv(out / "tables/by_size.csv")
    both = made.merge(written, on=["sample", "descriptor", "statistic", "size_left"], suffixes=("", "_of_run"))
    assert len(both) == len(written) > 0
    for name in ("estimate", "lower", "upper", "n_micrographs"):
        np.testing.assert_allclose(both[name], both[f"{name}_of_run"], rtol=1e-12)
    everything = nc.read_particles(out, excluded=True)
    with pytest.raises(TableError, match="not excluded"):
        nc.sample_statistics(everything, index, of=["circularity"], weight=None)
    all_of_them = nc.sample_statistics(everything, index.drop(columns="excluded"), of=["circularity"], weight=None)
    assert all_of_them["n_micrographs"].item() == 12


def test_mean_shapes_leave_excluded_micrographs_out(reported, folder, client, tmp_path):
    out = shutil.copytree(reported[0], tmp_path / "out")
    nc.run(job(folder, out, quality={"action": "exclude"}, measure={"outlines": True}), client)
    judged, index = nc.apply_criteria(nc.read_particles(out), nc.Criteria()), nc.read_micrographs(out)
    made = nc.mean_shapes(judged, nc.read_outlines(out), index)
    written = pd.read_csv(out / "tables/mean_shapes.csv").drop_duplicates(["sample", "size_left"])
    assert written["n"].tolist() == made["n"].values.ravel().tolist()
    assert written["n"].sum() > 50


def test_a_plan_leaves_excluded_micrographs_out(excluded):
    plan = plan_run(excluded[0], of=["circularity"], half_width=0.05)
    assert plan["n_micrographs"].tolist() == [7]


def test_without_the_excluded_files_the_statistics_are_the_same(excluded, folder, client, tmp_path):
    kept = tmp_path / "kept"
    shutil.copytree(folder, kept)
    for name in FLAGGED:
        (kept / "S" / f"{name}.tif").unlink()
    clean = tmp_path / "clean"
    assert nc.run(job(kept, clean), client).n_flagged == 0
    for table in ("by_sample", "by_size"):
        assert (excluded[0] / f"tables/{table}.csv").read_bytes() == (clean / f"tables/{table}.csv").read_bytes()
    assert len(pd.read_csv(clean / "tables/quality_effect.csv")) == 0
    assert measuring_of_run(excluded[0]) == measuring_of_run(clean)  # constant shapes are as sharp as what counts
    assert "out of the ordinary" not in (clean / "report.html").read_text()


def test_another_rule_is_applied_to_the_scores_that_are_there(reported, tmp_path):
    out = shutil.copytree(reported[0], tmp_path / "copied")
    record = json.loads((out / "run.json").read_text())
    record["job"]["quality"] |= {"blur_z": False, "max_overlap_share": 0.7, "action": "exclude"}
    (out / "run.json").write_text(json.dumps(record))
    shutil.rmtree(out / "micrographs.zarr")  # neither images nor maps are needed
    shutil.rmtree(out / "thumbnails")
    nc.analyse(out)
    assert set(flagged(out)) == {"04", "06", "08"}
    assert nc.read_micrographs(out)["excluded"].sum() == 3


def test_if_all_are_excluded_nothing_is_said_and_the_report_names_them(excluded, tmp_path):
    out = shutil.copytree(excluded[0], tmp_path / "copied", ignore=shutil.ignore_patterns("thumbnails"))
    record = json.loads((out / "run.json").read_text())
    record["job"]["quality"] |= {"max_covered_share": 0.0}
    (out / "run.json").write_text(json.dumps(record))
    nc.report(out)
    assert nc.read_micrographs(out)["excluded"].all()
    assert not (out / "tables/by_sample.csv").exists()
    assert pd.read_csv(out / "tables/counts.csv")["accepted"].tolist() == [0]
    effect = pd.read_csv(out / "tables/quality_effect.csv")
    assert effect["mean_all"].notna().all()
    assert effect["mean_without"].isna().all()
    assert "Flagged micrographs (12)" in (out / "report.html").read_text()
