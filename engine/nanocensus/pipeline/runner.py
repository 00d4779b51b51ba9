"""A run: from files to a finished index, going on from whatever is already there."""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

import distributed
import pandas as pd
from distributed.scheduler import KilledWorker

from nanocensus.device import Device, DeviceChoice, resolve_device
from nanocensus.errors import DeviceError, InputError, StoreError
from nanocensus.pipeline.block import BlockResult, process_block
from nanocensus.pipeline.clusters import describe, open_client
from nanocensus.pipeline.plan import (
    Block,
    Row,
    Task,
    assign_parts,
    cut_blocks,
    finished_rows,
    make_task,
)
from nanocensus.pipeline.spec import Job, model_path
from nanocensus.provenance import file_digest, record
from nanocensus.sections import plain
from nanocensus.segment.weights import load_model
from nanocensus.simulate.rendering import write_simulated
from nanocensus.store.commit import commit_bytes
from nanocensus.store.ingest import ingest
from nanocensus.store.manifest import Manifest, OutputLock, rows_of, write_manifest
from nanocensus.store.sources import Source, find_sources
from nanocensus.store.tables import PARTICLES_FOLDER

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")

SIMULATED_FOLDER = "simulated"
RECORD = "run.json"
_INGEST_STAGES = {"ingest_one": "ingest", "write_truth": "truth"}
RESULT_COLUMNS = ("model", "segment_digest", "measure_digest", "status", "reason", "n_detected", "part", "part_digest")


@dataclass(frozen=True)
class Progress:
    """How far a stage of a run is."""

    stage: str
    done: int
    total: int


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class RunSummary:
    """What a run found and did."""

    out: Path
    device: Device
    n_micrographs: int
    n_failed: int
    n_refused: int
    n_reused: int
    """Micrographs whose results were already there."""
    n_detected: int
    models: Mapping[str, str]
    """Digest of each network that was used, by its name."""
    seconds: Mapping[str, float]
    """Wall time of the stages of the client, and summed time of the workers' stages."""


@dataclass(frozen=True)
class _Outcome:
    """What processing leaves: the completed index, and how it came about."""

    micrographs: pd.DataFrame
    n_reused: int
    seconds: Mapping[str, float]


def silent(progress: Progress) -> None:
    """Show no progress."""


def census(job: Job, *, client: distributed.Client | None = None, on_progress: OnProgress = silent) -> RunSummary:
    """Do what a job says up to the particle table and its index; statistics and report come after.

    Parameters
    ----------
    job : Job
        What to do.
    client : distributed.Client, optional
        A client of any Dask cluster, instead of the one that the job describes.
    on_progress : callable
        Told how far each stage is.

    Returns
    -------
    RunSummary

    Raises
    ------
    NanocensusError
        If the input cannot be used at all, the device is not there, or another run holds the output.
    """
    device = _device(job.device)
    with OutputLock(job.out):
        clock = _Clock()
        sources = _sources(job)
        clock.lap("find")
        with open_client(job.cluster, client) as connected:
            clock.lap("cluster")
            manifest = _ingest(sources, job, connected, on_progress)
            clock.lap("ingest")
            models = _models(sources, job)
            digests = {model: load_model(model).digest for model in sorted(set(models.values()))}
            outcome = _process(manifest, models, digests, job, connected, on_progress)
            clock.lap("process")
            cluster = describe(connected)
        complete = outcome.micrographs
        summary = RunSummary(
            out=job.out,
            device=device,
            models=digests,
            n_micrographs=len(complete),
            n_failed=int((complete["status"] == "failed").sum()),
            n_refused=len(manifest.refusals),
            n_reused=outcome.n_reused,
            n_detected=int(complete["n_detected"].fillna(0).sum()),
            seconds={**clock.laps, **outcome.seconds},
        )
        _write_record(job, summary, cluster)
    return summary


