"""The sections of a job file that say how the work is cut and where it is done."""

import dataclasses
from pathlib import Path
from typing import Literal

from nanocensus.errors import JobError
from nanocensus.pipeline.job.sections import at_least


@dataclasses.dataclass(frozen=True)
class BlockSection:
    """How the work is cut: a block is one task, one Parquet part and one partition."""

    micrographs: int = 16
    """Most micrographs in a block; results do not depend on it."""

    def __post_init__(self) -> None:
        """Check the size."""
        at_least("micrographs", self.micrographs, 1)


@dataclasses.dataclass(frozen=True)
class SlurmSection:
    """What each worker, a Slurm job of its own, asks for."""

    interface: str | None = None
    """Network interface on which the scheduler listens and workers call it, such as "ib0"; without one it listens on this
    machine alone."""
    partition: str | None = None
    """Partition; the site's default if absent."""
    account: str | None = None
    """Account to charge; the site's default if absent."""
    memory: str = "4 GiB"
    """Memory of a worker."""
    walltime: str = "08:00:00"
    """How long a worker may run; a run whose workers are gone is started again with the same command."""
    directives: tuple[str, ...] = ()
    """More of what `#SBATCH` lines say, such as "--constraint=avx512"."""
    prologue: tuple[str, ...] = ()
    """Lines of shell before the worker starts, such as "module load python"."""
    logs: Path | None = None
    """Folder of the jobs' output; nowhere if absent."""


@dataclasses.dataclass(frozen=True)
class ClusterSection:
    """Where the work is done."""

    kind: Literal["processes", "inline", "slurm"] = "processes"
    """Who works where no scheduler is named: processes of this machine, "inline" this very process, one micrograph after the
    other (to look for a fault), or "slurm" jobs."""
    scheduler: str | None = None
    """Address of a running Dask scheduler (tcp://host:8786, or tls://host:8786 with the files below)."""
    tls_ca: Path | None = None
    """Certificate of the authority that signed the scheduler's; with it all connections are encrypted."""
    tls_cert: Path | None = None
    """Certificate of this client."""
    tls_key: Path | None = None
    """Its private key."""
    workers: int | None = None
    """Number of local worker processes, as many as cores and memory allow if absent; or of Slurm jobs, one if absent."""
    cores_per_worker: int = 1
    """Cores that one worker owns; the network uses all of them."""
    retries: int = 2
    """How often a micrograph whose worker was lost is tried again alone, before it counts as failed."""
    performance_report: bool = False
    """Whether Dask writes down what each worker did when: performance.html."""
    slurm: SlurmSection = dataclasses.field(default_factory=SlurmSection)
    """What each Slurm job asks for."""

    def __post_init__(self) -> None:
        """Check the numbers, and that one way is meant."""
        for key, least in (("workers", 1), ("cores_per_worker", 1), ("retries", 0)):
            at_least(key, getattr(self, key), least)
        if self.scheduler is not None and self.kind != "processes":
            got = f"kind = {self.kind!r} and scheduler = {self.scheduler!r}"
            raise JobError("cluster", expected="one of the two", got=got, remedy="Leave one out.")
        if self.kind == "inline" and self.workers not in (None, 1):
            got = f'kind = "inline" and workers = {self.workers}'
            raise JobError("cluster", expected="one worker, this process", got=got, remedy="Leave one out.")
        files = [name for name in ("tls_ca", "tls_cert", "tls_key") if getattr(self, name) is not None]
        secure = self.scheduler is not None and self.scheduler.startswith("tls://")
        if len(files) != (3 if secure else 0):
            raise JobError(
                "cluster",
                expected="tls_ca, tls_cert and tls_key together with a scheduler at tls://...",
                got=", ".join(files) or "none of them",
                remedy="Give all of them, or an address at tcp://... and none.",
            )
