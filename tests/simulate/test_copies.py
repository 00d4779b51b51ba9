"""Groups on one sheet: each is what it would be alone, wherever the others are."""

import math

import numpy as np
import pytest

from nanocensus.errors import InputError
from nanocensus.simulate.copies import at_random, render_apart
from nanocensus.simulate.maps import render_map
from nanocensus.simulate.placement import Planted
from nanocensus.simulate.shapes import disc, square


def touching_pair(rng):
    return [
        Planted("disc", disc().scaled(12.0), (0.3, -0.2), 0.0),
        Planted("disc", disc().scaled(9.0), (0.0, 11.7), 0.0),
    ]


@pytest.mark.parametrize("blur_px", [0.0, 0.5, 1.3])
def test_each_group_is_drawn_as_alone(blur_px):
    rng = np.random.default_rng(3)
    groups = [
        [at_random("square", square().scaled(8.0), rng)],
        touching_pair(rng),
        [at_random("disc", disc().scaled(20.0), rng)],
    ]
    sheet = render_apart(groups, blur_px=blur_px)
    for placed in sheet.groups:
        alone = render_map(placed, sheet.probability.shape, blur_px=blur_px)
        there = alone > 0
        assert np.array_equal(sheet.probability[there], alone[there])
    total = sum(int(render_map(placed, sheet.probability.shape, blur_px=blur_px).sum()) for placed in sheet.groups)
    assert total == int(sheet.probability.sum())  # nothing beside them, nothing cut


def test_groups_keep_their_distances_and_their_place_within_a_pixel():
    sheet = render_apart([touching_pair(None)], blur_px=1.0)
    first, second = (np.array(one.centre) for one in sheet.groups[0])
    assert (second - first).tolist() == pytest.approx([-0.3, 11.9])
    assert np.mod(first, 1).tolist() == pytest.approx([0.3, 0.8])


def test_places_within_a_pixel_and_turns_are_random():
    rng = np.random.default_rng(0)
    drawn = [at_random("disc", disc(), rng) for _ in range(400)]
    places = np.array([one.centre for one in drawn])
    assert np.abs(places).max() <= 0.5
    assert places.std(0) == pytest.approx([1 / math.sqrt(12)] * 2, rel=0.1)
    assert np.std([one.angle for one in drawn]) == pytest.approx(2 * math.pi / math.sqrt(12), rel=0.1)


def test_no_group_is_refused():
    with pytest.raises(InputError, match="at least one"):
        render_apart([], blur_px=1.0)
