"""Files in, calibrated images out: one row of `READERS` a format.

A file that cannot be measured is refused by name, with the reason and the way out, and so is a damaged one: what the
libraries below raise never reaches the caller.
"""

import functools
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
from jaxtyping import Shaped

from nanocensus.errors import CalibrationError, ImageError, NanocensusError
from nanocensus.store.formats.calibration import Calibration
from nanocensus.store.formats.instruments import INSTRUMENTS, read_instrument
from nanocensus.store.formats.planes import Recorded, as_recorded, check_declared, check_expansion, one_plane
from nanocensus.store.formats.tiff import read_tiff
from nanocensus.units import PixelSize

LONGEST_TEXT = 1000
"""Characters kept of a text in the metadata; ImageJ and DigitalMicrograph write kilobytes."""

IMAGE_SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jp2", ".bmp", ".gif", ".webp", ".hdr", ".bcf", ".zspy", ".prz", ".tvips", ".h5", ".hdf5", ".npz",
    ".raw", ".sur", ".st", ".rec", ".svs", ".czi", ".lsm", ".nd2",
})  # fmt: skip
"""Suffixes that look like images but have no reader: they are refused, where other files are ignored."""


@dataclass(frozen=True, eq=False)
class RecordedImage:
    """A micrograph as its file holds it."""

    pixels: Shaped[np.ndarray, "y x"]
    """Values as recorded, never rescaled; 0 is black, also where a TIFF says that it is white in the file."""
    pixel_size: PixelSize | None
    """What the file states, unchecked; None where it states nothing that can be believed."""
    metadata: Mapping[str, str | int | float]
    """Some of what the header says; texts are cut at `LONGEST_TEXT` characters."""
    calibration_problem: CalibrationError | None = None
    """Why the size that the header states cannot be used, where it cannot."""


@dataclass(frozen=True)
class RecordedHeader:
    """What a file's header says of its micrograph; its pixels were not looked at."""

    shape: tuple[int, ...]
    """Rows, columns and, where there are any, channels."""
    pixel_size: PixelSize | None
    metadata: Mapping[str, str | int | float]
    calibration_problem: CalibrationError | None = None


def read_image(path: Path, image: str | None = None) -> RecordedImage:
    """Read one micrograph.

    Parameters
    ----------
    path : Path
        A file with one of the suffixes of `READERS`.
    image : str, optional
        Which image of an instrument's file that holds several: its title, or its number from 1.

    Returns
    -------
    RecordedImage
        Its pixels (y, x) as recorded and the pixel size it states. The size is not judged here, since a given one
        goes before it: call `PixelSize.square_nm`.

    Raises
    ------
    ImageError
        If the file holds no micrograph that can be measured: unknown format, colour, stack, complex, boolean, empty,
        constant, NaN, damaged, or larger than it can be; or several, and none of them is named.
    MissingExtraError
        If it is of an instrument's format, and the extra `io` is not installed.
    """
    with _understood(path):
        recorded = _reader(path, image)(path)
        check_expansion(path, recorded)
        array = recorded.load()
    pixels = as_recorded(path, one_plane(path, array))
    said = recorded.calibration
    return RecordedImage(pixels, said.pixel_size, _bounded(recorded.metadata), said.problem)


def read_header(path: Path, image: str | None = None) -> RecordedHeader:
    """Read what a file says of its micrograph, without its pixels; parameters and errors as `read_image`, but for what pixels are refused for."""
    with _understood(path):
        recorded = _reader(path, image)(path)
    said = recorded.calibration
    return RecordedHeader(recorded.shape, said.pixel_size, _bounded(recorded.metadata), said.problem)


def read_plane(path: Path) -> Shaped[np.ndarray, "y x"]:
    """Read the one plane of a file whatever its type: for masks and label images.

    Raises
    ------
    ImageError
        If the file cannot be read, or holds several planes.
    """
    with _understood(path):
        recorded = _reader(path, None)(path)
        array = (recorded.load_mask or recorded.load)()
    return one_plane(path, array)


def _bounded(metadata: Mapping[str, str | int | float]) -> dict[str, str | int | float]:
    return {key: text[:LONGEST_TEXT] if isinstance(text, str) else text for key, text in metadata.items()}


def _reader(path: Path, image: str | None) -> Callable[[Path], Recorded]:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise _unsupported(path)
    if image is None:
        return reader
    if path.suffix.lower() not in INSTRUMENTS:
        raise ImageError(
            str(path),
            expected="an instrument's file, of which an image can be chosen",
            got=f"{image!r} of a {path.suffix} file",
            remedy="Leave the cell `image` of micrographs.csv empty, and export its frames one by one.",
        )
    return functools.partial(read_instrument, image=image)


