"""What is written to the terminal: lines, tables at their full width, and one progress bar a stage."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
    from nanocensus.pipeline.dispatch import OnProgress, Stopping

PIPED_WIDTH = 160
"""Columns of tables that no terminal shows: names are not to be cut."""

# No markup: names and paths may hold brackets.
out_console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
error_console = Console(markup=False, highlight=False, stderr=True)


def say(text: str, word: str = "", style: str = "", *, console: Console = out_console) -> None:
    """Print a line, a coloured word before it; long lines are left to the terminal, so that paths can be copied."""
    console.print(Text.assemble((word, style), " " if word else "", text), soft_wrap=True)


class _Rate(ProgressColumn):
    """Finished per second, or seconds for one when that is the larger number."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        return Text(f"{speed:.1f}/s" if speed >= 1 else f"{1 / speed:.1f} s each", style="progress.data.speed")


@contextmanager
def progress_bars() -> "Iterator[OnProgress]":
    """Show one bar a stage, with rate and time left."""
    from nanocensus.pipeline.dispatch import Progress

    bars = Bars(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(),
        TimeRemainingColumn(), console=error_console,
    )  # fmt: skip
    with bars:
        tasks: dict[str, int] = {}

        def show(progress: Progress) -> None:
            if progress.stage not in tasks:
                tasks[progress.stage] = bars.add_task(progress.stage, total=progress.total)
            bars.update(tasks[progress.stage], completed=progress.done, total=progress.total)  # type: ignore[arg-type]

        yield show


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
