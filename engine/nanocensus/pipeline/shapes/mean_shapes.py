"""Mean shapes: particles and their outlines, block by block, become mean outlines of every sample and size bin.

Outlines are read three times, a block at a time: a sample of each cell is drawn and a reference found from it; all are laid
over the references of their cells and summed; and the paper's running mean goes through them in the order of the table.
"""

from collections.abc import Sequence
from typing import Any

import dask.array as da
import dask.dataframe as dd
import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from dask.delayed import Delayed, delayed

from nanocensus.errors import StatisticsError, TableError
from nanocensus.measure.acceptance import FAILED
from nanocensus.measure.alignment import align
from nanocensus.measure.mean_outline import symmetric_part
from nanocensus.pipeline.shapes import outline_passes
from nanocensus.pipeline.shapes.outline_passes import RAYS, Cell, Reference, Settings
from nanocensus.statistics.cells.cells import SizeBins, cells, delayed_cells, size_bins
from nanocensus.statistics.cells.partitions import Particles, compute, tree_of_sums
from nanocensus.statistics.cells.quanta import quantum_of
from nanocensus.statistics.estimation.clusters import Cluster
from nanocensus.statistics.outlines import meanshape
from nanocensus.statistics.outlines.intervals import ANGLES
from nanocensus.statistics.outlines.meanshape import SCALE
from nanocensus.statistics.outlines.shape_indices import INDICES, whole_quarter

Outlines = xr.DataArray | da.Array | npt.NDArray[np.floating[Any]]
"""r(theta) at 128 angles, a row a particle."""
Pieces = Sequence[tuple[Delayed, Delayed]]
"""The rows and the outlines of each block."""


def mean_shapes(
    particles: Particles,
    outlines: Outlines,
    micrographs: pd.DataFrame | None = None,
    *,
    bins: SizeBins = size_bins(0.2),  # noqa: B008  a frozen value
    cluster: Cluster = "group",
    level: float = 0.95,
    weight: str | None = "border_weight",
    seed: int = 0,
) -> xr.Dataset:
    """Give the mean outline of every sample and size bin, with bands and indices of its shape.

    Each outline is divided by its mean radius and laid over a reference with the symmetry of a square: that of its sample
    and size bin, which is the symmetric part of the mean of what is laid over it. Nothing depends on the order of the
    particles or on how they are partitioned. Aligned noise has corners too: what alignment adds is estimated, by planting the
    mean under the particles' own roughness, and taken off, and where the mean is not clearly more square than what alignment
    makes of equally rough round particles there is a reason instead of a number (docs/explanation/mean-shapes.md).

    Parameters
    ----------
    particles : pandas or dask DataFrame
        sample, micrograph, label, star_shaped, the column of the bins and the weight. Rows that failed a criterion
        (`failed_criteria`) and those that are not star-shaped are left out here, not before.
    outlines : float (particle, 128)
        r(theta), nm, row for row: `read_outlines` beside `read_particles`. Both in memory, or both lazy in equal blocks.
    micrographs : DataFrame, optional
        Their micrographs, those without particles too.
    bins : SizeBins
    cluster, level
        See `estimate`.
    weight : str or None
        Column of weights, or None to count each particle once.
    seed : int
        Of the surrogates and of the resamples behind the bands.

    Returns
    -------
    xr.Dataset
        As `statistics.outlines.meanshape.mean_shapes` gives it, and: `density` (sample, size_bin, y, x), in how many squares of a grid
        in mean radii how many outlines are; `running_mean` (sample, size_bin, ray), the paper's running-mean alignment, which
        depends on the order of the particles, and `index_running_mean` of its symmetric part; `n_not_star_shaped` and
        `converged` (sample, size_bin).

    Raises
    ------
    TableError
        If outlines and rows do not belong together, or columns are missing or hold what cannot be counted.
    StatisticsError
        If no accepted particle is star-shaped, or the clusters are not known.

    References
    ----------
    Cho et al., ACS Nano 2024, 18, 29736: the running mean, and outlines drawn over one another.
    """
    _require_columns(particles)
    columns = list(dict.fromkeys(["sample", "micrograph", bins.of, *([weight] if weight else [])]))
    sized = cells(rows_that_count(particles, columns), micrographs, by=["sample", bins], of=[bins.of], weight=weight)
    if sized.table.empty:
        raise StatisticsError(
            "mean shapes", expected="accepted particles that are star-shaped", got="none",
            remedy="Look at the criteria, and at star_shaped among the particles.",
        )  # fmt: skip
    bins, size = sized.recipe.bins or bins, quantum_of(bins.of)
    settings = Settings(size, bins.grid(size), weight, seed)
    pieces = _pieces(particles, outlines, settings)
    references = _references(pieces, settings)
    visits = [delayed(outline_passes.visit, pure=False)(*piece, settings, references) for piece in pieces]
    tables = dd.from_delayed([visited.table for visited in visits], meta=_meta(particles, settings), verify_meta=False)
    summed = delayed_cells(tables, micrographs, by=["sample", bins], of=list(SCALE), weight=weight, scale=dict(SCALE))
    counted = tree_of_sums([(visited.density, visited.left_out) for visited in visits], outline_passes.add_densities)
    made, (density, left_out) = compute(delayed([summed, counted]))
    shifts = {cell: reference.shift for cell, reference in references.items()}
    shapes = meanshape.mean_shapes(made, shifts, cluster=cluster, level=level, seed=seed)
    numbers = dict(zip(shapes["size_bin"].to_numpy().tolist(), _numbers(bins, shapes), strict=True))
    shapes = shapes.assign_attrs(size_bins={"of": bins.of})
    return _with_pictures(shapes, numbers, references, density, left_out, _running_means(pieces, settings))


