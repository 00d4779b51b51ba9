"""Files into the store, each once: calibrated and written, or refused with its reason."""

import builtins
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nanocensus.errors import CalibrationError, DamageError, ImageError, MissingExtraError, NanocensusError
from nanocensus.schema import CONDITION_PREFIX, JUDGEMENTS, SCORES
from nanocensus.store.formats.readers import RecordedHeader, RecordedImage, read_image
from nanocensus.store.images.micrographs import (
    content_digest,
    create_store,
    describe_micrograph,
    read_labels,
    write_labels,
    write_micrograph,
)
from nanocensus.store.images.recalibration import Recalibration, read_recalibrations, recalibrated, stated_size
from nanocensus.store.images.stamps import Stamp, read_stamps, stamp, write_stamps
from nanocensus.store.manifest import MICROGRAPHS_FILE, Manifest, read_manifest, rows_of, write_manifest
from nanocensus.store.masks.masks import doubt_of_mask, read_truth
from nanocensus.store.studies.sources import Source

logger = logging.getLogger(__name__)

STORE_FOLDER = "micrographs.zarr"
DISAGREEMENT = 0.01
"""Relative difference between a given pixel size and the file's own above which the log names both."""

_STAGES = ("segment_digest", "measure_digest", "status", "reason", "n_detected", "domain_score", "part", "part_digest",
           *SCORES, *JUDGEMENTS)  # fmt: skip
_FACTS = ("micrograph", "content_digest", "height_px", "width_px", "recorded_dtype", "pixel_size_nm",
          "pixel_size_source")  # fmt: skip
_MEASURED = {"status": "ingested", "measure_digest": None, "reason": None, "n_detected": None,
             "domain_score": None, "part": None, "part_digest": None, **dict.fromkeys((*SCORES, *JUDGEMENTS))}  # fmt: skip


Map = Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[Any]]
"""The built-in `map`, or one that does the same in parallel and keeps the order."""


@dataclass(frozen=True)
class IngestTask:
    """One source and the store it goes to."""

    source: Source
    store: Path


@dataclass(frozen=True)
class TruthTask:
    """One mask and the micrograph that it belongs to."""

    mask: Path
    store: Path
    micrograph: str
    shape: tuple[int, int]


@dataclass(frozen=True)
class Ingested:
    """What became of one source: facts for its index row, or why it was refused."""

    facts: Mapping[str, Any]
    refusal: str = ""
    known: bool = False
    """Whether the facts are those of an earlier run: the file did not change since."""
    doubt: str = ""
    """What whoever gave the mask should look at."""


def ingest(
    sources: Sequence[Source], out: Path, *, map: Map = builtins.map, complete: bool = False, pyramid: bool = True
) -> Manifest:
    """Bring micrographs into an output folder; every source becomes a row of the index or a refusal.

    A source that was ingested before, by name and content, keeps what was computed from it; if its sample or pixel
    size changed, its particles no longer count. A recalibration that was recorded goes before all stated sizes. One whose content changed under its name becomes a new micrograph.
    Of equal contents the one that is there, then the first source, stays; the others are refused. A file of the size
    and time of change that it had is not read again. The caller holds the `OutputLock`.

    Parameters
    ----------
    sources : sequence of Source
        From `find_sources`.
    out : Path
        The output folder; made if missing.
    map : callable
        Runs a function over tasks, in order: `builtins.map`, a pool's `map`, ... Results do not depend on it.
    complete : bool
        Whether the sources are all there is: what is not among them leaves the index, so that a file may be renamed
        or removed. Otherwise it stays, and more can be added call by call.
    pyramid : bool
        Whether images that are written get smaller copies for viewers beside them.

    Returns
    -------
    Manifest
        As written to the output folder.

    Raises
    ------
    StoreError
        If the output folder cannot be written or what is there is damaged.
    """
    store = out / STORE_FOLDER
    create_store(store, pyramid=pyramid)
    recalibrations = read_recalibrations(out)
    before = read_manifest(out) if (out / MICROGRAPHS_FILE).exists() else Manifest.from_rows([], [])
    named: dict[str, Source] = {}
    refusals: list[dict[str, str]] = []
    for source in sources:
        if source.name in named:
            refusals.append(_refused(source, _taken(source, named[source.name])))
        else:
            named[source.name] = source
    unique = list(named.values())
    rows = {row["name"]: row for row in before.rows()}
    stamps = {source.name: stamp(source) for source in unique}
    results = _read_what_changed(unique, rows, stamps, out, map)
    kept = {} if complete else {name: row for name, row in rows.items() if name not in named}
    owners = {row["micrograph"]: name for name, row in kept.items()}
    owners |= {
        rows[source.name]["micrograph"]: source.name
        for source, result in zip(unique, results, strict=True)
        if source.name in rows and result.facts.get("content_digest") == rows[source.name]["content_digest"]
    }
    winners: list[tuple[Source, dict[str, Any]]] = []
    for source, result in zip(unique, results, strict=True):
        reason = result.refusal
        if not reason and owners.setdefault(result.facts["micrograph"], source.name) != source.name:
            reason = _duplicate(source, owners[result.facts["micrograph"]])
        if reason:
            refusals.append(_refused(source, reason))
        else:
            winners.append((source, _row(source, result.facts, rows.get(source.name), recalibrations)))
        _report(source, reason, result, rows.get(source.name))
    for source, row in winners:  # of equal contents any may have been written first; the one that stays gives the name
        describe_micrograph(store, row["micrograph"], name=source.name, pixel_size_nm=row["pixel_size_nm"])
    fresh = {source.name for source, result in zip(unique, results, strict=True) if not result.known}
    truths = [
        TruthTask(source.mask, store, row["micrograph"], (row["height_px"], row["width_px"]))
        for source, row in winners
        if source.mask is not None and source.name in fresh
    ]
    list(map(write_truth, truths))

    _report_unused(recalibrations, [*kept.values(), *(row for _, row in winners)])
    others = [] if complete else [row for row in rows_of(before.refusals) if row["name"] not in named]
    manifest = Manifest.from_rows([*kept.values(), *(row for _, row in winners)], [*others, *refusals])
    write_manifest(out, manifest)
    known = {} if complete else read_stamps(out)
    write_stamps(out, known | {source.name: stamps[source.name] for source, _ in winners})
    logger.info("%d micrographs in %s, %d files refused", len(manifest.micrographs), out, len(manifest.refusals))
    return manifest


