"""Discs and squares with exact area fractions: the bias that is known, and no more."""

import numpy as np
import pytest
from scipy import ndimage

from nanocensus.measure.descriptors import measure

SUBPIXELS = 12


def soft_map(inside, side, sigma=1.0):
    """Render a shape by its area fractions, blurred by 1 px as networks' maps are."""
    at = (np.arange(side * SUBPIXELS) + 0.5) / SUBPIXELS - 0.5
    fractions = inside(at[:, None], at[None, :]).reshape(side, SUBPIXELS, side, SUBPIXELS).mean(axis=(1, 3))
    return np.rint(255 * ndimage.gaussian_filter(fractions, sigma)).astype(np.uint8)


def disc(edge_length, y0, x0):
    return lambda y, x: (y - y0) ** 2 + (x - x0) ** 2 <= edge_length**2 / np.pi


def square(edge_length, y0, x0, angle):
    def inside(y, x):
        along, across = (
            np.cos(angle) * (x - x0) + np.sin(angle) * (y - y0),
            np.cos(angle) * (y - y0) - np.sin(angle) * (x - x0),
        )
        return np.maximum(abs(along), abs(across)) <= edge_length / 2

    return inside


def outcome(probability, estimator="outline"):
    (row,) = measure(probability, pixel_size_nm=1.0, estimator=estimator)[0].to_pylist()
    return row


@pytest.mark.parametrize("edge_length", [25, 50, 93])
def test_the_outline_of_a_disc_is_round_wherever_it_lies(edge_length):
    side = int(1.2 * edge_length) + 12
    radius = edge_length / np.sqrt(np.pi)

    for offset in np.random.default_rng(edge_length).uniform(-0.5, 0.5, (4, 2)):
        row = outcome(soft_map(disc(edge_length, *(side / 2 + offset)), side))

        assert row["circularity"] == pytest.approx(1, abs=0.005)
        # the contour lies inside the disc by sigma^2 / 2R; the pixel adds 1/12 to sigma^2, chords cut a tenth more
        assert row["area_nm2"] == pytest.approx(edge_length**2 * (1 - 1.2 / radius**2), rel=0.0005)
        assert row["solidity"] == pytest.approx(1, abs=0.005)
        assert row["aspect_ratio"] == pytest.approx(1, abs=0.01)
        assert row["feret_max_nm"] == pytest.approx(2 * radius, abs=0.2)
        assert row["eccentricity"] < 0.1
        assert row["centroid_y_nm"] - 0.5 == pytest.approx(side / 2 + offset[0], abs=0.02)
        assert row["centroid_x_nm"] - 0.5 == pytest.approx(side / 2 + offset[1], abs=0.02)


@pytest.mark.parametrize(("edge_length", "bias"), [(25, 0.054), (50, 0.028), (93, 0.0144)])
@pytest.mark.parametrize("angle", [0.0, 0.3, np.pi / 4])
def test_a_squares_circularity_is_high_by_its_rounded_corners_alone(edge_length, bias, angle):
    side = int(1.5 * edge_length) + 12

    row = outcome(soft_map(square(edge_length, side / 2 + 0.2, side / 2 - 0.3, angle), side))

    assert row["circularity"] - np.pi / 4 == pytest.approx(bias, abs=0.005)
    assert row["solidity"] > 0.98
    assert row["feret_min_nm"] == pytest.approx(edge_length, abs=0.15)


def test_labels_alone_keep_a_disc_rounder_than_its_pixels_do():
    side = 80
    probability = soft_map(disc(50, 40.2, 39.6), side)
    labels = (probability > 127).astype(np.int32)

    (smoothed,) = measure(labels=labels, pixel_size_nm=1.0)[0].to_pylist()
    pixels = outcome(probability, "paper")

    assert smoothed["circularity"] == pytest.approx(0.989, abs=0.005)
    assert pixels["circularity"] == pytest.approx(0.925, abs=0.015)


def test_a_hole_is_part_of_the_area_and_reported_apart():
    side, inner = 80, 20

    def ring(y, x):
        return disc(50, 40, 40)(y, x) & ~disc(inner, 40, 40)(y, x)

    row = outcome(soft_map(ring, side))

    assert row["area_nm2"] == pytest.approx(50**2, rel=0.01)
    assert row["hole_area_nm2"] == pytest.approx(inner**2, rel=0.02)
    assert row["circularity"] == pytest.approx(1, abs=0.005)
    (by_pixels,) = measure(soft_map(ring, side), pixel_size_nm=1.0, estimator="paper")[0].to_pylist()
    assert by_pixels["area_nm2"] == pytest.approx(50**2 - inner**2, rel=0.02)
