"""The figure of constant shapes: a line and a band for each, and the means of the data before them."""

import holoviews as hv
import numpy as np
import pandas as pd

from nanocensus.show.figures import figures


def envelope(*shapes):
    size = np.linspace(3, 8, 6)
    return pd.concat(
        pd.DataFrame(
            {"shape": shape, "descriptor": name, "size_nm": size, "fitted": 0.9 + place / 10, "spread_lower": 0.8, "spread_upper": 0.95}
        )
        for place, shape in enumerate(shapes)
        for name in ("circularity", "solidity")
    )  # fmt: skip


def means():
    return pd.DataFrame({"sample": ["A", "A", "B"], "size_nm": [4.0, 5.0, 5.0], "mean": [0.9, 0.91, 0.92]})


def elements(figure, kind):
    return [
        layer for layer in figure.traverse(lambda layer: layer, [kind]) if type(layer) is kind
    ]  # an Area is a Curve too


def test_each_shape_has_a_line_and_its_spread():
    made = figures.null_envelope(envelope("disc", "truncated_square"), descriptor="solidity")
    lines = elements(made, hv.Curve)
    assert [line.label for line in lines] == ["constant disc", "constant truncated square"]
    assert [line.data["fitted"].iloc[0] for line in lines] == [0.9, 1.0]
    assert len({hv.Store.lookup_options("bokeh", line, "style").kwargs["line_dash"] for line in lines}) == 2
    bands = elements(made, hv.Area)
    assert [band.range("value")[0] for band in bands] == [0.8, 0.8]
    hv.render(made, backend="bokeh")


def test_the_means_of_each_sample_lie_before_them():
    made = figures.null_envelope(envelope("disc"), descriptor="circularity", means=means())
    assert [points.label for points in elements(made, hv.Points)] == ["A", "B"]
    assert len(elements(made, hv.Points)[0].data) == 2
    hv.render(made, backend="bokeh")


def test_a_descriptor_that_is_not_there_draws_nothing():
    made = figures.null_envelope(envelope("disc"), descriptor="convexity")
    assert [len(line.data) for line in elements(made, hv.Curve)] == [0]
