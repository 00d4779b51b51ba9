import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanocensus.errors import InputError
from nanocensus.measure.alignment import align, mean_outline_sequential, parse_outlines

DRAWN = settings(max_examples=30)


def pose(outline, shift, mirrored):
    return np.roll(outline[-np.arange(outline.size)] if mirrored else outline, shift)


def brute_force(outline, reference):
    """Go through all poses; of those whose squared distances agree to rounding the first is the nearest."""
    m = outline.size
    poses = [(mirrored, shift) for mirrored in (False, True) for shift in range(m)]
    squares = np.array([((pose(outline, shift, mirrored) - reference) ** 2).sum() for mirrored, shift in poses])
    equal = 2e-13 * np.linalg.norm(outline) * np.linalg.norm(reference)
    best = int(np.flatnonzero(squares <= squares.min() + equal)[0])
    return *poses[best], np.sqrt(squares[best] / m)


@st.composite
def drawn_outlines(draw):
    """Rough, smooth, symmetric and round outlines of any size at any even number of angles."""
    m = draw(st.sampled_from([4, 6, 16, 30, 64, 128]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    theta = 2.0 * np.pi * np.arange(m) / m
    fold, amplitude = draw(st.integers(0, 8)), draw(st.sampled_from([0.0, 0.05, 0.3]))
    noise = draw(st.sampled_from([0.0, 1e-3, 0.01, 0.2]))
    base = 1.0 + amplitude * np.cos(fold * theta) + noise * rng.random((draw(st.integers(1, 6)), m))
    radii = draw(st.sampled_from([1.0, 60.0])) * base
    turned = [pose(outline, int(rng.integers(m)), bool(rng.integers(2))) for outline in radii]
    other = draw(st.booleans())
    reference = base[0] if other else np.round(1.0 + 0.2 * rng.random(m), 2)
    return np.array(turned), reference


@DRAWN
@given(drawn_outlines())
def test_the_nearest_pose_is_that_of_a_search_through_all_poses(drawn):
    radii, reference = drawn
    found = align(radii, reference)
    for i, outline in enumerate(radii):
        mirrored, shift, distance = brute_force(outline, reference)
        assert (bool(found.mirrored[i]), int(found.shift[i])) == (mirrored, shift)
        np.testing.assert_array_equal(found.radii[i], pose(outline, shift, mirrored))
        assert found.distance[i] == pytest.approx(distance, rel=1e-9, abs=1e-9)


@DRAWN
@given(drawn_outlines())
def test_normalised_outlines_keep_their_poses_and_lose_their_size(drawn):
    radii, reference = drawn
    own, shape = align(radii, reference), align(radii, reference, normalise=True)
    np.testing.assert_array_equal(own.shift, shape.shift)
    np.testing.assert_array_equal(own.mirrored, shape.mirrored)
    np.testing.assert_allclose(shape.radii.mean(axis=1), 1.0, rtol=1e-12)
    again = align(7.0 * radii, reference, normalise=True)
    np.testing.assert_allclose(again.distance, shape.distance, atol=1e-12)


def test_more_outlines_than_are_scored_at_once_are_aligned_alike(outline_population):
    radii, truth = outline_population(9000, np.random.default_rng(1), angles=16)
    whole = align(radii, truth)
    for start, stop in ((0, 10), (4090, 4100), (8990, 9000)):
        np.testing.assert_array_equal(whole.radii[start:stop], align(radii[start:stop], truth).radii)


def test_of_equally_near_poses_the_first_is_taken():
    theta = np.arange(128) * np.pi / 64
    disc, square = np.full(128, 5.0), 5.0 + 0.5 * np.cos(4 * theta)
    for reference in (disc, square):
        found = align(np.stack([disc, square, np.roll(square, 5)]), reference)
        assert not found.mirrored.any()
    assert found.shift.tolist() == [0, 0, 27]  # a square has turned into itself after 32 steps


def test_outlines_over_a_symmetric_reference_have_a_symmetric_mean(outline_population):
    """Which of the 8 equivalent poses a particle gets must not depend on its noise: the mean would be lopsided."""
    radii, truth = outline_population(2000, np.random.default_rng(3), noise=0.04)
    error = np.sqrt(np.mean((align(radii, truth).radii.mean(axis=0) - truth) ** 2))
    assert error < 1.5e-3  # statistics of 2,000 outlines: 9.8e-4


def sequential_reference(radii):
    mean, distances = radii[0].copy(), [0.0]
    for i, outline in enumerate(radii[1:], start=1):
        mirrored, shift, distance = brute_force(outline, mean)
        mean += (pose(outline, shift, mirrored) - mean) / (i + 1)
        distances.append(distance)
    return mean, distances


@settings(max_examples=10)
@given(drawn_outlines())
def test_the_sequential_mean_is_that_of_a_loop_over_all_poses(drawn):
    radii, _ = drawn
    expected, distances = sequential_reference(radii)
    mean, alignment = mean_outline_sequential(radii)
    np.testing.assert_allclose(mean, expected, rtol=1e-12)
    np.testing.assert_allclose(alignment.distance, distances, rtol=1e-9, atol=1e-7)
    np.testing.assert_allclose(alignment.radii.mean(axis=0), mean, rtol=1e-12)


def test_the_sequential_mean_depends_on_the_order(outline_population):
    rng = np.random.default_rng(5)
    radii, _ = outline_population(500, rng, noise=0.04)
    first, _ = mean_outline_sequential(radii)
    second, _ = mean_outline_sequential(radii[rng.permutation(len(radii))])
    assert align(second[None], first).distance[0] > 1e-3


@pytest.mark.parametrize(
    ("radii", "reference"),
    [
        (np.array([[1.0, np.nan, 1.0, 1.0]]), np.ones(4)),
        (np.array([[1.0, 0.0, 1.0, 1.0]]), np.ones(4)),
        (np.ones((2, 5)), np.ones(5)),
        (np.ones((2, 4)), np.ones(6)),
        (np.ones((2, 4)), np.full(4, np.inf)),
    ],
)
def test_what_is_no_outline_is_refused(radii, reference):
    with pytest.raises(InputError, match="expected"):
        align(radii, reference)


def test_a_single_row_of_radii_is_refused_with_its_shape():
    with pytest.raises(InputError, match=r"a row each.*an array of shape \(8,\)"):
        inspect.unwrap(parse_outlines)(np.ones(8), normalise=False)  # the check of shapes is for tests alone


def test_no_outline_can_be_aligned_but_not_averaged():
    assert align(np.ones((0, 8)), np.ones(8)).radii.shape == (0, 8)
    with pytest.raises(InputError, match="none"):
        mean_outline_sequential(np.ones((0, 8)))
