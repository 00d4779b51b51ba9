"""Who takes how long: candidates take turns, so that a busy minute of the machine hits all alike.

Each round has its own order, drawn at random: nobody always finds the image in the cache that the one before left there.
"""

import gc
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import psutil
from agreement import disagreement
from candidate import Candidate, installed
from features import FEATURES, OUR_OUTLINES, OURS, REFERENCE, our_pixels, our_table
from labelling import FLOOR, FLOORS, LABELLING, OUR_LABELS
from scenes import STANDARD, Scene

EVERYONE = (*FLOORS, *LABELLING, *FEATURES)
LONG_MS = 2000.0
"""A call that takes longer needs no warm-up: its first counts as a round."""
ROUNDS, BUDGET_MS = 7, 2500.0
ROUNDS_STANDARD, BUDGET_STANDARD_MS, LEAST_STANDARD = 21, 6000.0, 3
"""Rounds, and what a candidate's calls may take in all: slow ones sit out, and come at least once."""
ROUNDS_OF_THREADS = 21
THREADED = ((OURS, our_pixels("paper"), 4), (OUR_OUTLINES, our_table("outline"), 1))
"""Times that a round goes over the micrographs: it takes 0.2 s at least, so that waking a thread up does not count."""


@dataclass
class Line:
    """A candidate on one scene."""

    candidate: Candidate
    call: Callable[[], object]
    first_ms: float
    checked: list[str]
    """What was held against scikit-image."""
    departs: str | None
    """What it says otherwise, where both have one definition."""
    rounds_ms: list[float] = field(default_factory=list)


def clocked(call):
    """Give the result and the time, ms; garbage is collected, and results are freed, between calls."""
    gc.disable()
    start = time.perf_counter()
    result = call()
    spent = 1e3 * (time.perf_counter() - start)
    gc.enable()
    return result, spent


def clock_and_others():
    """Give the time, and the processor time that other processes have taken so far, s."""
    all_of_us, own = psutil.cpu_times(), psutil.Process().cpu_times()
    busy = sum(getattr(all_of_us, kind) for kind in ("user", "nice", "system", "irq", "softirq", "steal"))
    return time.perf_counter(), busy - own.user - own.system


def others_cores(start):
    """Say how many cores other processes kept busy since then: what makes a figure doubtful, of two threads above all."""
    (began, before), (now, after) = start, clock_and_others()
    return round(max(0.0, after - before) / (now - began), 2)


def first_calls(scene):
    """Call everyone who is installed once, which warms them up, and hold what they say against scikit-image."""
    present = [candidate for candidate in EVERYONE if installed(candidate.package)]
    reference, lines = {}, []
    for candidate in sorted(present, key=lambda candidate: candidate.name != REFERENCE):
        call, read = candidate.start(scene)
        result, first_ms = clocked(call)
        found = read(result)
        if candidate.name == REFERENCE:
            reference = found.columns
        departs = disagreement(candidate, found, scene, reference)
        if departs and candidate.package == "nanocensus":
            raise SystemExit(
                f"{scene.name}: {candidate.name} departs from scikit-image: {departs}. Nothing is written."
            )
        checked = ["labels"] * (found.labels is not None) + list(candidate.equal)
        lines.append(Line(candidate, call, first_ms, checked, departs))
    return sorted(lines, key=lambda line: EVERYONE.index(line.candidate))


def take_turns(lines, rounds, budget_ms, least):
    """Time everyone, each in as many of the rounds as the budget allows, evenly spread over them."""
    counts = [min(rounds, max(least, int(budget_ms / line.first_ms))) for line in lines]
    for line in lines:
        if line.first_ms > LONG_MS:
            line.rounds_ms.append(line.first_ms)
    rng = np.random.default_rng(0)
    for turn in range(rounds):
        for number in rng.permutation(len(lines)):
            line, count = lines[number], counts[number]
            if turn * count // rounds < (turn + 1) * count // rounds:
                line.rounds_ms.append(clocked(line.call)[1])


def timed(scene):
    """Time everyone on one scene."""
    start = clock_and_others()
    lines = first_calls(scene)
    if scene.name == STANDARD:
        take_turns(lines, ROUNDS_STANDARD, BUDGET_STANDARD_MS, LEAST_STANDARD)
    else:
        take_turns(lines, ROUNDS, BUDGET_MS, 1)
    medians = {line.candidate.name: float(np.median(line.rounds_ms)) for line in lines}
    least = {line.candidate.name: min(line.rounds_ms) for line in lines}
    return {
        "scene": scene.name,
        "side_px": scene.mask.shape[0],
        "particles": int(scene.n),
        "coverage": round(scene.coverage, 4),
        "others_cores": others_cores(start),
        "rows": [row(line, scene.n, medians, least) for line in lines],
    }


def row(line, n, medians, least):
    """Give what is known of one candidate on one scene."""
    name = line.candidate.name
    ours = {LABELLING: OUR_LABELS, FEATURES: OURS}
    base = next((base for group, base in ours.items() if line.candidate in group), None)
    compared = base is not None and line.departs is None
    return {
        "candidate": name,
        "median_ms": round(medians[name], 3),
        "least_ms": round(least[name], 3),
        "quartiles_ms": [round(float(quartile), 3) for quartile in np.percentile(line.rounds_ms, [25, 75])],
        "rounds_ms": [round(spent, 3) for spent in line.rounds_ms],
        "us_per_particle": round(1e3 * medians[name] / n, 3),
        "over_floor": round(medians[name] / medians[FLOOR], 3),
        "compared_with": base,
        "ratio": round(medians[name] / medians[base], 3) if compared else None,
        "ratio_of_least": round(least[name] / least[base], 3) if compared else None,
        "equal_to_scikit_image": line.checked,
        "departs": line.departs,
    }


def two_threads(scene, cores):
    """Time one thread and two over the same micrographs: the standard one in eight poses, on all cores."""
    views = [np.rot90(mirrored, turns) for mirrored in (scene.probability, scene.probability.T) for turns in range(4)]
    poses = [Scene(scene.name, np.ascontiguousarray(view)) for view in views]
    held = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    with ThreadPoolExecutor(2) as pool:
        found = [
            _two_threads(name, [start(pose)[0] for pose in poses] * times, pool) for name, start, times in THREADED
        ]
    os.sched_setaffinity(0, held)
    return found


def _two_threads(name, calls, pool):
    def alone():
        for call in calls:
            call()

    def together():
        for done in [pool.submit(call) for call in calls]:
            done.result()

    alone(), together()  # warm up
    start = clock_and_others()
    rounds = [(clocked(alone)[1], clocked(together)[1]) for _ in range(ROUNDS_OF_THREADS)]
    one, two = np.array(rounds).T
    return {
        "candidate": name,
        "micrographs": len(calls),
        "one_thread_ms": one.round(3).tolist(),
        "two_threads_ms": two.round(3).tolist(),
        "speedup": round(float(np.median(one) / np.median(two)), 3),
        "speedup_of_least": round(float(one.min() / two.min()), 3),
        "others_cores": others_cores(start),
    }
