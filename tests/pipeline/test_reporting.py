import math

import numpy as np
import pandas as pd
import pytest

import nanocensus as nc
from nanocensus.pipeline.analysis.analyse import Analysis
from nanocensus.pipeline.report.reporting import domain_warnings, statistics_tables
from nanocensus.segment.prediction.description import Description
from nanocensus.segment.prediction.domain import Domain
from nanocensus.statistics.variance.components import variance_components

SEEN = {"mine": 160}
"""Micrographs that the cards of networks describe."""


def index(scores, status="done", model="mine"):
    return pd.DataFrame({"status": status, "model": model, "domain_score": pd.Series(scores, dtype="float64")})


def test_the_report_warns_of_many_micrographs_unlike_the_training():
    (warning,) = domain_warnings(index([0.2, 3.14159, 1.2, 0.9, 1.1]), SEEN)
    assert "3 of 5 micrographs" in warning
    assert "3.1" in warning


def test_a_few_unlike_ones_none_and_failed_ones_are_no_warning():
    assert domain_warnings(index([0.5] * 19 + [1.5]), SEEN) == []
    assert domain_warnings(index([None, None]), SEEN) == []
    assert domain_warnings(index([4.0, 4.0], status="failed"), SEEN) == []


@pytest.mark.parametrize(("micrographs", "far"), [(2, 2), (3, 2), (4, 3), (8, 3), (20, 5), (100, 15)])
def test_the_page_on_trust_says_from_how_many_on_the_report_warns(micrographs, far):
    assert domain_warnings(index([2.0] * far + [0.5] * (micrographs - far)), SEEN)
    assert not domain_warnings(index([2.0] * (far - 1) + [0.5] * (micrographs - far + 1)), SEEN)


@pytest.mark.parametrize(("micrographs", "seen"), [(5, 160), (20, 160), (100, 160), (20, 12)])
def test_of_runs_like_the_training_about_one_in_a_hundred_is_warned_of(micrographs, seen):
    rng = np.random.default_rng(0)

    def described(number):
        drawn = rng.standard_normal((number, 5)) * 0.4
        return [Description(50.0, 0.2 * math.exp(a), 2.3 * math.exp(b), 0.02 * math.exp(c), 2.3, 0.2, 0.7 + d / 4,
                            0.3 + e / 4) for a, b, c, d, e in drawn]  # fmt: skip

    def warned():
        domain = Domain.of(described(seen))
        scores = [domain.score(each) for each in described(micrographs)]
        return bool(domain_warnings(index(scores), {"mine": domain.micrographs}))

    share = np.mean([warned() for _ in range(300)])
    assert share <= 0.01 + 3 * math.sqrt(0.01 / 300)


def test_the_fewer_micrographs_a_card_describes_the_more_have_to_be_unlike_them():
    rows = index([2.0] * 5 + [0.5] * 15)
    assert domain_warnings(rows, {})  # a run that did not record them
    assert domain_warnings(rows, {"mine": 100_000})
    assert not domain_warnings(rows, {"mine": 12})


def test_each_network_is_judged_by_its_own_micrographs_and_named():
    rows = pd.concat([index([2.0] * 5 + [0.5] * 5), index([0.5] * 10, model="other")])
    (warning,) = domain_warnings(rows, SEEN | {"other": 30})
    assert warning.startswith("5 of 10 micrographs are unlike what the network mine was trained on")


def test_the_level_of_the_intervals_is_not_rounded():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"sample": "A", "micrograph": np.arange(200) % 8, "circularity": rng.uniform(0.8, 1.0, 200)})
    made = nc.cells(rows, by=["sample"], of=["circularity"], weight=None)
    none = pd.DataFrame()
    analysis = Analysis(None, None, {}, none, none, none, worth=variance_components(made, level=0.995))
    (table,) = statistics_tables(analysis, assumed=False)
    assert "99.5 % intervals" in table.caption
