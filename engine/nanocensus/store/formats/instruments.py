"""Instruments' own formats, read by RosettaSciIO.

It is licensed GPL-3.0-or-later and so an extra (`io`) that is imported here alone, when such a file is read.
"""

import importlib
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nanocensus.errors import ImageError, MissingExtraError
from nanocensus.store.formats.calibration import calibration
from nanocensus.store.formats.planes import Recorded, check_declared

Signal = Mapping[str, Any]
"""What RosettaSciIO gives for each of a file's images, spectra, ...: `data`, `axes`, `metadata` and more."""

INSTRUMENTS: Mapping[str, tuple[str, str]] = {
    ".dm3": ("digitalmicrograph", "DigitalMicrograph"),
    ".dm4": ("digitalmicrograph", "DigitalMicrograph"),
    ".mrc": ("mrc", "MRC"),
    ".ser": ("tia", "TIA"),
    ".emd": ("emd", "EMD"),
    ".hspy": ("hspy", "HyperSpy"),
    ".rpl": ("ripple", "Ripple"),
    ".nxs": ("nexus", "NeXus"),
    ".unf": ("semper", "Semper"),
}
"""Suffix, the plugin of RosettaSciIO that reads it, and what the format is called."""


def read_instrument(path: Path, image: str | None = None) -> Recorded:
    """Read the header of the one image of an instrument's file, or of the named one of several, and find its pixels.

    Parameters
    ----------
    path : Path
        A file with one of the suffixes of `INSTRUMENTS`.
    image : str, optional
        Title of the image, or its number among the file's images, from 1.

    Raises
    ------
    MissingExtraError
        If RosettaSciIO is not installed.
    ImageError
        If it holds no image, several and none of them is named, a stack, or more than it could.
    """
    plugin, maker = INSTRUMENTS[path.suffix.lower()]
    signals = _signals(path, plugin)
    signal = _chosen(path, [signal for signal in signals if _is_image(signal)], signals, image)
    data = signal["data"]
    height, width = (length for length in data.shape if length > 1)
    check_declared(path, height, width)
    sides = [(axis["scale"], axis.get("units")) for axis in signal["axes"] if axis["size"] > 1]
    load = partial(_pixels, data, (height, width))
    held = sum(each.stat().st_size for each in (path, *files_beside(path)))
    declared = height * width * data.dtype.itemsize
    return Recorded((height, width), load, calibration(maker, *sides), _header(signal), declared, held)


def _pixels(data: Any, shape: tuple[int, int]) -> np.ndarray:  # noqa: ANN401  dask has no types
    with _silence():
        return np.asarray(data.compute(scheduler="synchronous")).reshape(shape)  # never as tasks of its own


def _signals(path: Path, plugin: str) -> Sequence[Signal]:
    """Give what a file holds."""
    try:
        reader = importlib.import_module(f"rsciio.{plugin}")
    except ImportError as cause:
        raise MissingExtraError(
            str(path),
            expected="RosettaSciIO, to read an instrument's file",
            got=str(cause),
            remedy='Install it: pip install "nanocensus[io]" (it is licensed GPL-3.0-or-later), or export TIFF with '
            "its calibration from the microscope's software.",
        ) from None
    with _silence():
        described = _describing(path)
        if described is not None:
            try:
                every: list[Signal] = reader.file_reader(str(described), lazy=True)
            except MemoryError:
                raise
            except Exception as cause:
                raise ImageError(
                    f"{path}, described by {described.name}",
                    expected="two files that can be read",
                    got=f"{type(cause).__name__} in one of them: {str(cause)[:200] or 'no reason given'}",
                    remedy=f"Copy both again. If {described.name} alone is damaged and you know that this is an image and no "
                    "diffraction pattern, move it away: the image is then read without it.",
                ) from cause
            found = [signal for signal in every if signal["metadata"]["General"].get("original_filename") == path.name]
            if found:
                return found
        return list(reader.file_reader(str(path), lazy=True))


@contextmanager
def _silence() -> Iterator[None]:
    """Keep RosettaSciIO quiet about what is wrong with a file: it is said once, by us."""
    log = logging.getLogger("rsciio")
    loud, log.level = log.level, logging.CRITICAL
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.level = loud


