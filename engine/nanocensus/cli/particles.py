"""Commands on particles: measure and analyse them, choose the bounds they must keep, plan how many are needed."""

from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from nanocensus.cli.arguments import OutFolder
from nanocensus.errors import InputError
from nanocensus.terminal import out_console, say

if TYPE_CHECKING:
    import pandas as pd

    from nanocensus.pipeline.analysis.analyse import Analysis


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
    from nanocensus.pipeline.tables.label_images import CRITERIA, analyse_labels, read_criteria

    found = analyse_labels(
        labels, out=out, of=of or (), bin_width_nm=bin_width_nm, images=images, pixel_size_nm=pixel_size_nm, sample=sample,
        pattern=pattern, table=table, estimator=parse_estimator(estimator),
        criteria=CRITERIA if criteria is None else read_criteria(criteria),
    )  # fmt: skip
    _say_not_done(found)
    _say_counts(found.counts, out)


def _say_not_done(found: "Analysis") -> None:
    for sentence in found.not_done:
        say(sentence, "not done:", "yellow")


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
    bin_width_nm: Annotated[
        float | None, typer.Option(help="Of a table: width of the size bins, nm; 0.2 if left out.")
    ] = None,
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
    from nanocensus.pipeline.job.onset_section import ranges_of
    from nanocensus.pipeline.tables.table_analysis import analyse_file, pairs_of

    if out is None and not Path(what).is_dir() and (Path(what).is_file() or set("*?[") & set(what)):
        raise InputError(
            what, expected="the folder to write to, for a table", got="none", remedy="Say --out results-of-table."
        )
    if out is None:
        of_tables = {"--from": tool, "--columns": columns, "--unit": unit, "--pixel-size-nm": pixel_size_nm, "--sample": sample,
                     "--pattern": pattern, "--micrographs": micrographs, "--of": of,
                     "--bin-width-nm": bin_width_nm, "--onset": onset}  # fmt: skip
        if given := [name for name, value in of_tables.items() if value not in (None, [])]:
            raise InputError(
                what, expected="for the results of a run nothing else: its job says what is asked", got=", ".join(given),
                remedy="Change the job and run it again, which redoes the statistics alone; or, if this is a folder of "
                "tables, say --out.",
            )  # fmt: skip
        _say_not_done(api.analyse(what))
        say(f"Tables: {Path(what) / 'tables'}")
        return
    found = analyse_file(
        what, micrographs, out=out, of=of or (), bin_width_nm=0.2 if bin_width_nm is None else bin_width_nm, tool=tool,
        unit=unit, sample=sample,
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
    from nanocensus.pipeline.run.sampling import plan_run
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
