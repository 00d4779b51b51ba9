"""From a probability map to region properties: ours, and scikit-image as one would call it."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import label, regionprops_table

from nanocensus.measure.descriptors import measure
from nanocensus.measure.label import label_particles

PROPERTIES = ("label", "area", "bbox", "centroid", "eccentricity", "solidity", "perimeter", "feret_diameter_max")


@pytest.fixture(scope="module")
def probability():
    """A map of 2048 x 2048 pixels with 150 separate particles whose edges are a pixel soft."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:2048, :2048].astype(np.float32)
    inside = np.zeros(y.shape, np.float32)
    for row in range(15):
        for column in range(10):
            cy, cx = 80 + 132 * row + rng.uniform(-15, 15), 100 + 200 * column + rng.uniform(-40, 40)
            place = np.s_[max(0, int(cy) - 60) : int(cy) + 60, max(0, int(cx) - 60) : int(cx) + 60]
            dy, dx = y[place] - cy, x[place] - cx
            radius = rng.uniform(20, 45) * (1 - 0.05 * np.cos(4 * np.arctan2(dy, dx)))
            inside[place] = np.maximum(inside[place], np.hypot(dy, dx) < radius)
    return np.rint(255 * ndimage.gaussian_filter(inside, 1.0)).astype(np.uint8)


@pytest.mark.parametrize("estimator", ["outline", "paper", "crofton"])
@pytest.mark.benchmark(group="map to properties")
def test_ours(benchmark, probability, estimator):
    table, _ = benchmark(measure, probability, pixel_size_nm=0.086, estimator=estimator)
    assert table.num_rows == 150


@pytest.mark.benchmark(group="map to properties")
def test_scikit_image(benchmark, probability):
    found = benchmark(lambda: regionprops_table(label(probability > 127), properties=PROPERTIES))
    assert len(found["label"]) == 150


@pytest.mark.benchmark(group="labels")
def test_our_labels(benchmark, probability):
    assert benchmark(label_particles, probability > 127)[1] == 150


@pytest.mark.benchmark(group="labels")
def test_labels_of_scikit_image(benchmark, probability):
    assert benchmark(label, probability > 127).max() == 150
