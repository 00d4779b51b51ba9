"""What is kept of each micrograph for comparing it with all others without reading it again: thumbnails and spectra.

They follow from the recorded values alone, so one that is missing or damaged is made again by whoever asks for it.
"""

import io
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int8

from nanocensus.store.commit import commit_bytes

THUMBNAILS_FOLDER = "thumbnails"
THUMBNAIL_VERSION = 1
"""Raise it when the same micrograph would give another thumbnail; it is in the files' names."""
SPECTRUM_VERSION = 1
"""The same of spectra."""


def write_thumbnail(out: Path, micrograph: str, thumbnail: Int8[np.ndarray, "h w"]) -> None:
    """Keep the thumbnail of a micrograph.

    Raises
    ------
    StoreError
        If the disk refuses.
    """
    _write(_thumbnail(out, micrograph), thumbnail)


def read_thumbnail(out: Path, micrograph: str) -> Int8[np.ndarray, "h w"] | None:
    """Give the thumbnail of a micrograph, or None if there is none that can be read."""
    kept = _read(_thumbnail(out, micrograph))
    return kept if kept is not None and kept.dtype == np.int8 and kept.ndim == 2 else None


def write_spectrum(out: Path, micrograph: str, spectrum: Float32[np.ndarray, "3 k"]) -> None:
    """Keep the spectrum of a micrograph.

    Raises
    ------
    StoreError
        If the disk refuses.
    """
    _write(_spectrum(out, micrograph), spectrum)


def read_spectrum(out: Path, micrograph: str) -> Float32[np.ndarray, "3 k"] | None:
    """Give the spectrum of a micrograph, or None if there is none that can be read."""
    kept = _read(_spectrum(out, micrograph))
    return kept if kept is not None and kept.dtype == np.float32 and kept.ndim == 2 and len(kept) == 3 else None


def _write(path: Path, values: np.ndarray) -> None:
    stream = io.BytesIO()
    np.save(stream, values, allow_pickle=False)
    commit_bytes(path, stream.getvalue())


def _read(path: Path) -> np.ndarray | None:
    try:
        kept: np.ndarray = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return kept


def _thumbnail(out: Path, micrograph: str) -> Path:
    return out / THUMBNAILS_FOLDER / f"{micrograph}.v{THUMBNAIL_VERSION}.npy"


def _spectrum(out: Path, micrograph: str) -> Path:
    return out / THUMBNAILS_FOLDER / f"{micrograph}.spectrum.v{SPECTRUM_VERSION}.npy"
