"""What is planted is exact: outlines against closed formulae, area fractions against outlines."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ellipe, gamma

from nanocensus.simulate.coverage import render_area_fraction
from nanocensus.simulate.shapes import FAMILIES, disc, ellipse, lobed, superellipse, truncated_square

poses = {
    "edge_length": st.floats(4.0, 40.0),
    "offset": st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)),
    "angle": st.floats(0, 2 * math.pi),
}


def test_a_disc_has_the_area_perimeter_and_hull_of_a_circle():
    outline = disc().scaled(math.sqrt(math.pi) * 10)  # radius 10
    assert outline.area == pytest.approx(math.pi * 100, rel=1e-12)
    # The polygon of 720 sides is what is planted; a circle's perimeter lies 1e-5 above it.
    assert outline.perimeter == pytest.approx(2 * math.pi * 10, rel=2e-5)
    assert outline.circularity == pytest.approx(1.0, rel=3e-5)
    assert outline.solidity == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("aspect", [1.05, 1.4, 3.0])
def test_an_ellipse_has_the_perimeter_of_the_elliptic_integral(aspect):
    outline = ellipse(aspect)
    assert outline.area == pytest.approx(math.pi * aspect, rel=1e-4)
    assert outline.perimeter == pytest.approx(4 * aspect * ellipe(1 - 1 / aspect**2), rel=1e-4)


def test_a_square_is_exact():
    outline = truncated_square(0.0).scaled(7.0)
    assert outline.area == pytest.approx(49.0, rel=1e-12)
    assert outline.perimeter == pytest.approx(28.0, rel=1e-12)
    assert outline.circularity == pytest.approx(math.pi / 4, rel=1e-12)
    assert outline.solidity == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("truncation", [0.2, 0.6, 1.0])
def test_a_truncated_square_loses_its_corner_triangles(truncation):
    outline = truncated_square(truncation)
    assert outline.area == pytest.approx(4 - 2 * truncation**2, rel=1e-4)
    assert outline.perimeter == pytest.approx(8 * (1 - truncation) + 4 * math.sqrt(2) * truncation, rel=2e-3)


@pytest.mark.parametrize("exponent", [2.0, 4.0])
def test_a_superellipse_has_the_area_of_the_gamma_functions(exponent):
    exact = 4 * gamma(1 + 1 / exponent) ** 2 / gamma(1 + 2 / exponent)
    assert superellipse(exponent).area == pytest.approx(exact, rel=1e-4)


def test_four_lobes_are_concave_above_one_seventeenth():
    assert lobed(1 / 17 - 0.01).solidity == pytest.approx(1.0, abs=1e-6)
    assert lobed(1 / 17 + 0.03).solidity < 0.999


def test_scaling_sets_the_edge_length_and_keeps_the_shape():
    outline = lobed(0.08)
    scaled = outline.scaled(12.5)
    assert math.sqrt(scaled.area) == pytest.approx(12.5, rel=1e-12)
    assert scaled.circularity == pytest.approx(outline.circularity, rel=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
@given(seed=st.integers(0, 2**32 - 1), **poses)
@settings(max_examples=15)
def test_area_fractions_add_up_to_the_outline(family, seed, edge_length, offset, angle):
    outline = FAMILIES[family](np.random.default_rng(seed)).scaled(edge_length)
    fraction, _ = render_area_fraction(outline, (128, 128), (64 + offset[0], 64 + offset[1]), angle)
    assert fraction.sum() == pytest.approx(outline.area, rel=1e-10)
    assert fraction.min() >= 0
    assert fraction.max() <= 1


@pytest.mark.parametrize("family", FAMILIES)
@given(seed=st.integers(0, 2**32 - 1), **poses)
@settings(max_examples=3)
def test_area_fractions_equal_counted_points(family, seed, edge_length, offset, angle):
    """The reference asks 32 x 32 points of every pixel whether they lie inside."""
    outline = FAMILIES[family](np.random.default_rng(seed)).scaled(edge_length)
    centre = (30 + offset[0], 34 + offset[1])
    fraction, (top, left) = render_area_fraction(outline, (64, 72), centre, angle)
    grid = (np.arange(32) + 0.5) / 32 - 0.5
    rows = (top + np.arange(fraction.shape[0]))[:, None, None, None] + grid[None, None, :, None]
    columns = (left + np.arange(fraction.shape[1]))[None, :, None, None] + grid[None, None, None, :]
    points = np.stack(np.broadcast_arrays(rows, columns), axis=-1).reshape(-1, 2)
    counted = outline.contains(points, centre, angle).reshape(*fraction.shape, -1).mean(axis=-1)
    # An edge is found to half a cell at worst, 1/64 px: along it in one pixel, and along the whole perimeter.
    assert np.abs(counted - fraction).max() < 0.04
    assert abs((counted - fraction).sum()) < outline.perimeter / 64


@given(centre=st.tuples(st.floats(-20, 60), st.floats(-20, 70)), angle=st.floats(0, 7))
@settings(max_examples=25)
def test_the_image_border_only_cuts(centre, angle):
    """A window in a small image is the same window of a large one, cropped."""
    outline = superellipse(4.0).scaled(15.0)
    large, (row, column) = render_area_fraction(outline, (140, 150), (centre[0] + 50, centre[1] + 50), angle)
    whole = np.zeros((140, 150))
    whole[row : row + large.shape[0], column : column + large.shape[1]] = large
    cut, (top, left) = render_area_fraction(outline, (40, 50), centre, angle)
    image = np.zeros((40, 50))
    image[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
    np.testing.assert_allclose(image, whole[50:90, 50:100], atol=1e-9)


def test_an_outline_outside_the_image_covers_nothing():
    fraction, _ = render_area_fraction(disc().scaled(5.0), (20, 20), (-40.0, 10.0), 0.0)
    assert fraction.size == 0


def test_a_turned_square_stands_where_it_is_put():
    """A square of side 4 at (10, 20), turned by 45 degrees, reaches sqrt(8) along both axes."""
    vertices = truncated_square(0.0).scaled(4.0).placed((10.0, 20.0), math.pi / 4)
    np.testing.assert_allclose(vertices.min(axis=0), [10 - math.sqrt(8), 20 - math.sqrt(8)], atol=1e-9)
    np.testing.assert_allclose(vertices.max(axis=0), [10 + math.sqrt(8), 20 + math.sqrt(8)], atol=1e-9)


def test_turning_goes_from_x_towards_y():
    """The far end of a long ellipse along x comes down (towards larger y) on the right."""
    vertices = ellipse(3.0).placed((0.0, 0.0), 0.3)
    far = vertices[np.argmax(vertices[:, 1])]
    assert far[1] > 0
    assert far[0] > 0.5
