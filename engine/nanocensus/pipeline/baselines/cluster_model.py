"""Clusters of particles as they would come about by chance, measured as the data were, and how many of them the rejected tell of."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64

from nanocensus.errors import StatisticsError
from nanocensus.measure.acceptance import FAILED, RULES, apply_criteria
from nanocensus.measure.criteria import Criteria
from nanocensus.pipeline.baselines.excess_columns import KINDS, OVERLAPPING, TOUCHING
from nanocensus.pipeline.baselines.measuring import Measuring, measure_groups
from nanocensus.simulate.copies import at_random, placed_groups
from nanocensus.simulate.outline import Outline
from nanocensus.simulate.placement import Planted, push_until_free
from nanocensus.statistics.cells.known_micrographs import that_count
from nanocensus.statistics.onsets.samples import SIZE

_OF_SHAPE = {bit: rule for bit, rule in enumerate(RULES) if rule.reason in ("eccentricity", "solidity", "convexity")}
_SHAPE_BITS = sum(1 << bit for bit in _OF_SHAPE)
_FEWEST = 50
_FIRST_STAYS, _LEAST_STAYS = 0.2, 0.03
"""Chance that a particle which meets another stays: tried first, and the least that is simulated."""
_PASSES = 2
_IN_A_FIELD, _MOST_FIELDS = 500, 30
_BLURS_REACH = 2.0
REPLICATES = 100
_ROUNDS = 300
_TOUCHING_GAINS = 5.41
"""Twice the log likelihood that touching pairs must gain: p of 0.01, as a number cannot be negative."""
_CONTRADICTED = 4.0
"""Standard errors by which the accepted must lack what clusters would be."""
_NEVER = 0.01
"""Expected number in a cell that a kind reaches, but was not drawn in: at least this."""
_ECCENTRICITIES = np.array([0.0, 0.5, 0.7, 0.8, 0.85, 0.88, 0.91, 0.94, 1.0])
_SOLIDITIES = np.array([0.0, 0.8, 0.85, 0.9, 0.94, 0.97, 2.0])  # as declared, up to 2
"""Edges of the cells in which rejected particles are counted."""


@dataclass(frozen=True, eq=False)
class CrowdedSample:
    """The particles of one sample."""

    name: str
    particles: pd.DataFrame
    density_per_nm2: float

    @property
    def accepted(self) -> pd.DataFrame:
        """Those that meet the criteria."""
        return self.particles[self.particles[FAILED] == 0]

    @property
    def rejected(self) -> pd.DataFrame:
        """Those that fail by their shape and by nothing else."""
        return self.particles[_fails_by_shape(self.particles)]

    @property
    def met_at_random(self) -> float:
        """How many pairs of discs of equal area would meet if all lay at random: half the density times their encounter."""
        radius = edge_lengths(self.accepted) / math.sqrt(math.pi)
        encounter = math.pi * 2 * float((radius**2).mean() + radius.mean() ** 2)
        return 0.5 * len(self.particles) * self.density_per_nm2 * encounter


def crowded_sample(name: str, one: pd.DataFrame, micrographs: pd.DataFrame, criteria: Criteria) -> CrowdedSample:
    """Give the particles of a sample with their density on its micrographs.

    Raises
    ------
    StatisticsError
        If fewer than 50 are accepted, or no criterion rejects any for its shape.
    """
    own = that_count(micrographs[micrographs["sample"] == name])
    area = float((own["height_px"] * own["width_px"] * own["pixel_size_nm"] ** 2).sum())
    sample = CrowdedSample(name, one, len(one) / area)
    if len(sample.accepted) < _FEWEST:
        raise StatisticsError(
            f"pairs of {name}", expected=f"at least {_FEWEST} accepted particles", got=str(len(sample.accepted)),
            remedy="Leave the sample out.",
        )  # fmt: skip
    if all(rule.bound(criteria.of(name)) is None for rule in _OF_SHAPE.values()):
        raise StatisticsError(
            f"pairs of {name}", expected="criteria that reject by eccentricity, solidity or convexity", got="none",
            remedy="Set a bound: the particles that are rejected tell how many pairs there are.",
        )  # fmt: skip
    return sample


@dataclass(frozen=True, eq=False)
class ClusterModel:
    """Clusters as they would come about, measured as the sample was."""

    sample: CrowdedSample
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
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(), found / placed

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
        return self.rng.choice(edge_lengths(self.sample.accepted), n) / self.measuring.pixel_size_nm

    @property
    def _density_px(self) -> float:
        return self.sample.density_per_nm2 * self.measuring.pixel_size_nm**2

    @property
    def _beyond(self) -> float:
        return _BLURS_REACH * self.measuring.blur_px_at(float(np.median(edge_lengths(self.sample.accepted))))


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
    counts = np.vstack([observed, rng.poisson(observed, (REPLICATES, len(observed)))])
    seen = np.stack([_cells(merged[failing], share[failing]) for share in shares_of_kinds(merged)])
    reached = seen.sum(0) > 0
    counts, seen = counts[:, reached], seen[:, reached]
    both, one = (_most_likely(counts, seen * np.array(kinds)[:, None]) for kinds in ((1.0, 1.0), (1.0, 0.0)))
    gain = 2 * (_log_likelihood(counts[0], both[0] @ seen) - _log_likelihood(counts[0], one[0] @ seen))
    return both if gain > _TOUCHING_GAINS else one


def refuse_contradicted(
    sample: CrowdedSample, merged: pd.DataFrame, counts: Float64[np.ndarray, "replicate kind"]
) -> None:
    """Refuse clusters of which more would be accepted than there are accepted particles of such shapes.

    What is rejected alone does not tell kinds apart for sure, and they differ tenfold in how many are accepted. The accepted
    hold single particles too, so they can only say that there are fewer.

    Raises
    ------
    StatisticsError
        If fewer are there than such clusters would be, by four standard errors.
    """
    passing = (merged[FAILED] == 0).to_numpy()
    drawn = np.stack([_cells(merged[passing], share[passing]) for share in shares_of_kinds(merged)])
    expected = counts @ drawn
    there = _cells(sample.accepted, np.ones(len(sample.accepted)))
    short = expected[0] > there
    lacking, all_of = float((expected[0] - there)[short].sum()), expected[:, short].sum(1)
    error = math.sqrt(float(all_of[1:].var(ddof=1)) + float(all_of[0]))
    if lacking > _CONTRADICTED * error:
        raise StatisticsError(
            f"pairs of {sample.name}", expected=f"{all_of[0]:.0f} accepted particles as long or concave as pairs would be",
            got=f"{there[short].sum():.0f}",
            remedy="What is rejected is no such pairs: look at it; single particles, or pairs whose necks the network fills.",
        )  # fmt: skip


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


def shares_of_kinds(merged: pd.DataFrame) -> Float64[np.ndarray, "kind n"]:
    """Give which share of its kind each cluster is; a row for each kind."""
    own = np.stack([(merged["kind"] == kind).to_numpy(np.float64) for kind in KINDS])
    return np.asarray(own / np.maximum(own.sum(1, keepdims=True), 1))


def _fails_by_shape(particles: pd.DataFrame) -> Bool[np.ndarray, " n"]:
    failed = particles[FAILED].to_numpy().astype(np.int64)
    return np.asarray((failed != 0) & (failed & ~_SHAPE_BITS == 0))


def edge_lengths(particles: pd.DataFrame) -> Float64[np.ndarray, " n"]:
    """Give the edge lengths of particles, nm."""
    return particles[SIZE].to_numpy(np.float64)
