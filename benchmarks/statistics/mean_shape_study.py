"""Coverage of the intervals of mean shapes, level of the test of squareness, and the time that a large run takes.

    python benchmarks/statistics/mean_shape_study.py coverage      about four minutes: writes results/mean-shapes.md
    python benchmarks/statistics/mean_shape_study.py time          about two minutes and 1 GB of disk: prints a table

Particles lie at any angle. Micrographs differ in shape (`cluster_sd`, in the unit of the shape's parameter) and, by a factor
of exp(0.2 z), in roughness. The roughness of r(theta), as a share of the mean radius, is normal with standard deviations
roughness * (4 / k)^slope of the cosine and the sine part of harmonic k, k = 2 to 29. The truth is the mean, over the
population of micrographs, of outlines that lie as planted and are not rough. The numbers of particles are Poisson.
"""

import argparse
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from scipy import stats

from nanocensus.measure.fourfold import folded
from nanocensus.pipeline.shapes.mean_shapes import mean_shapes
from nanocensus.statistics.cells.size_bins import size_bins
from nanocensus.statistics.outlines.shape_indices import INDICES
from nanocensus.store.particles.outlines import write_outlines

RESULTS = Path(__file__).parents[1] / "results"
RAYS, SEED, RUNS = 128, 20_261_123, 200
THETA = 2.0 * np.pi * np.arange(RAYS) / RAYS
HARMONICS = np.arange(2, 30)


def cut_square(cut, angle):
    """Give r(angle) of the square of half side 1 whose corners, at angle 0 and quarter turns, are cut off straight."""
    cosine, sine = np.abs(np.cos(angle + np.pi / 4)), np.abs(np.sin(angle + np.pi / 4))
    return np.minimum(1 / np.maximum(cosine, sine), (2 - cut) / (cosine + sine))


def lobed(amplitude, angle):
    """Give 1 + amplitude cos(4 angle)."""
    return 1 + amplitude * np.cos(4 * angle)


def ellipse(aspect, angle):
    """Give an ellipse, so that harmonic 4 is there without a square."""
    return 1 / np.hypot(np.cos(angle), aspect * np.sin(angle))


@dataclass(frozen=True)
class Scenario:
    """What is simulated."""

    shape: Callable[..., np.ndarray]
    parameter: float
    cluster_sd: float = 0.0
    roughness: float = 0.005
    slope: float = 1.0
    micrographs: int = 20
    particles: float = 30.0


SCENARIOS = {
    "square, corners cut by 0.3": Scenario(cut_square, 0.3, 0.03),
    "the same, 8 micrographs": Scenario(cut_square, 0.3, 0.03, micrographs=8),
    "the same, 60 micrographs": Scenario(cut_square, 0.3, 0.03, micrographs=60, particles=15.0),
    "the same, rough (0.012)": Scenario(cut_square, 0.3, 0.03, roughness=0.012),
    "the same, 6 particles each": Scenario(cut_square, 0.3, 0.03, particles=6.0),
    "square, corners cut by 0.5": Scenario(cut_square, 0.5, 0.02),
    "hollow, 1 + 0.09 cos 4θ": Scenario(lobed, 0.09, 0.008),
    "round square, 1 + 0.03 cos 4θ": Scenario(lobed, 0.03, 0.004),
    "the same, rough (0.006)": Scenario(lobed, 0.03, 0.004, roughness=0.006),
    "the same, rough (0.008)": Scenario(lobed, 0.03, 0.004, roughness=0.008),
    "square": Scenario(cut_square, 0.0),
}
NULLS = {
    "discs": Scenario(lobed, 0.0, roughness=0.008),
    "discs, 8 micrographs": Scenario(lobed, 0.0, roughness=0.008, micrographs=8),
    "discs, 60 micrographs": Scenario(lobed, 0.0, roughness=0.008, micrographs=60, particles=15.0),
    "discs, white roughness": Scenario(lobed, 0.0, roughness=0.004, slope=0.0),
    "discs, steep roughness (k^-2)": Scenario(lobed, 0.0, roughness=0.008, slope=2.0),
    "ellipses, aspect 1.1": Scenario(ellipse, 1.1, roughness=0.008),
    "ellipses, aspect 1.3": Scenario(ellipse, 1.3, roughness=0.008),
}


