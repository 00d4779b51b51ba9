"""Files that prove themselves: each holds the SHA-256 of its own bytes, taken with zeros in the digest's place.

Exists because the checksums of Parquet's pages leave its footer out, Zarr's those of its metadata, and a digest beside a
file cannot be replaced together with it.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nanocensus.schema import check_format_version

SEAL = "nanocensus.seal"
"""The key under which Parquet files have it."""
_MARK = b"nanocensus-sha256:"
_DIGITS = 64
UNSEALED = _MARK.decode() + _DIGITS * "0"
"""What stands for the digest in what is to be sealed."""
_SEALED_SINCE = (1, 3)
_VERSION = b"nanocensus.format_version"


def sealed(content: bytes) -> bytes:
    """Put the digest of some bytes into them.

    Raises
    ------
    ValueError
        If `UNSEALED` is not in them exactly once.

    Examples
    --------
    >>> is_sealed(sealed(UNSEALED.encode() + b" and more"))
    True
    """
    if content.count(UNSEALED.encode()) != 1:
        raise ValueError("there is not exactly one place for the seal")
    return content.replace(UNSEALED.encode(), _MARK + hashlib.sha256(content).hexdigest().encode())


def is_sealed(content: bytes) -> bool:
    """Say whether bytes hold their own digest.

    Raises
    ------
    ValueError
        If they hold another's: they changed since they were sealed.
    """
    place = content.rfind(_MARK)
    if place < 0:
        return False
    start, end = place + len(_MARK), place + len(_MARK) + _DIGITS
    emptied = content[:place] + UNSEALED.encode() + content[end:]
    if hashlib.sha256(emptied).hexdigest().encode() != content[start:end]:
        raise ValueError("its bytes are not those of the digest that it holds")
    return True


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a Parquet file that nanocensus wrote, proved by its seal and checked page by page.

    Raises
    ------
    FormatVersionError
        If a newer nanocensus wrote it.
    Exception
        Of any kind, if it is missing or damaged.
    """
    content = path.read_bytes()
    whole = is_sealed(content)
    file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
    version = (file.metadata.metadata or {}).get(_VERSION, b"").decode()
    _check_version(whole, version, path)
    return file


def read_metadata(path: Path) -> dict[str, Any]:
    """Read a zarr.json, proved by its seal.

    Raises
    ------
    FormatVersionError
        If a newer nanocensus wrote it.
    Exception
        Of any kind, if it is missing or damaged.
    """
    content = path.read_bytes()
    whole = is_sealed(content)
    node: dict[str, Any] = json.loads(content)
    facts = node.get("attributes", {}).get("nanocensus", {})
    if whole or "format_version" in facts:  # arrays of versions without seals say no version either
        _check_version(whole, str(facts["format_version"]), path)
    return node


def _check_version(whole: bool, version: str, path: Path) -> None:
    """Refuse what a newer nanocensus wrote, and what has lost its seal; files of versions that had none are believed."""
    check_format_version(version, str(path))
    major, minor = version.split(".")
    if not whole and (int(major), int(minor)) >= _SEALED_SINCE:
        raise ValueError("it holds no digest of its bytes")
