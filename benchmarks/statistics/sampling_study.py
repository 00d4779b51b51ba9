"""Whether groups of particles scatter as theory says, and intervals, plans and the stopping rule keep what they promise.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 PYTHONPATH=engine .venv/bin/python benchmarks/statistics/sampling_study.py

About three minutes on one core. All truth is simulated. How far the likeness of neighbours is believed (`BEYOND_CHANCE`, and
0 at the upper end) was decided on other seeds. Writes results/sampling.md.
"""

import dataclasses
import platform
import statistics
import time
from pathlib import Path

import numpy as np

from nanocensus.provenance import versions
from nanocensus.simulate.paper import PAPER
from nanocensus.simulate.population_spec import PopulationSpec
from nanocensus.simulate.populations import simulate_population
from nanocensus.statistics.cells.cells import cells, size_bins
from nanocensus.statistics.sampling.data_size_study import data_size_study
from nanocensus.statistics.sampling.planner import mean_error, micrograph_variance, micrographs_needed
from nanocensus.statistics.sampling.sampling_plan import FEWEST_TO_STOP, sampling_plan
from nanocensus.statistics.sampling.sampling_study import sampling_study
from nanocensus.statistics.variance import intraclass
from nanocensus.statistics.variance.intraclass import MicrographSums

ROOT = Path(__file__).parents[2]
SEEDS = range(1000, 1200)
LOG_ICC = 0.075
"""Of log size: that of the size of the particles that are large enough is then 0.07."""
RUNS = 1000
SHAPE = 12.0
"""Of the gamma distribution of the numbers of particles of a micrograph: they differ by 29 %."""
LEVEL = 0.95


# --- The paper's design ----------------------------------------------------------------------------------------------


def paper_design(autocorrelation):
    sample = next(each for each in PAPER.samples if each.name == "Co0.4")
    spec = PopulationSpec((dataclasses.replace(sample, icc=LOG_ICC, autocorrelation=autocorrelation),))
    for seed in SEEDS:
        drawn = simulate_population(spec, seed=seed)
        yield sampling_study(drawn.particles, drawn.micrographs, of=["edge_length_nm"], seed=seed).squeeze()


def root_mean_square(values):
    """Give it with its standard error over seeds, in per cent."""
    squares = np.asarray(values) ** 2
    mean = np.sqrt(squares.mean(0))
    return 100 * mean, 100 * squares.std(0, ddof=1) / np.sqrt(len(squares)) / (2 * mean)


def design_lines(autocorrelation):
    studies = list(paper_design(autocorrelation))
    icc = np.mean([float(one["icc"]) for one in studies])
    worth = np.mean([float(one["effective_n"]) for one in studies])
    held = 100 * np.mean([float(one["icc_lower"]) <= icc <= float(one["icc_upper"]) for one in studies])
    yield f"Autocorrelation {autocorrelation:g}: the ICC is {icc:.3f} on average, which {held:.0f} % of its intervals hold; the"
    yield f"65,404 particles are worth {worth:,.0f} independent ones."
    yield ""
    yield "| groups of | kind | observed, % | theory, % | theory / observed | groups | interval covers, % |"
    yield "|---|---|---|---|---|---|---|"
    for grouping in ("sequential", "random"):
        for size in studies[0]["group_size"].values.tolist():
            rows = [one.sel(grouping=grouping, group_size=size) for one in studies]
            yield design_row(f"{size:,} particles", grouping, rows, "")
    for count in studies[0]["micrographs_per_group"].values.tolist():
        rows = [one.sel(micrographs_per_group=count) for one in studies]
        yield design_row(f"{count} micrographs", "whole micrographs", rows, "micrograph_")
    yield ""


def design_row(size, kind, rows, prefix):
    observed, error = root_mean_square([float(row[f"{prefix}cv"]) for row in rows])
    theory, _ = root_mean_square([float(row[f"{prefix}cv_theory"]) for row in rows])
    held = [float(row[f"{prefix}cv_lower"]) <= observed / 100 <= float(row[f"{prefix}cv_upper"]) for row in rows]
    groups = statistics.median(int(row[f"{prefix}n_groups"]) for row in rows)
    shown = f"{observed:.2f} ± {error:.2f} | {theory:.2f} | {theory / observed:.2f} | {groups:g} | {100 * np.mean(held):.0f}"
    return f"| {size} | {kind} | {shown} |"


