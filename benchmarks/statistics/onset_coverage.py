"""Coverage, width and bias of onset intervals, and false alarms of the existence test, on simulated particles.

    python benchmarks/statistics/onset_coverage.py run kink --seeds 0 300     adds a range of seeds to results/onsets.jsonl
    python benchmarks/statistics/onset_coverage.py report                     writes results/onsets.md from it

What is kept are sums over the runs of a range, so ranges add up and a study goes on where it stopped. Eight samples like
those of Cho et al.: log-normal sizes, micrographs that shift size and shape (sizes with autocorrelation 0.4), skewed
scatter, sizes measured with an error of 0.03 nm. In every run the onsets of circularity and solidity are drawn within
0.2 nm of 4.3 and 5.3 nm; the saturation is at 8.5 nm. The oracle knows the form of the curve with its width, and lacks
only the slopes and the place.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onset_oracles import ACCELERATES_NM, SOFTNESS_NM, beside_oracles, soft
from scipy import stats

from nanocensus.statistics.onsets.existence import bend_p_value
from nanocensus.statistics.onsets.fit import bent, profile
from nanocensus.statistics.onsets.intervals import cluster_weights, locate
from nanocensus.statistics.onsets.onset import LEVEL_OF_EXISTENCE, is_located, tried_bends

RESULTS = Path(__file__).parents[1] / "results"
REPLICATES = 299
ONSET_NM, SATURATION_NM = (2.6, 7.6), (6.6, 10.4)
FEWEST = 20
# name, particles, micrographs, median nm, log sd, fall of circularity and of solidity per nm
SAMPLES = (
    ("Co0.2", 24394, 32, 4.3, 0.17, 0.008, 0.0005), ("Co0.3", 36000, 45, 4.9, 0.20, 0.011, 0.0010),
    ("Co0.4", 65404, 78, 5.6, 0.28, 0.014, 0.0030), ("Co0.6", 32879, 60, 6.4, 0.26, 0.018, 0.0060),
    ("Co0.8", 30000, 70, 7.2, 0.30, 0.024, 0.0130), ("DW0.43", 27822, 55, 6.5, 0.25, 0.024, 0.0120),
    ("DW0.6", 29000, 50, 6.4, 0.25, 0.020, 0.0085), ("DW1.0", 31000, 50, 6.2, 0.24, 0.011, 0.0005),
)  # fmt: skip


@dataclass(frozen=True)
class Scenario:
    """What is simulated."""

    curve: str = "kink"
    jitter: float = 0.0
    """Standard deviation of the onset between samples, nm."""
    slopes: float = 1.0
    scatter: float = 1.0
    particles: float = 1.0
    micrographs: float = 1.0
    rise: float = 1.0


SCENARIOS = {
    "kink": Scenario(),
    "smooth": Scenario("smooth"),
    "accelerating": Scenario("accelerating"),
    "weak": Scenario(slopes=0.4, scatter=1.5, rise=0.25, particles=0.5),
    "small": Scenario(particles=0.2, micrographs=0.35),
    "kink, differing": Scenario(jitter=0.15),
    "smooth, differing": Scenario("smooth", jitter=0.15),
    "line": Scenario("line"),
    "parabola": Scenario("parabola"),
    "inverse": Scenario("inverse"),
    "exponential": Scenario("exponential"),
}
NULLS = ("line", "parabola", "inverse", "exponential")
DESCRIPTORS = {"circularity": (4.3, 5, 0.030, 0.008, 0.0010, 0.008, 0.90),
               "solidity": (5.3, 6, 0.0085, 0.0020, 0.00025, 0.0020, 0.985)}  # fmt: skip
"""Onset, column of the slope, scatter, shift and tilt of micrographs, rise before the onset, level."""
BESIDE = ", oracles"


def course(size, onset, curve):
    """Give how far a descriptor has fallen, in units of its slope."""
    if curve == "smooth":
        return soft(size - onset, SOFTNESS_NM)
    if curve == "accelerating":  # a slope that builds up over 1 nm: its asymptotes cross half a nm after the start
        return bent(size - onset, ACCELERATES_NM)
    if curve == "line":
        return 0.5 * (size - onset)
    if curve == "parabola":
        return (size - 2.0) ** 2 / 12
    if curve == "inverse":
        return -12.0 / size
    if curve == "exponential":
        return 3.0 * (1 - np.exp(-(size - 2.4) / 2.5))
    return bent(size - onset, 0.0)


def simulate(scenario, seed):
    """Give per descriptor the onset, the true onsets of the samples, and for both ranges what is fitted of each."""
    rng = np.random.default_rng([20241, seed])
    onsets = {name: facts[0] + rng.uniform(-0.2, 0.2) for name, facts in DESCRIPTORS.items()}
    made = {name: (onsets[name], [], {ONSET_NM: [], SATURATION_NM: []}) for name in DESCRIPTORS}
    for sample in SAMPLES:
        n, clusters = int(sample[1] * scenario.particles), max(4, round(sample[2] * scenario.micrographs))
        share = rng.gamma(12, 1, clusters)
        cluster = np.repeat(np.arange(clusters), rng.multinomial(n, share / share.sum()))
        shift = rng.standard_normal(clusters)
        for j in range(1, clusters):
            shift[j] = 0.4 * shift[j - 1] + np.sqrt(1 - 0.16) * shift[j]
        within = np.sqrt(sample[4] ** 2 - 0.085**2)
        size = sample[3] * np.exp(0.085 * shift[cluster] + within * rng.standard_normal(n))
        tilt = rng.standard_normal(clusters)
        measured = size + 0.03 * rng.standard_normal(n)
        kept = measured**2 >= 6
        for name, (_, column, sd, shifts, tilts, rise, level) in DESCRIPTORS.items():
            onset = onsets[name] + scenario.jitter * rng.standard_normal()
            capped = size if scenario.curve in NULLS else np.minimum(size, 8.5)
            slope, rising = sample[column] * scenario.slopes, rise * scenario.rise
            mean = level + rising * (capped - onset) - (slope + rising) * course(capped, onset, scenario.curve)
            micrograph = (shifts * rng.standard_normal(clusters))[cluster] + tilts * tilt[cluster] * (size - 5)
            skewed = -sd * scenario.scatter * (rng.standard_gamma(2.0, n) - 2.0) / np.sqrt(2.0)
            value = mean + micrograph + skewed
            made[name][1].append(onset)
            for between, profiles in made[name][2].items():
                profiles.append(binned(sample[0], clusters, cluster[kept], measured[kept], value[kept], between))
    return made


def binned(name, clusters, cluster, size, value, between):
    """Sum particles in bins of 0.1 nm; None if too few bins are left."""
    bins = round((between[1] - between[0]) / 0.1)
    place = np.floor((size - between[0]) / 0.1 + 1e-9).astype(int)
    inside = (place >= 0) & (place < bins)
    cell, size, value = cluster[inside] * bins + place[inside], size[inside], value[inside]
    n, x, y, yy = (np.bincount(cell, w, clusters * bins).reshape(clusters, bins).astype(float)
                   for w in (None, size, value, value**2))  # fmt: skip
    used = n.sum(0) >= FEWEST
    there = (n[:, used] > 0).any(1)
    if used.sum() < 12 or there.sum() < 10:
        return None
    n, x, y, yy = (a[there][:, used] for a in (n, x, y, yy))
    total = n.sum(0)
    return profile(name, x.sum(0) / total, n, y, yy.sum(0) / total - (y.sum(0) / total) ** 2)


def true_change(scenario, descriptor, name):
    """Give by how much the slope changes at the onset of a sample."""
    _, column, _, _, _, rise, _ = DESCRIPTORS[descriptor]
    slope = next(sample[column] for sample in SAMPLES if sample[0] == name)
    return slope * scenario.slopes + rise * scenario.rise


def one_run(scenario, seed):
    """Give one row of numbers per descriptor and range."""
    rows = {}
    for name, (onset, own, ranges) in simulate(scenario, seed).items():
        for between, profiles in ranges.items():
            null = scenario.curve in NULLS
            if between == SATURATION_NM and (null or scenario.curve != "kink" or scenario.jitter):
                continue
            pairs = [(sample, true) for sample, true in zip(profiles, own, strict=True) if sample is not None]
            samples = [sample for sample, _ in pairs]
            bends = tried_bends(between)
            p = bend_p_value(samples, bends, replicates=REPLICATES, seed=seed, purpose=name)
            key = name if between == ONSET_NM else f"{name}, saturation"
            if null:
                rows[key] = {"n": 1, "exists": p < LEVEL_OF_EXISTENCE}
                continue
            weights = [cluster_weights(len(s.precision), REPLICATES, seed, s.name) for s in samples]
            joint, each, differences = locate(samples, bends, weights, 0.95)
            true = onset if between == ONSET_NM else 8.5
            width, error = joint.upper - joint.lower, joint.estimate - true
            seen = [(place, t if between == ONSET_NM else 8.5) for place, (_, t) in zip(each, pairs, strict=True)
                    if is_located(place, bends)]  # fmt: skip
            told = p < LEVEL_OF_EXISTENCE and is_located(joint, bends)
            rows[key] = {
                "n": 1, "exists": p < LEVEL_OF_EXISTENCE, "told": told, "covered": joint.lower <= true <= joint.upper,
                "covered_told": told and joint.lower <= true <= joint.upper, "error": error, "error2": error**2,
                "width": width, "differ": differences is not None and differences.p < 0.10,
                "each": len(seen), "each_covered": sum(place.lower <= t <= place.upper for place, t in seen),
            }  # fmt: skip
            if not scenario.jitter and between == ONSET_NM:
                changes = [true_change(scenario, name, sample.name) for sample in samples]
                alike = not rows[key]["differ"]
                rows[key + BESIDE] = beside_oracles(
                    samples, changes, bends, weights, scenario.curve, true, joint, alike
                )
    return rows


def run(name, first, last):
    """Add the sums of a range of seeds to the results."""
    sums: dict[str, dict[str, float]] = {}
    for seed in range(first, last):
        for key, row in one_run(SCENARIOS[name], seed).items():
            kept = sums.setdefault(key, dict.fromkeys(row, 0.0))
            for column, value in row.items():
                kept[column] += float(value)
    rounded = {key: {column: round(value, 6) for column, value in row.items()} for key, row in sums.items()}
    with (RESULTS / "onsets.jsonl").open("a") as out:
        out.write(json.dumps({"scenario": name, "seeds": [first, last], "sums": rounded}) + "\n")


def exact(successes, n):
    """Give Clopper and Pearson's 95 % limits of a share."""
    low = stats.beta.ppf(0.025, successes, n - successes + 1) if successes else 0.0
    high = stats.beta.ppf(0.975, successes + 1, n - successes) if successes < n else 1.0
    return f"{successes / n:.1%} [{low:.1%}, {high:.1%}]"


