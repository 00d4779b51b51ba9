"""How the work is cut into blocks, and which of them are already done.

A block is an ordered run of micrographs of one sample and pixel size: one task, one Parquet part, one partition. The
plan is written into the index before the work starts, so a run that was killed finds its parts again by name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from nanocensus.errors import StoreError
from nanocensus.pipeline.job.sections import MeasureSection
from nanocensus.provenance import digest, file_digest
from nanocensus.schema import JUDGEMENTS, SCORES
from nanocensus.segment.prediction.domain import Domain
from nanocensus.segment.prediction.inference import Inference
from nanocensus.segment.preparation.preparation import AS_USUAL, Preparation
from nanocensus.store.images.ingest import STORE_FOLDER
from nanocensus.store.images.micrographs import stored_digests
from nanocensus.store.particles.outlines import OUTLINES_FOLDER, is_whole
from nanocensus.store.particles.tables import PARTICLES_FOLDER, read_part_rows

SEGMENT_VERSION = 2
"""Raise it when the same micrograph and network would give another probability map."""
MEASURE_VERSION = 5
"""Raise it when the same probability map would give another particle table, or other scores."""

RESULT_COLUMNS = (
    "model", "segment_digest", "measure_digest", "status", "reason", "n_detected", "domain_score", "part", "part_digest",
    *SCORES, *JUDGEMENTS,
)  # fmt: skip
"""Columns of the index that say what became of a micrograph; the others say what it is."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Network:
    """A network that a job uses."""

    place: str
    """Its shipped name, or the path of its file."""
    name: str
    """What the results call it."""
    digest: str
    domain: Domain | None = None
    """What it was trained on, where its card says so."""


@dataclass(frozen=True)
class PlannedMap:
    """The probability map that a network is to give of a micrograph."""

    network: Network
    digest: str
    """Of all that the map depends on."""


@dataclass(frozen=True)
class Task:
    """One micrograph's share of a block: its row of the index, and the digests that its results must carry."""

    row: Row
    """What the index says of the micrograph, nothing of earlier results: a part's bytes must not depend on history."""
    map: PlannedMap
    """The map that its particles are measured on."""
    measure_digest: str
    """Digest of all that its particles depend on."""
    preparation: Preparation = AS_USUAL
    """What is done to it before a network sees it."""
    siblings: tuple[PlannedMap, ...] = ()
    """Maps that this one is compared with."""


@dataclass(frozen=True)
class Block:
    """Micrographs that are done together."""

    part: str
    """File name of its Parquet part: a function of the micrographs in it."""
    tasks: tuple[Task, ...]


def make_task(
    row: Row,
    network: Network,
    *,
    inference: Inference,
    measure: MeasureSection,
    preparation: Preparation = AS_USUAL,
    siblings: Sequence[Network] = (),
) -> Task:
    """Name what a micrograph's results depend on, stage by stage."""

    def planned(network: Network) -> PlannedMap:
        causes = (
            row["content_digest"],
            network.digest,
            inference.tile_px,
            inference.engine,
            inference.precision,
            preparation.flat_field,
            preparation.contrast,
        )
        return PlannedMap(network, digest("segment", SEGMENT_VERSION, *causes))

    own, others = planned(network), tuple(planned(sibling) for sibling in siblings)
    particles = digest(
        "measure",
        MEASURE_VERSION,
        own.digest,
        row["sample"],
        row["pixel_size_nm"],
        measure.estimator,
        measure.threshold,
        measure.split,
        measure.outlines,
        [other.digest for other in others],
    )
    identity = {name: value for name, value in row.items() if name not in RESULT_COLUMNS}
    return Task(identity, own, particles, preparation, others)


def planned_row(task: Task, part: str) -> Row:
    """Give the row of a micrograph that is still to be done: its digests are those that its results will carry."""
    return {
        **task.row,
        **dict.fromkeys(RESULT_COLUMNS),
        "model": task.map.network.name,
        "segment_digest": task.map.digest,
        "measure_digest": task.measure_digest,
        "status": "ingested",
        "part": part,
    }


def assign_parts(micrographs: pd.DataFrame, size: int) -> pd.DataFrame:
    """Give every micrograph its part.

    Micrographs that have one keep it, as long as all of its micrographs are still there; new ones are cut into runs
    of at most `size` that share sample and pixel size.

    Parameters
    ----------
    micrographs : DataFrame
        The index, in order of (sample, order).
    size : int
        Most micrographs in a new block.

    Returns
    -------
    DataFrame
        The index with the column `part` filled.
    """
    parts = micrographs["part"].astype("object").where(micrographs["part"].notna(), None)
    for part, held in micrographs.groupby("part", sort=False)["micrograph"]:
        if part != part_name(held):
            parts[held.index] = None
    new = micrographs[parts.isna()]
    for _, alike in new.groupby(["sample", "pixel_size_nm"], sort=False)["micrograph"]:
        for start in range(0, len(alike), size):
            block = alike.iloc[start : start + size]
            parts[block.index] = part_name(block)
    return micrographs.assign(part=parts)


def part_name(micrographs: "pd.Series[str]") -> str:
    """Name the part of some micrographs, in order."""
    return f"part-{digest('block', list(micrographs))[:16]}.parquet"


def cut_blocks(micrographs: pd.DataFrame, tasks: Mapping[str, Task]) -> list[Block]:
    """Gather the micrographs of each part, in the order of the index.

    Parameters
    ----------
    micrographs : DataFrame
        The index with the column `part` filled.
    tasks : Mapping of str to Task
        The task of each micrograph.
    """
    return [
        Block(str(part), tuple(tasks[micrograph] for micrograph in members["micrograph"]))
        for part, members in micrographs.groupby("part", sort=False)
    ]


def finished_rows(
    block: Block, out: Path, recorded: str | None, *, outlines: bool, retry_failed: bool = False
) -> list[Row] | None:
    """Give the rows that a finished part carries, or None if it has to be done (again).

    A part counts as finished if it can be read and all of its rows, and the maps and labels of those that did not
    fail, carry the digests that are wanted now.

    Parameters
    ----------
    block : Block
    out : Path
        Folder of the results.
    recorded : str or None
        Digest of the part's file in the index; None if the run that wrote it was stopped before it knew. A part that is
        not the recorded one was damaged, even if it can still be read.
    outlines : bool
        Whether the outlines of its particles have to be there too.
    retry_failed : bool
        Whether a block with failed micrographs has to be done again. Those that failed for want of something else than
        their own pixels (a full disk, say) carry no digest, and are tried again in any case.
    """
    path = out / PARTICLES_FOLDER / block.part
    try:
        rows = read_part_rows(path)
    except StoreError:
        return None
    found = [(row["micrograph"], row["measure_digest"]) for row in rows]
    wanted = [(task.row["micrograph"], task.measure_digest) for task in block.tasks]
    if found != wanted or (retry_failed and any(row["status"] == "failed" for row in rows)):
        return None
    for row, task in zip(rows, block.tasks, strict=True):
        digests = (task.map.digest, task.measure_digest)
        if row["status"] == "done" and stored_digests(out / STORE_FOLDER, row["micrograph"]) != digests:
            return None
    part_digest = file_digest(path)
    if recorded not in (None, part_digest):
        return None
    if outlines and not is_whole(out / OUTLINES_FOLDER / block.part, rows):
        return None
    return [{**task.row, **{name: row.get(name) for name in RESULT_COLUMNS}, "part_digest": part_digest}
            for row, task in zip(rows, block.tasks, strict=True)]  # fmt: skip
