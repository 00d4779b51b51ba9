"""The mean signed distance between outlines, from areas and from the points themselves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanocensus.segment.judging.boundary import boundary_distance, boundary_error


def _area_and_perimeter(points):
    after = np.roll(points, -1, axis=0)
    area = abs((points[:, 0] * after[:, 1] - after[:, 0] * points[:, 1]).sum()) / 2
    return area, np.hypot(*(after - points).T).sum()


def _ellipse(a, b, n=1500):
    angle = 2 * np.pi * np.arange(n) / n
    return np.stack([a * np.cos(angle), b * np.sin(angle)], axis=1)


def _signed_distances(points, outline, inside):
    """Each point against every side of the outline: the slow and obvious way."""
    start, side = outline, np.roll(outline, -1, axis=0) - outline
    along = ((points[:, None] - start) * side).sum(-1) / (side**2).sum(-1)
    nearest = start + np.clip(along, 0, 1)[..., None] * side
    distance = np.sqrt(((points[:, None] - nearest) ** 2).sum(-1)).min(1)
    return np.where(inside, -distance, distance)


@settings(max_examples=15)
@given(st.floats(10, 40), st.floats(0.6, 1.0), st.floats(-1.5, 1.5), st.floats(-0.5, 0.5), st.integers(2, 5))
def test_it_is_the_mean_distance_of_the_points(a, ratio, shift, ripple, waves):
    true = _ellipse(a, a * ratio, 400)
    tangent = np.roll(true, -1, axis=0) - np.roll(true, 1, axis=0)
    normal = np.stack([tangent[:, 1], -tangent[:, 0]], axis=1) / np.hypot(*tangent.T)[:, None]
    offset = shift + ripple * np.cos(waves * 2 * np.pi * np.arange(len(true)) / len(true))
    found = true + offset[:, None] * normal
    distances = _signed_distances(found, true, offset < 0)
    lengths = np.hypot(*(np.roll(true, -1, axis=0) - np.roll(true, 1, axis=0)).T)
    expected = np.average(distances, weights=lengths)
    (area, perimeter), (found_area, _) = _area_and_perimeter(true), _area_and_perimeter(found)
    error = boundary_error(np.array([area]), np.array([perimeter]), np.array([found_area]))[0]
    assert error == pytest.approx(expected, abs=0.03)  # the ripple's square over the radius


def test_parallel_outlines_are_found_exactly():
    side = np.array([10.0, 50.0])
    grown = side**2 + 4 * side * 1.0 + np.pi  # a square grown by 1 px has round corners
    np.testing.assert_allclose(boundary_error(side**2, 4 * side, grown), 1.0)
    np.testing.assert_allclose(boundary_error(side**2, 4 * side, side**2), 0.0)


def test_distances_count_both_sides():
    assert boundary_distance(np.array([40.0]), np.array([30.0]))[0] == 0.75
