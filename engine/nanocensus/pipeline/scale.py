"""The stated sizes of pixels, held against what the micrographs' own lattice fringes say."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from nanocensus.errors import InputError
from nanocensus.measure.cif import crystal_of_cif
from nanocensus.measure.crystals import LATTICES, Cell, Crystal, crystal_spacings_nm, spacings_nm
from nanocensus.measure.lattice import Scale, find_spots, scale_from_lattice
from nanocensus.schema import PIXEL_SIZE_LATTICE
from nanocensus.store.commit import commit_bytes
from nanocensus.store.ingest import STORE_FOLDER
from nanocensus.store.manifest import OutputLock, read_manifest
from nanocensus.store.micrographs import read_pixels
from nanocensus.store.recalibration import (
    Recalibration,
    read_recalibrations,
    remove_recalibrations,
    write_recalibrations,
)

TABLE = "tables/scale.csv"
CIF_SUFFIX = ".cif"
LARGEST_CIF = 10_000_000
SMALLEST_NM, LARGEST_NM = 0.2, 5.0
"""Constants of cubic lattices lie between: outside, nanometres were mistaken for angstroms."""
STRAIN = 1e-3
"""Largest relative difference of a lattice from its stated constants that is nobody's error: strain, size, composition."""
COVERAGE = 3.0
"""Standard uncertainties that a stated size may be off by."""
MICROGRAPHS = 20
"""Of each session that are looked at, evenly over it: spots of some hundred particles say the size to a thousandth."""


@dataclass(frozen=True)
class SessionScale:
    """What is stated and used of the micrographs of a session, and what their lattice says."""

    session: str | None
    """None for micrographs without one."""
    micrographs: int
    """That were looked at."""
    stated_nm: float
    """By header or user."""
    used_nm: float
    """In the results: what is stated, unless a recalibration replaced it."""
    used_uncertainty: float | None
    """Relative standard uncertainty of that, where it is known."""
    found: Scale | None
    """None if no lattice is seen."""

    @property
    def difference(self) -> float | None:
        """Relative difference of the found size from the one that is used."""
        return None if self.found is None else self.found.pixel_size_nm / self.used_nm - 1

    @property
    def uncertainty(self) -> float | None:
        """Relative standard uncertainty of the found size: of the fit, and of the lattice (rectangular, GUM 4.3.7)."""
        if self.found is None:
            return None
        low, high = self.found.pixel_size_interval_nm
        return math.hypot((high - low) / (2 * 1.96 * self.found.pixel_size_nm), STRAIN / math.sqrt(3))

    @property
    def disagrees(self) -> bool:
        """Whether the two are further apart than three times what is known of their uncertainties allows."""
        if self.difference is None or self.uncertainty is None:
            return False
        return abs(self.difference) > COVERAGE * math.hypot(self.uncertainty, self.used_uncertainty or 0.0)

    @property
    def name(self) -> str:
        """What the session is called."""
        return self.session or "all"


def check_scale(out: Path, lattice: str, *, micrographs: int = MICROGRAPHS) -> list[SessionScale]:
    """Find the size of a pixel in each session of a run's micrographs, and write a table of it beside the results.

    Micrographs of one session that state different sizes were recorded at different magnifications, and are looked at
    apart; those without a session belong together.

    Parameters
    ----------
    out : Path
        Results of a run, or of `nanocensus ingest`.
    lattice : str
        A name in `nanocensus.measure.crystals.LATTICES`, the path of a CIF, constant and centring of a cubic crystal in
        angstroms ("4.08 F"), or spacings of planes in nm between commas.
    micrographs : int
        Most that are looked at of each session.

    Returns
    -------
    list of SessionScale

    Raises
    ------
    InputError
        If the lattice is unknown, or its CIF cannot be read.
    StoreError
        If the results are damaged.
    """
    spacings = lattice_spacings(lattice)
    rows = read_manifest(out).micrographs
    sessions = rows["session"].fillna("").astype(str)
    stated = rows["stated_pixel_size_nm"].fillna(rows["pixel_size_nm"])
    found = []
    for _, members in rows.groupby([sessions, stated, rows["pixel_size_nm"]], sort=True):
        chosen = members["micrograph"].to_numpy()
        chosen = chosen[np.unique(np.linspace(0, len(chosen) - 1, micrographs).round().astype(int))]
        spots = [find_spots(read_pixels(out / STORE_FOLDER, str(name))) for name in chosen]
        session, used = sessions[members.index[0]] or None, float(members["pixel_size_nm"].iloc[0])
        doubt = float(members["pixel_size_uncertainty"].max())
        found.append(
            SessionScale(
                session=session,
                micrographs=len(chosen),
                stated_nm=float(stated[members.index[0]]),
                used_nm=used,
                used_uncertainty=None if math.isnan(doubt) else doubt,
                found=scale_from_lattice(spots, used, spacings),
            )
        )
    commit_bytes(out / TABLE, pd.DataFrame([_row(each) for each in found]).to_csv(index=False).encode())
    return found


