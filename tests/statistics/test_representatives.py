"""Representative particles against a search particle by particle."""

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanocensus.errors import StatisticsError, TableError
from nanocensus.statistics.cells.size_bins import size_bins
from nanocensus.statistics.distributions.representatives import representatives

OF = ["edge_length_nm", "circularity"]


def table(seed, rows=60):
    rng = np.random.default_rng(seed)
    return pd.DataFrame({
        "sample": rng.choice(["A", "B"], rows), "micrograph": rng.choice(["x", "y", "z"], rows), "label": np.arange(rows),
        "edge_length_nm": np.round(rng.uniform(3, 5, rows), 1), "circularity": np.round(rng.uniform(0.8, 0.9, rows), 2),
    })  # fmt: skip


def mad(values):
    return 1.4826 * np.median(np.abs(values - np.median(values)))


def slowly(rows, scale):
    """Give (distance, micrograph, label) of all particles, sorted."""
    middle = [np.median(rows[name]) for name in OF]
    return sorted(
        (
            np.sqrt(sum(((row[name] - m) / s) ** 2 for name, m, s in zip(OF, middle, scale, strict=True))),
            row["micrograph"],
            row["label"],
        )
        for row in rows.to_dict("records")
    )


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_the_nearest_to_the_median_are_chosen_first_by_name_among_equals(seed):
    rows = table(seed)
    found = representatives(rows, of=OF, number=3)
    for sample, chosen in found.groupby("sample"):
        own = rows[rows["sample"] == sample]
        expected = slowly(own, [mad(own[name]) for name in OF])
        np.testing.assert_allclose(chosen["distance"], [one[0] for one in expected[:3]])
        tied = [one[1:] for one in expected if one[0] == expected[0][0]]
        assert (chosen.iloc[0]["micrograph"], chosen.iloc[0]["label"]) in tied
        assert chosen["rank"].tolist() == [1, 2, 3]
        assert (chosen["n"] == len(own)).all()


@pytest.mark.parametrize("kind", ["str", pd.CategoricalDtype(["y", "x"])])
def test_equally_near_particles_are_chosen_by_their_names(kind):
    rows = pd.DataFrame(
        {"sample": "A", "micrograph": ["y", "x", "x"], "label": [1, 3, 2], "edge_length_nm": 4.0, "circularity": 0.9}
    )
    found = representatives(rows.astype({"micrograph": kind}), of=OF).iloc[0]
    assert (found["micrograph"], found["label"], found["distance"]) == ("x", 2, 0.0)


def test_each_size_bin_has_its_own_by_the_scale_of_the_sample():
    rows = table(3, rows=400)
    found = representatives(rows, of=OF, bins=size_bins(0.5))
    for row in found.to_dict("records"):
        own = rows[rows["sample"] == row["sample"]]
        here = own[(own["edge_length_nm"] >= row["size_left"]) & (own["edge_length_nm"] < row["size_right"])]
        assert row["n"] == len(here)
        expected = slowly(here, [mad(own[name]) for name in OF])
        assert row["distance"] == pytest.approx(expected[0][0])
    assert set(found["size_left"]) >= {3.0, 3.5, 4.0, 4.5}


def test_order_and_partitions_do_not_show():
    rows = table(5)
    shuffled = dd.from_pandas(rows.sample(frac=1, random_state=0).reset_index(drop=True), npartitions=3)
    one, other = (representatives(part, of=OF, number=2) for part in (rows, shuffled))
    pd.testing.assert_frame_equal(one, other, check_dtype=False)


def test_asking_for_nothing_is_refused():
    with pytest.raises(StatisticsError, match="at least one"):
        representatives(table(0), of=OF, number=0)
    with pytest.raises(TableError, match="none named label"):
        representatives(table(0).drop(columns="label"), of=OF)


@pytest.mark.parametrize("column", ["circularity", "edge_length_nm", "sample"])
def test_missing_values_are_refused_by_their_column(column):
    rows = table(0)
    rows.loc[7, column] = np.nan
    with pytest.raises(TableError, match=f"{column}.*1 without"):
        representatives(rows, of=["circularity"], bins=size_bins(0.5))


def test_no_particles_are_refused():
    with pytest.raises(StatisticsError, match="at least one particle"):
        representatives(table(0).iloc[:0], of=OF)
