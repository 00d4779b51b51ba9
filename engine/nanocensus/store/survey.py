"""What can be found out about a folder of micrographs without being told: samples, order, sizes, conditions, gaps."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from nanocensus.errors import ImageError, MissingExtraError
from nanocensus.store.formats.readers import RecordedHeader, read_header, read_image
from nanocensus.store.images.ingest import DISAGREEMENT
from nanocensus.store.names import folder_name
from nanocensus.store.ordering import natural_key
from nanocensus.store.studies.listing import likely_meant, typed_conditions
from nanocensus.store.studies.scan import image_files, no_micrographs

_MASKS = frozenset({"mask", "masks", "label", "labels", "truth", "annotations"})
"""Folders of these names hold masks, each of the stem of its micrograph."""
_CONTAINERS = frozenset({"images", "image", "raw", "micrographs", "data", "tif", "tiff", "dm3", "dm4"})
"""Folders of these names name no sample."""
_COUNTER = re.compile(r"[ _-]+\d+$")
_CONDITION = re.compile(r"([^\W\d_]+)[ =]?(\d+(?:\.\d+)?)(?![\d.]*[^\W\d_])")
_COUNTED = frozenset({"sample", "run", "img", "image", "day", "grid", "batch", "no", "nr", "s", "field", "area", "pos"})
"""Words whose number counts something and is no condition of a synthesis."""


@dataclass(frozen=True)
class Surveyed:
    """One file, and what its place and its header say about it."""

    name: str
    """Path relative to the folder, with forward slashes."""
    sample: str
    group: str | None
    """The folder below the sample's."""
    session: str | None
    """The day it was recorded on."""
    pixel_size_nm: float | None
    shape: tuple[int, ...] | None
    mask: str | None
    problem: str
    """Why it could not be measured as it is; empty if nothing is wrong."""


@dataclass(frozen=True)
class Survey:
    """What a folder of micrographs holds."""

    files: Sequence[Surveyed]
    """By sample, in the order of acquisition."""
    conditions: Mapping[str, Mapping[str, float | str]]
    """Of each sample, by their plain names."""
    remarks: Sequence[str] = field(default=())
    """What does not fit together, in whole sentences."""

    @property
    def uncalibrated(self) -> list[str]:
        """Names of the files that could be measured if the size of a pixel were known."""
        return [each.name for each in self.files if not each.problem and each.pixel_size_nm is None]


def survey(root: Path, *, on_header: Callable[[int, int], None] = lambda done, total: None) -> Survey:
    """Look through a folder.

    Parameters
    ----------
    root : Path
    on_header : callable
        Told after each header how many were read, and how many there are.

    Returns
    -------
    Survey

    Raises
    ------
    JobError
        If it is no folder, or holds no micrographs.
    ImageError
        If a link leads out of it.
    """
    files = image_files(root)
    micrographs = [name for name in files if not _is_mask(name)]
    if not micrographs:
        raise no_micrographs(root)
    samples = _samples(root, micrographs)
    masks, left = _paired(micrographs, [name for name in files if _is_mask(name)])
    looked = []
    for done, name in enumerate(micrographs, 1):
        looked.append(_look(name, files[name], samples[name], masks.get(name)))
        on_header(done, len(micrographs))
    undated = {each.sample for each, recorded_at in looked if not (recorded_at or each.problem)}

    def place(pair: tuple[Surveyed, str]) -> tuple[object, ...]:
        each, recorded_at = pair
        time = "" if each.sample in undated else recorded_at or "without"  # which comes after any time
        return natural_key(each.sample), time, natural_key(each.name)

    surveyed = [each for each, _ in sorted(looked, key=place)]
    conditions = conditions_in(list(dict.fromkeys(each.sample for each in surveyed)))
    return Survey(surveyed, conditions, [*_disagreements(surveyed), *_without_conditions(conditions), *_left(left)])


def _is_mask(name: str) -> bool:
    return any(part.casefold() in _MASKS for part in PurePosixPath(name).parts[:-1])


