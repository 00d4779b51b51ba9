import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.morphology import local_maxima, reconstruction

from nanocensus.errors import ImageError, InputError
from nanocensus.measure.label import label_particles
from nanocensus.measure.regions._summits import filled, markers_of_summits, squared_distances
from nanocensus.measure.split import split_touching

DRAWN = settings(max_examples=30)
SINGLES = {
    "disc": lambda t: np.ones_like(t),
    "square": lambda t: 0.886 / np.maximum(abs(np.cos(t)), abs(np.sin(t))),
    "bar of 2 : 1": lambda t: 0.886 / np.maximum(abs(np.cos(t)) / 2**0.5, abs(np.sin(t)) * 2**0.5),
    "ellipse of 1.5 : 1": lambda t: 1.0 / np.hypot(np.cos(t) / 1.5**0.5, np.sin(t) * 1.5**0.5),
    "ellipse of 2 : 1": lambda t: 1.0 / np.hypot(np.cos(t) / 2**0.5, np.sin(t) * 2**0.5),
    "flat facets": lambda t: 1.0 - 0.06 * np.cos(4 * t),
    "concave facets": lambda t: 1.0 - 0.12 * np.cos(4 * t),
}


def covered(radius_at, centre, side, samples=3):
    """Fraction of each pixel of a square image that a star-shaped outline covers."""
    y, x = (np.mgrid[: side * samples, : side * samples] + 0.5) / samples - 0.5
    y, x = y - centre[0], x - centre[1]
    return (np.hypot(y, x) < radius_at(np.arctan2(y, x))).reshape(side, samples, side, samples).mean((1, 3))


def as_map(fraction, rng, noise):
    grain = noise * ndimage.gaussian_filter(rng.standard_normal(fraction.shape), 0.8) / 0.35
    return np.clip(np.rint(255.0 * (ndimage.gaussian_filter(fraction, 1.0) + grain)), 0, 255).astype(np.uint8)


def two_discs(radii, apart, rng, noise=0.0):
    """Map of two discs, `apart` times the sum of their radii, and the pixels nearer to the first one's edge."""
    side = int(2 * sum(radii)) + 12
    angle = rng.uniform(0.0, 2.0 * np.pi)
    along = np.array([np.sin(angle), np.cos(angle)]) * apart
    middle = side / 2 + rng.uniform(-0.5, 0.5, 2)
    centres = [middle + along * radii[1], middle - along * radii[0]]
    fraction = np.maximum(*(covered(lambda _, r=r: r, c, side) for r, c in zip(radii, centres, strict=True)))
    y, x = np.mgrid[:side, :side]
    beyond = [np.hypot(y - c[0], x - c[1]) - r for r, c in zip(radii, centres, strict=True)]
    return as_map(fraction, rng, noise), centres, beyond


@DRAWN
@given(seed=st.integers(0, 2**32), shape=st.tuples(st.integers(1, 30), st.integers(1, 30)), share=st.floats(0.0, 1.0))
def test_distances_and_filled_holes_are_those_of_scipy(seed, shape, share):
    mask = np.pad(np.random.default_rng(seed).random(shape) < share, 1)
    np.testing.assert_array_equal(filled(mask), ndimage.binary_fill_holes(mask))
    np.testing.assert_array_equal(squared_distances(mask), np.rint(ndimage.distance_transform_edt(mask) ** 2))


@DRAWN
@given(seed=st.integers(0, 2**32), shape=st.tuples(st.integers(1, 20), st.integers(1, 20)), depth=st.integers(1, 9))
def test_summits_are_the_maxima_that_are_left_when_the_map_is_lowered_by_the_depth(seed, shape, depth):
    heights = np.pad(np.random.default_rng(seed).integers(depth + 1, 20, shape), 1)
    markers, lower = markers_of_summits(heights, heights > 0, False, float(depth))
    # Half a step less, as a summit of just the depth counts; h_maxima itself marks equal summits twice.
    left = local_maxima(reconstruction(heights - (depth - 0.5), heights), connectivity=2)
    expected, n = ndimage.label(left, np.ones((3, 3)))
    assert sorted(expected[markers > 0]) == list(range(1, n + 1))
    assert sorted(markers[markers > 0]) == list(range(1, n + 1))
    assert lower == n - 1


