"""Maps over two columns hold the counts and means that they are made of."""

import holoviews as hv
import numpy as np
import pandas as pd
import pytest

from nanocensus.show.figures import figures
from nanocensus.statistics.cells.cells import cells, size_bins
from nanocensus.statistics.estimation.estimation import estimate
from nanocensus.statistics.estimation.reductions import mean


@pytest.fixture(scope="module")
def estimates():
    rng = np.random.default_rng(3)
    micrograph = rng.integers(0, 8, 4000)
    rows = pd.DataFrame(
        {
            "sample": "Co0.4",
            "micrograph": [f"m{number}" for number in micrograph],
            "edge_length_nm": rng.normal(5, 1, 4000).clip(0.5),
            "circularity": rng.normal(0.9, 0.03, 4000).clip(0, 1),
            "solidity": rng.normal(0.97, 0.01, 4000).clip(0, 1),
        }
    )
    by = ["sample", size_bins(0.5), size_bins(0.02, of="circularity")]
    return estimate(cells(rows, by=by, of=["solidity"], weight=None), {"solidity": [mean]})


def mesh(figure):
    (found,) = figure.traverse(lambda element: element, [hv.QuadMesh])
    return found


def test_shares_of_a_plane_add_up_and_stand_at_their_sizes(estimates):
    shown = mesh(figures.plane(estimates, "Co0.4"))
    shares = shown.dimension_values("value", flat=False)
    assert np.nansum(shares) == pytest.approx(1)
    at = np.unravel_index(np.nanargmax(shares), shares.shape)
    n = estimates["n"].sel(sample="Co0.4")
    fullest = n.where(n == n.max(), drop=True)
    assert shown.dimension_values("size_bin", expanded=False)[at[1]] == pytest.approx(float(fullest["size_bin"][0]))
    assert shares[at] == pytest.approx(int(n.max()) / 4000)


def test_means_of_a_plane_are_shown_where_they_have_an_interval(estimates):
    figure = figures.plane(estimates, "Co0.4", descriptor="solidity")
    shown = mesh(figure).dimension_values("value", flat=False)
    found = estimates.sel(sample="Co0.4", descriptor="solidity", statistic="mean")
    wanted = found["estimate"].where(np.isfinite(found["lower"])).transpose("circularity_bin", "size_bin")
    np.testing.assert_array_equal(shown, wanted.to_numpy())
    drawn = hv.render(figure, backend="bokeh")
    assert drawn.xaxis[0].axis_label == "edge length (nm)"
    assert drawn.yaxis[0].axis_label == "circularity"


def test_a_plane_needs_two_columns(estimates):
    with pytest.raises(ValueError, match="two SizeBins"):
        figures.plane(estimates.sum("circularity_bin"), "Co0.4")
