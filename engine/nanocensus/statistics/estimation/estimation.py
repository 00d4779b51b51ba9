"""From cells to labelled estimates with intervals."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from nanocensus.errors import StatisticsError
from nanocensus.schema import FORMAT_VERSION, WEIGHT_QUANTUM
from nanocensus.statistics.cells.cells import Cells
from nanocensus.statistics.cells.partitions import ParticleSource
from nanocensus.statistics.cells.recipe import Recipe
from nanocensus.statistics.estimation.checks import check_level
from nanocensus.statistics.estimation.clusters import Cluster
from nanocensus.statistics.estimation.intervals import FEWEST_CLUSTERS, FEWEST_PARTICLES, Estimates
from nanocensus.statistics.estimation.panels import Layout, cluster_sums, lay_out, panels, totals
from nanocensus.statistics.estimation.quantile_intervals import find_quantiles
from nanocensus.statistics.estimation.reductions import QuantileReduction, Reduction

_MEASURES = ("estimate", "standard_error", "degrees_of_freedom", "lower", "upper")
_NOT_ASKED = "not asked for"


def estimate(
    cells: Cells,
    reductions: Mapping[str, Sequence[Reduction]],
    *,
    cluster: Cluster = "group",
    level: float = 0.95,
    particles: ParticleSource | None = None,
) -> xr.Dataset:
    """Estimate statistics of columns in every cell, with intervals clustered by what was drawn at random.

    Means have CR2 standard errors and t intervals, standard deviation and CV leave out a cluster at a time, quantiles
    have Woodruff's intervals (see `intervals`). Where there are fewer than 20 particles or 4 clusters with particles, or one
    cluster has more than 95 % of them, there is an estimate, no interval, and a reason in `refusal`.

    Parameters
    ----------
    cells : Cells
    reductions : mapping of str to sequence of reductions
        For example {"circularity": [mean, cv, quantile(0.5)]}.
    cluster : {"group", "session", "micrograph", "run", "auto"}
        The unit of the intervals, nested in the sample. A micrograph without a group is its own. A run is ten
        micrographs in the order of acquisition; "auto" takes what is recorded, and runs where neighbours are alike
        (see `lay_out`); what it took stands in the attributes.
    level : float
        Of the intervals.
    particles : DataFrame, optional
        The particles of the cells, for quantiles of cells that were read from a file.

    Returns
    -------
    xr.Dataset
        `estimate`, `standard_error`, `degrees_of_freedom` (*keys, descriptor, statistic), with `lower`, `upper` and
        `refusal` as coordinates; `n` (particles), `n_micrographs` and `n_clusters` (of the keys, also those without
        particles in the cell) and `n_occupied_clusters` (*keys); `n_outside` (keys but bins): particles in no bin. Bins of a second column make another dimension, called by it
        (`circularity_bin`, `circularity_left`, `circularity_right`).

    Raises
    ------
    StatisticsError
        For columns that the cells do not hold, quantiles without particles, or clusters that are unknown.

    Examples
    --------
    >>> import pandas as pd
    >>> from nanocensus.statistics.cells.cells import cells
    >>> from nanocensus.statistics.estimation.reductions import mean
    >>> rows = pd.DataFrame({"sample": "A", "micrograph": list("wxyz") * 5, "edge_length_nm": [3.0, 4.0] * 10})
    >>> made = cells(rows, by=["sample"], of=["edge_length_nm"], weight=None)
    >>> float(estimate(made, {"edge_length_nm": [mean]})["estimate"].sel(sample="A", statistic="mean").item())
    3.5
    """
    check_asked(cells.recipe, reductions, level)
    layout = lay_out(cells, cluster, list(reductions))
    quantiles = find_quantiles(cells, layout, reductions, particles, level)
    statistics = list(dict.fromkeys(reduction.name for asked in reductions.values() for reduction in asked))
    shape = (layout.index.n_cells, len(reductions), len(statistics))
    found = {name: np.full(shape, np.nan) for name in _MEASURES}
    refusal = np.full(shape, _NOT_ASKED, dtype=object)

    def put(rows: slice, column: int, name: str, made: Estimates) -> None:
        here = (rows, column, statistics.index(name))
        for measure in _MEASURES:
            found[measure][here] = getattr(made, measure)
        refusal[here] = made.refusal

    for rows, sums in panels(cells, layout):
        for column, (name, asked) in enumerate(reductions.items()):
            for reduction in asked:
                if isinstance(reduction, QuantileReduction):
                    made = quantiles.interval(name, reduction.p, rows, sums)
                else:
                    made = reduction.estimates(cluster_sums(sums, cells.recipe, name), level)
                put(rows, column, reduction.name, made)
    return as_dataset(cells, layout, reductions, statistics, found, refusal, layout.facts | {"level": level})


def check_asked(recipe: Recipe, reductions: Mapping[str, Sequence[Reduction]], level: float) -> None:
    """Refuse columns that the cells do not hold, and levels that are none.

    Raises
    ------
    StatisticsError
    """
    held = [quantum.column for quantum in recipe.quanta]
    absent = [name for name in reductions if name not in held]
    if absent or not any(reductions.values()):
        raise StatisticsError(
            "reductions", expected="statistics of the columns of the cells: " + ", ".join(held),
            got=", ".join(absent) or "none", remedy="Name the column in cells(of=[...]).",
        )  # fmt: skip
    check_level(level)


def as_dataset(cells: Cells, layout: Layout, reductions: Mapping[str, Sequence[Reduction]], statistics: list[str],
                found: dict[str, np.ndarray], refusal: np.ndarray, facts: dict[str, object]) -> xr.Dataset:  # fmt: skip
    """Label arrays (cell, column, statistic) by the keys, and add what is known of the cells."""
    recipe, outer = cells.recipe, tuple(layout.keys)
    keys = (*outer, *(f"{axis.name}_bin" for axis in recipe.axes))
    shape = (*layout.shape, *map(len, layout.axes))
    whole = (*keys, "descriptor", "statistic")
    counted = _count(cells, layout)
    coords = dict(layout.keys)
    variables: dict[str, tuple[tuple[str, ...], np.ndarray]] = {
        name: (whole, array.reshape(*shape, *array.shape[1:])) for name, array in (found | {"refusal": refusal}).items()
    }
    variables |= {name: (keys, array.reshape(shape)) for name, array in counted.items() if name != "n_outside"}
    variables["n_outside"] = (outer, counted["n_outside"].reshape(layout.shape))
    made = xr.Dataset(variables, coords=coords).assign_coords(
        descriptor=np.array(list(reductions), object), statistic=np.array(statistics, object)
    )
    for axis, numbers in zip(recipe.axes, layout.axes, strict=True):
        bounds, along = axis.bins.bounds(numbers), f"{axis.name}_bin"
        ends = {f"{axis.name}_left": (along, bounds.left), f"{axis.name}_right": (along, bounds.right)}
        made = made.assign_coords({along: bounds.centre, **ends})
    units = {quantum.column: quantum.unit for quantum in recipe.quanta}
    made = made.assign_coords(unit=("descriptor", np.array([units[name] for name in reductions], object)))
    made = made.set_coords(["lower", "upper", "refusal"])
    return made.assign_attrs(facts | _facts(recipe, reductions))


def _count(cells: Cells, layout: Layout) -> dict[str, np.ndarray]:
    index = layout.index
    particles = [sums["n"] for _, sums in panels(cells, layout)]
    whole = [np.repeat(np.bincount(index.panel, minlength=index.n_panels), index.n_bins),
             np.repeat(layout.n_clusters, index.n_bins)]  # fmt: skip
    n = totals(cells, layout)[0]
    return {
        "n": n[:, 1:].ravel(),
        "n_micrographs": whole[0],
        "n_clusters": whole[1],
        "n_occupied_clusters": np.concatenate([(own > 0).sum(0) for own in particles]),
        "n_outside": n[:, 0],
    }


def _facts(recipe: Recipe, reductions: Mapping[str, Sequence[Reduction]]) -> dict[str, object]:
    facts: dict[str, object] = {
        "format_version": FORMAT_VERSION,
        "weight": recipe.weight or "",
        "method": {reduction.name: reduction.method for asked in reductions.values() for reduction in asked},
        "quantum": {quantum.column: quantum.step for quantum in recipe.quanta},
        "quantile_step": {quantum.column: quantum.step * 2**quantum.histogram_shift for quantum in recipe.quanta},
        "weight_quantum": WEIGHT_QUANTUM,
        "fewest_particles": FEWEST_PARTICLES,
        "fewest_clusters": FEWEST_CLUSTERS,
    }
    for axis in recipe.axes:
        told = {"of": axis.bins.of, "width_nm": axis.bins.width_nm, "quantiles": axis.bins.quantiles}
        facts[f"{axis.name}_bins"] = {name: value for name, value in told.items() if value is not None}
    return facts