def assert_single_stays_whole(kind, method, seed, diameter, noise):
    rng = np.random.default_rng(seed)
    side, turn = int(1.9 * diameter) + 8, rng.uniform(0.0, 2.0 * np.pi)
    fraction = covered(
        lambda t: 0.5 * diameter * SINGLES[kind](t - turn), side / 2 + rng.uniform(-0.5, 0.5, 2), side, samples=2
    )
    probability = as_map(fraction, rng, noise)
    labels, n = label_particles(probability > 127)
    again, parent = split_touching(labels, probability, method=method)
    np.testing.assert_array_equal(again, labels)
    np.testing.assert_array_equal(parent, np.arange(1, n + 1))


@pytest.mark.parametrize("method", ["distance", "probability"])
@pytest.mark.parametrize("kind", SINGLES)
@settings(max_examples=12)
@given(seed=st.integers(0, 2**32), diameter=st.sampled_from([12, 25, 50]), noise=st.sampled_from([0.0, 0.04, 0.1]))
def test_single_particles_are_never_cut(kind, method, seed, diameter, noise):
    assert_single_stays_whole(kind, method, seed, diameter, noise)


@pytest.mark.slow
@pytest.mark.parametrize("diameter", [10, 12, 15, 18, 22, 28, 50])
@pytest.mark.parametrize("kind", SINGLES)
def test_none_of_thousands_of_single_particles_is_cut(kind, diameter):
    for seed in range(100):
        assert_single_stays_whole(kind, "distance", seed, diameter, 0.1)


@pytest.mark.parametrize("method", ["distance", "probability"])
@pytest.mark.parametrize(
    ("radii", "apart"), [((25.0, 25.0), 0.65), ((25.0, 25.0), 0.8), ((12.5, 12.5), 0.8), ((25.0, 15.0), 0.9)]
)
def test_overlapping_discs_become_two_of_their_areas(method, radii, apart):
    rng = np.random.default_rng(1)
    for noise in (0.0, 0.04):
        for _ in range(4):
            probability, centres, beyond = two_discs(radii, apart, rng, noise)
            labels, n = label_particles(probability > 127)
            # A network that doubts the pixels between two particles.
            doubtful = probability * (1.0 - 0.4 * np.exp(-0.125 * (beyond[0] - beyond[1]) ** 2))
            given_map = np.where(labels > 0, np.maximum(doubtful, 128), doubtful).astype(np.uint8)
            parts, parent = split_touching(labels, given_map, method=method)
            assert (n, parent.tolist()) == (1, [1, 1])
            first, second = (parts[tuple(np.rint(centre).astype(int))] for centre in centres)
            assert {first, second} == {1, 2}
            truth = ((beyond[0] < beyond[1]) & (labels > 0)).sum()
            assert (parts == first).sum() == pytest.approx(truth, rel=0.05)


def test_discs_that_overlap_by_half_stay_one():
    probability, _, _ = two_discs((25.0, 25.0), 0.5, np.random.default_rng(2))
    assert split_touching(label_particles(probability > 127)[0])[1].tolist() == [1]


def test_a_dark_line_across_a_single_disc_does_not_cut_it():
    y, x = np.mgrid[:60, :60]
    disc = np.hypot(y - 30, x - 30) < 25
    probability = np.where(disc, np.where(abs(x - 30) < 2, 140, 255), 0).astype(np.uint8)
    labels = disc.astype(np.int32)
    assert split_touching(labels, probability, method="probability")[1].tolist() == [1]


def chain(n, radius=8, step=14):
    y, x = np.mgrid[: 2 * radius + 3, : step * (n - 1) + 2 * radius + 3]
    return np.any([np.hypot(y - radius - 1, x - radius - 1 - i * step) <= radius for i in range(n)], axis=0)


def test_a_chain_of_three_becomes_three_and_larger_depths_or_smaller_necks_leave_it_whole():
    labels = chain(3).astype(np.int32)
    assert split_touching(labels)[1].tolist() == [1, 1, 1]
    assert split_touching(labels, depth=5.0)[1].tolist() == [1]
    assert split_touching(labels, largest_neck=0.2)[1].tolist() == [1]


def test_a_hole_is_no_neck_and_pieces_that_do_not_touch_stay_one_label():
    ring = np.zeros((62, 62), np.int32)
    ring[1:-1, 1:-1] = 1
    y, x = np.mgrid[:62, :62]
    ring[np.hypot(y - 30.5, x - 30.5) < 10] = 0
    assert split_touching(ring)[1].tolist() == [1]
    ring[25:35, 25:35] = 2  # another particle in the hole
    np.testing.assert_array_equal(split_touching(ring)[0], ring)
    pieces = np.zeros((20, 60), np.int32)
    pieces[:, :19] = pieces[:, 30:] = 7
    assert split_touching(pieces)[1].tolist() == [7]


