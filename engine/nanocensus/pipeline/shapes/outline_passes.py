"""What is done with the outlines of one partition: a sample of them drawn, all of them aligned, the density counted.

Each is a function of the rows of one block and their outlines, row for row. Nothing in a result depends on how the rows
were dealt out: what is drawn follows from the names of micrographs and the labels, and what is added is whole numbers.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int64, UInt64

from nanocensus.errors import TableError
from nanocensus.measure.acceptance import FAILED
from nanocensus.measure.alignment import mean_outline_sequential, posed
from nanocensus.measure.fourfold import (
    QUANTUM,
    alignment_shift,
    even_sums,
    fixed_point,
    folded,
    fourth_amplitudes,
    fourth_harmonic,
    nearest_turns,
    roughness,
)
from nanocensus.measure.outline_density import outline_density
from nanocensus.statistics.cells.bin_numbers import place_in_bins
from nanocensus.statistics.cells.quanta import Quantum
from nanocensus.statistics.cells.recipe import integer_weights
from nanocensus.statistics.cells.rows import rows_of
from nanocensus.statistics.cells.size_bins import Grid
from nanocensus.statistics.estimation.philox import Purpose, name_word, random_words
from nanocensus.statistics.outlines.intervals import ANGLES
from nanocensus.statistics.outlines.meanshape import AMPLITUDE, FOUR_FOLD_SHARE, MEAN_RADIUS, NULL_AMPLITUDE, RADII

RAYS = 128
DRAWN = 1024
"""Outlines of each cell, at most, from which the reference is found that all of the cell are laid over."""
DENSITY_REACH, DENSITY_BINS = 1.5, 96
"""The grid of the density: its half width in mean radii, and its squares a side."""
_BLOCKS = RAYS // 32
"""Counters whose words are the phases of an outline's surrogate; the word after the last phase says whether it is drawn."""
Cell = tuple[str, int]
"""A sample, and the number of a size bin."""


@dataclass(frozen=True)
class Settings:
    """What all partitions are visited with."""

    size: Quantum
    """How the binned column is counted."""
    grid: Grid
    weight: str | None
    seed: int

    @property
    def columns(self) -> list[str]:
        """Columns of the particles that are read."""
        weights = [self.weight] if self.weight else []
        return list(dict.fromkeys(["sample", "micrograph", "label", "star_shaped", FAILED, self.size.column, *weights]))


@dataclass(frozen=True, eq=False)
class Rows:
    """The particles of a partition that count, with their outlines."""

    frame: pd.DataFrame
    radii: Float[np.ndarray, "n m"]
    cells: list[tuple[Cell, Int64[np.ndarray, " _"]]]
    """The rows of each cell."""
    left_out: Mapping[Cell, int]
    """Accepted particles that are not star-shaped."""
    words: UInt64[np.ndarray, "n w"]
    """Random numbers of each particle."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """A sample of the outlines of one cell: those whose random numbers are smallest."""

    keys: UInt64[np.ndarray, " n"]
    folded: Int64[np.ndarray, "n q"]
    rough: Int64[np.ndarray, "n q"]
    weights: Int64[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class Reference:
    """What the outlines of one cell are laid over."""

    outline: Int64[np.ndarray, " q"]
    shift: Float[np.ndarray, " angle"]
    """What alignment adds to the mean outline."""
    converged: bool


@dataclass(frozen=True, eq=False)
class Visited:
    """What cells and densities are made of."""

    table: pd.DataFrame
    density: dict[Cell, Int64[np.ndarray, "bins bins"]]
    left_out: dict[Cell, int]


def accepted(frame: pd.DataFrame) -> Bool[np.ndarray, " n"]:
    """Say which particles failed no criterion; all where nobody asked."""
    return frame[FAILED].to_numpy() == 0 if FAILED in frame.columns else np.ones(len(frame), bool)


def star_shaped(frame: pd.DataFrame) -> Bool[np.ndarray, " n"]:
    """Say of which particles r(theta) tells all."""
    return frame["star_shaped"].to_numpy(dtype=bool, na_value=False)


def keep(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows of particles whose outlines count."""
    kept: pd.DataFrame = frame[accepted(frame) & star_shaped(frame)]
    return kept


