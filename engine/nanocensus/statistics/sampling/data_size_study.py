"""How far size-resolved curves of less data lie from those of all: some of the micrographs, or some of the particles.

The study of Cho et al. (ACS Nano 2024, 18, 29736), Figure S10. Smaller studies are drawn from integer cells: a replicate is
a row of zeros and ones, and all of them are one matrix product, without a second look at the particles.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import xarray as xr
from jaxtyping import Float64, Int64

from nanocensus.errors import StatisticsError, TableError
from nanocensus.statistics.cells._kernels import LIMB_BITS
from nanocensus.statistics.cells.bin_numbers import Numbering, numbered_through
from nanocensus.statistics.cells.cells import Cells, SizeBins, cells, size_bins
from nanocensus.statistics.cells.ordered import ordered
from nanocensus.statistics.cells.partitions import ParticleSource, compute, over_partitions
from nanocensus.statistics.cells.quanta import Number
from nanocensus.statistics.cells.recipe import Recipe, sum_rows
from nanocensus.statistics.cells.rows import Names, Rows, rows_of
from nanocensus.statistics.cells.size_bins import OUTSIDE
from nanocensus.statistics.cells.sums import CellSums, add_cells
from nanocensus.statistics.estimation.binning import DESCRIPTORS
from nanocensus.statistics.estimation.panels import Layout, lay_out
from nanocensus.statistics.estimation.philox import Purpose, check_seed, name_word, random_words
from nanocensus.statistics.sampling.permutation import PLACES, random_places

MICROGRAPHS_DRAWN = (1, 2, 5, 10, 20, 50)
DRAWN = ("micrographs", "particles")
_PIECES = 512
"""Parts that the random order of a sample's particles is cut into; a draw of particles is some of them."""


class _Units(NamedTuple):
    """What is drawn as a whole, of one sample."""

    names: list[str]
    n: Float64[np.ndarray, "unit bin"]
    weight: Float64[np.ndarray, "unit bin"]
    first: Float64[np.ndarray, "unit bin descriptor"]
    """Sums in quanta: whole numbers, so their sums are exact below 2^53."""


def data_size_study(
    particles: ParticleSource,
    micrographs: pd.DataFrame | None = None,
    *,
    bins: SizeBins = size_bins(0.2),  # noqa: B008  a frozen value
    of: Sequence[str] = DESCRIPTORS[1:],
    micrographs_drawn: Sequence[int] = MICROGRAPHS_DRAWN,
    replicates: int = 200,
    seed: int = 0,
    weight: str | None = "border_weight",
    scale: Mapping[str, Number] | None = None,
) -> xr.Dataset:
    """Compare the mean of every size bin from a part of the data with that from all of them.

    The part is so many micrographs, or as many particles drawn at random from all micrographs: two passes.

    Parameters
    ----------
    particles : pandas or dask DataFrame
        Accepted particles: sample, micrograph, label, edge length (or what `bins` are of), descriptors, weight.
    micrographs : DataFrame, optional
        Their micrographs.
    bins : SizeBins
    of : sequence of str
        The descriptors.
    micrographs_drawn : sequence of int
        Numbers of micrographs to draw. A sample that has no more has no value.
    replicates : int
        How often each is drawn, without replacement.
    seed : int
        0 to 2^64 - 1.
    weight : str or None
        Column of weights, or None to count each particle once.
    scale : mapping of str to float, optional
        Quantum of columns that the schema does not know.

    Returns
    -------
    xr.Dataset
        `curve` (sample, descriptor, size_bin): the means of all data. `rms_deviation` from it (sample, descriptor,
        drawn, micrographs_drawn, size_bin), over the replicates that have particles in the bin, `present` being their
        share; `rms_deviation_all`, over all bins, each with its share of the weight. `n_drawn` (sample, drawn,
        micrographs_drawn): particles of a replicate in all bins, on average. `drawn` is "micrographs" or "particles".

    Raises
    ------
    StatisticsError
        For numbers below 1, and a seed out of its range.
    TableError
        As `cells`, and for particles without a label.

    Notes
    -----
    All data are themselves a draw: the deviation from the truth is larger than that from all data, which goes to zero
    as the part comes near the whole. With J micrographs in all, k of them deviate by sqrt(1 - k / J) as much as k of
    very many would.
    """
    if replicates < 1 or min(micrographs_drawn, default=0) < 1:
        raise StatisticsError(
            "data_size_study", expected="at least one replicate of at least one micrograph",
            got=f"{replicates} of {list(micrographs_drawn)}", remedy="Leave them out for the default.",
        )  # fmt: skip
    check_seed(seed)
    made = cells(particles, micrographs, by=["sample", bins], of=of, weight=weight, scale=scale)
    layout = lay_out(made, "micrograph")
    pieces = _pieces_of(particles, made.recipe, seed)
    names = [f"{piece:03d}" for piece in range(_PIECES)]
    found = []
    for sample in layout.keys["sample"]:
        own = made.micrographs.loc[made.micrographs["sample"] == sample, "micrograph"].tolist()
        whole = _units(made.table, sample, own, made.recipe, layout.bins)
        parts = _units(pieces, sample, names, made.recipe, layout.bins)
        found.append(_study(sample, whole, parts, micrographs_drawn, replicates, seed))
    return _labelled(found, made, layout, micrographs_drawn).assign_attrs(
        replicates=replicates, seed=seed, weight=weight or ""
    )


