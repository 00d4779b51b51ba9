"""Where the work is done: local worker processes, with a GPU each or none, or a Dask cluster that is already there.

Beside workers that own a GPU there are workers that do everything else: see `gpu_service`. Tasks find the right ones by
the resources that workers offer.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import distributed

from nanocensus.device import Device, DeviceChoice, gpu_of_this_process
from nanocensus.errors import DeviceError, InputError
from nanocensus.pipeline.job.sections import MeasureSection
from nanocensus.pipeline.job.work_sections import ClusterSection
from nanocensus.pipeline.workers.batch import slurm_cluster, wait_for_worker
from nanocensus.pipeline.workers.gpu_service import AT_ONCE, GPU, HOST
from nanocensus.pipeline.workers.local_cluster import closing, inline_cluster, local_cluster, worker_environment

CONNECT_TIMEOUT = 15.0
"""How long a scheduler, and then its first worker, may take to answer, seconds."""


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
        with closing(inline_cluster()) as cluster, closing(distributed.Client(cluster, set_as_default=False)) as here:
            yield here
    elif section.kind == "slurm":
        with (
            slurm_cluster(section, worker_environment(section.cores_per_worker)) as cluster,
            distributed.Client(cluster, set_as_default=False) as batch,
        ):
            wait_for_worker(batch)  # the others join when they come
            yield batch
    else:
        with (
            local_cluster(section, gpu=gpu) as cluster,
            closing(distributed.Client(cluster, set_as_default=False)) as local,
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
        If GPUs were asked for and no worker offers one, or JAX does not see one that is offered.
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
    owners = _who_offers(client, GPU)
    if not owners:
        if choice == "auto":
            return Device("cpu", "CPU", "auto: no worker offers the resource GPU")
        raise DeviceError(
            'device = "gpu"',
            expected="workers that offer the resource GPU",
            got="none",
            remedy=f'Start them with `dask cuda worker SCHEDULER --nthreads {AT_ONCE} --resources "GPU='
            f'{AT_ONCE}"`, or say device = "cpu".',
        )
    names = client.run(gpu_of_this_process, workers=owners).values()
    return Device("gpu", ", ".join(dict.fromkeys(names)), "asked for" if choice == "gpu" else "found by auto")


def where_blocks_go(client: distributed.Client, device: Device, measure: MeasureSection) -> Mapping[str, int]:
    """Give the resources that a block's task asks for.

    With GPUs that is a worker beside those that own one, where there are such workers and cuCIM is not to label.
    """
    if device.kind == "cpu":
        return {HOST: 1} if offers(client, GPU) else {}
    return {HOST: 1} if offers(client, HOST) and measure.labelling != "cucim" else {GPU: 1}


def offers(client: distributed.Client, resource: str) -> bool:
    """Say whether any worker offers a resource."""
    return bool(_who_offers(client, resource))


def _who_offers(client: distributed.Client, resource: str) -> list[str]:
    workers = client.scheduler_info(n_workers=-1)["workers"]
    return [address for address, worker in workers.items() if worker["resources"].get(resource)]


def describe(client: distributed.Client) -> Mapping[str, object]:
    """Describe the cluster by what a reader of the results may ask: how many workers, threads and GPUs."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return {
        "workers": len(workers),
        "threads": sum(worker["nthreads"] for worker in workers),
        "gpus": sum(1 for worker in workers if worker["resources"].get(GPU)),
    }
