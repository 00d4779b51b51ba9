"""The estimators that count pixels are scikit-image's, column by column."""

import numpy as np
import pytest
import skimage.measure
import skimage.morphology
from scipy import ndimage

from nanocensus.measure.descriptors import measure
from nanocensus.measure.label import label_particles


def drawn_labels(seed):
    """Give particles with holes, on the border, of few pixels and of many."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((80, 90)), 1.5)
    return label_particles(noise > 0.4 * noise.std())[0]


def column(table, name):
    return table.column(name).to_numpy()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("estimator", ["paper", "crofton"])
def test_every_length_and_area_is_that_of_scikit_image(seed, estimator):
    labels = drawn_labels(seed)
    side = 0.086

    table, _ = measure(labels=labels, pixel_size_nm=side, estimator=estimator)

    def perimeter(image):
        return (
            skimage.measure.perimeter(image, 4) if estimator == "paper" else skimage.measure.perimeter_crofton(image, 4)
        )

    regions = skimage.measure.regionprops(labels)
    assert column(table, "label").tolist() == [region.label for region in regions]
    expected = {
        "pixel_count": [r.area for r in regions],
        "area_nm2": [r.area * side**2 for r in regions],
        "hole_area_nm2": [(r.area_filled - r.area) * side**2 for r in regions],
        "perimeter_nm": [perimeter(r.image) * side for r in regions],
        "hull_area_nm2": [r.area_convex * side**2 for r in regions],
        "hull_perimeter_nm": [
            perimeter(np.pad(skimage.morphology.convex_hull_image(r.image), 3)) * side for r in regions
        ],
        "solidity": [r.solidity for r in regions],
        "eccentricity": [r.eccentricity for r in regions],
        "major_axis_nm": [r.axis_major_length * side for r in regions],
        "minor_axis_nm": [r.axis_minor_length * side for r in regions],
        "centroid_y_nm": [(r.centroid[0] + 0.5) * side for r in regions],
        "centroid_x_nm": [(r.centroid[1] + 0.5) * side for r in regions],
        "bbox_top_px": [r.bbox[0] for r in regions],
        "bbox_left_px": [r.bbox[1] for r in regions],
        "bbox_bottom_px": [r.bbox[2] for r in regions],
        "bbox_right_px": [r.bbox[3] for r in regions],
    }
    for name, values in expected.items():
        np.testing.assert_array_equal(column(table, name), values, err_msg=name)
    largest = [r.feret_diameter_max * side for r in regions]
    np.testing.assert_allclose(column(table, "feret_max_nm"), largest, rtol=1e-14)
    assert column(table, "hole_area_nm2").max() > 0


def test_circularity_and_convexity_are_the_papers_formulas_on_those_numbers():
    labels = skimage.measure.label(np.pad(skimage.morphology.disk(25), 4)).astype(np.int32)
    (region,) = skimage.measure.regionprops(labels)

    table, _ = measure(labels=labels, pixel_size_nm=0.086, estimator="paper")

    assert column(table, "circularity")[0] == pytest.approx(4 * np.pi * region.area / region.perimeter**2, rel=1e-14)
    hull_perimeter = skimage.measure.perimeter(region.image_convex, 4)
    assert column(table, "convexity")[0] == pytest.approx(hull_perimeter / region.perimeter, rel=1e-14)
    assert column(table, "edge_length_nm")[0] == pytest.approx(0.086 * np.sqrt(region.area), rel=1e-14)


def test_the_orientation_is_scikit_images_measured_from_the_other_axis():
    labels = drawn_labels(5)

    table, _ = measure(labels=labels, pixel_size_nm=1.0, estimator="paper")

    for region, angle in zip(skimage.measure.regionprops(labels), column(table, "orientation_rad"), strict=True):
        if region.eccentricity > 0.1:
            along = np.array([np.sin(angle), np.cos(angle)])  # (y, x)
            theirs = np.array([np.cos(region.orientation), np.sin(region.orientation)])
            assert abs(along @ theirs) == pytest.approx(1, abs=1e-9)


def test_the_map_only_says_where_particles_are():
    probability = np.zeros((20, 20), np.uint8)
    probability[5:12, 4:15] = 200
    probability[4, 4:15] = 120

    table, labels = measure(probability, pixel_size_nm=1.0, estimator="paper")
    without, _ = measure(labels=labels, pixel_size_nm=1.0, estimator="paper")

    assert column(table, "area_nm2")[0] == 77
    assert column(table, "mean_probability")[0] == pytest.approx(200 / 255)
    of_the_map = ["mean_probability", "min_probability"]
    assert table.drop_columns(of_the_map).equals(without.drop_columns(of_the_map))
