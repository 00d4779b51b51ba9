"""A random order of particles without a shuffle: each particle's place is a function of the seed and its identity."""

from typing import no_type_check

import numba
import numpy as np
import pandas as pd
from jaxtyping import Int, Int64

from nanocensus.statistics.estimation.philox import Purpose, name_word, philox

PLACES = 2**16
"""A sample's random order has so many places; particles that fall into one stay together."""
_SHIFT = np.uint64(48)


def random_places(
    codes: Int[np.ndarray, " row"], pairs: pd.DataFrame, labels: Int64[np.ndarray, " row"], *, seed: int
) -> Int64[np.ndarray, " row"]:
    """Give each particle's place in the random order of its sample: 0 to 65,535, each as likely.

    Parameters
    ----------
    codes : int array (row,)
        Row of `pairs` that each particle belongs to.
    pairs : DataFrame
        Columns sample and micrograph.
    labels : int64 array (row,)
        Number of the particle in its micrograph.
    seed : int
        0 to 2^64 - 1.

    Examples
    --------
    >>> pairs = pd.DataFrame({"sample": ["A", "A"], "micrograph": ["x", "y"]})
    >>> one = random_places(np.array([0, 1]), pairs, np.array([7, 7]), seed=0)
    >>> other = random_places(np.array([0, 1]), pairs[::-1], np.array([7, 7]), seed=0)  # rows the other way round
    >>> one.tolist() == other[::-1].tolist()
    True
    """
    names = zip(pairs["sample"], pairs["micrograph"], strict=True)
    words = np.array([name_word(str(sample), str(micrograph)) for sample, micrograph in names], np.uint64)
    places = np.empty(len(codes), np.int64)
    _place(np.uint64(seed), np.uint64(Purpose.RANDOM_GROUPS), words, codes, labels, places)
    return places


@numba.njit(nogil=True, cache=True)
@no_type_check
def _place(  # pragma: no cover  (compiled)
    seed: np.uint64, purpose: np.uint64, words: np.ndarray, codes: np.ndarray, labels: np.ndarray, places: np.ndarray
) -> None:
    zero = np.uint64(0)
    for row in range(len(codes)):
        drawn = philox(seed, purpose, np.uint64(labels[row]), zero, words[codes[row]], zero)
        places[row] = np.int64(drawn[0] >> _SHIFT)
