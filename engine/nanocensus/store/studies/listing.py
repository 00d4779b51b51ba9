"""samples.csv and micrographs.csv: what users say about their files, checked at the door."""

import csv
import difflib
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nanocensus.errors import TableError
from nanocensus.store.names import one_spelling
from nanocensus.store.numbers import as_number

KNOWN_COLUMNS = (
    "file", "sample", "group", "session", "order", "pixel_size_nm", "pixel_size_uncertainty", "mask", "model", "image",
)  # fmt: skip
"""Every other column of a listing is a condition of the synthesis."""


@dataclass(frozen=True)
class Listing:
    """The rows of a listing, each a mapping of known columns to their text; absent and empty cells are left out."""

    path: Path
    rows: Sequence[Mapping[str, str]]
    conditions: Sequence[Mapping[str, float | str]]
    """Of each row; a column is numeric if all its values are."""
    lines: Sequence[int]
    """Where each row ends in the file, for messages."""

    @property
    def lists_files(self) -> bool:
        """Whether a row is a micrograph (a column `file`) rather than a sample."""
        return any("file" in row for row in self.rows)

    def error(self, index: int, *, expected: str, got: str, remedy: str) -> TableError:
        """Make the error about one row, its line named."""
        return TableError(f"{self.path}, line {self.lines[index]}", expected=expected, got=got, remedy=remedy)

    def number(self, index: int, column: str) -> float | None:
        """Read a cell as a finite number."""
        text = self.rows[index].get(column)
        if text is None:
            return None
        number = as_number(text)
        if number is None:
            remedy = "Write numbers with a decimal point and no unit."
            raise self.error(index, expected=f"a number in the column {column!r}", got=repr(text), remedy=remedy)
        return number

    def whole_number(self, index: int, column: str) -> int | None:
        """Read a cell as a whole number from 0."""
        number = self.number(index, column)
        if number is not None and not (number.is_integer() and 0 <= number < 2**31):
            got, remedy = repr(self.rows[index][column]), "Number the micrographs 0, 1, 2, ... as acquired."
            raise self.error(index, expected=f"a whole number from 0 in the column {column!r}", got=got, remedy=remedy)
        return None if number is None else int(number)


def read_listing(path: Path) -> Listing:
    """Read a samples.csv or micrographs.csv.

    Parameters
    ----------
    path : Path
        Comma-separated UTF-8 text with a header line; Excel's byte order mark is allowed.

    Raises
    ------
    TableError
        If it is missing, empty, not UTF-8, separated by semicolons or tabs, ragged, or its header repeats or
        misspells a known column or has neither `file` nor `sample`.
    """
    lines, rows = _parse(path)
    header = [name.strip() for name in rows[0]] if rows else []
    _check_header(path, header)
    cells, places = [], []
    for line, row in zip(lines[1:], rows[1:], strict=True):
        if len(row) != len(header):
            raise TableError(
                f"{path}, line {line}",
                expected=f"{len(header)} cells, as in the header",
                got=str(len(row)),
                remedy='Put a text that contains a comma between double quotes ("...").',
            )
        cells.append({name: text.strip() for name, text in zip(header, row, strict=True) if text.strip()})
        places.append(line)
    if not cells:
        raise _table_error(path, "at least one row under the header", "none", "Fill it, or run without a table.")
    known = [{name: text for name, text in row.items() if name in KNOWN_COLUMNS} for row in cells]
    return Listing(path, known, typed_conditions([_others(row) for row in cells]), places)


def typed_conditions(rows: Sequence[Mapping[str, str]]) -> list[dict[str, float | str]]:
    """Turn the conditions that are numbers in every row that has them into numbers.

    Examples
    --------
    >>> typed_conditions([{"Co": "0.4", "note": "1"}, {"Co": "0.5", "note": "old"}])
    [{'Co': 0.4, 'note': '1'}, {'Co': 0.5, 'note': 'old'}]
    """
    textual = {name for row in rows for name, text in row.items() if as_number(text) is None}
    return [{name: text if name in textual else float(text) for name, text in row.items()} for row in rows]


def _others(row: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in row.items() if name not in KNOWN_COLUMNS}


def _parse(path: Path) -> tuple[list[int], list[list[str]]]:
    try:
        text = one_spelling(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise _table_error(path, "a table", "nothing there", "Check the path, relative to where you are.") from None
    except UnicodeDecodeError:
        got, remedy = "bytes that are not", "In Excel choose 'CSV UTF-8 (comma delimited)' when saving."
        raise _table_error(path, "UTF-8 text", got, remedy) from None
    except OSError as cause:
        raise _table_error(path, "a readable file", str(cause.strerror), "Check its kind and permissions.") from cause
    lines: list[int] = []
    rows: list[list[str]] = []
    try:
        reader = csv.reader(io.StringIO(text), strict=True)
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as cause:
        raise _table_error(path, "comma-separated text", str(cause), "Check the double quotes.") from cause
    return lines, rows


def _check_header(path: Path, header: Sequence[str]) -> None:
    if not header:
        raise _table_error(path, "a header line and rows", "an empty file", "See the how-to on describing samples.")
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        separator = "semicolons" if ";" in header[0] else "tabs"
        remedy = "Save it with commas between cells and points in numbers (Excel: 'CSV UTF-8 (comma delimited)' with "
        raise _table_error(path, "commas between the cells", separator, remedy + "a decimal point set).")
    repeated = [name or "(no name)" for name, count in Counter(header).items() if count > 1 or not name]
    if repeated:
        remedy = "Give each column its own name."
        raise _table_error(path, "a different name for each column", f"{', '.join(repeated)} again", remedy)
    for name in header:
        meant = likely_meant(name)
        if meant is not None and name not in KNOWN_COLUMNS:
            remedy = f"Did you mean {meant!r}? A condition of the synthesis needs a more different name."
            raise _table_error(path, f"known columns spelled {', '.join(KNOWN_COLUMNS)}", repr(name), remedy)
    if not {"file", "sample"} & set(header):
        remedy = "Name files (one row a micrograph) in `file`, or folders (one row a sample) in `sample`."
        raise _table_error(path, "a column `file` or `sample`", ", ".join(header), remedy)


def likely_meant(name: str) -> str | None:
    """Give the known column that a name may be a misspelling of; it would silently become a condition.

    Examples
    --------
    >>> likely_meant("Pixel size (nm)"), likely_meant("sampel"), likely_meant("Co_mmol")
    ('pixel_size_nm', 'sample', None)
    """
    letters = re.sub(r"[^a-z]", "", name.casefold())
    near = difflib.get_close_matches(letters, _MEANT, n=1, cutoff=0.8)
    return _MEANT[near[0]] if near else None


_MEANT = {re.sub(r"[^a-z]", "", name): name for name in KNOWN_COLUMNS} | {
    "filename": "file", "files": "file", "samples": "sample", "pixelsize": "pixel_size_nm", "masks": "mask",
}  # fmt: skip
"""What a column would be called whose letters are these: a misspelled one would silently become a condition."""


def _table_error(path: Path, expected: str, got: str, remedy: str) -> TableError:
    return TableError(str(path), expected=expected, got=got, remedy=remedy)
