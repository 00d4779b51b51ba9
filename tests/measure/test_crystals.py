"""Spacings of lattice planes against powder diffraction cards and brute force, from names and from CIF files."""

import functools
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanocensus.errors import InputError
from nanocensus.measure.cif import crystal_of_cif
from nanocensus.measure.crystals import LATTICES, Cell, Crystal, crystal_spacings_nm, spacings_nm

F_CENTRING = ("x,y,z", "x,y+1/2,z+1/2", "x+1/2,y,z+1/2")
GENERATORS = {
    "Fd-3m": (*F_CENTRING, "-x+3/4,-y+1/4,z+1/2", "-x+1/4,y+1/2,-z+3/4", "z,x,y", "y+3/4,x+1/4,-z+1/2", "-x,-y,-z"),
    "Fm-3m": (*F_CENTRING, "-x,-y,z", "-x,y,-z", "z,x,y", "y,x,-z", "-x,-y,-z"),
    "I41/amd": ("x+1/2,y+1/2,z+1/2", "-x+1/2,-y,z+1/2", "-y+1/4,x+3/4,z+1/4", "-x+1/2,y,-z+1/2", "-x,-y,-z"),
    "P21/c": ("-x,y+1/2,-z+1/2", "-x,-y,-z"),
    "R-3c": ("x+2/3,y+1/3,z+1/3", "-y,x-y,z", "y,x,-z+1/2", "-x,-y,-z"),
}
"""Of space groups (International Tables A), origin choice 2 where there are two, hexagonal axes."""


def group(name):
    """Multiply the generators of a space group out, as matrices of 3 x 4 with shifts in twelfths."""
    made = {}
    for text in ("x,y,z", *GENERATORS[name]):
        rows = []
        for part in text.split(","):
            at = dict.fromkeys("xyz", 0)
            at.update(
                {
                    axis: eval(part, {}, {a: a == axis for a in "xyz"}) - eval(part, {}, dict.fromkeys("xyz", 0))
                    for axis in "xyz"
                }
            )
            shift = round(12 * eval(part, {}, dict.fromkeys("xyz", 0))) % 12
            rows.append((*(round(at[axis]) for axis in "xyz"), shift))
        made[tuple(rows)] = None
    generators = [np.array(rows) for rows in made]
    while True:
        more = {}
        for rows, other in itertools.product(made, generators):
            one = np.array(rows)
            product = one[:, :3] @ other
            product[:, 3] = (product[:, 3] + one[:, 3]) % 12
            more[tuple(map(tuple, product.tolist()))] = None
        if more.keys() <= made.keys():
            return ["".join(f"{'+' if f > 0 else '-'}{a}" if f else "" for f, a in zip(row[:3], "xyz", strict=True)) + f"+{row[3]}/12"
                    for row in itertools.chain.from_iterable(made)]  # fmt: skip
        made |= more


@functools.cache
def operations(name):
    parts = group(name)
    return [",".join(parts[i : i + 3]) for i in range(0, len(parts), 3)]


def cif(edges, angles=(90, 90, 90), *, operations=(), atoms=(), symbol=None):
    lines = ["# a comment with 'quotes", "data_a", "_publ_section_title", ";", "_cell_length_a 1", ";"]
    lines += [f"_cell_length_{name} {value}(2)" for name, value in zip("abc", edges, strict=True)]
    lines += [f"_cell_angle_{name} {value}" for name, value in zip(("alpha", "beta", "gamma"), angles, strict=True)]
    lines += [f"_symmetry_space_group_name_H-M '{symbol}'"] if symbol else []
    lines += ["loop_", "_symmetry_equiv_pos_site_id", "_symmetry_equiv_pos_as_xyz"] if operations else []
    lines += [f"{i} '{text}'" for i, text in enumerate(operations, 1)]
    lines += (
        ["loop_"]
        + [f"_atom_site_{name}" for name in ("label", "type_symbol", "fract_x", "fract_y", "fract_z", "occupancy")]
        if atoms
        else []
    )
    lines += [" ".join(map(str, atom)) for atom in atoms]
    return "\n".join(lines) + "\n"


