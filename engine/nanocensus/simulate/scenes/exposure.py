"""From specimen to camera: density of particles and support, phase contrast, light, noise."""

import math

import numpy as np
import scipy.fft
from jaxtyping import Float32
from scipy import ndimage

from nanocensus.simulate.grain import frequencies_squared, grain
from nanocensus.simulate.scenes.imaging import Imaging
from nanocensus.simulate.scenes.specimen import Specimen

Map = Float32[np.ndarray, "y x"]

_LONGEST_PHASE = 2.5
"""Density above which phase contrast grows no further: thick matter scatters out of the beam."""


def expose(specimen: Specimen, imaging: Imaging, size_px: float, rng: np.random.Generator) -> Map:
    """Give the intensity that the camera records, 1 on bare support in even light.

    Parameters
    ----------
    specimen : Specimen
    imaging : Imaging
    size_px : float
        Typical radius of the particles: the scale of what varies within them.
    rng : numpy.random.Generator
    """
    return record(transmit(specimen, imaging, size_px, rng), imaging, rng)


def record(intensity: Map, imaging: Imaging, rng: np.random.Generator) -> Map:
    """Give what the camera records of the intensity in the image plane: blur, drift, light and noise.

    Parameters
    ----------
    intensity : float32 array (y, x)
        From `transmit`; the same one recorded twice is the same place seen twice.
    imaging : Imaging
    rng : numpy.random.Generator
    """
    return _detect(_blur(intensity, imaging, rng), imaging, rng)


def transmit(specimen: Specimen, imaging: Imaging, size_px: float, rng: np.random.Generator) -> Map:
    """Give the intensity in the image plane, before blur, light and noise; parameters as `expose`."""
    particles = _particle_density(specimen, imaging, size_px, rng)
    density = particles + _support_density(specimen, imaging, size_px, rng)
    intensity = 1 - 0.6 * density if imaging.dark_field else np.exp(-density)
    intensity = intensity + _phase_contrast(density, imaging) + _lattice_fringes(specimen, imaging, rng)
    return np.asarray(intensity, np.float32)


def _particle_density(specimen: Specimen, imaging: Imaging, size_px: float, rng: np.random.Generator) -> Map:
    thickness, inside = specimen.thickness, specimen.inside
    if not inside.any():
        return thickness * imaging.density
    varied = thickness * _variation(specimen, imaging, size_px, rng)
    if imaging.rim:
        width = rng.uniform(1.0, 3.0) + 0.03 * size_px
        outer = 1 - ndimage.gaussian_filter(specimen.coverage, width, truncate=3.0)
        varied += imaging.rim * specimen.coverage * outer * float(varied[inside].mean())
    mean = float(varied[inside].mean())
    density = np.maximum(varied, 0) * np.float32(imaging.density / max(mean, 0.05))
    if not imaging.dark_field:
        density = _mean_over_pixels(density, specimen.coverage)
    if imaging.softness_px:
        density = ndimage.gaussian_filter(density, imaging.softness_px, truncate=3.0)
    return np.asarray(density, np.float32)


def _mean_over_pixels(density: Map, coverage: Map) -> Map:
    """Give the density whose transmission is the mean over a pixel that particles cover in part.

    A pixel integrates what passes, not the density: otherwise outlines would seem to lie up to 0.2 px further out.
    """
    partly = (coverage > 0) & (coverage < 1)
    share = coverage[partly]
    density = density.copy()
    density[partly] = -np.log1p(share * np.expm1(-density[partly] / share))
    return density


def _variation(specimen: Specimen, imaging: Imaging, size_px: float, rng: np.random.Generator) -> Map:
    """Give the factor by which the density within particles departs from their thickness."""
    shape, factor = specimen.owner.shape, np.ones(specimen.owner.shape, np.float32)
    length = float(np.clip(size_px * rng.uniform(0.1, 0.7), 1.5, 40.0))
    if imaging.grains:
        drawn = np.exp(imaging.grains * rng.normal(size=int(specimen.owner.max()) + 1).clip(-3.0, 1.5))
        factor *= np.maximum(drawn, imaging.faintest).astype(np.float32)[specimen.owner]
    if imaging.mottle:
        factor *= np.exp(np.float32(imaging.mottle) * grain(shape, length, rng))
    if imaging.bend_contours:
        bands = np.mod(rng.uniform(1, 4) * grain(shape, max(length, 6.0), rng) + 0.7 * specimen.owner, 2.0) - 1.0
        strength = imaging.bend_contours * rng.uniform(-0.3, 1.0)
        factor *= 1 + np.float32(strength) * np.exp(-((bands / rng.uniform(0.1, 0.4)) ** 2)).astype(np.float32)
    if imaging.thickness_fringes:
        fringes = np.cos(2 * math.pi * specimen.thickness * rng.uniform(1.0, 5.0))
        factor *= 1 + np.float32(imaging.thickness_fringes) * fringes
    if imaging.pores:
        pores = grain(shape, float(np.clip(size_px * rng.uniform(0.05, 0.2), 1.0, 10.0)), rng) > rng.uniform(0.4, 1.6)
        factor *= 1 - np.float32(imaging.pores) * (pores & (specimen.depth < 0.9))
    return factor


