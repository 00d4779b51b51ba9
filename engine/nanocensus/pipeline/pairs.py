"""Pairs of particles that touch or overlap, are measured as one and meet the criteria: how many there are, and what they do.

Pairs of small particles look like large concave ones. Those rejected for their shape tell how many there are: clusters of the
data's own sizes are placed at random at the data's own density, measured as the data were, and laid over what was rejected. Random
placement alone would not do: particles keep apart, or cling together.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64

from nanocensus.errors import InputError, StatisticsError
from nanocensus.measure.acceptance import FAILED, REASONS, apply_criteria
from nanocensus.measure.criteria import Criteria
from nanocensus.pipeline.excess import SIZE
from nanocensus.pipeline.measuring import Measuring, measure_groups
from nanocensus.pipeline.null_envelope import OF, SHAPES, NullEnvelope
from nanocensus.simulate.copies import at_random, placed_groups
from nanocensus.simulate.outline import Outline
from nanocensus.simulate.placement import Planted, push_until_free
from nanocensus.statistics.partitions import Particles

OVERLAPPING, TOUCHING = KINDS = ("overlapping", "touching")
_OF_SHAPE = ("eccentricity", "solidity", "convexity")
_SHAPE_BITS = sum(1 << bit for bit, reason in enumerate(REASONS) if reason in _OF_SHAPE)
_FEWEST = 50
_FIRST_STAYS, _LEAST_STAYS = 0.2, 0.03
"""Chance that a particle which meets another stays: tried first, and the least that is simulated."""
_PASSES = 2
_IN_A_FIELD, _MOST_FIELDS = 500, 30
_BLURS_REACH = 2.0
_REPLICATES = 100
_ROUNDS = 300
_TOUCHING_GAINS = 5.41
"""Twice the log likelihood that touching pairs must gain: p of 0.01, as a number cannot be negative."""
_NEVER = 0.01
"""Expected number in a cell that a kind reaches, but was not drawn in: at least this."""
_ROUNDING = 1e-9
_FEWEST_PER_BIN = 20
_ECCENTRICITIES = np.array([0.0, 0.5, 0.7, 0.8, 0.85, 0.88, 0.91, 0.94, 1.0])
_SOLIDITIES = np.array([0.0, 0.8, 0.85, 0.9, 0.94, 0.97, 2.0])  # as declared, up to 2
"""Edges of the cells in which rejected particles are counted."""


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

    def baseline(self, descriptor: str, sample: str) -> pd.DataFrame:
        """Give the envelope's baseline with the shift by pairs added: columns size_nm and value.

        Raises
        ------
        InputError
            If the sample or descriptor is not in the table.
        """
        rows = self.table[(self.table["sample"] == sample) & (self.table["descriptor"] == descriptor)]
        if rows.empty:
            raise InputError(
                "baseline", expected="a sample and descriptor of the table", got=f"{sample} {descriptor}",
                remedy="Ask pair_contamination for it.",
            )  # fmt: skip
        curve = self.envelope.baseline(descriptor, self.shape)
        centre = (rows["size_left"] + rows["size_right"]) / 2
        return curve.assign(value=curve["value"] + np.interp(curve["size_nm"], centre, rows["shift"]))


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
        Their micrographs: height_px, width_px, pixel_size_nm.
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
        If a sample has fewer than 50 accepted particles.
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
    for number, (name, one) in enumerate(frame.groupby("sample", sort=True)):
        sample = _sample(str(name), one, micrographs)
        model = _Model(sample, known, envelope.measuring, criteria, clusters, np.random.default_rng([seed, number]))
        merged, counts = model.fitted()
        rates += _rates(sample, merged, counts)
        above = {descriptor: _above(merged, descriptor, envelope, shape) for descriptor in of}
        rows += _bins(sample, merged, counts, above, bin_width_nm)
    return PairContamination(envelope, shape, pd.DataFrame(rows), pd.DataFrame(rates))


@dataclass(frozen=True, eq=False)
class _Sample:
    """The particles of one sample."""

    name: str
    particles: pd.DataFrame
    density_per_nm2: float

    @property
    def accepted(self) -> pd.DataFrame:
        return self.particles[self.particles[FAILED] == 0]

    @property
    def rejected(self) -> pd.DataFrame:
        """Those that fail by their shape and by nothing else."""
        return self.particles[_fails_by_shape(self.particles)]

    @property
    def met_at_random(self) -> float:
        """How many pairs of discs of equal area would meet if all lay at random: half the density times their encounter."""
        radius = _sizes(self.accepted) / math.sqrt(math.pi)
        encounter = math.pi * 2 * float((radius**2).mean() + radius.mean() ** 2)
        return 0.5 * len(self.particles) * self.density_per_nm2 * encounter


def _sample(name: str, one: pd.DataFrame, micrographs: pd.DataFrame) -> _Sample:
    own = micrographs[micrographs["sample"] == name]
    area = float((own["height_px"] * own["width_px"] * own["pixel_size_nm"] ** 2).sum())
    sample = _Sample(name, one, len(one) / area)
    if len(sample.accepted) < _FEWEST:
        raise StatisticsError(
            f"pairs of {name}", expected=f"at least {_FEWEST} accepted particles", got=str(len(sample.accepted)),
            remedy="Leave the sample out.",
        )  # fmt: skip
    return sample


@dataclass(frozen=True, eq=False)
class _Model:
    """Clusters as they would come about, measured as the sample was."""

    sample: _Sample
    outline: Outline
    measuring: Measuring
    criteria: Criteria
    clusters: int
    rng: np.random.Generator

    def fitted(self) -> tuple[pd.DataFrame, Float64[np.ndarray, "replicate kind"]]:
        """Give merged clusters, `kind` and how they read, and the numbers of each kind in the data, see `_fit`.

        How many lie three and more together depends on how often particles that meet stay: that is found in two rounds.
        """
        touching = self._merged(self._touching(), TOUCHING)
        stays = _FIRST_STAYS
        for _ in range(_PASSES):
            overlapping, per_particle = self._overlapping(stays)
            merged = pd.concat([overlapping, touching], ignore_index=True)
            counts = _fit(self.sample.rejected, merged, self.rng)
            seen = per_particle * len(self.sample.particles)
            stays = float(np.clip(stays * counts[0, 0] / seen, _LEAST_STAYS, 1.0)) if seen > 0 else stays
        return merged, counts

    def _overlapping(self, stays: float) -> tuple[pd.DataFrame, float]:
        """Give clusters where particles that meet others stay with some chance; and their number over that of particles."""
        found, placed, parts = 0, 0, []
        for _ in range(_MOST_FIELDS):
            groups = placed_groups(
                self._sizes(_IN_A_FIELD), self.outline, self._density_px, stays, self._beyond, self.rng
            )
            placed += _IN_A_FIELD
            if groups:
                parts.append(self._merged(groups, OVERLAPPING))
                found += len(parts[-1])
            if found >= self.clusters:
                break
        return pd.concat(parts, ignore_index=True), found / placed

    def _touching(self) -> list[list[Planted]]:
        groups = []
        for sizes in self._sizes(2 * self.clusters).reshape(-1, 2).tolist():
            first, second = (at_random("copy", self.outline.scaled(size), self.rng) for size in sizes)
            bearing, turn = self.rng.uniform(0, 2 * math.pi, 2).tolist()
            groups.append([first, push_until_free("copy", second.outline, first, bearing, turn)])
        return groups

    def _merged(self, groups: Sequence[Sequence[Planted]], kind: str) -> pd.DataFrame:
        regions = measure_groups(groups, self.measuring, self.rng)
        merged = regions[regions["members"] > 1].assign(sample=self.sample.name, kind=kind)
        return apply_criteria(merged, self.criteria)

    def _sizes(self, n: int) -> Float64[np.ndarray, " n"]:
        return self.rng.choice(_sizes(self.sample.accepted), n) / self.measuring.pixel_size_nm

    @property
    def _density_px(self) -> float:
        return self.sample.density_per_nm2 * self.measuring.pixel_size_nm**2

    @property
    def _beyond(self) -> float:
        return _BLURS_REACH * self.measuring.blur_px_at(float(np.median(_sizes(self.sample.accepted))))


def _fit(
    rejected: pd.DataFrame, merged: pd.DataFrame, rng: np.random.Generator
) -> Float64[np.ndarray, "replicate kind"]:
    """Find the numbers of clusters of each kind, accepted or not, that explain the rejected: most likely for Poisson counts.

    The first row is of the counts themselves, the others are of counts drawn anew. Touching pairs are taken in only where what
    overlaps does not explain the rejected (likelihood ratio, p below 0.01): of few, either would do, and the two differ
    tenfold in how many are accepted.
    """
    failing = _fails_by_shape(merged)
    observed = _cells(rejected, np.ones(len(rejected)))
    counts = np.vstack([observed, rng.poisson(observed, (_REPLICATES, len(observed)))])
    seen = np.stack([_cells(merged[failing], share[failing]) for share in _shares(merged)])
    reached = seen.sum(0) > 0
    counts, seen = counts[:, reached], seen[:, reached]
    both, one = (_most_likely(counts, seen * np.array(kinds)[:, None]) for kinds in ((1.0, 1.0), (1.0, 0.0)))
    gain = 2 * (_log_likelihood(counts[0], both[0] @ seen) - _log_likelihood(counts[0], one[0] @ seen))
    return both if gain > _TOUCHING_GAINS else one


def _most_likely(
    counts: Float64[np.ndarray, "replicate cell"], seen: Float64[np.ndarray, "kind cell"]
) -> Float64[np.ndarray, "replicate kind"]:
    """Share counts out among kinds, by rounds of expectation and maximisation: none is lost where a kind reaches its cell."""
    total = seen.sum(1)
    found = np.tile(counts.sum(1, keepdims=True), len(seen)) * (total > 0)
    for _ in range(_ROUNDS):
        expected = found @ seen
        ratio = np.divide(counts, expected, out=np.zeros_like(expected), where=expected > 0)
        found = found * np.divide(ratio @ seen.T, total, out=np.zeros_like(found), where=total > 0)
    return np.asarray(found)


def _log_likelihood(counts: Float64[np.ndarray, " cell"], expected: Float64[np.ndarray, " cell"]) -> float:
    return float((counts * np.log(np.maximum(expected, _NEVER)) - expected).sum())


def _cells(particles: pd.DataFrame, weights: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " cell"]:
    places = particles["eccentricity"].to_numpy(np.float64), particles["solidity"].to_numpy(np.float64)
    counts, *_ = np.histogram2d(*places, bins=(_ECCENTRICITIES, _SOLIDITIES), weights=weights)
    return np.asarray(counts.ravel(), np.float64)


def _rates(
    sample: _Sample, merged: pd.DataFrame, counts: Float64[np.ndarray, "replicate kind"]
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
    sample: _Sample,
    merged: pd.DataFrame,
    counts: Float64[np.ndarray, "replicate kind"],
    above: Mapping[str, Float64[np.ndarray, " n"]],
    width: float,
) -> list[dict[str, object]]:
    """Compare, size bin by size bin, the clusters that are to be expected with the particles that are there."""
    share = _shares(merged) * (merged[FAILED] == 0).to_numpy()
    of_merged, of_particle = (np.floor(_sizes(one) / width + _ROUNDING).astype(np.int64)
                              for one in (merged, sample.accepted))  # fmt: skip
    rows: list[dict[str, object]] = []
    for number, n in zip(*(column.tolist() for column in np.unique(of_particle, return_counts=True)), strict=True):
        if n < _FEWEST_PER_BIN:
            continue
        here = share[:, of_merged == number]
        met = counts @ here.sum(1)
        few = float((counts[0] ** 2) @ (here**2).sum(1))  # what is not known for want of drawn clusters
        facts = {"sample": sample.name, "size_left": number * width, "size_right": (number + 1) * width, "n": n,
                 "share": min(1.0, float(met[0]) / n),
                 "share_error": math.sqrt(float(met[1:].var(ddof=1)) + few) / n}  # fmt: skip
        for name, difference in above.items():
            shift = float(counts[0] @ (here @ difference[of_merged == number]))
            rows.append(facts | {"descriptor": name, "shift": shift / max(n, float(met[0]))})
    return rows


def _shares(merged: pd.DataFrame) -> Float64[np.ndarray, "kind n"]:
    """Give which share of its kind each cluster is; a row for each kind."""
    own = np.stack([(merged["kind"] == kind).to_numpy(np.float64) for kind in KINDS])
    return np.asarray(own / np.maximum(own.sum(1, keepdims=True), 1))


def _above(merged: pd.DataFrame, descriptor: str, envelope: NullEnvelope, shape: str) -> Float64[np.ndarray, " n"]:
    """Give how far clusters lie above a single particle of their size; beyond the envelope's sizes that of its end."""
    sizes = np.clip(_sizes(merged), *envelope.between_nm)
    return np.asarray(merged[descriptor].to_numpy(np.float64) - envelope.at(sizes, descriptor, shape))


def _fails_by_shape(particles: pd.DataFrame) -> Bool[np.ndarray, " n"]:
    failed = particles[FAILED].to_numpy().astype(np.int64)
    return np.asarray((failed != 0) & (failed & ~_SHAPE_BITS == 0))


def _sizes(particles: pd.DataFrame) -> Float64[np.ndarray, " n"]:
    return particles[SIZE].to_numpy(np.float64)
