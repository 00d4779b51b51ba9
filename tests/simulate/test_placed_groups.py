"""Random placement with more or less room between particles."""

import math

import numpy as np
import pytest

from nanocensus.simulate.copies import placed_groups
from nanocensus.simulate.shapes import disc


def met(stays, density=2e-4, n=600):
    """Give the share of particles that lie together with others."""
    groups = placed_groups(np.full(n, 20.0), disc(), density, stays, 0.0, np.random.default_rng(1))
    return sum(len(group) for group in groups) / n


def test_random_placement_meets_as_often_as_poisson_says():
    diameter = 2 * 20 / math.sqrt(math.pi)
    alone = math.exp(-2e-4 * math.pi * diameter**2)
    assert met(1.0) == pytest.approx(1 - alone, abs=3 * math.sqrt(alone * (1 - alone) / 600))


def test_nobody_meets_where_nobody_stays():
    assert met(0.0) == 0


def test_who_stays_half_of_the_time_meets_less_than_at_random():
    assert 0 < met(0.1) < met(0.5) < met(1.0)


def test_those_of_a_group_hang_together():
    for group in placed_groups(np.full(300, 20.0), disc(), 4e-4, 0.5, 0.0, np.random.default_rng(2)):
        centres = np.array([one.centre for one in group])
        distances = np.hypot(*(centres[:, None] - centres[None]).transpose(2, 0, 1))
        nearest = np.where(distances == 0, np.inf, distances).min(1)
        assert (nearest < 2 * 20 / math.sqrt(math.pi)).all()
