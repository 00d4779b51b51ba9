"""Levels and coverage of what compares samples: energy distance, peaks, nested variances, spread against mean.

    python benchmarks/statistics/comparison_study.py > benchmarks/results/comparison.md      # about three minutes

Simulated clusters share a shift; its share of the variance is 0.08 unless stated. Numbers of particles are Poisson, where they
differ with gamma distributed means (shape 3).
"""

import sys
from collections.abc import Sequence

import numpy as np
from scipy import stats

from nanocensus.statistics.distributions.energy import coefficients, distance_sums
from nanocensus.statistics.distributions.modality import critical, p_of_one_peak
from nanocensus.statistics.synthesis.spread import slope_over_samples
from nanocensus.statistics.variance.nested import Sums, interval_of, squares

RUNS, SEED, LEVEL, ICC = 400, 20_261_123, 0.95, 0.08
SIDE, SD = 40, 5.0


def numbers(clusters: int, mean: float, unequal: bool, rng: np.random.Generator) -> np.ndarray:
    """Give the numbers of particles of clusters."""
    return rng.poisson(rng.gamma(3.0, mean / 3.0, clusters) if unequal else mean, clusters) + 1


def share(found: Sequence[bool]) -> str:
    """Print a share with the limits of an exact binomial test."""
    limits = stats.binomtest(int(np.sum(found)), len(found)).proportion_ci(0.95, method="exact")
    return f"{100 * np.mean(found):.1f} | {100 * limits.low:.1f} to {100 * limits.high:.1f}"


def plane(n: np.ndarray, spread: float, move: float, rng: np.random.Generator) -> np.ndarray:
    """Give histograms (cluster, x, y) of particles in a plane."""
    weights = np.zeros((len(n), SIDE, SIDE))
    for one, count in enumerate(n):
        middle = SIDE / 2 + move + np.sqrt(ICC) * SD * rng.standard_normal(2)
        at = middle + np.sqrt(1 - ICC) * SD * spread * rng.standard_normal((count, 2))
        np.add.at(weights[one], tuple(np.clip(at, 0, SIDE - 1).astype(int).T), 1.0)
    return weights


ENERGY = {
    "8 and 8 clusters of 60": (8, 8, 60, 60, False, 1.0, 0.0),
    "4 and 4 clusters of 60": (4, 4, 60, 60, False, 1.0, 0.0),
    "8 and 30 clusters of 60, unequal": (8, 30, 60, 60, True, 1.0, 0.0),
    "10 clusters of 120 and 30 of 40, unequal": (10, 30, 120, 40, True, 1.0, 0.0),
    "20 and 20 clusters of 60, means half an SD of clusters apart": (
        20,
        20,
        60,
        60,
        False,
        1.0,
        0.5 * np.sqrt(ICC) * SD,
    ),
    "20 and 20 clusters of 60, means one SD of clusters apart": (20, 20, 60, 60, False, 1.0, np.sqrt(ICC) * SD),
    "20 and 20 clusters of 60, scatter 10 % larger": (20, 20, 60, 60, False, 1.1, 0.0),
}


def energy() -> None:
    """Write how often p <= 0.05."""
    print("\n## Energy distance\n\nShare of runs with p <= 0.05 (199 permutations).\n")
    print("| samples | p <= 0.05, % | limits |\n|---|---|---|")
    for place, (name, (j, k, m, o, unequal, spread, move)) in enumerate(ENERGY.items()):
        found = []
        for run in range(RUNS):
            rng = np.random.default_rng([SEED, 1, place, run])
            one = plane(numbers(j, m, unequal, rng), spread, move, rng)
            both = np.concatenate([one, plane(numbers(k, o, unequal, rng), 1.0, 0.0, rng)])
            truth = np.arange(j + k) < j
            dealt = rng.permuted(np.tile(truth, (199, 1)), axis=1)
            distance, _ = coefficients(distance_sums(both), both.sum((1, 2)), np.vstack([truth, dealt]))
            found.append((1 + (distance[1:] >= distance[0]).sum()) / 200 <= 0.05)
        print(f"| {name} | {share(found)} |")
        sys.stdout.flush()


PEAKS = {
    "one, 10 clusters of 100": (10, 100, ICC, 0.0),
    "one, 40 of 400": (40, 400, ICC, 0.0),
    "one, 20 of 400, shared 0.3": (20, 400, 0.3, 0.0),
    "two, 2 SD apart, 40 of 400": (40, 400, ICC, 2.0),
    "two, 2.5 SD apart, 40 of 400": (40, 400, ICC, 2.5),
    "two, 3 SD apart, 20 of 100": (20, 100, ICC, 3.0),
}


