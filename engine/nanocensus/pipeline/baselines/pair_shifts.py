"""By how much pairs shift the means at each size: a smooth curve through its bins, and how that curve varies with them."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float64
from numpy.polynomial import polynomial
from scipy.optimize import least_squares

_FEWEST_BINS = 4
_PARABOLA = 2


@dataclass(frozen=True, eq=False)
class SmoothShift:
    """A curve whose logarithm is a parabola; beyond the bins it stays as at their ends.

    With log-normal sizes the share of pairs rises about so. Shifts of single bins jump by a cluster more or less among those
    drawn, and taken off the data they would bend where nothing bends.
    """

    centre: Float64[np.ndarray, " bin"]
    """Middle of each bin, nm."""
    n: Float64[np.ndarray, " bin"]
    """Particles in it: what it counts."""
    mean: float
    """Mean shift."""
    terms: Float64[np.ndarray, " term"] | None
    """Of the parabola, about the middle of the bins; none where the shift is the same at all sizes."""

    def at(self, sizes_nm: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
        """Give the shift at some edge lengths, nm."""
        if self.terms is None:
            return np.full(sizes_nm.shape, self.mean)
        return np.asarray(self.mean * np.exp(self.powers(sizes_nm) @ self.terms))

    def changes(
        self, changed: Float64[np.ndarray, "draw bin"], sizes_nm: Float64[np.ndarray, " n"]
    ) -> Float64[np.ndarray, "draw n"]:
        """Give how the curve changes, to first order, as the shifts of the bins do.

        Parameters
        ----------
        changed : float64 array (draw, bin)
            By how much the shift of each bin is more than the one that was fitted.
        sizes_nm : float64 array (n,)
        """
        if self.terms is None:
            return np.tile(np.average(changed, axis=1, weights=self.n)[:, None], len(sizes_nm))
        slopes, wanted = (self.at(sizes)[:, None] * self.powers(sizes) for sizes in (self.centre, sizes_nm))
        weight = np.sqrt(self.n)[:, None]
        terms = np.linalg.lstsq(slopes * weight, changed.T * weight, rcond=None)[0]
        return np.asarray((wanted @ terms).T)

    def powers(self, sizes_nm: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, "n term"]:
        """Give the columns of the parabola at some edge lengths, nm."""
        inside = np.clip(sizes_nm, self.centre[0], self.centre[-1])
        return np.asarray(polynomial.polyvander((inside - self.centre.mean()) / np.ptp(self.centre), _PARABOLA))


def smooth_shift(rows: pd.DataFrame) -> SmoothShift:
    """Fit the curve to the rows of a sample and descriptor in `PairContamination.table`; with few bins, or no pairs, a flat one."""
    left, right, shift, n = (rows[name].to_numpy(np.float64) for name in ("size_left", "size_right", "shift", "n"))
    centre, mean = left + (right - left) / 2, float(np.average(shift, weights=n))
    flat = SmoothShift(centre, n, mean, None)
    if mean == 0 or len(rows) < _FEWEST_BINS:
        return flat
    powers = flat.powers(centre)

    def beside(terms: Float64[np.ndarray, " 3"]) -> Float64[np.ndarray, " bin"]:
        return np.asarray((np.exp(powers @ terms) - shift / mean) * np.sqrt(n))

    return replace(flat, terms=least_squares(beside, np.array([0.0, 1.0, 0.0])).x)
