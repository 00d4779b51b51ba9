"""How bytes reach the disk for good: beside their place first, then synced, then renamed into it.

A reader therefore sees the old artefact or the new one, never half of one. What a killed writer leaves behind has a
name that no reader asks for, and :func:`clear_leftovers` removes it.
"""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from nanocensus.errors import StoreError

PARTIAL_SUFFIX = ".partial"


def partial_path(path: Path) -> Path:
    """Give a fresh hidden name beside a path, on the same file system, for what is still being written."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}{PARTIAL_SUFFIX}")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failing disk into an error of ours.

    Raises
    ------
    StoreError
        Instead of any other OSError: disk full, no permission, a file where a folder should be.
    """
    try:
        yield
    except StoreError:
        raise
    except OSError as cause:
        raise StoreError(
            str(path),
            expected="a place that can be written",
            got=cause.strerror or str(cause),
            remedy="Free some space, mend the permissions or choose another output folder, then run again: what was "
            "finished is kept.",
        ) from cause


def commit_bytes(path: Path, content: bytes) -> None:
    """Write a whole file, durably and atomically; missing folders above it are made.

    Raises
    ------
    StoreError
        If the disk refuses.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = partial_path(path)
        try:
            with partial.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        _sync(path.parent)


def commit_tree(partial: Path, target: Path, *, replace: bool = True) -> None:
    """Put a finished folder in its place, durably; one that is there already gives way, or stays if nothing is to be replaced.

    Two renames replace a folder, as no file system does it in one: a crash between them leaves nothing in the place,
    which readers take for "not made yet".
    """
    for folder, _, files in os.walk(partial):
        for file in files:
            _sync(Path(folder) / file)
        _sync(Path(folder))
    target.parent.mkdir(parents=True, exist_ok=True)
    old = partial_path(partial)
    if replace:
        with contextlib.suppress(FileNotFoundError):
            target.rename(old)
    try:
        partial.rename(target)
    except OSError:
        # Another writer of the same thing came first; folders named by their content hold the same either way.
        if not target.exists():
            raise
        shutil.rmtree(partial)
    _sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def clear_leftovers(out: Path) -> int:
    """Remove what killed writers left in an output folder and the folders in it, and count it. Only for the holder of its lock.

    All that is large is made there. Deeper, inside the images of a store, a few kilobytes of metadata may stay: to look
    for them would be to list every micrograph's folders, at each start.
    """
    leftovers = [*out.glob(f".*{PARTIAL_SUFFIX}"), *out.glob(f"*/.*{PARTIAL_SUFFIX}")]
    for path in leftovers:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(leftovers)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
