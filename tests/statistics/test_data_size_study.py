"""Curves of smaller studies, against the same studies cut from the table of particles."""

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from nanocensus.errors import StatisticsError, TableError
from nanocensus.statistics.cells.size_bins import size_bins
from nanocensus.statistics.sampling.data_size_study import _ranks, data_size_study

BINS = size_bins(edges=[3, 4, 5, 6, 7])


def draw(n=4000, micrographs=12, seed=0):
    rng = np.random.default_rng(seed)
    of = rng.integers(0, micrographs, n)
    rows = pd.DataFrame(
        {
            "sample": "A",
            "micrograph": [f"m{k:02d}" for k in of],
            "edge_length_nm": rng.normal(5, 0.8, n).clip(0.1),
            "circularity": (0.9 + 0.01 * rng.standard_normal(micrographs)[of] + 0.02 * rng.standard_normal(n)).clip(
                0, 1
            ),
            "border_weight": 1 + rng.uniform(0, 0.3, n),
        }
    )
    rows["label"] = rows.groupby("micrograph").cumcount() + 1
    return rows


ROWS = draw()


def study(rows=ROWS, **options):
    return data_size_study(rows, bins=BINS, of=["circularity"], **options)


def curve(rows):
    binned = pd.cut(rows["edge_length_nm"], [3, 4, 5, 6, 7], right=False)
    weighted = (rows["circularity"] * rows["border_weight"]).groupby(binned, observed=False).sum()
    return (weighted / rows["border_weight"].groupby(binned, observed=False).sum()).to_numpy()


def test_deviations_are_those_of_micrographs_cut_from_the_table():
    found = study(micrographs_drawn=[1, 3], replicates=20, seed=5).sel(sample="A", descriptor="circularity")
    np.testing.assert_allclose(found["curve"], curve(ROWS), atol=1e-5)  # values and weights are rounded to quanta
    names = sorted(ROWS["micrograph"].unique())
    ranks = _ranks("A", names, 20, 5)
    for count in (1, 3):
        parts = [ROWS[ROWS["micrograph"].isin(np.array(names)[rank < count])] for rank in ranks]
        squares = (np.array([curve(part) for part in parts]) - curve(ROWS)) ** 2
        one = found.sel(drawn="micrographs", micrographs_drawn=count)
        np.testing.assert_allclose(one["rms_deviation"], np.sqrt(squares.mean(0)), rtol=1e-2)
        assert float(one["n_drawn"]) == pytest.approx(
            np.mean([(part["edge_length_nm"].between(3, 7, inclusive="left")).sum() for part in parts])
        )
    assert (ranks.sum(1) == 66).all()
    assert (found["present"] == 1).all()


def test_random_particles_deviate_as_independent_ones():
    # A thousand replicates: a root mean square has a standard error of 2 %; as pieces of 8 particles are drawn, not
    # particles, the number in a bin scatters, which raises it by less than 2 %.
    found = study(micrographs_drawn=[3], replicates=1000, weight=None).sel(
        sample="A", descriptor="circularity", drawn="particles"
    )
    inside = ROWS[ROWS["edge_length_nm"].between(5, 6, inclusive="left")]
    share = float(found["n_drawn"].item()) / ROWS["edge_length_nm"].between(3, 7, inclusive="left").sum()
    expected = inside["circularity"].std() * np.sqrt((1 / share - 1) / len(inside))
    assert float(found["rms_deviation"].sel(size_bin=5.5).item()) == pytest.approx(expected, rel=0.1)


def test_micrographs_teach_less_than_as_many_particles_and_more_teach_more():
    found = study(micrographs_drawn=[1, 2, 4, 8]).sel(sample="A", descriptor="circularity")["rms_deviation_all"]
    assert (found.sel(drawn="micrographs") > found.sel(drawn="particles")).all()
    assert (found.diff("micrographs_drawn") < 0).all()


def test_no_partition_shows_and_the_seed_does():
    once = study(seed=1)
    shuffled = ROWS.sample(frac=1, random_state=2, ignore_index=True)
    again = study(dd.from_pandas(shuffled, npartitions=7, sort=False), seed=1)
    assert once.identical(again)
    assert not once["rms_deviation"].equals(study(seed=2)["rms_deviation"])


def test_no_part_is_larger_than_the_whole():
    found = study(micrographs_drawn=[5, 12, 50])["rms_deviation_all"]
    assert np.isfinite(found.sel(micrographs_drawn=5)).all()
    assert np.isnan(found.sel(micrographs_drawn=[12, 50])).all()


def test_a_bin_that_a_part_lacks_is_counted():
    rare = ROWS[(ROWS["edge_length_nm"] < 6) | (ROWS["micrograph"] == "m03")]
    found = study(rare, micrographs_drawn=[3], replicates=400).sel(sample="A", drawn="micrographs").squeeze()
    assert float(found["present"].sel(size_bin=6.5)) == pytest.approx(3 / 12, abs=0.07)  # three standard errors
    assert float(found["rms_deviation"].sel(size_bin=6.5)) == 0  # those that have it have all of it


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(StatisticsError, match="at least one"):
        study(micrographs_drawn=[0])
    with pytest.raises(StatisticsError, match="at least one"):
        study(replicates=0)
    with pytest.raises(StatisticsError, match="from 0 to"):
        study(seed=-1)
    with pytest.raises(TableError, match="none named label"):
        study(ROWS.drop(columns="label"))
    with pytest.raises(TableError, match=r"'label'.* 1 missing"):
        study(ROWS.assign(label=ROWS["label"].where(ROWS.index > 0)))
