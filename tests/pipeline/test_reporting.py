import numpy as np
import pandas as pd

import nanocensus as nc
from nanocensus.pipeline.analyse import Analysis
from nanocensus.pipeline.reporting import domain_warnings, statistics_tables
from nanocensus.statistics.variance_components import variance_components


def index(scores, status="done"):
    return pd.DataFrame({"status": status, "domain_score": pd.Series(scores, dtype="float64")})


def test_the_report_warns_of_many_micrographs_unlike_the_training():
    (warning,) = domain_warnings(index([0.2, 3.14159, 1.2, 0.9]))
    assert "2 of 4 micrographs" in warning
    assert "3.1" in warning


def test_a_few_unlike_ones_none_and_failed_ones_are_no_warning():
    assert domain_warnings(index([0.5] * 49 + [1.5])) == []
    assert domain_warnings(index([None, None])) == []
    assert domain_warnings(index([4.0, 4.0], status="failed")) == []


def test_the_level_of_the_intervals_is_not_rounded():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"sample": "A", "micrograph": np.arange(200) % 8, "circularity": rng.uniform(0.8, 1.0, 200)})
    made = nc.cells(rows, by=["sample"], of=["circularity"], weight=None)
    none = pd.DataFrame()
    analysis = Analysis(None, None, {}, none, none, none, worth=variance_components(made, level=0.995))
    (table,) = statistics_tables(analysis, assumed=False)
    assert "99.5 % intervals" in table.caption
