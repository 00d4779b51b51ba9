import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanocensus.errors import ImageError, ModelError
from nanocensus.segment.prediction.description import Description
from nanocensus.segment.prediction.domain import Domain
from nanocensus.segment.prediction.resample import predict_resampled, resampled
from nanocensus.segment.prediction.weights import load_model


def domain(diameter_px=40.0, pixel_sizes_nm=(0.1, 0.2)):
    plain = Description(diameter_px, 0.2, 2.3, 0.02, 2.3, 0.2, 0.7, 0.3)
    return Domain.of([plain] * 2, pixel_sizes_nm)


def by_threshold(seen):
    """A network that notes the shape of what it is given."""

    def predict(image):
        seen.append(image.shape)
        return np.where(image < image.mean(), 255, 0).astype(np.uint8)

    return predict


def disc(radius, side=120):
    y, x = np.indices((side, side)) - (side - 1) / 2
    return np.where(np.hypot(y, x) < radius, 40, 160).astype(np.uint8)


@settings(max_examples=20)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_fewer_pixels_are_means_over_areas(side, count, seed):
    line = np.random.default_rng(seed).random((side, 3)).astype(np.float32)
    if count > side:
        return
    fine = np.repeat(line, count, axis=0)  # side * count steps: each new pixel takes `side` of them
    expected = fine.reshape(count, side, 3).mean(axis=1)
    np.testing.assert_allclose(resampled(line, (count, 3)), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(resampled(line.T.copy(), (3, count)), expected.T, rtol=1e-5, atol=1e-6)


def test_more_pixels_keep_the_field_and_a_smooth_image():
    y, x = np.mgrid[:48, :40]
    smooth = np.sin(y / 9) + np.cos(x / 7)
    y, x = (np.mgrid[:144, :80] + 0.5) / np.array([3, 2])[:, None, None] - 0.5
    inside = (slice(6, -6), slice(6, -6))
    np.testing.assert_allclose(resampled(smooth, (144, 80))[inside], (np.sin(y / 9) + np.cos(x / 7))[inside], atol=2e-3)


@pytest.mark.parametrize(("pixel_size_nm", "side"), [(0.05, 60), (0.1, 120), (0.15, 120), (0.4, 240)])
def test_a_pixel_size_is_brought_to_the_nearest_end_of_the_range(pixel_size_nm, side):
    seen, image = [], disc(30)
    found = predict_resampled(by_threshold(seen), image, domain(), by="pixel size", pixel_size_nm=pixel_size_nm)
    assert seen == [(side, side)]
    assert found.shape == image.shape
    assert ((found >= 128) != (image < 100)).sum() < 0.02 * image.size


@pytest.mark.parametrize(("radius", "sides"), [(10, [120, 240]), (25, [120]), (50, [120])])
def test_particles_are_magnified_where_they_are_too_small_and_otherwise_left(radius, sides):
    seen, image = [], disc(radius)
    found = predict_resampled(by_threshold(seen), image, domain(), by="particles")
    np.testing.assert_allclose(
        [side for side, _ in seen], sides, rtol=0.05
    )  # chords of pixels tell 20 px to some per cent
    assert ((found >= 128) != (image < 100)).sum() < 0.02 * image.size


def test_what_is_too_far_off_or_not_known_is_refused():
    image = disc(30)
    for size in (0.02, 0.9):
        with pytest.raises(ImageError, match="0\\.025 to 0\\.8 nm"):
            predict_resampled(by_threshold([]), image, domain(), by="pixel size", pixel_size_nm=size)
    with pytest.raises(ImageError, match="px across"):
        predict_resampled(by_threshold([]), disc(9), domain(80.0), by="particles")
    with pytest.raises(ImageError, match="got None"):
        predict_resampled(by_threshold([]), image, domain(), by="pixel size")
    for lacking in (None, domain(pixel_sizes_nm=())):
        with pytest.raises(ModelError, match="model card"):
            predict_resampled(by_threshold([]), image, lacking, by="pixel size", pixel_size_nm=0.1)
    dead = image.astype(np.float32)
    dead[3, 4] = np.nan
    with pytest.raises(ImageError, match="got 1 pixels that are infinite or not a number"):
        predict_resampled(by_threshold([]), dead, domain(), by="pixel size", pixel_size_nm=0.05)
    with pytest.raises(ImageError, match="one channel"):
        predict_resampled(by_threshold([]), np.zeros((4, 4), bool), domain(), by="particles")


def test_a_model_resamples_only_where_it_is_told_to():
    model = dataclasses.replace(load_model("default-fold0"), domain=None)
    image = disc(30, 64)
    assert np.array_equal(model.probability(image), model.probability(image, pixel_size_nm=0.001))
    with pytest.raises(ModelError, match="resampling by particles"):
        model.probability(image, resample="particles")
