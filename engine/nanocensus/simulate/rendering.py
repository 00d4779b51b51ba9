"""Bright-field micrographs of known particles: thickness, film, phase contrast, electrons, camera."""

import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.fft
import tifffile
from jaxtyping import Float32, Float64, Int32, UInt16
from scipy.ndimage import gaussian_filter

from nanocensus.errors import JobError
from nanocensus.simulate.coverage import render_area_fraction
from nanocensus.simulate.placement import Planted, place_particles
from nanocensus.simulate.scenes.exposure import expose, transmit
from nanocensus.simulate.scenes.forms import Form, Profile
from nanocensus.simulate.scenes.imaging import Imaging, draw_imaging, visible
from nanocensus.simulate.scenes.specimen import ADDED, Placed, Specimen, add_particle, bare
from nanocensus.simulate.seeds import sample_seed
from nanocensus.simulate.spec import SimulationSpec
from nanocensus.store.commit import commit_bytes, writing

TRUTH_FOLDER = "truth"
"""Where `write_simulated` puts the label images; not a sample's name."""

_DARK_COUNTS = 100.0
_READOUT_COUNTS = 240.0
_DARKEST = 0.01
"""Transmission below which the film's grain may not bring a pixel: no camera records negative electrons."""


@dataclass(frozen=True, eq=False)
class SimulatedMicrograph:
    """A micrograph and the truth about it."""

    pixels: UInt16[np.ndarray, "y x"]
    """As a camera records it, in counts."""
    labels: Int32[np.ndarray, "y x"]
    """0 background, 1..n in raster order of first pixels: a pixel belongs where more than half its area does."""
    area_fraction: Float32[np.ndarray, "y x"]
    """Share of each pixel's area that particles cover."""
    particles: pd.DataFrame
    """One row a label, in order: the planted (whole) outline, even where the border cuts it."""


def simulate_micrograph(spec: SimulationSpec, rng: np.random.Generator) -> SimulatedMicrograph:
    """Draw one micrograph.

    Parameters
    ----------
    spec : SimulationSpec
    rng : numpy.random.Generator
        All randomness comes from it: equal generators give equal micrographs.

    Returns
    -------
    SimulatedMicrograph
        A particle of which no pixel belongs to the image by more than half has neither label nor row.

    Examples
    --------
    >>> spec = SimulationSpec(shape=(96, 128), mean_particles=3.0, mean_edge_length_nm=1.5)
    >>> micrograph = simulate_micrograph(spec, np.random.default_rng(7))
    >>> micrograph.pixels.shape, bool(micrograph.labels.max() == len(micrograph.particles))
    ((96, 128), True)
    """
    planted = place_particles(spec, rng)
    labels, area_fraction, kept = _draw_truth(planted, spec.extent)
    pixels = _record(_expose(planted, spec, rng), spec, rng)
    return SimulatedMicrograph(pixels, labels, area_fraction, _truth_table(kept, labels, spec.pixel_size_nm))


def _draw_truth(
    planted: list[Planted], shape: tuple[int, int]
) -> tuple[Int32[np.ndarray, "y x"], Float32[np.ndarray, "y x"], list[Planted]]:
    """Give labels and area fractions, and the particles that have a label, in its order."""
    drawn, area_fraction = np.zeros(shape, np.int32), np.zeros(shape)
    for number, particle in enumerate(planted, start=1):
        fraction, (top, left) = render_area_fraction(particle.outline, shape, particle.centre, particle.angle)
        window = slice(top, top + fraction.shape[0]), slice(left, left + fraction.shape[1])
        area_fraction[window] += fraction
        drawn[window][fraction > 0.5] = number
    numbers, first_pixels = np.unique(drawn[drawn > 0], return_index=True)
    in_order = numbers[np.argsort(first_pixels)]
    relabel = np.zeros(len(planted) + 1, np.int32)
    relabel[in_order] = np.arange(1, len(in_order) + 1)
    kept = [planted[number - 1] for number in in_order]
    labels: Int32[np.ndarray, "y x"] = relabel[drawn]
    return labels, np.minimum(area_fraction, 1.0).astype(np.float32), kept


