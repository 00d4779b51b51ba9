import concurrent.futures
import itertools

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from nanocensus.errors import CalibrationError, ImageError, InputError
from nanocensus.measure.descriptors import descriptor_schema, measure, measure_particles
from nanocensus.measure.label import label_particles
from nanocensus.schema import PARTICLES

ESTIMATORS = ["outline", "paper", "crofton"]


def drawn_map(seed=0, shape=(90, 100)):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 2.0)
    return np.clip(np.rint(127.5 + 60 * noise / noise.std() - 20), 0, 255).astype(np.uint8)


def every_mask_of_3_by_3():
    """Give a mask with all 511 patterns of 3 x 3 pixels, apart from each other."""
    mask = np.zeros((16 * 5, 32 * 5), bool)
    for code, (row, column) in enumerate(itertools.product(range(16), range(32))):
        pattern = np.array([code >> bit & 1 for bit in range(9)], bool).reshape(3, 3)
        mask[5 * row + 1 : 5 * row + 4, 5 * column + 1 : 5 * column + 4] = pattern
    return mask


def assert_as_declared(table):
    """Check types, units and meanings, nulls and ranges against the schema."""
    assert table.schema.equals(descriptor_schema(), check_metadata=True)
    for name in table.column_names:
        declared, values = PARTICLES[name], table.column(name)
        assert declared.nullable or values.null_count == 0, name
        if declared.dtype in ("int32", "float64"):
            numbers = values.drop_null().to_numpy()
            assert np.all(np.isfinite(numbers)), name
            assert declared.minimum is None or np.all(numbers >= declared.minimum), name
            assert declared.maximum is None or np.all(numbers <= declared.maximum), name
        if declared.choices:
            assert set(values.to_pylist()) <= set(declared.choices)


def test_the_table_has_the_declared_columns_less_what_pixels_cannot_tell():
    assert descriptor_schema().names == list(PARTICLES.names[2:])
    assert descriptor_schema().metadata == PARTICLES.arrow().metadata


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_drawn_particles_keep_to_types_and_ranges_of_the_schema(estimator):
    table, labels, _ = measure(drawn_map(), pixel_size_nm=0.1, estimator=estimator)

    assert table.num_rows == labels.max() > 10
    assert_as_declared(table)


@pytest.mark.parametrize("with_map", [True, False])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_particles_of_few_pixels_keep_to_types_and_ranges_of_the_schema(estimator, with_map):
    mask = every_mask_of_3_by_3()
    labels, n = label_particles(mask)

    table, _, _ = measure(
        np.where(mask, 130, 125).astype(np.uint8) if with_map else None,
        labels,
        pixel_size_nm=0.1,
        estimator=estimator,
    )

    assert table.num_rows == n > 511
    assert_as_declared(table)


@settings(max_examples=150)
@given(
    arrays(np.uint8, (7, 9), elements=st.sampled_from([0, 1, 90, 102, 127, 128, 129, 153, 254, 255])),
    arrays(np.int32, (7, 9), elements=st.integers(0, 3)),
    st.sampled_from([0.1, 0.4, 0.5, 0.6, 0.9]),
)
def test_any_labels_on_any_map_keep_to_types_and_ranges_of_the_schema(probability, labels, threshold):
    for given_labels in (None, labels):
        assert_as_declared(measure(probability, given_labels, pixel_size_nm=0.1, threshold=threshold)[0])
    assert_as_declared(measure(labels=labels, pixel_size_nm=0.1)[0])


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_map_without_particles_gives_an_empty_table_of_the_same_types(estimator):
    for empty in (np.full((8, 9), 127, np.uint8), np.zeros((0, 5), np.uint8)):
        table, labels, _ = measure(empty, pixel_size_nm=0.1, estimator=estimator)

        assert table.num_rows == 0
        assert table.schema.equals(descriptor_schema(), check_metadata=True)
        assert labels.shape == empty.shape


def test_one_particle_that_fills_the_micrograph_is_measured():
    table, _, _ = measure(np.full((6, 8), 255, np.uint8), pixel_size_nm=1.0)

    row = table.to_pylist()[0]
    assert row["area_nm2"] == pytest.approx(6 * 8 - 4 / 8)  # the corners of the outline are cut
    assert row["touches_border"]
    assert row["border_weight"] is None
    assert (row["centroid_y_nm"], row["centroid_x_nm"]) == pytest.approx((3, 4))


