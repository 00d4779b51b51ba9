"""What a network is worth on micrographs that it has not seen."""

import functools
import operator
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int32, UInt8
from scipy import ndimage
from skimage.measure import find_contours

from nanocensus.segment.judging.map_counts import count_map
from nanocensus.segment.judging.metrics import Matches, match_particles, without_specks

_MOST_PROFILES = 10_000
"""Of one micrograph: more would only make a noisy map slow to judge."""
_PROFILE_PX = np.arange(-8, 8.01, 0.25)


@dataclass(frozen=True)
class Figures:
    """Agreement with hand-drawn masks, pooled over micrographs."""

    dice: float
    """Of all pixels of all micrographs together."""
    worst_dice: float
    """The lowest of a single micrograph."""
    precision: float
    recall: float
    f1: float
    """Of particles, matched at an intersection over union above 0.5."""
    n_true: int
    n_predicted: int
    """Particles of at least 20 pixels in the masks and in the maps."""
    edge_sigma_px: float | None
    """Softness of the maps' edges, pixels: the standard deviation of the Gaussian step that is as wide from 16 to 84 %
    as the mean profile across the outlines at one half; None without outlines."""


def judge(pairs: Iterable[tuple[Bool[np.ndarray, "y x"], UInt8[np.ndarray, "y x"]]]) -> Figures:
    """Compare probability maps with masks, one pair after the other: of none that was judged anything large is kept.

    Parameters
    ----------
    pairs : iterable of (mask, probability)
        The (y, x) bool mask and the (y, x) uint8 probability map of each micrograph.

    Returns
    -------
    Figures
    """
    matches, counts, profiles, points = Matches(0, 0, 0), [], np.zeros(_PROFILE_PX.size), 0
    for mask, probability in pairs:
        matches += match_particles(_particles(mask), _particles(probability >= 128))
        counts.append(count_map(probability, mask))
        across = _edge_profiles(probability)
        profiles, points = profiles + across.sum(axis=0), points + len(across)
    return Figures(
        dice=functools.reduce(operator.add, counts).dice(),
        worst_dice=min(count.dice() for count in counts),
        precision=matches.precision,
        recall=matches.recall,
        f1=matches.f1,
        n_true=matches.true_positives + matches.false_negatives,
        n_predicted=matches.true_positives + matches.false_positives,
        edge_sigma_px=_edge_sigma(profiles / points) if points else None,
    )


def _edge_sigma(profile: Float[np.ndarray, " place"]) -> float:
    """Give half the 16-84 % width of an edge profile, pixels."""
    low, high = np.interp([0.1587, 0.8413], np.maximum.accumulate(profile), _PROFILE_PX)
    return float(high - low) / 2


def _edge_profiles(probability: UInt8[np.ndarray, "y x"]) -> Float[np.ndarray, "point place"]:
    """Sample the map across its outlines, from outside to inside, away from the border."""
    values = probability / 255
    uphill = np.stack([ndimage.gaussian_filter(values, 2, order=order) for order in ((1, 0), (0, 1))])
    contours = find_contours(probability.astype(float), 127.5)  # type: ignore[no-untyped-call]  # no types there
    points = np.concatenate([np.empty((0, 2)), *contours])
    reach = _PROFILE_PX[-1] + 1
    inside = ((points > reach) & (points < np.array(values.shape) - 1 - reach)).all(axis=1)
    points = points[inside]
    points = points[:: len(points) // _MOST_PROFILES + 1]
    normals = np.stack([ndimage.map_coordinates(part, points.T, order=1) for part in uphill], axis=1)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    places = points[:, None] + _PROFILE_PX[None, :, None] * normals[:, None]
    sampled = ndimage.map_coordinates(values, places.reshape(-1, 2).T, order=3)
    return sampled.reshape(len(points), _PROFILE_PX.size)


def _particles(mask: Bool[np.ndarray, "y x"]) -> Int32[np.ndarray, "y x"]:
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    return without_specks(labels.astype(np.int32, copy=False))
