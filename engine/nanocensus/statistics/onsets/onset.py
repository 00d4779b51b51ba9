"""Onset sizes: from which size on a descriptor changes its course, with an interval, or a word why there is none."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from nanocensus.errors import StatisticsError
from nanocensus.statistics.cells.cells import Cells, cells, size_bins
from nanocensus.statistics.cells.partitions import Particles
from nanocensus.statistics.cells.quanta import Number
from nanocensus.statistics.estimation.clusters import Cluster
from nanocensus.statistics.estimation.panels import settled
from nanocensus.statistics.onsets.baseline import parse_baselines
from nanocensus.statistics.onsets.existence import bend_p_value
from nanocensus.statistics.onsets.fit import Bends, Profile, fitted
from nanocensus.statistics.onsets.intervals import FEWEST_SAMPLES, Place, cluster_weights, locate
from nanocensus.statistics.onsets.readings import common_means, highest_bin, last_common_bin
from nanocensus.statistics.onsets.samples import (
    FEWEST_BINS,
    FINE_NM,
    SIZE,
    OnsetSample,
    check_cells,
    pool,
    take_samples,
)
from nanocensus.statistics.onsets.table import COLUMNS, CURVE_COLUMNS, ONSET, READINGS, SATURATION, Onsets, onset_row

__all__ = ["Onsets", "onsets", "tried_bends"]

READING_BINS = 2
"""Fine bins in one of the 0.2 nm bins that the paper reads."""
LEVEL_OF_EXISTENCE = 0.05
_PLACES = 77
_MARGIN = 0.12
_HALF_WIDTHS = (0.0, 0.03, 0.06, 0.10, 0.15, 0.20)
"""As shares of the range."""


def onsets(
    particles: Particles | Cells,
    micrographs: pd.DataFrame | None = None,
    *,
    of: str = "circularity",
    between_nm: tuple[Number, Number],
    saturation_between_nm: tuple[Number, Number] | None = None,
    cluster: Cluster = "group",
    level: float = 0.95,
    replicates: int = 999,
    seed: int = 0,
    weight: str | None = "border_weight",
    baseline: pd.DataFrame | None = None,
) -> Onsets:
    """Find the size at which the course of a descriptor bends, in each sample and in all together.

    Bent cables are fitted to the means in bins of 0.1 nm (see `onset_fit`), clusters are drawn anew for the interval
    (`onset_intervals`), and nothing is given where a smooth curve explains as much (`onset_existence`).

    Parameters
    ----------
    particles : DataFrame or Cells
        Accepted particles; or cells by sample and `size_bins(0.1)` of the descriptor and "edge_length_nm".
    micrographs : DataFrame, optional
        Their micrographs.
    of : str
        The descriptor.
    between_nm : (float, float)
        Edge lengths between which the onset is sought; one bend should lie there, and be it not near the ends.
    saturation_between_nm : (float, float), optional
        The same for a second bend, the size from which on the shape stays the same.
    cluster, level, weight
        See `estimate` and `cells`.
    replicates : int
        Number of bootstrap replicates.
    seed : int
        Of the bootstrap.
    baseline : DataFrame, optional
        What a constant shape would show: size_nm, increasing, and value in the descriptor's unit, over all of the ranges; with
        a column sample, of each sample its own. It is taken off the mean of each bin at the bin's mean size, as if it were
        exact, and the bend is that of the excess.

    Returns
    -------
    Onsets
        Its table has the columns descriptor, bend ("onset" or "saturation"), excess (whether a baseline was taken off;
        never before the paper's readings), sample, estimate_nm, lower_nm, upper_nm,
        standard_error_nm, degrees_of_freedom (of t, where the interval is made with it), half_width_nm, existence_p, q, q_p and sd_between_nm (of the differences between samples),
        n, n_clusters, method and refusal. Where there is a refusal there is no number.

    Raises
    ------
    StatisticsError
        For cells of other bins or columns, ranges, levels or numbers that make no sense, and a baseline that does not
        cover the ranges, or lacks a sample.
    """
    ranges = {ONSET: between_nm} | ({} if saturation_between_nm is None else {SATURATION: saturation_between_nm})
    _check(ranges, level, replicates, seed)
    known = None if baseline is None else parse_baselines(baseline, ranges.values())
    made = particles if isinstance(particles, Cells) else cells(
        particles, micrographs, by=["sample", size_bins(FINE_NM)], of=list(dict.fromkeys([of, SIZE])), weight=weight
    )  # fmt: skip
    check_cells(made, of)
    cluster = settled(made, cluster)
    rows: list[dict[str, object]] = []
    curves = []
    for bend, between in ranges.items():
        fit = _Fit(of, bend, known is not None, (float(between[0]), float(between[1])), level, replicates, seed)
        taken = list(take_samples(made, of, cluster, fit.between, known))
        found, drawn = fit.rows(taken)
        rows += found + (_readings(fit, taken) if bend == ONSET else [])
        curves += drawn
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table.attrs["cluster"] = cluster
    return Onsets(table, pd.concat(curves, ignore_index=True) if curves else pd.DataFrame(columns=list(CURVE_COLUMNS)))


def tried_bends(between: tuple[float, float]) -> Bends:
    """Give the bends that are tried in a range: 77 places, none near the ends, and six half widths."""
    low, high = between
    margin = _MARGIN * (high - low)
    return Bends(np.linspace(low + margin, high - margin, _PLACES), np.array(_HALF_WIDTHS) * (high - low))


def is_located(place: Place, bends: Bends) -> bool:
    """Say whether an interval tells more than the range that was searched: inside it, and at most half as wide."""
    low, high = float(bends.place[0]), float(bends.place[-1])
    return low < place.lower and place.upper < high and place.upper - place.lower <= (high - low) / 2


@dataclass(frozen=True)
class _Fit:
    """One bend of one descriptor."""

    of: str
    bend: str
    excess: bool
    between: tuple[float, float]
    level: float
    replicates: int
    seed: int

    def rows(self, taken: Sequence[OnsetSample]) -> tuple[list[dict[str, object]], list[pd.DataFrame]]:
        good = [sample for sample in taken if sample.profile is not None]
        if not good:
            return [self._row(sample, refusal=sample.refusal) for sample in taken] + self._joint_refused(
                taken, good
            ), []
        profiles = [sample.profile for sample in good if sample.profile is not None]
        bends = tried_bends(self.between)
        p = bend_p_value(profiles, bends, replicates=self.replicates, seed=self.seed, purpose=f"{self.of} {self.bend}")
        weights = [cluster_weights(len(one.precision), self.replicates, self.seed, one.name) for one in profiles]
        joint, each, differences = locate(profiles, bends, weights, self.level)
        places = {sample.name: place for sample, place in zip(good, each, strict=True)}
        none = (
            "" if p < LEVEL_OF_EXISTENCE else f"a smooth curve explains as much (p = {p:.3f}): no {self.bend} is shown"
        )
        rows, curves = [], []
        for sample in taken:
            place = places.get(sample.name)
            refusal = sample.refusal or none or self._unlocated(place, bends)
            rows.append(self._row(sample, None if refusal else place, refusal, existence_p=p))
            if sample.profile is not None:
                curves.append(self._curve(sample, sample.profile, None if refusal else place))
        if len(good) < 2:
            return rows + self._joint_refused(taken, good), curves
        refusal = none or self._unlocated(joint, bends)
        told: dict[str, object] = {"existence_p": p}
        if differences is not None:
            told |= {"q": differences.q, "q_p": differences.p, "sd_between_nm": differences.sd}
        return [*rows, self._row(pool(good), None if refusal else joint, refusal, **told)], curves

    def _joint_refused(self, taken: Sequence[OnsetSample], good: Sequence[OnsetSample]) -> list[dict[str, object]]:
        refusal = (
            f"{len(good)} samples with enough data: an onset of all needs 2, and their comparison {FEWEST_SAMPLES}"
        )
        return [self._row(pool(taken), refusal=refusal)]

    def _unlocated(self, place: Place | None, bends: Bends) -> str:
        if place is not None and is_located(place, bends):
            return ""
        return f"the data do not locate it within {self.between[0]:g} to {self.between[1]:g} nm"

    def _row(
        self, sample: OnsetSample, place: Place | None = None, refusal: str = "", **told: object
    ) -> dict[str, object]:
        return onset_row(sample, self.of, self.bend, excess=self.excess, place=place, refusal=refusal, **told)

    def _curve(self, sample: OnsetSample, one: Profile, place: Place | None) -> pd.DataFrame:
        total = one.precision.sum(0)
        drawn = np.full(len(total), np.nan) if place is None else fitted(one, place.estimate, place.half_width)
        return pd.DataFrame({"bend": self.bend, "sample": sample.name, "size_nm": one.size,
                             "mean": sample.level + one.value.sum(0) / total,
                             "fitted": sample.level + drawn})  # fmt: skip


def _readings(fit: _Fit, taken: Sequence[OnsetSample]) -> list[dict[str, object]]:
    """Read the onset as the paper does, beside ours; by construction to no better than its bins."""
    if not taken or not taken[0].bins.shape[1]:
        return []
    wide = (taken[0].bins[0] // READING_BINS).astype(int)
    columns, place = np.unique(wide, return_inverse=True)
    summed = np.zeros((len(taken), 3, len(columns)))
    for sample, sums in zip(taken, summed, strict=True):
        np.add.at(sums.T, place, sample.bins[1:].T)
    n, weight, first = summed[:, 0], summed[:, 1], summed[:, 2]
    means = common_means(n, np.where(weight > 0, first / np.where(weight > 0, weight, 1.0), np.nan))
    centre = (columns + 0.5) * (READING_BINS * FINE_NM)
    read = dict(zip(READINGS, (highest_bin(centre, means), last_common_bin(centre, means)), strict=True))
    return [onset_row(replace(pool(taken), name=name), fit.of, fit.bend, excess=False, estimate_nm=value,
                      method="reading, without an interval", refusal="" if np.isfinite(value) else "no such bin")
            for name, value in read.items()]  # fmt: skip


def _check(ranges: dict[str, tuple[Number, Number]], level: float, replicates: int, seed: int) -> None:
    for bend, (low, high) in ranges.items():
        if not (low >= 0 and low + FEWEST_BINS * FINE_NM <= high < np.inf):
            raise StatisticsError(
                f"range of the {bend}", expected=f"two sizes at least {FEWEST_BINS * FINE_NM:g} nm apart, nm",
                got=f"{low:g} to {high:g}", remedy="For example 2.6 to 7.6 around an onset at 4 to 6 nm.",
            )  # fmt: skip
    if not 0.5 <= level < 1 or replicates < 99 or seed < 0:
        raise StatisticsError(
            "onsets", expected="a level from 0.5 to below 1, 99 or more replicates, a seed of at least 0",
            got=f"level={level:g}, replicates={replicates}, seed={seed}", remedy="Leave them at their defaults.",
        )  # fmt: skip
