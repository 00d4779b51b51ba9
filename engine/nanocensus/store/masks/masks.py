"""Hand-drawn masks as truth: files in, label images out."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Int32, Integer, Shaped
from scipy import ndimage

from nanocensus.errors import ImageError
from nanocensus.store.formats.readers import READERS, read_plane
from nanocensus.store.masks.drawn import Drawn, labels_of
from nanocensus.store.masks.imagej import read_rois
from nanocensus.store.masks.napari import read_shapes
from nanocensus.store.masks.ngff import read_label_array
from nanocensus.store.names import on_disk, one_spelling

_DRAWN: Mapping[str, Callable[[Path], list[Drawn]]] = {".csv": read_shapes, ".roi": read_rois, ".zip": read_rois}
MASK_SUFFIXES = (*READERS, *_DRAWN, ".zarr", ".ome.zarr")
"""What masks may end in; those in Zarr are folders."""


def read_truth(path: Path, shape: tuple[int, int]) -> Int32[np.ndarray, "y x"]:
    """Read a mask, label image or drawn outlines, and number the particles in raster order of their first pixels.

    Parameters
    ----------
    path : Path
        A PNG, TIFF or .npy file or a Zarr folder (OME-NGFF 0.4 or 0.5 labels, or a plain array): with one value besides 0
        it is a mask, whose particles are its connected components (8-connectivity); with more it is a label image, in
        which each value is a particle. Or the selections of ImageJ (.roi, or the .zip of its ROI Manager) or shapes of
        napari (.csv): each is a particle, to which the pixels belong of which it covers more than half; where two do,
        the later one has them.
    shape : (int, int)
        Of the micrograph, px.

    Returns
    -------
    int32 array, (y, x)
        0 = background, 1..n.

    Raises
    ------
    ImageError
        If the file cannot be read, has another shape, or holds anything but background 0 and whole positive values;
        or if outlines lie outside the micrograph or are no areas.
    MissingExtraError
        If selections of ImageJ are given and the package `roifile` is not installed.
    """
    if path.is_dir():
        return _numbered(path, read_label_array(path), shape)
    drawn = _DRAWN.get(path.suffix.lower())
    if not path.exists() or (drawn is None and path.suffix.lower() not in READERS):
        kinds = "a file ending in " + ", ".join(MASK_SUFFIXES)
        raise _refusal(path, kinds, f"the suffix {path.suffix!r}" if path.exists() else "nothing there")
    if drawn is not None:
        return in_raster_order(labels_of(path, drawn(path), shape))
    return _numbered(path, read_plane(path), shape)


def doubt_of_mask(path: Path, labels: Int32[np.ndarray, "y x"]) -> str:
    """Say of a mask that marks most of its micrograph that it may be inverted; nothing of others.

    Parameters
    ----------
    path : Path
        Names the mask.
    labels : int32 array, (y, x)
        Of `read_truth`.

    Examples
    --------
    >>> doubt_of_mask(Path("a.png"), np.array([[1, 1], [1, 0]], np.int32))[:51]
    'mask a.png: particles cover 75 % of the micrograph.'
    >>> doubt_of_mask(Path("a.png"), np.array([[1, 0], [0, 0]], np.int32))
    ''
    """
    covered = np.count_nonzero(labels) / max(labels.size, 1)
    if covered <= _MOST_COVERED:
        return ""
    return (
        f"mask {path}: particles cover {100 * covered:.0f} % of the micrograph. What is not 0 is taken for particle: if they are "
        "the dark parts of the mask, invert it"
    )


_MOST_COVERED = 0.6
"""Share of a micrograph that particles which can be told apart hardly cover."""


def truth_beside(folder: Path, micrograph: str) -> Path:
    """Find the mask of a micrograph in a folder of masks: of its own name, or of its stem and another suffix.

    Parameters
    ----------
    folder : Path
        Folder of masks.
    micrograph : str
        Name of the micrograph, which may have folders in front.

    Returns
    -------
    Path

    Raises
    ------
    ImageError
        If there is none, or several of equal stem and none of equal name.
    """
    named = on_disk(folder, micrograph)
    if named.exists() and named.suffix.lower() in MASK_SUFFIXES:
        return named
    stem = named.name.removesuffix(named.suffix)
    found = [path for suffix in MASK_SUFFIXES if (path := on_disk(named.parent, stem + suffix)).exists()]
    if len(found) == 1:
        return found[0]
    raise ImageError(
        f"mask of {micrograph}",
        expected=f"one file {stem} in {named.parent}, ending in {', '.join(MASK_SUFFIXES)}",
        got=", ".join(path.name for path in found) or "none",
        remedy="Keep the one that counts." if found else "Save the mask there, or leave the micrograph out.",
    )


def mask_stem(mask: Path) -> str:
    """Give the name of a mask without what it ends in, in one spelling.

    Examples
    --------
    >>> mask_stem(Path("masks/a.tif")), mask_stem(Path("masks/a.ome.zarr"))
    ('a', 'a')
    """
    return one_spelling(mask.name.removesuffix(".ome.zarr").removesuffix(mask.suffix))


def _numbered(path: Path, plane: Shaped[np.ndarray, "y x"], shape: tuple[int, int]) -> Int32[np.ndarray, "y x"]:
    """Check a mask or label image, and number its particles."""
    if plane.shape != shape:
        raise _refusal(path, f"a mask of {shape[0]} x {shape[1]} pixels, as its micrograph", _size(plane))
    if plane.dtype.kind not in "biuf" or not np.array_equal(plane, np.floor(plane)):
        raise _refusal(path, "0 for background and whole numbers for particles", f"{plane.dtype.name} values")
    values = np.unique(plane)
    if values[0] != 0:
        raise _refusal(path, "0 for background", f"{values[0]} as the lowest value")
    if not float(values[-1]) < 2.0**63:
        raise _refusal(path, "numbers of particles", f"{values[-1]} as the highest value")
    if len(values) <= 2:
        labels, _ = ndimage.label(plane != 0, structure=np.ones((3, 3)))
        return labels.astype(np.int32, copy=False)  # SciPy numbers in raster order itself
    return in_raster_order(plane.astype(np.int64))


def in_raster_order(labels: Integer[np.ndarray, "y x"]) -> Int32[np.ndarray, "y x"]:
    """Renumber labels 1..n by their first pixels, row by row; 0 stays.

    Examples
    --------
    >>> in_raster_order(np.array([[0, 7], [3, 7]]))
    array([[0, 1],
           [2, 1]], dtype=int32)
    """
    flat = labels.ravel()
    if flat.size and flat.max() > flat.size:  # sparse numbers: a table as long as the largest would not fit
        flat = np.unique(flat, return_inverse=True)[1].ravel() + (0 if (flat == 0).any() else 1)
    first = np.full(int(flat.max(initial=0)) + 1, flat.size)
    np.minimum.at(first, flat, np.arange(flat.size))
    first[0] = -1
    present = np.flatnonzero(first < flat.size)
    rank = np.zeros(len(first), np.int32)
    rank[present[np.argsort(first[present])]] = np.arange(len(present), dtype=np.int32)
    renumbered: np.ndarray = rank[flat].reshape(labels.shape)
    return renumbered


def _size(plane: Shaped[np.ndarray, "y x"]) -> str:
    return f"{plane.shape[0]} x {plane.shape[1]}"


def _refusal(path: Path, expected: str, got: str) -> ImageError:
    remedy = "Draw it on the micrograph itself, particles 255 on 0 or each its own number, and save it uncompressed "
    return ImageError(f"mask {path}", expected=expected, got=got, remedy=remedy + "or as PNG; or leave the mask out.")
