import math

import numpy as np
import pytest
from scipy import ndimage

from nanocensus.measure.detail import BANDS, detail, detail_scores
from nanocensus.simulate.grain import grain


def texture(seed, side=512, sigma=0.0, length=0.0, angle=0.0):
    """A grainy support, blurred and moved before the camera adds its noise."""
    rng = np.random.default_rng(seed)
    clear = 1000 + 100 * grain((side, side), 1.5, rng) + 60 * grain((side, side), 12.0, rng)
    blurred = ndimage.gaussian_filter(clear, sigma, mode="wrap")
    steps = np.linspace(-0.5, 0.5, 25) * length
    moved = [ndimage.shift(blurred, (s * math.sin(angle), s * math.cos(angle)), order=1, mode="wrap") for s in steps]
    return np.rint(np.mean(moved, axis=0) + rng.normal(0, 20, clear.shape)).astype(np.uint16)


@pytest.fixture(scope="module")
def ordinary():
    return np.stack([detail(texture(seed, side=384)) for seed in range(12)])


def test_the_power_is_that_of_a_slow_transform_of_one_tile():
    image = texture(3, side=256)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(256) / 256)
    power = np.abs(np.fft.fft2((image - image.mean()) * np.outer(window, window))) ** 2
    down, across = np.meshgrid(np.fft.fftfreq(256), np.fft.fftfreq(256), indexing="ij")
    frequency, angle = np.hypot(down, across), np.degrees(np.arctan2(down, across)) % 180
    found = detail(image)
    for band in (4, 9):
        low, high = 0.01 * 2 ** (band / 2), 0.01 * 2 ** ((band + 1) / 2)
        logs = []
        for sector in range(8):
            away = abs((angle - 22.5 * sector + 90) % 180 - 90)
            # Half of the plane holds all there is to know; what lies on a border of sectors may fall on either side.
            mask = (frequency >= low) & (frequency < high) & (away < 11.25)
            logs.append(np.log(power[mask].mean()))
        wave = 2 * np.mean(np.array(logs) * np.cos(np.radians(45.0 * np.arange(8))))
        assert found[0, band] == pytest.approx(np.mean(logs), abs=0.02)
        assert found[1, band] == pytest.approx(wave, abs=0.05)


@pytest.mark.parametrize("sigma", [1.0, 2.0, 4.0])
def test_a_blurred_one_among_twelve_stands_out_by_its_loss_alone(ordinary, sigma):
    (loss,), (asymmetry,) = detail_scores(detail(texture(99, side=384, sigma=sigma))[None], ordinary)
    assert loss > 6
    assert asymmetry < 4
    among = detail_scores(ordinary, ordinary)
    assert among.loss.max() < 4
    assert among.asymmetry.max() < 4


@pytest.mark.parametrize("angle", [0.0, 0.4, math.pi / 2, 2.5])
@pytest.mark.parametrize("length", [4.0, 12.0])
def test_a_drifted_one_stands_out_by_its_asymmetry_whatever_its_direction(ordinary, length, angle):
    found = detail_scores(detail(texture(98, side=384, length=length, angle=angle))[None], ordinary)
    assert found.asymmetry.item() > 6


def test_gain_and_offset_change_nothing(ordinary):
    image = texture(5, side=384)
    changed = detail_scores(detail(3.0 * image + 500.0)[None], ordinary)
    own = detail_scores(detail(image)[None], ordinary)
    np.testing.assert_allclose(changed, own, atol=1e-3)


def test_what_all_have_is_ordinary():
    stretched = np.stack([detail(texture(seed, side=384, length=6.0, angle=0.3)) for seed in range(10)])
    assert detail_scores(stretched, stretched).asymmetry.max() < 4  # an astigmatic session


def test_large_ones_are_sampled_and_small_ones_say_nothing(ordinary):
    assert detail(np.tile(texture(1, side=384), (3, 3))).shape == (3, BANDS)
    assert detail(texture(1, side=250)) is None
    assert np.isfinite(detail(np.full((256, 300), 7, np.uint8))).all()
