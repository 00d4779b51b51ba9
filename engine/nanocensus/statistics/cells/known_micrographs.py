"""What statistics need to know of micrographs, from the table that lists them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nanocensus.errors import TableError


def kept_micrographs(micrographs: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Give the rows and columns of a table of micrographs that statistics need."""
    optional = [name for name in ("group", "session", "order") if name in micrographs.columns]
    wanted = list(dict.fromkeys(["sample", "micrograph", *optional, *keys]))
    missing = [name for name in wanted if name not in micrographs.columns]
    if missing:
        raise TableError(
            "micrographs", expected="the columns " + ", ".join(wanted), got="none named " + ", ".join(missing),
            remedy="Group by columns of the micrographs table: " + ", ".join(map(str, micrographs.columns)) + ".",
        )  # fmt: skip
    rows = that_count(micrographs)[wanted]
    unset = [name for name in ("sample", "micrograph", *keys) if rows[name].isna().any()]
    if unset:
        raise TableError(
            f"column {unset[0]!r} of micrographs", expected="a value for every micrograph",
            got=f"{int(rows[unset[0]].isna().sum())} without one", remedy="Fill it in, or group by something else.",
        )  # fmt: skip
    plain = {name: _plain(rows[name]) for name in wanted} | {name: rows[name].astype("str") for name in wanted[:2]}
    return sorted_micrographs(pd.DataFrame(plain))


def that_count(micrographs: pd.DataFrame) -> pd.DataFrame:
    """Leave out micrographs that were not measured, and those that are marked as excluded."""
    rows = micrographs[micrographs["status"] == "done"] if "status" in micrographs.columns else micrographs
    if "excluded" in rows.columns:
        rows = rows[~rows["excluded"].eq(True).fillna(False).astype(bool)]  # null where no rule was applied
    return rows


def _plain(column: pd.Series) -> pd.Series:
    """Give a column as numpy's numbers or as text, whatever library holds it: the two that can be saved."""
    if not pd.api.types.is_numeric_dtype(column):
        return column.astype("str")
    if isinstance(column.dtype, np.dtype):
        return column
    values = column.to_numpy(np.float64, na_value=np.nan) if column.isna().any() else column.to_numpy()
    return pd.Series(values, index=column.index)


def sorted_micrographs(rows: pd.DataFrame) -> pd.DataFrame:
    """Sort by sample and micrograph, and refuse a micrograph that is there twice.

    Raises
    ------
    TableError
    """
    twice = rows[rows.duplicated(["sample", "micrograph"])]
    if len(twice):
        raise TableError(
            "micrographs", expected="one row a micrograph", got=f"another row of {twice.iloc[0]['micrograph']!r}",
            remedy="Remove the duplicate.",
        )  # fmt: skip
    return rows.sort_values(["sample", "micrograph"], ignore_index=True)
