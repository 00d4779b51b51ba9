"""The record of a run: what it did, and all that one needs to know to repeat it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nanocensus.device import Device
from nanocensus.errors import StoreError
from nanocensus.pipeline.job.spec import Job
from nanocensus.pipeline.workers.memory import Tile
from nanocensus.provenance import machine, versions
from nanocensus.sections import parse_section, plain
from nanocensus.store.commit import commit_bytes

RECORD, PERFORMANCE_REPORT = "run.json", "performance.html"


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
    n_gone: int
    """Micrographs of an earlier run whose files are no longer there, or were renamed."""
    models: Mapping[str, str]
    """Digest of each network that was used, by its name."""
    described: Mapping[str, int]
    """Micrographs that the card of each describes, those that `domain_score` is scaled by; none of networks without a card."""
    seconds: Mapping[str, float]
    """Wall time of the client's stages, and summed time of the workers' stages (read, network, measure, write)."""
    tile: Tile | None = None
    """The windows that the network saw on CPUs; None where nothing was to be done, or a GPU did it."""
    n_flagged: int = 0
    """Micrographs that the rules of [quality] flag, once the statistics are done."""
    n_excluded: int = 0
    """Of these, the ones that do not count."""
    not_done: Sequence[str] = ()
    """What the job asks for and could not be done for want of particles, a sentence each."""


def write_record(job: Job, summary: RunSummary, cluster: Mapping[str, object]) -> None:
    """Write run.json: all that one needs to know to repeat the run."""
    facts = {
        "versions": versions(),
        "machine": machine(),
        "job": plain(job),
        "device": plain(summary.device),
        "cluster": cluster,
        "models": summary.models,
        "described": summary.described,
        "windows": plain(summary.tile),
        "n_micrographs": summary.n_micrographs,
        "n_failed": summary.n_failed,
        "n_refused": summary.n_refused,
        "n_detected": summary.n_detected,
        "n_reused": summary.n_reused,
        "seconds": {stage: round(spent, 3) for stage, spent in summary.seconds.items()},
    }
    commit_bytes(job.out / RECORD, (json.dumps(facts, indent=2, ensure_ascii=False) + "\n").encode())


def run_record(out: Path) -> dict[str, Any]:
    """Read run.json.

    Raises
    ------
    StoreError
        If there is none, it cannot be read, or it is of an analysis of a table.
    """
    path = out / RECORD
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if "job" in record:
            return record
        got = "that of an analysis of a table"
    except (OSError, ValueError) as error:
        got = "none" if isinstance(error, FileNotFoundError) else str(error)
    remedy = "Give the `out` folder of a run that came to its end, or run its job again."
    raise StoreError(str(path), expected="the record of a finished run", got=got, remedy=remedy)


def job_of_run(out: Path) -> Job:
    """Give the job that made the results in a folder, wherever the folder lies now.

    Raises
    ------
    StoreError
        If there is no record of a run.
    JobError
        If it was written by a nanocensus whose jobs had other keys.
    """
    return parse_section(Job, run_record(out)["job"] | {"out": str(out.absolute())}, section="job")
