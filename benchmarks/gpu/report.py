"""What a benchmark has found so far: printed as it comes, and on disk after each step, whatever comes next."""

import json
import re
import signal
import time
import traceback

import numpy as np

from nanocensus.errors import NanocensusError

REPEATS = 7


class OutOfTimeError(BaseException):
    """Ends the step that is under way; what handles ordinary errors must not keep it."""


class Report:
    """The steps of a benchmark that may take so many seconds: those that fail, or come too late, are told and left."""

    def __init__(self, folder, seconds):
        self.found = {"seconds": {}, "failed": {}}
        self._folder, self._end = folder, time.monotonic() + seconds
        signal.signal(signal.SIGALRM, _stop)
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def step(self, title, function):
        """Do a step, and give what it gives; None after a failure, which is told, or when the time is up."""
        print(f"== {title}", flush=True)
        start = time.monotonic()
        try:
            if start >= self._end:
                raise OutOfTimeError("not begun: the time was up")
            return function()
        except (Exception, OutOfTimeError) as error:  # noqa: BLE001
            self.fail(title, error)
        finally:
            self.found["seconds"][title] = round(time.monotonic() - start, 1)
            self.write()

    def fail(self, title, error):
        """Tell a failure: our own by its words, that of a library by where it happened."""
        told = isinstance(error, (NanocensusError, OutOfTimeError))
        print(f"FAILED: {title}\n{error if told else ''.join(traceback.format_exception(error))[-3000:]}", flush=True)
        self.found["failed"][title] = f"{type(error).__name__}: {error}"

    def rows(self, key):
        """Give a table to be filled; what is written holds it as far as it has come."""
        self.found[key] = Rows(self)
        return self.found[key]

    def write(self):
        """Write what is known into a file that is named by the device."""
        name = re.sub("[^a-z0-9]+", "-", self.found.get("device", "unknown").lower())
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / f"gpu-{name}.json").write_text(json.dumps(self.found, indent=2) + "\n")


class Rows(list):
    """A table whose rows are printed as they come."""

    def __init__(self, report):
        super().__init__()
        self._report = report

    def add(self, row):
        """Add a row."""
        self.append(row)
        print("  ".join(f"{value!s:<38}" if isinstance(value, str) else f"{name} {value!s:<8}"
                        for name, value in row.items()), flush=True)  # fmt: skip

    def time(self, names, function, repeats=REPEATS, **more):
        """Add the median time of a call, ms; a call that fails costs its own row alone."""
        try:
            self.add({**names, "ms": milliseconds(function, repeats), **more})
        except Exception as error:  # noqa: BLE001
            self._report.fail(", ".join(names.values()), error)


def milliseconds(function, repeats=REPEATS):
    """Give the median time of a call after one that warms up, ms."""
    function()
    spent = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        spent.append(time.perf_counter() - start)
    return round(1e3 * float(np.median(spent)), 3)


def _stop(*_):
    raise OutOfTimeError("stopped: the time was up")
