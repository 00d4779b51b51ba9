"""The log of an output folder: one line of JSON an event, one event a micrograph; a run appends to those before it.

Tables hold no times; this is where they are. Losing it costs nothing else.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, final

from nanocensus.errors import StoreError
from nanocensus.store.commit import writing

JOURNAL = "log.jsonl"
START, MICROGRAPH, SUSPECT, END, STOPPED = "start", "micrograph", "suspect", "end", "stopped"
"""Kinds of events: a run begins; a micrograph is done or failed; a block lost its worker; a run ends, or is stopped."""


@final
class Journal:
    """The log of a run, open for more events.

    Parameters
    ----------
    out : Path
        Folder of the results.

    Raises
    ------
    StoreError
        If the disk refuses, here and at every event.
    """

    def __init__(self, out: Path) -> None:
        self.path = out / JOURNAL
        self._stream: IO[bytes] | None = None

    def __enter__(self) -> "Journal":
        """Open the log; a line that a killed run left half written is ended, and readers pass over it."""
        with writing(self.path):
            self._stream = self.path.open("a+b")
            if self._stream.tell():
                self._stream.seek(-1, os.SEEK_END)
                if self._stream.read(1) != b"\n":
                    self._stream.write(b"\n")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Note how the run ended, and close the log."""
        if self._stream is None:
            return
        with self._stream:
            if error is None:
                self.note(END)
            else:
                with contextlib.suppress(StoreError):  # the disk may be what ended it
                    self.note(STOPPED, reason=str(error) or type(error).__name__)

    def note(self, event: str, **facts: Any) -> None:  # noqa: ANN401  any JSON values
        """Write an event, so that whoever looks sees it at once."""
        if self._stream is None:
            raise RuntimeError("the journal is not open")
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, "event": event, **facts}, ensure_ascii=False)
        with writing(self.path):
            self._stream.write(line.encode() + b"\n")
            self._stream.flush()


def read_events(out: Path) -> Iterator[dict[str, Any]]:
    """Give the events of an output folder, oldest first; lines that were cut off are passed over, and none is no error."""
    try:
        stream = (out / JOURNAL).open(encoding="utf-8", errors="replace")
    except OSError:
        return
    with stream:
        for line in stream:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict) and isinstance(event.get("event"), str) and isinstance(event.get("time"), str):
                yield event


def rate_of_last_run(out: Path) -> float | None:
    """Give how many micrographs the last run did in a minute; None where it did fewer than two."""
    times: list[str] = []
    for event in read_events(out):
        if event["event"] == START:
            times = []
        elif event["event"] == MICROGRAPH:
            times.append(event["time"])
    try:
        minutes = (datetime.fromisoformat(times[-1]) - datetime.fromisoformat(times[0])).total_seconds() / 60
    except (IndexError, ValueError):
        return None
    return (len(times) - 1) / minutes if minutes > 0 else None
