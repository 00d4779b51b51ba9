"""Alignment over references with the symmetry of a square: exact, blind to order, and honest about what it adds itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanocensus.errors import InputError
from nanocensus.measure import fourfold
from nanocensus.measure.alignment import align
from nanocensus.measure.fourfold import (
    QUANTUM,
    alignment_shift,
    even_sums,
    fixed_point,
    folded,
    fourth_amplitudes,
    fourth_harmonic,
    nearest_turns,
    roughness,
)


def cut_square(cut, angle):
    cosine, sine = np.abs(np.cos(angle + np.pi / 4)), np.abs(np.sin(angle + np.pi / 4))
    return np.minimum(1 / np.maximum(cosine, sine), (2 - cut) / (cosine + sine))


def rough(shapes, roughness_of, rng):
    """Add smooth noise to outlines: cosine and sine of harmonics 2 to 29 as 4 / k."""
    theta, k = 2 * np.pi * np.arange(shapes.shape[1]) / shapes.shape[1], np.arange(2, 30)
    waves = np.outer(k, theta)
    return shapes + sum(
        (rng.standard_normal((len(shapes), k.size)) * roughness_of * 4 / k) @ wave
        for wave in (np.cos(waves), np.sin(waves))
    )


def cut_squares(n, rng, cut=0.3, roughness_of=0.005):
    angle = 2 * np.pi * np.arange(128) / 128 - rng.uniform(0, 2 * np.pi, (n, 1))
    shapes = cut_square(cut, angle)
    return rough(shapes / shapes.mean(axis=1, keepdims=True), roughness_of, rng)


def quanta(radii):
    """Round each radius as folding does."""
    return np.rint(radii / radii.mean(axis=1, keepdims=True) / (4 * QUANTUM)).astype(np.int64)


def brute_force(outline, reference):
    """Give the smallest squared distance, in whole quanta, of all rotations and mirror images from a whole reference."""
    m = outline.size
    poses = [np.roll(side, shift) for side in (outline, outline[-np.arange(m)]) for shift in range(m)]
    return min(int(((pose - reference) ** 2).sum()) for pose in poses)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), size=st.sampled_from([4, 8, 32]), noise=st.sampled_from([0.0, 0.01, 0.3]))
def test_no_rotation_or_mirror_image_of_the_whole_outline_lies_nearer(seed, size, noise):
    """Exactly: in whole quanta, over symmetric references of all kinds."""
    rng = np.random.default_rng(seed)
    theta = 2 * np.pi * np.arange(4 * size) / (4 * size)
    turn = rng.uniform(0, 2 * np.pi, (3, 1))
    radii = 1 + 0.1 * np.cos(4 * (theta - turn)) + noise * rng.random((3, 4 * size))
    half = rng.integers(-(2**13), 2**13, size // 2 + 1)
    reference = fourfold.whole_period(half) if rng.integers(2) else fourth_harmonic(size)
    whole = np.tile(reference, 4) // 4 + 2**14
    reference = 4 * (whole[:size] - 2**14)
    turns = nearest_turns(folded(radii), reference)
    for outline, turned in zip(quanta(radii), turns, strict=True):
        assert int(((np.roll(outline, turned) - whole) ** 2).sum()) == brute_force(outline, whole)


def test_the_pose_is_one_that_the_search_through_all_poses_finds_as_near():
    rng = np.random.default_rng(1)
    radii = cut_squares(200, rng)
    found = fixed_point(folded(radii), np.ones(200, np.int64), fourth_harmonic(32))
    reference = 1.0 + np.tile(found.outline, 4) * QUANTUM
    shapes = radii / radii.mean(axis=1, keepdims=True)
    laid = np.array(
        [np.roll(each, turn) for each, turn in zip(shapes, nearest_turns(folded(radii), found.outline), strict=True)]
    )
    distance = np.sqrt(np.mean((laid - reference) ** 2, axis=1))
    # Radii are rounded to 6e-5 before poses are compared.
    np.testing.assert_allclose(distance, align(shapes, reference).distance, atol=3e-5)


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32), of=st.sampled_from([0.002, 0.02]), cut=st.sampled_from([0.3, 0.55]))
def test_the_fixed_point_is_the_same_to_the_bit_in_any_order_and_is_one(seed, of, cut):
    rng = np.random.default_rng(seed)
    outlines, weights = folded(cut_squares(60, rng, cut, of)), rng.integers(1, 2000, 60)
    found = fixed_point(outlines, weights, fourth_harmonic(32))
    order = rng.permutation(60)
    other = fixed_point(outlines[order], weights[order], fourth_harmonic(32))
    np.testing.assert_array_equal(found.outline, other.outline)
    assert found.passes == other.passes
    if found.converged:
        again = fixed_point(outlines, weights, found.outline)
        assert (again.passes, again.outline.tolist()) == (1, found.outline.tolist())
    np.testing.assert_array_equal(found.outline, found.outline[-np.arange(32)])


def test_mirror_images_and_rotations_by_whole_steps_change_nothing():
    rng = np.random.default_rng(2)
    radii = cut_squares(80, rng)
    turned = [np.roll(each[::-1] if rng.integers(2) else each, rng.integers(128)) for each in radii]
    start, ones = fourth_harmonic(32), np.ones(80, np.int64)
    first, second = (fixed_point(folded(np.array(each)), ones, start) for each in (radii, turned))
    # A mean is summed in another order when an outline is turned, and may round its radii to another quantum: 6e-5 each.
    np.testing.assert_allclose(first.outline * QUANTUM, second.outline * QUANTUM, atol=2e-5)


def test_folding_keeps_what_has_the_symmetry_and_nothing_else():
    theta = 2 * np.pi * np.arange(128) / 128
    radii = 7.0 * (1 + 0.05 * np.cos(4 * theta + 0.2) + 0.2 * np.cos(2 * theta) + 0.1 * np.sin(3 * theta))
    np.testing.assert_allclose(folded(radii[None])[0] * QUANTUM, 0.05 * np.cos(4 * theta[:32] + 0.2), atol=2 * QUANTUM)
    np.testing.assert_allclose(fourth_amplitudes(folded(radii[None])), 0.05, atol=2 * QUANTUM)


def test_even_sums_are_twice_the_symmetric_part_of_the_turned_outline():
    outlines, turns = np.random.default_rng(3).integers(-9, 9, (5, 16)), np.array([0, 1, 7, 15, 8])
    for outline, turn, made in zip(outlines, turns, even_sums(outlines, turns), strict=True):
        laid = np.roll(outline, turn)
        assert made.tolist() == (laid + laid[-np.arange(16)])[:9].tolist()


@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0])
def test_roughness_has_the_amplitude_that_noise_has(slope):
    """Of normal noise whose spectrum is a power of the harmonic, in every multiple of four, to what 4,000 outlines allow."""
    rng = np.random.default_rng(4)
    theta, k = 2 * np.pi * np.arange(128) / 128, np.arange(2, 40)
    radii = 1 + sum(
        (rng.standard_normal((4000, k.size)) * 0.005 * (4 / k) ** slope) @ wave
        for wave in (np.cos(np.outer(k, theta)), np.sin(np.outer(k, theta)))
    )
    made = roughness(radii, rng.integers(0, 2**64, (4000, 15), np.uint64))
    amplitude = lambda outlines: np.abs(np.fft.rfft(outlines, axis=1)).mean(axis=0)[1:9]
    np.testing.assert_allclose(amplitude(made), amplitude(folded(radii)), rtol=0.05)  # standard error: 1.2 %


def test_a_square_has_no_roughness_of_its_own():
    rng = np.random.default_rng(5)
    shapes = cut_square(0.3, 2 * np.pi * np.arange(128) / 128)[None]
    assert np.abs(roughness(shapes, rng.integers(0, 2**64, (1, 15), np.uint64))).max() * QUANTUM < 1e-4


def test_what_alignment_adds_is_found_and_taking_it_off_brings_the_planted_shape_back():
    """A weak square under three times its noise: the mean is 3 % too square, and right to 0.7 % afterwards."""
    rng = np.random.default_rng(6)
    theta = 2 * np.pi * np.arange(128) / 128
    radii = rough(1 + 0.03 * np.cos(4 * (theta - rng.uniform(0, 2 * np.pi, (4000, 1)))), 0.008, rng)
    ones = np.ones(4000, np.int64)
    found = fixed_point(folded(radii), ones, fourth_harmonic(32)).outline
    shift = alignment_shift(found, roughness(radii, rng.integers(0, 2**64, (4000, 15), np.uint64)), ones)
    wave = np.cos(2 * np.pi * np.arange(32) / 32)
    amplitude = lambda outline: float(2 * (outline @ wave) / 32)
    before = amplitude(found * QUANTUM)
    after = before - amplitude(fourfold.whole_period(shift))
    assert before > 0.0306
    assert abs(after - 0.03) < 4e-4  # standard error of 4,000 amplitudes: 1.3e-4


def test_discs_are_refused_nowhere_and_what_is_no_outline_is():
    assert (
        fixed_point(folded(np.full((3, 128), 5.0)), np.ones(3, np.int64), fourth_harmonic(32)).outline.tolist()
        == [0] * 32
    )
    with pytest.raises(InputError, match="expected"):
        folded(np.array([[1.0, 0.0, 1.0, 1.0]]))
