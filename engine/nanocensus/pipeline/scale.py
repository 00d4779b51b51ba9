"""The stated sizes of pixels, held against what the micrographs' own lattice fringes say."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from nanocensus.errors import InputError
from nanocensus.measure.lattice import LATTICES, Scale, find_spots, scale_from_lattice, spacings_nm
from nanocensus.store.commit import commit_bytes
from nanocensus.store.ingest import STORE_FOLDER
from nanocensus.store.manifest import read_manifest
from nanocensus.store.micrographs import read_pixels

TABLE = "tables/scale.csv"
AGREEING = 1e-3
"""Relative difference that is none: what a camera's drift correction and a lattice's strain may do."""
MICROGRAPHS = 20
"""Of each session that are looked at, evenly over it: spots of some hundred particles say the size to a thousandth."""


@dataclass(frozen=True)
class SessionScale:
    """What was stated of the micrographs of a session, and what their lattice says."""

    session: str
    micrographs: int
    """That were looked at."""
    stated_nm: float
    found: Scale | None
    """None if no lattice is seen."""

    @property
    def difference(self) -> float | None:
        """Relative difference of the found size from the stated one."""
        return None if self.found is None else self.found.pixel_size_nm / self.stated_nm - 1

    @property
    def disagrees(self) -> bool:
        """Whether the stated size is outside the interval, and off by more than a thousandth."""
        if self.found is None:
            return False
        low, high = self.found.pixel_size_interval_nm
        return not low <= self.stated_nm <= high and abs(self.found.pixel_size_nm / self.stated_nm - 1) > AGREEING


def check_scale(out: Path, lattice: str, *, micrographs: int = MICROGRAPHS) -> list[SessionScale]:
    """Find the size of a pixel in each session of a run's micrographs, and write a table of it beside the results.

    Micrographs of one session that state different sizes were recorded at different magnifications, and are looked at
    apart; those without a session belong together.

    Parameters
    ----------
    out : Path
        Results of a run, or of `nanocensus ingest`.
    lattice : str
        A name in `nanocensus.measure.lattice.LATTICES`, or spacings of planes in nm between commas.
    micrographs : int
        Most that are looked at of each session.

    Returns
    -------
    list of SessionScale

    Raises
    ------
    InputError
        If the lattice is unknown.
    StoreError
        If the results are damaged.
    """
    spacings = _spacings(lattice)
    rows = read_manifest(out).micrographs
    sessions = rows["session"].fillna("all").astype(str)
    found = []
    for (session, _), members in rows.groupby([sessions, rows["pixel_size_nm"]], sort=True):
        stated = float(members["pixel_size_nm"].iloc[0])
        chosen = members["micrograph"].to_numpy()
        chosen = chosen[np.unique(np.linspace(0, len(chosen) - 1, micrographs).round().astype(int))]
        spots = [find_spots(read_pixels(out / STORE_FOLDER, str(name))) for name in chosen]
        scale = scale_from_lattice(spots, stated, spacings)
        found.append(SessionScale(str(session), len(chosen), stated, scale))
    (out / TABLE).parent.mkdir(parents=True, exist_ok=True)
    commit_bytes(out / TABLE, pd.DataFrame([_row(each) for each in found]).to_csv(index=False).encode())
    return found


def _spacings(lattice: str) -> np.ndarray:
    if lattice in LATTICES:
        return spacings_nm(lattice)
    try:
        given = np.array([float(part) for part in lattice.split(",")])
    except ValueError:
        given = np.empty(0)
    if not len(given) or not (np.isfinite(given) & (given > 0)).all():
        raise InputError(
            "lattice",
            expected="one of " + ", ".join(LATTICES) + ", or spacings in nm such as 0.4667,0.2858,0.2437",
            got=repr(lattice),
            remedy="Give the spacings of the planes whose fringes show.",
        )
    return given


def _row(each: SessionScale) -> dict[str, object]:
    scale = each.found
    row: dict[str, object] = {"session": each.session, "n_micrographs": each.micrographs, "stated_nm": each.stated_nm}
    if scale is None:
        return row | {"spots": 0}
    low, high = scale.pixel_size_interval_nm
    least, most = scale.anisotropy_interval
    return row | {
        "spots": scale.spots,
        "found_nm": scale.pixel_size_nm,
        "found_low_nm": low,
        "found_high_nm": high,
        "difference": each.difference,
        "disagrees": each.disagrees,
        "anisotropy": scale.anisotropy,
        "anisotropy_low": least,
        "anisotropy_high": most,
        "long_axis_deg": scale.long_axis_deg,
    }