def _truth_table(particles: list[Planted], labels: Int32[np.ndarray, "y x"], pixel_size_nm: float) -> pd.DataFrame:
    border = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    outlines = [particle.outline for particle in particles]
    area_nm2 = np.array([outline.area for outline in outlines], float) * pixel_size_nm**2
    return pd.DataFrame(
        {
            "label": np.arange(1, len(particles) + 1, dtype=np.int32),
            "family": pd.Series([particle.family for particle in particles], dtype="str"),
            "centre_y_px": np.array([particle.centre[0] for particle in particles], float),
            "centre_x_px": np.array([particle.centre[1] for particle in particles], float),
            "angle_rad": np.array([particle.angle for particle in particles], float),
            "edge_length_nm": np.sqrt(area_nm2),
            "area_nm2": area_nm2,
            "perimeter_nm": np.array([outline.perimeter for outline in outlines], float) * pixel_size_nm,
            "circularity": np.array([outline.circularity for outline in outlines], float),
            "solidity": np.array([outline.solidity for outline in outlines], float),
            "touches_border": np.isin(np.arange(1, len(particles) + 1), border),
        }
    )


def _expose(planted: list[Planted], spec: SimulationSpec, rng: np.random.Generator) -> Float32[np.ndarray, "y x"]:
    """Give what a camera pixel expects, 1 for bare film in even light."""
    specimen, pad = make_specimen(planted, spec, rng)
    radius = spec.mean_edge_length_px / math.sqrt(math.pi)
    if spec.imaging:
        intensity = expose(specimen, visible(draw_imaging(spec.imaging, (), rng), radius), radius, rng)
    else:
        intensity = transmit(specimen, _imaging_of(spec), radius, rng)
    return np.asarray(intensity[pad : pad + spec.extent[0], pad : pad + spec.extent[1]])


def make_specimen(planted: list[Planted], spec: SimulationSpec, rng: np.random.Generator) -> tuple[Specimen, int]:
    """Lay particles on a support, and say by how many pixels it is wider than the image on each side.

    Fourier filters wrap round, so it is wider by more than they reach.
    """
    pad = math.ceil(4 * max(spec.fresnel_width_px, spec.film_grain_px, 8.0))
    height, width = (int(scipy.fft.next_fast_len(side + 2 * pad, real=True)) for side in spec.extent)
    specimen = bare((height, width))
    for number, particle in enumerate(planted, start=1):
        add_particle(specimen, _thick(particle, spec, pad, rng), number, ADDED)
    return specimen, pad


def _thick(particle: Planted, spec: SimulationSpec, pad: int, rng: np.random.Generator) -> Placed:
    """Give a particle its thickness: in proportion to its size, and falling at the rim."""
    thickness = math.sqrt(particle.outline.area) / spec.mean_edge_length_px
    thickness *= math.exp(spec.contrast_log_sd * rng.standard_normal())
    centre = particle.centre[0] + pad, particle.centre[1] + pad
    return Placed(Form(particle.outline, Profile(flatness=4.0, floor=spec.rim)), centre, particle.angle, thickness)


def _imaging_of(spec: SimulationSpec) -> Imaging:
    """Say in the terms of scenes what a specification asks for; its camera is `_record`."""
    return Imaging(
        density=-math.log1p(-spec.contrast),
        softness_px=spec.edge_softness_px,
        film=spec.film_amplitude,
        film_px=spec.film_grain_px,
        phase=spec.fresnel_strength,
        defocus_px2=spec.fresnel_width_px**2,
        envelope_px=spec.fresnel_width_px,
    )


def _illumination(spec: SimulationSpec, rng: np.random.Generator) -> Float64[np.ndarray, "y x"]:
    """Draw a smooth light of mean about 1: linear and quadratic in the position."""
    y, x = (np.linspace(-1.0, 1.0, side) for side in spec.extent)
    slopes = spec.unevenness * rng.standard_normal(4)
    rows, columns = slopes[0] * y + slopes[1] * (y**2 - 1 / 3), slopes[2] * x + slopes[3] * (x**2 - 1 / 3)
    return np.asarray(np.maximum(1 + rows[:, None] + columns[None], 0.2))


def _record(
    intensity: Float32[np.ndarray, "y x"], spec: SimulationSpec, rng: np.random.Generator
) -> UInt16[np.ndarray, "y x"]:
    """Count electrons, blur them as the detector does, digitise; a kind of imaging has counted and blurred already."""
    if spec.imaging:
        electrons = np.float32(spec.electrons_per_px) * np.maximum(intensity, 0)
    else:
        expected = spec.electrons_per_px * np.maximum(intensity, _DARKEST) * _illumination(spec, rng)
        electrons = gaussian_filter(rng.poisson(expected).astype(np.float32), spec.blur_px, mode="reflect")
    counts = _DARK_COUNTS + spec.counts_per_electron * electrons
    counts += np.float32(_READOUT_COUNTS) * rng.standard_normal(counts.shape, dtype=np.float32)
    return np.asarray(np.clip(np.rint(counts), 0, np.iinfo(np.uint16).max).astype(np.uint16))


