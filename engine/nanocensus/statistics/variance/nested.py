"""Where the variance of particles lies: between sessions, groups, micrographs, or within a micrograph.

Each level lies within the one above it (a group of one session is not that of another), and all within the sample, whose mean
is taken out. What more of is needed to know a mean better is the level with the largest share.

Sources
-------
Searle, Casella and McCulloch, Variance Components (1992), section 5.3: nested analysis of variance of unbalanced data, by
sums of squares of each level within the next and their expectations.
Weerahandi, JASA 88, 899 (1993): generalised intervals, from sums of squares over drawn chi-squares.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64

from nanocensus.statistics.cells.cells import Cells, cells_by_sample
from nanocensus.statistics.cells.partitions import Particles
from nanocensus.statistics.estimation.binning import DESCRIPTORS
from nanocensus.statistics.estimation.checks import check_level
from nanocensus.statistics.estimation.intervals import FEWEST_CLUSTERS, FEWEST_PARTICLES, ClusterSums
from nanocensus.statistics.estimation.panels import cluster_sums, lay_out, panels
from nanocensus.statistics.estimation.philox import check_seed, generator
from nanocensus.statistics.variance.components import about_mean

WITHIN, ALL = "particle", "all samples"
LEVELS = ("session", "group", "micrograph")
COLUMNS = ["sample", "descriptor", "level", "variance", "lower", "upper", "share", "p", "n_units", "degrees_of_freedom",
           "refusal"]  # fmt: skip
_DRAWS = 4000
_TOO_ALIKE = "these units differ less than chance would make them: no interval"


class Sums(NamedTuple):
    """Of the particles of each micrograph, about the mean of their sample."""

    n: Float64[np.ndarray, " micrograph"]
    first: Float64[np.ndarray, " micrograph"]
    second: Float64[np.ndarray, " micrograph"]


class Squares(NamedTuple):
    """The analysis of variance: the levels from the highest to the particles."""

    sums: Float64[np.ndarray, " level"]
    freedom: Float64[np.ndarray, " level"]
    expected: Float64[np.ndarray, "level component"]
    """How often each variance is in the expectation of each sum of squares; upper triangular."""

    def components(self) -> Float64[np.ndarray, " component"]:
        """Give the variances that would have these sums of squares; some may come out negative."""
        return np.asarray(np.linalg.solve(self.expected, self.sums))


def nested_variance(
    particles: Particles | Cells,
    micrographs: pd.DataFrame,
    *,
    of: Sequence[str] = DESCRIPTORS,
    level: float = 0.95,
    seed: int = 0,
    weight: str | None = "border_weight",
) -> pd.DataFrame:
    """Split the variance of descriptors into what lies between sessions, groups, micrographs and particles.

    Parameters
    ----------
    particles : DataFrame or Cells
        Accepted particles; or cells by sample.
    micrographs : DataFrame
        Their micrographs, with session and group where known. A micrograph without one counts as its own.
    of : sequence of str
        The descriptors.
    level : float
        Of the intervals.
    seed : int
        Of the draws that make them.
    weight
        See `cells`.

    Returns
    -------
    DataFrame
        One row a sample (and all samples together, their means taken out), descriptor and level: `variance` (squared unit of
        the column, 0 where it came out negative) with its interval, `share` of the total, `p` of no variance at that level,
        the number of units and degrees of freedom; or a refusal. A level that has one unit in each of the next higher has no
        row: it cannot be told from it.

    Raises
    ------
    StatisticsError
        For cells by other keys than the sample, or without one of the columns.

    Notes
    -----
    The intervals take the effects for normally distributed, and numbers for not too unequal. Few sessions leave them wide, as
    they should be.
    """
    check_seed(seed)
    check_level(level)
    made = cells_by_sample(particles, micrographs, of, weight)
    layout = lay_out(made, "micrograph")
    index = layout.index
    samples = [str(name) for name in layout.keys["sample"]]
    places = [np.flatnonzero(index.panel == panel) for panel in range(len(samples))]
    tables = [_units(made.micrographs, place[np.argsort(index.cluster[place])]) for place in places]
    rows: list[dict[str, object]] = []
    for name in of:
        parts = [_of_micrographs(cluster_sums(sums, made.recipe, name)) for _, sums in panels(made, layout)]
        for sample, sums, units in zip(samples, parts, tables, strict=True):
            rng = generator(seed, f"nested {name} {sample}")
            rows += _rows({"sample": sample, "descriptor": name}, sums, units, level, rng)
        if len(samples) > 1:
            both = Sums(*(np.concatenate(values) for values in zip(*parts, strict=True)))
            rng = generator(seed, f"nested {name} of all")
            rows += _rows({"sample": ALL, "descriptor": name}, both, pd.concat(tables, ignore_index=True), level, rng)
    return pd.DataFrame(rows, columns=COLUMNS)


def squares(sums: Sums, units: Sequence[Int64[np.ndarray, " micrograph"]]) -> Squares:
    """Give sums of squares of nested levels, and what is expected of them.

    Parameters
    ----------
    sums : Sums
    units : sequence of int64 arrays (micrograph,)
        Number of the unit of every level, from the sample down to the micrograph: the unit of each level is in one unit
        of the level before it.

    Examples
    --------
    >>> sums = Sums(np.full(4, 2.0), np.array([-2.0, -2.0, 2.0, 2.0]), np.full(4, 4.0))
    >>> found = squares(sums, [np.zeros(4, int), np.arange(4)])
    >>> found.components().round(9).tolist()  # mean squares 8 / 3 between, 2 within, two particles each
    [0.333333333, 2.0]
    """
    levels = [np.unique(unit, return_inverse=True)[1] for unit in units]
    sizes = [np.bincount(unit, sums.n) for unit in levels]
    explained = [
        float((np.bincount(unit, sums.first) ** 2 / size).sum()) for unit, size in zip(levels, sizes, strict=True)
    ]
    crowd = np.zeros(
        (len(levels), len(levels))
    )  # of a level: particles of its units that lie in one unit of a lower level
    for upper, unit in enumerate(levels):
        for lower in range(upper, len(levels)):
            place = np.zeros(len(sizes[lower]), np.int64)
            place[levels[lower]] = unit
            crowd[upper, lower] = float((np.bincount(place, sizes[lower] ** 2) / sizes[upper]).sum())
    below = len(levels)
    expected = np.zeros((below, below))
    for row in range(1, below):
        expected[row - 1, row - 1 : below - 1] = crowd[row, row:] - crowd[row - 1, row:]
    counts = np.array([len(size) for size in sizes], np.float64)
    freedom = np.append(np.diff(counts), sums.n.sum() - counts[-1])
    expected[:, -1] = freedom
    square = np.append(np.diff(explained), sums.second.sum() - explained[-1])
    return Squares(np.maximum(square, 0.0), freedom, expected)


def interval_of(found: Squares, *, level: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give lower and upper ends of every variance, and p of none: float64 arrays (component,).

    Mean squares over chi-squares of their degrees of freedom, drawn again and again, say what variances may have made them.
    """
    chi = rng.chisquare(found.freedom, (_DRAWS, len(found.freedom)))
    drawn = np.linalg.solve(found.expected, (found.sums * found.freedom / chi).T)
    ends = np.quantile(np.maximum(drawn, 0.0), [(1 - level) / 2, (1 + level) / 2], axis=1)
    return ends[0], ends[1], np.asarray((drawn <= 0).mean(1))


