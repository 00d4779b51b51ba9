"""What is written to the terminal, or the log of a batch job: lines, tables at their full width, and how far a stage is."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

if TYPE_CHECKING:
    from nanocensus.pipeline.workers.dispatch import OnProgress, Progress, Stopping

PIPED_WIDTH = 160
"""Columns of tables that no terminal shows: names are not to be cut."""

# No markup: names and paths may hold brackets.
out_console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
error_console = Console(markup=False, highlight=False, stderr=True)


def say(text: str, word: str = "", style: str = "", *, console: Console = out_console) -> None:
    """Print a line, a coloured word before it; long lines are left to the terminal, so that paths can be copied."""
    console.print(Text.assemble((word, style), " " if word else "", text), soft_wrap=True)


_BETWEEN_LINES_S = 60.0
_FINISHED = float("inf")


def _rate(speed: float) -> str:
    """Give what is finished per second, or the seconds for one when that is the larger number."""
    return f"{speed:.1f}/s" if speed >= 1 else f"{1 / speed:.1f} s each"


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(_rate(speed) if speed else "", style="progress.data.speed")


@contextmanager
def progress_shown() -> "Iterator[OnProgress]":
    """Show how far each stage is, with rate and time left: a bar on a terminal, else a line a minute."""
    if not error_console.is_terminal:
        yield _MinuteLines()
        return
    bars = Bars(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(),
        TimeRemainingColumn(), console=error_console,
    )  # fmt: skip
    with bars:
        tasks: dict[str, int] = {}

        def show(progress: "Progress") -> None:
            if progress.stage not in tasks:
                tasks[progress.stage] = bars.add_task(progress.stage, total=progress.total)
            bars.update(tasks[progress.stage], completed=progress.done, total=progress.total)  # type: ignore[arg-type]

        yield show


class _MinuteLines:
    """A line a minute of each stage, and one when it is finished: what the log of a batch job can hold."""

    def __init__(self) -> None:
        self._begun: dict[str, tuple[float, int]] = {}
        self._said: dict[str, float] = {}

    def __call__(self, progress: "Progress") -> None:
        now, finished = time.monotonic(), progress.done >= progress.total
        start, done_then = self._begun.setdefault(progress.stage, (now, progress.done))
        last = self._said.get(progress.stage, start)
        if last == _FINISHED or not (finished or now - last >= _BETWEEN_LINES_S):
            return
        self._said[progress.stage] = _FINISHED if finished else now
        line = f"{progress.stage}: {progress.done} of {progress.total}"
        if progress.done > done_then and now > start:
            rate = (progress.done - done_then) / (now - start)
            left = "" if finished else f", {timedelta(seconds=round((progress.total - progress.done) / rate))} left"
            line += f", {_rate(rate)}{left}"
        say(line, console=error_console)


@contextmanager
def stopping_politely() -> "Iterator[Stopping]":
    """Let the first Ctrl-C or SIGTERM ask for a stop, and the second stop at once."""
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        if asked:
            signal.default_int_handler(number, frame)
        asked.append(number)
        say("Stopping when what is in flight is finished; once more stops at once.", console=error_console)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
