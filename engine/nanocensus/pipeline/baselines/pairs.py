"""Pairs of particles that touch or overlap, are measured as one and meet the criteria: how many there are, and what they do.

Pairs of small particles look like large concave ones. Those rejected for their shape tell how many there are: clusters of the
data's own sizes are placed at random at the data's own density, measured as the data were, and laid over what was rejected. Random
placement alone would not do: particles keep apart, or cling together.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from jaxtyping import Float64

from nanocensus.errors import InputError
from nanocensus.measure.acceptance import FAILED, apply_criteria
from nanocensus.measure.criteria import Criteria
from nanocensus.pipeline.baselines.cluster_model import (
    ClusterModel,
    CrowdedSample,
    crowded_sample,
    edge_lengths,
    refuse_contradicted,
    shares_of_kinds,
)
from nanocensus.pipeline.baselines.excess_columns import KINDS, PAIR_RATES, PAIRS
from nanocensus.pipeline.baselines.null_envelope import OF, SHAPES, NullEnvelope
from nanocensus.pipeline.baselines.pair_shifts import smooth_shift
from nanocensus.simulate.outline import Outline
from nanocensus.statistics.cells.partitions import Particles
from nanocensus.statistics.onsets.samples import SIZE

_FEWEST_PER_BIN = 20
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class PairContamination:
    """Pairs among the accepted particles."""

    envelope: NullEnvelope
    shape: str
    table: pd.DataFrame
    """One row a sample, size bin of 20 particles or more, and descriptor: sample, size_left, size_right, n (accepted particles),
    share (of clusters that are measured as one, expected among them), share_error, descriptor, shift (of the bin's mean)."""
    rates: pd.DataFrame
    """One row a sample and kind: sample, kind ("overlapping", "touching"), n_merged (clusters measured as one, accepted or not),
    error (its standard error), accepted (share of them that meets the criteria), n_detected, n_rejected (for their shape alone),
    n_random (pairs that would meet with random placement), density_per_nm2."""
    draws: Mapping[tuple[str, str], Float64[np.ndarray, "draw bin"]] = field(default_factory=dict)
    """By sample and descriptor, other shifts of its rows that might as well have come out: of counts of rejected particles, and
    clusters, drawn anew."""

    @property
    def samples(self) -> frozenset[str]:
        """Samples of which a shift is known."""
        return frozenset(map(str, self.table["sample"].unique()))

    def baseline(self, descriptor: str, sample: str) -> pd.DataFrame:
        """Give the envelope's baseline with the shift by pairs, smoothed, added: columns size_nm and value.

        Raises
        ------
        InputError
            If the sample or descriptor is not in the table.
        """
        curve = self.envelope.baseline(descriptor, self.shape)
        shift = self.shift(curve["size_nm"].to_numpy(np.float64), descriptor, sample)
        return curve.assign(value=curve["value"] + shift)

    def shift(self, sizes_nm: Float64[np.ndarray, " n"], descriptor: str, sample: str) -> Float64[np.ndarray, " n"]:
        """Give by how much pairs shift the mean at some edge lengths, nm, smoothed; beyond the bins as at their ends.

        Raises
        ------
        InputError
            If the sample or descriptor is not in the table.
        """
        return smooth_shift(self._rows(descriptor, sample)).at(sizes_nm)

    def shift_changes(
        self, sizes_nm: Float64[np.ndarray, " n"], descriptor: str, sample: str
    ) -> Float64[np.ndarray, "draw n"]:
        """Give by how much more the mean would be shifted in each of the draws, as `shift` does.

        Raises
        ------
        InputError
            If the sample or descriptor is not in the table.
        """
        rows = self._rows(descriptor, sample)
        changed = self.draws[sample, descriptor] - rows["shift"].to_numpy(np.float64)
        return smooth_shift(rows).changes(changed, sizes_nm)

    def _rows(self, descriptor: str, sample: str) -> pd.DataFrame:
        rows = self.table[(self.table["sample"] == sample) & (self.table["descriptor"] == descriptor)]
        if rows.empty:
            raise InputError(
                "baseline", expected="a sample and descriptor of the table", got=f"{sample} {descriptor}",
                remedy="Ask pair_contamination for it.",
            )  # fmt: skip
        return rows


def pair_contamination(
    particles: Particles,
    micrographs: pd.DataFrame,
    envelope: NullEnvelope,
    *,
    shape: str = "disc",
    outline: Outline | None = None,
    criteria: Criteria | None = None,
    of: Sequence[str] = OF,
    bin_width_nm: float = 0.2,
    clusters: int = 400,
    seed: int = 0,
) -> PairContamination:
    """Estimate how many accepted particles of each size are pairs, and by how much they shift the means.

    Parameters
    ----------
    particles : DataFrame
        All that were detected, the rejected too.
    micrographs : DataFrame
        Their micrographs: height_px, width_px, pixel_size_nm; those that failed or are excluded have none of the particles.
    envelope : NullEnvelope
        Says how was measured; shifts are those from its values to those of pairs of the same shape.
    shape : str
        Shape of the envelope that pairs are made of.
    outline : Outline, optional
        That shape, if it is none of `null_envelope.SHAPES`.
    criteria : Criteria, optional
        What is accepted; the default ones if absent.
    of : sequence of str
        Descriptors of the envelope.
    bin_width_nm : float
        Width of the size bins.
    clusters : int
        Clusters of each kind that are drawn for each sample, twice for those that overlap.
    seed : int

    Returns
    -------
    PairContamination

    Raises
    ------
    StatisticsError
        If a sample has fewer than 50 accepted particles, no criterion rejects by shape, or the accepted hold fewer particles of
        such shapes than pairs would be.
    InputError
        If the shape is unknown.

    Notes
    -----
    Overlapping clusters come about by random placement at the sample's density, where a particle that meets others stays
    with some chance, the one that gives as many rejected as there are; clusters of three and more are among them. Touching pairs
    lie in contact along a random direction. The numbers of both are the most likely ones for the eccentricities and
    solidities of the rejected. All that is rejected for its shape alone counts as clusters: where single particles are too, shares
    are too high. Neighbours that are not measured as one are left out, though their blurs reach each other.
    """
    known = SHAPES.get(shape) if outline is None else outline
    if known is None:
        raise InputError(
            "outline", expected=f"the outline called {shape!r}", got="none",
            remedy="Give it, or choose one of " + ", ".join(SHAPES) + ".",
        )  # fmt: skip
    criteria = criteria or Criteria()
    judged = apply_criteria(particles, criteria)
    judged = judged[["sample", FAILED, *dict.fromkeys([SIZE, "eccentricity", "solidity", *of])]]
    frame = judged if isinstance(judged, pd.DataFrame) else judged.compute()
    rows, rates = [], []
    draws: dict[tuple[str, str], Float64[np.ndarray, "draw bin"]] = {}
    for number, (name, one) in enumerate(frame.groupby("sample", sort=True)):
        sample = crowded_sample(str(name), one, micrographs, criteria)
        model = ClusterModel(
            sample, known, envelope.measuring, criteria, clusters, np.random.default_rng([seed, number])
        )
        merged, counts = model.fitted()
        refuse_contradicted(sample, merged, counts)
        rates += _rates(sample, merged, counts)
        above = {descriptor: _above(merged, descriptor, envelope, shape) for descriptor in of}
        found, drawn = _bins(sample, merged, counts, above, bin_width_nm, model.rng)
        rows += found
        draws |= {(sample.name, descriptor): shifts for descriptor, shifts in drawn.items()}
    return PairContamination(
        envelope,
        shape,
        pd.DataFrame(rows, columns=list(PAIRS.names)),
        pd.DataFrame(rates, columns=list(PAIR_RATES.names)),
        draws,
    )


def _rates(
    sample: CrowdedSample, merged: pd.DataFrame, counts: Float64[np.ndarray, "replicate kind"]
) -> list[dict[str, object]]:
    facts = {"n_detected": len(sample.particles), "n_rejected": len(sample.rejected), "n_random": sample.met_at_random,
             "density_per_nm2": sample.density_per_nm2}  # fmt: skip
    errors = counts[1:].std(0, ddof=1)
    return [
        {"sample": sample.name, "kind": kind, "n_merged": n, "error": error,
         "accepted": float((merged.loc[merged["kind"] == kind, FAILED] == 0).mean()), **facts}
        for kind, n, error in zip(KINDS, counts[0].tolist(), errors.tolist(), strict=True)
    ]  # fmt: skip


def _bins(
    sample: CrowdedSample,
    merged: pd.DataFrame,
    counts: Float64[np.ndarray, "replicate kind"],
    above: Mapping[str, Float64[np.ndarray, " n"]],
    width: float,
    rng: np.random.Generator,
) -> tuple[list[dict[str, object]], dict[str, Float64[np.ndarray, "draw bin"]]]:
    """Compare, size bin by size bin, the clusters that are to be expected with the particles that are there.

    Beside the rows stand, by descriptor, the shifts of each replicate of the counts; want of drawn clusters is drawn to them.
    """
    share = shares_of_kinds(merged) * (merged[FAILED] == 0).to_numpy()
    of_merged, of_particle = (np.floor(edge_lengths(one) / width + _ROUNDING).astype(np.int64)
                              for one in (merged, sample.accepted))  # fmt: skip
    rows: list[dict[str, object]] = []
    draws: dict[str, list[Float64[np.ndarray, " draw"]]] = {name: [] for name in above}
    for number, n in zip(*(column.tolist() for column in np.unique(of_particle, return_counts=True)), strict=True):
        if n < _FEWEST_PER_BIN:
            continue
        here = share[:, of_merged == number]
        met = counts @ here.sum(1)
        few = _of_few(counts, here)
        facts = {"sample": sample.name, "size_left": number * width, "size_right": (number + 1) * width, "n": n,
                 "share": min(1.0, float(met[0]) / n),
                 "share_error": math.sqrt(float(met[1:].var(ddof=1)) + few) / n}  # fmt: skip
        for name, difference in above.items():
            inside = difference[of_merged == number]
            known = np.isfinite(inside)  # some have no such descriptor, and are in no mean of it
            effect = here * np.where(known, inside, 0.0)
            total = counts @ effect.sum(1)
            total[1:] += math.sqrt(_of_few(counts, effect)) * rng.standard_normal(len(total) - 1)
            averaged = int(sample.accepted.loc[of_particle == number, name].count())
            shift = total / np.maximum(max(averaged, 1), counts @ (here * known).sum(1))
            rows.append(facts | {"descriptor": name, "shift": float(shift[0])})
            draws[name].append(shift[1:])
    return rows, {name: np.array(each).T for name, each in draws.items() if each}


def _of_few(counts: Float64[np.ndarray, "replicate kind"], parts: Float64[np.ndarray, "kind n"]) -> float:
    """Give the variance of the sum of expected parts for want of drawn clusters."""
    return float((counts[0] ** 2) @ (parts**2).sum(1))


def _above(merged: pd.DataFrame, descriptor: str, envelope: NullEnvelope, shape: str) -> Float64[np.ndarray, " n"]:
    """Give how far clusters lie above a single particle of their size; beyond the envelope's sizes that of its end."""
    sizes = np.clip(edge_lengths(merged), *envelope.between_nm)
    return np.asarray(merged[descriptor].to_numpy(np.float64) - envelope.at(sizes, descriptor, shape))
