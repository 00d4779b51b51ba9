"""Kinds of imaging by name: what each does to a scene, drawn anew for every micrograph.

A kind is left out of training by leaving out its name: nothing that is typical of it then comes with any other kind.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Imaging:
    """Everything about a micrograph but its particles. Lengths in pixels; strengths of zero are none."""

    density: float = 1.0
    """Optical density in the middle of a typical particle."""
    softness_px: float = 0.0
    """Width (Gaussian sigma) over which the density fades across outlines, half on either side: slanted facets."""
    rim: float = 0.0
    """Additional density in the outermost pixels of particles, as a share of theirs; negative: less."""
    mottle: float = 0.0
    """Standard deviation of the logarithm of the density within particles."""
    grains: float = 0.0
    """The same from particle to particle, as their orientations diffract."""
    faintest: float = 0.0
    """Least density of a particle that this leaves, as a share of the typical one: fainter it could not be seen."""
    bend_contours: float = 0.0
    """Strength of dark and bright bands across particles."""
    thickness_fringes: float = 0.0
    """Strength of fringes along lines of equal thickness."""
    pores: float = 0.0
    """Share of the thickness that pores take away."""
    lattice: float = 0.0
    """Largest amplitude of lattice fringes in particles, as a share of the background."""
    lattice_px: float = 4.0
    """Their spacing."""
    delocalised_px: float = 0.0
    """How far they reach over outlines, Gaussian sigma."""
    film: float = 0.03
    """Standard deviation of the density of the support's fine grain."""
    film_px: float = 1.5
    """Correlation length of that grain."""
    clouds: float = 0.0
    """Standard deviation of the density of the support's slow variations."""
    clouds_px: float = 30.0
    holes: float = 0.0
    """Density of a support with holes; none in the holes."""
    folds: float = 0.0
    """Density of a support's folds."""
    dirt: float = 0.0
    """Density of small specks that are no particles, as a share of the particles'."""
    shell: float = 0.0
    """Density of an organic shell round the particles."""
    shell_px: float = 3.0
    defocus_px2: float = 0.0
    """Wavelength times defocus, px^2: the phase contrast transfer is sin(pi defocus q^2)."""
    phase: float = 0.0
    """Twice the phase shift of matter, as a share of its density."""
    envelope_px: float = 2.0
    """Damping of the transfer function: exp(-(envelope q)^2)."""
    blur_px: float = 0.8
    """Blur of optics and detector, Gaussian sigma."""
    drift_px: float = 0.0
    """Length over which the specimen moved."""
    noise: float = 0.05
    """Standard deviation of the noise on bare support, as a share of its intensity; 0 where electrons are counted."""
    noise_px: float = 0.0
    """Blur of that noise in the detector, Gaussian sigma."""
    lines: float = 0.0
    """Standard deviation of the brightness from one scanned line to the next."""
    hot_pixels: float = 0.0
    """Share of pixels that X-rays hit."""
    slope: float = 0.0
    """Change of the light from one side to the other, as a share of its mean."""
    vignette: float = 0.0
    """Loss of light towards the corners, as a share."""
    dark_field: bool = False
    """Whether matter is bright on dark, and was inverted since."""
    sharpening: float = 0.0
    """Of an unsharp mask."""
    gamma: float = 1.0
    clipped: float = 0.0
    """Share of pixels that are driven to black or white on either side."""
    lettering: bool = False
    """Whether scale bars, letters, arrows and frames lie on it."""
    jpeg: int = 0
    """JPEG quality, or 0 for none."""
    resampling: float = 1.0
    """Scale at which it was stored in between."""


Kind = Callable[[Imaging, np.random.Generator], Imaging]


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a positive number, its logarithm uniform."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def plain(rng: np.random.Generator) -> Imaging:
    """Draw what every kind starts from: absorption, a grainy support, some blur, noise and unevenness."""
    density = _between(rng, 0.3, 3.0)
    return Imaging(
        density=density,
        softness_px=rng.uniform(0.5, 3.0) * (rng.random() < 0.4) * (density < 1.2),
        rim=rng.uniform(-0.2, 0.4) * (rng.random() < 0.3),
        mottle=rng.uniform(0.05, 0.3) * (rng.random() < 0.4),
        grains=rng.uniform(0.0, 0.3),
        film=_between(rng, 0.005, 0.1),
        film_px=_between(rng, 0.6, 5.0),
        clouds=rng.uniform(0.01, 0.08) * (rng.random() < 0.4),
        clouds_px=_between(rng, 12.0, 80.0),
        phase=rng.uniform(0.0, 0.3),
        defocus_px2=rng.choice([-1.0, 1.0]) * _between(rng, 1.0, 12.0),
        envelope_px=_between(rng, 2.0, 8.0),
        blur_px=_between(rng, 0.4, 2.2),
        noise=_between(rng, 0.004, 0.08),
        noise_px=rng.uniform(0.4, 1.3) * (rng.random() < 0.5),
        slope=rng.uniform(0.0, 0.12) * (rng.random() < 0.5),
        gamma=math.exp(rng.uniform(-0.4, 0.4)),
    )


