"""One block's work: every micrograph of it from recorded values to particles, and one Parquet part."""

import contextlib
import dataclasses
import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
from jaxtyping import Float64, Shaped, UInt8

from nanocensus.device import on_cpu
from nanocensus.errors import DamageError, ImageError, NanocensusError
from nanocensus.measure.descriptors import Measured, measure
from nanocensus.measure.detail import detail
from nanocensus.measure.quality import quality
from nanocensus.measure.registration import thumbnail
from nanocensus.pipeline.job.plan import Block, PlannedMap, Task, planned_row
from nanocensus.pipeline.job.sections import MeasureSection
from nanocensus.pipeline.workers.gpu_service import predict_on_gpu
from nanocensus.schema import PARTICLES, Estimator
from nanocensus.segment.prediction.description import describe
from nanocensus.segment.prediction.inference import Inference
from nanocensus.segment.prediction.weights import load_model
from nanocensus.segment.preparation.preparation import prepare
from nanocensus.store.images.ingest import STORE_FOLDER
from nanocensus.store.images.micrographs import read_pixels, read_probability, write_labels, write_probability
from nanocensus.store.images.thumbnails import write_spectrum, write_thumbnail
from nanocensus.store.particles.outlines import ANGLES, OUTLINES_FOLDER, write_outlines
from nanocensus.store.particles.tables import PARTICLES_FOLDER, write_part

_log = logging.getLogger(__name__)


STAGES = ("read", "network", "measure", "write")


@dataclass(frozen=True)
class Effort:
    """What a micrograph took."""

    seconds: Mapping[str, float]
    """Time spent in each of `STAGES`."""
    memory_mib: float
    """What the worker's process held in memory when it was done."""


@dataclass(frozen=True)
class BlockResult:
    """What a worker says of a block: small, host-side values only."""

    rows: tuple[Mapping[str, Any], ...]
    """The rows of the index, completed."""
    efforts: tuple[Effort, ...]
    """What each of its micrographs took."""


def process_block(
    block: Block,
    out: Path,
    inference: Inference,
    settings: MeasureSection,
    gpu: bool = False,
    given_up: Collection[str] = (),
) -> BlockResult:
    """Predict and measure each micrograph of a block, and write its part.

    A micrograph that fails becomes a row with the reason, and stops nobody. What the store already holds under the
    right digest is not computed again.

    Parameters
    ----------
    block : Block
        The micrographs and the digests that their results will carry.
    out : Path
        Folder of the results.
    inference : Inference
        How the network is run on a CPU.
    settings : MeasureSection
        How particles are measured.
    gpu : bool
        Whether the network runs on a GPU: this worker's own, or that of a worker beside it.
    given_up : collection of str
        Micrographs that are not tried, since they cost every worker that did.

    Returns
    -------
    BlockResult
    """
    tables: list[pa.Table] = []
    outlines: list[Float64[np.ndarray, "n 128"]] = []
    rows: list[dict[str, Any]] = []
    efforts: list[Effort] = []
    for task in block.tasks:
        seconds = dict.fromkeys(STAGES, 0.0)
        try:
            if task.row["micrograph"] in given_up:
                raise _deadly(task)
            table, radii_nm, scores = _process_micrograph(task, out, None if gpu else inference, settings, seconds)
            outcome = {"status": "done", "n_detected": table.num_rows, **scores}
        except Exception as error:  # noqa: BLE001  one bad micrograph must not cost the others
            table, radii_nm = PARTICLES.arrow().empty_table(), np.empty((0, ANGLES))
            outcome = _failure(task, error)
        efforts.append(Effort(seconds, round(psutil.Process().memory_info().rss / 2**20, 2)))
        tables.append(table)
        outlines.append(radii_nm)
        rows.append({**planned_row(task, block.part), **outcome})
    if settings.outlines:  # first, so that whoever finds the particles finds their outlines
        labels = [table["label"].to_numpy() for table in tables]
        write_outlines(out / OUTLINES_FOLDER / block.part, outlines, labels, rows)
    part_digest = write_part(out / PARTICLES_FOLDER / block.part, tables, rows)
    return BlockResult(tuple({**row, "part_digest": part_digest} for row in rows), tuple(efforts))


def try_alone(block: Block, out: Path, inference: Inference, settings: MeasureSection, gpu: bool = False) -> None:
    """Do the work of a block but for its part, to see whether the worker survives it; what the store keeps is used later.

    Parameters and what they mean are those of `process_block`. A micrograph that fails without taking its worker with it
    fails again, with its reason, when its block is done.
    """
    for task in block.tasks:
        with contextlib.suppress(Exception):
            _process_micrograph(task, out, None if gpu else inference, settings, dict.fromkeys(STAGES, 0.0))


def compile_kernels(settings: MeasureSection) -> None:
    """Have the kernels of a job compiled and kept on disk, by measuring a map of two particles.

    Exists because workers that start together would each compile them, all at once.
    """
    probability = np.zeros((40, 80), np.uint8)
    probability[4:30, 4:30] = probability[4:30, 40:66] = 255
    _measured(probability, 1.0, dataclasses.replace(settings, labelling="host"))


def _measured(
    probability: UInt8[np.ndarray, "y x"],
    pixel_size_nm: float,
    settings: MeasureSection,
    siblings: UInt8[np.ndarray, "k y x"] | None = None,
) -> Measured:
    estimator: Estimator = settings.estimator
    return measure(
        probability,
        pixel_size_nm=pixel_size_nm,
        estimator=estimator,
        threshold=settings.threshold,
        split=None if settings.split == "none" else settings.split,
        labelling="cucim" if settings.labelling == "cucim" else "host",
        siblings=siblings,
    )


