import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanocensus.errors import InputError
from nanocensus.measure.alignment import align
from nanocensus.measure.mean_outline import mean_outline, symmetric_part


def rms(outline, truth):
    """Distance of an outline from the truth in the pose nearest to it."""
    return float(align(outline[None], truth).distance[0])


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32), fold=st.sampled_from([2, 3, 4, 6]), amplitude=st.sampled_from([0.06, 0.01, 0.0]))
def test_order_rotation_and_mirroring_of_the_particles_change_nothing(seed, fold, amplitude, outline_population):
    rng = np.random.default_rng(seed)
    radii, _ = outline_population(40, rng, amplitude=amplitude, third=0.02)
    found = mean_outline(radii, fold=fold)
    order = rng.permutation(len(radii))
    shuffled = np.array(
        [np.roll(outline[::-1] if rng.integers(2) else outline, rng.integers(128)) for outline in radii[order]]
    )
    other = mean_outline(shuffled, fold=fold)
    np.testing.assert_allclose(other.mean, found.mean, atol=1e-12)
    np.testing.assert_allclose(other.symmetric, found.symmetric, atol=1e-12)
    np.testing.assert_allclose(other.alignment.distance, found.alignment.distance[order], atol=1e-12)
    np.testing.assert_array_equal(other.alignment.radii, found.alignment.radii[order])


@pytest.mark.parametrize(
    ("angles", "amplitude", "bar"), [(64, 0.06, 1e-3), (128, 0.06, 1e-3), (128, 0.03, 1.7e-3), (128, 0.01, 4e-3)]
)
def test_planted_shapes_come_back(angles, amplitude, bar, outline_population):
    """At the errors that 2,000 outlines allow: 8e-4, 1.4e-3 and 3.2e-3 for amplitudes of .06, .03 and .01."""
    radii, truth = outline_population(2000, np.random.default_rng(3), amplitude=amplitude, angles=angles)
    found = mean_outline(radii)
    assert found.converged
    assert rms(found.symmetric, truth) < bar
    assert found.symmetric.argmax() == 0


def test_an_asymmetric_shape_is_found_where_it_exceeds_the_noise(outline_population):
    radii, truth = outline_population(2000, np.random.default_rng(5), noise=0.01, third=0.015)
    found = mean_outline(radii)
    assert rms(found.mean, truth) < 5e-4
    assert rms(found.symmetric, truth) > 5e-3


def test_every_outline_is_in_the_pose_nearest_to_the_mean_and_no_pass_raises_the_residual(outline_population):
    radii, _ = outline_population(300, np.random.default_rng(6))
    found = mean_outline(radii)
    np.testing.assert_allclose(found.alignment.radii.mean(axis=0), found.mean, rtol=1e-12)
    np.testing.assert_allclose(align(radii, found.mean).distance, found.alignment.distance, rtol=1e-12)
    assert found.residuals[-1] == pytest.approx(np.sqrt(np.mean(found.alignment.distance**2)), rel=1e-9)
    assert (np.diff(found.residuals) <= 0.0).all()
    stopped = mean_outline(radii, max_passes=2)
    assert (stopped.converged, stopped.residuals) == (False, found.residuals[:2])


def test_weights_count_outlines_so_many_times(outline_population):
    rng = np.random.default_rng(7)
    radii, _ = outline_population(100, rng)
    counts = rng.integers(0, 4, len(radii))
    weighted = mean_outline(radii, weights=counts)
    repeated = mean_outline(np.repeat(radii, counts, axis=0))
    np.testing.assert_allclose(weighted.mean, repeated.mean, atol=1e-12)
    np.testing.assert_allclose(weighted.symmetric, repeated.symmetric, atol=1e-12)
    assert weighted.alignment.radii.shape == radii.shape


def test_normalised_outlines_of_any_size_have_the_mean_of_their_shapes(outline_population):
    rng = np.random.default_rng(8)
    radii, _ = outline_population(50, rng)
    shapes = radii / radii.mean(axis=1, keepdims=True)
    scaled = mean_outline(shapes * rng.uniform(10.0, 60.0, (50, 1)), normalise=True)
    np.testing.assert_allclose(scaled.mean, mean_outline(shapes).mean, atol=1e-12)


def test_discs_and_a_single_outline_are_their_own_mean():
    discs = mean_outline(np.full((3, 128), 5.0))
    np.testing.assert_allclose(discs.mean, 5.0, rtol=1e-15)
    np.testing.assert_allclose(discs.symmetric, 5.0, rtol=1e-15)
    assert discs.converged
    single = np.random.default_rng(9).uniform(1.0, 2.0, (1, 64))
    assert rms(mean_outline(single).mean, single[0]) < 1e-15


@pytest.mark.parametrize("fold", [2, 4, 8])
def test_the_symmetric_part_is_the_mean_over_the_symmetry(fold):
    outline = np.random.default_rng(10).random(64)
    turned = [np.roll(outline, turn * 64 // fold) for turn in range(fold)]
    both = np.mean([*turned, *(each[-np.arange(64)] for each in turned)], axis=0)
    np.testing.assert_allclose(symmetric_part(outline, fold), both, atol=1e-15)


@pytest.mark.parametrize(
    "options",
    [
        {"fold": 1},
        {"fold": 5},
        {"weights": np.zeros(3)},
        {"weights": np.ones(2)},
        {"weights": np.array([1.0, -1.0, 1.0])},
    ],
)
def test_what_cannot_be_averaged_is_refused(options):
    with pytest.raises(InputError, match="expected"):
        mean_outline(np.ones((3, 16)), **options)
