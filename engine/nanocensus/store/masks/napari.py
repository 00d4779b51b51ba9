"""Shapes that napari saved as CSV: pixel centres at whole coordinates."""

import csv
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from nanocensus.errors import ImageError
from nanocensus.store.masks.drawn import Drawn, ellipse

_AREAS = ("polygon", "rectangle", "ellipse")


def read_shapes(path: Path) -> list[Drawn]:
    """Read the shapes of a layer that napari saved, in the file's order.

    Parameters
    ----------
    path : Path
        A CSV file with the columns index, shape-type, vertex-index, axis-0, axis-1, ...; of more axes the last two are
        rows and columns, and the others have one value throughout.

    Returns
    -------
    list of Drawn

    Raises
    ------
    ImageError
        If it is another table, or holds lines or shapes of several slices.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as cause:
        raise _refusal(path, "a table that napari saved", f"{type(cause).__name__}: {cause}") from cause
    axes = sorted((name for name in (rows[0] if rows else ()) if name and name.startswith("axis-")), key=_number)
    if len(axes) < 2 or not {"index", "shape-type"} <= set(rows[0]):
        found = ", ".join(filter(None, rows[0])) if rows else "no rows"
        raise _refusal(path, "the columns index, shape-type, vertex-index, axis-0, axis-1", found)
    try:
        places = np.array([[float(row[axis]) for axis in axes] for row in rows])
    except (TypeError, ValueError):
        raise _refusal(path, "numbers as coordinates", "a cell that is none") from None
    if len(np.unique(places[:, :-2], axis=0)) > 1:
        raise _refusal(path, "shapes on one micrograph", "shapes on several slices of a stack")
    members: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        members.setdefault(row["index"], []).append(i)
    return [
        Drawn(f"shape {index}", [_outline(path, rows[held[0]]["shape-type"], places[held, -2:])])
        for index, held in members.items()
    ]


def _number(name: str) -> int:
    text = name.removeprefix("axis-")
    return int(text) if text.isdigit() else 0


def _outline(path: Path, kind: str, vertices: Float64[np.ndarray, "k 2"]) -> Float64[np.ndarray, "n 2"]:
    if kind not in _AREAS:
        raise _refusal(path, "areas: " + ", ".join(_AREAS), f"a {kind}")
    vertices = vertices + 0.5  # from centres at whole numbers to pixels from i to i + 1
    if kind == "ellipse" and len(vertices) == 4:  # the corners of the box around it, in order
        first, second = (vertices[1] - vertices[0]) / 2, (vertices[2] - vertices[1]) / 2
        return ellipse(vertices.mean(axis=0), first, second)
    return vertices


def _refusal(path: Path, expected: str, got: str) -> ImageError:
    remedy = "Draw particles as polygons, rectangles or ellipses on the micrograph, and save the layer again; or save labels."
    return ImageError(f"mask {path}", expected=expected, got=got, remedy=remedy)
