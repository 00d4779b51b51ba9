import warnings

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from nanocensus.errors import StoreError
from nanocensus.statistics.cells.cells import cells, size_bins
from nanocensus.statistics.estimation import binning
from nanocensus.statistics.estimation.estimation import estimate
from nanocensus.statistics.estimation.reductions import mean


def draw_particles(seed, n=2400):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "sample": rng.choice(["Co0.2", "Co0.8"], n),
            "micrograph": rng.choice(list("abcdef"), n),
            "edge_length_nm": rng.lognormal(1.6, 0.15, n),
            "circularity": rng.normal(0.9, 0.03, n),
            "solidity": np.minimum(rng.normal(0.97, 0.01, n), 1.0),
            "border_weight": 1 + rng.exponential(0.1, n),
        }
    )


def test_size_statistics_are_mean_median_and_cv_by_sample_and_bin():
    rows = draw_particles(0)
    found = binning.size_statistics(dd.from_pandas(rows, npartitions=3))
    assert found["estimate"].dims == ("sample", "size_bin", "descriptor", "statistic")
    assert found["statistic"].to_numpy().tolist() == ["mean", "median", "cv"]
    assert found["descriptor"].to_numpy().tolist() == ["edge_length_nm", "circularity", "solidity"]
    mine = rows[(rows["sample"] == "Co0.2") & rows["edge_length_nm"].between(5.2, 5.4, inclusive="left")]
    here = found.sel(sample="Co0.2", size_bin=5.3, descriptor="solidity")
    assert here["n"] == len(mine)
    expected = np.average(mine["solidity"], weights=mine["border_weight"])
    np.testing.assert_allclose(here["estimate"].sel(statistic="mean"), expected, atol=1e-5)


def test_sample_statistics_are_the_same_without_bins():
    rows = draw_particles(1)
    found = binning.sample_statistics(rows, weight=None)
    assert found["estimate"].dims == ("sample", "descriptor", "statistic")
    here = found["estimate"].sel(descriptor="edge_length_nm", statistic="cv")
    by_sample = rows.groupby("sample")["edge_length_nm"]
    np.testing.assert_allclose(here, by_sample.std() / by_sample.mean(), rtol=1e-4)


@pytest.mark.parametrize("binned", [True, False])
def test_statistics_come_back_from_disk_whole_without_a_warning(tmp_path, binned):
    rows = draw_particles(2)
    made = binning.size_statistics(rows) if binned else binning.sample_statistics(rows)
    for _ in range(2):  # the second replaces the first
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            binning.save(made, tmp_path / "statistics.zarr")
            back = binning.open(tmp_path / "statistics.zarr")
    kind = back.attrs.pop("kind")
    assert kind == "statistics"
    assert back.identical(made)
    assert {"lower", "upper", "refusal"} <= set(back.coords)
    assert [path.name for path in tmp_path.iterdir()] == ["statistics.zarr"]


def test_cells_are_not_opened_as_statistics(tmp_path):
    cells(draw_particles(2), by=["sample"], of=["solidity"]).save(tmp_path / "cells.zarr")
    with pytest.raises(StoreError, match="saved statistics, got kind 'cells'"):
        binning.open(tmp_path / "cells.zarr")


def test_the_table_has_a_row_for_every_number_that_was_asked_for():
    rows = draw_particles(3)
    found = binning.size_statistics(rows, bins=size_bins(edges=[4.0, 5.0, 6.0]))
    table = binning.to_table(found)
    assert table.columns.tolist() == [
        "sample", "size_bin", "size_left", "size_right", "descriptor", "statistic", "estimate", "lower", "upper",
        "standard_error", "degrees_of_freedom", "n", "n_micrographs", "n_clusters", "n_occupied_clusters",
        "cluster", "refusal",
    ]  # fmt: skip
    assert len(table) == 2 * 2 * 3 * 3
    for row in table.itertuples():
        here = found.sel(sample=row.sample, size_bin=row.size_bin, descriptor=row.descriptor, statistic=row.statistic)
        assert (row.estimate, row.lower, row.n) == (here["estimate"], here["lower"], here["n"])
        assert (row.size_left, row.size_right) in {(4.0, 5.0), (5.0, 6.0)}


@pytest.mark.parametrize("cluster", ["micrograph", "group"])
def test_the_table_says_whose_the_intervals_are(cluster):
    made = cells(draw_particles(3), by=["sample"], of=["circularity"])
    assert set(binning.to_table(estimate(made, {"circularity": [mean]}, cluster=cluster))["cluster"]) == {cluster}


def test_a_table_without_bins_keeps_their_columns_empty():
    made = cells(draw_particles(3), by=["sample"], of=["circularity", "solidity"])
    table = binning.to_table(estimate(made, {"circularity": [mean], "solidity": []}))
    assert table["descriptor"].tolist() == ["circularity"] * 2
    assert table[["size_bin", "size_left", "size_right"]].isna().all(axis=None)


def test_the_table_survives_a_csv_file(tmp_path):
    table = binning.to_table(binning.sample_statistics(draw_particles(4)))
    table.to_csv(tmp_path / "statistics.csv", index=False)
    back = pd.read_csv(tmp_path / "statistics.csv", keep_default_na=True)
    np.testing.assert_array_equal(back["estimate"], table["estimate"])
