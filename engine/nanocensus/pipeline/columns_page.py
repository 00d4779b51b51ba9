"""The pages of the documentation that list every column, written from the declarations."""

from collections.abc import Sequence

from nanocensus.pipeline.baselines.excess_columns import EXCESS_TABLES
from nanocensus.pipeline.evaluation.columns import EVALUATION_TABLES
from nanocensus.pipeline.evaluation.merit import LARGE_PX, figures_of_merit
from nanocensus.pipeline.onsets.columns import ONSET_TABLES
from nanocensus.pipeline.populations.columns import POPULATION_TABLES
from nanocensus.schema import Column, Table

_HEAD = """# Every column of every table

Written by `nanocensus schema` from `nanocensus.schema`; do not edit it by hand. Units: nm, nm2 (square nanometres), px,
rad, 1 (a ratio). "May be missing" marks columns that can hold no value. The quantum is the step to which the statistics
round a value before they add it up. [names.md](names.md) gives the names of other tools for the same quantities.
"""

_EVALUATION_HEAD = """# Every column of the tables of an evaluation

Written by `nanocensus schema`; do not edit it by hand. `nanocensus evaluate` writes these tables beside `evaluation.html` and
`evaluation.json` (what made them); `nc.evaluate` gives them as DataFrames. [How to evaluate a
network](../how-to/evaluate-a-network.md) says what they are good for. Units: px, nm, 1 (a ratio).
"""

_ONSET_HEAD = """# Every column of the tables of onset sizes

Written by `nanocensus schema`; do not edit it by hand. A run whose job has a section [`[onsets]`](job.md#onsets) writes these
tables; the last four where it takes a constant shape or pairs off. [Onset sizes](../explanation/onsets.md) says how they are found.
Units: nm, 1 (a ratio).
"""

_POPULATIONS_HEAD = """# Every column of the tables of synthesis models and further comparisons

Written by `nanocensus schema`; do not edit it by hand. A run whose job has a section [`[synthesis]`](job.md#synthesis) or
[`[populations]`](job.md#populations) writes these tables. [Synthesis and populations](../explanation/populations.md) says how the
numbers are found. Units: nm, 1 (a ratio); where there is none, that of the row's descriptor.
"""

_FIGURES_HEAD = """## Figures of merit

Rows of `summary.csv`; slopes are per nm of true edge length, or per px where a pixel size is missing.

| figure | unit | meaning |
|---|---|---|"""

_CALIBRATION_ROW = (
    "| `calibration_error` | 1 | Expected calibration error of pixels with probabilities from 0.05 to 0.95; without an "
    "interval. |"
)


def columns_markdown(tables: Sequence[Table]) -> str:
    """Write the page.

    Parameters
    ----------
    tables : sequence of Table
        In the order of the page.

    Returns
    -------
    str
        Markdown, one newline at the end.

    Examples
    --------
    >>> from nanocensus.schema import REFUSALS
    >>> columns_markdown([REFUSALS]).splitlines()[6]
    '## refusals'
    """
    return "\n".join([_HEAD, *(_section(table) for table in tables)])


def evaluation_markdown() -> str:
    """Write the page of the tables of an evaluation, and of its figures of merit.

    Returns
    -------
    str
        Markdown, one newline at the end.

    Examples
    --------
    >>> "| `found_over_true` | 1 |" in evaluation_markdown()
    True
    """
    figures = [f"| `{figure.name}` | {figure.unit} | {figure.meaning} |" for figure in figures_of_merit("nm", LARGE_PX)]
    sections = [_section(table) for table in EVALUATION_TABLES.values()]
    return "\n".join([_EVALUATION_HEAD, *sections, _FIGURES_HEAD, *figures, _CALIBRATION_ROW, ""])


def section_pages() -> dict[str, str]:
    """Write the pages of the tables that sections of a job ask for, by the names of their files.

    Returns
    -------
    dict of str to str
        Markdown, one newline at the end.

    Examples
    --------
    >>> "| `estimate_nm` | float64 | nm |" in section_pages()["onsets.md"]
    True
    """
    held = {
        "onsets.md": (_ONSET_HEAD, {**ONSET_TABLES, **EXCESS_TABLES}),
        "populations.md": (_POPULATIONS_HEAD, POPULATION_TABLES),
    }
    return {name: "\n".join([head, *map(_section, tables.values())]) for name, (head, tables) in held.items()}


def _section(table: Table) -> str:
    lines = [f"## {table.name}", "", table.meaning]
    if table.open_prefix:
        lines += ["", f"Columns that begin with `{table.open_prefix}` may be added: numbers or text of your own."]
    lines += ["", "| column | type | unit | meaning | range | quantum | ISO 9276-6 |", "|---|---|---|---|---|---|---|"]
    lines += [_row(column) for column in table.columns]
    return "\n".join(lines) + "\n"


def _row(column: Column) -> str:
    meaning = column.meaning + (" May be missing." if column.nullable else "")
    cells = (
        f"`{column.name}`",
        column.dtype,
        column.unit,
        meaning,
        _range(column),
        "" if column.quantum is None else f"{column.quantum:.6g}",
        column.iso_name,
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _range(column: Column) -> str:
    if column.choices:
        return ", ".join(column.choices)
    low = "" if column.minimum is None else f"from {column.minimum:.6g}"
    high = "" if column.maximum is None else f"to {column.maximum:.6g}"
    return f"{low} {high}".strip()
