"""Growth bends where it is told to: in the descriptors of the outlines themselves, not only in what was asked for."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nanocensus.errors import InputError
from nanocensus.simulate.growth import Growth, truth_table
from nanocensus.simulate.paper import PAPER
from nanocensus.simulate.shapes import dented_superellipse, lobed

GROWTHS = {sample.name: sample.growth for sample in PAPER.samples} | {"convex start": Growth(0.03, 0.013)}


def bend_of(sizes, values):
    """The size at which two straight lines fit a curve best, to 0.01 nm."""

    def misfit(bend):
        design = np.stack([np.ones_like(sizes), sizes, np.maximum(sizes - bend, 0)], axis=1)
        return np.linalg.norm(values - design @ np.linalg.lstsq(design, values, rcond=None)[0])

    return min(np.arange(sizes[0] + 0.5, sizes[-1] - 0.5, 0.01), key=misfit)


@pytest.mark.parametrize("name", ["Co0.2", "Co0.8", "DW1.0", "convex start"])
def test_circularity_bends_at_its_onset_and_solidity_at_its_own(name):
    sizes = np.arange(2.6, 7.6, 0.1)
    truth = truth_table({name: GROWTHS[name]}, sizes)
    assert bend_of(sizes, truth["circularity"].to_numpy()) == pytest.approx(4.3, abs=0.02)
    assert bend_of(sizes, truth["solidity"].to_numpy()) == pytest.approx(5.3, abs=0.02)


def test_shapes_stop_changing_at_the_saturation():
    sizes = np.arange(6.0, 11.0, 0.1)
    truth = truth_table({"Co0.8": GROWTHS["Co0.8"]}, sizes)
    for name in ("circularity", "solidity"):
        assert bend_of(sizes, truth[name].to_numpy()) == pytest.approx(8.5, abs=0.02)
    assert truth.loc[sizes > 8.55, ["circularity", "solidity", "convexity", "psi_4"]].std().max() < 1e-12


@pytest.mark.parametrize("last", [0.15, 0.18])
def test_an_amplitude_that_grows_in_proportion_bends_the_solidity_too_late(last):
    """The amplitude reaches 1/17, where faces become concave, well before solidity visibly leaves 1."""
    sizes = np.arange(2.6, 7.6, 0.1)
    amplitudes = last * np.clip((sizes - 4.3) / (8.5 - 4.3), 0, 1)
    concave_from = 4.3 + (8.5 - 4.3) / 17 / last
    found = bend_of(sizes, np.array([lobed(float(amplitude)).solidity for amplitude in amplitudes]))
    assert 6.1 < found < 6.5
    assert found > concave_from + 0.3


def test_outlines_have_what_was_asked_for():
    for growth, size in itertools.product(GROWTHS.values(), (3.0, 4.8, 5.31, 6.6, 9.0)):
        outline, at = growth.outline(size), np.array([size])
        assert outline.edge_length == pytest.approx(size, rel=1e-12)
        assert outline.circularity == pytest.approx(growth.circularity_at(at)[0], abs=1e-10)
        assert outline.solidity == pytest.approx(growth.solidity_at(at)[0], abs=1e-10)


def test_a_growth_is_round_then_faceted_then_concave():
    truth = truth_table({"": Growth(0.03, 0.013)}, [3.0, 4.3, 5.2, 7.0, 9.0])
    assert truth["depth"].iloc[:3].tolist() == [0, 0, 0]
    assert (np.diff(truth["exponent"].iloc[1:3]) > 0).all()
    assert (truth["depth"].iloc[3:] > 0.05).all()
    assert (np.diff(truth["psi_4"].iloc[1:]) > 0).all()
    assert truth["convexity"].iloc[:3].tolist() == pytest.approx([1, 1, 1], abs=1e-9)
    assert (truth["convexity"].iloc[3:] < 0.9999).all()


@given(exponent=st.floats(3.0, 30.0), depth=st.floats(0.0, 0.2))
@example(exponent=3.0, depth=0.001953125)  # a dent of 1e-8
@settings(max_examples=25)
def test_a_shape_is_found_back_from_its_circularity_and_solidity(exponent, depth):
    outline = dented_superellipse(exponent, depth)
    growth = Growth(0.0, 0.0, circularity=outline.circularity, solidity=min(outline.solidity, 1.0))
    found = growth.outline(outline.edge_length)
    assert found.circularity == pytest.approx(outline.circularity, abs=1e-9)
    assert found.solidity == pytest.approx(outline.solidity, abs=1e-9)
    if outline.solidity < 0.999:  # a convex outline says nothing of how deep it might be pressed without a dent
        assert growth.parameters(1.0) == pytest.approx((exponent, depth), rel=1e-4)


def test_a_soft_bend_has_its_onset_where_the_lines_cross():
    growth, kink = Growth(0.03, 0.0, bend_nm=0.3), Growth(0.03, 0.0)
    far = np.array([3.9, 4.7, 6.0, 8.1, 9.0])
    np.testing.assert_allclose(growth.circularity_at(far), kink.circularity_at(far), atol=1e-15)
    sizes = np.arange(4.0, 4.6, 0.001)
    slopes = np.diff(growth.circularity_at(sizes)) / 0.001
    assert np.abs(np.diff(slopes)).max() < 0.03 * 0.002  # a kink's slope would jump by 0.03
    assert growth.circularity_at(np.array([4.3]))[0] == pytest.approx(0.985 - 0.03 * 0.3 / 4)


@pytest.mark.parametrize(
    "wrong",
    [
        {"circularity_slope": -0.1},
        {"circularity_slope": 0.3},
        {"circularity_onset_nm": 9.0},
        {"solidity": 1.1},
        {"bend_nm": 2.0},
        {"circularity": float("nan")},
    ],
)
def test_impossible_growth_is_refused(wrong):
    with pytest.raises(InputError):
        Growth(**({"circularity_slope": 0.03, "solidity_slope": 0.01} | wrong))


def test_a_solidity_that_costs_more_circularity_than_told_is_refused():
    with pytest.raises(InputError, match=r"circularity 0\.985 with solidity 0\.9"):
        Growth(0.0, 0.0, circularity=0.985, solidity=0.9).outline(5.0)