def _lattice(imaging: Imaging, rng: np.random.Generator) -> Imaging:
    """Take it at high resolution: fringes in the particles, and a support whose grain the transfer function shapes.

    Thin crystals are hardly darker than the support: fringes stronger than its grain tell them from it.
    """
    film = _between(rng, 0.03, 0.2)
    return replace(
        imaging,
        lattice=max(film, imaging.noise) * _between(rng, 1.0, 4.0),
        lattice_px=_between(rng, 2.5, 10.0),
        delocalised_px=rng.uniform(0.5, 4.0) * (rng.random() < 0.4),
        film=film,
        film_px=_between(rng, 0.6, 2.0),
        density=_between(rng, 0.02, 1.0),
        grains=rng.uniform(0.1, 1.0),
        blur_px=_between(rng, 0.4, 1.0),
        phase=rng.uniform(0.2, 0.8),
    )


def _diffraction(imaging: Imaging, rng: np.random.Generator) -> Imaging:
    """Let crystals diffract: contrast within particles and from one to the next."""
    return replace(
        imaging,
        mottle=rng.uniform(0.1, 0.5),
        grains=rng.uniform(0.2, 1.0),
        bend_contours=rng.uniform(0.2, 1.0) * (rng.random() < 0.6),
        thickness_fringes=rng.uniform(0.1, 0.4) * (rng.random() < 0.4),
        pores=rng.uniform(0.2, 0.7) * (rng.random() < 0.3),
    )


def _defocus(imaging: Imaging, rng: np.random.Generator) -> Imaging:
    """Go far from focus: bright and dark Fresnel fringes round everything."""
    return replace(
        imaging,
        phase=rng.uniform(0.3, 1.2),
        defocus_px2=rng.choice([-1.0, 1.0]) * _between(rng, 15.0, 150.0),
        envelope_px=_between(rng, 3.0, 12.0),
    )


def _low_dose(imaging: Imaging, rng: np.random.Generator) -> Imaging:
    """Spend few electrons."""
    return replace(imaging, noise=_between(rng, 0.1, 0.35), density=max(imaging.density, 0.5))


def _faint(imaging: Imaging, rng: np.random.Generator) -> Imaging:
    """Make particles thin or light: little contrast, on a calm support."""
    return replace(
        imaging,
        density=_between(rng, 0.1, 0.3),
        film=min(imaging.film, 0.03),
        clouds=min(imaging.clouds, 0.03),
        noise=min(imaging.noise, 0.05),
    )


def _support(imaging: Imaging, rng: np.random.Generator) -> Imaging:
    """Make the support show: holes and their edges, folds, thick and thin places, dirt."""
    return replace(
        imaging,
        holes=rng.uniform(0.05, 0.4) * (rng.random() < 0.5),
        folds=rng.uniform(0.04, 0.25) * (rng.random() < 0.5),
        clouds=rng.uniform(0.03, 0.15),
        dirt=rng.uniform(0.1, 0.35) * (rng.random() < 0.5),
    )


def _shells(imaging: Imaging, rng: np.random.Generator) -> Imaging:
    """Wrap particles in an organic shell."""
    return replace(imaging, shell=rng.uniform(0.03, 0.2), shell_px=_between(rng, 1.5, 9.0))


def _uneven(imaging: Imaging, rng: np.random.Generator) -> Imaging:
    """Light it badly, with X-rays on the camera, or move."""
    return replace(
        imaging,
        slope=rng.uniform(0.1, 0.6),
        vignette=rng.uniform(0.0, 0.5),
        hot_pixels=_between(rng, 1e-5, 1e-3) * (rng.random() < 0.5),
        drift_px=rng.uniform(1.0, 5.0) * (rng.random() < 0.5),
    )


def _dark_field(imaging: Imaging, rng: np.random.Generator) -> Imaging:
    """Scan with an annular detector: bright matter on dark, no phase contrast, noise from line to line."""
    return replace(
        imaging,
        dark_field=True,
        phase=0.0,
        lattice=0.0,
        bend_contours=0.0,
        lines=rng.uniform(0.0, 0.05),
        noise=_between(rng, 0.02, 0.15),
        film=_between(rng, 0.005, 0.05),
    )


def _printed(imaging: Imaging, rng: np.random.Generator) -> Imaging:
    """Publish it: sharpened, clipped, lettered, compressed, resampled."""
    return replace(
        imaging,
        sharpening=rng.uniform(0.3, 1.2) * (rng.random() < 0.3),
        clipped=rng.uniform(0.0, 0.03),
        lettering=bool(rng.random() < 0.75),
        jpeg=int(rng.integers(20, 90)) if rng.random() < 0.7 else 0,
        resampling=rng.uniform(0.5, 0.8) if rng.random() < 0.3 else 1.0,
        gamma=math.exp(rng.uniform(-0.6, 0.6)),
    )


