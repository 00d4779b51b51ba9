"""Figures hold the data they are given, and say what they show."""

import holoviews as hv
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import nanocensus as nc
from nanocensus.errors import TableError
from nanocensus.schema import PARTICLES
from nanocensus.show.figures import figures
from nanocensus.show.figures.evaluation import error_by_size
from nanocensus.show.figures.sizes import interval_rows
from nanocensus.show.figures.theme import (
    MARKERS,
    PALETTE,
    axis_label,
    plain_text,
    quantity_name,
    sample_styles,
    unit_sign,
)
from nanocensus.show.report.content import ReportContent
from nanocensus.show.report.report import render_report
from nanocensus.show.report.tables import tables
from nanocensus.statistics.distributions.density import densities
from nanocensus.statistics.distributions.size_distribution import size_distribution
from nanocensus.statistics.estimation.across import cv_across_samples
from nanocensus.statistics.estimation.binning import size_statistics


def drawn(figure):
    """Give the Bokeh figure of a HoloViews element."""
    return hv.renderer("bokeh").get_plot(figure).state


def elements(figure, kind):
    return [element for element in figure if type(element) is kind]


def by_size(samples=("Co0.2", "Co0.4"), n_bins=6, seed=1):
    rng = np.random.default_rng(seed)
    left = 4.0 + 0.2 * np.arange(n_bins)
    dims = ("sample", "size_bin", "descriptor", "statistic")
    shape = (len(samples), n_bins, 2, 2)
    estimate = 0.9 + 0.02 * rng.random(shape)
    lower, upper = estimate - 0.01 * rng.random(shape), estimate + 0.01 * rng.random(shape)
    refusal = np.full(shape, "", object)
    refusal[0, -1] = "9 particles in 3 clusters: an interval needs 20 in 4"
    lower[0, -1] = upper[0, -1] = np.nan
    estimate[1, 0] = lower[1, 0] = upper[1, 0] = np.nan
    counts = rng.integers(20, 90, shape[:2])
    return xr.Dataset(
        {
            "estimate": (dims, estimate),
            "n": (dims[:2], counts),
            "n_micrographs": (dims[:2], counts // 4),
            "n_clusters": (dims[:2], counts // 8),
        },
        coords={
            "sample": list(samples),
            "size_bin": left + 0.1,
            "size_left": ("size_bin", left),
            "size_right": ("size_bin", left + 0.2),
            "descriptor": ["circularity", "edge_length_nm"],
            "statistic": ["mean", "cv"],
            "lower": (dims, lower),
            "upper": (dims, upper),
            "refusal": (dims, refusal),
        },
        attrs={"level": 0.95},
    )


# --- micrographs ---


# --- by size ---


def test_error_bars_end_where_the_intervals_end():
    ds = by_size()
    figure = figures.size_resolved(ds, "circularity")
    for name, bars in zip(ds["sample"].values, elements(figure, hv.ErrorBars), strict=True):
        one = ds.sel(sample=name, descriptor="circularity", statistic="mean")
        known = np.isfinite(one["lower"].values)
        value, below, above = (bars.dimension_values(i) for i in (1, 2, 3))
        np.testing.assert_allclose(value - below, one["lower"].values[known], rtol=1e-12)
        np.testing.assert_allclose(value + above, one["upper"].values[known], rtol=1e-12)


@pytest.mark.parametrize(("scale", "form"), [(1.0, "{0.0000}"), (1e-3, "{0.0000000}"), (1e5, "{0}")])
def test_numbers_on_hover_have_the_digits_that_their_intervals_allow(scale, form):
    ds = by_size()
    for name in ("estimate", "lower", "upper"):
        ds[name] = ds[name] * scale
    points = elements(figures.size_resolved(ds, "circularity"), hv.Points)[0]
    shown = dict(points.opts.get("plot", backend="bokeh").kwargs["hover_tooltips"])
    assert shown["estimate"] == f"@estimate{form}"
    assert shown["interval"] == f"@lower{form} to @upper{form}"


def test_refused_intervals_are_open_markers_with_the_reason_and_no_bar():
    figure = figures.size_resolved(by_size(), "circularity")
    filled, opened = elements(figure, hv.Points)[:2]
    assert opened.opts.get("style", backend="bokeh").kwargs["fill_color"] == "white"
    assert list(opened.dimension_values("refusal")) == ["9 particles in 3 clusters: an interval needs 20 in 4"]
    assert len(filled) == 5
    assert ("interval", "refused: @refusal") in opened.opts.get("plot", backend="bokeh").kwargs["hover_tooltips"]
    assert "n" in opened


def test_samples_stand_side_by_side_inside_their_bin():
    rows = interval_rows(by_size(), "circularity", "mean", side_by_side=["Co0.2", "Co0.4"])
    assert ((rows["x"] > rows["size_left"]) & (rows["x"] < rows["size_right"])).all()
    first, second = (rows[rows["sample"] == name].set_index("size_left")["x"] for name in ("Co0.2", "Co0.4"))
    assert (second - first).dropna().gt(0).all()


def test_samples_that_are_not_asked_for_are_grey_lines_without_intervals():
    figure = figures.size_resolved(by_size(), "circularity", only=["Co0.4"])
    assert len(elements(figure, hv.ErrorBars)) == 1
    labels = [item.label.value for item in drawn(figure).legend[0].items]
    assert labels == ["Co0.4"]


def test_the_legend_shows_the_open_marker_of_a_sample_whose_intervals_were_all_refused():
    ds = by_size()
    ds["lower"].loc[{"sample": "Co0.4"}] = np.nan
    items = {
        item.label.value: item.renderers for item in drawn(figures.size_resolved(ds, "circularity")).legend[0].items
    }
    assert list(items) == [str(name) for name in ds["sample"].values]
    assert [renderer.glyph.fill_color for renderer in items["Co0.4"]] == ["white"]


def test_a_dataset_without_one_estimate_makes_an_empty_figure():
    ds = by_size()
    ds["estimate"][:] = np.nan
    assert drawn(figures.size_resolved(ds, "circularity")).xaxis[0].axis_label == "edge length (nm)"


# --- distributions, from the statistics' own densities ---


def test_the_log_normal_fit_has_the_area_of_the_bars_and_their_middle(sized):
    rows = sized()
    ds, fit = densities(rows, "edge_length_nm", weight=None), size_distribution(rows, weight=None)
    bars = figures.histogram(ds, "edge_length_nm")
    both = figures.histogram(ds, "edge_length_nm", fit=fit)
    assert len(elements(both, hv.Curve)) == len(elements(bars, hv.Curve)) + 4
    curve = next(element for element in both if element.label == "" and isinstance(element, hv.Curve))
    x, share = curve.dimension_values(0), curve.dimension_values(1)
    steps = elements(bars, hv.Curve)[0].dimension_values(0)
    width = np.unique(np.diff(steps).round(6)).max()
    np.testing.assert_allclose(share.sum() * np.diff(x).mean() / width, 1.0, rtol=0.02)
    sample = fit["sample"].to_numpy()[0]
    mean = (x * share).sum() / share.sum()
    np.testing.assert_allclose(
        mean, fit["estimate"].sel(sample=sample, weighting="number", statistic="mean"), rtol=0.01
    )


def test_the_cv_across_samples_is_drawn_with_and_without_noise(sized):
    ds = cv_across_samples(size_statistics(sized(), weight=None))
    figure = figures.cv_across_samples(ds)
    hollow = {element.label: element for element in elements(figure, hv.Points) if element.label.endswith("naive")}
    assert set(hollow) == {"circularity, naive", "solidity, naive"}
    circularity = ds.sel(descriptor="circularity")
    there = circularity["n_samples"] > 1
    np.testing.assert_allclose(
        hollow["circularity, naive"].dimension_values(1), 100 * circularity["naive"].where(there, drop=True)
    )
    bars = elements(figure, hv.ErrorBars)[0]
    told = circularity.where(circularity["refusal"] == "", drop=True)
    np.testing.assert_allclose(bars.dimension_values(1), 100 * told["estimate"])
    np.testing.assert_allclose(bars.dimension_values(1) + bars.dimension_values(3), 100 * told["upper"])
    assert "across their means. Filled: with the noise" in render_report(ReportContent("t", [], across=ds))
    assert drawn(figure).yaxis[0].axis_label == "CV across samples (%)"


def test_a_cv_that_nothing_can_be_said_of_makes_an_empty_figure(sized):
    ds = cv_across_samples(size_statistics(sized(samples=1), weight=None))
    assert not any(len(points) for points in elements(figures.cv_across_samples(ds), hv.Points))


def test_a_cv_without_intervals_has_no_entry_in_the_legend_for_them(sized):
    ds = cv_across_samples(size_statistics(sized(samples=2), weight=None))  # of two samples no noise can be taken out
    figure = figures.cv_across_samples(ds)
    page = render_report(ReportContent("t", ["Co0.2", "Co0.4"], across=ds))
    assert "across their means. Hollow: as it stands" in page
    assert "Filled:" not in page
    assert not elements(figure, hv.ErrorBars)
    assert [item.label["value"] for item in drawn(figure).legend[0].items] == ["circularity, naive", "solidity, naive"]


# --- tallies ---


def test_rejection_bars_are_as_long_as_the_counts():
    table = pd.DataFrame({"sample": ["a", "b"], "reason": ["too small", "too small"], "particles": [7, 3]})
    figure = figures.rejections(table)
    assert [bars.dimension_values("x1").item() for bars in elements(figure, hv.Rectangles)] == [7, 3]
    assert drawn(figure).yaxis[0].major_label_overrides == {0: "too small"}


def test_agreement_shows_counts_and_dice_of_every_micrograph():
    table = pd.DataFrame(
        {
            "sample": "a",
            "name": ["1", "2"],
            "group": ["g", None],
            "n_true": [9, 4],
            "n_detected": [8, 5],
            "dice": [0.9, 0.8],
        }
    )
    (points,) = elements(figures.agreement(table), hv.Points)
    assert points.array([0, 1]).tolist() == [[9, 8], [4, 5]]
    figure = figures.agreement(table, of="dice", bar=0.85)
    (points,) = elements(figure, hv.Points)
    assert points.dimension_values(1).tolist() == [0.9, 0.8]
    assert elements(figure, hv.Curve)[0].dimension_values(1).tolist() == [0.85, 0.85]
    assert list(drawn(figure).xaxis[0].major_label_overrides.values()) == ["g", "2"]


def test_a_table_without_its_columns_is_refused():
    with pytest.raises(TableError, match="n_true"):
        figures.agreement(pd.DataFrame({"sample": [], "name": []}))
    with pytest.raises(TableError, match="particles"):
        figures.rejections(pd.DataFrame({"sample": ["a"], "reason": ["b"]}))


# --- look ---


@pytest.mark.parametrize("column", [column for column in PARTICLES.columns if column.unit in ("nm", "nm2")])
def test_every_length_and_area_says_its_unit_and_when_its_scale_is_assumed(column):
    sign = {"nm": "nm", "nm2": "nm²"}[column.unit]
    assert axis_label(column.name).endswith(f" ({sign})")
    assert axis_label(column.name, assumed=True).endswith(f" ({sign}, assumed scale)")


@pytest.mark.parametrize(
    ("column", "label"),
    [("core_radius_nm", "core radius (nm)"), ("shell_area_nm2", "shell area (nm²)"), ("tilt_rad", "tilt (rad)"),
     ("Round", "Round"), ("annum", "annum")],
)  # fmt: skip
def test_a_column_of_the_users_own_has_the_unit_that_its_name_ends_in(column, label):
    assert axis_label(column) == label
    assert unit_sign("core_radius_nm", assumed=True) == "nm, assumed scale"
    assert quantity_name("edge_") == "edge "


def test_a_coefficient_of_variation_has_no_unit_on_its_axis():
    labels = {
        statistic: drawn(figures.size_resolved(by_size(), "edge_length_nm", statistic=statistic)).yaxis[0].axis_label
        for statistic in ("mean", "cv")
    }
    assert labels == {"mean": "mean edge length (nm)", "cv": "coefficient of variation edge length"}


def test_sixty_samples_differ_in_colour_or_marker():
    styles = sample_styles([str(i) for i in range(len(PALETTE) * len(MARKERS))])
    assert len({(style.colour, style.marker) for style in styles.values()}) == 60


LONG = "Co3O4 nanoparticles, {} acid, {} water, washed with ethanol twice"


@pytest.mark.parametrize(
    "names",
    [
        [LONG.format(acid, water) for acid in ("oleic", "lauric") for water in ("0.43 ml", "1.0 ml")],
        [LONG.format("oleic", f"0.{share:02d} ml") for share in range(40)],
        ["x" * 40, "x" * 41, "x" * 42],
    ],
    ids=["in two places", "in one place", "in length alone"],
)
def test_long_names_that_begin_and_end_alike_have_a_legend_entry_each(names):
    labels = [style.label for style in sample_styles(names).values()]
    assert len(set(labels)) == len(names)
    assert max(map(len, labels)) <= 33
    table = pd.DataFrame({"sample": names, "name": names, "group": names, "n_true": 5, "n_detected": 4, "dice": 0.9})
    legend = drawn(figures.agreement(table, of="counts")).legend[0]
    assert {item.label["value"] for item in legend.items} == {"equal", *labels}


def test_a_short_name_shows_where_names_differ():
    labels = sample_styles([LONG.format("oleic", f"0.{share:02d} ml") for share in (20, 43)])
    assert [style.label.split("…")[1][:2] for style in labels.values()] == ["20", "43"]


@pytest.mark.parametrize("text", ["$$x$$", r"\(x\)", r"\[x\]"])
def test_no_label_is_taken_for_a_formula(text):
    assert text not in plain_text(text)
    assert plain_text(text).replace("\u200b", "") == text


def test_figures_carry_no_toolbar_at_rest():
    toolbar = drawn(figures.size_resolved(by_size(), "circularity")).toolbar
    assert toolbar.autohide
    assert toolbar.logo is None


def test_sizes_are_called_by_the_column_that_was_binned(sized):
    rows = sized().assign(feret_max_nm=lambda rows: 1.2 * rows["edge_length_nm"])
    made = nc.cells(rows, by=["sample", nc.size_bins(0.5, of="feret_max_nm")], of=["circularity"], weight=None)
    ds = nc.estimate(made, {"circularity": [nc.mean]})
    assert drawn(figures.size_resolved(ds, "circularity")).xaxis[0].axis_label == "feret max (nm)"
    assert drawn(figures.cv_across_samples(cv_across_samples(ds))).xaxis[0].axis_label == "feret max (nm)"
    content = ReportContent("t", samples=[str(name) for name in ds["sample"].values], size_resolved=ds)
    assert [table.header[0] for table in tables(content)["per_bin"]] == ["feret max (nm)"] * ds.sizes["sample"]


# --- evaluation ---


@pytest.mark.parametrize("sure", [[True, False], [False, False], [True, True]])
def test_every_name_in_the_legend_of_an_evaluation_has_a_mark_that_is_drawn(sure):
    known = np.array(sure)
    rows = pd.DataFrame({
        "sample": "A", "size_left": [2.0, 3.0], "size_right": [3.0, 4.0], "mean_size": [2.5, 3.5], "estimate": [0.1, 0.2],
        "lower": np.where(known, 0.0, np.nan), "upper": np.where(known, 0.3, np.nan), "n": 9, "n_clusters": 3,
        "refusal": np.where(known, "", "too few"),
    })  # fmt: skip
    styles = sample_styles(["A", "B"])
    rows = pd.concat([rows, rows.assign(sample="B", lower=0.0, upper=0.3)])
    figure = drawn(error_by_size(rows, by="sample", styles=styles, size_label="size", value_label="error"))
    entries = {item.label.value: item.renderers for item in figure.legend[0].items}
    assert set(entries) == {"A", "B"}
    assert all(any(len(one.data_source.data["x"]) for one in renderers) for renderers in entries.values())


def test_marks_of_the_worst_and_of_perfect_agreement_lie_whole_inside_the_frame():
    table = pd.DataFrame({"sample": "A", "name": ["a", "b"], "group": ["f", "g"], "dice": [0.0, 1.0]})
    figure = drawn(figures.agreement(table, of="dice"))
    assert figure.y_range.start <= -0.02
    assert figure.y_range.end >= 1.02
