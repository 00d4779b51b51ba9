"""Outlines against `skimage.measure.find_contours` on each label's own padded view."""

import numpy as np
import pytest
import scipy.spatial
import skimage.draw
import skimage.measure
from scipy import ndimage

from nanocensus.measure.descriptors import measure
from nanocensus.measure.label import label_particles
from nanocensus.measure.outline import outlines

SEEDS = range(6)
ROUNDING = 1e-9  # of sums of a few hundred products of coordinates below 100


def smooth_map(seed, side=96, sigma=1.6):
    """Give a map with particles of all sizes, saddles, holes and particles on the border."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((side, side + 7)), sigma)
    return np.clip(np.rint(127.5 + 60 * noise / noise.std() - 10), 0, 255).astype(np.uint8)


def contours_of(field, level):
    """Give the area, length and vertices of each contour, of the largest first."""
    found = skimage.measure.find_contours(np.pad(field, 1), level, fully_connected="high")
    closed = [contour[:-1] - 1 for contour in found]
    return sorted(((abs(area_of(c)), length_of(c), c) for c in closed), key=lambda one: -one[0])


def area_of(points):
    y, x = points.T
    return 0.5 * float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def length_of(points):
    return float(np.sum(np.hypot(*(np.roll(points, -1, 0) - points).T)))


def own_view(probability, labels, label):
    return np.where((labels == label) | (labels == 0), probability.astype(float), 0.0)


def in_pixels(table, column):
    return table.column(column).to_numpy()


def same_vertices(one, other):
    order = [np.lexsort(np.round(points, 6).T) for points in (one, other)]
    np.testing.assert_allclose(one[order[0]], other[order[1]], atol=ROUNDING)


def labelled(probability, how):
    mask = probability > 127
    if how == "touching":  # particles cut by a line: neighbours with different labels
        halves = np.where(mask, 1 + (np.arange(mask.shape[1]) > mask.shape[1] // 2), 0)
        return skimage.measure.label(halves, connectivity=2).astype(np.int32)
    return label_particles(mask, how)[0]


@pytest.mark.parametrize("how", [8, 4, "touching"])
@pytest.mark.parametrize("seed", SEEDS)
def test_outlines_area_holes_and_perimeter_are_those_of_find_contours(seed, how):
    probability = smooth_map(seed)
    labels = labelled(probability, how)

    table, _, _ = measure(probability, labels, pixel_size_nm=1.0)
    traced = outlines(probability, labels)

    assert len(traced) == labels.max() > 5
    for row, points in enumerate(traced):
        (area, length, vertices), *holes = contours_of(own_view(probability, labels, row + 1), 127.5)
        assert area_of(points) == pytest.approx(area, abs=ROUNDING)
        assert in_pixels(table, "area_nm2")[row] == pytest.approx(area, abs=ROUNDING)
        assert in_pixels(table, "perimeter_nm")[row] == pytest.approx(length, abs=ROUNDING)
        assert in_pixels(table, "hole_area_nm2")[row] == pytest.approx(sum(h[0] for h in holes), abs=ROUNDING)
        same_vertices(points, vertices)


def test_the_drawn_maps_have_holes_saddles_and_particles_on_the_border():
    maps = [smooth_map(seed) for seed in SEEDS]
    tables = [measure(probability, pixel_size_nm=1.0)[0] for probability in maps]

    assert sum(int(np.sum(in_pixels(table, "hole_area_nm2") > 0)) for table in tables) > 5
    assert sum(int(np.sum(in_pixels(table, "touches_border"))) for table in tables) > 20
    assert sum(label_particles(p > 127, 4)[1] - label_particles(p > 127, 8)[1] for p in maps) > 5


def test_diagonal_pixels_are_one_particle_with_one_contour():
    probability = (255 * np.eye(5)).astype(np.uint8)

    (points,) = outlines(probability, label_particles(probability > 127)[0])

    half_a_diamond_in_each_corner_cell, two_cut_corners = 2 * 0.125, 2 * 0.125
    assert points.shape == (5 * 4, 2)
    assert area_of(points) == pytest.approx(5 * 0.5 + 4 * (1 - two_cut_corners - half_a_diamond_in_each_corner_cell))


def test_a_single_pixel_has_a_diamond_for_an_outline():
    probability = np.zeros((3, 3), np.uint8)
    probability[1, 1] = 255

    (points,) = outlines(probability, label_particles(probability > 127)[0])

    assert points.tolist() == [[0.5, 1.0], [1.0, 1.5], [1.5, 1.0], [1.0, 0.5]]


@pytest.mark.parametrize("seed", SEEDS[:3])
@pytest.mark.parametrize("with_map", [True, False])
def test_hull_and_feret_diameters_are_those_of_qhull_and_of_turned_calipers(seed, with_map):
    probability = smooth_map(seed)
    labels, _ = label_particles(probability > 127)
    given = probability if with_map else None

    table, _, _ = measure(given, labels, pixel_size_nm=1.0)

    angles = np.linspace(0, np.pi, 720, endpoint=False)
    for row, points in enumerate(outlines(given, labels)):
        hull = scipy.spatial.ConvexHull(points)
        assert in_pixels(table, "hull_area_nm2")[row] == pytest.approx(hull.volume, rel=1e-9)
        assert in_pixels(table, "hull_perimeter_nm")[row] == pytest.approx(hull.area, rel=1e-9)
        largest = scipy.spatial.distance.pdist(points).max()
        smallest = min(np.ptp(points @ normal) for normal in hull.equations[:, :2])
        assert in_pixels(table, "feret_max_nm")[row] == pytest.approx(largest, rel=1e-12)
        assert in_pixels(table, "feret_min_nm")[row] == pytest.approx(smallest, rel=1e-9)
        widths = np.ptp(points @ np.array([np.cos(angles), np.sin(angles)]), axis=0)
        assert smallest - ROUNDING <= widths.min() <= smallest + largest * np.pi / 720
        assert widths.max() <= largest + ROUNDING


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_centroid_axes_and_orientation_are_those_of_the_finely_rasterised_outline(seed):
    probability = smooth_map(seed)
    table, labels, _ = measure(probability, pixel_size_nm=1.0)
    fine = 16

    for row, points in enumerate(outlines(probability, labels)):
        if not 15 < in_pixels(table, "area_nm2")[row] < 150:
            continue
        y, x = (np.array(skimage.draw.polygon(*(fine * (points.T + 2)))) / fine) - 2
        variance = np.cov(y, x, bias=True)
        smaller, larger = np.linalg.eigvalsh(variance)
        assert in_pixels(table, "centroid_y_nm")[row] - 0.5 == pytest.approx(y.mean(), abs=0.02)
        assert in_pixels(table, "centroid_x_nm")[row] - 0.5 == pytest.approx(x.mean(), abs=0.02)
        assert in_pixels(table, "major_axis_nm")[row] == pytest.approx(4 * np.sqrt(larger), rel=0.01)
        assert in_pixels(table, "minor_axis_nm")[row] == pytest.approx(4 * np.sqrt(smaller), rel=0.01)
        assert in_pixels(table, "eccentricity")[row] == pytest.approx(np.sqrt(1 - smaller / larger), abs=0.02)
        angle = in_pixels(table, "orientation_rad")[row]
        along = np.array([np.sin(angle), np.cos(angle)])
        assert along @ variance @ along == pytest.approx(larger, rel=0.01)


@pytest.mark.parametrize("seed", SEEDS[:3])
def test_labels_without_a_map_have_the_outline_of_their_mask_smoothed_by_one_pixel(seed):
    labels, n = label_particles(smooth_map(seed) > 127)

    traced = outlines(None, labels)

    smoothed = 0
    for label in range(1, n + 1):
        mask = np.pad((labels == label).astype(float), 6)
        blurred = ndimage.gaussian_filter(mask, 1.0, mode="constant")
        whole = label_particles(blurred > 0.5)[1] == 1  # neither erased nor cut
        vertices = contours_of(blurred if whole else mask, 0.5)[0][2] - 6
        same_vertices(traced[label - 1], vertices)
        smoothed += whole
    assert 0 < smoothed < n


def test_labels_decide_what_is_inside_where_the_map_says_otherwise():
    probability = np.full((5, 6), 100, np.uint8)
    probability[2, 2:5] = 200
    labels = np.zeros((5, 6), np.int32)
    labels[2, 1:4] = 1  # one pixel that the map denies; one of the map's pixels is left out

    (points,) = outlines(probability, labels)

    expected = np.full((5, 6), 100.0)
    expected[2, 1:5] = 255, 200, 200, 0
    same_vertices(points, contours_of(expected, 127.5)[0][2])


def test_a_label_in_pieces_has_the_outline_of_the_largest_and_is_named_in_a_warning(caplog):
    labels = np.zeros((12, 20), np.int32)
    labels[1:4, 1:4] = 3
    labels[3:9, 8:18] = 3

    traced = outlines((labels > 0).astype(np.uint8) * 255, labels)

    assert [len(points) for points in traced[:2]] == [0, 0]
    assert traced[2][:, 1].min() == 7.5
    assert "several pieces (3)" in caplog.text


@pytest.mark.parametrize("threshold", [0.2, 0.6, 0.7999999999999999])
def test_a_value_equal_to_the_level_is_outside_and_on_the_contour(threshold):
    level = round(255 * threshold)
    probability = np.full((7, 9), level - 51, np.uint8)
    probability[2:5, 2:7] = 255
    probability[3, 4] = level  # a hole without area
    probability[3, 7] = level  # the contour runs through its centre

    table, labels, _ = measure(probability, pixel_size_nm=1.0, threshold=threshold)
    (points,) = outlines(probability, labels, threshold=threshold)

    np.testing.assert_array_equal(labels > 0, probability > level)
    assert in_pixels(table, "hole_area_nm2")[0] == 0
    assert [3.0, 7.0] in points.tolist()
    assert area_of(points) == pytest.approx(contours_of(probability.astype(float), level + 1e-9)[0][0], abs=1e-6)
