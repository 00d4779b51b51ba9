"""How far sibling networks disagree about each particle: an uncertainty that no single map can tell.

Siblings are networks of one kind that were trained on different micrographs, such as those of the folds. Where they
draw different outlines, the outline hangs on what a network happened to see.
"""

from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Float64, Int32, UInt8
from numba import njit

REACH_PX = 5
"""Pixels around a particle in which a sibling's outline still counts as its own, where they are nobody else's."""


class Disagreement(NamedTuple):
    """Of each particle."""

    edge_length_sd_px: Float64[np.ndarray, " n"]
    """Standard deviation of its edge length over the siblings that find it; NaN if fewer than two do."""
    share: Float64[np.ndarray, " n"]
    """Share of the siblings that find it: that give its pixels a probability above one half on average."""


def disagreement(
    labels: Int32[np.ndarray, "y x"],
    label: Int32[np.ndarray, " n"],
    box: Int32[np.ndarray, "n 4"],
    maps: UInt8[np.ndarray, "k y x"],
) -> Disagreement:
    """Compare siblings' maps, particle by particle.

    A sibling's edge length is the root of its probabilities' sum over the particle and the 5 px around it that no other
    particle has: exact below a pixel, and without labelling any of the maps.

    Parameters
    ----------
    labels : (y, x) ndarray of int32
        0 for background.
    label : (n,) ndarray of int32
    box : (n, 4) ndarray of int32
        First row, first column, row after the last, column after the last of each of them.
    maps : (k, y, x) ndarray of uint8
        255 = surely particle.

    Returns
    -------
    Disagreement

    Examples
    --------
    >>> labels = np.zeros((40, 40), np.int32)
    >>> labels[10:30, 10:30] = 1
    >>> maps = np.stack([255 * (labels > 0), 255 * np.roll(labels > 0, 1, axis=0), 0 * labels]).astype(np.uint8)
    >>> disagreement(labels, np.array([1], np.int32), np.array([[10, 10, 30, 30]], np.int32), maps)
    Disagreement(edge_length_sd_px=array([0.]), share=array([0.66666667]))
    """
    around, own = _sums(labels, label, box, maps, REACH_PX)
    edge_length = np.sqrt(around / 255)
    found = own > 0.5 * 255
    count = found.sum(axis=1)
    mean = np.where(found, edge_length, 0).sum(axis=1) / np.maximum(count, 1)
    squares = np.where(found, (edge_length - mean[:, None]) ** 2, 0).sum(axis=1)
    deviation = np.sqrt(squares / np.maximum(count - 1, 1))
    return Disagreement(np.where(count > 1, deviation, np.nan), count / maps.shape[0])


@njit(cache=True, nogil=True)
@no_type_check  # a run-time check of its arguments could not be compiled
def _sums(
    labels: np.ndarray, label: np.ndarray, box: np.ndarray, maps: np.ndarray, reach: int
) -> tuple[np.ndarray, np.ndarray]:
    """Give each map's sum over a particle and what is around it, and its mean over the particle alone."""
    height, width = labels.shape
    around = np.zeros((label.size, maps.shape[0]))
    own = np.zeros((label.size, maps.shape[0]))
    for particle in range(label.size):
        top, left = max(0, box[particle, 0] - reach), max(0, box[particle, 1] - reach)
        bottom, right = min(height, box[particle, 2] + reach), min(width, box[particle, 3] + reach)
        near = _near(labels[top:bottom, left:right], label[particle], reach)
        pixels = 0
        for y in range(top, bottom):
            for x in range(left, right):
                if not near[y - top, x - left]:
                    continue
                mine = labels[y, x] == label[particle]
                if not mine and labels[y, x] != 0:
                    continue
                pixels += mine
                for sibling in range(maps.shape[0]):
                    value = float(maps[sibling, y, x])
                    around[particle, sibling] += value
                    if mine:
                        own[particle, sibling] += value
        own[particle] /= pixels
    return around, own


@njit(cache=True, nogil=True)
@no_type_check
def _near(labels: np.ndarray, label: int, reach: int) -> np.ndarray:
    """Give the pixels within a square of that reach around pixels of a label."""
    height, width = labels.shape
    along = np.zeros((height, width), np.bool_)
    for y in range(height):
        last = -reach - 1
        for x in range(width + reach):
            if x < width and labels[y, x] == label:
                last = x
            if 0 <= x - reach < width and last >= x - 2 * reach:
                along[y, x - reach] = True
    near = np.zeros((height, width), np.bool_)
    for x in range(width):
        last = -reach - 1
        for y in range(height + reach):
            if y < height and along[y, x]:
                last = y
            if 0 <= y - reach < height and last >= y - 2 * reach:
                near[y - reach, x] = True
    return near
