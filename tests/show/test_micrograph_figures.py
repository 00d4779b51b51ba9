"""Micrographs with the outlines of what was found: where they lie, and what they say."""

import base64
import io

import holoviews as hv
import numpy as np
import pytest
from PIL import Image

from nanocensus.errors import InputError
from nanocensus.show.figures import figures
from nanocensus.show.figures.micrographs import LARGEST_SIDE_PX, embedded_picture


def drawn(figure):
    """Give the Bokeh figure of a HoloViews element."""
    return hv.renderer("bokeh").get_plot(figure).state


def elements(figure, kind):
    return [element for element in figure if type(element) is kind]


def circle(y, x, radius, points=200):
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.column_stack([y + radius * np.sin(angle), x + radius * np.cos(angle)])


def test_outlines_are_drawn_in_nm_from_the_upper_left_corner():
    square = np.array([[0.0, 0.0], [0.0, 9.0], [9.0, 9.0], [9.0, 0.0]])
    figure = figures.micrograph(np.zeros((16, 16)), pixel_size_nm=0.5, accepted=[square])
    line = elements(figure, hv.Curve)[0]
    x, y = line.dimension_values(0), line.dimension_values(1)
    assert np.nanmin(x) == np.nanmin(y) == 0.25
    assert np.nanmax(x) == np.nanmax(y) == 4.75


def test_a_thinned_outline_stays_within_a_quarter_of_a_shown_pixel():
    outline = circle(2000.0, 1500.0, 60.0, 500)
    figure = figures.micrograph(np.zeros((4096, 4096), np.uint8), pixel_size_nm=0.086, accepted=[outline])
    line = elements(figure, hv.Curve)[0]
    x, y = (line.dimension_values(i) / 0.086 - 0.5 for i in (0, 1))
    seen = np.isfinite(x)
    x, y = x[seen], y[seen]
    assert len(x) < 100
    middle = np.hypot((x[1:] + x[:-1]) / 2 - 1500, (y[1:] + y[:-1]) / 2 - 2000)
    assert np.abs(np.concatenate([np.hypot(x - 1500, y - 2000), middle]) - 60).max() < 0.25 * 4096 / LARGEST_SIDE_PX
    assert (x[0], y[0]) == (x[-1], y[-1])


def test_every_rejected_outline_carries_its_reason_for_the_pointer():
    rejected = [circle(10, 10, 5), circle(30, 30, 5)]
    figure = figures.micrograph(
        np.zeros((50, 50)), pixel_size_nm=1.0, rejected=rejected, reasons=["too small", "touches border"]
    )
    (polygons,) = elements(figure, hv.Polygons)
    assert [shape["reason"] for shape in polygons.data] == ["too small", "touches border"]
    assert polygons.opts.get("plot", backend="bokeh").kwargs["hover_tooltips"] == [("rejected", "@reason")]


def test_the_legend_counts_accepted_rejected_and_true_outlines():
    some = [circle(20, 20, 5)] * 3
    figure = figures.micrograph(
        np.zeros((50, 50)), pixel_size_nm=1.0, accepted=some, rejected=some[:1], reasons=["x"], truth=some[:2]
    )
    labels = [item.label.value for item in drawn(figure).legend[0].items]
    assert labels == ["accepted (3)", "rejected (1)", "truth (2)"]


def test_a_missing_reason_is_an_error_of_the_caller():
    with pytest.raises(InputError, match="one reason a rejected outline"):
        figures.micrograph(np.zeros((9, 9)), pixel_size_nm=1.0, rejected=[circle(4, 4, 2)])


@pytest.mark.parametrize(("assumed", "printed"), [(True, "(assumed scale)"), (False, "")])
def test_the_scale_bar_says_when_the_scale_is_assumed(assumed, printed):
    figure = drawn(figures.micrograph(np.zeros((9, 9)), pixel_size_nm=1.0, assumed=assumed))
    (bar,) = figure.select(type=__import__("bokeh.models", fromlist=["ScaleBar"]).ScaleBar)
    assert bar.unit == "nm"
    assert bar.label.replace("@{value} @{unit}", "").strip() == printed


def test_the_picture_shows_the_whole_micrograph_small_and_stretched():
    rng = np.random.default_rng(0)
    pixels = rng.normal(20_000, 10, (2000, 1000)).clip(0).astype(np.uint16)
    pixels[:1000] += 100
    uri = embedded_picture(pixels)
    picture = Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))
    assert picture.size == (384, 768)
    grey = np.asarray(picture)
    assert grey[:380].mean() > 180
    assert grey[388:].mean() < 80
    assert len(uri) < 120_000


@pytest.mark.parametrize("pixels", [np.zeros((4, 7), np.uint8), np.full((5, 5), np.nan), np.ones((1, 1), np.float32)])
def test_a_micrograph_without_contrast_is_still_a_picture(pixels):
    assert embedded_picture(pixels).startswith("data:image/jpeg;base64,")
