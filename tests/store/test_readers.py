import os
import struct
import zlib
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nanocensus.errors import CalibrationError, ImageError
from nanocensus.store.formats.planes import LARGEST_PIXELS, RECORDED_DTYPES
from nanocensus.store.formats.readers import LONGEST_TEXT, READERS, read_image, read_plane

RAMP = (np.arange(40 * 50, dtype=np.uint16) * 31 % 65521).reshape(40, 50)


def write(path: Path, pixels: np.ndarray, **options) -> Path:
    if path.suffix == ".npy":
        np.save(path, pixels)
    elif path.suffix == ".png":
        imageio.imwrite(path, pixels)
    else:
        tifffile.imwrite(path, pixels, **options)
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif", ".TIFF", ".npy"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_pixels_are_as_recorded_in_every_format(tmp_path, suffix, dtype):
    pixels = RAMP.astype(dtype)
    if suffix == ".TIFF":
        write(tmp_path / "x.tiff", pixels).rename(tmp_path / f"x{suffix}")
    else:
        write(tmp_path / f"x{suffix}", pixels)
    image = read_image(tmp_path / f"x{suffix}")
    assert image.pixels.dtype == pixels.dtype
    np.testing.assert_array_equal(image.pixels, pixels)


@pytest.mark.parametrize("suffix", [".tif", ".npy"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@settings(max_examples=15)
@given(data=st.data())
def test_every_recorded_type_survives_in_either_byte_order(suffix, byteorder, data, tmp_path_factory):
    dtype = np.dtype(data.draw(st.sampled_from([d for d in RECORDED_DTYPES if d != "float64"])))
    shape = data.draw(st.tuples(st.integers(1, 9), st.integers(2, 9)))
    values = {"allow_nan": False, "allow_infinity": False} if dtype.kind == "f" else {}
    pixels = data.draw(hnp.arrays(dtype, shape, elements=hnp.from_dtype(dtype, **values)))
    pixels.flat[0], pixels.flat[-1] = 0, 1
    path = tmp_path_factory.mktemp("types") / f"x{suffix}"
    if suffix == ".npy":
        np.save(path, pixels.astype(dtype.newbyteorder(byteorder)))
    else:
        tifffile.imwrite(path, pixels, byteorder=byteorder, photometric="minisblack")
    read = read_image(path).pixels
    assert read.dtype == dtype
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, pixels)


@pytest.mark.parametrize(
    ("pixels", "kept"),
    [
        (np.array([[0.5, 2.0]]), "float32"),
        (np.array([[0.1, 2.0]]), "float64"),
        (np.array([[1e300, 2.0]]), "float64"),
        (np.array([[1, 2**31 - 1]]), "int32"),
        (np.array([[1, 2**32 - 1]], np.uint64), "uint32"),
        (np.array([[0.5, 2.0]], np.float16), "float32"),
    ],
)
def test_wide_types_are_narrowed_only_where_no_value_changes(tmp_path, pixels, kept):
    read = read_image(write(tmp_path / "x.npy", pixels)).pixels
    assert read.dtype.name == kept
    np.testing.assert_array_equal(read, pixels)


def test_equal_channels_reduce_to_one_and_differing_ones_are_refused_with_a_way_out(tmp_path):
    grey = RAMP.astype(np.uint8)
    for suffix, depth in ((".png", 3), (".png", 4), (".tif", 3)):
        channels = np.stack([grey] * depth, -1)
        if depth == 4:
            channels[..., 3] = 255
        np.testing.assert_array_equal(read_image(write(tmp_path / f"x{suffix}", channels)).pixels, grey)
    channels = np.stack([grey, grey, grey[::-1]], -1)
    for suffix in (".png", ".tif"):
        with pytest.raises(ImageError, match=r"3 channels that differ.*16-bit"):
            read_image(write(tmp_path / f"colour{suffix}", channels))
    planar = np.stack([grey, grey, grey])
    path = write(tmp_path / "planar.tif", planar, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read_image(path).pixels, grey)


@pytest.mark.parametrize("imagej", [False, True])
def test_stacks_are_refused_with_their_number_of_frames(tmp_path, imagej):
    path = write(tmp_path / "stack.tif", np.stack([RAMP] * 5), imagej=imagej)
    with pytest.raises(ImageError, match="stack of 5 frames"):
        read_image(path)
    with pytest.raises(ImageError, match="stack of 5 frames"):
        read_image(write(tmp_path / "stack.npy", np.stack([RAMP] * 5)))
    with tifffile.TiffWriter(tmp_path / "pages.tif") as pages:
        pages.write(RAMP)
        pages.write(RAMP[:20])
    with pytest.raises(ImageError, match="stack of 2 frames"):
        read_image(tmp_path / "pages.tif")


def test_a_reduced_preview_beside_the_image_is_no_second_frame(tmp_path):
    with tifffile.TiffWriter(tmp_path / "x.tif") as pages:
        pages.write(RAMP)
        pages.write(RAMP[::2, ::2], subfiletype=1)
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif").pixels, RAMP)


def test_a_single_row_or_leading_axes_of_length_one_are_an_image(tmp_path):
    np.testing.assert_array_equal(read_image(write(tmp_path / "row.tif", RAMP[:1])).pixels, RAMP[:1])
    np.testing.assert_array_equal(read_image(write(tmp_path / "x.npy", RAMP[None, None])).pixels, RAMP)


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (RAMP.astype(complex), "complex"),
        (RAMP > 9, "column `mask`"),
        (np.zeros((0, 5), np.uint8), "with pixels"),
        (np.full((4, 5), 7, np.uint8), "one value 7 everywhere"),
        (np.where(RAMP == 5 * 31, np.nan, RAMP), "1 values that are NaN or infinite"),
        (np.where(RAMP == 5 * 31, np.nan, 0.5).astype(np.float16), "1 values that are NaN or infinite"),
        (np.where(RAMP < 62, np.inf, RAMP).astype(np.float32), "2 values that are NaN or infinite"),
        (np.array([[0, 2**40]]), "int64"),
        (np.array([["a", "b"]]), "types uint8"),
        (np.array([[None, {}]]), "damaged"),
        (np.arange(4.0), "shape"),
    ],
)
def test_arrays_that_cannot_be_measured_are_refused_with_the_reason(tmp_path, pixels, reason):
    path = tmp_path / "x.npy"
    np.save(path, pixels, allow_pickle=True)
    with pytest.raises(ImageError, match=reason) as refused:
        read_image(path)
    assert str(path) in str(refused.value)


