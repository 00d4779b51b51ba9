"""Arguments that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

JobFile = Annotated[Path, typer.Argument(help="The job file (TOML); jobs/ holds examples to copy.")]
OutFolder = Annotated[Path, typer.Argument(help="The folder of a run's results.")]
