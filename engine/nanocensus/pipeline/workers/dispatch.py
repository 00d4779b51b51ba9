"""Calls spread over a cluster: a few in flight at a time, each result as it comes, failures as values."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import TypeVar

import distributed
from distributed.scheduler import KilledWorker, NoWorkerError

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


Stopping = Callable[[], bool]
"""Says whether a run was asked to stop: what is in flight is then finished, and nothing else begun."""


def never() -> bool:
    """Go on to the end."""
    return False


@dataclass(frozen=True)
class Failure:
    """Why a call has no result."""

    reason: str
    """What was expected, what came, what to do."""
    lost_worker: bool = False
    """Whether its worker was lost while the call was there: it may be to blame, or stand beside the one that is."""


def spread(
    client: distributed.Client,
    submit: Callable[[_Call], "distributed.Future[_Result]"],
    calls: Sequence[_Call],
    *,
    stage: str,
    on_progress: OnProgress = silent,
    sizes: Sequence[int] | None = None,
    already: int = 0,
    retries: int = 0,
    stopping: Stopping = never,
) -> Iterator[tuple[int, _Result | Failure]]:
    """Run calls on a cluster and give the number and result of each as it comes.

    Few calls are in flight at a time: the scheduler counts the death of a worker against every task that was assigned
    to it, and workers may come and go. Calls whose worker was lost are tried again after the others, one by one with
    nothing else in flight, so that no call fails for another's fault.

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
    retries : int
        How often a call is tried alone after its worker was lost; 0 gives its failure at once.
    stopping : callable
        Says when to begin nothing more.

    Yields
    ------
    int, result or Failure

    Raises
    ------
    StoreError
        If the scheduler is lost.
    KeyboardInterrupt
        If it was told to stop, once what was in flight has been given.
    """
    if not calls:
        return
    sizes = sizes or [1] * len(calls)
    done, total = already, already + sum(sizes)
    on_progress(Progress(stage, done, total))
    left, suspects = len(calls), []

    def given(number: int) -> None:
        nonlocal done, left
        done, left = done + sizes[number], left - 1
        on_progress(Progress(stage, done, total))

    for number, result in _in_flight(client, submit, calls, range(len(calls)), stopping):
        if isinstance(result, Failure) and result.lost_worker and retries:
            suspects.append(number)
        else:
            given(number)
            yield number, result
    for number in suspects:
        last: list[_Result | Failure] = []
        for _ in range(retries):
            last = [result for _, result in _in_flight(client, submit, calls, [number], stopping)]
            if not (last and isinstance(last[0], Failure) and last[0].lost_worker):
                break
        if last:
            given(number)
            yield number, last[0]
    if left:
        raise KeyboardInterrupt


def _in_flight(
    client: distributed.Client,
    submit: Callable[[_Call], "distributed.Future[_Result]"],
    calls: Sequence[_Call],
    chosen: Iterable[int],
    stopping: Stopping,
) -> Iterator[tuple[int, _Result | Failure]]:
    """Give the number and result of each chosen call as it comes, with no more in flight than the window."""
    queue = iter(chosen)
    numbers: dict[distributed.Future[_Result], int] = {}
    completed = distributed.as_completed([], loop=client.loop, raise_errors=False)

    def fill() -> None:
        while len(numbers) < _window(client) and not stopping():
            number = next(queue, None)
            if number is None:
                return
            future = submit(calls[number])
            numbers[future] = number
            completed.add(future)

    fill()
    for future in completed:
        number = numbers.pop(future)
        result = _result(future)
        fill()
        yield number, result


def _window(client: distributed.Client) -> int:
    """Twice what the cluster can do at once, as large as it is now."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return 2 * max(1, sum(int(worker["nthreads"]) for worker in workers))


def _result(future: "distributed.Future[_Result]") -> _Result | Failure:
    """Give what came of a call; one whose result was lost with its worker is computed again meanwhile."""
    try:
        return future.result()
    except KilledWorker:
        return Failure(str(_LOST_WORKER), lost_worker=True)
    except CancelledError as error:
        raise StoreError(
            "scheduler",
            expected="one that is there until the run is done",
            got="one that was lost, or that forgot what it was to do",
            remedy="Start it and its workers again, then the same command: what was finished is kept.",
        ) from error
    except NoWorkerError as error:
        raise StoreError(
            "workers",
            expected="at least one",
            got="none, for as long as the scheduler waits (distributed.scheduler.no-workers-timeout)",
            remedy="Start some, then the same command: what was finished is kept.",
        ) from error
    except Exception as error:  # noqa: BLE001  whatever a call raises is its result
        return Failure(str(error) if isinstance(error, NanocensusError) else f"{type(error).__name__}: {error}")


_LOST_WORKER = StoreError(
    "worker",
    expected="one that finishes its work",
    got="one that was lost every time (out of memory, or a library that crashes on it)",
    remedy="Try smaller tiles ([segment] tile_px), more memory or fewer workers, and run again with --retry-failed.",
)
