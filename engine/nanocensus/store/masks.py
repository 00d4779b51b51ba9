"""Hand-drawn masks as truth: files in, label images out."""

from pathlib import Path

import numpy as np
from jaxtyping import Int32, Integer, Shaped
from scipy import ndimage

from nanocensus.errors import ImageError
from nanocensus.store.readers import read_plane


def read_truth(path: Path, shape: tuple[int, int]) -> Int32[np.ndarray, "y x"]:
    """Read a mask or label image and number its particles in raster order of their first pixels.

    Parameters
    ----------
    path : Path
        A PNG, TIFF or .npy file. With one value besides 0 it is a mask, whose particles are its connected components
        (8-connectivity); with more it is a label image, in which each value is a particle.
    shape : (int, int)
        Of the micrograph, px.

    Returns
    -------
    int32 array, (y, x)
        0 = background, 1..n.

    Raises
    ------
    ImageError
        If the file cannot be read, has another shape, or holds anything but background 0 and whole positive values.
    """
    plane = read_plane(path)
    if plane.shape != shape:
        raise _refusal(path, f"a mask of {shape[0]} x {shape[1]} pixels, as its micrograph", _size(plane))
    if plane.dtype.kind not in "biuf" or not np.array_equal(plane, np.floor(plane)):
        raise _refusal(path, "0 for background and whole numbers for particles", f"{plane.dtype.name} values")
    values = np.unique(plane)
    if values[0] != 0:
        raise _refusal(path, "0 for background", f"{values[0]} as the lowest value")
    if len(values) <= 2:
        labels, _ = ndimage.label(plane, structure=np.ones((3, 3)))
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