def outlines(scenario, rng, micrograph, parameters, roughness):
    """Give outlines at any angle, nm, float32."""
    n = len(micrograph)
    shapes = scenario.shape(parameters[micrograph][:, None], THETA - rng.uniform(0, 2 * np.pi, (n, 1)))
    shapes = shapes / shapes.mean(axis=1, keepdims=True)
    spread = roughness[micrograph][:, None] * (4.0 / HARMONICS) ** scenario.slope
    for wave in (np.cos, np.sin):
        shapes += (rng.standard_normal((n, HARMONICS.size)) * spread) @ wave(np.outer(HARMONICS, THETA))
    return (3.0 * shapes).astype(np.float32)


def simulate(scenario, rng, runs):
    """Give particles and outlines of many runs, each a sample by itself."""
    frames, radii = [], []
    for run in range(runs):
        count = rng.poisson(scenario.particles, scenario.micrographs)
        micrograph = np.repeat(np.arange(scenario.micrographs), count)
        parameters = scenario.parameter + scenario.cluster_sd * rng.standard_normal(scenario.micrographs)
        roughness = scenario.roughness * np.exp(0.2 * rng.standard_normal(scenario.micrographs))
        radii.append(outlines(scenario, rng, micrograph, np.maximum(parameters, 0.0), roughness))
        frames.append(pd.DataFrame({
            "sample": f"run {run:04d}", "micrograph": np.char.add("m", micrograph.astype(str)), "label": np.arange(len(micrograph)),
            "star_shaped": True, "edge_length_nm": 5.3,
        }))  # fmt: skip
    return pd.concat(frames, ignore_index=True), np.concatenate(radii)


def truth(scenario):
    """Give the mean outline from corner to face, and its indices."""
    z = stats.norm.ppf((np.arange(2000) + 0.5) / 2000)
    parameters = np.maximum(scenario.parameter + scenario.cluster_sd * z, 0.0)[:, None]
    shapes = scenario.shape(parameters, THETA)
    half = 1.0 + folded(shapes)[:, :17].mean(axis=0) * 2.0**-16
    return half, {name: index(half) for name, index in INDICES.items()}


def covered(hits):
    """Write a share with its exact 95 % limits."""
    hits = np.asarray(hits)
    if not len(hits):
        return "–"
    limits = stats.binomtest(int(hits.sum()), len(hits)).proportion_ci()
    return f"{hits.mean():.1%} [{limits.low:.1%}, {limits.high:.1%}]"


def run_scenario(scenario, runs, seed):
    """Analyse the runs of a scenario."""
    frame, radii = simulate(scenario, np.random.default_rng([SEED, seed]), runs)
    return mean_shapes(frame, radii, bins=size_bins(1.0), weight=None, seed=seed)


def coverage(runs):
    """Write the results."""
    lines, nulls = [], []
    for seed, (name, scenario) in enumerate(SCENARIOS.items()):
        ds = run_scenario(scenario, runs, seed).isel(size_bin=0)
        half, indices = truth(scenario)
        told = (ds["refusal"] == "").to_numpy()
        for index, value in indices.items():
            one = ds.sel(index=index).isel(sample=told)
            estimate, low, high = (one[each].to_numpy() for each in ("estimate", "index_lower", "index_upper"))
            sd = estimate.std()
            lines.append(
                f"| {name} | {index} | {value:.4f} | {told.sum()} of {runs} | {covered((low <= value) & (value <= high))} | "
                f"{estimate.mean() - value:+.5f} | {one['index_aligned'].to_numpy().mean() - value:+.5f} | {sd:.5f} | "
                f"{((high - low) / 2).mean() / (1.96 * sd):.2f} |"
            )
        one = ds.isel(sample=told)
        point = (one["lower"] <= half) & (half <= one["upper"])
        band = ((one["band_lower"] <= half) & (half <= one["band_upper"])).all("angle").to_numpy()
        each = point.to_numpy()
        lines.append(
            f"| {name} | outline, pointwise (worst angle) | | | {each.mean():.1%} ({each.mean(axis=0).min():.1%}) | | | | |"
        )
        lines.append(f"| {name} | outline, whole band | | | {covered(band)} | | | | |")
        print(*lines[-5:], sep="\n", flush=True)
    for seed, (name, scenario) in enumerate(NULLS.items(), start=100):
        ds = run_scenario(scenario, runs, seed).isel(size_bin=0)
        told = int((ds["refusal"] == "").sum())
        nulls.append(
            f"| {name} | {covered((ds['p'] < 0.05).to_numpy())} | {told} of {runs} | "
            f"{float(ds['amplitude'].mean()):.4f} | {float(ds['null_amplitude'].mean()):.4f} |"
        )
        print(nulls[-1], flush=True)
    (RESULTS / "mean-shapes.md").write_text(HEAD.format(runs=runs, lines="\n".join(lines), nulls="\n".join(nulls)))


