"""The estimators that count pixels are scikit-image's, region by region."""

import hypothesis
import numpy as np
import pytest
import scipy.spatial
import skimage.measure
import skimage.morphology
from hypothesis import strategies as st
from scipy import ndimage

from nanocensus.measure.descriptors import measure
from nanocensus.measure.regions._pixels import pixel_regions
from nanocensus.measure.regions._runs import runs_of_labels

EIGHT = np.ones((3, 3))
ROUNDING = 1e-9


def speckled(rng, shape):
    """Give every pixel a label of its own choice: touching, nested, in many pieces, of one pixel, with holes."""
    return rng.choice(6, shape, p=[0.4, 0.3, 0.15, 0.1, 0.04, 0.01])


def blobs(rng, shape):
    """Give smooth particles, the ones that touch cut apart by a line between their labels."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), rng.uniform(0.7, 4))
    labels, n = ndimage.label(noise > 0.3 * noise.std(), EIGHT)
    return np.where((labels > 0) & (np.arange(shape[1]) > shape[1] // 2), labels + n, labels)


def specks(rng, shape):
    """Give noise: many particles of few pixels."""
    return ndimage.label(rng.random(shape) < rng.uniform(0.02, 0.5), EIGHT)[0]


def rings(rng, shape):
    """Give particles inside holes of particles, touching or not."""
    y, x = np.indices(shape)
    distance = np.hypot(y - rng.uniform(0, shape[0]), (x - rng.uniform(0, shape[1])) * rng.uniform(0.5, 2))
    return np.rint(distance / rng.uniform(1.5, 8)).astype(int) * (rng.random(shape) < 0.98) % 5


def full(_rng, shape):
    return np.ones(shape, int)


def empty(_rng, shape):
    return np.zeros(shape, int)


SIDES = st.one_of(st.integers(1, 12), st.integers(56, 70), st.integers(118, 135))
LAYOUTS = (np.ascontiguousarray, np.asfortranarray, lambda a: np.repeat(a, 2, axis=1)[:, ::2], lambda a: a[::-1, ::-1])


@st.composite
def label_images(draw):
    """Draw int32 label images of all kinds, with gaps in the labels, in all orders of memory."""
    kind = draw(st.sampled_from([speckled, blobs, specks, rings, full, empty]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    labels = kind(rng, (draw(SIDES), draw(SIDES)))
    factor, by = draw(st.integers(1, 3)), draw(st.integers(0, 4))
    renumbered = np.where(labels > 0, factor * labels + by, 0).astype(np.int32)
    return draw(st.sampled_from(LAYOUTS))(renumbered)


def perimeter_of(image, estimator):
    if estimator == "paper":
        return skimage.measure.perimeter(image, 4)
    return skimage.measure.perimeter_crofton(image, 4)


def same(found, expected):
    np.testing.assert_allclose(found, expected, rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("estimator", ["paper", "crofton"])
@hypothesis.given(labels=label_images())
@hypothesis.settings(max_examples=80)
def test_areas_are_scikit_images_and_lengths_too_but_for_rounding(labels, estimator):
    found = pixel_regions(runs_of_labels(labels), estimator)
    expected = skimage.measure.regionprops(labels)

    np.testing.assert_array_equal(found.area, [r.area for r in expected])
    np.testing.assert_array_equal(found.hole_area, [r.area_filled - r.area for r in expected])
    np.testing.assert_array_equal(found.hull_area, [r.area_convex for r in expected])
    np.testing.assert_array_equal(found.area / found.hull_area, [r.solidity for r in expected])
    same(found.perimeter, [perimeter_of(r.image, estimator) for r in expected])
    same(found.hull_perimeter, [perimeter_of(r.image_convex, estimator) for r in expected])
    same(found.centroid_y, [r.centroid[0] for r in expected])
    same(found.centroid_x, [r.centroid[1] for r in expected])
    eccentricity = np.array([r.eccentricity for r in expected])
    same(found.eccentricity[eccentricity > 1e-4], eccentricity[eccentricity > 1e-4])
    np.testing.assert_allclose(found.eccentricity**2, eccentricity**2, atol=1e-13)  # its root is steep at 0
    same(found.major_axis, [r.axis_major_length for r in expected])
    same(found.minor_axis**2, [r.axis_minor_length**2 for r in expected])


@hypothesis.given(labels=label_images())
@hypothesis.settings(max_examples=100)
def test_holes_are_pieces_less_the_euler_number(labels):
    found = pixel_regions(runs_of_labels(labels), "paper")

    for region, holes in zip(skimage.measure.regionprops(labels), found.hole_count, strict=True):
        pieces = ndimage.label(region.image, EIGHT)[1]
        assert holes == pieces - region.euler_number


@hypothesis.given(labels=label_images())
@hypothesis.settings(max_examples=100)
def test_feret_diameters_are_those_of_the_contour_of_the_hull_image(labels):
    found = pixel_regions(runs_of_labels(labels), "paper")

    for row, region in enumerate(skimage.measure.regionprops(labels)):
        hull = np.pad(region.image_convex, 1)
        points = np.vstack(skimage.measure.find_contours(hull, 0.5, fully_connected="high"))
        normals = scipy.spatial.ConvexHull(points).equations[:, :2]
        same(found.feret_max[row], scipy.spatial.distance.pdist(points).max())
        same(found.feret_min[row], np.ptp(points @ normals.T, axis=0).min())


def test_the_drawn_images_hold_what_they_are_drawn_for():
    rng = np.random.default_rng(0)
    regions = [
        r for kind in (speckled, blobs, specks, rings) for r in skimage.measure.regionprops(kind(rng, (70, 130)))
    ]

    assert sum(r.euler_number < 1 for r in regions) > 3
    assert any(ndimage.label(r.image, EIGHT)[1] > 1 for r in regions)
    assert any(r.area == 1 for r in regions)
    assert any(r.area_filled > r.area for r in regions)
    assert max(r.image.shape[1] for r in regions) > 64


def test_a_hole_that_leaks_at_a_corner_is_counted_and_has_no_area():
    labels = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.int32)

    found = pixel_regions(runs_of_labels(labels), "paper")

    assert (found.hole_count[0], found.hole_area[0]) == (1, 0.0)


def test_one_particle_that_fills_a_large_micrograph_has_the_numbers_of_a_rectangle():
    height, width = 3000, 4100

    found = pixel_regions(runs_of_labels(np.ones((height, width), np.int32)), "paper")

    assert (found.area[0], found.hull_area[0]) == (height * width, height * width)
    assert found.perimeter[0] == found.hull_perimeter[0] == 2 * (height - 1) + 2 * (width - 1)
    assert found.major_axis[0] == pytest.approx(4 * np.sqrt((width**2 - 1) / 12), rel=1e-14)
    assert found.minor_axis[0] == pytest.approx(4 * np.sqrt((height**2 - 1) / 12), rel=1e-14)
    assert (found.centroid_y[0], found.centroid_x[0]) == ((height - 1) / 2, (width - 1) / 2)
    assert found.feret_max[0] == pytest.approx(np.hypot(height - 1, width), rel=1e-14)  # between the middles of sides


def column(table, name):
    return table.column(name).to_numpy()


@pytest.mark.parametrize("estimator", ["paper", "crofton"])
def test_the_table_holds_scikit_images_numbers_in_nanometres(estimator):
    noise = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((80, 90)), 1.5)
    labels, _ = ndimage.label(noise > 0.4 * noise.std(), EIGHT)
    side = 0.086

    table, _, _ = measure(labels=labels.astype(np.int32), pixel_size_nm=side, estimator=estimator)

    regions = skimage.measure.regionprops(labels)
    exact = {
        "label": [r.label for r in regions],
        "pixel_count": [r.area for r in regions],
        "area_nm2": [r.area * side**2 for r in regions],
        "hole_area_nm2": [(r.area_filled - r.area) * side**2 for r in regions],
        "hull_area_nm2": [r.area_convex * side**2 for r in regions],
        "solidity": [r.solidity for r in regions],
        **{
            f"bbox_{end}_px": [r.bbox[place] for r in regions]
            for place, end in enumerate(("top", "left", "bottom", "right"))
        },
    }
    rounded = {
        "perimeter_nm": [perimeter_of(r.image, estimator) * side for r in regions],
        "hull_perimeter_nm": [perimeter_of(np.pad(r.image_convex, 3), estimator) * side for r in regions],
        "eccentricity": [r.eccentricity for r in regions],
        "major_axis_nm": [r.axis_major_length * side for r in regions],
        "minor_axis_nm": [r.axis_minor_length * side for r in regions],
        "centroid_y_nm": [(r.centroid[0] + 0.5) * side for r in regions],
        "centroid_x_nm": [(r.centroid[1] + 0.5) * side for r in regions],
        "feret_max_nm": [r.feret_diameter_max * side for r in regions],
    }
    for name, values in exact.items():
        np.testing.assert_array_equal(column(table, name), values, err_msg=name)
    for name, values in rounded.items():
        np.testing.assert_allclose(column(table, name), values, rtol=ROUNDING, atol=1e-7, err_msg=name)
    assert column(table, "hole_area_nm2").max() > 0


def test_circularity_and_convexity_are_the_papers_formulas_on_those_numbers():
    labels = skimage.measure.label(np.pad(skimage.morphology.disk(25), 4)).astype(np.int32)
    (region,) = skimage.measure.regionprops(labels)

    table, _, _ = measure(labels=labels, pixel_size_nm=0.086, estimator="paper")

    assert column(table, "circularity")[0] == pytest.approx(4 * np.pi * region.area / region.perimeter**2, rel=1e-14)
    hull_perimeter = skimage.measure.perimeter(region.image_convex, 4)
    assert column(table, "convexity")[0] == pytest.approx(hull_perimeter / region.perimeter, rel=1e-14)
    assert column(table, "edge_length_nm")[0] == pytest.approx(0.086 * np.sqrt(region.area), rel=1e-14)


def test_the_orientation_is_scikit_images_measured_from_the_other_axis():
    labels = blobs(np.random.default_rng(5), (80, 90)).astype(np.int32)

    found = pixel_regions(runs_of_labels(labels), "paper")

    for region, angle in zip(skimage.measure.regionprops(labels), found.orientation, strict=True):
        if region.eccentricity > 0.1:
            along = np.array([np.sin(angle), np.cos(angle)])  # (y, x)
            theirs = np.array([np.cos(region.orientation), np.sin(region.orientation)])
            assert abs(along @ theirs) == pytest.approx(1, abs=1e-9)


def test_the_map_only_says_where_particles_are():
    probability = np.zeros((20, 20), np.uint8)
    probability[5:12, 4:15] = 200
    probability[4, 4:15] = 120

    table, labels, _ = measure(probability, pixel_size_nm=1.0, estimator="paper")
    without, _, _ = measure(labels=labels, pixel_size_nm=1.0, estimator="paper")

    assert column(table, "area_nm2")[0] == 77
    assert column(table, "mean_probability")[0] == pytest.approx(200 / 255)
    of_the_map = ["mean_probability", "min_probability"]
    assert table.drop_columns(of_the_map).equals(without.drop_columns(of_the_map))
