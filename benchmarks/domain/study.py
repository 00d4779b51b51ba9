"""Whether the domain score tells where a network fails, and whether resampling helps it.

    PYTHONPATH=engine .venv/bin/python benchmarks/domain/study.py [MODEL]        # about three minutes

The domain is the one that the network's card states. The micrographs are the demonstration's, changed, and simulated ones
under conditions drawn at random, with seeds that no choice was made on. Writes results/domain.md.
"""

import itertools
import math
import sys
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.stats import spearmanr

from nanocensus.errors import ImageError
from nanocensus.provenance import versions
from nanocensus.segment.judging.metrics import dice
from nanocensus.segment.prediction.description import describe
from nanocensus.segment.prediction.domain import Domain
from nanocensus.segment.prediction.resample import predict_resampled, resampled
from nanocensus.segment.prediction.weights import load_model
from nanocensus.simulate.rendering import simulate_micrograph
from nanocensus.simulate.spec import SimulationSpec
from nanocensus.store.formats.readers import read_image
from nanocensus.store.masks.masks import read_truth

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "jobs/demo"
BINS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, math.inf)
SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)
RANGES = {
    "mean_edge_length_nm": (0.5, 9.0), "contrast": (0.05, 0.8), "electrons_per_px": (3.0, 2000.0), "blur_px": (0.3, 4.0),
    "edge_softness_px": (0.3, 6.0), "film_amplitude": (0.01, 0.4), "film_grain_px": (0.5, 8.0),
    "fresnel_strength": (0.1, 1.5), "fresnel_width_px": (3.0, 30.0), "unevenness": (0.01, 0.3),
}  # fmt: skip


def demo_micrographs():
    for path in sorted((DEMO / "images").iterdir()):
        pixels = read_image(path).pixels
        yield path.name, pixels, read_truth(DEMO / "masks" / path.name, pixels.shape) > 0


def simulated(seed, *, coverage=0.12, side=512, **changes):
    edge_px = changes.get("mean_edge_length_nm", 4.2) / 0.086
    gain = min(1000.0, 6400 / changes.get("electrons_per_px", 200.0))
    spec = SimulationSpec(
        shape=(side, side), mean_particles=coverage * side**2 / edge_px**2, counts_per_electron=gain, **changes
    )
    return simulate_micrograph(spec, np.random.default_rng(seed))


def drawn_conditions(number, seed):
    """Conditions log-uniform over what instruments and samples may give."""
    rng = np.random.default_rng(seed)
    for i in range(number):
        drawn = {name: float(np.exp(rng.uniform(*np.log(limits)))) for name, limits in RANGES.items()}
        found = simulated([seed, i], coverage=float(np.exp(rng.uniform(*np.log((0.02, 0.3))))), **drawn)
        yield "conditions drawn at random", found.pixels, found.labels > 0
    for i, changes in enumerate(({}, {"touching_fraction": 0.8}, {"fresnel_strength": 0.0}, {"unevenness": 0.1}) * 3):
        found = simulated([seed, 1000 + i], **changes)
        yield "like the demonstration's", found.pixels, found.labels > 0
    for i in range(4):
        found = simulated([seed, 2000 + i], coverage=0.1 + 0.06 * i)
        yield "bright particles", 65535 - found.pixels, found.labels > 0


def changed(seed):
    rng = np.random.default_rng(seed)
    for _, pixels, mask in list(demo_micrographs())[3::6]:
        values = pixels.astype(np.float32)
        noise = rng.standard_normal(values.shape, dtype=np.float32)
        yield "demonstration + noise of 1 standard deviation", values + values.std() * noise, mask
        yield "demonstration + noise of 2", values + 2 * values.std() * noise, mask
        yield "demonstration blurred by 6 px", ndimage.gaussian_filter(values, 6), mask
        for scale in (0.25, 0.5, 2.0):
            yield f"demonstration x {scale:g}", *scaled(values, mask, scale)


