"""From estimates found in several ways to contributions of uncertainty, and these combined.

Sources
-------
JCGM 100:2008 (GUM): 4.3.7 and 4.3.8 (a range in which all values are as likely: its length over the root of 12), 5.1.2 (the
combined standard uncertainty of independent contributions: the root of the sum of squares), 6.2 (expanded uncertainty), G.4.1
(Welch and Satterthwaite's effective degrees of freedom), table G.2 (95.45 %, for which k is 2 with many of them).
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from nanocensus.pipeline.onsets.variants import BASELINE, FOLDS, PIXEL_SIZE

_COVERAGE = 0.954499736
"""Of a normal distribution within two standard deviations."""
_STANDARD = (FOLDS, PIXEL_SIZE, BASELINE)
"""Varied by what is itself a standard uncertainty, drawn from it, or over networks; the others over a range."""
Varied = Mapping[str, Mapping[str, "pd.Series[float]"]]
"""By source and name of the way: the estimates that it gives."""


def extremes(nominal: "pd.Series[float]", ways: Mapping[str, "pd.Series[float]"]) -> pd.DataFrame:
    """Give the smallest and the largest estimate over the ways and the nominal one; NaN if a way gives none.

    Examples
    --------
    >>> nominal, other = pd.Series({"A": 4.0, "B": 5.0}), pd.Series({"A": 4.5})
    >>> extremes(nominal, {"other": other}).loc["A"].tolist(), extremes(nominal, {"other": other}).loc["B"].isna().all().item()
    ([4.0, 4.5], True)
    """
    table = pd.DataFrame({"": nominal} | {name: found.reindex(nominal.index) for name, found in ways.items()})
    return pd.DataFrame({"smallest": table.min(axis=1, skipna=False), "largest": table.max(axis=1, skipna=False)})


def standard_uncertainties(nominal: "pd.Series[float]", varied: Varied) -> pd.DataFrame:
    """Give what each source contributes to each estimate, as a standard uncertainty.

    Parameters
    ----------
    nominal : Series
        The estimates.
    varied : mapping
        By source and way, estimates with the same index; those that are missing make the contribution NaN.

    Returns
    -------
    DataFrame
        A column a source: the root mean square of the ways' distances from the nominal estimate, where they are one standard
        uncertainty to either side, draws or other networks; else the range over all ways and the nominal one over the root of 12.
    """
    found = {}
    for source, ways in varied.items():
        if source in _STANDARD:
            shifts = np.array([(one.reindex(nominal.index) - nominal).to_numpy() for one in ways.values()])
            found[source] = pd.Series(np.sqrt((shifts**2).mean(0)), nominal.index)
        else:
            ends = extremes(nominal, ways)
            found[source] = (ends["largest"] - ends["smallest"]) / np.sqrt(12.0)
    return pd.DataFrame(found, index=nominal.index)


def combined(sampling: "pd.Series[float]", contributions: pd.DataFrame, freedom: "pd.Series[float]") -> pd.DataFrame:
    """Combine the standard error with what is known of the contributions.

    Parameters
    ----------
    sampling : Series
        Standard errors.
    contributions : DataFrame
        From `standard_uncertainties`; they count as known with infinitely many degrees of freedom.
    freedom : Series
        Degrees of freedom of the standard errors; NaN for infinitely many.

    Returns
    -------
    DataFrame
        `combined`, the root of the sum of squares, NaN without a standard error; `factor`, Student's t at 95.45 % with the
        effective degrees of freedom; `expanded`, their product; `left_out`, the sources that are not known and so not in it.

    Examples
    --------
    >>> parts = pd.DataFrame({"threshold": [0.0, 3.0]})
    >>> combined(pd.Series([4.0, 4.0]), parts, pd.Series([3.0, 3.0])).round(2)["factor"].tolist()
    [3.31, 2.41]
    """
    total = (sampling**2 + (contributions**2).sum(axis=1)) ** 0.5
    factor = _coverage_factor(sampling, total, freedom)
    missing = contributions.isna().to_numpy()
    names = [", ".join(contributions.columns[row]) for row in missing]
    return pd.DataFrame(
        {"combined": total, "factor": factor, "expanded": factor * total, "left_out": names}, index=sampling.index
    )


def _coverage_factor(
    sampling: "pd.Series[float]", total: "pd.Series[float]", freedom: "pd.Series[float]"
) -> "pd.Series[float]":
    """Give k by the effective degrees of freedom: those of the standard error, times the fourth power of total over error."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(sampling > 0, total / sampling, np.inf)
    effective = freedom.fillna(np.inf).to_numpy(np.float64) * ratio**4
    found = pd.Series(stats.t.ppf((1 + _COVERAGE) / 2, effective), total.index)
    return found.where(total.notna())
