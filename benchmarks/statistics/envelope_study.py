"""Constant shapes through drawing, measuring and the search for onsets: raw trends, false onsets, and what excess leaves.

    python benchmarks/statistics/envelope_study.py "runs disc"     constant discs (square, truncated_square), alone and crowded
    python benchmarks/statistics/envelope_study.py fields          whole crowded fields: true pairs beside the estimate
    python benchmarks/statistics/envelope_study.py micrographs     simulated micrographs through a network
    python benchmarks/statistics/envelope_report.py                writes results/envelope.md

Every part keeps its numbers in results/envelope.json, from which the report is written. Seeds are those below, fixed before anything was looked at.
"""

import argparse
import dataclasses
import json
import math
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from nanocensus.measure.acceptance import FAILED, apply_criteria
from nanocensus.measure.criteria import Criteria
from nanocensus.measure.descriptors import measure
from nanocensus.pipeline.baselines.measuring import Measuring, measuring_of_maps, regions_of
from nanocensus.pipeline.baselines.null_envelope import OF, SHAPES, null_envelope
from nanocensus.pipeline.baselines.pairs import pair_contamination
from nanocensus.pipeline.job.spec import model_path
from nanocensus.segment.prediction.weights import load_model
from nanocensus.simulate.copies import at_random, placed_groups, render_apart
from nanocensus.simulate.maps import render_map
from nanocensus.simulate.placement import place_particles, push_until_free
from nanocensus.simulate.rendering import make_specimen
from nanocensus.simulate.scenes.exposure import record, transmit
from nanocensus.simulate.scenes.imaging import draw_imaging, visible
from nanocensus.simulate.spec import SimulationSpec
from nanocensus.statistics.onsets.existence import bend_p_value
from nanocensus.statistics.onsets.fit import profile
from nanocensus.statistics.onsets.intervals import cluster_weights, locate
from nanocensus.statistics.onsets.onset import LEVEL_OF_EXISTENCE, is_located, tried_bends

RESULTS = Path(__file__).parents[1] / "results"
ESTIMATORS = ("outline", "paper", "crofton")
PX, SIDE = 0.086, 4096
SHARP_NM = 2.5631 * PX * math.sqrt(1 + 1 / 12)
"""Edge width of a map that is blurred by 1 px."""
WIDTHS = (1.02, 1.1, 1.18)
"""Times that width: micrographs are not equally sharp."""
MEASURING = Measuring(pixel_size_nm=PX, edge_width_nm=1.1 * SHARP_NM, noise=0.05)
MEDIAN_NM, LOG_SD = 5.2, 0.25
BANK, CLUSTERS = 4_500, 400
"""Particles of each shape and sharpness, and clusters of each kind, that the runs draw from."""
RUNS, MICROGRAPHS, PARTICLES = 40, 10, (350, 400)
STAYS, OVERLAPPING, TOUCHING = 0.05, 0.03, 0.03
"""Clusters as shares of the particles; how often particles that meet stay."""
BETWEEN_NM, RANGE_NM, REPLICATES, FEWEST = (2.2, 11.5), (2.6, 7.6), 299, 20
FIELDS, NETWORK_MICROGRAPHS, NETWORK_SIDE = 4, 3, 2048
CRITERIA = Criteria()


def sizes(n, rng):
    """Draw edge lengths, nm."""
    return MEDIAN_NM * np.exp(LOG_SD * rng.standard_normal(n))


