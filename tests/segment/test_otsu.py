"""The baseline."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.filters import threshold_otsu

from nanocensus.segment.judging.metrics import dice
from nanocensus.segment.judging.otsu import otsu_mask


def _noisy_disc(rng, noise):
    y, x = np.mgrid[:160, :160]
    disc = np.hypot(y - 80, x - 75) < 40
    return disc, np.where(disc, 100.0, 150.0) + noise * rng.standard_normal(disc.shape)


def test_it_is_the_threshold_of_scikit_image():
    disc, image = _noisy_disc(np.random.default_rng(1), 30.0)
    blurred = gaussian_filter(image.astype(np.float32), 2.0)
    np.testing.assert_array_equal(otsu_mask(image), blurred <= threshold_otsu(blurred))
    assert dice(otsu_mask(image), disc) > 0.97


def test_without_the_blur_it_would_be_an_easy_opponent():
    disc, image = _noisy_disc(np.random.default_rng(1), 30.0)
    assert dice(otsu_mask(image, smoothing_px=0.0), disc) < 0.8


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_constant_image_has_no_particle(dtype):
    assert not otsu_mask(np.full((20, 20), 7, dtype)).any()


def test_bright_particles_are_those_of_the_negative():
    image = np.random.default_rng(2).integers(0, 200, (40, 50)).astype(np.uint8)
    image[10:30, 10:30] += 50
    negative = otsu_mask((255 - image).astype(np.uint8))
    np.testing.assert_array_equal(otsu_mask(image, contrast="bright"), negative)
    assert 0 < negative.sum() < negative.size
