"""What a listing says, put together with the files that are there."""

import logging
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nanocensus.errors import TableError
from nanocensus.store.masks.masks import MASK_SUFFIXES, mask_stem
from nanocensus.store.names import folder_name, on_disk, one_spelling
from nanocensus.store.studies.listing import Listing
from nanocensus.store.studies.scan import check_inside, image_files
from nanocensus.store.studies.source import Source, first_folder, numbered

logger = logging.getLogger(__name__)


def listed_files(root: Path, listing: Listing) -> list[Source]:
    """Make one source of each row of a micrographs.csv.

    Raises
    ------
    TableError
        If a file or mask is missing, listed twice or without a usable number.
    """
    present = set(image_files(root).values())
    sources: list[Source] = []
    seen: dict[tuple[Path, str | None], int] = {}
    missing: list[str] = []
    for i, row in enumerate(listing.rows):
        if "file" not in row:
            remedy = "Fill the cell or remove the row."
            raise listing.error(i, expected="a file in the column 'file'", got="an empty cell", remedy=remedy)
        path = _inside(root, row["file"])
        if not path.is_file():
            missing.append(row["file"])
            continue
        place = path.resolve(), row.get("image")
        if place in seen:
            got, remedy = (
                f"{row['file']!r} again",
                f"Remove one: it is listed in line {listing.lines[seen[place]]} too.",
            )
            raise listing.error(i, expected="each file once", got=got, remedy=remedy)
        seen[place] = i
        name = one_spelling(path.relative_to(root).as_posix())
        sample = row.get("sample") or first_folder(name) or folder_name(root)
        source = Source(path, name, sample, mask=_mask_file(root, listing, i), conditions=listing.conditions[i])
        sources.append(_with_row(source, listing, i))
    if missing:
        raise _missing(listing, missing, "files", root)
    orders = [listing.whole_number(i, "order") for i in range(len(listing.rows))]
    unlisted = len(present - {source.path for source in sources})
    if unlisted:
        logger.info("%d image files under %s are not listed in %s and are ignored", unlisted, root, listing.path)
    if any(order is not None for order in orders):
        for i, order in enumerate(orders):
            if order is None:
                remedy = "Number all micrographs or none; rows in their order need no numbers."
                raise listing.error(i, expected="a number in the column 'order'", got="an empty cell", remedy=remedy)
        return [replace(source, order=order or 0) for source, order in zip(sources, orders, strict=True)]
    return numbered(sources)


def described_samples(root: Path, listing: Listing, sources: Sequence[Source], *, by_folder: bool) -> list[Source]:
    """Give each source what a row says about its sample; samples that are not listed are left out."""
    rows: dict[str, int] = {}
    for i, row in enumerate(listing.rows):
        sample = row.get("sample", "").strip("/")
        if not sample or sample in rows or "order" in row:
            remedy = "One row a sample; give the order of micrographs in a micrographs.csv with a column `file`."
            got = "an order" if "order" in row else f"{sample!r} again" if sample else "an empty cell"
            raise listing.error(i, expected="each sample once, without an order", got=got, remedy=remedy)
        rows[sample] = i
    members: dict[str, list[Source]] = {sample: [] for sample in rows}
    ignored: dict[str, int] = {}
    masks = tuple(f"{row['mask'].strip('/')}/" for row in listing.rows if "mask" in row)
    here = folder_name(root)
    for source in sources:
        named = [sample for sample in rows if source.name.startswith(f"{sample}/")] if by_folder else []
        if by_folder and not named and "/" not in source.name and here in rows:
            named = [here]
        if not by_folder and source.sample in rows:
            named = [source.sample]
        if len(named) > 1:
            remedy = "List a folder or the folders inside it, not both."
            raise TableError(
                str(listing.path), expected="folders apart", got=f"{named} for {source.name}", remedy=remedy
            )
        if named:
            members[named[0]].append(source)
        elif not source.name.startswith(masks):
            ignored[source.sample] = ignored.get(source.sample, 0) + 1
    if ignored:
        folders = ", ".join(f"{sample} ({count})" for sample, count in ignored.items())
        logger.warning("image files of samples that %s does not list are ignored: %s", listing.path, folders)
    empty = [sample for sample, found in members.items() if not found]
    if empty:
        raise _missing(listing, empty, "samples with micrographs", root)
    described = []
    for sample, found in members.items():
        i = rows[sample]
        folder = _mask_folder(root, listing, i)
        own = found if folder is None else _apart(found, folder)
        group = [_with_row(replace(source, sample=sample, mask=None), listing, i) for source in own]
        group = [replace(s, conditions={**s.conditions, **listing.conditions[i]}) for s in group]
        group = numbered(group) if by_folder else group
        described += group if folder is None else _with_masks(folder, listing, i, group)
    return described


