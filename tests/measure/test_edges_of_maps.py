"""What a map's edges tell: areas at other probabilities, edge widths, the area of a blurred disc."""

import numpy as np
import pytest
import scipy.spatial
import scipy.stats
import skimage.measure
from scipy import ndimage, optimize

from nanocensus.measure.descriptors import measure
from nanocensus.simulate import shapes


def area_inside(field, level, at):
    """Give the area inside the contour of the piece that holds a pixel; a value equal to the level is outside."""
    pieces, _ = ndimage.label(field > level, np.ones((3, 3)))
    own = np.where((pieces == pieces[at]) | (pieces == 0), field, 0.0)
    found = skimage.measure.find_contours(np.pad(own, 1), level + 1e-9, fully_connected="high")
    return max(abs(0.5 * np.sum(c[:-1, 1] * c[1:, 0] - c[1:, 1] * c[:-1, 0])) for c in found)


@pytest.mark.parametrize("seed", range(4))
def test_areas_at_other_probabilities_are_those_of_find_contours(noise_map, seed):
    probability = noise_map(seed)
    table, labels, _ = measure(probability, pixel_size_nm=1.0)

    for row in table.to_pylist():
        own = labels == row["label"]
        field = np.where((labels > 0) & ~own, 0.0, probability.astype(float))
        beside = ndimage.binary_dilation(own, np.ones((3, 3)))
        first = tuple(np.argwhere(own)[0])
        lower = area_inside(np.where(beside, field, np.minimum(field, 102.0)), 102.0, first)
        higher = np.where(own, field, np.minimum(field, 127.0))
        pieces, count = ndimage.label(higher > 153, np.ones((3, 3)))
        firsts = [tuple(np.argwhere(pieces == piece)[0]) for piece in range(1, count + 1)]
        largest = max((area_inside(higher, 153.0, at) for at in firsts), default=0.0)
        assert row["area_p40_nm2"] == pytest.approx(lower, abs=1e-6)
        assert row["area_p60_nm2"] == pytest.approx(largest, abs=1e-6)


def test_areas_at_other_probabilities_follow_the_threshold_and_are_unknown_for_pieces(soft_map, row_of):
    probability = soft_map(shapes.disc(), 30, np.random.default_rng(0))

    for threshold, same in ((0.4, "area_p40_nm2"), (0.6, "area_p60_nm2")):
        row = row_of(probability, threshold=threshold)
        assert row[same] == pytest.approx(row["area_nm2"], rel=1e-12)
    row = row_of(probability, threshold=0.7)
    assert row["area_p40_nm2"] > row["area_p60_nm2"] > row["area_nm2"]
    in_pieces = np.where(probability > 127, 1, 0).astype(np.int32)
    in_pieces[0, 0] = 1
    assert row_of(probability, labels=in_pieces)["area_p40_nm2"] is None


@pytest.mark.parametrize("sigma", [0.35, 0.7, 1.0, 2.0])
@pytest.mark.parametrize("shape", [shapes.disc(), shapes.truncated_square(0.3)], ids=["disc", "truncated square"])
def test_the_edge_width_is_that_of_the_blur(soft_map, row_of, shape, sigma):
    rng = np.random.default_rng(int(100 * sigma))
    widths = [row_of(soft_map(shape, 60, rng, sigma=sigma))["edge_width_nm"] for _ in range(4)]

    taps = ndimage.gaussian_filter1d(np.eye(1, 41, 20)[0], sigma)  # of a narrow one less is left on pixels
    variance = np.sum(taps * (np.arange(41) - 20) ** 2) + 1 / 12  # a pixel's share of area is a blur of its own
    assert np.mean(widths) == pytest.approx(2.563 * np.sqrt(variance), rel=0.03)
    assert np.ptp(widths) < 0.05 * np.mean(widths)


@pytest.mark.parametrize("threshold", [0.3, 0.7])
def test_the_edge_width_does_not_hang_on_the_threshold_or_the_noise(soft_map, row_of, threshold):
    rng = np.random.default_rng(3)

    assert row_of(soft_map(shapes.disc(), 60, rng), threshold=threshold)["edge_width_nm"] == pytest.approx(
        2.67, rel=0.03
    )
    noisy = np.mean([row_of(soft_map(shapes.disc(), 60, rng, noise=0.03))["edge_width_nm"] for _ in range(5)])
    assert noisy == pytest.approx(2.67, rel=0.05)


def test_a_mask_and_a_map_of_steps_have_no_edge_width(row_of):
    labels = np.zeros((20, 20), np.int32)
    labels[5:15, 5:15] = 1

    assert row_of(None, labels=labels)["edge_width_nm"] is None
    assert row_of((255 * labels).astype(np.uint8))["edge_width_nm"] is None


@pytest.mark.parametrize("edge_length", [25, 50, 93])
def test_the_area_of_a_disc_is_that_of_its_blurred_level(soft_map, row_of, edge_length):
    rng = np.random.default_rng(edge_length)
    radius, variance = edge_length / np.sqrt(np.pi), 1 + 1 / 12

    def share_within(distance):
        """Chance that a normal point about (distance, 0) falls into the disc: the blurred disc there."""
        return scipy.stats.ncx2.cdf(radius**2 / variance, 2, distance**2 / variance)

    level = optimize.brentq(lambda distance: share_within(distance) - 0.5, 0.5 * radius, 1.5 * radius)
    for _ in range(4):
        row = row_of(soft_map(shapes.disc(), edge_length, rng))
        assert row["area_nm2"] == pytest.approx(np.pi * level**2, rel=0.002)
        assert row["area_nm2"] == pytest.approx(edge_length**2, rel={25: 0.01, 50: 0.003, 93: 0.001}[edge_length])
        assert row["circularity"] == pytest.approx(1, abs=0.005)
