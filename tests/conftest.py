"""Fixtures for all tests; helpers live in nanocensus.testing."""

import os

# XLA would take every core in every process, and each worker that a test starts is a process.
os.environ.setdefault("NPROC", "1")
