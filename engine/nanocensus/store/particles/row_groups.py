"""Particles in Parquet files, read a few row groups at a time: wanted columns and filters reach the files.

No more than one batch of rows is in memory. Sample and micrograph come as dictionaries; where the footer says that a row
group holds one of them only, as runs that nothing was decoded for.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow.fs import LocalFileSystem

from nanocensus.errors import NanocensusError, TableError, did_you_mean
from nanocensus.schema import PARTICLES
from nanocensus.store.foreign.files import table_files
from nanocensus.store.manifest import MICROGRAPHS_FILE
from nanocensus.store.particles.parts import damage
from nanocensus.store.particles.tables import PARTICLES_FOLDER, Part, open_part, particle_parts, with_newer_columns

if TYPE_CHECKING:
    import dask.dataframe as dd

Condition = tuple[str, str, Any]
"""Column, one of ==, !=, <, <=, >, >=, in, not in, and a value: ("circularity", ">=", 0.7)."""
Filters = Sequence[Condition] | Sequence[Sequence[Condition]]
"""Conditions that all hold, or several lists of them of which one does (as in pandas.read_parquet)."""

IDENTITIES = ("sample", "micrograph")
BATCH_ROWS = 2**19
"""Rows in memory at once, unless a row group holds more."""


@dataclass(frozen=True)
class RowGroups:
    """Some row groups of one file: what one task reads."""

    path: str
    groups: tuple[int, ...] = ()
    part: Part | None = None
    """Of a results folder; its groups are those of the micrographs that count."""
    filters: Filters | None = None

    def batches(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Read some columns, batch after batch; one without rows if there is none.

        Raises
        ------
        DamageError
            If a part of a results folder is missing, or not the one that was written.
        TableError
            If a file cannot be read.
        """
        try:
            yield from self._read(columns)
        except (NanocensusError, MemoryError):
            raise
        except Exception as cause:
            if self.part is not None:
                raise damage(Path(self.path), cause) from cause
            raise TableError(
                self.path, expected="a Parquet file that can be read and filtered", got=str(cause)[:300],
                remedy="Write it again, or correct the filters.",
            ) from cause  # fmt: skip

    def _read(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        file, groups = self._open()
        condition = None if self.filters is None else pq.filters_to_expression(self.filters)
        filtered = filtered_columns(self.filters)
        needed = list(dict.fromkeys([*columns, *filtered]))
        where = {file.metadata.schema.column(leaf).path: leaf for leaf in range(len(file.metadata.schema))}
        if condition is not None and where.keys() >= set(filtered):  # parts of older versions may lack a column
            groups = _possible(self.path, groups, condition)
        names = [name for name in IDENTITIES if name in needed and condition is None]
        known = {name: _constants(file.metadata, where[name], groups) for name in names}
        batches = _batches(file.metadata, groups) or [[]]
        for batch in batches:
            same = {name: [values[group] for group in batch] for name, values in known.items()}
            same = {name: values for name, values in same.items() if batch and None not in values}
            read = [name for name in needed if name not in same and name in where]
            table = file.read_row_groups(batch, columns=read, use_threads=False)
            sizes = [file.metadata.row_group(group).num_rows for group in batch]
            for name, values in same.items():
                runs = pa.RunEndEncodedArray.from_arrays(pa.array(np.cumsum(sizes, dtype=np.int32)), pa.array(values))
                table = table.append_column(name, pa.chunked_array([runs]))
            if self.part is not None:
                table = with_newer_columns(table, needed)
            yield (table if condition is None else table.filter(condition)).select(list(columns))

    def _open(self) -> tuple[pq.ParquetFile, Sequence[int]]:
        if self.part is not None:
            return open_part(self.part, read_dictionary=IDENTITIES)
        return pq.ParquetFile(
            self.path, read_dictionary=list(IDENTITIES), pre_buffer=False, memory_map=True
        ), self.groups


@dataclass(frozen=True)
class ParquetParticles:
    """Particles that lie in Parquet files; make it with `open_particles`."""

    pieces: tuple[RowGroups, ...]
    columns: tuple[str, ...]
    """Those that every file has."""

    def frame(self) -> "dd.DataFrame":
        """Give them as a dask DataFrame, a partition a piece; columns that are not used are not decoded."""
        import dask.dataframe as dd

        meta = load_rows(self.pieces[0], self.columns).iloc[:0]
        made: dd.DataFrame = dd.from_map(load_rows, self.pieces, meta=meta, label="particles")
        return made


def open_particles(path: str | os.PathLike[str], *, filters: Filters | None = None) -> ParquetParticles:
    """Open particles in Parquet files for the statistics; only footers are read.

    Parameters
    ----------
    path : path
        A file, a folder of parts, a glob, or the results folder of a run (all particles that were detected on micrographs that
        are not excluded).
    filters : sequence of (column, operator, value), optional
        Rows to keep: all conditions hold, or those of one of several lists do. The operators are ==, !=, <, <=, >, >=,
        in, not in. Row groups that cannot hold such rows are not read.

    Returns
    -------
    ParquetParticles
        Takes the place of a DataFrame of particles in the statistics.

    Raises
    ------
    TableError
        If there is no Parquet file, or a filter names a column that some file lacks.
    StoreError
        If the index of a results folder is damaged.
    """
    folder = Path(path)
    if (folder / MICROGRAPHS_FILE).is_file() and (folder / PARTICLES_FOLDER).is_dir():
        pieces = [RowGroups(part.path, part=part, filters=filters) for part in particle_parts(folder)]
        columns = list(PARTICLES.names)
    else:
        files = table_files(path)
        if any(piece.content is not None for file in files for piece in file.pieces):
            raise TableError(
                os.fspath(path), expected="Parquet", got="text", remedy="nc.read_particle_table reads CSV and TSV."
            )
        columns = [name for name in files[0].kinds if all(name in file.kinds for file in files)]
        pieces = [RowGroups(piece.path, piece.groups, filters=filters) for file in files for piece in file.pieces]
    check_columns(filtered_columns(filters), columns)
    return ParquetParticles(tuple(pieces), tuple(columns))


def check_columns(wanted: Iterable[str], there: Iterable[str]) -> None:
    """Refuse particles that lack a column, with the nearest name that they have.

    Raises
    ------
    TableError
    """
    wanted, known = list(wanted), [str(name) for name in there]
    missing = [name for name in wanted if name not in known]
    if missing:
        near = [sentence for name in missing if (sentence := did_you_mean(name, known))]
        raise TableError(
            "particles", expected="the columns " + ", ".join(wanted), got="none named " + ", ".join(missing),
            remedy=" ".join([*near, "Rename or add the columns; docs/reference/columns.md lists them."]),
        )  # fmt: skip


def load_rows(piece: RowGroups, columns: Sequence[str]) -> pd.DataFrame:
    """Read some columns of a piece as a DataFrame, text as text."""
    return pd.concat([_as_frame(batch) for batch in piece.batches(columns)], ignore_index=True)


def _as_frame(table: pa.Table) -> pd.DataFrame:
    for place, field in enumerate(table.schema):
        column = table.column(place)
        if pa.types.is_run_end_encoded(field.type):
            table = table.set_column(place, field.name, pa.compute.run_end_decode(column))
        elif pa.types.is_dictionary(field.type):
            table = table.set_column(place, field.name, column.cast(field.type.value_type))
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    return frame


def filtered_columns(filters: Filters | None) -> list[str]:
    """Name the columns that filters look at."""
    either = [] if not filters else [filters] if isinstance(filters[0], tuple) else filters
    return list(dict.fromkeys(str(condition[0]) for conditions in either for condition in conditions))


def _possible(path: str, groups: Sequence[int], condition: ds.Expression) -> list[int]:
    """Give the row groups that may hold such rows, by their footers."""
    fragment = ds.ParquetFileFormat().make_fragment(path, filesystem=LocalFileSystem(), row_groups=list(groups))
    return [group.id for group in fragment.subset(condition, schema=fragment.physical_schema).row_groups]


def _constants(metadata: pq.FileMetaData, leaf: int, groups: Sequence[int]) -> dict[int, str | None]:
    """Give the only value of a column of text in each row group, None where it may hold several."""
    found: dict[int, str | None] = {}
    for group in groups:
        held = metadata.row_group(group).column(leaf).statistics
        known = held is not None and held.has_min_max and held.has_null_count and held.null_count == 0
        # A bound that was cut short is rounded outwards, so equal bounds are whole.
        found[group] = held.min if known and isinstance(held.min, str) and held.min == held.max else None
    return found


def _batches(metadata: pq.FileMetaData, groups: Sequence[int]) -> list[list[int]]:
    """Join row groups that hold rows into batches."""
    made: list[list[int]] = []
    rows = BATCH_ROWS
    for group in groups:
        size = metadata.row_group(group).num_rows
        if not size:
            continue
        if rows + size > BATCH_ROWS:
            made.append([])
            rows = 0
        made[-1].append(group)
        rows += size
    return made