def _device(choice: DeviceChoice) -> Device:
    """Settle on the device of a run, whose workers compute on the CPU."""
    device = resolve_device(choice)
    if device.kind == "cpu":
        return device
    if choice == "gpu":
        raise DeviceError(
            'device = "gpu"',
            expected='"cpu" or "auto"',
            got='"gpu"',
            remedy="Workers of this version use the CPU only.",
        )
    return Device("cpu", "CPU", f"auto: {device.name} is there, but workers of this version use the CPU only")


class _Clock:
    """Wall time of consecutive stages."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = perf_counter()

    def lap(self, stage: str) -> None:
        now = perf_counter()
        self.laps[stage] = now - self._last
        self._last = now


def _sources(job: Job) -> list[Source]:
    """Find the micrographs of a job, those to be simulated included."""
    sources: list[Source] = []
    if job.input is not None:
        sources += find_sources(
            job.input.folder,
            pattern=job.input.pattern,
            table=job.input.table,
            pixel_size_nm=job.input.pixel_size_nm,
            assumed=job.input.pixel_size_assumed,
        )
    if job.simulate is not None:
        folder = job.out / SIMULATED_FOLDER
        write_simulated(
            folder,
            job.simulate.micrograph,
            n=job.simulate.micrographs,
            seed=job.seed,
            sample=job.simulate.sample,
        )
        sources += find_sources(folder, table=folder / "micrographs.csv")
    if not sources:
        raise InputError(
            "micrographs",
            expected="at least one file",
            got=f"none in {job.input.folder if job.input else job.out}",
            remedy="Check [input] folder, and its table or pattern.",
        )
    return sources


def _models(sources: Iterable[Source], job: Job) -> dict[str, str]:
    """Give the network of each source: its own if its listing names one, else the job's."""
    listing = job.input.table.parent if job.input is not None and job.input.table is not None else None
    return {
        source.name: job.segment.model if source.model is None else model_path(source.model, listing)
        for source in sources
    }


def _ingest(sources: list[Source], job: Job, client: distributed.Client, on_progress: OnProgress) -> Manifest:
    def spread(function: Callable[[Any], _Result], tasks: Iterable[Any]) -> list[_Result]:
        calls = [(task,) for task in tasks]
        results: dict[int, _Result] = {}
        for index, result in _as_done(client, function, calls, _INGEST_STAGES[function.__name__], on_progress):
            if isinstance(result, BaseException):
                raise result
            results[index] = result
        return [results[index] for index in range(len(calls))]

    # A file that is gone leaves the census too; its micrograph stays in the store, where it costs only room.
    return ingest(sources, job.out, map=spread, complete=True)


def _process(
    manifest: Manifest,
    models: Mapping[str, str],
    digests: Mapping[str, str],
    job: Job,
    client: distributed.Client,
    on_progress: OnProgress,
) -> _Outcome:
    """Plan the blocks, do those that are not done, and complete the index."""
    before = set(manifest.micrographs["part"].dropna())
    micrographs = assign_parts(manifest.micrographs, job.blocks.micrographs)
    write_manifest(job.out, Manifest(micrographs, manifest.refusals))
    tile_px = job.segment.tile_px
    blocks = cut_blocks(micrographs, _tasks(micrographs, models, digests, job, tile_px))

    rows: list[Row] = []
    waiting: list[Block] = []
    for block in blocks:
        finished = finished_rows(block, job.out)
        if finished is None:
            waiting.append(block)
        else:
            part_digest = file_digest(job.out / PARTICLES_FOLDER / block.part)
            rows += [{**row, "part_digest": part_digest} for row in finished]
    n_reused = len(rows)

    seconds: dict[str, float] = {}
    calls = [(block, job.out, tile_px, job.measure) for block in waiting]
    sizes = [len(block.tasks) for block in waiting]
    for index, result in _as_done(client, process_block, calls, "measure", on_progress, sizes, len(micrographs)):
        if isinstance(result, BlockResult):
            rows += result.rows
            for stage, spent in result.seconds.items():
                seconds[f"workers_{stage}"] = seconds.get(f"workers_{stage}", 0.0) + spent
        else:
            _log.error("block %s failed: %s", waiting[index].part, result)
            rows += [_lost(task, waiting[index], result) for task in waiting[index].tasks]

    complete = _complete(rows_of(micrographs), rows)
    completed = Manifest.from_rows(complete, rows_of(manifest.refusals))
    write_manifest(job.out, completed)
    for part in before - set(completed.micrographs["part"]):  # superseded, and no longer in the index
        (job.out / PARTICLES_FOLDER / part).unlink(missing_ok=True)
    return _Outcome(completed.micrographs, n_reused, seconds)


