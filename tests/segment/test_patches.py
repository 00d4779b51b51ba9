"""Random patches and their targets."""

import numpy as np
import pytest

from nanocensus.segment.preparation.flatfield import standardise
from nanocensus.segment.training.patches import draw_batch, prepare


def _disc(radius, side=96, centre=(40.3, 51.8)):
    """A dark disc on a bright ground, and its mask by pixel centres."""
    y, x = np.mgrid[:side, :side]
    mask = np.hypot(y - centre[0], x - centre[1]) < radius
    return np.where(mask, 50.0, 150.0), mask


def test_targets_cross_one_half_on_the_drawn_outline():
    crop = prepare(*_disc(20))
    assert np.array_equal(crop.target > 0.5, _disc(20)[1]) or np.mean((crop.target > 0.5) != _disc(20)[1]) < 2e-3
    assert crop.target.sum() == pytest.approx(_disc(20)[1].sum(), rel=1e-3)
    row = crop.target[40]
    assert np.count_nonzero((row > 0.05) & (row < 0.95)) in (4, 5, 6)  # two edges, each about two pixels soft


def test_a_batch_follows_from_its_seed_alone():
    crops = [prepare(*_disc(20)), prepare(*_disc(12))]
    one, other = (draw_batch(crops, np.random.default_rng([3, 7]), count=3, side=32) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    different, _ = draw_batch(crops, np.random.default_rng([3, 8]), count=3, side=32)
    assert not np.array_equal(one[0], different)


def test_pixels_and_targets_are_warped_alike():
    pixels, targets = draw_batch([prepare(*_disc(20))], np.random.default_rng(0), count=24, side=64)
    assert pixels.shape == targets.shape == (24, 64, 64)
    assert pixels.dtype == targets.dtype == np.float32
    correlations = [np.corrcoef(p.ravel(), t.ravel())[0, 1] for p, t in zip(pixels, targets, strict=True)]
    assert max(correlations) < -0.9  # dark where the target is particle, in each patch, whatever the warp


def test_particles_are_shown_larger_and_smaller():
    _, targets = draw_batch([prepare(*_disc(12))], np.random.default_rng(1), count=64, side=80)
    diameters = np.sqrt(4 / np.pi * targets.sum(axis=(1, 2)))
    assert 24 / 1.4 - 1 < diameters.min() < 24 / 1.2
    assert 24 * 1.2 < diameters.max() < 24 * 1.4 + 1


def test_unwarped_patches_hold_the_recorded_noise(monkeypatch):
    monkeypatch.setattr("nanocensus.segment.training.patches.UNWARPED_SHARE", 1.0)
    for limit in ("LARGEST_GAMMA", "LARGEST_GAIN"):
        monkeypatch.setattr(f"nanocensus.segment.training.patches.{limit}", 1.0)
    for limit in ("LARGEST_OFFSET", "LARGEST_NOISE"):
        monkeypatch.setattr(f"nanocensus.segment.training.patches.{limit}", 0.0)
    image = np.random.default_rng(0).normal(size=(40, 40))
    pixels, _ = draw_batch([prepare(image, image > 1)], np.random.default_rng(0), count=4, side=40)
    symmetries = [np.rot90(flipped, turns) for flipped in (image, image.T) for turns in range(4)]
    for patch in pixels:
        assert any(np.allclose(patch, standardise(symmetry), atol=0.05) for symmetry in symmetries)


def test_a_crop_smaller_than_a_patch_is_mirrored():
    pixels, targets = draw_batch(
        [prepare(*_disc(6, side=24, centre=(12, 12)))], np.random.default_rng(0), count=4, side=32
    )
    assert np.isfinite(pixels).all()
    assert (targets.max(axis=(1, 2)) > 0.9).all()


def test_a_crop_of_one_value_gives_finite_patches():
    pixels, _ = draw_batch(
        [prepare(np.full((40, 40), 7.0), np.zeros((40, 40)))], np.random.default_rng(0), count=2, side=32
    )
    assert np.isfinite(pixels).all()


def test_patches_that_are_not_varied_are_as_recorded_or_mirrored():
    rng = np.random.default_rng(4)
    image = rng.integers(0, 1000, (70, 90)).astype(np.uint16)
    crop = prepare(image, image > 500)
    pixels, targets = draw_batch([crop], rng, count=12, side=32, varied=False)
    windows = np.lib.stride_tricks.sliding_window_view(crop.pixels, (32, 32))
    shares = np.lib.stride_tricks.sliding_window_view(crop.target, (32, 32))
    turned = set()
    for patch, target in zip(pixels, targets, strict=True):
        for down, right in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
            found = np.argwhere((windows == patch[::down, ::right]).all(axis=(2, 3)))
            if len(found):
                turned.add((down, right))
                assert np.array_equal(shares[tuple(found[0])], target[::down, ::right])
                break
        else:
            raise AssertionError("a patch that is no part of the micrograph")
    assert len(turned) == 4
