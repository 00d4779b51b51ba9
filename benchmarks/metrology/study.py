"""Bias and scatter of the estimators on shapes whose truth is known.

    python benchmarks/metrology/study.py            # about five minutes on one core
    python benchmarks/metrology/study.py --poses 10

Writes benchmarks/results/metrology.csv and metrology.md, and the tables of docs/explanation/metrology.md. Everything goes
through `measure_particles`, as a user's maps would; equal code gives equal files on machines of one kind.
"""

import argparse
import itertools
import math
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd

import nanocensus as nc
from nanocensus.provenance import machine, versions
from nanocensus.simulate.maps import blurred_disc_radius, render_map
from nanocensus.simulate.placement import Planted
from nanocensus.simulate.shapes import disc, ellipse, lobed, square, superellipse, truncated_square

ROOT = Path(__file__).parents[2]
RESULTS, PAGE = ROOT / "benchmarks/results", ROOT / "docs/explanation/metrology.md"
BEGIN, END = "<!-- written by benchmarks/metrology/study.py -->", "<!-- end -->"

SHAPES = {
    "disc": disc(),
    "ellipse 1.4": ellipse(1.4),
    "square": square(),
    "truncated square": truncated_square(0.4),
    "superellipse 4": superellipse(4.0),
    "lobed 0.1": lobed(0.1),
}
SIZES_PX, BLURS_PX, NOISES = (25.0, 50.0, 93.0, 128.0), (0.0, 0.35, 1.0), (0.0, 0.04)
ESTIMATORS = ("outline", "paper", "crofton")
RELATIVE = ("area_nm2", "edge_length_nm", "perimeter_nm", "feret_max_nm", "feret_min_nm")
ABSOLUTE = ("circularity", "solidity", "convexity", "eccentricity", "aspect_ratio")
BLURRED_AREA = "area_nm2 against the blurred disc"
TREND_PX = {size_nm: round(size_nm / 0.086, 2) for size_nm in (2.45, 3.0, 4.3, 5.3, 6.5, 7.7, 8.5, 10.0)}
"""Edge lengths of the paper, nm, in its pixels."""
PIXEL_VARIANCE = 1 / 12


def measured(shape, size_px, blur_px, noise, poses, seed):
    """Measure one shape at random poses: one row a pose and estimator, lengths in px."""
    outline = SHAPES[shape].scaled(size_px)
    place = np.random.default_rng([seed, list(SHAPES).index(shape), round(100 * size_px)])  # the same for all blurs
    speckle = np.random.default_rng([seed, round(100 * blur_px), round(1000 * noise)])
    side = 2 * math.ceil(outline.reach + 5 * blur_px + 5)
    rows = []
    for _ in range(poses):
        y, x = side / 2 + place.uniform(-0.5, 0.5, 2)
        particle = Planted(shape, outline, (y, x), place.uniform(0, 2 * math.pi))
        probability = render_map([particle], (side, side), blur_px=blur_px, noise=noise, rng=speckle)
        for estimator in ESTIMATORS:
            table = nc.measure_particles(probability, pixel_size_nm=1.0, estimator=estimator)
            largest = table.loc[table["pixel_count"].idxmax()]  # noise may break a pixel off
            rows.append({"estimator": estimator} | {name: largest[name] for name in RELATIVE + ABSOLUTE})
    return pd.DataFrame(rows)


def errors(shape, size_px, blur_px, noise, poses, seed):
    """Give bias and standard deviation of each estimator and descriptor: of lengths and areas relative to the truth."""
    rows = measured(shape, size_px, blur_px, noise, poses, seed)
    truth = SHAPES[shape].scaled(size_px).descriptors()
    rows[BLURRED_AREA] = rows["area_nm2"]
    if shape == "disc":
        seen = blurred_disc_radius(size_px / math.sqrt(math.pi), math.sqrt(blur_px**2 + PIXEL_VARIANCE))
        truth[BLURRED_AREA] = math.pi * seen**2
    known = [name for name in (*RELATIVE, BLURRED_AREA, *ABSOLUTE) if name in truth]
    found = []
    for estimator, name in itertools.product(ESTIMATORS, known):
        relative = name not in ABSOLUTE
        error = (rows.loc[rows["estimator"] == estimator, name] - truth[name]) / (truth[name] if relative else 1)
        found.append(
            {
                "shape": shape,
                "edge_length_px": size_px,
                "blur_px": blur_px,
                "noise": noise,
                "estimator": estimator,
                "descriptor": name,
                "truth": truth[name],
                "error": "relative" if relative else "absolute",
                "bias": error.mean(),
                "sd": error.std(ddof=1),
                "poses": poses,
            }
        )
    return found


def study(poses, seed=0):
    """Measure all shapes at all sizes, blurs and noises."""
    cells = itertools.product(SHAPES, SIZES_PX, BLURS_PX, NOISES)
    return pd.DataFrame([row for cell in cells for row in errors(*cell, poses, seed)])


def trend(poses, seed=1):
    """Measure a disc and a square on maps with a blur of 1 px, at the sizes of the paper."""
    cells = itertools.product(("disc", "square"), TREND_PX.values())
    return pd.DataFrame([row for shape, size in cells for row in errors(shape, size, 1.0, 0.0, poses, seed)])


def markdown(head, body):
    """Lay out a table."""
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def thousandths(row):
    return f"{1000 * row['bias']:+.1f} [{1000 * row['sd']:.1f}]"


