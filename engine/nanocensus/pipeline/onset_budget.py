"""From estimates found in several ways to contributions of uncertainty, and these combined.

Sources
-------
JCGM 100:2008 (GUM): 4.3.7 and 4.3.8 (a range in which all values are as likely: its length over the root of 12), 5.1.2 (the
combined standard uncertainty of independent contributions: the root of the sum of squares), 6.2 (expanded by k = 2).
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from nanocensus.pipeline.onset_variants import FOLDS, PIXEL_SIZE

COVERAGE_FACTOR = 2.0
_STANDARD = (FOLDS, PIXEL_SIZE)
"""Varied by one standard uncertainty to either side; the others over a range."""
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
        A column a source: half the distance of the two ways one standard uncertainty apart to either side, or the range
        over all ways and the nominal one over the root of 12.
    """
    found = {}
    for source, ways in varied.items():
        if source in _STANDARD:
            larger, smaller = (one.reindex(nominal.index) for one in ways.values())
            found[source] = (larger - smaller).abs() / 2
        else:
            ends = extremes(nominal, ways)
            found[source] = (ends["largest"] - ends["smallest"]) / np.sqrt(12.0)
    return pd.DataFrame(found, index=nominal.index)


def combined(sampling: "pd.Series[float]", contributions: pd.DataFrame) -> pd.DataFrame:
    """Combine the standard error with what is known of the contributions.

    Parameters
    ----------
    sampling : Series
        Standard errors.
    contributions : DataFrame
        From `standard_uncertainties`.

    Returns
    -------
    DataFrame
        `combined`, the root of the sum of squares, NaN without a standard error; `expanded`, twice that; `left_out`, the
        sources that are not known and so not in it.
    """
    total = np.sqrt(sampling**2 + (contributions**2).sum(axis=1))
    missing = contributions.isna().to_numpy()
    names = [", ".join(contributions.columns[row]) for row in missing]
    return pd.DataFrame(
        {"combined": total, "expanded": COVERAGE_FACTOR * total, "left_out": names}, index=sampling.index
    )
