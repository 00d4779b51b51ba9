"""Micrographs of crystals atom by atom, by multislice: does a network that learned from simple physics know them?

    uv venv --python 3.11 .venv-multislice
    uv pip install --python .venv-multislice/bin/python -r benchmarks/multislice/requirements.txt
    .venv-multislice/bin/python benchmarks/multislice/make.py FOLDER [N] [SEED]
    python benchmarks/networks/kinds.py --multislice FOLDER

Spheres, cubes, cuboctahedra and octahedra of gold, platinum and Co3O4 in random orientations on amorphous carbon; the
truth is the outline of each solid's projection. Potentials and wave propagation are abTEM's (Madsen & Susi 2021,
doi 10.12688/openreseurope.13015.2).
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import abtem
import ase
import numpy as np
import pandas as pd
import tifffile
from ase.build import bulk
from ase.spacegroup import crystal
from scipy.ndimage import gaussian_filter
from scipy.spatial import ConvexHull, cKDTree
from scipy.spatial.transform import Rotation
from skimage.draw import polygon2mask

SIDE_PX = 512
FINE = 3
"""Pixels of the wave along one of the image: what scatters beyond the aperture must leave, not wrap round."""
SUPERSAMPLING = 8
CARBON_PER_A3 = 0.09
BOND_A = 1.4
SLICE_A = 2.0
GAP_A = 6.0
"""Between projections of particles."""


@dataclass(frozen=True)
class Conditions:
    """What one micrograph is taken of, and how."""

    material: str
    solid: str
    pixel_a: float
    size_a: float
    film_a: float
    energy_ev: float
    defocus_a: float
    cs_a: float
    aperture_mrad: float
    dose_per_a2: float
    blur_px: float


def draw_conditions(rng: np.random.Generator) -> Conditions:
    pixel = float(rng.uniform(0.4, 0.9))
    return Conditions(
        material=str(rng.choice(["Au", "Pt", "Co3O4"])),
        solid=str(rng.choice(list(SOLIDS))),
        pixel_a=pixel,
        size_a=float(rng.uniform(35, 75)),
        film_a=float(rng.uniform(15, 35)),
        energy_ev=float(rng.choice([200e3, 300e3])),
        defocus_a=float(rng.choice([-1, 1]) * rng.uniform(50, 500)),
        cs_a=float(rng.choice([0.0, 6e6])),
        aperture_mrad=float(rng.uniform(8, 14)),
        dose_per_a2=float(np.exp(rng.uniform(np.log(50), np.log(3000)))),
        blur_px=float(rng.uniform(0.5, 1.0)),
    )


def _faces(directions: list[tuple[int, int, int]]) -> np.ndarray:
    """Give unit normals of all faces that signs and permutations make of the directions."""
    normals = {
        tuple(s * d for s, d in zip(signs, np.array(direction)[list(order)], strict=True))
        for direction in directions
        for order in ((0, 1, 2), (1, 2, 0), (2, 0, 1))
        for signs in np.ndindex(2, 2, 2)
        for signs in [tuple(1 - 2 * sign for sign in signs)]
    }
    found = np.array(sorted(normals), float)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


_CUBE, _OCTAHEDRON = _faces([(1, 0, 0)]), _faces([(1, 1, 1)])
SOLIDS = {
    "sphere": None,
    "cube": (_CUBE, np.ones(len(_CUBE))),
    "octahedron": (_OCTAHEDRON, np.ones(len(_OCTAHEDRON))),
    "cuboctahedron": (np.concatenate([_CUBE, _OCTAHEDRON]), np.r_[np.ones(len(_CUBE)), np.full(len(_OCTAHEDRON), 1.3)]),
}
"""Normals of faces and their relative distances from the middle."""


def unit_cell(material: str) -> ase.Atoms:
    if material == "Co3O4":  # spinel, Fd-3m, a = 8.084 A
        basis = [(1 / 8, 1 / 8, 1 / 8), (1 / 2, 1 / 2, 1 / 2), (0.2631, 0.2631, 0.2631)]
        return crystal(["Co", "Co", "O"], basis, spacegroup=227, setting=2, cellpar=[8.084] * 3 + [90] * 3)
    return bulk(material, "fcc", a={"Au": 4.078, "Pt": 3.924}[material], cubic=True)


def carve(cell: ase.Atoms, solid: str, size: float, turn: Rotation) -> tuple[ase.Atoms, np.ndarray]:
    """Cut a solid from a crystal and turn it; give its atoms about the origin, and its projection's corners (y, x)."""
    half = size / 2
    repeats = int(np.ceil(2.2 * size / cell.cell.lengths()[0]))
    atoms = cell.repeat((repeats,) * 3)
    atoms.positions -= atoms.cell.lengths() / 2
    if SOLIDS[solid] is None:
        inside = np.linalg.norm(atoms.positions, axis=1) <= half
        angles = np.linspace(0, 2 * np.pi, 360, endpoint=False)
        corners = half * np.stack([np.sin(angles), np.cos(angles)], axis=1)
    else:
        normals, distances = SOLIDS[solid]
        inside = (atoms.positions @ normals.T <= half * distances).all(axis=1)
        vertices = turn.apply(_vertices(normals, half * distances))[:, [1, 0]]
        corners = vertices[ConvexHull(vertices).vertices]
    atoms = atoms[inside]
    atoms.positions = turn.apply(atoms.positions)
    return atoms, corners


