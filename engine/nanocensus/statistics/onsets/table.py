"""The table of onsets: one row a bend and sample, with its numbers or with the reason why there are none."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from nanocensus.statistics.onsets.intervals import Place
from nanocensus.statistics.onsets.samples import OnsetSample

ONSET, SATURATION = "onset", "saturation"
READINGS = ("paper's reading: the highest 0.2 nm bin", "paper's reading: CV between samples below 1 % up to here")
"""What stands in place of the sample's name in the rows of the paper's readings."""
COLUMNS = ("descriptor", "bend", "excess", "sample", "estimate_nm", "lower_nm", "upper_nm", "standard_error_nm",
           "degrees_of_freedom", "half_width_nm", "existence_p", "q", "q_p", "sd_between_nm", "n", "n_clusters", "method", "refusal")  # fmt: skip

CURVE_COLUMNS = ("bend", "sample", "size_nm", "mean", "fitted")


@dataclass(frozen=True, eq=False)
class Onsets:
    """The bends of one descriptor."""

    table: pd.DataFrame
    """One row a bend and sample, with "all samples" last, then the paper's readings; see `onsets`."""
    curves: pd.DataFrame
    """What was fitted: bend, sample, size_nm, mean (or mean excess), fitted (NaN where nothing is told), one row a fine
    bin."""

    @property
    def sentences(self) -> list[str]:
        """What may be said of each bend of all samples, or of the only one."""
        ours = self.table[~self.table["sample"].isin(READINGS)]
        told = []
        for bend, rows in ours.groupby("bend", sort=False):
            # The row of all samples is the last; with one sample it is a refusal, and that sample speaks.
            row = rows.iloc[0 if len(rows) == 2 else -1]
            of = f"the excess of {row['descriptor']} over its baseline" if row["excess"] else row["descriptor"]
            found = f"{row['estimate_nm']:.2f} nm [{row['lower_nm']:.2f}, {row['upper_nm']:.2f}]"
            said = f"none given, {row['refusal']}" if row["refusal"] else found
            told.append(f"{bend} of {of}, {row['sample']}: {said}.")
        return told


def onset_row(
    sample: OnsetSample, of: str, bend: str, *, excess: bool, place: Place | None = None, refusal: str = "",
    **told: object,
) -> dict[str, object]:  # fmt: skip
    """Give a row: what is not known of it is NaN."""
    row = dict.fromkeys(COLUMNS, np.nan) | {"descriptor": of, "bend": bend, "excess": excess, "sample": sample.name,
          "n": sample.n, "n_clusters": sample.n_clusters, "method": "", "refusal": refusal}  # fmt: skip
    if place is not None:
        row |= {"estimate_nm": place.estimate, "lower_nm": place.lower, "upper_nm": place.upper,
                "standard_error_nm": place.standard_error, "half_width_nm": place.half_width,
                "degrees_of_freedom": place.degrees_of_freedom if np.isfinite(place.degrees_of_freedom) else np.nan,
                "method": place.method}  # fmt: skip
    return row | told
