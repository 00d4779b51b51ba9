"""The command line: parse arguments, call, show progress, map errors to exit codes.

Exit codes: 0 all well; 1 done, but some micrographs failed; 2 something given cannot be used; 3 what is on disk is not
what it should be; 4 a device or an optional dependency is missing; 130 interrupted.
"""

import logging
import signal
import sys
from math import isnan, nan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from nanocensus import __version__
from nanocensus.errors import InputError, NanocensusError
from nanocensus.terminal import error_console, out_console, progress_bars, say, stopping_politely

if TYPE_CHECKING:
    import pandas as pd

    from nanocensus.pipeline.record import RunSummary

app = typer.Typer(
    name="nanocensus",
    help="Population statistics of nanocrystals from electron micrographs, with honest uncertainty.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # or [simulate] in a help text would be taken for markup
)
JobFile = Annotated[Path, typer.Argument(help="The job file (TOML); jobs/ holds examples to copy.")]
OutFolder = Annotated[Path, typer.Argument(help="The folder of a run's results.")]

INTERRUPTED = 130


@app.callback(invoke_without_command=True)
def about(version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False) -> None:
    """Say which nanocensus this is, or go on to a command."""
    if version:
        say(__version__)
        raise typer.Exit


@app.command()
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

    with progress_bars() as on_progress, stopping_politely() as stopping:
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
    say(f"Report: {summary.out / 'report.html'}")


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the micrographs.")],
    replace: Annotated[bool, typer.Option("--replace", help="Replace a job.toml and micrographs.csv there.")] = False,
) -> None:
    """Look through a folder of micrographs, and write a job file and a table of what was found, to edit."""
    from nanocensus.pipeline.first_job import begin

    with progress_bars() as on_progress:
        first = begin(folder, replace=replace, on_progress=on_progress)
    found = first.survey
    table = Table("sample", "files", "nm a pixel", "conditions", title=Text(str(folder)))
    for sample in dict.fromkeys(each.sample for each in found.files):
        members = [each for each in found.files if each.sample == sample]
        sizes = sorted({f"{each.pixel_size_nm:.4g}" for each in members if each.pixel_size_nm is not None})
        conditions = ", ".join(f"{name} {value:g}" for name, value in found.conditions[sample].items())
        table.add_row(sample, str(len(members)), ", ".join(sizes) or "unknown", conditions)
    out_console.print(table)
    for each in found.files:
        if each.problem:
            say(each.problem, "will be refused", "red")
    if found.uncalibrated:
        few = ", ".join(found.uncalibrated[:3])
        say(f"not stated by {few} ({len(found.uncalibrated)} in all)", "pixel size", "yellow")
    for remark in found.remarks:
        say(remark, "look", "yellow")
    say(f"Table: {first.table}\nNext: look through it, then nanocensus run {first.job}")


@app.command()
def status(out: OutFolder) -> None:
    """Say what of a run is done, failed (and why) and left, sample by sample."""
    from nanocensus.pipeline.inspection import progress_by_sample

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
        say(_named(name, reason), "failed", "red")
    for name, reason in found.refusals:
        say(_named(name, reason), "refused", "yellow")


def _named(name: str, reason: str) -> str:
    """Put a file's name before a reason that does not hold it."""
    return reason if name in reason else f"{name}: {reason}"


@app.command()
def doctor(
    out: Annotated[Path | None, typer.Argument(help="A run's results, to be read through and verified.")] = None,
) -> None:
    """Check this installation, or the results of a run if a folder is given."""
    from nanocensus.pipeline.inspection import installation, verify

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


@app.command()
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
        say(_named(row["name"], row["reason"]), "refused", "yellow")


@app.command()
def export(
    out: OutFolder,
    folder: Annotated[Path, typer.Argument(help="Where to write.")],
    what: Annotated[
        list[str] | None, typer.Option(help="csv, parquet, imagej, images, labels or maps; may be repeated.")
    ] = None,
) -> None:
    """Write a run's particles, images and labels for other programs."""
    from nanocensus.pipeline.export import export_run

    written = export_run(out, folder, what or ["csv"])
    say(f"{len(written)} files in {folder}")


