import doctest
import importlib

import pytest

MODULES = [
    "quanta",
    "size_bins",
    "partitions",
    "rows",
    "names",
    "cells",
    "reductions",
    "clusters",
    "bootstrap",
    "resampling",
    "estimation",
    "intervals",
    "step_histograms",
    "density",
    "bandwidths",
    "modes",
    "contrasts",
    "across",
    "size_distribution",
    "size_weights",
    "philox",
    "permutation",
    "block_sums",
    "intraclass",
    "variance_components",
    "sampling_study",
    "sampling_plan",
    "planner",
    "onset_baseline",
    "onset_fit",
    "onset_intervals",
    "onset_readings",
    "power_models",
    "shape_indices",
    "synthesis_fit",
    "energy",
    "modality",
    "nested_variance",
    "spread",
    "representatives",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name):
    results = doctest.testmod(importlib.import_module(f"nanocensus.statistics.{name}"))
    assert results.attempted > 0
    assert results.failed == 0
