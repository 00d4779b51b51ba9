"""The numbers by which a size distribution is known: percentiles, span, means, a log-normal fit and what it misses.

By number each particle counts once (times its border weight), by volume as the cube on its size. Many tools print volumes
of spheres instead: a shape's factor cancels in every number here.

Sources
-------
ISO 9276-2: mean sizes from moments, among them D[4,3] (De Brouckere) and D[3,2] (Sauter).
ISO 9276-5: the log-normal distribution with the parameters x_50 and s_g.
Deville, Survey Methodology 25, 193 (1999): the variance of a function of quantiles by linearised variables.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from scipy import special

from nanocensus.schema import LARGEST_WEIGHT
from nanocensus.statistics.cells.cells import cells
from nanocensus.statistics.cells.partitions import Particles, ParticleSource
from nanocensus.statistics.cells.quanta import Number
from nanocensus.statistics.cells.rows import numbers
from nanocensus.statistics.cells.size_bins import size_bins
from nanocensus.statistics.distributions.size_weights import (
    INVERSE,
    LOG,
    WEIGHT,
    derive,
    each_partition,
    extremes,
    read_sizes,
    scale_of,
)
from nanocensus.statistics.estimation.clusters import Cluster
from nanocensus.statistics.estimation.estimation import estimate
from nanocensus.statistics.estimation.intervals import standard_error
from nanocensus.statistics.estimation.panels import cluster_sums, lay_out, panels
from nanocensus.statistics.estimation.reductions import MomentReduction, Reduction, mean, quantile

WEIGHTINGS = ("number", "volume")
ISO_NAMES: Mapping[str, tuple[str, str]] = {
    "d10": ("x_10,0", "x_10,3"),
    "d50": ("x_50,0", "x_50,3"),
    "d90": ("x_90,0", "x_90,3"),
    "span": ("(x_90,0 - x_10,0) / x_50,0", "(x_90,3 - x_10,3) / x_50,3"),
    "mean": ("x_1,0 = D[1,0]", "x_1,3 = D[4,3], De Brouckere"),
    "harmonic_mean": ("x_-1,0 = D[0,-1]", "x_1,2 = D[3,2], Sauter"),
    "geometric_mean": ("x_geo,0", "x_geo,3"),
    "gsd": ("s_g by number", "s_g by volume"),
}
"""Each statistic's name in ISO 9276-1, -2 and -5, by number and by volume."""

_SHARES = {"d10": 0.1, "d50": 0.5, "d90": 0.9}
_LOG_SD = MomentReduction(
    "sd", lambda m: np.sqrt(m.variance), lambda m: (np.zeros_like(m.mean), 0.5 / np.sqrt(m.variance)), spread=True
)
"""The log-normal's sigma by maximum likelihood: the sum of squares is divided by the weight, not by n - 1."""


class _Found(NamedTuple):
    """One statistic of every sample."""

    estimate: np.ndarray
    standard_error: np.ndarray
    degrees_of_freedom: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    refusal: np.ndarray


