"""TIFF, as cameras and ImageJ write it.

Where a file says that 0 is white, its values are turned round to what is shown, as most programs do (tifffile does not). Of a mask that
ImageJ saved they are kept: there that is the display alone, and particles are 255 whether they are drawn black or white.
"""

from functools import partial
from pathlib import Path

import numpy as np
import tifffile

from nanocensus.errors import ImageError
from nanocensus.store.formats.calibration import tiff_calibration
from nanocensus.store.formats.planes import Recorded, check_declared

_TEXT_TAGS = {270: "description", 271: "make", 272: "model", 305: "software", 306: "recorded_at"}


def read_tiff(path: Path) -> Recorded:
    """Read of the one image of a TIFF file its pixel size from the tags and some of its metadata, and find its pixels.

    Raises
    ------
    ImageError
        If it holds several images, more than it could, or fewer bytes than it declares.
    """
    with tifffile.TiffFile(path) as tiff:
        images = _images(tiff)
        frames = sum(_frames(series) for series in images)
        if frames != 1:
            raise ImageError(
                str(path),
                expected="one image",
                got=f"a stack of {frames} frames",
                remedy="Export the frames one by one, or sum an aligned series into one image first.",
            )
        page = images[0].keyframe
        channels, itemsize = page.samplesperpixel, page.dtype.itemsize if page.dtype is not None else 1
        check_declared(path, page.imagelength, page.imagewidth)
        _check_held(path, page)
        shape = (page.imagelength, page.imagewidth) + ((channels,) if channels > 1 else ())
        apart = page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and channels > 1
        white_is_zero = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
        load = partial(_pixels, path, shape, apart, white_is_zero)
        load_mask = partial(_pixels, path, shape, apart, white_is_zero and not page.is_imagej)
        declared, held = page.imagelength * page.imagewidth * channels * itemsize, path.stat().st_size
        return Recorded(shape, load, tiff_calibration(tiff, page), _metadata(page), declared, held, load_mask)


def _images(tiff: "tifffile.TiffFile") -> list["tifffile.TiffPageSeries"]:
    return [series for series in tiff.series if not series.keyframe.is_reduced] or list(tiff.series)


def _pixels(path: Path, shape: tuple[int, ...], channels_apart: bool, white_is_zero: bool) -> np.ndarray:
    with tifffile.TiffFile(path) as tiff:
        page = _images(tiff)[0].keyframe
        array = np.asarray(page.asarray())
    if white_is_zero:
        if array.dtype.kind not in "bu":
            raise ImageError(
                str(path),
                expected="whole numbers from 0 in a TIFF that says that 0 is white (WhiteIsZero)",
                got=f"{array.dtype.name}, which does not say what is black",
                remedy="Save it with 0 as black (ImageJ: Image > Lookup Tables > Grays).",
            )
        array = array ^ array.dtype.type(2**page.bitspersample - 1)
    return (np.moveaxis(array, 0, -1) if channels_apart else array).reshape(shape)


def _frames(series: "tifffile.TiffPageSeries") -> int:
    plane = series.keyframe.imagelength * series.keyframe.imagewidth * series.keyframe.samplesperpixel
    return int(np.prod(series.shape, dtype=np.int64)) // max(plane, 1) if plane else 1


def _check_held(path: Path, page: "tifffile.TiffPage") -> None:
    # Segments that lie outside the file, or have no bytes, are filled with zeros by some decoders without a word.
    size = path.stat().st_size
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    missing = sum(count == 0 or offset + count > size for offset, count in segments)
    if missing or not segments:
        raise ImageError(
            str(path),
            expected=f"all of its {len(segments)} strips or tiles",
            got=f"{missing} that are missing or cut short",
            remedy="The file is damaged or was not copied to its end: copy or export it again.",
        )


def _metadata(page: "tifffile.TiffPage") -> dict[str, str | int | float]:
    metadata: dict[str, str | int | float] = {"photometric": getattr(page.photometric, "name", str(page.photometric))}
    for code, name in _TEXT_TAGS.items():
        text = page.tags.valueof(code)
        if isinstance(text, str) and text.strip():
            metadata[name] = text.strip()
    return metadata
