import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanocensus.errors import DamageError
from nanocensus.measure.acceptance import RULES
from nanocensus.measure.criteria import Criteria, SampleCriteria
from nanocensus.measure.descriptors import measure_particles
from nanocensus.measure.label import label_particles
from nanocensus.measure.outline import outlines
from nanocensus.pipeline.report.criteria_words import criteria_in_words, criterion_in_words
from nanocensus.pipeline.report.crops import particle_outline
from nanocensus.pipeline.report.sample_gallery import nearest
from nanocensus.store.images.micrographs import (
    content_digest,
    create_store,
    write_labels,
    write_micrograph,
    write_probability,
)


@settings(max_examples=60)
@given(
    rows=st.lists(
        st.tuples(st.booleans(), st.sampled_from([0.1, 0.2, 0.5, np.nan, -1.0]), st.integers(0, 2)), max_size=12
    ),
    most=st.integers(1, 5),
)
def test_the_nearest_are_those_that_least_else_decides_then_by_distance(rows, most):
    ranked = sorted(
        (others, near, place) for place, (on_side, near, others) in enumerate(rows) if on_side and not np.isnan(near)
    )
    expected = [place for near, place in sorted((near, place) for _, near, place in ranked[:most])]

    candidates, near, others = ([row[i] for row in rows] for i in range(3))
    chosen = nearest(np.array(candidates, bool), np.array(near, float), np.array(others, np.int64), most)
    assert chosen.tolist() == expected


def test_every_criterion_has_words_for_on_and_off():
    everything = Criteria(max_area_nm2=100.0, min_convexity=0.9, min_mean_probability=0.8)
    on = [criterion_in_words(rule, everything) for rule in RULES]
    off = [criterion_in_words(rule, Criteria(**{rule.criterion: False})) for rule in RULES]
    assert len({*on, *off}) == 2 * len(RULES)
    assert on[-1] == "mean probability of at least 0.8"
    assert criterion_in_words(RULES[3], everything, assumed=True) == "area of at most 100 nm² (assumed scale)"


def test_a_samples_own_bounds_are_told_as_what_differs():
    criteria = Criteria(
        max_area_nm2=100.0,
        samples={
            "Co0.8": SampleCriteria(max_area_nm2=200.0, min_solidity=False),
            "DW1": SampleCriteria(min_pixels=200),
        },
    )
    assert criteria_in_words(criteria)[-2:] == [
        "in Co0.8: area of at most 200 nm², any solidity",
        "in DW1: the same",
    ]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A map crowded with blobs, some on the border, in a store with its labels."""
    from scipy import ndimage

    rng = np.random.default_rng(3)
    smooth = ndimage.gaussian_filter(rng.normal(size=(160, 200)), 2.5)
    probability = np.clip(127 + 900 * smooth, 0, 255).astype(np.uint8)
    labels, _ = label_particles(probability > 127)
    store = tmp_path_factory.mktemp("store") / "micrographs.zarr"
    create_store(store)
    name = content_digest(probability)[:16]
    write_micrograph(store, name, probability, name="a.tif", pixel_size_nm=0.1)
    write_probability(store, name, probability, segment_digest="x")
    write_labels(store, name, labels)
    table = measure_particles(probability, labels=labels, pixel_size_nm=0.1).assign(micrograph=name, failed_criteria=0)
    return store, probability, labels, table


def test_an_outline_from_its_window_is_that_of_the_whole_map(measured):
    store, probability, labels, table = measured
    whole = outlines(probability, labels, threshold=0.5)
    assert len(table) == len(whole) > 20
    assert table["touches_border"].any()
    for particle in table.itertuples():
        traced = particle_outline(store, particle, threshold=0.5)
        np.testing.assert_allclose(traced, whole[particle.label - 1], atol=1e-12)


def test_a_label_that_is_not_where_its_row_says_is_damage(measured):
    store, _, _, table = measured
    with pytest.raises(DamageError, match="particle 999 in its bounding box"):
        particle_outline(store, next(table.assign(label=999).itertuples()), threshold=0.5)
