"""Fixtures for all tests, and what keeps many processes from compiling the same things."""

import gc
import hashlib
import importlib.util
import os
from pathlib import Path

import jaxtyping._import_hook as shape_checker
import llvmlite.binding

# XLA would take every core in every process, and each worker that a test starts is a process.
os.environ.setdefault("NPROC", "1")
# On a GPU it would keep three quarters of the memory from the workers that tests start.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

# What XLA compiled is kept, as numba keeps its kernels: all processes of the tests want the same few networks. XLA does
# not look at the processor when it reads them, so each kind of processor has a folder of its own.
PROCESSOR = llvmlite.binding.get_host_cpu_name() + llvmlite.binding.get_host_cpu_features().flatten()
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR",
    str(Path(__file__).parent / "__pycache__" / f"xla-{hashlib.sha256(PROCESSOR.encode()).hexdigest()[:12]}"),
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

import hypothesis
import pytest

# What compiles at its first call takes long once; no test has a time limit.
hypothesis.settings.register_profile("without time limit", deadline=None)
hypothesis.settings.load_profile("without time limit")

FIRST = (
    "test_docs.py", "pipeline/training/test_finished.py", "e2e/test_onsets.py", "pipeline/training/test_learning.py",
    "segment/test_unet.py", "faults/test_survival.py", "e2e/test_run.py", "e2e/test_criteria.py",
    "pipeline/test_gpu_service.py", "pipeline/test_pairs.py",
    "e2e/test_quality.py", "pipeline/test_table_analysis.py",
)  # fmt: skip
"""The files that take longest, lest one is left over when the others are done. What Numba compiles for one process and
what XLA compiles for the other take turns, so that they do not both compile the same."""

PACKAGE = str(Path(importlib.util.find_spec("nanocensus").origin).parent)
checked_file = shape_checker._optimized_cache_from_source


def compiled_file(checker, /, path, debug_override=None):
    """Give the compiled file of a module: one of the shape checker's for the package, the plain one for all others.

    The checker itself gives one of its own to whatever is imported below the package too, so that each process would
    compile two thousand modules of the libraries again.
    """
    if str(path).startswith(PACKAGE):
        return checked_file(checker, path, debug_override)
    return importlib.util.cache_from_source(path, debug_override)


shape_checker._optimized_cache_from_source = compiled_file


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Let the garbage collector rest meanwhile: next to nothing of what is imported and collected is garbage."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items):
    """Begin with the longest files; skip what needs a GPU where there is none, and say what is missing."""
    from nanocensus.device import resolve_device

    places = {Path(__file__).parent / name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: places.get(item.path, len(FIRST)))
    device = resolve_device("auto")
    if device.kind == "gpu":
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason=f"no GPU ({device.reason.removeprefix('auto: ')})"))


@pytest.fixture(scope="session")
def client():
    """One worker process that several runs share, since most of a short run is the start of its workers."""
    from nanocensus.pipeline.job.work_sections import ClusterSection
    from nanocensus.pipeline.workers.clusters import open_client

    with open_client(ClusterSection(workers=1)) as connected:
        yield connected


def draw_lattice_micrograph(rng, pixel_nm, *, anisotropy=0.0, side=1024, particles=45, fringes=0.35, lattice="Co3O4"):
    """Draw discs with one or two sets of fringes on a grainy film; pixels are wider than high by the anisotropy."""
    import numpy as np
    from scipy import ndimage

    from nanocensus.measure.crystals import spacings_nm

    high, wide = pixel_nm / np.sqrt(1 + anisotropy), pixel_nm * np.sqrt(1 + anisotropy)
    image = ndimage.gaussian_filter(rng.normal(size=(side, side)), 1.1)
    image /= image.std()
    spacings = spacings_nm(lattice)
    spacings = spacings[spacings > 2.2 * pixel_nm]
    for _ in range(particles):
        radius = rng.uniform(20, 50)
        centre = rng.uniform(radius, side - radius, 2)
        part = tuple(slice(int(at - radius), int(at + radius) + 1) for at in centre)
        y, x = np.mgrid[part]
        inside = np.hypot(y - centre[0], x - centre[1]) < radius
        image[part] -= 1.5 * inside
        for _ in range(rng.integers(1, 3)):
            spacing, turn = rng.choice(spacings), rng.uniform(0, np.pi)
            along = np.sin(turn) * y * high + np.cos(turn) * x * wide
            image[part] += fringes * inside * np.cos(2 * np.pi * along / spacing + rng.uniform(0, 6))
    return np.clip(1000 + 100 * image, 0, 65535).astype(np.uint16)


@pytest.fixture(scope="session")
def lattice_micrograph():
    """Draw a micrograph of discs with lattice fringes."""
    return draw_lattice_micrograph
