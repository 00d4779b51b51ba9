from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanocensus.errors import StatisticsError
from nanocensus.statistics.cells import _kernels
from nanocensus.statistics.cells.cells import cells, size_bins
from nanocensus.statistics.cells.quanta import quantum_of

LENGTH = quantum_of("edge_length_nm")


def place(values, bins, quantum=LENGTH):
    grid = bins.grid(quantum)
    quanta, places = np.zeros((2, len(values)), np.int32)
    _kernels.quantise(np.asarray(values, np.float64), quantum.inverse, quanta)
    _kernels.locate(quanta, grid.edges, places)
    return np.where(places < 0, -1, places.astype(np.int64) + grid.first)


def test_a_tenth_of_a_nanometre_never_falls_on_the_wrong_side_of_its_edge():
    tenths = np.arange(0, 2000) / 10
    assert place(tenths, size_bins(0.2)).tolist() == [k // 2 for k in range(2000)]
    assert place([21 * 0.2, 4.2, 4.3, np.nextafter(4.4, 0), 4.4], size_bins(0.2)).tolist() == [21, 21, 21, 22, 22]


def test_the_five_sizes_of_the_study_are_centres_of_bins():
    sizes = np.array([4.3, 5.3, 6.5, 7.7, 8.5])
    bins = size_bins(0.2)
    assert bins.bounds(place(sizes, bins)).centre.tolist() == sizes.tolist()
    assert bins.bounds(np.array([21])).left.tolist() == [4.2]
    assert bins.bounds(np.array([21])).right.tolist() == [4.4]


@settings(max_examples=40)
@given(st.integers(1, 500), st.lists(st.floats(0, 2048), min_size=1, max_size=50))
def test_bins_of_a_width_are_those_of_exact_arithmetic_on_quanta(hundredths, values):
    width = hundredths / 20
    step = Fraction(1, 4096)
    expected = []
    for value in values:
        q, k = round(Fraction(value) / step), int(Fraction(value) // Fraction(str(width))) + 2
        while round(k * Fraction(str(width)) / step) > q:
            k -= 1
        expected.append(k)
    assert place(values, size_bins(width)).tolist() == expected


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 400), min_size=2, max_size=12, unique=True),
    st.lists(st.integers(-10, 500), min_size=1, max_size=50),
)
def test_bins_of_edges_are_closed_on_the_left_and_leave_the_rest_outside(edges, values):
    edges = sorted(edges)
    expected = np.searchsorted(edges, values, side="right") - 1
    expected[(np.array(values) < edges[0]) | (np.array(values) >= edges[-1])] = -1
    assert place(values, size_bins(edges=edges)).tolist() == expected.tolist()


def test_quantile_bins_hold_equal_numbers_and_record_their_edges():
    rng = np.random.default_rng(5)
    rows = pd.DataFrame({"sample": "A", "micrograph": "x", "edge_length_nm": rng.lognormal(1.6, 0.3, 1000)})
    made = cells(rows, by=["sample", size_bins(quantiles=5)], of=["edge_length_nm"], weight=None)
    assert made.table["n"].tolist() == [200] * 5
    edges = made.recipe.bins.edges
    assert made.recipe.bins.quantiles == 5
    assert edges[0] <= rows["edge_length_nm"].min() + LENGTH.step
    np.testing.assert_allclose(edges[1:-1], np.quantile(rows["edge_length_nm"], [0.2, 0.4, 0.6, 0.8]), atol=0.02)
    again = cells(rows, by=["sample", size_bins(edges=edges)], of=["edge_length_nm"], weight=None)
    assert again.table.equals(made.table)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"width_nm": 0.2, "quantiles": 3},
        {"width_nm": -1.0},
        {"width_nm": float("nan")},
        {"quantiles": 0},
        {"edges": [1.0]},
        {"edges": [2.0, 1.0]},
        {"edges": [1.0, float("inf")]},
    ],
)
def test_bins_that_make_no_sense_are_refused(wrong):
    with pytest.raises(StatisticsError, match="size_bins"):
        size_bins(**wrong)


def test_bins_finer_than_the_quantum_are_refused():
    with pytest.raises(StatisticsError, match="wider bins"):
        size_bins(1e-4).grid(LENGTH)
    with pytest.raises(StatisticsError, match="further apart"):
        size_bins(edges=[1.0, 1.00001]).grid(LENGTH)


def test_more_quantile_bins_than_values_are_refused():
    rows = pd.DataFrame({"sample": "A", "micrograph": "x", "edge_length_nm": [4.0, 4.0, 5.0]})
    with pytest.raises(StatisticsError, match="fewer quantiles"):
        cells(rows, by=[size_bins(quantiles=3)], of=["edge_length_nm"], weight=None)
