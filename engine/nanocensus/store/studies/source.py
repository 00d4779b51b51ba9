"""One file of a study, and what is said about it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Source:
    """One file, and what its place or a listing says about it."""

    path: Path
    name: str
    """Path relative to the folder it was found in, with forward slashes, and ``#image`` where one was chosen; names the
    micrograph for people."""
    sample: str
    """The synthesis condition."""
    group: str | None = None
    """Field or grid square."""
    session: str | None = None
    """Sitting at the microscope."""
    order: int = 0
    """Position in the order of acquisition within the sample."""
    conditions: Mapping[str, float | str] = field(default_factory=dict)
    """Conditions of the synthesis by their plain names."""
    pixel_size_nm: float | None = None
    """As given or assumed by the user; goes before what the file states."""
    pixel_size_source: Literal["given", "assumed"] | None = None
    pixel_size_uncertainty: float | None = None
    """Relative standard uncertainty of the pixel size, as the user states it."""
    mask: Path | None = None
    """Its true particles, drawn by hand."""
    model: str | None = None
    """Name of the network to predict it with."""
    image: str | None = None
    """Which image of a file that holds several: its title or number."""


def first_folder(name: str) -> str:
    """Give the first folder of a relative path, or "" where it has none."""
    return name.split("/")[0] if "/" in name else ""


def numbered(sources: Sequence[Source]) -> list[Source]:
    """Count the sources of each sample in the order they come in."""
    counts: dict[str, int] = defaultdict(int)
    counted = []
    for source in sources:
        counted.append(replace(source, order=counts[source.sample]))
        counts[source.sample] += 1
    return counted
