"""Crystals from CIF files: the cell, the symmetry operations and the atoms, nothing else of the format.

Not read: modulated and magnetic structures, alternative settings that only a symbol tells, displacement parameters. Of
several data blocks the first with a cell counts. Extinctions by symmetry alone need the list of operations, which nearly all
files hold; with only a space group's symbol, its centring counts.

Source: Hall, Allen and Brown, Acta Crystallographica A47, 655 (1991), for the syntax of CIF 1.1.
"""

import math
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from nanocensus.errors import InputError
from nanocensus.measure.crystals import Cell, Crystal

_SYMBOLS = re.findall(
    r"[A-Z][a-z]?",
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb Mo Tc "
    "Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi "
    "Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm",
)
_ELECTRONS = {symbol: number for number, symbol in enumerate(_SYMBOLS, 1)} | {"D": 1}
_TOKEN = re.compile(
    r"^;(?P<field>.*?)^;(?=\s|$)|(?:(?<=\s)|^)(?:'(?P<one>[^\n]*?)'|\"(?P<two>[^\n]*?)\")(?=\s|$)|#[^\n]*|(?P<bare>[^\s]+)",
    re.MULTILINE | re.DOTALL,
)
_OPERATIONS = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz", "_space_group_symop.operation_xyz")
_SPACE_GROUPS = ("_space_group_name_h-m_alt", "_symmetry_space_group_name_h-m", "_space_group.name_h-m_alt")
_LONGEST = 50.0
"""Edge of a cell, angstroms, above all that show fringes; more would only take memory."""
_SAME_PLACE = 1e-3
"""Of two atoms, in parts of an edge: special positions come out several times."""

Values = Mapping[str, Sequence[str]]


def crystal_of_cif(text: str, subject: str) -> Crystal:
    """Read a crystal.

    Parameters
    ----------
    text : str
        Of the CIF.
    subject : str
        What an error calls it.

    Raises
    ------
    InputError
        If it states no cell, or one that is impossible, or an operation or atom that cannot be understood.
    """
    for values in _blocks(text):
        if "_cell_length_a" in values:
            break
    else:
        raise _refusal(subject, "a data block with _cell_length_a", "none")
    try:
        return _crystal(values)
    except (KeyError, ValueError, IndexError, ZeroDivisionError) as cause:
        raise _refusal(subject, "a cell, operations and atoms that can be understood", str(cause)) from cause


def _refusal(subject: str, expected: str, got: str) -> InputError:
    remedy = "Check the file, or give the spacings of the planes in nm, between commas."
    return InputError(subject, expected=expected, got=got, remedy=remedy)


def _blocks(text: str) -> list[dict[str, list[str]]]:
    """Give the items of each data block, loops as columns."""
    blocks: list[dict[str, list[str]]] = []
    columns: list[str] = []
    looping, position = False, 0
    for quoted, token in _tokens(text):
        word = "" if quoted else token.casefold()
        if word.startswith("data_"):
            blocks.append({})
            columns, looping = [], False
        elif word == "loop_":
            columns, looping, position = [], True, 0
        elif word.startswith("_") and blocks:
            if not looping or position:  # an item of its own, or what follows a loop
                columns, looping, position = [], False, 0
            columns.append(word)
            blocks[-1][word] = []
        elif columns and blocks:
            blocks[-1][columns[position % len(columns)]].append(token)
            position += 1
    return blocks


def _tokens(text: str) -> list[tuple[bool, str]]:
    found = []
    for match in _TOKEN.finditer(text):
        if match["bare"] is not None:
            found.append((False, match["bare"]))
        elif match.lastgroup is not None:
            found.append((True, match[match.lastgroup].strip()))
    return found


