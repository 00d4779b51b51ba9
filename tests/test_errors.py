import inspect
import pickle

import pytest

from nanocensus import errors

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_errors_travel_between_processes_whole(kind):
    error = kind("a.tif", expected="grey values", got="colour", remedy="Convert it.")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error) == "a.tif: expected grey values, got colour. Convert it."
    assert vars(again) == vars(error)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_stands_in_the_drawn_tree(kind):
    assert kind.__name__ in errors.__doc__


def test_bad_input_is_a_value_error_and_exits_with_2():
    assert issubclass(errors.CalibrationError, ValueError)
    assert errors.CalibrationError.exit_code == 2
