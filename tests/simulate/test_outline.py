"""What an outline says of itself, against closed formulae and against slow, obvious geometry."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ellipe

from nanocensus.schema import PARTICLES
from nanocensus.simulate.outline import Outline
from nanocensus.simulate.polygon import polygon_moments
from nanocensus.simulate.shapes import (
    FAMILIES,
    dented_superellipse,
    disc,
    ellipse,
    lobed,
    square,
    superellipse,
    truncated_square,
)

star_shapes = st.lists(st.floats(0.5, 2.0), min_size=5, max_size=30).map(lambda radii: Outline(np.array(radii)))


def fan_moments(vertices):
    """Integrals of 1, y, x, y^2, x^2, xy: triangle by triangle from the centre, exact by the midpoints of the sides."""
    total = np.zeros(6)
    for a, b in itertools.pairwise([*vertices, vertices[0]]):
        area = 0.5 * abs(a[0] * b[1] - a[1] * b[0])
        for y, x in (a / 2, b / 2, (a + b) / 2):
            total += area / 3 * np.array([1, y, x, y * y, x * x, x * y])
    return total


def wrapped(points):
    """Convex hull by wrapping a string round the points."""
    hull = [points[np.lexsort(points.T)[0]]]
    while len(hull) <= len(points):
        here = hull[-1]
        best = next(p for p in points if (p != here).any())
        for p in points:
            turn = (best[1] - here[1]) * (p[0] - here[0]) - (best[0] - here[0]) * (p[1] - here[1])
            if turn < -1e-14 or (abs(turn) <= 1e-14 and np.hypot(*(p - here)) > np.hypot(*(best - here))):
                best = p
        if (best == hull[0]).all():
            return np.array(hull)
        hull.append(best)
    raise AssertionError("the string never closed")


def lengths(polygon):
    return np.hypot(*(np.roll(polygon, -1, axis=0) - polygon).T)


@given(star_shapes)
@settings(max_examples=40)
def test_moments_are_those_of_the_triangles(outline):
    area, y, x, yy, xx, xy = fan_moments(outline.vertices)
    cy, cx = y / area, x / area
    covariance = np.array([[yy / area - cy * cy, xy / area - cy * cx], [xy / area - cy * cx, xx / area - cx * cx]])
    small, large = np.linalg.eigvalsh(covariance)
    moments = outline.moments
    assert outline.area == pytest.approx(area, rel=1e-12)
    assert moments.area == pytest.approx(area, rel=1e-12)
    assert moments.centroid == pytest.approx((cy, cx), abs=1e-12)
    assert moments.major_axis == pytest.approx(4 * math.sqrt(large), rel=1e-10)
    assert moments.minor_axis == pytest.approx(4 * math.sqrt(small), rel=1e-10)
    assert moments.eccentricity == pytest.approx(math.sqrt(1 - small / large), abs=1e-6)
    direction = np.array([math.sin(moments.orientation), math.cos(moments.orientation)])
    assert direction @ covariance @ direction == pytest.approx(large, rel=1e-10)


@given(star_shapes)
@settings(max_examples=40)
def test_the_hull_is_the_string_round_the_points(outline):
    hull = wrapped(outline.vertices)
    assert outline.hull_perimeter == pytest.approx(lengths(hull).sum(), rel=1e-9)
    y, x = hull.T
    area = 0.5 * abs((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())
    assert outline.hull_area == pytest.approx(area, rel=1e-9)
    assert outline.solidity == pytest.approx(outline.area / area, rel=1e-9)
    assert outline.convexity == pytest.approx(lengths(hull).sum() / lengths(outline.vertices).sum(), rel=1e-9)


@given(star_shapes)
@settings(max_examples=40)
def test_calipers_are_the_extreme_widths_over_all_directions(outline):
    angles = np.linspace(0, math.pi, 4001)
    along = outline.vertices @ np.stack([np.sin(angles), np.cos(angles)])
    widths = along.max(axis=0) - along.min(axis=0)
    step = angles[1] * outline.reach  # a width changes by no more than this from one direction to the next
    assert widths.max() <= outline.feret_max + 1e-9
    assert outline.feret_max < widths.max() + step
    assert outline.feret_min <= widths.min() + 1e-9
    assert widths.min() < outline.feret_min + step
    direction = np.array([math.sin(outline.feret_max_angle), math.cos(outline.feret_max_angle)])
    reached = outline.vertices @ direction
    assert reached.max() - reached.min() == pytest.approx(outline.feret_max, rel=1e-12)


@pytest.mark.parametrize("angle", [0.0, 0.3, -1.2])
def test_an_ellipse_has_its_own_axes(angle):
    outline = ellipse(1.7)
    assert outline.perimeter == pytest.approx(4 * 1.7 * ellipe(1 - 1 / 1.7**2), rel=2e-5)
    assert (outline.feret_max, outline.feret_min) == pytest.approx((3.4, 2.0), rel=2e-5)
    assert outline.feret_max_angle == pytest.approx(0.0, abs=1e-12)
    moments = polygon_moments(outline.placed((5.0, -3.0), angle))
    assert moments.centroid == pytest.approx((5.0, -3.0), abs=1e-12)
    assert (moments.major_axis, moments.minor_axis) == pytest.approx((3.4, 2.0), rel=5e-5)
    assert moments.eccentricity == pytest.approx(math.sqrt(1 - 1 / 1.7**2), rel=5e-5)
    assert moments.orientation == pytest.approx(angle, abs=1e-9)


def test_a_disc_is_round_in_every_way():
    found = disc().scaled(math.sqrt(math.pi) * 3).descriptors()  # radius 3
    # The polygon of 720 sides lies inside its circle by 1e-5 of the radius at the middle of a side.
    for name in ("circularity", "solidity", "convexity", "aspect_ratio", "roundness", "compactness"):
        assert found[name] == pytest.approx(1.0, abs=6e-5), name
    assert found["eccentricity"] < 1e-6
    for name in ("equivalent_diameter_nm", "major_axis_nm", "minor_axis_nm", "feret_max_nm", "feret_min_nm"):
        assert found[name] == pytest.approx(6.0, rel=6e-5), name


def test_a_square_is_exact_in_every_way():
    found = square().scaled(5.0).descriptors()
    exact = {
        "area_nm2": 25.0,
        "perimeter_nm": 20.0,
        "hull_area_nm2": 25.0,
        "hull_perimeter_nm": 20.0,
        "edge_length_nm": 5.0,
        "circularity": math.pi / 4,
        "solidity": 1.0,
        "convexity": 1.0,
        "major_axis_nm": 4 * 5 / math.sqrt(12),
        "minor_axis_nm": 4 * 5 / math.sqrt(12),
        "feret_max_nm": 5 * math.sqrt(2),
        "feret_min_nm": 5.0,
        "aspect_ratio": 1 / math.sqrt(2),
        "roundness": 2 / math.pi,
    }
    assert {name: found[name] for name in exact} == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("steps", [15, 40, 75])
def test_a_truncated_square_whose_corners_are_vertices_is_exact(steps):
    left = math.tan(2 * math.pi * steps / 720)  # the cut meets the side there, on the ray of a vertex
    cut = 1 - left
    outline = truncated_square(cut)
    assert outline.area == pytest.approx(4 - 2 * cut**2, rel=1e-12)
    assert outline.perimeter == pytest.approx(8 * left + 4 * math.sqrt(2) * cut, rel=1e-12)
    assert outline.solidity == pytest.approx(1.0, rel=1e-12)
    assert outline.convexity == pytest.approx(1.0, rel=1e-12)
    assert outline.feret_max == pytest.approx(2 * math.hypot(1, left), rel=1e-12)
    assert outline.feret_min == pytest.approx(min(2.0, math.sqrt(2) * (1 + left)), rel=1e-12)
    # Moments: the square less four right triangles with legs `cut`.
    arm = 1 - cut / 3
    moment = 4 / 3 - 4 * (cut**4 / 36 + cut**2 / 2 * arm**2)
    assert outline.moments.major_axis == pytest.approx(4 * math.sqrt(moment / outline.area), rel=1e-12)


def test_four_lobes_have_the_area_and_the_bridges_of_the_smooth_curve():
    outline, angles = lobed(0.12), np.linspace(0, math.pi / 4, 200_001)
    radii = 1 - 0.12 * np.cos(4 * angles)
    assert outline.area == pytest.approx(math.pi * (1 + 0.12**2 / 2), rel=3e-5)
    away = radii * np.cos(angles)
    crest = int(away.argmax())  # the hull bridges a face from crest to crest
    face = np.trapezoid(np.where(np.arange(len(angles)) < crest, (away[crest] / np.cos(angles)) ** 2, radii**2), angles)
    assert outline.solidity == pytest.approx(np.trapezoid(radii**2, angles) / face, rel=3e-5)
    y, x = radii * np.sin(angles), away
    beyond = np.hypot(np.diff(y), np.diff(x))[crest:].sum()
    assert outline.hull_perimeter == pytest.approx(8 * (y[crest] + beyond), rel=3e-5)
    assert outline.convexity < 1


def test_amplitudes_are_those_that_were_planted():
    assert lobed(0.07).amplitude(4) == pytest.approx(0.07, rel=1e-12)
    assert lobed(0.07, lobes=6).amplitude(6) == pytest.approx(0.07, rel=1e-12)
    assert lobed(0.07).amplitude(8) == pytest.approx(0.0, abs=1e-12)


def test_a_dented_disc_is_a_lobed_one():
    depth = 0.2
    amplitude = depth / (2 - depth)
    dented, lobes = dented_superellipse(2.0, depth).scaled(1.0), lobed(amplitude).scaled(1.0)
    np.testing.assert_allclose(dented.radii, lobes.radii, rtol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_descriptors_are_columns_of_the_particle_table_within_their_range(family):
    found = FAMILIES[family](np.random.default_rng(2)).scaled(4.3).descriptors()
    assert set(found) <= set(PARTICLES.names)
    assert found["edge_length_nm"] == pytest.approx(4.3, rel=1e-12)
    for name in ("solidity", "convexity", "aspect_ratio", "roundness", "compactness"):
        assert 0 < found[name] <= 1 + 1e-12, name


def test_the_superellipse_ends_at_the_disc_and_the_square():
    assert superellipse(2.0).circularity == pytest.approx(disc().circularity, rel=1e-12)
    assert superellipse(400.0).circularity == pytest.approx(square().circularity, rel=5e-3)
