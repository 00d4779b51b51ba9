"""Outlines and what lies between them, against slow references: contours, r(theta), gaps."""

import numpy as np
import pytest
import scipy.spatial
import scipy.stats

from nanocensus.measure.descriptors import measure
from nanocensus.measure.label import label_particles
from nanocensus.measure.outline import outlines, radial_profiles
from nanocensus.measure.regions._cpu import trace_outlines
from nanocensus.measure.regions._gap import gaps
from nanocensus.measure.regions._runs import extents, runs_of_labels

ANGLES = 2 * np.pi * np.arange(128) / 128


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
def test_radii_are_where_rays_from_the_centroid_meet_the_edges(noise_map, seed):
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


def test_an_outline_about_an_outer_centroid_has_rays_that_meet_nothing(row_of):
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
def test_components_of_the_map_measure_alike_whether_or_not_their_labels_are_given(noise_map, seed):
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
def test_contours_of_components_are_found_on_the_map_alone(noise_map, seed, connectivity):
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
def test_the_gap_is_the_smallest_distance_between_vertices_of_two_outlines(noise_map, seed):
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
        sizes[rng.integers(sizes.size)] = 1200  # vertices all round the others, or far from all
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
