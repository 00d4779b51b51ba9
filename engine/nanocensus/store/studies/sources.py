"""Which files are the micrographs of a study."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from nanocensus.errors import CalibrationError, JobError
from nanocensus.store.names import folder_name
from nanocensus.store.ordering import natural_key
from nanocensus.store.studies.listed import described_samples, listed_files
from nanocensus.store.studies.listing import read_listing, typed_conditions
from nanocensus.store.studies.scan import image_files, match_pattern, no_micrographs
from nanocensus.store.studies.source import Source, first_folder, numbered
from nanocensus.units import PixelSize

__all__ = ["Source", "find_sources"]

logger = logging.getLogger(__name__)


def find_sources(
    root: Path,
    *,
    pattern: str | None = None,
    table: Path | None = None,
    pixel_size_nm: float | None = None,
    pixel_size_uncertainty: float | None = None,
    assumed: bool = False,
) -> list[Source]:
    """Find the micrographs of a study.

    Without more, the first folders below `root` are the samples, everything below belongs to them, and names sorted
    as people number them give the order; files directly in `root` belong to a sample of its name.

    Parameters
    ----------
    root : Path
        The folder that holds the files.
    pattern : str, optional
        What paths say instead, e.g. ``"{sample}/{group}/{order}.tif"``. Fields other than sample, group, session and
        order are conditions. See `scan.compile_pattern`.
    table : Path, optional
        A listing with a column `file` (one row a micrograph, only these files; not with a pattern) or `sample` (one
        row a folder, or a sample that the pattern names; `mask` then names a folder of masks of equal stems). Paths
        in it are relative to `root`. Columns not in `listing.KNOWN_COLUMNS` are conditions.
    pixel_size_nm : float, optional
        Side of a pixel where the listing gives none, nm.
    pixel_size_uncertainty : float, optional
        Its relative standard uncertainty where the listing gives none, whoever states the size.
    assumed : bool
        Whether pixel sizes given here or in the listing are made up; the word then goes with every length.

    Returns
    -------
    list of Source
        By sample, then order, then name. Files that look like images but have no reader are among them, so that
        they can be refused by name; others are ignored and counted in the log.

    Raises
    ------
    JobError
        If the folder, the pattern or their combination cannot be used.
    TableError
        If the listing cannot be used, or disagrees with what is there.
    CalibrationError
        If a given pixel size is impossible.
    ImageError
        If a link leads out of the folder.
    """
    listing = read_listing(table) if table is not None else None
    if listing is not None and listing.lists_files:
        if pattern is not None:
            raise JobError(
                "pattern",
                expected="a pattern, or a table that lists files",
                got="both",
                remedy="Leave the pattern out, or list samples instead of files.",
            )
        sources = listed_files(root, listing)
    else:
        files = image_files(root)
        sources = _placed(root, files) if pattern is None else _matched(root, files, match_pattern(files, pattern))
        if listing is not None:
            sources = described_samples(root, listing, sources, by_folder=pattern is None)
        else:
            _warn_unused(root)
    if not sources:
        raise no_micrographs(root)
    sources = [_calibrated(source, pixel_size_nm, pixel_size_uncertainty, assumed) for source in sources]
    return sorted(sources, key=lambda source: (natural_key(source.sample), source.order, natural_key(source.name)))


def _placed(root: Path, files: Mapping[str, Path]) -> list[Source]:
    here = folder_name(root) or "root"
    return numbered([Source(path, name, first_folder(name) or here) for name, path in files.items()])


def _matched(root: Path, files: Mapping[str, Path], fields: Mapping[str, Mapping[str, str]]) -> list[Source]:
    known = ("sample", "group", "session", "order")
    others = [{key: text for key, text in found.items() if key not in known} for found in fields.values()]
    sources = []
    for (name, found), conditions in zip(fields.items(), typed_conditions(others), strict=True):
        sample = found.get("sample") or first_folder(name) or folder_name(root)
        source = Source(files[name], name, sample, found.get("group"), found.get("session"), conditions=conditions)
        sources.append(source)
    if not any("order" in found for found in fields.values()):
        return numbered(sources)
    return [
        replace(source, order=_order(source.name, found["order"]))
        for source, found in zip(sources, fields.values(), strict=True)
    ]


def _order(name: str, text: str) -> int:
    if int(text) < 2**31:
        return int(text)
    raise JobError(
        name, expected="an {order} below 2^31", got=text, remedy="Let {order} take the counter, not the date."
    )


def _calibrated(source: Source, pixel_size_nm: float | None, uncertainty: float | None, assumed: bool) -> Source:
    doubt = source.pixel_size_uncertainty if source.pixel_size_uncertainty is not None else uncertainty
    if doubt is not None and not 0 < doubt < 1:
        raise CalibrationError(
            f"{source.name}: pixel_size_uncertainty",
            expected="a relative standard uncertainty above 0 and below 1",
            got=f"{doubt:g}",
            remedy="For example 0.01 for 1 %; leave it out where it is not known.",
        )
    source = replace(source, pixel_size_uncertainty=doubt)
    size = source.pixel_size_nm if source.pixel_size_nm is not None else pixel_size_nm
    if size is None:
        return source
    said: Literal["given", "assumed"] = "assumed" if assumed else "given"
    try:
        PixelSize(size, size, said).square_nm()
    except CalibrationError as error:
        raise CalibrationError(
            f"{source.name}: {error.subject}",
            expected=error.expected,
            got=error.got,
            remedy="Give pixel_size_nm in nanometres per pixel.",
        ) from None
    return replace(source, pixel_size_nm=size, pixel_size_source=said)


def _warn_unused(root: Path) -> None:
    for name in ("samples.csv", "micrographs.csv"):
        if (root / name).exists():
            logger.warning("%s is there but not used: name it as the table to use it", root / name)
