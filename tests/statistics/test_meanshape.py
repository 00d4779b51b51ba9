"""Mean outlines from sums per cluster, against plain weighted means, and their bands."""

import numpy as np
import pytest

from nanocensus.errors import StatisticsError
from nanocensus.statistics.cells.cells import cells, size_bins
from nanocensus.statistics.estimation.intervals import degrees_of_freedom
from nanocensus.statistics.estimation.resampling import draw_clusters
from nanocensus.statistics.outlines.intervals import ANGLES, OfClusters, of_cell
from nanocensus.statistics.outlines.meanshape import SCALE, mean_shapes
from nanocensus.statistics.outlines.shape_indices import (
    INDICES,
    concavity,
    facet_index,
    slopes,
    squareness,
    whole_quarter,
)

ANGLE = np.linspace(0, np.pi / 4, ANGLES)
SQUARE = 1 / np.cos(np.pi / 4 - ANGLE)


def sums(rng, clusters=20, scatter=0.01, null=0.004):
    """Give sums of clusters whose means scatter about a rounded square."""
    weight = rng.uniform(20, 40, clusters)
    waves = np.cos(4 * np.outer([1, 2, 3], ANGLE))
    radii = 1 + (0.08 + 0 * weight)[:, None] * waves[0] + scatter * rng.standard_normal((clusters, 3)) @ waves
    amplitude = 0.08 + scatter * rng.standard_normal(clusters)
    return OfClusters(
        np.full(clusters, 30),
        weight,
        radii * weight[:, None],
        amplitude * weight,
        null * weight,
        0.9 * weight,
        3 * weight,
    )


def test_known_shapes_have_the_indices_that_their_names_say():
    disc, hollow = np.ones(ANGLES), 1 + 0.15 * np.cos(4 * ANGLE)
    assert [round(index(disc), 12) for index in INDICES.values()] == [0.0, 0.0, -1.0]
    assert squareness(SQUARE) == pytest.approx(0.1394, abs=1e-3)
    assert facet_index(SQUARE) == pytest.approx(1.0)
    assert concavity(SQUARE) == pytest.approx(0.0, abs=1e-12)
    assert concavity(hollow) > 0.5
    for index in INDICES.values():
        assert index(3.0 * hollow) == pytest.approx(index(hollow))


def test_slopes_are_those_of_finite_steps():
    step = 1e-4 * np.random.default_rng(0).standard_normal(ANGLES)
    for index in INDICES.values():
        change = index(SQUARE + step) - index(SQUARE - step)
        assert slopes(index, SQUARE) @ (2 * step) == pytest.approx(change, rel=1e-4, abs=1e-9)


def test_a_cell_is_the_weighted_mean_less_what_alignment_adds_with_cr2_errors():
    made = sums(np.random.default_rng(1))
    shift = 0.002 * np.cos(4 * ANGLE)
    found = of_cell(made, shift, draw_clusters(20, 199, seed=0, name=1), 0.95)
    mean = made.radii.sum(0) / made.weight.sum()
    np.testing.assert_allclose(found.outline["aligned"], mean, rtol=1e-12)
    np.testing.assert_allclose(found.outline["radius"], mean - shift, rtol=1e-12)
    share = made.weight / made.weight.sum()
    error = (
        np.sqrt((((made.radii - mean * made.weight[:, None]) ** 2) / (1 - share[:, None])).sum(0)) / made.weight.sum()
    )
    np.testing.assert_allclose(found.outline["standard_error"], error, rtol=1e-9)
    freedom = degrees_of_freedom(made.weight[:, None], np.array([600.0]))[0]
    assert found.numbers["degrees_of_freedom"] == pytest.approx(freedom)
    assert found.indices["estimate"].tolist() == [index(mean - shift) for index in INDICES.values()]
    assert found.refusal == ""


def test_a_band_for_all_angles_is_wider_than_one_for_each():
    found = of_cell(sums(np.random.default_rng(2)), np.zeros(ANGLES), draw_clusters(20, 999, seed=0, name=1), 0.95)
    width = (found.outline["band_upper"] - found.outline["band_lower"]) / (
        found.outline["upper"] - found.outline["lower"]
    )
    # Three waves, independent: between one and sqrt(chi2_3 / chi2_1) = 1.43 times, and alike at all angles.
    assert width.min() > 1.05
    assert width.max() < 1.5
    assert np.ptp(width) < 1e-9


def test_indices_need_an_amplitude_clearly_above_that_of_roughness():
    drawn = draw_clusters(20, 99, seed=0, name=1)
    refused = of_cell(sums(np.random.default_rng(3), null=0.03), np.zeros(ANGLES), drawn, 0.95)
    assert "is not 3 times the 0.0300 of roughness" in refused.refusal
    assert np.isnan(refused.indices["estimate"]).all()
    assert np.isfinite(refused.numbers["p"])
    assert np.isfinite(refused.outline["aligned"]).all()


def test_bands_depend_on_the_seed_alone():
    made = sums(np.random.default_rng(4))
    one, same, other = (
        of_cell(made, np.zeros(ANGLES), draw_clusters(20, 199, seed=seed, name=1), 0.95).outline["band_upper"]
        for seed in (0, 0, 1)
    )
    assert one.tolist() == same.tolist() != other.tolist()


def test_a_quarter_runs_from_corner_to_corner():
    np.testing.assert_allclose(
        whole_quarter(np.cos(4 * ANGLE)), np.cos(4 * np.arange(32) * 2 * np.pi / 128), atol=1e-12
    )


def test_cells_of_anything_else_are_refused(tmp_path):
    import pandas as pd

    rows = pd.DataFrame({"sample": "A", "micrograph": list("wxyz"), "edge_length_nm": 4.1})
    other = cells(rows, by=["sample", size_bins(0.2)], of=["edge_length_nm"], weight=None)
    with pytest.raises(StatisticsError, match="cells of outlines"):
        mean_shapes(other, {})
    rows = rows.assign(**dict.fromkeys(SCALE, 1.0))
    made = cells(rows, by=["sample", size_bins(0.2)], of=list(SCALE), weight=None, scale=dict(SCALE))
    with pytest.raises(StatisticsError, match="99 or more"):
        mean_shapes(made, {}, replicates=10)