def recalibrate(out: Path, lattice: str, found: Sequence[SessionScale]) -> list[Recalibration]:
    """Record the sizes that were found as those to be used from the next run on; sessions without any keep theirs.

    Nothing else changes: a recalibration that is cut off before its one file is written leaves everything as it was,
    and the run that follows measures the particles anew on the stored maps, going on like any other if it is cut off.

    Parameters
    ----------
    out : Path
        Results of a run.
    lattice : str
        What `check_scale` was given.
    found : sequence of SessionScale
        What it gave.

    Returns
    -------
    list of Recalibration
        Those of the sessions that a lattice was seen in.
    """
    made = [
        Recalibration(each.session, each.stated_nm, each.found.pixel_size_nm, each.uncertainty, _source(lattice))
        for each in found
        if each.found is not None and each.uncertainty is not None
    ]
    replaced = {(each.session, each.stated_nm) for each in made}
    with OutputLock(out):
        before = [each for each in read_recalibrations(out) if (each.session, each.stated_nm) not in replaced]
        if made:
            write_recalibrations(out, [*before, *made])
    return made


def undo_recalibration(out: Path) -> bool:
    """Have the stated sizes count again from the next run on; say whether anything had replaced them."""
    read_manifest(out)  # or it is no folder of results
    with OutputLock(out):
        return remove_recalibrations(out)


def _source(lattice: str) -> str:
    return PIXEL_SIZE_LATTICE + (Path(lattice).name if lattice.endswith(CIF_SUFFIX) else lattice)


def lattice_spacings(lattice: str) -> Float[np.ndarray, " spacing"]:
    """Give the spacings of the planes to look for, nm, of a lattice as `check_scale` takes it.

    Raises
    ------
    InputError
        If it is unknown.

    Examples
    --------
    >>> lattice_spacings("4.0786 F").round(4)
    array([0.2355, 0.2039, 0.1442, 0.123 , 0.1177])
    """
    if lattice in LATTICES:
        return spacings_nm(lattice)
    if lattice.endswith(CIF_SUFFIX):
        return crystal_spacings_nm(crystal_of_cif(_cif_text(Path(lattice)), lattice))
    if cubic := re.fullmatch(r"(\d+\.?\d*) ?([PIF])", lattice):
        edge = float(cubic[1]) / 10
        if SMALLEST_NM < edge < LARGEST_NM:
            return crystal_spacings_nm(Crystal(Cell(edge, edge, edge), cubic[2]))
    try:
        given = np.array([float(part) for part in lattice.split(",")])
    except ValueError:
        given = np.empty(0)
    if not len(given) or not (np.isfinite(given) & (given > 0)).all():
        raise InputError(
            "lattice",
            expected="one of "
            + ", ".join(LATTICES)
            + ', a .cif file, a cubic constant in angstroms such as "4.08 F", or '
            "spacings in nm such as 0.4667,0.2858,0.2437",
            got=repr(lattice),
            remedy="Give the spacings of the planes whose fringes show.",
        )
    return given


def _cif_text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_CIF:
            raise InputError(
                str(path), expected=f"at most {LARGEST_CIF} bytes", got=str(path.stat().st_size),
                remedy="Give the file of one crystal, without its diffraction data.",
            )  # fmt: skip
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as cause:
        raise InputError(
            str(path), expected="a CIF", got=str(cause.strerror), remedy="Check the path, relative to where you are."
        ) from None


def _row(each: SessionScale) -> dict[str, object]:
    scale = each.found
    row: dict[str, object] = {"session": each.name, "n_micrographs": each.micrographs, "stated_nm": each.stated_nm}
    row["used_nm"] = each.used_nm
    if scale is None:
        return row | {"spots": 0}
    low, high = scale.pixel_size_interval_nm
    least, most = scale.anisotropy_interval
    return row | {
        "spots": scale.spots,
        "found_nm": scale.pixel_size_nm,
        "found_low_nm": low,
        "found_high_nm": high,
        "relative_uncertainty": each.uncertainty,
        "difference": each.difference,
        "disagrees": each.disagrees,
        "anisotropy": scale.anisotropy,
        "anisotropy_low": least,
        "anisotropy_high": most,
        "long_axis_deg": scale.long_axis_deg,
    }
