"""Minimal files of instruments, for tests of what reads them: each format's own bytes, with no more than a reader needs.

Written from what is published of the formats (the layout of DM3 and DM4 by Gatan's users, of SER by Boothroyd, of MRC by
CCP-EM, of EMD by NCEM and of Velox files by their readers); nothing here knows how nanocensus reads them.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped


@dataclass(frozen=True, eq=False)
class InstrumentImage:
    """One image of an instrument's file."""

    pixels: Shaped[np.ndarray, "..."]
    """Rows and columns, or frames, rows and columns."""
    scale: tuple[float, float] = (0.086, 0.086)
    """Height and width of a pixel, in `unit`."""
    unit: str = "nm"
    title: str = "image"
    tags: Mapping[str, Any] = field(default_factory=dict)
    """What else its header says, nested; numbers and texts. Used for DigitalMicrograph only."""


_DM_TYPES = {"int8": (9, 9), "uint8": (10, 6), "int16": (2, 1), "uint16": (4, 10), "int32": (3, 7), "uint32": (5, 11),
             "float32": (6, 2), "float64": (7, 12)}  # fmt: skip
"""Type of values: the code of a tag's array, and of an image's pixels."""


def write_dm(path: Path, images: Sequence[InstrumentImage], *, version: int = 3, thumbnail: bool = True) -> Path:
    """Write a DigitalMicrograph file.

    Parameters
    ----------
    path : Path
    images : sequence of InstrumentImage
    version : {3, 4}
    thumbnail : bool
        Whether a thumbnail goes before the images, as the program itself writes it.

    Returns
    -------
    Path
        The same.
    """
    dm = _DigitalMicrograph(version)
    small = InstrumentImage(np.zeros((4, 4), np.uint8), (1.0, 1.0), "", "")
    shown = [small, *images] if thumbnail else list(images)
    groups = [dm.group("ImageList", [dm.group("", _dm_image(dm, image)) for image in shown])]
    if thumbnail:
        groups.append(dm.group("Thumbnails", [dm.group("", [dm.number("ImageIndex", 0)])]))
    body = dm.tags(groups)
    path.write_bytes(struct.pack(">i", version) + dm.long(len(body)) + struct.pack(">i", 1) + body)
    return path


class _DigitalMicrograph:
    """The bytes of a version's tags: lengths are of 4 bytes in version 3, and of 8 in version 4."""

    def __init__(self, version: int) -> None:
        self._is_4 = version == 4

    def long(self, number: int) -> bytes:
        return struct.pack(">q" if self._is_4 else ">i", number)

    def tags(self, tags: Sequence[bytes]) -> bytes:
        return b"\1\0" + self.long(len(tags)) + b"".join(tags)

    def group(self, name: str, tags: Sequence[bytes]) -> bytes:
        inside = self.long(len(tags)) + b"".join(tags)
        size = self.long(len(inside)) if self._is_4 else b""
        return self._named(20, name) + b"\1\0" + size + inside

    def number(self, name: str, value: int | float) -> bytes:  # noqa: PYI041  an int is another tag
        code, layout = (7, "<d") if isinstance(value, float) else (5, "<L")
        return self._data(name, [code], struct.pack(layout, value))

    def text(self, name: str, text: str) -> bytes:
        return self._data(name, [20, 4, len(text)], text.encode("utf-16-le"))

    def array(self, name: str, values: np.ndarray) -> bytes:
        little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        return self._data(name, [20, _DM_TYPES[values.dtype.name][0], values.size], little.tobytes())

    def nested(self, name: str, tags: Mapping[str, Any]) -> bytes:
        return self.group(name, [self._tag(key, value) for key, value in tags.items()])

    def _tag(self, name: str, value: Any) -> bytes:  # noqa: ANN401  text, number or mapping
        if isinstance(value, Mapping):
            return self.nested(name, value)
        return self.text(name, value) if isinstance(value, str) else self.number(name, value)

    def _data(self, name: str, info: Sequence[int], values: bytes) -> bytes:
        inside = b"%%%%" + self.long(len(info)) + b"".join(map(self.long, info)) + values
        size = self.long(len(inside)) if self._is_4 else b""
        return self._named(21, name) + size + inside

    def _named(self, kind: int, name: str) -> bytes:
        return struct.pack(">bh", kind, len(name)) + name.encode()


def _dm_image(dm: _DigitalMicrograph, image: InstrumentImage) -> list[bytes]:
    lengths = image.pixels.shape[::-1]
    scales = [float(image.scale[1]), float(image.scale[0]), *[1.0] * (len(lengths) - 2)]
    units = [image.unit, image.unit, *[""] * (len(lengths) - 2)]

    def axis(name: str, scale: float, unit: str) -> bytes:
        return dm.group(name, [dm.number("Origin", 0.0), dm.number("Scale", scale), dm.text("Units", unit)])

    calibrations = [
        axis("Brightness", 1.0, ""),
        dm.group("Dimension", [axis("", scale, unit) for scale, unit in zip(scales, units, strict=True)]),
    ]
    data = [
        dm.group("Calibrations", calibrations),
        dm.array("Data", image.pixels.ravel()),
        dm.number("DataType", _DM_TYPES[image.pixels.dtype.name][1]),
        dm.group("Dimensions", [dm.number("", length) for length in lengths]),
        dm.number("PixelDepth", image.pixels.itemsize),
    ]
    return [dm.group("ImageData", data), dm.nested("ImageTags", image.tags), dm.text("Name", image.title)]


_MRC_MODES = {"int8": 0, "int16": 1, "float32": 2, "uint16": 6}


