"""Pairs of particles among those whose onsets a run seeks: how many pass for one, and what they do to the means, in words too."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64

from nanocensus.errors import StatisticsError
from nanocensus.measure.acceptance import RULES
from nanocensus.measure.criteria import Criteria
from nanocensus.pipeline.baselines.excess_columns import PAIR_RATES, PAIRS
from nanocensus.pipeline.baselines.null_envelope import NullEnvelope
from nanocensus.pipeline.baselines.pairs import PairContamination, pair_contamination
from nanocensus.show.figures.theme import quantity_name
from nanocensus.simulate.seeds import sample_seed
from nanocensus.statistics.cells.partitions import Particles
from nanocensus.statistics.onsets.samples import SIZE

_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class OnsetPairs:
    """What pairs do to the descriptors whose onsets are sought."""

    found: PairContamination | None
    """Of the samples of which something can be told."""
    refusals: Mapping[str, str]
    """By sample, why nothing can be told of it."""

    def shift(self, sizes_nm: Float64[np.ndarray, " n"], descriptor: str, sample: str) -> Float64[np.ndarray, " n"]:
        """Give by how much pairs shift the mean at some edge lengths, nm; nothing where it cannot be told."""
        if self.found is None or sample not in self.found.samples:
            return np.zeros(sizes_nm.shape)
        return self.found.shift(sizes_nm, descriptor, sample)

    def shift_changes(
        self, sizes_nm: Float64[np.ndarray, " n"], descriptor: str, sample: str
    ) -> Float64[np.ndarray, "#draw n"]:
        """Give by how much more they might shift it as well, in each of many draws; one row of zeros where it cannot be told."""
        if self.found is None or sample not in self.found.samples:
            return np.zeros((1, *sizes_nm.shape))
        return self.found.shift_changes(sizes_nm, descriptor, sample)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Give the tables by the names of their files."""
        return {} if self.found is None else {PAIRS.name: self.found.table, PAIR_RATES.name: self.found.rates}

    def sentences(self, descriptors: Sequence[str], between_nm: tuple[float, float]) -> Iterator[str]:
        """Say of each sample how many pairs there are between two edge lengths, and what they do."""
        found = self.found
        if found is not None:
            yield from (
                f"{name}: {_contamination(found, name, descriptors, between_nm)}." for name in sorted(found.samples)
            )
        for sample, refusal in self.refusals.items():
            yield f"{sample}: what pairs of particles do to the means cannot be told, nothing is taken off for them: {refusal}"
        if found is not None:
            yield (
                "pairs are estimated from the particles that are rejected for their shape alone, as if all of these were clusters: "
                "where single particles are rejected too, shares and shifts are too large (pair_contamination.csv)."
            )


def pairs_of_run(
    copies: NullEnvelope, shape: str, judged: Particles, micrographs: pd.DataFrame, criteria: Criteria, *, seed: int
) -> OnsetPairs:
    """Estimate the pairs of each sample of a run.

    Parameters
    ----------
    copies : NullEnvelope
        Of copies of the shape, measured as the particles were; of the descriptors that are wanted.
    shape : str
        What pairs are made of.
    judged : DataFrame
        All particles that were detected on the micrographs that count.
    micrographs : DataFrame
        These micrographs, the index of the run.
    criteria : Criteria
    seed : int
    """
    of = list(dict.fromkeys(copies.table["descriptor"]))
    seen = micrographs[micrographs["status"] == "done"]
    frame = _read(judged, of)
    found: list[PairContamination] = []
    refusals: dict[str, str] = {}
    for sample in map(str, dict.fromkeys(seen["sample"])):
        own = frame[frame["sample"] == sample]
        try:
            stream = int(sample_seed(seed, sample).generate_state(1)[0])  # of its own, whatever other samples there are
            one = pair_contamination(own, seen, copies, shape=shape, criteria=criteria, of=of, seed=stream)
        except StatisticsError as error:
            refusals[sample] = str(error)
            continue
        if sample in one.samples:
            found.append(one)
        else:
            refusals[sample] = "no size bin has enough accepted particles."
    if not found:
        return OnsetPairs(None, refusals)
    table, rates = (pd.concat(parts, ignore_index=True)
                    for parts in ([one.table for one in found], [one.rates for one in found]))  # fmt: skip
    draws = {key: shifts for one in found for key, shifts in one.draws.items()}
    return OnsetPairs(PairContamination(copies, shape, table, rates, draws), refusals)


def _read(judged: Particles, of: Sequence[str]) -> pd.DataFrame:
    """Read, in one pass, what pairs of all samples are told from."""
    judges = [rule.column for rule in RULES if rule.column in judged.columns]
    rows = judged[list(dict.fromkeys(["sample", SIZE, "eccentricity", "solidity", *of, *judges]))]
    return rows if isinstance(rows, pd.DataFrame) else rows.compute()


def _contamination(
    found: PairContamination, sample: str, descriptors: Sequence[str], between_nm: tuple[float, float]
) -> str:
    low, high = between_nm
    rows = found.table[(found.table["sample"] == sample) & (found.table["descriptor"] == descriptors[0])]
    one = rows[rows["size_left"].ge(low - _ROUNDING) & rows["size_right"].le(high + _ROUNDING)]
    where = f"from {low:g} to {high:g} nm"
    if not one["share"].sum() > 0:
        return f"no pairs that are measured as one are to be told among the accepted particles {where}"
    share, error = (np.average(one[name], weights=one["n"]) for name in ("share", "share_error"))
    size = ((one["size_left"] + one["size_right"]) / 2).to_numpy(np.float64)
    effects = []
    for of in descriptors:
        shift = found.shift(size, of, sample)
        most = int(np.abs(shift).argmax())
        effects.append(f"mean {quantity_name(of)} by {shift[most]:+.4f} at {size[most]:.1f} nm")
    return (
        f"an estimated {share:.1%} (standard error {error:.1%}) of the accepted particles {where} are touching or overlapping "
        f"pairs that are measured as one; they shift {' and '.join(effects)}, where they do most, and this is taken off"
    )
