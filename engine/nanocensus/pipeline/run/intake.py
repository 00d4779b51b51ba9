"""What a job takes in: its files and simulated micrographs, the network of each, and their way into the store."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import distributed

from nanocensus.errors import ImageError, InputError, JobError, StoreError
from nanocensus.measure.criteria import refuse_unknown_samples
from nanocensus.pipeline.job.plan import Network
from nanocensus.pipeline.job.spec import Job, model_path
from nanocensus.pipeline.workers.dispatch import Failure, OnProgress, Stopping, spread
from nanocensus.segment.prediction.weights import load_model
from nanocensus.segment.prediction.windows import plan_windows
from nanocensus.simulate.rendering import write_simulated
from nanocensus.store.images.ingest import Ingested, ingest, ingest_one, write_truth
from nanocensus.store.manifest import Manifest
from nanocensus.store.names import one_spelling
from nanocensus.store.studies.sources import Source, find_sources

SIMULATED_FOLDER = "simulated"
_STAGES: Mapping[Callable[..., Any], str] = {ingest_one: "ingest", write_truth: "truth"}


def find_micrographs(job: Job) -> list[Source]:
    """Find the micrographs of a job, those to be simulated included.

    Raises
    ------
    InputError
        If there is none, the listing is wrong, or the criteria name a sample that none belongs to.
    """
    sources: list[Source] = []
    if job.input is not None:
        sources += find_sources(
            job.input.folder,
            pattern=job.input.pattern,
            table=job.input.table,
            pixel_size_nm=job.input.pixel_size_nm,
            pixel_size_uncertainty=job.input.pixel_size_uncertainty,
            assumed=job.input.pixel_size_assumed,
        )
    if job.simulate is not None:
        folder, sample = job.out / SIMULATED_FOLDER, one_spelling(job.simulate.sample)
        number = job.simulate.micrographs
        table = write_simulated(folder, job.simulate.micrograph, n=number, seed=job.seed, sample=sample)
        # Other samples in the folder are those of an earlier version of the job.
        sources += [source for source in find_sources(folder, table=table) if source.sample == sample]
    refuse_unknown_samples(job.criteria, (source.sample for source in sources))
    return sources


def networks(sources: Iterable[Source], job: Job) -> dict[str, Network]:
    """Give the network of each source by the source's name: its own if its listing names one, else the job's.

    Raises
    ------
    ModelError
        If there is no such network, or its file holds something else.
    JobError
        If the tiles are too small for it.
    """
    listing = job.input.table.parent if job.input is not None and job.input.table is not None else None
    loaded: dict[str, Network] = {}
    chosen: dict[str, Network] = {}
    for source in sources:
        place = job.segment.model if source.model is None else model_path(source.model, listing)
        if place not in loaded:
            loaded[place] = _load(place, job.segment.tile_px)
        chosen.setdefault(source.name, loaded[place])  # of two files of one name, the first becomes the micrograph
    return chosen


def siblings(job: Job) -> tuple[Network, ...]:
    """Give the networks whose disagreement is asked for.

    Raises
    ------
    ModelError
        If there is no such network, or its file holds something else.
    JobError
        If the tiles are too small for one, or two have one name.
    """
    loaded = [_load(place, job.segment.tile_px) for place in job.segment.siblings]
    names = [network.name for network in loaded]
    if len(set(names)) != len(names):
        raise JobError(
            "[segment] siblings",
            expected="files of different names",
            got=", ".join(names),
            remedy="Rename one: the results name networks by their files.",
        )
    return tuple(loaded)


def _load(place: str, tile_px: int | None) -> Network:
    model = load_model(place)
    try:
        if tile_px is not None:
            plan_windows(tile_px + model.config.stride, tile_px, model.config)
    except ImageError as error:
        raise JobError("[segment] tile_px", expected=error.expected, got=str(tile_px), remedy=error.remedy) from None
    return Network(place, model.name, model.digest, model.domain)


def take_in(
    sources: list[Source], job: Job, client: distributed.Client, on_progress: OnProgress, stopping: Stopping
) -> Manifest:
    """Bring the micrographs into the store of a job, spread over a cluster.

    Raises
    ------
    InputError
        If every file was refused.
    KeyboardInterrupt
        If it was told to stop.
    """
    in_order = partial(_in_order, client, job.cluster.retries, on_progress, stopping)
    # A file that is gone leaves the census too; its micrograph stays in the store, where it costs only room.
    manifest = ingest(sources, job.out, map=in_order, complete=True, pyramid=job.store.pyramid)
    if manifest.micrographs.empty:
        reasons = manifest.refusals["reason"]
        raise InputError(
            "micrographs",
            expected="at least one that can be measured",
            got=f"{len(reasons)} files, all refused; the first: {reasons.iloc[0]}" if len(reasons) else "no files",
            remedy=f"`nanocensus status {job.out}` gives every reason.",
        )
    return manifest


def _in_order(
    client: distributed.Client,
    retries: int,
    on_progress: OnProgress,
    stopping: Stopping,
    function: Callable[[Any], Any],
    tasks: Iterable[Any],
) -> list[Any]:
    calls, stage = list(tasks), _STAGES[function]
    results: dict[int, Any] = {}
    # Not pure: by default equal arguments would give back a cached failure of an earlier run.
    submit = partial(client.submit, function, pure=False)
    given = spread(client, submit, calls, stage=stage, on_progress=on_progress, retries=retries + 1, stopping=stopping)
    for number, result in given:
        if isinstance(result, Failure) and result.lost_worker and function is ingest_one:
            results[number] = Ingested({}, _unreadable(calls[number].source))
        elif isinstance(result, Failure):
            raise StoreError(stage, expected="a result", got=result.reason, remedy="Run again: it goes on from here.")
        else:
            results[number] = result
    return [results[number] for number in range(len(calls))]


def _unreadable(source: Source) -> str:
    """Say why a file is refused that kills whoever reads it."""
    return str(
        ImageError(
            source.name,
            expected="a file that can be read",
            got="one whose reader was killed every time",
            remedy="It is damaged, or too large for the memory of a worker: export it again, or remove it.",
        )
    )
