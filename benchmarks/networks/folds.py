"""Two generations of fold networks on the demonstration's fields that none of them saw, paired by field.

    python benchmarks/networks/folds.py BEFORE [AFTER]

BEFORE and AFTER are folders as `nanocensus train jobs/train-demo.toml` or benchmarks/networks/paper-recipe.toml writes
them; without AFTER it is the shipped networks. Prints Dice by field, and the mean of the differences with its 95 % interval by bootstrap over fields.
"""

import csv
import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np

import nanocensus
from nanocensus.segment.weights import load_model
from nanocensus.store.masks import read_truth
from nanocensus.store.readers import read_image

DEMO = Path(__file__).parents[2] / "jobs" / "demo"
SHIPPED = Path(nanocensus.__file__).parent / "segment" / "models"
FOLDS, RESAMPLES = 3, 10_000


def dice_by_field(folder, field_of):
    """Give Dice over the pixels of each field, by the network that did not see it."""
    common, both = Counter(), Counter()
    for fold in range(FOLDS):
        (path,) = folder.glob(f"*-fold{fold}.safetensors")
        model, card = load_model(path), json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        for name in card["held_out"]["micrographs"]:
            pixels = read_image(DEMO / "images" / name).pixels
            truth, found = read_truth(DEMO / "masks" / name, pixels.shape) > 0, model.probability(pixels) >= 128
            common[field_of[name]] += 2 * int((truth & found).sum())
            both[field_of[name]] += int(truth.sum() + found.sum())
    return np.array([common[field] / both[field] for field in sorted(both)])


def main(before, after=SHIPPED):
    with (DEMO / "fields.csv").open(encoding="utf-8") as stream:
        field_of = {row["image"]: int(row["field"]) for row in csv.DictReader(stream)}
    old, new = (dice_by_field(Path(folder), field_of) for folder in (before, after))
    for field, pair in enumerate(zip(old, new, strict=True)):
        print(f"field {field:2d}: {pair[0]:.4f} -> {pair[1]:.4f}")
    drawn = np.random.default_rng(0).integers(0, len(old), (RESAMPLES, len(old)))
    low, high = np.percentile((new - old)[drawn].mean(axis=1), [2.5, 97.5])
    print(f"mean {old.mean():.4f} -> {new.mean():.4f}, difference {(new - old).mean():+.4f} [{low:+.4f}, {high:+.4f}]")


if __name__ == "__main__":
    main(*sys.argv[1:])
