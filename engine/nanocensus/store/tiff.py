"""TIFF, as cameras and ImageJ write it."""

from pathlib import Path

import numpy as np
import tifffile

from nanocensus.errors import ImageError
from nanocensus.store.calibration import Calibration, tiff_calibration
from nanocensus.store.planes import check_declared

_TEXT_TAGS = {270: "description", 271: "make", 272: "model", 305: "software", 306: "recorded_at"}


def read_tiff(path: Path) -> tuple[np.ndarray, Calibration, dict[str, str | int | float]]:
    """Read the one image of a TIFF file, its pixel size from the tags and some of its metadata.

    Raises
    ------
    ImageError
        If it holds several images, more than it could, or fewer bytes than it declares.
    """
    with tifffile.TiffFile(path) as tiff:
        images = [series for series in tiff.series if not series.keyframe.is_reduced] or list(tiff.series)
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
        check_declared(path, page.imagelength, page.imagewidth, channels * itemsize)
        _check_held(path, page)
        array = np.asarray(page.asarray())
        if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and channels > 1:
            array = np.moveaxis(array, 0, -1)
        shape = (page.imagelength, page.imagewidth) + ((channels,) if channels > 1 else ())
        return array.reshape(shape), tiff_calibration(tiff, page), _metadata(page)


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
