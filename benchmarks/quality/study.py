"""Whether planted faults are found, and how often ordinary micrographs are flagged.

    PYTHONPATH=engine .venv/bin/python benchmarks/quality/study.py [SEED]        # about six minutes on one core

Sessions of each kind of imaging are simulated, without faults and with, segmented by the shipped network and judged by the
rules' defaults; what is counted is whole micrographs. The bounds were chosen on seeds 0, 101 and 102. What a fault does to the
measured edge length is told by places recorded twice, the second time with it. The demonstration's micrographs say what
registration finds in real ones, whose shifts are checked by going round: a to b to c has to be a to c. Writes
results/quality.md.
"""

import csv
import itertools
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from time import process_time

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from nanocensus.measure.acceptance import apply_criteria
from nanocensus.measure.criteria import Criteria
from nanocensus.measure.descriptors import measure
from nanocensus.measure.detail import detail
from nanocensus.measure.quality import background_range, quality, saturated_share
from nanocensus.measure.registration import find_overlaps, reduction, thumbnail
from nanocensus.measure.sharpness import sharpness
from nanocensus.pipeline.job.sections import QualitySection
from nanocensus.pipeline.run.details import with_scores
from nanocensus.pipeline.run.quality import flags
from nanocensus.pipeline.run.registration import Pair
from nanocensus.provenance import versions
from nanocensus.segment.prediction.weights import load_model
from nanocensus.simulate.rendering import simulate_micrograph
from nanocensus.simulate.sessions import Faults, simulate_session
from nanocensus.simulate.spec import RECORDED, SimulationSpec
from nanocensus.store.formats.readers import read_image

ROOT = Path(__file__).parents[2]
SIDE, PIXEL_NM = 512, 0.086
CLEAN, SESSIONS, FAULTY = 24, 2, 44
FAULTS = Faults(
    blurred={2: 1.0, 4: 2.0, 6: 3.0, 8: 4.0, 10: 6.0},
    drifted={12: 4.0, 14: 6.0, 16: 8.0, 18: 12.0},
    saturated={20: 0.02},
    repeated={22: (1, 1.0), 24: (3, 0.5), 26: (5, 0.25)},
    crowded={28: 2.0, 30: 2.6},
    charged={32: 0.15, 34: 0.3},
    striped={36: 0.02, 38: 0.05},
    contaminated={40: 0.1, 42: 0.3},
)
PLANTED = {
    **{number: ("blurred", f"blurred by {sigma:g} px") for number, sigma in FAULTS.blurred.items()},
    **{number: ("drifted", f"drifted by {length:g} px") for number, length in FAULTS.drifted.items()},
    **{number: ("saturated", f"{share:.0%} saturated") for number, share in FAULTS.saturated.items()},
    **{number: ("repeats", f"{share:.0%} of an earlier one") for number, (_, share) in FAULTS.repeated.items()},
    **{number: ("crowded", f"{times:g} times as many particles") for number, times in FAULTS.crowded.items()},
    **{number: ("uneven", f"charged: brightness over {reach:.0%}") for number, reach in FAULTS.charged.items()},
    **{number: ("drifted or striped", f"striped: bands of {sd:.0%}") for number, sd in FAULTS.striped.items()},
    **{number: ("uneven", f"contaminated: a patch takes {share:.0%}") for number, share in FAULTS.contaminated.items()},
}
"""Numbers of a session's faulty micrographs, the first words of the reason that should be given, and what was planted."""
PAIRED = Faults(
    blurred={1: 1.0, 3: 2.0, 5: 3.0, 7: 4.0, 9: 6.0},
    drifted={11: 4.0, 13: 6.0, 15: 8.0, 17: 12.0},
    repeated={number: (number - 1, 1.0) for number in range(1, 18, 2)},
)
"""Places recorded twice."""
CRITERIA = Criteria()


def scored(model, images, sample="S"):
    """Score and register the micrographs of a session: its index, and the pairs."""
    rows, details, thumbnails = [], {}, []
    for number, image in enumerate(images):
        probability = model.probability(image, pixel_size_nm=PIXEL_NM)
        table = measure(probability, pixel_size_nm=PIXEL_NM).table
        scores = asdict(quality(image, probability, table, pixel_size_nm=PIXEL_NM))
        particles = apply_criteria(table.to_pandas().assign(sample=sample), CRITERIA)
        edge_nm = particles.loc[particles["failed_criteria"] == 0, "edge_length_nm"].mean()
        rows.append({"micrograph": str(number), "name": f"{number:02d}", "sample": sample, "pixel_size_nm": PIXEL_NM,
                     "domain_score": None, "edge_nm": edge_nm, **scores})  # fmt: skip
        details[number] = detail(image)
        thumbnails.append(thumbnail(image))
    index = pd.DataFrame(rows).astype({name: float for name in scores} | {"domain_score": float})
    pairs = [
        Pair(str(each.first), str(each.second), each.share, *each.shift, each.z) for each in find_overlaps(thumbnails)
    ]
    return with_scores(index, details), pairs