def _pieces_of(particles: ParticleSource, recipe: Recipe, seed: int) -> pd.DataFrame:
    """Sum the particles by piece of the random order, where cells have the micrograph."""
    numbering, columns = numbered_through(recipe.axes), [*recipe.columns, "label"]
    sums: CellSums = compute(over_partitions([particles], columns, _sum_pieces, add_cells, recipe, numbering, seed))
    return ordered(sums.blocks, len(recipe.quanta)).table(recipe.sums)


def _sum_pieces(partition: pd.DataFrame | pa.Table, recipe: Recipe, numbering: Numbering, seed: int) -> CellSums:
    rows = rows_of(partition)
    labels = rows["label"]
    if not np.isfinite(labels).all():
        raise TableError(
            "column 'label'", expected="a value in every row", got=f"{int((~np.isfinite(labels)).sum())} missing (null or NaN)",
            remedy="Number the particles of each micrograph.",
        )  # fmt: skip
    piece = random_places(rows.codes, rows.pairs, labels.astype(np.int64), seed=seed) // (PLACES // _PIECES)
    sample, samples = pd.factorize(rows.pairs["sample"])
    names = Names(pa.array(samples, pa.string()), pa.array([f"{number:03d}" for number in range(_PIECES)]))
    of_pieces = Rows((sample[rows.codes] * _PIECES + piece).astype(np.int32), names, rows.buffers)
    return sum_rows(of_pieces, recipe, numbering)


def _units(table: pd.DataFrame, sample: str, names: Sequence[str], recipe: Recipe, bins: np.ndarray) -> _Units:
    """Lay the cells of a sample out by what is drawn."""
    rows = table[(table["sample"] == sample) & (table["size_bin"] != OUTSIDE)]
    at = (
        pd.Index(names).get_indexer(pd.Index(rows["micrograph"])),
        rows["size_bin"].to_numpy() - bins[0] if len(rows) else [],
    )
    columns = [quantum.column for quantum in recipe.quanta]
    found = np.zeros((len(names), len(bins), 2 + len(columns)))
    found[(*at, 0)], found[(*at, 1)] = rows["n"], rows["w"]
    for place, column in enumerate(columns):
        found[(*at, 2 + place)] = rows[f"{column}_wq_high"] * 2.0**LIMB_BITS + rows[f"{column}_wq_low"]
    return _Units(list(names), found[..., 0], found[..., 1], found[..., 2:])