@app.command()
def scale(
    out: OutFolder,
    lattice: Annotated[
        str | None,
        typer.Option(help='Co3O4, Au, ...; a .cif; "4.08 F" (cubic, angstroms); or spacings in nm between commas.'),
    ] = None,
    recalibrate: Annotated[
        bool, typer.Option("--recalibrate", help="Use the sizes that are found, from the next run on.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Use the stated sizes again, from the next run on.")] = False,
) -> None:
    """Hold the stated pixel sizes against the lattice fringes of the micrographs themselves."""
    from nanocensus.pipeline.scale import TABLE, check_scale, undo_recalibration
    from nanocensus.pipeline.scale import recalibrate as record

    again = "Run the job again: particles are measured anew, nothing is segmented anew."
    if undo:
        say(again if undo_recalibration(out) else "Nothing to undo: the stated sizes are used.")
        return
    if lattice is None:
        remedy = 'Say --lattice Co3O4, or spacings in nm such as "0.4667,0.2858".'
        raise InputError("--lattice", expected="the lattice of the particles", got="none", remedy=remedy)
    table = Table(
        "session", "micrographs", "spots", "stated, nm", "used, nm", "found, nm", "difference", "anisotropy",
        title=Text(lattice),
    )  # fmt: skip
    with progress_bars() as on_progress:
        found = check_scale(out, lattice, on_progress=on_progress)
    for each in found:
        row = [each.name, str(each.micrographs)]
        sizes = [f"{each.stated_nm:.5g}", f"{each.used_nm:.5g}"]
        if each.found is None:
            table.add_row(*row, "0", *sizes, "no lattice seen", "", "")
            continue
        (low, high), (least, most) = each.found.pixel_size_interval_nm, each.found.anisotropy_interval
        table.add_row(
            *row,
            str(each.found.spots),
            *sizes,
            f"{each.found.pixel_size_nm:.5f} [{low:.5f}, {high:.5f}]",
            f"{each.difference:+.2%}",
            f"{each.found.anisotropy:.2%} [{least:.2%}, {most:.2%}]",
        )
    out_console.print(table)
    for each in found:
        if each.disagrees and not recalibrate:
            say(f"{each.name}: say --recalibrate to use the size that was found, or find out why", "disagrees", "red")
    if recalibrate:
        made = record(out, found)
        for one in made:
            size = f"{one.stated_nm:.5g} nm becomes {one.pixel_size_nm:.5f} nm (u = {one.uncertainty:.2%})"
            say(f"{one.session or 'all'}: {size}", "recalibrated", "green")
        say(again if made else "Nothing was recorded: no lattice seen.")
    say(f"Table: {out / TABLE}")


@app.command()
def measure(
    labels: Annotated[Path, typer.Argument(help="A folder of label images (0 is background, each value a particle).")],
    out: Annotated[Path, typer.Option(help="Folder of the results.")],
    images: Annotated[
        Path | None, typer.Option(help="Folder of their micrographs, of equal names: shapes are checked by them.")
    ] = None,
    pixel_size_nm: Annotated[float | None, typer.Option(help="Side of a pixel, nm, if the files do not say.")] = None,
    sample: Annotated[
        str | None, typer.Option(help="The sample of all; else the first folders are the samples.")
    ] = None,
    pattern: Annotated[str | None, typer.Option(help='Where names are in the paths: "{sample}/{group}_*.tif".')] = None,
    table: Annotated[Path | None, typer.Option(help="A samples.csv or micrographs.csv, as for a job.")] = None,
    estimator: Annotated[str, typer.Option(help="outline, paper or crofton.")] = "outline",
    criteria: Annotated[Path | None, typer.Option(help="A TOML file with [criteria], such as a job.")] = None,
    of: Annotated[list[str] | None, typer.Option(help="A column to analyse; may be repeated.")] = None,
    bin_width_nm: Annotated[float, typer.Option(help="Width of the size bins, nm.")] = 0.2,
) -> None:
    """Measure the particles of label images that another tool made, and analyse them."""
    from nanocensus.measure.parse import parse_estimator
    from nanocensus.pipeline.label_images import CRITERIA, analyse_labels, read_criteria

    found = analyse_labels(
        labels, out=out, of=of or (), bin_width_nm=bin_width_nm, images=images, pixel_size_nm=pixel_size_nm, sample=sample,
        pattern=pattern, table=table, estimator=parse_estimator(estimator),
        criteria=CRITERIA if criteria is None else read_criteria(criteria),
    )  # fmt: skip
    _say_counts(found.counts, out)


