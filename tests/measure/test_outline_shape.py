"""What outlines alone tell: r(theta), harmonics, faces, edges and gaps, against slow references and planted shapes."""

import numpy as np
import pytest
import scipy.spatial
import scipy.stats
import skimage.measure
from scipy import ndimage, optimize

from nanocensus.measure.descriptors import measure
from nanocensus.measure.label import label_particles
from nanocensus.measure.outline import outlines, radial_profiles
from nanocensus.measure.regions._cpu import trace_outlines
from nanocensus.measure.regions._gap import gaps
from nanocensus.measure.regions._runs import extents, runs_of_labels
from nanocensus.simulate import shapes
from nanocensus.simulate.coverage import render_area_fraction
from nanocensus.simulate.outline import Outline, directions

ANGLES = 2 * np.pi * np.arange(128) / 128


def soft_map(outline, edge_length, rng, *, sigma=1.0, noise=0.0, angle=None):
    """Render a shape somewhere, exact to the share of each pixel, blurred and noisy."""
    side = int(1.5 * edge_length) + 20
    centre = tuple(side / 2 + rng.uniform(-0.5, 0.5, 2))
    turn = rng.uniform(0, 2 * np.pi) if angle is None else angle
    covered, (top, left) = render_area_fraction(outline.scaled(float(edge_length)), (side, side), centre, turn)
    whole = np.zeros((side, side))
    whole[top : top + covered.shape[0], left : left + covered.shape[1]] = covered
    if sigma:
        whole = ndimage.gaussian_filter(whole, sigma)
    return np.clip(np.rint(255 * (whole + noise * rng.standard_normal(whole.shape))), 0, 255).astype(np.uint8)


def row_of(probability, **more):
    """Give the row of the largest particle: noise leaves specks."""
    rows = measure(probability, pixel_size_nm=1.0, **more)[0].to_pylist()
    return max(rows, key=lambda row: row["pixel_count"])


def noise_map(seed, shape=(96, 103), sigma=1.6):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), sigma)
    return np.clip(np.rint(127.5 + 60 * noise / noise.std() - 10), 0, 255).astype(np.uint8)


def centroid_of(points):
    (ya, xa), (yb, xb) = points.T, np.roll(points, -1, 0).T
    cross = xa * yb - xb * ya
    return np.array([np.sum((ya + yb) * cross), np.sum((xa + xb) * cross)]) / (3 * np.sum(cross))


def crossings_of(points, angle):
    """Give the distances at which a ray from the centroid meets each edge, by solving for both lengths."""
    found = []
    here = points - centroid_of(points)
    for a, b in zip(here, np.roll(here, -1, 0), strict=True):
        system = np.array([[np.sin(angle), a[0] - b[0]], [np.cos(angle), a[1] - b[1]]])
        if abs(np.linalg.det(system)) > 1e-14:
            radius, share = np.linalg.solve(system, a)
            if radius > 0 and 0 <= share < 1:
                found.append(radius)
    return found


@pytest.mark.parametrize("seed", range(2))
def test_radii_are_where_rays_from_the_centroid_meet_the_edges(seed):
    probability = noise_map(seed, (48, 50))
    labels, n = label_particles(probability > 127)
    traced = outlines(probability, labels)

    profiles = radial_profiles(traced)
    flags = measure(probability, pixel_size_nm=1.0)[0].column("star_shaped").to_pylist()

    assert n > 5
    assert {True, False} == set(flags)
    for points, profile, star_shaped in zip(traced, profiles, flags, strict=True):
        met = [crossings_of(points, angle) for angle in ANGLES]
        expected = [max(radii, default=0.0) for radii in met]
        np.testing.assert_allclose(profile, expected, atol=1e-9)
        assert star_shaped == all(len(radii) == 1 for radii in met)


def test_an_outline_about_an_outer_centroid_has_rays_that_meet_nothing():
    horseshoe = np.zeros((30, 30), np.uint8)
    horseshoe[4:26, 4:26] = 255
    horseshoe[8:26, 8:22] = 0

    row = row_of(horseshoe)
    (profile,) = radial_profiles(outlines(horseshoe, (horseshoe > 0).astype(np.int32)))

    assert profile.min() == 0
    assert not row["star_shaped"]
    for name in ("concavity", "outline_noise_nm", *(f"psi_{k}" for k in range(2, 9))):
        assert row[name] is None, name


