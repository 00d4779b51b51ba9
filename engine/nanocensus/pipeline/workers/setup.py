"""What Dask loads into every worker process of this machine before its work: see `clusters`."""

import logging
import signal
from typing import Any


def dask_setup(worker: Any) -> None:  # noqa: ANN401  Dask's signature
    """Leave Ctrl-C to the run: a terminal sends it to all its processes, and what is in flight is to be finished.

    What tifffile cannot read is refused in our own words, as in the process of the command line.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
