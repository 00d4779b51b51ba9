"""A run: from files to a finished index, going on from whatever is already there."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import distributed
import pandas as pd

from nanocensus.device import Device, DeviceChoice, resolve_device
from nanocensus.errors import DeviceError
from nanocensus.pipeline.job.plan import Block, Network, Task, assign_parts, cut_blocks, make_task
from nanocensus.pipeline.job.spec import Job
from nanocensus.pipeline.run.block import compile_kernels
from nanocensus.pipeline.run.details import with_details
from nanocensus.pipeline.run.intake import SIMULATED_FOLDER, find_micrographs, networks, siblings, take_in
from nanocensus.pipeline.run.journal import Journal
from nanocensus.pipeline.run.record import PERFORMANCE_REPORT, RunSummary, write_record
from nanocensus.pipeline.run.registration import register, with_overlaps
from nanocensus.pipeline.run.work import Work
from nanocensus.pipeline.workers.clusters import describe, device_of, observed, open_client, where_blocks_go
from nanocensus.pipeline.workers.dispatch import OnProgress, Stopping, never, silent
from nanocensus.pipeline.workers.proof import proven
from nanocensus.segment.prediction.openvino_engine import require_openvino
from nanocensus.store.commit import clear_leftovers
from nanocensus.store.manifest import MICROGRAPHS_FILE, Manifest, read_manifest, rows_of, write_manifest
from nanocensus.store.particles.outlines import OUTLINES_FOLDER
from nanocensus.store.particles.tables import PARTICLES_FOLDER


def census(
    job: Job,
    *,
    client: distributed.Client | None = None,
    on_progress: OnProgress = silent,
    stopping: Stopping = never,
    retry_failed: bool = False,
) -> RunSummary:
    """Do what a job says up to the particle table and its index; the caller holds the lock of the output.

    Parameters
    ----------
    job : Job
        What to do.
    client : distributed.Client, optional
        A client of any Dask cluster, instead of the one that the job describes.
    on_progress : callable
        Told how far each stage is.
    stopping : callable
        Says when to finish what is in flight and begin nothing more.
    retry_failed : bool
        Whether micrographs that failed before are tried again though nothing changed.

    Returns
    -------
    RunSummary

    Raises
    ------
    NanocensusError
        If the input cannot be used at all, or the device is not there.
    KeyboardInterrupt
        If it was told to stop.
    """
    # Workers of this machine are started for a device; of a cluster that is there, the workers are asked.
    here = client is None and job.cluster.scheduler is None and job.cluster.kind == "processes"
    settled = resolve_device(job.device) if here else None
    if here and job.segment.engine == "openvino":
        require_openvino()
    clock = _Clock()
    sources = find_micrographs(job)
    chosen, compared = networks(sources, job), siblings(job)
    clock.lap("find")
    with (
        Journal(job.out) as journal,
        open_client(job.cluster, client, gpu=settled is not None and settled.kind == "gpu") as connected,
        proven(connected, [*chosen.values(), *compared]),
        observed(connected, job.out / PERFORMANCE_REPORT if job.cluster.performance_report else None),
    ):
        device = _confirmed(settled, connected, job.device)
        _check_engines(job, device)
        clock.lap("cluster")
        compiling = connected.submit(compile_kernels, job.measure, pure=False)
        before = _index(job.out)
        manifest = take_in(sources, job, connected, on_progress, stopping)
        clock.lap("ingest")
        compiling.exception()  # waits; a failure shows, with its micrograph, when the first is measured
        clock.lap("compile")
        work = Work(job, connected, device, journal, on_progress, stopping)
        blocks = _plan(manifest.micrographs, chosen, compared, job)
        outcome = work.process(blocks, manifest, retry_failed=retry_failed)
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
        described={
            network.name: network.domain.micrographs
            for network in (*chosen.values(), *compared)
            if network.domain is not None
        },
        seconds=clock.laps | {f"workers_{stage}": spent for stage, spent in outcome.seconds.items()},
        tile=outcome.tile,
    )
    write_record(job, summary, cluster)
    return summary


def _confirmed(settled: Device | None, client: distributed.Client, choice: DeviceChoice) -> Device:
    """Give the device that was settled on, by the name under which its workers' JAX sees it, or the one that the workers have."""
    if settled is None:
        return device_of(client, choice)
    if settled.kind == "gpu":
        return replace(settled, name=device_of(client, "gpu").name)
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
    """Remove what lost workers left half written, and parts that the index does not name."""
    for place in (out, out / SIMULATED_FOLDER):
        clear_leftovers(place)
    for folder in (PARTICLES_FOLDER, OUTLINES_FOLDER):
        for path in (out / folder).glob("part-*.parquet"):
            if path.name not in parts:
                path.unlink()


def _index(out: Path) -> pd.DataFrame:
    """Give the index as an earlier run left it, before anything leaves it; empty if there was none."""
    if not (out / MICROGRAPHS_FILE).exists():
        return Manifest.from_rows([], []).micrographs
    return read_manifest(out).micrographs


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
