"""Which files were read already: their size and time of change, so that a resumed run does not read them all again.

Kept in a hidden file beside the index, never in a table: tables hold no times. Losing it costs a reading, nothing else.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from nanocensus.store.commit import commit_bytes
from nanocensus.store.formats.instruments import files_beside
from nanocensus.store.studies.source import Source

STAMPS_FILE = ".sources.json"

Stamp = list[int]


def stamp(source: Source) -> Stamp:
    """Give the size and time of change of a source's file, of those it needs and of its mask; empty if one cannot be found."""
    facts: Stamp = []
    for path in filter(None, (source.path, *files_beside(source.path), source.mask)):
        try:
            states = [each.stat() for each in (path, *path.rglob("*"))]  # a mask in Zarr is a folder
        except OSError:
            return []
        facts += [sum(state.st_size for state in states), max(state.st_mtime_ns for state in states)]
    return facts


def read_stamps(out: Path) -> dict[str, Stamp]:
    """Read the stamps of an output folder by source name; none if they are missing or damaged."""
    try:
        stamps = json.loads((out / STAMPS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamps if isinstance(stamps, dict) else {}


def write_stamps(out: Path, stamps: Mapping[str, Stamp]) -> None:
    """Write the stamps of an output folder."""
    commit_bytes(out / STAMPS_FILE, (json.dumps(stamps, sort_keys=True) + "\n").encode())


def forget(out: Path, names: Iterable[str]) -> None:
    """Have some sources read again by the next run."""
    gone = set(names)
    write_stamps(out, {name: facts for name, facts in read_stamps(out).items() if name not in gone})
