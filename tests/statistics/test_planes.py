"""Cells of two columns at once against a table of pandas."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanocensus.errors import StatisticsError
from nanocensus.statistics.cells.cells import Cells, cells, size_bins
from nanocensus.statistics.cells.quanta import quantum_of
from nanocensus.statistics.estimation.across import cv_across_samples
from nanocensus.statistics.estimation.binning import to_table
from nanocensus.statistics.estimation.contrasts import compare
from nanocensus.statistics.estimation.estimation import estimate
from nanocensus.statistics.estimation.reductions import mean, median, quantile
from nanocensus.statistics.onsets.onset import onsets
from nanocensus.statistics.variance.components import variance_components

SIZE, SHAPE = size_bins(0.5), size_bins(0.05, of="circularity")
PLANE = ["sample", "size_bin", "circularity_bin"]


def particles(seed=0, n=4000):
    rng = np.random.default_rng(seed)
    micrograph = rng.integers(0, 12, n)
    return pd.DataFrame(
        {
            "sample": np.where(micrograph % 2, "A", "B"),
            "micrograph": [f"m{number:02d}" for number in micrograph],
            "label": np.arange(n, dtype=np.int32),
            "edge_length_nm": rng.normal(5, 1.5, n).clip(0.1),
            "circularity": (0.9 + 0.05 * rng.standard_normal(n)).clip(0, 1),
            "solidity": (0.97 + 0.01 * rng.standard_normal(n)).clip(0, 1),
            "border_weight": rng.uniform(1, 2, n),
        }
    )


def binned(rows):
    """Give rows with the numbers of their bins, by plain floors of quanta."""
    size, shape = quantum_of("edge_length_nm"), quantum_of("circularity")
    edges = [np.rint(np.arange(0, 60) * 0.5 / size.step), np.rint(np.arange(0, 40) * 0.05 / shape.step)]
    values = [size.quantise(rows["edge_length_nm"].to_numpy()), shape.quantise(rows["circularity"].to_numpy())]
    places = [np.searchsorted(own, value, side="right") - 1 for own, value in zip(edges, values, strict=True)]
    return rows.assign(size_bin=places[0], circularity_bin=places[1])


def made(rows, **changes):
    return cells(rows, **({"by": ["sample", SIZE, SHAPE], "of": ["solidity"]} | changes))


def test_particles_and_means_of_a_plane_are_those_of_pandas():
    rows = particles()
    found = estimate(made(rows, weight=None), {"solidity": [mean]})
    assert found["n"].dims == ("sample", "size_bin", "circularity_bin")
    wanted = binned(rows).groupby(PLANE)["solidity"].agg(["size", "mean"])
    n = found["n"].to_series()
    n = n[n > 0]
    assert n.tolist() == wanted["size"].tolist()
    means = found["estimate"].sel(descriptor="solidity", statistic="mean").to_series().dropna()
    np.testing.assert_allclose(means, wanted["mean"], atol=2**-18)
    lowest, highest = (wanted.index.get_level_values("circularity_bin").unique().sort_values()[at] for at in (0, -1))
    np.testing.assert_allclose(found["circularity_left"], 0.05 * np.arange(lowest, highest + 1))
    np.testing.assert_allclose(found["size_right"] - found["size_left"], 0.5)
    assert found["circularity_bin"].values == pytest.approx(found["circularity_left"].values + 0.025)


def test_intervals_in_a_plane_are_those_of_each_slice_by_itself():
    rows = particles()
    found = estimate(made(rows), {"solidity": [mean, median, quantile(0.9)]})
    slices = binned(rows)["circularity_bin"].to_numpy()
    for number in (17, 18):
        alone = estimate(cells(rows[slices == number], by=["sample", SIZE], of=["solidity"]),
                         {"solidity": [mean, median, quantile(0.9)]})  # fmt: skip
        here = found.sel(circularity_bin=0.05 * number + 0.025, method="nearest").sel(size_bin=alone["size_bin"])
        for name in ("estimate", "standard_error", "lower", "upper", "n"):
            np.testing.assert_array_equal(here[name], alone[name], err_msg=name)


@settings(max_examples=15)
@given(seed=st.integers(0, 1000), parts=st.integers(1, 5))
def test_a_plane_has_the_same_bytes_in_any_order_and_in_any_parts(seed, parts):
    import dask.dataframe as dd

    rows = particles(seed, 300)
    shuffled = rows.sample(frac=1, random_state=seed)
    assert made(dd.from_pandas(shuffled, npartitions=parts, sort=False)).digest == made(rows).digest


def test_edges_and_quantiles_bin_either_column_and_what_lies_outside_is_counted():
    rows = particles()
    both = made(rows, by=["sample", size_bins(quantiles=3), size_bins(edges=[0.8, 0.9, 1.0], of="circularity")])
    found = estimate(both, {"solidity": [mean]})
    assert found["n"].shape == (2, 3, 2)
    outside = (rows["circularity"] < 0.8) | (rows["circularity"] >= 1.0)
    assert both.n_outside == outside.sum() == found["n_outside"].sum()
    assert found["n"].sum() == (~outside).sum()
    thirds = cells(rows, by=["sample", size_bins(quantiles=3)], of=["solidity"]).recipe.bins
    assert both.recipe.axes[0].bins == thirds  # of all particles, whatever their circularity


def test_a_plane_is_saved_opened_added_and_folded(tmp_path):
    rows = particles()
    whole = made(rows)
    whole.save(tmp_path / "cells.zarr")
    again = Cells.open(tmp_path / "cells.zarr")
    assert again.digest == whole.digest
    assert again.recipe == whole.recipe
    halves = made(rows.iloc[::2]) + made(rows.iloc[1::2])
    assert halves.digest == whole.digest
    assert whole.of_all_sizes().digest == cells(rows, by=["sample"], of=["solidity"]).digest
    assert whole.table.columns[:4].tolist() == ["sample", "micrograph", "size_bin", "circularity_bin"]
    wanted = binned(rows).groupby(["sample", "micrograph", "size_bin", "circularity_bin"]).size()
    assert whole.table.set_index(wanted.index.names)["n"].tolist() == wanted.tolist()


def test_the_totals_of_a_plane_are_those_of_its_samples():
    rows = particles()
    totals = made(rows, weight=None).totals()
    wanted = binned(rows).groupby(PLANE).size()
    assert totals.set_index(PLANE)["n"].to_dict() == wanted.to_dict()


def test_a_plane_becomes_a_table_with_both_columns():
    table = to_table(estimate(made(particles()), {"solidity": [mean]}))
    assert {"size_bin", "size_left", "size_right", "circularity_bin", "circularity_left", "circularity_right"} <= set(
        table
    )


def test_two_lengths_with_thousands_of_bins_each_take_the_memory_of_those_that_occur():
    rows = particles().assign(perimeter_nm=lambda held: held["edge_length_nm"] * 1.3)
    fine = made(rows, by=["sample", size_bins(0.1), size_bins(0.1, of="perimeter_nm")])
    assert len(fine.table) == fine.sums.lengths.sum() < 2 * len(rows)
    assert fine.table["n"].sum() == len(rows)


@pytest.mark.parametrize(
    ("by", "told"),
    [
        (["sample", SIZE, SIZE], "at most two SizeBins, of different columns"),
        (["sample", SIZE, SHAPE, size_bins(0.1, of="solidity")], "at most two SizeBins, of different columns"),
        (["sample", size_bins(0.04), size_bins(0.04, of="perimeter_nm")], "wider bins"),
    ],
)
def test_planes_that_cannot_be_numbered_are_refused(by, told):
    with pytest.raises(StatisticsError, match=told):
        made(particles().assign(perimeter_nm=10.0), by=by)


def test_what_knows_one_column_of_bins_says_so():
    plane = made(particles(), of=["edge_length_nm", "circularity"])
    asks = (
        lambda: onsets(plane, of="circularity", between_nm=(3.0, 7.0)),
        lambda: variance_components(plane),
        lambda: plane.in_bins(size_bins(1.0), lambda fine: fine // 2),
    )
    for ask in asks:
        with pytest.raises(
            StatisticsError, match="bins of one column at most, got bins of edge_length_nm and circularity"
        ):
            ask()


@pytest.mark.parametrize("key", ["size_bin", "circularity_bin"])
def test_bins_of_neither_column_are_compared_with_each_other(key):
    ds = estimate(made(particles()), {"solidity": [mean]})
    for ask in (compare, cv_across_samples):
        with pytest.raises(StatisticsError, match="sample"):
            ask(ds, key=key)


def test_samples_are_compared_in_each_cell_of_a_plane():
    ds = estimate(made(particles()), {"solidity": [mean]})
    cell = {"size_bin": [ds.sizes["size_bin"] // 2], "circularity_bin": [ds.sizes["circularity_bin"] // 2]}
    for ask in (compare, cv_across_samples):
        whole, alone = ask(ds), ask(ds.isel(cell))
        for name in ("estimate", "lower", "upper"):
            np.testing.assert_array_equal(whole[name].isel(cell).to_numpy(), alone[name].to_numpy())