def size_distribution(particles: ParticleSource, micrographs: pd.DataFrame | None = None, *, of: str = "edge_length_nm",
                      bin_width_nm: float = 0.2, cluster: Cluster = "group", level: float = 0.95,
                      weight: str | None = "border_weight") -> xr.Dataset:  # fmt: skip
    """Give percentiles, span, means and a log-normal fit of the sizes of each sample, by number and by volume.

    Parameters
    ----------
    particles : pandas or dask DataFrame
        Accepted particles: sample, micrograph, the size and the weight.
    micrographs : DataFrame, optional
        Their micrographs (see `cells`).
    of : str
        A length of the particles, in nm.
    bin_width_nm : float
        Width of the size bins in which the fit is judged.
    cluster, level
        See `estimate`.
    weight : str or None
        Column of weights, or None to count each particle once.

    Returns
    -------
    xr.Dataset
        Along sample, weighting ("number", "volume") and statistic (d10, d50, d90, span, mean, harmonic_mean,
        geometric_mean, gsd; `ISO_NAMES` says what others call them): `estimate`, `standard_error`,
        `degrees_of_freedom`, with `lower`, `upper`, `refusal` and `iso_name` as coordinates. Along sample, weighting and
        size_bin: `share` of the weight, `fitted_share` of the log-normal distribution with that geometric mean and
        gsd, and their difference `residual`. Along sample and weighting: `largest_distance` between the cumulative
        shares at the bins' ends. Along sample: `n`, `n_micrographs`, `n_clusters`.

    Raises
    ------
    TableError
        For absent columns, missing sizes, or sizes that are not positive.
    StatisticsError
        For particles without a weight, or no particles.

    Notes
    -----
    Percentiles have Woodruff's intervals, means CR2 and t, the gsd that of its logarithm, a measure of spread. The span's
    is linearised: percentiles move against the shares of each cluster below them, at the rate that their own intervals
    show, and the span with them; then CR2 and t on the logarithm.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> rows = pd.DataFrame({"sample": "A", "micrograph": np.repeat(list("rstuvwxyz"), 500)})
    >>> rows["edge_length_nm"] = rng.lognormal(np.log(5.0), 0.2, len(rows))
    >>> found = size_distribution(rows, weight=None)["estimate"].sel(sample="A")
    >>> found.sel(weighting="number", statistic=["d50", "gsd"]).to_numpy().round(2)
    array([4.97, 1.22])
    """
    kept = read_sizes(particles, of, weight)
    lowest, largest = extremes(kept, of, weight)
    factors = {"number": None, "volume": LARGEST_WEIGHT / largest}
    parts: list[xr.Dataset] = []
    for name in WEIGHTINGS:
        weighed = each_partition(kept, derive, of, weight, factors[name])
        settled = parts[0].attrs["cluster"] if parts else cluster  # "auto" is settled once, by number
        parts.append(_weighted(weighed, micrographs, of, bin_width_nm, scale_of(lowest), settled, level))
    counts = ["n", "n_micrographs", "n_clusters"]
    made = xr.concat([part.drop_vars(counts) for part in parts], xr.Variable("weighting", np.array(WEIGHTINGS, object)),
                     data_vars="all", coords="different", compat="equals", join="exact")  # fmt: skip
    made = made.assign(parts[0][counts]).transpose("sample", "weighting", "statistic", "size_bin")
    names = np.array([ISO_NAMES[str(name)] for name in made["statistic"].values], object).T
    return made.assign_coords(iso_name=(("weighting", "statistic"), names)).assign_attrs(
        of=of, cluster=parts[0].attrs["cluster"], level=level, weight=weight or "", bin_width_nm=bin_width_nm
    )


def _weighted(particles: Particles, micrographs: pd.DataFrame | None, of: str, bin_width_nm: float,
              scale: Mapping[str, Number], cluster: Cluster, level: float) -> xr.Dataset:  # fmt: skip
    """Give the distribution of sizes by one kind of weight."""
    made = cells(particles, micrographs, by=["sample"], of=[of, LOG, INVERSE], weight=WEIGHT, scale=scale)
    percentiles = [quantile(share) for share in _SHARES.values()]
    asked: dict[str, Sequence[Reduction]] = {of: [mean, *percentiles], LOG: [mean, _LOG_SD], INVERSE: [mean]}
    ds = estimate(made, asked, cluster=cluster, level=level)
    found = {name: _of(ds, of, reduction.name) for name, reduction in zip(_SHARES, percentiles, strict=True)}
    found["span"] = _span(particles, micrographs, ds["sample"].to_numpy(), found, ds.attrs["cluster"], level, of)
    found["mean"] = _of(ds, of, "mean")
    found["harmonic_mean"] = _mapped(_of(ds, INVERSE, "mean"), np.reciprocal, falls=True)
    found["geometric_mean"] = _mapped(_of(ds, LOG, "mean"), np.exp)
    found["gsd"] = _mapped(_of(ds, LOG, "sd"), np.exp)
    statistics = {name: (("sample", "statistic"), np.stack([getattr(one, name) for one in found.values()], axis=1))
                  for name in _Found._fields}  # fmt: skip
    whole = xr.Dataset(statistics, coords={"sample": ds["sample"], "statistic": np.array(list(found), object)})
    counts = ds[["n", "n_micrographs", "n_clusters"]]
    fit = _fit(particles, micrographs, of, bin_width_nm, found["geometric_mean"].estimate, found["gsd"].estimate)
    parts = [whole.set_coords(["lower", "upper", "refusal"]), counts.reset_coords(drop=True), fit]
    return xr.merge(parts, join="exact", compat="equals").assign_attrs(cluster=ds.attrs["cluster"])


def _of(ds: xr.Dataset, column: str, statistic: str) -> _Found:
    chosen = ds.sel(descriptor=column, statistic=statistic)
    return _Found(*(chosen[name].to_numpy() for name in _Found._fields))