def peaks() -> None:
    """Write how often a second peak is found."""
    print("\n## Peaks\n\nLog-normal sizes (0.3); 35 % of the particles so many standard deviations farther up. Share of runs with "
          "p <= 0.05\n(199 resamples).\n")  # fmt: skip
    print("| peaks | p <= 0.05, % | limits |\n|---|---|---|")
    for place, (name, (clusters, mean, icc, apart)) in enumerate(PEAKS.items()):
        found = []
        for run in range(RUNS):
            rng = np.random.default_rng([SEED, 2, place, run])
            n = numbers(clusters, mean, True, rng)
            which = np.repeat(np.arange(clusters), n)
            z = np.sqrt(icc) * rng.standard_normal(clusters)[which] + np.sqrt(1 - icc) * rng.standard_normal(len(which))
            x = np.exp(0.3 * z)
            x += apart * x.std() * (rng.random(len(x)) < 0.35)
            steps = np.floor((x - x.min()) / (x.std() / 40)).astype(int)
            counts = np.zeros((clusters, steps.max() + 1), np.int64)
            np.add.at(counts, (which, steps), 1)
            found.append(p_of_one_peak(counts, critical(counts.sum(0)).bandwidth, 199, rng) <= 0.05)
        print(f"| {name} | {share(found)} |")
        sys.stdout.flush()


NESTED = {
    "5 sessions, 4 groups, 5 micrographs, 100 particles": (5, 4, 5, False),
    "5 sessions, 4 groups, 5 micrographs, unequal": (5, 4, 5, True),
    "12 sessions, 2 groups, 3 micrographs, unequal": (12, 2, 3, True),
}
VARIANCES = {"session": 0.04, "group": 0.03, "micrograph": 0.08}
"""Against 1 of a particle."""


def nested() -> None:
    """Write how often intervals hold the variances."""
    print("\n## Nested variances\n\nPlanted: " + ", ".join(f"{name} {value:g}" for name, value in VARIANCES.items())
          + ", particle 1. Share of runs whose 95 % interval holds the\nvariance.\n")  # fmt: skip
    print("| design | level | coverage, % | limits | mean estimate |\n|---|---|---|---|---|")
    for place, (name, (sessions, groups, micrographs, unequal)) in enumerate(NESTED.items()):
        count = sessions * groups * micrographs
        units = [np.zeros(count, np.int64), np.repeat(np.arange(sessions), groups * micrographs),
                 np.repeat(np.arange(sessions * groups), micrographs), np.arange(count)]  # fmt: skip
        held, means = [], []
        for run in range(RUNS):
            rng = np.random.default_rng([SEED, 3, place, run])
            n = numbers(count, 100, unequal, rng).astype(float)
            middle = sum(np.sqrt(v) * rng.standard_normal(unit.max() + 1)[unit]
                         for v, unit in zip(VARIANCES.values(), units[1:], strict=True))  # fmt: skip
            at = middle + rng.standard_normal(count) / np.sqrt(n)
            found = squares(Sums(n, n * at, n * at**2 + rng.chisquare(np.maximum(n - 1, 1e-9))), units)
            lower, upper, _ = interval_of(found, level=LEVEL, rng=rng)
            true = np.array([*VARIANCES.values()])
            held.append((lower[:-1] <= true) & (true <= upper[:-1]))
            means.append(np.maximum(found.components(), 0)[:-1])
        for i, level in enumerate(VARIANCES):
            print(f"| {name} | {level} | {share(np.array(held)[:, i])} | {np.mean(means, 0)[i]:.4f} |")
        sys.stdout.flush()


SPREADS = {
    "8 samples, slope 1, scatter 2 %": (8, 1.0, 0.02),
    "8 samples, slope 1, no scatter of their own": (8, 1.0, 0.0),
    "8 samples, slope 0, scatter 10 %": (8, 0.0, 0.10),
    "5 samples, slope 2, scatter 5 %": (5, 2.0, 0.05),
}


def spreads() -> None:
    """Write how often the interval of the slope holds."""
    print("\n## Spread against mean\n\nMeans from 4.3 to 7.2, skewed values (log-normal) on 20 clusters a sample.\n")
    print("| samples | coverage, % | limits | mean slope |\n|---|---|---|---|")
    for place, (name, (samples, power, scatter)) in enumerate(SPREADS.items()):
        held, slopes = [], []
        for run in range(RUNS):
            rng = np.random.default_rng([SEED, 4, place, run])
            room, spread, errors = np.empty(samples), np.empty(samples), np.empty(samples)
            for i, middle in enumerate(np.linspace(4.3, 7.2, samples)):
                sd = 0.3 * 4.3 * (middle / 4.3) ** power * np.exp(scatter * rng.standard_normal())
                sigma = np.sqrt(np.log(1 + (sd / middle) ** 2))
                z = np.sqrt(ICC) * rng.standard_normal((20, 1)) + np.sqrt(1 - ICC) * rng.standard_normal((20, 200))
                x = middle * np.exp(sigma * z - sigma**2 / 2)
                room[i], spread[i] = x.mean(), x.std()
                errors[i] = x.mean(1).var(ddof=1) / 20 / x.mean() ** 2
            found = slope_over_samples(room, spread, errors, level=LEVEL)
            held.append(bool(found["lower"] <= power <= found["upper"]))
            slopes.append(found["slope"])
        print(f"| {name} | {share(held)} | {np.mean(slopes):.3f} |")
        sys.stdout.flush()


def main() -> None:
    """Write the tables."""
    print("# Comparisons of samples: levels and coverage\n")
    print(f"`benchmarks/statistics/comparison_study.py`, {RUNS} runs a row, seed {SEED}, numpy {np.__version__}. Limits are exact "
          "binomial ones (95 %).")  # fmt: skip
    energy()
    peaks()
    nested()
    spreads()


if __name__ == "__main__":
    main()