@app.command()
def analyse(
    what: Annotated[str, typer.Argument(help="The results of a run; or a table of particles: a file, folder or glob.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the results, of a table.")] = None,
    tool: Annotated[
        str | None, typer.Option("--from", help="imagej, scikit-image, particlespy or cellprofiler.")
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help='Our columns = the table\'s, e.g. "edge_length_nm=Length,sample=Batch".')
    ] = None,
    unit: Annotated[str | None, typer.Option(help="Unit of the table's lengths: nm, um, A, ..., px.")] = None,
    pixel_size_nm: Annotated[float | None, typer.Option(help="Side of a pixel, nm, where lengths are in px.")] = None,
    sample: Annotated[str | None, typer.Option(help="The sample of all particles.")] = None,
    pattern: Annotated[
        str | None, typer.Option(help='Where the sample stands in the micrographs\' names: "{sample}_*".')
    ] = None,
    micrographs: Annotated[
        Path | None, typer.Option(help="A table of the micrographs, those without particles too.")
    ] = None,
    of: Annotated[list[str] | None, typer.Option(help="A column to analyse; may be repeated.")] = None,
    bin_width_nm: Annotated[float, typer.Option(help="Width of the size bins, nm.")] = 0.2,
    onset: Annotated[
        list[str] | None,
        typer.Option(
            help="Of a table: a descriptor and the sizes between which its onset is sought, "
            "circularity=2.6:7.6; may be repeated."
        ),
    ] = None,
) -> None:
    """Compute the statistics of a finished run again, or those of a table that another tool wrote."""
    from nanocensus import api
    from nanocensus.pipeline.onset_section import ranges_of
    from nanocensus.pipeline.table_analysis import analyse_file, pairs_of

    if out is None and Path(what).is_file():
        raise InputError(
            what, expected="the folder to write to, for a table", got="none", remedy="Say --out results-of-table."
        )
    if out is None:
        of_tables = {"--from": tool, "--columns": columns, "--unit": unit, "--pixel-size-nm": pixel_size_nm, "--sample": sample,
                     "--pattern": pattern, "--micrographs": micrographs, "--of": of, "--onset": onset}  # fmt: skip
        if given := [name for name, value in of_tables.items() if value]:
            raise InputError(
                what, expected="for the results of a run nothing else: its job says what is asked", got=", ".join(given),
                remedy="Change the job and run it again, which redoes the statistics alone; or, if this is a folder of "
                "tables, say --out.",
            )  # fmt: skip
        api.analyse(what)
        say(f"Tables: {Path(what) / 'tables'}")
        return
    found = analyse_file(
        what, micrographs, out=out, of=of or (), bin_width_nm=bin_width_nm, tool=tool, unit=unit, sample=sample,
        columns=pairs_of(columns), pixel_size_nm=pixel_size_nm, pattern=pattern, onsets=ranges_of(onset or []),
    )  # fmt: skip
    _say_counts(found.counts, out)


def _say_counts(counts: "pd.DataFrame", out: Path) -> None:
    for row in counts.to_dict("records"):
        left = [f"{number:,} {reason}" for reason, number in row.items() if reason not in ("sample", "detected", "accepted")
                and number]  # fmt: skip
        say(f"{row['accepted']:,} of {row['detected']:,} particles{' (left out: ' if left else ''}"
             f"{', '.join(left)}{')' if left else ''}", f"{row['sample']}:")  # fmt: skip
    say(f"Report: {out / 'report.html'}")


@app.command()
def plan(
    out: OutFolder,
    half_width: Annotated[
        float | None, typer.Option(help="Wanted half-width of the mean's interval, in the descriptor's unit.")
    ] = None,
    standard_error: Annotated[float | None, typer.Option(help="Or its standard error.")] = None,
    cv: Annotated[float | None, typer.Option(help="Or that as a share of the mean: 0.02 for 2 %.")] = None,
    of: Annotated[list[str] | None, typer.Option(help="A descriptor; may be repeated. The job's if left out.")] = None,
    by_size: Annotated[bool, typer.Option("--by-size", help="Plan for every size bin.")] = False,
    at_most: Annotated[int, typer.Option(help="Micrographs that one would record at the most.")] = 1000,
) -> None:
    """Say how many micrographs the means need, and whether those at hand are enough; ask it while recording."""
    from nanocensus.pipeline.sampling import plan_run
    from nanocensus.show.numbers import with_interval

    found = plan_run(
        out, of=of or (), by_size=by_size, half_width=half_width, standard_error=standard_error, cv=cv, at_most=at_most
    )
    sizes = ["size, nm"] if by_size else []
    table = Table("sample", *sizes, "descriptor", "micrographs", "mean", "ICC", "now", "needed", "advice")
    for row in found.to_dict("records"):
        size = [f"{row['size_left']:.2f} to {row['size_right']:.2f}"] if by_size else []
        now = _known(row["reached"], ".2%" if cv is not None else ".3g")
        table.add_row(
            str(row["sample"]), *size, str(row["descriptor"]), f"{row['n_micrographs']:,}", f"{row['mean']:.4g}",
            with_interval(row["icc"], row["icc_lower"], row["icc_upper"]), now, _known(row["needed"], ",.0f"), row["advice"],
        )  # fmt: skip
    out_console.print(table)
    say(
        "now: what was asked for, as it is; needed: micrographs in all; advice: more to record, in brackets the range that "
        "the uncertainty of the ICC leaves. It supposes that further micrographs are like these."
    )


