"""A whole run on real workers, and what must not change its results."""

import json
import shutil

import imageio.v3
import numpy as np
import pandas as pd
import pytest

import nanocensus as nc
from nanocensus.cli.runs import _say_summary
from nanocensus.errors import DeviceError, InputError
from nanocensus.pipeline.job.spec import parse_job
from nanocensus.pipeline.report.agreement import agreement_of_run
from nanocensus.pipeline.run.runner import census
from nanocensus.segment.prediction.weights import load_model


def test_a_run_leaves_everything_that_was_promised(finished):
    out, summary = finished
    assert (summary.n_micrographs, summary.n_failed, summary.n_refused, summary.n_reused) == (8, 0, 3, 0)
    for name in ("micrographs.zarr", "cells.zarr", "statistics.zarr", "particles", "run.json", "report.html"):
        assert (out / name).exists()
    assert {path.name for path in (out / "tables").iterdir()} == {
        "counts.csv", "by_sample.csv", "by_size.csv", "size_distribution.csv", "lognormal_fit.csv", "contrasts.csv",
        "across_samples.csv", "quality_effect.csv",
    }  # fmt: skip
    assert len(list((out / "particles").iterdir())) == 2  # one block a sample


def test_every_file_is_a_micrograph_or_refused_by_name(finished):
    out, _ = finished
    refusals = nc.read_manifest(out).refusals.set_index("name")["reason"]
    assert sorted(refusals.index) == ["broken.tif", "colour.png", "copy.tif"]
    assert "the same pixels as Co0.2/images" in refusals["copy.tif"]


def test_detected_particles_are_the_planted_ones(finished):
    out, summary = finished
    agreement = agreement_of_run(out)
    assert agreement.rows["dice"].min() > 0.8
    truth = agreement.rows["n_true"].sum()
    assert abs(summary.n_detected - truth) < 0.2 * truth


def test_conditions_and_groups_reach_the_index(finished):
    index = nc.read_micrographs(finished[0])
    assert index.groupby("sample")["condition_Co_mmol"].first().to_dict() == {"Co0.2": 0.2, "Co0.8": 0.8}
    assert index.groupby("sample")["group"].nunique().to_dict() == {"Co0.2": 3, "Co0.8": 3}


def test_two_workers_and_blocks_of_one_give_the_same_results(finished, job_of, tmp_path, assert_equal_results):
    census(parse_job(job_of(tmp_path, cluster={"workers": 2}, blocks={"micrographs": 1})))
    nc.analyse(tmp_path)
    assert len(list((tmp_path / "particles").iterdir())) == 8
    assert_equal_results(finished[0], tmp_path)


def test_equal_results_make_an_equal_report(finished, copied):
    assert nc.report(copied).read_bytes() == (finished[0] / "report.html").read_bytes()


def test_a_micrograph_without_particles_is_a_row_with_none(tmp_path, client, capsys):
    blank = np.random.default_rng(0).normal(2000, 100, (256, 256)).astype(np.uint16)
    (tmp_path / "raw").mkdir()
    np.save(tmp_path / "raw" / "blank.npy", blank)
    imageio.v3.imwrite(tmp_path / "raw" / "mask.png", np.zeros(blank.shape, np.uint8))
    table = tmp_path / "raw" / "micrographs.csv"
    table.write_text("file,sample,mask\nblank.npy,A,mask.png\n")
    summary = nc.run(
        {
            "out": str(tmp_path / "out"),
            "input": {"folder": str(tmp_path / "raw"), "table": str(table), "pixel_size_nm": 0.1},
            "measure": {"threshold": 0.999},
            "onsets": {"descriptors": {"circularity": {"between_nm": [2.6, 7.6]}}},
            "populations": {},
        },
        client,
    )
    report = (summary.out / "report.html").read_text(encoding="utf-8")
    assert len(summary.not_done) == 2
    assert all(sentence in report for sentence in summary.not_done)
    _say_summary(summary)
    told = "".join(capsys.readouterr().out.split())
    assert all("".join(sentence.split()) in told for sentence in summary.not_done)
    described = load_model("default").domain.micrographs
    assert json.loads((summary.out / "run.json").read_text())["described"] == {"default": described} != {"default": 0}
    assert (summary.n_micrographs, summary.n_failed, summary.n_detected) == (1, 0, 0)
    assert nc.read_micrographs(summary.out)["n_detected"].tolist() == [0]
    assert pd.read_csv(summary.out / "tables/counts.csv")["detected"].tolist() == [0]
    assert agreement_of_run(summary.out).rows[["dice", "f1"]].to_numpy().tolist() == [
        [1.0, 1.0]
    ]  # as `evaluate` has it


def test_a_run_without_a_single_micrograph_is_an_error(tmp_path, raw, client):

    (tmp_path / "raw").mkdir()
    shutil.copy(raw / "colour.png", tmp_path / "raw")
    with pytest.raises(InputError, match=r"all refused; the first: colour\.png"):
        nc.run({"out": str(tmp_path / "out"), "input": {"folder": str(tmp_path / "raw")}}, client)


@pytest.mark.slow
def test_touching_particles_are_split_and_know_what_they_were_split_from(tmp_path, client):
    pairs = {"shape": [256, 256], "pixel_size_nm": 0.1, "mean_particles": 16.0, "mean_edge_length_nm": 3.2,
             "edge_length_log_sd": 0.0, "families": {"disc": 1.0}, "touching_fraction": 1.0}  # fmt: skip
    job = {"out": str(tmp_path), "seed": 1, "simulate": {"micrographs": 2, "micrograph": pairs}}
    nc.run(job, client)
    whole = nc.read_particles(tmp_path).compute()
    nc.run(job | {"measure": {"split": "distance"}}, client)
    parts = nc.read_particles(tmp_path).compute()
    assert whole["parent_label"].isna().all()
    keys = ["sample", "micrograph"]
    families = parts.groupby([*keys, "parent_label"], observed=True)["pixel_count"]
    pixels = whole.groupby([*keys, "label"], observed=True)["pixel_count"].sum()
    np.testing.assert_array_equal(families.sum().to_numpy(), pixels.to_numpy())  # every pixel stays in the family
    assert (families.size() > 1).sum() >= 2
    n_true = agreement_of_run(tmp_path).rows["n_true"].sum()
    assert abs(len(parts) - n_true) < abs(len(whole) - n_true)


def test_cucim_without_a_gpu_is_refused(job_of, client, tmp_path):
    with pytest.raises(DeviceError, match="workers with a GPU"):
        nc.run(job_of(tmp_path, measure={"labelling": "cucim"}), client)