# --- Populations without particles -----------------------------------------------------------------------------------


class Drawn:
    """Micrographs of many runs about a true mean of 0: numbers, means and inner sums of squares; a column a run."""

    def __init__(self, seed, *, runs, micrographs, icc=0.07, autocorrelation=0.0, per=40.0, skewed=False):
        rng = np.random.default_rng(seed)
        self.icc, self.per = icc, per
        self.n = np.maximum(rng.poisson(rng.gamma(SHAPE, per / SHAPE, (micrographs, runs))), 1).astype(float)
        effects = rng.standard_normal(self.n.shape)
        for j in range(1, micrographs):
            effects[j] = autocorrelation * effects[j - 1] + np.sqrt(1 - autocorrelation**2) * effects[j]
        if skewed:  # log-normal effects of skewness 1.75
            effects = (np.exp(0.5 * effects) - np.exp(0.125)) / np.sqrt(np.exp(0.5) - np.exp(0.25))
        scatter = np.sqrt((1 - icc) / self.n) * rng.standard_normal(self.n.shape)
        self.mean = np.sqrt(icc) * effects + scatter
        self.inner = np.where(self.n > 1, (1 - icc) * rng.chisquare(np.maximum(self.n - 1, 0.5)), 0.0)

    def first(self, count):
        """Give the sums of the first micrographs, and the mean of each run."""
        n, mean = self.n[:count], self.mean[:count]
        centre = (n * mean).sum(0) / n.sum(0)
        return MicrographSums(n, n * (mean - centre), self.inner[:count] + n * (mean - centre) ** 2), centre


def true_need(goal, *, icc, per, autocorrelation=0.0):
    """Give how many micrographs a half-width needs when everything is known."""
    crowd = 1 + per * (1 + 1 / SHAPE)
    factor = (1 + autocorrelation) / (1 - autocorrelation)
    parts = (np.array([each]) for each in (icc, 1 - icc, factor, crowd, per))
    return micrographs_needed(
        micrograph_variance(*parts), np.array([goal]), np.array([per]), np.ones(1), level=LEVEL
    ).item()  # fmt: skip


class Judged:
    """What the package makes of the first micrographs of every run: components, interval of sb2 / sw2, needs, errors."""

    def __init__(self, drawn, count):
        sums, self.centre = drawn.first(count)
        made = intraclass.components(sums)
        gamma = intraclass.autocovariances(sums, made)
        alike = intraclass.neighbour_correlation(gamma) > intraclass.CORRELATED
        single, run = np.arange(count), intraclass.runs(count, 1.0)
        found = [intraclass.ratio_interval(sums, cluster, level=LEVEL) for cluster in (single, run)]
        self.lower, self.upper = (np.where(alike, found[1][side], found[0][side]) for side in (0, 1))
        self.clusters = np.where(alike, run.max() + 1, count)
        believed = intraclass.autocovariances(sums, made, beyond=0.0)
        factor, safe = intraclass.long_run_factor(gamma), intraclass.long_run_factor(believed)
        self.count, self.m, self.share = count, sums.n.mean(0), self.clusters / count
        crowd = (sums.n**2).sum(0) / sums.n.sum(0)
        ends = {
            "estimate": (made.between, factor), "lower": (self.lower * made.within, factor),
            "upper": (self.upper * made.within, safe),
        }  # fmt: skip
        self.variance = {
            name: micrograph_variance(between, made.within, by, crowd, self.m) for name, (between, by) in ends.items()
        }

    def half_width(self, end):
        return mean_error(np.full(len(self.m), float(self.count)), self.variance[end], self.share, level=LEVEL)

    def needed(self, end, goal):
        return micrographs_needed(self.variance[end], np.full(len(self.m), goal), self.m, self.share, level=LEVEL)