CARDS = {
    "Co3O4": (
        cif((8.0837,) * 3, operations=operations("Fd-3m"), symbol="F d -3 m :2", atoms=[
            ("Co1", "Co2+", 0.125, 0.125, 0.125, 1), ("Co2", "Co3+", 0.5, 0.5, 0.5, 1.0),
            ("O1", "O2-", 0.2631, 0.2631, "0.2631(2)", 1)]),
        56, (4.667, 2.8581, 2.4374, 2.3336, 2.0210, 1.6501, 1.5557, 1.4290),
    ),
    "Au": (cif((4.0786,) * 3, operations=operations("Fm-3m"), atoms=[("Au", "Au", 0, 0, 0, 1)]),
           4, (2.355, 2.039, 1.442, 1.230, 1.1774)),
    "Si": (cif((5.43088,) * 3, operations=operations("Fd-3m"), atoms=[("Si", "Si", "1/8", "1/8", "1/8", ".")]),
           8, (3.1355, 1.9201, 1.6375, 1.3577, 1.2459)),
    "MgO": (cif((4.2112,) * 3, operations=operations("Fm-3m"), atoms=[("Mg1", "?", 0, 0, 0, 1), ("O1", "?", 0.5, 0.5, 0.5, 1)]).replace("_atom_site_type_symbol", "_atom_site_note"),
            8, (2.431, 2.106, 1.489, 1.270, 1.216)),
    "TiO2": (cif((3.7852, 3.7852, 9.5139), operations=operations("I41/amd"), atoms=[
                ("Ti", "Ti4+", 0, 0.75, 0.125, 1), ("O", "O2-", 0, 0.75, -0.0837, 1)]),
             12, (3.520, 2.431, 2.378, 2.332, 1.892, 1.6999, 1.6665, 1.4930)),
    "ZrO2": (cif((5.1505, 5.2116, 5.3173), (90, 99.23, 90), operations=operations("P21/c"), atoms=[
                ("Zr", "Zr", 0.2754, 0.0395, 0.2083, 1), ("O1", "O", 0.07, 0.3317, 0.3447, 1),
                ("O2", "O", 0.4496, 0.7569, 0.4792, 1)]),
             12, (3.698, 3.639, 3.165, 2.841, 2.624, 2.606, 2.540, 2.334)),
}  # fmt: skip
"""CIF, atoms a cell, and the spacings of its card in angstroms: PDF 42-1467, 04-0784, 27-1402, 45-0946, 21-1272, 37-1484."""


@pytest.mark.parametrize("name", CARDS)
def test_a_cif_gives_the_spacings_of_the_powder_card(name):
    text, atoms, card = CARDS[name]
    crystal = crystal_of_cif(text, name)
    assert len(crystal.numbers) == atoms
    # Cards are measured to about a thousandth.
    np.testing.assert_allclose(10 * crystal_spacings_nm(crystal), card, rtol=1.2e-3)


@pytest.mark.parametrize("name", ["Co3O4", "Au", "Si", "MgO"])
def test_named_lattices_are_those_of_their_cards(name):
    np.testing.assert_allclose(10 * spacings_nm(name), CARDS[name][2], rtol=1.2e-3)


@pytest.mark.parametrize("name", LATTICES)
def test_reflections_of_named_lattices_are_wide_enough_and_differ(name):
    spacings = spacings_nm(name)
    assert spacings.min() > 0.1
    assert len(set(spacings.round(6))) == len(spacings)


@pytest.mark.parametrize("name", GENERATORS)
def test_extinct_reflections_are_those_that_no_arrangement_of_atoms_gives(name):
    """Atoms anywhere, put through all operations: their waves cancel where symmetry says, and nowhere else."""
    sizes = {"Fd-3m": 192, "Fm-3m": 192, "I41/amd": 32, "P21/c": 4, "R-3c": 36}
    texts = operations(name)
    assert len(texts) == sizes[name]
    edges, angles = ((4.7, 4.7, 12.9), (90, 90, 120)) if name == "R-3c" else ((9.0, 9.0, 9.0), (90, 90, 90))
    rng = np.random.default_rng(1)
    atoms = [("O", "O", *rng.uniform(0, 1, 3).round(5), 1) for _ in range(3)]
    crystal = crystal_of_cif(cif(edges, angles, operations=texts, atoms=atoms), name)
    hkl = crystal.cell.reflections(0.12)
    waves = np.abs(np.exp(2j * np.pi * (hkl @ crystal.places.T)).sum(axis=1)) / len(crystal.places)
    without = crystal_of_cif(cif(edges, angles, operations=texts), name)
    left = {round(each, 6) for each in crystal_spacings_nm(without, 0.12)}
    widest = sorted({round(each, 6) for each in crystal.cell.spacings_nm(hkl[waves > 1e-6])}, reverse=True)
    assert left == set(widest[: len(left)])
    assert len(left) == 8