def test_a_pickle_in_a_npy_file_is_never_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    np.save(tmp_path / "x.npy", np.array([[Trap()]], dtype=object), allow_pickle=True)
    with pytest.raises(ImageError):
        read_image(tmp_path / "x.npy")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("suffix", sorted(READERS))
def test_empty_missing_and_foreign_files_are_refused_by_name(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    with pytest.raises(ImageError, match="nothing there"):
        read_image(path)
    path.write_bytes(b"")
    with pytest.raises(ImageError, match="0 bytes"):
        read_image(path)
    path.write_bytes(b"not an image at all, but long enough to look at")
    with pytest.raises(ImageError, match="damaged"):
        read_image(path)


@pytest.mark.parametrize("suffix", [".jpg", ".czi", ".xyz", ""])
def test_unsupported_suffixes_name_themselves_and_what_is_read(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(b"abc")
    with pytest.raises(ImageError, match=r"expected one of \.dm3, .* \.npy, \.nxs, \.png, .* \.tif, \.tiff") as refused:
        read_image(path)
    assert repr(suffix or "none") in str(refused.value)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("suffix", [".tif", ".png", ".npy"])
def test_a_file_cut_short_anywhere_is_refused_or_whole(tmp_path, suffix, compression):
    options = {"compression": compression, "rowsperstrip": 8} if suffix == ".tif" else {}
    whole = write(tmp_path / f"whole{suffix}", RAMP, **options).read_bytes()
    path = tmp_path / f"cut{suffix}"
    for length in [*range(0, 300, 37), *range(300, len(whole), 331), len(whole) - 20]:
        path.write_bytes(whole[:length])
        try:
            pixels = read_image(path).pixels
        except ImageError:
            continue
        np.testing.assert_array_equal(pixels, RAMP)  # only trailing metadata were lost


@pytest.mark.parametrize("suffix", [".tif", ".png", ".npy"])
@settings(max_examples=60)
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_never_surfaces_as_a_foreign_error(suffix, where, bit, tmp_path_factory):
    folder = tmp_path_factory.mktemp("flip")
    content = bytearray(write(folder / f"x{suffix}", RAMP[:12, :12]).read_bytes())
    content[int(where * len(content))] ^= 1 << bit
    (folder / f"x{suffix}").write_bytes(content)
    try:
        image = read_image(folder / f"x{suffix}")
    except ImageError:
        return
    assert image.pixels.ndim == 2


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("description", ["", "ImageJ=1.54f\n"])
@pytest.mark.parametrize("dtype", ["uint8", ">u2", "uint32"])
def test_a_tiff_whose_zero_is_white_is_read_as_it_is_shown(tmp_path, dtype, description, compression):
    shown = RAMP.astype(dtype)
    options = {"photometric": "miniswhite", "compression": compression, "description": description, "metadata": None}
    path = write(tmp_path / "x.tif", np.iinfo(dtype).max - shown, **options)
    np.testing.assert_array_equal(read_image(path).pixels, shown)


def test_of_a_tiff_of_twelve_bits_white_is_the_highest_that_they_hold(tmp_path):
    shown = RAMP % 4096
    path = write(tmp_path / "x.tif", 4095 - shown, photometric="miniswhite", bitspersample=12)
    np.testing.assert_array_equal(read_image(path).pixels, shown)


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_a_tiff_that_does_not_say_what_is_black_is_refused(tmp_path, dtype):
    with pytest.raises(ImageError, match=f"got {dtype}, which does not say what is black"):
        read_image(write(tmp_path / "x.tif", RAMP.astype(dtype), photometric="miniswhite"))


def test_a_tiff_with_an_absent_strip_is_refused_rather_than_filled_with_zeros(tmp_path):
    path = write(tmp_path / "x.tif", RAMP, compression="zlib", rowsperstrip=8)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        counts = list(tiff.pages[0].databytecounts)
        tiff.pages[0].tags[279].overwrite([*counts[:2], 0, *counts[3:]])
    with pytest.raises(ImageError, match="1 that are missing"):
        read_image(path)


def png_header(width: int, height: int, depth: int = 8, colour: int = 0) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


def test_sizes_that_no_micrograph_has_are_refused_before_they_are_unpacked(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(2**17, 2**17))
    with pytest.raises(ImageError, match=f"at most {LARGEST_PIXELS} pixels"):
        read_image(path)
    path.write_bytes(png_header(2**14, 2**14))
    with pytest.raises(ImageError, match=r"a PNG of at most .* Save it as TIFF"):
        read_image(path)
    path.write_bytes(png_header(2**13, 2**13))
    with pytest.raises(ImageError, match="decompression bomb"):
        read_image(path)
    bomb = write(tmp_path / "bomb.tif", np.zeros((6000, 6000), np.uint8), compression="zlib", rowsperstrip=6000)
    assert bomb.stat().st_size < 50_000
    with pytest.raises(ImageError, match="decompression bomb"):
        read_image(bomb)
    header = {"descr": "<u2", "fortran_order": False, "shape": (2**20, 2**20)}
    with (tmp_path / "bomb.npy").open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        stream.write(b"12345678")
    with pytest.raises(ImageError):
        read_image(tmp_path / "bomb.npy")


@pytest.mark.parametrize(("depth", "colour"), [(16, 2), (16, 6), (2, 0), (4, 0)])
def test_png_kinds_whose_values_the_decoder_would_change_are_refused(tmp_path, depth, colour):
    path = tmp_path / "x.png"
    path.write_bytes(png_header(20, 20, depth, colour))
    with pytest.raises(ImageError, match=f"{depth}-bit PNG"):
        read_image(path)


def test_animations_are_refused(tmp_path):
    frames = [RAMP.astype(np.uint8), RAMP[::-1].astype(np.uint8), RAMP[:, ::-1].astype(np.uint8)]
    imageio.imwrite(tmp_path / "x.png", np.stack(frames), plugin="pillow")
    with pytest.raises(ImageError, match="animation of 3 frames"):
        read_image(tmp_path / "x.png")


@pytest.mark.parametrize(
    ("unit", "nanometres"),
    [("nm", 1), ("micron", 1e3), ("\\u00B5m", 1e3), ("um", 1e3), ("Angstrom", 0.1), ("pm", 1e-3)],
)
def test_imagej_units_calibrate(tmp_path, unit, nanometres):
    path = write(
        tmp_path / "x.tif", RAMP, imagej=True, metadata={"unit": unit}, resolution=(8 * nanometres, 8 * nanometres)
    )
    size = read_image(path).pixel_size
    assert size.source == "ImageJ"
    assert size.square_nm() == pytest.approx(0.125, rel=1e-6)


@pytest.mark.parametrize("unit", ["", "pixel", "inch", "cm"])
def test_imagej_units_that_are_no_calibration_calibrate_nothing(tmp_path, unit):
    path = write(tmp_path / "x.tif", RAMP, imagej=True, metadata={"unit": unit}, resolution=(72.0, 72.0))
    assert read_image(path).pixel_size is None


@pytest.mark.parametrize("unit", ["1/nm", "nm^-1"])
def test_diffraction_patterns_are_refused(tmp_path, unit):
    path = write(tmp_path / "x.tif", RAMP, imagej=True, metadata={"unit": unit}, resolution=(8.0, 8.0))
    with pytest.raises(ImageError, match="reciprocal") as refused:
        read_image(path)
    assert str(path) in str(refused.value)


def test_an_unknown_unit_is_kept_as_the_problem_so_that_a_given_size_can_go_before(tmp_path):
    path = write(tmp_path / "x.tif", RAMP, imagej=True, metadata={"unit": "furlong"}, resolution=(8.0, 8.0))
    image = read_image(path)
    assert image.pixel_size is None
    assert isinstance(image.calibration_problem, CalibrationError)
    assert "furlong" in str(image.calibration_problem)


@pytest.mark.parametrize("unit", ["INCH", "CENTIMETER"])
def test_plain_resolution_tags_are_not_believed(tmp_path, unit):
    path = write(tmp_path / "x.tif", RAMP, resolution=(72, 72), resolutionunit=unit, metadata=None)
    image = read_image(path)
    assert image.pixel_size is None
    assert image.calibration_problem is None


def digital_micrograph_tags(unit: str, y: float, x: float) -> list[tuple]:
    return [(65003, 2, 0, unit, True), (65004, 2, 0, unit, True), (65009, 12, 1, x, True), (65010, 12, 1, y, True)]


def test_digital_micrograph_tags_calibrate(tmp_path):
    path = write(tmp_path / "x.tif", RAMP, extratags=digital_micrograph_tags("nm", 0.086, 0.08601), metadata=None)
    size = read_image(path).pixel_size
    assert (size.y_nm, size.x_nm, size.source) == (0.086, 0.08601, "DigitalMicrograph")


def test_private_tags_of_other_makers_calibrate_nothing(tmp_path):
    tags = [(65003, 3, 1, 7, True), (65004, 3, 1, 7, True), (65009, 3, 1, 7, True), (65010, 3, 1, 7, True)]
    assert read_image(write(tmp_path / "x.tif", RAMP, extratags=tags, metadata=None)).pixel_size is None


def test_ome_xml_calibrates_and_its_default_unit_is_the_micrometre(tmp_path):
    metadata = {"axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 2.5e-4}
    size = read_image(write(tmp_path / "x.ome.tif", RAMP, metadata=metadata)).pixel_size
    assert (size.y_nm, size.x_nm, size.source) == (0.25, 0.25, "OME")


@pytest.mark.parametrize("key", ["AP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size", "AP_PIXEL_SIZE\r\nPixel Size"])
def test_zeiss_tags_calibrate(tmp_path, key):
    text = f"\r\n{key} = 1.117 nm\r\nDP_X\r\nX = 1\r\n"
    path = write(tmp_path / "x.tif", RAMP, extratags=[(34118, 2, 0, text, True)], metadata=None)
    size = read_image(path).pixel_size
    assert (size.y_nm, size.source) == (1.117, "Zeiss")


def test_fei_tags_calibrate(tmp_path):
    text = "[Scan]\r\nPixelWidth=2.5e-10\r\nPixelHeight=2.5e-10\r\n"
    path = write(tmp_path / "x.tif", RAMP, extratags=[(34682, 2, 0, text, True)], metadata=None)
    size = read_image(path).pixel_size
    assert size.source == "FEI"
    assert size.square_nm() == pytest.approx(0.25)


def test_metadata_are_bounded(tmp_path):
    path = write(tmp_path / "x.tif", RAMP, description="x" * 50_000, software="test", metadata=None)
    metadata = read_image(path).metadata
    assert metadata["software"] == "test"
    assert len(metadata["description"]) == LONGEST_TEXT


def test_boolean_planes_can_be_read_as_masks(tmp_path):
    np.testing.assert_array_equal(read_plane(write(tmp_path / "x.npy", RAMP > 9)), RAMP > 9)


FOLDER = os.environ.get("NANOCENSUS_INSTRUMENT_FILES")
needs_instrument_files = pytest.mark.skipif(
    FOLDER is None, reason="NANOCENSUS_INSTRUMENT_FILES does not name a folder of instrument files"
)


@needs_instrument_files
@pytest.mark.parametrize(
    ("name", "nanometres", "source"),
    [
        ("test_loading_image_saved_with_DM.tif", 168.67469, "DigitalMicrograph"),
        ("test_loading_image_saved_with_imageJ.tif", 168.67469, "ImageJ"),
        ("test_loading_image_saved_with_imageJ_no_scale.tif", None, None),
    ],
)
def test_real_tiffs_of_instruments_are_calibrated(name, nanometres, source):
    image = read_image(Path(str(FOLDER)) / name)
    assert image.pixels.shape == (68, 68)
    if nanometres is None:
        assert image.pixel_size is None
    else:
        assert image.pixel_size.source == source
        assert image.pixel_size.square_nm() == pytest.approx(nanometres, rel=1e-6)


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    def denied(path):
        raise PermissionError(13, "Permission denied", str(path))

    np.save(tmp_path / "x.npy", RAMP)
    monkeypatch.setitem(READERS, ".npy", denied)
    with pytest.raises(ImageError, match=r"x\.npy: .*permission denied\. Mend its permissions"):
        read_image(tmp_path / "x.npy")
