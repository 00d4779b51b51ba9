"""What outlines alone tell of a shape: harmonics, their noise, concavity and more, on planted shapes."""

import numpy as np
import pytest
from scipy import ndimage

from nanocensus.measure.descriptors import measure
from nanocensus.measure.label import label_particles
from nanocensus.measure.outline import outlines, radial_profiles
from nanocensus.simulate import shapes
from nanocensus.simulate.outline import Outline, directions


def planted(shape, harmonic):
    """Give psi of a shape as it is, about its centre, from its own radii."""
    power = np.abs(np.fft.rfft(shape.radii))
    return 2 * power[harmonic] / power[0]


@pytest.mark.parametrize(
    ("shape", "harmonic"),
    [(shapes.lobed(a, lobes=k), k) for a, k in ((0.01, 4), (0.03, 4), (0.06, 4), (0.03, 3), (0.03, 6), (0.02, 8))]
    + [(shapes.ellipse(1.2), 2), (shapes.truncated_square(0.0), 4)],
)
@pytest.mark.parametrize("edge_length", [50, 93])
def test_psi_is_the_planted_amplitude_less_the_noise(soft_map, row_of, shape, harmonic, edge_length):
    rng = np.random.default_rng(harmonic)
    rows = [row_of(soft_map(shape, edge_length, rng, noise=0.04)) for _ in range(6)]

    found = np.mean([row[f"psi_{harmonic}"] for row in rows])
    assert found == pytest.approx(planted(shape, harmonic), rel=0.06 if edge_length == 50 else 0.02, abs=2e-4)


def polygon(*distances):
    """Give the polygon whose sides lie at these distances from the origin, at equal angles."""
    across = np.cos(directions(2880)[:, None] - 2 * np.pi * np.arange(len(distances)) / len(distances))
    return Outline((np.array(distances) / np.where(across > 0.1, across, 1e-9)).min(1))


@pytest.mark.parametrize(
    "shape",
    [shapes.disc(), shapes.ellipse(1.6), shapes.truncated_square(0.3), shapes.lobed(0.1), shapes.lobed(0.03, lobes=6)]
    + [polygon(1, aspect, 1, aspect) for aspect in (1.0, 0.97, 0.95, 0.9, 0.8, 0.5)]
    + [polygon(*[1.0] * corners) for corners in (3, 5, 6)],
)
@pytest.mark.parametrize("edge_length", [25, 50, 93])
def test_without_noise_no_shape_has_outline_noise(soft_map, row_of, shape, edge_length):
    rng = np.random.default_rng(edge_length)

    noise = np.array([row_of(soft_map(shape, edge_length, rng))["outline_noise_nm"] for _ in range(4)])
    assert np.sqrt(np.mean(noise**2)) < 0.04
    assert noise.max() < 0.07  # a face nearly along the rows or columns of pixels ripples


@pytest.mark.parametrize("noise", [0.02, 0.04])
@pytest.mark.parametrize("edge_length", [25, 50, 93])
@pytest.mark.parametrize(
    "shape", [shapes.disc(), shapes.square(), polygon(1, 0.8, 1, 0.8)], ids=["disc", "square", "rectangle"]
)
def test_the_outline_noise_is_that_of_the_radii_and_leaves_psi_with_little_of_it(
    soft_map, row_of, shape, edge_length, noise
):
    """What is left of an even chance power P, less its mean and not below zero, is P / e on average."""
    smooth, noisy = (
        [soft_map(shape, edge_length, np.random.default_rng(seed), noise=level) for seed in range(30)]
        for level in (0.0, noise)
    )
    radii, without = (
        np.concatenate([radial_profiles([max(outlines(p, label_particles(p > 127)[0]), key=len)]) for p in maps])
        for maps in (noisy, smooth)
    )
    rows = [row_of(probability) for probability in noisy]

    estimated = np.sqrt(np.mean([row["outline_noise_nm"] ** 2 for row in rows]))
    assert estimated == pytest.approx((radii - without).std(), rel=0.2)
    odd = [3, 5, 7]
    raw = np.abs(np.fft.rfft(radii, axis=1)[:, odd] / 128) ** 2
    psi = np.array([[row[f"psi_{k}"] for k in odd] for row in rows])
    left = np.mean((psi * radii.mean(axis=1, keepdims=True) / 2) ** 2) / raw.mean()
    assert 0.2 < left < 0.55


@pytest.mark.parametrize("edge_length", [25, 50, 93])
def test_of_smooth_noise_less_is_taken_off_than_it_adds(soft_map, row_of, edge_length):
    rng = np.random.default_rng(edge_length)
    rows, profiles = [], []
    for _ in range(20):
        probability = soft_map(shapes.disc(), edge_length, rng)
        smooth = ndimage.gaussian_filter(rng.standard_normal(probability.shape), 1.0)
        probability = np.clip(probability + 0.04 * 255 * smooth / smooth.std(), 0, 255).astype(np.uint8)
        rows.append(row_of(probability))
        profiles.append(radial_profiles([max(outlines(probability, label_particles(probability > 127)[0]), key=len)]))

    radii = np.concatenate(profiles)
    assert np.mean([row["outline_noise_nm"] for row in rows]) < 1.1 * np.std(radii - radii.mean(axis=1, keepdims=True))
    power = np.abs(np.fft.rfft(radii, axis=1)[:, [5, 7]] / 128) ** 2
    psi = np.array([[row["psi_5"], row["psi_7"]] for row in rows])
    assert np.mean((psi * radii.mean(axis=1, keepdims=True) / 2) ** 2) > 0.4 * power.mean()


