"""Two generations of fold networks on the demonstration's fields that none of them saw, paired by field.

    python benchmarks/networks/folds.py BEFORE [AFTER]

BEFORE and AFTER are folders as `nanocensus train jobs/train-demo.toml` or benchmarks/networks/paper-recipe.toml writes
them; without AFTER it is the shipped networks. Prints Dice by field, and the mean of the differences with its 95 % interval
by bootstrap over fields; then what the networks of the first fold are worth on scenes of every kind and family.
"""

import csv
import json
import sys
from collections import Counter
from pathlib import Path

import kinds
import numpy as np

import nanocensus
from nanocensus.segment.prediction.weights import load_model
from nanocensus.store.formats.readers import read_image
from nanocensus.store.masks.masks import read_truth

DEMO = Path(__file__).parents[2] / "jobs" / "demo"
SHIPPED = Path(nanocensus.__file__).parent / "segment" / "models"
FOLDS, RESAMPLES = 3, 10_000
SEED, SCENES = 43_000_000, 5
"""Of the scenes, and how many of each kind and family."""


def networks_of(folder):
    """Give each fold's network with the micrographs that it did not see."""
    for fold in range(FOLDS):
        (path,) = folder.glob(f"*-fold{fold}.safetensors")
        card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        yield load_model(path), card["held_out"]["micrographs"]


def read_fields():
    """Give the field of each micrograph."""
    with (DEMO / "fields.csv").open(encoding="utf-8") as stream:
        return {row["image"]: int(row["field"]) for row in csv.DictReader(stream)}


def read_drawn(name):
    """Give the pixels of a micrograph and its drawn particles."""
    pixels = read_image(DEMO / "images" / name).pixels
    return pixels, read_truth(DEMO / "masks" / name, pixels.shape)


def dice_by_field(networks, field_of):
    """Give Dice over the pixels of each field, by the network that did not see it."""
    common, both = Counter(), Counter()
    for model, names in networks:
        for name in names:
            pixels, labels = read_drawn(name)
            truth, found = labels > 0, model.probability(pixels) >= 128
            common[field_of[name]] += 2 * int((truth & found).sum())
            both[field_of[name]] += int(truth.sum() + found.sum())
    return np.array([common[field] / both[field] for field in sorted(both)])


def mean_with_interval(values):
    """Give the mean over fields and its 95 % interval by bootstrap."""
    drawn = np.random.default_rng(0).integers(0, len(values), (RESAMPLES, len(values)))
    return float(values.mean()), *np.percentile(values[drawn].mean(axis=1), [2.5, 97.5])


def dice_on_scenes(model):
    """Give Dice over the pixels of each kind's and each family's scenes."""
    for which in [*({"kind": kind} for kind in kinds.KINDS), *({"form": form} for form in kinds.FORMS)]:
        cases = [(owner > 0, model.probability(pixels) >= 128)
                 for pixels, owner in kinds.scenes(**which, seed=SEED, count=SCENES)]  # fmt: skip
        yield (
            2
            * sum(int((truth & found).sum()) for truth, found in cases)
            / sum(int(truth.sum() + found.sum()) for truth, found in cases)
        )


def main(before, after=SHIPPED):
    field_of = read_fields()
    old, new = (dice_by_field(networks_of(Path(folder)), field_of) for folder in (before, after))
    for field, pair in enumerate(zip(old, new, strict=True)):
        print(f"field {field:2d}: {pair[0]:.4f} -> {pair[1]:.4f}")
    mean, low, high = mean_with_interval(new - old)
    print(f"mean {old.mean():.4f} -> {new.mean():.4f}, difference {mean:+.4f} [{low:+.4f}, {high:+.4f}]")
    old, new = (list(dice_on_scenes(next(networks_of(Path(folder)))[0])) for folder in (before, after))
    print(
        f"scenes: mean {np.mean(old):.3f} -> {np.mean(new):.3f}, lowest {min(old):.3f} -> {min(new):.3f} of {len(old)} sets"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