def test_derived_columns_follow_from_the_measured_ones():
    frame = measure(drawn_map(1), pixel_size_nm=0.1)[0].to_pandas()

    area, perimeter, feret = frame.area_nm2, frame.perimeter_nm, frame.feret_max_nm
    expected = {
        "edge_length_nm": area**0.5,
        "equivalent_diameter_nm": (4 * area / np.pi) ** 0.5,
        "circularity": 4 * np.pi * area / perimeter**2,
        "iso_circularity": (4 * np.pi * area / perimeter**2) ** 0.5,
        "solidity": area / frame.hull_area_nm2,
        "convexity": frame.hull_perimeter_nm / perimeter,
        "aspect_ratio": frame.feret_min_nm / feret,
        "roundness": 4 * area / (np.pi * feret**2),
        "compactness": (4 * area / np.pi) ** 0.5 / feret,
        "eccentricity": (1 - (frame.minor_axis_nm / frame.major_axis_nm) ** 2) ** 0.5,
    }
    for name, values in expected.items():
        np.testing.assert_allclose(frame[name], values, rtol=1e-9, err_msg=name)


def test_lengths_scale_with_the_pixel_size_and_ratios_do_not():
    small, large = (measure(drawn_map(2), pixel_size_nm=side)[0].to_pandas() for side in (0.1, 0.3))

    for column in PARTICLES.columns[4:]:
        factor = {"nm": 3.0, "nm2": 9.0}.get(column.unit, 1.0)
        if column.unit in ("nm", "nm2", "1", "rad"):
            np.testing.assert_allclose(large[column.name], factor * small[column.name], rtol=1e-12, err_msg=column.name)


def test_the_border_weight_is_one_over_the_chance_to_lie_inside():
    probability = np.zeros((40, 50), np.uint8)
    probability[3:11, 5:25] = 255
    probability[20:30, 0:4] = 255

    first, second = measure(probability, pixel_size_nm=0.1)[0].select(["touches_border", "border_weight"]).to_pylist()

    assert first == {"touches_border": False, "border_weight": pytest.approx(40 * 50 / ((40 - 8) * (50 - 20)))}
    assert second == {"touches_border": True, "border_weight": None}


@pytest.mark.parametrize("corner", [(0, 5), (5, 0), (14, 5), (5, 14)])
def test_a_particle_on_any_edge_touches_the_border(corner):
    probability = np.zeros((20, 20), np.uint8)
    probability[corner[0] : corner[0] + 6, corner[1] : corner[1] + 6] = 255

    assert measure(probability, pixel_size_nm=0.1)[0].column("touches_border").to_pylist() == [True]


MOVES = {
    "transposed": np.transpose,
    "flipped up to down": np.flipud,
    "flipped left to right": np.fliplr,
    "turned by 90 degrees": np.rot90,
}


@pytest.mark.parametrize(
    ("estimator", "with_map"), [("outline", True), ("outline", False), ("paper", False), ("crofton", False)]
)
@pytest.mark.parametrize("move", MOVES)
def test_a_mirrored_or_turned_micrograph_gives_the_same_numbers(move, with_map, estimator):
    probability = drawn_map(3)
    labels, _ = label_particles(probability > 127)
    moved = MOVES[move]

    before, after = (
        measure(p if with_map else None, l, pixel_size_nm=1.0, estimator=estimator)[0].to_pandas()
        for p, l in ((probability, labels), (moved(probability), moved(labels)))
    )

    for name in (
        "area_nm2", "hole_area_nm2", "perimeter_nm", "hull_area_nm2", "hull_perimeter_nm", "circularity", "solidity",
        "convexity", "major_axis_nm", "minor_axis_nm", "feret_max_nm", "feret_min_nm", "border_weight", "pixel_count",
        "extent", "edge_width_nm", "area_p40_nm2", "area_p60_nm2", "gap_nm", "outline_noise_nm", "psi_2", "psi_3", "psi_4",
        "psi_5", "psi_6", "psi_7", "psi_8",
    ):  # fmt: skip
        np.testing.assert_allclose(after[name], before[name], rtol=1e-9, atol=1e-9, err_msg=name)
    np.testing.assert_allclose(after.eccentricity**2, before.eccentricity**2, atol=1e-9)  # its root is steep at 0
    if estimator == "outline":
        np.testing.assert_allclose(after.concavity, before.concavity, atol=1e-6)
        for name in ("hole_count", "star_shaped", "too_small"):
            np.testing.assert_array_equal(after[name], before[name], err_msg=name)