def report():
    """Write the tables from all ranges of seeds."""
    records = [json.loads(line) for line in (RESULTS / "onsets.jsonl").read_text().splitlines()]
    total: dict[tuple[str, str], dict[str, float]] = {}
    for record in records:
        for key, row in record["sums"].items():
            kept = total.setdefault((record["scenario"], key), dict.fromkeys(row, 0.0))
            for column, value in row.items():
                kept[column] += value
    seeds = {name: [r["seeds"] for r in records if r["scenario"] == name] for name in SCENARIOS}
    header = ("scenario", "descriptor", "runs", "coverage [95 % limits]", "shown", "coverage where shown", "bias, nm",
              "RMSE, nm", "width, nm", "each sample")  # fmt: skip
    lines = ["# Onset sizes: coverage, width, bias, false alarms", "", INTRODUCTION, ""]
    lines += ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for name in SCENARIOS:
        for (scenario, key), row in total.items():
            if scenario != name or name in NULLS or key.endswith(BESIDE):
                continue
            n, bias = int(row["n"]), row["error"] / row["n"]
            error = np.sqrt(max(row["error2"] / n - bias**2, 0) / n)
            told = int(row["told"])
            shown = exact(int(row["covered_told"]), told) if told else "–"
            lines.append(f"| {name} | {key} | {n} | {exact(int(row['covered']), n)} | {told / n:.0%} | {shown} | "
                         f"{bias:+.3f} ± {error:.3f} | {np.sqrt(row['error2'] / n):.3f} | {row['width'] / n:.3f} | "
                         f"{row['each_covered'] / max(row['each'], 1):.1%} |")  # fmt: skip
    lines += ["", *oracle_lines(total)]
    lines += ["", "## False alarms of the existence test (nominal 5 %)", "", "| curve | descriptor | runs | alarms [95 % limits] |",
              "|---|---|---|---|"]  # fmt: skip
    for (name, key), row in total.items():
        if name in NULLS:
            lines.append(f"| {name} | {key} | {int(row['n'])} | {exact(int(row['exists']), int(row['n']))} |")
    lines += ["", "Seeds: " + "; ".join(f"{name} {ranges}" for name, ranges in seeds.items() if ranges) + ".", ""]
    (RESULTS / "onsets.md").write_text("\n".join(lines), encoding="utf-8")


