"""The index of an output folder: the micrographs table, the refusals, and the lock of whoever writes."""

import fcntl
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from nanocensus.errors import DamageError, LockedError, NanocensusError, StoreError, TableError
from nanocensus.schema import CONDITION_PREFIX, MICROGRAPHS, REFUSALS, Table
from nanocensus.store.commit import clear_leftovers, commit_bytes, writing
from nanocensus.store.numbers import as_number
from nanocensus.store.ordering import natural_key
from nanocensus.store.seal import SEAL, UNSEALED, open_parquet, sealed

logger = logging.getLogger(__name__)

MICROGRAPHS_FILE, REFUSALS_FILE, LOCK_FILE = "micrographs.parquet", "refusals.parquet", ".lock"


@dataclass(frozen=True, eq=False)
class Manifest:
    """What an output folder holds."""

    micrographs: pd.DataFrame
    """One row a micrograph, columns of `schema.MICROGRAPHS` and its conditions; by sample, order and name."""
    refusals: pd.DataFrame
    """One row a file that did not become one, columns of `schema.REFUSALS`."""

    @classmethod
    def from_rows(cls, micrographs: Iterable[Mapping[str, Any]], refusals: Iterable[Mapping[str, Any]]) -> "Manifest":
        """Build a manifest from rows, sorted and typed; what a row lacks is null.

        Raises
        ------
        TableError
            If a value does not fit its column.
        """
        return cls(_frame(_micrographs_table(micrographs)), _frame(_refusals_table(refusals)))

    def rows(self) -> list[dict[str, Any]]:
        """Give the micrographs as rows of plain values, None for null."""
        return rows_of(self.micrographs)


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Give the rows of a frame as plain Python values, None for null: what JSON and Arrow take.

    Examples
    --------
    >>> rows_of(pd.DataFrame({"n": pd.array([1, None], dtype="Int32")}))
    [{'n': 1}, {'n': None}]
    """
    names = [str(name) for name in frame.columns]
    return [plain_row(dict(zip(names, values, strict=True))) for values in zip(*map(frame.get, names), strict=True)]


def plain_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Give a row with plain Python values, None for null, NaN and NA."""
    return {
        name: None if pd.isna(value) else value.item() if hasattr(value, "item") else value
        for name, value in row.items()
    }


def write_manifest(out: Path, manifest: Manifest) -> None:
    """Write micrographs.parquet and refusals.parquet, each atomically; unchanged ones are left alone.

    Parameters
    ----------
    out : Path
        The output folder; made if missing.
    manifest : Manifest
        What it holds now.

    Raises
    ------
    TableError
        If a column is missing or holds values that it cannot have.
    StoreError
        If the disk refuses.
    """
    refusals = _bytes(_refusals_table(rows_of(manifest.refusals)))
    micrographs = _bytes(_micrographs_table(manifest.rows()))
    for name, content in ((REFUSALS_FILE, refusals), (MICROGRAPHS_FILE, micrographs)):
        path = out / name
        if not path.exists() or path.read_bytes() != content:
            commit_bytes(path, content)


def read_manifest(out: str | os.PathLike[str]) -> Manifest:
    """Read the index of an output folder.

    Raises
    ------
    StoreError
        If there is none.
    DamageError
        If it is damaged.
    FormatVersionError
        If a newer nanocensus wrote it.
    """
    folder = Path(out)
    return Manifest(
        _frame(_read(folder / MICROGRAPHS_FILE, MICROGRAPHS)), _frame(_read(folder / REFUSALS_FILE, REFUSALS))
    )


@final
class OutputLock:
    """Keep other runs out of an output folder while this one writes.

    The kernel drops the lock with the process, however it ends; the file stays and means nothing. Its holder removes
    what killed writers left.

    Parameters
    ----------
    out : Path
        The output folder; made if missing.

    Raises
    ------
    LockedError
        On entering, if another run holds it.
    StoreError
        On entering, if the folder cannot be written.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self._handle: int | None = None

    def __enter__(self) -> "OutputLock":
        """Take the lock, or say who has it."""
        with writing(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.out / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                self._take(handle)
            except OSError:
                os.close(handle)
                raise
        self._handle = handle
        leftovers = clear_leftovers(self.out)
        if leftovers:
            logger.info("removed %d unfinished pieces that an interrupted run left in %s", leftovers, self.out)
        return self

    def _take(self, handle: int) -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 32).decode("ascii", "replace").strip()
            raise LockedError(
                str(self.out),
                expected="an output folder that no other run is writing",
                got=f"one held by process {holder or 'unknown'}",
                remedy="Wait for that run or stop it, or choose another `out`.",
            ) from None
        os.truncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give the lock back."""
        if self._handle is not None:
            os.truncate(self._handle, 0)
            os.close(self._handle)
            self._handle = None