def error_table(frame, descriptor, shapes=tuple(SHAPES)):
    """Give bias [standard deviation] in thousandths: the map gets better from left to right, then the other estimators."""
    columns = {
        "outline, blur 0": ("outline", 0.0, 0.0),
        "blur 0.35": ("outline", 0.35, 0.0),
        "blur 1": ("outline", 1.0, 0.0),
        "blur 1, noise": ("outline", 1.0, 0.04),
        "`paper`, blur 1": ("paper", 1.0, 0.0),
        "noise": ("paper", 1.0, 0.04),
        "`crofton`, blur 1": ("crofton", 1.0, 0.0),
        "noise ": ("crofton", 1.0, 0.04),
    }
    chosen = frame[frame["descriptor"] == descriptor].set_index(
        ["shape", "edge_length_px", "estimator", "blur_px", "noise"]
    )
    body = []
    for shape, size in itertools.product([shape for shape in shapes if shape in chosen.index], SIZES_PX):
        cells = [chosen.loc[(shape, size, *column)] for column in columns.values()]
        body.append([shape, f"{size:g}", f"{cells[0]['truth']:.4g}", *map(thousandths, cells)])
    return markdown(["shape", "px", "truth", *(name.strip() for name in columns)], body)


def bar_table(frame):
    """Give what the disc's outline is held to, on maps with a blur of 1 px."""
    disc_rows = frame[
        (frame["shape"] == "disc") & (frame["estimator"] == "outline") & (frame["blur_px"] == 1) & (frame["noise"] == 0)
    ].set_index(["descriptor", "edge_length_px"])
    body = []
    for size in SIZES_PX:
        radius = size / math.sqrt(math.pi)
        body.append(
            [
                f"{size:g}",
                *(f"{100 * disc_rows.loc[(name, size), 'bias']:+.3f}" for name in ("area_nm2", BLURRED_AREA)),
                f"{-100 * (1 + PIXEL_VARIANCE) / radius**2:+.3f}",
                f"{disc_rows.loc[('circularity', size), 'bias']:+.5f}",
                f"{disc_rows.loc[('circularity', size), 'sd']:.5f}",
            ]
        )
    head = ["px", "area, %", "area against the blurred disc, %", "−(σ² + 1/12)/R², %", "circularity − 1", "its scatter"]
    return markdown(head, body)


def trend_table(frame, shape):
    """Give what a constant shape reads at the sizes of the paper."""
    chosen = frame[frame["shape"] == shape].set_index(["edge_length_px", "descriptor", "estimator"])
    body = []
    for size_nm, size_px in TREND_PX.items():
        cells = [
            chosen.loc[(size_px, name, estimator)]
            for name, estimator in (
                ("circularity", "paper"),
                ("circularity", "crofton"),
                ("circularity", "outline"),
                ("solidity", "paper"),
                ("solidity", "outline"),
            )
        ]
        body.append([f"{size_nm:g}", f"{size_px:.0f}", *(f"{cell['truth'] + cell['bias']:.4f}" for cell in cells)])
    head = ["edge length, nm", "px", "circularity, `paper`", "`crofton`", "outline", "solidity, `paper`", "outline"]
    return markdown(head, body)


def sections(frame, trends):
    """Give the tables that the page of the documentation shows, with their headings."""
    few = ("disc", "square", "lobed 0.1")
    found = {
        "### A disc, held to what is possible": bar_table(frame),
        "### Circularity": error_table(frame, "circularity", few),
        "### Solidity": error_table(frame, "solidity", few),
        "### Edge length, relative": error_table(frame, "edge_length_nm", few),
        "### What a perfect disc reads": trend_table(trends, "disc"),
        "### What a perfect square reads": trend_table(trends, "square"),
    }
    return "\n".join(f"{heading}\n\n{table}" for heading, table in found.items())


def commit():
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return told.stdout.strip()


def report(frame, trends, poses):
    """Give the whole report."""
    used = {name: versions()[name] for name in ("nanocensus", "numpy", "scipy", "numba", "scikit-image")}
    head = [
        "# Bias and scatter of the estimators",
        "",
        f"Written by `benchmarks/metrology/study.py`, {poses} random poses a cell; every figure is in metrology.csv.",
        "Bias and, in brackets, standard deviation over poses, in thousandths; of lengths and areas relative to the truth.",
        "",
        "; ".join(
            [*(f"{name} {version}" for name, version in used.items()), f"commit {commit()}", machine()["processor"]]
        ),
        "",
    ]
    every = [f"### {name}\n\n{error_table(frame, name)}" for name in (*ABSOLUTE, *RELATIVE)]
    return "\n".join([*head, "## Summary\n", sections(frame, trends), "## Everything\n", *every])


def committed():
    """Read the study and the trend as they were written: what tables are made of, so that anyone can make them again."""
    rows = pd.read_csv(RESULTS / "metrology.csv")
    return rows[rows["part"] == "study"], rows[rows["part"] == "trend"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--poses", type=int, default=80, help="random poses a cell")
    poses = parser.parse_args().poses
    started = time.perf_counter()
    RESULTS.mkdir(exist_ok=True)
    both = pd.concat([study(poses).assign(part="study"), trend(poses).assign(part="trend")])
    both.to_csv(RESULTS / "metrology.csv", index=False, float_format="%.5g", lineterminator="\n")
    frame, trends = committed()
    (RESULTS / "metrology.md").write_text(report(frame, trends, poses), encoding="utf-8")
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    tables = f"{BEGIN}\n\n{sections(frame, trends)}\n{END}"
    PAGE.write_text(before + tables + rest.partition(END)[2], encoding="utf-8")
    print(f"{len(both)} rows in {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
