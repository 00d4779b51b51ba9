"""The particles measured again on the maps that a run keeps: at other thresholds, and on those of its sibling networks.

Unlike the columns of the particle table, which know the sizes alone, this changes shapes, and who is accepted, as well.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import dask.dataframe as dd
import pandas as pd
from dask.delayed import delayed

from nanocensus.errors import StoreError
from nanocensus.measure.criteria import Criteria
from nanocensus.measure.descriptors import measure
from nanocensus.pipeline.job.sections import MeasureSection
from nanocensus.pipeline.onsets.variants import FOLDS, THRESHOLD, Variant, accepted
from nanocensus.schema import PARTICLES
from nanocensus.store.images.ingest import STORE_FOLDER
from nanocensus.store.images.micrographs import read_probability, stored_siblings

THRESHOLDS = (0.4, 0.6)
_AT_A_TIME = 8
"""Micrographs of one partition."""


@dataclasses.dataclass(frozen=True)
class Maps:
    """Where the maps of a run are, and how it measures on them."""

    out: Path
    settings: MeasureSection


def ways_on_maps(
    maps: Maps, micrographs: pd.DataFrame, criteria: Criteria | None, weight: str | None, columns: Sequence[str]
) -> Iterator[Variant]:
    """Give the ways of other thresholds, and those of the sibling networks whose maps are kept of every micrograph.

    Parameters
    ----------
    maps : Maps
    micrographs : DataFrame
        Those that count; the ones that are done have a map.
    criteria, weight
        As for the particles themselves.
    columns : sequence of str
        Columns of the particle table that are wanted.
    """
    done = micrographs[micrographs["status"] == "done"]
    change = partial(accepted, criteria=criteria)
    for threshold in THRESHOLDS:
        other = dataclasses.replace(maps, settings=dataclasses.replace(maps.settings, threshold=threshold))
        yield Variant(THRESHOLD, f"{threshold:g}", change, weight, measured_again(other, done, columns))
    kept = [set(stored_siblings(maps.out / STORE_FOLDER, str(micrograph))) for micrograph in done["micrograph"]]
    for name in sorted(set.intersection(*kept)) if kept else ():
        yield Variant(FOLDS, name, change, weight, measured_again(maps, done, columns, sibling=name))


def measured_again(maps: Maps, micrographs: pd.DataFrame, columns: Sequence[str], *, sibling: str = "") -> dd.DataFrame:
    """Give the particles of some micrographs, lazily, a few micrographs a partition."""
    rows = micrographs[["sample", "micrograph", "pixel_size_nm"]].to_dict("records")
    groups = [rows[start : start + _AT_A_TIME] for start in range(0, len(rows), _AT_A_TIME)]
    visit = delayed(_particles_of, pure=False)
    empty = PARTICLES.arrow().empty_table().to_pandas(ignore_metadata=True)[list(columns)]
    made: dd.DataFrame = dd.from_delayed([visit(maps, group, list(columns), sibling) for group in groups], meta=empty)
    return made


def _particles_of(maps: Maps, rows: Sequence[dict[str, Any]], columns: Sequence[str], sibling: str) -> pd.DataFrame:
    measured = [_measured(maps, row, sibling) for row in rows]
    return pd.concat(measured, ignore_index=True)[list(columns)]


def _measured(maps: Maps, row: dict[str, Any], sibling: str) -> pd.DataFrame:
    stored = read_probability(maps.out / STORE_FOLDER, row["micrograph"], sibling=sibling)
    if stored is None:
        raise StoreError(
            f"micrograph {row['micrograph']}", expected="its probability map", got="none",
            remedy=f"Run `nanocensus doctor {maps.out}`, then the job again: what is missing is done again.",
        )  # fmt: skip
    settings = maps.settings
    split = None if settings.split == "none" else settings.split
    table = measure(
        stored[0], pixel_size_nm=float(row["pixel_size_nm"]), estimator=settings.estimator,
        threshold=settings.threshold, split=split,
    ).table  # fmt: skip
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    return frame.assign(sample=row["sample"], micrograph=row["micrograph"])
