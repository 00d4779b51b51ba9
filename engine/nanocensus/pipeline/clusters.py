"""Where the work is done: local worker processes, with a GPU each or none, or a Dask cluster that is already there.

Beside workers that own a GPU there are workers that do everything else: see `gpu_service`. Tasks find the right ones by
the resources that workers offer.
"""

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import dask
import distributed
import psutil

from nanocensus.device import Device, DeviceChoice, gpu_of_this_process
from nanocensus.errors import DeviceError, InputError
from nanocensus.pipeline.batch import slurm_cluster
from nanocensus.pipeline.gpu_service import AT_ONCE, GPU, HOST
from nanocensus.pipeline.job_sections import ClusterSection, MeasureSection

CONNECT_TIMEOUT = 15.0
"""How long a scheduler, and then its first worker, may take to answer, seconds."""

RESTART_TIMEOUT = "5 minutes"
"""How long a local worker that was lost may take to come back; a busy machine takes its time."""

WORKER_MEMORY = 2 * 1024**3
"""Memory that a worker is given when the number of workers is left to us; a 4096 x 4096 micrograph takes under 1.5 GiB."""


_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "BLOSC_NTHREADS")


def worker_environment(cores: int) -> Mapping[str, str]:
    """Give the environment that pins a worker to its cores; it has to be there before the process starts.

    XLA takes all cores of the machine in every process unless NPROC says otherwise, and a GPU that it finds; the rest
    runs one thread each, since the work is parallel over micrographs.
    """
    return {"NPROC": str(cores), "JAX_PLATFORMS": "cpu"} | dict.fromkeys(_THREADS, "1")


