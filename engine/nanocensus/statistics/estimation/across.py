"""How much samples differ, size by size: the CV across their means, free of what noise adds to it.

The standard deviation of means is that of the true means and the noise of each estimate together, so the plain CV across
samples never falls to zero, and is largest where particles are few. Here the noise, which is known, is taken out, and the
CV of the true means of these very samples gets an interval.

Sources
-------
Satterthwaite, Biometrics Bulletin 2, 110 (1946): a weighted sum of squares as a scaled chi-square of equal mean and
variance; here noncentral, with the scale that fits at every noncentrality.
Box, Annals of Mathematical Statistics 25, 290 (1954): the mean and variance of quadratic forms with unequal variances.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float64, Int64
from scipy import special

from nanocensus.errors import StatisticsError
from nanocensus.statistics.estimation.contrasts import independent_keys

FEWEST_SAMPLES = 3
_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(24)
_SHARES, _SHARE_WEIGHTS = (_NODES[:, None] + 1) / 2, _NODE_WEIGHTS / 2
_HALVINGS = 48
_FAR = 1e8
"""Noncentrality beyond which sums of squares are the square of a normal number, and scipy's series is neither exact nor quick."""

PerSample = Float64[np.ndarray, "sample cell"]
PerCell = Float64[np.ndarray, " cell"]


class Spread(NamedTuple):
    """The CV across samples of every cell."""

    naive: PerCell
    """Standard deviation (n - 1) of the estimates over their mean, noise and all."""
    corrected: PerCell
    """The same without the noise; 0 where the noise explains all of it."""
    lower: PerCell
    upper: PerCell
    n_samples: Int64[np.ndarray, " cell"]


def cv_across_samples(ds: xr.Dataset, *, key: str = "sample", statistic: str = "mean") -> xr.Dataset:
    """Give the coefficient of variation across samples of their estimates, in every size bin and descriptor.

    Parameters
    ----------
    ds : xr.Dataset
        Of `estimate`, by sample and for example size bin.
    key : str
        The dimension whose values are compared; not the bins of a column, which share their micrographs.
    statistic : str
        Which of the statistics.

    Returns
    -------
    xr.Dataset
        Along the other keys and descriptor: `estimate` (noise taken out), `naive` (as it stands), `n_samples`, with
        `lower`, `upper`, `refusal` and `left_out` as coordinates. Samples without a standard error are left out of a
        cell and named in `left_out`; with fewer than three others there is no interval and a reason in `refusal`.

    Raises
    ------
    StatisticsError
        If `ds` has no such key or statistic, or is bootstrapped.

    Notes
    -----
    The interval is of the CV of the true values of these very samples, not of samples that one might have made. Its
    level holds for each size bin by itself. Coverage in simulation: benchmarks/results/coverage-across.md.

    Examples
    --------
    >>> values = {"estimate": [0.90, 0.91, 0.92], "standard_error": [0.001] * 3, "degrees_of_freedom": [19.0] * 3}
    >>> dims = ("sample", "descriptor", "statistic")
    >>> made = xr.Dataset({name: (dims, np.reshape(value, (3, 1, 1))) for name, value in values.items()},
    ...                   {"sample": ["A", "B", "C"], "descriptor": ["circularity"], "statistic": ["mean"]})
    >>> found = cv_across_samples(made.assign_coords(refusal=(dims, np.full((3, 1, 1), ""))))
    >>> [round(100 * float(found[name].item()), 2) for name in ("naive", "estimate", "lower", "upper")]
    [1.1, 1.09, 0.94, 1.25]
    """
    keys = independent_keys(ds)
    if key not in keys or statistic not in ds["statistic"].values:
        raise StatisticsError(
            f"CV across {key!r} of {statistic!r}",
            expected="a key and a statistic of the estimates: " + ", ".join(map(str, [*keys, *ds["statistic"].values])),
            got=f"{key!r}, {statistic!r}", remedy="Estimate by that key, and ask for that statistic.",
        )  # fmt: skip
    if "degrees_of_freedom" not in ds:
        raise StatisticsError(
            f"CV across {key!r}", expected="standard errors with degrees of freedom", got="none, as of a bootstrap",
            remedy="Give what nc.estimate gives.",
        )  # fmt: skip
    chosen = ds.sel(statistic=statistic, drop=True).transpose(key, ...)
    others = chosen["estimate"].dims[1:]
    shape = chosen["estimate"].shape[1:]
    estimates, errors, freedom = (
        chosen[name].to_numpy().reshape(ds.sizes[key], -1).astype(np.float64)
        for name in ("estimate", "standard_error", "degrees_of_freedom")
    )
    used = np.isfinite(estimates) & np.isfinite(errors) & np.isfinite(freedom) & (errors > 0)
    level = float(ds.attrs.get("level", 0.95))
    found = spread(estimates, errors, freedom, used, level=level)
    refusal = np.array([_refusal(int(n), mean) for n, mean in zip(found.n_samples, found.naive, strict=True)], object)
    told = refusal == ""
    names = [str(name) for name in chosen[key].values]
    left_out = np.array([", ".join(n for n, u in zip(names, row, strict=True) if not u) for row in used.T], object)
    ends = {"lower": np.where(told, found.lower, np.nan), "upper": np.where(told, found.upper, np.nan)}
    kept = {name: part for name, part in chosen.coords.items() if set(part.dims) <= set(others) and name != key}
    return xr.Dataset(
        {name: (others, values.reshape(shape)) for name, values in
         {"estimate": found.corrected, "naive": found.naive, "n_samples": found.n_samples}.items()},
        coords=kept | {name: (others, values.reshape(shape)) for name, values in
                       (ends | {"refusal": refusal, "left_out": left_out}).items()},
        attrs={"key": key, "statistic": statistic, "level": level, "ddof": 1, "fewest_samples": FEWEST_SAMPLES,
               "method": "noncentral chi-square, averaged over the uncertainty of the standard errors"}
        | {name: told for name, told in ds.attrs.items() if str(name).endswith("_bins")},
    )  # fmt: skip


