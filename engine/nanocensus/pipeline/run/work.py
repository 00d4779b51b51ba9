"""The blocks of a plan, done: what is there is kept, the rest runs on the cluster, and who kills workers is found out."""

import dataclasses
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import distributed
import pandas as pd

from nanocensus.device import Device
from nanocensus.pipeline.job.plan import Block, Row, finished_rows, planned_row
from nanocensus.pipeline.job.spec import Job
from nanocensus.pipeline.run.block import STAGES, BlockResult, process_block, try_alone
from nanocensus.pipeline.run.journal import MICROGRAPH, START, SUSPECT, Journal
from nanocensus.pipeline.workers.clusters import where_blocks_go
from nanocensus.pipeline.workers.dispatch import Failure, OnProgress, Stopping, spread
from nanocensus.pipeline.workers.memory import Tile, fitting_tile, limit_of_workers
from nanocensus.sections import plain
from nanocensus.store.manifest import Manifest, rows_of, write_manifest
from nanocensus.store.particles.outlines import OUTLINES_FOLDER

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What processing leaves: the completed index, and how it came about."""

    micrographs: pd.DataFrame
    n_reused: int
    seconds: Mapping[str, float]
    """Time that the workers spent in each stage."""
    tile: Tile | None
    """The windows that were taken; None where nothing was to be done, or a GPU did it."""


@dataclass(frozen=True)
class Work:
    """Where and how the blocks of a job are done."""

    job: Job
    client: distributed.Client
    device: Device
    journal: Journal
    on_progress: OnProgress
    stopping: Stopping

    def process(self, blocks: Sequence[Block], manifest: Manifest, *, retry_failed: bool) -> Outcome:
        """Do the blocks that are not done, and complete the index.

        The index is written before and after: before, the rows of what is to be done lose what was there, so that a run
        that stops half way leaves no row that speaks of results that are gone.

        Raises
        ------
        InputError
            If a worker's memory does not suffice for what is to be done.
        KeyboardInterrupt
            If it was told to stop; the finished blocks are found by the next run.
        """
        written = manifest.micrographs.dropna(subset=["part", "part_digest"])
        recorded = dict(zip(written["part"], written["part_digest"], strict=True))
        options = {"outlines": self.job.measure.outlines, "retry_failed": retry_failed}
        found = {
            block.part: finished_rows(block, self.job.out, recorded.get(block.part), **options) for block in blocks
        }
        rows = [row for block in blocks for row in found[block.part] or ()]
        n_reused = len(rows)
        waiting = [block for block in blocks if found[block.part] is None]
        tile = self._fitting(waiting)
        self._announce(waiting, manifest, n_reused, tile)
        planned = [planned_row(task, block.part) for block in waiting for task in block.tasks]
        self._write_index([*rows, *planned], manifest)
        if not self.job.measure.outlines:  # those of an earlier run, or of one that was stopped, are of other particles
            for path in (self.job.out / OUTLINES_FOLDER).glob("part-*.parquet"):
                path.unlink()
        seconds = dict.fromkeys(STAGES, 0.0)
        for block, result in self._taking(tile)._results(waiting, n_reused):
            if isinstance(result, BlockResult):
                rows += result.rows
                self._note(result)
                for stage in STAGES:
                    seconds[stage] += sum(effort.seconds[stage] for effort in result.efforts)
            else:
                rows += _lost(block, result)
        return Outcome(self._write_index(rows, manifest), n_reused, seconds, tile)

    def _fitting(self, waiting: Sequence[Block]) -> Tile | None:
        """Choose windows that fit into a worker's memory, if the network is to run on CPUs."""
        if not waiting or self.device.kind == "gpu":
            return None
        limit = limit_of_workers(self.client, where_blocks_go(self.client, self.device, self.job.measure))
        return fitting_tile(self.job.segment.tile_px, (task for block in waiting for task in block.tasks), limit)

    def _taking(self, tile: Tile | None) -> "Work":
        """Give the same work with these windows; what results follow from is settled before."""
        if tile is None:
            return self
        segment = dataclasses.replace(self.job.segment, tile_px=tile.tile_px)
        return dataclasses.replace(self, job=dataclasses.replace(self.job, segment=segment))

    def _results(self, waiting: Sequence[Block], n_reused: int) -> Iterator[tuple[Block, BlockResult | Failure]]:
        """Give what comes of each block; those that lost their worker come last, without who is to blame."""
        suspects: list[Block] = []
        for number, result in self._spread(process_block, waiting, stage="measure", already=n_reused):
            if isinstance(result, Failure) and result.lost_worker:
                suspects.append(waiting[number])
                self.journal.note(SUSPECT, part=waiting[number].part)
            else:
                yield waiting[number], result
        if not suspects:
            return
        given_up = self._deadly(suspects)
        retries = self.job.cluster.retries + 1
        again = self._spread(process_block, suspects, stage="again", retries=retries, given_up=given_up)
        for number, result in again:
            yield suspects[number], result

    def _deadly(self, suspects: Sequence[Block]) -> set[str]:
        """Find the micrographs that cost every worker that tries them alone."""
        singles = [Block(block.part, (task,)) for block in suspects for task in block.tasks]
        _log.warning("%d blocks lost their worker: their %d micrographs are tried alone", len(suspects), len(singles))
        tried = self._spread(try_alone, singles, stage="alone", retries=self.job.cluster.retries + 1)
        return {
            str(singles[number].tasks[0].row["micrograph"])
            for number, result in tried
            if isinstance(result, Failure) and result.lost_worker
        }

    def _spread(
        self,
        function: Any,  # noqa: ANN401  process_block or try_alone
        blocks: Sequence[Block],
        *,
        stage: str,
        already: int = 0,
        retries: int = 0,
        given_up: Collection[str] | None = None,
    ) -> Iterator[tuple[int, Any | Failure]]:
        options = {} if given_up is None else {"given_up": given_up}
        return spread(
            self.client,
            partial(self._submit, function, options),
            blocks,
            stage=stage,
            on_progress=self.on_progress,
            sizes=[len(block.tasks) for block in blocks],
            already=already,
            retries=retries,
            stopping=self.stopping,
        )

    def _submit(self, function: Any, options: dict[str, Any], block: Block) -> "distributed.Future[Any]":  # noqa: ANN401
        job, on_gpu = self.job, self.device.kind == "gpu"
        arguments = (block, job.out, job.segment.inference, job.measure, on_gpu)
        resources = where_blocks_go(self.client, self.device, job.measure)
        # Not pure: by default equal arguments would give back a cached failure of an earlier run.
        return self.client.submit(function, *arguments, **options, resources=resources, pure=False)

    def _announce(self, waiting: Sequence[Block], manifest: Manifest, n_reused: int, tile: Tile | None) -> None:
        """Say what is about to be done, and loudly what of it was done before from other causes."""
        before = {row["micrograph"]: row["segment_digest"] for row in manifest.rows()}
        tasks = [task for block in waiting for task in block.tasks]
        anew = [task for task in tasks if before[task.row["micrograph"]] not in (None, task.map.digest)]
        if anew:
            _log.warning(
                "%d of %d micrographs are segmented anew: the network, the preparation, the tile or the engine is another",
                len(anew), len(tasks) + n_reused,
            )  # fmt: skip
        counts = {"micrographs": len(tasks) + n_reused, "reused": n_reused, "segmented_anew": len(anew)}
        self.journal.note(START, device=self.device.name, **counts, **({} if tile is None else plain(tile)))

    def _note(self, result: BlockResult) -> None:
        for row, effort in zip(result.rows, result.efforts, strict=True):
            kept = ("micrograph", "name", "sample", "part", "status", "reason", "n_detected")
            seconds = {f"{stage}_s": round(spent, 4) for stage, spent in effort.seconds.items()}
            self.journal.note(
                MICROGRAPH, **{name: row.get(name) for name in kept}, **seconds, memory_mib=effort.memory_mib
            )

    def _write_index(self, rows: Sequence[Row], manifest: Manifest) -> pd.DataFrame:
        written = Manifest.from_rows(rows, rows_of(manifest.refusals))
        write_manifest(self.job.out, written)
        return written.micrographs


def _lost(block: Block, failure: Failure) -> list[Row]:
    """Give the rows of micrographs whose whole block failed; without digests, so that the next run tries them again."""
    _log.error("block %s failed: %s", block.part, failure.reason)
    outcome = {"status": "failed", "reason": failure.reason, "segment_digest": None, "measure_digest": None}
    return [{**planned_row(task, block.part), **outcome} for task in block.tasks]
