"""Rows of particles as plain arrays, whether pandas holds them or Arrow: what every pass over particles works on."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Bool, Float, Float64, Int, Int32, Int64

from nanocensus.errors import TableError
from nanocensus.statistics.cells.names import Pairs

_MOST_RUNS = 4
"""Runs of equal codes a code, up to which rows are not sorted."""
_IDENTITIES = ("sample", "micrograph")


@dataclass(frozen=True, eq=False)
class Names:
    """Sample and micrograph of each code, made when asked for: the dictionary of a file has more than those of some rows."""

    samples: pa.StringArray
    micrographs: pa.StringArray
    found: Int64[np.ndarray, " code"] | None = None
    """Number of each code's sample times the number of micrographs, plus that of its micrograph; else it is the code."""

    def __len__(self) -> int:
        """Give the number of codes."""
        return len(self.samples) * len(self.micrographs) if self.found is None else len(self.found)

    def of(self, codes: Int[np.ndarray, " code"]) -> Pairs:
        """Give the sample and micrograph of some codes."""
        pairs = codes if self.found is None else self.found[codes]
        sample, micrograph = np.divmod(pairs, max(len(self.micrographs), 1))
        return Pairs(self.samples.take(pa.array(sample)), self.micrographs.take(pa.array(micrograph)))


@dataclass(frozen=True, eq=False)
class Rows:
    """Some particles: which micrograph each is of, and their numbers."""

    codes: Int32[np.ndarray, " row"]
    """Index into `names` of each row; -1 where an identity is missing."""
    names: Names
    """Some may have no row."""
    buffers: Mapping[str, Float[np.ndarray, " row"]]
    """Columns of numbers as they are held, float32 or float64, missing values as NaN."""

    def __len__(self) -> int:
        """Give the number of particles."""
        return len(self.codes)

    def __getitem__(self, column: str) -> Float64[np.ndarray, " row"]:
        """Give a column of numbers as float64."""
        return self.buffers[column].astype(np.float64, copy=False)

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """The names as columns, sample and micrograph."""
        return self.names.of(np.arange(len(self.names))).frame()

    def together(self) -> "Rows":
        """Bring the rows of each code together, unless most of them are."""
        n_codes = int(self.codes.max(initial=-1)) + 1
        if np.count_nonzero(self.codes[1:] != self.codes[:-1]) <= _MOST_RUNS * n_codes:
            return self
        kind = np.int16 if n_codes < 2**15 else np.int64
        order = np.argsort(self.codes.astype(kind), kind="stable")  # numpy sorts 16 bits by radix
        return Rows(self.codes[order], self.names, {name: values[order] for name, values in self.buffers.items()})

    def where(self, kept: Bool[np.ndarray, " row"]) -> "Rows":
        """Keep some rows."""
        return Rows(self.codes[kept], self.names, {name: values[kept] for name, values in self.buffers.items()})


NO_NAMES = Names(pa.array([], pa.string()), pa.array([], pa.string()))


def rows_of(partition: pd.DataFrame | pa.Table) -> Rows:
    """Take identities, where there are both, as codes, and all other columns as numbers.

    Raises
    ------
    TableError
        If another column holds no numbers.

    Examples
    --------
    >>> rows = rows_of(pa.table({"sample": ["A", "A"], "micrograph": ["x", "y"], "solidity": [1, None]}))
    >>> rows.names.of(rows.codes).micrograph.to_pylist(), rows["solidity"].tolist()
    (['x', 'y'], [1.0, nan])
    """
    if isinstance(partition, pd.DataFrame):
        columns = [str(name) for name in partition.columns]
        buffers = {name: _held(partition[name]) for name in columns if name not in _IDENTITIES}
    else:
        columns = partition.column_names
        buffers = {name: _decoded(name, partition.column(name)) for name in columns if name not in _IDENTITIES}
    if not set(_IDENTITIES) <= set(columns):
        return Rows(np.zeros(len(partition), np.int32), NO_NAMES, buffers)
    return Rows(*_codes(partition), buffers)


