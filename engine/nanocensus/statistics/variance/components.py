"""Variance components of cells, labelled: what further particles and further micrographs are worth."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float64, Int64

from nanocensus.schema import FORMAT_VERSION
from nanocensus.statistics.cells.cells import Cells
from nanocensus.statistics.estimation.checks import check_level
from nanocensus.statistics.estimation.clusters import Cluster
from nanocensus.statistics.estimation.intervals import ClusterSums, PerCell, refusals
from nanocensus.statistics.estimation.panels import Layout, cluster_sums, lay_out, panels
from nanocensus.statistics.variance import intraclass
from nanocensus.statistics.variance.intraclass import Components, MicrographSums

_LAGS = intraclass.MOST_LAGS + 1
_CELL = ("mean", "variance", "between_variance", "between_variance_lower", "between_variance_upper", "within_variance", 
         "icc", "icc_lower", "icc_upper", "design_effect", "design_effect_lower", "design_effect_upper", "effective_n",
         "effective_n_lower", "effective_n_upper", "long_run_factor", "long_run_factor_upper", "neighbour_correlation", "n_clusters")  # fmt: skip


class _Panel(NamedTuple):
    """The micrographs of one combination of keys, in order of acquisition."""

    place: Int64[np.ndarray, " micrograph"]
    """Row of each in the sums of the panel."""
    cluster: Int64[np.ndarray, " micrograph"]
    """Its group or session, from 0."""


def variance_components(cells: Cells, *, cluster: Cluster = "group", level: float = 0.95) -> xr.Dataset:
    """Split the variance of every cell into what lies between micrographs and what lies within.

    Parameters
    ----------
    cells : Cells
        Without size bins for whole samples, with them for every size.
    cluster : {"group", "session", "micrograph", "run", "auto"}
        What the jackknife leaves out as a whole. Where each is a single micrograph, runs of up to ten consecutive ones
        take its place if neighbours are alike (see `intraclass.runs`).
    level : float
        Of the intervals.

    Returns
    -------
    xr.Dataset
        Over the keys of the cells and descriptor: `mean` and `variance` of all particles; `between_variance` and `within_variance` (squared unit of
        the column); `icc`; `design_effect`, by which the variance of the mean exceeds that of as many independent
        particles; `effective_n`, the number of independent particles that would give the mean as well;
        `long_run_factor`, by which the likeness of neighbouring micrographs, or those of a cluster, raises the variance between (1: none), and
        `long_run_factor_upper` if every likeness is believed that chance may have made;
        `neighbour_correlation`; `autocovariance` (lag); `n_clusters`, what the jackknife left out one by one. `_lower` and `_upper` are the ends of intervals, NaN where
        `refusal` says why. Over the keys: `n` and `n_micrographs` and, the square of sizes over sizes, `crowd`, the
        number of particles that a particle finds in its micrograph, itself included.

    Raises
    ------
    StatisticsError
        For clusters that are unknown, and a level that is none.

    Notes
    -----
    The order of acquisition is the column `order` of the micrographs, and that of their names where there is none.
    The bad ends of the intervals of `design_effect` and `effective_n` have `long_run_factor_upper` in them.

    Examples
    --------
    >>> from nanocensus.statistics.cells.cells import cells
    >>> rng = np.random.default_rng(0)
    >>> of = np.repeat(np.arange(40), 100)
    >>> size = 5 + 0.1 * rng.standard_normal(40)[of] + 0.3 * rng.standard_normal(4000)
    >>> rows = pd.DataFrame({"sample": "A", "micrograph": [f"{k:02d}" for k in of], "edge_length_nm": size})
    >>> found = variance_components(cells(rows, by=["sample"], of=["edge_length_nm"], weight=None)).squeeze()
    >>> bool(found["icc_lower"] < 0.1 < found["icc_upper"]), bool(found["effective_n"] < 800)
    (True, True)
    """
    check_level(level)
    layout = lay_out(cells, "micrograph")
    whole = lay_out(cells, cluster)
    members = _members(cells, layout, whole)
    columns = [quantum.column for quantum in cells.recipe.quanta]
    shape = (layout.index.n_cells, len(columns))
    found = {name: np.full(shape, np.nan) for name in _CELL}
    gamma, refusal = np.zeros((*shape, _LAGS)), np.full(shape, "", object)
    counted = {name: np.zeros(len(gamma)) for name in ("n", "n_micrographs", "crowd")}
    for panel, (rows, sums) in zip(members, panels(cells, layout), strict=True):
        n = sums["n"][panel.place]
        with np.errstate(invalid="ignore", divide="ignore"):
            counted["crowd"][rows] = (n.astype(np.float64) ** 2).sum(0) / n.sum(0)
        counted["n"][rows], counted["n_micrographs"][rows] = n.sum(0), len(n)
        for column, name in enumerate(columns):
            own = cluster_sums(sums, cells.recipe, name)
            here, covariance, left_out = _split(about_mean(own, panel.place), panel, level)
            found["mean"][rows, column] = own.moments.mean
            found["variance"][rows, column] = _sample_variance(own)
            gamma[rows, column, : len(covariance)] = covariance.T
            found["n_clusters"][rows, column] = len(np.unique(left_out))
            refusal[rows, column] = reasons = _refusals(n, left_out, here["between_variance_upper"])
            for variable, values in here.items():
                ends = variable.endswith(("_lower", "_upper"))
                found[variable][rows, column] = np.where(reasons == "", values, np.nan) if ends else values
    return _labelled(cells, layout, found, counted, gamma, refusal).assign_attrs(
        whole.facts | {"format_version": FORMAT_VERSION, "level": level, "weight": cells.recipe.weight or ""}
    )


def acquisition_order(micrographs: pd.DataFrame) -> Int64[np.ndarray, " row"]:
    """Give the rows of a table of micrographs in the order in which they were recorded, sample after sample."""
    known = ["sample", *(["order"] if "order" in micrographs.columns else []), "micrograph"]
    return micrographs.reset_index(drop=True).sort_values(known).index.to_numpy(np.int64)


def _members(cells: Cells, layout: Layout, clusters: Layout) -> list[_Panel]:
    order = acquisition_order(cells.micrographs)
    of = layout.index.panel[order]
    by_panel = [order[of == number] for number in range(layout.index.n_panels)]
    return [_Panel(layout.index.cluster[rows], clusters.index.cluster[rows]) for rows in by_panel]


def about_mean(sums: ClusterSums, place: Int64[np.ndarray, " micrograph"]) -> MicrographSums:
    """Centre the sums of micrographs, and scale weights to add up to the number of particles."""
    mean = np.nan_to_num(sums.moments.mean)
    weight, first, second = (values[place] for values in (sums.weight, sums.first, sums.second))
    total = weight.sum(0)
    scale = np.where(total > 0, sums.n.sum(0) / np.where(total > 0, total, 1.0), 0.0)
    centred, squares = first - mean * weight, second - 2 * mean * first + mean**2 * weight
    return MicrographSums(scale * weight, scale * centred, scale * np.maximum(squares, 0.0))


def _sample_variance(sums: ClusterSums) -> PerCell:
    n = sums.moments.n
    return np.asarray(np.where(n > 1, sums.moments.variance * n / np.maximum(n - 1, 1), np.nan))


def _split(sums: MicrographSums, panel: _Panel, level: float) -> tuple[dict[str, PerCell], np.ndarray, np.ndarray]:
    """Give the estimates of one column, its autocovariances, and what was left out together."""
    made = intraclass.components(sums)
    gamma = intraclass.autocovariances(sums, made)
    cluster = panel.cluster
    if len(np.unique(cluster)) == len(cluster):
        everything = MicrographSums(*(part.sum(1, keepdims=True) for part in sums))
        alike = intraclass.autocovariances(everything, intraclass.components(everything))
        cluster = intraclass.runs(len(cluster), float(intraclass.neighbour_correlation(alike)[0]))
    ends = dict(zip(("_lower", "_upper"), intraclass.ratio_interval(sums, cluster, level=level), strict=True))
    factor, safe = (_long_run_factor(sums, made, panel.cluster, beyond) for beyond in (intraclass.BEYOND_CHANCE, 0.0))
    found = {
        "between_variance": made.between,
        "within_variance": made.within,
        "long_run_factor": factor,
        "long_run_factor_upper": safe,
        "neighbour_correlation": intraclass.neighbour_correlation(gamma),
    }
    for end, ratio in {"": np.maximum(made.ratio, 0.0), **ends}.items():
        worth = _worth(sums, ratio, safe if end == "_upper" else factor)
        found |= {f"{name}{end}": values for name, values in worth.items()}
    found |= {f"between_variance{end}": ratio * made.within for end, ratio in ends.items()}
    # The larger the ratio, the fewer the particles are worth.
    found["effective_n_lower"], found["effective_n_upper"] = found["effective_n_upper"], found["effective_n_lower"]
    return found, gamma, cluster


def _long_run_factor(sums: MicrographSums, made: Components, cluster: np.ndarray, beyond: float) -> PerCell:
    """Give the larger factor of two orders: that of acquisition, and the same with the micrographs of a cluster together."""
    _, start, number = np.unique(cluster, return_index=True, return_inverse=True)
    together = np.argsort(start[number], kind="stable")
    orders = [sums]
    if (np.diff(together) != 1).any():
        orders.append(MicrographSums(*(part[together] for part in sums)))
    factors = [intraclass.long_run_factor(intraclass.autocovariances(one, made, beyond=beyond)) for one in orders]
    return np.asarray(np.maximum.reduce(factors))


def _worth(sums: MicrographSums, ratio: PerCell, factor: PerCell) -> dict[str, PerCell]:
    total = sums.n.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        crowd = (sums.n**2).sum(0) / total
        effect = (factor * ratio * crowd + 1) / (ratio + 1)
        return {"icc": intraclass.icc_of(ratio), "design_effect": effect, "effective_n": total / effect}


def _refusals(n: Int64[np.ndarray, "micrograph cell"], cluster: np.ndarray, upper: PerCell) -> np.ndarray:
    """Say where there is no interval of the variance between."""
    whole = np.zeros((int(cluster.max(initial=-1)) + 1, n.shape[1]), np.int64)
    np.add.at(whole, cluster, n)
    reasons = refusals(whole)
    reasons[(reasons == "") & ~np.isfinite(upper)] = "no two particles of one micrograph differ"
    return np.asarray(reasons)


def _labelled(cells: Cells, layout: Layout, found: dict[str, np.ndarray], counted: dict[str, np.ndarray],
              gamma: Float64[np.ndarray, "cell descriptor lag"], refusal: np.ndarray) -> xr.Dataset:  # fmt: skip
    bins = cells.recipe.bins
    outer = (*layout.keys, *(("size_bin",) if bins is not None else ()))
    shape = (*layout.shape, *((layout.index.n_bins,) if bins is not None else ()))
    whole = (*outer, "descriptor")
    variables = {name: (whole, values.reshape(*shape, -1)) for name, values in (found | {"refusal": refusal}).items()}
    variables |= {name: (outer, values.reshape(shape)) for name, values in counted.items()}
    variables["autocovariance"] = ((*whole, "lag"), gamma.reshape(*shape, *gamma.shape[1:]))
    quanta = cells.recipe.quanta
    made = xr.Dataset(variables, coords=dict(layout.keys)).assign_coords(
        descriptor=np.array([quantum.column for quantum in quanta], object),
        unit=("descriptor", np.array([quantum.unit for quantum in quanta], object)),
        lag=np.arange(_LAGS),
    )
    if bins is None:
        return made
    bounds = bins.bounds(layout.bins)
    return made.assign_coords(
        size_bin=bounds.centre, size_left=("size_bin", bounds.left), size_right=("size_bin", bounds.right)
    )
