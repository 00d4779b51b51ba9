"""The figure of mean outlines: what is told, what is not told from roughness, and what is empty."""

import holoviews as hv
import numpy as np
import pytest
import xarray as xr

from nanocensus.show.embedding import figure_json
from nanocensus.show.figures import figures
from nanocensus.show.figures import shapes as shape_figures
from nanocensus.show.report.content import ReportContent
from nanocensus.show.report.report import render_report

ANGLE = np.linspace(0, np.pi / 4, 17)
RAY = 2 * np.pi * np.arange(128) / 128


@pytest.fixture
def shapes():
    """Two samples and three sizes: squares told, squares not told from roughness, and nothing."""
    outline, keys = 1 + 0.08 * np.cos(4 * ANGLE), ("sample", "size_bin")
    known = np.array([[True, True, False], [True, True, False]])[..., None]
    told = np.array([[True, False, False], [True, True, False]])[..., None]
    values = {"aligned": np.where(known, outline, np.nan), "radius": np.where(told, outline, np.nan)}
    values |= {f"band_{end}": values["radius"] + by for end, by in (("lower", -0.01), ("upper", 0.01))}
    return xr.Dataset(
        {name: ((*keys, "angle"), value) for name, value in values.items()}
        | {
            "running_mean": ((*keys, "ray"), np.where(known, 1 + 0.08 * np.cos(4 * RAY), np.nan)),
            "density": ((*keys, "y", "x"), np.ones((2, 3, 6, 6), np.int64)),
            "n": (keys, np.array([[30, 30, 0], [30, 30, 5]])),
        },
        coords={
            "sample": ["A", "B"], "size_bin": [4.1, 4.3, 4.5], "x": np.arange(6) / 2 - 1.25, "y": np.arange(6) / 2 - 1.25,
            "size_left": ("size_bin", [4.0, 4.2, 4.4]), "size_right": ("size_bin", [4.2, 4.4, 4.6]),
        },
        attrs={"level": 0.95},
    )  # fmt: skip


def pieces(figure, label):
    """Count the closed lines of a layer: runs of numbers between gaps."""
    (curve,) = (layer for layer in figure if layer.label == label)
    there = np.isfinite(curve.dimension_values(0)) & np.isfinite(curve.dimension_values(1))
    return int((np.diff(there.astype(int)) == 1).sum())


def test_each_panel_has_its_mean_or_says_that_it_is_not_told(shapes):
    figure = figures.mean_shapes(shapes)
    assert pieces(figure, "mean outline") == 3
    assert pieces(figure, "not told from roughness") == 1
    assert pieces(figure, "running mean of the paper") == 4
    (bands,) = (layer for layer in figure if isinstance(layer, hv.Polygons))
    assert len(bands.split()) == 3
    hv.render(figure, backend="bokeh")


def test_corners_lie_on_the_diagonals_at_their_radius(shapes):
    figure = figures.mean_shapes(shapes, samples=["A"], bins=[0])
    (curve,) = (layer for layer in figure if layer.label == "mean outline")
    points = np.stack([curve.dimension_values(axis) for axis in (0, 1)])
    farthest = points[:, np.nanargmax(np.hypot(*points))]
    np.testing.assert_allclose(np.abs(farthest), 1.08 / np.sqrt(2), rtol=1e-6)


def test_a_bin_without_any_mean_is_not_shown(shapes):
    assert list(shape_figures.spread_bins(shapes)) == [0, 1]
    ticks = figures.mean_shapes(shapes).opts.get("plot").kwargs["xticks"]
    assert [text for _, text in ticks] == ["4–4.2", "4.2–4.4"]


def test_equal_shapes_give_equal_bytes_and_a_place_in_the_report(shapes):
    first, second = (figure_json(figures.mean_shapes(shapes), "here") for _ in range(2))
    assert first == second
    page = render_report(ReportContent("Shapes", samples=["A", "B"], shapes=shapes))
    assert "Mean outlines by sample and size" in page
    nothing = shapes.assign(aligned=shapes["aligned"] * np.nan, n=0 * shapes["n"])
    assert "Mean outlines by sample and size" not in render_report(ReportContent("None", ["A", "B"], shapes=nothing))


def test_the_axis_names_the_column_of_the_bins(shapes):
    def label(ds):
        return figures.mean_shapes(ds).opts.get("plot").kwargs["xlabel"]

    assert label(shapes) == "edge length (nm)"
    assert label(shapes.assign_attrs(size_bins={"of": "feret_max_nm"})) == "feret max (nm)"
