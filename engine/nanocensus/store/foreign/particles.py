"""Any tool's table of particles, under our names and in nanometres, each particle with its sample and micrograph."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from nanocensus.errors import CalibrationError, TableError, did_you_mean
from nanocensus.schema import CONDITION_PREFIX, PARTICLES
from nanocensus.store.foreign.files import Kind, Piece, TableFile, as_numbers, as_texts, as_truths, table_files
from nanocensus.store.foreign.identities import PLACES, Identities
from nanocensus.store.foreign.names import Tool, derivable, likely_tool, power_of_length, tool_named
from nanocensus.units import NANOMETRES, PixelSize, nanometres_per

if TYPE_CHECKING:
    import dask.dataframe as dd

logger = logging.getLogger(__name__)

_READ = {"number": as_numbers, "text": as_texts, "truth": as_truths}
_PANDAS: Mapping[Kind, Any] = {
    "number": np.dtype(np.float64),
    "text": pd.StringDtype("pyarrow"),
    "truth": pd.BooleanDtype(),
}
_NAMES = ("micrograph", "file", "name")
"""Columns of a table of micrographs that may name them, the first that is there."""
_KIND_OF: Mapping[str, Kind] = {"string": "text", "bool": "truth", "int32": "number", "float64": "number"}


@dataclass(frozen=True, eq=False)
class ParticleTable:
    """Particles that were measured elsewhere, and how they came in."""

    frame: "pd.DataFrame | dd.DataFrame"
    """pandas from text files; dask from Parquet, some row groups a partition."""
    empty: pd.DataFrame
    """Micrographs without particles (sample, micrograph): files without rows, where a file is a micrograph."""
    facts: Mapping[str, Any]
    """What was read and how, as JSON values."""


@dataclass(frozen=True)
class Plan:
    """Which columns are made, and from which."""

    taken: Mapping[str, str]
    """Our name: theirs."""
    factors: Mapping[str, float]
    """Our name: what values are multiplied by to be in nm or nm2."""
    kinds: Mapping[str, Kind]
    """Of what is taken, by our name, and of what is kept under its own."""
    identities: Identities

    @property
    def columns(self) -> list[str]:
        """Names of the columns of the result."""
        return list(dict.fromkeys([*self.identities.made, *self.taken, *derivable(self.taken), *self.kinds]))


def open_particle_table(
    table: str | os.PathLike[str],
    *,
    tool: str | None = None,
    columns: Mapping[str, str] | None = None,
    unit: str | None = None,
    pixel_size_nm: float | None = None,
    sample: str | None = None,
    pattern: str | None = None,
    micrographs: pd.DataFrame | None = None,
) -> ParticleTable:
    """Open a table of particles; parameters and errors are those of `nanocensus.read_particle_table`."""
    files = table_files(table)
    known = None if tool is None else tool_named(tool)
    common = [name for name in files[0].kinds if all(name in file.kinds for file in files)]
    taken = _taken(files, common, known, dict(columns or {}))
    renamed = {ours for ours, theirs in taken.items() if ours != theirs}
    scaled = sorted(name for name in renamed if power_of_length(name))
    factor = _nanometres(str(table), scaled, known, unit, pixel_size_nm)
    places = {ours: theirs for ours, theirs in taken.items() if _is_place(ours)}
    if "sample" in places and sample is not None:
        raise TableError(
            str(table), expected="a sample given, or a column of it", got=f"both ({sample!r}, {places['sample']!r})",
            remedy="Leave one out.",
        )  # fmt: skip
    samples = None if micrographs is None or "sample" in places else _samples_of(micrographs)
    identities = Identities(sample, places, known, pattern, samples, len(files) > 1)
    measured = {ours: theirs for ours, theirs in taken.items() if ours not in places}
    kinds: dict[str, Kind] = {ours: _kind(files, ours, theirs) for ours, theirs in measured.items()}
    kept, ignored = _others(files, {*taken.values(), *identities.read})
    clashing = sorted(set(kept) & {*kinds, *derivable(measured), *identities.made})
    ignored += [name for name in clashing if name in kept]
    kinds |= {name: kind for name, kind in kept.items() if name not in clashing}
    factors = {name: factor ** power_of_length(name) for name in scaled}
    plan = Plan(measured, factors, kinds, identities)
    facts = {
        "files": [{"name": file.path.name, "rows": file.n_rows} for file in files],
        "tool": known.name if known else None,
        "nanometres_per_unit": factor if scaled else None,
        "columns": dict(taken),
        "derived": list(derivable(measured)),
        "kept": sorted(set(kinds) - set(measured)),
        "ignored": sorted(ignored),
    }
    logger.info("%s: columns %s; kept as they are %s; ignored %s", table, taken, facts["kept"], facts["ignored"])
    without = [identities.identify_file(file.pieces[0]) for file in files if not file.n_rows]
    found = [rows for rows in without if rows is not None]
    empty = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["micrograph", "sample"])
    return ParticleTable(_frame(files, plan), empty, facts)


def read_micrograph_table(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a table of micrographs: what identifies them as text, everything else as it is.

    Raises
    ------
    TableError
        If it cannot be read, is in several files, or has no column micrograph, file or name.
    """
    file, *others = table_files(path)
    if others:
        raise TableError(
            str(path), expected="one file of micrographs", got=f"{file.path.name} and {len(others)} more",
            remedy="Put all micrographs into one table.",
        )  # fmt: skip
    raw = pa.concat_tables([piece.read(list(file.kinds)) for piece in file.pieces])
    made = {
        name: as_texts(raw.column(name))
        if name in (*PLACES, *_NAMES) or kind == "nothing"
        else _READ[kind](raw.column(name))
        for name, kind in file.kinds.items()
        if kind != "other"
    }
    rows = pd.DataFrame(made)
    named = next((name for name in _NAMES if name in rows), None)
    if named is None:
        raise TableError(
            str(path), expected="a column micrograph (or file, or name)", got=", ".join(file.kinds),
            remedy="Call the column that names the micrographs so.",
        )  # fmt: skip
    return rows.assign(micrograph=rows[named])


