"""The shipped network on a CPU."""

import numpy as np
import pytest

from nanocensus.segment.prediction.weights import load_model


@pytest.mark.parametrize("side", [512, 1024, 2048])
@pytest.mark.benchmark(group="probability map")
def test_probability(benchmark, side):
    image = np.random.default_rng(0).normal(2000, 200, (side, side)).astype(np.float32)
    model = load_model("default")
    model.probability(image)  # compiles
    assert benchmark.pedantic(model.probability, (image,), rounds=5).shape == image.shape
