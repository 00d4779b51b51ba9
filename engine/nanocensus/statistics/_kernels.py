"""The loops over particles and over cells. Integers only leave here, so that no order of addition shows."""

from typing import no_type_check

import numba
import numpy as np

# no_type_check keeps the tests' shape checker off the functions that numba compiles.

LIMB_BITS = 32
UNIT_BITS = 10
"""A particle of weight 1 counts 2^10 quanta."""
_LOW = 2**LIMB_BITS - 1


@numba.njit(nogil=True, cache=True)
@no_type_check
def quantise(values: np.ndarray, inverse: float, quanta: np.ndarray) -> None:  # pragma: no cover  (compiled)
    """Write rint(value * inverse), at most 2^23 from zero."""
    for row in range(len(values)):
        quanta[row] = np.int32(np.rint(np.float64(values[row]) * inverse))


@numba.njit(nogil=True, cache=True)
@no_type_check
def locate(quanta: np.ndarray, edges: np.ndarray, places: np.ndarray) -> None:  # pragma: no cover  (compiled)
    """Write for each value the index i with edges[i] <= q < edges[i + 1], or -1."""
    last = len(edges) - 1
    first, top = np.float64(edges[0]), np.float64(last - 1)
    bins_per_quantum = last / (np.float64(edges[last]) - first)
    for row in range(len(quanta)):  # right or next to it for equal widths, a start for others; a loop without branches
        places[row] = np.int32(min(max((quanta[row] - first) * bins_per_quantum, 0.0), top))
    for row in range(len(quanta)):
        q, place = np.int64(quanta[row]), places[row]
        while place >= 0 and q < edges[place]:
            place -= 1
        while place < last and q >= edges[place + 1]:
            place += 1
        places[row] = place if place < last else -1


@numba.njit(nogil=True, cache=True)
@no_type_check
def sum_runs(  # pragma: no cover  (compiled)
    codes: np.ndarray, places: np.ndarray, quanta: np.ndarray, weights: np.ndarray, bins: np.ndarray,
    scratch: np.ndarray, keys: np.ndarray, sums: np.ndarray, written: int
) -> int:  # fmt: skip
    """Sum runs of rows of one code by place, at most 2^15 rows; each run leaves its cells in order of place.

    Without weights a cell is the number of rows, then sum q and sum q^2 a column: |q| <= 2^23, so they fit. With
    weights in quanta (at most 2^16) it is number and weight, then sum w q and sum w q^2, each as its low 32 bits and the
    rest. `bins` and `scratch` have a row a place, from -1 on: its number in the low 32 bits of keys, and zeros before and
    after. Cells go behind those that are written; returns the number of all.
    """
    weighted = len(weights) > 0
    start = 0
    while start < len(codes):
        code, stop = np.int64(codes[start]), start
        while stop < len(codes) and codes[stop] == code:
            stop += 1
        lowest, highest = places[start], places[start]
        for row in range(start, stop):
            lowest, highest = min(lowest, places[row]), max(highest, places[row])
            scratch[np.uint32(places[row] + 1), 0] += 1
        if weighted:
            _add_weighted(places, quanta, weights, start, stop, scratch)
        else:
            _add(places, quanta, start, stop, scratch)
        for place in range(lowest, highest + 1):
            if scratch[place + 1, 0]:
                keys[written] = (code << 32) | bins[place + 1]
                for column in range(scratch.shape[1]):
                    sums[written, column] = scratch[place + 1, column]
                    scratch[place + 1, column] = 0
                written += 1
        start = stop
    return written


@numba.njit(nogil=True, cache=True, inline="always")
@no_type_check
def _add(  # pragma: no cover  (compiled)
    places: np.ndarray, quanta: np.ndarray, start: int, stop: int, scratch: np.ndarray
) -> None:
    """Add q and q^2 of every column; two columns at once share the way to their cell."""
    n_columns = quanta.shape[0]
    for column in range(0, n_columns - 1, 2):
        for row in range(start, stop):
            cell = scratch[np.uint32(places[row] + 1)]
            q, other = np.int64(quanta[column, row]), np.int64(quanta[column + 1, row])
            cell[1 + 2 * column] += q
            cell[2 + 2 * column] += q * q
            cell[3 + 2 * column] += other
            cell[4 + 2 * column] += other * other
    if n_columns % 2:
        for row in range(start, stop):
            cell = scratch[np.uint32(places[row] + 1)]
            q = np.int64(quanta[n_columns - 1, row])
            cell[2 * n_columns - 1] += q
            cell[2 * n_columns] += q * q


@numba.njit(nogil=True, cache=True, inline="always")
@no_type_check
def _add_weighted(  # pragma: no cover  (compiled)
    places: np.ndarray, quanta: np.ndarray, weights: np.ndarray, start: int, stop: int, scratch: np.ndarray
) -> None:
    """Add the weight, and w q and w q^2 of every column."""
    for row in range(start, stop):
        scratch[np.uint32(places[row] + 1), 1] += weights[row]
    for column in range(quanta.shape[0]):
        to = 2 + 4 * column
        for row in range(start, stop):
            cell = scratch[np.uint32(places[row] + 1)]
            first = weights[row] * quanta[column, row]
            second = first * quanta[column, row]
            cell[to] += first & _LOW
            cell[to + 1] += first >> LIMB_BITS
            cell[to + 2] += second & _LOW
            cell[to + 3] += second >> LIMB_BITS


@numba.njit(nogil=True, cache=True)
@no_type_check
def add_cells(rows: np.ndarray, cells: np.ndarray, sums: np.ndarray) -> None:  # pragma: no cover  (compiled)
    """Add cells to rows of sums, which have the layout with weights of `sum_runs`, low limbs carried over 32 bits.

    The cells have either layout.
    """
    weighted = cells.shape[1] == sums.shape[1]
    for place in range(len(rows)):
        out, cell = sums[rows[place]], cells[place]
        out[0] += cell[0]
        if weighted:
            for column in range(1, len(cell)):
                out[column] += cell[column]
        else:
            out[1] += cell[0] << UNIT_BITS
            for column in range(len(cell) // 2):
                first, second = cell[1 + 2 * column] << UNIT_BITS, cell[2 + 2 * column]
                out[2 + 4 * column] += first & _LOW
                out[3 + 4 * column] += first >> LIMB_BITS
                out[4 + 4 * column] += (second << UNIT_BITS) & _LOW
                out[5 + 4 * column] += second >> (LIMB_BITS - UNIT_BITS)
        for low in range(2, len(out), 2):
            out[low + 1] += out[low] >> LIMB_BITS
            out[low] &= _LOW
