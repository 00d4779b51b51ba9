"""What a simulated population should be like: samples, micrographs, sizes, shapes and their scatter."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from nanocensus.errors import InputError
from nanocensus.schema import Estimator
from nanocensus.simulate.growth import Growth

DIAMETER = math.sqrt(4 / math.pi)
"""Side of the bounding box of a particle, as a multiple of its edge length: that of a disc."""


@dataclass(frozen=True)
class SampleSpec:
    """One synthesis condition: how many particles, how large, how they are shaped and how micrographs differ."""

    name: str
    """Name of the sample."""
    n_particles: int
    """Number of particles in all micrographs together."""
    n_micrographs: int
    """Number of micrographs."""
    median_edge_length_nm: float
    """Median of the edge lengths, which are log-normal before anything is left out, nm."""
    log_sd: float
    """Standard deviation of the logarithm of the edge length, within and between micrographs together."""
    growth: Growth
    """Mean circularity and solidity at each size; both plateaus below 1, since scatter needs room."""
    icc: float = 0.07
    """Share of the variance that lies between micrographs: of log edge length, circularity and solidity each."""
    autocorrelation: float = 0.0
    """Correlation of the effects of consecutive micrographs (AR(1)), from 0 to below 1."""
    drift: float = 0.0
    """Change of the mean log edge length from the first micrograph to the last, on top of `log_sd`."""
    circularity_sd: float = 0.03
    """Standard deviation of the circularity on its plateau; it grows as the mean falls."""
    solidity_sd: float = 0.0085
    """Standard deviation of the solidity on its plateau; it grows as the mean falls."""
    conditions: Mapping[str, float] = field(default_factory=dict)
    """Conditions of the synthesis, by name without the prefix of their columns."""

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        if self.n_micrographs < 1 or self.n_particles < 0:
            raise self._refusal("at least one micrograph and no negative number of particles")
        if not (self.median_edge_length_nm > 0 and 0 <= self.log_sd <= 1):
            raise self._refusal("a positive median_edge_length_nm and a log_sd from 0 to 1")
        if not (0 <= self.icc < 1 and 0 <= self.autocorrelation < 1 and math.isfinite(self.drift)):
            raise self._refusal("icc and autocorrelation from 0 to below 1, and a finite drift")
        for mean, sd in ((self.growth.circularity, self.circularity_sd), (self.growth.solidity, self.solidity_sd)):
            if not (0 < mean < 1 and sd > 0 and sd**2 < mean * (1 - mean)):
                raise self._refusal("plateaus below 1, and standard deviations that fit below 1")

    def _refusal(self, expected: str) -> InputError:
        return InputError(
            f"sample {self.name!r}", expected=expected, got=str(self), remedy="Change the sample's specification."
        )


@dataclass(frozen=True)
class PopulationSpec:
    """A study: its samples, and what all its micrographs share.

    Raises
    ------
    InputError
        If names repeat, or nearly no particle of a sample would be large enough and fit into a micrograph.
    """

    samples: tuple[SampleSpec, ...]
    """In any order: a sample's particles do not depend on the others."""
    side_px: int = 4096
    """Rows and columns of a micrograph."""
    pixel_size_nm: float = 0.086
    """Side of a pixel, nm."""
    smallest_area_nm2: float = 6.0
    """Smaller particles are left out, nm2."""
    estimator: Estimator = "paper"
    """What the table says of how it was measured."""

    def __post_init__(self) -> None:
        """Refuse a study that would never be finished."""
        names = [sample.name for sample in self.samples]
        if len(set(names)) < len(names):
            raise InputError("samples", expected="different names", got=", ".join(names), remedy="Rename one.")
        for sample in self.samples:
            reach = math.exp(2 * math.sqrt(sample.icc) * sample.log_sd + abs(sample.drift) / 2)
            low, high = sample.median_edge_length_nm / reach, sample.median_edge_length_nm * reach
            if low**2 < self.smallest_area_nm2 or DIAMETER * high > self.field_nm / 2:
                raise InputError(
                    f"median_edge_length_nm of sample {sample.name!r}",
                    expected=f"above sqrt({self.smallest_area_nm2:g}) nm and below half of {self.field_nm:g} nm, "
                    "micrograph effects included",
                    got=f"{sample.median_edge_length_nm:g} nm",
                    remedy="Change the size, the smallest area or the micrographs.",
                )

    @property
    def field_nm(self) -> float:
        """Side of a micrograph, nm."""
        return self.side_px * self.pixel_size_nm
