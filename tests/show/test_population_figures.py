"""Figures of synthesis models and spreads: what is drawn is what the tables hold."""

import holoviews as hv
import numpy as np
import pandas as pd

from nanocensus.show.figures import figures
from nanocensus.statistics.synthesis.fit import LINE, POWER


def drawn(overlay, kind):
    return [layer for layer in overlay if isinstance(layer, kind)]


def test_predictions_are_drawn_for_both_models_with_their_intervals():
    rows = [
        {"descriptor": "circularity", "model": model, "sample": sample, "observed": observed, "predicted": 0.9, "lower": 0.88,
         "upper": 0.93}
        for model in (POWER, LINE) for sample, observed in (("A", 0.9), ("B", 0.92), ("new", np.nan))
    ]  # fmt: skip
    overlay = figures.predictions(pd.DataFrame(rows))
    points = drawn(overlay, hv.Points)
    assert len(points) == 4  # what was not measured has no place
    assert {point.label for point in points} == {"A", "B"}
    bars = drawn(overlay, hv.ErrorBars)
    np.testing.assert_allclose([bar.data.iloc[0, 2:4].tolist() for bar in bars], [[0.02, 0.03]] * 4)
    hv.render(overlay, backend="bokeh")


def test_exponents_are_drawn_by_their_share_for_any_number_of_conditions():
    for names in (["exponent_Co"], ["exponent_Co", "exponent_W"], ["exponent_Co", "exponent_W", "exponent_T"]):
        table = pd.DataFrame([[1.0] * len(names), [2.0] * len(names)], columns=names)
        table = table.assign(descriptor="circularity", r2=[0.5, 0.9], share=[0.2, 0.8], inside=[False, True])
        overlay = figures.exponents(table)
        outside, inside, best = drawn(overlay, hv.Points)
        assert len(outside.data) == len(inside.data) == 1
        assert inside.data["size"].iloc[0] == 2 * outside.data["size"].iloc[0]
        assert best.data["exponent_Co"].tolist() == [2.0]
        hv.render(overlay, backend="bokeh")


def test_where_every_exponent_is_allowed_the_legend_has_no_entry_without_a_mark():
    table = pd.DataFrame(
        {"exponent_Co": [1.0, 2.0], "descriptor": "circularity", "r2": 0.1, "share": 0.5, "inside": True}
    )
    assert [layer.label for layer in drawn(figures.exponents(table), hv.Points)] == ["inside", "largest R²"]


def test_spreads_of_ratios_are_drawn_against_the_distance_from_one():
    points = pd.DataFrame({"descriptor": "circularity", "sample": ["A", "B"], "mean": [0.9, 0.8], "room": [0.1, 0.2], "sd": [0.02, 0.04],
                           "sd_lower": [0.01, np.nan], "sd_upper": [0.03, np.nan]})  # fmt: skip
    overlay = figures.spread_against_mean(points)
    assert hv.render(overlay, backend="bokeh").xaxis[0].axis_label == "1 − mean circularity"
    assert len(drawn(overlay, hv.Points)) == 2
    lengths = points.assign(descriptor="edge_length_nm", room=points["mean"])
    figure = hv.render(figures.spread_against_mean(lengths, assumed=True), backend="bokeh")
    assert figure.xaxis[0].axis_label == "mean edge length (nm, assumed scale)"
