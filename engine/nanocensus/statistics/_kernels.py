"""The loops over particles. Integers only leave here, so that no order of addition shows."""

from typing import no_type_check

import numba
import numpy as np

# no_type_check keeps the tests' shape checker off the functions that numba compiles.

LIMB_BITS = 32
_LOW = 2**LIMB_BITS - 1


@numba.njit(nogil=True, cache=True)
@no_type_check
def locate(
    values: np.ndarray, step: float, edges: np.ndarray, places: np.ndarray
) -> None:  # pragma: no cover  (compiled)
    """Write for each value the index i with edges[i] <= rint(value / step) < edges[i + 1], or -1."""
    last = len(edges) - 1
    span = edges[last] - edges[0]
    for row in range(len(values)):
        q = np.int64(np.rint(values[row] / step))
        if q < edges[0] or q >= edges[last]:
            places[row] = -1
            continue
        place = (q - edges[0]) * last // span  # right at once for equal widths, a start for others
        while q < edges[place]:
            place -= 1
        while q >= edges[place + 1]:
            place += 1
        places[row] = place


@numba.njit(nogil=True, cache=True)
@no_type_check
def count(cells: np.ndarray, weights: np.ndarray, sums: np.ndarray) -> None:  # pragma: no cover  (compiled)
    """Add particles (column 0) and their weights in quanta (column 1) to the rows of their cells."""
    for row in range(len(cells)):
        sums[cells[row], 0] += 1
        sums[cells[row], 1] += weights[row]


@numba.njit(nogil=True, cache=True)
@no_type_check
def add_moments(  # pragma: no cover  (compiled)
    cells: np.ndarray, weights: np.ndarray, values: np.ndarray, step: float, sums: np.ndarray
) -> None:
    """Add w q and w q^2, each as its low 32 bits and the rest, to four columns of the rows of their cells."""
    for row in range(len(cells)):
        q = np.int64(np.rint(values[row] / step))
        first = weights[row] * q
        second = first * q
        out = sums[cells[row]]
        out[0] += first & _LOW
        out[1] += first >> LIMB_BITS
        out[2] += second & _LOW
        out[3] += second >> LIMB_BITS
