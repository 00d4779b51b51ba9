"""Pixel sizes that were found in place of stated ones; the index takes them when the micrographs are ingested next.

They are kept in a file of their own beside the index, so that recording them changes no result: the next run replaces
the sizes and measures anew what they concern, and one that was killed goes on like any other.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nanocensus.errors import DamageError
from nanocensus.schema import FORMAT_VERSION, check_format_version
from nanocensus.store.commit import commit_bytes, writing
from nanocensus.units import PixelSize

RECALIBRATION_FILE = "recalibration.json"


@dataclass(frozen=True)
class Recalibration:
    """What replaces one stated pixel size in one session."""

    session: str | None
    """Sitting at the microscope; None for micrographs without one."""
    stated_nm: float
    """What the header or the user says of these micrographs, nm."""
    pixel_size_nm: float
    """What is used instead, nm."""
    uncertainty: float
    """Its relative standard uncertainty."""
    source: str
    """Where it comes from: "lattice Co3O4"."""


def read_recalibrations(out: Path) -> list[Recalibration]:
    """Read what replaces stated pixel sizes in an output folder; nothing if there is no such file.

    Raises
    ------
    DamageError
        If it is damaged: results with the stated sizes would pass for recalibrated ones.
    FormatVersionError
        If a newer nanocensus wrote it.
    """
    path = out / RECALIBRATION_FILE
    if not path.exists():
        return []
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
        version, found = str(stated["format_version"]), [_recalibration(each) for each in stated["pixel_sizes"]]
    except (OSError, ValueError, TypeError, KeyError) as cause:
        raise DamageError(
            str(path),
            expected="the pixel sizes that were recorded",
            got=f"{type(cause).__name__}: {cause}",
            remedy="Run `nanocensus scale` with --undo, or with --recalibrate again.",
        ) from cause
    check_format_version(version, str(path))
    return found


def _recalibration(stated: Mapping[str, Any]) -> Recalibration:
    size = PixelSize(float(stated["pixel_size_nm"]), float(stated["pixel_size_nm"]), str(stated["source"])).square_nm()
    doubt, session = float(stated["uncertainty"]), stated["session"]
    if not 0 < doubt < 1:
        raise ValueError(f"a relative uncertainty of {doubt:g}")
    return Recalibration(
        None if session is None else str(session), float(stated["stated_nm"]), size, doubt, str(stated["source"])
    )


def write_recalibrations(out: Path, recalibrations: Iterable[Recalibration]) -> None:
    """Record what replaces stated pixel sizes, all at once."""
    stated = {"format_version": FORMAT_VERSION, "pixel_sizes": [asdict(each) for each in recalibrations]}
    commit_bytes(out / RECALIBRATION_FILE, (json.dumps(stated, indent=2, ensure_ascii=False) + "\n").encode())


def remove_recalibrations(out: Path) -> bool:
    """Have the stated sizes count again; say whether anything had replaced them."""
    path = out / RECALIBRATION_FILE
    there = path.exists()
    with writing(path):
        path.unlink(missing_ok=True)
    return there


def stated_size(row: Mapping[str, Any]) -> tuple[float, str]:
    """Give the pixel size of a row of the index as header or user state it, and which of them does."""
    if row["stated_pixel_size_nm"] is None:
        return row["pixel_size_nm"], row["pixel_size_source"]
    return row["stated_pixel_size_nm"], row["stated_pixel_size_source"]


def recalibrated(row: Mapping[str, Any], recalibrations: Iterable[Recalibration]) -> dict[str, Any]:
    """Give what changes in a row with a stated pixel size; nothing if its session and size were not recalibrated."""
    for each in recalibrations:
        if (each.session, each.stated_nm) == (row["session"], row["pixel_size_nm"]):
            return {
                "pixel_size_nm": each.pixel_size_nm,
                "pixel_size_source": each.source,
                "pixel_size_uncertainty": each.uncertainty,
                "stated_pixel_size_nm": row["pixel_size_nm"],
                "stated_pixel_size_source": row["pixel_size_source"],
            }
    return {}