def test_concavity_is_minus_one_round_zero_straight_and_rises_as_faces_hollow(soft_map, row_of):
    rng = np.random.default_rng(0)

    def concavity(shape, edge_length=60, noise=0.0, repeats=3):
        maps = [soft_map(shape, edge_length, rng, noise=noise) for _ in range(repeats)]
        return np.mean([row_of(probability)["concavity"] for probability in maps])

    for edge_length in (25, 93):
        assert concavity(shapes.disc(), edge_length) == pytest.approx(-1, abs=0.01)
        assert concavity(shapes.truncated_square(0.0), edge_length) == pytest.approx(0, abs=0.02)
        assert concavity(shapes.truncated_square(0.4), edge_length) == pytest.approx(0, abs=0.03)
    family = [concavity(shapes.lobed(amplitude)) for amplitude in (0.0, 0.02, 0.04, 1 / 17, 0.08, 0.1, 0.12)]
    assert np.all(np.diff(family) > 0.05)
    assert family[3] < 0 < family[4]
    noisy = concavity(shapes.lobed(0.1), noise=0.04, repeats=12)
    assert noisy == pytest.approx(family[5], abs=0.05)
    assert concavity(shapes.disc(), noise=0.04, repeats=12) == pytest.approx(-1, abs=0.05)


def test_a_straight_face_has_no_curvature_wherever_the_centroid_is(row_of):
    """A trapezium: its faces lie at unlike distances from the centroid and are tilted against it."""
    y, x = np.mgrid[:120, :120].astype(float)
    inside = np.minimum.reduce([y - 30, 90 - y, x - 32 + 0.1 * (y - 60), 85 + 0.1 * (y - 60) - x])
    probability = np.rint(255 * np.clip(0.5 + inside / 2, 0, 1)).astype(np.uint8)

    assert row_of(probability)["concavity"] == pytest.approx(0, abs=0.02)


def test_pixel_estimators_leave_what_only_outlines_tell_unknown(noise_map):
    table, _, _ = measure(noise_map(0), pixel_size_nm=0.1, estimator="paper")

    for name in (
        "edge_width_nm", "area_p40_nm2", "area_p60_nm2", "gap_nm", "outline_noise_nm", "concavity", "star_shaped",
        *(f"psi_{k}" for k in range(2, 9)),
    ):  # fmt: skip
        assert table.column(name).null_count == table.num_rows > 0, name


def test_holes_are_counted():
    probability = np.zeros((40, 60), np.uint8)
    probability[5:35, 5:55] = 255
    probability[10:14, 10:14] = 0
    probability[20:30, 30:40] = 0
    probability[24:26, 34:36] = 255  # a particle of its own, within a hole

    rows = measure(probability, pixel_size_nm=1.0)[0].to_pylist()

    assert [row["hole_count"] for row in rows] == [2, 0]
    assert rows[1]["gap_nm"] == pytest.approx(9)  # to the outer outline: that of the hole is nearer


def test_the_largest_feret_diameter_has_its_angle(soft_map, row_of):
    rng = np.random.default_rng(1)
    for angle in (-1.2, -0.3, 0.4, 1.5):
        row = row_of(soft_map(shapes.ellipse(1.4), 40, rng, angle=angle))
        assert np.cos(2 * (row["feret_max_angle_rad"] - angle)) == pytest.approx(1, abs=0.02)
        assert abs(row["feret_max_angle_rad"]) <= np.pi / 2


def test_the_extent_is_of_the_box_of_the_outline(row_of):
    probability = np.zeros((12, 14), np.uint8)
    probability[3:8, 2:11] = 255

    assert row_of(probability)["extent"] == pytest.approx((5 * 9 - 0.5) / (5 * 9))
    assert row_of(probability, estimator="paper")["extent"] == 1
    probability[3, 2] = 0
    assert row_of(probability, estimator="paper")["extent"] == pytest.approx(44 / 45)


def test_below_20_px_across_a_particle_is_too_small(soft_map, row_of):
    rng = np.random.default_rng(2)
    across = {diameter: row_of(soft_map(shapes.disc(), diameter * np.sqrt(np.pi) / 2, rng)) for diameter in (19, 21)}

    assert across[19]["too_small"]
    assert not across[21]["too_small"]


def test_the_least_probability_is_that_of_its_pixels(noise_map):
    probability = noise_map(1)
    table, labels, _ = measure(probability, pixel_size_nm=1.0)

    expected = [probability[labels == label].min() / 255 for label in range(1, labels.max() + 1)]
    np.testing.assert_allclose(table.column("min_probability").to_numpy(), expected, rtol=1e-14)