def write_mrc(path: Path, image: InstrumentImage) -> Path:
    """Write an MRC file; a scale of 0 stands for none, and the unit must be Å."""
    pixels = image.pixels.reshape((-1, *image.pixels.shape[-2:]))
    frames, height, width = pixels.shape
    header = bytearray(1024)
    struct.pack_into("<4i", header, 0, width, height, frames, _MRC_MODES[pixels.dtype.name])
    struct.pack_into("<3i", header, 28, width, height, frames)
    struct.pack_into("<3f", header, 40, width * image.scale[1], height * image.scale[0], float(frames))
    struct.pack_into("<3f", header, 52, 90, 90, 90)
    struct.pack_into("<3i", header, 64, 1, 2, 3)
    header[208:216] = b"MAP \x44\x44\0\0"
    path.write_bytes(bytes(header) + np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<")).tobytes())
    return path


_SER_TYPES = {"uint8": 1, "uint16": 2, "uint32": 3, "int8": 4, "int16": 5, "int32": 6, "float32": 7, "float64": 8}


def write_ser(path: Path, image: InstrumentImage) -> Path:
    """Write a TIA series of one image; its scale is in metres. SER files hold their rows from the bottom up."""
    height, width = image.pixels.shape
    head = struct.pack("<3H4L", 0x4949, 0x0197, 0x0210, 0x4122, 0x4152, 1, 1)
    axis = struct.pack("<LddLL6sL", 1, 0.0, 1.0, 0, 6, b"Number", 0)
    array = len(head) + 8 + len(axis)  # where the offsets of data and of its tag are
    sides = b"".join(struct.pack("<ddL", 0.0, scale, 0) for scale in (image.scale[1], image.scale[0]))
    values = np.ascontiguousarray(image.pixels[::-1], image.pixels.dtype.newbyteorder("<")).tobytes()
    data = sides + struct.pack("<HLL", _SER_TYPES[image.pixels.dtype.name], width, height) + values
    offsets = struct.pack("<LL", array + 8, array + 8 + len(data))
    tag = struct.pack("<HHL", 0x4152, 0, 0)
    path.write_bytes(head + struct.pack("<LL", array, 1) + axis + offsets + data + tag)
    return path


def write_emi(path: Path, *, mode: str = "TEM uP SA Zoom Image", recorded: str = "Mon Jan 08 10:11:12 2024") -> Path:
    """Write what TIA writes beside its series: how and when it was recorded."""
    told = {"Microscope": "Microscope Titan 300 kV", "High tension": "300", "Magnification": "245000", "Mode": mode}
    units = {"High tension": "kV", "Magnification": "x"}
    data = "".join(
        f"<Data><Label>{label}</Label><Value>{value}</Value><Unit>{units.get(label, '')}</Unit></Data>"
        for label, value in told.items()
    )
    text = (
        f"<ObjectInfo><AcquireDate>{recorded}</AcquireDate><AcquireInfo><CameraNamePath>x</CameraNamePath></AcquireInfo>"
        f"<ExperimentalDescription><Root>{data}</Root></ExperimentalDescription></ObjectInfo>"
    )
    path.write_bytes(b"\0JL" + text.encode() + b"\0")
    return path


def write_ncem_emd(path: Path, image: InstrumentImage) -> Path:
    """Write an EMD file as NCEM defines it, x before y; needs h5py."""
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["version_major"], file.attrs["version_minor"] = 0, 2
        group = file.create_group(f"data/{image.title}")
        group.attrs["emd_group_type"] = 1
        group["data"] = image.pixels.T
        scales = [*image.scale[::-1], *[1.0] * (image.pixels.ndim - 2)]
        for number, (length, scale) in enumerate(zip(image.pixels.T.shape, scales, strict=True), start=1):
            axis = group.create_dataset(f"dim{number}", data=np.arange(length) * scale)
            axis.attrs["name"], axis.attrs["units"] = "xyz"[number - 1], image.unit
    return path


def write_velox(path: Path, images: Sequence[InstrumentImage]) -> Path:
    """Write an EMD file as Velox does, a detector an image; needs h5py."""
    import h5py

    def text(content: object) -> np.ndarray:
        return np.frombuffer(json.dumps(content).encode(), np.uint8)

    with h5py.File(path, "w") as file:
        file.create_dataset("Version", data=[json.dumps({"format": "Velox", "version": "11"}).encode()])
        for number, image in enumerate(images):
            frames = image.pixels.reshape((-1, *image.pixels.shape[-2:]))
            group = file.create_group(f"Data/Image/{number:032x}")
            group.create_dataset("Data", data=np.moveaxis(frames, 0, -1), chunks=(*frames.shape[1:], 1))
            stated = {
                "Core": {"MetadataDefinitionVersion": "7.9"},
                "BinaryResult": {
                    "PixelSize": {"height": str(image.scale[0]), "width": str(image.scale[1])},
                    "PixelUnitX": image.unit, "PixelUnitY": image.unit, "Detector": image.title, "DetectorIndex": "0",
                },
                "Detectors": {"Detector-0": {"DetectorName": image.title, "ExposureTime": "1"}},
                "Acquisition": {"AcquisitionStartDatetime": {"DateTime": "1704708672"}},
                "CustomProperties": {}, "Scan": {"FrameTime": "1"}, "Optics": {}, "Instrument": {}, "Stage": {},
            }  # fmt: skip
            group.create_dataset("Metadata", data=np.repeat(text(stated)[:, None], len(frames), axis=1))
    return path
