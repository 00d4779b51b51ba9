"""The gallery of a run's criteria: what each bound accepts and rejects, to choose bounds by eye."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from nanocensus.errors import InputError, did_you_mean
from nanocensus.measure.acceptance import FAILED, RULES, apply_criteria
from nanocensus.measure.criteria import Criteria, refuse_unknown_samples
from nanocensus.pipeline.job.spec import Job
from nanocensus.pipeline.report.criteria_words import criteria_in_words
from nanocensus.pipeline.report.sample_gallery import SampleStudy
from nanocensus.schema import PIXEL_SIZE_ASSUMED
from nanocensus.show.gallery.content import GalleryContent
from nanocensus.show.gallery.gallery import render_gallery
from nanocensus.store.commit import commit_bytes
from nanocensus.store.manifest import Manifest, read_manifest
from nanocensus.store.particles.tables import read_particles

GALLERY = "criteria.html"
CROPS, MOST_CROPS = 8, 48
"""Particles on each side of a bound: by default, and at most."""
_BOX = ("bbox_top_px", "bbox_left_px", "bbox_bottom_px", "bbox_right_px")
_COLUMNS = ("sample", "micrograph", "label", *_BOX, *dict.fromkeys(rule.column for rule in RULES))


def gallery_run(
    job: Job, *, criteria: Criteria | None = None, samples: Sequence[str] | None = None, crops: int = CROPS
) -> Path:
    """Write the gallery of a finished run.

    Parameters
    ----------
    job : Job
        The job of the run.
    criteria : Criteria, optional
        Other criteria than the run's, to be tried.
    samples : sequence of str, optional
        The samples to show; all if absent.
    crops : int
        Particles on each side of a bound, 1 to 48.

    Returns
    -------
    Path
        The HTML file; it needs no other.

    Raises
    ------
    InputError
        If a sample is not in the run, or the number of crops cannot be.
    StoreError
        If there are no results, or they are damaged.
    """
    if not 1 <= crops <= MOST_CROPS:
        raise InputError("crops", expected=f"1 to {MOST_CROPS}", got=str(crops), remedy=f"{CROPS} fill a line.")
    manifest = read_manifest(job.out)
    known, shown = _samples(manifest, samples)
    criteria = criteria or job.criteria
    refuse_unknown_samples(criteria, {*known, *manifest.refusals["sample"]})
    micrographs = manifest.micrographs.set_index("micrograph")
    assumed = bool((micrographs["pixel_size_source"] == PIXEL_SIZE_ASSUMED).any())
    particles = _particles(job.out, criteria, micrographs)
    studies = (
        SampleStudy(job, name, particles[particles["sample"] == name], micrographs, criteria.of(name), assumed)
        for name in shown
    )
    content = GalleryContent(
        title=job.title,
        samples=[study.gallery(crops) for study in studies],
        criteria=criteria_in_words(criteria, assumed=assumed),
        source=_source(of_run=criteria == job.criteria),
        assumed=assumed,
        others=[name for name in known if name not in shown],
    )
    path = job.out / GALLERY
    commit_bytes(path, render_gallery(content).encode())
    return path


def _samples(manifest: Manifest, asked: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """Give all samples of the run, and those to show in the same order."""
    known = [str(name) for name in manifest.micrographs["sample"].drop_duplicates()]
    for name in asked or ():
        if name not in known:
            remedy = did_you_mean(name, known) or "Leave it out to see all."
            raise InputError("sample", expected="one of: " + ", ".join(known), got=repr(name), remedy=remedy)
    return known, [name for name in known if not asked or name in asked]


def _source(*, of_run: bool) -> str:
    if of_run:
        return "The criteria of the run, which its statistics and report follow."
    return "Criteria on trial: the statistics and the report of the run follow its own."


def _particles(out: Path, criteria: Criteria, micrographs: pd.DataFrame) -> pd.DataFrame:
    """Read all particles in the order of the index, flagged, with their extent and distance from the border in nm."""
    flagged = apply_criteria(read_particles(out, excluded=True), criteria)
    frame: pd.DataFrame = flagged[[*_COLUMNS, FAILED]].compute().reset_index(drop=True)
    of = micrographs.loc[frame["micrograph"]]
    top, left, bottom, right = (frame[name].to_numpy() for name in _BOX)
    scale = of["pixel_size_nm"].to_numpy()
    margins = [top, left, of["height_px"].to_numpy() - bottom, of["width_px"].to_numpy() - right]
    return frame.assign(
        extent_nm=np.maximum(bottom - top, right - left) * scale, margin_nm=np.min(margins, axis=0) * scale
    )
