"""Whether planted faults are found, and how often ordinary micrographs are flagged.

    PYTHONPATH=engine .venv/bin/python benchmarks/quality/study.py [SEED]        # about three minutes

Sessions of each kind of imaging are simulated, without faults and with, segmented by the shipped network and judged by the
rules' defaults; what is counted is whole micrographs. The demonstration's micrographs say what registration finds in real
ones, whose shifts are checked by going round: a to b to c has to be a to c. Writes results/quality.md.
"""

import csv
import itertools
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd

from nanocensus.measure.descriptors import measure
from nanocensus.measure.quality import background_range, quality, saturated_share
from nanocensus.measure.registration import find_overlaps, reduction, thumbnail
from nanocensus.measure.sharpness import sharpness
from nanocensus.pipeline.job_sections import QualitySection
from nanocensus.pipeline.quality import flags
from nanocensus.pipeline.registration import Pair
from nanocensus.provenance import versions
from nanocensus.segment.weights import load_model
from nanocensus.simulate.rendering import simulate_micrograph
from nanocensus.simulate.scenes.imaging import KINDS
from nanocensus.simulate.sessions import Faults, simulate_session
from nanocensus.simulate.spec import SimulationSpec
from nanocensus.store.readers import read_image

ROOT = Path(__file__).parents[2]
SIDE, PIXEL_NM = 512, 0.086
CLEAN, SESSIONS, FAULTY = 24, 2, 36
FAULTS = Faults(
    blurred={2: 2.0, 4: 3.0, 6: 4.0, 8: 6.0},
    drifted={10: 6.0, 12: 8.0, 14: 12.0},
    saturated={16: 0.02},
    repeated={18: (1, 1.0), 20: (3, 0.5), 22: (5, 0.25)},
)
PLANTED = {
    **{number: ("blurred", f"blurred by {sigma:g} px") for number, sigma in FAULTS.blurred.items()},
    **{number: ("drifted", f"drifted by {length:g} px") for number, length in FAULTS.drifted.items()},
    **{number: ("saturated", f"{share:.0%} saturated") for number, share in FAULTS.saturated.items()},
    **{number: ("repeats", f"{share:.0%} of an earlier one") for number, (_, share) in FAULTS.repeated.items()},
}
"""Numbers of a session's faulty micrographs, the first word of the reason that should be given, and what was planted."""


def judged(model, images, rules):
    """Score, register and judge a session's micrographs: the reasons of each, and its scores."""
    rows = []
    for number, image in enumerate(images):
        probability = model.probability(image, pixel_size_nm=PIXEL_NM)
        table = measure(probability, pixel_size_nm=PIXEL_NM).table
        scores = asdict(quality(image, probability, table, pixel_size_nm=PIXEL_NM))
        rows.append({"micrograph": str(number), "name": f"{number:02d}", "sample": "S", "pixel_size_nm": PIXEL_NM,
                     "domain_score": None, **scores})  # fmt: skip
    index = pd.DataFrame(rows).astype({name: float for name in scores} | {"domain_score": float})
    pairs = [
        Pair(str(each.first), str(each.second), each.share, *each.shift, each.z)
        for each in find_overlaps([thumbnail(image) for image in images])
    ]
    return flags(index, pairs, rules), index


def spec_of(kind, side=SIDE):
    return SimulationSpec(shape=(side, side), mean_particles=16.0 * (side / 512) ** 2, imaging=kind)


def clean_lines(model, seed, rules):
    lines = ["| imaging | micrographs | flagged | share | as |", "|---|---|---|---|---|"]
    total = Counter()
    for kind in KINDS:
        reasons = []
        for session in range(SESSIONS):
            images = simulate_session(spec_of(kind), CLEAN, np.random.default_rng([seed, session, *kind.encode()]))
            reasons += judged(model, images, rules)[0]
        lines.append(_row(kind, reasons))
        total.update(n=len(reasons), flagged=sum(map(bool, reasons)))
    lines.append(f"| all | {total['n']} | {total['flagged']} | {total['flagged'] / total['n']:.1%} | |")
    anew = []
    for kind in KINDS:
        rng = np.random.default_rng([seed, 9, *kind.encode()])
        images = [simulate_micrograph(spec_of(kind), rng).pixels for _ in range(CLEAN)]
        anew += judged(model, images, rules)[0]
    lines.append(_row("drawn anew for each micrograph", anew))
    return lines


def _row(name, reasons):
    flagged = sum(map(bool, reasons))
    kinds = Counter(reason.split(":")[0].split(" ")[0] for each in reasons for reason in each)
    why = ", ".join(f"{word} {count}" for word, count in kinds.items())
    return f"| {name} | {len(reasons)} | {flagged} | {flagged / len(reasons):.1%} | {why} |"


