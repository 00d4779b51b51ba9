"""How the kernels of this folder are compiled."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(function: Kernel) -> Kernel:
    """Compile a kernel: it lets go of the GIL, is kept on disk, and adds up in the order it is written in.

    No fast-math, because particle tables promise their bytes. Run-time checkers of annotations wrap functions as
    they are defined; the wrapper is taken off, since numba cannot compile one.
    """
    return cast(Kernel, numba.njit(nogil=True, cache=True, error_model="numpy")(inspect.unwrap(function)))