def _paired(micrographs: Sequence[str], masks: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Give the mask of each micrograph that has one, and the masks that are left.

    They share the stem and the folders but those that say images or masks; or the stem alone, if nothing else has it.
    """
    paired: dict[str, str] = {}
    for key in (_named_place, lambda name: ((), _stem(name))):
        free = [mask for mask in masks if mask not in paired.values()]
        wanted = Counter(key(name) for name in micrographs if name not in paired)
        offered = Counter(map(key, free))
        by_key = {key(mask): mask for mask in free if offered[key(mask)] == 1}
        paired |= {
            name: by_key[key(name)]
            for name in micrographs
            if name not in paired and wanted[key(name)] == 1 and key(name) in by_key
        }
    return paired, sorted(set(masks) - set(paired.values()))


def _named_place(name: str) -> tuple[tuple[str, ...], str]:
    folders = PurePosixPath(name).parts[:-1]
    return tuple(part for part in folders if part.casefold() not in _MASKS | _CONTAINERS), _stem(name)


def _stem(name: str) -> str:
    return PurePosixPath(name).stem


def _samples(root: Path, names: Sequence[str]) -> dict[str, tuple[str, str | None]]:
    """Give sample and group of each file: from its folders, or of files without any from what precedes a counter."""
    found: dict[str, tuple[str, str | None]] = {}
    for name in names:
        folders = [part for part in PurePosixPath(name).parts[:-1] if part.casefold() not in _CONTAINERS]
        if folders:
            found[name] = folders[0], folders[1] if len(folders) > 1 else None
    loose = {name: _COUNTER.sub("", _stem(name)) for name in names if name not in found}
    if len(set(loose.values())) == len(loose) > 1:  # no counters: each name is its own
        loose = dict.fromkeys(loose, folder_name(root))
    return found | {name: (sample, None) for name, sample in loose.items()}


def _look(name: str, path: Path, place: tuple[str, str | None], mask: str | None) -> tuple[Surveyed, str]:
    """Read a file's header; give what is found, and when the file was recorded."""
    size, problem, header = None, "", None
    try:
        header = read_header(path)
        size = _size(header)
        if len(header.shape) > 2:  # only pixels tell whether channels differ
            read_image(path)
    except (ImageError, MissingExtraError) as error:
        problem = str(error).replace(str(path), name)
    recorded_at = str(header.metadata.get("recorded_at", "")) if header is not None else ""
    day = re.match(r"(\d{4})[-:](\d{2})[-:](\d{2})", recorded_at)
    session = "-".join(day.groups()) if day else None
    shape = header.shape if header is not None else None
    return Surveyed(name, *place, session, size, shape, mask, problem), recorded_at


def _size(header: RecordedHeader) -> float | None:
    if header.calibration_problem is not None:
        raise header.calibration_problem
    return None if header.pixel_size is None else header.pixel_size.square_nm()


def conditions_in(samples: Sequence[str]) -> dict[str, dict[str, float | str]]:
    """Find the conditions that samples' names hide: a word with a number, in all of them, and not the same in all.

    Samples whose names hold no such word at all (`others`, `calibration`) have no say in it.

    Parameters
    ----------
    samples : sequence of str

    Returns
    -------
    dict of str to dict
        By sample; empty for those that name none.

    Examples
    --------
    >>> conditions_in(["Co0.4_DW0.43", "Co0.8_DW0.43"])
    {'Co0.4_DW0.43': {'Co': 0.4}, 'Co0.8_DW0.43': {'Co': 0.8}}
    >>> conditions_in(["run1", "run2"])
    {'run1': {}, 'run2': {}}
    """
    named = {sample: held for sample in samples if (held := _words_with_numbers(sample))}
    found = list(named.values())
    shared = [word for word in (found[0] if found else {}) if all(word in each for each in found)]
    words = [word for word in shared if len({float(each[word]) for each in found}) > 1]
    typed = typed_conditions([{word: each[word] for word in words} for each in found])
    return {key: {} for key in samples} | dict(zip(named, typed, strict=True))


def _words_with_numbers(sample: str) -> dict[str, str]:
    found = dict(_CONDITION.findall(sample))
    return {
        word: number for word, number in found.items() if word.casefold() not in _COUNTED and likely_meant(word) is None
    }


def _without_conditions(conditions: Mapping[str, Mapping[str, float | str]]) -> list[str]:
    words = list(dict.fromkeys(word for each in conditions.values() for word in each))
    without = [sample for sample, each in conditions.items() if words and not each]
    if not without:
        return []
    return [f"The names of {', '.join(without)} say nothing of {', '.join(words)}: fill the columns if you know it."]


def _disagreements(files: Sequence[Surveyed]) -> list[str]:
    remarks = []
    for sample in dict.fromkeys(each.sample for each in files):
        members = [each for each in files if each.sample == sample and not each.problem]
        sizes = sorted({each.pixel_size_nm for each in members if each.pixel_size_nm is not None})
        if sizes and sizes[-1] / sizes[0] - 1 > DISAGREEMENT:
            shown = ", ".join(f"{size:.4g}" for size in (sizes if len(sizes) < 5 else (sizes[0], sizes[-1])))
            remarks.append(f"The pixels of {sample} are of different sizes ({shown} nm): several magnifications?")
        shapes = sorted({each.shape for each in members if each.shape is not None})
        if len(shapes) > 1:
            shown = ", ".join(" x ".join(map(str, shape)) for shape in shapes[:4])
            remarks.append(f"The images of {sample} are of different shapes ({shown}).")
    return remarks


def _left(masks: Sequence[str]) -> list[str]:
    if not masks:
        return []
    few = ", ".join(masks[:3]) + (" ..." if len(masks) > 3 else "")
    return [f"Masks without a micrograph of their name: {len(masks)} ({few})."]