def _tasks(
    micrographs: pd.DataFrame, models: Mapping[str, str], digests: Mapping[str, str], job: Job, tile_px: int
) -> dict[str, Task]:
    tasks = {}
    for row in rows_of(micrographs):
        model = models[row["name"]]
        tasks[row["micrograph"]] = make_task(
            row, model=model, model_digest=digests[model], tile_px=tile_px, measure=job.measure
        )
    return tasks


def _lost(task: Task, block: Block, cause: BaseException) -> Row:
    """Give the row of a micrograph whose whole block failed, so that the next run tries it again."""
    reason = (
        "expected the worker to finish its block, got a lost worker (memory?). Run again with smaller blocks or tiles."
        if isinstance(cause, KilledWorker)
        else f"{type(cause).__name__}: {cause}"
    )
    return {**task.row, "model": task.model, "status": "failed", "reason": reason, "part": block.part}


def _complete(index: Iterable[Row], rows: Iterable[Row]) -> list[Row]:
    """Put the results of the rows into the index, whose other columns are newer."""
    results = {row["micrograph"]: {key: row.get(key) for key in RESULT_COLUMNS} for row in rows}
    return [{**row, **results[row["micrograph"]]} for row in index]


def _as_done(
    client: distributed.Client,
    function: Callable[..., _Result],
    calls: Sequence[tuple[Any, ...]],
    stage: str,
    on_progress: OnProgress,
    sizes: Sequence[int] | None = None,
    total: int | None = None,
) -> Iterator[tuple[int, _Result | BaseException]]:
    """Run calls on the cluster, a few in flight at a time, and give each result as it comes.

    Few in flight keeps the damage of a lost worker small: the scheduler counts its death against every task that was
    assigned to it.
    """
    sizes = sizes or [1] * len(calls)
    total = total if total is not None else sum(sizes)
    done = total - sum(sizes)
    on_progress(Progress(stage, done, total))
    queue = iter(enumerate(calls))
    index_of: dict[distributed.Future[_Result], int] = {}
    completed = distributed.as_completed([], raise_errors=False)

    def submit() -> None:
        for index, arguments in queue:
            # A key of our own: by default equal arguments would give back a cached failure of an earlier run.
            future = client.submit(function, *arguments, pure=False)
            index_of[future] = index
            completed.add(future)
            return

    for _ in range(2 * max(1, len(client.scheduler_info(n_workers=-1)["workers"]))):
        submit()
    for future in completed:
        index = index_of.pop(future)
        result = future.result() if future.status == "finished" else _cause(future)
        done += sizes[index]
        on_progress(Progress(stage, done, total))
        submit()
        yield index, result


def _cause(future: "distributed.Future[Any]") -> BaseException:
    """Say why a future has no result; one that was lost or cancelled carries no exception."""
    return (future.exception() if future.status == "error" else None) or StoreError(
        "a block", expected="a result", got=f"the state {future.status!r}", remedy="Run again: it goes on from here."
    )


def _write_record(job: Job, summary: RunSummary, cluster: Mapping[str, object]) -> None:
    """Write run.json: all that one needs to know to repeat the run."""
    facts = record(
        job=plain(job),
        device=plain(summary.device),
        cluster=cluster,
        models=summary.models,
        n_micrographs=summary.n_micrographs,
        n_failed=summary.n_failed,
        n_refused=summary.n_refused,
        n_detected=summary.n_detected,
        n_reused=summary.n_reused,
        seconds={stage: round(spent, 3) for stage, spent in summary.seconds.items()},
    )
    commit_bytes(job.out / RECORD, (json.dumps(facts, indent=2, ensure_ascii=False) + "\n").encode())