@pytest.mark.parametrize(
    ("centring", "allowed"),
    [("P", lambda h, k, l: True), ("I", lambda h, k, l: (h + k + l) % 2 == 0), ("A", lambda h, k, l: (k + l) % 2 == 0),
     ("B", lambda h, k, l: (h + l) % 2 == 0), ("C", lambda h, k, l: (h + k) % 2 == 0),
     ("F", lambda h, k, l: h % 2 == k % 2 == l % 2), ("R", lambda h, k, l: (-h + k + l) % 3 == 0)],
)  # fmt: skip
def test_centrings_leave_the_reflections_of_the_textbook(centring, allowed):
    hexagonal = centring == "R"
    edges, angles = ((4.0, 4.0, 9.0), (90, 90, 120)) if hexagonal else ((4.0, 5.0, 6.3), (90, 90, 90))
    crystal = crystal_of_cif(cif(edges, angles, symbol=f"{centring} 1"), "x")
    by_hand = set()
    for h, k, l in itertools.product(range(-5, 6), repeat=3):
        if (h, k, l) != (0, 0, 0) and allowed(h, k, l):
            a, b, c = edges
            square = (
                4 / 3 * (h * h + h * k + k * k) / a**2 + l * l / c**2
                if hexagonal
                else h * h / a**2 + k * k / b**2 + l * l / c**2
            )
            by_hand.add(round(0.1 / np.sqrt(square), 8))
    np.testing.assert_allclose(crystal_spacings_nm(crystal), sorted(by_hand, reverse=True)[:8], rtol=1e-6)


def test_spacings_of_a_triclinic_cell_are_those_of_its_reciprocal_vectors():
    cell = Cell(0.5, 0.7, 0.9, 80.0, 95.0, 110.0)
    a = np.array([0.5, 0, 0])
    b = 0.7 * np.array([np.cos(np.radians(110)), np.sin(np.radians(110)), 0])
    x = np.cos(np.radians(95))
    y = (np.cos(np.radians(80)) - x * np.cos(np.radians(110))) / np.sin(np.radians(110))
    c = 0.9 * np.array([x, y, np.sqrt(1 - x * x - y * y)])
    reciprocal = np.linalg.inv(np.array([a, b, c]))
    hkl = cell.reflections(0.2)
    np.testing.assert_allclose(cell.spacings_nm(hkl), 1 / np.linalg.norm(hkl @ reciprocal.T, axis=1), rtol=1e-12)
    every = np.array(list(itertools.product(range(-9, 10), repeat=3)))
    every = every[every.any(axis=1)]
    assert len(hkl) == (1 / np.linalg.norm(every @ reciprocal.T, axis=1) >= 0.2).sum()


@pytest.mark.parametrize(
    "text",
    [
        "", "data_x\n_cell_length_b 3\n", cif((4.0, 4.0, 0.4)), cif((4.0, 4.0, 400.0)), cif((4.0, 4.0, 4.0), (90, 90, 190)),
        cif((4.0, 4.0, 4.0), (20, 20, 90)), cif(("x", 4.0, 4.0)), cif((4.0,) * 3, operations=["x,y,z,z"]),
        cif((4.0,) * 3, operations=["x,y,q"]), cif((4.0,) * 3, operations=["x,y,z"], atoms=[("Xx", "Xx", 0, 0, 0, 1)]),
        cif((4.0,) * 3, operations=["x,y,z"], atoms=[("Au", "Au", 0, "zero", 0, 1)]),
        cif((4.0,) * 3, operations=["x,y,z"], atoms=[("Au", "Au", 0, 0)]), cif((4.0,) * 3, operations=["x+1/0,y,z"]),
    ],
)  # fmt: skip
def test_what_is_no_crystal_is_refused(text):
    with pytest.raises(InputError, match="Check the file"):
        crystal_of_cif(text, "x.cif")


@pytest.mark.parametrize("sites", ["_atom_site_Cartn_x\nCo1 0", "_atom_site_fract_x\nCo1"])
def test_atoms_without_a_place_in_the_cell_are_refused_in_words(sites):
    lengths = "\n".join(f"_cell_length_{edge} 4.0" for edge in "abc")
    text = f"data_x\n{lengths}\nloop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\nloop_\n_atom_site_label\n{sites}\n"
    with pytest.raises(InputError, match="_atom_site_fract_x, _y and _z, or a list of them that breaks off"):
        crystal_of_cif(text, "x.cif")


@settings(max_examples=100)
@given(st.data())
def test_damaged_files_are_read_or_refused(data):
    text = list(CARDS["ZrO2"][0])
    for _ in range(data.draw(st.integers(1, 8))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.sampled_from("0123456789.,'\";\n_#xyz? -+/e"))
    try:
        spacings = crystal_spacings_nm(crystal_of_cif("".join(text), "x.cif"))
    except InputError:
        return
    assert np.isfinite(spacings).all()
    assert (spacings > 0).all()


def test_a_crystal_without_a_plane_so_wide_has_none():
    assert len(crystal_spacings_nm(Crystal(Cell(0.11, 0.11, 0.11)))) == 0