HEAD = """# Mean shapes: coverage, bias, false alarms

Written by `benchmarks/statistics/mean_shape_study.py coverage`, where the scenarios are described: {runs} runs each. The seeds
were fixed before the first run, but the procedure was settled (three times the roughness, half of what is taken off added to the
bands, the test on amplitudes) on 100 runs a scenario, which are in part these. 20 micrographs of 30 particles and a roughness of 0.005 of the mean radius where nothing else is said.
Coverage is of nominal 95 % intervals over micrographs, in brackets its exact 95 % limits. "Bias as aligned" is that of the mean of
the aligned outlines, before what alignment adds is taken off. "Width": mean half width over 1.96 standard deviations of the
estimates.

| scenario | of | truth | told | coverage | bias | bias as aligned | SD | width |
|---|---|---|---|---|---|---|---|---|
{lines}

Round particles: how often the test of squareness rejects at 5 %, and how often an index was given (amplitude at least three times
that of roughness).

| scenario | p < 0.05 | told | amplitude | of roughness |
|---|---|---|---|---|
{nulls}
"""


def large_run(folder):
    """Write outlines of 441,067 particles on 727 micrographs of 8 samples; give particles and outlines, a block a part."""
    rng = np.random.default_rng(SEED)
    share = rng.gamma(12, 1, 727)
    counts = rng.multinomial(441_067, share / share.sum())
    frames, arrays = [], []
    for part, block in enumerate(np.array_split(np.arange(727), 46)):
        radii, rows = [], []
        for micrograph in block:
            n = int(counts[micrograph])
            size = 5.6 * np.exp(0.25 * rng.standard_normal(n))
            made = outlines(
                SCENARIOS["square, corners cut by 0.3"], rng, np.zeros(n, int), np.array([0.3]), np.array([0.005])
            )
            radii.append(made / 3.0 * (size / 1.77)[:, None])
            rows.append(pd.DataFrame({
                "sample": f"s{micrograph * 8 // 727}", "micrograph": f"m{micrograph}", "label": np.arange(1, n + 1, dtype=np.int32),
                "star_shaped": True, "edge_length_nm": size, "border_weight": 1.1,
            }))  # fmt: skip
        facts = [
            {"sample": frame["sample"][0], "micrograph": frame["micrograph"][0], "measure_digest": "x"}
            for frame in rows
        ]
        path = folder / f"part-{part}.parquet"
        write_outlines(path, radii, [frame["label"].to_numpy() for frame in rows], facts)
        frames.append(dask.delayed(pd.concat(rows, ignore_index=True)))
        arrays.append(da.from_delayed(dask.delayed(read_radii)(path), (sum(map(len, rows)), RAYS), np.float32))
    return dd.from_delayed(frames, meta=rows[0].iloc[:0]), da.concatenate(arrays)


def read_radii(path):
    """Read the outlines of a part."""
    column = pq.read_table(path, columns=["radii"])["radii"]
    return column.combine_chunks().flatten().to_numpy().reshape(-1, RAYS)


def timing():
    """Print seconds of processor and clock: reading the outlines once, and mean shapes of all of them."""
    folder = Path(tempfile.mkdtemp())
    try:
        particles, radii = large_run(folder)
        small = simulate(SCENARIOS["square, corners cut by 0.3"], np.random.default_rng(0), 1)
        mean_shapes(*small, bins=size_bins(1.0), weight=None)  # what compiles, compiles here
        with dask.config.set(scheduler="threads", num_workers=2):
            for name, work in (
                ("read", lambda: radii.max().compute()),
                ("mean shapes", lambda: mean_shapes(particles, radii, bins=size_bins(0.2))),
            ):
                clock, processor = time.perf_counter(), time.process_time()
                made = work()
                print(
                    f"| {name} | {time.process_time() - processor:.1f} | {time.perf_counter() - clock:.1f} |",
                    flush=True,
                )
        print(f"{int(made['n'].sum())} outlines in {int((made['n'] > 0).sum())} cells")
        print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB at most")
    finally:
        shutil.rmtree(folder)


def main():
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["coverage", "time"])
    parser.add_argument("--runs", type=int, default=RUNS)
    asked = parser.parse_args()
    if asked.what == "coverage":
        coverage(asked.runs)
    else:
        timing()


if __name__ == "__main__":
    main()
