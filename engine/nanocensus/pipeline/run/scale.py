"""The stated sizes of pixels, held against what the micrographs' own lattice fringes say."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from nanocensus.measure.lattice import Scale, find_spots, scale_from_lattice
from nanocensus.pipeline.job.lattices import lattice_name, lattice_spacings
from nanocensus.pipeline.workers.dispatch import OnProgress, Progress, silent
from nanocensus.provenance import digest
from nanocensus.schema import PIXEL_SIZE_LATTICE
from nanocensus.store.commit import commit_bytes
from nanocensus.store.images.ingest import STORE_FOLDER
from nanocensus.store.images.micrographs import read_pixels
from nanocensus.store.images.recalibration import (
    Recalibration,
    read_recalibrations,
    remove_recalibrations,
    write_recalibrations,
)
from nanocensus.store.manifest import OutputLock, read_manifest

TABLE = "tables/scale.csv"
SCALE_VERSION = 2
"""Raise it when the same micrographs would give another size: the table of an earlier check is then not used again."""
STRAIN = 1e-3
"""Largest relative difference of a lattice from its stated constants that is nobody's error: strain, size, composition."""
COVERAGE = 3.0
"""Standard uncertainties that a stated size may be off by."""
MICROGRAPHS = 20
"""Of each session that are looked at, evenly over it: spots of some hundred particles say the size to a thousandth."""


@dataclass(frozen=True)
class SessionScale:
    """What is stated and used of the micrographs of a session, and what their lattice says."""

    lattice: str
    """What it is called."""
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
    causes: str = ""
    """Digest of all that `found` depends on."""

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


def check_scale(
    out: Path, lattice: str, *, micrographs: int = MICROGRAPHS, on_progress: OnProgress = silent
) -> list[SessionScale]:
    """Find the size of a pixel in each session of a run's micrographs, and write a table of it beside the results.

    Micrographs of one session that state different sizes were recorded at different magnifications, and are looked at
    apart; those without a session belong together. What the table says already of the same micrographs is not looked for
    again.

    Parameters
    ----------
    out : Path
        Results of a run, or of `nanocensus ingest`.
    lattice : str
        As `lattices.lattice_spacings` takes it.
    micrographs : int
        Most that are looked at of each session.
    on_progress : callable
        Told how many micrographs were looked at.

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
    known = {each.causes: each.found for each in _read_table(out)}
    chosen = [_evenly(members, micrographs) for _, members in rows.groupby(_groups(rows), sort=True, dropna=False)]
    looked_at, total = 0, sum(map(len, chosen))
    found = []
    for members in chosen:
        names, used = [str(name) for name in members["micrograph"]], float(members["pixel_size_nm"].iloc[0])
        causes = digest("scale", SCALE_VERSION, list(spacings), used, names)
        if causes not in known:
            spots = []
            for done, name in enumerate(names, looked_at + 1):
                spots.append(find_spots(read_pixels(out / STORE_FOLDER, name)))
                on_progress(Progress("scale", done, total))
            known[causes] = scale_from_lattice(spots, used, spacings)
        looked_at += len(names)
        found.append(_session(members, lattice_name(lattice), known[causes], causes))
    on_progress(Progress("scale", total, total))
    commit_bytes(out / TABLE, pd.DataFrame([_row(each) for each in found]).to_csv(index=False).encode())
    return found


def known_scales(out: Path) -> list[SessionScale]:
    """Give what the last check found of sessions whose pixel size is still the one that it was held against."""
    rows = read_manifest(out).micrographs
    now = set(zip(*(group.astype(object).where(group.notna(), None) for group in _groups(rows)), strict=True))
    return [each for each in _read_table(out) if (each.session, each.stated_nm, each.used_nm) in now]


def recalibrate(out: Path, found: Sequence[SessionScale]) -> list[Recalibration]:
    """Record the sizes that were found as those to be used from the next run on; sessions without any keep theirs.

    Nothing else changes: a recalibration that is cut off before its one file is written leaves everything as it was,
    and the run that follows measures the particles anew on the stored maps, going on like any other if it is cut off.

    Parameters
    ----------
    out : Path
        Results of a run.
    found : sequence of SessionScale
        What `check_scale` gave.

    Returns
    -------
    list of Recalibration
        Those of the sessions that a lattice was seen in.
    """
    made = [
        Recalibration(
            each.session, each.stated_nm, each.found.pixel_size_nm, each.uncertainty, PIXEL_SIZE_LATTICE + each.lattice
        )
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


def _groups(rows: pd.DataFrame) -> list[pd.Series]:
    """Give what the micrographs of one check have in common: session, stated size, and the size in use."""
    return [rows["session"], rows["stated_pixel_size_nm"].fillna(rows["pixel_size_nm"]), rows["pixel_size_nm"]]


def _evenly(members: pd.DataFrame, number: int) -> pd.DataFrame:
    return members.iloc[np.unique(np.linspace(0, len(members) - 1, number).round().astype(int))]


def _session(members: pd.DataFrame, lattice: str, found: Scale | None, causes: str) -> SessionScale:
    session, stated, used = (group.iloc[0] for group in _groups(members))
    doubt = float(members["pixel_size_uncertainty"].max())
    return SessionScale(
        lattice=lattice,
        session=session if isinstance(session, str) else None,
        micrographs=len(members),
        stated_nm=float(stated),
        used_nm=float(used),
        used_uncertainty=None if math.isnan(doubt) else doubt,
        found=found,
        causes=causes,
    )


_ENDS = ("pixel_size_interval_nm", "anisotropy_interval")
"""What of a `Scale` takes two columns."""


def _row(each: SessionScale) -> dict[str, object]:
    row: dict[str, object] = {
        "lattice": each.lattice, "session": each.session, "n_micrographs": each.micrographs, "stated_nm": each.stated_nm,
        "used_nm": each.used_nm, "used_uncertainty": each.used_uncertainty, "lattice_seen": each.found is not None,
    }  # fmt: skip
    if each.found is not None:
        scale = asdict(each.found)
        for name in _ENDS:
            scale[f"{name}_low"], scale[f"{name}_high"] = scale.pop(name)
        row |= scale
        row |= {"difference": each.difference, "uncertainty": each.uncertainty, "disagrees": each.disagrees}
    return row | {"causes": each.causes}


def _read_table(out: Path) -> list[SessionScale]:
    """Read the table of the last check; nothing if there is none, or another program wrote into it."""
    try:
        with (out / TABLE).open(newline="", encoding="utf-8") as stream:
            return [_from_row(row) for row in csv.DictReader(stream)]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _from_row(row: Mapping[str, str]) -> SessionScale:
    found = None
    if row["lattice_seen"] == "True":
        size, stretch = ((float(row[f"{name}_low"]), float(row[f"{name}_high"])) for name in _ENDS)
        found = Scale(
            pixel_size_nm=float(row["pixel_size_nm"]), pixel_size_interval_nm=size, anisotropy=float(row["anisotropy"]),
            anisotropy_interval=stretch, long_axis_deg=float(row["long_axis_deg"]), spots=int(float(row["spots"])),
            sigmas=float(row["sigmas"]),
        )  # fmt: skip
    return SessionScale(
        lattice=row["lattice"], session=row["session"] or None, micrographs=int(row["n_micrographs"]),
        stated_nm=float(row["stated_nm"]), used_nm=float(row["used_nm"]),
        used_uncertainty=float(row["used_uncertainty"]) if row["used_uncertainty"] else None, found=found,
        causes=row["causes"],
    )  # fmt: skip
