"""Pixel sizes from lattice fringes, against planted ones."""

import numpy as np
import pytest

from nanocensus.measure.crystals import spacings_nm
from nanocensus.measure.lattice import Spots, find_spots, scale_from_lattice

STATED_NM = 0.086


def found_in(images, lattice="Co3O4", stated=STATED_NM):
    return scale_from_lattice([find_spots(image) for image in images], stated, spacings_nm(lattice))


@pytest.mark.parametrize(("error", "anisotropy"), [(0.005, 0.0), (-0.01, 0.005), (0.03, 0.005), (-0.03, 0.0)])
def test_errors_of_scale_are_found_to_a_thousandth(error, anisotropy, lattice_micrograph):
    rng = np.random.default_rng(int(1000 * (1 + error)))
    true = STATED_NM * (1 + error)
    scale = found_in([lattice_micrograph(rng, true, anisotropy=anisotropy) for _ in range(3)])
    assert scale.pixel_size_nm == pytest.approx(true, rel=1e-3)
    assert abs(scale.anisotropy - anisotropy) < 2e-3
    low, high = scale.anisotropy_interval
    assert low <= anisotropy <= high
    if anisotropy:
        assert min(scale.long_axis_deg, 180 - scale.long_axis_deg) < 20


@pytest.mark.parametrize(
    ("lattice", "error"), [("Cu", -0.02), ("Ni", -0.02), ("Fe", 0.0), ("TiO2", 0.01), ("ZnO", 0.02), ("CeO2", -0.01)]
)
def test_lattices_of_few_and_of_many_rings_are_found(lattice, error, lattice_micrograph):
    """One ring alone may lie inside of what the camera resolves, and none of the middle of the list."""
    rng, true = np.random.default_rng(3), STATED_NM * (1 + error)
    scale = found_in([lattice_micrograph(rng, true, lattice=lattice) for _ in range(2)], lattice)
    assert scale.pixel_size_nm == pytest.approx(true, rel=1e-3)


@pytest.mark.slow
def test_intervals_cover(lattice_micrograph):
    covered = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        true, anisotropy = STATED_NM * (1 + rng.uniform(-0.03, 0.03)), rng.choice([0.0, 0.005])
        scale = found_in([lattice_micrograph(rng, true, anisotropy=anisotropy) for _ in range(2)])
        (low, high), (least, most) = scale.pixel_size_interval_nm, scale.anisotropy_interval
        covered.append((low <= true <= high, least <= anisotropy <= most, abs(scale.pixel_size_nm / true - 1) < 1e-3))
    shares = np.mean(covered, axis=0)
    assert (shares[:2] > 0.8).all(), shares
    assert shares[2] >= 0.95, shares


def test_without_a_lattice_none_is_found(lattice_micrograph):
    rng = np.random.default_rng(5)
    assert found_in([lattice_micrograph(rng, STATED_NM, fringes=0.0) for _ in range(2)]) is None
    assert found_in([]) is None
    assert found_in([rng.normal(size=(100, 100))]) is None


def test_fringes_of_no_lattice_in_particular_are_none():
    rng = np.random.default_rng(6)
    image = np.zeros((1024, 1024))
    y, x = np.mgrid[:128, :128]
    for row in range(8):
        for column in range(8):  # a period of its own in each window
            turn, frequency = rng.uniform(0, np.pi), rng.uniform(0.15, 0.4)
            wave = np.cos(2 * np.pi * frequency * (np.sin(turn) * y + np.cos(turn) * x))
            image[128 * row : 128 * row + 128, 128 * column : 128 * column + 128] = wave
    assert found_in([image + rng.normal(size=image.shape)]) is None


def test_a_spot_lies_where_the_wave_is():
    y, x = np.mgrid[:512, :512]
    rng = np.random.default_rng(7)
    near_the_axis = [(0.2355, steps / 256) for steps in (-1.4, -1.0, -0.6, -0.5, -0.4, 0.3, 0.6)]
    for frequency in [(0.1, 0.23), (-0.31, 0.05), (0.2, 0.0), *near_the_axis]:
        image = np.cos(2 * np.pi * (frequency[0] * y + frequency[1] * x)) + rng.normal(size=y.shape)
        spots = find_spots(image)
        sign = np.sign(spots.frequency @ frequency)[:, None]
        np.testing.assert_allclose(sign * spots.frequency, np.tile(frequency, (len(sign), 1)), atol=1e-3)
        assert len(spots.strength) == 49
        assert spots.window.max() == 6


def test_fringes_that_are_seen_from_either_side_are_one_set():
    spacings = np.array([0.286, 0.2438, 0.202])
    turns = np.append(np.linspace(0.2, 3.0, 8), np.pi / 2 + 1e-3)  # the last is nearly along y
    there = np.stack([np.sin(turns), np.cos(turns)], axis=1) * 0.086 / np.resize(spacings, len(turns))[:, None]
    window = np.stack([np.full(len(turns), 5), 10 * np.arange(len(turns))], axis=1)
    # In the next window the spots of some are found as their mirror image; far away the same direction is another crystal's.
    beside = there * np.where(turns > np.pi / 2, -1.0, 1.0)[:, None]
    spots = Spots(
        np.concatenate([there, beside, there[:1]]),
        np.ones(2 * len(turns) + 1),
        np.concatenate([window, np.add(window, [0, 1]), np.add(window[:1], [40, 0])]),
    )
    whole = scale_from_lattice([spots, spots], 0.086, spacings)
    assert whole is not None
    assert whole.spots == 2 * (len(turns) + 1)
    assert whole.pixel_size_nm == pytest.approx(0.086, rel=1e-6)
