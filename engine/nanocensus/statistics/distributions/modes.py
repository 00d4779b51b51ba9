"""How sure the mode of a distribution is: clusters drawn anew, their histograms added, the highest point found again.

The bandwidth stays as it is, so the interval is of the mode of the distribution seen through that kernel.

Sources
-------
Rao and Wu, JASA 83, 231 (1988): one cluster less than there are is drawn, with replacement, for an unbiased variance.
Hesterberg, The American Statistician 69, 371 (2015): percentiles farther out for few clusters, at the shares that
Student's t has in place of the normal distribution.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float64
from scipy import fft, special

from nanocensus.errors import StatisticsError
from nanocensus.statistics.cells.cells import cells
from nanocensus.statistics.cells.partitions import ParticleSource
from nanocensus.statistics.cells.quanta import Number, quantum_of
from nanocensus.statistics.cells.size_bins import size_bins
from nanocensus.statistics.estimation.checks import check_draws, check_level
from nanocensus.statistics.estimation.clusters import Cluster
from nanocensus.statistics.estimation.intervals import FEWEST_PARTICLES
from nanocensus.statistics.estimation.panels import PanelSums, lay_out, panels
from nanocensus.statistics.estimation.philox import check_seed, name_word
from nanocensus.statistics.estimation.resampling import draw_clusters, replicate_sums

FEWEST_CLUSTERS = 8
"""Fewer were not tested."""
_STEPS_PER_BANDWIDTH = 4
_MOST_STEPS = 4096
"""Of the histograms: of samples with very unequal spreads the narrow ones are then seen less finely."""
_PADDING = 4.0
"""Bandwidths of empty space on both sides, so that the cosine transform reflects nothing back."""


def mode_intervals(densities: xr.Dataset, particles: ParticleSource, micrographs: pd.DataFrame | None = None, *,
                   cluster: Cluster = "group", level: float = 0.95, replicates: int = 1000, seed: int = 0,
                   scale: Mapping[str, Number] | None = None) -> xr.Dataset:  # fmt: skip
    """Add the interval of each sample's mode to its density.

    Parameters
    ----------
    densities : xr.Dataset
        Of `densities`, of these particles.
    particles : pandas or dask DataFrame
    micrographs : DataFrame, optional
        Their micrographs (see `cells`).
    cluster : {"group", "session", "micrograph", "run", "auto"}
        What is drawn anew (see `estimate`).
    level : float
        Of the interval.
    replicates : int
        How often.
    seed : int
        Of the draws; those of a sample do not depend on what other samples there are.
    scale : mapping of str to float, optional
        As given to `densities`.

    Returns
    -------
    xr.Dataset
        `densities` with `mode_lower`, `mode_upper` (NaN if refused) and `mode_refusal` along sample.

    Raises
    ------
    StatisticsError
        If the particles are not those of the densities, or the seed is no seed.

    Examples
    --------
    >>> from nanocensus.statistics.distributions.density import densities
    >>> rng = np.random.default_rng(0)
    >>> rows = pd.DataFrame({"sample": "A", "micrograph": list("stuvwxyz") * 100, "circularity": rng.normal(0.9, 0.02, 800)})
    >>> found = mode_intervals(densities(rows, "circularity", weight=None), rows).sel(sample="A")
    >>> bool(found["mode_lower"] < found["mode"] < found["mode_upper"])
    True
    """
    check_seed(seed)
    check_level(level)
    check_draws("replicates", replicates)
    column, weight = str(densities.attrs["column"]), str(densities.attrs["weighting"]) or None
    low, high = float(densities["x_left"].min()), float(densities["x_right"].max())
    finest = float(densities["mode_bandwidth"].min()) / _STEPS_PER_BANDWIDTH
    step = max(finest, (high - low) / _MOST_STEPS, 2 * quantum_of(column, scale).step)
    bins = size_bins(edges=np.arange(np.floor(low / step), np.ceil(high / step) + 1) * step, of=column)
    made = cells(particles, micrographs, by=["sample", bins], of=[column], weight=weight, scale=scale)
    layout = lay_out(made, cluster)
    left = bins.bounds(layout.bins).left
    ends = dict.fromkeys(map(str, densities["sample"].values), (np.nan, np.nan))
    refusals = dict.fromkeys(ends, "no particles")
    for sample, (_, sums) in zip(map(str, layout.keys["sample"]), panels(made, layout), strict=True):
        if sample not in ends:
            continue
        here = densities.sel(sample=sample)
        refusals[sample] = _refusal(sums, int(here["n"]), f"modes of {column!r} in {sample}")
        if not refusals[sample]:
            drawn = draw_clusters(len(sums["w"]), replicates, seed=seed, name=name_word("mode", column, sample))
            held = np.flatnonzero(sums["w"].sum(0))
            weights = replicate_sums(sums["w"][:, held[0] : held[-1] + 1], drawn)
            modes = _modes(weights[:, weights.sum(0) > 0], float(left[held[0]]), step, float(here["mode_bandwidth"]))
            freedom = int((sums["n"].sum(1) > 0).sum()) - 1
            tail = float(special.ndtr(special.stdtrit(freedom, (1 - level) / 2)))
            ends[sample] = (float(np.quantile(modes, tail)), float(np.quantile(modes, 1 - tail)))
    lower, upper = np.array(list(ends.values())).T
    added = {"mode_lower": lower, "mode_upper": upper, "mode_refusal": np.array(list(refusals.values()), object)}
    facts = {
        "mode_level": level,
        "mode_cluster": layout.facts["cluster"],
        "mode_replicates": replicates,
        "mode_seed": seed,
    }
    return densities.assign({name: ("sample", values) for name, values in added.items()}).assign_attrs(facts)


def _refusal(sums: PanelSums, expected: int, subject: str) -> str:
    n, clusters = int(sums["n"].sum()), int((sums["n"].sum(1) > 0).sum())
    if n != expected:
        raise StatisticsError(
            subject, expected=f"the {expected} particles of the density", got=str(n), remedy="Give the same particles."
        )
    if n < FEWEST_PARTICLES or clusters < FEWEST_CLUSTERS:
        return f"{n} particles in {clusters} clusters: an interval of the mode needs {FEWEST_PARTICLES} in {FEWEST_CLUSTERS}"
    return ""


def _modes(weights: Float64[np.ndarray, "bin replicate"], left: float, step: float,
           bandwidth: float) -> Float64[np.ndarray, " replicate"]:  # fmt: skip
    """Give where each histogram, smoothed, is highest: `density.mode` of all at once."""
    padding = int(np.ceil(_PADDING * bandwidth / step))
    padded = np.pad(weights, ((padding, padding), (0, 0)))
    size = len(padded)
    damping = np.exp(-0.5 * (np.pi * np.arange(size) * bandwidth / (size * step)) ** 2)
    smooth = fft.idct(fft.dct(padded, type=2, axis=0) * damping[:, None], type=2, axis=0)
    top = np.clip(smooth.argmax(0), 1, size - 2)
    before, middle, after = (smooth[top + shift, np.arange(smooth.shape[1])] for shift in (-1, 0, 1))
    curvature = before - 2 * middle + after
    with np.errstate(invalid="ignore", divide="ignore"):
        shift = np.where(curvature < 0, 0.5 * (before - after) / curvature, 0.0)
    return np.asarray(left + (top - padding + 0.5 + shift) * step)
