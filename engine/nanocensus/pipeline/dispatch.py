"""Calls spread over a cluster: a few in flight at a time, each result as it comes, failures as values."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import distributed
from distributed.scheduler import KilledWorker

from nanocensus.errors import NanocensusError, StoreError

_Call = TypeVar("_Call")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Progress:
    """How far a stage of a run is."""

    stage: str
    done: int
    total: int


OnProgress = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """Show no progress."""


@dataclass(frozen=True)
class Failure:
    """Why a call has no result."""

    reason: str
    """What was expected, what came, what to do."""


def spread(
    client: distributed.Client,
    submit: Callable[[_Call], "distributed.Future[_Result]"],
    calls: Sequence[_Call],
    *,
    stage: str,
    on_progress: OnProgress = silent,
    sizes: Sequence[int] | None = None,
    already: int = 0,
) -> Iterator[tuple[int, _Result | Failure]]:
    """Run calls on a cluster and give the number and result of each as it comes.

    Few calls are in flight at a time: the scheduler counts the death of a worker against every task that was assigned
    to it, and workers may come and go.

    Parameters
    ----------
    client : distributed.Client
    submit : callable
        Hands one call to the cluster and gives its future.
    calls : sequence
        What is handed over, one after the other.
    stage : str
        Name of the stage, for progress.
    on_progress : callable
        Told how far the stage is.
    sizes : sequence of int, optional
        Number of micrographs in each call; one each if absent.
    already : int
        Number of micrographs that were done before.

    Yields
    ------
    int, result or Failure
    """
    if not calls:
        return
    sizes = sizes or [1] * len(calls)
    total, done = already + sum(sizes), already
    on_progress(Progress(stage, done, total))
    queue = iter(range(len(calls)))
    numbers: dict[distributed.Future[_Result], int] = {}
    completed = distributed.as_completed([], raise_errors=False)

    def fill() -> None:
        while len(numbers) < _window(client):
            number = next(queue, None)
            if number is None:
                return
            future = submit(calls[number])
            numbers[future] = number
            completed.add(future)

    fill()
    for future in completed:
        number = numbers.pop(future)
        result = future.result() if future.status == "finished" else _failure(future)
        done += sizes[number]
        on_progress(Progress(stage, done, total))
        fill()
        yield number, result


def _window(client: distributed.Client) -> int:
    """Twice what the cluster can do at once, as large as it is now."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return 2 * max(1, sum(int(worker["nthreads"]) for worker in workers))


def _failure(future: "distributed.Future[Any]") -> Failure:
    error = future.exception() if future.status == "error" else None
    if isinstance(error, KilledWorker):
        error = StoreError(
            "worker",
            expected="one that finishes its work",
            got="one that was lost again and again (out of memory?)",
            remedy="Run again with smaller tiles ([segment] tile_px) or fewer workers; what was finished is kept.",
        )
    elif error is None:
        error = StoreError(
            "worker", expected="a result", got=f"the state {future.status!r}", remedy="Run again: it goes on from here."
        )
    return Failure(str(error) if isinstance(error, NanocensusError) else f"{type(error).__name__}: {error}")
