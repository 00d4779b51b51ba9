"""The pixel size that a header states; of a TIFF tag by tag, one row of `CALIBRATIONS` an instrument or program.

Plain resolution tags (XResolution with ResolutionUnit inch or cm) are **not** believed: nearly every program writes
72 or 96 dpi there, a statement about printing, which would make a pixel 0.35 mm. ImageJ turns exactly these into
``unit=inch`` or ``unit=cm`` when it saves such a file again, so those two of its units are not believed either.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import tifffile

from nanocensus.errors import CalibrationError, ImageError
from nanocensus.units import PixelSize, nanometres_per

_NO_LENGTH = frozenset({"", "none", "pixel", "pixels", "px", "reference frame", "referenceframe"})
_PRINTING = frozenset({"inch", "inches", "in", "cm", "centimeter", "centimetre"})
_LARGEST_XML = 2**20


@dataclass(frozen=True)
class Calibration:
    """What a header says about the pixel size: a size, or why what it says cannot be used, or nothing."""

    pixel_size: PixelSize | None = None
    problem: CalibrationError | None = None
    """Raised only when nobody gives a pixel size instead."""


def tiff_calibration(tiff: "tifffile.TiffFile", page: "tifffile.TiffPage") -> Calibration:
    """Read the pixel size from the tags of a TIFF file.

    Parameters
    ----------
    tiff : tifffile.TiffFile
        The open file.
    page : tifffile.TiffPage
        The page that holds the image.

    Raises
    ------
    ImageError
        If the axes are calibrated in reciprocal lengths: a diffraction pattern or a Fourier transform.
    """
    problem = None
    for name, read in CALIBRATIONS.items():
        try:
            sides = read(tiff, page)
            if sides is not None:
                return Calibration(_pixel_size(name, *sides))
        except CalibrationError as error:
            problem = problem or error
        except ImageError:
            raise
        except (KeyError, TypeError, ValueError, IndexError, ZeroDivisionError, ElementTree.ParseError):
            continue  # a damaged or foreign tag calibrates nothing; the next may
    return Calibration(problem=problem)


_Side = tuple[float, str]
"""A length and its unit, as the header writes them."""


def calibration(source: str, y: tuple[float, str | None], x: tuple[float, str | None]) -> Calibration:
    """Make of the sides of a pixel, as an instrument's header writes them, what can be believed of them.

    Parameters
    ----------
    source : str
        Who says so.
    y, x : (float, str or None)
        Height and width of a pixel, each with its unit.

    Returns
    -------
    Calibration
        Nothing where a side is 0, or its unit missing or pixels.

    Raises
    ------
    ImageError
        If they are reciprocal lengths: a diffraction pattern or a Fourier transform.

    Examples
    --------
    >>> calibration("DigitalMicrograph", (0.0125, "um"), (0.0125, "um")).pixel_size
    PixelSize(y_nm=12.5, x_nm=12.5, source='DigitalMicrograph')
    >>> calibration("DigitalMicrograph", (1.0, ""), (1.0, "")).pixel_size is None
    True
    """
    sides = [(float(scale), unit if isinstance(unit, str) else "") for scale, unit in (y, x)]
    if any(unit.strip().casefold() in _NO_LENGTH or scale == 0 for scale, unit in sides):
        return Calibration()
    try:
        return Calibration(_pixel_size(source, *sides))
    except CalibrationError as error:
        return Calibration(problem=error)


def _pixel_size(source: str, y: _Side, x: _Side) -> PixelSize:
    return PixelSize(_nanometres(*y), _nanometres(*x), source)


def _nanometres(value: float, unit: str) -> float:
    written = unit.casefold().replace(" ", "")
    if written.startswith("1/") or written.endswith(("^-1", "⁻¹", "-1")):
        raise ImageError(
            "axes of the image",
            expected="lengths",
            got=f"the reciprocal unit {unit!r}",
            remedy="A diffraction pattern or Fourier transform holds no particles: leave the file out.",
        )
    return float(value) * nanometres_per(unit)


def _digital_micrograph(tiff: "tifffile.TiffFile", page: "tifffile.TiffPage") -> tuple[_Side, _Side] | None:
    tags = page.tags
    units, scales = (tags.valueof(65004), tags.valueof(65003)), (tags.valueof(65010), tags.valueof(65009))
    # Other makers use the same private numbers; DigitalMicrograph's are texts and doubles.
    if not all(isinstance(unit, str) for unit in units) or not all(isinstance(scale, float) for scale in scales):
        return None
    if any(unit.strip("\0 ").casefold() in _NO_LENGTH for unit in units):
        return None
    return (scales[0], units[0].strip("\0 ")), (scales[1], units[1].strip("\0 "))


def _ome(tiff: "tifffile.TiffFile", page: "tifffile.TiffPage") -> tuple[_Side, _Side] | None:
    text = tiff.ome_metadata
    if not text or len(text) > _LARGEST_XML:
        return None
    pixels = next((element for element in ElementTree.fromstring(text).iter() if element.tag.endswith("}Pixels")), None)
    if pixels is None or "PhysicalSizeX" not in pixels.attrib:
        return None
    x = _physical_size(pixels.attrib, "X")
    y = _physical_size(pixels.attrib, "Y") if "PhysicalSizeY" in pixels.attrib else x
    return None if {x[1].casefold(), y[1].casefold()} & _NO_LENGTH else (y, x)


def _physical_size(attributes: Mapping[str, str], axis: str) -> _Side:
    default = "µm"  # the schema's
    return float(attributes[f"PhysicalSize{axis}"]), attributes.get(f"PhysicalSize{axis}Unit", default)


def _imagej(tiff: "tifffile.TiffFile", page: "tifffile.TiffPage") -> tuple[_Side, _Side] | None:
    stated = tiff.imagej_metadata or {}
    unit = str(stated.get("unit", ""))
    if unit.strip().casefold() in _NO_LENGTH | _PRINTING:
        return None
    x = 1.0 / _ratio(page.tags.valueof(282))
    resolution_y = page.tags.valueof(283)
    y = 1.0 / _ratio(resolution_y) if resolution_y is not None else x
    return (y, str(stated.get("yunit", unit))), (x, unit)


def _ratio(rational: tuple[int, int]) -> float:
    return rational[0] / rational[1]


def _zeiss(tiff: "tifffile.TiffFile", page: "tifffile.TiffPage") -> tuple[_Side, _Side] | None:
    stated: Mapping[str, tuple[Any, ...]] = page.tags.valueof(34118) or {}
    # The first is the pixel of the image as stored, the second that of the scan; older versions write one of them.
    for key in ("ap_image_pixel_size", "ap_pixel_size"):
        if key in stated:
            _, value, unit = stated[key]
            return (float(value), unit), (float(value), unit)
    return None


def _fei(tiff: "tifffile.TiffFile", page: "tifffile.TiffPage") -> tuple[_Side, _Side] | None:
    stated: Mapping[str, Mapping[str, Any]] = page.tags.valueof(34680) or page.tags.valueof(34682) or {}
    scan = stated.get("Scan", {})
    if "PixelWidth" not in scan:
        return None
    width, height = float(scan["PixelWidth"]), float(scan.get("PixelHeight", scan["PixelWidth"]))
    return ((height, "m"), (width, "m")) if math.isfinite(width) and width > 0 else None


CALIBRATIONS: Mapping[str, Callable[["tifffile.TiffFile", "tifffile.TiffPage"], tuple[_Side, _Side] | None]] = {
    "DigitalMicrograph": _digital_micrograph,
    "OME": _ome,
    "ImageJ": _imagej,
    "Zeiss": _zeiss,
    "FEI": _fei,
}
"""Name, and what gives the (y, x) sides of a pixel or None; the first that answers is believed."""
