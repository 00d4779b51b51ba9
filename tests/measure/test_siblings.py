"""Disagreement of siblings: against an obvious reference, and where it must be known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from nanocensus.measure.descriptors import measure
from nanocensus.measure.siblings import REACH_PX, disagreement
from nanocensus.segment.prediction.weights import load_model
from nanocensus.simulate.scenes.scene import draw_scene


def _boxes(labels):
    found = ndimage.find_objects(labels)
    present = [number for number, place in enumerate(found, start=1) if place is not None]
    box = [[found[n - 1][0].start, found[n - 1][1].start, found[n - 1][0].stop, found[n - 1][1].stop] for n in present]
    return np.array(present, np.int32), np.array(box, np.int32).reshape(-1, 4)


def _reference(labels, maps):
    deviations, shares = [], []
    for number in _boxes(labels)[0]:
        own = labels == number
        cell = ndimage.binary_dilation(own, np.ones((2 * REACH_PX + 1,) * 2)) & (own | (labels == 0))
        lengths = [np.sqrt((each[cell] / 255).sum()) for each in maps if each[own].mean() > 127.5]
        deviations.append(np.std(lengths, ddof=1) if len(lengths) > 1 else np.nan)
        shares.append(len(lengths) / len(maps))
    return deviations, shares


@given(st.integers(0, 10_000), st.integers(1, 4))
def test_it_is_what_the_reference_gives(seed, count):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 60, 2)
    labels, _ = ndimage.label(ndimage.gaussian_filter(rng.normal(size=(height, width)), 2) > 0.05)
    labels = labels.astype(np.int32)
    maps = np.clip(255 * (labels > 0) + rng.normal(0, 150, (count, height, width)), 0, 255).astype(np.uint8)
    found = disagreement(labels, *_boxes(labels), maps)
    deviations, shares = _reference(labels, maps)
    np.testing.assert_allclose(found.edge_length_sd_px, deviations, atol=1e-9)
    np.testing.assert_allclose(found.share, shares)


def test_discs_of_known_radii_differ_by_what_they_differ():
    y, x = np.mgrid[:120, :120]
    radii = np.array([30.0, 31.0, 32.5])
    maps = np.stack([255 * np.clip(radius + 0.5 - np.hypot(y - 60, x - 60), 0, 1) for radius in radii])
    table = measure(maps[1].astype(np.uint8), pixel_size_nm=0.5, siblings=np.rint(maps).astype(np.uint8)).table
    expected = np.std(np.sqrt(np.pi) * radii, ddof=1) * 0.5
    assert table["edge_length_sibling_sd_nm"].to_pylist() == pytest.approx([expected], rel=5e-3)
    assert table["sibling_share"].to_pylist() == [1.0]


def test_without_siblings_nothing_is_known():
    square = np.zeros((30, 30), np.uint8)
    square[8:20, 8:20] = 255
    table = measure(square, pixel_size_nm=1.0).table
    assert table["edge_length_sibling_sd_nm"].to_pylist() == table["sibling_share"].to_pylist() == [None]


def test_particles_of_which_the_shipped_folds_disagree_are_measured_worse():
    siblings = [load_model(f"default-fold{fold}") for fold in range(3)]
    errors, deviations = [], []
    for seed in range(10):
        scene = draw_scene(np.random.default_rng([7, seed]), (288, 288), forms=["polygons"], kinds=["plain"])
        maps = np.stack([model.probability(scene.pixels) for model in siblings])
        found = measure(load_model("default").probability(scene.pixels), pixel_size_nm=1.0, siblings=maps)
        table = found.table.to_pandas()
        truth = scene.coverage > 0.5
        for row in table[table["edge_length_sibling_sd_nm"].notna() & (table["pixel_count"] > 100)].itertuples():
            own = found.labels == row.label
            near = ndimage.binary_dilation(own, iterations=REACH_PX)
            errors.append(abs(np.sqrt((truth & near).sum()) - row.edge_length_nm) / row.edge_length_nm)
            deviations.append(row.edge_length_sibling_sd_nm / row.edge_length_nm)
    errors, deviations = np.array(errors), np.array(deviations)
    assert len(errors) > 80
    agreed = deviations < np.median(deviations)
    assert np.median(errors[~agreed]) > 1.5 * np.median(errors[agreed])