def _known(number: float, form: str) -> str:
    return "–" if isnan(number) else f"{number:{form}}"


@app.command()
def report(out: OutFolder) -> None:
    """Write the report of a finished run again."""
    from nanocensus import api

    say(f"Report: {api.report(out)}")


@app.command()
def criteria(
    out: OutFolder,
    job_file: Annotated[
        Path | None, typer.Option("--job", help="A job file whose criteria to try, instead of the run's.")
    ] = None,
    samples: Annotated[
        list[str] | None, typer.Option("--sample", help="A sample to show; may be repeated. All if left out.")
    ] = None,
    crops: Annotated[int, typer.Option(help="Particles to show on each side of a bound.")] = 8,
) -> None:
    """Show the particles on both sides of each criterion's bound, to choose bounds by eye."""
    from nanocensus import api

    tried = api.read_job(job_file).criteria if job_file is not None else None
    say(f"Gallery: {api.criteria_gallery(out, criteria=tried, samples=samples, crops=crops)}")


@app.command()
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
    from nanocensus.show.numbers import with_interval

    with progress_bars() as on_progress:
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
            shown.add_row(str(figure), "" if unit == "1" else str(unit), *(with_interval(*cell) for cell in cells))
        out_console.print(shown)
    say(f"Page: {found.page}; the tables stand beside it.")


@app.command()
def train(job_file: JobFile) -> None:
    """Train networks: one for each fold that is left out, and one on everything."""
    from nanocensus.pipeline.dispatch import Progress
    from nanocensus.pipeline.training import TrainingSpec
    from nanocensus.pipeline.training import train as train_networks
    from nanocensus.sections import parse_section, read_toml

    spec = parse_section(TrainingSpec, read_toml(job_file), section="training", base=job_file.parent)
    with progress_bars() as on_progress:
        results = train_networks(spec, progress=lambda at: on_progress(Progress(at.network, at.step, at.steps)))
    for result in results:
        say(str(result))


@app.command()
def simulate(
    folder: Annotated[Path, typer.Argument(help="Where to write the micrographs, their masks and tables.")],
    n: Annotated[int, typer.Option(help="Number of micrographs.")] = 4,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
    job_file: Annotated[Path | None, typer.Option("--job", help="A job file whose [simulate] section to use.")] = None,
) -> None:
    """Write simulated micrographs whose true particles are known."""
    from nanocensus.pipeline.job_sections import SimulateSection
    from nanocensus.pipeline.spec import read_job
    from nanocensus.simulate.rendering import write_simulated

    section = read_job(job_file).simulate if job_file is not None else None
    section = section or SimulateSection()
    write_simulated(folder, section.micrograph, n=n, seed=seed, sample=section.sample)
    say(f"{n} micrographs in {folder}; analyse them with table = {folder / 'micrographs.csv'}")


@app.command()
def schema(
    folder: Annotated[Path, typer.Option(help="Where to write the contracts.")] = Path("schemas"),
    page: Annotated[Path, typer.Option(help="The page that documents the columns.")] = Path(
        "docs/reference/columns.md"
    ),
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if what is there differs.")] = False,
) -> None:
    """Write the published contracts (JSON Schema) and the page of columns from the code."""
    from nanocensus.pipeline.contracts import published

    drifted = []
    for path, text in published(folder, page).items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            drifted.append(path)
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    for path in drifted:
        say(f"{'differs' if check else 'written'}: {path}")
    if check and drifted:
        say(
            "The contracts lag behind the code. Run `nanocensus schema` and review what changed.", console=error_console
        )
        raise typer.Exit(1)


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
