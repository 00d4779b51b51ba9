"""What a constant shape would show of the descriptors whose onsets a run seeks, and whether the data go beyond it."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import xarray as xr

from nanocensus.errors import InputError, StatisticsError
from nanocensus.pipeline.excess import COLUMNS, excess_trends
from nanocensus.pipeline.measuring import measuring_of_run
from nanocensus.pipeline.null_envelope import NullEnvelope, null_envelope
from nanocensus.pipeline.onset_section import OnsetsSection
from nanocensus.pipeline.spec import Job
from nanocensus.statistics.clusters import Cluster
from nanocensus.statistics.onset_samples import SIZE
from nanocensus.statistics.partitions import Particles

ENVELOPE, EXCESS = "null_envelope", "excess_trends"
"""Names of the tables."""
_BEYOND_NM = 0.3
"""How far the envelope reaches beyond the ranges in which bends are sought: bins at their ends have means outside of them."""


@dataclass(frozen=True, eq=False)
class ConstantShape:
    """A constant shape, measured as the particles of a run were."""

    shape: str
    envelope: NullEnvelope | None
    refusal: str = ""
    """Why there is no envelope."""

    def baselines(self, section: OnsetsSection) -> Mapping[str, pd.DataFrame]:
        """Give what the shape would show of each descriptor, as `onsets` takes it off; nothing without an envelope."""
        if self.envelope is None:
            return {}
        return {name: self.envelope.baseline(name, self.shape) for name in section.descriptors}


@dataclass(frozen=True, eq=False)
class Beyond:
    """The data beside a constant shape."""

    constant: ConstantShape
    trends: pd.DataFrame
    """See `excess_trends`: a row a sample and descriptor, over the range of its onset."""
    means: pd.DataFrame
    """Means of the data by size: descriptor, sample, size_nm, mean."""

    def tables(self) -> dict[str, pd.DataFrame]:
        """Give the tables by the names of their files."""
        envelope = self.constant.envelope
        return {} if envelope is None else {ENVELOPE: envelope.table, EXCESS: self.trends}


def constant_shape_of(job: Job) -> ConstantShape | None:
    """Measure the constant shape that a job compares with as its particles were measured; none if it names none.

    What the maps cannot tell, such as the sharpness of a few particles or sizes of few pixels, is a refusal in words: the onsets are then those of
    the data as they are.
    """
    section = job.onsets
    if section is None or section.constant_shape is None:
        return None
    ends = [end for sought in section.descriptors.values() for ends in sought.ranges.values() for end in ends]
    try:
        measuring = measuring_of_run(job.out, seed=job.seed)
        between = (max(min(ends) - _BEYOND_NM, 0.0), max(ends) + _BEYOND_NM)
        made = null_envelope(
            measuring, shapes=[section.constant_shape], of=list(section.descriptors), between_nm=between, seed=job.seed
        )
    except (StatisticsError, InputError) as error:
        return ConstantShape(section.constant_shape, None, str(error))
    return ConstantShape(section.constant_shape, made)


def beyond(
    constant: ConstantShape,
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
    constant : ConstantShape
    section : OnsetsSection
    accepted, micrographs : DataFrame
        What counts.
    by_size : xr.Dataset, optional
        Means by sample and size.
    cluster, level
        Of the intervals.
    """
    if constant.envelope is None:
        return Beyond(constant, pd.DataFrame(columns=list(COLUMNS)), _means(None, section))
    trends = [
        excess_trends(
            accepted, constant.envelope, between_nm=(sought.between_nm[0], sought.between_nm[1]), of=[name],
            shapes=[constant.shape], micrographs=micrographs, cluster=cluster, level=level,
        )
        for name, sought in section.descriptors.items()
    ]  # fmt: skip
    return Beyond(constant, pd.concat(trends, ignore_index=True), _means(by_size, section))


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