def _study(
    sample: str, micrographs: _Units, pieces: _Units, counts: Sequence[int], replicates: int, seed: int
) -> dict[str, np.ndarray]:
    """Draw from micrographs, and as many particles from pieces; deviations are in quanta."""
    total = micrographs.weight.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        curve = micrographs.first.sum(0) / total[:, None]
    drawn = []
    for units in (micrographs, pieces):
        ranks = _ranks(sample, units.names, replicates, seed)
        for count in counts:
            size = count if units is micrographs else max(round(count / len(micrographs.names) * len(units.names)), 1)
            chosen = (ranks < size).astype(np.float64)
            drawn.append(_deviation(units, chosen, curve, total, known=count < len(micrographs.names)))
    parts = {name: np.array([one[name] for one in drawn]) for name in drawn[0]}
    shaped = {name: values.reshape(len(DRAWN), len(counts), *values.shape[1:]) for name, values in parts.items()}
    return {"curve": curve, **shaped}


def _ranks(sample: str, names: Sequence[str], replicates: int, seed: int) -> Int64[np.ndarray, "replicate unit"]:
    """Give the order in which each replicate would take the units: by a word of its own for each unit."""
    counters = np.zeros((replicates, len(names), 4), np.uint64)
    counters[..., 0] = np.arange(replicates)[:, None]
    counters[..., 2] = np.array([name_word(sample, name) for name in names], np.uint64)
    words = random_words(seed, Purpose.SUBSETS, counters.reshape(-1, 4))[:, 0].reshape(replicates, len(names))
    return words.argsort(axis=1).argsort(axis=1)


def _deviation(units: _Units, chosen: Float64[np.ndarray, "replicate unit"], curve: Float64[np.ndarray, "bin descriptor"],
               total: Float64[np.ndarray, " bin"], *, known: bool) -> dict[str, np.ndarray]:  # fmt: skip
    n, weight = chosen @ units.n, chosen @ units.weight
    first = np.einsum("ru,ubd->rbd", chosen, units.first, optimize=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        squares = (first / weight[..., None] - curve) ** 2
        there = weight > 0
        squares = np.where(there[..., None], squares, 0.0)
        by_bin = np.sqrt(squares.sum(0) / there.sum(0)[:, None])
        whole = np.sqrt((squares * total[:, None]).sum((0, 1)) / (there * total).sum())
    blank = 0.0 if known else np.nan
    return {
        "rms_deviation": by_bin + blank, "rms_deviation_all": whole + blank,
        "present": there.mean(0) + blank, "n_drawn": n.sum(1).mean() + blank,
    }  # fmt: skip


def _labelled(found: list[dict[str, np.ndarray]], made: Cells, layout: Layout, counts: Sequence[int]) -> xr.Dataset:
    quanta = made.recipe.quanta
    steps = np.array([quantum.step for quantum in quanta])
    stacked = {name: np.stack([one[name] for one in found]) for name in found[0]}
    whole, place = ("sample", "drawn", "micrographs_drawn"), ("size_bin", "descriptor")
    variables = {
        "curve": (("sample", *place), stacked["curve"] * steps),
        "rms_deviation": ((*whole, *place), stacked["rms_deviation"] * steps),
        "rms_deviation_all": ((*whole, "descriptor"), stacked["rms_deviation_all"] * steps),
        "present": ((*whole, "size_bin"), stacked["present"]),
        "n_drawn": (whole, stacked["n_drawn"]),
    }
    coords = {
        "sample": layout.keys["sample"],
        "drawn": np.array(DRAWN, object),
        "micrographs_drawn": np.array(counts, np.int64),
        "descriptor": np.array([quantum.column for quantum in quanta], object),
        "unit": ("descriptor", np.array([quantum.unit for quantum in quanta], object)),
    }
    bounds = made.recipe.bins.bounds(layout.bins) if made.recipe.bins else None
    if bounds is not None:
        coords |= {
            "size_bin": bounds.centre,
            "size_left": ("size_bin", bounds.left),
            "size_right": ("size_bin", bounds.right),
        }
    return xr.Dataset(variables, coords=coords)
