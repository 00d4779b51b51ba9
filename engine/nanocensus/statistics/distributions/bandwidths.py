"""How wide the kernel of a density is.

Silverman's rule is steady and suits finding the mode; it takes the data for one bell and smooths what is skewed or has two
peaks too much. The improved Sheather-Jones bandwidth is found from the data's own curvature and is the one to draw.

Both take the number of particles, also where those of a micrograph resemble each other: resemblance adds to a density a
variance that no bandwidth removes. With the effective number instead, the mean integrated square error of drawn densities was
up to 2.3 times as large in simulation (intracluster correlations 0.07 and 0.3, 8 to 60 micrographs), and hardly ever smaller.
"""

import numpy as np
from jaxtyping import Float64
from scipy import fft, optimize

_DERIVATIVES = range(6, 1, -1)
_BRACKETS = (1e-3, 1e-2, 1e-1)
"""Upper ends of the search for the squared bandwidth, as shares of the squared range: the lowest root is the one."""


def silverman(sd: float, interquartile_range: float, n: int) -> float:
    """Give Silverman's bandwidth (Density Estimation, 1986, eq. 3.31); it suits finding the mode.

    Examples
    --------
    >>> round(silverman(1.0, 1.349, 100_000), 3)
    0.09
    """
    spread = min(sd, interquartile_range / 1.349) if interquartile_range > 0 else sd
    return float(0.9 * spread * n**-0.2)


def improved_sheather_jones(weight: Float64[np.ndarray, " x"], reach: float, n: int) -> float | None:
    """Give the bandwidth at which the asymptotic error is least, by the density's own derivatives.

    Parameters
    ----------
    weight : float64 array
        Weight in each cell of a grid of equal cells.
    reach : float
        Length of the grid.
    n : int
        Number of particles.

    Returns
    -------
    float or None
        In the unit of the reach; None where the equation has no root, as for few or equal values.

    Notes
    -----
    The fixed point of Botev, Grotowski and Kroese, Annals of Statistics 38, 2916 (2010), section 5: the squared bandwidth t
    follows from the norm of the density's second derivative, that one's pilot from the third's, and so up to the seventh,
    each read from the cosine transform.

    Examples
    --------
    >>> edges = np.linspace(-6.0, 6.0, 2049)
    >>> counts = np.histogram(np.random.default_rng(0).standard_normal(65_000), edges)[0]
    >>> found = improved_sheather_jones(counts.astype(float), 12.0, 65_000)
    >>> 0.95 < found / (4 / 3 / 65_000) ** 0.2 < 1.05  # the optimum for a normal distribution
    True
    """
    squares = np.arange(1, len(weight), dtype=np.float64) ** 2
    power = (fft.dct(weight / weight.sum(), type=2)[1:] / 2) ** 2

    def norm(order: int, t: float) -> float:
        terms = squares**order * power * np.exp(-squares * np.pi**2 * t)
        return float(2 * np.pi ** (2 * order) * terms.sum())

    def excess(t: float) -> float:
        found = norm(_DERIVATIVES.start + 1, t)
        for order in _DERIVATIVES:
            odd = np.prod(np.arange(1, 2 * order, 2)) / np.sqrt(2 * np.pi)
            pilot = (2 * (1 + 0.5 ** (order + 0.5)) / 3 * odd / (n * found)) ** (2 / (3 + 2 * order))
            found = norm(order, pilot)
        return t - float((2 * n * np.sqrt(np.pi) * found) ** -0.4)

    with np.errstate(all="ignore"):
        for end in _BRACKETS:
            low, high = excess(1e-14), excess(end)
            if np.isfinite(low) and np.isfinite(high) and low < 0 < high:
                return float(np.sqrt(optimize.brentq(excess, 1e-14, end)) * reach)
    return None
