"""Which device computes: decided once at the start of a job, recorded, and never changed in silence."""

import importlib.util
import mmap
import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from nanocensus.errors import DeviceError

if TYPE_CHECKING:
    import jax

DeviceChoice = Literal["auto", "cpu", "gpu"]


@dataclass(frozen=True)
class Device:
    """The device of a run."""

    kind: Literal["cpu", "gpu"]
    name: str
    """What the report calls it: "CPU", or the GPU's own name."""
    reason: str
    """Why this one: asked for, or what `auto` found."""


def resolve_device(choice: DeviceChoice) -> Device:
    """Settle on a device.

    Parameters
    ----------
    choice : {"auto", "cpu", "gpu"}
        "auto" may choose the CPU, and says why; "gpu" never does.

    Returns
    -------
    Device

    Raises
    ------
    DeviceError
        If a GPU was asked for and there is none, or what drives it is not installed.

    Examples
    --------
    >>> resolve_device("cpu").name
    'CPU'
    """
    if choice == "cpu":
        return Device("cpu", "CPU", "asked for")
    name, lack = _find_gpu()
    if name is not None:
        return Device("gpu", name, "asked for" if choice == "gpu" else "found by auto")
    if choice == "gpu":
        raise DeviceError(
            'device = "gpu"',
            expected="a CUDA device with its libraries",
            got=lack,
            remedy='Install the extra (pip install "nanocensus[cuda13]" or [cuda12]), or say device = "cpu".',
        )
    return Device("cpu", "CPU", f"auto: {lack}")


def _find_gpu() -> tuple[str | None, str]:
    """Name the GPUs that CUDA shows, or say what is missing; touches no CUDA context, so workers may still start."""
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    chosen = None if shown is None else shown.split(",")
    if chosen is not None and chosen[0].strip() in ("", "-1"):
        return None, "CUDA_VISIBLE_DEVICES hides every GPU"  # from CUDA, not from its driver
    missing = [library for library in ("pynvml", "cupy", "cucim", "dask_cuda") if not importlib.util.find_spec(library)]
    if missing:
        return None, "no " + ", ".join(missing)
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return None, f"no NVIDIA driver ({error})"
    try:
        names = [_name_of_gpu(place) for place in chosen or map(str, range(pynvml.nvmlDeviceGetCount()))]
    except pynvml.NVMLError as error:
        return None, f"no CUDA device {shown or ''}: {error}"
    finally:
        pynvml.nvmlShutdown()
    return (", ".join(dict.fromkeys(names)), "") if names else (None, "no CUDA device")


def _name_of_gpu(place: str) -> str:
    """Name the GPU that has a number or a UUID, as CUDA_VISIBLE_DEVICES gives them."""
    import pynvml

    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(int(place))
    except ValueError:
        handle = pynvml.nvmlDeviceGetHandleByUUID(place)  # a part of a GPU (MIG) has one too
    return str(pynvml.nvmlDeviceGetName(handle))


def gpu_of_this_process() -> str:
    """Give the name of the GPU on which JAX computes in this process.

    Raises
    ------
    DeviceError
        If JAX would compute on the CPU, as it does without a word where its CUDA libraries are missing.
    """
    import jax

    if jax.default_backend() != "gpu":
        raise DeviceError(
            "the GPU of a worker",
            expected="JAX to see it",
            got=f"the backend {jax.default_backend()!r}",
            remedy='Install JAX for CUDA (pip install "nanocensus[cuda13]" or [cuda12]), and leave JAX_PLATFORMS unset.',
        )
    return str(jax.devices()[0].device_kind)


def on_cpu() -> AbstractContextManager[None]:
    """Have JAX compute on the CPU meanwhile, where it would take a GPU that it sees."""
    import jax

    cpu: AbstractContextManager[None] = jax.default_device(jax.local_devices(backend="cpu")[0])
    return cpu


def to_gpu(host: np.ndarray) -> "jax.Array":
    """Copy an array to the device on which JAX computes; fastest from page-locked memory.

    Parameters
    ----------
    host : ndarray
        C-contiguous, of any shape and type that JAX has.
    """
    import jax

    if not _computes_on_gpu():
        return jax.numpy.array(host)
    import cupy

    on_device: jax.Array = jax.dlpack.from_dlpack(cupy.asarray(host))
    return on_device


def to_host(array: "jax.Array", out: np.ndarray) -> None:
    """Copy an array from the device into host memory; fastest if that is page-locked.

    XLA copies into pageable memory of its own, at 1 to 3 GB/s; CuPy sees the same array without a copy and moves it to
    where it belongs at 50 GB/s.

    Parameters
    ----------
    array : jax.Array
        Of any shape and type.
    out : ndarray
        C-contiguous, of the same shape and type.
    """
    if next(iter(array.devices())).platform != "gpu":
        np.copyto(out, array)
        return
    import cupy

    cupy.from_dlpack(array).get(out=out)  # waits for the copy, so that the device may use the memory again


def lock_pages(memory: mmap.mmap) -> None:
    """Lock memory into place, so that a GPU can copy from and to it at the speed of the link; nothing without a GPU."""
    if _computes_on_gpu():
        import cupy

        cupy.cuda.runtime.hostRegister(np.frombuffer(memory, np.uint8).ctypes.data, len(memory), 0)


def unlock_pages(memory: mmap.mmap) -> None:
    """Undo `lock_pages`."""
    if _computes_on_gpu():
        import cupy

        cupy.cuda.runtime.hostUnregister(np.frombuffer(memory, np.uint8).ctypes.data)


def _computes_on_gpu() -> bool:
    import jax

    return jax.default_backend() == "gpu"
