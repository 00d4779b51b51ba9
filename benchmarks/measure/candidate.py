"""Who is compared, and how each is held to one thread.

A candidate is started on a scene outside of the clock (imports, conversion of the image to the package's own type) and
gives two functions: the call that is timed, and how to read its result, again outside of the clock.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from scenes import Scene


@dataclass(frozen=True)
class Found:
    """What a candidate found, one entry a particle; `labels` where it made a label image."""

    labels: np.ndarray | None = None
    columns: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Candidate:
    name: str
    package: str
    """As it is installed."""
    start: Callable[[Scene], tuple[Callable[[], object], Callable[[object], Found]]]
    gives: str
    """From what it starts, and what it gives."""
    equal: tuple[str, ...] = ()
    """Columns of scikit-image's definition, which must have its values. Labels, where there are any, must be its own."""


def installed(package):
    """Give the version, or None."""
    if package == "nanocensus":  # runs from its source tree; the commit is its version
        return "this commit"
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def one_thread_each():
    """Hold this process to one core, and every peer to one thread.

    The core is what counts: SimpleITK's filters start two threads whatever they are told.
    """
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if installed("opencv-python-headless"):
        import cv2

        cv2.setNumThreads(1)
    if installed("SimpleITK"):
        import SimpleITK

        SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    if installed("diplib"):
        import diplib

        diplib.SetNumberOfThreads(1)
