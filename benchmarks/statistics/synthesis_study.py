"""How often exponents, predictions and p values of `nc.synthesis_model` hold, on simulated studies of ten samples.

    python benchmarks/statistics/synthesis_study.py > benchmarks/results/synthesis.md      # about three minutes

The design is that of Cho et al. (ACS Nano 18, 29736, 2024): cobalt 0.2 to 0.8 at water 0.7, water 0.43 to 1.0 at cobalt 0.6.
A sample's mean is the truth, plus what scatters between syntheses, plus that of 6 to 60 clusters; deviations are those of 299
resamples of its clusters. One more synthesis, at conditions that no sample has, is drawn and predicted. The two scatters are
chosen against a range of means of about 3.
"""

import sys
from collections.abc import Callable, Iterator

import numpy as np
from scipy import stats

from nanocensus.statistics.synthesis.fit import (
    Prediction,
    cloud,
    judge_power,
    line_prediction,
    permutation_p,
    power_prediction,
)
from nanocensus.statistics.synthesis.power_models import exponent_grid, line_shares, shares_explained

RUNS, SEED, LEVEL, REPLICATES, PERMUTATIONS = 500, 20_261_123, 0.95, 299, 199
CONDITIONS = np.column_stack([[0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.6, 0.6, 0.6], [0.7] * 7 + [0.43, 0.6, 1.0]])
CLUSTERS = (6, 20, 20, 60, 60, 20, 6, 20, 60, 20)
CENTRE = np.log(CONDITIONS).mean(0)
LOGS = np.log(CONDITIONS) - CENTRE
NEW = np.array([[0.45, 0.7], [0.45, 0.55]])
"""Between samples, and where both conditions differ from those of any."""
GRID = exponent_grid(2)
PLANTED = int(np.flatnonzero((GRID == [1.0, -0.5]).all(1))[0])

Truth = Callable[[np.ndarray], np.ndarray]


def product(conditions: np.ndarray) -> np.ndarray:
    """Give 4 + 3.5 cobalt water^-0.5."""
    return np.asarray(4 + 3.5 * conditions[:, 0] * conditions[:, 1] ** -0.5)


def logarithms(conditions: np.ndarray) -> np.ndarray:
    """Give a plane in the logarithms."""
    return np.asarray(7 + 1.8 * np.log(conditions[:, 0]) - 1.2 * np.log(conditions[:, 1]))


def nothing(conditions: np.ndarray) -> np.ndarray:
    """Give the same for all."""
    return np.full(len(conditions), 6.0)


SCENARIOS: dict[str, tuple[Truth, float, float]] = {
    "Co^1 W^-0.5, clusters alone": (product, 0.0, 0.3),
    "Co^1 W^-0.5, syntheses 0.05": (product, 0.05, 0.3),
    "Co^1 W^-0.5, syntheses 0.1": (product, 0.1, 0.3),
    "Co^1 W^-0.5, syntheses 0.35": (product, 0.35, 0.3),
    "plane in logarithms, syntheses 0.15": (logarithms, 0.15, 0.3),
    "nothing, syntheses 0.3": (nothing, 0.3, 0.3),
    "nothing, clusters alone": (nothing, 0.0, 0.3),
}
"""The truth, what scatters between syntheses, and between clusters (standard deviations)."""


