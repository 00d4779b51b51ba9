"""Figures of what more data would bring hold the data they are given."""

import holoviews as hv
import numpy as np
import pytest
import xarray as xr

from nanocensus.show.figures import figures
from nanocensus.show.figures.sampling import _round_values

SIZES = np.array([500, 1000, 5000])


def study():
    dims = ("sample", "descriptor", "grouping", "group_size")
    cv = (
        np.array([0.08, 0.06, np.nan])[None, None, None]
        * np.array([1.0, 0.2])[None, None, :, None]
        * np.ones((2, 1, 1, 1))
    )
    return xr.Dataset(
        {"cv": (dims, cv), "cv_theory": (dims, 1.05 * cv), "n_groups": (dims, np.full(cv.shape, 9.0))},
        coords={
            "sample": ["Co0.2", "Co0.4"], "descriptor": ["edge_length_nm"], "grouping": ["sequential", "random"],
            "group_size": SIZES, "cv_lower": (dims, 0.8 * cv), "cv_upper": (dims, 1.3 * cv),
        },
    )  # fmt: skip


def data():
    dims = ("sample", "drawn", "micrographs_drawn", "descriptor")
    deviation = np.array([0.02, 0.01, np.nan])[None, None, :, None] * np.array([1.0, 0.6])[None, :, None, None]
    return xr.Dataset(
        {
            "rms_deviation_all": (dims, deviation),
            "n_drawn": (dims[:3], np.array([800.0, 1600.0, np.nan])[None, None] * np.ones((1, 2, 1))),
        },
        coords={
            "sample": ["Co0.4"], "drawn": ["micrographs", "particles"], "micrographs_drawn": [1, 2, 100],
            "descriptor": ["edge_length_nm"],
        },
    )  # fmt: skip


def points(figure):
    return {layer.label: layer for layer in figure if type(layer) is hv.Points}


def test_groups_are_shown_in_per_cent_and_those_without_a_cv_are_not():
    drawn = points(figures.group_scatter(study(), "edge_length_nm", only=["Co0.4"]))
    assert list(drawn) == ["Co0.4, sequential", "Co0.4, random"]
    np.testing.assert_allclose(drawn["Co0.4, sequential"].dimension_values("cv"), [8, 6])
    np.testing.assert_allclose(drawn["Co0.4, random"].dimension_values("cv"), [1.6, 1.2])
    assert drawn["Co0.4, sequential"].dimension_values("group_size").tolist() == [500, 1000]


def test_error_bars_end_where_the_intervals_end_and_lines_are_the_theory():
    layers = list(figures.group_scatter(study(), "edge_length_nm", only=["Co0.2"]))
    bars = next(layer for layer in layers if type(layer) is hv.ErrorBars)
    np.testing.assert_allclose(bars.dimension_values("cv") - bars.dimension_values("below"), [6.4, 4.8])
    np.testing.assert_allclose(bars.dimension_values("cv") + bars.dimension_values("above"), [10.4, 7.8])
    line = next(layer for layer in layers if type(layer) is hv.Curve)
    np.testing.assert_allclose(line.dimension_values("cv_theory"), [8.4, 6.3])


def test_parts_of_the_data_are_placed_by_their_particles():
    figure = figures.data_size(data(), "edge_length_nm", assumed=True)
    drawn = points(figure)
    assert list(drawn) == ["Co0.4, whole micrographs", "Co0.4, random particles"]
    assert drawn["Co0.4, whole micrographs"].dimension_values("n_drawn").tolist() == [800, 1600]
    np.testing.assert_allclose(drawn["Co0.4, random particles"].dimension_values("rms_deviation_all"), [0.012, 0.006])
    axis = hv.renderer("bokeh").get_plot(figure).state.yaxis[0].axis_label
    assert "nm, assumed scale" in axis


@pytest.mark.parametrize(("make", "ds"), [(figures.group_scatter, study()), (figures.data_size, data())])
def test_both_axes_are_logarithmic_and_hold_every_marker(make, ds):
    figure = make(ds, "edge_length_nm")
    state = hv.renderer("bokeh").get_plot(figure).state
    assert type(state.x_scale).__name__ == type(state.y_scale).__name__ == "LogScale"
    for layer in points(figure).values():
        x, y = layer.dimension_values(0), layer.dimension_values(1)
        assert state.x_range.start < x.min() <= x.max() < state.x_range.end
        assert state.y_range.start < y.min() <= y.max() < state.y_range.end


@pytest.mark.parametrize(
    ("low", "high", "values"), [(0.9, 12.0, [1.0, 2.0, 5.0, 10.0]), (2.1, 4.9, [3.0, 4.0]), (0.11, 0.18, [0.15])]
)
def test_an_axis_has_numbers_however_short_it_is(low, high, values):
    assert _round_values(low, high) == pytest.approx(values)


def test_nothing_to_show_is_an_empty_figure():
    empty = study().where(False)
    assert not points(figures.group_scatter(empty, "edge_length_nm"))
