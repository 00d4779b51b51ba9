"""Probability maps of known outlines: coverage, blur, noise."""

import math

import numpy as np
import pytest
from scipy import integrate
from scipy.ndimage import gaussian_filter

from nanocensus.errors import InputError
from nanocensus.simulate.coverage import render_area_fraction
from nanocensus.simulate.maps import blurred_disc_radius, render_map
from nanocensus.simulate.placement import Planted
from nanocensus.simulate.shapes import disc, lobed, square


def planted(outline, centre=(20.3, 21.8), angle=0.4):
    return Planted("shape", outline, centre, angle)


def test_without_blur_it_is_the_area_fraction():
    particle = planted(lobed(0.1).scaled(15.0))
    fraction, (top, left) = render_area_fraction(particle.outline, (40, 44), particle.centre, particle.angle)
    expected = np.zeros((40, 44))
    expected[top : top + fraction.shape[0], left : left + fraction.shape[1]] = fraction
    np.testing.assert_array_equal(render_map([particle], (40, 44), blur_px=0.0), np.rint(255 * expected))


@pytest.mark.parametrize("blur", [0.35, 1.0, 2.3])
def test_a_blur_is_that_of_thirty_two_points_a_pixel(blur):
    particle, fine = planted(square().scaled(14.0)), 32
    at = (np.arange(48 * fine) + 0.5) / fine - 0.5
    points = np.stack(np.meshgrid(at, at, indexing="ij"), axis=-1).reshape(-1, 2)
    inside = particle.outline.contains(points, particle.centre, particle.angle).reshape(len(at), len(at))
    slow = gaussian_filter(inside.astype(float), blur * fine).reshape(48, fine, 48, fine).mean(axis=(1, 3))
    found = render_map([particle], (48, 48), blur_px=blur)
    # The reference finds an edge to 1/64 px; a Gaussian narrower by a tenth of a pixel would miss by 0.03.
    assert np.abs(found / 255 - slow).max() < 0.5 / 255 + 0.008


@pytest.mark.parametrize("blur", [0.35, 0.6, 1.0])
def test_a_blur_adds_its_variance_and_the_pixels(blur):
    """A Gaussian of 0.35 px sampled at whole pixels would add 0.03 instead of 0.12 px^2."""
    outline = disc().scaled(20.0)
    probability = render_map([planted(outline, (30.3, 29.6))], (60, 60), blur_px=blur).astype(float)
    x = np.arange(60)
    profile = probability.sum(axis=0) / probability.sum()
    variance = profile @ x**2 - (profile @ x) ** 2
    of_disc = outline.reach**2 / 4
    assert variance - of_disc == pytest.approx(blur**2 + 1 / 12, abs=0.02)


def test_the_border_only_cuts():
    particle = planted(disc().scaled(20.0), (3.2, 40.1))
    shifted = planted(disc().scaled(20.0), (23.2, 60.1))
    cut, whole = render_map([particle], (30, 44)), render_map([shifted], (80, 90))
    np.testing.assert_array_equal(cut, whole[20:50, 20:64])


def test_particles_in_contact_do_not_exceed_certainty():
    pair = [planted(disc().scaled(12.0), (20.0, x)) for x in (15.0, 25.0)]
    probability = render_map(pair, (40, 40))
    assert probability.max() == 255
    alone = render_map(pair[:1], (40, 40))
    assert (probability >= alone).all()


def test_noise_is_strongest_at_the_outline_and_absent_where_the_map_is_sure():
    particles = [planted(disc().scaled(40.0), (40.0, 40.0))]
    clean = render_map(particles, (80, 80)) / 255
    rng = np.random.default_rng(0)
    errors = np.stack([render_map(particles, (80, 80), noise=0.04, rng=rng) / 255 - clean for _ in range(200)])
    y, x = np.mgrid[:80, :80]
    sure = np.abs(np.hypot(y - 40, x - 40) - particles[0].outline.reach) > 7
    assert (errors[:, sure] == 0).all()
    unsure = (clean > 0.05) & (clean < 0.95)
    told = 0.04 * 4 * clean * (1 - clean)
    assert abs(errors[:, unsure].mean()) < 0.002
    assert np.abs(errors.std(axis=0) / np.where(unsure, told, 1))[unsure].mean() == pytest.approx(1.0, abs=0.03)


def test_equal_generators_give_equal_noise():
    maps = [
        render_map([planted(disc().scaled(20.0))], (40, 40), noise=0.04, rng=np.random.default_rng(seed))
        for seed in (3, 3, 4)
    ]
    assert (maps[0] == maps[1]).all()
    assert (maps[0] != maps[2]).any()


@pytest.mark.parametrize(("radius", "blur"), [(3.0, 1.0), (14.1, 1.0), (14.1, 0.35), (8.0, 2.0)])
def test_the_contour_of_a_blurred_disc_is_where_the_integral_is_one_half(radius, blur):
    rho = blurred_disc_radius(radius, blur)

    def ring(r):  # the Gaussian about (rho, 0), integrated over the ring's angle by its mean over 400 directions
        angle = 2 * math.pi * (np.arange(400) + 0.5) / 400
        squared = r**2 + rho**2 - 2 * r * rho * np.cos(angle)
        return 2 * math.pi * r * np.mean(np.exp(-squared / (2 * blur**2))) / (2 * math.pi * blur**2)

    value, _ = integrate.quad(ring, 0, radius, epsabs=1e-10)
    assert value == pytest.approx(0.5, abs=1e-6)
    assert rho == pytest.approx(radius - blur**2 / (2 * radius), abs=blur**4 / radius**3)


def test_a_disc_without_blur_keeps_its_radius():
    assert blurred_disc_radius(5.0, 0.0) == 5.0


@pytest.mark.parametrize("wrong", [{"blur_px": -1.0}, {"noise": -0.1}, {"noise": 0.1}, {"noise_grain_px": math.nan}])
def test_impossible_maps_are_refused(wrong):
    with pytest.raises(InputError):
        render_map([], (8, 8), **wrong)


@pytest.mark.parametrize("blur", [-0.1, 3.0, math.nan])
def test_a_disc_cannot_be_blurred_away(blur):
    with pytest.raises(InputError, match="half the radius"):
        blurred_disc_radius(5.0, blur)
