"""What the tables with a part a block have in common: a row group a micrograph, equal bytes for equal content.

A part carries index rows of its micrographs in its metadata, one a row group.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from nanocensus.errors import DamageError
from nanocensus.provenance import canonical_json
from nanocensus.store.manifest import plain_row, read_manifest
from nanocensus.store.seal import SEAL, UNSEALED, sealed

_ROWS_KEY = "nanocensus.micrographs"
MEASURE_ANEW = "Run the job again: it measures the micrographs of this part anew (`nanocensus doctor` lists others)."


def part_bytes(
    schema: pa.Schema,
    tables: Sequence[pa.Table],
    micrographs: Sequence[Mapping[str, Any]],
    **options: Any,  # noqa: ANN401  those of ParquetWriter
) -> bytes:
    """Encode a part.

    Parameters
    ----------
    schema : pyarrow.Schema
        Of every table.
    tables : sequence of pyarrow.Table
        The rows of each micrograph; each becomes a row group.
    micrographs : sequence of mappings
        What the part says of each in its metadata.
    **options
        Of `pyarrow.parquet.ParquetWriter`.
    """
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, schema, compression="zstd", write_page_checksum=True, **options) as writer:
        for table in tables:
            writer.write_table(table, row_group_size=max(len(table), 1))
        rows = canonical_json([plain_row(row) for row in micrographs])
        writer.add_key_value_metadata({_ROWS_KEY: rows, SEAL: UNSEALED})
    return sealed(sink.getvalue().to_pybytes())


def part_rows(file: pq.ParquetFile) -> list[dict[str, Any]]:
    """Read what a part says of its micrographs, one a row group.

    Raises
    ------
    Exception
        Of any kind, if it is damaged.
    """
    metadata = file.metadata.metadata or {}
    rows: list[dict[str, Any]] = json.loads(metadata[_ROWS_KEY.encode()])
    if len(rows) != file.num_row_groups:
        raise ValueError(f"{file.num_row_groups} row groups for {len(rows)} micrographs")
    return rows


def groups_of(micrographs: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Give the row groups of some micrographs; a part may hold others that were measured anew or removed.

    Raises
    ------
    ValueError
        If the part lacks one.
    """
    held = [row["micrograph"] for row in rows]
    lost = set(micrographs) - set(held)
    if lost:
        raise ValueError(f"it lacks micrograph {min(lost)}")
    return [group for group, micrograph in enumerate(held) if micrograph in micrographs]


def measured_parts(out: str | os.PathLike[str], *, excluded: bool = True) -> list[tuple[str, pd.DataFrame]]:
    """Give the name of each part that has been measured, and its index rows, in the order of the index.

    Parameters
    ----------
    out : Path
        The output folder.
    excluded : bool
        Whether rows of excluded micrographs are among them.

    Raises
    ------
    StoreError, DamageError, FormatVersionError
        As `manifest.read_manifest`.
    """
    index = read_manifest(out).micrographs
    measured = index[index["part_digest"].notna()]  # a planned part has a name before it has bytes
    if not excluded:
        measured = measured[
            ~measured["excluded"].eq(True).fillna(False).astype(bool)
        ]  # null before the rules were applied
    return [(str(name), rows) for name, rows in measured.groupby("part", sort=False)]


def damage(path: Path, cause: Exception, remedy: str = MEASURE_ANEW) -> DamageError:
    """Say that a part is missing or damaged."""
    missing = isinstance(cause, FileNotFoundError)
    return DamageError(
        f"{path.parent.name}/{path.name}",
        expected="the part that was written",
        got="no such file" if missing else f"other bytes ({type(cause).__name__}: {str(cause)[:200]})",
        remedy=remedy,
    )
