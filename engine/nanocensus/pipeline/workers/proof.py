"""Workers prove that they would compute what the client would: equal versions, equal weights."""

import contextlib
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import distributed

from nanocensus.errors import InputError, NanocensusError
from nanocensus.pipeline.job.plan import Network
from nanocensus.provenance import versions
from nanocensus.segment.prediction.weights import load_model


class SameAsClient(distributed.WorkerPlugin):
    """What every worker of a run has to prove before it works, those that come later too.

    Parameters
    ----------
    expected : mapping of str to str
        The client's version of each package.
    weights : mapping of str to str
        The digest of each network, by its name or path.
    """

    def __init__(self, expected: Mapping[str, str], weights: Mapping[str, str]) -> None:
        self.name = f"nanocensus-{uuid.uuid4().hex}"  # two runs may share a cluster
        self.expected, self.weights = dict(expected), dict(weights)

    def setup(self, worker: Any) -> None:  # noqa: ANN401  Dask's signature
        """Refuse a worker that differs.

        Raises
        ------
        InputError
            If it has other versions or weights.
        """
        found = versions()
        differing = [
            f"{name} {found[name]} instead of {version}"
            for name, version in self.expected.items()
            if found.get(name, version) != version  # an extra may be missing: not every run needs it
        ]
        differing += [f"other weights under {place}" for place in self.weights if _digest(place) != self.weights[place]]
        if differing:
            raise InputError(
                f"worker {worker.address}",
                expected="the versions and weights of the client",
                got=", ".join(differing),
                remedy="Install the same lock file (requirements.lock) where workers run, and give networks by paths that "
                "lead to the same file everywhere.",
            )


@contextlib.contextmanager
def proven(client: distributed.Client, networks: Iterable[Network]) -> Iterator[None]:
    """Let only workers work that have the client's versions and weights.

    Raises
    ------
    InputError
        If a worker that is there has others; nothing is started then.
    """
    plugin = SameAsClient(versions(), {network.place: network.digest for network in networks})
    try:
        client.register_plugin(plugin)
        yield
    finally:
        if client.status == "running":
            with contextlib.suppress(OSError):  # the cluster may be what failed
                client.unregister_worker_plugin(plugin.name)


def _digest(place: str) -> str | None:
    try:
        return load_model(place).digest
    except NanocensusError:
        return None