# --- Intervals, plans, stopping --------------------------------------------------------------------------------------


def icc_lines():
    yield "| effects | autocorrelation | particles a micrograph | 8 micrographs | 20 | 78 |"
    yield "|---|---|---|---|---|---|"
    truth = 0.07 / 0.93
    for skewed in (False, True):
        for autocorrelation in (0.0, 0.4, 0.6):
            for per in (40.0, 840.0):
                shown = []
                for count in (8, 20, 78):
                    seed = [21, count, round(10 * autocorrelation), round(per), skewed]
                    drawn = Drawn(
                        seed, runs=RUNS, micrographs=count, autocorrelation=autocorrelation, per=per, skewed=skewed
                    )
                    found = Judged(drawn, count)
                    held = (found.lower <= truth) & (truth <= found.upper)
                    shown.append(f"{100 * held.mean():.1f} (above {100 * (found.upper < truth).mean():.1f})")
                yield f"| {'skewed' if skewed else 'normal'} | {autocorrelation:g} | {per:g} | {' | '.join(shown)} |"


def plan_lines(goal=0.08):
    yield "| autocorrelation | truth | pilot | planned: 5 %, median, 95 % | range holds the truth, % | upper end suffices, % |"
    yield "|---|---|---|---|---|---|"
    for autocorrelation in (0.0, 0.4):
        need = true_need(goal, icc=0.07, per=40.0, autocorrelation=autocorrelation)
        for pilot in (10, 20, 40, 80):
            drawn = Drawn(
                [22, pilot, round(10 * autocorrelation)], runs=RUNS, micrographs=pilot, autocorrelation=autocorrelation
            )
            found = Judged(drawn, pilot)
            low, planned, high = (found.needed(end, goal) for end in ("lower", "estimate", "upper"))
            spread = ", ".join(f"{value:.0f}" for value in np.quantile(planned, (0.05, 0.5, 0.95)))
            held = 100 * ((low <= need) & (need <= high)).mean()
            yield f"| {autocorrelation:g} | {need:.0f} | {pilot} | {spread} | {held:.0f} | {100 * (high >= need).mean():.0f} |"


RULES = {
    "estimate, from 4 on": ("estimate", 4),
    f"estimate, from {FEWEST_TO_STOP} on": ("estimate", FEWEST_TO_STOP),
    f"upper limit, from {FEWEST_TO_STOP} on (nanocensus)": ("upper", FEWEST_TO_STOP),
}


def stopping_lines(most=300):
    yield "| effects, autocorrelation, particles a micrograph | truth | rule | stopped at: 5 %, mean, 95 % | interval covers, % | target truly met, % |"
    yield "|---|---|---|---|---|---|"
    cases = (
        (False, 0.0, 40.0, 0.22), (False, 0.0, 40.0, 0.1), (False, 0.0, 4.0, 0.2), (True, 0.0, 40.0, 0.22),
        (True, 0.0, 40.0, 0.1), (False, 0.4, 40.0, 0.15),
    )  # fmt: skip
    for skewed, autocorrelation, per, goal in cases:
        need = true_need(goal, icc=0.07, per=per, autocorrelation=autocorrelation)
        seed = [23, round(100 * goal), round(10 * autocorrelation), skewed]
        drawn = Drawn(seed, runs=RUNS, micrographs=most, autocorrelation=autocorrelation, per=per, skewed=skewed)
        when, right = ({rule: np.zeros(RUNS) for rule in RULES} for _ in range(2))
        for count in range(4, most + 1):
            found = Judged(drawn, count)
            now = {end: found.half_width(end) for end in ("estimate", "upper")}
            for rule, (end, fewest) in RULES.items():
                new = (when[rule] == 0) & (now[end] <= goal) & (found.clusters >= fewest)
                when[rule][new] = count
                right[rule][new] = (np.abs(found.centre) <= now["estimate"])[new]
            if all((numbers > 0).all() for numbers in when.values()):
                break
        for rule in RULES:
            stopped = when[rule] > 0
            at = when[rule][stopped]
            low, high = np.quantile(at, (0.05, 0.95))
            kind = f"{'skewed' if skewed else 'normal'}, {autocorrelation:g}, {per:g}"
            unfinished = "" if stopped.all() else f" ({100 * (~stopped).mean():.1f} % had not by {most})"
            numbers = f"{100 * right[rule][stopped].mean():.1f} | {100 * (at >= need).mean():.0f}"
            yield f"| {kind} | {need:.0f} | {rule} | {low:.0f}, {at.mean():.0f}, {high:.0f}{unfinished} | {numbers} |"


