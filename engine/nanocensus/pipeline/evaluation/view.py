"""What the page of an evaluation shows, the worst micrographs among it."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from nanocensus.measure.descriptors import measure
from nanocensus.measure.outline import outlines
from nanocensus.pipeline.evaluation.truth_cases import Case, LoadCase
from nanocensus.pipeline.job.spec import Job
from nanocensus.segment.judging.metrics import overlaps, without_specks
from nanocensus.show.evaluation.content import EvaluationContent
from nanocensus.show.report.content import Picture

PICTURES = 4
"""Micrographs that are shown, the worst first."""


def evaluation_content(
    job: Job,
    found: Mapping[str, pd.DataFrame],
    cases: list[LoadCase],
    record: Mapping[str, object],
    *,
    assumed: bool,
) -> EvaluationContent:
    """Gather what the page shows.

    Parameters
    ----------
    job : Job
        Names the study, and says how particles are measured.
    found : mapping of DataFrame
        The tables.
    cases : list of callables
        The micrographs, in the order of the tables; the worst are loaded again.
    record : mapping
        What made the figures: evaluation.json.
    assumed : bool
        Whether a pixel size was made up.
    """
    network = found["micrographs"].query("method == 'network'").reset_index(drop=True)
    worst = np.argsort(network["dice"].to_numpy(np.float64), kind="stable")[:PICTURES]
    particles = found["particles"].query("method == 'network'")
    in_nm = found["summary"]["unit"].str.endswith("/nm").any()  # of the slopes, which stand there whatever was found
    return EvaluationContent(
        title=job.title,
        samples=list(dict.fromkeys(found["summary"]["sample"])),
        micrographs=found["micrographs"],
        summary=found["summary"],
        by_size=found["by_size"],
        thresholds=found["thresholds"],
        calibration=found["calibration"],
        confusion=found["confusion"],
        size_unit="nm" if in_nm else "px",
        level=float(str(record["level"])),
        large_px=int(str(record["large_px"])),
        planted=int(particles["planted"].sum()),
        threshold=job.measure.threshold,
        assumed=assumed,
        pictures=list(_pictures(job, cases, network, worst)),
        provenance=record,
    )


def _pictures(job: Job, cases: list[LoadCase], network: pd.DataFrame, worst: np.ndarray) -> Iterator[Picture]:
    for place in worst:
        yield _picture(job, cases[place](), float(network["dice"][place]))


def _picture(job: Job, case: Case, dice: float) -> Picture:
    """Draw what was found: matched outlines as accepted ones, those that match nothing as rejected ones."""
    settings = job.measure
    labels = measure(
        case.probability,
        pixel_size_nm=1.0,
        estimator=settings.estimator,
        threshold=settings.threshold,
        split=None if settings.split == "none" else settings.split,
    ).labels
    found, truth = without_specks(labels), without_specks(case.truth)
    traced = outlines(case.probability, found, threshold=settings.threshold)
    pairs = overlaps(truth, found)
    partners = set(pairs.found_label[pairs.found_place[pairs.matched()]].tolist())
    present = pairs.found_label.tolist()
    rejected = [traced[label - 1] for label in present if label not in partners]
    true = outlines(None, truth)
    return Picture(
        name=f"{case.name} (Dice {dice:.3f})",
        sample=case.sample,
        pixels=case.pixels,
        pixel_size_nm=case.pixel_size_nm or 1.0,
        assumed=case.assumed,
        accepted=[traced[label - 1] for label in present if label in partners],
        rejected=rejected,
        reasons=["no true particle overlaps it by more than half"] * len(rejected),
        truth=[true[label - 1] for label in pairs.true_label.tolist()],
    )