def judged(model, images, rules):
    """Give the reasons of each micrograph of a session, and its scores."""
    index, pairs = scored(model, images)
    return flags(index, pairs, rules), index


def spec_of(kind, side=SIDE):
    return SimulationSpec(shape=(side, side), mean_particles=16.0 * (side / 512) ** 2, imaging=kind)


def of_kind(kind, seed):
    """Do everything that concerns one kind of imaging: reasons of ordinary, faulty and drawn micrographs, edge lengths."""
    model, rules = load_model("default"), QualitySection()
    clean = []
    for session in range(SESSIONS):
        images = simulate_session(spec_of(kind), CLEAN, np.random.default_rng([seed, session, *kind.encode()]))
        clean += judged(model, images, rules)[0]
    rng = np.random.default_rng([seed, 9, *kind.encode()])
    anew = judged(model, [simulate_micrograph(spec_of(kind), rng).pixels for _ in range(CLEAN)], rules)[0]
    rng = np.random.default_rng([seed, 5, *kind.encode()])
    faulty, index = judged(model, simulate_session(spec_of(kind), FAULTY, rng, FAULTS), rules)
    rng = np.random.default_rng([seed, 7, *kind.encode()])
    edges = scored(model, simulate_session(spec_of(kind), 18, rng, PAIRED))[0]["edge_nm"].to_numpy()
    return clean, anew, faulty, index["covered_share"].to_numpy(), edges[1::2] / edges[::2] - 1


def clean_lines(found):
    lines = ["| imaging | micrographs | flagged | share | exact 95 % interval | as |", "|---|---|---|---|---|---|"]
    lines += [_row(kind, clean) for kind, (clean, *_) in found.items()]
    lines.append(_row("all", [each for clean, *_ in found.values() for each in clean]))
    lines.append(_row("drawn anew for each micrograph", [each for _, anew, *_ in found.values() for each in anew]))
    return lines


def _row(name, reasons):
    flagged = sum(map(bool, reasons))
    kinds = Counter(reason.split(":")[0].split(" ")[0] for each in reasons for reason in each)
    why = ", ".join(f"{word} {count}" for word, count in kinds.items())
    return f"| {name} | {len(reasons)} | {flagged} | {flagged / len(reasons):.1%} | {_limits(flagged, len(reasons))} | {why} |"


def _limits(count, n):
    ends = binomtest(count, n).proportion_ci(0.95, method="exact")
    return f"{ends.low:.1%} to {ends.high:.1%}"


def planted_lines(found):
    lines = ["| planted | sessions | found by its name | found at all | exact 95 % interval | mean edge length changes by (range) |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    changes = dict(
        zip([*FAULTS.blurred, *FAULTS.drifted], np.array([each[4] for each in found.values()]).T, strict=True)
    )
    missed = []
    for number, (word, what) in PLANTED.items():
        reasons = {kind: each[2][number] for kind, each in found.items()}
        named = sum(any(reason.startswith(word) for reason in each) for each in reasons.values())
        flagged = sum(map(bool, reasons.values()))
        change = ""
        if number in changes:
            own = changes[number]
            change = f"{np.nanmean(own):+.1%} ({np.nanmin(own):+.1%} to {np.nanmax(own):+.1%})"
        lines.append(f"| {what} | {len(reasons)} | {named} | {flagged} | {_limits(flagged, len(reasons))} | {change} |")
        missed += [
            f"{what} ({kind}, covered {found[kind][3][number]:.0%})" for kind, each in reasons.items() if not each
        ]
    ordinary = [
        each for _, _, faulty, *_ in found.values() for number, each in enumerate(faulty) if number not in PLANTED
    ]
    wrong = sum(map(bool, ordinary))
    return [
        *lines,
        "",
        f"Not found: {', '.join(missed) or 'none'}.",
        "",
        f"Of the {len(ordinary)} other micrographs {wrong} were flagged (exact 95 % interval {_limits(wrong, len(ordinary))}).",
    ]


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
        "detail": lambda: detail(image),
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
    start = process_time()
    step()
    return process_time() - start


def main():
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    model = load_model("default")
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        found = dict(zip(RECORDED, pool.map(partial(of_kind, seed=seed), RECORDED), strict=True))
    lines = [
        "# Quality of micrographs",
        "",
        f"Network {model.name} {model.digest[:16]}; nanocensus {versions()['nanocensus']}; seed {seed}; micrographs of "
        + f"{SIDE} x {SIDE} px with 16 particles on average; the rules' defaults.",
        "",
    ]
    lines += [f"## Ordinary micrographs, {SESSIONS} sessions of {CLEAN} a kind", "", *clean_lines(found), ""]
    lines += ["## Planted faults, a session of each kind", "", *planted_lines(found), ""]
    lines += ["## The demonstration's micrographs", "", *demo_lines(), ""]
    lines += ["## Processor time", "", *time_lines(model)]
    (ROOT / "benchmarks/results/quality.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
