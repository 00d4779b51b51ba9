"""Figures on held-out micrographs."""

import weakref

import numpy as np
import pytest
from scipy.special import ndtr

from nanocensus.segment.judging.heldout import judge


def _soft_disc(sigma, radius=30.0, side=120):
    y, x = np.mgrid[:side, :side]
    distance = radius - np.hypot(y - 59.3, x - 60.1)
    return distance > 0, np.rint(255 * ndtr(distance / sigma)).astype(np.uint8)


@pytest.mark.parametrize("sigma", [0.7, 1.0, 2.0])
def test_the_softness_of_an_edge_is_found(sigma):
    assert judge([_soft_disc(sigma)]).edge_sigma_px == pytest.approx(sigma, rel=0.1)


def test_figures_are_pooled_over_micrographs():
    mask, probability = _soft_disc(1.0)
    empty = np.zeros_like(probability)
    figures = judge([(mask, probability), (mask, empty)])
    assert figures.dice == pytest.approx(2 / 3, abs=0.01)
    assert figures.worst_dice == 0
    assert (figures.n_true, figures.n_predicted) == (2, 1)
    assert (figures.precision, figures.recall, figures.f1) == (1, 0.5, pytest.approx(2 / 3))


def test_no_micrograph_is_kept_when_it_has_been_judged():
    seen, left = [], []

    def pairs():
        for _ in range(4):
            mask, probability = _soft_disc(1.0)
            seen.append(weakref.ref(mask))
            left.append(sum(each() is not None for each in seen))
            yield mask, probability

    assert judge(pairs()).n_true == 4
    assert max(left) <= 2  # the last one and the next


def test_specks_are_not_counted_as_particles():
    mask = np.zeros((60, 60), bool)
    mask[20:40, 20:40] = True
    mask[3:7, 3:7] = True
    probability = (255 * mask).astype(np.uint8)
    assert (judge([(mask, probability)]).n_true, judge([(mask, probability)]).n_predicted) == (1, 1)


def test_maps_without_outlines_have_no_softness():
    blank = np.zeros((40, 40), np.uint8)
    assert judge([(blank > 0, blank)]).edge_sigma_px is None
    assert judge([(blank > 0, blank)]).dice == 1