def _refusal(n: int, naive: float) -> str:
    if n < FEWEST_SAMPLES:
        return f"{n} of the samples have a standard error: an interval needs {FEWEST_SAMPLES}"
    return "" if np.isfinite(naive) else "not defined: the mean over the samples is not positive"


def spread(estimates: PerSample, errors: PerSample, freedom: PerSample, used: Bool[np.ndarray, "sample cell"], *,
           level: float) -> Spread:  # fmt: skip
    """Give the CV across samples of every cell, with its interval.

    Parameters
    ----------
    estimates, errors, freedom : float64 arrays (sample, cell)
        The samples' estimates, their standard errors and the degrees of freedom of those.
    used : bool array (sample, cell)
        Which samples count; the others may be NaN.
    level : float
        Of the interval.

    Notes
    -----
    With the sum of squares T about the mean, theta its part that is no noise, and tr A the expected noise, T is near
    g times a noncentral chi-square whose scale g gives it the mean tr A + theta and the variance 2 tr A^2 + 4 theta s;
    s is the noise along the samples' deviations. As g is itself estimated, the distribution function is averaged over
    its uncertainty (a scaled inverse chi-square), and that is what is inverted: at theta = 0 this is an F test, and
    far from it a t interval.
    """
    n = used.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(used, estimates, 0.0).sum(0) / n
        deviations = np.where(used, estimates - mean, 0.0)
        form = _form(deviations, np.where(used, errors, 0.0) ** 2, np.where(used, freedom, 1.0), n)
        scale = np.where((mean > 0) & (n > 1), mean * np.sqrt(np.maximum(n - 1, 1)), np.nan)
        ends = np.full((2, len(n)), np.nan)
        sound = (n >= FEWEST_SAMPLES) & np.isfinite(scale)
        kept = _Form(*(part[..., sound] for part in form))
        ends[:, sound] = [_where(kept, (1 + level) / 2), _where(kept, (1 - level) / 2)]
        lower, upper = np.sqrt(ends) / scale
        corrected = np.sqrt(np.maximum(form.total - form.noise, 0.0)) / scale
        return Spread(np.sqrt(form.total) / scale, corrected, lower, upper, n)


class _Form(NamedTuple):
    """What the distribution of the sum of squares depends on."""

    total: PerCell
    """T, the sum of squared deviations."""
    noise: PerCell
    """tr A: what noise adds to it."""
    noise_square: PerCell
    """tr A^2."""
    direction: PerSample
    """Share of each sample in the deviations, the unknown part of which follows its noise."""
    variances: PerSample
    freedom: PerSample
    weight: PerCell
    """1 - 1/S: the weight of a sample's variance in tr A."""


def _form(deviations: PerSample, variances: PerSample, freedom: PerSample, n: Int64[np.ndarray, " cell"]) -> _Form:
    weight = 1 - 1 / n
    total, all_, squares = (deviations**2).sum(0), variances.sum(0), (variances**2).sum(0)
    noise = weight * all_
    noise_square = weight**2 * squares + (all_**2 - squares) / n**2
    # Deviations that noise may have made or hidden: each sample's share moves towards that of its noise.
    direction = (deviations**2 + weight * variances) / (total + noise)
    return _Form(total, noise, noise_square, direction, variances, freedom, weight)


def _below(theta: PerCell, form: _Form) -> PerCell:
    """Give the probability of a sum of squares below the one found, for a true sum theta."""
    along = (form.direction * form.variances).sum(0)
    # The sum of variances that the scale rests on at this theta, and its degrees of freedom (Satterthwaite).
    parts = (form.weight * form.noise_square / form.noise + 2 * theta * form.direction) * form.variances
    freedom = parts.sum(0) ** 2 / (parts**2 / form.freedom).sum(0)
    true = freedom / (2 * special.gammaincinv(freedom / 2, _SHARES))  # true over estimated variance, at its quantiles
    scale = true * (true * form.noise_square + 2 * theta * along) / (true * form.noise + 2 * theta)
    found = _noncentral(form.total / scale, true * form.noise / scale, theta / scale)
    return np.asarray(_SHARE_WEIGHTS @ found, np.float64)


def _noncentral(x: np.ndarray, freedom: np.ndarray, noncentrality: np.ndarray) -> np.ndarray:
    """Give the distribution function of the noncentral chi-square."""
    far = noncentrality > _FAR
    near = special.chndtr(x, freedom, np.where(far, 0.0, noncentrality))
    return np.where(far, special.ndtr(np.sqrt(x) - np.sqrt(np.maximum(noncentrality + freedom - 1, 0.0))), near)


def _where(form: _Form, probability: float) -> PerCell:
    """Give the theta at which `_below` is a probability; 0 where it is lower from the start."""
    return _falling(lambda theta: _below(theta, form) > probability, 4 * form.total + 20 * form.noise)


def _falling(above: Callable[[PerCell], Bool[np.ndarray, " cell"]], start: PerCell) -> PerCell:
    """Give where a condition that holds up to some point ends, by halving; 0 where it never holds."""
    low, high = np.zeros_like(start), start.copy()
    while (more := above(high)).any():
        high = np.where(more, 2 * high, high)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        further = above(middle)
        low, high = np.where(further, middle, low), np.where(further, high, middle)
    return np.asarray(np.where(above(np.zeros_like(start)), low, 0.0), np.float64)
