"""Sections of job files: frozen dataclasses read from TOML, checked once at the door.

A section is a frozen dataclass whose fields are each followed by one line saying what they mean. From it derive the
parser, the published JSON Schema and the reference page.
"""

import ast
import dataclasses
import inspect
import math
import os
import re
import textwrap
import tomllib
import types
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from nanocensus.errors import InputError, JobError, did_you_mean

Section = TypeVar("Section")

_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false", Path: "a path (text)"}
_JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", Path: "string"}


def parse_section(kind: type[Section], data: Mapping[str, Any], *, section: str, base: Path | None = None) -> Section:
    """Read one section, or a whole job, from what a TOML file says.

    Parameters
    ----------
    kind : type
        The frozen dataclass of the section.
    data : Mapping
        What the file says; keys that are left out keep their defaults.
    section : str
        Name of the section, for messages.
    base : Path, optional
        Folder to which paths in the section are relative; the working directory if absent. They become absolute.

    Returns
    -------
    kind

    Raises
    ------
    JobError
        On an unknown key, a missing one, a value of the wrong type, or one that the section itself refuses.

    Examples
    --------
    >>> @dataclasses.dataclass(frozen=True)
    ... class Blocks:
    ...     micrographs: int = 16
    >>> parse_section(Blocks, {"micrographs": 4}, section="blocks")
    Blocks(micrographs=4)
    """
    fields = {field.name: field for field in dataclasses.fields(cast(Any, kind))}
    for key in data:
        if key not in fields:
            raise JobError(
                f"[{section}] {key}",
                expected="one of: " + ", ".join(fields),
                got=f"the unknown key {key!r}",
                remedy=did_you_mean(key, fields) or "Remove it: these are all there are.",
            )
    for name, field in fields.items():
        if name not in data and field.default is field.default_factory is dataclasses.MISSING:
            raise JobError(f"[{section}]", expected=f"the key {name!r}", got="none", remedy=f"Add {name} = ... to it.")
    hints = get_type_hints(kind)
    values = {key: _parse(hints[key], value, f"[{section}] {key}", base) for key, value in data.items()}
    try:
        return kind(**values)
    except InputError as error:  # the section's own check of a value
        subject = error.subject if error.subject.startswith("[") else f"[{section}] {error.subject}"
        raise JobError(subject, expected=error.expected, got=error.got, remedy=error.remedy) from None


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    JobError
        If it is not there, is no text, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # Windows' editors put a mark first
    except (OSError, UnicodeDecodeError) as error:
        got = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        remedy = "Check the path; jobs/ holds examples to copy."
        raise JobError(str(path), expected="a job file", got=got, remedy=remedy) from None
    except tomllib.TOMLDecodeError as error:
        raise JobError(str(path), expected="TOML", got=str(error), remedy="Correct that line.") from None


def line_of(text: str, subject: str, *, top: str) -> int | None:
    r"""Give the number of the line of a TOML text that an error is about; None if it is not to be found.

    Parameters
    ----------
    text : str
        The file.
    subject : str
        What the error names: "[section] key", or "[section]" for its heading.
    top : str
        What stands for the section of keys above all headings.

    Examples
    --------
    >>> line_of("out = 1\n[blocks]\nmicrographs = 0", "[blocks] micrographs", top="job")
    3
    """
    named = re.match(r"\[(?P<section>.+?)\](?:$| (?P<key>[\w-]+))", subject)
    if named is None:
        return None
    wanted, key, section, heading = _bare(named["section"]), named["key"], top, None
    for number, line in enumerate(text.splitlines(), start=1):
        headed = re.match(r"\s*\[([^\[\]]+)\]\s*(#.*)?$", line)
        if headed is not None:
            section = _bare(headed[1])
            if section in (wanted, key if wanted == top else None):
                heading = number
        elif section == wanted and key is not None and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
            return number
    return heading


def _bare(name: str) -> str:
    """Give the name of a section however it is spaced and quoted."""
    return re.sub("""[ "']""", "", name)