def _support_density(specimen: Specimen, imaging: Imaging, size_px: float, rng: np.random.Generator) -> Map:
    """Give the density of all that is no particle; it may be negative, as its mean is left out."""
    shape = specimen.owner.shape
    density = np.float32(imaging.film) * grain(shape, imaging.film_px, rng)
    if imaging.clouds:
        density += np.float32(imaging.clouds) * grain(shape, imaging.clouds_px, rng)
    if imaging.holes:
        height = grain(shape, rng.uniform(20.0, 90.0), rng)
        film = ndimage.gaussian_filter((height > rng.uniform(-1.2, 1.2)).astype(np.float32), rng.uniform(0.7, 3.0))
        density += np.float32(imaging.holes) * film
        if rng.random() < 0.4:  # the film is thickest at the hole's edge
            density += np.float32(imaging.holes) * np.exp(-((height / rng.uniform(0.03, 0.15)) ** 2))
    if imaging.folds:
        height = np.mod(grain(shape, rng.uniform(25.0, 80.0), rng) * rng.uniform(0.5, 2.0), 1.0) - 0.5
        density += np.float32(imaging.folds) * np.exp(-(height**2) / rng.uniform(0.001, 0.01))
    if imaging.dirt:
        specks = grain(shape, float(np.clip(0.12 * size_px, 1.0, 6.0)), rng) - rng.uniform(1.8, 2.6)
        density += np.float32(imaging.dirt * imaging.density) * np.clip(2 * specks, 0, 1)
    if imaging.shell:
        spread = ndimage.gaussian_filter(specimen.coverage, imaging.shell_px, truncate=3.0)
        density += np.float32(imaging.shell) * np.clip(2 * spread, 0, 1) * (1 - specimen.coverage)
    return np.asarray(density, np.float32)


def _phase_contrast(density: Map, imaging: Imaging) -> Map | float:
    """Give the density through -sin(pi z q^2), damped: linear imaging of a weak phase object (Reimer & Kohl 2008).

    Its factor of 2 is in `Imaging.phase`.
    """
    if not imaging.phase:
        return 0.0
    q2 = frequencies_squared(density.shape)
    transfer = np.sin(np.float32(math.pi * imaging.defocus_px2) * q2) * np.exp(-np.float32(imaging.envelope_px**2) * q2)
    spectrum = scipy.fft.rfft2(np.minimum(density, _LONGEST_PHASE))
    found = scipy.fft.irfft2(spectrum * (np.float32(-imaging.phase) * transfer), s=density.shape)
    return np.asarray(found, np.float32)


def _lattice_fringes(specimen: Specimen, imaging: Imaging, rng: np.random.Generator) -> Map | float:
    """Give one or two sets of fringes in each particle, in directions of its own."""
    if not imaging.lattice:
        return 0.0
    owner, envelope = specimen.owner, specimen.coverage * np.minimum(specimen.thickness, 1)
    if imaging.delocalised_px:
        envelope = ndimage.gaussian_filter(envelope, imaging.delocalised_px, truncate=3.0)
        nearest = ndimage.distance_transform_edt(owner == 0, return_distances=False, return_indices=True)
        owner = owner[tuple(nearest)]
    rows, columns = np.indices(owner.shape, dtype=np.float32)
    count = int(owner.max()) + 1
    fringes = np.zeros(owner.shape, np.float32)
    for shown in (1.0, 0.5):  # the share of particles that show the set
        turn = rng.uniform(0, math.pi, count)
        wave = 2 * math.pi / (imaging.lattice_px * np.exp(0.1 * rng.normal(size=count)))
        strength = (imaging.lattice * rng.uniform(0.5, 1, count) * (rng.random(count) < shown)).astype(np.float32)
        along = (wave * np.cos(turn)).astype(np.float32)[owner] * columns
        along += (wave * np.sin(turn)).astype(np.float32)[owner] * rows
        fringes += strength[owner] * np.cos(along)
    return np.asarray(fringes * envelope, np.float32)


def _blur(intensity: Map, imaging: Imaging, rng: np.random.Generator) -> Map:
    blurred = ndimage.gaussian_filter(intensity, imaging.blur_px, truncate=3.0)
    if imaging.drift_px:
        turn = rng.uniform(0, math.pi)
        steps = np.linspace(-0.5, 0.5, 2 + math.ceil(imaging.drift_px)) * imaging.drift_px
        moved = [
            ndimage.shift(blurred, (step * math.sin(turn), step * math.cos(turn)), order=1, mode="nearest")
            for step in steps
        ]
        blurred = np.asarray(np.mean(moved, axis=0, dtype=np.float32))
    return np.asarray(blurred, np.float32)


def _detect(intensity: Map, imaging: Imaging, rng: np.random.Generator) -> Map:
    """Add light's unevenness, shot noise and the detector's own, scanned lines, X-rays."""
    shape = intensity.shape
    y, x = (np.linspace(-0.5, 0.5, side, dtype=np.float32) for side in shape)
    turn = rng.uniform(0, 2 * math.pi)
    light = 1 + np.float32(imaging.slope) * (math.sin(turn) * y[:, None] + math.cos(turn) * x[None])
    if imaging.vignette:
        middle = rng.uniform(-0.3, 0.3, 2)
        light -= np.float32(imaging.vignette) * ((y[:, None] - middle[0]) ** 2 + (x[None] - middle[1]) ** 2)
    signal = np.maximum(intensity, 0) * light
    noise = rng.standard_normal(shape, dtype=np.float32)
    if imaging.noise_px:
        noise = grain(shape, imaging.noise_px, rng)
    counted = 1.5 - signal if imaging.dark_field else signal
    signal = signal + np.float32(imaging.noise) * noise * np.sqrt(0.3 + 0.7 * np.clip(counted, 0, 2))
    if imaging.lines:
        signal += np.float32(imaging.lines) * rng.standard_normal((shape[0], 1), dtype=np.float32)
    if imaging.hot_pixels:
        hit = rng.random(shape) < imaging.hot_pixels
        signal = np.where(hit, signal + rng.uniform(1.0, 10.0), signal)
    return np.asarray(signal, np.float32)
