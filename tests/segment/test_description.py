import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from nanocensus.errors import ImageError
from nanocensus.segment.prediction.description import describe


def discs(shape=(256, 256), radius=12.0, sigma=1.0, noise=0.3, seed=0):
    """Dark discs in a grid, and the map of a network that is sure but at their edges."""
    y, x = (np.arange(side) % 64 - 31.5 for side in shape)
    inside = (np.hypot(y[:, None], x) < radius).astype(float)
    probability = np.rint(255 * ndimage.gaussian_filter(inside, sigma)).astype(np.uint8)
    image = 1000 - 500 * inside + 500 * noise * np.random.default_rng(seed).standard_normal(shape)
    return image.astype(np.float32), probability


@settings(max_examples=10)
@given(radius=st.floats(5, 28), sigma=st.floats(0.7, 2.0), noise=st.floats(0.01, 1.0))
def test_a_description_says_what_was_planted(radius, sigma, noise):
    image, probability = discs(radius=radius, sigma=sigma, noise=noise)
    found = describe(image, probability)
    inside = probability >= 128
    assert found.coverage == inside.mean()
    assert found.diameter_px == pytest.approx(np.sqrt(4 / np.pi * inside.sum() / 16), rel=0.1)
    assert found.edge_px == pytest.approx(2 * 1.2816 * sigma, rel=0.35, abs=0.4)  # from 0.1 to 0.9 of a blurred edge
    assert found.contrast_to_noise == pytest.approx(1 / noise, rel=0.1)
    assert found.noise * image.std() == pytest.approx(500 * noise, rel=0.1)
    assert found.unexplained <= found.structure
    assert found.doubt == pytest.approx(1 - (probability[inside] / 255).mean())


def test_exposure_and_type_change_nothing():
    image, probability = discs(noise=0.1)
    counts = np.rint(image * 8)
    first = describe(counts.astype(np.uint16), probability)
    wide = counts.astype(np.float64)
    for other in (wide, wide + 1e9, wide * 1e-30, wide * 1e200, counts.astype(np.int32) * 3 + 70):
        for name, value in vars(describe(other, probability)).items():
            assert value == pytest.approx(getattr(first, name), rel=1e-4), name


def test_bands_of_a_large_micrograph_tell_what_the_whole_tells():
    image, probability = discs((3072, 1024))
    whole = describe(image[:2048], probability[:2048])  # as many pixels as are looked at
    bands = describe(image, probability)
    for name, value in vars(bands).items():
        assert value == pytest.approx(getattr(whole, name), rel=0.03), name


@pytest.mark.parametrize("fill", [0, 255])
def test_a_map_without_a_border_tells_nothing_of_particles(fill):
    found = describe(discs()[0], np.full((256, 256), fill, np.uint8))
    assert (found.diameter_px, found.edge_px, found.doubt, found.contrast_to_noise) == (None,) * 4
    assert found.unexplained == found.structure > 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (7, 9), (64, 64)])
def test_any_micrograph_can_be_described(shape):
    for image in (np.zeros(shape, np.uint8), np.arange(shape[0] * shape[1], dtype=np.int64).reshape(shape)):
        found = describe(image, np.zeros(shape, np.uint8))
        assert all(value is None or np.isfinite(value) for value in vars(found).values())


def test_a_map_of_another_shape_is_refused():
    with pytest.raises(ImageError, match=r"\(4, 4\)"):
        describe(np.zeros((4, 4)), np.zeros((4, 5), np.uint8))