def gpu_environment() -> Mapping[str, str]:
    """Give the environment of a worker that owns a GPU; it has to be there before the process starts.

    By default XLA takes three quarters of the GPU's memory at once, which leaves too little to CuPy. What it compiled is
    kept for the next run, since that takes seconds for each shape of micrograph.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "nanocensus" / "xla"
    return {
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5",
    } | dict.fromkeys(_THREADS, "1")


@contextlib.contextmanager
def open_client(
    section: ClusterSection, client: distributed.Client | None = None, *, gpu: bool = False
) -> Iterator[distributed.Client]:
    """Give a client of the cluster that a job asks for, and close what was opened for it.

    Parameters
    ----------
    section : ClusterSection
        The [cluster] section of the job file.
    client : distributed.Client, optional
        A client of any other cluster; it is used as it is and left open.
    gpu : bool
        Whether workers of this machine get its GPUs, one each, with workers beside them that measure.

    Raises
    ------
    InputError
        If the scheduler does not answer.
    """
    if client is not None:
        yield client
    elif section.scheduler is not None:
        with _connect(section, section.scheduler) as connected:
            yield connected
    elif section.kind == "inline":
        with _closing(_inline()) as cluster, _closing(distributed.Client(cluster, set_as_default=False)) as here:
            yield here
    elif section.kind == "slurm":
        with (
            slurm_cluster(section, worker_environment(section.cores_per_worker)) as cluster,
            distributed.Client(cluster, set_as_default=False) as batch,
        ):
            batch.wait_for_workers(1)  # it may be queued for long; the others join when they come
            yield batch
    else:
        with (
            _local_cluster(section, gpu) as cluster,
            _closing(distributed.Client(cluster, set_as_default=False)) as local,
        ):
            local.wait_for_workers(len(cluster.worker_spec))
            yield local


@contextlib.contextmanager
def observed(client: distributed.Client, report: Path | None) -> Iterator[None]:
    """Have Dask write down what each worker did when, if a file for it is given."""
    if report is None:
        yield
        return
    with client.as_current(), distributed.performance_report(str(report)):
        yield


def _connect(section: ClusterSection, address: str) -> distributed.Client:
    security = None
    if section.tls_ca is not None:
        security = distributed.Security(
            tls_ca_file=str(section.tls_ca),
            tls_client_cert=str(section.tls_cert),
            tls_client_key=str(section.tls_key),
            require_encryption=True,
        )
    try:
        client = distributed.Client(address, timeout=CONNECT_TIMEOUT, security=security, set_as_default=False)
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


def _inline() -> distributed.LocalCluster:
    """Give a cluster whose only worker is a thread of this process: what it does can be looked at with a debugger."""
    with _own_log_levels():
        options = {name: value for name, value in _LOCAL.items() if name != "host"}  # nothing listens
        return distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, **options)


@contextlib.contextmanager
def _local_cluster(section: ClusterSection, gpu: bool) -> Iterator[distributed.SpecCluster]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    fitting = max(1, int(psutil.virtual_memory().available // WORKER_MEMORY))
    affordable = max(1, min(cores // section.cores_per_worker, fitting))
    settings = {
        "distributed.nanny.pre-spawn-environ": dict(
            gpu_environment() if gpu else worker_environment(section.cores_per_worker)
        ),
        "distributed.scheduler.allowed-failures": 0,  # who is to blame is found out by trying alone: `dispatch.spread`
        "distributed.worker.preload": [
            *dask.config.get("distributed.worker.preload"),
            "nanocensus.pipeline.worker_setup",
        ],
        "distributed.worker.memory.terminate": 0.95,
        # By default a worker that takes 15 s to start again is given up, and a run without workers waits for ever.
        "distributed.deploy.lost-worker-timeout": RESTART_TIMEOUT,
        "distributed.scheduler.no-workers-timeout": RESTART_TIMEOUT,
    }
    start = _start_with_gpus if gpu else _start
    with dask.config.set(settings), _own_environment():
        with _own_log_levels():
            started = start(section, affordable)
        with _closing(started) as cluster:
            yield cluster


_Closed = TypeVar("_Closed", distributed.Client, distributed.SpecCluster)


@contextlib.contextmanager
def _closing(opened: _Closed) -> Iterator[_Closed]:
    """Close in the end, but not to the end of patience: a busy machine must not cost a run that has done its work."""
    try:
        yield opened
    finally:
        with contextlib.suppress(TimeoutError):
            opened.close()


def _start(section: ClusterSection, affordable: int) -> distributed.LocalCluster:
    workers = affordable if section.workers is None else section.workers
    with _understood(workers):
        return distributed.LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, **_LOCAL)


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
    yield
    for handler, level in handlers:
        handler.setLevel(level)


def device_of(client: distributed.Client, choice: DeviceChoice) -> Device:
    """Settle on the device of a cluster's workers.

    Parameters
    ----------
    client : distributed.Client
    choice : {"auto", "cpu", "gpu"}
        "auto" takes GPUs where workers offer the resource GPU.

    Raises
    ------
    DeviceError
        If GPUs were asked for and no worker offers one, or JAX does not see the one that is offered.
    """
    if choice == "cpu":
        if offers(client, GPU) and not offers(client, HOST):
            raise DeviceError(
                'device = "cpu"',
                expected="workers without a GPU",
                got="only workers that offer the resource GPU, where JAX would take it",
                remedy='Say device = "gpu", or start workers with JAX_PLATFORMS=cpu that offer the resource HOST.',
            )
        return Device("cpu", "CPU", "asked for")
    if not offers(client, GPU):
        if choice == "auto":
            return Device("cpu", "CPU", "auto: no worker offers the resource GPU")
        raise DeviceError(
            'device = "gpu"',
            expected="workers that offer the resource GPU",
            got="none",
            remedy=f'Start them with `dask cuda worker SCHEDULER --nthreads {AT_ONCE} --resources "GPU='
            f'{AT_ONCE}"`, or say device = "cpu".',
        )
    name: str = client.submit(gpu_of_this_process, resources={GPU: 1}, pure=False).result()
    return Device("gpu", name, "asked for" if choice == "gpu" else "found by auto")


def where_blocks_go(client: distributed.Client, device: Device, measure: MeasureSection) -> Mapping[str, int]:
    """Give the resources that a block's task asks for.

    With GPUs that is a worker beside those that own one, where there are such workers and cuCIM is not to label.
    """
    if device.kind == "cpu":
        return {HOST: 1} if offers(client, GPU) else {}
    return {HOST: 1} if offers(client, HOST) and measure.labelling != "cucim" else {GPU: 1}


def offers(client: distributed.Client, resource: str) -> bool:
    """Say whether any worker offers a resource."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return any(worker["resources"].get(resource) for worker in workers)


def describe(client: distributed.Client) -> Mapping[str, object]:
    """Describe the cluster by what a reader of the results may ask: how many workers, threads and GPUs."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return {
        "workers": len(workers),
        "threads": sum(worker["nthreads"] for worker in workers),
        "gpus": sum(1 for worker in workers if worker["resources"].get(GPU)),
    }
