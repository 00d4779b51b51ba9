"""Sample and micrograph as texts of Arrow: what numbers of micrographs stand for, without an object a name."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int, Int64


class Pairs(NamedTuple):
    """Samples, and a micrograph of each."""

    sample: pa.StringArray
    micrograph: pa.StringArray

    @property
    def n(self) -> int:
        """Number of pairs."""
        return len(self.sample)

    def take(self, places: Int[np.ndarray, " place"]) -> "Pairs":
        """Give some of them."""
        chosen = pa.array(places)
        return Pairs(self.sample.take(chosen), self.micrograph.take(chosen))

    def frame(self) -> pd.DataFrame:
        """Lay them out as columns of text, sample and micrograph."""
        frame: pd.DataFrame = pa.table(self._asdict()).to_pandas()
        return frame


def one_after_another(parts: Sequence[Pairs]) -> Pairs:
    """Give the pairs of several parts."""
    none = pa.array([], pa.string())
    return Pairs(*(pa.concat_arrays([none, *column]) for column in ([part[at] for part in parts] for at in (0, 1))))


def count_different(pairs: Pairs) -> int:
    """Count the different pairs.

    Examples
    --------
    >>> count_different(Pairs(pa.array(["A", "B", "A"]), pa.array(["x", "x", "x"])))
    2
    """
    sample, micrograph = (column.dictionary_encode() for column in pairs)
    return len(pd.unique(_as_int(sample.indices) * len(micrograph.dictionary) + _as_int(micrograph.indices)))


def numbered(pairs: Pairs) -> tuple[Pairs, Int64[np.ndarray, " pair"]]:
    """Give the different pairs, sorted by sample and micrograph, and each pair's place among them.

    Examples
    --------
    >>> found, number = numbered(Pairs(pa.array(["B", "A", "B"]), pa.array(["x", "y", "x"])))
    >>> found.sample.to_pylist(), number.tolist()
    (['A', 'B'], [1, 0, 1])
    """
    (sample, samples), (micrograph, micrographs) = (_ranked(column) for column in pairs)
    found, number = np.unique(sample * len(micrographs) + micrograph, return_inverse=True)
    at, of = np.divmod(found, max(len(micrographs), 1))
    return Pairs(samples.take(pa.array(at)), micrographs.take(pa.array(of))), number


def _ranked(texts: pa.StringArray) -> tuple[Int64[np.ndarray, " text"], pa.StringArray]:
    """Give each text's place among the different ones in order (of code points, as Python has it)."""
    encoded = texts.dictionary_encode()
    order = pc.array_sort_indices(encoded.dictionary)
    place = np.empty(len(order), np.int64)
    place[order.to_numpy()] = np.arange(len(order))
    return place[encoded.indices.to_numpy()], encoded.dictionary.take(order)


def _as_int(indices: pa.Int32Array) -> Int64[np.ndarray, " text"]:
    return np.asarray(indices.to_numpy(), np.int64)
