"""Where the work is done: local worker processes, or a Dask cluster that is already there."""

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping

import dask
import distributed
import psutil

from nanocensus.errors import InputError
from nanocensus.pipeline.spec import ClusterSection

CONNECT_TIMEOUT = 15.0
"""How long a scheduler, and then its first worker, may take to answer, seconds."""

WORKER_MEMORY = 2 * 1024**3
"""Memory that a worker is given when the number of workers is left to us; a 4096 x 4096 micrograph takes under 1.5 GiB."""


def worker_environment(cores: int) -> Mapping[str, str]:
    """Give the environment that pins a worker to its cores; it has to be there before the process starts.

    XLA takes all cores of the machine in every process unless NPROC says otherwise, and a GPU that it finds; the rest
    runs one thread each, since the work is parallel over micrographs.
    """
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "BLOSC_NTHREADS")
    return {"NPROC": str(cores), "JAX_PLATFORMS": "cpu"} | dict.fromkeys(threads, "1")


@contextlib.contextmanager
def open_client(section: ClusterSection, client: distributed.Client | None = None) -> Iterator[distributed.Client]:
    """Give a client of the cluster that a job asks for, and close what was opened for it.

    Parameters
    ----------
    section : ClusterSection
        The [cluster] section of the job file.
    client : distributed.Client, optional
        A client of any other cluster; it is used as it is and left open.

    Raises
    ------
    InputError
        If the scheduler does not answer.
    """
    if client is not None:
        yield client
    elif section.scheduler is not None:
        with _connect(section.scheduler) as connected:
            yield connected
    else:
        with _local_cluster(section) as cluster, distributed.Client(cluster) as local:
            yield local


def _connect(address: str) -> distributed.Client:
    try:
        client = distributed.Client(address, timeout=CONNECT_TIMEOUT)
        try:
            client.wait_for_workers(1, timeout=CONNECT_TIMEOUT)
        except BaseException:
            client.close()
            raise
        return client
    except (OSError, ValueError) as error:  # distributed raises ValueError on an address that it cannot parse
        raise InputError(
            f"scheduler {address}",
            expected="a running Dask scheduler with workers",
            got=str(error) or type(error).__name__,
            remedy="Start it with `dask scheduler` and its workers with `dask worker`, or leave the address out to work "
            "on this machine.",
        ) from None


@contextlib.contextmanager
def _local_cluster(section: ClusterSection) -> Iterator[distributed.LocalCluster]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    fitting = max(1, int(psutil.virtual_memory().available // WORKER_MEMORY))
    affordable = max(1, min(cores // section.cores_per_worker, fitting))
    workers = affordable if section.workers is None else section.workers
    settings = {
        "distributed.nanny.pre-spawn-environ": dict(worker_environment(section.cores_per_worker)),
        "distributed.scheduler.allowed-failures": section.retries,
        "distributed.worker.memory.terminate": 0.95,
    }
    with dask.config.set(settings), _start(workers) as cluster:
        yield cluster


def _start(workers: int) -> distributed.LocalCluster:
    handlers = [(handler, handler.level) for handler in logging.getLogger().handlers]
    try:
        cluster = distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",  # any free port: two runs may work side by side
            silence_logs=logging.ERROR,  # a lost worker is told in our own words, in the index
        )
    except RuntimeError as error:
        raise InputError(
            "local workers",
            expected=f"{workers} processes to start",
            got=str(error).splitlines()[0],
            remedy='In a script, put the call under `if __name__ == "__main__":`, since each worker imports the script.',
        ) from error
    for handler, level in handlers:  # silence_logs quietens the program's own handlers too
        handler.setLevel(level)
    return cluster


def describe(client: distributed.Client) -> Mapping[str, object]:
    """Describe the cluster by what a reader of the results may ask: how many workers and threads."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return {"workers": len(workers), "threads": sum(worker["nthreads"] for worker in workers)}