def test_a_label_that_is_not_there_has_no_radii():
    labels = np.zeros((9, 9), np.int32)
    labels[3:6, 3:6] = 2

    profiles = radial_profiles(outlines(None, labels))

    assert np.isnan(profiles[0]).all()
    assert (profiles[1] > 1).all()
    assert radial_profiles([]).shape == (0, 128)


@pytest.mark.parametrize("seed", range(4))
def test_components_of_the_map_measure_alike_whether_or_not_their_labels_are_given(seed):
    probability = noise_map(seed)
    labels, _ = label_particles(probability > 127)

    found, _, _ = measure(probability, pixel_size_nm=1.0)
    given, _, _ = measure(probability, labels, pixel_size_nm=1.0)
    strided = np.repeat(np.repeat(probability, 2, 0), 3, 1)[::2, ::3]
    from_strided, _, _ = measure(strided, np.asfortranarray(labels), pixel_size_nm=1.0)

    assert found.num_rows > 10
    assert found.equals(given)
    assert from_strided.equals(given)


@pytest.mark.parametrize("connectivity", [8, 4])
@pytest.mark.parametrize("seed", range(3))
def test_contours_of_components_are_found_on_the_map_alone(seed, connectivity):
    probability = noise_map(seed)
    labels, _ = label_particles(probability > 127, connectivity)
    runs = runs_of_labels(labels)
    placed = extents(runs, probability)

    one = trace_outlines(None, probability, 127.5, placed, components=runs)[1]
    other = trace_outlines(labels, probability, 127.5, placed)[1]

    np.testing.assert_array_equal(one.stops, other.stops)
    np.testing.assert_array_equal(one.points, other.points)
    np.testing.assert_array_equal(one.radii, other.radii)


@pytest.mark.parametrize("seed", range(3))
def test_the_gap_is_the_smallest_distance_between_vertices_of_two_outlines(seed):
    probability = noise_map(seed)
    table, labels, _ = measure(probability, pixel_size_nm=0.5)
    traced = outlines(probability, labels)

    for row, gap in enumerate(table.column("gap_nm").to_pylist()):
        others = np.concatenate(traced[:row] + traced[row + 1 :])
        assert gap == pytest.approx(0.5 * scipy.spatial.distance.cdist(traced[row], others).min(), abs=1e-9)


def test_gaps_are_right_between_outlines_of_all_sizes_and_far_apart():
    rng = np.random.default_rng(5)
    for _ in range(30):
        sizes = rng.integers(3, 60, rng.integers(2, 9))
        centres, radii = rng.uniform(0, 300, (sizes.size, 2)), rng.uniform(0.5, 90, sizes.size)
        polygons = [
            centre + radius * np.stack([np.sin(t), np.cos(t)], 1)
            for size, centre, radius in zip(sizes, centres, radii, strict=True)
            for t in [2 * np.pi * np.arange(size) / size]
        ]

        found = gaps(np.concatenate(polygons), np.cumsum(sizes))

        for k, polygon in enumerate(polygons):
            others = np.concatenate(polygons[:k] + polygons[k + 1 :])
            assert found[k] == pytest.approx(scipy.spatial.distance.cdist(polygon, others).min(), abs=1e-9)


def test_touching_labels_are_less_than_a_pixel_apart_and_one_alone_has_no_gap():
    labels = np.zeros((20, 30), np.int32)
    labels[5:15, 5:15] = 1
    alone = measure(np.where(labels, 255, 0).astype(np.uint8), labels, pixel_size_nm=1.0)[0]
    labels[5:15, 15:25] = 2
    probability = np.where(labels, 255, 0).astype(np.uint8)

    touching = measure(probability, labels, pixel_size_nm=1.0)[0]

    assert alone.column("gap_nm").to_pylist() == [None]
    assert all(0 <= gap < 1 for gap in touching.column("gap_nm").to_pylist())