def number_pairs(frame: pd.DataFrame) -> tuple[Int32[np.ndarray, " row"], pd.DataFrame]:
    """Give numbers to the (sample, micrograph) pairs of rows.

    Returns
    -------
    codes : int32 array
        A number per row; -1 where an identity is missing.
    pairs : DataFrame
        Columns sample and micrograph (text); row i is pair i.
    """
    codes, names = _codes(frame)
    held = np.unique(codes[codes >= 0])
    place = np.full(len(names) + 1, -1, np.int32)  # that of -1 is the last
    place[held] = np.arange(len(held))
    return place[codes], names.of(held).frame()


def numbers(column: pd.Series) -> Float64[np.ndarray, " row"]:
    """Give a column as float64, missing values as NaN, whatever library holds it.

    Raises
    ------
    TableError
        If it holds no numbers.
    """
    try:
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise _no_numbers(str(column.name), str(column.dtype)) from None


def _held(column: pd.Series) -> Float[np.ndarray, " row"]:
    return column.to_numpy() if column.dtype == np.float32 else numbers(column)


def _decoded(name: str, column: pa.ChunkedArray) -> Float[np.ndarray, " row"]:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    known = (pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean, pa.types.is_decimal, pa.types.is_null)
    if not any(is_such(kind) for is_such in known):
        raise _no_numbers(name, str(kind))
    if kind not in (pa.float32(), pa.float64()):
        column = column.cast(pa.float64(), safe=False)
    return np.asarray(_one(column).to_numpy(zero_copy_only=False))


def _no_numbers(name: str, got: str) -> TableError:
    return TableError(f"column {name!r}", expected="numbers", got=got, remedy="Convert it to float64.")


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _codes(partition: pd.DataFrame | pa.Table) -> tuple[Int32[np.ndarray, " row"], Names]:
    (sample, samples), (micrograph, micrographs) = (_texts(partition[name]) for name in _IDENTITIES)
    if len(samples) == 1:
        whole = sample.strides == (0,) or sample.min(initial=0) >= 0
        codes = micrograph if whole else np.where(sample < 0, np.int32(-1), micrograph)
        return codes, Names(samples, micrographs)
    if len(samples) * len(micrographs) <= len(sample):
        codes = sample * np.int32(len(micrographs)) + micrograph
        return np.where((sample < 0) | (micrograph < 0), np.int32(-1), codes), Names(samples, micrographs)
    both = sample.astype(np.int64) * len(micrographs) + micrograph
    codes, found = pd.factorize(np.where((sample < 0) | (micrograph < 0), -1, both))
    known = found >= 0
    numbers = np.where(known, np.cumsum(known) - 1, -1).astype(np.int32)
    return numbers[codes], Names(samples, micrographs, found[known])


def _texts(column: pd.Series | pa.ChunkedArray) -> tuple[Int32[np.ndarray, " row"], pa.StringArray]:
    """Give the code of each row's text, -1 where it is missing, and the texts."""
    if isinstance(column, pd.Series):
        codes, values = pd.factorize(column)
        return codes.astype(np.int32), _as_text(values)
    if pa.types.is_run_end_encoded(column.type):
        runs = column.chunk(0)
        values = runs.values.dictionary_encode()
        if len(values.dictionary) == 1 and not values.null_count:
            return np.broadcast_to(np.int32(0), len(runs)), values.dictionary
        lengths = np.diff(runs.run_ends.to_numpy(), prepend=0)
        return np.repeat(values.indices.to_numpy(), lengths), values.dictionary
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    whole = _one(column.unify_dictionaries() if column.num_chunks > 1 else column)
    indices, values = whole.indices, whole.dictionary
    if indices.null_count:
        indices = indices.fill_null(-1)
    texts = values if pa.types.is_string(values.type) else _as_text(values.to_pandas())
    return indices.to_numpy(zero_copy_only=False).astype(np.int32, copy=False), texts


def _as_text(values: Any) -> pa.StringArray:  # noqa: ANN401  whatever pandas makes an Index of
    return pa.array(pd.Index(values).astype(str).tolist(), pa.string())
