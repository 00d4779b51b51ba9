"""Instruments' own formats: the table of formats and cases in the documentation, cell by cell, and damaged files."""

import importlib
import os
import re
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from nanocensus.errors import CalibrationError, ImageError, MissingExtraError
from nanocensus.store.formats.readers import READERS, read_image
from nanocensus.store.images.ingest import ingest
from nanocensus.store.images.micrographs import content_digest
from nanocensus.store.studies.sources import find_sources
from nanocensus.testing import (
    InstrumentImage,
    write_dm,
    write_emi,
    write_mrc,
    write_ncem_emd,
    write_ser,
    write_velox,
)

PIXELS = np.random.default_rng(0).integers(0, 4000, (48, 64)).astype(np.uint16)
STACK = np.stack([PIXELS, PIXELS[::-1], PIXELS // 2])
UNITS = {"nm": 0.086, "um": 0.086e-3, "A": 0.86, "m": 0.086e-9}
"""The same length in other units."""


def image(pixels=PIXELS, *, unit="nm", wider=1.0, title="HAADF"):
    side = UNITS.get(unit, 0.086 if unit else 1.0)
    return InstrumentImage(pixels, (side, wider * side), unit, title)


def write_with(plugin, path, one):
    """Write by RosettaSciIO itself, where it can."""
    axes = [
        {"name": name, "size": size, "offset": 0.0, "scale": scale, "units": one.unit, "navigate": False,
         "index_in_array": place, "_type": "UniformDataAxis", "is_binned": False}
        for place, (name, size, scale) in enumerate(zip("yx", one.pixels.shape, one.scale, strict=True))
    ]  # fmt: skip
    about = {"General": {"title": one.title}, "Signal": {"signal_type": ""}}
    signal = {"data": one.pixels, "axes": axes, "metadata": about, "original_metadata": {}, "learning_results": {},
              "attributes": {"_lazy": False, "ragged": False}, "package_info": {"package": "x", "package_version": "1"},
              "tmp_parameters": {}, "models": None}  # fmt: skip
    importlib.import_module(f"rsciio.{plugin}").file_writer(str(path), signal)
    return path


def dm(version):
    return lambda path, *images: write_dm(path, images, version=version)


def ser_with_emi(path, one):
    path = path.with_name("x_1.ser")
    write_emi(path.with_name("x.emi"), mode="TEM Diffraction" if one.unit == "1/nm" else "TEM")
    return write_ser(path, image(one.pixels, unit="m", wider=one.scale[1] / one.scale[0]))


FORMATS = {
    "DigitalMicrograph 3": (".dm3", dm(3), ("nm", "um", "A", "m", "", "1/nm", "wide", "stack", "several")),
    "DigitalMicrograph 4": (".dm4", dm(4), ("nm", "um", "A", "m", "", "1/nm", "wide", "stack", "several")),
    "MRC": (".mrc", write_mrc, ("A", "", "wide", "stack")),
    "TIA series": (".ser", write_ser, ("m", "wide")),
    "TIA series with .emi": (".ser", ser_with_emi, ("m", "1/nm", "wide")),
    "EMD of NCEM": (".emd", write_ncem_emd, ("nm", "um", "A", "m", "", "1/nm", "wide", "stack")),
    "EMD of Velox": (".emd", lambda path, *images: write_velox(path, images), ("m", "1/m", "wide", "stack", "several")),
    "HyperSpy": (".hspy", lambda path, one: write_with("hspy", path, one), ("nm", "um", "", "1/nm", "wide")),
    "Ripple": (".rpl", lambda path, one: write_with("ripple", path, one), ("nm", "um", "", "1/nm", "wide")),
    "NeXus": (".nxs", lambda path, one: write_with("nexus", path, one), ("nm", "um", "", "1/nm", "wide")),
    "Semper": (".unf", lambda path, one: write_with("semper", path, one), ("nm", "um", "1/nm", "wide")),
}
"""Suffix, what writes it, and the cases that the format has: a unit, 1 % wider pixels, three frames, two images."""
CASES = {
    "nm": "nm", "um": "µm", "A": "Å", "m": "m", "": "uncalibrated", "1/nm": "reciprocal", "wide": "1 % wider than high",
    "stack": "three frames", "several": "two images",
}  # fmt: skip
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "formats.md"


def written(folder, name, case):
    suffix, write, _ = FORMATS[name]
    own = {"EMD of Velox": "m", "TIA series": "m", "MRC": "A"}.get(name, "m" if "emi" in name else "nm")
    kept = np.int16 if name == "Semper" else np.uint16
    images = {
        "wide": [image(unit=own, wider=1.01)],
        "stack": [image(STACK, unit=own)],
        "several": [image(unit=own), image(PIXELS[::-1], unit=own, title="BF")],
        "": [image(unit="") if name != "MRC" else InstrumentImage(PIXELS, (0.0, 0.0))],
    }.get(case, [image(unit=case)])
    images = [InstrumentImage(one.pixels.astype(kept), one.scale, one.unit, one.title) for one in images]
    return write(folder / f"x{suffix}", *images)


def outcome(path):
    """Say in a few words what becomes of a file."""
    try:
        found = read_image(path)
        if found.pixel_size is None:
            return "read, no size"
        return f"{found.pixel_size.square_nm():.3g} nm"
    except CalibrationError:
        return "refused: not square"
    except ImageError as refused:
        reasons = {
            "reciprocal": "reciprocal unit",
            "frames": "data of shape 3x",
            "several": "expected one image, got 2",
        }
        (reason,) = [short for short, text in reasons.items() if text in str(refused)] or ["other"]
        return f"refused: {reason}"


def table():
    """Read the table of the documentation: outcome by format and case."""
    rows = [
        [cell.strip() for cell in line.strip("|\n ").split("|")]
        for line in PAGE.read_text().splitlines()
        if "|" in line
    ]
    heads = next(row for row in rows if row[0] == "Format")
    return {row[0]: dict(zip(heads[2:], row[2:], strict=True)) for row in rows if row[0] in FORMATS}


@pytest.mark.parametrize("name", FORMATS)
def test_each_cell_of_the_documented_table_is_what_happens(tmp_path, name):
    stated = table()[name]
    for case, head in CASES.items():
        held = case in FORMATS[name][2] or (case == "1/nm" and "1/m" in FORMATS[name][2])
        if held:
            folder = tmp_path / (re.sub(r"\W", "", case) or "none")
            folder.mkdir()
            asked = "1/m" if case == "1/nm" and "1/m" in FORMATS[name][2] else case
            assert stated[head] == outcome(written(folder, name, asked)), (name, head)
        else:
            assert stated[head] == "–", (name, head)


@pytest.mark.parametrize("name", FORMATS)
def test_values_are_as_recorded(tmp_path, name):
    case = FORMATS[name][2][0]
    found = read_image(written(tmp_path, name, case)).pixels
    np.testing.assert_array_equal(found, PIXELS)
    assert found.dtype == (np.int16 if name == "Semper" else np.uint16)


@pytest.mark.parametrize("name", ["DigitalMicrograph 3", "DigitalMicrograph 4", "EMD of Velox"])
def test_one_of_several_images_is_taken_by_title_or_number(tmp_path, name):
    path = written(tmp_path, name, "several")
    for chosen in ("BF", "2"):
        np.testing.assert_array_equal(read_image(path, chosen).pixels, PIXELS[::-1])
    with pytest.raises(ImageError, match="column `image`"):
        read_image(path)
    with pytest.raises(ImageError, match=r"'ADF'.*0 of that name among 1 'HAADF', 2 'BF'"):
        read_image(path, "ADF")


def test_what_the_header_says_about_the_exposure_is_kept(tmp_path):
    tags = {
        "Microscope Info": {"Voltage": 300_000.0, "Indicated Magnification": 1e5, "Illumination Mode": "TEM"},
        "DataBar": {"Acquisition Date": "1/8/2024", "Acquisition Time": "10:11:12 AM"},
    }
    found = read_image(write_dm(tmp_path / "x.dm4", [InstrumentImage(PIXELS, tags=tags)], version=4)).metadata
    assert found["recorded_at"] == "2024-01-08T10:11:12"
    assert found["beam_energy_kev"] == 300
    assert found["mode"] == "TEM"
    write_ser(tmp_path / "s_1.ser", image(unit="m"))
    write_emi(tmp_path / "s.emi")
    found = read_image(tmp_path / "s_1.ser").metadata
    assert found["recorded_at"] == "2024-01-08T10:11:12"
    assert found["magnification"] == 245_000
    assert found["instrument"] == "Titan 300 kV"


def test_a_listing_names_images_of_one_file_and_each_becomes_a_micrograph(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    write_dm(folder / "both.dm3", [image(), image(PIXELS[::-1], title="BF")])
    write_dm(folder / "alone.dm3", [image(PIXELS // 2)])
    (folder / "micrographs.csv").write_text("file,image\nboth.dm3,HAADF\nboth.dm3,BF\nalone.dm3,\n")
    sources = find_sources(folder, table=folder / "micrographs.csv")
    assert [source.name for source in sources] == ["both.dm3#HAADF", "both.dm3#BF", "alone.dm3"]
    manifest = ingest(sources, tmp_path / "out")
    assert len(manifest.micrographs) == 3
    again = ingest(find_sources(folder), tmp_path / "other")
    assert again.refusals["name"].to_list() == ["both.dm3"]
    assert "1 'HAADF', 2 'BF'" in again.refusals["reason"][0]


def test_an_image_of_a_file_that_can_hold_but_one_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", PIXELS)
    with pytest.raises(ImageError, match="an instrument's file"):
        read_image(tmp_path / "x.npy", "BF")


def test_without_the_extra_the_error_names_it_and_its_licence(tmp_path, monkeypatch):
    path = written(tmp_path, "DigitalMicrograph 3", "nm")
    monkeypatch.setitem(sys.modules, "rsciio.digitalmicrograph", None)
    with pytest.raises(MissingExtraError, match=r"nanocensus\[io\].*GPL-3.0"):
        read_image(path)
    refusals = ingest(find_sources(tmp_path), tmp_path / "out").refusals
    assert "nanocensus[io]" in refusals["reason"][0]


def test_the_values_that_a_ripple_file_describes_are_no_file_of_their_own(tmp_path):
    written(tmp_path, "Ripple", "nm")
    assert {path.suffix for path in tmp_path.iterdir()} == {".rpl", ".raw"}
    assert [source.name for source in find_sources(tmp_path)] == ["x.rpl"]


def test_a_ripple_file_of_many_pixels_is_no_trap(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 60000, (1200, 1300), dtype=np.uint16)
    path = write_with("ripple", tmp_path / "x.rpl", image(pixels))
    assert np.array_equal(read_image(path).pixels, pixels)


def test_other_values_of_a_ripple_file_and_another_description_of_a_series_are_read(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    rippled, series = (
        write_with("ripple", raw / "x.rpl", image()),
        ser_with_emi(raw / "x.ser", image(STACK[2], unit="m")),
    )
    assert len(ingest(find_sources(raw), tmp_path / "out").micrographs) == 2
    values = rippled.with_suffix(".raw").read_bytes()
    rippled.with_suffix(".raw").write_bytes(values[::-1])
    write_emi(raw / "x.emi", mode="TEM Diffraction")
    manifest = ingest(find_sources(raw), tmp_path / "out")
    assert manifest.micrographs["content_digest"].tolist() == [content_digest(read_image(rippled).pixels)]
    assert manifest.refusals["name"].tolist() == [series.name]


DAMAGED = ("DigitalMicrograph 3", "DigitalMicrograph 4", "MRC", "TIA series", "EMD of NCEM", "EMD of Velox")


def damaged(content, rng):
    """Flip bits, cut short, overwrite with extremes, or plant a huge number, mostly in the header."""
    kind, changed = rng.integers(4), bytearray(content)

    def place():
        return int(rng.integers(min(len(content), 1200) if rng.random() < 0.7 else len(content)))

    if kind == 0:
        for _ in range(int(rng.integers(1, 9))):
            changed[place()] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        changed = changed[: int(rng.integers(1, len(content)))]
    elif kind == 2:
        start, length = place(), int(rng.choice([2, 4, 8]))
        changed[start : start + length] = rng.choice([b"\xff", b"\x7f", b"\0"]) * length
    else:
        start = place()
        changed[start : start + 4] = struct.pack(str(rng.choice(["<I", ">I"])), int(rng.integers(2**31)))
    return bytes(changed[: len(content)])


def read_or_refused(folder, name, count, seed):
    whole = written(folder, name, FORMATS[name][2][0])
    content, rng = whole.read_bytes(), np.random.default_rng(seed)
    refused = 0
    for _ in range(count):
        whole.write_bytes(damaged(content, rng))
        try:
            assert read_image(whole).pixels.ndim == 2
        except ImageError:
            refused += 1
    return refused


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files_are_read_or_refused(tmp_path, name):
    assert read_or_refused(tmp_path, name, 40, seed=3) > 4


@pytest.mark.slow
@pytest.mark.parametrize("name", DAMAGED)
def test_300_damaged_files_are_read_or_refused(tmp_path, name):
    assert read_or_refused(tmp_path, name, 300, seed=7) > 30


FOLDER = os.environ.get("NANOCENSUS_INSTRUMENT_FILES")


@pytest.mark.skipif(FOLDER is None, reason="NANOCENSUS_INSTRUMENT_FILES does not name a folder of instrument files")
@pytest.mark.parametrize(
    ("name", "shape", "nanometres"),
    [
        ("multi_signal.dm3", (512, 512), 0.0177516),
        ("JEOL HAADF Image.dm4", (112, 112), 1.24901),
        ("128x128-TEM_search_1.ser", (128, 128), 5.26121),
        ("test_diffraction_pattern.dm3", None, None),
    ],
)
def test_real_files_of_instruments(name, shape, nanometres):
    path = Path(str(FOLDER)) / name
    if shape is None:
        with pytest.raises(ImageError, match="reciprocal"):
            read_image(path)
        return
    found = read_image(path)
    assert found.pixels.shape == shape
    assert found.pixel_size.square_nm() == pytest.approx(nanometres, rel=1e-5)


def test_the_page_lists_every_suffix_that_is_read():
    text = PAGE.read_text()
    assert [suffix for suffix in READERS if f"`{suffix}`" not in text] == []


@pytest.mark.parametrize("image_of", ["navigation", "energy"])
def test_a_line_of_spectra_is_no_image_even_with_a_pixel_size(tmp_path, image_of):
    raw = tmp_path / "raw"
    raw.mkdir()
    path = write_with("hspy", raw / "line.hspy", image())
    import h5py

    with h5py.File(path, "r+") as file:
        (experiment,) = file["Experiments"].values()
        if image_of == "navigation":
            experiment["axis-0"].attrs["navigate"] = True
        else:
            experiment["axis-1"].attrs["units"] = "eV"
    manifest = ingest(find_sources(raw, pixel_size_nm=0.1), tmp_path / "out")
    (reason,) = manifest.refusals["reason"]
    assert "expected an image (rows, columns), got data of shape 48x64 (y, x). Leave spectra out" in reason


def test_a_damaged_emi_beside_a_good_ser_is_named(tmp_path):
    path = write_ser(tmp_path / "x_1.ser", image(unit="m"))
    emi = write_emi(tmp_path / "x.emi")
    emi.write_bytes(emi.read_bytes()[: len(emi.read_bytes()) // 2].replace(b"<", b"\0"))
    with pytest.raises(ImageError, match=r"x_1\.ser, described by x\.emi: .*move it away"):
        read_image(path)
    emi.unlink()
    np.testing.assert_array_equal(read_image(path).pixels, PIXELS)
