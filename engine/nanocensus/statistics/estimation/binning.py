"""Presets: the statistics that the study of a synthesis starts with, and how they are kept."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from nanocensus.statistics.cells.cells import SizeBins, cells, size_bins
from nanocensus.statistics.cells.datasets import open_dataset, save_dataset
from nanocensus.statistics.cells.partitions import ParticleSource
from nanocensus.statistics.estimation.clusters import Cluster
from nanocensus.statistics.estimation.combined import MEASURES
from nanocensus.statistics.estimation.estimation import estimate
from nanocensus.statistics.estimation.reductions import cv, mean, median

DESCRIPTORS = ("edge_length_nm", "circularity", "solidity")
"""Size, roundness and concavity: what the study of Cho et al. (2024) follows."""
_KIND = "statistics"


def size_statistics(particles: ParticleSource, micrographs: pd.DataFrame | None = None, *,
                    bins: SizeBins = size_bins(0.2),  # noqa: B008  a frozen value
                    of: Sequence[str] = DESCRIPTORS, cluster: Cluster = "group", level: float = 0.95,
                    weight: str | None = "border_weight") -> xr.Dataset:  # fmt: skip
    """Give mean, median and CV of descriptors by sample and size bin.

    Parameters
    ----------
    particles : pandas or dask DataFrame
        Accepted particles (see `cells`).
    micrographs : DataFrame, optional
        Their micrographs.
    bins : SizeBins
    of : sequence of str
        The descriptors.
    cluster, level
        See `estimate`.
    weight : str or None
        Column of weights, or None to count each particle once.

    Returns
    -------
    xr.Dataset
        As `estimate` gives it, with the dimensions sample, size_bin, descriptor, statistic.
    """
    made = cells(particles, micrographs, by=["sample", bins], of=of, weight=weight)
    return estimate(made, {name: [mean, median, cv] for name in of}, cluster=cluster, level=level)


def sample_statistics(particles: ParticleSource, micrographs: pd.DataFrame | None = None, *,
                      of: Sequence[str] = DESCRIPTORS, cluster: Cluster = "group", level: float = 0.95,
                      weight: str | None = "border_weight") -> xr.Dataset:  # fmt: skip
    """Give mean, median and CV of descriptors by sample, all sizes together.

    Parameters are those of `size_statistics`; the dimensions are sample, descriptor, statistic.
    """
    made = cells(particles, micrographs, by=["sample"], of=of, weight=weight)
    return estimate(made, {name: [mean, median, cv] for name in of}, cluster=cluster, level=level)


def save(dataset: xr.Dataset, path: Path) -> None:
    """Write statistics as a Zarr group, replacing what is there."""
    save_dataset(dataset, path, kind=_KIND)


def open(path: Path) -> xr.Dataset:  # the counterpart of save, always called as binning.open
    """Read saved statistics into memory.

    Raises
    ------
    StoreError
        If there are none at the path, or a newer nanocensus wrote them.
    """
    return open_dataset(path, kind=_KIND)


def to_table(dataset: xr.Dataset) -> pd.DataFrame:
    """Lay statistics out as a long table: one row a cell, descriptor and statistic.

    Parameters
    ----------
    dataset : xr.Dataset
        As `estimate` gives it.

    Returns
    -------
    DataFrame
        The keys (sample, ...), the bins of a second column with their ends (circularity_bin, circularity_left,
        circularity_right), size_bin, size_left, size_right (NaN without size bins), descriptor, statistic,
        estimate, lower, upper, standard_error, degrees_of_freedom, n, n_micrographs, n_clusters,
        n_occupied_clusters, cluster (what the intervals take for one observation: micrograph, group, session or run), refusal;
        before the counts what `combined.with_scale` added, if it did. What was not asked for has no row.
    """
    keys = [str(name) for name in dataset["estimate"].dims if name not in ("size_bin", "descriptor", "statistic")]
    ends = [f"{key.removesuffix('_bin')}_{end}" for key in keys if key.endswith("_bin") for end in ("left", "right")]
    columns = [*keys, *ends, "size_bin", "size_left", "size_right", "descriptor", "statistic", "estimate", "lower", "upper",
               "standard_error", "degrees_of_freedom", *(name for name in MEASURES if name in dataset), "n",
               "n_micrographs", "n_clusters", "n_occupied_clusters", "refusal"]  # fmt: skip
    table = long_table(dataset, "estimate", columns)
    table.insert(len(columns) - 1, "cluster", str(dataset.attrs["cluster"]))
    return table


def long_table(dataset: xr.Dataset, of: str, columns: Sequence[str]) -> pd.DataFrame:
    """Lay a Dataset out with one row for every value of one of its variables.

    Parameters
    ----------
    dataset : xr.Dataset
    of : str
        The variable.
    columns : sequence of str
        Variables and coordinates along some of its dimensions; those that the Dataset lacks are NaN.

    Returns
    -------
    DataFrame
        Without rows of what was not asked for.
    """
    whole = dataset[of]
    laid = {}
    for name in columns:
        if name in dataset.variables:
            values = dataset[name].reset_coords(drop=True).broadcast_like(whole).transpose(*whole.dims)
            laid[name] = values.to_numpy().ravel()
        else:
            laid[name] = np.full(whole.size, np.nan)
    table = pd.DataFrame(laid)
    return table[table["refusal"] != "not asked for"].reset_index(drop=True) if "refusal" in table else table
