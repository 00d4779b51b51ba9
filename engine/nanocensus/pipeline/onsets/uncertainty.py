"""The budgets of uncertainty as tables: of onsets a row a source, of bin means a row a bin."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from nanocensus.pipeline.onsets.budget import combined
from nanocensus.pipeline.onsets.columns import BIN_MEANS, COMBINED, SAMPLING, UNCERTAINTY
from nanocensus.pipeline.onsets.variants import SOURCES

KEYS = ["descriptor", "bend", "sample"]
_MOST_NAMED = 2


def completed(parts: pd.DataFrame, unknown: Mapping[str, str]) -> pd.DataFrame:
    """Give a column to every source: nothing comes from one that is known and has no other way."""
    still = [source for source in SOURCES if source not in parts.columns and source not in unknown]
    more = [source for source in parts.columns if source not in SOURCES]
    return parts.reindex(columns=[*SOURCES, *more]).assign(**dict.fromkeys(still, 0.0))


def onset_rows(
    told: pd.DataFrame, parts: pd.DataFrame, ends: Mapping[str, pd.DataFrame], unknown: Mapping[str, str],
    ways: Mapping[str, Sequence[str]],
) -> pd.DataFrame:  # fmt: skip
    """Lay the contributions out: the standard error, a row for each source, and all of it combined.

    Parameters
    ----------
    told : DataFrame
        The onsets with a number, indexed by descriptor, bend and sample.
    parts : DataFrame
        Standard uncertainties: a column a source.
    ends : mapping of str to DataFrame
        By source, the smallest and largest onset that were found.
    unknown : mapping of str to str
        Why a source is not known.
    ways : mapping of str to sequence of str
        By source, the names of what was tried.
    """
    error = told["standard_error_nm"].astype(float)
    whole = combined(error, parts, told["degrees_of_freedom"].astype(float))
    frames = [_rows(told, SAMPLING, error, whole).assign(remark=told["method"])]
    for source in parts.columns:
        known = np.isfinite(parts[source])
        why = unknown.get(source, "it could not be found in one of the ways")
        frame = _rows(told, source, parts[source], whole).assign(
            remark=np.where(known, _tried(ways.get(source, ())), f"not known: {why}")
        )
        if source in ends:
            frame = frame.assign(smallest_nm=ends[source]["smallest"], largest_nm=ends[source]["largest"])
        frames.append(frame)
    left_out = [f"without what is not known: {names}" if names else "" for names in whole["left_out"]]
    frames.append(
        _rows(told, COMBINED, whole["combined"], whole).assign(
            expanded_uncertainty_nm=whole["expanded"], coverage_factor=whole["factor"], remark=left_out
        )
    )
    long = pd.concat(frames).sort_values("order", kind="stable").reset_index()
    return long.reindex(columns=list(UNCERTAINTY.names))


def _rows(told: pd.DataFrame, source: str, part: "pd.Series[float]", whole: pd.DataFrame) -> pd.DataFrame:
    share = (part / whole["combined"].where(whole["combined"] > 0)) ** 2
    found = {"order": np.arange(len(told)), "source": source, "standard_uncertainty_nm": part, "share": share}
    return pd.DataFrame(found, index=told.index)


def _tried(names: Sequence[str]) -> str:
    """Name the ways if they are few, or else count them."""
    if not names:
        return "no bound on shape is set"
    return ", ".join(names) if len(names) <= _MOST_NAMED else f"{len(names)} other combinations of bounds on shape"


def bin_mean_rows(means: pd.DataFrame, parts: pd.DataFrame) -> pd.DataFrame:
    """Lay the bin means out, the contributions beside each other.

    Parameters
    ----------
    means : DataFrame
        From `estimated_bin_means`.
    parts : DataFrame
        Standard uncertainties: a column a source.
    """
    whole = combined(means["standard_error"], parts, means["degrees_of_freedom"]).rename(
        columns={"combined": "combined_standard_uncertainty", "expanded": "expanded_uncertainty"}
    )
    named = parts.rename(columns={source: "from_" + source.replace(" ", "_") for source in SOURCES})
    table = pd.concat([means.rename(columns={"estimate": "mean"}), named, whole], axis=1).reset_index()
    return table[list(BIN_MEANS.names)]
