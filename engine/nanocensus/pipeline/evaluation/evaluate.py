"""What a network is worth: its maps against micrographs whose true particles are known, in tables and on a page."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from nanocensus.errors import InputError, StoreError
from nanocensus.pipeline.evaluation.columns import EVALUATION_TABLES
from nanocensus.pipeline.evaluation.merit import LARGE_PX
from nanocensus.pipeline.evaluation.scores import judge
from nanocensus.pipeline.evaluation.tables import BIN_WIDTH_NM, Judged, judged, tables
from nanocensus.pipeline.evaluation.truth_cases import LoadCase, cases_of_job, cases_of_run
from nanocensus.pipeline.evaluation.view import evaluation_content
from nanocensus.pipeline.job.sections import InputSection, SegmentSection
from nanocensus.pipeline.job.spec import Job
from nanocensus.pipeline.run.record import job_of_run, run_record
from nanocensus.pipeline.workers.dispatch import OnProgress, Progress, silent
from nanocensus.provenance import versions
from nanocensus.show.evaluation.evaluation import render_evaluation
from nanocensus.store.commit import commit_bytes
from nanocensus.store.manifest import MICROGRAPHS_FILE, OutputLock

FOLDER, PAGE, RECORD = "evaluation", "evaluation.html", "evaluation.json"
LISTINGS = ("micrographs.csv", "samples.csv")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a network is worth: docs/reference/evaluation.md gives the columns of each table."""

    micrographs: pd.DataFrame
    """One row a micrograph and method (the network, and Otsu's threshold)."""
    summary: pd.DataFrame
    """One row a sample, method and figure of merit, with its interval over fields."""
    by_size: pd.DataFrame
    """Detection rate and errors by true edge length."""
    thresholds: pd.DataFrame
    """Dice and edge length against the threshold."""
    calibration: pd.DataFrame
    """How often pixels of each probability are particle."""
    confusion: pd.DataFrame
    """Soft Dice between true and predicted classes."""
    particles: pd.DataFrame
    """One row a true particle and method."""
    page: Path
    """The HTML page; it needs no other file. The tables stand beside it."""
    assumed: bool
    """Whether a pixel size was made up, and with it every length in nm."""

    def figure(self, name: str, *, sample: str | None = None, method: str = "network") -> "pd.Series[Any]":
        """Give one figure of merit, with its interval.

        Parameters
        ----------
        name : str
            In the column `figure` of `summary`.
        sample : str, optional
            Name of a sample; that of all together if absent.
        method : {"network", "otsu"}
            Whose.

        Raises
        ------
        InputError
            If there is no such row.
        """
        rows = self.summary[(self.summary["figure"] == name) & (self.summary["method"] == method)]
        chosen = rows[rows["sample"] == sample] if sample is not None else rows.iloc[-1:]
        if chosen.empty:
            wanted = {"figure": name, "method": method, **({} if sample is None else {"sample": sample})}
            unknown = [column for column, value in wanted.items() if value not in set(self.summary[column])]
            column = (unknown or ["figure"])[0]  # calibration_error is there, but not of Otsu's threshold
            known = ", ".join(dict.fromkeys(self.summary[column]))
            raise InputError(
                f"{column} {wanted[column]!r}", expected=f"one of {known}", got="no such row", remedy="See summary."
            )
        row: pd.Series[Any] = chosen.iloc[0]
        return row


def job_of_folder(
    folder: Path,
    *,
    table: Path | None = None,
    model: str = "default",
    pixel_size_nm: float | None = None,
    pixel_size_assumed: bool = False,
) -> Job:
    """Describe the micrographs of a folder, as a job would.

    Raises
    ------
    StoreError
        If there is no listing that could name masks.
    """
    there = [folder / name for name in LISTINGS if (folder / name).is_file()]
    if table is None and not there:
        raise StoreError(
            str(folder),
            expected="the results of a run, or micrographs with a micrographs.csv that names their masks",
            got="neither",
            remedy="Give the `out` folder of a run, a folder that `nanocensus simulate` wrote, or --table.",
        )
    given = InputSection(folder, table or there[0], None, pixel_size_nm, pixel_size_assumed)
    return Job(out=folder, title=f"Evaluation of {folder.name}", input=given, segment=SegmentSection(model=model))


