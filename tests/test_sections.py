from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import jsonschema
import pytest

from nanocensus.errors import JobError
from nanocensus.sections import json_schema, line_of, meanings, parse_section, plain, read_toml


@dataclass(frozen=True)
class Inner:
    """An inner section."""

    width: float = 0.2
    """A width in nm."""


@dataclass(frozen=True)
class Outer:
    """An outer section."""

    folder: Path
    """Where."""
    kind: Literal["a", "b"] = "a"
    """Which."""
    count: int | None = None
    """How many."""
    names: tuple[str, ...] = ()
    """What."""
    inner: Inner = field(default_factory=Inner)
    """Deeper."""


def parse(**data):
    return parse_section(Outer, data, section="outer", base=Path("/base"))


def test_values_are_read_and_paths_are_relative_to_the_file():
    read = parse(folder="raw", kind="b", count=3, names=["x"], inner={"width": 1})
    assert read == Outer(Path("/base/raw"), "b", 3, ("x",), Inner(1.0))
    assert isinstance(read.inner.width, float)
    assert parse(folder="../raw").folder == Path("/raw")


def test_what_was_read_can_be_written_and_read_again():
    read = parse(folder="raw", names=["x", "y"])
    assert parse_section(Outer, plain(read), section="outer") == read


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "expected the key 'folder'"),
        ({"folder": 3}, r"\[outer\] folder: expected a path \(text\), got 3"),
        ({"folder": "raw", "cuont": 3}, "Did you mean 'count'"),
        ({"folder": "raw", "kind": "c"}, "one of 'a', 'b'"),
        ({"folder": "raw", "count": True}, "a whole number, got True"),
        ({"folder": "raw", "count": 1.5}, "a whole number, got 1.5"),
        ({"folder": "raw", "names": "x"}, "expected a list"),
        ({"folder": "raw", "inner": 3}, "expected a table"),
        ({"folder": "raw", "inner": {"width": "wide"}}, r"\[outer.inner\] width: expected a number"),
        (
            {"folder": "raw", "inner": {"width": float("inf")}},
            r"\[outer.inner\] width: expected a finite number, got inf",
        ),
    ],
)
def test_mistakes_are_named_with_what_was_expected(data, words):
    with pytest.raises(JobError, match=words):
        parse(**data)


def test_a_file_may_begin_with_the_mark_that_editors_of_windows_put_there(tmp_path):
    (tmp_path / "job.toml").write_text('[outer]\r\nfolder = "raw"\r\n', encoding="utf-8-sig", newline="")
    assert read_toml(tmp_path / "job.toml") == {"outer": {"folder": "raw"}}


def test_the_line_of_a_table_is_found_however_its_name_is_spaced():
    text = 'a = 1\n[ samples . "Co 0.8" ]\nwidth = 2\n'
    assert line_of(text, "[samples.Co 0.8] width", top="job") == 3
    assert line_of(text, "[samples.Co 0.8]", top="job") == 2


def test_the_line_below_a_field_is_its_meaning_everywhere():
    assert meanings(Outer)["count"] == "How many."
    contract = json_schema(Outer)
    jsonschema.Draft202012Validator.check_schema(contract)
    assert contract["properties"]["inner"]["properties"]["width"]["description"] == "A width in nm."
    assert contract["required"] == ["folder"]
    jsonschema.validate({"folder": "raw", "inner": {"width": 0.1}}, contract)