def measured(groups, width, noise, rng):
    """Measure groups of particles in all estimators, from the same maps: a table for each."""
    order = np.argsort([group[0].outline.edge_length for group in groups])
    parts = {estimator: [] for estimator in ESTIMATORS}
    for chosen in np.array_split(order, max(1, len(order) // 36)):
        blur = dataclasses.replace(MEASURING, edge_width_nm=width * SHARP_NM).blur_px_at(5.0)
        sheet = render_apart([groups[k] for k in chosen], blur_px=blur, noise=noise, rng=rng)
        for estimator, tables in parts.items():
            tables.append(regions_of(sheet, chosen.tolist(), dataclasses.replace(MEASURING, estimator=estimator)))
    return {estimator: judged(pd.concat(tables, ignore_index=True)) for estimator, tables in parts.items()}


def judged(table):
    kept = ["edge_length_nm", "eccentricity", *OF, "area_nm2", "pixel_count", "touches_border", "members", FAILED]
    return apply_criteria(table.assign(sample="A"), CRITERIA)[kept].assign(sample="A")


def banks(shape, seed):
    """Give singles of each sharpness, and clusters that overlap and touch, in each estimator."""
    rng = np.random.default_rng([20261, seed])
    outline = SHAPES[shape]

    def single(size):
        return at_random(shape, outline.scaled(size / PX), rng)

    alone = [measured([[single(size)] for size in sizes(BANK, rng)], width, MEASURING.noise, rng) for width in WIDTHS]
    overlapping = []
    while len(overlapping) < CLUSTERS:
        overlapping += placed_groups(sizes(500, rng) / PX, outline, 700 / SIDE**2, STAYS, 2.0, rng)
    touching = []
    for _ in range(CLUSTERS):
        first, second = single(sizes(1, rng)[0]), single(sizes(1, rng)[0])
        bearing, turn = rng.uniform(0, 2 * math.pi, 2)
        touching.append([first, push_until_free(shape, second.outline, first, bearing, turn)])
    merged = [measured(groups, WIDTHS[1], MEASURING.noise, rng) for groups in (overlapping, touching)]
    return {estimator: ([one[estimator] for one in alone], [one[estimator][one[estimator]["members"] > 1] for one in merged])
            for estimator in ESTIMATORS}  # fmt: skip


def campaign(alone, merged, crowded, rng):
    """Draw the particles of some micrographs, each of one sharpness; crowded ones have clusters among them."""
    counts = rng.integers(*PARTICLES, MICROGRAPHS)
    sharp = rng.permutation(np.arange(MICROGRAPHS) % len(WIDTHS))
    parts = []
    for width, bank in enumerate(alone):
        own = np.flatnonzero(sharp == width)
        rows = bank.take(rng.choice(len(bank), counts[own].sum(), replace=False))
        parts.append(rows.assign(micrograph=np.repeat(own, counts[own]).astype(str)))
    if crowded:
        for share, bank in zip((OVERLAPPING, TOUCHING), merged, strict=True):
            n = rng.poisson(share * counts)
            rows = bank.take(rng.choice(len(bank), n.sum()))
            parts.append(rows.assign(micrograph=np.repeat(np.arange(MICROGRAPHS), n).astype(str)))
    return pd.concat(parts, ignore_index=True)


def binned(rows, descriptor, baseline):
    """Sum a descriptor, less what is known of it, in bins of 0.1 nm."""
    size = rows["edge_length_nm"].to_numpy()
    value = rows[descriptor].to_numpy()
    if baseline is not None:
        value = value - np.interp(size, baseline["size_nm"], baseline["value"])
    bins = round((RANGE_NM[1] - RANGE_NM[0]) / 0.1)
    place = np.floor((size - RANGE_NM[0]) / 0.1 + 1e-9).astype(int)
    inside = (place >= 0) & (place < bins)
    cell = rows["micrograph"].astype(int).to_numpy()[inside] * bins + place[inside]
    n, x, y, yy = (np.bincount(cell, w, MICROGRAPHS * bins).reshape(MICROGRAPHS, bins).astype(float)
                   for w in (None, size[inside], value[inside], value[inside] ** 2))  # fmt: skip
    used = n.sum(0) >= FEWEST
    total = n.sum(0)[used]
    mean = y.sum(0)[used] / total
    return profile("A", x.sum(0)[used] / total, n[:, used], y[:, used], yy.sum(0)[used] / total - mean**2)


def onset(rows, descriptor, baseline, seed):
    """Say whether a bend is shown, and where: as `nc.onsets` does."""
    one, bends = binned(rows, descriptor, baseline), tried_bends(RANGE_NM)
    p = bend_p_value([one], bends, replicates=REPLICATES, seed=seed, purpose=descriptor)
    if p >= LEVEL_OF_EXISTENCE:
        return False, False, None
    place, _, _ = locate([one], bends, [cluster_weights(MICROGRAPHS, REPLICATES, seed, "A")], 0.95)
    return True, is_located(place, bends), place.estimate


def change(rows, descriptor, baseline=None):
    """Give the rise or fall from 3 to 7.5 nm, by means over 0.5 nm."""
    size = rows["edge_length_nm"].to_numpy()
    value = rows[descriptor].to_numpy()
    if baseline is not None:
        value = value - np.interp(size, baseline["size_nm"], baseline["value"])
    low, high = ((size >= edge) & (size < edge + 0.5) for edge in (3.0, 7.0))
    return value[high].mean() - value[low].mean()


def study_runs(shape):
    """Draw campaigns of one constant shape, alone and crowded, and look for onsets."""
    found, number = [], list(SHAPES).index(shape)
    area = pd.DataFrame({"sample": "A", "height_px": SIDE, "width_px": SIDE, "pixel_size_nm": PX, "micrograph": ["a"]})
    bank = banks(shape, number)
    for estimator in ESTIMATORS:
        alone, merged = bank[estimator]
        own = null_envelope(dataclasses.replace(MEASURING, estimator=estimator), shapes=[shape], between_nm=BETWEEN_NM,
                            copies=150, seed=777)  # fmt: skip
        for crowded in (False, True):
            # What pairs do is estimated from another campaign: drawing the clusters anew in every run takes too long.
            other = campaign(alone, merged, crowded, np.random.default_rng([20262, number, crowded]))
            fields = area.loc[area.index.repeat(MICROGRAPHS)]
            pairs = (
                pair_contamination(other, fields, own, shape=shape, criteria=CRITERIA, clusters=300)
                if crowded
                else None
            )
            for descriptor in OF[:1] if estimator == "crofton" else OF:  # its solidity is that of "paper"
                found.append(shapes_row(shape, estimator, crowded, descriptor, bank[estimator], own, pairs, number))
                print(found[-1], flush=True)
    return found


def shapes_row(shape, estimator, crowded, descriptor, bank, own, pairs, number):
    curve = own.baseline(descriptor, shape)
    curves = {"raw": None, "excess": curve}
    if pairs is not None:
        curves["excess with pairs"] = pairs.baseline(descriptor, "A")
    sums = {name: {"bend": 0, "onset": 0, "at": []} for name in curves}
    changes = {name: [] for name in curves}
    share = []
    for run in range(RUNS):
        rows = campaign(*bank, crowded, np.random.default_rng([20263, number, run]))
        accepted = rows[rows[FAILED] == 0]
        large = accepted["edge_length_nm"].between(7.0, 7.5)
        share.append(float((accepted["members"][large] > 1).mean()))
        for name, baseline in curves.items():
            bend, told, place = onset(accepted, descriptor, baseline, run)
            sums[name]["bend"] += int(bend)
            sums[name]["onset"] += int(told)
            sums[name]["at"] += [place] if told else []
            changes[name].append(change(accepted, descriptor, baseline))
    return {
        "shape": shape, "estimator": estimator, "crowded": crowded, "descriptor": descriptor, "runs": RUNS,
        "pairs_at_7": round(float(np.mean(share)), 4),
        **{name: {"change": float(np.mean(changes[name])), "change_sd": float(np.std(changes[name])),
                  "bend": row["bend"], "onset": row["onset"],
                  "at": float(np.median(row["at"])) if row["at"] else None} for name, row in sums.items()},
    }  # fmt: skip


def study_fields():
    """Draw whole crowded fields of discs, 350 to 1000 on each, and compare true pairs with the estimate."""
    rng = np.random.default_rng([20264])
    tables = {estimator: [] for estimator in ESTIMATORS}
    for field in range(FIELDS):
        placed = whole_field(int(rng.integers(350, 1000)), rng)
        probability = render_map(
            placed, (SIDE, SIDE), blur_px=MEASURING.blur_px_at(5.0), noise=MEASURING.noise, rng=rng
        )
        for estimator, parts in tables.items():
            found = measure(probability, pixel_size_nm=PX, estimator=estimator)
            centres = [[min(max(round(c), 0), SIDE - 1) for c in one.centre] for one in placed]
            members = pd.Series([found.labels[y, x] for y, x in centres]).value_counts()
            table = found.table.to_pandas()
            parts.append(
                judged(table.assign(members=table["label"].map(members).fillna(0))).assign(micrograph=str(field))
            )
    area = pd.DataFrame({"sample": "A", "height_px": SIDE, "width_px": SIDE, "pixel_size_nm": PX}, index=range(FIELDS))
    return [fields_row(estimator, pd.concat(parts, ignore_index=True), area) for estimator, parts in tables.items()]


def whole_field(n, rng):
    """Place discs: one that meets another stays with a chance of 0.05, else it looks for another place; and some touch."""
    placed, centres, radii = [], np.empty((0, 2)), np.empty(0)
    for size in sizes(n, rng) / PX:
        one = at_random("disc", SHAPES["disc"].scaled(size), rng)
        if placed and rng.random() < TOUCHING:
            one = push_until_free(
                "disc", one.outline, placed[rng.integers(len(placed))], rng.uniform(0, 2 * math.pi), one.angle
            )
            centre = np.array(one.centre)
        else:
            while True:
                centre = rng.uniform(0, SIDE, 2)
                free = (np.hypot(*(centres - centre).T) > radii + one.outline.reach + 4).all()
                if free or rng.random() < STAYS:
                    break
            one = dataclasses.replace(one, centre=(centre[0], centre[1]))
        placed.append(one)
        centres, radii = np.vstack([centres, centre]), np.append(radii, one.outline.reach)
    return placed


def fields_row(estimator, rows, area):
    own = null_envelope(dataclasses.replace(MEASURING, estimator=estimator), shapes=["disc"], between_nm=BETWEEN_NM,
                        copies=60, seed=777)  # fmt: skip
    pairs = pair_contamination(rows, area, own, criteria=CRITERIA, clusters=300)
    accepted = rows[rows[FAILED] == 0]
    bins = []
    for low, high in ((4.0, 5.0), (5.0, 6.0), (6.0, 7.0), (7.0, 8.0), (8.0, 9.0)):
        here = accepted[accepted["edge_length_nm"].between(low, high, inclusive="left")]
        single = here[here["members"] < 2]
        told = {"low_nm": low, "high_nm": high, "n": len(here), "pairs": int((here["members"] > 1).sum())}
        for descriptor in OF:
            table = pairs.table[(pairs.table["descriptor"] == descriptor) & (pairs.table["size_left"] > low - 0.01)
                                & (pairs.table["size_right"] < high + 0.01)]  # fmt: skip
            told |= {"expected": float((table["share"] * table["n"]).sum()),
                     "error": float((table["share_error"] * table["n"]).sum()),
                     f"shift of {descriptor}": here[descriptor].mean() - single[descriptor].mean(),
                     f"expected shift of {descriptor}": float(np.average(table["shift"], weights=table["n"])),
                     f"singles above the envelope, {descriptor}": float(
                         (single[descriptor] - own.at(single["edge_length_nm"].to_numpy(), descriptor)).mean())}  # fmt: skip
        bins.append(told)
    return {"estimator": estimator, "fields": FIELDS, "detected": len(rows), "bins": bins,
            "rates": pairs.rates.to_dict("records")}  # fmt: skip


def study_micrographs():
    """Simulate micrographs of constant shapes, segment them by the shipped network, and compare with the shortcut."""
    return [row for number, shape in enumerate(("disc", "square")) for row in network_rows(shape, number)]


def network_rows(shape, number):
    rng = np.random.default_rng([20265, number])
    spec = SimulationSpec(shape=(NETWORK_SIDE, NETWORK_SIDE), mean_particles=175.0, mean_edge_length_nm=5.2,
                          edge_length_log_sd=0.28, gap_px=24.0, imaging="plain", border_particles=False)  # fmt: skip
    radius = spec.mean_edge_length_px / math.sqrt(math.pi)
    imaging = visible(draw_imaging("plain", (), rng), radius)
    maps = []
    for _ in range(NETWORK_MICROGRAPHS):
        planted = [dataclasses.replace(one, outline=SHAPES[shape].scaled(one.outline.edge_length))
                   for one in place_particles(spec, rng)]  # fmt: skip
        specimen, pad = make_specimen(planted, spec, rng)
        seen = transmit(specimen, imaging, radius, rng)[pad : pad + NETWORK_SIDE, pad : pad + NETWORK_SIDE]
        pixels = np.clip(np.rint(2000 + 6400 * record(seen, imaging, rng)), 0, 65535).astype(np.uint16)
        maps.append(load_model(model_path("default", None)).probability(pixels, PX))
    measuring = measuring_of_maps([("A", one) for one in maps], MEASURING, criteria=CRITERIA)
    rows = []
    for estimator in ESTIMATORS:
        tables = [
            judged(measure(one, pixel_size_nm=PX, estimator=estimator).table.to_pandas().assign(members=1))
            for one in maps
        ]
        accepted = pd.concat(tables, ignore_index=True)
        accepted = accepted[accepted[FAILED] == 0]
        own = null_envelope(
            dataclasses.replace(measuring, estimator=estimator), shapes=[shape], between_nm=BETWEEN_NM, copies=60
        )
        for descriptor in OF:
            told = {"shape": shape, "estimator": estimator, "descriptor": descriptor,
                    "edge_width_at_5_nm": measuring.edge_width_at(5.0), "noise": measuring.noise, "bins": []}  # fmt: skip
            for low, high in ((3.0, 4.0), (4.0, 5.0), (5.0, 6.0), (6.0, 8.0)):
                here = accepted[accepted["edge_length_nm"].between(low, high, inclusive="left")]
                told["bins"].append({"low_nm": low, "high_nm": high, "n": len(here), "mean": here[descriptor].mean(),
                                     "error": here[descriptor].sem(),
                                     "envelope": own.at(here["edge_length_nm"].to_numpy(), descriptor, shape).mean()})  # fmt: skip
            rows.append(told)
    return rows


def keep(part, found):
    """Put the numbers of a part into the file of all."""
    path = RESULTS / "envelope.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(kept | {part: found}, indent=1, default=float) + "\n")


PARTS = {f"runs {shape}": partial(study_runs, shape) for shape in SHAPES} | {
    "fields": study_fields,
    "micrographs": study_micrographs,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=PARTS)
    part = parser.parse_args().part
    keep(part, PARTS[part]())


if __name__ == "__main__":
    main()
