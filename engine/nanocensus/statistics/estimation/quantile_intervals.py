"""Quantiles of every cell: two passes over their columns, then Woodruff's intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nanocensus.errors import StatisticsError
from nanocensus.schema import WEIGHT_QUANTUM
from nanocensus.statistics.cells.bin_numbers import numbered_through
from nanocensus.statistics.cells.cells import Cells
from nanocensus.statistics.cells.partitions import ParticleSource, compute
from nanocensus.statistics.cells.step_histograms import StepHistogram, as_weight, step_histograms, weights_below
from nanocensus.statistics.estimation.intervals import Estimates, PerCell, woodruff
from nanocensus.statistics.estimation.panels import Layout, PanelSums, totals
from nanocensus.statistics.estimation.reductions import QuantileReduction, Reduction


@dataclass(frozen=True, eq=False)
class Quantiles:
    """The histograms of columns, and how each cluster lies about the quantiles found in them."""

    histograms: dict[str, StepHistogram]
    positions: dict[tuple[str, float], np.ndarray]
    below: dict[tuple[str, float], pd.DataFrame]
    level: float

    def interval(self, column: str, p: float, rows: slice, sums: PanelSums) -> Estimates:
        """Give the quantile and its interval in the cells of one panel."""
        histogram, position = self.histograms[column], self.positions[column, p]
        table = self.below[column, p]
        table = table.iloc[slice(*np.searchsorted(table["cell"], [rows.start, rows.stop]))]
        cell = table["cell"].to_numpy()
        part = (position - np.floor(position))[cell]  # of the step that the quantile cuts
        below = np.zeros(sums["n"].shape)
        below[table["cluster"].to_numpy(), cell - rows.start] = table["below"] + part * table["at"]

        def value_at(shares: PerCell) -> PerCell:
            return histogram.values(histogram.positions(shares, first=rows.start))

        found = histogram.values(position[rows])
        return woodruff(p, sums["n"], as_weight(sums["w"]), below * WEIGHT_QUANTUM, found, value_at, level=self.level)


def find_quantiles(cells: Cells, layout: Layout, reductions: Mapping[str, Sequence[Reduction]],
               particles: ParticleSource | None, level: float) -> Quantiles:  # fmt: skip
    """Read the particles twice for all quantiles that are asked for; not at all if there are none.

    Raises
    ------
    StatisticsError
        If the cells were read from a file and no particles are given, or others than theirs.
    """
    wanted = [(name, one.p) for name, asked in reductions.items() for one in asked
              if isinstance(one, QuantileReduction)]  # fmt: skip
    if not wanted:
        return Quantiles({}, {}, {}, level)
    frames = cells.particles if particles is None else (particles,)
    if not frames:
        raise StatisticsError(
            "quantiles", expected="the particles (cells hold sums, not values)", got="cells read from a file",
            remedy="Give them: estimate(cells, ..., particles=particles).",
        )  # fmt: skip
    recipe, index = cells.recipe, layout.index
    names = list(dict.fromkeys(name for name, _ in wanted))
    quanta = [quantum for quantum in recipe.quanta if quantum.column in names]
    numbering = numbered_through(recipe.axes)
    made = compute(step_histograms(frames, recipe, numbering, index, quanta))
    held = totals(cells, layout)[1, :, 1:].ravel()
    if any(not np.array_equal(histogram.totals, held) for histogram in made):
        raise StatisticsError(
            "particles", expected="those that the cells were summed from", got="other weights in the cells",
            remedy="Apply the same criteria to the particles, or build the cells again.",
        )  # fmt: skip
    histograms = {histogram.quantum.column: histogram for histogram in made}
    positions = {(name, p): histograms[name].positions(np.full(index.n_cells, p)) for name, p in wanted}
    pivots = [(histograms[name], positions[name, p]) for name, p in wanted]
    rows = compute(weights_below(frames, recipe, numbering, index, pivots))
    below = {question: rows[rows["question"] == number] for number, question in enumerate(wanted)}
    return Quantiles(histograms, positions, below, level)
