"""What an onset is fitted to: the fine size bins of each sample within a range, or why they are too few."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nanocensus.errors import StatisticsError
from nanocensus.statistics.cells.cells import Cells, size_bins
from nanocensus.statistics.estimation.clusters import Cluster
from nanocensus.statistics.estimation.panels import Layout, cluster_sums, lay_out, panels
from nanocensus.statistics.onsets.baseline import Baselines
from nanocensus.statistics.onsets.fit import Profile, profile

SIZE = "edge_length_nm"
FINE_NM = 0.1
"""Width of the bins of the fit."""
FEWEST_CLUSTERS = 10
FEWEST_BINS = 12
FEWEST_PER_BIN = 20
JOINT = "all samples"
_FLAT = 1e-9
"""A standard deviation below this share of the mean is none."""


@dataclass(frozen=True)
class OnsetSample:
    """One sample within a range: what is fitted, or why it is not."""

    name: str
    n: int
    n_clusters: int
    refusal: str
    profile: Profile | None
    bins: np.ndarray
    """Of every bin in the range: its left edge in steps of 0.1 nm, particles, weight, sum."""
    level: float
    """Mean of what is fitted: the descriptor, or its excess over a baseline."""


def check_cells(made: Cells, of: str) -> None:
    """Refuse cells that an onset cannot be fitted to.

    Raises
    ------
    StatisticsError
        Unless they are by sample and bins of 0.1 nm, of the descriptor and the edge length.
    """
    held = [quantum.column for quantum in made.recipe.quanta]
    bins = made.recipe.bins
    if made.by != ("sample",) or bins != size_bins(FINE_NM) or not {of, SIZE} <= set(held):
        raise StatisticsError(
            "cells of onsets", expected=f"by sample and size_bins({FINE_NM:g}), of {of} and {SIZE}",
            got=f"by {made.by} and {bins}, of {held}",
            remedy="Build them so, or give the particles and micrographs instead.",
        )  # fmt: skip


def take_samples(
    made: Cells, of: str, cluster: Cluster, between: tuple[float, float], baseline: Baselines | None = None
) -> Iterator[OnsetSample]:
    """Cut the range out of the cells of every sample, and say what is missing where it cannot be fitted."""
    layout = lay_out(made, cluster)
    names = [str(name) for name in layout.keys["sample"]]
    inside = _inside(made, layout, between)
    for name, (_, sums) in zip(names, panels(made, layout), strict=True):
        y, x = cluster_sums(sums, made.recipe, of), cluster_sums(sums, made.recipe, SIZE)
        n = y.n[:, inside].sum(0)
        counted = np.stack([layout.bins[inside], n, y.weight[:, inside].sum(0), y.first[:, inside].sum(0)])
        used = np.flatnonzero(inside)[n >= FEWEST_PER_BIN]
        occupied = int((y.n[:, used] > 0).any(1).sum())
        refusal = _missing(len(used), occupied)
        one = None
        level = float("nan")
        if not refusal:
            kept = (y.n[:, used] > 0).any(1)
            weight, first = y.weight[kept][:, used], y.first[kept][:, used]
            variance = y.moments.variance[used]
            if np.median(variance) <= (_FLAT * first.sum() / weight.sum()) ** 2:
                refusal = f"{of} does not vary"
            else:
                size = x.first[:, used].sum(0) / x.weight[:, used].sum(0)
                if baseline is not None:
                    first = first - weight * baseline.of(name).at(size)
                level = float(first.sum() / weight.sum())
                one = profile(name, size, weight, first, variance)
        yield OnsetSample(name, int(n.sum()), occupied, refusal, one, counted, level)


def _missing(bins: int, clusters: int) -> str:
    lacks = []
    if bins < FEWEST_BINS:
        lacks.append(
            f"{bins} bin{'' if bins == 1 else 's'} of {FINE_NM:g} nm with {FEWEST_PER_BIN} particles: a bend needs {FEWEST_BINS}"
        )
    if clusters < FEWEST_CLUSTERS:
        lacks.append(f"particles in {clusters} clusters: an interval needs {FEWEST_CLUSTERS}")
    return "; ".join(lacks)


def _inside(made: Cells, layout: Layout, between: tuple[float, float]) -> np.ndarray:
    if made.recipe.bins is None:
        raise TypeError("cells without size bins have no bounds")
    bounds = made.recipe.bins.bounds(layout.bins)
    slack = FINE_NM * 1e-6  # an edge typed as 2.6 is the edge of a bin
    return np.asarray((bounds.left >= between[0] - slack) & (bounds.right <= between[1] + slack))


def pool(samples: Sequence[OnsetSample]) -> OnsetSample:
    """Give the line of all samples together."""
    n, clusters = sum(sample.n for sample in samples), sum(sample.n_clusters for sample in samples)
    return OnsetSample(JOINT, n, clusters, "", None, np.empty((4, 0)), float("nan"))