def load_piece(piece: Piece, plan: Plan, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read one piece under our names; only what the wanted columns need is decoded."""
    wanted = plan.columns if columns is None else list(columns)
    derived = derivable(plan.taken)
    needed: list[str] = []

    def need(name: str) -> None:
        for source in derived[name][0] if name in derived else ():
            need(source)
        if name in plan.kinds and name not in needed:
            needed.append(name)

    for name in wanted:
        need(name)
    theirs = {name: plan.taken.get(name, name) for name in needed}
    places = plan.identities.read if set(wanted) & set(plan.identities.made) else ()
    raw = piece.read(list(dict.fromkeys([*theirs.values(), *places])))
    made: dict[str, pd.Series] = {}
    if set(wanted) & set(plan.identities.made):
        identified = plan.identities.identify(piece, raw)
        made |= {name: identified[name] for name in identified.columns}
    for name in needed:
        made[name] = _column(raw, theirs[name], plan.kinds[name], piece, plan.factors.get(name, 1.0))

    def derive(name: str) -> pd.Series:
        if name not in made:
            sources, formula = derived[name]
            with np.errstate(all="ignore"):
                made[name] = formula(*(derive(source) for source in sources))
        return made[name]

    return pd.DataFrame({name: derive(name) for name in wanted})


def _column(raw: pa.Table, name: str, kind: Kind, piece: Piece, factor: float) -> pd.Series:
    if name not in raw.column_names:  # a kept column that this file lacks
        return pd.Series([None] * len(raw), dtype=_PANDAS[kind])
    read = _READ[kind](raw.column(name))
    return read * factor if factor != 1.0 else read


def _frame(files: Sequence[TableFile], plan: Plan) -> "pd.DataFrame | dd.DataFrame":
    pieces = [piece for file in files for piece in file.pieces]
    texts = all(piece.content is not None for piece in pieces)
    if texts:
        return pd.concat([load_piece(piece, plan) for piece in pieces], ignore_index=True)
    import dask.dataframe as dd

    kinds: dict[str, Kind] = {name: plan.kinds.get(name, "number") for name in plan.columns}
    kinds |= dict.fromkeys(plan.identities.made, "text")
    meta = pd.DataFrame({name: pd.Series([], dtype=_PANDAS[kinds[name]]) for name in plan.columns})
    lazy: dd.DataFrame = dd.from_map(load_piece, pieces, plan=plan, meta=meta, label="particle-table")
    return lazy


def _is_place(name: str) -> bool:
    return name in PLACES or name.startswith(CONDITION_PREFIX)


def _taken(
    files: Sequence[TableFile], common: Sequence[str], tool: Tool | None, columns: dict[str, str]
) -> dict[str, str]:
    """Give their name of each column of ours that is in the table."""
    anywhere = list(dict.fromkeys(name for file in files for name in file.kinds))
    where = str(files[0].path)
    for ours, theirs in columns.items():
        if ours not in PARTICLES and not _is_place(ours):
            known = [*PLACES, *PARTICLES.names]
            raise TableError(
                f"columns, {ours}={theirs}", expected="a column that is declared", got=repr(ours),
                remedy=did_you_mean(ours, known) or "See docs/reference/columns.md; others keep their own names.",
            )  # fmt: skip
        if theirs not in anywhere:
            raise TableError(
                where, expected=f"the column {theirs!r} (for {ours})", got=", ".join(anywhere),
                remedy=did_you_mean(theirs, anywhere) or "Name a column of the table.",
            )  # fmt: skip
    taken = {name: name for name in anywhere if name in PARTICLES or _is_place(name)} | columns
    for ours, names in (tool.columns if tool else {}).items():
        found = [name for name in names if name in common] or [name for name in names if name in anywhere]
        if found and ours not in taken:
            taken[ours] = found[0]
    if not any(name in PARTICLES and PARTICLES[name].quantum is not None for name in taken):
        guess = likely_tool(anywhere)
        wanted = [each for names in tool.columns.values() for each in names] if tool else list(PARTICLES.names)
        near = [sentence for name in anywhere if (sentence := did_you_mean(name, wanted))]
        remedy = near[0] if near else "Name them: columns={'edge_length_nm': 'Length'}."
        if guess is not None and guess is not tool:
            remedy = f"It looks like a table of {guess.name}: say tool={guess.name.casefold()!r} (--from)."
        raise TableError(
            where, expected=f"columns of {tool.name}" if tool else "columns that are declared (edge_length_nm, ...)",
            got=", ".join(anywhere), remedy=remedy,
        )  # fmt: skip
    for file in files:
        lacking = [theirs for theirs in taken.values() if theirs not in file.kinds]
        if lacking:
            raise TableError(
                str(file.path), expected="the same columns in every file", got="none named " + ", ".join(lacking),
                remedy="Measure it as the others, or leave the file out.",
            )  # fmt: skip
    return taken


def _kind(files: Sequence[TableFile], ours: str, theirs: str) -> Kind:
    """Give the kind that a column of ours has, or refuse a file whose values are of another."""
    kind = _KIND_OF[PARTICLES[ours].dtype]
    for file in files:
        held = file.kinds[theirs]
        if kind != "text" and held not in (kind, "nothing"):
            raise TableError(
                f"{file.path}, column {theirs!r}", expected=f"{kind}s", got=_example(file, theirs),
                remedy="Write numbers with a decimal point and no unit; leave cells without a value empty.",
            )  # fmt: skip
    return kind


def _example(file: TableFile, name: str) -> str:
    content = file.pieces[0].content
    if content is None:
        return file.kinds[name]
    cells = content.column(name).to_pandas()
    bad = cells[pd.to_numeric(cells.str.strip(), errors="coerce").isna() & (cells.str.strip() != "")]
    return f"{bad.iloc[0]!r} in row {bad.index[0] + 1}" if len(bad) else file.kinds[name]


def _others(files: Sequence[TableFile], used: set[str]) -> tuple[dict[str, Kind], list[str]]:
    """Give the columns that nobody knows: those that are kept, with their kinds, and those that cannot be."""
    kept: dict[str, Kind] = {}
    ignored = []
    for name in dict.fromkeys(name for file in files for name in file.kinds):
        held = {file.kinds[name] for file in files if name in file.kinds} - {"nothing"}
        if name in used:
            continue
        if name == " " or "other" in held:
            ignored.append(name)
        else:
            kept[name] = "text" if len(held) != 1 else held.pop()
    return kept, ignored


def _nanometres(
    table: str, scaled: Sequence[str], tool: Tool | None, unit: str | None, pixel_size_nm: float | None
) -> float:
    """Give the nanometres in one unit of the renamed lengths; nobody else can say it."""
    given = unit if unit is not None else ("px" if pixel_size_nm is not None else tool.unit if tool else None)
    if not scaled:
        if unit is not None or pixel_size_nm is not None:
            raise CalibrationError(
                table, expected="lengths to convert", got="none: columns called _nm and _nm2 are in nm already",
                remedy="Leave the unit and the pixel size out, or name the columns (columns, tool).",
            )  # fmt: skip
        return 1.0
    if given is None and tool is None:
        return 1.0  # the user calls them edge_length_nm, ...
    if given is None and tool is not None:
        raise CalibrationError(
            f"unit of {table}", expected='the unit of its lengths: "nm", "um", "A", or "px" with pixel_size_nm',
            got=f"nothing: {tool.name} writes none into its tables",
            remedy="Look where the scale was set, and say for example unit='nm' (--unit nm).",
        )  # fmt: skip
    if given == "px" and pixel_size_nm is not None:
        return PixelSize(pixel_size_nm, pixel_size_nm, "given").square_nm()
    if given == "px" or pixel_size_nm is not None:
        raise CalibrationError(
            f"unit of {table}", expected="a pixel size where lengths are in px, and none where they are not",
            got="px without a pixel size" if given == "px" else f"{given} and a pixel size",
            remedy="Give pixel_size_nm (--pixel-size-nm), or the unit that the lengths are in (--unit).",
        )  # fmt: skip
    try:
        return nanometres_per(str(given))
    except CalibrationError as error:
        expected = "one of px, " + ", ".join(NANOMETRES)
        raise CalibrationError("unit", expected=expected, got=error.got, remedy="Correct it.") from None


def _samples_of(micrographs: pd.DataFrame) -> dict[str, str] | None:
    """Give the sample of each micrograph, where a table of them tells."""
    if not {"sample", "micrograph"} <= set(micrographs.columns):
        return None
    pairs = micrographs[["micrograph", "sample"]].astype("str").drop_duplicates()
    twice = pairs[pairs["micrograph"].duplicated()]
    if len(twice):
        raise TableError(
            "micrographs", expected="one row a micrograph", got=f"{twice.iloc[0]['micrograph']!r} in two samples",
            remedy="Give the particles a column of their sample, or other names to the micrographs.",
        )  # fmt: skip
    return dict(zip(pairs["micrograph"], pairs["sample"], strict=True))
