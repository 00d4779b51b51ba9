"""A run: from files to a finished index, going on from whatever is already there."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

import distributed
import pandas as pd

from nanocensus.device import Device, DeviceChoice, resolve_device
from nanocensus.errors import DeviceError
from nanocensus.pipeline.block import BlockResult, compile_kernels, process_block
from nanocensus.pipeline.clusters import describe, device_of, open_client, where_blocks_go
from nanocensus.pipeline.details import with_details
from nanocensus.pipeline.dispatch import Failure, OnProgress, silent, spread
from nanocensus.pipeline.intake import find_micrographs, networks, siblings, take_in
from nanocensus.pipeline.plan import (
    Block,
    Network,
    Row,
    Task,
    assign_parts,
    cut_blocks,
    finished_rows,
    make_task,
    planned_row,
)
from nanocensus.pipeline.record import RunSummary, write_record
from nanocensus.pipeline.registration import register, with_overlaps
from nanocensus.pipeline.spec import Job
from nanocensus.segment.openvino_engine import require_openvino
from nanocensus.store.manifest import MICROGRAPHS_FILE, Manifest, read_manifest, rows_of, write_manifest
from nanocensus.store.outlines import OUTLINES_FOLDER
from nanocensus.store.tables import PARTICLES_FOLDER

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Outcome:
    """What processing leaves: the completed index, and how it came about."""

    micrographs: pd.DataFrame
    n_reused: int
    seconds: Mapping[str, float]


def census(job: Job, *, client: distributed.Client | None = None, on_progress: OnProgress = silent) -> RunSummary:
    """Do what a job says up to the particle table and its index; the caller holds the lock of the output.

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
        If the input cannot be used at all, or the device is not there.
    """
    # Workers of this machine are started for a device; of a cluster that is there, the workers are asked.
    here = client is None and job.cluster.scheduler is None
    settled = resolve_device(job.device) if here else None
    if here and job.segment.engine == "openvino":
        require_openvino()
    clock = _Clock()
    sources = find_micrographs(job)
    chosen, compared = networks(sources, job), siblings(job)
    clock.lap("find")
    with open_client(job.cluster, client, gpu=settled is not None and settled.kind == "gpu") as connected:
        device = _confirmed(settled, connected, job.device)
        _check_engines(job, device)
        clock.lap("cluster")
        compiling = connected.submit(compile_kernels, job.measure, pure=False)
        before = _index(job.out)
        manifest = take_in(sources, job.out, connected, on_progress, pyramid=job.store.pyramid)
        clock.lap("ingest")
        distributed.wait(compiling)  # a failure shows, with its micrograph, when the first is measured
        clock.lap("compile")
        outcome = _process(manifest, chosen, compared, job, connected, device, on_progress)
        _remove_superseded(job.out, set(outcome.micrographs["part"]))
        clock.lap("process")
        resources = where_blocks_go(connected, device, job.measure)
        pairs = register(outcome.micrographs, job.out, connected, resources=resources, on_progress=on_progress)
        complete = with_details(with_overlaps(outcome.micrographs, pairs), job.out)
        write_manifest(job.out, Manifest(complete, manifest.refusals))
        clock.lap("register")
        cluster = describe(connected)
    summary = RunSummary(
        out=job.out,
        device=device,
        n_micrographs=len(complete),
        n_failed=int((complete["status"] == "failed").sum()),
        n_refused=len(manifest.refusals),
        n_reused=outcome.n_reused,
        n_detected=int(complete["n_detected"].fillna(0).sum()),
        n_gone=len(set(before["name"]) - {source.name for source in sources}),
        models={network.name: network.digest for network in chosen.values()}
        | {network.name: network.digest for network in compared},
        seconds={**clock.laps, **outcome.seconds},
    )
    write_record(job, summary, cluster)
    return summary


def _confirmed(settled: Device | None, client: distributed.Client, choice: DeviceChoice) -> Device:
    """Give the device that was settled on, once a worker's JAX has seen it, or the one that the workers have."""
    if settled is None:
        return device_of(client, choice)
    if settled.kind == "gpu":
        device_of(client, "gpu")
    return settled


def _check_engines(job: Job, device: Device) -> None:
    if job.segment.engine == "openvino" and device.kind == "gpu":
        raise DeviceError(
            '[segment] engine = "openvino"',
            expected="workers without a GPU",
            got=device.name,
            remedy='Say engine = "jax", which runs on it, or device = "cpu".',
        )
    if job.measure.labelling == "cucim" and device.kind == "cpu":
        raise DeviceError(
            '[measure] labelling = "cucim"',
            expected="workers with a GPU",
            got=f"the CPU ({device.reason})",
            remedy='Say labelling = "auto", or run it where there is a GPU.',
        )


