import dask
import dask.dataframe
import numpy as np
import pandas as pd
import pytest

from nanocensus.errors import InputError, TableError
from nanocensus.measure.criteria import REASONS, Criteria, apply_criteria, count_rejections, failed_criteria
from nanocensus.sections import parse_section, plain

GOOD = {
    "touches_border": False,
    "pixel_count": 1000,
    "area_nm2": 20.0,
    "eccentricity": 0.3,
    "solidity": 0.98,
    "convexity": 0.97,
}
STRICT = Criteria(max_area_nm2=100.0, min_convexity=0.9)


def particles(*rows):
    return pd.DataFrame([GOOD | row for row in rows])


def test_each_reason_has_its_own_bit_in_the_order_of_reasons():
    frame = particles(
        {},
        {"touches_border": True},
        {"pixel_count": 10},
        {"area_nm2": 5.0},
        {"area_nm2": 101.0},
        {"eccentricity": 0.9},
        {"solidity": 0.8},
        {"convexity": 0.5},
        {"touches_border": True, "solidity": 0.1},
    )

    failed = failed_criteria(frame, STRICT)

    assert failed.dtype == np.uint16
    assert failed.tolist() == [0, 1, 2, 4, 8, 16, 32, 64, 33]
    assert REASONS == (
        "border", "too_few_pixels", "area_too_small", "area_too_large", "eccentricity", "solidity", "convexity"
    )  # fmt: skip


def test_bounds_of_size_are_accepted_and_bounds_of_shape_are_not():
    at_bounds = particles(
        {"area_nm2": 6.0}, {"area_nm2": 100.0}, {"pixel_count": 200}, {"eccentricity": 0.85}, {"solidity": 0.9},
        {"convexity": 0.9},
    )  # fmt: skip

    assert failed_criteria(at_bounds, STRICT).tolist() == [0, 0, 0, 16, 32, 64]


def test_the_least_area_is_the_papers_and_what_is_off_needs_no_column():
    frame = pd.DataFrame({"area_nm2": [5.99, 6.0]})
    only_area = Criteria(max_eccentricity=None, min_solidity=None, exclude_border=False, min_pixels=None)

    assert failed_criteria(frame, only_area).tolist() == [4, 0]


@pytest.mark.parametrize("dtype", [None, "numpy_nullable", "pyarrow"])
def test_a_missing_value_is_not_accepted_whatever_the_kind_of_columns(dtype):
    frame = particles({}, {"solidity": np.nan})
    if dtype is not None:
        frame = frame.convert_dtypes(dtype_backend=dtype)

    assert failed_criteria(frame, Criteria()).tolist() == [0, 32]


def test_a_missing_column_is_named_with_the_criterion_that_wants_it():
    with pytest.raises(TableError, match="'solidity' for the criterion 'min_solidity'"):
        apply_criteria(particles({}).drop(columns="solidity"), Criteria())


def test_the_column_is_added_and_no_particle_dropped():
    frame = particles({}, {"solidity": 0.1})

    applied = apply_criteria(frame, Criteria())

    assert applied["failed_criteria"].tolist() == [0, 32]
    assert "failed_criteria" not in frame
    pd.testing.assert_frame_equal(applied.drop(columns="failed_criteria"), frame)
    again = apply_criteria(applied, Criteria(min_solidity=None))
    assert again["failed_criteria"].tolist() == [0, 0]


def test_a_dask_frame_gets_the_same_column_and_computes_nothing():
    rng = np.random.default_rng(0)
    frame = particles(*[{}] * 50).assign(solidity=rng.uniform(0.8, 1, 50), eccentricity=rng.uniform(0.5, 1, 50))
    lazy = dask.dataframe.from_pandas(frame, npartitions=4)

    def refuse(*_, **__):
        raise AssertionError("computed")

    with dask.config.set(scheduler=refuse):
        applied = apply_criteria(lazy, Criteria())

    assert applied["failed_criteria"].dtype == np.uint16
    assert applied.npartitions == 4
    expected = apply_criteria(frame, Criteria())
    computed = applied.compute(scheduler="synchronous")
    assert computed["failed_criteria"].tolist() == expected["failed_criteria"].tolist()
    assert 0 < (expected["failed_criteria"] == 0).sum() < 50


def test_something_that_is_no_frame_is_refused():
    with pytest.raises(TableError, match="pandas or dask DataFrame, got list"):
        apply_criteria([1], Criteria())


def test_rejections_are_counted_under_every_reason_or_once_under_the_first():
    frame = apply_criteria(
        particles({}, {"touches_border": True, "solidity": 0.1}, {"solidity": 0.1}, {"pixel_count": 1}), Criteria()
    )

    every, first = count_rejections(frame), count_rejections(frame, first_only=True)

    assert every[every > 0].to_dict() == {"border": 1, "too_few_pixels": 1, "solidity": 2}
    assert first[first > 0].to_dict() == {"border": 1, "too_few_pixels": 1, "solidity": 1}
    assert first.sum() == (frame["failed_criteria"] > 0).sum()
    assert every.index.tolist() == list(REASONS)


def test_rejections_of_a_frame_without_criteria_are_refused():
    with pytest.raises(TableError, match="Call apply_criteria first"):
        count_rejections(particles({}))


def test_criteria_survive_the_way_through_a_dictionary():
    criteria = Criteria(max_area_nm2=200.0, max_eccentricity=0.7, min_convexity=0.5, exclude_border=False, min_pixels=9)

    assert parse_section(Criteria, plain(criteria), section="criteria") == criteria
    assert parse_section(Criteria, {}, section="criteria") == Criteria()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_eccentricty": 0.5}, "Did you mean 'max_eccentricity'"),
        ({"colour": 1}, "Remove it"),
        ({"min_solidity": 1.5}, "from 0 to 1, got 1.5"),
        ({"min_solidity": float("nan")}, "got nan"),
        ({"min_area_nm2": -1}, "at least 0, got -1"),
        ({"min_area_nm2": "6"}, "got '6'"),
        ({"max_area_nm2": 5.0}, "at least min_area_nm2, 6, got 5.0"),
        ({"min_pixels": 2.5}, "a whole number, got 2.5"),
        ({"min_pixels": True}, "got True"),
        ({"exclude_border": 1}, "true or false, got 1"),
    ],
)
def test_criteria_that_cannot_be_are_refused_as_they_are_read(values, message):
    with pytest.raises(InputError, match=message):
        parse_section(Criteria, values, section="criteria")
