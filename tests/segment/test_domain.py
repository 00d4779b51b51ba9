import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from nanocensus.errors import ModelError
from nanocensus.segment.judging.metrics import dice
from nanocensus.segment.prediction.description import Description, describe
from nanocensus.segment.prediction.domain import Domain
from nanocensus.segment.prediction.weights import load_model
from nanocensus.simulate.rendering import simulate_micrograph
from nanocensus.simulate.spec import SimulationSpec


def description(**changes):
    plain = Description(
        diameter_px=50.0, coverage=0.2, edge_px=2.3, doubt=0.02, contrast_to_noise=2.3, noise=0.2, structure=0.7,
        unexplained=0.3,
    )  # fmt: skip
    return replace(plain, **changes)


def test_one_training_micrograph_in_twenty_is_above_one():
    rng = np.random.default_rng(3)
    trained = [
        description(coverage=float(a), structure=float(b), edge_px=float(c))
        for a, b, c in zip(
            rng.uniform(0.01, 0.6, 400), rng.uniform(0.1, 1, 400), rng.lognormal(1, 0.6, 400), strict=True
        )
    ]
    domain = Domain.of(trained, pixel_sizes_nm=[0.05, 0.1])
    scores = np.array([domain.score(each) for each in trained])
    assert 15 <= (scores > 1).sum() <= 20
    assert domain.pixel_size_nm == (0.05, 0.1)
    assert domain.ranges["diameter_px"] == (50.0, 50.0, 50.0)


def test_the_score_grows_with_the_distance_and_ignores_what_is_better_than_trained():
    domain = Domain.of([description()] * 5)
    assert domain.score(description()) == 0
    assert domain.score(description(edge_px=1.0, doubt=0.001, unexplained=0.05)) == 0
    scores = [domain.score(description(unexplained=0.3 + step)) for step in (0.1, 0.2, 0.4)]
    assert np.allclose(scores, scores[0] * np.array([1, 2, 4]))
    assert domain.score(description(coverage=0.6)) > 1 < domain.score(description(structure=0.1))


def test_what_a_map_without_particles_cannot_tell_is_left_out():
    domain = Domain.of([description()] * 5)
    empty = description(diameter_px=None, edge_px=None, doubt=None, contrast_to_noise=None)
    assert domain.score(empty) == 0
    assert domain.score(replace(empty, unexplained=0.7)) > domain.score(description(unexplained=0.7)) > 1


def test_a_domain_travels_through_json():
    domain = Domain.of([description(), description(coverage=0.3)], pixel_sizes_nm=[0.1, 0.2])
    assert Domain.from_dict(json.loads(json.dumps(domain.to_dict()))) == domain
    for damage in ({"version": 1}, {"centre": {}}, {"pixel_size_nm": [1]}, {"ranges": {"doubt": [1, 2]}}):
        with pytest.raises(ModelError, match="domain in a model card"):
            Domain.from_dict(domain.to_dict() | damage)


def test_no_domain_comes_of_nothing():
    for descriptions in ([], [description(diameter_px=None)]):
        with pytest.raises(ModelError, match="diameter_px"):
            Domain.of(descriptions)


@pytest.mark.slow
def test_the_score_ranks_micrographs_as_the_shipped_network_fails_on_them():
    """A part of benchmarks/domain."""
    model = load_model("default")

    def judged(seed, sign=1, **changes):
        spec = SimulationSpec(shape=(256, 256), mean_particles=5.0, **changes)
        simulated = simulate_micrograph(spec, np.random.default_rng(seed))
        pixels = sign * simulated.pixels.astype(np.int32)
        probability = model.probability(pixels)
        return describe(pixels, probability), dice(simulated.labels > 0, probability >= 128)

    domain = Domain.of([judged(seed)[0] for seed in range(8)])
    cases = [judged(seed) for seed in range(8, 14)] + [
        judged(20, sign=-1),
        *(judged(21, electrons_per_px=dose, counts_per_electron=900.0) for dose in (1.0, 3.0, 10.0)),
        *(judged(22, contrast=contrast) for contrast in (0.05, 0.1, 0.2)),
        *(judged(23, mean_edge_length_nm=edge) for edge in (0.4, 0.8, 1.6, 2.4)),
        *(judged(24, film_grain_px=grain) for grain in (2.0, 5.0, 10.0)),
    ]
    scores, agreement = [domain.score(found) for found, _ in cases], [each for _, each in cases]
    assert spearmanr(scores, agreement).statistic < -0.6
