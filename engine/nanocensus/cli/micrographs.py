"""Commands on micrographs: look through a folder of them, check their scale, simulate them."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from nanocensus.cli.arguments import OutFolder
from nanocensus.cli.runs import named
from nanocensus.errors import InputError
from nanocensus.terminal import out_console, progress_shown, say


def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the micrographs.")],
    replace: Annotated[bool, typer.Option("--replace", help="Replace a job.toml and micrographs.csv there.")] = False,
) -> None:
    """Look through a folder of micrographs, and write a job file and a table of what was found, to edit."""
    from nanocensus.pipeline.run.first_job import begin

    with progress_shown() as on_progress:
        first = begin(folder, replace=replace, on_progress=on_progress)
    found = first.survey
    table = Table("sample", "files", "nm a pixel", "conditions", title=Text(str(folder)))
    for sample in dict.fromkeys(each.sample for each in found.files):
        members = [each for each in found.files if each.sample == sample]
        sizes = sorted({f"{each.pixel_size_nm:.4g}" for each in members if each.pixel_size_nm is not None})
        conditions = ", ".join(f"{name} {_plain(value)}" for name, value in found.conditions[sample].items())
        table.add_row(sample, str(len(members)), ", ".join(sizes) or "unknown", conditions)
    out_console.print(table)
    for each in found.files:
        if each.problem:
            say(named(each.name, each.problem), "will be refused", "red")
    if found.uncalibrated:
        few = ", ".join(found.uncalibrated[:3])
        say(f"not stated by {few} ({len(found.uncalibrated)} in all)", "pixel size", "yellow")
    for remark in found.remarks:
        say(remark, "look", "yellow")
    say(f"Table: {first.table}\nNext: look through it, then nanocensus run {first.job}")


def _plain(value: float | str) -> str:
    """Write a condition with all its digits: it may be a date."""
    return f"{value:.15g}" if isinstance(value, float) else value


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
    from nanocensus.pipeline.run.scale import TABLE, check_scale, undo_recalibration
    from nanocensus.pipeline.run.scale import recalibrate as record

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
    with progress_shown() as on_progress:
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


def simulate(
    folder: Annotated[Path, typer.Argument(help="Where to write the micrographs, their masks and tables.")],
    n: Annotated[int, typer.Option(help="Number of micrographs.")] = 4,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
    job_file: Annotated[Path | None, typer.Option("--job", help="A job file whose [simulate] section to use.")] = None,
) -> None:
    """Write simulated micrographs whose true particles are known."""
    from nanocensus.pipeline.job.sections import SimulateSection
    from nanocensus.pipeline.job.spec import read_job
    from nanocensus.simulate.rendering import write_simulated

    section = read_job(job_file).simulate if job_file is not None else None
    section = section or SimulateSection()
    write_simulated(folder, section.micrograph, n=n, seed=seed, sample=section.sample)
    say(f"{n} micrographs in {folder}; analyse them with table = {folder / 'micrographs.csv'}")