def _refusals_table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    return _table(REFUSALS, sorted(rows, key=lambda row: (natural_key(row["sample"]), natural_key(row["name"]))), [])


def _micrographs_table(unsorted: Iterable[Mapping[str, Any]]) -> pa.Table:
    plain = [plain_row(row) for row in unsorted]
    try:
        rows = sorted(plain, key=lambda row: (natural_key(row["sample"]), row["order"], natural_key(row["name"])))
    except (KeyError, TypeError, AttributeError):
        rows = plain  # something required is missing: `_table` says what
    names = dict.fromkeys(name for row in rows for name in row if name.startswith(CONDITION_PREFIX))
    conditions = {name: _one_type([row.get(name) for row in rows]) for name in names}
    typed = [row | {name: values[i] for name, values in conditions.items()} for i, row in enumerate(rows)]
    extra = [
        pa.field(name, pa.string() if any(isinstance(value, str) for value in values) else pa.float64())
        for name, values in conditions.items()
    ]
    return _table(MICROGRAPHS, typed, extra)


def _one_type(values: Sequence[float | str | None]) -> list[float | None] | list[str | None]:
    """Make a condition's values numbers if all of them are, and texts otherwise."""
    numbers = [as_number(value) if isinstance(value, str) else value for value in values]
    if all((number is None) == (value is None) for number, value in zip(numbers, values, strict=True)):
        return [None if number is None else float(number) for number in numbers]
    return [value if value is None or isinstance(value, str) else f"{value:.15g}" for value in values]


def _table(declared: Table, rows: Sequence[Mapping[str, Any]], extra: Sequence[pa.Field]) -> pa.Table:
    schema = declared.arrow(extra)
    for row in rows:
        unknown = set(row) - set(schema.names)
        empty = [column.name for column in declared.columns if not column.nullable and row.get(column.name) is None]
        if unknown or empty:
            raise TableError(
                f"table {declared.name!r}, {row.get('name', 'a row without a name')}",
                expected="the declared columns, filled unless nullable",
                got=f"unknown columns {sorted(unknown)}" if unknown else f"nothing in {', '.join(empty)}",
                remedy=f"Own columns of the micrographs table begin with {CONDITION_PREFIX!r}.",
            )
    try:
        return pa.Table.from_pylist([dict(row) for row in rows], schema=schema)
    except (pa.ArrowException, OverflowError) as cause:
        raise TableError(
            f"table {declared.name!r}",
            expected="values of the declared types",
            got=str(cause),
            remedy="See docs/reference/columns.md for the type of each column.",
        ) from cause


def _frame(table: pa.Table) -> pd.DataFrame:
    nullable = {field.name for field in table.schema if field.nullable and field.type == pa.int32()}
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    for name in nullable:  # pandas would make them floats as soon as one is null
        frame[name] = pd.array(table.column(name).to_pylist(), dtype="Int32")
    return frame


def _bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema, compression="zstd", write_page_checksum=True) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({SEAL: UNSEALED})
    return sealed(sink.getvalue().to_pybytes())


def _read(path: Path, declared: Table) -> pa.Table:
    if not path.exists():
        raise StoreError(
            str(path.parent),
            expected=f"an output folder of nanocensus, with {path.name}",
            got="none there",
            remedy="Check the path, or make it with `nanocensus ingest`.",
        )
    try:
        table = open_parquet(path).read()
        for column in declared.columns:
            if column.name not in table.schema.names and column.nullable:  # written by an older minor version
                table = table.append_column(column.field(), pa.nulls(len(table), column.field().type))
        extra = [field for field in table.schema if field.name not in declared]
        return table.select([*declared.names, *(field.name for field in extra)]).cast(declared.arrow(extra))
    except (NanocensusError, MemoryError):
        raise
    except Exception as cause:  # damaged Parquet raises anything, from Thrift to Unicode errors
        raise DamageError(
            str(path),
            expected="the bytes that were written",
            got=f"{type(cause).__name__}: {str(cause)[:200]}",
            remedy="Remove the file and run `nanocensus ingest` again; micrographs and particles are kept.",
        ) from cause
