"""Workers on this machine: processes of their own, with a GPU each or none, or this very process."""

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import dask
import distributed

from nanocensus.errors import InputError
from nanocensus.pipeline.job.work_sections import ClusterSection
from nanocensus.pipeline.workers.gpu_service import AT_ONCE, GPU, HOST
from nanocensus.pipeline.workers.memory import WORKER_MEMORY, machine_memory

RESTART_TIMEOUT = "5 minutes"
"""How long a local worker that was lost may take to come back; a busy machine takes its time."""

OWN_SCHEDULER: Mapping[str, object] = {
    "distributed.scheduler.allowed-failures": 0,  # who is to blame is found out by trying alone: `dispatch.spread`
    # By default a run without workers waits for ever.
    "distributed.scheduler.no-workers-timeout": RESTART_TIMEOUT,
}
"""What a scheduler has to know before it is started, wherever its workers are."""

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "BLOSC_NTHREADS")


def worker_environment(cores: int) -> Mapping[str, str]:
    """Give the environment that pins a worker to its cores; it has to be there before the process starts.

    XLA takes all cores of the machine in every process unless NPROC says otherwise, and a GPU that it finds; the rest
    runs one thread each, since the work is parallel over micrographs.
    """
    return {"NPROC": str(cores), "JAX_PLATFORMS": "cpu"} | dict.fromkeys(_THREADS, "1")


def gpu_environment() -> Mapping[str, str]:
    """Give the environment of a worker that owns a GPU; it has to be there before the process starts.

    Dask-CUDA shows every worker all GPUs, its own first, and JAX would take a part of each. By default XLA takes three
    quarters of the GPU's memory at once, which leaves too little to CuPy. What it compiled is kept for the next run,
    since that takes seconds for each shape of micrograph.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "nanocensus" / "xla"
    return {
        "JAX_CUDA_VISIBLE_DEVICES": "0",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5",
    } | dict.fromkeys(_THREADS, "1")


def inline_cluster() -> distributed.LocalCluster:
    """Start a cluster whose only worker is a thread of this process: what it does can be looked at with a debugger."""
    with _own_log_levels():
        options = {name: value for name, value in _LOCAL.items() if name != "host"}  # nothing listens
        return distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, memory_limit=machine_memory(), **options
        )


@contextlib.contextmanager
def local_cluster(section: ClusterSection, *, gpu: bool) -> Iterator[distributed.SpecCluster]:
    """Start worker processes, each pinned to its cores, and end them in the end.

    Parameters
    ----------
    section : ClusterSection
        Says how many, and how many cores each owns; as many as cores and memory allow if it does not.
    gpu : bool
        Whether they get this machine's GPUs, one each, with workers beside them that measure.

    Raises
    ------
    InputError
        If processes cannot be started here.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    affordable = max(1, min(cores // section.cores_per_worker, machine_memory() // WORKER_MEMORY))
    settings = {
        "distributed.nanny.pre-spawn-environ": dict(
            gpu_environment() if gpu else worker_environment(section.cores_per_worker)
        ),
        **OWN_SCHEDULER,
        "distributed.worker.preload": [
            *dask.config.get("distributed.worker.preload"),
            "nanocensus.pipeline.workers.setup",
        ],
        "distributed.worker.memory.terminate": 0.95,
        "distributed.deploy.lost-worker-timeout": RESTART_TIMEOUT,  # by default one that takes 15 s is given up
    }
    start = _start_with_gpus if gpu else _start
    with dask.config.set(settings), _own_environment():
        with _own_log_levels():
            started = start(section, affordable)
        with closing(started) as cluster:
            yield cluster


_Closed = TypeVar("_Closed", distributed.Client, distributed.SpecCluster)


@contextlib.contextmanager
def closing(opened: _Closed) -> Iterator[_Closed]:
    """Close a client or cluster in the end, but not to the end of patience: a busy machine must not cost a run that has done its work."""
    try:
        yield opened
    finally:
        with contextlib.suppress(TimeoutError):
            opened.close()


def _start(section: ClusterSection, affordable: int) -> distributed.LocalCluster:
    workers = affordable if section.workers is None else section.workers
    share = machine_memory() // workers  # by default Dask divides by cores, however many workers there are
    with _understood(workers):
        return distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, memory_limit=share, **_LOCAL
        )


def _start_with_gpus(section: ClusterSection, affordable: int) -> distributed.SpecCluster:
    """Start one worker for each visible GPU, and workers without one for the cores that are left."""
    from dask_cuda import LocalCUDACluster

    with _understood(1):
        # No limit on what the workers hold: their results are small, and page-locked memory is not to be spilled.
        cluster: distributed.SpecCluster = LocalCUDACluster(
            threads_per_worker=AT_ONCE,
            resources={GPU: AT_ONCE},
            device_memory_limit=None,
            memory_limit=None,
            preload=dask.config.get("distributed.worker.preload"),  # its own preload goes before that of the settings
            **_LOCAL,
        )
    left = max(1, affordable - len(cluster.worker_spec))
    environment = {**worker_environment(section.cores_per_worker), "CUDA_VISIBLE_DEVICES": ""}
    host = {
        "cls": distributed.Nanny,
        "options": {
            "nthreads": 1,
            "resources": {HOST: 1},
            "env": environment,
            "host": _LOCAL["host"],
            "silence_logs": _LOCAL["silence_logs"],
        },
    }
    names = [f"host-{number}" for number in range(left if section.workers is None else section.workers)]
    cluster.worker_spec.update(dict.fromkeys(names, host))
    cluster.scale(len(cluster.worker_spec))
    return cluster


_LOCAL: Mapping[str, Any] = {
    "host": "127.0.0.1",
    "dashboard_address": "127.0.0.1:0",  # any free port: two runs may work side by side
    "silence_logs": logging.ERROR,  # a lost worker is told in our own words, in the index
}


@contextlib.contextmanager
def _understood(workers: int) -> Iterator[None]:
    """Say what to do where local processes cannot start."""
    try:
        yield
    except RuntimeError as error:
        raise InputError(
            "local workers",
            expected=f"{workers} processes to start",
            got=str(error).splitlines()[0],
            remedy='In a script, put the call under `if __name__ == "__main__":`, since each worker imports the script.',
        ) from error


@contextlib.contextmanager
def _own_environment() -> Iterator[None]:
    """Keep the program's environment and that of its workers apart.

    Workers are given their variables through their parent's environment, where they would stay; and what is there
    already, of another cluster for instance, would go before what these workers are to have.
    """
    names = {*gpu_environment(), *worker_environment(1)}
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        for name in names:
            os.environ.pop(name, None)
        os.environ.update(before)


@contextlib.contextmanager
def _own_log_levels() -> Iterator[None]:
    """Keep the levels of the program's own log handlers, which `silence_logs` quietens too."""
    handlers = [(handler, handler.level) for handler in logging.getLogger().handlers]
    try:
        yield
    finally:
        for handler, level in handlers:
            handler.setLevel(level)
