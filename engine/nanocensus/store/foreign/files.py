"""Tables as files: CSV, TSV and Parquet, one or a folder of them, read by columns in pieces that fit into memory."""

import glob
import itertools
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from nanocensus.errors import TableError
from nanocensus.provenance import file_digest
from nanocensus.store.names import one_spelling
from nanocensus.store.ordering import natural_key

Kind = Literal["number", "text", "truth", "nothing", "other"]
"""What a column of a file holds; "nothing" if all of it is missing."""

TEXT_SUFFIXES, PARQUET_SUFFIXES = (".csv", ".tsv", ".txt"), (".parquet", ".pq")
TABLE_SUFFIXES = (*TEXT_SUFFIXES, *PARQUET_SUFFIXES)
_END_BYTES = 2**13
PIECE_ROWS = 2**20
"""Rows of Parquet that are read at once, unless a row group holds more."""
_MISSING = ("", "nan", "na", "n/a", "null")
_TRUTHS = {"true": True, "false": False}


@dataclass(frozen=True)
class Piece:
    """Some row groups of a Parquet file, or all of a text file."""

    path: str
    name: str
    """Of its file: relative to the folder, with forward slashes and without suffix."""
    groups: tuple[int, ...] = ()
    content: pa.Table | None = field(default=None, compare=False, repr=False)
    """What a text file holds, as text."""

    def read(self, columns: Sequence[str]) -> pa.Table:
        """Read those of some columns that the file has."""
        if self.content is not None:
            return self.content.select([name for name in columns if name in self.content.column_names])
        with pq.ParquetFile(self.path) as file:
            there = [name for name in columns if name in file.schema_arrow.names]
            return file.read_row_groups(list(self.groups), columns=there).select(there)


@dataclass(frozen=True)
class TableFile:
    """One file of a table."""

    path: Path
    name: str
    kinds: dict[str, Kind]
    """Of each column, in order."""
    n_rows: int
    pieces: tuple[Piece, ...]


def table_files(where: str | os.PathLike[str]) -> list[TableFile]:
    """Find and open the files of a table: a file, a folder of files of one kind, or a glob.

    Of Parquet only the footers are read; text is read whole.

    Raises
    ------
    TableError
        If there is none, they are of several kinds, one cannot be read, or one is there twice.
    """
    root, paths = _found(os.fspath(where))
    _refuse_copies(paths)
    kinds = {path.suffix.lower() in PARQUET_SUFFIXES for path in paths}
    if len(kinds) > 1:
        raise _refusal(
            where, "Parquet or text", "both", "Give the files of one kind, by a pattern like 'folder/*.csv'."
        )
    names = [one_spelling(path.relative_to(root).with_suffix("").as_posix()) for path in paths]
    opened = _parquet if kinds == {True} else _text
    return [opened(path, name) for path, name in zip(paths, names, strict=True)]


def has_tables(folder: Path) -> bool:
    """Say whether a folder holds files of tables."""
    return any(path.suffix.lower() in TABLE_SUFFIXES for path in _visible(folder))


def _found(where: str) -> tuple[Path, list[Path]]:
    """Give the folder to which names are relative, and the files in natural order."""
    path = Path(where)
    if path.is_file():
        if path.suffix.lower() not in TABLE_SUFFIXES:
            remedy = "Save it as CSV (UTF-8) or Parquet."
            raise _refusal(path, "a file ending in " + ", ".join(TABLE_SUFFIXES), f"{path.suffix!r}", remedy)
        return path.parent, [path]
    if path.is_dir():
        root, found = path, _visible(path)
    else:
        root = Path(*itertools.takewhile(lambda part: not glob.has_magic(part), path.parts[:-1]))
        found = [Path(name) for name in glob.glob(where, recursive=True) if Path(name).is_file()]
    tables = [each for each in found if each.suffix.lower() in TABLE_SUFFIXES]
    if not tables:
        got = f"{len(found)} files, none of them one" if found else "nothing there"
        remedy = "Give a file, a folder of them, or a pattern in quotes ('folder/*.csv')."
        raise _refusal(where, "a table (" + ", ".join(TABLE_SUFFIXES) + ")", got, remedy)
    return root, sorted(tables, key=lambda each: natural_key(each.relative_to(root).as_posix()))


