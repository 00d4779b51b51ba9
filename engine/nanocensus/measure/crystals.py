"""Spacings of lattice planes: of named crystals, of any cell, and of those planes alone whose atoms do not cancel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

LEAST_NM = 0.115
"""Smallest spacing that is looked for: two pixels where a pixel is 0.057 nm."""
_STRONG = 0.05
"""Least intensity of a reflection, as a share of the strongest, to be looked for: more of them fit anything."""
_CONSIDERED = 64
"""Spacings, the widest, among which the strongest is looked for."""
_LOOKED_FOR = 8
"""Spacings, the widest of the strong ones, that are looked for."""
_SAME = 1e-6
"""Relative difference of spacings that are one."""

Hkl = tuple[int, int, int]


@dataclass(frozen=True)
class Cell:
    """A unit cell: lengths in nm, angles in degrees."""

    a: float
    b: float
    c: float
    alpha: float = 90.0
    beta: float = 90.0
    gamma: float = 90.0

    @property
    def metric(self) -> Float[np.ndarray, "3 3"]:
        """Products of the cell's edges, nm2."""
        edges = np.array([self.a, self.b, self.c])
        cosines = np.cos(np.radians([self.alpha, self.beta, self.gamma]))
        angles = np.array([[1, cosines[2], cosines[1]], [cosines[2], 1, cosines[0]], [cosines[1], cosines[0], 1]])
        return np.asarray(edges[:, None] * angles * edges)

    def spacings_nm(self, hkl: Int[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Give the spacing of the planes of each reflection, nm: 1 / d^2 = h G^-1 h.

        Examples
        --------
        >>> Cell(0.4, 0.4, 0.4).spacings_nm(np.array([[2, 0, 0]]))
        array([0.2])
        """
        return np.asarray(1 / np.sqrt(np.einsum("ni,ij,nj->n", hkl, np.linalg.inv(self.metric), hkl)))

    def reflections(self, least_nm: float = LEAST_NM) -> Int[np.ndarray, "n 3"]:
        """Give all reflections of planes at least so far apart."""
        most = [int(edge / least_nm) for edge in (self.a, self.b, self.c)]
        every = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in most), indexing="ij"), axis=-1).reshape(-1, 3)
        every = every[every.any(axis=1)]
        return every[self.spacings_nm(every) >= least_nm]


@dataclass(frozen=True, eq=False)
class Crystal:
    """A cell, and what of its contents decides which reflections there are."""

    cell: Cell
    centring: str = "P"
    """P, A, B, C, I, F, or R in hexagonal axes (obverse)."""
    rotations: Int[np.ndarray, "m 3 3"] | None = None
    translations: Float[np.ndarray, "m 3"] | None = None
    """Symmetry operations, x' = R x + t; without them the centring alone counts."""
    numbers: Float[np.ndarray, " atom"] | None = None
    """Electrons of each atom of the cell, times its occupancy."""
    places: Float[np.ndarray, "atom 3"] | None = None
    """Where each is, in parts of the cell's edges."""


def crystal_spacings_nm(crystal: Crystal, least_nm: float = LEAST_NM) -> Float[np.ndarray, " spacing"]:
    """Give the widest spacings of a crystal's planes that are not extinct, eight at most, the widest first.

    With atoms, those are left out too whose planes together give less than a twentieth of the strongest: the number of
    planes times the squared sum of the atoms' waves, each as strong as its electrons are many (kinematic), times the square
    of the spacing, with which scattering falls. Planes that only double diffraction shows are left out, thus.

    Parameters
    ----------
    crystal : Crystal
    least_nm : float
        Smallest spacing.

    Examples
    --------
    >>> crystal_spacings_nm(Crystal(Cell(0.4086, 0.4086, 0.4086), "F"), 0.14).round(4)
    array([0.2359, 0.2043, 0.1445])
    """
    hkl = crystal.cell.reflections(least_nm)
    hkl = hkl[~_extinct(crystal, hkl)]
    spacings = crystal.cell.spacings_nm(hkl)
    order = np.argsort(-spacings, kind="stable")
    spacings, hkl = spacings[order], hkl[order]
    if not len(spacings):
        return spacings
    number = np.concatenate([[0], np.cumsum(spacings[:-1] / spacings[1:] - 1 > _SAME)])
    widest = spacings[np.unique(number, return_index=True)[1]][:_CONSIDERED]
    if crystal.numbers is None or crystal.places is None:
        return np.asarray(widest[:_LOOKED_FOR])
    waves = np.exp(2j * np.pi * (hkl[number < _CONSIDERED] @ crystal.places.T)) @ crystal.numbers
    intensity = np.bincount(number[number < _CONSIDERED], np.abs(waves) ** 2) * widest**2
    return np.asarray(widest[intensity >= _STRONG * intensity.max()][:_LOOKED_FOR])


_CENTRINGS: Mapping[str, Sequence[tuple[float, float, float]]] = {
    "P": (),
    "A": ((0, 0.5, 0.5),),
    "B": ((0.5, 0, 0.5),),
    "C": ((0.5, 0.5, 0),),
    "I": ((0.5, 0.5, 0.5),),
    "F": ((0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)),
    "R": ((2 / 3, 1 / 3, 1 / 3), (1 / 3, 2 / 3, 2 / 3)),
}
"""What each lattice is shifted by onto itself."""


def _extinct(crystal: Crystal, hkl: Int[np.ndarray, "n 3"]) -> np.ndarray:
    """Say which reflections the symmetry extinguishes: an operation leaves the plane, and moves it by part of a wave."""
    shifts = np.array(_CENTRINGS[crystal.centring], float).reshape(-1, 3)
    extinct = _of_a_wave(hkl @ shifts.T).any(axis=1)
    if crystal.rotations is not None and crystal.translations is not None:
        for rotation, translation in zip(crystal.rotations, crystal.translations, strict=True):
            stays = (hkl @ rotation == hkl).all(axis=1)
            extinct |= stays & _of_a_wave(hkl @ translation)
    return np.asarray(extinct)


def _of_a_wave(phase: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(phase - np.rint(phase)) > 1e-3)


_SPINEL = ((1, 1, 1), (2, 2, 0), (3, 1, 1), (2, 2, 2), (4, 0, 0), (4, 2, 2), (5, 1, 1), (4, 4, 0))
_FACE_CENTRED = ((1, 1, 1), (2, 0, 0), (2, 2, 0), (3, 1, 1), (2, 2, 2))
_DIAMOND = ((1, 1, 1), (2, 2, 0), (3, 1, 1), (4, 0, 0), (3, 3, 1))
_BODY_CENTRED = ((1, 1, 0), (2, 0, 0), (2, 1, 1))
_ANATASE = ((1, 0, 1), (1, 0, 3), (0, 0, 4), (1, 1, 2), (2, 0, 0), (1, 0, 5), (2, 1, 1), (2, 0, 4))
_RUTILE = ((1, 1, 0), (1, 0, 1), (2, 0, 0), (1, 1, 1), (2, 1, 0), (2, 1, 1), (2, 2, 0), (0, 0, 2))
_WURTZITE = ((1, 0, 0), (0, 0, 2), (1, 0, 1), (1, 0, 2), (1, 1, 0), (1, 0, 3), (2, 0, 0), (1, 1, 2))


def _cubic(a: float) -> Cell:
    return Cell(a, a, a)


LATTICES: Mapping[str, tuple[Cell, Sequence[Hkl]]] = {
    "Co3O4": (_cubic(0.80840), _SPINEL),
    "Fe3O4": (_cubic(0.83967), _SPINEL),
    "CoO": (_cubic(0.42612), _FACE_CENTRED),
    "NiO": (_cubic(0.41771), _FACE_CENTRED),
    "MgO": (_cubic(0.42117), _FACE_CENTRED),
    "CeO2": (_cubic(0.54110), _FACE_CENTRED),
    "PbS": (_cubic(0.59362), _FACE_CENTRED),
    "TiO2": (Cell(0.37852, 0.37852, 0.95139), _ANATASE),
    "rutile": (Cell(0.45933, 0.45933, 0.29592), _RUTILE),
    "ZnO": (Cell(0.32498, 0.32498, 0.52066, gamma=120.0), _WURTZITE),
    "Au": (_cubic(0.40786), _FACE_CENTRED),
    "Ag": (_cubic(0.40857), _FACE_CENTRED),
    "Pt": (_cubic(0.39236), _FACE_CENTRED),
    "Pd": (_cubic(0.38902), _FACE_CENTRED),
    "Cu": (_cubic(0.36149), _FACE_CENTRED),
    "Ni": (_cubic(0.35240), _FACE_CENTRED),
    "Al": (_cubic(0.40494), _FACE_CENTRED),
    "Fe": (_cubic(0.28665), _BODY_CENTRED),
    "Si": (_cubic(0.54310), _DIAMOND),
    "Ge": (_cubic(0.56575), _DIAMOND),
}
"""Cells at room temperature (bulk), and the reflections that show; TiO2 is anatase."""


def spacings_nm(lattice: str) -> Float[np.ndarray, " reflection"]:
    """Give the spacings of a named lattice's planes, nm.

    Examples
    --------
    >>> spacings_nm("Au").round(4)
    array([0.2355, 0.2039, 0.1442, 0.123 , 0.1177])
    """
    cell, reflections = LATTICES[lattice]
    return cell.spacings_nm(np.array(reflections))