def _with_row(source: Source, listing: Listing, i: int) -> Source:
    row = listing.rows[i]
    image = row.get("image")
    return replace(
        source,
        name=source.name if image is None else f"{source.name}#{image}",
        image=image,
        group=row.get("group", source.group),
        session=row.get("session", source.session),
        pixel_size_nm=listing.number(i, "pixel_size_nm"),
        pixel_size_uncertainty=listing.number(i, "pixel_size_uncertainty"),
        model=row.get("model"),
    )


def _mask_folder(root: Path, listing: Listing, i: int) -> Path | None:
    text = listing.rows[i].get("mask")
    if text is None:
        return None
    folder = _inside(root, text)
    if not folder.is_dir():
        raise _missing(listing, [text], "folders of masks", root)
    return folder


def _apart(found: Sequence[Source], masks: Path) -> Sequence[Source]:
    """Leave out the masks among a sample's images; unless all of them lie there, as masks may beside micrographs."""
    return [source for source in found if not source.path.is_relative_to(masks)] or found


def _with_masks(folder: Path, listing: Listing, i: int, sources: Sequence[Source]) -> list[Source]:
    """Find the mask of each micrograph by its stem."""
    masks: dict[str, list[Path]] = defaultdict(list)
    for path in sorted({*folder.iterdir()} - {source.path for source in sources}):
        if path.name.lower().endswith(MASK_SUFFIXES):
            masks[mask_stem(path)].append(path)
    owners: dict[str, str] = {}
    for source in sources:
        stem = one_spelling(source.path.stem)
        owner = owners.setdefault(stem, source.name)
        if len(masks[stem]) > 1 or (masks[stem] and owner != source.name):
            several = [path.name for path in masks[stem]] if len(masks[stem]) > 1 else [owner, source.name]
            expected = f"one micrograph and one mask called {stem!r}, which go together by name"
            remedy = "Name the mask of each micrograph in a micrographs.csv, or rename them."
            raise listing.error(i, expected=expected, got=", ".join(several), remedy=remedy)
    own = [masks[one_spelling(source.path.stem)] for source in sources]
    without = sum(not found for found in own)
    if without:
        logger.warning("%d micrographs of %s have no mask of their name in %s", without, sources[0].sample, folder)
    return [replace(source, mask=next(iter(found), None)) for source, found in zip(sources, own, strict=True)]


def _mask_file(root: Path, listing: Listing, i: int) -> Path | None:
    text = listing.rows[i].get("mask")
    if text is None:
        return None
    path = _inside(root, text)
    if not path.exists():
        raise _missing(listing, [text], "masks", root)
    return path


def _inside(root: Path, text: str) -> Path:
    path = on_disk(root, text)
    check_inside(root, path)
    inner = os.path.relpath(os.path.abspath(path), os.path.abspath(root))
    if inner.startswith(os.pardir):  # inside all the same, by way of a link
        return root / path.resolve().relative_to(root.resolve())
    return root / inner


def _missing(listing: Listing, names: Sequence[str], what: str, root: Path) -> TableError:
    few = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    remedy = "Paths are relative to that folder, with forward slashes; correct them or remove the rows."
    return TableError(str(listing.path), expected=f"{what} that are in {root}", got=few, remedy=remedy)
