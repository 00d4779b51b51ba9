"""What a simulated micrograph should look like: the section of a job file that the simulator reads."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from nanocensus.errors import JobError
from nanocensus.simulate.scenes.imaging import KINDS

LARGEST_COVERAGE = 0.4
"""Share of the area above which separate particles no longer find a place by chance."""

_RANGES: Mapping[str, tuple[float, float]] = {
    "pixel_size_nm": (1e-3, 1e3),
    "mean_particles": (0.0, 6e4),  # chance and the border add some, and masks number them in 16 bits
    "mean_edge_length_nm": (1e-9, math.inf),
    "edge_length_log_sd": (0.0, 1.0),
    "between_log_sd": (0.0, 1.0),
    "contrast": (0.0, 0.95),
    "contrast_log_sd": (0.0, 1.0),
    "rim": (0.0, 1.0),
    "edge_softness_px": (0.0, 20.0),
    "film_amplitude": (0.0, 0.5),
    "film_grain_px": (0.0, 50.0),
    "electrons_per_px": (1.0, 1e4),
    "counts_per_electron": (1e-3, 1e3),
    "blur_px": (0.0, 20.0),
    "fresnel_strength": (0.0, 2.0),
    "fresnel_width_px": (0.0, 50.0),
    "unevenness": (0.0, 0.5),
    "touching_fraction": (0.0, 1.0),
    "gap_px": (0.0, 100.0),
}
_SMALLEST_SIDE_PX = 32
RECORDED = tuple(kind for kind in KINDS if kind != "printed")
"""Kinds of imaging that a camera can record: what print does to scenes comes after it."""


@dataclass(frozen=True)
class FamilyWeights:
    """Relative frequency of each family of shapes; those left out do not occur."""

    disc: float = 0.0
    """Discs."""
    ellipse: float = 0.0
    """Ellipses of aspect 1.05 to 1.4."""
    superellipse: float = 0.0
    """Superellipses of exponent 2.3 to 5: squares with round corners."""
    truncated_square: float = 0.0
    """Squares whose corners are cut off straight."""
    lobed: float = 0.0
    """r = 1 - a cos(4 theta) with a from 0.02 to 0.1: concave above 1/17."""

    def __post_init__(self) -> None:
        """Refuse weights that say nothing."""
        weights = self.to_dict()
        if not all(weight >= 0 and math.isfinite(weight) for weight in weights.values()) or not any(weights.values()):
            raise _wrong("families", "weights of at least 0, not all 0", weights)

    def to_dict(self) -> dict[str, float]:
        """Give the weights by name of the family."""
        return {name: float(weight) for name, weight in vars(self).items()}


_DEFAULT_FAMILIES = {"disc": 0.35, "ellipse": 0.2, "superellipse": 0.25, "truncated_square": 0.15, "lobed": 0.05}


@dataclass(frozen=True)
class SimulationSpec:
    """Micrographs of separate dark particles on an amorphous film, in bright field.

    The defaults follow the real micrographs of the demonstration: a background whose grain is 15 % of its mean and
    correlated over a little more than a pixel, and particles that take away 37 % of the intensity.

    Raises
    ------
    JobError
        If a value is out of its range, a family is unknown, or the particles would cover too much of the image.

    Examples
    --------
    >>> SimulationSpec(shape=(256, 256), mean_particles=8.0).shape
    (256, 256)
    """

    shape: tuple[int, ...] = (512, 512)
    """Rows and columns."""
    pixel_size_nm: float = 0.086
    """Side of a pixel, nm."""
    mean_particles: float = 16.0
    """Expected number of particles with their centre inside; each micrograph draws its own (Poisson)."""
    mean_edge_length_nm: float = 4.2
    """Mean of the edge lengths sqrt(area), nm; they are log-normal."""
    edge_length_log_sd: float = 0.2
    """Standard deviation of the logarithm of the edge length within a micrograph."""
    between_log_sd: float = 0.0
    """Standard deviation of the logarithm of a factor that all edge lengths of one micrograph share."""
    families: FamilyWeights = field(default_factory=lambda: FamilyWeights(**_DEFAULT_FAMILIES))
    """Relative frequency of each family of shapes."""
    imaging: str = ""
    """Kind of imaging (a name of docs/reference/simulation.md#scenes), drawn anew for each micrograph in place of
    `contrast` and all keys from `edge_softness_px` to `unevenness` but `electrons_per_px` and `counts_per_electron`, which
    scale the counts; empty: as those keys say."""
    contrast: float = 0.37
    """Share of the intensity that particles take away on average."""
    contrast_log_sd: float = 0.15
    """Standard deviation of the logarithm of a particle's density about what its size gives."""
    rim: float = 0.9
    """Thickness at a particle's outline, as a share of that at its middle."""
    edge_softness_px: float = 2.5
    """Width (Gaussian sigma) over which the density fades across a particle's outline, px."""
    film_amplitude: float = 0.18
    """Standard deviation of the film's grain, as a share of the mean intensity."""
    film_grain_px: float = 0.75
    """Correlation length (Gaussian sigma) of the film's grain, px."""
    electrons_per_px: float = 200.0
    """Mean number of electrons that reach a pixel of bare film: the shot noise."""
    counts_per_electron: float = 32.0
    """Gain of the camera."""
    blur_px: float = 0.8
    """Blur of the detector (Gaussian sigma), px."""
    fresnel_strength: float = 0.7
    """Strength of the phase contrast that draws a bright rim round a particle; 0 for none."""
    fresnel_width_px: float = 13.0
    """Width of that rim, sqrt(wavelength x defocus), px."""
    unevenness: float = 0.03
    """Standard deviation of the linear and quadratic terms of the illumination, as a share of its mean."""
    touching_fraction: float = 0.0
    """Share of the particles that are put in contact with another one."""
    gap_px: float = 2.0
    """Smallest distance between the outlines of particles that do not touch, px."""
    border_particles: bool = True
    """Whether the image's border may cut particles; if not, all lie wholly inside."""

    def __post_init__(self) -> None:
        """Refuse what cannot be simulated."""
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise _wrong(name, f"a number from {low:g} to {high:g}", value)
        if len(self.shape) != 2 or min(self.shape) < _SMALLEST_SIDE_PX:
            raise _wrong("shape", f"two whole numbers of at least {_SMALLEST_SIDE_PX} px", self.shape)
        if self.imaging and self.imaging not in RECORDED:
            raise _wrong("imaging", "one of " + ", ".join(RECORDED), self.imaging)
        self._check_coverage()
        brightest = 2 * self.electrons_per_px * self.counts_per_electron
        if brightest > 65535:
            raise _wrong("counts_per_electron", "twice the background below 65535 counts", f"{brightest:g} counts")

    def _check_coverage(self) -> None:
        largest = self.mean_edge_length_px * math.exp(3 * math.hypot(self.edge_length_log_sd, self.between_log_sd))
        if largest > min(self.shape) / 2:
            raise _wrong("mean_edge_length_nm", "particles of at most half the image", f"up to {largest:.0f} px")
        area = self.mean_edge_length_px**2 * math.exp(self.edge_length_log_sd**2)
        coverage = self.mean_particles * area / (self.shape[0] * self.shape[1])
        if coverage > LARGEST_COVERAGE:
            raise _wrong("mean_particles", f"at most {LARGEST_COVERAGE:.0%} of the image covered", f"{coverage:.0%}")

    @property
    def extent(self) -> tuple[int, int]:
        """Rows and columns, known to be two: a job file's list may have any length."""
        return self.shape[0], self.shape[1]

    @property
    def mean_edge_length_px(self) -> float:
        """Mean edge length in pixels."""
        return self.mean_edge_length_nm / self.pixel_size_nm


def _wrong(name: str, expected: str, got: object) -> JobError:
    return JobError(name, expected=expected, got=str(got), remedy="Change it in the job file or call.")
