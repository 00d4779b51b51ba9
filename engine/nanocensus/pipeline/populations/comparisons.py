"""What a run says about its samples beside each other: their sizes, their differences, and the CV across them."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
import xarray as xr

from nanocensus.pipeline.question import Question
from nanocensus.schema import PARTICLES
from nanocensus.show.figures.theme import quantity_name, unit_sign
from nanocensus.show.numbers import p_words, with_interval
from nanocensus.show.report.content import ReportTable
from nanocensus.statistics.cells.partitions import Particles
from nanocensus.statistics.distributions.size_distribution import size_distribution
from nanocensus.statistics.estimation.across import cv_across_samples
from nanocensus.statistics.estimation.binning import long_table
from nanocensus.statistics.estimation.contrasts import compare
from nanocensus.store.ordering import natural_key

_MOST_PAIRED = 8
"""Samples up to which all pairs are compared in every size bin; of more, all with the first: pairs grow as the square."""
_MOST_PRINTED = 10
"""Pairs up to which the report prints all; of more, those with the first sample."""
_INTERVAL = ("estimate", "lower", "upper", "standard_error", "degrees_of_freedom")
_BIN = ("size_bin", "size_left", "size_right")


@dataclass(frozen=True, eq=False)
class Comparisons:
    """The samples of a census beside each other; of one sample there is the size distribution alone."""

    sizes: xr.Dataset | None
    """`statistics.distributions.size_distribution` of what is binned, usually the edge length; None of a table without sizes in nm."""
    differences: xr.Dataset | None
    """`statistics.compare` of all pairs of samples, all sizes together."""
    ratios: xr.Dataset | None
    by_size: xr.Dataset | None
    """Differences in every size bin."""
    across: xr.Dataset | None
    """`statistics.cv_across_samples` in every size bin."""


def compare_samples(
    accepted: Particles,
    micrographs: pd.DataFrame,
    asked: Question,
    by_sample: xr.Dataset,
    by_size: xr.Dataset | None,
) -> Comparisons:
    """Compare samples.

    Parameters
    ----------
    accepted : DataFrame
        The accepted particles.
    micrographs : DataFrame
        The index.
    asked : Question
    by_sample, by_size : xr.Dataset
        Their statistics.
    """
    bins, sizes = asked.bins, None
    if bins is not None and bins.of in PARTICLES and PARTICLES[bins.of].unit == "nm":
        sizes = size_distribution(
            accepted, micrographs, of=bins.of, bin_width_nm=bins.width_nm or 0.2, cluster=asked.cluster,
            level=asked.level, weight=asked.weight,
        )  # fmt: skip
    samples = by_sample["sample"].to_numpy()
    if len(samples) < 2:
        return Comparisons(sizes, None, None, None, None)
    reference = None if len(samples) <= _MOST_PAIRED else samples[0]
    return Comparisons(
        sizes,
        compare(by_sample),
        compare(by_sample, kind="ratio"),
        None if by_size is None else compare(by_size, reference=reference),
        None if by_size is None else cv_across_samples(by_size),
    )


def comparison_tables(made: Comparisons) -> dict[str, pd.DataFrame]:
    """Lay the comparisons out as tables, by the names of their files."""
    counts = ("n", "n_micrographs", "n_clusters")
    tables = {}
    if made.sizes is not None:
        tables["size_distribution"] = long_table(
            made.sizes, "estimate", ["sample", "weighting", "statistic", "iso_name", *_INTERVAL, *counts, "refusal"]
        )
        tables["lognormal_fit"] = long_table(
            made.sizes, "residual", ["sample", "weighting", *_BIN, "share", "fitted_share", "residual"]
        )
    compared = [ds for ds in (made.differences, made.ratios, made.by_size) if ds is not None]
    if compared:
        columns = ["first", "second", *_BIN, "descriptor", "statistic", *_INTERVAL, "p", "p_holm", "refusal"]
        frames = [long_table(ds, "estimate", columns).assign(kind=ds.attrs["kind"]) for ds in compared]
        tables["contrasts"] = pd.concat(frames, ignore_index=True)[["kind", *columns]]
    if made.across is not None:
        columns = [*_BIN, "descriptor", "n_samples", "naive", "estimate", "lower", "upper", "refusal", "left_out"]
        tables["across_samples"] = long_table(made.across, "estimate", columns)
    return tables


def report_tables(made: Comparisons, *, assumed: bool) -> Iterator[ReportTable]:
    """Give the tables of the report: sizes, and differences of means.

    Parameters
    ----------
    made : Comparisons
    assumed : bool
        Whether the pixel size was made up.
    """
    if made.sizes is not None:
        size = str(made.sizes.attrs["of"])
        name, sign = quantity_name(size), unit_sign(size, assumed=assumed)
        yield ReportTable(
            f"Size distributions: {name} ({sign}) by number and by volume [{_level(made.sizes)}]",
            pd.DataFrame(_size_rows(made.sizes)),
            f"By volume a particle counts as the cube on its {name}: there the mean is D[4,3]. Span: (D90 - D10) / D50; gsd: "
            "geometric standard deviation; log-normal misfit: largest distance between the cumulative shares of the particles "
            "and of the log-normal distribution fitted to them. Other means, D[3,2] among them, and why an interval is missing "
            "are in size_distribution.csv.",
        )  # fmt: skip
    if made.differences is not None:
        rows = list(_difference_rows(made.differences, assumed=assumed))
        yield ReportTable(
            f"Differences of means between samples [{_level(made.differences)}; p after Holm for all pairs]",
            pd.DataFrame(rows),
            f"{len(rows)} of {made.differences.sizes['comparison']} pairs; all of them, differences in every size bin and of "
            "other statistics, and ratios are in contrasts.csv.",
        )


def _level(made: xr.Dataset) -> str:
    return f"{100 * made.attrs['level']:g} % interval"


def _size_rows(sizes: xr.Dataset) -> Iterator[dict[str, str]]:
    heads = {"d10": "D10", "d50": "D50", "d90": "D90", "span": "span", "mean": "mean", "gsd": "gsd"}
    for sample in sizes["sample"].to_numpy():
        for weighting in sizes["weighting"].to_numpy():
            here = sizes.sel(sample=sample, weighting=weighting)
            row = {"sample": str(sample), "by": str(weighting)}
            for statistic, head in heads.items():
                one = here.sel(statistic=statistic)
                numbers = (float(one[name]) for name in ("estimate", "lower", "upper"))
                row[head] = with_interval(*numbers)
            yield row | {"log-normal misfit": f"{float(here['largest_distance']):.3f}"}


def _difference_rows(differences: xr.Dataset, *, assumed: bool) -> Iterator[dict[str, str]]:
    means = differences.sel(statistic="mean")
    if means.sizes["comparison"] > _MOST_PRINTED:
        means = means.isel(comparison=(means["second"] == means["second"][0]).to_numpy())
    pairs = list(zip(means["second"].to_numpy(), means["first"].to_numpy(), strict=True))
    for place in sorted(range(len(pairs)), key=lambda place: [natural_key(str(name)) for name in pairs[place]]):
        row = {"samples": str(means["comparison"].to_numpy()[place])}
        for descriptor in means["descriptor"].to_numpy():
            one = means.isel(comparison=place).sel(descriptor=descriptor)
            sign = unit_sign(str(descriptor), assumed=assumed)
            numbers = (float(one[name]) for name in ("estimate", "lower", "upper"))
            text = with_interval(*numbers)
            row[quantity_name(str(descriptor)) + (f" ({sign})" if sign else "")] = (
                f"{text}, {p_words(float(one['p_holm']))}" if one["refusal"] == "" else f"{text} [refused]"
            )
        yield row
