"""What networks are worth under each kind of imaging, on each family of particles, and on discs of known size.

    python benchmarks/networks/kinds.py [MODEL ...]        # writes benchmarks/results/kinds.json and kinds.md

Scenes are drawn from other seeds than any training uses. Kinds and families that a network's training left out (those of
benchmarks/networks/left-out-*.toml) are marked: that is what it does with what it has never seen. A folder of multislice
micrographs (benchmarks/multislice) joins with --multislice FOLDER. Models are shipped names or paths; the results call
them by their file's name.
"""

import argparse
import json
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from skimage.measure import label

from nanocensus.measure.descriptors import measure
from nanocensus.provenance import machine, versions
from nanocensus.segment.judging.metrics import Matches, match_particles
from nanocensus.segment.judging.otsu import otsu_mask
from nanocensus.segment.prediction.weights import load_model
from nanocensus.simulate.rendering import _expose, _record, place_particles, simulate_micrograph
from nanocensus.simulate.scenes.forms import FORMS
from nanocensus.simulate.scenes.imaging import KINDS
from nanocensus.simulate.scenes.scene import draw_scene
from nanocensus.simulate.spec import FamilyWeights, SimulationSpec
from nanocensus.store.formats.readers import read_image
from nanocensus.store.masks.masks import read_truth

SEED = 20_000_000
"""Added to the scene's number; trainings draw theirs from [seed, 1, number]."""
SCENES, SIDE = 24, 512
LARGE_PX = 400
DISC_EDGES_PX = (25, 35, 50, 70, 93)
DISC_CONDITIONS = {
    "grainy film, soft edges": {},  # as the demonstration's micrographs are
    "calm film, sharp edges": {"film_amplitude": 0.05, "edge_softness_px": 0.8},
}
PIXEL_NM = 0.086
EXPOSURES = 8
"""Of the same discs, whose maps are averaged: what then departs from a disc is the network's, the rest the noise's."""
DISCS_EXPLAINED = f"""Mean error with its standard error. The last column: circularity on the mean of the maps of
{EXPOSURES} exposures of the same discs, each with its own noise."""
RESULTS = Path(__file__).parents[1] / "results"


def scenes(kind=None, form=None, *, seed=SEED, count=SCENES):
    """Draw scenes of a kind or family: pixels and truth."""
    for number in range(count):
        rng = np.random.default_rng([seed, number, *map(ord, kind or form)])
        scene = draw_scene(rng, (SIDE, SIDE), forms=[form] if form else tuple(FORMS), kind=kind)
        owner = np.where(scene.coverage > 0.5, scene.owner, 0)
        yield scene.pixels, owner


def judge(cases, methods):
    """Give Dice of all pixels and F1 of particles above 400 px, by method.

    Particles that touch in the truth count as one, since no map of probabilities can tell them apart.
    """
    common, both = dict.fromkeys(methods, 0), dict.fromkeys(methods, 0)
    matches = dict.fromkeys(methods, Matches(0, 0, 0))
    for pixels, owner in cases:
        truth = owner > 0
        for name, segment in methods.items():
            found = segment(pixels)
            common[name] += 2 * int((truth & found).sum())
            both[name] += int(truth.sum() + found.sum())
            matches[name] += match_particles(_large(truth), _large(found))
    return {
        name: {"dice": common[name] / max(both[name], 1), "f1": matches[name].f1, "n": matches[name].true_positives
               + matches[name].false_negatives}
        for name in methods
    }  # fmt: skip


def _large(mask):
    labels = label(mask, connectivity=2)
    areas = np.bincount(labels.ravel())
    return np.where(areas[labels] > LARGE_PX, labels, 0)


def discs(model):
    """Measure discs on the network's own maps: mean error of edge length and circularity by size, with standard errors.

    And the error of circularity on the mean of its maps of several exposures of the same discs.
    """
    rows = []
    for condition, edge in product(DISC_CONDITIONS, DISC_EDGES_PX):
        lengths, circularities = [], []
        for number in range(4):
            spec = discs_of(edge, **DISC_CONDITIONS[condition])
            drawn = simulate_micrograph(spec, np.random.default_rng([SEED, edge, number]))
            for found, true in pairs(measure(model.probability(drawn.pixels), pixel_size_nm=PIXEL_NM).table, drawn):
                lengths.append(found["edge_length_nm"] / true["edge_length_nm"] - 1)
                circularities.append(found["circularity"] - true["circularity"])
        of_size = {"condition": condition, "edge_px": edge, "n": len(lengths)}
        means = {"edge_length": _mean(lengths), "circularity": _mean(circularities)}
        rows.append(of_size | means | {"circularity_of_mean_map": _of_mean_map(model, edge, condition)})
    return rows


def _of_mean_map(model, edge, condition):
    """Give the error of circularity on the mean map of several exposures, with its standard error."""
    spec = discs_of(edge, **DISC_CONDITIONS[condition])
    planted = place_particles(spec, np.random.default_rng([SEED, edge]))
    maps = []
    for exposure in range(EXPOSURES):
        rng = np.random.default_rng([SEED, edge, exposure])
        maps.append(model.probability(_record(_expose(planted, spec, rng), spec, rng)))
    table = measure(np.rint(np.mean(maps, axis=0)).astype(np.uint8), pixel_size_nm=PIXEL_NM).table.to_pandas()
    return _mean(list(table.loc[table["edge_length_nm"] > 0.7 * edge * PIXEL_NM, "circularity"] - 1))