def _vertices(normals: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """Give the corners of a convex solid that holds the origin: the dual of the hull of normals over distances."""
    hull = ConvexHull(normals / distances[:, None])
    planes = hull.equations
    return np.unique(np.round(-planes[:, :3] / planes[:, 3:], 6), axis=0)


def amorphous(extent: float, thickness: float, rng: np.random.Generator) -> ase.Atoms:
    """Place carbon at random, no two atoms nearer than a bond: overlapping atoms would make the film far too grainy."""
    count = int(CARBON_PER_A3 * extent**2 * thickness)
    box = np.array([extent, extent, thickness])
    positions = rng.uniform(0, 1, (count, 3)) * box
    while True:
        pairs = cKDTree(positions, boxsize=[extent, extent, 0]).query_pairs(BOND_A, output_type="ndarray")
        if not len(pairs):
            return ase.Atoms("C" * count, positions=positions)
        again = np.unique(pairs[:, 1])
        positions[again] = rng.uniform(0, 1, (len(again), 3)) * box


def assemble(at: Conditions, rng: np.random.Generator) -> tuple[ase.Atoms, list[np.ndarray]]:
    """Put particles on the film; give the atoms in a box, and the corners of each projection in A."""
    extent = at.pixel_a * SIDE_PX
    atoms, outlines = amorphous(extent, at.film_a, rng), []
    cell = unit_cell(at.material)
    for _ in range(int(0.6 * extent**2 / (1.3 * at.size_a) ** 2)):
        size = at.size_a * np.exp(rng.normal(scale=0.12))
        particle, corners = carve(cell, at.solid, size, Rotation.random(random_state=int(rng.integers(2**31))))
        reach = np.linalg.norm(corners, axis=1).max()
        for _ in range(60):
            centre = rng.uniform(-0.3 * reach, extent + 0.3 * reach, 2)
            if all(np.linalg.norm(centre - c.mean(axis=0)) > reach + r + GAP_A for c, r in outlines):
                particle.positions += (centre[1], centre[0], at.film_a - particle.positions[:, 2].min() + 1)
                atoms += particle
                outlines.append((corners + centre, reach))
                break
    height = atoms.positions[:, 2].max() + 3
    inside = ((atoms.positions[:, :2] > 0) & (atoms.positions[:, :2] < extent)).all(axis=1)
    atoms = atoms[inside]
    atoms.set_cell([extent, extent, height])
    return atoms, [corners for corners, _ in outlines]


def expose(atoms: ase.Atoms, at: Conditions, rng: np.random.Generator) -> np.ndarray:
    potential = abtem.Potential(
        atoms, gpts=(SIDE_PX * FINE,) * 2, slice_thickness=SLICE_A, projection="infinite", parametrization="lobato"
    )
    wave = abtem.PlaneWave(energy=at.energy_ev).multislice(potential, lazy=False)
    ctf = abtem.CTF(
        energy=at.energy_ev, defocus=at.defocus_a, Cs=at.cs_a, semiangle_cutoff=at.aperture_mrad, focal_spread=35.0,
        angular_spread=0.15,
    )  # fmt: skip
    intensity = wave.apply_ctf(ctf).intensity().array.T  # rows are y
    intensity = np.asarray(intensity).reshape(SIDE_PX, FINE, SIDE_PX, FINE).mean(axis=(1, 3))
    electrons = rng.poisson(intensity * at.dose_per_a2 * at.pixel_a**2).astype(np.float32)
    counts = 200 + 40 * gaussian_filter(electrons, at.blur_px) + 20 * rng.standard_normal(electrons.shape)
    counts *= min(1.0, 60000 / counts.max())
    return np.rint(np.clip(counts, 0, 65535)).astype(np.uint16)


def draw_truth(outlines: list[np.ndarray], pixel: float) -> tuple[np.ndarray, list[int]]:
    """Give labels (a pixel belongs where more than half its area does) and which outlines have one, in its order."""
    labels, kept = np.zeros((SIDE_PX, SIDE_PX), np.uint16), []
    fine = SIDE_PX * SUPERSAMPLING
    for number, corners in enumerate(outlines):
        mask = polygon2mask((fine, fine), corners / pixel * SUPERSAMPLING - 0.5)
        share = mask.reshape(SIDE_PX, SUPERSAMPLING, SIDE_PX, SUPERSAMPLING).mean(axis=(1, 3))
        if (share > 0.5).any():
            kept.append(number)
            labels[share > 0.5] = len(kept)
    order = np.argsort([np.flatnonzero(labels == label)[0] for label in range(1, len(kept) + 1)])
    renumbered = np.zeros(len(kept) + 1, np.uint16)
    renumbered[order + 1] = np.arange(1, len(kept) + 1)
    return renumbered[labels], [kept[place] for place in order]


def truth_row(corners: np.ndarray, pixel: float) -> dict[str, float]:
    hull, corners_nm = ConvexHull(corners), corners / 10
    steps = np.roll(corners_nm, -1, axis=0) - corners_nm
    area, perimeter = hull.volume / 100, float(np.hypot(*steps.T).sum())
    y, x = corners.mean(axis=0) / pixel
    return {
        "centre_y_px": y, "centre_x_px": x, "edge_length_nm": area**0.5, "area_nm2": area, "perimeter_nm": perimeter,
        "circularity": 4 * np.pi * area / perimeter**2, "solidity": 1.0,
    }  # fmt: skip


def main(folder: Path, n: int, seed: int) -> None:
    (folder / "multislice").mkdir(parents=True, exist_ok=True)
    (folder / "truth").mkdir(exist_ok=True)
    rows, truths = [], []
    for number, sequence in enumerate(np.random.SeedSequence(seed).spawn(n)):
        rng = np.random.default_rng(sequence)
        at = draw_conditions(rng)
        atoms, outlines = assemble(at, rng)
        labels, kept = draw_truth(outlines, at.pixel_a)
        file, mask = f"multislice/{number:04d}.tif", f"truth/multislice_{number:04d}.tif"
        resolution = (10 / at.pixel_a, 10 / at.pixel_a)
        options = {"imagej": True, "resolution": resolution, "metadata": {"unit": "nm"}}
        tifffile.imwrite(folder / file, expose(atoms, at, rng), **options)
        tifffile.imwrite(folder / mask, labels, **options)
        rows.append({"file": file, "sample": "multislice", "group": f"multislice-{number:04d}", "order": number,
                     "mask": mask, **vars(at)})  # fmt: skip
        for label, outline in enumerate(kept, start=1):
            truths.append({"sample": "multislice", "file": file, "label": label, "family": at.solid,
                           **truth_row(outlines[outline], at.pixel_a)})  # fmt: skip
        print(f"{number}: {at.material} {at.solid}, {len(atoms)} atoms, {len(kept)} particles", flush=True)
    conditions = pd.DataFrame(rows)
    conditions[["file", "sample", "group", "order", "mask"]].to_csv(folder / "micrographs.csv", index=False)
    conditions.drop(columns=["sample", "group", "order", "mask"]).to_csv(folder / "conditions.csv", index=False)
    pd.DataFrame(truths).to_csv(folder / "truth.csv", index=False)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(Path(arguments[0]), *(int(value) for value in (*arguments[1:], *("12", "0")[len(arguments) - 1 :])))
