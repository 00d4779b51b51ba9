import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanocensus.measure.descriptors import measure
from nanocensus.measure.quality import background_range, quality, saturated_share


def film(rng, shape=(256, 256), level=8000.0, noise=900.0):
    return rng.normal(level, noise, shape)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "int32", "uint32", "float32", "float64"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3])
def test_a_clipped_share_is_found_in_every_type(dtype, share):
    info = np.iinfo(dtype) if np.dtype(dtype).kind in "ui" else np.iinfo("uint16")
    low, high = max(info.min, -30000), min(info.max, 60000)
    values = np.random.default_rng(0).normal((low + high) / 2, (high - low) / 12, (256, 256))
    values = np.minimum(values, np.quantile(values, 1 - share) if share else high)
    found = saturated_share(np.rint(values).astype(dtype))
    assert found == pytest.approx(share, abs=0.004 + 0.05 * share)  # an 8-bit value has a share of its own


@given(st.floats(0.006, 0.4), st.booleans(), st.integers(0, 99))
def test_either_end_counts_and_hot_pixels_beyond_hide_nothing(share, dark, seed):
    rng = np.random.default_rng(seed)
    values = film(rng)
    values = (
        np.maximum(values, np.quantile(values, share)) if dark else np.minimum(values, np.quantile(values, 1 - share))
    )
    recorded = np.rint(values).astype(np.uint16)
    recorded.ravel()[rng.integers(0, recorded.size, 20)] = 0 if dark else 65535
    assert saturated_share(recorded) == pytest.approx(share, rel=0.05)


@pytest.mark.parametrize("scaled", [
    lambda counts: counts * 16, lambda counts: np.rint(counts * 1.37), lambda counts: counts - 4000.0,
], ids=["12 bits as 16", "stretched", "less a dark image"])  # fmt: skip
def test_how_the_camera_scaled_its_counts_does_not_show(scaled):
    counts = np.rint(np.random.default_rng(4).normal(1000, 8, (256, 256)))
    clipped = np.minimum(counts, 1004)
    for kind in (np.int32, np.float32):
        assert saturated_share(scaled(counts).astype(kind)) < 1e-3
        assert saturated_share(scaled(clipped).astype(kind)) == pytest.approx(saturated_share(clipped), abs=1e-12)
    assert saturated_share(clipped) > 0.2


@pytest.mark.parametrize("mean", [0.1, 0.5, 2.0, 20.0])
def test_pixels_that_no_electron_met_are_not_saturated(mean):
    assert saturated_share(np.random.default_rng(5).poisson(mean, (256, 256)).astype(np.uint8)) < 1e-3


def test_clipped_reals_are_found_and_others_are_not():
    values = film(np.random.default_rng(1)) * 1.37
    assert saturated_share(values) < 1e-4
    assert saturated_share(np.minimum(values, np.quantile(values, 0.95))) == pytest.approx(0.05, abs=0.001)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "int32"])
def test_an_even_micrograph_is_all_saturated(dtype):
    assert saturated_share(np.full((64, 64), 7, dtype)) == 1.0


def test_a_wide_integer_range_needs_no_table_of_its_size():
    values = np.random.default_rng(2).integers(-(2**40), 2**40, (128, 128))
    assert saturated_share(values) < 1e-3
    assert saturated_share(np.minimum(values, 2**39)) == pytest.approx(0.25, abs=0.02)


