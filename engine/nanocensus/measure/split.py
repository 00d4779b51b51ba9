"""Cutting labels in which particles touch into one label a particle.

A cut must be short: it is kept where the widest disc centred on it is clearly narrower than the widest disc inside
the narrower part. The distance from the edge of a convex particle has one summit, so a convex particle is not cut. Two
equal discs are told apart where their centres are at least 0.6 to 0.7 diameters apart, a disc and one of 0.6 times
its diameter from 0.8 to 0.95 of their mean diameter; nearer ones stay one label, to be rejected by their shape.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt
from jaxtyping import Int32, UInt8

from nanocensus.errors import ImageError, InputError
from nanocensus.measure.necks import join_over_wide_cuts
from nanocensus.measure.parse import parse_same_shape
from nanocensus.measure.regions import _summits
from nanocensus.measure.regions._runs import extents, runs_of_labels

SplitMethod = Literal["distance", "probability"]

DEPTHS: dict[SplitMethod, float] = {"distance": 1.0, "probability": 0.1}
"""How far a summit must stand above the pass to a higher one: px of distance, or probability."""
LARGEST_NECK = 0.85
"""Largest width of a cut, in widths of the narrower part."""
_SURE = 255.0


def split_touching(
    labels: Int32[np.ndarray, "y x"],
    probability: UInt8[np.ndarray, "_ _"] | None = None,
    *,
    method: SplitMethod = "distance",
    depth: float | None = None,
    largest_neck: float = LARGEST_NECK,
) -> tuple[Int32[np.ndarray, "y x"], Int32[np.ndarray, " n"]]:
    """Split labels at their necks by watershed.

    Parameters
    ----------
    labels : int32 (y, x)
        0 for background.
    probability : uint8 (y, x), optional
        255 = surely particle; needed by the method of that name.
    method : {"distance", "probability"}
        Whether parts are the hills of the distance from the label's edge, or of the probability map inside the label
        (for networks that doubt the pixels between particles).
    depth : float, optional
        How far the summit of a part must stand above the way to a higher one: px (1 if not given), or probability
        (0.1). Larger values leave more labels whole.
    largest_neck : float
        A cut is kept if the widest disc centred on it has at most so many times the diameter of the widest disc in
        the narrower part. Larger values split more pairs, and single particles with rough edges.

    Returns
    -------
    labels : int32 (y, x)
        1 to n in raster order of first pixels.
    parent : int32 (n,)
        Entry i is the label that label i + 1 was part of.

    Raises
    ------
    InputError
        If the method has no such name, or depth or largest_neck is out of range.
    ImageError
        If the method needs a map and none is given, or its shape is another.

    Notes
    -----
    Holes are filled for the distances. Of a label in several pieces that do not touch, the parts with the highest summits, one
    in each piece, stay one label. What lies beyond the micrograph's border counts as background.

    References
    ----------
    Vincent and Soille, IEEE Trans. Pattern Anal. Mach. Intell. 1991, 13, 583 (watersheds); Grimaud, Proc. SPIE 1992,
    1769, 292 (summits by their depth).

    Examples
    --------
    >>> y, x = np.mgrid[:21, :39]
    >>> pair = np.hypot(y - 10, x - 10) < 10
    >>> pair |= np.hypot(y - 10, x - 28) < 10
    >>> labels, parent = split_touching(pair.astype(np.int32))
    >>> parent.tolist(), labels[10, 10].item(), labels[10, 28].item()
    ([1, 1], 1, 2)
    """
    least = _least_depth(method, depth, largest_neck)
    hills = _hills(labels, probability) if method == "probability" else None
    split = np.array(labels, np.int32, order="C")
    origin = list(range(int(split.max(initial=0)) + 1))
    found = extents(runs_of_labels(split), None)
    for label, (top, left, bottom, right) in zip(found.label.tolist(), found.box.tolist(), strict=True):
        box = slice(top, bottom), slice(left, right)
        own = split[box] == label
        parts = _parts(own, None if hills is None else hills[box], least, largest_neck)
        others = own & (parts > 0)
        split[box][others] = parts[others] + (len(origin) - 1)
        origin += [label] * int(parts.max())
    temporary = _summits.renumber(split, len(origin) - 1)
    return split, np.array(origin, np.int32)[temporary]


def _parts(
    own: npt.NDArray[np.bool_], probability: npt.NDArray[np.uint8] | None, depth: float, largest_neck: float
) -> npt.NDArray[np.int64]:
    """Give the parts of a label, numbered from 0; one number means that it stays whole."""
    ringed = np.zeros((own.shape[0] + 2, own.shape[1] + 2), np.bool_)
    ringed[1:-1, 1:-1] = own
    inside = _summits.filled(ringed)
    heights = squares = _summits.squared_distances(inside)
    if probability is not None:
        heights = np.zeros_like(squares)
        heights[1:-1, 1:-1] = np.where(own, probability, 0)
    markers, lower = _summits.markers_of_summits(heights, inside, probability is None, depth)
    if lower == 0:
        return np.zeros(own.shape, np.int64)
    from skimage.segmentation import watershed  # half a second to import, and splitting is off by default

    parts: npt.NDArray[np.int64] = watershed(  # type: ignore[no-untyped-call]  # scikit-image does not annotate it
        -heights, markers, mask=inside, connectivity=2
    )
    joined = join_over_wide_cuts(parts, np.sqrt(squares), largest_neck)
    highest = np.unique(joined[markers > lower])
    if highest.size > 1:  # a label in pieces, which are joined last: the width of one says nothing of cuts in another
        joined[np.isin(joined, highest)] = highest[0]
    return joined[1:-1, 1:-1]


def _hills(labels: npt.NDArray[np.int32], probability: npt.NDArray[np.uint8] | None) -> npt.NDArray[np.uint8]:
    """Check that there is a map of the same micrograph."""
    if probability is None:
        raise ImageError(
            "probability",
            expected="the map that the labels were made from",
            got="none",
            remedy='Give it, or split with method="distance".',
        )
    parse_same_shape(probability, labels)
    return probability


def _least_depth(method: SplitMethod, depth: float | None, largest_neck: float) -> float:
    """Check the arguments, and give the depth in the steps of the heights."""
    if method not in DEPTHS:
        raise InputError(
            "method", expected=" or ".join(DEPTHS), got=repr(method), remedy="Use 'distance' if nothing is known."
        )
    chosen = DEPTHS[method] if depth is None else depth
    if not 0.0 < chosen < np.inf or not 0.0 < largest_neck <= 1.0:
        raise InputError(
            "depth and largest_neck",
            expected="a positive depth, and a neck of at most 1 width of the part",
            got=f"{chosen:g} and {largest_neck:g}",
            remedy=f"Leave them out for {DEPTHS[method]:g} and {LARGEST_NECK:g}.",
        )
    return chosen if method == "distance" else _SURE * chosen
