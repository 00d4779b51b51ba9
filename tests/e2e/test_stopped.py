"""What is said of results whose last run was stopped half way."""

import nanocensus as nc
from nanocensus.pipeline.run.inspection import progress_by_sample
from nanocensus.store.manifest import Manifest, read_manifest, write_manifest


def begin_again(out, sample):
    """Leave the index of a sample's micrographs as a run does that is stopped before it has measured them."""
    manifest = read_manifest(out)
    rows = manifest.micrographs
    own = rows["sample"] == sample
    rows.loc[own, ["status", "part_digest", "n_detected"]] = ["ingested", None, None]
    write_manifest(out, Manifest(rows, manifest.refusals))
    return manifest


def test_the_report_says_how_many_micrographs_are_left(copied):
    done = begin_again(copied, "Co0.8").micrographs["status"].eq("done").sum()
    text = nc.report(copied).read_text(encoding="utf-8")
    assert done == 4
    assert "on 4 micrographs of 2 samples" in text
    assert "3 files were refused and 0 micrographs failed, and 4 micrographs are still to be measured." in text


def test_the_status_counts_finished_parts_without_files_that_left(copied):
    manifest = begin_again(copied, "Co0.8")
    rows = read_manifest(copied).micrographs
    gone = rows.index[rows["sample"] == "Co0.8"][0]
    write_manifest(copied, Manifest(rows.drop(index=gone), manifest.refusals))
    told = progress_by_sample(copied).by_sample
    assert told["done"].to_dict() == {"Co0.2": 4, "Co0.8": 3}
    assert told["left"].to_dict() == {"Co0.2": 0, "Co0.8": 0}
