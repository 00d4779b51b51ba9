"""A whole run on real workers, and what must not change its results."""

import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib

import numpy as np
import pandas as pd
import pytest

import nanocensus as nc
from nanocensus.errors import DeviceError, InputError, StoreError
from nanocensus.pipeline.agreement import agreement_of_run
from nanocensus.provenance import file_digest
from nanocensus.store.micrographs import read_pixels, stored_siblings, write_probability
from nanocensus.store.outlines import write_outlines


def contents(folder):
    return {str(path.relative_to(folder)): file_digest(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def results(out):
    """Give everything that has to be equal: particles, index but for the parts, statistics and tables."""
    index = nc.read_micrographs(out).drop(columns=["part", "part_digest"])
    return (
        nc.read_particles(out).compute().reset_index(drop=True),
        index,
        contents(out / "statistics.zarr"),
        contents(out / "tables"),
    )


def assert_equal_results(one, other):
    for mine, theirs in zip(results(one), results(other), strict=True):
        if isinstance(mine, pd.DataFrame):
            pd.testing.assert_frame_equal(mine, theirs)
        else:
            assert mine == theirs


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


def test_two_workers_and_blocks_of_one_give_the_same_results(finished, job_of, tmp_path):
    nc.run(job_of(tmp_path, cluster={"workers": 2}, blocks={"micrographs": 1}))
    assert len(list((tmp_path / "particles").iterdir())) == 8
    assert_equal_results(finished[0], tmp_path)


def test_a_finished_run_does_nothing_again(copied, job_of, client):
    before = contents(copied)
    assert nc.run(job_of(copied), client).n_reused == 8
    after = contents(copied)
    assert {name for name in after if after[name] != before.get(name)} <= {"run.json", "report.html", "log.jsonl"}


def test_equal_results_make_an_equal_report(finished, job_of, client):
    out, _ = finished
    before = (out / "report.html").read_bytes()
    assert nc.report(out).read_bytes() == before


def test_other_criteria_redo_no_particle(copied, job_of, client):
    parts = contents(copied / "particles")
    accepted = pd.read_csv(copied / "tables/counts.csv")["accepted"].sum()
    assert nc.run(job_of(copied, criteria={"min_area_nm2": 12.0}), client).n_reused == 8
    assert contents(copied / "particles") == parts
    assert pd.read_csv(copied / "tables/counts.csv")["accepted"].sum() < accepted


def test_another_estimator_redoes_no_segmentation(copied, job_of, client):
    def maps():
        return {name: digest for name, digest in contents(copied / "micrographs.zarr").items() if "probability" in name}

    before, parts = maps(), contents(copied / "particles")
    assert nc.run(job_of(copied, measure={"estimator": "paper"}), client).n_reused == 0
    assert maps() == before
    assert set(nc.read_particles(copied)["estimator"].compute()) == {"paper"}
    nc.run(job_of(copied), client)
    assert contents(copied / "particles") == parts  # bytes do not tell what was there in between


@pytest.mark.slow
def test_labels_and_maps_that_are_gone_are_made_again(copied, finished, job_of, client):
    first, second = nc.read_micrographs(copied)["micrograph"].iloc[[0, 1]]
    labels = copied / "micrographs.zarr" / first / "labels" / "particles"
    shutil.rmtree(labels)
    shard = next((copied / "micrographs.zarr" / second / "probability" / "0").rglob("c/*/*"))
    shard.write_bytes(shard.read_bytes()[:-4])
    assert nc.run(job_of(copied), client).n_reused == 4  # one of the two blocks
    assert contents(copied / "micrographs.zarr") == contents(finished[0] / "micrographs.zarr")
    assert_equal_results(finished[0], copied)


def test_a_part_that_was_changed_but_can_be_read_is_measured_again(copied, finished, job_of, client):
    import pyarrow.parquet as pq

    part = next((copied / "particles").iterdir())
    whole = pq.ParquetFile(part)
    changed = whole.read()
    areas = changed.column("area_nm2").to_numpy() * 2
    changed = changed.set_column(changed.schema.get_field_index("area_nm2"), changed.schema.field("area_nm2"), [areas])
    with pq.ParquetWriter(part, whole.schema_arrow) as writer:
        start = 0
        for group in range(whole.num_row_groups):
            n = whole.metadata.row_group(group).num_rows
            writer.write_table(changed.slice(start, n), row_group_size=max(n, 1))
            start += n
        writer.add_key_value_metadata({key.decode(): text.decode() for key, text in whole.metadata.metadata.items()
                                       if key.startswith(b"nanocensus")})  # fmt: skip
    assert nc.run(job_of(copied), client).n_reused == 4  # the other block
    assert_equal_results(finished[0], copied)


def test_nothing_accepted_leaves_no_statistics_of_an_earlier_run(copied, job_of, client):
    nc.run(job_of(copied, criteria={"min_area_nm2": 1e5}), client)
    assert (pd.read_csv(copied / "tables/counts.csv")["accepted"] == 0).all()
    assert not (copied / "statistics.zarr").exists()
    assert not (copied / "tables/by_size.csv").exists()


def test_a_micrograph_without_particles_is_a_row_with_none(tmp_path, client):
    blank = np.random.default_rng(0).normal(2000, 100, (256, 256)).astype(np.uint16)
    (tmp_path / "raw").mkdir()
    np.save(tmp_path / "raw" / "blank.npy", blank)
    summary = nc.run(
        {
            "out": str(tmp_path / "out"),
            "input": {"folder": str(tmp_path / "raw"), "pixel_size_nm": 0.1},
            "measure": {"threshold": 0.999},
        },
        client,
    )
    assert (summary.n_micrographs, summary.n_failed, summary.n_detected) == (1, 0, 0)
    assert nc.read_micrographs(summary.out)["n_detected"].tolist() == [0]
    assert pd.read_csv(summary.out / "tables/counts.csv")["detected"].tolist() == [0]


def test_files_that_are_gone_are_counted(copied, job_of, client, raw, tmp_path):
    table = pd.read_csv(raw / "micrographs.csv").iloc[1:]
    job = job_of(copied)
    table.to_csv(tmp_path / "fewer.csv", index=False)
    job["input"] = {"folder": str(raw), "table": str(tmp_path / "fewer.csv")}
    summary = nc.run(job, client)
    assert (summary.n_gone, summary.n_micrographs) == (1, 8)  # the copy of the one that is gone takes its place
    assert len(list((copied / "particles").iterdir())) == len(set(nc.read_micrographs(copied)["part"]))


def test_a_run_without_a_single_micrograph_is_an_error(tmp_path, raw, client):

    (tmp_path / "raw").mkdir()
    shutil.copy(raw / "colour.png", tmp_path / "raw")
    with pytest.raises(InputError, match=r"all refused; the first: colour\.png"):
        nc.run({"out": str(tmp_path / "out"), "input": {"folder": str(tmp_path / "raw")}}, client)


def test_damage_is_found_and_the_next_run_mends_it(copied, job_of, client, finished):
    from nanocensus.pipeline.inspection import verify

    assert verify(copied) == []
    part = next((copied / "particles").iterdir())
    part.write_bytes(part.read_bytes()[:-9])
    row = nc.read_micrographs(copied).iloc[0]
    shard = next(path for path in (copied / "micrographs.zarr" / row["micrograph"] / "0").rglob("c/*/*"))
    damaged = bytearray(shard.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    shard.write_bytes(damaged)
    troubles = verify(copied)
    assert len(troubles) == 2
    assert any(part.name in trouble for trouble in troubles)
    assert any(row["micrograph"] in trouble for trouble in troubles)
    nc.run(job_of(copied), client)
    assert verify(copied) == []
    assert_equal_results(finished[0], copied)


def test_the_damaged_map_of_a_sibling_is_found_and_removed(copied):
    from nanocensus.pipeline.inspection import verify

    store, micrograph = copied / "micrographs.zarr", nc.read_micrographs(copied)["micrograph"].iloc[0]
    rows, columns = read_pixels(store, micrograph).shape
    probability = np.random.default_rng(0).integers(0, 256, (rows, columns), np.uint8)
    write_probability(store, micrograph, probability, segment_digest="d", sibling="other")
    assert stored_siblings(store, micrograph) == ["other"]
    assert verify(copied) == []
    shard = next(path for path in (store / micrograph / "probability_other").rglob("c/*/*"))
    damaged = bytearray(shard.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    shard.write_bytes(damaged)
    (trouble,) = verify(copied)
    assert micrograph in trouble
    assert "probability_other" in trouble
    assert stored_siblings(store, micrograph) == []


@pytest.mark.slow
def test_outlines_stand_row_for_row_beside_the_particles_and_are_made_again_if_lost(copied, job_of, client):
    from nanocensus.pipeline.inspection import verify

    job = job_of(copied, measure={"outlines": True})
    nc.run(job, client)
    particles, outlines = nc.read_particles(copied), nc.read_outlines(copied)
    assert tuple(len(part) for part in particles.partitions) == outlines.chunks[0]
    radii = outlines.to_numpy().astype(float)
    area = 0.5 * np.sin(2 * np.pi / 128) * (radii * np.roll(radii, -1, axis=1)).sum(axis=1)
    table = particles.compute()
    whole = (table["star_shaped"] & (table["pixel_count"] > 200)).to_numpy(bool)
    assert whole.sum() > 30
    shapes = {copied / "tables" / name for name in ("mean_shapes.csv", "mean_outlines.csv")}
    counted = pd.read_csv(copied / "tables" / "mean_shapes.csv").drop_duplicates(["sample", "size_bin"])["n"].sum()
    accepted = nc.apply_criteria(table, nc.Criteria(min_area_nm2=1.0))
    assert counted == ((accepted["failed_criteria"] == 0) & accepted["star_shaped"]).sum()
    assert "Mean outlines by sample and size" in (copied / "report.html").read_text()
    np.testing.assert_allclose(area[whole], table["area_nm2"][whole], rtol=0.02)
    part = next((copied / "outlines").iterdir())
    before = part.read_bytes()
    part.write_bytes(before[:-9])
    assert verify(copied) == [f"outlines/{part.name} is missing, damaged, or not of the particles in the index."]
    summary = nc.run(job, client)
    assert summary.n_reused < summary.n_micrographs
    assert part.read_bytes() == before
    assert verify(copied) == []
    nc.run(job_of(copied), client)
    assert verify(copied) == []
    assert not any(path.exists() for path in shapes)
    with pytest.raises(StoreError, match="Set outlines = true under"):
        nc.read_outlines(copied)


@pytest.mark.slow
def test_outlines_that_a_stopped_run_left_are_gone_after_a_run_without_them(copied, job_of, client):
    part = next((copied / "particles").iterdir()).name
    write_outlines(copied / "outlines" / part, [], [], [])
    assert nc.run(job_of(copied), client).n_reused == 8
    assert list((copied / "outlines").iterdir()) == []
    with pytest.raises(StoreError, match="Set outlines = true under"):
        nc.read_outlines(copied)


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


def test_whole_pixels_of_another_micrograph_are_found_too(copied):
    from nanocensus.pipeline.inspection import verify

    one, other = nc.read_micrographs(copied)["micrograph"][:2]
    store = copied / "micrographs.zarr"
    shutil.copy(store / other / "0/c/0/0", store / one / "0/c/0/0")
    (trouble,) = verify(copied)
    assert one in trouble


def write_job(job, path):
    """Write a job as TOML; its values are texts, numbers and lists of such."""
    import json

    top = {key: value for key, value in job.items() if not isinstance(value, dict)}
    lines = [f"{key} = {json.dumps(value)}" for key, value in top.items()]
    for section, values in job.items():
        if isinstance(values, dict):
            lines += [f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    path.write_text("\n".join(lines))
    assert tomllib.loads(path.read_text()) == job
    return path


def test_a_killed_run_goes_on_and_ends_with_the_same_results(finished, job_of, tmp_path):
    out = tmp_path / "out"
    job = write_job(job_of(out, blocks={"micrographs": 1}, cluster={"workers": 1}), tmp_path / "job.toml")
    command = [sys.executable, "-m", "nanocensus", "run", str(job)]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not list(out.glob("particles/part-*.parquet")):
            assert process.poll() is None, "the run ended before it could be killed"
            time.sleep(0.01)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    left = len(list(out.glob("particles/part-*.parquet")))
    assert 1 <= left < 8
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert f"({left} were already done" in again.stdout.replace("\n", " ")
    assert_equal_results(finished[0], out)