def rows_that_count(frame: pd.DataFrame, radii: Float[np.ndarray, "n m"], settings: Settings) -> Rows:
    """Keep accepted, star-shaped particles that lie in a size bin.

    Raises
    ------
    TableError
        If there is not one outline a row, at 128 angles.
    """
    if radii.shape != (len(frame), RAYS):
        raise TableError(
            "outlines", expected=f"{RAYS} radii for each of {len(frame)} rows of particles", got=f"shape {radii.shape}",
            remedy="Give particles and outlines as read_particles and read_outlines do, row for row: rows that failed a "
            "criterion are left out here, not before.",
        )  # fmt: skip
    places = place_in_bins(rows_of(frame[[settings.size.column]]), settings.size, settings.grid).astype(np.int64)
    placed, whole = accepted(frame) & (places >= 0), star_shaped(frame)
    lost = _by_cell(frame[placed & ~whole], places[placed & ~whole], settings.grid.first)
    chosen = np.flatnonzero(placed & whole)
    kept = frame.iloc[chosen].reset_index(drop=True)
    return Rows(
        kept, np.asarray(radii[chosen], np.float64), list(_by_cell(kept, places[chosen], settings.grid.first)),
        {cell: len(rows) for cell, rows in lost}, _words(kept, settings.seed),
    )  # fmt: skip


def _by_cell(frame: pd.DataFrame, places: Int64[np.ndarray, " n"], first: int) -> Iterator[tuple[Cell, np.ndarray]]:
    for key, rows in frame.groupby([frame["sample"].astype(str), places]).indices.items():
        sample, place = cast("tuple[str, int]", key)
        yield (str(sample), int(place) + first), np.sort(np.asarray(rows, np.int64))


def _words(frame: pd.DataFrame, seed: int) -> UInt64[np.ndarray, "n w"]:
    """Draw the random numbers of each particle, by its sample, micrograph and label."""
    counters = np.zeros((len(frame), _BLOCKS, 4), np.uint64)
    counters[:, :, 0] = np.arange(_BLOCKS)
    counters[:, :, 1] = frame["label"].to_numpy(np.uint64)[:, None]
    for key, rows in frame.groupby(["sample", "micrograph"], observed=True).indices.items():
        counters[rows, :, 2] = np.uint64(name_word(*map(str, cast("tuple[str, str]", key))))
    return random_words(seed, Purpose.OUTLINES, counters.reshape(-1, 4)).reshape(len(frame), 4 * _BLOCKS)


def draw(frame: pd.DataFrame, radii: Float[np.ndarray, "n m"], settings: Settings) -> dict[Cell, Drawn]:
    """Draw a sample of each cell's outlines."""
    rows = rows_that_count(frame, radii, settings)
    weights = integer_weights(
        rows_of(rows.frame[[] if settings.weight is None else [settings.weight]]), settings.weight
    )
    found = {}
    for cell, members in rows.cells:
        keys = rows.words[members, -1]
        chosen = members[np.argsort(keys, kind="stable")[:DRAWN]]
        outlines = rows.radii[chosen]
        found[cell] = Drawn(
            rows.words[chosen, -1], folded(outlines), roughness(outlines, rows.words[chosen]), weights[chosen]
        )
    return found


def join_drawn(parts: Sequence[dict[Cell, Drawn]]) -> dict[Cell, Drawn]:
    """Keep of several samples those that would have been drawn of all together."""
    joined = {}
    for cell in dict.fromkeys(cell for part in parts for cell in part):
        held = [part[cell] for part in parts if cell in part]
        keys = np.concatenate([each.keys for each in held])
        order = np.argsort(keys, kind="stable")[:DRAWN]
        outlines, rough, weights = (
            np.concatenate([getattr(each, name) for each in held])[order] for name in ("folded", "rough", "weights")
        )
        joined[cell] = Drawn(keys[order], outlines, rough, weights)
    return joined


