"""What made a result: digests of its causes, and the versions that were there."""

import hashlib
import importlib.metadata
import json
import platform
from pathlib import Path
from typing import Any

VERSIONED = (
    "nanocensus", "numpy", "scipy", "pandas", "pyarrow", "dask", "distributed", "jax", "jaxlib", "flax", "optax",
    "safetensors", "xarray", "zarr", "numba", "scikit-image", "tifffile", "holoviews", "bokeh",
)  # fmt: skip
"""The distributions whose versions a run records."""

OPTIONAL = (
    "openvino", "rosettasciio", "roifile", "cupy-cuda12x", "cupy-cuda13x", "cucim-cu12", "cucim-cu13",
)  # fmt: skip
"""Those of extras, named where they are installed."""


def canonical_json(value: Any) -> str:  # noqa: ANN401  any JSON value
    """Write a JSON value so that equal values give equal text.

    Examples
    --------
    >>> canonical_json({"b": 1, "a": 0.5})
    '{"a":0.5,"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(*causes: Any) -> str:  # noqa: ANN401  any JSON values
    """Give the SHA-256 of some JSON values: the name of whatever follows from exactly them.

    Examples
    --------
    >>> digest("segment", {"tile": 1024}) == digest("segment", {"tile": 1024})
    True
    """
    return hashlib.sha256(canonical_json(list(causes)).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Give the SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def versions() -> dict[str, str]:
    """Give the version of Python and of each package that a result may depend on; of extras those that are installed."""
    found = {"python": platform.python_version()}
    for name in (*VERSIONED, *OPTIONAL):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            if name in VERSIONED:  # run from a source tree that was never installed
                found[name] = "not installed"
    return found


def machine() -> dict[str, str]:
    """Describe the machine by what results may depend on; no host name, no path."""
    return {"system": platform.system(), "architecture": platform.machine(), "processor": _processor()}


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"
