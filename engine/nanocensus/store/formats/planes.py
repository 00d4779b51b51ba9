"""What a file's array must be to count as one micrograph.

Readers deliver arrays as recorded; here they are bounded before they are decompressed, reduced to one plane, and
refused by name where no particle could be measured on them. Values are never rescaled.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from nanocensus.errors import ImageError
from nanocensus.store.formats.calibration import Calibration


@dataclass(frozen=True)
class Recorded:
    """What a file's header says of its image, and how to get at the pixels."""

    shape: tuple[int, ...]
    """Of the array that `load` gives: rows, columns and, where there are any, channels."""
    load: Callable[[], np.ndarray]
    """Reads the array as a viewer shows it: 0 is black."""
    calibration: Calibration
    metadata: Mapping[str, str | int | float]
    declared: int
    """Bytes of the array, all channels together."""
    held: int
    """Bytes of the files that it is in."""
    load_mask: Callable[[], np.ndarray] | None = None
    """Reads it as a mask, where that is not as it is shown."""


LARGEST_PIXELS = 2**28
"""16384 x 16384, far above any camera: measuring a micrograph takes about ten bytes a pixel, all at once."""

LARGEST_EXPANSION = 500
"""Declared bytes per byte of a micrograph's file. Noise does not compress; a header that claims more is damaged or a trap."""

RECORDED_DTYPES = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64")
_NARROWED = {"int64": "int32", "uint64": "uint32", "float64": "float32", "float16": "float32"}


def check_declared(path: Path, height: int, width: int) -> None:
    """Refuse sizes that no micrograph has, before memory is taken for them.

    Parameters
    ----------
    path : Path
        The file whose header was read.
    height, width : int
        As declared by the header, px.

    Raises
    ------
    ImageError
        If there are no pixels, or more than `LARGEST_PIXELS`.
    """
    if height <= 0 or width <= 0:
        raise ImageError(
            str(path), expected="an image with pixels", got=f"{height} x {width} pixels", remedy="Export it again."
        )
    if height * width > LARGEST_PIXELS:
        raise ImageError(
            str(path),
            expected=f"at most {LARGEST_PIXELS} pixels (16384 x 16384)",
            got=f"a header that declares {height} x {width}",
            remedy="Cut a mosaic into fields and give each its own file; if it is no mosaic, the file is damaged.",
        )


def check_expansion(path: Path, recorded: Recorded) -> None:
    """Refuse a micrograph that is far more than its file could hold; masks may be, since what is even packs well.

    Raises
    ------
    ImageError
    """
    if recorded.declared > LARGEST_EXPANSION * recorded.held + 2**20:
        size = " x ".join(map(str, recorded.shape[:2]))
        raise ImageError(
            str(path),
            expected=f"a file that holds what it declares ({size} pixels, {recorded.declared:.3g} bytes)",
            got=f"{recorded.held} bytes",
            remedy="The file is cut short, damaged or a decompression bomb: export it again from the microscope.",
        )


def one_plane(path: Path, array: np.ndarray) -> Shaped[np.ndarray, "y x"]:
    """Reduce an array to the one grey plane it holds.

    Axes of length one are dropped in front; equal colour channels (and an opaque alpha channel) become one.

    Raises
    ------
    ImageError
        If there are several frames or differing channels.

    Examples
    --------
    >>> one_plane(Path("grey.png"), np.zeros((4, 5, 3), np.uint8)).shape
    (4, 5)
    """
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 3 and array.shape[2] <= 4:
        return _grey(path, array)
    if array.ndim != 2:
        frames = int(np.prod(array.shape[:-2])) if array.ndim > 2 else 0
        raise ImageError(
            str(path),
            expected="one image (rows, columns)",
            got=f"a stack of {frames} frames, shape {array.shape}" if frames else f"an array of shape {array.shape}",
            remedy="Export the frames one by one, or sum an aligned series into one image first.",
        )
    return array


def _grey(path: Path, channels: Shaped[np.ndarray, "y x c"]) -> Shaped[np.ndarray, "y x"]:
    count = channels.shape[2]
    colours = channels[..., : count - 1] if count in (2, 4) else channels
    alpha = channels[..., count - 1] if count in (2, 4) else None
    first: np.ndarray = colours[..., 0]
    if all(np.array_equal(first, colours[..., i]) for i in range(1, colours.shape[2])) and (
        alpha is None or not alpha.size or bool((alpha == alpha.flat[0]).all())
    ):
        return np.ascontiguousarray(first)
    raise ImageError(
        str(path),
        expected="a grey image, or colour channels that are all equal",
        got=f"{count} channels that differ",
        remedy="Export the recorded counts without colour table, overlay or scale bar (ImageJ: Image > Type > "
        "16-bit before saving).",
    )


def as_recorded(path: Path, plane: Shaped[np.ndarray, "y x"]) -> Shaped[np.ndarray, "y x"]:
    """Give the plane in native byte order and a type that the store keeps, or refuse it.

    8 to 32 bits stay as recorded. 64-bit integers and floats (what most Python scripts write) become 32-bit ones
    only where every value is exactly the same; other float64 stay float64, other 64-bit integers are refused.
    float16 becomes float32, which holds it exactly.

    Raises
    ------
    ImageError
        If it is empty, complex, boolean or of another type, constant, or holds NaN or infinity.
    """
    if not plane.size:
        raise _refusal(path, "an image with pixels", f"shape {plane.shape}", "Export it again.")
    kept = _kept_type(path, plane)
    if kept.dtype.kind == "f" and not np.isfinite(kept).all():
        raise _refusal(
            path,
            "finite values",
            f"{int((~np.isfinite(kept)).sum())} values that are NaN or infinite",
            "Export the recorded counts, or fill the missing pixels first.",
        )
    if (kept == kept.flat[0]).all():
        raise _refusal(
            path,
            "an image with contrast",
            f"the one value {kept.flat[0]!s} everywhere",
            "The exposure or the export failed: leave the file out, or export it again.",
        )
    return np.ascontiguousarray(kept)


def _kept_type(path: Path, plane: Shaped[np.ndarray, "y x"]) -> Shaped[np.ndarray, "y x"]:
    native: np.ndarray = plane.astype(plane.dtype.newbyteorder("="), copy=False)
    name = native.dtype.name
    if name in _NARROWED:
        with np.errstate(over="ignore", invalid="ignore"):
            narrowed = native.astype(_NARROWED[name])
            same = np.array_equal(narrowed.astype(name), native, equal_nan=True)  # NaN is refused by its name later
        if same:
            return narrowed
    if name not in RECORDED_DTYPES:
        remedy = {
            "b": "A boolean image is a mask: give it in the column `mask` of micrographs.csv, beside its micrograph.",
            "c": "Take the modulus of a Fourier-space or phase image yourself, if that is what should be measured.",
        }.get(native.dtype.kind, "Convert it to 8- or 16-bit integers or to float32.")
        raise _refusal(path, "values of one of the types " + ", ".join(RECORDED_DTYPES), name, remedy)
    return native


def _refusal(path: Path, expected: str, got: str, remedy: str) -> ImageError:
    return ImageError(str(path), expected=expected, got=got, remedy=remedy)
