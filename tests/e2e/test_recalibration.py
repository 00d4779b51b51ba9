"""A recalibration of a finished run: measured anew on the stored maps, all or nothing, and back."""

import numpy as np
import pytest

import nanocensus as nc
from nanocensus.pipeline.job.spec import parse_job
from nanocensus.pipeline.run.inspection import verify
from nanocensus.pipeline.run.intake import find_micrographs
from nanocensus.provenance import file_digest
from nanocensus.schema import PARTICLES
from nanocensus.store.images.ingest import ingest
from nanocensus.store.images.recalibration import Recalibration, remove_recalibrations, write_recalibrations

FACTOR = 1.03
POWERS = {"nm": 1, "nm2": 2}


def digests(out, *parts):
    paths = [path for part in parts for path in sorted(out.glob(part)) if path.is_file()]
    assert paths
    return {str(path.relative_to(out)): file_digest(path) for path in paths}


def particles(out):
    return nc.read_particles(out).compute().reset_index(drop=True)


@pytest.fixture
def recorded(copied):
    """A finished run whose pixels are said to be 3 % larger, by a lattice."""
    write_recalibrations(copied, [Recalibration(None, 0.1, 0.1 * FACTOR, 1e-3, "lattice Co3O4")])
    return copied


def test_lengths_follow_with_the_next_run_and_nothing_is_segmented_anew(recorded, finished, job_of, client, measured):
    out = recorded
    nc.analyse(out)
    assert digests(out, "tables/*.csv") == digests(finished[0], "tables/*.csv")  # until then all is as it was
    maps = "micrographs.zarr/*/probability/0/**/*"
    before, segmented = particles(out), digests(out, maps)
    left = out / "particles" / "part-0123456789abcdef.parquet"  # as by a run that was killed under another plan
    left.write_bytes(next((out / "particles").iterdir()).read_bytes())
    nc.run(job_of(out, scale={"lattice": "Co3O4"}), client)
    assert not left.exists()
    after = particles(out)
    assert digests(out, maps) == segmented
    for column in PARTICLES.columns:
        values = before[column.name]
        if column.dtype == "float64":
            # Pixels are measured, and scaled once: rounding is all that differs.
            expected = values * FACTOR ** POWERS.get(column.unit, 0)
            np.testing.assert_allclose(after[column.name], expected, rtol=1e-12, atol=1e-12, err_msg=column.name)
        else:
            assert after[column.name].equals(values), column.name
    index = nc.read_micrographs(out)
    assert index["pixel_size_nm"].eq(0.1 * FACTOR).all()
    assert index["stated_pixel_size_nm"].eq(0.1).all()
    assert index["status"].eq("done").all()
    assert verify(out) == []
    assert "from the micrographs&#39; own fringes: lattice Co3O4 instead of 0.1 nm" in (out / "report.html").read_text()
    said = "Scale: no lattice of Co3O4 is seen, so that 0.103 nm is not checked."
    assert said in (out / "report.html").read_text()
    assert measured(job_of(out)).n_reused == 8


@pytest.mark.slow
def test_a_run_cut_off_half_way_counts_no_particle_of_the_old_scale(recorded, job_of, client, tmp_path):
    job = parse_job(job_of(recorded))
    ingest(find_micrographs(job), recorded, complete=True)  # and here the run was killed
    assert particles(recorded).empty
    assert nc.read_micrographs(recorded)["part_digest"].isna().all()
    nc.run(job, client)
    whole = tmp_path / "whole"
    write_recalibrations(whole, [Recalibration(None, 0.1, 0.1 * FACTOR, 1e-3, "lattice Co3O4")])
    nc.run(job_of(whole), client)
    assert digests(recorded, "particles/*", "tables/*") == digests(whole, "particles/*", "tables/*")


@pytest.mark.slow
def test_undoing_gives_back_the_bytes_that_were(recorded, finished, job_of, client):
    nc.run(job_of(recorded), client)
    remove_recalibrations(recorded)
    nc.run(job_of(recorded), client)
    kept = ("particles/*", "tables/*", "micrographs.parquet", "micrographs.zarr/**/*")
    assert digests(recorded, *kept) == digests(finished[0], *kept)
