"""The files, folders and networks that a job names, looked for before anything starts."""

import dataclasses
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nanocensus.errors import JobError, did_you_mean
from nanocensus.pipeline.job.sections import MODEL_SUFFIX
from nanocensus.pipeline.job.spec import Job, naming_lines, parse_job, read_job
from nanocensus.segment.prediction.weights import model_names
from nanocensus.store.names import one_spelling


def job_to_run(job: str | os.PathLike[str] | Mapping[str, Any] | Job) -> Job:
    """Give a job of which all is there that it names.

    Parameters
    ----------
    job : path, mapping or Job
        A job file, or what one would say.

    Returns
    -------
    Job

    Raises
    ------
    JobError
        If it says something that cannot be done, or names what is not there; with the line of the file.
    """
    if isinstance(job, Job):
        require_paths(job)
        return _spelled_as_stored(job)
    if isinstance(job, Mapping):
        return job_to_run(parse_job(job))
    read = read_job(job)
    with naming_lines(Path(job)):
        require_paths(read)
    return _spelled_as_stored(read)


def _spelled_as_stored(job: Job) -> Job:
    """Spell the samples that criteria name as those of the micrographs are (see `store.names`)."""
    if job.criteria.samples is None:
        return job
    samples = {one_spelling(name): own for name, own in job.criteria.samples.items()}
    return dataclasses.replace(job, criteria=dataclasses.replace(job.criteria, samples=samples))


def require_paths(job: Job) -> None:
    """Look for all that a job names.

    Raises
    ------
    JobError
        If something is not there; it names the key.
    """
    if job.input is not None and not job.input.folder.is_dir():
        raise _missing("[input] folder", "a folder of micrographs", job.input.folder)
    if job.onsets is not None and job.onsets.constant_run is not None and not job.onsets.constant_run.is_dir():
        raise _missing("[onsets] constant_run", "the results of a run", job.onsets.constant_run)
    for key, path in _files(job):
        if not path.is_file():
            raise _missing(key, "a file", path)
    shipped = model_names()
    for key, model in _models(job):
        if not model.endswith(MODEL_SUFFIX) and model not in shipped:
            raise JobError(
                key,
                expected=f"a shipped model ({', '.join(shipped)}) or the path of a {MODEL_SUFFIX} file",
                got=repr(model),
                remedy=did_you_mean(model, shipped) or 'Check the spelling, or say model = "default".',
            )


def _files(job: Job) -> Iterator[tuple[str, Path]]:
    if job.input is not None and job.input.table is not None:
        yield "[input] table", job.input.table
    for key, model in _models(job):
        if model.endswith(MODEL_SUFFIX):
            yield key, Path(model)
    for name in ("tls_ca", "tls_cert", "tls_key"):
        path = getattr(job.cluster, name)
        if path is not None:
            yield f"[cluster] {name}", path


def _models(job: Job) -> Iterator[tuple[str, str]]:
    yield "[segment] model", job.segment.model
    for sibling in job.segment.siblings:
        yield "[segment] siblings", sibling


def _missing(key: str, expected: str, path: Path) -> JobError:
    beside = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
    kind = "a folder" if path.is_dir() else "a file"
    got = f"{path}, which is {kind}" if path.exists() else f"{path}, where there is nothing"
    remedy = did_you_mean(path.name, beside) or "Correct the path; it is relative to the job file's folder."
    return JobError(key, expected=expected, got=got, remedy=remedy)
