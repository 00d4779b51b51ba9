"""Hot pixels: those that were planted are found, and nothing else is touched."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanocensus.segment.preparation.hot_pixels import replace_hot_pixels


def slowly(image):
    """Do the same pixel by pixel, with quantiles of at most 512 pixels along each side."""
    every = [int(np.ceil(side / 512)) for side in image.shape]
    values = np.sort(image[:: every[0], :: every[1]].ravel())
    median = float(values[values.size // 2])
    spread = float(values[values.size - 1 - int(0.001 * values.size)]) - median
    mirrored = np.pad(image.astype(float), 2, mode="reflect")
    suspects = np.argwhere(image > median + 2 * spread)
    changed = image.copy()
    if spread <= 0 or len(suspects) > int(0.004 * image.size) + 1:
        return changed
    for row, column in suspects:
        ring = mirrored[row : row + 5 : 2, column : column + 5 : 2].ravel()[[0, 1, 2, 3, 5, 6, 7, 8]]
        if image[row, column] - ring.max() > spread:
            changed[row, column] = np.rint(np.median(ring)) if image.dtype.kind != "f" else np.median(ring)
    return changed


@settings(max_examples=25)
@given(
    st.integers(0, 10**6), st.sampled_from([np.uint8, np.int16, np.uint16, np.float32]), st.integers(0, 4),
    st.sampled_from([(48, 60), (3, 900), (2000, 2), (1, 1500), (60, 48)]), st.integers(0, 255),
)  # fmt: skip
def test_it_is_the_rule_applied_pixel_by_pixel(seed, dtype, spots, shape, brightness):
    rng = np.random.default_rng(seed)
    image = rng.poisson(6, shape).astype(dtype)
    for _ in range(spots):
        row, column = rng.integers(0, shape)
        image[row : row + rng.integers(1, 4), column : column + rng.integers(1, 4)] = max(brightness - 130, 0)
    assert np.array_equal(replace_hot_pixels(np, image), slowly(image))


def test_jax_replaces_the_same():
    replace = jax.jit(lambda image: replace_hot_pixels(jnp, image))
    for seed, spots in enumerate((0, 3, 5000)):
        rng = np.random.default_rng(seed)
        image = rng.poisson(40, (90, 120)).astype(np.uint16)
        image[rng.integers(0, 90, spots), rng.integers(0, 120, spots)] = 700
        assert np.array_equal(replace(jnp.asarray(image)), replace_hot_pixels(np, image))


@pytest.mark.parametrize("electrons", [0.2, 1, 5, 50, 1000])
def test_no_pixel_of_a_million_with_shot_noise_is_replaced(electrons):
    image = np.random.default_rng(3).poisson(electrons, (1000, 1000)).astype(np.uint16)
    assert replace_hot_pixels(np, image) is image


def test_planted_spots_are_replaced_by_what_is_around_them_and_nothing_else_is():
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:512, :512]
    clean = (rng.poisson(200, y.shape) * np.where(np.hypot(y % 64 - 32, x % 64 - 32) < 12, 0.6, 1)).astype(np.uint16)
    image, spots = clean.copy(), np.zeros(clean.shape, bool)
    for row, column, size in [(0, 0, 1), (511, 300, 1), (32, 32, 1), (100, 200, 2), (410, 37, 2), (300, 511, 1)]:
        spots[row : row + size, column : column + size] = True
    image[spots] = 1500
    found = replace_hot_pixels(np, image)
    assert np.array_equal(found[~spots], clean[~spots])
    assert (found[spots] < 250).all()
    assert abs(found[32, 32] - 120.0) < 40  # on a particle, as dark as the particle
    assert image[0, 0] == 1500  # what was given is left alone


def test_bright_particles_and_lines_are_no_hot_pixels():
    image = np.random.default_rng(2).poisson(50, (300, 300)).astype(np.uint16)
    image[100:103, 100:103] = 900  # more than two pixels small
    image[200, 20:40] = 900  # a line is bright at a distance of two along itself
    assert (replace_hot_pixels(np, image)[image == 900] == 900).sum() >= 9 + 20 - 4


def test_what_is_too_frequent_for_accidents_is_left_alone():
    image = np.random.default_rng(2).poisson(50, (300, 300)).astype(np.uint16)
    image[::10, ::10] = 900  # one in a hundred
    assert replace_hot_pixels(np, image) is image


def test_an_image_of_one_value_with_one_exception_says_nothing_of_noise():
    image = np.full((50, 50), 7, np.uint8)
    image[3, 4] = 200
    assert replace_hot_pixels(np, image) is image
