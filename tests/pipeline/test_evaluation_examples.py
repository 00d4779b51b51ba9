import doctest
import importlib

import pytest

MODULES = [
    "pipeline.columns_page",
    "pipeline.excess",
    "pipeline.evaluation_tables",
    "pipeline.measuring",
    "pipeline.null_envelope",
    "pipeline.ratios",
    "pipeline.scores",
    "segment.boundary",
    "segment.map_counts",
    "segment.metrics",
    "segment.otsu",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name):
    results = doctest.testmod(importlib.import_module(f"nanocensus.{name}"))
    assert results.attempted > 0
    assert results.failed == 0