def write_simulated(folder: Path, spec: SimulationSpec, *, n: int, seed: int, sample: str = "simulated") -> Path:
    """Write micrographs of one sample, their truth, and the table that `ingest` reads.

    A folder may hold several samples: call once for each. The same arguments give the same bytes, and more
    micrographs leave the earlier ones as they were.

    Parameters
    ----------
    folder : Path
        Gets `<sample>/`, `truth/`, `micrographs.csv` and `truth.csv`.
    spec : SimulationSpec
    n : int
        Number of micrographs.
    seed : int
        Not negative; the sample's name is mixed in, so that two samples of one seed differ.
    sample : str
        Name of the sample.

    Returns
    -------
    Path
        Of micrographs.csv.

    Raises
    ------
    JobError
        If `sample` cannot be a folder's name, or `n` or `seed` is negative.
    StoreError
        If the disk refuses.
    """
    if not sample or sample in (TRUTH_FOLDER, ".", "..") or any(mark in sample for mark in "/\\"):
        raise JobError(
            "sample", expected="a name for a folder, not 'truth'", got=repr(sample), remedy="Choose another name."
        )
    for name, number in (("n", n), ("seed", seed)):
        if number < 0:
            raise JobError(name, expected="0 or more", got=str(number), remedy="Give a number that is not negative.")
    with writing(folder):
        return _write_simulated(folder, spec, n=n, seed=seed, sample=sample)


def _write_simulated(folder: Path, spec: SimulationSpec, *, n: int, seed: int, sample: str) -> Path:
    (folder / sample).mkdir(parents=True, exist_ok=True)
    (folder / TRUTH_FOLDER).mkdir(exist_ok=True)
    rows, truths = [], []
    for order, sequence in enumerate(sample_seed(seed, sample).spawn(n)):
        micrograph = simulate_micrograph(spec, np.random.default_rng(sequence))
        file, mask = f"{sample}/{order:04d}.tif", f"{TRUTH_FOLDER}/{sample}_{order:04d}.tif"
        _write_tiff(folder / file, micrograph.pixels, spec.pixel_size_nm)
        _write_tiff(folder / mask, micrograph.labels.astype(np.uint16), spec.pixel_size_nm)
        rows.append({"file": file, "sample": sample, "group": f"{sample}-{order:04d}", "order": order, "mask": mask})
        planted = micrograph.particles
        planted.insert(0, "file", file)
        planted.insert(0, "sample", sample)
        truths.append(planted)
    if truths or (folder / "truth.csv").exists():  # of no micrographs no rows are left
        _replace_rows(folder / "truth.csv", pd.concat(truths) if truths else pd.DataFrame(), sample)
    _replace_rows(folder / "micrographs.csv", pd.DataFrame(rows, columns=_COLUMNS), sample)
    return folder / "micrographs.csv"


_COLUMNS = ["file", "sample", "group", "order", "mask"]


def _write_tiff(path: Path, image: UInt16[np.ndarray, "y x"], pixel_size_nm: float) -> None:
    """Write a TIFF whose header says the pixel size as ImageJ does: pixels per unit, and the unit."""
    stream = io.BytesIO()
    resolution = (1 / pixel_size_nm, 1 / pixel_size_nm)
    tifffile.imwrite(stream, image, imagej=True, resolution=resolution, metadata={"unit": "nm"})
    content = stream.getvalue()
    if not path.exists() or path.read_bytes() != content:  # a file that is left alone need not be read again
        commit_bytes(path, content)


def _replace_rows(path: Path, rows: pd.DataFrame, sample: str) -> None:
    """Write a table, keeping to the letter the rows that other samples have in it."""
    rows = rows.astype(str)
    if path.exists():
        earlier = pd.read_csv(path, dtype=str, keep_default_na=False)  # "null" and "NA" are names
        rows = pd.concat([earlier[earlier["sample"] != sample], rows])
    commit_bytes(path, rows.to_csv(index=False, lineterminator="\n").encode())