@contextmanager
def _understood(path: Path) -> Iterator[None]:
    """Turn whatever decoders raise into an error that names the file and says what to do."""
    try:
        if path.exists() and path.stat().st_size == 0 and path.suffix.lower() in READERS:
            raise ImageError(
                str(path), expected="an image", got="a file of 0 bytes", remedy="Copy or export the file again."
            )
        yield
    except ImageError as error:
        if str(path) in error.subject:
            raise
        named = f"{path}: {error.subject}"  # found by a layer that knows no files
        raise type(error)(named, expected=error.expected, got=error.got, remedy=error.remedy) from error
    except (NanocensusError, MemoryError):
        raise
    except FileNotFoundError:
        raise ImageError(
            str(path), expected="a file", got="nothing there", remedy="Check the path, or whether the disk is mounted."
        ) from None
    except PermissionError:
        raise ImageError(
            str(path), expected="a file that may be read", got="permission denied", remedy="Mend its permissions."
        ) from None
    except Exception as cause:  # decoders raise whatever they like; all of it means that the file cannot be read
        raise ImageError(
            str(path),
            expected=f"a readable {path.suffix.lower()} file",
            got=f"{type(cause).__name__}: {str(cause)[:200] or 'no reason given'}",
            remedy="The file is damaged, cut short or of another format than its suffix says: copy or export it "
            "again; a TIFF with rare compression is best saved again without any.",
        ) from cause


def _unsupported(path: Path) -> ImageError:
    supported = ", ".join(sorted(READERS))
    return ImageError(
        str(path),
        expected=f"one of {supported}",
        got=f"the suffix {path.suffix or 'none'!r}",
        remedy="Save it as 16-bit TIFF with its calibration: ImageJ and DigitalMicrograph do.",
    )


_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
_LARGEST_PNG = 178_956_970
"""Pixels above which Pillow takes a PNG for a decompression bomb."""


def _read_png(path: Path) -> Recorded:
    with path.open("rb") as stream:
        header = stream.read(26)
    if not header.startswith(_PNG_SIGNATURE):
        raise ValueError("not a PNG file")
    width, height, depth, colour = struct.unpack(">IIBB", header[16:26])
    channels = _PNG_CHANNELS[colour]
    check_declared(path, height, width)
    if height * width > _LARGEST_PNG:
        raise ImageError(
            str(path),
            expected=f"a PNG of at most {_LARGEST_PNG} pixels, the most that its decoder takes",
            got=f"{height} x {width}",
            remedy="Save it as TIFF, which may be larger.",
        )
    if (depth == 16 and channels > 1) or depth in (2, 4):
        # The decoder reduces 16-bit colour to 8 bits and stretches 2 and 4 bits: values would not be as recorded.
        raise ImageError(
            str(path),
            expected="8- or 16-bit grey PNG",
            got=f"{depth}-bit PNG with {channels} channel{'s' * (channels > 1)}",
            remedy="Save it as 16-bit grey PNG or TIFF.",
        )
    # The resolution chunk of PNG is about printing, as TIFF's plain tags are; it is not believed.
    load = functools.partial(_png_pixels, path, (height, width))
    declared = height * width * channels * max(depth, 8) // 8
    shape = (height, width) + ((channels,) if channels > 1 else ())
    return Recorded(shape, load, Calibration(), {"bit_depth": int(depth)}, declared, path.stat().st_size)


def _png_pixels(path: Path, shape: tuple[int, int]) -> np.ndarray:
    array = np.asarray(imageio.imread(path, plugin="pillow"))
    if array.ndim > 2 and array.shape[:2] != shape:
        raise ImageError(
            str(path),
            expected="one image",
            got=f"an animation of {array.shape[0]} frames",
            remedy="Export the frames one by one.",
        )
    return array


def _read_npy(path: Path) -> Recorded:
    plane = one_plane(path, np.lib.format.open_memmap(path, mode="r"))  # never unpickles; mapped, so not yet in memory
    if plane.size:
        check_declared(path, plane.shape[0], plane.shape[1])
    load = functools.partial(np.array, plane)
    return Recorded(plane.shape, load, Calibration(), {}, plane.nbytes, path.stat().st_size)


READERS: Mapping[str, Callable[[Path], Recorded]] = {
    ".npy": _read_npy,
    ".png": _read_png,
    ".tif": read_tiff,
    ".tiff": read_tiff,
    **dict.fromkeys(INSTRUMENTS, read_instrument),
}
"""Suffix (lower case) and what reads its header and finds its pixels."""
