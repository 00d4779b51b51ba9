"""Whether what the store holds of a micrograph is what was written: every byte is read, and none is trusted."""

import contextlib
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from nanocensus.errors import DamageError
from nanocensus.store.images.images import METADATA, check_image, understood
from nanocensus.store.images.micrographs import content_digest, discard_results, read_pixels
from nanocensus.store.seal import read_metadata

PIXELS, LABELS = "pixels", "labels"


def broken_images(store: Path, micrograph: str, digest: str) -> dict[str, str]:
    """Give what of a micrograph is not as it was written, and what is wrong with it.

    Parameters
    ----------
    store : Path
        Path of ``micrographs.zarr``.
    micrograph : str
        Its name.
    digest : str
        The content digest that the index knows.

    Returns
    -------
    dict of str to str
        By place: "pixels", "probability", "labels/particles", ...
    """
    folder = store / micrograph
    broken = {}
    for place, image in _images(folder):
        try:
            check_image(image, f"{place} of micrograph {micrograph}")
        except DamageError as error:
            broken[place] = str(error)
    if PIXELS not in broken and content_digest(read_pixels(store, micrograph)) != digest:
        other = DamageError(
            f"pixels of micrograph {micrograph}",
            expected="the recorded values that the index names",
            got="other values",
            remedy="Run the job again.",
        )
        broken[PIXELS] = str(other)
    if (folder / LABELS).exists():
        try:
            with understood(f"labels of micrograph {micrograph}"):
                read_metadata(folder / LABELS / METADATA)
        except DamageError as error:
            broken[LABELS] = str(error)
    return broken


def discard_broken(store: Path, micrograph: str, places: Iterable[str]) -> None:
    """Remove what was computed of a micrograph, and whatever else is broken but its pixels."""
    discard_results(store, micrograph)
    for place in places:
        if place.startswith(f"{LABELS}/"):
            shutil.rmtree(store / micrograph / place, ignore_errors=True)


def store_is_broken(store: Path) -> str | None:
    """Say what is wrong with the metadata of the store itself, if anything is; the next run writes them again."""
    with contextlib.suppress(DamageError):
        with understood(str(store.name)):
            read_metadata(store / METADATA)
        return None
    return f"{store.name}/{METADATA} is missing or not what was written."


def _images(folder: Path) -> Iterator[tuple[str, Path]]:
    yield PIXELS, folder
    for image in sorted([*folder.glob("probability*"), *folder.glob("labels/*")]):
        if image.is_dir():
            yield image.relative_to(folder).as_posix(), image