def find_reference(drawn: Drawn) -> Reference:
    """Find what the outlines of a cell are laid over, and what alignment adds to their mean."""
    start = fourth_harmonic(drawn.folded.shape[1])
    weights = drawn.weights if drawn.weights.any() else np.ones_like(drawn.weights)
    found = fixed_point(drawn.folded, weights, start)
    return Reference(found.outline, alignment_shift(found.outline, drawn.rough, weights), found.converged)


def visit(
    frame: pd.DataFrame, radii: Float[np.ndarray, "n m"], settings: Settings, references: Mapping[Cell, Reference]
) -> Visited:
    """Lay all outlines over the references of their cells."""
    rows = rows_that_count(frame, radii, settings)
    outlines = folded(rows.radii)
    aligned = np.zeros((len(outlines), ANGLES))
    density = {}
    for cell, members in rows.cells:
        reference = references[cell]
        turns = nearest_turns(outlines[members], reference.outline)
        aligned[members] = 1.0 + even_sums(outlines[members], turns) * (QUANTUM / 2)
        shapes = rows.radii[members] / rows.radii[members].mean(axis=1, keepdims=True)
        whole = posed(shapes, turns + RAYS // 8, np.ones(RAYS)).radii  # corners on the diagonals
        density[cell] = outline_density(whole, half_width=DENSITY_REACH, bins=DENSITY_BINS)
    size = rows.radii.mean(axis=1)
    columns = {
        **dict(zip(RADII, aligned.T, strict=True)),
        AMPLITUDE: fourth_amplitudes(outlines),
        NULL_AMPLITUDE: fourth_amplitudes(roughness(rows.radii, rows.words)),
        FOUR_FOLD_SHARE: _four_fold_share(rows.radii, outlines),
        MEAN_RADIUS: size,
    }
    kept = ["sample", "micrograph", settings.size.column, *([settings.weight] if settings.weight else [])]
    table = pd.concat([rows.frame[list(dict.fromkeys(kept))], pd.DataFrame(columns)], axis=1)
    return Visited(table, density, dict(rows.left_out))


def _four_fold_share(radii: Float[np.ndarray, "n m"], outlines: Int64[np.ndarray, "n q"]) -> Float[np.ndarray, " n"]:
    """Give the share of the variance of r(theta) that has the symmetry of a square; 0 of a circle."""
    variance = (radii.std(axis=1) / radii.mean(axis=1)) ** 2
    folded_variance = (outlines * QUANTUM).var(axis=1)
    share = np.divide(folded_variance, variance, out=np.zeros_like(variance), where=variance > QUANTUM**2)
    return np.asarray(share.clip(0.0, 1.0))


def add_densities(
    parts: Sequence[tuple[dict[Cell, np.ndarray], dict[Cell, int]]],
) -> tuple[dict[Cell, np.ndarray], dict[Cell, int]]:
    """Add counts."""
    density: dict[Cell, np.ndarray] = {}
    left_out: dict[Cell, int] = {}
    for counts, lost in parts:
        for cell, squares in counts.items():
            density[cell] = density[cell] + squares if cell in density else squares
        for cell, number in lost.items():
            left_out[cell] = left_out.get(cell, 0) + number
    return density, left_out


def run_on(
    state: Mapping[Cell, tuple[np.ndarray, int]],
    frame: pd.DataFrame,
    radii: Float[np.ndarray, "n m"],
    settings: Settings,
) -> dict[Cell, tuple[np.ndarray, int]]:
    """Go on with the running means of the paper's alignment, in the order of the rows."""
    rows = rows_that_count(frame, radii, settings)
    after = dict(state)
    for cell, members in rows.cells:
        mean, _ = mean_outline_sequential(rows.radii[members], normalise=True, after=after.get(cell))
        after[cell] = (mean, after.get(cell, (mean, 0))[1] + len(members))
    return after
