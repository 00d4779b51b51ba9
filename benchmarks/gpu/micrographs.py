"""Distinct micrographs by the hundred, in the format of a microscope, without simulating each."""

import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import islice, product
from pathlib import Path

import numpy as np
import tifffile

from nanocensus.simulate.rendering import simulate_micrograph
from nanocensus.simulate.spec import SimulationSpec

PIXEL_SIZE_NM = 0.086
SIMULATED = 8


def simulated(seed, side):
    """Give the pixels of one micrograph, uint16 (side, side): with 4096 of the size and crowding of Cho et al."""
    crowded = 607 * (side / 4096) ** 2
    spec = SimulationSpec(
        shape=(side, side), pixel_size_nm=PIXEL_SIZE_NM, mean_particles=crowded, mean_edge_length_nm=6.0
    )
    return simulate_micrograph(spec, np.random.default_rng(seed)).pixels


def variants(pixels):
    """Give endlessly many distinct views of a micrograph: 8 poses, each shifted along the rows by another amount."""
    shift = 0
    while True:
        for turns, mirrored in product(range(4), (False, True)):
            view = np.rot90(pixels[:, ::-1] if mirrored else pixels, turns)
            yield np.roll(view, shift, axis=0)
        shift += 37


def _write_views(folder, side, seed, count):
    for number, view in enumerate(islice(variants(simulated(seed, side)), count)):
        tifffile.imwrite(
            folder / f"s{seed}" / f"{number:04d}.tif",
            view,
            resolution=(1e7 / PIXEL_SIZE_NM, 1e7 / PIXEL_SIZE_NM),
            resolutionunit="CENTIMETER",
        )


def write_files(folder: Path, number: int, side: int):
    """Write micrographs as TIFF, one folder a sample; what is simulated is turned, mirrored and shifted to make more."""
    counts = [number // SIMULATED + (seed < number % SIMULATED) for seed in range(SIMULATED)]
    for seed in range(SIMULATED):
        (folder / f"s{seed}").mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(SIMULATED) as pool:
        list(pool.map(_write_views, [folder] * SIMULATED, [side] * SIMULATED, range(SIMULATED), counts))


if __name__ == "__main__":
    write_files(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