def _parse(hint: Any, value: Any, where: str, base: Path | None) -> Any:  # noqa: ANN401  any annotation, any TOML value
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None:  # never from TOML, which has no null; from the JSON record of an earlier run
            return None
        if any(type(value) is type(word) and value == word for word in _literals(args)):
            return value
        return _parse(_main(args), value, where, base)
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise _mismatch(where, "a table", value)
        return parse_section(cast(type[Any], hint), value, section=_heading(where), base=base)
    if origin is Literal:
        if value not in args:
            raise _mismatch(where, "one of " + ", ".join(map(repr, args)), value)
        return value
    if origin is Mapping:
        return _parse_named(args[1], value, where, base)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise _mismatch(where, "a list", value)
        return tuple(_parse(args[0], item, where, base) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is Path and isinstance(value, str):
        try:
            path = Path(value).expanduser()
        except RuntimeError:
            raise _mismatch(where, "a path", value) from None
        # Absolute, since workers may have another working directory.
        return Path(os.path.abspath(path if base is None else base / path))
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise _mismatch(where, _NAMES[hint], value)
    if hint is float and not math.isfinite(value):  # TOML has inf and nan; no key has a use for them
        raise _mismatch(where, "a finite number", value)
    return value


def _parse_named(kind: Any, value: Any, where: str, base: Path | None) -> dict[str, Any]:  # noqa: ANN401  any TOML value
    """Read tables whose names are the user's."""
    if not isinstance(value, Mapping):
        raise _mismatch(where, "tables with names", value)
    for name, table in value.items():
        for key, part in table.items() if isinstance(table, Mapping) else ():
            if isinstance(part, Mapping):  # TOML takes a bare name with a dot for a table in a table
                heading, full = _heading(where), f"{name}.{key}"
                remedy = f'Write [{heading}."{full}"].'
                got = "a table in a table"
                raise JobError(f"[{heading}.{full}]", expected="a name with a dot in quotes", got=got, remedy=remedy)
    return {name: _parse(kind, table, f"{where}.{name}", base) for name, table in value.items()}


def _heading(where: str) -> str:
    """Give the heading under which a file has the table that stands in this place."""
    return where.replace("[job] ", "").replace("[", "").replace("] ", ".")


def _literals(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Give the words that are allowed in the place of a value of the main type."""
    return tuple(word for arg in args if get_origin(arg) is Literal for word in get_args(arg))


def _main(args: tuple[Any, ...]) -> Any:  # noqa: ANN401  any annotation
    """Give the type of a union that is neither None nor a word: the first, if there are several."""
    kinds = [arg for arg in args if arg is not types.NoneType]
    return next((arg for arg in kinds if get_origin(arg) is not Literal), kinds[0])


def _mismatch(where: str, expected: str, value: Any) -> JobError:  # noqa: ANN401  any TOML value
    return JobError(where, expected=expected, got=repr(value), remedy="Correct it in the job file.")


def plain(section: Any) -> Any:  # noqa: ANN401  any section, any JSON value
    """Give a section as JSON values, paths as text: for digests and records.

    Examples
    --------
    >>> @dataclasses.dataclass(frozen=True)
    ... class Report:
    ...     folder: Path
    >>> plain(Report(Path("out")))
    {'folder': 'out'}
    """
    if dataclasses.is_dataclass(section):
        return {field.name: plain(getattr(section, field.name)) for field in dataclasses.fields(section)}
    if isinstance(section, Mapping):
        return {str(name): plain(part) for name, part in section.items()}
    if isinstance(section, tuple | list):
        return [plain(item) for item in section]
    return str(section) if isinstance(section, Path) else section


def meanings(kind: type) -> dict[str, str]:
    """Give what each field of a section means: the line below it in the source."""
    body = cast(ast.ClassDef, ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]).body
    return {
        field.target.id: inspect.cleandoc(line.value.value)
        for field, line in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(line, ast.Expr)
        and isinstance(line.value, ast.Constant)
        and isinstance(line.value.value, str)
    }


def json_schema(kind: type) -> dict[str, Any]:
    """Give the JSON Schema of a section."""
    hints, words = get_type_hints(kind), meanings(kind)
    properties: dict[str, Any] = {}
    required = []
    for field in dataclasses.fields(kind):
        facts = _json_type(hints[field.name])
        facts["description"] = words.get(field.name, facts.get("description", ""))
        if field.default is not dataclasses.MISSING and field.default is not None:
            facts["default"] = plain(field.default)
        elif field.default is field.default_factory is dataclasses.MISSING:
            required.append(field.name)
        properties[field.name] = facts
    return {
        "type": "object",
        "description": (inspect.getdoc(kind) or "").splitlines()[0],
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _json_type(hint: Any) -> dict[str, Any]:  # noqa: ANN401  any annotation
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        main, words = _json_type(_main(args)), list(_literals(args))
        return {"anyOf": [main, {"enum": words}]} if words and get_origin(_main(args)) is not Literal else main
    if dataclasses.is_dataclass(hint):
        return json_schema(cast(type, hint))
    if origin is Literal:
        return {"enum": list(args)}
    if origin is tuple:
        return {"type": "array", "items": _json_type(args[0])}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _json_type(args[1])}
    return {"type": _JSON_TYPES[hint]}