def drawn_map(seed, shape=(60, 60)):
    """A map in which the highest summit of a piece is often not where the piece is widest, and holeless pieces."""
    rng = np.random.default_rng(seed)
    inside = ndimage.binary_fill_holes(ndimage.gaussian_filter(rng.standard_normal(shape), 3.5) > 0.05)
    hills = 140.0 + 600.0 * ndimage.gaussian_filter(rng.standard_normal(shape), 2.5)
    return inside, np.clip(hills, 0.0, 255.0).astype(np.uint8)


@pytest.mark.parametrize("method", ["distance", "probability"])
def test_pieces_of_a_label_are_cut_as_they_are_alone(method):
    cut = 0
    # Fixed draws: the watershed does not order equal heights, so that in one of some hundred a pixel goes elsewhere.
    for seed in range(30):
        inside, probability = drawn_map(seed)
        pieces, n = ndimage.label(inside, np.ones((3, 3)), output=np.int32)
        together, parent = split_touching(inside.astype(np.int32), probability, method=method)
        alone, piece = split_touching(pieces, probability, method=method)
        # One part a piece stays in the label, so that each part alone is one part, or of that label, when together.
        assert parent.size == piece.size - (n - 1)
        assert len(np.unique(np.stack([together, alone])[:, inside], axis=1).T) == piece.size
        cut += piece.size - n
    assert cut >= 15


@pytest.mark.parametrize("method", ["distance", "probability"])
@DRAWN
@given(seed=st.integers(0, 2**32), beyond=st.integers(1, 3))
def test_what_touches_the_border_is_cut_as_if_background_lay_beyond(method, seed, beyond):
    inside, probability = drawn_map(seed)
    labels, _ = label_particles(inside)
    parts, parent = split_touching(labels, probability, method=method)
    wider, parent_in_wider = split_touching(np.pad(labels, beyond), np.pad(probability, beyond), method=method)
    np.testing.assert_array_equal(wider, np.pad(parts, beyond))
    np.testing.assert_array_equal(parent_in_wider, parent)


@DRAWN
@given(seed=st.integers(0, 2**32), crop=st.booleans())
def test_parts_make_up_their_parents_and_are_numbered_by_their_first_pixels(seed, crop):
    rng = np.random.default_rng(seed)
    labels = np.zeros((90, 120), np.int32)
    y, x = np.mgrid[:90, :120]
    for label in rng.permutation(40)[: rng.integers(0, 25)] + 1:
        centre, radius = rng.uniform(0, (90, 120)), rng.uniform(1.0, 14.0)
        labels[np.hypot(y - centre[0], x - centre[1]) < radius] = label
    labels = labels[::2, 5:] if crop else labels
    before = labels.copy()
    parts, parent = split_touching(labels)
    np.testing.assert_array_equal(labels, before)
    np.testing.assert_array_equal(np.concatenate(([0], parent))[parts], labels)
    numbers, first = np.unique(parts[parts > 0], return_index=True)
    np.testing.assert_array_equal(numbers, np.arange(1, parent.size + 1))
    assert (np.diff(first) > 0).all()
    assert (parts.dtype, parent.dtype) == (np.int32, np.int32)


@pytest.mark.parametrize(
    "labels", [np.zeros((5, 5), np.int32), np.ones((1, 1), np.int32), np.ones((40, 300), np.int32)]
)
def test_nothing_a_pixel_and_a_frame_filled_are_left_alone(labels):
    parts, parent = split_touching(labels)
    np.testing.assert_array_equal(parts, labels)
    assert parent.tolist() == ([1] if labels.any() else [])


def test_what_cannot_be_split_is_refused():
    labels = chain(2).astype(np.int32)
    with pytest.raises(ImageError, match='method="distance"'):
        split_touching(labels, method="probability")
    with pytest.raises(ImageError, match="shape"):
        split_touching(labels, np.zeros((3, 3), np.uint8), method="probability")
    for options in ({"depth": 0.0}, {"depth": float("nan")}, {"largest_neck": 0.0}, {"largest_neck": 1.5}):
        with pytest.raises(InputError, match="positive depth"):
            split_touching(labels, **options)
