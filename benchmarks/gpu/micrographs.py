"""Distinct micrographs by the hundred, in the format of a microscope, without simulating each."""

import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import islice, product
from pathlib import Path

import numpy as np
import tifffile

from nanocensus.simulate.rendering import simulate_micrograph
from nanocensus.simulate.spec import SimulationSpec

SPEC = SimulationSpec(shape=(4096, 4096), pixel_size_nm=0.086, mean_particles=607.0, mean_edge_length_nm=6.0)
"""Size, calibration and crowding of Cho et al.; what is simulated is turned, mirrored and shifted to make more."""
SIMULATED = 8


def simulated(seed):
    """Give the pixels of one micrograph, uint16 (4096, 4096)."""
    return simulate_micrograph(SPEC, np.random.default_rng(seed)).pixels


def variants(pixels):
    """Give endlessly many distinct views of a micrograph: 8 poses, each shifted along the rows by another amount."""
    shift = 0
    while True:
        for turns, mirrored in product(range(4), (False, True)):
            view = np.rot90(pixels[:, ::-1] if mirrored else pixels, turns)
            yield np.roll(view, shift, axis=0)
        shift += 37


def _write_views(folder, seed, count):
    for number, view in enumerate(islice(variants(simulated(seed)), count)):
        tifffile.imwrite(
            folder / f"s{seed}" / f"{number:04d}.tif",
            view,
            resolution=(1e7 / SPEC.pixel_size_nm, 1e7 / SPEC.pixel_size_nm),
            resolutionunit="CENTIMETER",
        )


def write_files(folder: Path, number: int):
    """Write micrographs as TIFF, one folder a sample."""
    counts = [number // SIMULATED + (seed < number % SIMULATED) for seed in range(SIMULATED)]
    for seed in range(SIMULATED):
        (folder / f"s{seed}").mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(SIMULATED) as pool:
        list(pool.map(_write_views, [folder] * SIMULATED, range(SIMULATED), counts))


if __name__ == "__main__":
    write_files(Path(sys.argv[1]), int(sys.argv[2]))
