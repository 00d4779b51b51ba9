"""A run's results for other programs: tables as CSV, Parquet or ImageJ writes them, images and labels as calibrated TIFF."""

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import tifffile

from nanocensus.errors import InputError
from nanocensus.measure.acceptance import FAILED, apply_criteria
from nanocensus.pipeline.run.record import job_of_run
from nanocensus.store.commit import partial_path, writing
from nanocensus.store.images.ingest import STORE_FOLDER
from nanocensus.store.images.micrographs import read_labels, read_pixels, read_probability
from nanocensus.store.manifest import read_manifest
from nanocensus.store.particles.tables import read_micrographs, read_particles

KINDS = ("csv", "parquet", "imagej", "images", "labels", "maps")
"""What can be exported."""

IMAGEJ = {
    "Area": "area_nm2", "Perim.": "perimeter_nm", "X": "centroid_x_nm", "Y": "centroid_y_nm", "Major": "major_axis_nm",
    "Minor": "minor_axis_nm", "Circ.": "circularity", "Feret": "feret_max_nm", "MinFeret": "feret_min_nm",
    "Solidity": "solidity",
}  # fmt: skip
"""Columns of ImageJ's results table that are ours by another name."""


def export_run(out: Path, folder: Path, kinds: Sequence[str] = ("csv",)) -> list[Path]:
    """Write a run's results into a folder.

    Parameters
    ----------
    out : Path
        Results of a run.
    folder : Path
        Made if missing; what is there of the same names is replaced, each file when its successor is whole.
    kinds : sequence of str
        Of `KINDS`. Tables hold every detected particle, with what criteria it failed (`failed_criteria`, 0 for none).

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    InputError
        If a kind is unknown.
    StoreError
        If there are no results, they are damaged, or the disk refuses.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise InputError(
            "what to export",
            expected="some of " + ", ".join(KINDS),
            got=", ".join(unknown) or "nothing",
            remedy="Name them one after the other: --what csv --what labels.",
        )
    written: list[Path] = []
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for kind in dict.fromkeys(kinds):
            written += _TABLES[kind](out, folder) if kind in _TABLES else _images(out, folder, kind)
    return written


def _pieces(out: Path) -> Iterator[pd.DataFrame]:
    """Give the particles part by part, each with the name of its micrograph and what criteria it failed."""
    job = job_of_run(out)
    names = read_micrographs(out).set_index("micrograph")["name"]
    for part in read_particles(out, excluded=True).partitions:
        piece = apply_criteria(part.compute(scheduler="synchronous"), job.criteria)
        piece.insert(1, "name", piece["micrograph"].map(names))
        yield piece


def _csv(out: Path, folder: Path) -> list[Path]:
    path, micrographs = folder / "particles.csv", folder / "micrographs.csv"
    _write_csv(path, _pieces(out))
    _write_csv(micrographs, iter([read_micrographs(out)]))
    return [path, micrographs]


def _parquet(out: Path, folder: Path) -> list[Path]:
    path = folder / "particles.parquet"
    tables = (pa.Table.from_pandas(piece, preserve_index=False) for piece in _pieces(out))
    first = next(tables)
    with _replacing(path) as partial, pq.ParquetWriter(partial, first.schema) as writer:
        for table in itertools.chain([first], tables):
            writer.write_table(table.cast(writer.schema))
    return [path]


def _imagej(out: Path, folder: Path) -> list[Path]:
    path = folder / "Results.csv"
    _write_csv(path, map(_as_imagej, _pieces(out)))
    return [path]


def _as_imagej(piece: pd.DataFrame) -> pd.DataFrame:
    """Give the columns that ImageJ calls otherwise or computes otherwise; angles count from x against increasing y."""
    table = pd.DataFrame({"Label": piece["name"] + ":" + piece["label"].astype(str)})
    for name, ours in IMAGEJ.items():
        table[name] = piece[ours]
    table["Angle"] = np.degrees(-piece["orientation_rad"]) % 180
    table["FeretAngle"] = np.degrees(-piece["feret_max_angle_rad"]) % 180
    table["AR"] = piece["major_axis_nm"] / piece["minor_axis_nm"]
    table["Round"] = 4 * piece["area_nm2"] / (np.pi * piece["major_axis_nm"] ** 2)
    table[FAILED] = piece[FAILED]
    return table


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to, which takes the place of another one when all is written."""
    partial = partial_path(
        path.with_name("export")
    )  # of a short name: that of a micrograph may be as long as names can be
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _write_csv(path: Path, pieces: Iterator[pd.DataFrame]) -> None:
    with _replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        for number, piece in enumerate(pieces):
            piece.to_csv(stream, index=False, header=number == 0)


_TABLES = {"csv": _csv, "parquet": _parquet, "imagej": _imagej}


def _images(out: Path, folder: Path, kind: str) -> list[Path]:
    written = []
    for row in read_manifest(out).micrographs.to_dict("records"):
        image = _image(out / STORE_FOLDER, row["micrograph"], kind)
        if image is not None:
            path = folder / kind / f"{row['name']}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_calibrated(path, image, row["pixel_size_nm"])
            written.append(path)
    return written


def _image(store: Path, micrograph: str, kind: str) -> np.ndarray | None:
    """Give an image of a micrograph; None where it was not made yet."""
    if kind == "images":
        return read_pixels(store, micrograph)
    if kind == "labels":
        labels = read_labels(store, micrograph)
        return labels if labels is None or labels.max() >= 2**16 else labels.astype(np.uint16)
    found = read_probability(store, micrograph)
    return None if found is None else found[0]


def write_calibrated(path: Path, image: np.ndarray, pixel_size_nm: float) -> None:
    """Write a TIFF that states the size of its pixels: as ImageJ does where its types suffice, otherwise as OME-TIFF."""
    options: dict[str, Any] = {
        "ome": True,
        "metadata": {"axes": "YX"} | {
            f"PhysicalSize{axis}{what}": value for axis in "XY" for what, value in (("", pixel_size_nm), ("Unit", "nm"))
        },
    }  # fmt: skip
    if image.dtype.name in ("uint8", "uint16", "float32"):
        options = {"imagej": True, "metadata": {"unit": "nm"}, "resolution": (1 / pixel_size_nm,) * 2}
    with _replacing(path) as partial:
        tifffile.imwrite(partial, image, **options)
