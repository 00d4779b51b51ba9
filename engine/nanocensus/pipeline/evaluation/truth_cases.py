"""Micrographs whose true particles are known, one at a time: from a finished run, or predicted for the purpose."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int32, Shaped, UInt8

from nanocensus.errors import CalibrationError, DamageError, InputError, TableError
from nanocensus.pipeline.job.plan import Network
from nanocensus.pipeline.job.spec import Job
from nanocensus.pipeline.run.intake import SIMULATED_FOLDER, find_micrographs, networks
from nanocensus.schema import CONDITION_PREFIX, PIXEL_SIZE_ASSUMED
from nanocensus.segment.prediction.weights import load_model
from nanocensus.store.formats.readers import read_image
from nanocensus.store.images.ingest import STORE_FOLDER, calibrate
from nanocensus.store.images.micrographs import read_labels, read_pixels, read_probability
from nanocensus.store.masks.masks import read_truth
from nanocensus.store.particles.tables import read_micrographs
from nanocensus.store.studies.source import Source

PLANTED = "truth.csv"
"""The table of planted particles that `nanocensus simulate` writes beside micrographs.csv."""
_PLANTED_COLUMNS = ("file", "label", "area_nm2", "perimeter_nm", "edge_length_nm", "circularity", "solidity")


@dataclass(frozen=True, eq=False)
class Case:
    """One micrograph, what a network made of it, and the truth."""

    name: str
    sample: str
    cluster: str
    """Its field, or itself: what counts as one observation."""
    model: str
    """Name of the network."""
    pixel_size_nm: float | None
    """Side of a pixel; None where nobody said."""
    assumed: bool
    """Whether somebody made it up."""
    pixels: Shaped[np.ndarray, "_ _"]
    """As recorded."""
    probability: UInt8[np.ndarray, "_ _"]
    truth: Int32[np.ndarray, "_ _"]
    planted: pd.DataFrame | None
    """Rows of truth.csv by label, where the particles were planted and every label has one."""
    conditions: Mapping[str, float | str] = field(default_factory=dict)


LoadCase = Callable[[], Case]
"""Reads, and predicts, one micrograph: never all of them are in memory."""


def cases_of_run(job: Job) -> list[LoadCase]:
    """Give the micrographs of a finished run that came with masks, of the job that made it.

    Raises
    ------
    StoreError
        If there are no results.
    """
    micrographs = read_micrographs(job.out)
    known = micrographs[micrographs["truth"].notna() & (micrographs["status"] == "done")]
    planted = _planted(job)
    conditions = [name for name in known.columns if str(name).startswith(CONDITION_PREFIX)]
    return [partial(_stored, job.out / STORE_FOLDER, row, planted, conditions) for row in known.to_dict("records")]


def _stored(store: Path, row: Mapping[Any, Any], planted: Mapping[str, pd.DataFrame], conditions: list[str]) -> Case:
    micrograph = str(row["micrograph"])
    stored, truth = read_probability(store, micrograph), read_labels(store, micrograph, name="truth")
    if stored is None or truth is None:  # the index says they are there
        remedy = "Run the job again: what is missing is done again."
        raise DamageError(f"micrograph {micrograph}", expected="its map and truth", got="none", remedy=remedy)
    return Case(
        name=str(row["name"]),
        sample=str(row["sample"]),
        cluster=str(row["group"] if isinstance(row["group"], str) else row["name"]),
        model=str(row["model"]),
        pixel_size_nm=float(row["pixel_size_nm"]),
        assumed=row["pixel_size_source"] == PIXEL_SIZE_ASSUMED,
        pixels=read_pixels(store, micrograph),
        probability=stored[0],
        truth=truth,
        planted=_of_labels(planted.get(str(row["name"])), truth),
        conditions={name.removeprefix(CONDITION_PREFIX): row[name] for name in conditions if pd.notna(row[name])},
    )


def cases_of_job(job: Job) -> tuple[list[LoadCase], dict[str, str]]:
    """Give the micrographs of a job that have masks, each to be predicted by its own network when it is loaded.

    Returns
    -------
    list of callables
    dict of str
        The digest of each network, by its name.

    Raises
    ------
    InputError
        If there is none, or a network cannot be used.
    """
    found = find_micrographs(job)
    sources = [(source, source.mask) for source in found if source.mask is not None]
    if not sources:
        raise InputError(
            "truth",
            expected="micrographs with masks",
            got="none that has one",
            remedy="Name the masks in the column `mask` of micrographs.csv, and that table with --table.",
        )
    chosen = networks([source for source, _ in sources], job)
    planted = _planted(job)
    cases: list[LoadCase] = [
        partial(_predicted, source, mask, chosen[source.name], job, planted) for source, mask in sources
    ]
    return cases, {network.name: network.digest for network in chosen.values()}


def _predicted(source: Source, mask: Path, network: Network, job: Job, planted: Mapping[str, pd.DataFrame]) -> Case:
    image = read_image(source.path, source.image)
    truth = read_truth(mask, (image.pixels.shape[0], image.pixels.shape[1]))
    try:
        side, said_by = calibrate(source, image)
    except CalibrationError:
        if image.pixel_size is not None or image.calibration_problem is not None:
            raise
        side, said_by = None, ""
    preparation = job.segment.preparation
    probability = load_model(network.place).probability(
        image.pixels,
        side,
        tile=job.segment.inference.tile_px,
        engine=job.segment.engine,
        precision=job.segment.precision,
        flat_field=preparation.flat_field,
        contrast=preparation.contrast,
    )
    return Case(
        name=source.name,
        sample=source.sample,
        cluster=source.group or source.name,
        model=network.name,
        pixel_size_nm=side,
        assumed=said_by == PIXEL_SIZE_ASSUMED,
        pixels=image.pixels,
        probability=probability,
        truth=truth,
        planted=_of_labels(planted.get(source.name), truth),
        conditions=source.conditions,
    )


def _planted(job: Job) -> dict[str, pd.DataFrame]:
    """Read the planted particles of each file of a job, simulated by it or before."""
    folders = [job.out / SIMULATED_FOLDER] if job.simulate is not None else []
    folders += [job.input.folder] if job.input is not None else []
    return {name: rows for folder in folders for name, rows in _planted_in(folder).items()}


def _planted_in(folder: Path) -> dict[str, pd.DataFrame]:
    """Read the planted particles of each file, where a folder has a table of them."""
    path = folder / PLANTED
    if not path.is_file():
        return {}
    table = pd.read_csv(path)
    missing = [name for name in _PLANTED_COLUMNS if name not in table]
    if missing:
        raise TableError(
            str(path),
            expected="the columns " + ", ".join(_PLANTED_COLUMNS),
            got="none called " + ", ".join(missing),
            remedy="Leave it as `nanocensus simulate` wrote it, or rename it: masks alone are truth enough.",
        )
    return {str(name): rows.set_index("label") for name, rows in table.groupby("file", sort=False)}


def _of_labels(rows: pd.DataFrame | None, truth: Int32[np.ndarray, "y x"]) -> pd.DataFrame | None:
    """Give the planted particles if they are those of the labels: another mask may have been drawn since."""
    if rows is None or sorted(rows.index) != list(range(1, int(truth.max(initial=0)) + 1)):
        return None
    return rows
