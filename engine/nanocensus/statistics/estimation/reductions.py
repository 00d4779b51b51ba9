"""Reductions are values: what to say about the particles of a cell, and how sure one may be.

A new statistic that is a function of mean and variance is a `MomentReduction`; no other code learns its name.

Examples
--------
The root mean square as a user's own reduction, with the derivatives that its interval needs:

>>> import numpy as np, pandas as pd
>>> from nanocensus.statistics.cells.cells import cells
>>> from nanocensus.statistics.estimation.estimation import estimate
>>> def rms(m):
...     return np.sqrt(m.mean**2 + m.variance)
>>> root_mean_square = MomentReduction("rms", rms, slopes=lambda m: (m.mean / rms(m), 0.5 / rms(m)))
>>> rows = pd.DataFrame({"sample": "A", "micrograph": list("wxyz") * 5, "edge_length_nm": [3.0, 4.0] * 10})
>>> made = cells(rows, by=["sample"], of=["edge_length_nm"], weight=None)
>>> result = estimate(made, {"edge_length_nm": [root_mean_square]})
>>> round(float(result["estimate"].squeeze()) ** 2, 9)
12.5
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from nanocensus.errors import StatisticsError
from nanocensus.statistics.estimation.intervals import ClusterSums, Estimates, Moments, PerCell, jackknifed, linearised

Elementwise = Float64[np.ndarray, "..."]


@dataclass(frozen=True)
class MomentReduction:
    """A statistic that is a function of the mean and the variance: cells hold all that it needs."""

    name: str
    """Its label along the dimension "statistic"."""
    value: Callable[[Moments], Elementwise]
    """Of moments of any shape, elementwise."""
    slopes: Callable[[Moments], tuple[PerCell, PerCell]]
    """Derivatives of the value with respect to mean and variance."""
    spread: bool = False
    """Whether it is a measure of spread, positive and skewed: its interval then comes from leaving out clusters."""

    @property
    def method(self) -> str:
        """How its interval is made, for the record."""
        return "jackknife of clusters, t on 1/sqrt(value)" if self.spread else "linearised CR2, t"

    def estimates(self, sums: ClusterSums, level: float) -> Estimates:
        """Give the statistic and its interval from sums per cluster."""
        with np.errstate(invalid="ignore", divide="ignore"):
            if self.spread:
                return jackknifed(sums, self.value, level=level)
            return linearised(sums, self.value(sums.moments), self.slopes(sums.moments), level=level)


@dataclass(frozen=True)
class QuantileReduction:
    """The value below which a share of the weight lies; needs a pass over the values."""

    p: float

    @property
    def name(self) -> str:
        """Its label along the dimension "statistic": median, quantile_0.25, ..."""
        return "median" if self.p == 0.5 else f"quantile_{self.p:g}"

    @property
    def method(self) -> str:
        """How its interval is made, for the record."""
        return "Woodruff with CR2, t"


Reduction = MomentReduction | QuantileReduction


def quantile(p: float) -> QuantileReduction:
    """Give the reduction to a quantile.

    Parameters
    ----------
    p : float
        Share of the weight below it, strictly between 0 and 1.

    Raises
    ------
    StatisticsError
        For other shares.

    Examples
    --------
    >>> quantile(0.25).name
    'quantile_0.25'
    """
    if not 0 < p < 1:
        raise StatisticsError(
            "quantile", expected="a share between 0 and 1", got=f"{p:g}", remedy="The median is quantile(0.5)."
        )
    return QuantileReduction(p)


def _unbiased(m: Moments) -> Elementwise:
    """Give the factor n / (n - 1) that turns the variance into the sample variance; NaN for one particle."""
    return np.asarray(np.where(m.n > 1, m.n / np.maximum(m.n - 1, 1), np.nan), np.float64)


def _sd(m: Moments) -> Elementwise:
    return np.asarray(np.sqrt(m.variance * _unbiased(m)))


mean = MomentReduction("mean", lambda m: m.mean, lambda m: (np.ones_like(m.mean), np.zeros_like(m.mean)))
"""The (weighted) mean."""
sd = MomentReduction(
    "sd", _sd, lambda m: (np.zeros_like(m.mean), 0.5 * _unbiased(m) / _sd(m)), spread=True
)  # fmt: skip
"""The standard deviation, with n - 1 below."""
cv = MomentReduction(
    "cv", lambda m: _sd(m) / m.mean,
    lambda m: (-_sd(m) / m.mean**2, 0.5 * _unbiased(m) / (_sd(m) * m.mean)), spread=True,
)  # fmt: skip
"""The coefficient of variation, sd / mean."""
median = quantile(0.5)
"""The median."""
