"""Commands on runs: do one, step by step or whole, say how far it is, verify it, and give out what it found."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from nanocensus.cli.arguments import JobFile, OutFolder
from nanocensus.terminal import error_console, out_console, progress_shown, say, stopping_politely

if TYPE_CHECKING:
    from nanocensus.pipeline.run.record import RunSummary


def run(
    job_file: JobFile,
    scheduler: Annotated[str | None, typer.Option(help="Address of a running Dask scheduler.")] = None,
    workers: Annotated[int | None, typer.Option(help="Number of local worker processes.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the results, instead of the job's own.")] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try micrographs again that failed before.")
    ] = False,
) -> None:
    """Do a whole job: from files to the report, going on from what is already there."""
    from nanocensus import api

    with progress_shown() as on_progress, stopping_politely() as stopping:
        summary = api.run(
            job_file,
            scheduler=scheduler,
            workers=workers,
            out=out,
            on_progress=on_progress,
            stopping=stopping,
            retry_failed=retry_failed,
        )
    _say_summary(summary)
    raise typer.Exit(1 if summary.n_failed else 0)


def _say_summary(summary: "RunSummary") -> None:
    say(
        f"{summary.n_detected:,} particles detected in {summary.n_micrographs:,} micrographs "
        f"({summary.n_reused:,} were already done; {summary.device.name}, {summary.device.reason})."
    )
    where = f"`nanocensus status {summary.out}` gives the reasons."
    for number, what, style in (
        (summary.n_refused, "refused (files)", "yellow"),
        (summary.n_failed, "failed (micrographs)", "red"),
    ):
        if number:
            say(f"{number:,}. {where}", f"{what}:", style)
    if summary.n_flagged:
        counted = "they do not count" if summary.n_excluded else "they count all the same"
        say(f"{summary.n_flagged:,}; {counted}: the report names them.", "flagged (micrographs):", "yellow")
    if summary.n_gone:
        say(f"{summary.n_gone:,} of the last run, renamed or removed since.", "gone (files):", "yellow")
    for sentence in summary.not_done:
        say(sentence, "not done:", "yellow")
    say(f"Report: {summary.out / 'report.html'}")


def ingest(
    folder: Annotated[Path, typer.Argument(help="Folder of the micrographs.")],
    out: OutFolder,
    table: Annotated[Path | None, typer.Option(help="A samples.csv or micrographs.csv.")] = None,
    pattern: Annotated[str | None, typer.Option(help='E.g. "{sample}/{group}/{order}_*.tif".')] = None,
    pixel_size_nm: Annotated[float | None, typer.Option(help="Side of a pixel, nm, for all files.")] = None,
    assumed: Annotated[bool, typer.Option(help="That pixel size is made up.")] = False,
) -> None:
    """Read micrographs into a store, refusing by name what cannot be measured."""
    from nanocensus import api

    manifest = api.ingest(
        folder, out, table=table, pattern=pattern, pixel_size_nm=pixel_size_nm, pixel_size_assumed=assumed
    )
    say(f"{len(manifest.micrographs):,} micrographs, {len(manifest.refusals):,} files refused.")
    for row in manifest.refusals.to_dict("records"):
        say(named(row["name"], row["reason"]), "refused", "yellow")


def status(out: OutFolder) -> None:
    """Say what of a run is done, failed (and why) and left, sample by sample."""
    from nanocensus.pipeline.run.inspection import progress_by_sample

    found = progress_by_sample(out)
    table = Table("sample", "done", "failed", "left", "particles", title=Text(str(out)))
    for sample, row in found.by_sample.iterrows():
        table.add_row(str(sample), *(f"{int(row[name]):,}" for name in ("done", "failed", "left", "n_detected")))
    out_console.print(table)
    left = int(found.by_sample["left"].sum())
    if found.rate is not None:
        to_go = f", about {left / found.rate:,.0f} min for the {left:,} that are left" if left else ""
        say(f"{found.rate:,.1f} micrographs a minute in the last run{to_go}.")
    for name, reason in found.failures:
        say(named(name, reason), "failed", "red")
    for name, reason in found.refusals:
        say(named(name, reason), "refused", "yellow")


def named(name: str, reason: str) -> str:
    """Put a file's name before a reason that does not hold it."""
    return reason if name in reason else f"{name}: {reason}"


def doctor(
    out: Annotated[Path | None, typer.Argument(help="A run's results, to be read through and verified.")] = None,
) -> None:
    """Check this installation, or the results of a run if a folder is given."""
    from nanocensus.pipeline.run.inspection import installation, verify

    if out is None:
        table = Table("what", "found", title="installation")
        for what, found in installation().items():
            table.add_row(what, found)
        out_console.print(table)
        return
    troubles = verify(out)
    for trouble in troubles:
        say(trouble, "broken", "red", console=error_console)
    if troubles:
        say("Run the job again: what is broken is done again, and nothing else.", console=error_console)
        raise typer.Exit(3)
    say(f"{out}: everything that was written can be read, and is what was written.")


def export(
    out: OutFolder,
    folder: Annotated[Path, typer.Argument(help="Where to write.")],
    what: Annotated[
        list[str] | None, typer.Option(help="csv, parquet, imagej, images, labels or maps; may be repeated.")
    ] = None,
) -> None:
    """Write a run's particles, images and labels for other programs."""
    from nanocensus.pipeline.run.export import export_run

    written = export_run(out, folder, what or ["csv"])
    say(f"{len(written)} files in {folder}")


def report(out: OutFolder) -> None:
    """Write the report of a finished run again."""
    from nanocensus import api

    say(f"Report: {api.report(out)}")
