"""The data of histograms and violins: exact counts, a smooth density and what is marked on it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import xarray as xr
from jaxtyping import Float64, Int64
from scipy import fft

from nanocensus.errors import StatisticsError
from nanocensus.schema import FORMAT_VERSION, WEIGHT_QUANTUM
from nanocensus.statistics.cells.partitions import ParticleSource, add_rows, compute, over_partitions
from nanocensus.statistics.cells.quanta import Number, Quantum, quantum_of
from nanocensus.statistics.cells.recipe import Recipe, check_seen, complaints, integer_weights, look
from nanocensus.statistics.cells.rows import rows_of
from nanocensus.statistics.cells.step_histograms import position
from nanocensus.statistics.cells.sums import Seen, add_seen
from nanocensus.statistics.distributions.bandwidths import improved_sheather_jones, silverman

_PADDING = 4.0
"""Bandwidths of empty space on both sides, so that the cosine transform reflects nothing back."""
_WIDEST = 2.0
"""Largest bandwidth to draw, in Silverman's: there is no room for more, and no reason."""
_SHARES = {"lower_quartile": 0.25, "median": 0.5, "upper_quartile": 0.75, "range_lower": 0.025, "range_upper": 0.975}


def densities(particles: ParticleSource, column: str, *, weight: str | None = "border_weight", points: int = 2048,
              scale: Mapping[str, Number] | None = None) -> xr.Dataset:  # fmt: skip
    """Give each sample's distribution of a column, all on one grid.

    Parameters
    ----------
    particles : pandas or dask DataFrame
        Columns sample, micrograph, the column and the weight; every row counts.
    column : str
        For example "circularity".
    weight : str or None
        Column of weights, or None to count each particle once.
    points : int
        Largest number of grid points. At 2048 the density differs from a kernel sum over the particles by less than
        1e-3 of its maximum.
    scale : mapping of str to float, optional
        See `quantum_of`.

    Returns
    -------
    xr.Dataset
        Along (sample, x): `count` (particles, int64), `weight` and `density` (per unit of the column). Along sample:
        `n`, `mean`, `sd`, `median`, `lower_quartile`, `upper_quartile`, `range_lower` and `range_upper` (2.5 % and
        97.5 % of the data, not an interval of the mean), `mode`, `bandwidth` (improved Sheather-Jones, of the density) and
        `mode_bandwidth` (Silverman, of the smoother density whose highest point is the mode). x are the centres of grid cells with the
        ends `x_left`, `x_right`; for bars add neighbours: ``ds["count"].coarsen(x=32, boundary="pad").sum()``.

    Raises
    ------
    TableError
        For absent columns, missing values and values out of range.
    StatisticsError
        For particles without a weight, samples whose weights are all 0, or no particles.

    Examples
    --------
    >>> rows = pd.DataFrame({"sample": "A", "micrograph": "x", "circularity": [0.8, 0.9, 0.9, 1.0]})
    >>> found = densities(rows, "circularity", weight=None)
    >>> round(float(found["median"].sel(sample="A")), 4), round(float(found["mode"].sel(sample="A")), 3)
    (0.9, 0.9)
    """
    quantum = quantum_of(column, scale)
    recipe = Recipe((quantum,), (), weight)
    table, seen = compute(over_partitions([particles], recipe.columns, _count, _add, recipe))
    check_seen(seen, recipe)
    if table.empty or points < 16:
        raise StatisticsError(
            f"density of {column!r}", expected="particles, and at least 16 points",
            got=f"{len(table)} values, {points} points", remedy="Check the criteria, or leave points out.",
        )  # fmt: skip
    weightless = [str(sample) for sample, total in table.groupby("sample")["w"].sum().items() if total == 0]
    if weightless:
        raise StatisticsError(
            f"density of {column!r}", expected="particles with a weight in every sample",
            got="none in " + ", ".join(weightless), remedy="Leave those samples out, or check the weights.",
        )  # fmt: skip
    summaries = {sample: _summarise(rows, quantum) for sample, rows in table.groupby("sample", sort=True)}
    widest = max(summary["mode_bandwidth"] for summary in summaries.values())
    grid = _grid(table["q"].to_numpy(), _PADDING * _WIDEST * widest / quantum.step, points)
    x = grid.edges_in(quantum)
    curves = []
    for sample, summary in summaries.items():
        counted = _counted(table[table["sample"] == sample], grid)
        weights, smooth = counted["weight"], summary["mode_bandwidth"]
        found = improved_sheather_jones(weights, x[-1] - x[0], int(counted["count"].sum())) or smooth
        summary["bandwidth"] = min(max(found, _smallest(quantum)), _WIDEST * smooth)
        summary["mode"] = mode(kernel_density(weights, x, smooth), x)
        curves.append(counted | {"density": kernel_density(weights, x, summary["bandwidth"])})
    made = xr.Dataset(
        {name: (("sample", "x"), np.stack([curve[name] for curve in curves])) for name in ("count", "weight", "density")}
        | {name: ("sample", np.array([summary[name] for summary in summaries.values()]))
           for name in next(iter(summaries.values()))},
        coords={"sample": np.array(list(summaries), object), "x": (x[:-1] + x[1:]) / 2,
                "x_left": ("x", x[:-1]), "x_right": ("x", x[1:])},
        attrs={"format_version": FORMAT_VERSION, "column": column, "unit": quantum.unit, "weighting": weight or "",
               "bandwidth": "improved Sheather-Jones", "mode_bandwidth": "Silverman: 0.9 min(sd, IQR / 1.349) n^-1/5",
               "quantum": quantum.step},
    )  # fmt: skip
    made["n"] = made["count"].sum("x")
    return made


