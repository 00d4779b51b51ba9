import doctest
import importlib
import pkgutil

import pytest

from nanocensus import show

MODULES = sorted(module.name for module in pkgutil.iter_modules(show.__path__))


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name):
    assert doctest.testmod(importlib.import_module(f"nanocensus.show.{name}")).failed == 0


def test_there_are_examples():
    modules = [
        importlib.import_module(f"nanocensus.show.{name}") for name in ("numbers", "theme", "evaluation_content")
    ]
    assert all(doctest.testmod(module).attempted for module in modules)