def draw(truth: np.ndarray, between: float, shift: float, clusters: tuple[int, ...],
         rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Give the means of samples and the deviations of their resamples."""
    means, deviations = np.empty(len(truth)), np.empty((REPLICATES, len(truth)))
    for i, (middle, count) in enumerate(zip(truth, clusters, strict=True)):
        drawn = middle + between * rng.standard_normal() + shift * rng.standard_normal(count)
        means[i] = drawn.mean()
        often = rng.multinomial(count - 1, np.full(count, 1 / count), REPLICATES)
        deviations[:, i] = often @ drawn / (count - 1) - means[i]
    return means, deviations


def run(truth: Truth, between: float, shift: float, rng: np.random.Generator) -> list[float]:
    """Give what is averaged over runs."""
    means, deviations = draw(truth(CONDITIONS), between, shift, CLUSTERS, rng)
    verdict = judge_power(means, deviations, LOGS, np.arange(len(means)), GRID, level=LEVEL, permutations=PERMUTATIONS,
                          rng=rng)  # fmt: skip
    seen = cloud(means, deviations, LOGS, GRID, level=LEVEL, rng=rng)
    later = draw(truth(NEW), between, shift, (20, 20), rng)[0]
    logs = np.log(NEW) - CENTRE
    power = power_prediction(means, deviations, LOGS, logs, GRID, level=LEVEL, rng=rng)
    plane = line_prediction(means, LOGS, logs, level=LEVEL)
    p_plane = permutation_p(means, (deviations**2).mean(0), lambda values: line_shares(LOGS, values), PERMUTATIONS, rng)
    left_out = np.mean((verdict.left_out.lower <= means) & (means <= verdict.left_out.upper))
    return [verdict.r2, verdict.q2, float(seen.r2.argmax() == PLANTED), float(seen.inside[PLANTED]),
            float(seen.inside.sum()), float(left_out), *_held(power, later), *_held(plane, later),
            verdict.p <= 0.05, p_plane <= 0.05]  # fmt: skip


def _held(said: Prediction, later: np.ndarray) -> Iterator[float]:
    for place, value in enumerate(later):
        yield float(said.lower[place] <= value <= said.upper[place])
        yield float(said.upper[place] - said.lower[place])


def best_of_nothing(rng: np.random.Generator) -> np.ndarray:
    """Give the largest R2 of means that have nothing to do with the conditions."""
    return np.asarray(shares_explained(LOGS, GRID, rng.standard_normal((5000, len(LOGS)))).max(-1))


def main() -> None:
    """Write the tables."""
    print("# Models of the synthesis: coverage and levels\n")
    print(f"`benchmarks/statistics/synthesis_study.py`, {RUNS} runs a row, seed {SEED}, nominal {100 * LEVEL:g} %, numpy "
          f"{np.__version__}.")  # fmt: skip
    print("R2 and Q2 are medians; the set's size is the median number of 288 choices of exponents; widths are medians. A share of "
          f"95 %\nover {RUNS} runs is known to ± {100 * 1.96 * np.sqrt(0.95 * 0.05 / RUNS):.1f} points.\n")  # fmt: skip
    heads = ["truth", "R2", "Q2", "found exactly", "in the set", "size of set", "left-out samples inside",
             "product: between samples", "width", "product: both differ", "width", "plane: between samples", "width",
             "plane: both differ", "width", "p <= 0.05, search", "p <= 0.05, plane"]  # fmt: skip
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for place, (name, (truth, between, shift)) in enumerate(SCENARIOS.items()):
        found = np.array([run(truth, between, shift, np.random.default_rng([SEED, place, i])) for i in range(RUNS)])
        middle, share = np.median(found, 0), 100 * found.mean(0)
        widths = (4, 7, 9, 11, 13)
        cells = [f"{middle[i]:.2f}" if i in (0, 1, *widths) else f"{share[i]:.1f}" for i in range(found.shape[1])]
        cells[4] = f"{middle[4]:.0f}"
        if truth is not product:
            cells[2:4] = ["–", "–"]
        print("| " + " | ".join([name, *cells]) + " |")
        sys.stdout.flush()
    r2 = best_of_nothing(np.random.default_rng(SEED))
    said = ", ".join(f"{100 * share:g} % {np.quantile(r2, share):.2f}" for share in (0.5, 0.95, 0.99))
    print(f"\nLargest R2 of 288 products on ten means that are noise alone: quantiles {said}. At each truth the limits of an exact\n"
          f"binomial test of p <= 0.05 are {100 * stats.binom.ppf(0.025, RUNS, 0.05) / RUNS:.1f} to "
          f"{100 * stats.binom.ppf(0.975, RUNS, 0.05) / RUNS:.1f} %.")  # fmt: skip


if __name__ == "__main__":
    main()