def _mapped(found: _Found, function: np.ufunc, *, falls: bool = False) -> _Found:
    """Take a statistic through exp or 1/x: ends go with it, errors by the slope."""
    estimate, lower, upper = (function(part) for part in (found.estimate, found.lower, found.upper))
    slope = estimate**2 if falls else estimate
    ends = (upper, lower) if falls else (lower, upper)
    return _Found(estimate, found.standard_error * slope, found.degrees_of_freedom, *ends, found.refusal)


def _span(particles: Particles, micrographs: pd.DataFrame | None, samples: np.ndarray, found: Mapping[str, _Found],
          cluster: Cluster, level: float, of: str) -> _Found:  # fmt: skip
    d10, d50, d90 = (found[name] for name in _SHARES)
    span = (d90.estimate - d10.estimate) / d50.estimate
    limits = {
        str(sample): tuple(found[name].estimate[place] for name in _SHARES) for place, sample in enumerate(samples)
    }
    names = [f"below_{name}" for name in _SHARES]
    made = cells(each_partition(particles, _mark_below, of, limits), micrographs, by=["sample"], of=names, weight=WEIGHT,
                 scale=dict.fromkeys(names, 1))  # fmt: skip
    error = np.full(len(samples), np.nan)
    for rows, panel in panels(made, lay_out(made, cluster)):
        sums = [cluster_sums(panel, made.recipe, name) for name in names]
        residuals = [one.first - one.moments.mean * one.weight for one in sums]
        with np.errstate(invalid="ignore", divide="ignore"):  # clusters of equal shares tell no rate, and no interval
            # How far a percentile moves for a share more below it, as its own interval found it.
            rates = [found[name].standard_error[rows] / standard_error(residual, sums[0].weight)
                     for name, residual in zip(_SHARES, residuals, strict=True)]  # fmt: skip
            low, middle, high = (rate * residual for rate, residual in zip(rates, residuals, strict=True))
            moved = (low - high + span[rows] * middle) / d50.estimate[rows]
            error[rows] = standard_error(moved, sums[0].weight)
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = d50.degrees_of_freedom
        factor = np.exp(special.stdtrit(freedom, (1 + level) / 2) * error / span)
        refusal = np.where(d10.refusal != "", d10.refusal, np.where(d50.refusal != "", d50.refusal, d90.refusal))
        unsaid = (refusal == "") & ~np.isfinite(factor)
        refusal = np.where(unsaid, "not defined for these values (no spread, or not positive)", refusal)
        told = np.where(refusal == "", 1.0, np.nan)
        return _Found(span, error * told, freedom * told, span / factor * told, span * factor * told, refusal)


def _mark_below(frame: pd.DataFrame, of: str, limits: Mapping[str, tuple[float, ...]]) -> pd.DataFrame:
    """Mark the particles below each percentile of their sample."""
    sizes, samples = numbers(frame[of]), frame["sample"].astype(str)
    marks = {f"below_{name}": (sizes < samples.map({sample: ends[place] for sample, ends in limits.items()})
                               .to_numpy(np.float64)).astype(np.float64)
             for place, name in enumerate(_SHARES)}  # fmt: skip
    return frame[["sample", "micrograph", WEIGHT]].assign(**marks)


def _fit(particles: Particles, micrographs: pd.DataFrame | None, of: str, width_nm: float, centre: np.ndarray,
         gsd: np.ndarray) -> xr.Dataset:  # fmt: skip
    """Give the shares of size bins beside those of the log-normal distribution."""
    bins = size_bins(width_nm, of=of)
    made = cells(particles, micrographs, by=["sample", bins], of=[], weight=WEIGHT)
    layout = lay_out(made, "micrograph")
    weight = np.stack([panel["w"].sum(0) for _, panel in panels(made, layout)]).astype(np.float64)
    bounds = bins.bounds(layout.bins)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = weight / weight.sum(1, keepdims=True)
        edges = np.log(np.append(bounds.left, bounds.right[-1:]))  # the lowest may be 0
        below = special.ndtr((edges - np.log(centre)[:, None]) / np.log(gsd)[:, None])
        distance = np.abs(np.cumsum(share, axis=1) - below[:, 1:]).max(1)
    along = ("sample", "size_bin")
    fitted = np.diff(below, axis=1)
    return xr.Dataset(
        {"share": (along, share), "fitted_share": (along, fitted), "residual": (along, share - fitted),
         "largest_distance": ("sample", distance)},
        coords={"sample": layout.keys["sample"], "size_bin": bounds.centre, "size_left": ("size_bin", bounds.left),
                "size_right": ("size_bin", bounds.right)},
    )  # fmt: skip
