"""What the conditions of a synthesis do to the means of its samples, and what may be said of conditions not tried.

A search over exponents always finds a product of powers that fits a few samples well: its R2 is no evidence. Here the whole
search is repeated without each condition (Q2, predictions) and on means dealt out at random (p).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from nanocensus.errors import StatisticsError
from nanocensus.statistics.cells.cells import Cells, cells_by_sample
from nanocensus.statistics.cells.partitions import Particles
from nanocensus.statistics.estimation.binning import DESCRIPTORS
from nanocensus.statistics.estimation.bootstrap import bootstrap
from nanocensus.statistics.estimation.checks import check_draws
from nanocensus.statistics.estimation.clusters import Cluster
from nanocensus.statistics.estimation.estimation import estimate
from nanocensus.statistics.estimation.philox import check_seed
from nanocensus.statistics.estimation.reductions import mean
from nanocensus.statistics.synthesis.design import Design, conditions_as_row, design_of
from nanocensus.statistics.synthesis.tables import Observed, Options, tables_of


@dataclass(frozen=True, eq=False)
class SynthesisModel:
    """Models of the means of samples; see `synthesis_model`."""

    models: pd.DataFrame
    """One row a descriptor and model: formula, r2, q2, p, residual_sd and sampling_sd (root mean square standard error of the
    means), or a refusal."""
    coefficients: pd.DataFrame
    """One row a descriptor, model and condition: the exponent and the range of those in the confidence set, or the slope in
    the natural logarithm and its t interval."""
    exponents: pd.DataFrame
    """One row a descriptor and choice of exponents: r2, share of the replicates that find it the best, and whether it is
    inside the joint confidence set."""
    predictions: pd.DataFrame
    """One row a descriptor, model and sample: observed, and predicted from the samples of other conditions ("left out"); or
    predicted from all ("unseen"). `outside` says in what that extrapolates."""
    notes: tuple[str, ...]
    """What these conditions cannot tell."""


def synthesis_model(
    particles: Particles | Cells,
    micrographs: pd.DataFrame,
    *,
    of: Sequence[str] = DESCRIPTORS,
    conditions: Sequence[str] | None = None,
    unseen: Mapping[str, Mapping[str, float]] | None = None,
    cluster: Cluster = "group",
    level: float = 0.95,
    replicates: int = 999,
    permutations: int = 9999,
    seed: int = 0,
    weight: str | None = "border_weight",
) -> SynthesisModel:
    """Model the mean descriptors of samples by the conditions of their synthesis.

    Two models: offset + factor x product of powers, the exponents the best of all from -4 to 4 in steps of 0.5 (as Cho et
    al., ACS Nano 18, 29736, 2024, searched), and offset + slopes x logarithms of the conditions.

    Parameters
    ----------
    particles : DataFrame or Cells
        Accepted particles; or cells by sample.
    micrographs : DataFrame
        Their micrographs, with a column a condition ("condition_Co"), the same in all micrographs of a sample.
    of : sequence of str
        The descriptors.
    conditions : sequence of str, optional
        Which conditions, at most three; all that are numbers and differ between samples if absent.
    unseen : mapping of str to mapping, optional
        Conditions to predict, by a name: {"Co0.5": {"Co": 0.5, "water": 0.7}}.
    cluster, level, weight
        See `estimate` and `cells`.
    replicates : int
        Resamples of clusters, for the cloud of exponents and the intervals of predictions.
    permutations : int
        Ways to deal out the means, for p; all ways where there are no more.
    seed : int
        0 to 2^64 - 1.

    Returns
    -------
    SynthesisModel
        q2 is 1 - (sum of squared errors of predictions without the condition) / (that of the mean of the others): 0 is no
        better than a mean, and it may be negative. p is the probability of as large an r2, the whole search included, if means
        have nothing to do with conditions. Prediction intervals are of the measured mean of one more synthesis.

    Raises
    ------
    StatisticsError
        For conditions that are missing, no positive numbers or not those of a sample, or fewer different ones than their
        number and four more; for cells by other keys than the sample, or without one of the columns.

    Notes
    -----
    Every sample counts once: what scatters between repeated syntheses is seen in the residuals alone, unless samples of equal
    conditions are given. Samples whose mean has no interval are left out, and named in `notes`. Intervals of predictions end
    where the descriptor's values can. Coverage in simulation:
    benchmarks/results/synthesis.md.
    """
    check_seed(seed)
    check_draws("permutations", permutations)
    design = design_of(micrographs, conditions)
    made = cells_by_sample(particles, micrographs, of, weight)
    asked = {name: [mean] for name in of}
    found = estimate(made, asked, cluster=cluster, level=level)
    drawn = bootstrap(made, asked, replicates=replicates, seed=seed, cluster=cluster, level=level)
    if refusal := design.refusal():
        raise StatisticsError(
            "samples", expected="enough different conditions for a model", got=refusal,
            remedy="Model fewer conditions at once, or make more samples.",
        )  # fmt: skip
    new = {name: conditions_as_row(design, given, name) for name, given in (unseen or {}).items()}
    options = Options(level, permutations, seed, new)
    limits = {quantum.column: (quantum.minimum, quantum.maximum) for quantum in made.recipe.quanta}
    observed = [_observed(found, drawn, design, name, limits[name]) for name in of]
    parts = zip(*(tables_of(one, options) for one in observed), strict=True)
    models, coefficients, exponents, predictions = (pd.concat(part, ignore_index=True) for part in parts)
    models.attrs["cluster"] = found.attrs["cluster"]
    notes = (*design.notes(), *_left_out(observed, design))
    return SynthesisModel(models, coefficients, exponents, predictions, notes)


def _observed(found: xr.Dataset, drawn: xr.Dataset, design: Design, name: str, limits: tuple[float, float]) -> Observed:
    place = {"descriptor": name, "statistic": "mean"}
    one = found.sel(place)
    told = np.flatnonzero((one["refusal"] == "").to_numpy())
    means = one["estimate"].to_numpy()[told]
    deviations = drawn["replicates"].sel(place).transpose("replicate", "sample").to_numpy()[:, told] - means
    kept = np.array([design.samples.index(str(one["sample"].values[i])) for i in told], np.int64)
    return Observed(name, str(one["unit"].item()), means, deviations, design.of(kept), limits)


def _left_out(observed: Sequence[Observed], design: Design) -> Iterator[str]:
    for one in observed:
        left = [sample for sample in design.samples if sample not in one.design.samples]
        if left:
            yield f"Left out, since their mean {one.name} has no interval: {', '.join(left)}."
