"""Which micrographs count as one observation."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

import nanocensus as nc
from nanocensus.errors import StatisticsError
from nanocensus.statistics.cells.cells import Cells, cells, size_bins
from nanocensus.statistics.estimation.clusters import cluster_names, correlation_of_neighbours, recorded_cluster
from nanocensus.statistics.estimation.estimation import estimate
from nanocensus.statistics.estimation.reductions import cv, mean


def micrographs_of(counts, **columns):
    """Micrographs of samples, in an order of acquisition that their names do not tell."""
    rng = np.random.default_rng(1)
    tables = []
    for sample, count in counts.items():
        names = [f"{sample}-{i:03d}" for i in rng.permutation(count)]
        tables.append(pd.DataFrame({"sample": sample, "micrograph": names, "order": np.arange(count, dtype=np.int32)}))
    return pd.concat(tables, ignore_index=True).assign(**columns)


def series(rng, length, phi):
    """An autoregression of unit variance, stationary from the start."""
    steps = rng.standard_normal((length, *np.shape(phi)))
    found = [steps[0]]
    for step in steps[1:]:
        found.append(phi * found[-1] + np.sqrt(1 - phi**2) * step)
    return np.array(found)


def particles_of(micrographs, shifts, per_micrograph=30, seed=0):
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(len(micrographs)), per_micrograph)
    rows = micrographs[["sample", "micrograph"]].iloc[of].reset_index(drop=True)
    noise = rng.standard_normal((2, len(of)))
    return rows.assign(edge_length_nm=5 + 0.3 * shifts[of] + noise[0], circularity=0.9 + 0.01 * noise[1].clip(-5, 5))


def slow_runs(micrographs):
    """The same by a plain loop over samples and sessions."""
    found = {}
    keys = ["sample", "session"] if "session" in micrographs.columns else ["sample"]
    for key, rows in micrographs.groupby(keys, dropna=False):
        names = rows.sort_values("order")["micrograph"].tolist()
        runs = [names[start : start + 10] for start in range(0, len(names), 10)]
        if len(runs) > 1 and len(runs[-1]) < 10:
            runs[-2:] = [runs[-2] + runs[-1]]
        found |= {name: (key, number) for number, run in enumerate(runs) for name in run}
    return micrographs["micrograph"].map(found)


@pytest.mark.parametrize("sessions", [False, True])
def test_runs_are_ten_neighbours_of_one_sample_and_session(sessions):
    known = micrographs_of({"A": 47, "B": 20, "C": 3})
    if sessions:
        known["session"] = [None if i % 3 == 0 else f"day {i % 3}" for i in known.index]
    shuffled = known.sample(frac=1, random_state=3, ignore_index=True)
    names = shuffled["sample"] + cluster_names(shuffled, "run")
    expected = slow_runs(shuffled)
    same = pd.crosstab(names, expected.astype(str)) > 0
    assert (same.sum(axis=0) == 1).all()
    assert (same.sum(axis=1) == 1).all()


def test_the_last_run_takes_what_is_left_over():
    found = cluster_names(micrographs_of({"A": 47}), "run").value_counts()
    assert sorted(found.tolist()) == [10, 10, 10, 17]


def test_runs_need_the_order_of_acquisition():
    rows = particles_of(known := micrographs_of({"A": 4}), np.zeros(4))
    for table in (None, known.drop(columns="order")):
        with pytest.raises(StatisticsError, match="order of acquisition"):
            estimate(cells(rows, table, by=["sample"], of=["circularity"], weight=None), {"circularity": [mean]},
                     cluster="run")  # fmt: skip


def test_intervals_by_run_are_those_of_the_runs_as_micrographs():
    known = micrographs_of({"A": 47, "B": 60})
    rows = particles_of(known, np.random.default_rng(2).standard_normal(107))
    asked = {"edge_length_nm": [mean, cv]}
    by_run = estimate(cells(rows, known, by=["sample"], of=list(asked), weight=None), asked, cluster="run")
    merged = rows.assign(micrograph=rows["micrograph"].map(slow_runs(known).astype(str).set_axis(known["micrograph"])))
    alone = estimate(cells(merged, by=["sample"], of=list(asked), weight=None), asked)
    assert by_run["n_clusters"].to_numpy().tolist() == [4, 6]
    assert by_run.attrs["micrographs_of_a_run"] == 10
    for name in ("estimate", "lower", "upper", "degrees_of_freedom"):
        np.testing.assert_allclose(by_run[name], alone[name], rtol=1e-9)


def test_the_correlation_of_neighbours_is_that_of_a_plain_loop():
    known = micrographs_of({"A": 30, "B": 25}, session=[f"day {i > 40}" for i in range(55)])
    means = np.random.default_rng(4).standard_normal(55) + 10 * (known["sample"] == "B").to_numpy()
    means[7] = np.nan
    products, squares = [], []
    for sample in ("A", "B"):
        here = known[(known["sample"] == sample) & ~np.isnan(means)]
        x = means[here.index]
        z = dict(zip(here.index, (x - x.mean()) / x.std(), strict=True))
        squares += [value**2 for value in z.values()]
        for _, day in here.groupby("session"):
            places = day.sort_values("order").index
            products += [z[a] * z[b] for a, b in pairwise(places)]
    shuffled = known.assign(mean=means).sample(frac=1, random_state=1, ignore_index=True)
    found = correlation_of_neighbours(shuffled, shuffled["mean"].to_numpy())
    np.testing.assert_allclose(found, np.mean(products) / np.mean(squares), rtol=1e-9)


@pytest.mark.parametrize(("phi", "unit"), [(0.0, "micrograph"), (0.6, "run")])
def test_auto_takes_runs_where_neighbours_are_alike_and_says_so(phi, unit, tmp_path):
    known = micrographs_of({"A": 60, "B": 60})
    rng = np.random.default_rng(5)
    rows = particles_of(known, np.concatenate([series(rng, 60, phi), series(rng, 60, phi)]))
    made = cells(rows, known, by=["sample", size_bins(0.5)], of=["edge_length_nm", "circularity"], weight=None)
    found = estimate(made, {"edge_length_nm": [mean]}, cluster="auto")
    assert found.attrs["cluster"] == unit
    assert list(found.attrs["lag_1_autocorrelation"]) == ["edge_length_nm"]
    assert (found.attrs["lag_1_autocorrelation"]["edge_length_nm"] > 0.2) == (unit == "run")
    assert found.drop_attrs().identical(estimate(made, {"edge_length_nm": [mean]}, cluster=unit).drop_attrs())
    # Columns that are not asked for do not matter: circularity shows no correlation.
    assert estimate(made, {"circularity": [mean]}, cluster="auto").attrs["cluster"] == "micrograph"
    made.save(tmp_path / "cells.zarr")
    again = estimate(Cells.open(tmp_path / "cells.zarr"), {"edge_length_nm": [mean]}, cluster="auto")
    assert again.identical(found)


def test_auto_takes_what_is_recorded_before_it_looks():
    known = micrographs_of({"A": 8, "B": 8})
    days = known.assign(session=[f"day {i % 4}" for i in range(16)])
    assert recorded_cluster(days) == "session"
    assert recorded_cluster(days.assign(group=["square 1", *[None] * 15])) == "group"
    assert recorded_cluster(days.assign(group=None)) == "session"
    # Three sessions of a sample are too few for any interval.
    assert recorded_cluster(known.assign(session=[f"day {i % 3}" for i in range(16)])) is None
    assert recorded_cluster(days.assign(session=days["session"].where(days.index > 0))) is None
    rows = particles_of(known, np.zeros(16))
    found = estimate(cells(rows, by=["sample"], of=["circularity"], weight=None), {"circularity": [mean]},
                     cluster="auto")  # fmt: skip
    assert found.attrs["cluster"] == "micrograph"  # there is no order without a table of micrographs


@pytest.mark.parametrize(("phi", "unit"), [(0.0, "micrograph"), (0.6, "run")])
def test_what_auto_was_taken_for_is_said_by_every_result(phi, unit):
    known = micrographs_of({"A": 60, "B": 60})
    rng = np.random.default_rng(5)
    rows = particles_of(known, np.concatenate([series(rng, 60, phi), series(rng, 60, phi)]))
    of, asked = "edge_length_nm", {"cluster": "auto", "micrographs": known}
    tables = [
        nc.modality(rows, of=of, replicates=99, **asked),
        nc.energy_distances(rows, of=(of, "circularity"), permutations=99, weight=None, **asked),
        nc.onsets(rows, of="circularity", between_nm=(3.0, 7.0), replicates=99, weight=None, **asked).table,
        nc.spread_against_mean(rows, of=[of], weight=None, **asked).table,
        nc.sampling_plan(cells(rows, known, by=["sample"], of=[of], weight=None), cv=0.1, cluster="auto"),
    ]
    assert [table.attrs["cluster"] for table in tables] == [unit] * len(tables)