def reference_range(image, probability):
    height, width = (side // 16 for side in image.shape)
    means = []
    for row in range(16):
        for column in range(16):
            part = np.s_[row * height : (row + 1) * height, column * width : (column + 1) * width]
            inside = probability[part] < 26
            if inside.mean() >= 0.2:
                means.append(image[part][inside].mean())
    low, middle, high = np.quantile(means, (0.05, 0.5, 0.95))
    return (high - low) / middle


@given(st.integers(0, 10**6), st.tuples(st.integers(32, 90), st.integers(32, 90)))
def test_the_range_of_the_background_is_that_of_its_means(seed, shape):
    rng = np.random.default_rng(seed)
    image = film(rng, shape) * (1 + 0.3 * np.linspace(-1, 1, shape[1]))
    probability = (255 * (rng.random(shape) < rng.uniform(0, 0.7))).astype(np.uint8)
    assert background_range(image, probability) == pytest.approx(reference_range(image, probability), rel=1e-9)


def test_a_shadow_shows_in_a_strided_micrograph_and_particles_do_not():
    rng = np.random.default_rng(3)
    image, probability = film(rng, (2048, 2048)), np.zeros((2048, 2048), np.uint8)
    probability[::64] = 255
    image[::64] = 0
    assert background_range(image, probability) < 0.02
    image[:, :400] *= 0.6
    assert background_range(image, probability) == pytest.approx(0.4, abs=0.02)


def test_without_background_nothing_is_said_of_it():
    image = np.ones((64, 64))
    assert background_range(image, np.full((64, 64), 255, np.uint8)) is None
    assert background_range(-image, np.zeros((64, 64), np.uint8)) is None
    assert background_range(np.ones((8, 8)), np.zeros((8, 8), np.uint8)) is None


def squares(*corners, side=20):
    probability = np.zeros((200, 300), np.uint8)
    for top, left in corners:
        probability[top : top + side, left : left + side] = 255
    return probability


@pytest.mark.parametrize("estimator", ["outline", "paper"])
def test_particles_near_each_other_and_lumps_are_crowded(estimator):
    apart = squares((20, 20), (20, 100), (20, 180))
    near = squares((20, 20), (20, 41), (20, 180))
    lump = squares((20, 20), (35, 36), (20, 180))

    def touching(probability):
        table = measure(probability, pixel_size_nm=0.1, estimator=estimator).table
        return quality(np.full(probability.shape, 9.0), probability, table, pixel_size_nm=0.1).touching_share

    assert touching(apart) == 0.0
    assert touching(near) == (pytest.approx(2 / 3) if estimator == "outline" else 0.0)
    assert touching(lump) == 0.5


def test_parts_of_one_label_touch_and_labels_that_stay_whole_do_not():
    y, x = np.mgrid[:120, :400]
    centres = (60, 160, 270, 304)
    probability = (255 * np.any([np.hypot(y - 60, x - at) < 20 for at in centres], axis=0)).astype(np.uint8)
    table = measure(probability, pixel_size_nm=0.1, estimator="paper", split="distance").table
    assert table["parent_label"].to_pylist() == [1, 2, 3, 3]
    found = quality(np.full(probability.shape, 9.0), probability, table, pixel_size_nm=0.1)
    assert found.touching_share == 0.5


def test_a_micrograph_without_particles_has_the_scores_that_need_none():
    image = np.rint(film(np.random.default_rng(4))).astype(np.uint16)
    nothing = np.zeros(image.shape, np.uint8)
    found = quality(image, nothing, measure(nothing, pixel_size_nm=0.1).table, pixel_size_nm=0.1)
    assert (found.blur_nm, found.drift_nm, found.drift_rad, found.touching_share) == (None,) * 4
    assert found.covered_share == 0.0
    assert found.saturated_share < 0.01
    assert found.background_range == pytest.approx(0.02, abs=0.02)


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.9])
def test_covered_is_what_is_particle_at_the_threshold_that_they_are_measured_at(threshold):
    probability = squares((20, 20), (20, 100)) // 4 * 3 | squares((100, 100))  # 0.74 and 1
    measured = measure(probability, pixel_size_nm=0.1, threshold=threshold)
    found = quality(np.full(probability.shape, 9.0), probability, measured.table, pixel_size_nm=0.1)
    assert found.covered_share == np.count_nonzero(probability > 255 * threshold) / probability.size
