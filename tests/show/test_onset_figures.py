"""The figure of an onset: its band is that of all samples, and none where it is refused."""

import holoviews as hv
import numpy as np
import pandas as pd

from nanocensus.show.figures import figures


def told(samples, joint=True):
    rows = [{"sample": name, "estimate_nm": 4.2, "lower_nm": 4.0, "upper_nm": 4.4} for name in samples]
    all_of_them = {"estimate_nm": 4.3, "lower_nm": 4.1, "upper_nm": 4.5} if joint else {"lower_nm": np.nan}
    rows += [{"sample": "all samples", **all_of_them}, {"sample": "paper's reading", "estimate_nm": 3.3}]
    return pd.DataFrame(rows).assign(bend="onset", descriptor="circularity", excess=False)


def drawn(samples):
    size = np.linspace(3, 6, 20)
    return pd.concat(
        pd.DataFrame({"bend": "onset", "sample": name, "size_nm": size, "mean": 0.9 - 0.01 * size, "fitted": np.nan})
        for name in samples
    )


def bands(element):
    return [layer.data for layer in element.traverse(lambda layer: layer, [hv.VSpan])]


def test_the_band_is_the_interval_of_all_samples():
    made = figures.onset(told("AB"), drawn("AB"))
    assert bands(made) == [[4.1, 4.5]]
    assert [points.label for points in made.traverse(lambda layer: layer, [hv.Points])] == ["A", "B"]
    hv.render(made, backend="bokeh")


def test_where_the_joint_onset_is_refused_there_is_no_band():
    assert bands(figures.onset(told("AB", joint=False), drawn("AB"))) == []


def test_a_sample_alone_shows_its_own_interval():
    assert bands(figures.onset(told("A", joint=False), drawn("A"))) == [[4.0, 4.4]]


def test_another_bend_draws_none_of_this_one():
    made = figures.onset(told("AB"), drawn("AB"), bend="saturation")
    assert bands(made) == []
    hv.render(made, backend="bokeh")


def test_the_axis_says_that_means_are_an_excess():
    assert figures.onset(told("AB"), drawn("AB")).opts.get("plot", "bokeh").kwargs["ylabel"] == "mean circularity"
    excess = figures.onset(told("AB").assign(excess=True), drawn("AB"))
    assert excess.opts.get("plot", "bokeh").kwargs["ylabel"] == "mean excess of circularity"
