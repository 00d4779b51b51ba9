"""Lengths, and what makes a pixel size believable.

Lengths inside nanocensus are nanometres; this is the one place where other units enter.
"""

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from nanocensus.errors import CalibrationError

NANOMETRES: Mapping[str, float] = {
    "m": 1e9,
    "cm": 1e7,
    "mm": 1e6,
    "um": 1e3,
    "nm": 1.0,
    "a": 0.1,
    "pm": 1e-3,
    "in": 2.54e7,
}
"""One of each unit of length, in nanometres."""

_ALIASES: Mapping[str, str] = {
    "μm": "um", "micron": "um", "micrometer": "um", "micrometre": "um", "nanometer": "nm", "nanometre": "nm", "å": "a",
    "ang": "a", "angstrom": "a", "angstroem": "a", "ångström": "a", "ångstrom": "a", "picometer": "pm", "picometre": "pm",
    "millimeter": "mm", "millimetre": "mm", "centimeter": "cm", "centimetre": "cm", "meter": "m", "metre": "m",
    "inch": "in", "inches": "in",
}  # fmt: skip
"""Other spellings, folded; words may end in an s."""

SMALLEST_PIXEL_NM, LARGEST_PIXEL_NM = 1e-3, 1e3
"""Pixel sizes of electron micrographs lie far inside these; outside them a unit was mistaken for another."""

ANISOTROPY_LIMIT = 1e-3
"""Drift-corrected frames of some cameras differ by a pixel in 4096 between the axes; more is a distortion."""


def nanometres_per(unit: str) -> float:
    """Give the number of nanometres in one of a unit of length.

    Parameters
    ----------
    unit : str
        As instruments write it: "nm", "µm", "micron", "Å", "pm", "m", ...

    Raises
    ------
    CalibrationError
        If the unit is not a length (pixels, 1/nm, ...).

    Examples
    --------
    >>> nanometres_per("µm")
    1000.0
    """
    written = re.sub(r"\\u([0-9a-fA-F]{4})", lambda escape: chr(int(escape[1], 16)), unit)  # as ImageJ does
    key = unicodedata.normalize("NFKC", written).strip().casefold()  # one spelling of the micro and angstrom signs
    key = _ALIASES.get(key) or _ALIASES.get(key.removesuffix("s"), key)
    if key not in NANOMETRES:
        raise CalibrationError(
            "unit of the pixel size",
            expected="a length (nm, um, A, pm, m)",
            got=repr(unit),
            remedy="Give the pixel size yourself: pixel_size_nm in the job file or in micrographs.csv.",
        )
    return NANOMETRES[key]


@dataclass(frozen=True)
class PixelSize:
    """The size of a pixel along both axes of a micrograph, and who says so."""

    y_nm: float
    """Height of a pixel, nm."""
    x_nm: float
    """Width of a pixel, nm."""
    source: str
    """Where it comes from: "given", "assumed", "ImageJ", "DigitalMicrograph", "OME", "Zeiss", ..."""

    @property
    def anisotropy(self) -> float:
        """Relative difference between the two axes."""
        return abs(self.y_nm - self.x_nm) / math.sqrt(self.y_nm * self.x_nm)

    def square_nm(self) -> float:
        """Give the one length that stands for both axes: their geometric mean, which keeps areas.

        Returns
        -------
        float
            Side of the square pixel of equal area, nm.

        Raises
        ------
        CalibrationError
            If a side is not a positive number, or lies outside 0.001 to 1000 nm, or the axes differ by more
            than 0.1 %.

        Examples
        --------
        >>> PixelSize(0.086, 0.086, "given").square_nm()
        0.086
        """
        for side in (self.y_nm, self.x_nm):
            if not (math.isfinite(side) and SMALLEST_PIXEL_NM <= side <= LARGEST_PIXEL_NM):
                raise CalibrationError(
                    f"pixel size ({self.source})",
                    expected=f"{SMALLEST_PIXEL_NM:g} to {LARGEST_PIXEL_NM:g} nm",
                    got=f"{side:g} nm",
                    remedy="Check the unit in the file's header, or give the pixel size yourself (pixel_size_nm).",
                )
        if self.y_nm == self.x_nm:
            return self.y_nm
        if self.anisotropy > ANISOTROPY_LIMIT:
            raise CalibrationError(
                f"pixel size ({self.source})",
                expected=f"square pixels (axes equal within {ANISOTROPY_LIMIT:.1%})",
                got=f"{self.y_nm:g} nm high and {self.x_nm:g} nm wide ({self.anisotropy:.2%} apart)",
                remedy="Resample the image to square pixels, or give one pixel size if the header is wrong.",
            )
        return math.sqrt(self.y_nm * self.x_nm)
