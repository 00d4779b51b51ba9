import doctest
import importlib

import pytest

MODULES = [
    "copies",
    "coverage",
    "grain",
    "growth",
    "maps",
    "outline",
    "polygon",
    "populations",
    "rendering",
    "seeds",
    "spec",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name):
    results = doctest.testmod(importlib.import_module(f"nanocensus.simulate.{name}"))
    assert results.attempted > 0
    assert results.failed == 0
