"""What counts as one observation: groups, sessions, micrographs, or runs of micrographs that resemble their neighbours."""

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
import pandas as pd
from jaxtyping import Float64

from nanocensus.errors import StatisticsError

Cluster = Literal["group", "session", "micrograph", "run", "auto"]
"""What was drawn at random as a whole: the unit of every interval."""

RUN = 10
"""Micrographs of a run: enough that runs hardly resemble each other at correlations of neighbours up to 0.6."""
CORRELATED = 0.2
"""Correlation of neighbouring micrographs above which "auto" takes runs."""
_UNITS = get_args(Cluster)
_FEWEST = 4  # sessions of every sample, for intervals over sessions


def cluster_names(micrographs: pd.DataFrame, cluster: Cluster) -> pd.Series:
    """Name the cluster of each micrograph, within its sample.

    Parameters
    ----------
    micrographs : DataFrame
        sample, micrograph, and group, session, order where known.
    cluster : {"group", "session", "micrograph", "run"}
        A micrograph without a group is its own cluster.

    Raises
    ------
    StatisticsError
        If sessions or the order of acquisition are asked for and not known of every micrograph.
    """
    own = "micrograph " + micrographs["micrograph"].astype(str)
    if cluster == "run":
        return _run_names(micrographs)
    if cluster == "micrograph" or (cluster == "group" and "group" not in micrographs.columns):
        return own
    if cluster == "group":
        # Marked as one or the other: a group that is named like a micrograph is not that micrograph.
        return ("group " + micrographs["group"].astype("str")).where(micrographs["group"].notna(), own)
    if not _known(micrographs, "session"):
        raise StatisticsError(
            "cluster='session'", expected="a session for every micrograph", got="micrographs without one",
            remedy="Fill in the column session of the micrographs, or use cluster='group'.",
        )  # fmt: skip
    return "session " + micrographs["session"].astype(str)


def check_cluster(cluster: str) -> None:
    """Refuse units that there are not.

    Raises
    ------
    StatisticsError
    """
    if cluster not in _UNITS:
        raise StatisticsError(
            "cluster", expected="one of " + ", ".join(_UNITS), got=repr(cluster), remedy="The default is 'group'."
        )


def recorded_cluster(micrographs: pd.DataFrame) -> Cluster | None:
    """Give the unit that somebody recorded: groups of any, or at least four sessions of every sample; None otherwise."""
    if "group" in micrographs.columns and micrographs["group"].notna().any():
        return "group"
    if _known(micrographs, "session") and micrographs.groupby("sample")["session"].nunique().min() >= _FEWEST:
        return "session"
    return None


def correlation_of_neighbours(micrographs: pd.DataFrame, means: Float64[np.ndarray, " micrograph"]) -> float:
    """Give the lag-1 autocorrelation of a number of each micrograph in the order of acquisition.

    The mean product of neighbours of one sample and session over the mean square, both of distances from the sample's
    mean in its standard deviations; all samples together.

    Parameters
    ----------
    micrographs : DataFrame
        sample, order, and session where known.
    means : float64 array (micrograph,)
        NaN where there is none: that micrograph is passed over.

    Examples
    --------
    >>> rows = pd.DataFrame({"sample": "A", "micrograph": list("wxyz"), "order": range(4)})
    >>> round(correlation_of_neighbours(rows, np.array([1.0, -1.0, 1.0, -1.0])), 9)
    -1.0
    """
    rows = _in_order(micrographs).assign(mean=pd.Series(means)).dropna(subset="mean")
    of_sample = rows.groupby("sample")["mean"]
    spread = of_sample.transform("std", ddof=0)
    rows["z"] = np.where(spread > 0, (rows["mean"] - of_sample.transform("mean")) / spread.where(spread > 0, 1.0), 0.0)
    products = (rows["z"] * rows.groupby(["sample", "session"])["z"].shift(-1)).dropna()
    square = float((rows["z"] ** 2).mean()) if len(rows) else 0.0
    return float(products.mean()) / square if len(products) and square > 0 else 0.0


def unit_of_neighbours(correlations: Mapping[str, float]) -> Cluster:
    """Give runs if neighbours resemble each other in any column, otherwise micrographs."""
    return "run" if max(correlations.values(), default=0.0) > CORRELATED else "micrograph"


def ordered(micrographs: pd.DataFrame) -> bool:
    """Say whether the order of acquisition is known of every micrograph."""
    return _known(micrographs, "order")


def _known(micrographs: pd.DataFrame, column: str) -> bool:
    return column in micrographs.columns and not bool(micrographs[column].isna().any())


def _in_order(micrographs: pd.DataFrame) -> pd.DataFrame:
    """Give sample, session ("" where unknown) and order of all rows, sorted; the index tells the row."""
    session = micrographs["session"].astype("str").fillna("") if "session" in micrographs.columns else ""
    rows = micrographs[["sample", "order", "micrograph"]].assign(session=session).reset_index(drop=True)
    return rows.sort_values(["sample", "session", "order", "micrograph"])


def _run_names(micrographs: pd.DataFrame) -> pd.Series:
    if not ordered(micrographs):
        raise StatisticsError(
            "cluster='run'", expected="the order of acquisition of every micrograph", got="none",
            remedy="Give the table of micrographs with its column order, or use another cluster.",
        )  # fmt: skip
    rows = _in_order(micrographs)
    sequences = rows.groupby(["sample", "session"])
    # What is left over at the end joins the last whole run: a short run would have less to say than the others.
    last = (sequences["order"].transform("size") // RUN - 1).clip(lower=0)
    number = np.minimum(sequences.cumcount() // RUN, last)
    named: pd.Series = "run " + number.astype(str) + " of " + rows["session"]
    return named.sort_index().set_axis(micrographs.index)
