import numpy as np
import pytest

from nanocensus.errors import InputError
from nanocensus.simulate.sessions import Faults, simulate_session
from nanocensus.simulate.spec import SimulationSpec

SPEC = SimulationSpec(shape=(128, 160), mean_particles=12.0, mean_edge_length_nm=1.7, imaging="plain")


def session(n=4, seed=3, **faults):
    return simulate_session(SPEC, n, np.random.default_rng(seed), Faults(**faults))


def test_equal_generators_give_equal_sessions_of_micrographs_that_differ():
    first, again = session(), session()
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    assert {image.shape for image in first} == {(128, 160)}
    assert all(abs(np.corrcoef(first[0].ravel(), other.ravel())[0, 1]) < 0.5 for other in first[1:])


def test_a_fault_leaves_the_micrographs_before_it_as_they_were():
    ordinary, faulty = session(), session(blurred={2: 6.0})
    assert all(np.array_equal(ordinary[number], faulty[number]) for number in (0, 1))
    # What reaches the camera is blurred and its noise is not: the detector's own is left.
    assert not np.array_equal(ordinary[2], faulty[2])


def test_a_saturated_share_is_at_one_value():
    image = session(saturated={1: 0.05})[1]
    assert (image == image.max()).mean() == pytest.approx(0.05, abs=0.002)


def test_a_charged_support_changes_the_brightness_slowly_and_by_as_much_as_it_is_told():
    factor = session(charged={3: 0.3})[3] / session()[3]
    assert np.ptp(factor) == pytest.approx(0.3, abs=0.002)
    assert np.abs(np.diff(factor)).max() < 0.02


def test_stripes_are_bands_of_equal_rows():
    factor = session(striped={3: 0.05})[3] / session()[3]
    assert np.ptp(factor, axis=1).max() < 0.001  # counts are whole
    assert factor[:, 0].std() == pytest.approx(0.05, rel=0.5)
    assert 4 < (np.abs(np.diff(factor[:, 0])) > 0.002).sum() < 30


def test_a_contaminated_place_is_darker_in_a_patch():
    ratio = session(contaminated={3: 0.6})[3].mean() / session()[3].mean()
    assert 0.9 < ratio < 0.99


def test_a_crowded_place_holds_more_particles():
    ordinary, crowded = (session(crowded=which)[3] for which in ({}, {3: 1.6}))
    assert (crowded < 6000).mean() > 1.15 * (ordinary < 6000).mean() > 0


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_a_repeated_place_is_the_same_with_other_noise(share):
    images = session(repeated={3: (1, share)})
    common = round(share * 160)
    one, other = images[1][:, 160 - common :], images[3][:, :common]
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.5
    assert not np.array_equal(one, other)


def test_what_cannot_be_planted_is_refused():
    with pytest.raises(InputError, match="earlier micrograph"):
        session(repeated={1: (2, 1.0)})
    for faults in ({"repeated": {1: (0, 1.5)}}, {"repeated": {1: (0, -0.5)}}, {"saturated": {1: 2.0}}):
        with pytest.raises(InputError, match="shares from 0 to 1"):
            session(2, **faults)
    with pytest.raises(InputError, match="a kind of imaging"):
        simulate_session(SimulationSpec(shape=(96, 96), mean_particles=2.0, mean_edge_length_nm=1.5), 2,
                         np.random.default_rng(0))  # fmt: skip
