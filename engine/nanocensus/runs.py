"""What is done with whole runs: run, ingest, analyse, report, evaluate."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import distributed

from nanocensus.errors import InputError
from nanocensus.measure.criteria import Criteria
from nanocensus.pipeline.analysis.analyse import Analysis, analyse_run
from nanocensus.pipeline.evaluation.evaluate import Evaluation, evaluate_job, evaluate_run, is_run, job_of_folder
from nanocensus.pipeline.evaluation.merit import LARGE_PX
from nanocensus.pipeline.evaluation.tables import BIN_WIDTH_NM
from nanocensus.pipeline.job.paths import job_to_run
from nanocensus.pipeline.job.spec import Job, model_path
from nanocensus.pipeline.report.gallery import CROPS, gallery_run
from nanocensus.pipeline.report.reporting import report_run
from nanocensus.pipeline.run.record import RunSummary, job_of_run
from nanocensus.pipeline.run.runner import census
from nanocensus.pipeline.run.scale import check_scale
from nanocensus.pipeline.workers.dispatch import OnProgress, Stopping, never, silent
from nanocensus.store.images.ingest import ingest as _ingest
from nanocensus.store.manifest import Manifest, OutputLock
from nanocensus.store.studies.sources import find_sources

StrPath = str | os.PathLike[str]


def run(
    job: StrPath | Mapping[str, Any] | Job,
    client: distributed.Client | None = None,
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    out: StrPath | None = None,
    on_progress: OnProgress = silent,
    stopping: Stopping = never,
    retry_failed: bool = False,
) -> RunSummary:
    """Do a whole job, from files to the report, going on from what is already there.

    Parameters
    ----------
    job : path, mapping or Job
        A job file, or what one would say.
    client : distributed.Client, optional
        A client of any Dask cluster; it is left open.
    scheduler : str, optional
        Address of a running scheduler, instead of the job's.
    workers : int, optional
        Number of local worker processes, instead of the job's.
    out : path, optional
        Folder of the results, instead of the job's.
    on_progress : callable, optional
        Told how far each stage is.
    stopping : callable, optional
        Asked again and again whether to stop; the run then finishes what is in flight and raises KeyboardInterrupt. The
        same call goes on from there.
    retry_failed : bool
        Whether micrographs that failed before are tried again though nothing changed.

    Returns
    -------
    RunSummary
        What was found and done; `out` holds the tables, statistics and report.html.

    Raises
    ------
    NanocensusError
        If the job cannot be done; what was finished before is kept.
    KeyboardInterrupt
        If it was told to stop.
    """
    job = job_to_run(job)
    cluster = dataclasses.replace(
        job.cluster,
        scheduler=job.cluster.scheduler if scheduler is None else scheduler,
        workers=job.cluster.workers if workers is None else workers,
    )
    job = dataclasses.replace(job, cluster=cluster, out=job.out if out is None else Path(out).absolute())
    with OutputLock(job.out):
        summary = census(job, client=client, on_progress=on_progress, stopping=stopping, retry_failed=retry_failed)
        if stopping():
            raise KeyboardInterrupt
        if job.scale.lattice is not None:
            check_scale(job.out, job.scale.lattice, micrographs=job.scale.micrographs, on_progress=on_progress)
        analysis = analyse_run(job)
        report_run(job, analysis)
    judged = analysis.micrographs
    return dataclasses.replace(
        summary,
        n_flagged=int(judged["flags"].notna().sum()),
        n_excluded=int(judged["excluded"].sum()),
        not_done=analysis.not_done,
    )


def ingest(
    folder: StrPath,
    out: StrPath,
    *,
    pixel_size_nm: float | None = None,
    pixel_size_assumed: bool = False,
    table: StrPath | None = None,
    pattern: str | None = None,
) -> Manifest:
    """Read micrographs into a store, refusing by name what cannot be measured.

    Parameters
    ----------
    folder : path
        Folder of the micrographs; its first level of folders are the samples, unless a table or pattern says otherwise.
    out : path
        Folder of the results.
    pixel_size_nm : float, optional
        Side of a pixel in nm, for all files; goes before what the files say.
    pixel_size_assumed : bool
        Whether that pixel size is made up.
    table : path, optional
        A samples.csv or micrographs.csv.
    pattern : str, optional
        Where names are in the paths, e.g. "{sample}/{group}/{order}_*.tif".

    Returns
    -------
    Manifest
        The index of micrographs, and the refused files with the reasons.
    """
    sources = find_sources(
        Path(folder),
        pattern=pattern,
        table=Path(table) if table is not None else None,
        pixel_size_nm=pixel_size_nm,
        assumed=pixel_size_assumed,
    )
    with OutputLock(Path(out)):
        return _ingest(sources, Path(out))


def analyse(out: StrPath) -> Analysis:
    """Compute and save the statistics of a finished run again."""
    job = job_of_run(Path(out))
    with OutputLock(job.out):
        return analyse_run(job)


def report(out: StrPath) -> Path:
    """Write the report of a finished run again, and give its path."""
    job = job_of_run(Path(out))
    with OutputLock(job.out):
        return report_run(job, analyse_run(job))


def criteria_gallery(
    out: StrPath,
    *,
    criteria: Criteria | None = None,
    samples: Sequence[str] | None = None,
    crops: int = CROPS,
) -> Path:
    """Show what each criterion accepts and rejects in a finished run: criteria.html, to choose bounds by eye.

    Parameters
    ----------
    out : path
        Folder of the results.
    criteria : Criteria, optional
        Criteria to try, instead of those of the run; its statistics stay as they are.
    samples : sequence of str, optional
        The samples to show; all if absent.
    crops : int
        How many particles to show on each side of a bound.

    Returns
    -------
    Path
        The HTML file; it needs no other. Equal results and criteria give equal bytes.

    Raises
    ------
    StoreError
        If there are no finished results, or they are damaged.
    InputError
        If a sample is not in them.
    """
    job = job_of_run(Path(out))
    with OutputLock(job.out):
        return gallery_run(job, criteria=criteria, samples=samples, crops=crops)


def evaluate(
    what: StrPath | Job,
    *,
    model: StrPath | None = None,
    table: StrPath | None = None,
    pixel_size_nm: float | None = None,
    pixel_size_assumed: bool = False,
    out: StrPath | None = None,
    level: float | None = None,
    large_px: int = LARGE_PX,
    bin_width_nm: float = BIN_WIDTH_NM,
    on_progress: OnProgress = silent,
) -> Evaluation:
    """Say what a network is worth on micrographs whose true particles are known.

    `model`, `table` and the pixel size describe a folder of micrographs; a run and a job say them themselves.

    Parameters
    ----------
    what : path or Job
        The `out` folder of a run, whose maps are judged; or a folder of micrographs as `nanocensus simulate` writes it (a
        micrographs.csv names their masks), a job file or a Job, whose micrographs are predicted for the purpose.
    model : str or path, optional
        A shipped name or a .safetensors file; the column `model` of micrographs.csv goes before it. "default" if absent.
    table : path, optional
        A listing other than the micrographs.csv in the folder.
    pixel_size_nm : float, optional
        Side of a pixel in nm, for all files. Where nobody says, sizes are in pixels.
    pixel_size_assumed : bool
        Whether that pixel size is made up.
    out : path, optional
        Folder to write the tables and the page to; `evaluation` in the folder, or in the job's `out`, if absent.
    level : float, optional
        Confidence level of the intervals; the job's, or 0.95, if absent.
    large_px : int
        Pixels from which on a particle counts as large.
    bin_width_nm : float
        Width of the size bins, nm; neighbours are joined until each has an interval.
    on_progress : callable, optional
        Told how many micrographs are done.

    Returns
    -------
    Evaluation
        The tables, and the path of the page.

    Raises
    ------
    InputError
        If no micrograph has a mask, a mask does not fit its micrograph, a network cannot be used, or a run or job is told
        what it says itself.
    StoreError
        If the folder holds neither a run nor a listing, or the results are damaged.
    """
    if large_px < 1:
        raise InputError("large_px", expected="at least 1", got=str(large_px), remedy=f"Leave it out for {LARGE_PX}.")
    to = None if out is None else Path(out)
    rules: dict[str, Any] = {"level": level, "large_px": large_px, "bin_width_nm": bin_width_nm}
    path = None if isinstance(what, Job) else Path(what)
    described = {
        "model": model,
        "table": table,
        "pixel_size_nm": pixel_size_nm,
        "pixel_size_assumed": pixel_size_assumed or None,
    }
    given = [name for name, value in described.items() if value is not None]
    if given and (path is None or path.is_file() or is_run(path)):
        raise InputError(
            "job" if path is None else str(path),
            expected="a folder of micrographs, if " + ", ".join(given) + " is given",
            got="a job" if path is None or path.is_file() else "the results of a run, which has maps of its own",
            remedy="Leave that out, or give the folder of the micrographs.",
        )
    if path is None or path.is_file():
        return evaluate_job(job_to_run(what), to=to, on_progress=on_progress, **rules)
    if is_run(path):
        return evaluate_run(path, to=to, on_progress=on_progress, **rules)
    job = job_of_folder(
        path,
        table=None if table is None else Path(table),
        model=model_path("default" if model is None else str(model), None),
        pixel_size_nm=pixel_size_nm,
        pixel_size_assumed=pixel_size_assumed,
    )
    return evaluate_job(job, to=to, on_progress=on_progress, **rules)