def scaled(pixels, mask, scale):
    shape = tuple(round(side * scale) for side in pixels.shape)
    return resampled(pixels, shape), resampled(mask.astype(np.float32), shape) > 0.5


def score_lines(model, domain):
    kinds, scores, agreement = [], [], []
    for kind, pixels, mask in [*drawn_conditions(80, 20261), *changed(7)]:
        if not mask.any():
            continue
        probability = model.probability(pixels)
        kinds.append(kind)
        scores.append(domain.score(describe(pixels, probability)))
        agreement.append(dice(mask, probability >= 128))
    scores, agreement = np.array(scores), np.array(agreement)
    yield f"Spearman's rank correlation of score and Dice: {spearmanr(scores, agreement).statistic:.2f} ({len(scores)} micrographs)."
    yield ""
    yield "| score | micrographs | Dice: lowest | 25 % | median | 75 % | highest | share below 0.9 |"
    yield "|---|---|---|---|---|---|---|---|"
    for low, high in itertools.pairwise(BINS):
        here = agreement[(scores >= low) & (scores < high)]
        if len(here):
            numbers = " | ".join(f"{value:.3f}" for value in np.quantile(here, (0, 0.25, 0.5, 0.75, 1)))
            yield f"| {low:g} to {high:g} | {len(here)} | {numbers} | {(here < 0.9).mean():.0%} |"
    yield ""
    yield "| micrographs | number | median score | median Dice |"
    yield "|---|---|---|---|"
    for kind in dict.fromkeys(kinds):
        here = np.array([each == kind for each in kinds])
        yield f"| {kind} | {here.sum()} | {np.median(scores[here]):.2f} | {np.median(agreement[here]):.3f} |"


def resampling_lines(model, domain):
    """Dice as it is, brought to the known magnification, and magnified by the particles found."""
    yield "| micrographs | scale | as they are | by pixel size | by particles |"
    yield "|---|---|---|---|---|"
    known = Domain(**{**vars(domain), "pixel_size_nm": (1.0, 1.0)})  # what the pixel is at scale 1, in any unit
    for kind in ("demonstration", "simulated, then scaled", "simulated at that scale"):
        for scale in SCALES:
            rows = []
            for pixels, mask in at_scale(kind, scale):
                row = [dice(mask, model.probability(pixels) >= 128)]
                for by in ("pixel size", "particles"):
                    try:
                        found = predict_resampled(model.probability, pixels, known, by=by, pixel_size_nm=1 / scale)
                        row.append(dice(mask, found >= 128))
                    except ImageError:
                        row.append(math.nan)
                rows.append(row)
            numbers = " | ".join("refused" if math.isnan(value) else f"{value:.3f}" for value in np.mean(rows, axis=0))
            yield f"| {kind} | {scale:g} | {numbers} |"


def at_scale(kind, scale):
    side = {0.25: 1024, 0.5: 512, 1.0: 512, 2.0: 320, 4.0: 256}[scale]
    if kind == "demonstration":
        for _, pixels, mask in list(demo_micrographs())[1::10]:
            yield scaled(pixels[:side, :side], mask[:side, :side], scale)
    for seed in range(3 if kind != "demonstration" else 0):
        if kind == "simulated, then scaled":
            found = simulated([31, seed], side=side)
            yield scaled(found.pixels, found.labels > 0, scale)
        else:
            found = simulated([32, seed], side=round(side * scale), mean_edge_length_nm=4.2 * scale)
            yield found.pixels, found.labels > 0


def main():
    model = load_model(sys.argv[1] if len(sys.argv) > 1 else "default")
    domain = model.domain
    lines = [
        "# Score and resampling",
        "",
        f"Network {model.name} {model.digest[:16]}; nanocensus {versions()['nanocensus']}.",
        "",
    ]
    lines += ["## Does the score tell failures?", "", *score_lines(model, domain), ""]
    lines += ["## Does resampling help?", "", "Mean Dice of 3 micrographs each.", "", *resampling_lines(model, domain)]
    (ROOT / "benchmarks/results/domain.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