def files_beside(path: Path) -> list[Path]:
    """Give the files beside a file without which its image is not what it is.

    They are the values of a Ripple file, and what describes a series of TIA.
    """
    values = [path.with_suffix(suffix) for suffix in (".raw", ".RAW")] if path.suffix.lower() == ".rpl" else []
    described = _describing(path)
    return [each for each in values if each.exists()][:1] if described is None else [described]


def _describing(path: Path) -> Path | None:
    """Give the .emi file beside a .ser file, which alone says when, how and in which mode it was recorded."""
    stem, found, number = path.stem.rpartition("_")
    described = path.with_name(f"{stem}.emi")
    return described if path.suffix.lower() == ".ser" and found and number.isdecimal() and described.exists() else None


_OF_SPECTRA = frozenset({"ev", "kev", "s", "ms", "µs", "ns", "hz", "thz", "cm-1", "1/cm"})
"""Units of axes that no image has."""


def _is_image(signal: Signal) -> bool:
    """Say whether a signal is one: two axes, both of the recorded plane; those of a line of spectra are not."""
    axes = [axis for axis in signal["axes"] if axis["size"] > 1]
    units = {str(axis.get("units") or "").strip().casefold() for axis in axes}
    return len(axes) == 2 and len({bool(axis.get("navigate")) for axis in axes}) == 1 and not units & _OF_SPECTRA


def _chosen(path: Path, images: Sequence[Signal], signals: Sequence[Signal], wanted: str | None) -> Signal:
    titles = [str(image["metadata"].get("General", {}).get("title") or "") for image in images]
    named = ", ".join(f"{number} {title!r}" for number, title in enumerate(titles, 1))
    if not images:
        held = ", ".join(map(_in_words, signals)) or "nothing"
        raise ImageError(
            str(path),
            expected="an image (rows, columns)",
            got=f"data of shape {held}",
            remedy="Leave spectra out; export the frames of a stack one by one, or sum an aligned series first.",
        )
    if wanted is None and len(images) == 1:
        return images[0]
    if wanted is None:
        raise ImageError(
            str(path),
            expected="one image",
            got=f"{len(images)}: {named}",
            remedy="Name the one to take in the column `image` of micrographs.csv, by its title or number.",
        )
    places = [place for place, title in enumerate(titles) if title == wanted]
    if not places and wanted.isdecimal() and 1 <= int(wanted) <= len(images):
        places = [int(wanted) - 1]
    if len(places) != 1:
        raise ImageError(
            str(path),
            expected=f"an image called {wanted!r}",
            got=f"{len(places)} of that name among {named}",
            remedy="Give its title or its number in the column `image` of micrographs.csv.",
        )
    return images[places[0]]


def _in_words(signal: Signal) -> str:
    names = [str(axis.get("name") or "?") for axis in signal["axes"]]
    return f"{'x'.join(map(str, signal['data'].shape))} ({', '.join(names)})"


_HEADER = {
    "title": "General.title",
    "recorded_on": "General.date",
    "recorded_at": "General.time",
    "instrument": "Acquisition_instrument.TEM.microscope",
    "beam_energy_kev": "Acquisition_instrument.TEM.beam_energy",
    "magnification": "Acquisition_instrument.TEM.magnification",
    "mode": "Acquisition_instrument.TEM.acquisition_mode",
    "exposure_s": "Acquisition_instrument.TEM.Camera.exposure",
}
"""What of an image's header is kept, and what RosettaSciIO calls it."""


def _header(signal: Signal) -> dict[str, str | int | float]:
    """Give what a header says about the exposure, from where the format has it."""
    told = {name: _at(signal["metadata"], place) for name, place in _HEADER.items()}
    places = {place: name for name, place in _HEADER.items()}
    for origin, (place, change) in (signal.get("mapping") or {}).items():
        value = _at(signal["original_metadata"], origin)
        if place in places and value is not None:
            with suppress(ArithmeticError, AttributeError, LookupError, TypeError, ValueError):  # a tag of another kind
                told[places[place]] = value if change is None else change(value)
    if told["recorded_at"] and told["recorded_on"]:
        told["recorded_at"] = f"{told['recorded_on']}T{told['recorded_at']}"
    del told["recorded_on"]
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in told.items()}
    return {name: value for name, value in plain.items() if isinstance(value, str | int | float) and value != ""}


def _at(stated: Any, place: str) -> Any:  # noqa: ANN401  any tag
    """Give the value at a dotted place of nested mappings; None where there is none."""
    for key in place.split("."):
        stated = stated.get(key) if isinstance(stated, Mapping) else None
    return stated