def _rows(head: dict[str, object], sums: Sums, units: pd.DataFrame, level: float,
          rng: np.random.Generator) -> list[dict[str, object]]:  # fmt: skip
    held = sums.n > 0
    kept = Sums(*(values[held] for values in sums))
    table = units[held]
    n, micrographs, samples = int(kept.n.sum().round()), len(table), table["sample"].nunique()
    if n < FEWEST_PARTICLES or micrographs - samples < FEWEST_CLUSTERS - 1:
        needs = f"variances need {FEWEST_PARTICLES} particles, and {FEWEST_CLUSTERS} micrographs of a sample"
        return [head | {"refusal": f"{n} particles on {micrographs} micrographs: {needs}"}]
    names = ["sample"]
    for name in LEVELS:
        if table[name].nunique() > table[names[-1]].nunique():
            names.append(name)
    found = squares(kept, [pd.factorize(table[name])[0] for name in names])
    if not found.sums[-1] > 0:
        return [head | {"refusal": "no two particles of one micrograph differ"}]
    variances = found.components()
    lower, upper, p = interval_of(found, level=level, rng=rng)
    positive = np.maximum(variances, 0.0)
    too_alike = [_TOO_ALIKE if end <= 0 else "" for end in upper]
    lower, upper = (np.where(upper > 0, ends, np.nan) for ends in (lower, upper))
    return [
        head | {"level": name, "variance": positive[i], "lower": lower[i], "upper": upper[i],
                "share": positive[i] / positive.sum(), "p": float("nan") if name == WITHIN else p[i],
                "n_units": n if name == WITHIN else table[name].nunique(), "degrees_of_freedom": found.freedom[i],
                "refusal": too_alike[i]}
        for i, name in enumerate([*names[1:], WITHIN])
    ]  # fmt: skip


def _of_micrographs(sums: ClusterSums) -> Sums:
    """Centre the sums of micrographs; weights add up to the number of particles."""
    centred = about_mean(sums, np.arange(len(sums.n), dtype=np.int64))
    return Sums(*(part[:, 0] for part in centred))


def _units(micrographs: pd.DataFrame, place: Int64[np.ndarray, " micrograph"]) -> pd.DataFrame:
    """Name the unit of every level that each micrograph of a sample lies in, within the unit above it."""
    rows = micrographs.iloc[place].reset_index(drop=True)
    names = [rows["sample"].astype(str)]
    found = {"sample": names[0]}
    for name in LEVELS:
        if name in rows.columns and rows[name].notna().any():
            # Marked as one or the other: a group that is named like a micrograph is not that micrograph.
            known = ("known " + rows[name].astype(str)).where(
                rows[name].notna(), "own " + rows["micrograph"].astype(str)
            )
            names.append(known)
        found[name] = pd.Series(["\0".join(row) for row in zip(*names, strict=True)])
    return pd.DataFrame(found)
