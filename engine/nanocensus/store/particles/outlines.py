"""The outlines of the particles: r(theta) in Parquet, row for row beside the particles.

An outlines part is committed before the particles part of its block, so that whoever finds the particles finds their
outlines. The index knows the digest of the particles part alone; an outlines part proves itself by its seal, and that it
belongs to these particles by the measure digest of each micrograph.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from jaxtyping import Float, Float32, Int32

from nanocensus.errors import NanocensusError, StoreError, TableError
from nanocensus.schema import FORMAT_VERSION, PARTICLES
from nanocensus.store.commit import commit_bytes
from nanocensus.store.manifest import rows_of
from nanocensus.store.particles.parts import damage, groups_of, measured_parts, part_bytes, part_rows
from nanocensus.store.seal import open_parquet

if TYPE_CHECKING:
    import xarray as xr

OUTLINES_FOLDER = "outlines"
ANGLES = 128
"""Radii of an outline: radius i is at angle 2 pi i / 128 from +x (along columns) towards +y (along rows)."""
_MEANING = (
    f"Distance of the outline from the area centroid at {ANGLES} angles, 2 pi i / {ANGLES} from +x (along columns) "
    "towards +y (along rows)."
)
_KEPT = ("micrograph", "measure_digest")
_REMEDY = "Set outlines = true under [measure] in the job file and run it again: only measuring is done anew."


@dataclass(frozen=True)
class _Part:
    """A part as the index knows it."""

    path: str
    measured: Mapping[str, tuple[str | None, int]]
    """Measure digest and number of particles of each micrograph that counts."""


def outlines_schema() -> pa.Schema:
    """Give the Arrow schema of an outlines part."""
    keys = [PARTICLES[name].field() for name in ("sample", "micrograph", "label")]
    values = pa.list_(pa.field("element", pa.float32(), nullable=False), ANGLES)
    radii = pa.field("radii", values, nullable=False, metadata={"meaning": _MEANING, "unit": "nm"})
    return pa.schema([*keys, radii], {"nanocensus.table": "outlines", "nanocensus.format_version": FORMAT_VERSION})


def write_outlines(
    path: Path,
    radii: Sequence[Float[np.ndarray, "_ _"]],
    labels: Sequence[Int32[np.ndarray, " _"]],
    micrographs: Sequence[Mapping[str, Any]],
) -> str:
    """Write the outlines of a block of micrographs; the same outlines give the same bytes.

    Parameters
    ----------
    path : Path
        Where; replaced atomically if it exists.
    radii : sequence of float (n, 128)
        r(theta) of the particles of each micrograph, nm, in the order of their rows in the particles part. Kept as
        float32.
    labels : sequence of int32 (n,)
        Their labels.
    micrographs : sequence of mappings
        The index row of each micrograph, as `tables.write_part` takes them; `sample`, `micrograph` and
        `measure_digest` are used.

    Returns
    -------
    str
        SHA-256 of the file.

    Raises
    ------
    TableError
        If there are not 128 finite radii a particle, or not one label.
    StoreError
        If the disk refuses.
    """
    schema = outlines_schema()
    rows = [{name: row.get(name) for name in _KEPT} for row in micrographs]
    tables = [
        _table(outlines, numbers, row, schema)
        for outlines, numbers, row in zip(radii, labels, micrographs, strict=True)
    ]
    content = part_bytes(
        schema,
        tables,
        rows,
        use_dictionary=["sample", "micrograph"],
        column_encoding={"label": "PLAIN", "radii.list.element": "BYTE_STREAM_SPLIT"},
        write_statistics=["sample", "micrograph", "label"],
    )
    commit_bytes(path, content)
    return hashlib.sha256(content).hexdigest()


def is_whole(path: Path, micrographs: Iterable[Mapping[str, Any]]) -> bool:
    """Say whether an outlines part is there, undamaged, and of the particles of these micrographs.

    Parameters
    ----------
    path : Path
        The part.
    micrographs : iterable of mappings
        Index rows with `micrograph`, `measure_digest` and `n_detected`.
    """
    try:
        _load(_Part(str(path), {row["micrograph"]: _measured(row) for row in micrographs}))
    except StoreError:
        return False
    return True


def read_outlines(out: str | os.PathLike[str], *, excluded: bool = False) -> "xr.DataArray":
    """Open the outlines of an output folder; none is read until it is computed.

    Parameters
    ----------
    out : Path
        The output folder.
    excluded : bool
        Whether those of excluded micrographs are among them, as in `tables.read_particles`.

    Returns
    -------
    xarray.DataArray
        float32 (particle, angle), nm, on a dask array. Row i is the outline of row i of `tables.read_particles`, and
        chunk k holds those of its partition k, so that both can be visited together. The coordinate `angle` is in rad
        from +x (along columns) towards +y (along rows). A radius of 0 means no crossing: that ray from the centroid
        meets no outline. Of particles that are not `star_shaped`, r(theta) does not tell all: leave them out before
        outlines are aligned.

    Raises
    ------
    StoreError
        If there is no index, or the outlines were not asked for. When computed: DamageError if a part is missing, not
        what was written or not of these particles, and FormatVersionError if a newer nanocensus wrote it.
    """
    import dask.array as da
    import xarray as xr

    folder = Path(out).absolute() / OUTLINES_FOLDER
    parts = [
        _Part(str(folder / name), {row["micrograph"]: _measured(row) for row in rows_of(rows)})
        for name, rows in measured_parts(out, excluded=excluded)
    ]
    if parts and not any(folder.glob("*")):
        raise StoreError(
            str(out),
            expected="outlines beside the particles",
            got="none there",
            remedy=_REMEDY,
        )
    empty = np.empty((0, ANGLES), np.float32)
    if parts:
        held = np.empty(len(parts), object)
        held[:] = parts
        chunks = (tuple(sum(n for _, n in part.measured.values()) for part in parts), (ANGLES,))
        radii = da.from_array(held, chunks=1).map_blocks(
            _load_chunk, new_axis=1, chunks=chunks, dtype=np.float32, meta=empty
        )
    else:
        radii = da.from_array(empty, chunks=-1)
    angle = xr.Variable("angle", 2.0 * np.pi * np.arange(ANGLES) / ANGLES, {"units": "rad"})
    return xr.DataArray(
        radii,
        dims=("particle", "angle"),
        coords={"angle": angle},
        name="radii",
        attrs={"units": "nm", "long_name": _MEANING},
    )


def _load_chunk(parts: npt.NDArray[np.object_]) -> Float32[np.ndarray, "n m"]:
    return _load(parts[0])


def _load(part: _Part) -> Float32[np.ndarray, "n m"]:
    """Read one part and prove it."""
    path = Path(part.path)
    try:
        file = open_parquet(path)
        rows = part_rows(file)
        tables = [file.read_row_group(group) for group in range(file.num_row_groups)]
        groups = groups_of(list(part.measured), rows)
        found = {rows[group]["micrograph"]: (rows[group]["measure_digest"], len(tables[group])) for group in groups}
        if found != part.measured:
            raise ValueError("its outlines are not those of the particles in the index")
        return np.concatenate([_radii(tables[group]) for group in groups])
    except (NanocensusError, MemoryError):
        raise
    except Exception as cause:
        raise damage(path, cause, _REMEDY) from cause


def _measured(row: Mapping[str, Any]) -> tuple[str | None, int]:
    return row["measure_digest"], row["n_detected"] or 0  # a failed micrograph has no number


def _table(
    outlines: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.int32], row: Mapping[str, Any], schema: pa.Schema
) -> pa.Table:
    values = np.ascontiguousarray(outlines, np.float32)
    n = labels.size
    if values.shape != (n, ANGLES) or not np.isfinite(values).all():
        raise TableError(
            f"outlines of micrograph {row['micrograph']}",
            expected=f"{ANGLES} finite radii for each of {n} labels",
            got=f"shape {values.shape}" if values.shape != (n, ANGLES) else "radii that are not finite",
            remedy="Sample r(theta) of every row of the particles, in their order.",
        )
    radii = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), type=schema.field("radii").type)
    identity = [pa.repeat(pa.scalar(str(row[name])), n) for name in ("sample", "micrograph")]
    return pa.table([*identity, pa.array(labels), radii], schema=schema)


def _radii(table: pa.Table) -> npt.NDArray[np.float32]:
    radii: npt.NDArray[np.float32] = table["radii"].combine_chunks().flatten().to_numpy()
    return radii.reshape(-1, ANGLES)