def is_run(folder: Path) -> bool:
    """Say whether a folder holds the results of a run."""
    return (folder / MICROGRAPHS_FILE).is_file()


def evaluate_run(out: Path, *, to: Path | None = None, on_progress: OnProgress = silent, **rules: Any) -> Evaluation:  # noqa: ANN401  of _evaluate
    """Judge the maps that a finished run kept.

    Parameters
    ----------
    out : Path
        Folder of the results.
    to : Path, optional
        Folder to write to; `evaluation` in the results if absent.
    on_progress : callable
        Told how many micrographs are done.
    **rules
        `level`, `large_px`, `bin_width_nm`, as in `nanocensus.evaluate`.

    Returns
    -------
    Evaluation

    Raises
    ------
    StoreError
        If there are no finished results, or they are damaged.
    InputError
        If no micrograph has known particles.
    """
    job, models = job_of_run(out), run_record(out)["models"]
    return _evaluate(job, cases_of_run(job), models, to or out / FOLDER, on_progress, **rules)


def evaluate_job(job: Job, *, to: Path | None = None, on_progress: OnProgress = silent, **rules: Any) -> Evaluation:  # noqa: ANN401  of _evaluate
    """Predict the micrographs of a job that have masks, and judge the maps; nothing of them is kept.

    Parameters
    ----------
    job : Job
    to : Path, optional
        Folder to write to; `evaluation` in the job's if absent.
    on_progress : callable
        Told how many micrographs are done.
    **rules
        `level`, `large_px`, `bin_width_nm`, as in `nanocensus.evaluate`.

    Returns
    -------
    Evaluation

    Raises
    ------
    InputError
        If no micrograph has a mask, one does not fit, or a network cannot be used.
    """
    cases, models = cases_of_job(job)
    return _evaluate(job, cases, models, to or job.out / FOLDER, on_progress, **rules)


def _evaluate(
    job: Job,
    cases: list[LoadCase],
    models: Mapping[str, str],
    to: Path,
    on_progress: OnProgress,
    *,
    level: float | None = None,
    large_px: int = LARGE_PX,
    bin_width_nm: float = BIN_WIDTH_NM,
) -> Evaluation:
    if not cases:
        remedy = "Name masks in the column `mask` of micrographs.csv, and run the job again."
        raise InputError("truth", expected="micrographs with masks", got="none of this run has one", remedy=remedy)
    if not bin_width_nm > 0:
        raise InputError("bin_width_nm", expected="a positive width", got=f"{bin_width_nm:g}", remedy="Try 0.2.")
    level = job.statistics.level if level is None else level
    if not 0 < level < 1:
        raise InputError("level", expected="a number between 0 and 1", got=f"{level:g}", remedy="For example 0.95.")
    each: list[Judged] = []
    assumed = False
    for number, load in enumerate(cases, start=1):
        case = load()
        each += [judged(case, scores, large_px) for scores in judge(case, job.measure, job.segment.contrast)]
        assumed |= case.assumed
        on_progress(Progress("evaluate", number, len(cases)))
    found = tables(each, level=level, large_px=large_px, bin_width_nm=bin_width_nm)
    record = {
        "versions": versions(),
        "models": dict(models),
        "level": level,
        "large_px": large_px,
        "bin_width_nm": bin_width_nm,
        "threshold": job.measure.threshold,
        "estimator": job.measure.estimator,
        "tile_px": job.segment.inference.tile_px,
    }
    content = evaluation_content(job, found, cases, record, assumed=assumed)
    with OutputLock(to):
        for name, frame in found.items():
            _write(to, name, frame)
        commit_bytes(to / RECORD, (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode())
        commit_bytes(to / PAGE, render_evaluation(content).encode())
    return Evaluation(**found, page=to / PAGE, assumed=assumed)


def _write(to: Path, name: str, frame: pd.DataFrame) -> None:
    if name != "particles":
        text = frame.to_csv(index=False, lineterminator="\n", float_format="%.10g")
        commit_bytes(to / f"{name}.csv", text.encode())
        return
    stream = io.BytesIO()
    table = pa.Table.from_pandas(frame, EVALUATION_TABLES[name].arrow(), preserve_index=False)
    pq.write_table(table, stream, compression="zstd")
    commit_bytes(to / f"{name}.parquet", stream.getvalue())
