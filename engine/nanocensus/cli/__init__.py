"""The command line: parse arguments, call, show progress, map errors to exit codes.

Exit codes: 0 all well; 1 done, but some micrographs failed; 2 something given cannot be used; 3 what is on disk is not
what it should be; 4 a device or an optional dependency is missing; 130 interrupted.
"""

import logging
import signal
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from nanocensus import __version__
from nanocensus.cli import contracts, micrographs, networks, particles, runs
from nanocensus.errors import NanocensusError
from nanocensus.terminal import error_console, say

INTERRUPTED = 130
COMMANDS: tuple[Callable[..., None], ...] = (
    runs.run, micrographs.init, runs.status, runs.doctor, runs.ingest, runs.export, micrographs.scale, particles.measure,
    particles.analyse, particles.plan, runs.report, particles.criteria, networks.evaluate, networks.train,
    micrographs.simulate, contracts.schema,
)  # fmt: skip
"""In the order in which the help lists them."""

app = typer.Typer(
    name="nanocensus",
    help="Population statistics of nanocrystals from electron micrographs, with honest uncertainty.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # or [simulate] in a help text would be taken for markup
)


@app.callback(invoke_without_command=True)
def about(version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False) -> None:
    """Say which nanocensus this is, or go on to a command."""
    if version:
        say(__version__)
        raise typer.Exit


for command in COMMANDS:
    app.command()(command)


def main() -> None:
    """Run the command line and leave with an exit code that says what happened."""
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it cannot read is refused in our own words
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a batch system's polite stop is an interrupt
    try:
        app()
    except NanocensusError as error:
        say(str(error), "nanocensus:", "bold red", console=error_console)
        sys.exit(error.exit_code)
    except SystemExit as leaving:
        if leaving.code == INTERRUPTED:
            say("Stopped. What was finished is kept: the same command goes on from there.", console=error_console)
        raise