def _crystal(values: Values) -> Crystal:
    angstroms = [_number(values[f"_cell_length_{edge}"][0]) for edge in "abc"]
    angles = [_number(_first(values, f"_cell_angle_{angle}", "90")) for angle in ("alpha", "beta", "gamma")]
    if not all(1 < length < _LONGEST for length in angstroms) or not all(0 < angle < 180 for angle in angles):
        raise ValueError(f"a cell of {angstroms} angstroms and {angles} degrees")
    cell = Cell(*(length / 10 for length in angstroms), *angles)
    if not np.linalg.det(cell.metric) > 0:
        raise ValueError(f"angles of {angles} degrees, which no cell has")
    symbol = next((_first(values, name, "") for name in _SPACE_GROUPS if name in values), "").strip()
    centring = symbol[:1].upper() if symbol[:1].upper() in tuple("PABCIFR") else "P"
    if centring == "R" and abs(cell.gamma - 120) > 0.1:
        centring = "P"  # rhombohedral axes
    operations = [_operation(each) for name in _OPERATIONS for each in values.get(name, ())]
    if not operations:
        return Crystal(cell, centring)
    rotations = np.array([rotation for rotation, _ in operations])
    translations = np.array([translation for _, translation in operations])
    numbers, places = _atoms(values, rotations, translations)
    return Crystal(cell, "P", rotations, translations, numbers if len(numbers) else None, places)


def _first(values: Values, name: str, default: str) -> str:
    found = values.get(name) or [default]
    return default if found[0] in ("?", ".") else found[0]


def _number(text: str) -> float:
    """Read a number, its uncertainty in brackets left out.

    Examples
    --------
    >>> _number("8.0840(3)"), _number("1/3")
    (8.084, 0.3333333333333333)
    """
    number = float(Fraction(text)) if "/" in text else float(re.sub(r"\(\d*\)$", "", text))
    if not math.isfinite(number):
        raise ValueError(f"{text!r} as a number")
    return number


def _operation(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Read a symmetry operation.

    Examples
    --------
    >>> rotation, translation = _operation("-y, x-y, z+1/3")
    >>> rotation.tolist(), translation.round(3).tolist()
    ([[0, -1, 0], [1, -1, 0], [0, 0, 1]], [0.0, 0.0, 0.333])
    """
    parts = text.casefold().replace(" ", "").split(",")
    rotation, translation = np.zeros((3, 3), int), np.zeros(3)
    for row, part in enumerate(parts):
        terms = re.findall(r"([+-]?)(?:([xyz])|(\d+/\d+|\d*\.?\d+))", part)
        if len(parts) != 3 or "".join(map("".join, terms)) != part:
            raise ValueError(f"{text!r} as an operation")
        for sign, axis, shift in terms:
            factor = -1 if sign == "-" else 1
            if axis:
                rotation[row, "xyz".index(axis)] += factor
            else:
                translation[row] += factor * _number(shift)
    return rotation, translation


def _atoms(values: Values, rotations: np.ndarray, translations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give electrons and place of every atom in the cell: each that is stated, by each operation, none twice."""
    columns = [values.get(f"_atom_site_fract_{axis}", ()) for axis in "xyz"]
    names = values.get("_atom_site_type_symbol") or values.get("_atom_site_label") or ()
    shares = values.get("_atom_site_occupancy") or ["1"] * len(names)
    if len({len(names), len(shares), *map(len, columns)}) > 1:
        raise ValueError("atoms without _atom_site_fract_x, _y and _z, or a list of them that breaks off")
    numbers, places = [], []
    for name, share, *where in zip(names, shares, *columns, strict=True):
        if set(where) & {"?", "."}:
            continue  # a site without a place: hydrogen that nobody saw
        at = np.array([_number(each) for each in where])
        images = (rotations @ at + translations) % 1
        apart = np.abs(images[:, None] - images[None])
        same = (np.minimum(apart, 1 - apart) < _SAME_PLACE).all(axis=2)
        kept = images[~np.tril(same, -1).any(axis=1)]
        places.append(kept)
        numbers += [_electrons(name) * (1.0 if share in ("?", ".") else _number(share))] * len(kept)
    return np.array(numbers), np.concatenate(places) if places else np.empty((0, 3))


def _electrons(name: str) -> int:
    letters = re.match(r"[A-Za-z]{1,2}", name)
    for length in (2, 1):
        symbol = letters[0][:length].capitalize() if letters else ""
        if symbol in _ELECTRONS:
            return _ELECTRONS[symbol]
    raise ValueError(f"{name!r} as an element")
