import dataclasses
import json
import operator
import tomllib

import dask
import dask.dataframe
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanocensus.errors import InputError, JobError, TableError
from nanocensus.measure.acceptance import REASONS, apply_criteria, count_rejections, decode_failed, failed_criteria
from nanocensus.measure.criteria import Criteria, SampleCriteria, refuse_unknown_samples
from nanocensus.sections import parse_section, plain

GOOD = {
    "touches_border": False,
    "pixel_count": 1000,
    "area_nm2": 20.0,
    "eccentricity": 0.3,
    "solidity": 0.98,
    "convexity": 0.97,
    "mean_probability": 0.9,
}
STRICT = Criteria(max_area_nm2=100.0, min_convexity=0.9, min_mean_probability=0.7)


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
        {"mean_probability": 0.6},
        {"touches_border": True, "solidity": 0.1},
    )

    failed = failed_criteria(frame, STRICT)

    assert failed.dtype == np.uint16
    assert failed.tolist() == [0, 1, 2, 4, 8, 16, 32, 64, 128, 33]
    assert REASONS == (
        "border", "too_few_pixels", "area_too_small", "area_too_large", "eccentricity", "solidity", "convexity",
        "mean_probability",
    )  # fmt: skip


def test_bounds_of_size_are_accepted_and_bounds_of_shape_are_not():
    at_bounds = particles(
        {"area_nm2": 6.0}, {"area_nm2": 100.0}, {"pixel_count": 200}, {"eccentricity": 0.85}, {"solidity": 0.9},
        {"convexity": 0.9}, {"mean_probability": 0.7},
    )  # fmt: skip

    assert failed_criteria(at_bounds, STRICT).tolist() == [0, 0, 0, 16, 32, 64, 0]


def test_the_least_area_is_the_papers_and_what_is_off_needs_no_column():
    frame = pd.DataFrame({"area_nm2": [5.99, 6.0]})
    only_area = Criteria(max_eccentricity=None, min_solidity=None, exclude_border=False, min_pixels=None)

    assert failed_criteria(frame, only_area).tolist() == [4, 0]


@pytest.mark.parametrize("dtype", [None, "numpy_nullable", "pyarrow"])
def test_a_missing_value_is_not_accepted_whatever_the_kind_of_columns(dtype):
    frame = particles({}, {"solidity": np.nan}, {"mean_probability": np.nan})
    if dtype is not None:
        frame = frame.convert_dtypes(dtype_backend=dtype)

    assert failed_criteria(frame, Criteria()).tolist() == [0, 32, 0]
    assert failed_criteria(frame, Criteria(min_mean_probability=0.0)).tolist() == [0, 32, 128]


def test_a_missing_column_is_named_with_the_criterion_that_wants_it():
    with pytest.raises(TableError, match="'solidity' for the criterion 'min_solidity'"):
        apply_criteria(particles({}).drop(columns="solidity"), Criteria())


@pytest.mark.parametrize(("column", "text"), [("touches_border", "False"), ("area_nm2", "10 nm2")])
def test_a_column_of_text_is_refused_with_its_name(column, text):
    with pytest.raises(TableError, match=f"numbers in the column '{column}'"):
        failed_criteria(particles({}).assign(**{column: text}), Criteria())


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


def test_rejections_are_counted_under_every_reason():
    frame = apply_criteria(
        particles({}, {"touches_border": True, "solidity": 0.1}, {"solidity": 0.1}, {"pixel_count": 1}), Criteria()
    )

    every = count_rejections(frame)

    assert every[every > 0].to_dict() == {"border": 1, "too_few_pixels": 1, "solidity": 2}
    assert every.index.tolist() == list(REASONS)


def test_rejections_of_a_frame_without_criteria_are_refused():
    with pytest.raises(TableError, match="Call apply_criteria first"):
        count_rejections(particles({}))


