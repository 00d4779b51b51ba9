import numpy as np
import pytest
from scipy import ndimage

from nanocensus.measure.descriptors import measure
from nanocensus.simulate.coverage import render_area_fraction


@pytest.fixture(scope="session")
def outline_population():
    """Give a maker of outlines in random poses: a truth with corners, varying sharpness, smooth noise."""

    def population(n, rng, *, amplitude=0.06, noise=0.04, third=0.0, angles=128):
        theta = 2.0 * np.pi * np.arange(angles) / angles
        harmonics = np.arange(2, min(20, angles // 2))
        bend = amplitude * np.cos(4 * theta) + 0.25 * amplitude * np.cos(8 * theta) + third * np.cos(3 * theta + 0.4)
        waves = np.outer(harmonics, theta)
        roughness = sum(
            (rng.standard_normal((n, harmonics.size)) * noise / harmonics) @ wave
            for wave in (np.cos(waves), np.sin(waves))
        )
        radii = 1.0 + (1.0 + 0.3 * rng.standard_normal((n, 1))) * bend + roughness
        turned = [
            np.roll(outline[-np.arange(angles)] if mirrored else outline, shift)
            for outline, shift, mirrored in zip(
                radii, rng.integers(0, angles, n), rng.integers(0, 2, n).astype(bool), strict=True
            )
        ]
        return np.array(turned), 1.0 + bend

    return population


@pytest.fixture(scope="session")
def soft_map():
    """Give a renderer of a shape somewhere, exact to the share of each pixel, blurred and noisy."""

    def render(outline, edge_length, rng, *, sigma=1.0, noise=0.0, angle=None):
        side = int(1.5 * edge_length) + 20
        centre = tuple(side / 2 + rng.uniform(-0.5, 0.5, 2))
        turn = rng.uniform(0, 2 * np.pi) if angle is None else angle
        covered, (top, left) = render_area_fraction(outline.scaled(float(edge_length)), (side, side), centre, turn)
        whole = np.zeros((side, side))
        whole[top : top + covered.shape[0], left : left + covered.shape[1]] = covered
        if sigma:
            whole = ndimage.gaussian_filter(whole, sigma)
        return np.clip(np.rint(255 * (whole + noise * rng.standard_normal(whole.shape))), 0, 255).astype(np.uint8)

    return render


@pytest.fixture(scope="session")
def noise_map():
    """Give a maker of maps of smooth noise: components of every form, many with holes."""

    def draw(seed, shape=(96, 103), sigma=1.6):
        noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), sigma)
        return np.clip(np.rint(127.5 + 60 * noise / noise.std() - 10), 0, 255).astype(np.uint8)

    return draw


@pytest.fixture(scope="session")
def row_of():
    """Give what measures the largest particle of a map: noise leaves specks."""

    def largest(probability, **more):
        rows = measure(probability, pixel_size_nm=1.0, **more)[0].to_pylist()
        return max(rows, key=lambda row: row["pixel_count"])

    return largest