def _visible(folder: Path) -> list[Path]:
    return [
        path for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
    ]  # fmt: skip


def _refuse_copies(paths: Iterable[Path]) -> None:
    """Refuse files of equal bytes, whose particles would count twice; only those of equal size and end are read."""
    by_size: dict[int, list[Path]] = defaultdict(list)
    for path in paths:
        by_size[path.stat().st_size].append(path)
    by_end: dict[tuple[int, bytes], list[Path]] = defaultdict(list)
    for size, alike in by_size.items():
        for path in alike:
            by_end[size, _end(path) if len(alike) > 1 else b""].append(path)
    for alike in by_end.values():
        seen: dict[str, Path] = {}
        for path in alike if len(alike) > 1 else ():
            first = seen.setdefault(file_digest(path), path)
            if first is not path and not _without_rows(path):
                raise _refusal(
                    path, "each file once", f"the same bytes as {first}", "Remove one: it would count twice."
                )


def _end(path: Path) -> bytes:
    """Read the last bytes of a file: in Parquet the bounds of its columns, which tell most files apart."""
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - _END_BYTES, 0))
        return file.read()


def _without_rows(path: Path) -> bool:
    """Say whether a text file holds a header at most; those of two micrographs without particles are equal."""
    if path.suffix.lower() in PARQUET_SUFFIXES:
        return bool(pq.read_metadata(path).num_rows == 0)
    return len(path.read_bytes().splitlines()) <= 1


def _parquet(path: Path, name: str) -> TableFile:
    try:
        with pq.ParquetFile(path) as file:
            schema, metadata = file.schema_arrow, file.metadata
    except (OSError, pa.ArrowException) as cause:
        raise _refusal(path, "a Parquet file", str(cause), "Write it again, or remove it.") from cause
    _refuse_repeated(path, schema.names)
    pieces: list[Piece] = []
    held: list[int] = []
    rows = 0
    for group in range(metadata.num_row_groups):
        size = metadata.row_group(group).num_rows
        if held and rows + size > PIECE_ROWS:
            pieces.append(Piece(str(path), name, tuple(held)))
            held, rows = [], 0
        held.append(group)
        rows += size
    pieces.append(Piece(str(path), name, tuple(held)))
    kinds = {field.name: _kind_of_type(field.type) for field in schema}
    return TableFile(path, name, kinds, metadata.num_rows, tuple(pieces))


def _kind_of_type(kind: pa.DataType) -> Kind:
    if pa.types.is_dictionary(kind):
        return _kind_of_type(kind.value_type)
    if pa.types.is_boolean(kind):
        return "truth"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "text"
    return "nothing" if pa.types.is_null(kind) else "other"


def _text(path: Path, name: str) -> TableFile:
    content = path.read_bytes()
    header = content.split(b"\n", 1)[0]
    if not header.strip():
        remedy = "Write it again; of a micrograph without particles keep the header line."
        raise _refusal(path, "a header line", "none", remedy)
    separator = "\t" if b"\t" in header else ","
    if separator == "," and b";" in header and b"," not in header:
        remedy = "Save it with commas between cells and points in numbers (Excel: 'CSV UTF-8 (comma delimited)')."
        raise _refusal(path, "commas or tabs between cells", "semicolons", remedy)
    names = _header(path, content, separator)
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(content),
            pa.csv.ReadOptions(column_names=names, skip_rows=1),
            pa.csv.ParseOptions(delimiter=separator, newlines_in_values=True),
            pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False),
        )
    except pa.ArrowException as cause:
        words = str(cause)
        if "Empty CSV file" not in words:
            remedy = "Look at that line; save as CSV UTF-8, texts with a comma between double quotes."
            raise _refusal(
                path, "UTF-8 text with as many cells in each line as in the header", words, remedy
            ) from cause
        table = pa.table({each: pa.array([], pa.string()) for each in names})
    kinds = {each: kind_of_text(table.column(each)) for each in names}
    return TableFile(path, name, kinds, len(table), (Piece(str(path), name, content=table),))