def oracle_lines(total):
    """Give the table of widths beside those of the oracles."""
    header = ("scenario", "descriptor", "runs", "of the width with form and width known", "of what can be had: form known, width not",
              "the same where samples were not found to differ", "what the width costs an oracle", "by Cramér and Rao",
              "RMSE of that oracle, nm", "its coverage")  # fmt: skip
    lines = [
        "## Widths beside those of oracles",
        "",
        ORACLES,
        "",
        "| " + " | ".join(header) + " |",
        "|" + "---|" * len(header),
    ]
    for name in SCENARIOS:
        for (scenario, key), row in total.items():
            if scenario == name and key.endswith(BESIDE):
                n = int(row["n"])
                ratios = (row["width"] / row["known"], row["width"] / row["free"], row["alike_width"] / row["alike_free"],
                          row["free"] / row["known"], row["least_free"] / row["least_known"])  # fmt: skip
                lines.append(f"| {name} | {key.removesuffix(BESIDE)} | {n} | " + " | ".join(f"{ratio:.2f}" for ratio in ratios)
                             + f" | {np.sqrt(row['free_error2'] / n):.3f} | {row['free_covered'] / n:.1%} |")  # fmt: skip
    return lines


INTRODUCTION = """Written by `benchmarks/statistics/onset_coverage.py report`; the scenarios are described there. Seeds were fixed
before the runs. The procedure was chosen on seeds from 900000, and changed once: a first pass over seeds 0 to 300 covered 90.7
and 91.7 % of smooth bends that differ, so t got S - 1 degrees of freedom where Q rejects. Its runs with onsets are replaced by
those of seeds from 1000; its smooth curves stay, since the existence test is the same. Runs were added later without a change of
the procedure; code had changed in ways that move single replicates: the first 300 of "small", repeated, differ in one count at most.
Coverage is of nominal 95 % intervals, 299 replicates. "Shown": the existence test rejected, and the interval is inside the
range searched. "Each sample": coverage of
the samples' own onsets, where they are located, whether shown or not. ± is one standard error."""
ORACLES = """What the widths are of those of two fits that know more: the form of the curve (`onset_oracles.py`) with its width, or without;
both know that samples do not differ. Nobody knows beforehand how sharp a bend is, so the second says what can be had: a wide bend
and a sharp one that begins later look alike where particles are few, and what cannot be told apart belongs into the interval. Cramér
and Rao's bound says by how much the least standard error of any unbiased estimate grows where the width is not known, with particles as
independent and without any fit. Where samples are found to differ, by chance in one of seven runs, the interval is that of a mean over
samples, and wider. Below 1 ours is the narrower, since a wide bend must explain more than a sharp one: that helps in weak data."""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    runner = commands.add_parser("run")
    runner.add_argument("scenario", choices=SCENARIOS)
    runner.add_argument("--seeds", nargs=2, type=int, default=(0, 300))
    commands.add_parser("report")
    given = parser.parse_args()
    report() if given.command == "report" else run(given.scenario, *given.seeds)
