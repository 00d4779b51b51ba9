import numpy as np
import pytest


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