def test_the_orientation_turns_with_the_micrograph():
    probability = drawn_map(4)
    labels, _ = label_particles(probability > 127)

    before, turned = (
        measure(p, l, pixel_size_nm=1.0)[0].to_pandas() for p, l in ((probability, labels), (probability.T, labels.T))
    )

    double = 2 * (np.pi / 2 - before.orientation_rad)
    elongated = before.eccentricity > 0.2
    np.testing.assert_allclose(np.cos(2 * turned.orientation_rad)[elongated], np.cos(double)[elongated], atol=1e-8)
    np.testing.assert_allclose(np.sin(2 * turned.orientation_rad)[elongated], np.sin(double)[elongated], atol=1e-8)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_other_numbers_for_the_labels_give_the_same_rows_in_another_order(estimator):
    probability = drawn_map(5)
    labels, n = label_particles(probability > 127)
    renumber = np.concatenate(([0], 3 * (1 + np.random.default_rng(0).permutation(n)))).astype(np.int32)

    before, after = (
        measure(probability, l, pixel_size_nm=1.0, estimator=estimator)[0].to_pandas()
        for l in (labels, renumber[labels])
    )

    before["label"] = renumber[before["label"]]
    pd.testing.assert_frame_equal(before.sort_values("label", ignore_index=True), after)


@pytest.mark.parametrize("with_map", [True, False])
def test_equal_micrographs_give_equal_bytes_also_from_many_threads(with_map):
    probability = drawn_map(6)
    labels, _ = label_particles(probability > 127)

    def as_bytes(_):
        table, _, _ = measure(probability.copy() if with_map else None, labels.copy(), pixel_size_nm=0.1)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return sink.getvalue().to_pybytes()

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(as_bytes, range(8)))) == 1


def test_measure_particles_takes_floats_maps_and_labels_of_any_integers():
    probability = drawn_map(7)
    from_map = measure_particles(probability, pixel_size_nm=0.1)

    assert isinstance(from_map, pd.DataFrame)
    pd.testing.assert_frame_equal(measure_particles(probability / 255, pixel_size_nm=0.1), from_map)
    labels, _ = label_particles(probability > 127)
    both = measure_particles(probability, labels=labels.astype(np.uint16), pixel_size_nm=0.1)
    pd.testing.assert_frame_equal(both, from_map)
    of_labels = measure_particles(labels=labels, pixel_size_nm=0.1)
    assert of_labels.mean_probability.isna().all()
    np.testing.assert_array_equal(of_labels.pixel_count, from_map.pixel_count)


GOOD = {"probability": np.zeros((4, 5), np.uint8), "pixel_size_nm": 0.1}


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"probability": None}, ImageError, "at least one of them, got neither"),
        ({"probability": np.zeros((4, 5, 3), np.uint8)}, ImageError, r"2-D array \(y, x\), got 3-D"),
        ({"probability": np.zeros((4, 5), bool)}, ImageError, "got bool.*as `labels`"),
        ({"probability": np.zeros((4, 5), np.uint16)}, ImageError, "got uint16.*65535 for one that fills uint16"),
        ({"probability": np.full((4, 5), 1.5)}, ImageError, "values from 1.5 to 1.5.*sigmoid"),
        ({"probability": np.full((4, 5), np.nan)}, ImageError, "from 0 to 1, got NaN in 20 of 20 pixels"),
        ({"probability": np.array([[0.5, np.inf]])}, ImageError, "values from 0.5 to inf"),
        ({"labels": np.zeros((4, 6), int)}, ImageError, r"\(4, 5\), got \(4, 6\)"),
        ({"labels": np.zeros((4, 5))}, ImageError, "integers, 0 for background, got float64"),
        ({"labels": np.full((4, 5), -1)}, ImageError, "got -1 to -1"),
        ({"labels": np.full((4, 5), 10**12)}, ImageError, "relabel_sequential"),
        ({"pixel_size_nm": 0.0}, CalibrationError, "got 0 nm"),
        ({"pixel_size_nm": float("nan")}, CalibrationError, "got nan nm"),
        ({"threshold": 127.0}, InputError, "probability between 0 and 1"),
        ({"estimator": "papr"}, InputError, "Did you mean 'paper'"),
        ({"estimator": "x"}, InputError, "Use 'outline'"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_what_to_do(wrong, error, message):
    with pytest.raises(error, match=message):
        measure_particles(**(GOOD | wrong))


def test_a_mask_of_zeros_and_ones_given_as_a_map_is_warned_of(caplog):
    measure_particles(np.eye(4, dtype=np.uint8), pixel_size_nm=0.1)

    assert "a 0/1 mask belongs in `labels`" in caplog.text
