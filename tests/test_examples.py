"""Every example in a docstring of the package runs and gives what it says."""

import doctest
import importlib
from pathlib import Path

import pytest

import nanocensus

ROOT = Path(nanocensus.__file__).parent
MODULES = sorted(
    ".".join(("nanocensus", *path.relative_to(ROOT).with_suffix("").parts))
    for path in ROOT.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 0
    assert found.failed == 0


def test_there_are_examples_in_every_room():
    assert {name.split(".")[1] for name in MODULES} >= {
        "measure",
        "pipeline",
        "segment",
        "show",
        "simulate",
        "statistics",
        "store",
    }