def rows_that_count(particles: Particles, columns: Sequence[str]) -> Particles:
    """Keep some columns of the accepted, star-shaped particles."""
    wanted = [*columns, *(name for name in ("star_shaped", FAILED) if name in particles.columns)]
    present = particles[[name for name in dict.fromkeys(wanted) if name in particles.columns]]
    if isinstance(present, pd.DataFrame):
        return outline_passes.keep(present)
    kept: dd.DataFrame = present.map_partitions(outline_passes.keep, meta=present._meta)
    return kept


def _require_columns(particles: Particles) -> None:
    missing = [name for name in ("sample", "micrograph", "label", "star_shaped") if name not in particles.columns]
    if missing:
        raise TableError(
            "particles", expected="the columns sample, micrograph, label and star_shaped",
            got="none named " + ", ".join(missing),
            remedy='Measure with the estimator "outline", and take the rows as nc.read_particles gives them.',
        )  # fmt: skip


def _pieces(particles: Particles, outlines: Outlines, settings: Settings) -> Pieces:
    """Pair the blocks of both; what is in memory is one block."""
    radii = outlines.data if isinstance(outlines, xr.DataArray) else outlines
    wanted = [name for name in settings.columns if name in particles.columns]
    if isinstance(particles, dd.DataFrame) and isinstance(radii, da.Array):
        frames, arrays = particles[wanted].to_delayed(), radii.rechunk({1: -1}).to_delayed().ravel()
        if len(frames) != len(arrays):
            raise TableError(
                "outlines", expected=f"{len(frames)} blocks, as many as the particles have", got=str(len(arrays)),
                remedy="Take both as nc.read_particles and nc.read_outlines give them.",
            )  # fmt: skip
        return list(zip(frames, arrays, strict=True))
    frame = particles.compute() if isinstance(particles, dd.DataFrame) else particles
    return [(delayed(frame[wanted]), delayed(np.asarray(radii)))]


def _meta(particles: Particles, settings: Settings) -> pd.DataFrame:
    head = particles._meta if isinstance(particles, dd.DataFrame) else particles.iloc[:0]
    kept = ["sample", "micrograph", settings.size.column, *([settings.weight] if settings.weight else [])]
    return head[list(dict.fromkeys(kept))].assign(**dict.fromkeys(SCALE, 0.0)).astype(dict.fromkeys(SCALE, np.float64))


def _references(pieces: Pieces, settings: Settings) -> dict[Cell, Reference]:
    parts = [delayed(outline_passes.draw, pure=False)(*piece, settings) for piece in pieces]
    drawn = compute(tree_of_sums(parts, outline_passes.join_drawn))
    found = compute(delayed([delayed(outline_passes.find_reference, pure=False)(each) for each in drawn.values()]))
    return dict(zip(drawn, found, strict=True))


def _running_means(pieces: Pieces, settings: Settings) -> dict[Cell, tuple[np.ndarray, int]]:
    state: dict[Cell, tuple[np.ndarray, int]] = {}
    for piece in pieces:  # one block after the other: the order is what this mean depends on
        state = compute(delayed(outline_passes.run_on, pure=False)(state, *piece, settings))
    return state


def _numbers(bins: SizeBins, shapes: xr.Dataset) -> list[int]:
    """Give the numbers of the result's size bins."""
    if bins.width_nm is None:
        return list(range(shapes.sizes["size_bin"]))
    return [round(left / bins.width_nm) for left in shapes["size_left"].to_numpy().tolist()]


def _with_pictures(
    shapes: xr.Dataset,
    numbers: dict[float, int],
    references: dict[Cell, Reference],
    density: dict[Cell, np.ndarray],
    left_out: dict[Cell, int],
    running: dict[Cell, tuple[np.ndarray, int]],
) -> xr.Dataset:
    """Add what is no estimate: densities, running means, and counts."""
    shape = (shapes.sizes["sample"], shapes.sizes["size_bin"])
    side = outline_passes.DENSITY_BINS
    counts, paper = np.zeros((*shape, side, side), np.int64), np.full((*shape, RAYS), np.nan)
    of_paper, lost = np.full((*shape, len(INDICES)), np.nan), np.zeros(shape, np.int64)
    converged = np.zeros(shape, bool)
    for row, sample in enumerate(shapes["sample"].to_numpy()):
        for column, centre in enumerate(shapes["size_bin"].to_numpy().tolist()):
            cell = (str(sample), numbers[centre])
            lost[row, column] = left_out.get(cell, 0)
            if cell not in references:
                continue
            counts[row, column], converged[row, column] = density[cell], references[cell].converged
            if not shapes["n"].to_numpy()[row, column] or np.isnan(shapes["aligned"].to_numpy()[row, column]).any():
                continue
            whole = np.tile(whole_quarter(shapes["aligned"].to_numpy()[row, column]), 4)
            paper[row, column] = align(running[cell][0][None], whole).radii[0]
            half = symmetric_part(paper[row, column], 4)[:ANGLES]
            of_paper[row, column] = [index(half) for index in INDICES.values()]
    middle = (np.arange(side) + 0.5) / side * 2 * outline_passes.DENSITY_REACH - outline_passes.DENSITY_REACH
    keys = ("sample", "size_bin")
    return shapes.assign(
        density=((*keys, "y", "x"), counts), running_mean=((*keys, "ray"), paper),
        index_running_mean=((*keys, "index"), of_paper), n_not_star_shaped=(keys, lost), converged=(keys, converged),
    ).assign_coords(
        x=middle, y=middle, ray=xr.Variable("ray", np.arange(RAYS) * 360.0 / RAYS, {"units": "deg"})
    )  # fmt: skip
