"""What was damaged or lost is found, and made again by the next run."""

import shutil

import numpy as np
import pandas as pd
import pytest

import nanocensus as nc
from nanocensus.errors import StoreError
from nanocensus.store.images.micrographs import read_pixels, stored_siblings, write_probability
from nanocensus.store.particles.outlines import write_outlines


@pytest.mark.slow
def test_labels_and_maps_that_are_gone_are_made_again(copied, finished, job_of, client, contents, assert_equal_results):
    first, second = nc.read_micrographs(copied)["micrograph"].iloc[[0, 1]]
    labels = copied / "micrographs.zarr" / first / "labels" / "particles"
    shutil.rmtree(labels)
    shard = next((copied / "micrographs.zarr" / second / "probability" / "0").rglob("c/*/*"))
    shard.write_bytes(shard.read_bytes()[:-4])
    assert nc.run(job_of(copied), client).n_reused == 4  # one of the two blocks
    assert contents(copied / "micrographs.zarr") == contents(finished[0] / "micrographs.zarr")
    assert_equal_results(finished[0], copied)


@pytest.mark.slow
def test_a_part_that_was_changed_but_can_be_read_is_measured_again(
    copied, finished, job_of, client, assert_equal_results
):
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


def test_damage_is_found_and_the_next_run_mends_it(copied, job_of, client, finished, assert_equal_results):
    from nanocensus.pipeline.run.inspection import verify

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
    from nanocensus.pipeline.run.inspection import verify

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
    from nanocensus.pipeline.run.inspection import verify

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
    refusals = pd.read_csv(copied / "tables" / "mean_shapes.csv")["refusal"]
    assert refusals.str.contains("in [0-3] clusters: an interval needs").all()  # three fields a sample
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


def test_whole_pixels_of_another_micrograph_are_found_too(copied):
    from nanocensus.pipeline.run.inspection import verify

    one, other = nc.read_micrographs(copied)["micrograph"][:2]
    store = copied / "micrographs.zarr"
    shutil.copy(store / other / "0/c/0/0", store / one / "0/c/0/0")
    (trouble,) = verify(copied)
    assert one in trouble
