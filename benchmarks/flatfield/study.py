"""How far the found background is from planted light, and what flattening does to the network.

    python benchmarks/flatfield/study.py [FOLDER] > benchmarks/results/flatfield.md

Simulated micrographs of 768 x 768 px, particles of 49 px, six a row. Without unevenness in the simulator, their expected
electrons are multiplied here by a light that is known, counted (Poisson) and recorded with the camera's dark counts.
FOLDER holds images/ and masks/: the micrographs that the shipped fold networks were trained on, of which
each judges those that it has not seen.
"""

import importlib.resources
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from nanocensus.segment.judging.metrics import dice
from nanocensus.segment.prediction.model import Model
from nanocensus.segment.prediction.weights import load_model
from nanocensus.segment.preparation.background import fit_background, surface_factors
from nanocensus.segment.preparation.flatfield import flatten
from nanocensus.segment.preparation.hot_pixels import replace_hot_pixels
from nanocensus.simulate.rendering import simulate_micrograph
from nanocensus.simulate.spec import SimulationSpec

SIDE, REPEATS, GAIN, DARK_COUNTS, MANY_ELECTRONS = 768, 6, 32.0, 100.0, 2000.0
Scene = tuple[np.ndarray, np.ndarray]
WAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "raw": lambda image: image,
    "paper": lambda image: flatten(image, loss="paper"),
    "one-sided": lambda image: flatten(image),
}


def scene(coverage: float, contrast: float, rng: np.random.Generator) -> Scene:
    """Give transmission and mask; above 35 % from two layers of particles, which overlap."""
    if coverage > 0.35:
        half = 1 - np.sqrt(1 - coverage)
        (first, mask), (second, other) = (scene(half, contrast, rng) for _ in range(2))
        return first * second, mask | other
    edge_px = 4.2 / 0.086
    spec = SimulationSpec(
        shape=(SIDE, SIDE),
        mean_particles=coverage * SIDE**2 / (edge_px**2 * np.exp(0.2**2)),
        contrast=contrast,
        unevenness=0.0,
        electrons_per_px=MANY_ELECTRONS,
        counts_per_electron=10.0,
    )
    found = simulate_micrograph(spec, rng)
    return np.maximum(found.pixels - DARK_COUNTS, 0) / (MANY_ELECTRONS * 10), found.labels > 0


def planted_light(kind: str, unevenness: float, rng: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    if kind == "gaussian":  # no polynomial
        centre = rng.uniform(-0.5, 0.5, 2)
        light = np.exp(-unevenness * 2 * ((y - centre[0]) ** 2 + (x - centre[1]) ** 2))
    else:
        slopes = unevenness * rng.standard_normal(4)
        light = np.maximum(1 + slopes @ np.stack([y, y**2 - 1 / 3, x, x**2 - 1 / 3]).reshape(4, -1), 0.3).reshape(
            y.shape
        )
    return light / light.mean()


def recorded(transmission: np.ndarray, light: np.ndarray, dose: float, rng: np.random.Generator) -> np.ndarray:
    return np.minimum(rng.poisson(transmission * light * dose) * GAIN + DARK_COUNTS, 65535).astype(np.uint16)


def unlike_light(image: np.ndarray, light: np.ndarray, loss: str, mean_counts: float) -> float:
    """Give the RMS deviation of the background, over the light, from a constant, in percent."""
    background = fit_background(np, replace_hot_pixels(np, image), particles="dark", loss=loss)
    rows, columns = surface_factors(np, background.coefficients, image.shape)
    ratio = rows @ columns / (mean_counts * light + DARK_COUNTS)
    return 100 * float(np.std(ratio / ratio.mean()))


def simulated() -> Iterator[str]:
    yield "| covered | light | contrast | e/px | light's SD % | paper % | one-sided % | Dice raw | Dice paper | Dice one-sided |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    model = load_model("default")
    cases = [(c, "quadratic", u, 0.37, 200.0) for c in (0.02, 0.1, 0.3, 0.4, 0.6) for u in (0.0, 0.1, 0.2)]
    cases += [(0.1, "gaussian", 0.12, 0.37, 200.0), (0.4, "gaussian", 0.12, 0.37, 200.0)]
    cases += [
        (0.3, "quadratic", 0.1, 0.15, 200.0),
        (0.3, "quadratic", 0.1, 0.37, 10.0),
        (0.6, "quadratic", 0.1, 0.6, 200.0),
    ]
    for number, (coverage, kind, unevenness, contrast, dose) in enumerate(cases):
        rows = []
        for repeat in range(REPEATS):
            rng = np.random.default_rng([number, repeat])
            transmission, mask = scene(coverage, contrast, rng)
            light = planted_light(kind, unevenness, rng)
            image = recorded(transmission, light, dose, rng)
            errors = [unlike_light(image, light, loss, GAIN * dose) for loss in ("paper", "one-sided")]
            found = [dice(model.probability(way(image), flat_field=False) >= 128, mask) for way in WAYS.values()]
            rows.append([mask.mean(), 100 * light.std(), *errors, *found])
        covered, *means = np.mean(rows, axis=0)
        spread, paper, one_sided, *dices = means
        yield (f"| {covered:.2f} | {kind} | {contrast} | {dose:g} | {spread:.1f} | {paper:.2f} | {one_sided:.2f} | "
               + " | ".join(f"{value:.4f}" for value in dices) + " |")  # fmt: skip


def fold_networks() -> Iterator[tuple[Model, list[str]]]:
    cards = importlib.resources.files("nanocensus.segment") / "models"
    for fold in range(3):
        card = json.loads((cards / f"default-fold{fold}.json").read_text())
        yield load_model(f"default-fold{fold}"), card["held_out"]["micrographs"]


def real(folder: Path) -> Iterator[str]:
    yield "| tilt added % | Dice raw | Dice paper | Dice one-sided | images better / worse flattened | pixels replaced |"
    yield "|---|---|---|---|---|---|"
    for tilt in (0.0, 0.2, 0.4):
        rows, replaced = [], 0
        for model, names in fold_networks():
            for name in names:
                pixels, mask = (np.asarray(Image.open(folder / part / name)) for part in ("images", "masks"))
                light = 1 + tilt * np.linspace(-1, 1, pixels.shape[1])
                image = np.rint(pixels * light * 100).astype(np.uint16)
                replaced += int(np.count_nonzero(replace_hot_pixels(np, image) != image))
                rows.append(
                    [dice(model.probability(way(image), flat_field=False) >= 128, mask > 0) for way in WAYS.values()]
                )
        raw, paper, flat = np.array(rows).T
        better = f"{int((flat > raw).sum())} / {int((flat < raw).sum())}"
        yield (
            f"| {100 * tilt:.0f} | {raw.mean():.4f} | {paper.mean():.4f} | {flat.mean():.4f} | {better} | {replaced} |"
        )


if __name__ == "__main__":
    lines = ["## Simulated micrographs", "", *simulated()]
    if len(sys.argv) > 1:
        lines += ["", "## Real micrographs", "", *real(Path(sys.argv[1]))]
    sys.stdout.write("\n".join(lines) + "\n")
