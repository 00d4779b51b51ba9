"""The loops over particles and over cells. Integers only leave here, so that no order of addition shows."""

from typing import no_type_check

import numba
import numpy as np

# no_type_check keeps the tests' shape checker off the functions that numba compiles.

LIMB_BITS = 32
UNIT_BITS = 10
"""A particle of weight 1 counts 2^10 quanta."""
_LOW = 2**LIMB_BITS - 1
_COMPARED = 64
"""Rows whose codes are compared at once."""


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
    near = True  # is what is reckoned always the place or next to it, as for equal widths?
    for place in range(last):
        lowest = (edges[place] - first) * bins_per_quantum
        highest = (edges[place + 1] - 1 - first) * bins_per_quantum
        near &= lowest >= place - 1 and highest < place + 2
    for row in range(len(quanta)):  # a loop without branches
        places[row] = np.int32(min(max((quanta[row] - first) * bins_per_quantum, 0.0), top))
    if near:
        for row in range(len(quanta)):
            q, place = np.int64(quanta[row]), places[row]
            place += np.int32(q >= edges[place + 1]) - np.int32(q < edges[place])
            places[row] = place if place < last else -1
        return
    for row in range(len(quanta)):
        q, place = np.int64(quanta[row]), places[row]
        while place >= 0 and q < edges[place]:
            place -= 1
        while place < last and q >= edges[place + 1]:
            place += 1
        places[row] = place if place < last else -1


@numba.njit(nogil=True, cache=True)
@no_type_check
def step_into(places: np.ndarray, count: int, along: np.ndarray) -> None:  # pragma: no cover  (compiled)
    """Turn places in some bins into places in their product with `count` others, in which each row is at `along`, or -1."""
    for row in range(len(places)):
        places[row] = places[row] * count + along[row] if places[row] >= 0 and along[row] >= 0 else -1


@numba.njit(nogil=True, cache=True)
@no_type_check
def sum_runs(  # pragma: no cover  (compiled)
    codes: np.ndarray, places: np.ndarray, quanta: np.ndarray, weights: np.ndarray, most: int, last: bool,
    scratch: np.ndarray, run: np.ndarray, written: np.ndarray, runs: np.ndarray, cells: np.ndarray, sums: np.ndarray
) -> None:  # fmt: skip
    """Sum runs of rows of one code by place; each run of at most `most` rows leaves its cells in order of place.

    A cell is the number of rows, their weight if `weights` (in quanta) are given, then sum w q and sum w q^2 of every
    column: `most` keeps them in 64 bits. Rows may come in several calls: the run that is open stays in `scratch`, a row a
    place from -1 on, and in `run` (its code, number of rows, lowest and highest place), until the `last` call.
    `runs` gets the code and the first cell of each run, `cells` the place and `sums` the sums of each cell, behind as
    many runs and cells as `written` says, which is kept.
    """
    start = 0
    while start < len(codes):
        if run[1] and (codes[start] != run[0] or run[1] >= most):
            _close(scratch, run, written, runs, cells, sums)
        if not run[1]:
            run[0], run[2], run[3] = codes[start], places[start], places[start]
        stop = _run_end(codes, start, min(len(codes), start + most - run[1]))
        own = places[start:stop]
        lowest, highest = own[0], own[0]
        for row in range(len(own)):
            lowest, highest = min(lowest, own[row]), max(highest, own[row])
        if len(weights):
            _add_weighted(own, quanta[:, start:stop], weights[start:stop], scratch)
        else:
            _add(own, quanta[:, start:stop], scratch)
        run[1], run[2], run[3] = run[1] + stop - start, min(run[2], lowest), max(run[3], highest)
        start = stop
    if last and run[1]:
        _close(scratch, run, written, runs, cells, sums)


@numba.njit(nogil=True, cache=True)
@no_type_check
def _close(  # pragma: no cover  (compiled)
    scratch: np.ndarray, run: np.ndarray, written: np.ndarray, runs: np.ndarray, cells: np.ndarray, sums: np.ndarray
) -> None:
    """Write the cells of the open run, and make room for the next."""
    first = stop = written[1]
    runs[written[0], 0], runs[written[0], 1] = run[0], first
    for place in range(run[2], run[3] + 1):
        cells[stop] = place
        stop += scratch[np.uint32(place + 1), 0] > 0
    for column in range(scratch.shape[1]):
        for cell in range(first, stop):
            sums[column, cell] = scratch[np.uint32(cells[cell] + 1), column]
    scratch[run[2] + 1 : run[3] + 2] = 0
    written[0], written[1], run[1] = written[0] + 1, stop, 0


