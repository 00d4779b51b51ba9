"""Means of descriptors in the 0.2 nm bins of the paper, from the fine cells that onsets are found in."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from nanocensus.statistics.cells.cells import Cells, size_bins
from nanocensus.statistics.estimation.clusters import Cluster
from nanocensus.statistics.estimation.estimation import estimate
from nanocensus.statistics.estimation.panels import cluster_sums, lay_out, panels
from nanocensus.statistics.estimation.reductions import mean

FINE_IN_WIDE = 2
WIDE_NM = 0.2
BIN_KEYS = ["descriptor", "sample", "bin"]


def in_wide_bins(made: Cells) -> Cells:
    """Add up pairs of bins of 0.1 nm."""
    return made.in_bins(size_bins(WIDE_NM), lambda fine: fine // FINE_IN_WIDE)


def bin_means(made: Cells, descriptors: Sequence[str]) -> "pd.Series[float]":
    """Give the means in wide bins, by descriptor, sample and number of the bin; only of bins with particles."""
    wide = in_wide_bins(made)
    layout = lay_out(wide, "micrograph")
    found: dict[tuple[object, ...], float] = {}
    for sample, (_, sums) in zip(layout.keys["sample"], panels(wide, layout), strict=True):
        for of in descriptors:
            means = cluster_sums(sums, wide.recipe, of).moments.mean.tolist()
            found |= {(of, str(sample), place): value for place, value in zip(layout.bins.tolist(), means, strict=True)}
    return series_of(found, BIN_KEYS).dropna()


def estimated_bin_means(made: Cells, descriptors: Sequence[str], *, cluster: Cluster, level: float) -> pd.DataFrame:
    """Give mean, standard error with its degrees of freedom, number of particles and refusal in wide bins, by descriptor, sample and bin."""
    found = estimate(in_wide_bins(made), {of: [mean] for of in descriptors}, cluster=cluster, level=level)
    names = ["estimate", "standard_error", "degrees_of_freedom", "n", "refusal", "size_left", "size_right"]
    rows = found.sel(statistic="mean").reset_coords()[names].to_dataframe().reset_index()
    rows["bin"] = np.rint(rows["size_left"] / WIDE_NM).astype(int)
    return rows.dropna(subset="estimate").set_index(BIN_KEYS).sort_index()


def series_of(found: Mapping[tuple[object, ...], float], names: Sequence[str]) -> "pd.Series[float]":
    """Give numbers by their keys, which may be none, as a series."""
    keys = pd.DataFrame(list(found), columns=list(names))
    return pd.Series(list(found.values()), index=pd.MultiIndex.from_frame(keys), dtype=float)