def test_criteria_survive_the_way_through_a_record():
    criteria = Criteria(
        max_area_nm2=200.0, max_eccentricity=0.7, min_convexity=0.5, exclude_border=False, min_pixels=9,
        min_mean_probability=0.6,
        samples={"Co0.8": SampleCriteria(max_area_nm2=False, exclude_border=True), "a b": SampleCriteria()},
    )  # fmt: skip

    record = json.loads(json.dumps(plain(criteria)))
    assert parse_section(Criteria, record, section="criteria") == criteria
    assert parse_section(Criteria, {}, section="criteria") == Criteria()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_eccentricty": 0.5}, "Did you mean 'max_eccentricity'"),
        ({"colour": 1}, "Remove it"),
        ({"min_solidity": 1.5}, "from 0 to 1, or false for none, got 1.5"),
        ({"min_solidity": float("nan")}, "got nan"),
        ({"min_area_nm2": -1}, "at least 0, or false for none, got -1"),
        ({"min_area_nm2": "6"}, "got '6'"),
        ({"max_area_nm2": 5.0}, "at least min_area_nm2, 6, got 5.0"),
        ({"min_pixels": 2.5}, "a whole number, got 2.5"),
        ({"min_pixels": True}, "got True"),
        ({"exclude_border": 1}, "true or false, got 1"),
        ({"min_mean_probability": 1.1}, "from 0 to 1, or false for none, got 1.1"),
        ({"samples": 3}, r"\[criteria\] samples: expected tables with names"),
        ({"samples": {"Co0.8": 3}}, r"\[criteria\] samples.Co0.8: expected a table"),
        ({"samples": {"Co0.8": {"max_area": 3}}}, r"\[criteria.samples.Co0.8\] max_area.*Did you mean 'max_area_nm2'"),
        ({"samples": {"Co0.8": {"min_solidity": 2}}}, r"\[criteria.samples.Co0.8\] min_solidity.*got 2"),
        ({"samples": {"Co0.8": {"max_area_nm2": 5}}}, r'\[criteria.samples."Co0.8"\] max_area_nm2.*min_area_nm2, 6'),
        ({"samples": {"Co0": {"8": {"max_area_nm2": 200}}}}, r'Write \[criteria.samples."Co0.8"\]'),
    ],
)
def test_criteria_that_cannot_be_are_refused_as_they_are_read(values, message):
    with pytest.raises(InputError, match=message):
        parse_section(Criteria, values, section="criteria")


JOB = """
max_area_nm2 = 300.0
min_convexity = 0.8
[samples."Co0.8"]
max_area_nm2 = 50
min_convexity = false
[samples.DW1]
exclude_border = false
"""


def test_a_samples_table_changes_its_own_keys_and_inherits_the_others():
    criteria = parse_section(Criteria, tomllib.loads(JOB), section="criteria")

    assert criteria.of("Co0.4") == Criteria(max_area_nm2=300.0, min_convexity=0.8)
    assert criteria.of("Co0.8") == Criteria(max_area_nm2=50.0, min_convexity=None)
    assert criteria.of("DW1") == Criteria(max_area_nm2=300.0, min_convexity=0.8, exclude_border=False)


@pytest.mark.parametrize("own", [Criteria(max_area_nm2=30.0), {"max_area_nm2": 30.0}, None])
def test_what_could_not_inherit_is_refused_for_a_sample(own):
    with pytest.raises(InputError, match=r'criteria.samples."b"\]: expected SampleCriteria'):
        Criteria(min_area_nm2=2.0, samples={"a": SampleCriteria(), "b": own})


def test_every_criterion_can_be_set_for_one_sample():
    of_one = {field.name for field in dataclasses.fields(SampleCriteria)}
    assert of_one == {field.name for field in dataclasses.fields(Criteria)} - {"samples"}


def test_false_switches_a_criterion_off_for_all_and_for_one():
    off = parse_section(Criteria, {"min_solidity": False, "min_area_nm2": False}, section="criteria")
    assert (off.min_solidity, off.min_area_nm2) == (None, None)
    assert Criteria(min_solidity=False) == Criteria(min_solidity=None)
    for_one = Criteria(samples={"a": SampleCriteria(min_solidity=False)})
    frame = particles({"sample": "a", "solidity": 0.1}, {"sample": "b", "solidity": 0.1})
    assert failed_criteria(frame, for_one).tolist() == [0, 32]


def test_criteria_of_a_sample_that_is_not_there_are_refused_with_the_nearest_name():
    criteria = Criteria(samples={"Co08": SampleCriteria(), "Co0.4": SampleCriteria()})
    with pytest.raises(JobError, match=r"Co0.4, Co0.8, got 'Co08'. Did you mean 'Co0.8'"):
        refuse_unknown_samples(criteria, ["Co0.8", "Co0.4", "Co0.4"])
    refuse_unknown_samples(criteria, ["Co0.4", "Co08"])
    with pytest.raises(JobError, match="there is none"):
        refuse_unknown_samples(criteria, [])


def test_a_table_without_samples_is_refused_where_samples_have_their_own_criteria():
    with pytest.raises(TableError, match="'sample' for the criterion 'samples'"):
        apply_criteria(particles({}), Criteria(samples={"a": SampleCriteria(min_pixels=3)}))
    frame = particles({"sample": "a"}).drop(columns="convexity")
    with pytest.raises(TableError, match="'convexity' for the criterion 'min_convexity'"):
        apply_criteria(frame, Criteria(samples={"not here": SampleCriteria(min_convexity=0.5)}))


