"""The memory that a worker may use, known before the run, and windows of micrographs that fit into it."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import distributed
import psutil

from nanocensus.errors import InputError
from nanocensus.pipeline.job.plan import Task
from nanocensus.segment.networks.architecture import Architecture
from nanocensus.segment.prediction.memory import choose_tile, memory_needed, smallest_tile
from nanocensus.segment.prediction.weights import load_model
from nanocensus.segment.prediction.windows import DEFAULT_TILE

_log = logging.getLogger(__name__)

GIB = 2**30
WORKER_MEMORY = 2 * GIB
"""Memory that a worker is given when the number of workers is left to us."""
_USABLE = 0.8
"""Share of its limit that a worker may come to: above it, Dask has it begin nothing more."""
_PROCESS_BYTES, _PIXEL_BYTES = 192 * 2**20, 8
"""What a worker holds beside its network: Dask and the tables; labels and what is being compressed, of each pixel."""


def machine_memory() -> int:
    """Give the memory that is free for the processes of a run: that of this machine or its container, bytes."""
    from distributed.system import memory_limit  # knows of containers

    return min(int(memory_limit()), int(psutil.virtual_memory().available))


def limit_of_workers(client: distributed.Client, resources: Mapping[str, int]) -> int | None:
    """Give the memory that a block may have on any worker that takes blocks, bytes; None where none has a limit."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    limits = [
        int(worker["memory_limit"]) // int(worker["nthreads"])
        for worker in workers
        if worker["memory_limit"] and all(worker["resources"].get(name) for name in resources)
    ]
    return min(limits, default=None)


@dataclass(frozen=True)
class Tile:
    """The windows that a run takes on its CPUs, and why."""

    tile_px: int
    """Their largest side, pixels."""
    tile_reason: str


def fitting_tile(said: int | None, tasks: Iterable[Task], limit: int | None) -> Tile:
    """Choose the largest side of windows with which a worker can do any of its micrographs.

    It is not more than `DEFAULT_TILE` unless the job says so: larger windows save little time, and equal windows give
    equal bytes on machines of different memory.

    Parameters
    ----------
    said : int or None
        What the job says.
    tasks : iterable of Task
        The micrographs that are to be done.
    limit : int or None
        The memory that a worker may have, bytes; None if it is not known.

    Returns
    -------
    Tile

    Raises
    ------
    InputError
        If even the smallest windows do not fit.
    """
    needs = _needs(tasks)
    ordinary = max([DEFAULT_TILE, *(smallest_tile(need.config) for need in needs)]) if said is None else said
    if limit is None:
        return Tile(ordinary, "no worker says how much memory it may use" if said is None else "as the job says")
    usable = int(_USABLE * limit)
    room = f"the {usable / GIB:.1f} GiB that a worker may use"
    if said is None:
        tile = min([ordinary, *(need.largest_tile(usable) for need in needs if need.memory(ordinary) > usable)])
        if tile < ordinary:
            _log.warning("windows of %d px are taken instead of %d, to fit %s", tile, ordinary, room)
        return Tile(tile, f"{'fits' if tile == ordinary else 'the largest that fits'} {room}")
    needed = max([0, *(need.memory(said) for need in needs)])
    if needed > usable:
        _log.warning("windows of %d px may need %.1f GiB, more than %s", said, needed / GIB, room)
    return Tile(said, "as the job says")


@dataclass(frozen=True)
class Need:
    """A network, and the size of a micrograph that it is to see."""

    name: str
    config: Architecture
    height: int
    width: int

    def memory(self, tile: int) -> int:
        """Give what a worker takes with windows of some side, bytes."""
        return memory_needed(self.config, self.height, self.width, tile) + self._beside

    def largest_tile(self, usable: int) -> int:
        """Give the largest side that fits."""
        needed = self.memory(smallest_tile(self.config))
        if usable < needed:
            raise InputError(
                f"micrograph {self.name}, {self.height} x {self.width} pixels",
                expected=f"workers that may use at least {needed / GIB:.2f} GiB each",
                got=f"{usable / GIB:.2f} GiB, {_USABLE:.0%} of a worker's limit",
                remedy="Run fewer workers ([cluster] workers), on a machine with more memory, or cut it into fields.",
            )
        return choose_tile(self.config, self.height, self.width, usable - self._beside)

    @property
    def _beside(self) -> int:
        return _PROCESS_BYTES + _PIXEL_BYTES * self.height * self.width


def _needs(tasks: Iterable[Task]) -> list[Need]:
    """Give each network with each size of its micrographs, once."""
    found: dict[tuple[str, int, int], Need] = {}
    for task in tasks:
        row = task.row
        for planned in (task.map, *task.siblings):
            place, height, width = planned.network.place, int(row["height_px"]), int(row["width_px"])
            if (place, height, width) not in found:
                found[place, height, width] = Need(str(row["name"]), load_model(place).config, height, width)
    return list(found.values())
