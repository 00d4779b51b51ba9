"""Files under a folder: which are micrographs, and what their paths say about them."""

import logging
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from nanocensus.errors import ImageError, JobError
from nanocensus.store.formats.readers import IMAGE_SUFFIXES, READERS
from nanocensus.store.manifest import LOCK_FILE, MICROGRAPHS_FILE
from nanocensus.store.names import one_spelling
from nanocensus.store.ordering import natural_key
from nanocensus.store.studies.listing import KNOWN_COLUMNS, likely_meant

logger = logging.getLogger(__name__)

_FIELD = re.compile(r"\{(\w+)\}|(\*\*/|\*)")
_RESERVED_FIELDS = ("pixel_size_nm", "pixel_size_uncertainty", "mask", "model", "image", "file")


def image_files(root: Path) -> dict[str, Path]:
    """List the files under a folder that are images or look like one, in natural order.

    Hidden files and folders, Zarr stores and results of runs are passed over, as are links to folders inside.

    Parameters
    ----------
    root : Path
        The folder.

    Returns
    -------
    dict of str to Path
        By its path relative to the folder, with forward slashes and in one spelling (see `names`).

    Raises
    ------
    JobError
        If it is no folder, or one inside it cannot be listed.
    ImageError
        If a link leads out of it, the name of a file is no UTF-8, or two files differ in its spelling alone.
    """
    if not root.is_dir():
        raise JobError(str(root), expected="a folder of micrographs", got="no folder there", remedy="Check the path.")
    found, others = dict[str, Path](), 0
    for folder, subfolders, files in os.walk(root, onerror=_refuse_unlisted):
        here = Path(folder)
        if here != root and (LOCK_FILE in files or MICROGRAPHS_FILE in files):
            logger.info("%s holds results of a run, which are passed over", here)
            subfolders.clear()
            continue
        subfolders[:] = [name for name in subfolders if not name.startswith(".") and not name.endswith(".zarr")]
        for name in subfolders:
            if (here / name).is_symlink():
                check_inside(root, here / name)
                logger.info("%s is a link to a folder inside %s, whose files are found there", here / name, root)
        for name in files:
            suffix = Path(name).suffix.lower()
            if name.startswith(".") or (suffix == ".raw" and f"{Path(name).stem}.rpl" in files):
                continue  # the values that a Ripple file describes
            if suffix not in READERS and suffix not in IMAGE_SUFFIXES:
                others += 1
                continue
            check_inside(root, here / name)
            known = one_spelling(_as_utf8((here / name).relative_to(root).as_posix()))
            if known in found:
                raise _spelled_twice(known, found[known], here / name)
            found[known] = here / name
    if others:
        logger.info("%d files under %s do not look like images and are ignored", others, root)
    return {name: found[name] for name in sorted(found, key=natural_key)}


def _refuse_unlisted(error: OSError) -> None:
    """Stop where `os.walk` would pass over a folder, whose micrographs would leave the census without a word."""
    raise JobError(
        str(error.filename),
        expected="a folder that can be listed",
        got=error.strerror or str(error),
        remedy="Mend its permissions, or move it out of the folder of micrographs.",
    )


def _as_utf8(name: str) -> str:
    """Refuse a name whose bytes are no UTF-8, which no table can hold."""
    shown = os.fsencode(name).decode("utf-8", "backslashreplace")
    if shown != name:
        raise ImageError(
            shown, expected="a name in UTF-8", got="other bytes, of an older encoding", remedy="Rename the file."
        )
    return name


def _spelled_twice(name: str, *paths: Path) -> ImageError:
    return ImageError(
        name,
        expected="one file of this name",
        got="two, whose letters are composed otherwise: " + ", ".join(ascii(path.name) for path in paths),
        remedy="Rename one, or remove it if it is a copy.",
    )


def no_micrographs(root: Path) -> JobError:
    """Make the error that says what a folder without micrographs lacks."""
    return JobError(
        str(root),
        expected="micrographs (" + ", ".join(sorted(READERS)) + ")",
        got="none",
        remedy="Check the folder; its subfolders are the samples.",
    )


def check_inside(root: Path, path: Path) -> None:
    """Refuse a path that leads out of the folder, through a link or through `..`.

    Raises
    ------
    ImageError
        If it does.
    """
    place = Path(os.path.realpath(path))  # Path.resolve raises where links lead in a circle, before Python 3.13
    if not place.is_relative_to(root.resolve()):
        raise ImageError(
            str(path),
            expected=f"a file inside {root}",
            got=f"a path that leads to {place}",
            remedy="Copy it into the folder, or start from the folder that holds both.",
        )


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Turn a path pattern into a regular expression over relative paths.

    Parameters
    ----------
    pattern : str
        ``{name}`` takes the shortest text inside one folder or file name that lets the rest match (digits only for
        ``{order}``), ``*`` any text inside one, ``**/`` any folders; everything else stands for itself.

    Raises
    ------
    JobError
        If a field is named twice, or its name is reserved or not a word.

    Examples
    --------
    >>> compile_pattern("{sample}_{session}_*.png").fullmatch("Co0.4_monday_007.png").groupdict()
    {'sample': 'Co0.4', 'session': 'monday'}
    """
    pattern, expression, end, seen = one_spelling(pattern), "", 0, set[str]()
    for match in _FIELD.finditer(pattern):
        expression += re.escape(pattern[end : match.start()])
        end = match.end()
        field = match[1]
        if field is None:
            expression += r"(?:[^/]+/)*" if match[2] == "**/" else r"[^/]*"
        elif field in seen or field in _RESERVED_FIELDS or not field.isidentifier():
            reason = "twice" if field in seen else "which a path cannot give"
            raise _pattern_error(pattern, f"{{{field}}} {reason}")
        elif field not in KNOWN_COLUMNS and likely_meant(field) is not None:
            raise _pattern_error(pattern, f"{{{field}}}; did you mean {{{likely_meant(field)}}}?")
        else:
            seen.add(field)
            expression += f"(?P<{field}>[0-9]+)" if field == "order" else f"(?P<{field}>[^/]+?)"
    rest = pattern[end:]
    if set("{}") & set(_FIELD.sub("", pattern)):
        raise _pattern_error(pattern, "a brace without its partner, or around something that is not a word")
    return re.compile(expression + re.escape(rest))


def _pattern_error(pattern: str, got: str) -> JobError:
    return JobError(
        f"pattern {pattern!r}",
        expected="fields like {sample}, {group}, {session}, {order} or a condition, each once",
        got=got,
        remedy="For example: {sample}/{group}/{order}.tif, or {sample}_{session}_*.png.",
    )


def match_pattern(names: Iterable[str], pattern: str) -> dict[str, Mapping[str, str]]:
    """Give the fields of each name that matches a pattern; the others are counted in the log.

    Raises
    ------
    JobError
        If none matches.
    """
    names, expression = list(names), compile_pattern(pattern)
    fields: dict[str, Mapping[str, str]] = {
        name: match.groupdict() for name in names if (match := expression.fullmatch(name))
    }
    if not fields:
        raise JobError(
            f"pattern {pattern!r}",
            expected="a pattern that at least one file matches",
            got=f"{len(names)} files, the first {names[0]!r}" if names else "no image files at all",
            remedy="Paths are relative to the folder, with forward slashes and with their suffix.",
        )
    if len(fields) < len(names):
        others = [name for name in names if name not in fields]
        logger.warning("%d files do not match the pattern %r and are ignored, e.g. %s", len(others), pattern, others[0])
    return fields