SLOW_RULES = [
    ("exclude_border", "touches_border", lambda value, bound: not value),
    ("min_pixels", "pixel_count", operator.ge),
    ("min_area_nm2", "area_nm2", operator.ge),
    ("max_area_nm2", "area_nm2", operator.le),
    ("max_eccentricity", "eccentricity", operator.lt),
    ("min_solidity", "solidity", operator.gt),
    ("min_convexity", "convexity", operator.gt),
    ("min_mean_probability", "mean_probability", operator.ge),
]


def slowly(row, criteria):
    """The criteria one particle and one bound at a time."""
    own = (criteria.samples or {}).get(row["sample"])
    mask = 0
    for bit, (key, column, accepts) in enumerate(SLOW_RULES):
        bound = getattr(criteria, key)
        if own is not None and getattr(own, key) is not None:
            bound = getattr(own, key)
        if bound is None or bound is False:
            continue
        if pd.isna(row[column]) or not accepts(row[column], bound):
            mask += 2**bit
    return mask


SHARES = st.sampled_from([0.0, 0.3, 0.5, 0.8, 0.9, 1.0])
ROWS = st.fixed_dictionaries(
    {
        "sample": st.sampled_from(["a", "b", "c"]),
        "touches_border": st.booleans(),
        "pixel_count": st.sampled_from([1, 5, 200, 900]),
        "area_nm2": st.sampled_from([0.5, 3.0, 6.0, 40.0]),
        "eccentricity": SHARES,
        "solidity": SHARES,
        "convexity": SHARES,
        "mean_probability": SHARES | st.just(np.nan),
    }
)
BOUNDS = {
    "exclude_border": st.booleans(),
    "min_pixels": st.sampled_from([0, 5, 300, False]),
    "min_area_nm2": st.sampled_from([0.0, 3.0, False]),
    "max_area_nm2": st.sampled_from([6.0, 40.0, False]),
    "max_eccentricity": SHARES | st.just(False),
    "min_solidity": SHARES | st.just(False),
    "min_convexity": SHARES | st.just(False),
    "min_mean_probability": SHARES | st.just(False),
}
OWN = st.fixed_dictionaries({}, optional=BOUNDS).map(lambda given: SampleCriteria(**given))
CRITERIA = st.builds(
    lambda common, samples: Criteria(**common, samples=samples or None),
    st.fixed_dictionaries({}, optional=BOUNDS),
    st.dictionaries(st.sampled_from(["a", "b", "elsewhere"]), OWN),
)


@settings(max_examples=60)
@given(rows=st.lists(ROWS, min_size=1, max_size=12), criteria=CRITERIA, cuts=st.integers(1, 4))
def test_criteria_are_applied_as_one_particle_at_a_time_however_the_table_is_cut(rows, criteria, cuts):
    frame = pd.DataFrame(rows)
    expected = [slowly(row, criteria) for row in rows]

    assert failed_criteria(frame, criteria).tolist() == expected
    cut = dask.dataframe.from_pandas(frame, npartitions=cuts, sort=False)
    applied = apply_criteria(cut, criteria)
    assert applied.compute(scheduler="synchronous")["failed_criteria"].tolist() == expected
    words = decode_failed(applied["failed_criteria"]).compute(scheduler="synchronous")
    slow_words = [", ".join(name for bit, name in enumerate(REASONS) if mask // 2**bit % 2) for mask in expected]
    assert words.tolist() == slow_words


def test_a_bitmask_names_its_reasons_in_order():
    assert decode_failed(0) == ()
    assert decode_failed(np.uint16(255)) == REASONS
    column = pd.Series([0, 33, 33], index=[7, 8, 9], dtype="uint16")
    decoded = decode_failed(column)
    assert decoded.tolist() == ["", "border, solidity", "border, solidity"]
    assert decoded.index.tolist() == [7, 8, 9]
    assert decode_failed(column[:0]).tolist() == []


@pytest.mark.parametrize(
    "failed",
    [
        256, -1, pd.Series([0, 256]), "33", [1], pd.Series(["solidity"]), pd.Series([1.0, np.nan]), pd.Series([1.5]),
        pd.Series([1, None], dtype="Int32"),
    ],
)  # fmt: skip
def test_what_is_no_bitmask_is_refused(failed):
    with pytest.raises(TableError):
        decode_failed(failed)
