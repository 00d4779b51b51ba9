import math

import numpy as np
import pytest
from scipy import ndimage
from scipy.special import ndtr

from nanocensus.measure.sharpness import sharpness


def discs(side=512, radius=22.0, sigma=1.5):
    """Dark discs with edges that are error functions, and the map of a network that finds them."""
    y, x = np.mgrid[:side, :side]
    depth = np.full((side, side), -np.inf)
    for row in range(60, side - 30, 80):
        for column in range(60, side - 30, 80):
            depth = np.maximum(depth, radius - np.hypot(y - row - 0.3, x - column - 0.6))
    return 1000 - 400 * ndtr(depth / sigma), np.rint(255 * ndtr(depth / 0.8)).astype(np.uint8)


def smeared(image, length, angle):
    steps = np.linspace(-0.5, 0.5, 41) * length
    moved = [ndimage.shift(image, (s * math.sin(angle), s * math.cos(angle)), order=1, mode="nearest") for s in steps]
    return np.mean(moved, axis=0)


@pytest.mark.parametrize("sigma", [1.0, 2.0, 4.0, 7.0])
def test_the_width_of_edges_is_found_under_noise(sigma):
    image, probability = discs(sigma=sigma)
    noisy = image + np.random.default_rng(0).normal(0, 100, image.shape)  # a quarter of the contrast
    found = sharpness(np.rint(noisy).astype(np.uint16), probability)
    # The widths tried are 3.4 % apart; a curved edge of this radius is no straight one.
    assert found.width_px == pytest.approx(sigma, rel=0.08)
    assert found.smear_px < 2.0 * sigma


@pytest.mark.parametrize("angle", [0.0, 0.7, math.pi / 2, 2.5])
@pytest.mark.parametrize("length", [8.0, 14.0])
def test_a_smear_is_found_with_its_direction(length, angle):
    image, probability = discs()
    noisy = smeared(image, length, angle) + np.random.default_rng(1).normal(0, 60, image.shape)
    found = sharpness(noisy.astype(np.float32), probability)
    assert found.smear_px == pytest.approx(length, rel=0.25)  # a box is no Gaussian: its fitted width is larger
    away = abs(found.smear_rad - angle) % math.pi
    assert min(away, math.pi - away) < 0.12


def test_gain_offset_and_contrast_change_nothing():
    image, probability = discs(sigma=2.5)
    found = sharpness(image, probability)
    assert sharpness(3.5 * image - 900, probability) == found
    assert sharpness(-image, probability) == found


def test_a_strided_large_micrograph_says_what_a_small_one_does():
    image, probability = discs(side=380, sigma=3.0)
    large = sharpness(np.tile(image, (4, 4)), np.tile(probability, (4, 4)))
    assert large.width_px == pytest.approx(sharpness(image, probability).width_px, rel=0.05)


@pytest.mark.parametrize("shape", [(512, 512), (40, 300), (20, 20), (3, 3)])
def test_without_edges_nothing_is_said(shape):
    image = np.random.default_rng(0).integers(0, 99, shape)
    assert sharpness(image, np.zeros(shape, np.uint8)) is None
    assert sharpness(image, np.full(shape, 255, np.uint8)) is None


def test_edges_that_the_micrograph_does_not_have_say_nothing():
    _, probability = discs()
    noise = np.random.default_rng(2).normal(1000, 300, probability.shape)
    assert sharpness(noise, probability) is None
    assert sharpness(np.full(probability.shape, 7, np.uint8), probability) is None


def test_edges_that_all_face_one_way_say_nothing_of_a_direction():
    probability = np.zeros((256, 256), np.uint8)
    probability[:, 100:160] = 255
    assert sharpness(1000.0 - probability, probability) is None
