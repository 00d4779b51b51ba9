import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.segmentation import relabel_sequential

from nanocensus.measure.necks import LEAST_NARROWING_PX, join_over_wide_cuts


def widest_passages(parts, distance):
    """The largest distance at which a step of one pixel leads from one part into another, for each two that touch."""
    found = {}
    for y, x in np.argwhere(parts > 0):
        for down, right in np.ndindex(3, 3):
            beside = y + down - 1, x + right - 1
            pair = parts[y, x], parts[beside]
            if pair[0] < pair[1]:
                found[pair] = max(found.get(pair, 0.0), min(distance[y, x], distance[beside]))
    return found


def joined_one_by_one(parts, distance, largest_neck):
    """Join the relatively widest cut, or else the widest, or else that of the smallest original numbers; look again."""
    passages = widest_passages(parts, distance)
    joined = parts.copy()
    while True:
        now = {part: joined[parts == part][0] for part in np.unique(parts)}
        cuts = []
        for (one, other), cut in widest_passages(joined, distance).items():
            narrower = min(distance[joined == one].max(), distance[joined == other].max())
            relative = (cut - 0.5) / (narrower - 0.5) if narrower - cut >= LEAST_NARROWING_PX else 1.0
            over = min(pair for pair in passages if passages[pair] == cut and {now[p] for p in pair} == {one, other})
            cuts.append((-relative, -cut, over, one, other))
        first = min(cuts, default=(0.0,))
        if -first[0] <= largest_neck:
            return relabel_sequential(joined)[0] - 1
        joined[joined == first[4]] = first[3]


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32), largest_neck=st.sampled_from([0.3, 0.6, 0.85]), seeds=st.integers(1, 9))
@example(seed=845, largest_neck=0.6, seeds=6)  # joins other parts if equally wide cuts are taken in another order
def test_joining_on_the_graph_is_joining_pixels_and_measuring_anew(seed, largest_neck, seeds):
    rng = np.random.default_rng(seed)
    inside = np.pad(ndimage.gaussian_filter(rng.standard_normal((24, 24)), 2.5) > -0.02, 1)
    distance = ndimage.distance_transform_edt(inside)
    points = rng.uniform(0, 26, (seeds, 2))
    y, x = np.mgrid[:26, :26]
    nearest = np.argmin([np.hypot(y - p[0], x - p[1]) for p in points], axis=0) + 1
    parts = relabel_sequential(np.where(inside, nearest, 0))[0].astype(np.int64)
    found = join_over_wide_cuts(parts, distance, largest_neck)
    expected = joined_one_by_one(parts, distance, largest_neck)
    np.testing.assert_array_equal(found, expected)


def test_thousands_of_parts_are_joined():
    parts = np.pad(np.arange(1, 3601).reshape(60, 60).repeat(8, 0).repeat(8, 1), 1)
    distance = ndimage.distance_transform_edt(parts > 0)
    assert join_over_wide_cuts(parts, distance, 0.85).max() == 0


@pytest.mark.parametrize(("neck", "left"), [(3, 2), (9, 1)])
def test_a_neck_is_cut_and_a_waist_is_not(neck, left):
    inside = np.zeros((13, 33), bool)
    inside[1:12, 1:12] = inside[1:12, 21:32] = True
    inside[6 - neck // 2 : 7 + neck // 2, 12:21] = True
    parts = np.where(inside, 1 + (np.arange(33) > 16), 0).astype(np.int64)
    joined = join_over_wide_cuts(parts, ndimage.distance_transform_edt(inside), 0.7)
    assert len(np.unique(joined[inside])) == left
    assert (joined[~inside] == -1).all()