def _header(path: Path, content: bytes, separator: str) -> list[str]:
    """Give the names in the first line; the number of the row, which ImageJ and pandas leave unnamed, is called " "."""
    first = content.split(b"\n", 1)[0].removeprefix(b"\xef\xbb\xbf") + b"\n"
    try:
        line = pa.csv.read_csv(
            pa.BufferReader(first), pa.csv.ReadOptions(autogenerate_column_names=True),
            pa.csv.ParseOptions(delimiter=separator),
            pa.csv.ConvertOptions(column_types={f"f{i}": pa.string() for i in range(first.count(separator.encode()) + 1)}),
        )  # fmt: skip
    except pa.ArrowException as cause:
        raise _refusal(path, "a header in UTF-8", str(cause), "Save it as CSV UTF-8.") from cause
    names = [str(column[0].as_py() or "").strip() or " " for column in line.columns]
    _refuse_repeated(path, names)
    return names


def kind_of_text(column: pa.ChunkedArray) -> Kind:
    """Say what a column of text stands for: numbers if all cells are numbers, empty or NaN.

    Examples
    --------
    >>> kind_of_text(pa.chunked_array([["1", "NaN", " 2.5e3", "inf"]])), kind_of_text(pa.chunked_array([["1", "2 px"]]))
    ('number', 'text')
    """
    words = column.to_pandas().astype("str").str.strip()
    folded = words[~words.str.casefold().isin(_MISSING)]
    if folded.empty:
        return "number" if (words != "").any() else "nothing"
    if pd.to_numeric(folded, errors="coerce").notna().all():
        return "number"
    return "truth" if folded.str.casefold().isin(_TRUTHS).all() else "text"


def as_numbers(column: pa.ChunkedArray) -> pd.Series:
    """Give a column as float64, missing values as NaN."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string(column.type):
        numbers = pd.to_numeric(column.to_pandas().str.strip(), errors="coerce")
    else:
        numbers = column.cast(pa.float64(), safe=False).to_pandas()
    return pd.Series(numbers, dtype="float64")


def as_texts(column: pa.ChunkedArray) -> pd.Series:
    """Give a column as text in one spelling (see `names`), missing and empty values as missing.

    Whole numbers are without a point, however they are held.

    Examples
    --------
    >>> as_texts(pa.chunked_array([[7.0, None]])).tolist(), as_texts(pa.chunked_array([["007", ""]])).tolist()
    (['7', <NA>], ['007', <NA>])
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        numbers = column.cast(pa.float64(), safe=False).to_pandas()
        texts = numbers.map(lambda value: str(int(value)) if value == value // 1 else repr(value), na_action="ignore")
    else:
        texts = pc.utf8_normalize(column.cast(pa.string()), "NFC").to_pandas()
    texts = texts.astype(pd.StringDtype("pyarrow")).str.strip()
    known: pd.Series = texts.mask(texts == "")
    return known


def as_truths(column: pa.ChunkedArray) -> pd.Series:
    """Give a column as true, false or missing."""
    if pa.types.is_string(column.type):
        words = column.to_pandas().str.strip().str.casefold()
        truths = words.map(_TRUTHS)
    else:
        truths = column.cast(pa.bool_()).to_pandas()
    return pd.Series(truths, dtype="boolean")


def _refuse_repeated(path: Path, names: Sequence[str]) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        got = ", ".join(map(repr, repeated)) + " again"
        raise _refusal(path, "a different name for each column", got, "Give each column its own name.")


def _refusal(where: str | os.PathLike[str], expected: str, got: str, remedy: str) -> TableError:
    return TableError(os.fspath(where), expected=expected, got=got, remedy=remedy)
