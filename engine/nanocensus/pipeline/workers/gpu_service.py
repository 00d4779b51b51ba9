"""How workers without a GPU have maps predicted by the worker that owns one.

Reading, decompressing and writing micrographs keeps the cores of a machine busy many times longer than the network keeps
a GPU, and one Python process cannot do it for all. So each core's worker does the whole way of its micrographs, and
hands over the pixels for the one step that is the GPU's: through memory that both processes map, since sending 32 MiB
through a socket takes longer than the network. The memory has no name that could be left behind.
"""

import functools
import mmap
import os
import threading
import uuid
from collections import OrderedDict
from dataclasses import dataclass

import distributed
import numpy as np
from distributed.comm.addressing import get_address_host
from jaxtyping import Shaped, UInt8

from nanocensus.device import lock_pages, to_gpu, to_host, unlock_pages
from nanocensus.errors import DeviceError
from nanocensus.segment.preparation.flatfield import as_transported
from nanocensus.segment.preparation.preparation import AS_USUAL, Preparation

GPU, HOST = "GPU", "HOST"
"""What workers offer: micrographs at once on their GPU; or, beside such workers, a block on their core."""
AT_ONCE = 2
"""Micrographs that a GPU's worker has in hand: one is copied while the network runs on the other."""

_PATIENCE = 300.0
"""How long an answer may take, s: the network's compilation and a worker's restart included."""
_KEPT_MAPPED = 512
"""Pieces of other processes' memory that the worker of a GPU keeps mapped, and page-locked for fast copies: two of each
worker that may ask it. With fewer, the one that is wanted next would always have been let go."""


@dataclass(frozen=True)
class Shared:
    """An array in memory that other processes of this machine can map."""

    path: str
    token: str
    """Tells it from what had the same path before."""
    nbytes: int
    """Of the memory, which may be longer than the array."""
    shape: tuple[int, ...]
    dtype: str


class _Memory:
    """A piece of memory that other processes can map; it goes with the last process that does."""

    def __init__(self, nbytes: int) -> None:
        self._descriptor = os.memfd_create("nanocensus")
        os.ftruncate(self._descriptor, nbytes)
        self._mapped = mmap.mmap(self._descriptor, nbytes)
        self._token = uuid.uuid4().hex
        self.nbytes = nbytes

    def __del__(self) -> None:
        os.close(self._descriptor)

    def array(self, shape: tuple[int, ...], dtype: np.dtype) -> tuple[np.ndarray, Shared]:
        """Give an array in it, and how others find it."""
        path = f"/proc/{os.getpid()}/fd/{self._descriptor}"
        count = int(np.prod(shape))
        return (
            np.frombuffer(self._mapped, dtype, count).reshape(shape),
            Shared(path, self._token, self.nbytes, shape, dtype.name),
        )


_own = threading.local()


def _memory(purpose: str, nbytes: int) -> _Memory:
    """Give this thread's memory for a purpose, a larger one if it is too small."""
    memory: _Memory | None = getattr(_own, purpose, None)
    if memory is None or memory.nbytes < nbytes:
        memory = _Memory(nbytes)
        setattr(_own, purpose, memory)
    return memory


def predict_on_gpu(
    image: Shaped[np.ndarray, "y x"], model: str, preparation: Preparation = AS_USUAL
) -> UInt8[np.ndarray, "y x"]:
    """Have a GPU segment a micrograph: this worker's own, or that of a worker beside it.

    Parameters
    ----------
    image : (y, x) ndarray
        A whole micrograph.
    model : str
        Name or path of the network.
    preparation : Preparation
        What is done to the micrograph before the network sees it.

    Returns
    -------
    (y, x) ndarray of uint8
        255 = surely particle.

    Raises
    ------
    ImageError
        If the image is not a micrograph.
    DeviceError
        If no worker on this machine offers a GPU.
    """
    pixels = as_transported(image, keep_level=preparation.flat_field)
    given, sent = _memory("image", pixels.nbytes).array(pixels.shape, pixels.dtype)
    result, expected = _memory("map", pixels.size).array(pixels.shape, np.dtype(np.uint8))
    np.copyto(given, pixels)
    worker = distributed.get_worker()
    if worker.state.total_resources.get(GPU):
        predict_shared(sent, expected, model, preparation)
        return result.copy()  # the next map of this thread comes back through the same memory
    try:
        _ask(distributed.get_client(), get_address_host(worker.address), (sent, expected, model, preparation))
    except BaseException:
        _own.__dict__.clear()  # a late answer must not fall into the memory of the next micrograph
        raise
    return result.copy()


def _ask(client: distributed.Client, host: str, arguments: tuple[Shared, Shared, str, Preparation]) -> None:
    """Have the GPU's worker of this machine predict; one that is lost meanwhile is waited for until it is back."""
    _check_offered(client, host)
    # By the machine and not by its address, since a worker that comes back has another.
    future = client.submit(predict_shared, *arguments, resources={GPU: 1}, workers=[host], pure=False)
    try:
        future.result(timeout=_PATIENCE)
    except TimeoutError:
        future.cancel()
        raise DeviceError(
            "the GPU's worker",
            expected=f"an answer within {_PATIENCE:g} s",
            got="none: it was lost, or the GPU hangs",
            remedy="Run again: what was finished is kept. `nvidia-smi` shows whether the GPU still works.",
        ) from None


@functools.lru_cache(maxsize=1)
def _check_offered(client: distributed.Client, host: str) -> None:
    """Refuse a cluster where no worker of this machine offers a GPU; looked up once, since lost workers come back."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    if not any(facts["resources"].get(GPU) and get_address_host(a) == host for a, facts in workers.items()):
        raise DeviceError(
            "the GPU of a worker's machine",
            expected=f"a worker on {host} that offers the resource {GPU}",
            got="none",
            remedy=f"Start workers that offer {HOST} on machines with a GPU's worker only.",
        )


def predict_shared(sent: Shared, expected: Shared, model: str, preparation: Preparation) -> None:
    """Segment the micrograph in one piece of shared memory into another; runs where the GPU is."""
    from nanocensus.segment.prediction.gpu import probability_map
    from nanocensus.segment.prediction.weights import load_model

    image = to_gpu(_view(sent))  # held to the end: CuPy would lend its memory to the next while JAX still reads it
    to_host(probability_map(load_model(model), image, preparation), out=_view(expected))


def _view(shared: Shared) -> np.ndarray:
    count = int(np.prod(shared.shape))
    return np.frombuffer(_mapped(shared), shared.dtype, count).reshape(shared.shape)


_mappings: OrderedDict[str, mmap.mmap] = OrderedDict()
_mapping = threading.Lock()


def _mapped(shared: Shared) -> mmap.mmap:
    """Map another process's memory, once: page-locking it takes longer than a copy."""
    with _mapping:
        if shared.token in _mappings:
            _mappings.move_to_end(shared.token)
            return _mappings[shared.token]
        descriptor = os.open(shared.path, os.O_RDWR)
        try:
            mapped = mmap.mmap(descriptor, shared.nbytes)
        finally:
            os.close(descriptor)
        lock_pages(mapped)
        _mappings[shared.token] = mapped
        if len(_mappings) > _KEPT_MAPPED:
            unlock_pages(_mappings.popitem(last=False)[1])
        return mapped
