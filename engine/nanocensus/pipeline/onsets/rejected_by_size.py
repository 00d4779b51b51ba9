"""Which share of the particles of each size the criteria reject: bounds on shape that bite at one size bend its mean there."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nanocensus.measure.acceptance import REASONS, failed_criteria
from nanocensus.measure.criteria import Criteria
from nanocensus.pipeline.onsets.bin_means import WIDE_NM
from nanocensus.statistics.cells.partitions import Particles, add_rows, compute, over_partitions
from nanocensus.statistics.cells.rows import numbers
from nanocensus.statistics.onsets.samples import SIZE

_KEYS = ("sample", "bin")
_BORDER = 1
COUNTED = REASONS[1:]
"""The reasons but the border, which says nothing of the particle."""


def rejected_by_size(particles: Particles, criteria: Criteria, columns: Sequence[str]) -> pd.DataFrame:
    """Count, by sample and 0.2 nm bin, the particles inside the border and those of them that fail each criterion.

    Parameters
    ----------
    particles : DataFrame
        All that were detected.
    criteria : Criteria
    columns : sequence of str
        Those that the criteria look at, with sample and edge_length_nm.

    Returns
    -------
    DataFrame
        sample, size_left, size_right, n, n_rejected, rejected_share, and a count for each reason but the border; a
        particle that fails two criteria counts under both.
    """
    counted: pd.DataFrame = compute(over_partitions([particles], columns, _count, _together, criteria))
    left = counted["bin"] * WIDE_NM
    share = counted["n_rejected"] / counted["n"]
    placed = {"size_left": left, "size_right": left + WIDE_NM, "rejected_share": share}
    named = counted.assign(**placed)[
        ["sample", "size_left", "size_right", "n", "n_rejected", "rejected_share", *COUNTED]
    ]
    return named.round({"size_left": 9, "size_right": 9})


def _count(rows: pd.DataFrame, criteria: Criteria) -> pd.DataFrame:
    failed = failed_criteria(rows, criteria).astype(np.int64)
    found = {"sample": rows["sample"].astype(str).to_numpy(object), "bin": np.floor(numbers(rows[SIZE]) / WIDE_NM).astype(np.int64),
             "n": np.ones(len(rows), np.int64), "n_rejected": (failed != 0).astype(np.int64)}  # fmt: skip
    for bit, reason in enumerate(REASONS[1:], start=1):
        found[reason] = failed >> bit & 1
    inside = pd.DataFrame(found)[failed & _BORDER == 0]
    return add_rows([inside], _KEYS)


def _together(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return add_rows(parts, _KEYS)