def area_inside(field, level, at):
    """Give the area inside the contour of the piece that holds a pixel; a value equal to the level is outside."""
    pieces, _ = ndimage.label(field > level, np.ones((3, 3)))
    own = np.where((pieces == pieces[at]) | (pieces == 0), field, 0.0)
    found = skimage.measure.find_contours(np.pad(own, 1), level + 1e-9, fully_connected="high")
    return max(abs(0.5 * np.sum(c[:-1, 1] * c[1:, 0] - c[1:, 1] * c[:-1, 0])) for c in found)


@pytest.mark.parametrize("seed", range(4))
def test_areas_at_other_probabilities_are_those_of_find_contours(seed):
    probability = noise_map(seed)
    table, labels, _ = measure(probability, pixel_size_nm=1.0)

    for row in table.to_pylist():
        own = labels == row["label"]
        field = np.where((labels > 0) & ~own, 0.0, probability.astype(float))
        beside = ndimage.binary_dilation(own, np.ones((3, 3)))
        first = tuple(np.argwhere(own)[0])
        lower = area_inside(np.where(beside, field, np.minimum(field, 102.0)), 102.0, first)
        higher = np.where(own, field, np.minimum(field, 127.0))
        pieces, count = ndimage.label(higher > 153, np.ones((3, 3)))
        firsts = [tuple(np.argwhere(pieces == piece)[0]) for piece in range(1, count + 1)]
        largest = max((area_inside(higher, 153.0, at) for at in firsts), default=0.0)
        assert row["area_p40_nm2"] == pytest.approx(lower, abs=1e-6)
        assert row["area_p60_nm2"] == pytest.approx(largest, abs=1e-6)


def test_areas_at_other_probabilities_follow_the_threshold_and_are_unknown_for_pieces():
    probability = soft_map(shapes.disc(), 30, np.random.default_rng(0))

    for threshold, same in ((0.4, "area_p40_nm2"), (0.6, "area_p60_nm2")):
        row = row_of(probability, threshold=threshold)
        assert row[same] == pytest.approx(row["area_nm2"], rel=1e-12)
    row = row_of(probability, threshold=0.7)
    assert row["area_p40_nm2"] > row["area_p60_nm2"] > row["area_nm2"]
    in_pieces = np.where(probability > 127, 1, 0).astype(np.int32)
    in_pieces[0, 0] = 1
    assert row_of(probability, labels=in_pieces)["area_p40_nm2"] is None


@pytest.mark.parametrize("sigma", [0.35, 0.7, 1.0, 2.0])
@pytest.mark.parametrize("shape", [shapes.disc(), shapes.truncated_square(0.3)], ids=["disc", "truncated square"])
def test_the_edge_width_is_that_of_the_blur(shape, sigma):
    rng = np.random.default_rng(int(100 * sigma))
    widths = [row_of(soft_map(shape, 60, rng, sigma=sigma))["edge_width_nm"] for _ in range(4)]

    taps = ndimage.gaussian_filter1d(np.eye(1, 41, 20)[0], sigma)  # of a narrow one less is left on pixels
    variance = np.sum(taps * (np.arange(41) - 20) ** 2) + 1 / 12  # a pixel's share of area is a blur of its own
    assert np.mean(widths) == pytest.approx(2.563 * np.sqrt(variance), rel=0.03)
    assert np.ptp(widths) < 0.05 * np.mean(widths)


@pytest.mark.parametrize("threshold", [0.3, 0.7])
def test_the_edge_width_does_not_hang_on_the_threshold_or_the_noise(threshold):
    rng = np.random.default_rng(3)

    assert row_of(soft_map(shapes.disc(), 60, rng), threshold=threshold)["edge_width_nm"] == pytest.approx(
        2.67, rel=0.03
    )
    noisy = np.mean([row_of(soft_map(shapes.disc(), 60, rng, noise=0.03))["edge_width_nm"] for _ in range(5)])
    assert noisy == pytest.approx(2.67, rel=0.05)


def test_a_mask_and_a_map_of_steps_have_no_edge_width():
    labels = np.zeros((20, 20), np.int32)
    labels[5:15, 5:15] = 1

    assert row_of(None, labels=labels)["edge_width_nm"] is None
    assert row_of((255 * labels).astype(np.uint8))["edge_width_nm"] is None


