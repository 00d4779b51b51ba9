"""The lattice that users name, and the spacings of its planes."""

import re
from pathlib import Path

import numpy as np
from jaxtyping import Float

from nanocensus.errors import InputError
from nanocensus.measure.cif import crystal_of_cif
from nanocensus.measure.crystals import LATTICES, Cell, Crystal, crystal_spacings_nm, spacings_nm

CIF_SUFFIX = ".cif"
LARGEST_CIF = 10_000_000
SMALLEST_NM, LARGEST_NM = 0.2, 5.0
"""Constants of cubic lattices lie between: outside, nanometres were mistaken for angstroms."""


def lattice_spacings(lattice: str) -> Float[np.ndarray, " spacing"]:
    """Give the spacings of the planes to look for, nm, of a lattice.

    Parameters
    ----------
    lattice : str
        A name in `nanocensus.measure.crystals.LATTICES`, the path of a CIF, constant and centring of a cubic crystal in
        angstroms ("4.08 F"), or spacings of planes in nm between commas.

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
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as cause:
        raise InputError(
            str(path), expected="a CIF", got=str(cause.strerror), remedy="Check the path, relative to where you are."
        ) from None


def lattice_name(lattice: str) -> str:
    """Give what a lattice is called in tables, which hold no path.

    Examples
    --------
    >>> lattice_name("crystals/spinel.cif"), lattice_name("4.08 F")
    ('spinel.cif', '4.08 F')
    """
    return Path(lattice).name if lattice.endswith(CIF_SUFFIX) else lattice
