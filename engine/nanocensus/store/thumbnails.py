"""Thumbnails of micrographs, for comparing each with all others without reading them again.

They follow from the recorded values alone, so one that is missing or damaged is made again by whoever asks for it.
"""

import io
from pathlib import Path

import numpy as np
from jaxtyping import Int8

from nanocensus.store.commit import commit_bytes

THUMBNAILS_FOLDER = "thumbnails"
THUMBNAIL_VERSION = 1
"""Raise it when the same micrograph would give another thumbnail; it is in the files' names."""


def write_thumbnail(out: Path, micrograph: str, thumbnail: Int8[np.ndarray, "h w"]) -> None:
    """Keep the thumbnail of a micrograph.

    Raises
    ------
    StoreError
        If the disk refuses.
    """
    stream = io.BytesIO()
    np.save(stream, thumbnail, allow_pickle=False)
    commit_bytes(_path(out, micrograph), stream.getvalue())


def read_thumbnail(out: Path, micrograph: str) -> Int8[np.ndarray, "h w"] | None:
    """Give the thumbnail of a micrograph, or None if there is none that can be read."""
    try:
        kept = np.load(_path(out, micrograph), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return kept if kept.dtype == np.int8 and kept.ndim == 2 else None


def _path(out: Path, micrograph: str) -> Path:
    return out / THUMBNAILS_FOLDER / f"{micrograph}.v{THUMBNAIL_VERSION}.npy"
