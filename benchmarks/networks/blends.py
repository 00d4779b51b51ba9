"""Networks between the one to go on from and those that were fine-tuned from it: is any of them better than both ends?

    python benchmarks/networks/blends.py [--multislice FOLDER]        # writes benchmarks/results/blends.md

The method is that of Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022: the weights
(1 - a) simulated + a default, with BatchNorm folded, as they are shipped and as a training starts from them. Each fold is
judged on the fields that it did not see, and the network trained on everything on scenes that no training and no other
study drew. What is chosen is the smallest a whose Dice on the fields is within 0.001 of that of a = 1; the scenes have no
say in it.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import folds
import kinds
import numpy as np
import pandas as pd

from nanocensus.measure.descriptors import measure
from nanocensus.pipeline.evaluation.scores import judge
from nanocensus.pipeline.evaluation.truth_cases import Case
from nanocensus.pipeline.job.sections import MeasureSection
from nanocensus.segment.prediction.weights import load_model
from nanocensus.simulate.rendering import simulate_micrograph
from nanocensus.simulate.scenes.forms import FORMS
from nanocensus.simulate.scenes.imaging import KINDS

SHARES = (0.0, 0.3, 0.5, 0.7, 0.85, 1.0)
TOLERATED = 0.001
SEED, SCENES = 30_000_000, 12
SIZES_PX, SIZES = (0, 50, 65, np.inf), ("below 50 px", "50 to 65 px", "above 65 px")
DISC_EDGES_PX, DISC_MICROGRAPHS = (25, 50), 4
PAGE = Path(__file__).parents[1] / "results" / "blends.md"


def blend(start, tuned, share):
    """Give the network that lies this far from one to the other, in half precision as networks are kept."""
    between = {
        name: ((1 - share) * start.parameters[name] + share * values).astype(np.float16).astype(np.float32)
        for name, values in tuned.parameters.items()
    }
    return replace(tuned, name=f"{share:g}", digest="", parameters=between)


def particles_of_fields(networks, field_of):
    """Give the particles drawn on the fields, with the errors of what was found, by the network that did not see them."""
    found = []
    for model, names in networks:
        for name in names:
            pixels, labels = folds.read_drawn(name)
            case = Case(name, "", "", model.name, None, False, pixels, model.probability(pixels), labels, None)
            found.append(judge(case, MeasureSection())[0].particles.assign(field=field_of[name]))
    return pd.concat(found, ignore_index=True).query("compared")


def errors_by_size(particles):
    """Give mean and interval, over fields, of the boundary's error, pixels, and of the edge length's by size, percent."""
    thirds = pd.cut(particles["true_edge_length"], SIZES_PX, labels=SIZES)
    lengths = 100 * particles.groupby([thirds, "field"], observed=True)["edge_length_error"].mean()
    means = {"boundary, px": particles.groupby("field")["boundary_error"].mean()}
    means |= {f"edge length, %, {size}": lengths[size] for size in SIZES}
    return {name: _interval(folds.mean_with_interval(values.to_numpy()), "+.2f") for name, values in means.items()}


def disc_errors(model):
    """Give the mean error of the edge length of discs on a grainy film, with its standard error, by size."""
    found = {}
    for edge in DISC_EDGES_PX:
        errors = []
        for number in range(DISC_MICROGRAPHS):
            drawn = simulate_micrograph(kinds.discs_of(edge), np.random.default_rng([SEED, edge, number]))
            table = measure(model.probability(drawn.pixels), pixel_size_nm=kinds.PIXEL_NM).table
            errors += [
                100 * (one["edge_length_nm"] / true["edge_length_nm"] - 1) for one, true in kinds.pairs(table, drawn)
            ]
        found[f"discs, {edge} px, %"] = (np.mean(errors), np.std(errors) / len(errors) ** 0.5)
    return found


def on_fields(start, tuned):
    """Judge the folds' blends: the rows of the first table, and the share that is chosen."""
    field_of = folds.read_fields()
    dices, rows = {}, []
    for share in SHARES:
        networks = [(blend(start, model, share), names) for model, names in tuned]
        dices[share] = folds.dice_by_field(networks, field_of)
        row = {"a": f"{share:g}", "Dice": f"{dices[share].mean():.4f}", "lowest": f"{dices[share].min():.4f}"}
        rows.append(row | errors_by_size(particles_of_fields(networks, field_of)))
        print(rows[-1], flush=True)
    for row, share in zip(rows, SHARES, strict=True):
        row["less than a = 1"] = _interval(folds.mean_with_interval(dices[1.0] - dices[share]), ".4f")
    return rows, min(share for share in SHARES if dices[1.0].mean() - dices[share].mean() <= TOLERATED)


def on_scenes(start, tuned, folder):
    """Judge the blends of the network trained on everything: Dice by set of scenes, and the discs."""
    models = {share: blend(start, tuned, share) for share in SHARES}
    methods = {share: lambda pixels, model=model: model.probability(pixels) >= 128 for share, model in models.items()}
    sets = {f"imaging: {kind}": {"kind": kind} for kind in KINDS}
    sets |= {f"particles: {form}": {"form": form} for form in FORMS}
    rows = {name: kinds.judge(kinds.scenes(**which, seed=SEED, count=SCENES), methods) for name, which in sets.items()}
    mean = {share: {"dice": np.mean([row[share]["dice"] for row in rows.values()])} for share in SHARES}
    rows[f"mean of these {len(sets)}"] = mean
    if folder is not None:
        rows["multislice"] = kinds.judge(kinds.multislice(folder), methods)
    table = [
        {"a": name} | {f"{share:g}": f"{row[share]['dice']:.3f}" for share in SHARES} for name, row in rows.items()
    ]
    errors = {share: disc_errors(model) for share, model in models.items()}
    table += [
        {"a": name} | {f"{share:g}": "{:+.2f} ± {:.2f}".format(*errors[share][name]) for share in SHARES}
        for name in errors[SHARES[0]]
    ]
    return table


def _interval(values, form):
    mean, low, high = (format(value, form) for value in values)
    return f"{mean} [{low}, {high}]"


def _table(rows):
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--multislice", type=Path)
    folder = parser.parse_args().multislice
    start = load_model("simulated")
    fields, chosen = on_fields(start, list(folds.networks_of(folds.SHIPPED)))
    scenes = on_scenes(start, load_model("default"), folder)
    PAGE.write_text(f"""# Networks between `simulated` and `default`

Written by `benchmarks/networks/blends.py`: the weights (1 - a) `simulated` + a `default` (Wortsman et al., CVPR 2022), the
folds' likewise. a = 0 is `simulated`, a = 1 what ships.

## On fields that they did not see

Each fold on its own; particles whole on both sides; means over the fields with 95 % intervals by bootstrap.

{_table(fields)}

The smallest a that costs no more than {TOLERATED} on these fields: {chosen:g}.

## On scenes

Dice over {SCENES} scenes of 512 x 512 px in each set, of seeds that nothing else uses; errors of the edge length of discs on a
grainy film with soft edges, with their standard errors.

{_table(scenes)}
""", encoding="utf-8")  # fmt: skip


if __name__ == "__main__":
    main()
