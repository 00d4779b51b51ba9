"""What flagged micrographs do to the means of their samples."""

from collections.abc import Sequence
from typing import TypeVar

import pandas as pd
import xarray as xr

from nanocensus.pipeline.question import Question
from nanocensus.show.figures.theme import quantity_name, unit_sign
from nanocensus.show.numbers import with_interval
from nanocensus.show.report.content import ReportTable
from nanocensus.statistics.cells.cells import cells
from nanocensus.statistics.cells.partitions import Particles
from nanocensus.statistics.estimation.estimation import estimate
from nanocensus.statistics.estimation.reductions import mean

_COLUMNS = [
    "sample", "descriptor", "n_micrographs", "n_flagged", "mean_all", "lower_all", "upper_all", "mean_without",
    "lower_without", "upper_without", "difference",
]  # fmt: skip

Rows = TypeVar("Rows", pd.DataFrame, Particles)


def without(rows: Rows, micrographs: pd.DataFrame) -> Rows:
    """Leave the rows of some micrographs out.

    Parameters
    ----------
    rows : DataFrame or dask DataFrame
        Particles or micrographs.
    micrographs : DataFrame
        With sample and micrograph, as rows have them: in a table, two samples may each have a micrograph "1".
    """
    left = rows
    for sample, own in micrographs.groupby("sample"):
        here = left["micrograph"].astype("str").isin(list(own["micrograph"].astype("str")))
        left = left[~(here & (left["sample"].astype("str") == str(sample)))]
    return left


def effect_of_flagged(accepted: Particles, micrographs: pd.DataFrame, asked: Question) -> pd.DataFrame:
    """Give the mean of each descriptor with the flagged micrographs and without, whichever of them count.

    Parameters
    ----------
    accepted : DataFrame or dask DataFrame
        The particles that meet the criteria, of all micrographs.
    micrographs : DataFrame
        The index, its column `flags` filled.
    asked : Question
        Says which columns, clusters, weights and level.

    Returns
    -------
    DataFrame
        A row for each descriptor of each sample with flagged micrographs: its micrographs, the flagged ones of them, both
        means with their intervals, and the mean of all less that without the flagged. NaN where there is none.
    """
    flagged = micrographs[micrographs["flags"].notna()]
    samples = list(flagged["sample"].drop_duplicates())
    if not samples:
        return pd.DataFrame(columns=_COLUMNS)
    concerned = micrographs[micrographs["sample"].isin(samples)]
    of_them = accepted[accepted["sample"].isin(samples)]
    everything = _means(of_them, concerned.drop(columns="excluded"), asked)
    remaining = _means(without(of_them, flagged), without(concerned, flagged), asked)
    rows = []
    for sample in samples:
        numbers = {"n_micrographs": int((concerned["sample"] == sample).sum()),
                   "n_flagged": int((flagged["sample"] == sample).sum())}  # fmt: skip
        for name in asked.of:
            every, rest = _one(everything, sample, name), _one(remaining, sample, name)
            rows.append([sample, name, *numbers.values(), *every, *rest, every[0] - rest[0]])
    return pd.DataFrame(rows, columns=_COLUMNS)


def quality_tables(micrographs: pd.DataFrame, effect: pd.DataFrame, *, assumed: bool) -> Sequence[ReportTable]:
    """Lay out for the report which micrographs are flagged, why, and what they do to the means; nothing if none is.

    Parameters
    ----------
    micrographs : DataFrame
        The index, its column `flags` filled.
    effect : DataFrame
        From `effect_of_flagged`.
    assumed : bool
        Whether a pixel size was made up.
    """
    flagged = micrographs[micrographs["flags"].notna()]
    if flagged.empty:
        return ()
    named = flagged[["name", "sample", "flags"]].rename(columns={"name": "micrograph", "flags": "why"})
    signs = [unit_sign(name, assumed=assumed) for name in effect["descriptor"]]
    quantities = [quantity_name(name) + f" ({sign})" * bool(sign)
                  for name, sign in zip(effect["descriptor"], signs, strict=True)]  # fmt: skip
    table = pd.DataFrame(
        {
            "sample": effect["sample"],
            "mean": quantities,
            "micrographs": effect["n_micrographs"],
            "flagged": effect["n_flagged"],
            "all": _in_words(effect, "all"),
            "without the flagged": _in_words(effect, "without"),
            "difference": effect["difference"],
        }
    )
    return (
        ReportTable(f"Flagged micrographs ({len(flagged)})", named),
        ReportTable("Means with the flagged micrographs and without them", table),
    )


def _in_words(effect: pd.DataFrame, which: str) -> list[str]:
    means = zip(*(effect[f"{end}_{which}"] for end in ("mean", "lower", "upper")), strict=True)
    return [with_interval(float(mean), float(lower), float(upper)) for mean, lower, upper in means]


def _means(particles: Particles, micrographs: pd.DataFrame, asked: Question) -> xr.Dataset | None:
    """Give the means by sample, or None if no micrograph is left."""
    if micrographs.empty:
        return None
    made = cells(particles, micrographs, by=["sample"], of=asked.of, weight=asked.weight, scale=asked.scale)
    means = {name: [mean] for name in asked.of}
    return estimate(made, means, cluster=asked.cluster, level=asked.level).sel(statistic="mean")


def _one(means: xr.Dataset | None, sample: str, descriptor: str) -> tuple[float, float, float]:
    if means is None or sample not in means["sample"].values:
        return (float("nan"),) * 3
    one = means.sel(sample=sample, descriptor=descriptor)
    return float(one["estimate"]), float(one["lower"]), float(one["upper"])