def planted_lines(model, seed, rules):
    found, seen, ordinary, wrong, missed = Counter(), Counter(), 0, 0, []
    for kind in KINDS:
        rng = np.random.default_rng([seed, 5, *kind.encode()])
        reasons, index = judged(model, simulate_session(spec_of(kind), FAULTY, rng, FAULTS), rules)
        for number, each in enumerate(reasons):
            if number not in PLANTED:
                ordinary, wrong = ordinary + 1, wrong + bool(each)
                continue
            seen[number] += 1
            right = any(reason.startswith(PLANTED[number][0]) for reason in each)
            found[number] += right
            if not right:
                missed.append(f"{PLANTED[number][1]} ({kind}, covered {index['covered_share'][number]:.0%})")
    lines = ["| planted | sessions | found |", "|---|---|---|"]
    lines += [f"| {PLANTED[number][1]} | {seen[number]} | {found[number]} |" for number in PLANTED]
    lines += [
        "",
        f"Not found: {', '.join(missed) or 'none'}. Of the {ordinary} other micrographs {wrong} were flagged.",
    ]
    return lines


def demo_lines():
    demo = ROOT / "jobs/demo"
    rows = list(csv.DictReader((demo / "fields.csv").open()))
    images = [read_image(demo / "images" / row["image"]).pixels for row in rows]
    factor = reduction(images[0].shape)
    found = find_overlaps([thumbnail(image) for image in images])
    lines = ["| first | second | same field in fields.csv | share | shift, px | z |", "|---|---|---|---|---|---|"]
    shifts = {}
    for each in found:
        one, other = rows[each.first], rows[each.second]
        shifts[each.first, each.second] = np.array(each.shift) * factor
        y, x = shifts[each.first, each.second]
        same = "yes" if one["field"] == other["field"] else "no"
        lines.append(
            f"| {one['image']} | {other['image']} | {same} | {each.share:.2f} | {y:.0f}, {x:.0f} | {each.z:.0f} |"
        )
    rounds = [
        float(np.abs(shifts[a, b] + shifts[b, c] - shifts[a, c]).max())
        for a, b, c in itertools.combinations(range(len(rows)), 3)
        if {(a, b), (b, c), (a, c)} <= shifts.keys()
    ]
    share = sum(a["field"] == b["field"] for a, b in itertools.combinations(rows, 2))
    between = len(rows) * (len(rows) - 1) // 2
    lines += [
        "",
        f"{len(found)} of {between} pairs; {share} share a field. Of {len(rounds)} triples the shifts close to "
        + f"{max(rounds):.1f} px at worst.",
    ]
    return lines


def time_lines(model):
    image = simulate_session(spec_of("plain", 1024), 1, np.random.default_rng(0))[0]
    probability = model.probability(image, pixel_size_nm=PIXEL_NM)
    image, probability = (np.tile(each, (4, 4)) for each in (image, probability))
    lines = ["| step, 4096 x 4096 px | s |", "|---|---|"]
    steps = {
        "edges": lambda: sharpness(image, probability),
        "saturation": lambda: saturated_share(image),
        "background": lambda: background_range(image, probability),
        "thumbnail": lambda: thumbnail(image),
    }
    for name, step in steps.items():
        lines.append(f"| {name} | {min(_seconds(step) for _ in range(5)):.3f} |")
    rng = np.random.default_rng(1)
    small = [thumbnail(each) for each in rng.integers(0, 999, (60, 128, 128))]
    lines.append(
        f"| comparing one pair (of {60 * 59 // 2}) | {_seconds(lambda: find_overlaps(small)) / (60 * 59 / 2):.4f} |"
    )
    return lines


def _seconds(step):
    start = perf_counter()
    step()
    return perf_counter() - start


def main():
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    model, rules = load_model("default"), QualitySection()
    lines = [
        "# Quality of micrographs",
        "",
        f"Network {model.name} {model.digest[:16]}; nanocensus {versions()['nanocensus']}; seed {seed}; micrographs of "
        + f"{SIDE} x {SIDE} px with 16 particles on average; the rules' defaults.",
        "",
    ]
    lines += [
        f"## Ordinary micrographs, {SESSIONS} sessions of {CLEAN} a kind",
        "",
        *clean_lines(model, seed, rules),
        "",
    ]
    lines += ["## Planted faults, a session of each kind", "", *planted_lines(model, seed, rules), ""]
    lines += ["## The demonstration's micrographs", "", *demo_lines(), ""]
    lines += ["## Time, one core", "", *time_lines(model)]
    (ROOT / "benchmarks/results/quality.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