def discs_of(edge, **condition):
    return SimulationSpec(
        shape=(1024, 1024),
        mean_particles=0.15 * 1024**2 / edge**2,
        mean_edge_length_nm=edge * PIXEL_NM,
        edge_length_log_sd=0.03,
        families=FamilyWeights(disc=1.0),
        gap_px=12.0,
        border_particles=False,
        **condition,
    )


def pairs(table, drawn):
    """Give each found particle beside the planted one whose centre it lies on."""
    found, true = table.to_pandas(), drawn.particles
    centres = true[["centre_y_px", "centre_x_px"]].to_numpy() * PIXEL_NM
    for _, row in found.iterrows():
        distance = np.hypot(centres[:, 0] - row["centroid_y_nm"], centres[:, 1] - row["centroid_x_nm"])
        nearest = true.iloc[int(distance.argmin())]
        if distance.min() < 0.2 * nearest["edge_length_nm"] and row["edge_length_nm"] > 0.7 * nearest["edge_length_nm"]:
            yield row, nearest


def _mean(values):
    return [float(np.mean(values)), float(np.std(values) / max(len(values), 2) ** 0.5)] if values else [np.nan, np.nan]


def multislice(folder):
    table = pd.read_csv(folder / "micrographs.csv")
    for row in table.itertuples():
        pixels = read_image(folder / row.file).pixels
        yield pixels, read_truth(folder / row.mask, pixels.shape)


def study(names, folder):
    models = {model.name: model for model in map(load_model, names)}
    methods = {
        **{name: lambda pixels, model=model: model.probability(pixels) >= 128 for name, model in models.items()},
        "Otsu": otsu_mask,
    }
    sets = {f"imaging: {kind}": scenes(kind=kind) for kind in KINDS}
    sets |= {f"particles: {form}": scenes(form=form) for form in FORMS}
    if folder is not None:
        sets["multislice"] = multislice(folder)
    judged = {}
    for name, cases in sets.items():
        judged[name] = judge(cases, methods)
        print(name, {method: round(found["dice"], 4) for method, found in judged[name].items()}, flush=True)
    return {
        "machine": machine(),
        "versions": versions(),
        "digests": {name: model.digest for name, model in models.items()},
        "left_out": {Path(name).stem: _left_out(name) for name in names},
        "sets": judged,
        "discs": {name: discs(model) for name, model in models.items()},
    }


def _left_out(name):
    """Give the sets of scenes of which a network has seen nothing: what its training left out."""
    card = Path(name).with_suffix(".json")
    training = json.loads(card.read_text(encoding="utf-8"))["training"] if card.exists() else {}
    return [f"{'imaging' if kind in KINDS else 'particles'}: {kind}" for kind in training.get("left_out", ())]


def page(result):
    methods = [*result["digests"], "Otsu"]
    lines = [
        "# Networks by kind of imaging and family of particles", "",
        f"Written by `benchmarks/networks/kinds.py`: {SCENES} scenes of {SIDE} x {SIDE} px each that no training has drawn.",
        f"Dice of all pixels together; F1 of particles above {LARGE_PX} px at IoU 0.5, those that touch counted as one.", "",
        "| set | " + " | ".join(f"{name}: Dice | F1" for name in methods) + " |", "|---" * (1 + 2 * len(methods)) + "|",
    ]  # fmt: skip
    for name, found in result["sets"].items():
        cells = [name]
        for method in methods:
            mark = "*" if name in result["left_out"].get(method, ()) else ""
            cells += [f"{found[method]['dice']:.3f}{mark}", f"{found[method]['f1']:.3f}{mark}"]
        lines.append("| " + " | ".join(cells) + " |")
    if any(result["left_out"].values()):
        lines += ["", "\\* left out of this network's training: it has never seen the like."]
    lines += ["", "## Discs, measured on the networks' own maps", "", DISCS_EXPLAINED, ""]
    lines += [
        "| network | imaging | edge length, px | n | edge length, % | circularity | of the mean map |",
        "|---" * 7 + "|",
    ]
    for name, rows in result["discs"].items():
        for row in rows:
            length, length_se = row["edge_length"]
            shapes = " | ".join(
                f"{mean:+.4f} ± {se:.4f}" for mean, se in (row["circularity"], row["circularity_of_mean_map"])
            )
            lines.append(f"| {name} | {row['condition']} | {row['edge_px']} | {row['n']} | {100 * length:+.2f} ± {100 * length_se:.2f} | "
                         f"{shapes} |")  # fmt: skip
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["default"])
    parser.add_argument("--multislice", type=Path)
    parser.add_argument("--name", default="kinds")
    arguments = parser.parse_args()
    result = study(arguments.models, arguments.multislice)
    (RESULTS / f"{arguments.name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (RESULTS / f"{arguments.name}.md").write_text(page(result), encoding="utf-8")


if __name__ == "__main__":
    main()
