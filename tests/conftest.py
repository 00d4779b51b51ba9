"""Fixtures for all tests."""

import os

# XLA would take every core in every process, and each worker that a test starts is a process.
os.environ.setdefault("NPROC", "1")

import pytest

from nanocensus.device import resolve_device


def pytest_collection_modifyitems(items):
    """Skip what needs a GPU where there is none, and say what is missing."""
    device = resolve_device("auto")
    if device.kind == "gpu":
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason=f"no GPU ({device.reason.removeprefix('auto: ')})"))


@pytest.fixture(scope="session")
def client():
    """One worker process that several runs share, since most of a short run is the start of its workers."""
    from nanocensus.pipeline.clusters import open_client
    from nanocensus.pipeline.spec import ClusterSection

    with open_client(ClusterSection(workers=1)) as connected:
        yield connected
