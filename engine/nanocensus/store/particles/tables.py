"""The particles: one Parquet part a block, read back as one dask DataFrame.

A part proves itself, and the index keeps the digest of the whole file, against which every read is checked: so it is the
part that was written, and no other. A part carries the index rows of its micrographs, so that the index can be rebuilt from the parts.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from nanocensus.errors import NanocensusError, TableError
from nanocensus.provenance import file_digest
from nanocensus.schema import PARTICLES
from nanocensus.store.commit import commit_bytes
from nanocensus.store.manifest import read_manifest
from nanocensus.store.particles.parts import damage, groups_of, measured_parts, part_bytes, part_rows
from nanocensus.store.seal import open_parquet

if TYPE_CHECKING:
    import dask.dataframe as dd

PARTICLES_FOLDER = "particles"
_PANDAS = {pa.string(): pd.StringDtype("pyarrow"), pa.bool_(): pd.BooleanDtype(), pa.int32(): pd.Int32Dtype()}


def write_part(path: Path, tables: Sequence[pa.Table], micrographs: Sequence[Mapping[str, Any]]) -> str:
    """Write the particles of a block of micrographs; the same tables give the same bytes.

    Parameters
    ----------
    path : Path
        Where; replaced atomically if it exists.
    tables : sequence of pyarrow.Table
        The particles of each micrograph with the columns of `schema.PARTICLES`; each becomes one row group. A
        micrograph without particles has a table without rows.
    micrographs : sequence of mappings
        The index row of each, in the same order; `micrograph` is required.

    Returns
    -------
    str
        SHA-256 of the file.

    Raises
    ------
    TableError
        If a table has other columns, or belongs to another micrograph than its row.
    StoreError
        If the disk refuses.
    """
    schema = PARTICLES.arrow()
    texts = [column.name for column in PARTICLES.columns if column.dtype == "string"]
    checked = [_checked(table, str(row["micrograph"]), schema) for table, row in zip(tables, micrographs, strict=True)]
    content = part_bytes(schema, checked, micrographs, use_dictionary=texts)
    commit_bytes(path, content)
    return hashlib.sha256(content).hexdigest()


def read_part_rows(path: Path) -> list[dict[str, Any]]:
    """Read the index rows that a part carries.

    Raises
    ------
    DamageError
        If the part is missing or damaged.
    FormatVersionError
        If a newer nanocensus wrote it.
    """
    try:
        return part_rows(open_parquet(path))
    except (NanocensusError, MemoryError):
        raise
    except Exception as cause:
        raise damage(path, cause) from cause


def read_particles(out: str | os.PathLike[str], *, excluded: bool = False) -> "dd.DataFrame":
    """Open the particles of an output folder as a dask DataFrame; nothing is read until it is computed.

    Parameters
    ----------
    out : Path
        The output folder.
    excluded : bool
        Whether particles of the micrographs that `[quality]` excludes are among them; the run's statistics have none of
        them. With them, statistics need a table of micrographs without its column `excluded`, or none.

    Returns
    -------
    dask.dataframe.DataFrame
        Columns of `schema.PARTICLES`; one partition a part, in the order of the index (sample, then order). Columns
        that are not asked for are not decoded. Particles of micrographs that the index no longer counts in a part
        are left out.

    Raises
    ------
    StoreError
        If there is no index. When computed: DamageError if a part is missing or not the one that was written, and
        FormatVersionError if a newer nanocensus wrote it.
    """
    import dask.dataframe as dd

    meta = _to_pandas(PARTICLES.arrow().empty_table())
    parts = particle_parts(out, excluded=excluded)
    if not parts:
        particles: dd.DataFrame = dd.from_pandas(meta, npartitions=1)
    else:
        particles = dd.from_map(load_part, parts, meta=meta, label="particles")
    return particles


def read_micrographs(out: str | os.PathLike[str]) -> pd.DataFrame:
    """Read the micrographs table of an output folder, one row a micrograph whatever became of it.

    Raises
    ------
    StoreError, DamageError, FormatVersionError
        As `manifest.read_manifest`.
    """
    return read_manifest(out).micrographs


@dataclass(frozen=True)
class Part:
    """A part as the index knows it."""

    path: str
    digest: str
    """SHA-256 of the file."""
    micrographs: tuple[str, ...]
    """Those whose particles count; a part may hold others that were measured anew or removed."""


def load_part(part: Part, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read one part, proved by its digest.

    Raises
    ------
    DamageError
        If it is missing, damaged or lacks a micrograph.
    FormatVersionError
        If a newer nanocensus wrote it.
    """
    wanted = list(PARTICLES.names if columns is None else columns)
    try:
        file, groups = open_part(part)
        table = file.read_row_groups(groups, columns=[name for name in wanted if name in file.schema_arrow.names])
        return _to_pandas(with_newer_columns(table, wanted))
    except (NanocensusError, MemoryError):
        raise
    except Exception as cause:
        raise damage(Path(part.path), cause) from cause


