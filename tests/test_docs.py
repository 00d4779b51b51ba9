"""The documentation says what is: its blocks run, its tables name every column and key, its links lead somewhere."""

import dataclasses
import json
import re
import runpy
import shlex
import tomllib
import types
from pathlib import Path
from typing import Union, get_args, get_origin, get_type_hints

import pytest
import typer.main

from nanocensus.measure.acceptance import REASONS
from nanocensus.pipeline.columns_page import columns_markdown
from nanocensus.pipeline.job.spec import Job, parse_job
from nanocensus.schema import PARTICLES, TABLES
from nanocensus.sections import parse_section, plain
from nanocensus.segment.training.spec import TrainingSpec

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page, language):
    return [body for kind, body in FENCE.findall(page.read_text(encoding="utf-8")) if kind == language]


def name_of(page):
    return str(page.relative_to(ROOT))


def with_block(language):
    pages = [page for page in PAGES if blocks(page, language)]
    assert pages, f"no page has a {language} block: the pattern that finds them is wrong"
    return pytest.mark.parametrize("page", pages, ids=name_of)


def test_every_block_names_its_language():
    languages = {kind for page in PAGES for kind, _ in FENCE.findall(page.read_text(encoding="utf-8"))}
    assert languages <= {"python", "sh", "toml", "text"}


@with_block("python")
def test_python_blocks_run_in_order(page, tmp_path, monkeypatch):
    """All blocks of a page are one program, run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    program = tmp_path / f"{page.stem}_page.py"
    program.write_text("\n".join(blocks(page, "python")), encoding="utf-8")
    runpy.run_path(str(program))


@with_block("toml")
def test_toml_blocks_are_jobs(page):
    for source in blocks(page, "toml"):
        data = tomllib.loads(source)
        if page.name == "train.md" and "out" not in data:
            assert parse_section(TrainingSpec, data, section="training", base=Path("/base")).name == data["name"]
        else:
            parse_job(data)


@with_block("sh")
def test_commands_exist_with_their_options(page):
    from nanocensus.cli import app

    commands = typer.main.get_command(app).commands
    for line in "".join(blocks(page, "sh")).splitlines():
        program, command, *arguments = shlex.split(line)
        assert program == "nanocensus"
        known = [option for parameter in commands[command].params for option in parameter.opts]
        assert [word for word in arguments if word.startswith("--") and word not in known] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if not target.startswith("http"):
            assert (page.parent / target.split("#")[0]).exists(), target


def test_every_page_can_be_reached_from_the_readme():
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        targets = re.findall(r"\]\(([^)#]+\.md)[^)]*\)", page.read_text(encoding="utf-8"))
        waiting += [(page.parent / target).resolve() for target in targets if not target.startswith("http")]
    assert {page for page in PAGES if ROOT / "docs" in page.parents} <= seen


def test_the_page_of_columns_is_what_the_code_declares():
    page = ROOT / "docs/reference/columns.md"
    assert page.read_text(encoding="utf-8") == columns_markdown(list(TABLES.values())), (
        "run `nanocensus schema` to write it again, and review what changed"
    )


def test_the_page_of_columns_has_a_row_a_column():
    text = (ROOT / "docs/reference/columns.md").read_text(encoding="utf-8")
    for table in TABLES.values():
        section = text.split(f"\n## {table.name}\n")[1].split("\n## ")[0]
        assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(table.names)


def test_the_page_of_names_gives_the_iso_name_of_every_column_that_has_one():
    page = (ROOT / "docs/reference/names.md").read_text(encoding="utf-8")
    text = page.split("\n## Size distributions")[0]  # statistics of samples, not columns, are named from there on
    rows = {
        cells[0].strip(" `"): cells[3].strip()
        for cells in (line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `"))
    }
    declared = {column.name: column.iso_name for column in PARTICLES.columns if column.iso_name}
    # P is the perimeter's symbol in formulae; the standard's text names it so.
    assert {name: rows.get(name) for name in declared} == declared | {"perimeter_nm": rows.get("perimeter_nm")}
    assert set(rows) <= set(PARTICLES.names)


def documented_keys(page):
    """Key and default of each row of the tables under each heading."""
    sections = {}
    for part in re.split(r"^## ", page.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \| [^|]+ \|$", part, re.MULTILINE)
        sections[part.splitlines()[0].strip("`[]")] = {key: default.strip("`") for key, default in rows}
    return sections


def declared_keys(kind, heading):
    """The same of the dataclasses: a section of its own for each that a field holds."""
    sections, keys = {}, {}
    hints = get_type_hints(kind)
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        if get_origin(hint) in (Union, types.UnionType):
            hint = next(each for each in get_args(hint) if each is not types.NoneType)
        if dataclasses.is_dataclass(hint):
            prefix = "" if heading == "At the top" else f"{heading}."
            sections |= declared_keys(hint, prefix + field.name)
        else:
            keys[field.name] = default_of(field)
    return {heading: keys} | sections


def default_of(field):
    if field.default is dataclasses.MISSING:
        assert field.default_factory is dataclasses.MISSING, f"say how the default of {field.name} is documented"
        return "required"
    return "none" if field.default is None else json.dumps(plain(field.default))


def test_every_key_of_the_job_file_is_documented_with_its_default():
    assert documented_keys(ROOT / "docs/reference/job.md") == declared_keys(Job, "At the top")


def test_every_key_of_a_training_is_documented_with_its_default():
    text = (ROOT / "docs/how-to/train.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| `?([^|`]+)`? \| [^|]+ \|$", text, re.MULTILINE))
    assert rows == {field.name: default_of(field) for field in dataclasses.fields(TrainingSpec)}


def test_every_reason_is_documented_with_its_bit():
    text = (ROOT / "docs/reference/job.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| `\w+` \|$", text, re.MULTILINE)
    assert rows == [(str(bit), reason) for bit, reason in enumerate(REASONS)]


def test_the_readme_lists_every_command():
    from nanocensus.cli import app

    listed = re.findall(r"^nanocensus (\w+)", "".join(blocks(ROOT / "README.md", "sh")), re.MULTILINE)
    assert sorted(listed) == sorted(typer.main.get_command(app).commands)
