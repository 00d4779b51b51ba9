"""The mean outline of every sample and size bin from cells, with bands and indices whose intervals are clustered.

Each particle contributes its aligned, folded outline as columns of radii; cells sum them as any other descriptor. What
alignment itself does to a mean is not in these sums: the size of it comes along as `shifts`, found by planting the shape.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float64

from nanocensus.errors import StatisticsError
from nanocensus.statistics.cells.cells import Cells
from nanocensus.statistics.cells.size_bins import SizeBins
from nanocensus.statistics.estimation.binning import long_table
from nanocensus.statistics.estimation.checks import check_draws, check_level
from nanocensus.statistics.estimation.clusters import Cluster
from nanocensus.statistics.estimation.panels import Layout, cluster_sums, lay_out, panels
from nanocensus.statistics.estimation.philox import check_seed, name_word
from nanocensus.statistics.estimation.resampling import draw_clusters
from nanocensus.statistics.outlines.intervals import (
    ANGLES,
    CLEAR,
    OF_ANGLE,
    OF_CELL,
    OF_INDEX,
    CellShape,
    OfClusters,
    of_cell,
)
from nanocensus.statistics.outlines.shape_indices import INDICES

RADII = tuple(f"radius_{number:02d}" for number in range(ANGLES))
AMPLITUDE, NULL_AMPLITUDE = "amplitude", "null_amplitude"
FOUR_FOLD_SHARE, MEAN_RADIUS = "four_fold_share", "mean_radius_nm"
SCALE: Mapping[str, float] = {
    **dict.fromkeys(RADII, 2.0**-17),
    AMPLITUDE: 2.0**-18,
    NULL_AMPLITUDE: 2.0**-18,
    FOUR_FOLD_SHARE: 2.0**-18,
    MEAN_RADIUS: 2.0**-12,
}
"""The columns of a particle's shape, and the quantum of each: for `cells(of=..., scale=...)`."""


def mean_shapes(
    made: Cells,
    shifts: Mapping[tuple[str, int], Float64[np.ndarray, " angle"]],
    *,
    cluster: Cluster = "group",
    level: float = 0.95,
    replicates: int = 999,
    seed: int = 0,
) -> xr.Dataset:
    """Give mean outlines and their indices by sample and size bin.

    Parameters
    ----------
    made : Cells
        By sample and size bins, of the columns of `SCALE`.
    shifts : mapping of (sample, number of the size bin) to float64 (17,)
        What alignment adds to each mean outline, as a share of the mean radius.
    cluster, level
        See `estimation.estimate`.
    replicates : int
        Resamples of clusters behind the simultaneous bands.
    seed : int
        0 to 2^64 - 1.

    Returns
    -------
    xr.Dataset
        By (sample, size_bin, angle), as shares of the mean radius: `radius` (what alignment adds taken off),
        `standard_error`, `lower` and `upper` (pointwise), `band_lower` and `band_upper` (for all angles at once), `aligned`
        (the mean as it is). By (sample, size_bin, index): `estimate` with `index_lower` and `index_upper`, and
        `index_aligned` of the mean as it is. By (sample, size_bin): `amplitude` (mean over the particles of twice the
        fourth harmonic over the mean radius), `null_amplitude` (the same of round particles as rough as these), `p`
        (one-sided, of an amplitude no larger than that), `four_fold_share` (share of the variance of r(theta) that has the
        symmetry of a square, 1/4 of white noise), `mean_radius_nm`, `n`, `n_clusters`, `n_occupied_clusters`, `degrees_of_freedom` and `refusal`. The angle is in
        degrees from a corner; the rest of the outline follows by symmetry.

    Raises
    ------
    StatisticsError
        If the cells are others, there are fewer than 99 replicates, or the clusters are not known.

    Notes
    -----
    Standard errors are CR2 with Satterthwaite's t, as for any mean; those of indices by their slopes. The simultaneous band
    is as many standard errors wide as the largest distance over all angles has in `level` of the resamples of clusters (Rao
    and Wu, JASA 83, 231, 1988), enlarged by t over the normal quantile for few clusters.
    """
    bins = _parse_cells(made)
    check_level(level)
    check_draws("replicates", replicates, least=99)
    check_seed(seed)
    layout = lay_out(made, cluster, [RADII[0], RADII[-1]])
    results: list[CellShape] = []
    for number, (_, sums) in enumerate(panels(made, layout)):
        sample = str(layout.keys["sample"][number])
        drawn = draw_clusters(sums.n_clusters, replicates, seed=seed, name=name_word("sample " + sample))
        columns = {name: cluster_sums(sums, made.recipe, name) for name in SCALE}
        for place, bin_number in enumerate(layout.bins):
            sums_here = OfClusters(
                n=sums["n"][:, place],
                weight=columns[MEAN_RADIUS].weight[:, place],
                radii=np.stack([columns[name].first[:, place] for name in RADII], axis=1),
                amplitude=columns[AMPLITUDE].first[:, place],
                null=columns[NULL_AMPLITUDE].first[:, place],
                share=columns[FOUR_FOLD_SHARE].first[:, place],
                size=columns[MEAN_RADIUS].first[:, place],
            )
            shift = shifts.get((sample, int(bin_number)), np.zeros(ANGLES))
            results.append(of_cell(sums_here, shift, drawn, level))
    return _dataset(made, bins, layout, results).assign_attrs(level=level, replicates=replicates, seed=seed)