# --- Time ------------------------------------------------------------------------------------------------------------


def time_lines(rounds=7):
    drawn = simulate_population(PAPER, seed=1)
    particles, micrographs = drawn.particles, drawn.micrographs
    of = ["edge_length_nm", "circularity", "solidity"]
    bins = cells(particles, micrographs, by=["sample", size_bins(0.2)], of=of)
    calls = {
        "sampling_study: 8 sizes of groups, 6 of micrographs, 3 descriptors, from the table": lambda: sampling_study(
            particles, micrographs, of=of
        ),
        "data_size_study: 6 sizes, 200 replicates, 2 descriptors, 0.2 nm, from the table": lambda: data_size_study(
            particles, micrographs
        ),
        "sampling_plan: every sample, 0.2 nm bin and descriptor, from cells": lambda: sampling_plan(bins, cv=0.01),
    }
    yield f"{len(particles):,} particles on {len(micrographs)} micrographs of {micrographs['sample'].nunique()} samples in memory,"
    yield f"after one warm-up; median (least, most) of {rounds} rounds. {processor()}, one core of a machine that others used too."
    yield ""
    yield "| what | s |"
    yield "|---|---|"
    for name, call in calls.items():
        call()
        seconds = [timed(call) for _ in range(rounds)]
        yield f"| {name} | {statistics.median(seconds):.2f} ({min(seconds):.2f}, {max(seconds):.2f}) |"


def timed(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def processor():
    known = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    names = [line.split(":")[1].strip() for line in known.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main():
    limits = ", ".join(f"{value:.1f}" for value in 100 * (0.95 + np.array([-1.96, 1.96]) * np.sqrt(0.95 * 0.05 / RUNS)))
    lines = [
        "# Sampling: groups of particles, intraclass correlation, plans and stopping",
        "",
        f"`benchmarks/statistics/sampling_study.py`, nanocensus {versions()['nanocensus']}. All truth is simulated.",
        "",
        "## The paper's design",
        "",
        f"Edge lengths of 65,404 particles on 78 micrographs (Co0.4 of `simulate.paper`, ICC 0.07), seeds {SEEDS[0]} to {SEEDS[-1]}: root mean",
        "square over seeds of the CV of group means, with its standard error. The interval is that of one study's CV (nominal",
        "95 %); it takes group means as independent, which they are not where neighbouring micrographs are alike.",
        "",
        *design_lines(0.0),
        *design_lines(0.4),
        "## Intervals of the intraclass correlation",
        "",
        f"Coverage of nominal 95 % intervals, {RUNS} runs each, true ICC 0.07 (where 95 is right, 95 % of such figures lie within",
        f"{limits}); in brackets how often the truth lies above the interval. Skewed effects have a skewness of 1.75; those of",
        "the sizes above have 0.25.",
        "",
        *icc_lines(),
        "",
        "## Plans",
        "",
        f"Micrographs for a half-width of 0.08 standard deviations of a particle; 40 particles a micrograph, ICC 0.07, {RUNS} pilots",
        "each. The range is that of the advice: the plan at both ends of the interval of the variance between micrographs.",
        "",
        *plan_lines(),
        "",
        "## Stopping",
        "",
        f"Asked after every micrograph from the fourth on, {RUNS} runs each. The interval is that of the plan (t, with what the",
        "likeness of neighbours adds) at the moment of stopping; the target is truly met if as many micrographs were recorded as",
        "it takes when everything is known.",
        "",
        *stopping_lines(),
        "",
        "## Time",
        "",
        *time_lines(),
    ]
    (ROOT / "benchmarks/results/sampling.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