@numba.njit(nogil=True, cache=True, inline="always")
@no_type_check
def _run_end(codes: np.ndarray, start: int, end: int) -> int:  # pragma: no cover  (compiled)
    """Give the first row after `start` of another code, `end` at most."""
    stop = start
    while stop + _COMPARED <= end:
        ahead, differs = codes[stop : stop + _COMPARED], 0
        for row in range(_COMPARED):
            differs |= ahead[row] ^ codes[start]
        if differs:
            break
        stop += _COMPARED
    while stop < end and codes[stop] == codes[start]:
        stop += 1
    return stop


@numba.njit(nogil=True, cache=True, inline="always")
@no_type_check
def _add(places: np.ndarray, quanta: np.ndarray, scratch: np.ndarray) -> None:  # pragma: no cover  (compiled)
    """Count rows, and add q and q^2 of every column; three columns at once share the way to their cell."""
    n_columns = len(quanta)
    for column in range(0, n_columns - 2, 3):
        to, count = 1 + 2 * column, column == 0
        for row in range(len(places)):
            cell = scratch[np.uint32(places[row] + 1)]
            q = np.int64(quanta[column, row])
            second, third = np.int64(quanta[column + 1, row]), np.int64(quanta[column + 2, row])
            cell[0] += count
            cell[to] += q
            cell[to + 1] += q * q
            cell[to + 2] += second
            cell[to + 3] += second * second
            cell[to + 4] += third
            cell[to + 5] += third * third
    for column in range(n_columns - n_columns % 3, n_columns):
        for row in range(len(places)):
            cell = scratch[np.uint32(places[row] + 1)]
            q = np.int64(quanta[column, row])
            cell[1 + 2 * column] += q
            cell[2 + 2 * column] += q * q
    if n_columns < 3:
        for row in range(len(places)):
            scratch[np.uint32(places[row] + 1), 0] += 1


@numba.njit(nogil=True, cache=True, inline="always")
@no_type_check
def _add_weighted(  # pragma: no cover  (compiled)
    places: np.ndarray, quanta: np.ndarray, weights: np.ndarray, scratch: np.ndarray
) -> None:
    """Count rows, and add the weight, and w q and w q^2 of every column."""
    for row in range(len(places)):
        cell = scratch[np.uint32(places[row] + 1)]
        cell[0] += 1
        cell[1] += weights[row]
    for column in range(len(quanta)):
        for row in range(len(places)):
            cell = scratch[np.uint32(places[row] + 1)]
            first = weights[row] * quanta[column, row]
            cell[2 + 2 * column] += first
            cell[3 + 2 * column] += first * quanta[column, row]


@numba.njit(nogil=True, cache=True)
@no_type_check
def add_at(places: np.ndarray, values: np.ndarray, totals: np.ndarray) -> None:  # pragma: no cover  (compiled)
    """Add values to the totals at their places."""
    for row in range(len(places)):
        totals[places[row]] += values[row]


@numba.njit(nogil=True, cache=True)
@no_type_check
def add_runs(  # pragma: no cover  (compiled)
    runs: np.ndarray, starts: np.ndarray, borders: np.ndarray, bins: np.ndarray, first: int,
    values: np.ndarray, shift: int, totals: np.ndarray
) -> None:  # fmt: skip
    """Add the values of the cells of runs, times 2^shift, to totals.

    Where those of a run start is the total of cells below the first bin, then come those of the bins from `first` on.
    """
    for at in range(len(runs)):
        for cell in range(borders[runs[at]], borders[runs[at] + 1]):
            totals[starts[at] + max(np.int64(bins[cell]) - first + 1, 0)] += np.int64(values[cell]) << shift


@numba.njit(nogil=True, cache=True)
@no_type_check
def add_runs_in_limbs(  # pragma: no cover  (compiled)
    runs: np.ndarray, starts: np.ndarray, borders: np.ndarray, bins: np.ndarray, first: int,
    values: np.ndarray, shift: int, low: np.ndarray, high: np.ndarray
) -> None:  # fmt: skip
    """Do as `add_runs` with totals in two limbs; the low ones are not carried."""
    for at in range(len(runs)):
        for cell in range(borders[runs[at]], borders[runs[at] + 1]):
            to = starts[at] + max(np.int64(bins[cell]) - first + 1, 0)
            value = np.int64(values[cell])
            low[to] += (value << shift) & _LOW
            high[to] += value >> (LIMB_BITS - shift)
