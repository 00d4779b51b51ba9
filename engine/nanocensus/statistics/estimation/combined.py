"""What an uncertain pixel size adds to the uncertainty of lengths and areas.

An interval over clusters says how far other fields would move a number; it knows nothing of the scale, whose error is the
same in all of them. Both are needed to compare a length with somebody else's. Between samples of one calibration the
error of the scale cancels: there the interval over clusters alone is right.

Sources
-------
JCGM 100:2008 (GUM): 5.1 (combined standard uncertainty), G.4 (Welch and Satterthwaite's effective degrees of freedom).
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from nanocensus.statistics.estimation.reductions import cv, mean, median, sd

_POWERS: Mapping[str, int] = {"nm": 1, "nm2": 2, "1": 0, "rad": 0}
"""How often the pixel size multiplies a value of each unit."""
MEASURES = ("scale_uncertainty", "combined_standard_uncertainty", "expanded_uncertainty")


def relative_uncertainties(micrographs: pd.DataFrame) -> dict[str, float]:
    """Give the relative standard uncertainty of the pixel size for each sample; NaN where it is not known of all of it.

    Sessions of a sample count by their particles, as if their errors were one: those of one calibration are, and
    independent ones would leave less.

    Parameters
    ----------
    micrographs : DataFrame
        The index, with `sample`, `n_detected` and `pixel_size_uncertainty`.

    Examples
    --------
    >>> index = {"sample": list("AAB"), "n_detected": [30, 10, 20], "pixel_size_uncertainty": [0.01, 0.02, None]}
    >>> relative_uncertainties(pd.DataFrame(index))
    {'A': 0.0125, 'B': nan}
    """
    held = micrographs[micrographs["n_detected"].fillna(0).astype(float) > 0]
    found = {}
    for sample, rows in held.groupby("sample", sort=False):
        doubts = rows["pixel_size_uncertainty"].to_numpy(np.float64)
        found[str(sample)] = float(np.average(doubts, weights=rows["n_detected"].to_numpy(np.float64)))
    return found


def with_scale(dataset: xr.Dataset, relative: Mapping[str, float]) -> xr.Dataset:
    """Add what the pixel size contributes to the uncertainty of each statistic.

    Parameters
    ----------
    dataset : xr.Dataset
        As `estimate` gives it, with the dimension sample.
    relative : mapping of str to float
        Relative standard uncertainty of the pixel size by sample; NaN, or no entry, where it is not known.

    Returns
    -------
    xr.Dataset
        With `scale_uncertainty` (standard, in the unit of the estimate: once the relative one of a length, twice that of
        an area, 0 of ratios, angles and the CV), `combined_standard_uncertainty`, the root of the sum of its square and that
        of `standard_error`, and `expanded_uncertainty`, that times Student's t at the dataset's level (about 2; the scale
        counts as known with infinitely many degrees of freedom). NaN where a part is not known, or where it is not known
        how a user's own statistic changes with the scale.
    """
    known = xr.DataArray(
        [relative.get(str(sample), np.nan) for sample in dataset["sample"].values],
        coords={"sample": dataset["sample"]},
    )
    powers = xr.DataArray(
        [float(_POWERS.get(str(unit), np.nan)) for unit in dataset["unit"].values],
        coords={"descriptor": dataset["descriptor"]},
    )
    follows = xr.DataArray(
        [_follows(str(name)) for name in dataset["statistic"].values], coords={"statistic": dataset["statistic"]}
    )
    sensitivity = (powers * follows).where((powers != 0) & (follows != 0), 0.0)
    estimate, error = dataset["estimate"].reset_coords(drop=True), dataset["standard_error"].reset_coords(drop=True)
    scale = (abs(estimate) * sensitivity * known).where(sensitivity != 0, estimate * 0.0).transpose(*estimate.dims)
    combined = np.hypot(error, scale)
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = dataset["degrees_of_freedom"].reset_coords(drop=True) * (combined / error) ** 4
    factor = stats.t.ppf((1 + float(dataset.attrs["level"])) / 2, freedom)
    found = dict(zip(MEASURES, (scale, combined, factor * combined), strict=True))
    return dataset.assign(found)


def _follows(statistic: str) -> float:
    """Give 1 for a statistic that is multiplied where its values are, 0 for one that stays; NaN for an unknown one."""
    if statistic in (mean.name, median.name, sd.name) or statistic.startswith("quantile_"):
        return 1.0
    return 0.0 if statistic == cv.name else np.nan