def _deadly(task: Task) -> ImageError:
    return ImageError(
        str(task.row["name"]),
        expected="a micrograph that its worker survives",
        got="one that cost every worker that tried it alone (out of memory, or a library that crashes on it)",
        remedy="Try smaller tiles ([segment] tile_px) or more memory for a worker, and run again with --retry-failed.",
    )


def _failure(task: Task, error: Exception) -> dict[str, Any]:
    """Describe a failure; one that is not the micrograph's own fault carries no digest, so the next run tries again."""
    if isinstance(error, ImageError):
        return {"status": "failed", "reason": str(error)}
    reason = str(error) if isinstance(error, NanocensusError) else f"{type(error).__name__}: {error}"
    _log.error("micrograph %s (%s) failed: %s", task.row["micrograph"], task.row["name"], reason)
    _log.debug("where it failed", exc_info=error)
    return {"status": "failed", "reason": reason, "segment_digest": None, "measure_digest": None}


def _process_micrograph(
    task: Task, out: Path, inference: Inference | None, settings: MeasureSection, seconds: dict[str, float]
) -> tuple[pa.Table, Float64[np.ndarray, "n 128"], dict[str, float | None]]:
    """Give the particles of a micrograph, r(theta) of their outlines in nm (none where pixels were counted), its scores."""
    store, micrograph = out / STORE_FOLDER, str(task.row["micrograph"])
    probability = _probability(store, task, task.map, inference, seconds)
    maps = [
        _probability(store, task, planned, inference, seconds, sibling=planned.network.name)
        for planned in task.siblings
    ]
    with _timed(seconds, "measure"):
        table, labels, radii_nm = _measured(
            probability, float(task.row["pixel_size_nm"]), settings, np.stack(maps) if maps else None
        )
    with _timed(seconds, "write"):
        write_labels(store, micrograph, labels, measure_digest=task.measure_digest)
    scores = _scores(out, task, probability, table, seconds)
    identity = {"sample": task.row["sample"], "micrograph": micrograph}
    columns = [pa.repeat(pa.scalar(identity[name]), table.num_rows) if name in identity else table[name]
               for name in PARTICLES.names]  # fmt: skip
    return pa.table(columns, schema=PARTICLES.arrow()), np.empty((0, ANGLES)) if radii_nm is None else radii_nm, scores


def _scores(
    out: Path, task: Task, probability: UInt8[np.ndarray, "y x"], particles: pa.Table, seconds: dict[str, float]
) -> dict[str, float | None]:
    """Say what the micrograph is worth, and keep what tells whether another one shows the same place."""
    micrograph = str(task.row["micrograph"])
    with _timed(seconds, "read"):
        pixels = read_pixels(out / STORE_FOLDER, micrograph)
    with _timed(seconds, "measure"):
        found = quality(pixels, probability, particles, pixel_size_nm=float(task.row["pixel_size_nm"]))
        scores = {"domain_score": _domain_score(pixels, task, probability), **dataclasses.asdict(found)}
        reduced, spectrum = thumbnail(pixels), detail(pixels)
    with _timed(seconds, "write"):
        write_thumbnail(out, micrograph, reduced)
        if spectrum is not None:
            write_spectrum(out, micrograph, spectrum)
    return {name: None if score is None else float(f"{score:.5g}") for name, score in scores.items()}


def _domain_score(pixels: Shaped[np.ndarray, "y x"], task: Task, probability: UInt8[np.ndarray, "y x"]) -> float | None:
    """Say how far the micrograph is from what its network was trained on, if that is known."""
    domain = task.map.network.domain
    if domain is None:
        return None
    as_known = prepare(pixels, dataclasses.replace(task.preparation, flat_field=False))
    return round(domain.score(describe(as_known, probability)), 4)


def _probability(
    store: Path,
    task: Task,
    planned: PlannedMap,
    inference: Inference | None,
    seconds: dict[str, float],
    *,
    sibling: str = "",
) -> UInt8[np.ndarray, "y x"]:
    """Give a map that is there, or else predict it: on a GPU unless it is said how on a CPU.

    Those of siblings are kept under their names.
    """
    micrograph = str(task.row["micrograph"])
    with _timed(seconds, "read"):
        try:
            stored = read_probability(store, micrograph, sibling=sibling)
        except DamageError:  # it can be computed again
            stored = None
        if stored is not None and stored[1] == planned.digest:
            return stored[0]
        pixels = read_pixels(store, micrograph)
    with _timed(seconds, "network"):
        if inference is None:
            probability = predict_on_gpu(pixels, planned.network.place, task.preparation)
        else:
            pixel_size_nm = float(task.row["pixel_size_nm"])
            with on_cpu():  # this process, or a worker that others started, may see a GPU
                probability = load_model(planned.network.place).probability(
                    pixels,
                    pixel_size_nm=pixel_size_nm,
                    tile=inference.tile_px,
                    engine=inference.engine,
                    precision=inference.precision,
                    **dataclasses.asdict(task.preparation),
                )
    with _timed(seconds, "write"):
        write_probability(store, micrograph, probability, segment_digest=planned.digest, sibling=sibling)
    return probability


@contextlib.contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = perf_counter()
    try:
        yield
    finally:
        seconds[stage] += perf_counter() - start
