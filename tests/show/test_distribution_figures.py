"""Histograms and violins hold the particles and summaries that they are given."""

import holoviews as hv
import numpy as np
import pandas as pd
import pytest

from nanocensus.show.figures import figures
from nanocensus.show.figures.theme import (
    PALETTE,
    sample_styles,
)
from nanocensus.statistics.distributions.density import densities
from nanocensus.statistics.distributions.modes import mode_intervals


def drawn(figure):
    """Give the Bokeh figure of a HoloViews element."""
    return hv.renderer("bokeh").get_plot(figure).state


def elements(figure, kind):
    return [element for element in figure if type(element) is kind]


@pytest.fixture(scope="module")
def density():
    rng = np.random.default_rng(2)
    parts = [
        pd.DataFrame({"sample": name, "micrograph": name, "circularity": rng.normal(centre, 0.02, n)})
        for name, centre, n in (("Co0.4", 0.85, 900), ("Co0.2", 0.9, 300))
    ]
    return densities(pd.concat(parts), "circularity", weight=None)


def test_a_histogram_holds_each_particle_once(density):
    figure = figures.histogram(density, "circularity")
    for line in elements(figure, hv.Curve):
        x, y = line.dimension_values(0), line.dimension_values(1)
        area = np.trapezoid(y, x)
        bar = np.diff(np.unique(np.round(x, 9))).min()
        assert area == pytest.approx(bar, rel=1e-6)  # shares add up to 1


def test_violins_mark_the_summaries_of_the_statistics(density):
    figure = figures.violins(density, "circularity")
    spread, middle, mode = elements(figure, hv.Segments)
    np.testing.assert_array_equal(spread.dimension_values(1), density["range_lower"])
    np.testing.assert_array_equal(spread.dimension_values(3), density["range_upper"])
    np.testing.assert_array_equal(middle.dimension_values(1), density["lower_quartile"])
    np.testing.assert_array_equal(mode.dimension_values(1), density["mode"])
    median, mean = elements(figure, hv.Points)
    np.testing.assert_array_equal(median.dimension_values(1), density["median"])
    np.testing.assert_array_equal(mean.dimension_values(1), density["mean"])
    assert spread.label == "2.5–97.5 % of particles"


def test_a_violin_tells_the_interval_of_its_mode_or_why_it_has_none(sized):
    rows = sized(samples=2)
    rows = rows[(rows["sample"] == "S0") | rows["micrograph"].isin(list("abc"))]
    shape = mode_intervals(densities(rows, "circularity", weight=None), rows)
    medians = next(element for element in figures.violins(shape, "circularity") if element.label == "median")
    told, refused = medians.data["mode_interval"]
    first = shape.sel(sample="S0")
    assert told == f"[{first['mode_lower'].item():.4f}, {first['mode_upper'].item():.4f}]"
    assert refused.startswith("(refused: ")
    plain = next(
        element
        for element in figures.violins(densities(rows, "circularity", weight=None), "circularity")
        if element.label == "median"
    )
    assert list(plain.data["mode_interval"]) == ["", ""]


@pytest.mark.parametrize(("samples", "letters"), [(2, 28), (13, 14)])
def test_long_names_below_violins_are_cut_to_what_stands_inside_the_figure(density, samples, letters):
    styles = sample_styles([f"{i:02d} {'x' * 40}" for i in range(samples)])
    labels = drawn(figures.violins(density, "circularity", styles=styles)).xaxis[0].major_label_overrides.values()
    assert {len(label) for label in labels} == {letters}
    assert all("…" in label for label in labels)


def test_violins_stand_in_the_order_of_the_study_with_room_for_empty_samples(density):
    styles = sample_styles(["Co0.4", "none found", "Co0.2"])
    figure = figures.violins(density, "circularity", styles=styles)
    labels = drawn(figure).xaxis[0].major_label_overrides
    assert list(labels.values()) == ["Co0.4", "none found", "Co0.2"]
    bodies = elements(figure, hv.Polygons)
    assert [np.mean(body.data[0]["place"]) for body in bodies] == pytest.approx([0.0, 2.0])
    assert [body.opts.get("style", backend="bokeh").kwargs["fill_color"] for body in bodies] == [PALETTE[0], PALETTE[2]]


def test_samples_whose_names_differ_late_are_told_apart_in_a_legend(density):
    names = [f"Nanoparticles of the second batch, no. {i:02d}" for i in range(13)]
    rng = np.random.default_rng(5)
    rows = pd.DataFrame({"sample": np.repeat(names, 20), "micrograph": "m", "circularity": rng.uniform(0.8, 1, 260)})
    figure = drawn(figures.histogram(densities(rows, "circularity", weight=None), "circularity"))
    labels = [item.label.value for item in figure.legend[0].items]
    assert len(set(labels)) == len(labels) == 13
    assert all(len(label) == 28 for label in labels)
