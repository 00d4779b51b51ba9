"""Whether samples of larger means scatter more: the standard deviation against the mean, over samples, on logarithms.

A slope of 1 is a spread in proportion: one distribution, stretched. For a ratio that cannot pass 1 (circularity, solidity) what
stretches is the distance from 1: as the mean nears 1 there is less room, and the spread shrinks in proportion even if nothing
but the mean changes. So narrowing with a rising mean is news only where the slope differs from 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64
from scipy import special

from nanocensus.statistics.cells.cells import Cells, cells_by_sample
from nanocensus.statistics.cells.partitions import Particles
from nanocensus.statistics.estimation.binning import DESCRIPTORS
from nanocensus.statistics.estimation.bootstrap import bootstrap
from nanocensus.statistics.estimation.clusters import Cluster
from nanocensus.statistics.estimation.estimation import estimate
from nanocensus.statistics.estimation.reductions import mean, sd
from nanocensus.statistics.synthesis.power_models import line, line_interval

FEWEST_SAMPLES = 4
_RELIABLE = 0.8
"""Share of the variance of the means between samples that must be no noise: below it slopes come out too flat."""
COLUMNS = ["descriptor", "against", "slope", "lower", "upper", "p_constant", "p_in_proportion", "reliability", "n_samples",
           "left_out", "refusal"]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Spreads:
    """Standard deviations against means."""

    table: pd.DataFrame
    """One row a descriptor; see `spread_against_mean`."""
    points: pd.DataFrame
    """One row a descriptor and sample: mean, room (what the spread is held against), sd, with its interval sd_lower, sd_upper."""


def spread_against_mean(
    particles: Particles | Cells,
    micrographs: pd.DataFrame | None = None,
    *,
    of: Sequence[str] = DESCRIPTORS,
    cluster: Cluster = "group",
    level: float = 0.95,
    seed: int = 0,
    weight: str | None = "border_weight",
) -> Spreads:
    """Say how the standard deviation of descriptors changes with their mean from sample to sample.

    Parameters
    ----------
    particles : DataFrame or Cells
        Accepted particles; or cells by sample.
    micrographs : DataFrame, optional
        Their micrographs.
    of : sequence of str
        The descriptors.
    cluster, level, weight
        See `estimate` and `cells`.
    seed : int
        Of the resamples that tell how much of the means' differences is noise.

    Returns
    -------
    Spreads
        The slope of ln(sd) against ln(mean), for ratios below 1 against ln(1 - mean), with its t interval over samples;
        `p_constant` of a slope of 0 (the spread does not change) and `p_in_proportion` of a slope of 1 (it keeps its proportion to
        the mean, or to the distance from 1); `reliability`, the share of the variance of ln(mean) over samples that is no noise.
        Refused with fewer than four samples or a reliability below 0.8; samples without an interval are in `left_out`.

    Raises
    ------
    StatisticsError
        For cells by other keys than the sample, or without one of the columns.

    Notes
    -----
    Coverage in simulation: benchmarks/results/comparison.md.
    """
    made = cells_by_sample(particles, micrographs, of, weight)
    found = estimate(made, {name: [mean, sd] for name in of}, cluster=cluster, level=level)
    drawn = bootstrap(made, {name: [mean] for name in of}, replicates=200, seed=seed, cluster=cluster)["replicates"]
    rows, points = [], []
    for name in of:
        one = found.sel(descriptor=name)
        told = (one["refusal"] == "").all("statistic").to_numpy()
        means, spreads = (one["estimate"].sel(statistic=which).to_numpy() for which in ("mean", "sd"))
        ratio = str(one["unit"].item()) in ("", "1") and bool((means[told] < 1).all())
        noise = drawn.sel(descriptor=name, statistic="mean").transpose("sample", "replicate").to_numpy()
        room, noisy = (1 - means, 1 - noise) if ratio else (means, noise)
        errors, positive = np.full(len(room), np.nan), told & (room > 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            errors[positive] = np.nanvar(np.log(noisy[positive]), axis=1)
        samples = one["sample"].to_numpy().astype(str)
        left = ", ".join(samples[~told])
        numbers = slope_over_samples(room[told], spreads[told], errors[told], level=level)
        rows.append({"descriptor": name, "against": f"1 - {name}" if ratio else name, **numbers, "left_out": left})
        ends = {f"sd_{end}": one[end].sel(statistic="sd").to_numpy() for end in ("lower", "upper")}
        points.append(
            pd.DataFrame({"descriptor": name, "sample": samples, "mean": means, "room": room, "sd": spreads, **ends})
        )
    table = pd.DataFrame(rows, columns=COLUMNS)
    table.attrs["cluster"] = found.attrs["cluster"]
    return Spreads(table, pd.concat(points, ignore_index=True))


def slope_over_samples(
    room: Float64[np.ndarray, " sample"], spreads: Float64[np.ndarray, " sample"], errors: Float64[np.ndarray, " sample"],
    *, level: float,
) -> dict[str, object]:  # fmt: skip
    """Give the slope of ln(spread) against ln(room) and what is said of it.

    Parameters
    ----------
    room, spreads : float64 arrays (sample,)
    errors : float64 array (sample,)
        Variance of ln(room) from sampling.
    level : float

    Examples
    --------
    >>> room = np.array([1.0, 2.0, 3.0, 4.0])
    >>> found = slope_over_samples(room, np.array([0.3, 0.61, 0.89, 1.2]), np.zeros(4), level=0.95)
    >>> round(found["slope"], 2), found["p_constant"] < 0.01 < found["p_in_proportion"]
    (1.0, True)
    """
    refusal, reliability = "", float("nan")
    if len(room) < FEWEST_SAMPLES:
        refusal = f"{len(room)} samples with an interval: a slope over samples needs {FEWEST_SAMPLES}"
    elif not ((room > 0).all() and (spreads > 0).all()):
        refusal = "not defined: a mean is not positive, or there is no spread"
    else:
        total = float(np.log(room).var(ddof=1))
        reliability = max(1 - float(errors.mean()) / total, 0.0) if total > 0 else 0.0
        if reliability < _RELIABLE:
            refusal = "the means of the samples differ little beyond their noise"
    counts: dict[str, object] = {"n_samples": len(room), "reliability": reliability, "refusal": refusal}
    if refusal:
        return counts
    x = np.log(room)[:, None]
    fitted = line(x - x.mean(), np.log(spreads))
    lower, upper = line_interval(fitted, np.array([[0.0, 1.0]]), level=level, new=False)
    slope = float(fitted.coefficients[1])
    error = float(np.sqrt(fitted.residual_variance * fitted.covariance[1, 1]))
    p = [
        float(2 * special.stdtr(fitted.freedom, -abs(slope - at) / error)) if error > 0 else float(slope == at)
        for at in (0, 1)
    ]
    ends = {"slope": slope, "lower": float(lower[0]), "upper": float(upper[0])}
    return ends | {"p_constant": p[0], "p_in_proportion": p[1]} | counts