@pytest.mark.parametrize("edge_length", [25, 50, 93])
def test_the_area_of_a_disc_is_that_of_its_blurred_level(edge_length):
    rng = np.random.default_rng(edge_length)
    radius, variance = edge_length / np.sqrt(np.pi), 1 + 1 / 12

    def share_within(distance):
        """Chance that a normal point about (distance, 0) falls into the disc: the blurred disc there."""
        return scipy.stats.ncx2.cdf(radius**2 / variance, 2, distance**2 / variance)

    level = optimize.brentq(lambda distance: share_within(distance) - 0.5, 0.5 * radius, 1.5 * radius)
    for _ in range(4):
        row = row_of(soft_map(shapes.disc(), edge_length, rng))
        assert row["area_nm2"] == pytest.approx(np.pi * level**2, rel=0.002)
        assert row["area_nm2"] == pytest.approx(edge_length**2, rel={25: 0.01, 50: 0.003, 93: 0.001}[edge_length])
        assert row["circularity"] == pytest.approx(1, abs=0.005)


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
def test_psi_is_the_planted_amplitude_less_the_noise(shape, harmonic, edge_length):
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
def test_without_noise_no_shape_has_outline_noise(shape, edge_length):
    rng = np.random.default_rng(edge_length)

    noise = np.array([row_of(soft_map(shape, edge_length, rng))["outline_noise_nm"] for _ in range(4)])
    assert np.sqrt(np.mean(noise**2)) < 0.04
    assert noise.max() < 0.07  # a face nearly along the rows or columns of pixels ripples


@pytest.mark.parametrize("noise", [0.02, 0.04])
@pytest.mark.parametrize("edge_length", [25, 50, 93])
@pytest.mark.parametrize(
    "shape", [shapes.disc(), shapes.square(), polygon(1, 0.8, 1, 0.8)], ids=["disc", "square", "rectangle"]
)
def test_the_outline_noise_is_that_of_the_radii_and_leaves_psi_with_little_of_it(shape, edge_length, noise):
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
def test_of_smooth_noise_less_is_taken_off_than_it_adds(edge_length):
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


def test_concavity_is_minus_one_round_zero_straight_and_rises_as_faces_hollow():
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


def test_a_straight_face_has_no_curvature_wherever_the_centroid_is():
    """A trapezium: its faces lie at unlike distances from the centroid and are tilted against it."""
    y, x = np.mgrid[:120, :120].astype(float)
    inside = np.minimum.reduce([y - 30, 90 - y, x - 32 + 0.1 * (y - 60), 85 + 0.1 * (y - 60) - x])
    probability = np.rint(255 * np.clip(0.5 + inside / 2, 0, 1)).astype(np.uint8)

    assert row_of(probability)["concavity"] == pytest.approx(0, abs=0.02)


def test_pixel_estimators_leave_what_only_outlines_tell_unknown():
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


def test_the_largest_feret_diameter_has_its_angle():
    rng = np.random.default_rng(1)
    for angle in (-1.2, -0.3, 0.4, 1.5):
        row = row_of(soft_map(shapes.ellipse(1.4), 40, rng, angle=angle))
        assert np.cos(2 * (row["feret_max_angle_rad"] - angle)) == pytest.approx(1, abs=0.02)
        assert abs(row["feret_max_angle_rad"]) <= np.pi / 2


def test_the_extent_is_of_the_box_of_the_outline():
    probability = np.zeros((12, 14), np.uint8)
    probability[3:8, 2:11] = 255

    assert row_of(probability)["extent"] == pytest.approx((5 * 9 - 0.5) / (5 * 9))
    assert row_of(probability, estimator="paper")["extent"] == 1
    probability[3, 2] = 0
    assert row_of(probability, estimator="paper")["extent"] == pytest.approx(44 / 45)


def test_below_20_px_across_a_particle_is_too_small():
    rng = np.random.default_rng(2)
    across = {diameter: row_of(soft_map(shapes.disc(), diameter * np.sqrt(np.pi) / 2, rng)) for diameter in (19, 21)}

    assert across[19]["too_small"]
    assert not across[21]["too_small"]


def test_the_least_probability_is_that_of_its_pixels():
    probability = noise_map(1)
    table, labels, _ = measure(probability, pixel_size_nm=1.0)

    expected = [probability[labels == label].min() / 255 for label in range(1, labels.max() + 1)]
    np.testing.assert_allclose(table.column("min_probability").to_numpy(), expected, rtol=1e-14)
