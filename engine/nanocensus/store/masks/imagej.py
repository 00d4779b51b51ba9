"""Selections that ImageJ saved: a .roi file, or the .zip of a ROI Manager.

Area selections only. Their whole coordinates are the corners of pixels, not the centres.
"""

import importlib
import itertools
import math
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from nanocensus.errors import ImageError, MissingExtraError
from nanocensus.store.masks.drawn import Drawn, ellipse

_LARGEST_BYTES = 2**24
"""Of one selection; a million points."""
_CURVE_STEPS = np.linspace(0.0, 1.0, 17)[1:, None]

_RECTANGLE, _OVAL, _OUTLINES = 1, 2, (0, 7, 8)
_ELLIPSE, _ROTATED_RECTANGLE = 3, 5
_NOT_AREAS = {3: "a straight line", 4: "a freehand line", 5: "a segmented line", 6: "no selection", 9: "an angle",
              10: "points"}  # fmt: skip


def read_rois(path: Path) -> list[Drawn]:
    """Read the area selections of a .roi file or of a .zip of them, in the file's order.

    Parameters
    ----------
    path : Path
        A .roi file, or a .zip with .roi files in it.

    Returns
    -------
    list of Drawn

    Raises
    ------
    MissingExtraError
        If the package `roifile` is not installed.
    ImageError
        If a selection is damaged, is no area, or belongs to another slice of a stack than the others.
    """
    try:
        decode = importlib.import_module("roifile").ImagejRoi.frombytes
    except ModuleNotFoundError:
        raise MissingExtraError(
            f"mask {path}",
            expected="the package roifile, which reads ImageJ's selections",
            got="none",
            remedy="Install it with `pip install roifile`, or save the selections as a label image.",
        ) from None
    drawn, slices = [], set()
    for name, content in _entries(path):
        try:
            roi = decode(content)
            paths = _paths(roi)
        except ImageError:
            raise
        except Exception as cause:  # the decoder raises whatever it likes; all of it means damage
            raise _refusal(path, name, "a selection that ImageJ saved", f"{type(cause).__name__}: {cause}") from cause
        if isinstance(paths, str):
            raise _refusal(path, name, "an area: polygon, freehand, traced, rectangle, oval or composite", paths)
        drawn.append(Drawn(name, paths))
        slices.add((roi.position, roi.c_position, roi.z_position, roi.t_position))
    if len(slices) > 1:
        raise _refusal(
            path, "all selections", "selections on one micrograph", f"those of {len(slices)} slices of a stack"
        )
    return drawn


def _entries(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.suffix.lower() == ".roi":
        yield path.name, path.read_bytes()
        return
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if entry.filename.lower().endswith(".roi")]
            entries = [entry for entry in entries if not entry.filename.startswith("__MACOSX/")]
            if not entries:
                raise _refusal(path, "the archive", "the .roi files that ImageJ's ROI Manager saves", "none")
            for entry in entries:
                if entry.file_size > _LARGEST_BYTES:
                    raise _refusal(path, entry.filename, "a selection", f"{entry.file_size} bytes")
                yield entry.filename, archive.read(entry)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as cause:
        raise _refusal(path, "the archive", "a readable .zip", f"{type(cause).__name__}: {cause}") from cause


