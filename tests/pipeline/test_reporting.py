import pandas as pd

from nanocensus.pipeline.reporting import domain_warnings


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
