"""Whether samples differ by more than their errors, and by how much.

Sources
-------
Cochran, Biometrics 10, 101 (1954): Q. Paule and Mandel, J. Res. NBS 87, 377 (1982): the variance between samples.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy import optimize, stats


class Differences(NamedTuple):
    """Whether samples differ by more than their errors."""

    q: float
    p: float
    sd: float
    """Estimated standard deviation of the true values between samples, in their unit."""
    n: int
    """Number of samples that were compared."""


def heterogeneity(values: Float64[np.ndarray, " sample"], variances: Float64[np.ndarray, " sample"]) -> Differences:
    """Test whether values of samples differ by more than their errors, and estimate by how much.

    Examples
    --------
    >>> found = heterogeneity(np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.5, 0.5]))
    >>> round(found.q, 9), round(found.sd**2, 9)
    (4.0, 0.5)
    """
    freedom = len(values) - 1

    def excess(between: float) -> float:
        weight = 1 / (variances + between)
        mean = (weight * values).sum() / weight.sum()
        return float((weight * (values - mean) ** 2).sum()) - freedom

    q = excess(0.0) + freedom
    largest = float(np.ptp(values)) ** 2
    between = 0.0 if q <= freedom else float(optimize.brentq(excess, 0.0, largest + 1e-12))
    return Differences(q, float(stats.chi2.sf(q, freedom)), between**0.5, len(values))
