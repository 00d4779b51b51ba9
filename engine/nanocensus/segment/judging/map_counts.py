"""All that a probability map's values and the truth beneath them say, from one count a value.

A map has 256 values, so 256 counts hold Dice at every threshold, the soft Dice of both classes and the calibration; they
add up over micrographs, and no map need be kept.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8

VALUES = 256
CERTAIN = 0.05
"""A pixel whose probability is nearer than this to 0 or 1 says little about calibration: nearly all pixels are."""


@dataclass(frozen=True, eq=False)
class MapCounts:
    """The pixels of maps, counted by their value."""

    pixels: Int64[np.ndarray, " 256"]
    """How many pixels have a value."""
    particle: Int64[np.ndarray, " 256"]
    """How many of those are particle in truth."""
    covered: Float64[np.ndarray, " 256"]
    """The sum of their area fractions: how much of each pixel particles cover."""

    def __add__(self, other: "MapCounts") -> "MapCounts":
        """Pool the counts of two micrographs."""
        return MapCounts(self.pixels + other.pixels, self.particle + other.particle, self.covered + other.covered)

    def areas(self, level: float = 127.5) -> tuple[int, int, int]:
        """Give the pixels that are particle in truth, above a level of the map, and both.

        Parameters
        ----------
        level : float
            Value that a predicted pixel exceeds, 0 to 255.
        """
        above = np.arange(VALUES) > level
        return int(self.particle.sum()), int(self.pixels[above].sum()), int(self.particle[above].sum())

    def dice(self, level: float = 127.5) -> float:
        """Give the Dice coefficient of the map cut at a level; 1 where nothing is there and nothing found."""
        true, found, common = self.areas(level)
        return 2 * common / (true + found) if true + found else 1.0

    def iou(self, level: float = 127.5) -> float:
        """Give the intersection over union of the map cut at a level; 1 where nothing is there and nothing found."""
        true, found, common = self.areas(level)
        return common / (true + found - common) if true + found else 1.0

    def soft_sums(self) -> tuple[Float64[np.ndarray, "2 2"], Float64[np.ndarray, "2 2"]]:
        """Give the two sums whose ratio is the soft Dice matrix: twice the common weight, and both weights."""
        probability = np.arange(VALUES) / (VALUES - 1)
        true = np.stack([self.particle, self.pixels - self.particle]).astype(np.float64)
        predicted = np.stack([probability, 1 - probability])
        return 2 * true @ predicted.T, true.sum(1)[:, None] + (predicted @ self.pixels)[None]

    def soft_dice(self) -> Float64[np.ndarray, "2 2"]:
        r"""Give the soft Dice coefficients between true and predicted classes.

        Entry (i, j) is :math:`2 \sum t_i p_j / (\sum t_i + \sum p_j)` over all pixels, t_i being 1 where the class is
        true and p_j the probability of the class: the confusion matrix of Cho et al., ACS Nano 18, 29736 (2024),
        Figure 1b. A perfect map has 1 on the diagonal and 0 elsewhere; NaN for classes that occur on neither side.

        Returns
        -------
        (2, 2) ndarray of float64
            Rows are true classes, columns predicted ones: particle, background.

        Examples
        --------
        >>> counts = count_map(np.array([[255, 0]], np.uint8), np.array([[True, False]]))
        >>> counts.soft_dice().tolist()
        [[1.0, 0.0], [0.0, 1.0]]
        """
        above, below = self.soft_sums()
        return np.asarray(np.divide(above, below, out=np.full((2, 2), np.nan), where=below > 0))

    def reliability(self, bins: int = 20) -> "Reliability":
        """Give how often pixels of each probability are particle.

        Parameters
        ----------
        bins : int
            Number of bins of equal width from 0 to 1.
        """
        probability = np.arange(VALUES) / (VALUES - 1)
        place = np.minimum((probability * bins).astype(int), bins - 1)
        pixels, particle, covered, total = (
            np.bincount(place, values, minlength=bins)
            for values in (self.pixels, self.particle, self.covered, probability * self.pixels)
        )
        some = pixels > 0
        share, fraction, mean = (
            np.divide(values, pixels, out=np.full(bins, np.nan), where=some) for values in (particle, covered, total)
        )
        edges = np.arange(bins + 1) / bins
        return Reliability(edges[:-1], edges[1:], pixels.astype(np.int64), mean, share, fraction)

    def calibration_error(self, *, of_fraction: bool = False, uncertain: bool = True, bins: int = 20) -> float:
        """Give the expected calibration error: the mean distance of the reliability curve from the diagonal.

        Each bin counts by its pixels (Naeini et al., AAAI 2015, eq. 3).

        Parameters
        ----------
        of_fraction : bool
            Whether the probability should be the area fraction, instead of the chance to be particle.
        uncertain : bool
            Count only pixels with probabilities from 0.05 to 0.95; of all pixels most are far from any particle, and
            right.
        bins : int
            Number of bins.

        Returns
        -------
        float
            0 for a perfectly calibrated map; NaN without pixels.
        """
        counts = self
        if uncertain:
            probability = np.arange(VALUES) / (VALUES - 1)
            kept = (probability >= CERTAIN) & (probability <= 1 - CERTAIN)
            counts = MapCounts(self.pixels * kept, self.particle * kept, self.covered * kept)
        found = counts.reliability(bins)
        truth = found.mean_area_fraction if of_fraction else found.share_of_truth
        used = found.pixels > 0
        if not used.any():
            return float("nan")
        return float(np.average(np.abs(truth - found.mean_probability)[used], weights=found.pixels[used]))


@dataclass(frozen=True, eq=False)
class Reliability:
    """A reliability curve."""

    lower: Float64[np.ndarray, " bin"]
    upper: Float64[np.ndarray, " bin"]
    """Ends of the bins of probability."""
    pixels: Int64[np.ndarray, " bin"]
    """Pixels with such a probability."""
    mean_probability: Float64[np.ndarray, " bin"]
    """Of those; NaN without any."""
    share_of_truth: Float64[np.ndarray, " bin"]
    """Share of those that are particle."""
    mean_area_fraction: Float64[np.ndarray, " bin"]
    """Mean share of their area that particles cover."""


def count_map(
    probability: UInt8[np.ndarray, "y x"],
    truth: Bool[np.ndarray, "y x"],
    area_fraction: Float32[np.ndarray, "y x"] | None = None,
) -> MapCounts:
    """Count the pixels of a map by their value.

    Parameters
    ----------
    probability : (y, x) ndarray of uint8
        255 = surely particle.
    truth : (y, x) ndarray of bool
        Where it is particle.
    area_fraction : (y, x) ndarray of float32, optional
        Share of each pixel that particles cover; the truth itself if absent.

    Returns
    -------
    MapCounts

    Examples
    --------
    >>> counts = count_map(np.array([[255, 200, 0]], np.uint8), np.array([[True, False, False]]))
    >>> round(counts.dice(), 3), counts.areas()
    (0.667, (1, 2, 1))
    """
    values = probability.ravel()
    pixels = np.bincount(values, minlength=VALUES)
    particle = np.bincount(values[truth.ravel()], minlength=VALUES)
    covered = particle if area_fraction is None else np.bincount(values, area_fraction.ravel(), minlength=VALUES)
    return MapCounts(pixels.astype(np.int64), particle.astype(np.int64), covered.astype(np.float64))
