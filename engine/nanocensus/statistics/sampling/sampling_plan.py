"""How many micrographs are enough: planned from those at hand, and asked again while more are recorded."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from nanocensus.errors import StatisticsError
from nanocensus.statistics.cells.cells import Cells
from nanocensus.statistics.cells.quanta import Number
from nanocensus.statistics.estimation.clusters import Cluster
from nanocensus.statistics.estimation.intervals import PerCell
from nanocensus.statistics.sampling.planner import mean_error, micrograph_variance, micrographs_needed
from nanocensus.statistics.variance.components import variance_components

FEWEST_TO_STOP = 10
"""Clusters from which on acquisition may stop: fewer say too little about how different micrographs are."""
_TAKEN = ("n", "n_micrographs", "n_clusters", "variance", "between_variance", "between_variance_lower",
          "between_variance_upper", "within_variance", "long_run_factor", "long_run_factor_upper", "crowd")  # fmt: skip
_SHOWN = ("descriptor", "n", "n_micrographs", "mean", "icc", "icc_lower", "icc_upper", "reached", "needed",
          "needed_lower", "needed_upper", "needed_particles", "independent_particles", "enough", "advice")  # fmt: skip


def sampling_plan(
    cells: Cells,
    *,
    half_width: Number | None = None,
    standard_error: Number | None = None,
    cv: Number | None = None,
    of: Sequence[str] | None = None,
    cluster: Cluster = "group",
    level: float = 0.95,
    at_most: int = 1000,
) -> pd.DataFrame:
    """Say how many micrographs the mean of every cell needs, and whether those at hand are enough.

    Give exactly one of the three targets. It can be asked again and again while micrographs are recorded. "enough" is
    said from ten clusters on, if the target would hold even for micrographs that differ as much as the upper end of the
    interval of their variance allows. To stop as soon as the estimate itself says so is to stop where chance made it small:
    in half of the cases the target is then not truly met (benchmarks/results/sampling.md).

    Parameters
    ----------
    cells : Cells
        Without size bins for whole samples; with them the plan is made for every size.
    half_width : float, optional
        Half the length of the interval of the mean, in the unit of the column.
    standard_error : float, optional
        Of the mean, in the unit of the column.
    cv : float, optional
        Standard error of the mean as a share of it, for example 0.02: the scatter of the means of such studies.
    of : sequence of str, optional
        Descriptors; all of the cells if absent.
    cluster : {"group", "session", "micrograph", "run", "auto"}
        The unit of the intervals, see `variance_components`.
    level : float
        Of all intervals.
    at_most : int
        Micrographs that one would record at the most. What needs more is said to be out of reach.

    Returns
    -------
    DataFrame
        One row a cell that holds particles and descriptor: the keys, size_bin, size_left and size_right where there are size bins,
        descriptor; n and n_micrographs so far; mean, icc, icc_lower, icc_upper; `reached`, the target's quantity as it
        is now; `needed` micrographs in all and, at the ends of the interval of the variance between them, `needed_lower` and
        `needed_upper`; `needed_particles`, those of the cell on as many micrographs; `independent_particles`, how many
        would do if particles were independent; `enough` (bool); `advice` in words.

    Raises
    ------
    StatisticsError
        Unless one target is given and positive; for columns that the cells do not hold.

    Notes
    -----
    J micrographs give the mean a variance (f sb2 c + sw2) / (J m): m the mean number of particles of a micrograph
    (those without count), c the mean square over it, f what the likeness of neighbours adds. A half-width takes t with
    the degrees of freedom that J micrographs will have. All this supposes that further micrographs are like those at
    hand: of the same grid, the same fields of view, equally dense.

    Examples
    --------
    >>> from nanocensus.statistics.cells.cells import cells
    >>> rng = np.random.default_rng(2)
    >>> of = np.repeat(np.arange(12), 100)
    >>> size = 5 + 0.2 * rng.standard_normal(12)[of] + 0.6 * rng.standard_normal(1200)
    >>> rows = pd.DataFrame({"sample": "A", "micrograph": [f"{k:02d}" for k in of], "edge_length_nm": size})
    >>> plan = sampling_plan(cells(rows, by=["sample"], of=["edge_length_nm"], weight=None), half_width=0.1)
    >>> plan["advice"].item()
    'about 9 more (0 to 66)'
    """
    given = {"half_width": half_width, "standard_error": standard_error, "cv": cv}
    if at_most < 1:
        raise StatisticsError(
            "at_most", expected="a number of micrographs, at least 1", got=f"{at_most}", remedy="Leave it out."
        )
    measure, goal = _target({name: value for name, value in given.items() if value is not None})
    split = variance_components(cells, cluster=cluster, level=level)
    split = split.sel(descriptor=_chosen(split, of)).drop_vars(["autocovariance", "lag"])
    table = split.to_dataframe().reset_index()
    table = table[table["n"] > 0].reset_index(drop=True)
    relative = table["mean"].abs().to_numpy() if measure == "cv" else np.ones(len(table))
    table = _with_needs(table, goal * relative, level if measure == "half_width" else None)
    table["reached"] /= relative
    table["advice"] = [_advice(row, at_most) for _, row in table.iterrows()]
    keys = [*cells.by, *(name for name in ("size_bin", "size_left", "size_right") if name in table)]
    shown = table[[*keys, *_SHOWN]].astype({"n": np.int64, "n_micrographs": np.int64})
    shown.attrs["cluster"] = split.attrs["cluster"]
    return shown


def _with_needs(table: pd.DataFrame, goal: PerCell, level: float | None) -> pd.DataFrame:
    """Add what is reached and what is needed; a level makes the goal a half-width, none a standard error."""
    found: dict[str, PerCell] = {name: table[name].to_numpy(np.float64) for name in _TAKEN}
    m, share = found["n"] / found["n_micrographs"], found["n_clusters"] / found["n_micrographs"]
    needs = {}
    for end in ("", "_lower", "_upper"):
        factor = found["long_run_factor_upper" if end == "_upper" else "long_run_factor"]
        variance = micrograph_variance(
            found[f"between_variance{end}"], found["within_variance"], factor, found["crowd"], m
        )
        needed = micrographs_needed(variance, goal, m, share, level=level)
        needs[f"needed{end}"] = np.where(table["refusal"] == "", needed, np.nan)
        if not end:
            needs["reached"] = mean_error(found["n_micrographs"], variance, share, level=level)
    reach = 1.0 if level is None else stats.norm.ppf((1 + level) / 2)
    return table.assign(
        **needs,
        needed_particles=np.ceil(needs["needed"] * m),
        independent_particles=np.ceil(found["variance"] * (reach / goal) ** 2),
        enough=(needs["needed_upper"] <= found["n_micrographs"]) & (found["n_clusters"] >= FEWEST_TO_STOP),
    )


def _target(given: dict[str, Number]) -> tuple[str, float]:
    if len(given) != 1 or not all(0 < value < np.inf for value in given.values()):
        told = ", ".join(f"{name}={value:g}" for name, value in given.items())
        raise StatisticsError(
            "sampling_plan", expected="one target, positive: half_width, standard_error or cv", got=told or "none",
            remedy="For example half_width=0.01.",
        )  # fmt: skip
    ((measure, goal),) = given.items()
    return measure, float(goal)


def _chosen(split: xr.Dataset, of: Sequence[str] | None) -> list[str]:
    held = [str(name) for name in split["descriptor"].values]
    absent = [name for name in of or () if name not in held]
    if absent:
        raise StatisticsError(
            "of", expected="some of " + ", ".join(held), got=", ".join(absent),
            remedy="Name the column in cells(of=[...]).",
        )  # fmt: skip
    return held if of is None else list(dict.fromkeys(of))


def _advice(row: pd.Series, at_most: int) -> str:
    """Put a row of the plan into words."""
    if row["refusal"]:
        return f"cannot be planned: {row['refusal']}"
    now, needed, low, high = (row[name] for name in ("n_micrographs", "needed", "needed_lower", "needed_upper"))
    if row["enough"]:
        return "enough"
    limit = max(at_most, now)
    if needed > limit:
        return f"out of reach: about {needed:,.0f} micrographs, more than {limit:,.0f}"
    if high <= now:
        return f"likely enough, but fewer than {FEWEST_TO_STOP} clusters cannot tell: go on"
    if needed <= now:
        return f"likely enough, not certain: 0 to {high - now:,.0f} more"
    return f"about {needed - now:,.0f} more ({max(low - now, 0):,.0f} to {high - now:,.0f})"
