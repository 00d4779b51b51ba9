"""Which device computes: decided once at the start of a job, recorded, and never changed in silence."""

import importlib.util
from dataclasses import dataclass
from typing import Literal

from nanocensus.errors import DeviceError

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
    """Name the first GPU, or say what is missing; touches no CUDA context, so workers may still start."""
    missing = [library for library in ("pynvml", "cupy", "cucim", "dask_cuda") if not importlib.util.find_spec(library)]
    if missing:
        return None, "no " + ", ".join(missing)
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return None, f"no NVIDIA driver ({error})"
    try:
        if pynvml.nvmlDeviceGetCount() == 0:
            return None, "no CUDA device"
        name = pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(0))
        return name.decode() if isinstance(name, bytes) else str(name), ""
    finally:
        pynvml.nvmlShutdown()
