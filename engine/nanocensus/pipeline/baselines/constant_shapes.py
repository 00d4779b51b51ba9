"""What a constant shape would show of the descriptors whose onsets a run seeks, measured as its particles were."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64

from nanocensus.errors import InputError, StatisticsError
from nanocensus.pipeline.baselines.measuring import measuring_of_run
from nanocensus.pipeline.baselines.network_shapes import envelope_of_run, likeness
from nanocensus.pipeline.baselines.null_envelope import NullEnvelope, null_envelope
from nanocensus.pipeline.job.onset_section import OnsetsSection
from nanocensus.pipeline.job.spec import Job

_BEYOND_NM = 0.3
"""How far the envelope reaches beyond the ranges in which bends are sought: bins at their ends have means outside of them."""
_COPIES, _COPIES_BY_PIXELS = 120, 600
"""Of each size. Counted by pixels a square scatters by 0.04 in circularity with its pose, a hundred times more than on its outline:
with few copies the course of the shape would be the least certain part of an onset."""
_OF_PAIRS = "disc"
"""What pairs are made of where no constant shape is named."""


@dataclass(frozen=True, eq=False)
class ConstantShape:
    """A constant shape, measured as the particles of a run were."""

    shape: str
    copies: NullEnvelope | None
    """Copies of it on maps as sharp and noisy as those of the run; none where these cannot tell."""
    envelope: NullEnvelope | None
    """What is taken off; none where only pairs are, or it cannot be told."""
    refusal: str = ""
    """Why there is no envelope."""
    remark: str = ""
    """How far it is like what it is compared with, where it came through a network."""

    def course(self, descriptor: str) -> pd.DataFrame:
        """Give what is taken off of a descriptor: columns size_nm and value; nothing, over all sizes, without an envelope."""
        if self.envelope is not None:
            return self.envelope.baseline(descriptor, self.shape)
        if self.copies is None:
            raise TypeError("a constant shape that could not be measured has no course")
        curve = self.copies.baseline(descriptor, self.shape)
        return curve.assign(value=np.zeros(len(curve)))

    def changes(self, descriptor: str, n: int, rng: np.random.Generator) -> Float64[np.ndarray, "#draw size"]:
        """Give by how much higher the course might as well be, in each of many draws; one row of zeros without an envelope."""
        if self.envelope is None:
            return np.zeros((1, len(self.course(descriptor))))
        return self.envelope.changes(descriptor, self.shape, n, rng)


def constant_shape_of(job: Job) -> ConstantShape | None:
    """Measure the constant shape that a job compares with as its particles were measured; none if it asks for none.

    What the maps cannot tell, such as the sharpness of a few particles or sizes of few pixels, is a refusal in words: the onsets are then those of
    the data as they are.
    """
    section = job.onsets
    if section is None or (section.constant_shape is None and not section.pairs):
        return None
    shape = section.constant_shape or _OF_PAIRS
    try:
        copies = _copies(job, section, shape)
    except (StatisticsError, InputError) as error:
        return ConstantShape(shape, None, None, str(error))
    if section.constant_shape is None:
        return ConstantShape(shape, copies, None)
    if section.constant_run is None:
        return ConstantShape(shape, copies, copies)
    try:
        made = envelope_of_run(section.constant_run, job, section, shape, copies.measuring)
        remark = likeness(section.constant_run, copies.measuring, sum(section.reach_nm) / 2, seed=job.seed)
    except (StatisticsError, InputError) as error:
        return ConstantShape(shape, copies, None, str(error))
    return ConstantShape(shape, copies, made, remark=remark)


def _copies(job: Job, section: OnsetsSection, shape: str) -> NullEnvelope:
    low, high = section.reach_nm
    between = (max(low - _BEYOND_NM, 0.0), high + _BEYOND_NM)
    measuring = measuring_of_run(job.out, seed=job.seed)
    copies = _COPIES if measuring.estimator == "outline" else _COPIES_BY_PIXELS
    of = list(section.descriptors)
    return null_envelope(measuring, shapes=[shape], of=of, between_nm=between, copies=copies, seed=job.seed)
