"""Of which sample and micrograph a particle in somebody's table is."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from nanocensus.errors import TableError, did_you_mean
from nanocensus.schema import CONDITION_PREFIX
from nanocensus.store.foreign.files import Piece, as_texts
from nanocensus.store.foreign.names import Tool
from nanocensus.store.studies.scan import compile_pattern
from nanocensus.store.studies.source import first_folder

PLACES = ("sample", "micrograph", "group", "session")
"""Columns that say where a particle is from; they are text, however a file holds them."""


@dataclass(frozen=True)
class Identities:
    """Where sample and micrograph are to be read."""

    sample: str | None
    """One name for all, if the user gave one."""
    columns: Mapping[str, str]
    """Of `PLACES` and conditions: the column that holds it."""
    tool: Tool | None
    pattern: str | None
    """Where the names of micrographs tell the sample, e.g. "{sample}_*"."""
    samples: Mapping[str, str] | None
    """The sample of each micrograph, by its name, from a table of micrographs."""
    several_files: bool

    @property
    def read(self) -> tuple[str, ...]:
        """Columns of the files that are needed."""
        tool = (self.tool.image, self.tool.frame) if self.tool is not None and "micrograph" not in self.columns else ()
        return (*self.columns.values(), *filter(None, tool))

    @property
    def made(self) -> tuple[str, ...]:
        """Columns of the result, in order."""
        fields = compile_pattern(self.pattern).groupindex if self.pattern else ()
        return tuple(dict.fromkeys(["sample", "micrograph", *map(_column_of_field, fields), *self.columns]))

    def identify(self, piece: Piece, table: pa.Table) -> pd.DataFrame:
        """Give the columns `made` of the rows of a piece.

        Raises
        ------
        TableError
            If nothing tells the sample.
        """
        there = {ours: as_texts(table.column(theirs)) for ours, theirs in self.columns.items()}
        if "micrograph" not in there:
            there["micrograph"] = self._micrographs(piece, table)
        there = self._told(piece, there["micrograph"]) | there
        return pd.DataFrame({name: there[name] for name in self.made}, dtype=pd.StringDtype("pyarrow"))

    def identify_file(self, piece: Piece) -> pd.DataFrame | None:
        """Give the columns `made` of a file without rows; None unless a file is a micrograph."""
        if "micrograph" in self.columns or "sample" in self.columns:
            return None
        one = pd.Series([piece.name], dtype=pd.StringDtype("pyarrow"))
        return pd.DataFrame({"micrograph": one} | self._told(piece, one))

    def _micrographs(self, piece: Piece, table: pa.Table) -> pd.Series:
        """Name images by the tool's columns; where it has none, a file is a micrograph."""
        image, frame = (self.tool.image, self.tool.frame) if self.tool is not None else ("", "")
        whole = pd.Series(piece.name, index=range(len(table)), dtype=pd.StringDtype("pyarrow"))
        name = None
        if image in table.column_names and self.tool is not None:
            name = as_texts(table.column(image))
            if set(self.tool.summaries) <= set(name.dropna()):
                raise TableError(
                    f"{piece.path}, column {image!r}", expected="rows of particles",
                    got="rows " + ", ".join(self.tool.summaries) + f" that {self.tool.name} adds below (Summarize)",
                    remedy="Remove those rows: they would count as particles.",
                )  # fmt: skip
            name = name.str.rsplit(self.tool.roi_after, n=1).str[0] if self.tool.roi_after else name
        if frame not in table.column_names:
            return whole if name is None else name
        number = as_texts(table.column(frame))
        if name is None and not self.several_files:
            return number.fillna(piece.name)
        base = whole if name is None else name
        return (base + "#" + number).fillna(base)

    def _told(self, piece: Piece, micrograph: pd.Series) -> dict[str, pd.Series]:
        """Give what the pattern tells of micrographs, and their sample unless a column holds it."""
        told = {} if self.pattern is None else self._fields(self.pattern, piece, micrograph)
        if self.sample is not None:
            told["sample"] = _same(self.sample, micrograph)
        elif "sample" not in {*told, *self.columns}:
            told["sample"] = self._sample(piece, micrograph)
        return told

    def _fields(self, pattern: str, piece: Piece, micrograph: pd.Series) -> dict[str, pd.Series]:
        expression = compile_pattern(pattern)
        found = {name: _match(expression, name, pattern, piece) for name in micrograph.dropna().unique()}
        return {
            _column_of_field(field): micrograph.map({name: each[field] for name, each in found.items()}).astype(
                micrograph.dtype
            )
            for field in expression.groupindex
        }

    def _sample(self, piece: Piece, micrograph: pd.Series) -> pd.Series:
        """Give the sample by the table of micrographs, or else by the first folder."""
        if self.samples is not None:
            for name in micrograph.dropna().unique():
                if name not in self.samples:
                    raise TableError(
                        f"micrograph {name!r} of {piece.path}", expected="one in the table of micrographs",
                        got="none of that name", remedy=did_you_mean(name, self.samples) or "Add its row.",
                    )  # fmt: skip
            return micrograph.map(self.samples).astype(micrograph.dtype)
        if folder := first_folder(piece.name):
            return _same(folder, micrograph)
        raise TableError(
            piece.path, expected="the sample of each particle", got="no column of it, and no folder that could name it",
            remedy='Give one name (sample="Co0.4"), its column (columns={"sample": "Condition"}), or a pattern of the '
            'micrographs\' names ("{sample}_*").',
        )  # fmt: skip


def _same(text: str, rows: pd.Series) -> pd.Series:
    return pd.Series(text, index=rows.index, dtype=rows.dtype)


def _match(expression: re.Pattern[str], name: str, pattern: str, piece: Piece) -> dict[str, str]:
    match = expression.fullmatch(name)
    if match is None:
        raise TableError(
            f"pattern {pattern!r}", expected="a pattern that the name of every micrograph matches",
            got=f"{name!r} in {piece.path}", remedy="Micrographs are named by their column, or else by their file.",
        )  # fmt: skip
    return match.groupdict()


def _column_of_field(field: str) -> str:
    return field if field in PLACES else f"{CONDITION_PREFIX}{field}"