def _parse_cells(made: Cells) -> SizeBins:
    held = {quantum.column for quantum in made.recipe.quanta}
    if made.by != ("sample",) or made.recipe.bins is None or not set(SCALE) <= held:
        raise StatisticsError(
            "cells of outlines", expected="cells by sample and size bin, of the columns of SCALE",
            got=f"by {', '.join(made.by)}, of {', '.join(sorted(held))}", remedy="Let nc.mean_shapes make them.",
        )  # fmt: skip
    return made.recipe.bins


def _dataset(made: Cells, bins: SizeBins, layout: Layout, results: list[CellShape]) -> xr.Dataset:
    shape = (*layout.shape, len(layout.bins))
    keys = ("sample", "size_bin")
    bounds = bins.bounds(layout.bins)
    counts = {
        "n": np.concatenate([sums["n"].sum(0) for _, sums in panels(made, layout)]),
        "n_clusters": np.repeat(layout.n_clusters, len(layout.bins)),
        "n_occupied_clusters": np.concatenate([(sums["n"] > 0).sum(0) for _, sums in panels(made, layout)]),
        "refusal": np.array([each.refusal for each in results], object),
    }
    variables: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
    for kind in OF_ANGLE:
        variables[kind] = ((*keys, "angle"), np.reshape([each.outline[kind] for each in results], (*shape, ANGLES)))
    for kind in OF_INDEX:
        variables[kind] = (
            (*keys, "index"),
            np.reshape([each.indices[kind] for each in results], (*shape, len(INDICES))),
        )
    for name in OF_CELL:
        variables[name] = (keys, np.reshape([each.numbers[name] for each in results], shape))
    variables |= {name: (keys, values.reshape(shape)) for name, values in counts.items()}
    angle = xr.Variable("angle", np.linspace(0.0, 45.0, ANGLES), {"units": "deg", "long_name": "from a corner"})
    dataset = xr.Dataset(variables, coords=layout.keys).assign_coords(
        size_bin=bounds.centre, size_left=("size_bin", bounds.left), size_right=("size_bin", bounds.right),
        angle=angle, index=np.array(list(INDICES), object),
    )  # fmt: skip
    return dataset.assign_attrs(layout.facts | {"weight": made.recipe.weight or "", "clear": CLEAR})


_PLACE = ("sample", "size_bin", "size_left", "size_right")


def index_table(dataset: xr.Dataset) -> pd.DataFrame:
    """Lay the indices out with one row a sample, size bin and index."""
    columns = [*_PLACE, "index", *OF_INDEX, *OF_CELL, "n", "n_clusters", "n_occupied_clusters", "refusal"]
    beside = [name for name in ("index_running_mean", "n_not_star_shaped") if name in dataset]
    table = long_table(dataset, "estimate", [*columns, *beside])
    return table.rename(columns=lambda name: name.removeprefix("index_"))


def outline_table(dataset: xr.Dataset) -> pd.DataFrame:
    """Lay the mean outlines out with one row a sample, size bin and angle (degrees from a corner to the middle of a face)."""
    return long_table(dataset, "radius", [*_PLACE, "angle", *OF_ANGLE]).rename(columns={"angle": "angle_deg"})
