"""How particles scatter: between the micrographs of a sample, and within a micrograph."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from nanocensus.simulate.population_spec import DIAMETER, PopulationSpec, SampleSpec

Columns = dict[str, Float64[np.ndarray, " _"]]

_SHARE_SHAPE = 40.0
"""Of the gamma distribution of the micrographs' shares of the particles: they differ by 16 %."""
_LOWEST_MEAN = 0.02
"""A rare, very strong effect would make a mean negative."""
_ECCENTRICITY = (5.0, 7.0)
"""Of the beta distribution: 0.42 on average, a standard deviation of 0.14."""


@dataclass(frozen=True)
class MicrographEffect:
    """What one micrograph does to its particles."""

    sample: str
    """Name of the sample."""
    order: int
    """Position in the order of acquisition."""
    n_particles: int
    """Number of its particles."""
    edge_length_factor: float
    """Factor of the median edge length; its logarithm is 0 on average."""
    circularity_factor: float
    """Factor of the distance of the mean circularity from 1; 1 on average."""
    solidity_factor: float
    """Factor of the distance of the mean solidity from 1; 1 on average."""


def draw_effects(sample: SampleSpec, rng: np.random.Generator) -> list[MicrographEffect]:
    """Draw the effects of a sample's micrographs, in order of acquisition; their particles add up to what is told."""
    n, growth = sample.n_micrographs, sample.growth
    shares = rng.gamma(_SHARE_SHAPE, size=n)
    counts = rng.multinomial(sample.n_particles, shares / shares.sum())
    effects = rng.standard_normal((n, 3))
    for order in range(1, n):  # AR(1): each carries over a part of the one before
        effects[order] *= math.sqrt(1 - sample.autocorrelation**2)
        effects[order] += sample.autocorrelation * effects[order - 1]
    ramp = np.linspace(-0.5, 0.5, n) if n > 1 else np.zeros(1)
    between = math.sqrt(sample.icc)
    factors = np.stack(
        [
            np.exp(between * sample.log_sd * effects[:, 0] + sample.drift * ramp),
            _mean_one(effects[:, 1], between * sample.circularity_sd / (1 - growth.circularity)),
            _mean_one(effects[:, 2], between * sample.solidity_sd / (1 - growth.solidity)),
        ],
        axis=1,
    )
    return [
        MicrographEffect(sample.name, order, count, *row)
        for order, (count, row) in enumerate(zip(counts.tolist(), factors.tolist(), strict=True))
    ]


def _mean_one(normal: Float64[np.ndarray, " n"], sd: float) -> Float64[np.ndarray, " n"]:
    """Make standard normal values log-normal with mean 1 and a standard deviation."""
    log_variance = math.log1p(sd**2)
    return np.asarray(np.exp(math.sqrt(log_variance) * normal - log_variance / 2))


def draw_sizes(spec: PopulationSpec, sample: SampleSpec, effect: MicrographEffect, rng: np.random.Generator) -> Columns:
    """Draw edge lengths and centres of particles that are large enough and lie wholly in the micrograph.

    Returns
    -------
    dict of float64 arrays (n_particles,)
        `edge_length_nm`, `centroid_y_nm`, `centroid_x_nm`, in raster order of the upper edges.
    """
    n, log_median = effect.n_particles, math.log(sample.median_edge_length_nm * effect.edge_length_factor)
    within = math.sqrt(1 - sample.icc) * sample.log_sd
    found: list[Float64[np.ndarray, "3 k"]] = [np.empty((3, 0))]
    while (missing := n - sum(part.shape[1] for part in found)) > 0:
        size = np.exp(log_median + within * rng.standard_normal(missing + 8))
        y, x = rng.uniform(0, spec.field_nm, (2, missing + 8))
        half = DIAMETER * size / 2
        whole = (np.minimum(y, x) >= half) & (np.maximum(y, x) <= spec.field_nm - half)
        kept = whole & (size**2 >= spec.smallest_area_nm2)
        found.append(np.stack([size, y, x])[:, kept][:, :missing])
    size, y, x = np.concatenate(found, axis=1)
    order = np.argsort(y - DIAMETER * size / 2, kind="stable")
    return {"edge_length_nm": size[order], "centroid_y_nm": y[order], "centroid_x_nm": x[order]}


def draw_shapes(
    sample: SampleSpec,
    effect: MicrographEffect,
    edge_length_nm: Float64[np.ndarray, " n"],
    rng: np.random.Generator,
) -> Columns:
    """Draw circularity, solidity and eccentricity of particles of known sizes.

    Returns
    -------
    dict of float64 arrays (n,)
        `circularity`, `solidity` and `eccentricity`, all between 0 and 1.
    """
    growth = sample.growth
    return {
        "circularity": _bounded(
            1 - effect.circularity_factor * (1 - growth.circularity_at(edge_length_nm)),
            _precision(growth.circularity, sample.circularity_sd, sample.icc),
            rng,
        ),
        "solidity": _bounded(
            1 - effect.solidity_factor * (1 - growth.solidity_at(edge_length_nm)),
            _precision(growth.solidity, sample.solidity_sd, sample.icc),
            rng,
        ),
        "eccentricity": rng.beta(*_ECCENTRICITY, size=edge_length_nm.size),
    }


def _precision(mean: float, sd: float, icc: float) -> float:
    """Give a + b of the beta distribution that, with the micrographs' effects, has the told standard deviation."""
    return (mean * (1 - mean) - icc * sd**2) / ((1 - icc) * sd**2) - 1


def _bounded(mean: Float64[np.ndarray, " n"], precision: float, rng: np.random.Generator) -> Float64[np.ndarray, " n"]:
    """Draw from beta distributions: skewed towards the middle, and never beyond 0 or 1."""
    mean = np.maximum(mean, _LOWEST_MEAN)
    return rng.beta(precision * mean, precision * (1 - mean))
