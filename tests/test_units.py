import math

import pytest

from nanocensus.errors import CalibrationError
from nanocensus.units import PixelSize, nanometres_per


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("nm", 1), ("NM", 1), ("um", 1e3), ("µm", 1e3), ("μm", 1e3), ("micron", 1e3), ("\\u00B5m", 1e3), ("\\u00C5", 0.1),
     ("\\u212b", 0.1), ("\u212b", 0.1), ("\u00c5", 0.1), ("Angstrom", 0.1), ("pm", 1e-3), (" m ", 1e9), ("inch", 2.54e7),
     ("Angstroms", 0.1), ("micrometers", 1e3), ("Nanometres", 1), ("metres", 1e9), ("inches", 2.54e7), ("Ångstrom", 0.1)],
)  # fmt: skip
def test_lengths_are_understood_as_instruments_write_them(unit, factor):
    assert nanometres_per(unit) == factor


@pytest.mark.parametrize("unit", ["px", "pixel", "1/nm", "", "s", "nm^2", "ms", "nms", "as"])
def test_what_is_not_a_length_is_refused(unit):
    with pytest.raises(CalibrationError, match="pixel_size_nm"):
        nanometres_per(unit)


def test_nearly_square_pixels_become_the_square_of_equal_area():
    side = PixelSize(0.0860, 0.08602, "DigitalMicrograph").square_nm()
    assert side == pytest.approx(math.sqrt(0.0860 * 0.08602), rel=1e-15)


def test_a_square_pixel_size_is_kept_to_the_last_bit():
    assert PixelSize(0.086, 0.086, "given").square_nm() == 0.086


def test_anisotropy_over_a_thousandth_is_refused():
    with pytest.raises(CalibrationError, match="square pixels"):
        PixelSize(0.086, 0.0862, "DigitalMicrograph").square_nm()


@pytest.mark.parametrize("side", [0.0, -1.0, math.nan, math.inf, 1e-6, 1e7])
def test_impossible_pixel_sizes_are_refused(side):
    with pytest.raises(CalibrationError, match="unit in the file's header"):
        PixelSize(side, side, "ImageJ").square_nm()