def _paths(roi: Any) -> list[Float64[np.ndarray, "_ 2"]] | str:  # noqa: ANN401  roifile is imported lazily
    """Give the closed paths (y, x) of a selection, or say what it is if it is no area."""
    if roi.composite:
        return _composite(np.asarray(roi.multi_coordinates, float).tolist())
    if roi.subtype == _ELLIPSE:
        ends = np.array([[roi.y1, roi.x1], [roi.y2, roi.x2]])
        half = (ends[1] - ends[0]) / 2
        return [ellipse(ends.mean(axis=0), half, _single(roi) * half[::-1] * np.array([1.0, -1.0]))]
    if roi.subtype == _ROTATED_RECTANGLE:
        ends = np.array([[roi.y1, roi.x1], [roi.y2, roi.x2]])
        along = ends[1] - ends[0]
        aside = _single(roi) / 2 * along[::-1] * np.array([1.0, -1.0]) / math.hypot(along[0], along[1])
        return [np.stack([ends[0] + aside, ends[1] + aside, ends[1] - aside, ends[0] - aside])]
    if roi.roitype in (_RECTANGLE, _OVAL):
        corner, size = (
            np.array([roi.top, roi.left], float),
            np.array([roi.bottom - roi.top, roi.right - roi.left], float),
        )
        if roi.subpixelrect:
            corner, size = np.array([roi.yd, roi.xd], float), np.array([roi.heightd, roi.widthd], float)
        arc = float(roi.rounded_rect_arc_size) if roi.roitype == _RECTANGLE else math.inf
        return [_rounded(corner, size, arc)]
    if roi.roitype in _OUTLINES and roi.options & 1:
        return "a polygon fitted with a spline, of which ImageJ saves the knots alone"
    if roi.roitype in _OUTLINES:
        return [np.asarray(roi.coordinates(), float)[:, ::-1]]
    return _NOT_AREAS.get(int(roi.roitype), f"type {int(roi.roitype)}")


def _single(roi: Any) -> float:  # noqa: ANN401  roifile is imported lazily
    """Give the number that four bytes of the header are for ellipses (aspect ratio) and rotated rectangles (width)."""
    parts = roi.arrow_style_or_aspect_ratio, roi.arrow_head_size, roi.rounded_rect_arc_size
    return float(struct.unpack(">f", struct.pack(">BBh", *parts))[0])


def _rounded(
    corner: Float64[np.ndarray, "2"], size: Float64[np.ndarray, "2"], arc: float
) -> Float64[np.ndarray, "k 2"]:
    """Give a rectangle whose corners are quarters of an ellipse of `arc` px across: an oval where that is all of it."""
    half = np.minimum(arc, size) / 2
    if not half.all():
        return np.asarray(corner + size * np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]]))
    first, second = np.array([0.0, half[1]]), np.array([half[0], 0.0])
    quarters = np.array_split(ellipse(np.zeros(2), first, second), 4)
    centres = (size - half, np.array([size[0] - half[0], half[1]]), half, np.array([half[0], size[1] - half[1]]))
    return np.concatenate([corner + centre + quarter for centre, quarter in zip(centres, quarters, strict=True)])


def _composite(words: list[float]) -> list[Float64[np.ndarray, "_ 2"]]:
    """Read a path of Java's: 0 moves, 1 draws a line, 2 and 3 curves with one and two control points, 4 closes."""
    paths: list[list[np.ndarray]] = []
    place = 0
    while place < len(words):
        kind = int(words[place])
        count = (1, 1, 2, 3, 0)[kind]
        points = np.array(words[place + 1 : place + 1 + 2 * count], float).reshape(count, 2)[:, ::-1]
        place += 1 + 2 * count
        if kind == 0:
            paths.append([points[0]])
        elif kind < 4:
            paths[-1] += list(_bezier(np.stack([paths[-1][-1], *points])))
    return [np.stack(points) for points in paths if len(points) > 2]


def _bezier(controls: Float64[np.ndarray, "k 2"]) -> Float64[np.ndarray, "n 2"]:
    """Give points of a curve after its first (de Casteljau); the end alone of a straight one."""
    if len(controls) == 2:
        return controls[1:]
    points = [np.broadcast_to(control, (len(_CURVE_STEPS), 2)) for control in controls]
    while len(points) > 1:
        points = [a + _CURVE_STEPS * (b - a) for a, b in itertools.pairwise(points)]
    return points[0]


def _refusal(path: Path, name: str, expected: str, got: str) -> ImageError:
    remedy = (
        "Draw particles with area selections (Edit > Selection > Interpolate makes a spline one), one micrograph a "
    )
    return ImageError(f"mask {path}, {name}", expected=expected, got=got, remedy=remedy + "file, and save them again.")