KINDS: Mapping[str, Kind] = {
    "plain": lambda imaging, rng: imaging,
    "lattice": _lattice,
    "diffraction": _diffraction,
    "defocus": _defocus,
    "low_dose": _low_dose,
    "faint": _faint,
    "support": _support,
    "shells": _shells,
    "uneven": _uneven,
    "dark_field": _dark_field,
    "printed": _printed,
}
"""Kinds of imaging by name."""
_MORE = 0.07
"""Chance that another kind comes with the chosen one."""


def draw_imaging(kind: str, others: Sequence[str], rng: np.random.Generator) -> Imaging:
    """Draw the imaging of one scene.

    Parameters
    ----------
    kind : str
        A name of `KINDS`.
    others : sequence of str
        Kinds that may come with it, each with a chance of 7 %.
    rng : numpy.random.Generator

    Returns
    -------
    Imaging

    Examples
    --------
    >>> draw_imaging("dark_field", [], np.random.default_rng(0)).dark_field
    True
    """
    imaging = plain(rng)
    for other in others:
        if rng.random() < _MORE and other != kind:
            imaging = KINDS[other](imaging, rng)
    return KINDS[kind](imaging, rng)


_CLEARANCE = 5.0
"""Least contrast of particles, in standard deviations of all that could hide their outlines."""
_LONGEST_LOOK_PX = 4.0
_STRONGEST = 0.7
"""Contrast to which particles are raised at most; beyond that their surroundings are calmed instead."""
_WHITE_PX = 0.5 / math.sqrt(math.pi)
"""Smoothing (Gaussian sigma) that noise without correlation seems to have: that of a pixel."""


def unrest(imaging: Imaging, radius_px: float) -> float:
    """Give the standard deviation of all that could hide an outline, after a look that averages over a part of the particle.

    A look averages with a Gaussian of a sixth of the particle's radius, at most 4 px: further along an outline its
    shape would be lost. Noise whose grain is a Gaussian of sigma s keeps ``s / sqrt(s^2 + a^2)`` of its standard
    deviation under one of sigma a.

    Parameters
    ----------
    imaging : Imaging
    radius_px : float
        Typical radius of the particles.

    Returns
    -------
    float
        As a share of the intensity on bare support.

    Examples
    --------
    >>> calm = Imaging(film=0.0, noise=0.1)
    >>> round(unrest(calm, 30.0), 3), round(unrest(calm, 6.0), 3)
    (0.007, 0.027)
    """
    look = min(max(radius_px / 6, 0.5), _LONGEST_LOOK_PX)

    def kept(grain_px: float) -> float:
        return grain_px / math.hypot(grain_px, look)

    along_lines = math.sqrt(_WHITE_PX / math.hypot(_WHITE_PX, look))  # averaged along one axis only
    return math.hypot(
        imaging.film * kept(imaging.film_px),
        imaging.clouds * kept(imaging.clouds_px),
        imaging.noise * kept(max(imaging.noise_px, _WHITE_PX)),
        imaging.lines * along_lines,
        0.5 * imaging.holes,
        0.5 * imaging.folds,
        0.5 * imaging.shell,
    )


_CLEAR_FRINGES = 2.0
"""Amplitude of fringes that show by themselves, in standard deviations of grain and noise, pixel by pixel."""


def _fringes_show(imaging: Imaging, radius_px: float) -> bool:
    """Say whether fringes tell the particles: four across, and the strongest, blurred as the grain is, clear of noise."""
    if not imaging.lattice or radius_px < 2 * imaging.lattice_px:
        return False
    left = math.exp(-2 * (math.pi * imaging.blur_px / imaging.lattice_px) ** 2)
    return imaging.lattice * left >= _CLEAR_FRINGES * math.hypot(imaging.film * left, imaging.noise)


def visible(imaging: Imaging, radius_px: float) -> Imaging:
    """Make particles of a radius stand out from support and noise, so that their outlines can be seen at all.

    What nobody could see is no truth about a micrograph, and to learn it is to learn to guess. Where the contrast is
    less than 5 standard deviations of the `unrest`, particles are made denser and their surroundings calmer, both by
    the same factor. Where it is more, some may be fainter than others (`Imaging.faintest`) until they come down to it.
    Crystals whose fringes show need no contrast besides.
    """
    if _fringes_show(imaging, radius_px):
        return imaging
    contrast, needed = -math.expm1(-imaging.density), _CLEARANCE * unrest(imaging, radius_px)
    if contrast >= needed:
        return replace(imaging, faintest=-math.log1p(-needed) / imaging.density)
    raised = min(math.sqrt(contrast * needed), max(contrast, _STRONGEST))
    calmer = raised / needed
    return replace(
        imaging,
        density=-math.log1p(-raised),
        faintest=1.0,
        **{
            name: calmer * getattr(imaging, name)
            for name in ("film", "clouds", "noise", "lines", "holes", "folds", "shell")
        },
    )
