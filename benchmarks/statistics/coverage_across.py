"""How often the interval of the CV across samples holds the truth, and how wide it is.

    python benchmarks/statistics/coverage_across.py > benchmarks/results/coverage-across.md      # about two minutes

Simulated means of one size bin: 24 particles a micrograph on average (numbers from Poisson and gamma, shape 3), a shift of
0.008 that the particles of a micrograph share, a scatter of 0.03, a mean of 0.9. Standard errors and their degrees of
freedom are estimated from these by `statistics.estimation.intervals`, as in a run.
"""

import sys
from collections.abc import Iterator, Sequence

import numpy as np
from scipy import stats

from nanocensus.statistics.estimation.across import spread
from nanocensus.statistics.estimation.intervals import degrees_of_freedom, standard_error

RUNS, SEED, LEVEL, MEAN = 1000, 20_261_123, 0.95, 0.9
TRUE_CVS = (0.0, 0.001, 0.003, 0.01, 0.03)
DESIGNS: dict[str, tuple[Sequence[int], float, bool]] = {
    "8 samples of 8 micrographs": ([8] * 8, 24.0, False),
    "8 samples of 20": ([20] * 8, 24.0, False),
    "8 samples of 60": ([60] * 8, 24.0, False),
    "8 samples of 8, 6.5 particles each": ([8] * 8, 6.5, False),
    "8 samples of 20, 6.5 particles each": ([20] * 8, 6.5, False),
    "3 samples of 8": ([8] * 3, 24.0, False),
    "3 samples of 20": ([20] * 3, 24.0, False),
    "6, 60, 60, 60, 60, 20, 20 and 20": ([6, 60, 60, 60, 60, 20, 20, 20], 24.0, False),
    "the same, only that of 6 differs": ([6, 60, 60, 60, 60, 20, 20, 20], 24.0, True),
}
"""Numbers of micrographs, mean number of particles on each, and whether the first sample alone differs."""


def true_means(samples: int, cv: float, first_alone: bool) -> np.ndarray:
    """Give means with exactly this CV (ddof 1): evenly spaced, or all equal but for the first."""
    shape = np.eye(samples)[0] if first_alone else np.arange(samples, dtype=float)
    shape = (shape - shape.mean()) / shape.std(ddof=1)
    return MEAN * (1 + cv * shape)


def draw(micrographs: Sequence[int], particles: float, means: np.ndarray, runs: int,
         rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Give estimates, standard errors and degrees of freedom, each (sample, run)."""
    found = []
    for number, mean in zip(micrographs, means, strict=True):
        n = rng.poisson(rng.gamma(3.0, particles / 3.0, (number, runs)))
        n[0] += n.sum(0) == 0
        sums = n * (mean + 0.008 * rng.standard_normal(n.shape)) + 0.03 * np.sqrt(n) * rng.standard_normal(n.shape)
        weight = n.astype(float)
        estimate = sums.sum(0) / weight.sum(0)
        error = standard_error(sums - estimate * weight, weight)
        found.append((estimate, error, degrees_of_freedom(weight, weight.sum(0))))
    estimates, errors, freedom = (np.stack(part) for part in zip(*found, strict=True))
    return estimates, errors, freedom


def rows() -> Iterator[str]:
    """Give a line of the table for each design and true CV."""
    for place, (name, (micrographs, particles, first_alone)) in enumerate(DESIGNS.items()):
        for step, cv in enumerate(TRUE_CVS):
            rng = np.random.default_rng([SEED, place, step])
            means = true_means(len(micrographs), cv, first_alone)
            drawn = draw(micrographs, particles, means, RUNS, rng)
            found = spread(*drawn, np.ones(drawn[0].shape, bool), level=LEVEL)
            held = int(((found.lower <= cv) & (cv <= found.upper)).sum())
            limits = stats.binomtest(held, RUNS).proportion_ci(0.95, method="exact")
            cells = [
                name,
                f"{100 * cv:g}",
                f"{100 * held / RUNS:.1f}",
                f"{100 * limits.low:.1f} to {100 * limits.high:.1f}",
            ]
            numbers = (found.naive.mean(), found.corrected.mean(), np.median(found.upper - found.lower))
            yield "| " + " | ".join([*cells, *(f"{100 * number:.3f}" for number in numbers)]) + " |"


def main() -> None:
    """Write the table."""
    print("# Coverage of the CV across samples\n")
    print(f"`benchmarks/statistics/coverage_across.py`, {RUNS} runs a row, seed {SEED}, nominal {100 * LEVEL:g} %, numpy "
          f"{np.__version__}.")  # fmt: skip
    print("CVs and widths in percent; limits are exact binomial ones (95 %). At a true CV of 0 the interval is one-sided by "
          "nature:\n97.5 % is nominal there.\n")  # fmt: skip
    print(
        "| samples and their micrographs | true CV | coverage | limits | mean naive CV | mean corrected CV | median width |"
    )
    print("|---|---|---|---|---|---|---|")
    for row in rows():
        print(row)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