def open_part(part: Part, read_dictionary: Sequence[str] = ()) -> tuple[pq.ParquetFile, list[int]]:
    """Open a part, proved by its digest, and name the row groups that count.

    Raises
    ------
    FormatVersionError
        If a newer nanocensus wrote it.
    Exception
        Of any kind, if it is missing, damaged or lacks a micrograph.
    """
    path = Path(part.path)
    if file_digest(path) != part.digest:
        raise ValueError("its digest is not the one in the index")
    file = open_parquet(path, read_dictionary)
    return file, groups_of(part.micrographs, part_rows(file))


def particle_parts(out: str | os.PathLike[str], *, excluded: bool = False) -> list[Part]:
    """List the parts of an output folder that the index knows, in its order.

    Parameters
    ----------
    out : Path
        The output folder.
    excluded : bool
        Whether the micrographs that `[quality]` excludes are among those that count.
    """
    folder = Path(out).absolute() / PARTICLES_FOLDER
    return [
        Part(str(folder / name), str(rows["part_digest"].iloc[0]), tuple(map(str, rows["micrograph"])))
        for name, rows in measured_parts(out, excluded=excluded)
    ]


def _checked(table: pa.Table, micrograph: str, schema: pa.Schema) -> pa.Table:
    try:
        checked = table.select(schema.names).cast(schema)
        checked.validate()
        others = set(checked.column("micrograph").unique().to_pylist()) - {micrograph}
    except (KeyError, pa.ArrowException, ValueError) as cause:
        raise TableError(
            f"particles of micrograph {micrograph}",
            expected="the columns of schema.PARTICLES",
            got=str(cause),
            remedy="See docs/reference/columns.md.",
        ) from cause
    if others or table.num_columns != len(schema.names):
        raise TableError(
            f"particles of micrograph {micrograph}",
            expected="its own particles, with the declared columns",
            got=f"particles of {sorted(others)}" if others else f"{table.num_columns} columns",
            remedy="Give the tables and the rows of their micrographs in the same order.",
        )
    return checked


def with_newer_columns(table: pa.Table, wanted: Sequence[str]) -> pa.Table:
    """Add, as nulls, the nullable columns that an older minor version did not write."""
    for name in wanted:
        if name not in table.schema.names and PARTICLES[name].nullable:
            field = PARTICLES[name].field()
            table = table.append_column(field, pa.nulls(len(table), field.type))
    return table.select(list(wanted))


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    # One string type whatever is in a partition: an empty one would come out as another on older pandas.
    # Nor would a column of truths or whole numbers stay one where some or all of it is null.
    types: dict[str, Any] = {
        field.name: _PANDAS[field.type]
        for field in table.schema
        if field.type == pa.string() or (field.nullable and field.type in _PANDAS)
    }
    return frame.astype(types)
