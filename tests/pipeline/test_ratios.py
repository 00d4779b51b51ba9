"""Ratios of sums, and what their intervals are over."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nanocensus.pipeline.evaluation.ratios import mean, ratio, slope
from nanocensus.pipeline.report.agreement import _pooled
from nanocensus.statistics.estimation.intervals import degrees_of_freedom


def _data(seed, rows=60, clusters=8):
    rng = np.random.default_rng(seed)
    cluster = rng.integers(0, clusters, rows)
    x = rng.uniform(1, 9, rows)
    return (
        pd.Series([f"field {c}" for c in cluster]),
        x,
        0.3 * x + rng.normal(0, 1, clusters)[cluster] + rng.normal(0, 1, rows),
    )


def _cr2_of_slope(cluster, x, y, level):
    """The definition, cluster by cluster."""
    x, y = x - x.mean(), y - y.mean()
    b = (x * y).sum() / (x * x).sum()
    names = list(dict.fromkeys(cluster))
    parts = [np.flatnonzero(cluster == name) for name in names]
    weight = np.array([(x[p] ** 2).sum() for p in parts])
    score = np.array([(x[p] * (y[p] - b * x[p])).sum() for p in parts])
    error = np.sqrt((score**2 / (1 - weight / weight.sum())).sum()) / weight.sum()
    freedom = degrees_of_freedom(weight[:, None], np.array([float(len(x))]))[0]
    reach = stats.t.ppf((1 + level) / 2, freedom) * error
    return b, b - reach, b + reach


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_a_slope_and_its_interval_are_those_of_the_regression(seed):
    cluster, x, y = _data(seed)
    found = slope(cluster, x, y, level=0.9)
    assert found.estimate == pytest.approx(np.polyfit(x, y, 1)[0])
    assert (found.estimate, found.lower, found.upper) == pytest.approx(_cr2_of_slope(cluster, x, y, 0.9))


def test_the_interval_of_a_slope_covers_it():
    hits = 0
    for seed in range(200):
        found = slope(*_data(seed))
        hits += found.lower <= 0.3 <= found.upper
    assert 0.9 <= hits / 200 <= 0.99  # 0.95, and its own error of 0.015


def test_missing_values_are_left_out():
    cluster, _, y = _data(1)
    gaps = np.where(np.arange(len(y)) % 3 == 0, np.nan, y)
    known = ~np.isnan(gaps)
    assert mean(cluster, gaps) == mean(cluster[known], y[known])
    assert mean(cluster, gaps).n == known.sum()


def test_few_particles_or_fields_have_no_interval():
    cluster, _, y = _data(2)
    few = mean(cluster[:10], y[:10])
    assert np.isfinite(few.estimate)
    assert np.isnan(few.lower)
    assert "needs 20 in 4" in few.refusal
    assert np.isnan(mean(cluster[:0], y[:0]).estimate)


def test_the_order_of_rows_and_the_cut_at_what_can_be():
    cluster, x, _ = _data(3)
    n = np.full(len(x), 5)
    one = ratio(cluster, x * 0.999, x, n, largest=1.0)
    back = ratio(cluster[::-1], x[::-1] * 0.999, x[::-1], n, largest=1.0)
    assert one.upper <= 1
    assert one[:3] == pytest.approx(back[:3])


def test_an_interval_of_agreement_does_not_leave_what_agreement_can_be():
    counts = pd.DataFrame({"common": [0, 0, 0, 0, 10], "both": 10, "n_true": 10})
    fields = pd.Series(list("abcde"))
    estimate, lower, upper, *_ = _pooled(counts, fields, "common", "both", 1.0, 0.95)
    assert (estimate, lower) == (0.2, 0.0)
    assert 0.2 < upper < 1.0
    assert _pooled(counts.assign(common=[10, 10, 10, 10, 2]), fields, "common", "both", 1.0, 0.95)[2] == 1.0
