"""One mean outline with the symmetry of a square, from sums per cluster: its bands, and its indices with intervals."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from scipy import stats

from nanocensus.statistics.estimation.intervals import degrees_of_freedom, refusals, standard_error
from nanocensus.statistics.outlines.shape_indices import INDICES, slopes

ANGLES = 17
"""Radii of a folded outline, from a corner to the middle of a face: every 2.8 degrees."""
CLEAR = 3.0
"""How many times as large as roughness makes it the fourth harmonic must be for the mean outline and its indices: below, what
alignment adds is no longer known well enough to be taken off."""
_NO_SCATTER = 1e-9
OF_ANGLE = ("radius", "standard_error", "lower", "upper", "band_lower", "band_upper", "aligned")
OF_INDEX = ("estimate", "index_standard_error", "index_lower", "index_upper", "index_aligned")
OF_CELL = ("amplitude", "null_amplitude", "p", "four_fold_share", "mean_radius_nm", "degrees_of_freedom")


@dataclass(frozen=True, eq=False)
class OfClusters:
    """Sums over the particles of each cluster in one cell, each particle with its weight."""

    n: Int64[np.ndarray, " cluster"]
    weight: Float64[np.ndarray, " cluster"]
    radii: Float64[np.ndarray, "cluster angle"]
    amplitude: Float64[np.ndarray, " cluster"]
    null: Float64[np.ndarray, " cluster"]
    share: Float64[np.ndarray, " cluster"]
    size: Float64[np.ndarray, " cluster"]


@dataclass(frozen=True, eq=False)
class CellShape:
    """What is said of one sample and size bin; NaN where it is refused."""

    outline: dict[str, Float64[np.ndarray, " angle"]]
    indices: dict[str, Float64[np.ndarray, " index"]]
    numbers: dict[str, float]
    refusal: str


def of_cell(
    sums: OfClusters,
    shift: Float64[np.ndarray, " angle"],
    drawn: Float64[np.ndarray, "cluster replicate"],
    level: float,
) -> CellShape:
    """Give the mean outline of one cell.

    Parameters
    ----------
    sums : OfClusters
    shift : float64 (angle,)
        What alignment adds.
    drawn : float64 (cluster, replicate)
        How often each cluster is in each resample.
    level : float
    """
    found = CellShape(
        {kind: np.full(ANGLES, np.nan) for kind in OF_ANGLE},
        {kind: np.full(len(INDICES), np.nan) for kind in OF_INDEX},
        dict.fromkeys(OF_CELL, np.nan),
        str(refusals(sums.n[:, None])[0]),
    )
    if found.refusal:
        return found
    total, weight = sums.weight.sum(), sums.weight[:, None]
    amplitude, null, aligned = sums.amplitude.sum() / total, sums.null.sum() / total, sums.radii.sum(0) / total
    freedom = float(degrees_of_freedom(weight, np.array([float(sums.n.sum())]))[0])
    more = sums.amplitude - sums.null - (amplitude - null) * sums.weight
    error = float(standard_error(more[:, None], weight)[0])
    residuals = sums.radii - aligned * weight
    errors = standard_error(residuals, np.broadcast_to(weight, residuals.shape))
    if max(error, errors.max()) < _NO_SCATTER:
        return _refused(found, "all clusters have the same outline: without scatter there is no interval")
    found.outline["aligned"] = aligned
    found.indices["index_aligned"] = np.array([index(aligned) for index in INDICES.values()])
    found.numbers.update(
        amplitude=amplitude, null_amplitude=null, p=float(stats.t.sf((amplitude - null) / error, freedom)),
        four_fold_share=sums.share.sum() / total, mean_radius_nm=sums.size.sum() / total, degrees_of_freedom=freedom,
    )  # fmt: skip
    if amplitude < CLEAR * null:
        return _refused(
            found, f"amplitude {amplitude:.4f} of harmonic 4 is not {CLEAR:g} times the {null:.4f} of roughness"
        )
    radius, reach = aligned - shift, float(stats.t.ppf((1 + level) / 2, freedom))
    band = _simultaneous(residuals, drawn, level) * reach / float(stats.norm.ppf((1 + level) / 2))
    # What alignment adds is known to first order: half of it is left on both sides.
    point, whole = reach * errors + np.abs(shift) / 2, band * errors + np.abs(shift) / 2
    found.outline.update(
        radius=radius, standard_error=errors, lower=radius - point, upper=radius + point, band_lower=radius - whole,
        band_upper=radius + whole,
    )  # fmt: skip
    estimates = np.array([index(radius) for index in INDICES.values()])
    steps = np.stack([slopes(index, radius) for index in INDICES.values()], axis=1)
    errors = standard_error(residuals @ steps, np.broadcast_to(weight, (len(weight), len(estimates))))
    found.indices.update(
        estimate=estimates, index_standard_error=errors, index_lower=estimates - reach * errors,
        index_upper=estimates + reach * errors,
    )  # fmt: skip
    return found


def _refused(found: CellShape, reason: str) -> CellShape:
    return CellShape(found.outline, found.indices, found.numbers, reason)


def _simultaneous(
    residuals: Float64[np.ndarray, "cluster angle"], drawn: Float64[np.ndarray, "cluster replicate"], level: float
) -> float:
    """Give the number of standard errors within which all angles lie in `level` of the resamples."""
    distances = np.abs(residuals.T @ drawn)
    spread = np.sqrt((distances**2).mean(axis=1, keepdims=True))
    known = spread[:, 0] > 0
    return float(np.quantile((distances[known] / spread[known]).max(axis=0), level))