def kernel_density(weight: Float64[np.ndarray, " x"], edges: Float64[np.ndarray, " edge"],
                   bandwidth: float) -> Float64[np.ndarray, " x"]:  # fmt: skip
    """Smooth a histogram of equal cells with a Gaussian, by the discrete cosine transform.

    Parameters
    ----------
    weight : float64 array
        Weight in each cell of the grid.
    edges : float64 array
        Edges of the cells, one more than weights.
    bandwidth : float
        Standard deviation of the Gaussian, in the unit of the edges.

    Returns
    -------
    float64 array
        Density at the cells' centres; its integral over the grid is 1, mass that would leave is reflected.

    Notes
    -----
    Silverman, Applied Statistics 31, 93 (1982), with the cosine transform of Botev, Grotowski and Kroese, Annals of
    Statistics 38, 2916 (2010).
    """
    size, reach = len(weight), edges[-1] - edges[0]
    spectrum = fft.dct(weight / weight.sum(), type=2)
    damping = np.exp(-0.5 * (np.pi * np.arange(size) * bandwidth / reach) ** 2)
    smooth = np.maximum(fft.idct(spectrum * damping, type=2), 0.0)  # rounding leaves -1e-18 in empty stretches
    return np.asarray(smooth * (size / reach), np.float64)


def mode(density: Float64[np.ndarray, " x"], edges: Float64[np.ndarray, " edge"]) -> float:
    """Give where a density is highest, by the parabola through its three highest neighbours."""
    top = int(np.clip(density.argmax(), 1, len(density) - 2))
    left, middle, right = density[top - 1 : top + 2]
    curvature = left - 2 * middle + right
    shift = 0.5 * (left - right) / curvature if curvature < 0 else 0.0
    step = (edges[-1] - edges[0]) / len(density)
    return float(edges[0] + (top + 0.5 + shift) * step)


class _Counted(NamedTuple):
    """How often each value occurs in a sample, and what was seen on the way."""

    table: pd.DataFrame
    seen: dict[str, Seen]


class _Grid(NamedTuple):
    """Cells of 2^shift quanta, from `first` on."""

    shift: int
    first: int
    size: int

    def edges_in(self, quantum: Quantum) -> Float64[np.ndarray, " edge"]:
        cells = np.arange(self.first, self.first + self.size + 1)
        return (cells * 2.0**self.shift - 0.5) * quantum.step


def _grid(q: Int64[np.ndarray, " value"], padding: float, points: int) -> _Grid:
    low, high = int(q.min()) - int(np.ceil(padding)), int(q.max()) + int(np.ceil(padding))
    shift = 0
    while (high >> shift) - (low >> shift) + 1 > points:
        shift += 1
    return _Grid(shift, low >> shift, max((high >> shift) - (low >> shift) + 1, 3))


def _count(partition: pd.DataFrame | pa.Table, recipe: Recipe) -> _Counted:
    rows = rows_of(partition)
    seen = look(rows, recipe.ranges)
    if complaints(seen, recipe.ranges):
        rows = rows.where(np.zeros(len(rows), bool))
    quantum = recipe.quanta[0]
    found = {"sample": rows.pairs["sample"].to_numpy()[rows.codes], "q": quantum.quantise(rows[quantum.column]),
             "n": np.ones(len(rows), np.int64), "w": integer_weights(rows, recipe.weight)}  # fmt: skip
    return _Counted(add_rows([pd.DataFrame(found)], ["sample", "q"]), seen)


def _add(parts: Sequence[_Counted]) -> _Counted:
    return _Counted(add_rows([part.table for part in parts], ["sample", "q"]), add_seen([part.seen for part in parts]))


def _summarise(rows: pd.DataFrame, quantum: Quantum) -> dict[str, float]:
    q, w, n = (rows[name].to_numpy() for name in ("q", "w", "n"))
    cumulative, total, particles = np.cumsum(w), w.sum(), int(n.sum())
    centre = float(q @ w.astype(np.float64)) / total  # in floating point: q w may pass 2^63 beyond 1e9 particles
    sd = float(np.sqrt((w * (q - centre) ** 2).sum() / total * (particles / max(particles - 1, 1)))) * quantum.step
    marks = {name: (position(q, cumulative, share) - 0.5) * quantum.step for name, share in _SHARES.items()}
    bandwidth = max(silverman(sd, marks["upper_quartile"] - marks["lower_quartile"], particles), _smallest(quantum))
    return {"mean": float(centre * quantum.step), "sd": sd, **marks, "mode_bandwidth": bandwidth}


def _smallest(quantum: Quantum) -> float:
    """Give a bandwidth at which equal values still have a curve."""
    return float(quantum.step * 2**quantum.histogram_shift)


def _counted(rows: pd.DataFrame, grid: _Grid) -> dict[str, np.ndarray]:
    """Count one sample's particles, and add their weights, in the cells of the grid."""
    count, weight = np.zeros(grid.size, np.int64), np.zeros(grid.size, np.int64)
    cells = (rows["q"].to_numpy() >> grid.shift) - grid.first
    np.add.at(count, cells, rows["n"].to_numpy())
    np.add.at(weight, cells, rows["w"].to_numpy())
    return {"count": count, "weight": weight * WEIGHT_QUANTUM}
