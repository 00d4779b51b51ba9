"""Workers that a batch system starts, each a job of its own, with Dask's own client of it."""

import contextlib
import importlib.util
import logging
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import dask
import distributed

from nanocensus.errors import InputError, MissingExtraError
from nanocensus.pipeline.job.work_sections import ClusterSection, SlurmSection
from nanocensus.pipeline.workers.local_cluster import OWN_SCHEDULER

logger = logging.getLogger(__name__)

START_TIMEOUT = 600
"""How long a worker may take from the start of its job until it answers, seconds: it imports all from a shared disk."""
PATIENCE = 300.0
"""After how long without any worker the log says so, seconds."""
_QUEUED = {"distributed.scheduler.no-workers-timeout": "1 hour"}
"""How long a run whose workers have all ended waits for jobs that are still queued."""


@contextlib.contextmanager
def slurm_cluster(section: ClusterSection, environment: Mapping[str, str]) -> Iterator[Any]:
    """Start a scheduler here and its workers as Slurm jobs; all of them end with the run.

    Parameters
    ----------
    section : ClusterSection
        Says how many workers, and what each asks of Slurm.
    environment : mapping
        What is set before a worker starts.

    Yields
    ------
    dask_jobqueue.SLURMCluster

    Raises
    ------
    MissingExtraError
        If dask-jobqueue is not installed.
    InputError
        If there is no Slurm here.
    """
    if importlib.util.find_spec("dask_jobqueue") is None:
        raise MissingExtraError(
            'kind = "slurm"',
            expected="dask-jobqueue",
            got="none installed",
            remedy='Install it: pip install "nanocensus[cluster]".',
        )
    if shutil.which("sbatch") is None:
        raise InputError(
            'kind = "slurm"',
            expected="the command sbatch",
            got="none on the PATH",
            remedy="Run it on a node from which jobs are submitted (jobs/slurm.sh shows how).",
        )
    with dask.config.set({**OWN_SCHEDULER, **_QUEUED}), _cluster(section, environment) as cluster:
        cluster.scale(section.workers or 1)
        yield cluster


def wait_for_worker(client: distributed.Client, patience: float = PATIENCE) -> None:
    """Wait for the first worker, however long its job is queued; the log says every so many seconds that there is none."""
    while True:
        with contextlib.suppress(TimeoutError):
            client.wait_for_workers(1, timeout=patience)
            return
        logger.warning(
            "No worker has come yet. `squeue --me` says whether the jobs wait or are gone; if they are gone, what they "
            "said lies in the folder that [cluster.slurm] names as logs."
        )


def worker_script(section: ClusterSection, environment: Mapping[str, str]) -> str:
    """Give the script of one worker's job, as it would be submitted; nothing is."""
    with _cluster(section, environment) as cluster:
        script: str = cluster.job_script()
    return script


def _cluster(section: ClusterSection, environment: Mapping[str, str]) -> Any:  # noqa: ANN401  an untyped class
    from dask_jobqueue.slurm import SLURMCluster

    return SLURMCluster(**_options(section, section.slurm, environment))


def _options(section: ClusterSection, told: SlurmSection, environment: Mapping[str, str]) -> dict[str, Any]:
    return {
        "cores": 1,  # threads: a worker takes one micrograph at a time, and its network the cores
        "processes": 1,
        "job_cpu": section.cores_per_worker,
        "memory": told.memory,
        "walltime": told.walltime,
        "queue": told.partition,
        "account": told.account,
        # Left to itself, Slurm leaves a file for each worker where the run was started.
        "job_extra_directives": [*(["--output=/dev/null"] if told.logs is None else []), *told.directives],
        "job_script_prologue": [*(f"export {name}={value}" for name, value in environment.items()), *told.prologue],
        "death_timeout": START_TIMEOUT,  # by default it ends after a minute, and a run whose workers ended waits for ever
        "worker_extra_args": ["--preload", "nanocensus.pipeline.workers.setup"],
        "interface": told.interface,
        "log_directory": None if told.logs is None else str(told.logs),
        "scheduler_options": {
            "dashboard_address": "127.0.0.1:0",
            # Workers on other nodes have to reach it, which is what naming the interface allows.
            **({"host": "127.0.0.1"} if told.interface is None else {}),
        },
    }
