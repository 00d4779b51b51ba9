"""Whether the data go beyond what is taken off them: the trends of descriptors beside that of a constant shape."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import xarray as xr

from nanocensus.pipeline.baselines.excess import excess_trends
from nanocensus.pipeline.baselines.excess_columns import EXCESS
from nanocensus.pipeline.baselines.onset_baselines import TakenOff
from nanocensus.pipeline.job.onset_section import OnsetsSection
from nanocensus.statistics.cells.partitions import Particles
from nanocensus.statistics.estimation.clusters import Cluster
from nanocensus.statistics.onsets.samples import SIZE


@dataclass(frozen=True, eq=False)
class Beyond:
    """The data beside what is taken off them."""

    taken: TakenOff
    trends: pd.DataFrame
    """See `excess_trends`: a row a sample and descriptor, over the range of its onset; none without a constant shape."""
    means: pd.DataFrame
    """Means of the data by size: descriptor, sample, size_nm, mean."""
    sentences: Sequence[str]
    """What is taken off, and whether each trend is more than that of the shape; or why that is not known."""

    def tables(self) -> dict[str, pd.DataFrame]:
        """Give the tables by the names of their files."""
        return self.taken.tables() | ({} if self.taken.constant.envelope is None else {EXCESS.name: self.trends})


def beyond(
    taken: TakenOff,
    section: OnsetsSection,
    accepted: Particles,
    micrographs: pd.DataFrame,
    by_size: xr.Dataset | None,
    *,
    cluster: Cluster,
    level: float,
) -> Beyond:
    """Compare the trend of each descriptor between the ends of its range with that of the constant shape.

    Parameters
    ----------
    taken : TakenOff
    section : OnsetsSection
    accepted, micrographs : DataFrame
        What counts.
    by_size : xr.Dataset, optional
        Means by sample and size.
    cluster, level
        Of the intervals.
    """
    envelope = taken.constant.envelope
    if envelope is None:
        none = pd.DataFrame(columns=list(EXCESS.names))
        return Beyond(taken, none, _means(None, section), list(taken.sentences(section)))
    pairs = None if taken.pairs is None else taken.pairs.found
    trends = [
        excess_trends(
            accepted, envelope, between_nm=(sought.between_nm[0], sought.between_nm[1]), of=[name],
            shapes=[taken.constant.shape], pairs=pairs, micrographs=micrographs, cluster=cluster, level=level,
        )
        for name, sought in section.descriptors.items()
    ]  # fmt: skip
    table = pd.concat(trends, ignore_index=True)
    return Beyond(taken, table, _means(by_size, section), [*taken.sentences(section), *table["sentence"]])


def _means(by_size: xr.Dataset | None, section: OnsetsSection) -> pd.DataFrame:
    """Give means by size with the mean size of their particles, where both were asked for."""
    held = [] if by_size is None else [str(name) for name in by_size["descriptor"].values]
    frames = [pd.DataFrame(columns=["descriptor", "sample", "size_nm", "mean"])]
    for name in section.descriptors:
        if by_size is not None and name in held and SIZE in held:
            one = by_size["estimate"].sel(statistic="mean")
            rows = pd.DataFrame(
                {"size_nm": one.sel(descriptor=SIZE).to_series(), "mean": one.sel(descriptor=name).to_series()}
            )
            frames.append(rows.dropna().reset_index()[["sample", "size_nm", "mean"]].assign(descriptor=name))
    return pd.concat(frames, ignore_index=True)
