"""The cluster bootstrap from cells: statistics of resamples of clusters, without touching a particle."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float64, Shaped

from nanocensus.errors import StatisticsError
from nanocensus.statistics.cells.cells import Cells
from nanocensus.statistics.cells.quanta import Number, Quantum
from nanocensus.statistics.estimation.checks import check_draws
from nanocensus.statistics.estimation.clusters import Cluster
from nanocensus.statistics.estimation.estimation import as_dataset, check_asked
from nanocensus.statistics.estimation.intervals import Estimates, refusals
from nanocensus.statistics.estimation.panels import PanelSums, lay_out, panels
from nanocensus.statistics.estimation.philox import check_seed, name_word
from nanocensus.statistics.estimation.reductions import MomentReduction, Reduction
from nanocensus.statistics.estimation.resampling import (
    centre,
    draw_clusters,
    replicate,
    replicate_errors,
    replicate_products,
)

FEWEST_CLUSTERS = 20
"""With particles, for an interval from the replicates: with fewer it covers too seldom (docs/explanation/intervals.md)."""
_MOST_UNDEFINED = 0.01
"""Share of replicates that may lack a value (no particles drawn, no spread)."""
_MEASURES = ("estimate", "standard_error", "lower", "upper")


def bootstrap(
    cells: Cells,
    reductions: Mapping[str, Sequence[Reduction]],
    *,
    replicates: int = 2000,
    seed: int = 0,
    cluster: Cluster = "group",
    level: float = 0.95,
) -> xr.Dataset:
    """Give statistics of columns in resamples of clusters, and bootstrap-t intervals where they hold.

    Each replicate draws one cluster less than there are, with replacement, from every combination of keys (Rao and Wu,
    JASA 83, 231, 1988); all size bins and columns of one share the draw, so anything can be computed from a replicate
    as from the whole. What is drawn depends on the seed, the keys and the clusters' sorted names, and on no order of
    rows, partitions or workers. Sums of a replicate are exact.

    The intervals are bootstrap-t (Efron; on the logarithm for measures of spread), refused with fewer than 20 clusters
    with particles: there and for quantiles `estimate` has intervals that hold. Percentiles of the replicates are too
    narrow with fewer than about 60, and for thin bins even then.

    Parameters
    ----------
    cells : Cells
    reductions : mapping of str to sequence of reductions
        For example {"circularity": [mean, cv]}; a user's own too, but no quantiles.
    replicates : int
    seed : int
        0 to 2^64 - 1.
    cluster, level
        See `estimate`.

    Returns
    -------
    xr.Dataset
        `replicates` (*keys, descriptor, statistic, replicate), NaN where a resample has no value; `estimate` and
        `standard_error` (the replicates' standard deviation) (*keys, descriptor, statistic) with `lower`, `upper` and
        `refusal` as coordinates; counts as `estimate` has them.

    Raises
    ------
    StatisticsError
        For quantiles, columns that the cells do not hold, fewer than two replicates, or clusters that are unknown.

    Examples
    --------
    >>> import pandas as pd
    >>> from nanocensus.statistics.cells.cells import cells
    >>> from nanocensus.statistics.estimation.reductions import mean
    >>> rows = pd.DataFrame({"sample": "A", "micrograph": list("wxyz") * 5, "edge_length_nm": [3.0, 4.0] * 10})
    >>> made = cells(rows, by=["sample"], of=["edge_length_nm"], weight=None)
    >>> found = bootstrap(made, {"edge_length_nm": [mean]}, replicates=100)["replicates"].squeeze()
    >>> float(found.min()), float(found.max())
    (3.0, 4.0)
    """
    check_asked(cells.recipe, reductions, level)
    check_seed(seed)
    wanted = _moments_only(reductions)
    check_draws("replicates", replicates, least=2)
    layout = lay_out(cells, cluster, list(reductions))
    statistics = list(dict.fromkeys(reduction.name for asked in reductions.values() for reduction in asked))
    shape = (layout.index.n_cells, len(reductions), len(statistics))
    found = {name: np.full(shape, np.nan) for name in _MEASURES}
    refusal = np.full(shape, "not asked for", dtype=object)
    values = np.full((*shape, replicates), np.nan)
    quanta = {quantum.column: quantum for quantum in cells.recipe.quanta}
    for number, (rows, sums) in enumerate(panels(cells, layout)):
        drawn = draw_clusters(sums.n_clusters, replicates, seed=seed, name=_name(layout.keys, number))
        for column, (name, asked) in enumerate(wanted.items()):
            for reduction, (made, resampled) in zip(asked, _of_column(sums, quanta[name], asked, drawn, level),
                                                    strict=True):  # fmt: skip
                here = (rows, column, statistics.index(reduction.name))
                values[here] = resampled
                for measure in _MEASURES:
                    found[measure][here] = getattr(made, measure)
                refusal[here] = made.refusal
    facts = layout.facts | {"level": level, "seed": seed, "fewest_clusters_of_bootstrap": FEWEST_CLUSTERS}
    dataset = as_dataset(cells, layout, reductions, statistics, found, refusal, facts)
    dims = (*dataset["estimate"].dims, "replicate")
    dataset["replicates"] = (dims, values.reshape(*dataset["estimate"].shape, replicates))
    method = {one.name: _method(one) for asked in wanted.values() for one in asked}
    return dataset.assign_attrs(method=method)


def _method(reduction: MomentReduction) -> str:
    return "bootstrap-t of clusters (Rao-Wu)" + (", on the logarithm" if reduction.spread else "")


def _moments_only(reductions: Mapping[str, Sequence[Reduction]]) -> dict[str, list[MomentReduction]]:
    wanted = {name: [one for one in asked if isinstance(one, MomentReduction)] for name, asked in reductions.items()}
    others = [one.name for name, asked in reductions.items() for one in asked if one not in wanted[name]]
    if others:
        raise StatisticsError(
            "bootstrap", expected="functions of mean and variance", got=", ".join(others),
            remedy="estimate() has Woodruff's intervals of quantiles, which need no resampling.",
        )  # fmt: skip
    return wanted


def _name(keys: Mapping[str, np.ndarray], panel: int) -> int:
    """Give the word of one combination of keys."""
    places = np.unravel_index(panel, tuple(len(values) for values in keys.values())) if keys else ()
    texts = [f"{key} {values[place]}" for (key, values), place in zip(keys.items(), places, strict=True)]
    return name_word(*texts)


def _of_column(
    panel: PanelSums, quantum: Quantum, asked: Sequence[MomentReduction], drawn: Float64[np.ndarray, "cluster replicate"],
    level: Number,
) -> list[tuple[Estimates, Float64[np.ndarray, "bin replicate"]]]:  # fmt: skip
    """Give what is said of one column in the bins of one panel, and its values in the replicates."""
    sums, n = centre(panel, quantum.column), panel["n"]
    made = replicate(sums, n, drawn, quantum)
    once = np.ones((len(n), 1))
    whole = replicate(sums, n, once, quantum)
    of_whole, of_made = replicate_products(sums, once), replicate_products(sums, drawn)
    results = []
    for one in asked:
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            value, values = one.value(whole.moments), one.value(made.moments)
            error = replicate_errors(of_whole, whole, one.slopes(whole.moments), once, quantum.step)
            errors = replicate_errors(of_made, made, one.slopes(made.moments), drawn, quantum.step)
            low, high = _studentised(value, error, values, errors, one.spread, level)
            spread = _spread(values)
        reasons = _refusals(n, values, low + high)
        known = np.asarray(reasons == "", bool)
        results.append((Estimates(value[:, 0], np.where(known, spread, np.nan), np.full(len(known), np.nan),
                                  np.where(known, low, np.nan), np.where(known, high, np.nan), reasons), values))  # fmt: skip
    return results


def _spread(values: Float64[np.ndarray, "bin replicate"]) -> Float64[np.ndarray, " bin"]:
    """Give the standard deviation of the replicates that have a value."""
    there = np.isfinite(values)
    count = there.sum(1, keepdims=True)
    kept = np.where(there, values, 0.0)
    distances = np.where(there, kept - kept.sum(1, keepdims=True) / count, 0.0)
    return np.asarray(np.sqrt((distances**2).sum(1) / count[:, 0]))


def _studentised(
    value: np.ndarray, error: np.ndarray, values: np.ndarray, errors: np.ndarray, logarithm: bool, level: Number
) -> tuple[Float64[np.ndarray, " bin"], Float64[np.ndarray, " bin"]]:
    """Turn the replicates' distances in their own standard errors into an interval."""
    if logarithm:
        error, errors = error / value, errors / values
        value, values = np.log(value), np.log(values)
    distances = np.sort((values - value) / errors, axis=1)  # what is undefined comes last
    count = np.isfinite(distances).sum(1, keepdims=True)
    shares = np.array([(1 - level) / 2, (1 + level) / 2])
    places = np.maximum(count - 1, 0) * shares
    below = np.floor(places).astype(np.int64)
    above = np.minimum(below + 1, distances.shape[1] - 1)
    first, second = (np.take_along_axis(distances, place, axis=1) for place in (below, above))
    part = places - below
    quantiles = first + np.where(part > 0, part * (second - first), 0.0)
    low, high = value[:, 0] - quantiles[:, 1] * error[:, 0], value[:, 0] - quantiles[:, 0] * error[:, 0]
    return (np.exp(low), np.exp(high)) if logarithm else (low, high)


def _refusals(n: np.ndarray, values: np.ndarray, ends: np.ndarray) -> Shaped[np.ndarray, " bin"]:
    reasons = refusals(n)
    occupied = (n > 0).sum(0)
    for place in np.flatnonzero((reasons == "") & (occupied < FEWEST_CLUSTERS)):
        reasons[place] = f"{occupied[place]} clusters: resampling needs {FEWEST_CLUSTERS}, estimate() does with fewer"
    undefined = 1 - np.isfinite(values).mean(axis=1)
    reasons[(reasons == "") & ((undefined > _MOST_UNDEFINED) | ~np.isfinite(ends))] = (
        "too many resamples have no value (no spread, or not positive)"
    )
    return reasons
