"""Commands on networks: train them, and say what they are worth."""

from math import nan
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from nanocensus.cli.arguments import JobFile
from nanocensus.terminal import out_console, progress_shown, say


def train(job_file: JobFile) -> None:
    """Train networks: one for each fold that is left out, and one on everything."""
    from nanocensus.pipeline.job.spec import naming_lines
    from nanocensus.pipeline.training.train import TrainingSpec
    from nanocensus.pipeline.training.train import train as train_networks
    from nanocensus.pipeline.workers.dispatch import Progress
    from nanocensus.sections import parse_section, read_toml

    said = read_toml(job_file)
    with naming_lines(job_file):
        spec = parse_section(TrainingSpec, said, section="job", base=job_file.parent)
    with progress_shown() as on_progress:
        results = train_networks(spec, progress=lambda at: on_progress(Progress(at.network, at.step, at.steps)))
    for result in results:
        say(str(result))


def evaluate(
    what: Annotated[
        Path,
        typer.Argument(help="Results of a run, a folder of micrographs with masks in micrographs.csv, or a job file."),
    ],
    model: Annotated[str | None, typer.Option(help="Name or .safetensors file of the network, for a folder.")] = None,
    table: Annotated[Path | None, typer.Option(help="A micrographs.csv or samples.csv elsewhere.")] = None,
    pixel_size_nm: Annotated[float | None, typer.Option(help="Side of a pixel, nm, for all files.")] = None,
    assumed: Annotated[bool, typer.Option(help="That pixel size is made up.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder of the tables and the page.")] = None,
    bin_width_nm: Annotated[float, typer.Option(help="Width of the size bins, nm.")] = 0.2,
    large_px: Annotated[int, typer.Option(help="Pixels from which on a particle counts as large.")] = 400,
) -> None:
    """Say what a network is worth on micrographs whose true particles are known."""
    from nanocensus import api
    from nanocensus.show.evaluation.content import unit_words
    from nanocensus.show.numbers import with_interval

    with progress_shown() as on_progress:
        found = api.evaluate(
            what, model=model, table=table, pixel_size_nm=pixel_size_nm, pixel_size_assumed=assumed, out=out,
            bin_width_nm=bin_width_nm, large_px=large_px, on_progress=on_progress,
        )  # fmt: skip
    summary = found.summary
    for sample in dict.fromkeys(summary["sample"]):
        own = summary[summary["sample"] == sample]
        methods = list(dict.fromkeys(own["method"]))
        shown = Table("figure", "unit", *methods, title=Text(f"{sample}, with intervals over fields"))
        for (figure, unit), rows in own.groupby(["figure", "unit"], sort=False):
            cells = (
                rows.set_index("method").reindex(methods)[["estimate", "lower", "upper"]].to_numpy(float, na_value=nan)
            )
            shown.add_row(
                str(figure), unit_words(str(unit), assumed=found.assumed), *(with_interval(*cell) for cell in cells)
            )
        out_console.print(shown)
    say(f"Page: {found.page}; the tables stand beside it.")
