"""Population statistics of nanocrystals from electron micrographs, with honest uncertainty.

    import nanocensus as nc

    nc.run("jobs/demo.toml")
    particles, micrographs = nc.read_particles(out), nc.read_micrographs(out)

The names live in `nanocensus.api` and are loaded when they are first used, so that `import nanocensus` is light.
"""

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nanocensus.api import *

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:  # noqa: ANN401  any public name
    """Load a public name from `nanocensus.api`."""
    if name.startswith("_") or importlib.util.find_spec(f"nanocensus.{name}") is not None:
        # A submodule that was not imported yet: the import system asks here first, and must not load the whole api.
        raise AttributeError(f"module 'nanocensus' has no attribute {name!r}")
    api = importlib.import_module("nanocensus.api")
    if name not in api.__all__:
        raise AttributeError(f"module 'nanocensus' has no attribute {name!r}; public names: {', '.join(api.__all__)}")
    return getattr(api, name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted([*importlib.import_module("nanocensus.api").__all__, "__version__"])
