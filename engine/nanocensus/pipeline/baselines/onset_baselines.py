"""What is taken off the means before onsets are sought: the course of a constant shape, and what pairs of particles add."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64

from nanocensus.measure.criteria import Criteria
from nanocensus.pipeline.baselines.cluster_model import REPLICATES
from nanocensus.pipeline.baselines.constant_shapes import ConstantShape
from nanocensus.pipeline.baselines.excess_columns import ENVELOPE
from nanocensus.pipeline.baselines.onset_pairs import OnsetPairs, pairs_of_run
from nanocensus.pipeline.job.onset_section import OnsetsSection
from nanocensus.statistics.cells.partitions import Particles
from nanocensus.statistics.estimation.philox import generator


@dataclass(frozen=True, eq=False)
class TakenOff:
    """What is taken off in a run."""

    constant: ConstantShape
    pairs: OnsetPairs | None
    """None where the job does not ask for them, or how the run measured cannot be told."""
    samples: Sequence[str]
    seed: int = 0
    """Of the draws that tell how well it is known."""

    def baselines(self, section: OnsetsSection) -> Mapping[str, pd.DataFrame]:
        """Give what is taken off of each descriptor, as `onsets` has it; nothing where nothing is known."""
        return {name: self._baseline(name) for name in section.descriptors} if self._known else {}

    def changes(self, section: OnsetsSection) -> Mapping[str, Float64[np.ndarray, "draw row"]]:
        """Give by how much the baseline of each descriptor might be higher, in 100 draws, row by row of `baselines`.

        The means of the constant shape are drawn by their standard errors, the same for all samples; pairs by the counts that tell
        how many there are, in each sample of its own.
        """
        return {name: self._changes(name) for name in section.descriptors} if self._known else {}

    def tables(self) -> dict[str, pd.DataFrame]:
        """Give the tables by the names of their files."""
        envelope = self.constant.envelope
        made = {} if envelope is None else {ENVELOPE.name: envelope.table}
        return made | ({} if self.pairs is None else self.pairs.tables())

    def sentences(self, section: OnsetsSection) -> Iterator[str]:
        """Say what is taken off, and what could not be told."""
        taken = list(self._words())
        if taken:
            yield f"the baseline that is taken off the means: {', and '.join(taken)}."
        if self.constant.refusal:
            yield f"{self._lost(section)}: {self.constant.refusal}"
        if self.pairs is not None:
            yield from self.pairs.sentences(list(section.descriptors), section.reach_nm)

    @property
    def _known(self) -> bool:
        return self.constant.envelope is not None or (self.pairs is not None and self.pairs.found is not None)

    def _baseline(self, descriptor: str) -> pd.DataFrame:
        curve = self.constant.course(descriptor)
        if self.pairs is None:
            return curve
        size = curve["size_nm"].to_numpy(np.float64)
        parts = [
            curve.assign(sample=sample, value=curve["value"] + self.pairs.shift(size, descriptor, sample))
            for sample in self.samples
        ]
        return pd.concat(parts, ignore_index=True)

    def _changes(self, descriptor: str) -> Float64[np.ndarray, "draw row"]:
        rng = generator(self.seed, f"baseline of {descriptor}")
        of_shape = self.constant.changes(descriptor, REPLICATES, rng)
        if self.pairs is None:
            return of_shape
        size = self.constant.course(descriptor)["size_nm"].to_numpy(np.float64)
        of_each = [of_shape + self.pairs.shift_changes(size, descriptor, sample) for sample in self.samples]
        return np.concatenate([np.broadcast_to(one, (REPLICATES, len(size))) for one in of_each], axis=1)

    def _words(self) -> Iterator[str]:
        if self.constant.envelope is not None:
            yield f"what a constant {self.constant.shape.replace('_', ' ')} shows of each size{self._how()}"
        if self.pairs is not None and self.pairs.found is not None:
            yield "what pairs of particles that are measured as one add in each sample"

    def _how(self) -> str:
        return f" ({self.constant.remark})" if self.constant.remark else ""

    def _lost(self, section: OnsetsSection) -> str:
        lost = ["no constant shape is compared"] if section.constant_shape is not None else []
        lost += ["no pairs are estimated"] if section.pairs and self.pairs is None else []
        same = "" if self.baselines(section) else ", onsets are those of the data as they are"
        return " and ".join(lost) + same


def taken_off(
    constant: ConstantShape,
    section: OnsetsSection,
    judged: Particles,
    micrographs: pd.DataFrame,
    criteria: Criteria | None,
    *,
    seed: int,
) -> TakenOff:
    """Put together what is taken off; pairs are estimated here, of the run's own particles.

    Parameters
    ----------
    constant : ConstantShape
    section : OnsetsSection
    judged, micrographs
        All particles that were detected on the micrographs that count, and these.
    criteria : Criteria, optional
        What is accepted.
    seed : int
    """
    samples = [str(name) for name in dict.fromkeys(micrographs["sample"])]
    if not section.pairs or constant.copies is None or criteria is None:
        return TakenOff(constant, None, samples, seed)
    found = pairs_of_run(constant.copies, constant.shape, judged, micrographs, criteria, seed=seed)
    return TakenOff(constant, found, samples, seed)
