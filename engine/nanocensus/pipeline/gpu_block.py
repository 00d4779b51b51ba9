"""The GPU's share of a block: probability maps, with the host reading ahead and writing behind.

The maps go into the store, where `process_block` finds them, on whatever worker it runs. So a GPU is never kept waiting
for the measuring, and what was predicted before a run stopped is not predicted again.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

from nanocensus.pipeline.plan import Block, Task
from nanocensus.segment.weights import load_model
from nanocensus.store.ingest import STORE_FOLDER
from nanocensus.store.micrographs import read_pixels, stored_digests, write_probability

if TYPE_CHECKING:
    import jax

READ_AHEAD = 6
"""Micrographs that are read, checked and brought to the device while the network runs on earlier ones."""
WRITERS = 3
"""Threads that write maps behind it."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Predicted:
    """What the GPU says of a block; the maps themselves are in the store."""

    failed: Mapping[str, BaseException]
    """Why a micrograph has no map."""
    seconds: float
    """Time from the first read to the last map written."""


def predict_block(block: Block, out: Path) -> Predicted:
    """Predict the map of each micrograph of a block that the store does not hold yet.

    A micrograph that fails is told with its error and stops nobody.

    Parameters
    ----------
    block : Block
        The micrographs and the digests that their results will carry.
    out : Path
        Folder of the results.

    Returns
    -------
    Predicted
    """
    from nanocensus.segment.gpu import batch_size, probability_maps

    start = perf_counter()
    store = out / STORE_FOLDER
    waiting = [task for task in block.tasks if stored_digests(store, _name(task))[0] != task.segment_digest]
    failed: dict[str, BaseException] = {}
    with ThreadPoolExecutor(READ_AHEAD) as readers, ThreadPoolExecutor(WRITERS) as writers:
        written: dict[str, Future[None]] = {}
        for tasks, images in _batches(_read(readers, store, waiting, failed)):
            model = load_model(tasks[0].model)
            try:
                maps = probability_maps(model.config, model.parameters, images, batch=batch_size(images[0].shape))
            except Exception as error:  # noqa: BLE001  the other batches may fit
                failed |= dict.fromkeys(map(_name, tasks), error)
                continue
            for task, probability in zip(tasks, maps, strict=True):
                written[_name(task)] = writers.submit(
                    write_probability, store, _name(task), probability, segment_digest=task.segment_digest
                )
        for name, future in written.items():
            if (problem := future.exception()) is not None:
                failed[name] = problem
    return Predicted(failed, perf_counter() - start)


def _name(task: Task) -> str:
    return str(task.row["micrograph"])


def _read(
    readers: Executor, store: Path, tasks: Iterable[Task], failed: dict[str, BaseException]
) -> Iterator[tuple[Task, "jax.Array"]]:
    """Give each micrograph on the device, in order; one that cannot be read is noted as failed."""
    from nanocensus.segment.gpu import to_device

    def bring(task: Task) -> "jax.Array":
        return to_device(read_pixels(store, _name(task)))

    for task, future in _ahead(readers, bring, tasks):
        try:
            yield task, future.result()
        except Exception as error:  # noqa: BLE001  one bad micrograph must not cost the others
            failed[_name(task)] = error


def _ahead(
    executor: Executor, function: Callable[[_Item], _Result], items: Iterable[_Item]
) -> Iterator[tuple[_Item, "Future[_Result]"]]:
    """Give each item with its result to come, a few of which are under way."""
    under_way: deque[tuple[_Item, Future[_Result]]] = deque()
    for item in items:
        under_way.append((item, executor.submit(function, item)))
        if len(under_way) > READ_AHEAD:
            yield under_way.popleft()
    yield from under_way


def _batches(read: Iterable[tuple[Task, "jax.Array"]]) -> Iterator[tuple[list[Task], list["jax.Array"]]]:
    """Gather consecutive micrographs of one network, shape and type, as many as go through it together."""
    from nanocensus.segment.gpu import batch_size

    tasks: list[Task] = []
    images: list[jax.Array] = []
    for task, image in read:
        alike = not tasks or (task.model, image.shape, image.dtype) == (
            tasks[-1].model, images[-1].shape, images[-1].dtype,
        )  # fmt: skip
        if not alike or len(tasks) == batch_size(image.shape):
            yield tasks, images
            tasks, images = [], []
        tasks.append(task)
        images.append(image)
    if tasks:
        yield tasks, images