class _Clock:
    """Wall time of consecutive stages."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = perf_counter()

    def lap(self, stage: str) -> None:
        now = perf_counter()
        self.laps[stage] = now - self._last
        self._last = now


def _remove_superseded(out: Path, parts: Collection[str]) -> None:
    """Remove parts that the index does not name, those of runs that were killed before they could too."""
    for folder in (PARTICLES_FOLDER, OUTLINES_FOLDER):
        for path in (out / folder).glob("part-*.parquet"):
            if path.name not in parts:
                path.unlink()


def _index(out: Path) -> pd.DataFrame:
    """Give the index as an earlier run left it, before anything leaves it; empty if there was none."""
    if not (out / MICROGRAPHS_FILE).exists():
        return Manifest.from_rows([], []).micrographs
    return read_manifest(out).micrographs


def _process(
    manifest: Manifest,
    chosen: Mapping[str, Network],
    compared: Sequence[Network],
    job: Job,
    client: distributed.Client,
    device: Device,
    on_progress: OnProgress,
) -> _Outcome:
    """Plan the blocks, do those that are not done, and complete the index.

    The index is written before and after: before, the rows of what is to be done lose what was there, so that a run
    that stops half way leaves no row that speaks of results that are gone.
    """
    blocks = _plan(manifest.micrographs, chosen, compared, job)
    written = manifest.micrographs.dropna(subset=["part", "part_digest"])
    recorded = dict(zip(written["part"], written["part_digest"], strict=True))
    found = {
        block.part: finished_rows(block, job.out, recorded.get(block.part), outlines=job.measure.outlines)
        for block in blocks
    }
    rows = [row for block in blocks for row in found[block.part] or ()]
    n_reused = len(rows)
    waiting = [block for block in blocks if found[block.part] is None]
    planned = [planned_row(task, block.part) for block in waiting for task in block.tasks]
    _write_index(job.out, [*rows, *planned], manifest)
    if not job.measure.outlines:  # those of an earlier run, or of one that was stopped, are of other particles
        for path in (job.out / OUTLINES_FOLDER).glob("part-*.parquet"):
            path.unlink()

    seconds: dict[str, float] = {}
    sizes = [len(block.tasks) for block in waiting]
    for number, result in spread(
        client,
        partial(_submit, client, job, device),
        waiting,
        stage="measure",
        on_progress=on_progress,
        sizes=sizes,
        already=n_reused,
    ):
        if isinstance(result, BlockResult):
            rows += result.rows
            for stage, spent in result.seconds.items():
                seconds[f"workers_{stage}"] = seconds.get(f"workers_{stage}", 0.0) + spent
        else:
            rows += _lost(waiting[number], result)
    return _Outcome(_write_index(job.out, rows, manifest), n_reused, seconds)


def _submit(client: distributed.Client, job: Job, device: Device, block: Block) -> "distributed.Future[BlockResult]":
    on_gpu = device.kind == "gpu"
    arguments = (block, job.out, job.segment.inference, job.measure, on_gpu)
    # Not pure: by default equal arguments would give back a cached failure of an earlier run.
    return client.submit(process_block, *arguments, resources=where_blocks_go(client, device, job.measure), pure=False)


def _plan(
    micrographs: pd.DataFrame, chosen: Mapping[str, Network], compared: Sequence[Network], job: Job
) -> list[Block]:
    tasks: dict[str, Task] = {}
    for row in rows_of(micrographs):
        tasks[row["micrograph"]] = make_task(
            row,
            chosen[row["name"]],
            inference=job.segment.inference,
            measure=job.measure,
            preparation=job.segment.preparation,
            siblings=compared,
        )
    return cut_blocks(assign_parts(micrographs, job.blocks.micrographs), tasks)


def _lost(block: Block, failure: Failure) -> list[Row]:
    """Give the rows of micrographs whose whole block failed; without digests, so that the next run tries them again."""
    _log.error("block %s failed: %s", block.part, failure.reason)
    outcome = {"status": "failed", "reason": failure.reason, "segment_digest": None, "measure_digest": None}
    return [{**planned_row(task, block.part), **outcome} for task in block.tasks]


def _write_index(out: Path, rows: Sequence[Row], manifest: Manifest) -> pd.DataFrame:
    written = Manifest.from_rows(rows, rows_of(manifest.refusals))
    write_manifest(out, written)
    return written.micrographs