def _read_what_changed(
    sources: Sequence[Source], rows: Mapping[str, Mapping[str, Any]], stamps: Mapping[str, Stamp], out: Path, map: Map
) -> list[Ingested]:
    """Read the sources that are new or changed, and say what is known of the others, in order."""
    before = read_stamps(out)
    results: dict[str, Ingested] = {}
    for source in sources:
        row = rows.get(source.name)
        if row is not None and stamps[source.name] and before.get(source.name) == stamps[source.name]:
            facts = _known_facts(source, row)
            if facts is not None:
                results[source.name] = Ingested(facts, known=True)
    changed = [source for source in sources if source.name not in results]
    tasks = [IngestTask(source, out / STORE_FOLDER) for source in changed]
    results |= {source.name: result for source, result in zip(changed, map(ingest_one, tasks), strict=True)}
    return [results[source.name] for source in sources]


def _known_facts(source: Source, row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Give what an earlier run found out about a file, or None if that does not answer today's questions."""
    size, said_by = stated_size(row)
    if row["status"] == "failed" or (source.pixel_size_nm is None and said_by in ("given", "assumed")):
        return None
    facts = {name: row[name] for name in _FACTS} | {"pixel_size_nm": size, "pixel_size_source": said_by}
    if source.pixel_size_nm is not None:
        facts |= {"pixel_size_nm": source.pixel_size_nm, "pixel_size_source": str(source.pixel_size_source)}
    return facts


def ingest_one(task: IngestTask) -> Ingested:
    """Read one source and write its micrograph into the store; what it is refused for is a result, not an error."""
    source = task.source
    try:
        image = read_image(source.path, source.image)
        side, said_by = calibrate(source, image)
        doubt = ""
        if source.mask is not None:  # written only when it is known which of equal contents stays
            truth = read_truth(source.mask, (image.pixels.shape[0], image.pixels.shape[1]))
            doubt = doubt_of_mask(source.mask, truth)
    except (ImageError, MissingExtraError) as error:
        return Ingested({}, _by_name(error, source))
    except MemoryError:
        return Ingested({}, _too_large(source))
    digest = content_digest(image.pixels)
    write_micrograph(
        task.store,
        digest[:16],
        image.pixels,
        name=source.name,
        pixel_size_nm=side,
        header=image.metadata,
        digest=digest,
    )
    facts = {
        "micrograph": digest[:16],
        "content_digest": digest,
        "height_px": image.pixels.shape[0],
        "width_px": image.pixels.shape[1],
        "recorded_dtype": image.pixels.dtype.name,
        "pixel_size_nm": side,
        "pixel_size_source": said_by,
    }
    return Ingested(facts, doubt=doubt)


def write_truth(task: TruthTask) -> None:
    """Write the labels of a mask beside its micrograph, unless they are there."""
    labels = read_truth(task.mask, task.shape)
    try:
        there = read_labels(task.store, task.micrograph, name="truth")
    except DamageError:  # it is written again
        there = None
    if there is None or not np.array_equal(there, labels):
        write_labels(task.store, task.micrograph, labels, name="truth")


def calibrate(source: Source, image: RecordedImage | RecordedHeader) -> tuple[float, str]:
    """Decide on the side of a pixel, nm, and who says so: the user before the file.

    Raises
    ------
    CalibrationError
        If neither does, or the file states one that is impossible.
    """
    stated = image.pixel_size
    if source.pixel_size_nm is not None:
        if stated is not None:
            own = (stated.y_nm * stated.x_nm) ** 0.5
            if not abs(own / source.pixel_size_nm - 1) <= DISAGREEMENT:
                logger.warning(
                    "%s: the pixel size %s is %g nm, but %s in the file says %g nm",
                    source.name, source.pixel_size_source, source.pixel_size_nm, stated.source, own,
                )  # fmt: skip
        return source.pixel_size_nm, str(source.pixel_size_source)
    if image.calibration_problem is not None:
        raise image.calibration_problem
    if stated is None:
        raise CalibrationError(
            f"pixel size of {source.path}",
            expected="one that the file or you state",
            got="none (plain resolution tags are about printing and are not believed)",
            remedy="Set pixel_size_nm in the job file, or in a column of micrographs.csv or samples.csv, or export a "
            "calibrated TIFF from the microscope's software.",
        )
    try:
        side = stated.square_nm()
    except CalibrationError as error:
        subject = f"{error.subject} of {source.path}"
        raise CalibrationError(subject, expected=error.expected, got=error.got, remedy=error.remedy) from None
    if stated.anisotropy:
        logger.warning("%s: pixels of %g x %g nm are taken as square", source.name, stated.y_nm, stated.x_nm)
    return side, stated.source


def _row(
    source: Source,
    facts: Mapping[str, Any],
    before: Mapping[str, Any] | None,
    recalibrations: Sequence[Recalibration],
) -> dict[str, Any]:
    row: dict[str, Any] = {
        **facts,
        "name": source.name,
        "sample": source.sample,
        "group": source.group,
        "session": source.session,
        "order": source.order,
        "pixel_size_uncertainty": source.pixel_size_uncertainty,
        "model": source.model,
        "truth": source.mask.name if source.mask is not None else None,
        "status": "ingested",
        **{f"{CONDITION_PREFIX}{name}": value for name, value in source.conditions.items()},
    }
    row |= recalibrated(row, recalibrations)
    if before is None or before["content_digest"] != facts["content_digest"]:
        return row
    row |= {stage: before[stage] for stage in _STAGES}
    if (before["sample"], before["pixel_size_nm"]) != (row["sample"], row["pixel_size_nm"]):
        row |= _MEASURED
    return row


def _by_name(error: NanocensusError, source: Source) -> str:
    """Say what an error says, but with names instead of paths, which no table holds."""
    text = str(error).replace(str(source.path), source.name)
    return text if source.mask is None else text.replace(str(source.mask), source.mask.name)


def _too_large(source: Source) -> str:
    return str(
        ImageError(
            source.name,
            expected="a micrograph that fits into memory",
            got="one that does not",
            remedy="Give a worker more memory ([cluster] workers), or crop the micrograph.",
        )
    )


def _refused(source: Source, reason: str) -> dict[str, str]:
    return {"name": source.name, "sample": source.sample, "reason": reason}


def _taken(source: Source, first: Source) -> str:
    return str(
        ImageError(
            source.name,
            expected="a name of its own",
            got=f"the name of another file of the sample {first.sample!r}",
            remedy="Start from the folder that holds both, so that their relative paths differ, or rename one.",
        )
    )


def _duplicate(source: Source, owner: str) -> str:
    return str(
        ImageError(
            source.name,
            expected="a micrograph that is not counted yet",
            got=f"the same pixels as {owner}",
            remedy="Remove the copy. If the file was renamed or moved, `nanocensus run` takes it by its new name.",
        )
    )


def _report(source: Source, reason: str, result: Ingested, before: Mapping[str, Any] | None) -> None:
    if reason:
        logger.info("refused: %s", reason)
    elif result.doubt:
        logger.warning("%s", result.doubt)
    if before is not None and result.facts.get("content_digest") != before["content_digest"]:
        logger.warning(
            "%s %s: micrograph %s and what was computed from it no longer count",
            source.name, "holds other pixels than before" if result.facts else "is refused now", before["micrograph"],
        )  # fmt: skip


def _report_unused(recalibrations: Sequence[Recalibration], rows: Iterable[Mapping[str, Any]]) -> None:
    """Say which recalibrations concern nothing, as if what is stated was changed since."""
    used = {(row["session"], row.get("stated_pixel_size_nm")) for row in rows}
    for each in recalibrations:
        if (each.session, each.stated_nm) not in used:
            logger.warning(
                "the recalibration of session %s concerns no micrograph: none states %g nm any more (`nanocensus scale` "
                "with --undo forgets it)", each.session or "(none)", each.stated_nm,
            )  # fmt: skip
