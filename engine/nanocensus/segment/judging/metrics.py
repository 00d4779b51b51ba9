"""How well a segmentation agrees with the truth, by pixels and by particles."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int32, Int64, Integer

SMALLEST_PARTICLE_PX = 20
"""Smaller specks, drawn or predicted, are not counted as particles."""


def dice(a: Bool[np.ndarray, "..."], b: Bool[np.ndarray, "..."]) -> float:
    """Give the Dice coefficient of two masks: 2 |a and b| / (|a| + |b|).

    Parameters
    ----------
    a, b : ndarray of bool
        Masks of one shape.

    Returns
    -------
    float
        1 for equal masks (two empty ones too), 0 for disjoint ones.

    Examples
    --------
    >>> dice(np.array([True, True, False]), np.array([True, False, False]))
    0.6666666666666666
    """
    total = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    return 2 * int(np.count_nonzero(a & b)) / total if total else 1.0


@dataclass(frozen=True)
class Matches:
    """Which true and which predicted particles are the same."""

    true_positives: int
    """Pairs of a true and a predicted particle that match."""
    false_positives: int
    """Predicted particles without a true one."""
    false_negatives: int
    """True particles without a predicted one."""

    @property
    def precision(self) -> float:
        """Share of the predicted particles that are true; 1 if none is predicted."""
        return _share(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """Share of the true particles that are found; 1 if there is none."""
        return _share(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN)."""
        return _share(2 * self.true_positives, 2 * self.true_positives + self.false_positives + self.false_negatives)

    def __add__(self, other: "Matches") -> "Matches":
        """Pool the counts of two micrographs."""
        return Matches(
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.false_negatives + other.false_negatives,
        )


@dataclass(frozen=True, eq=False)
class Overlaps:
    """The particles of two label images, and every pair of them that shares pixels."""

    true_label: Int64[np.ndarray, " t"]
    """Labels of the true particles, ascending."""
    true_px: Int64[np.ndarray, " t"]
    """Their pixels."""
    found_label: Int64[np.ndarray, " f"]
    """Labels of the predicted particles, ascending."""
    found_px: Int64[np.ndarray, " f"]
    """Their pixels."""
    true_place: Int64[np.ndarray, " pair"]
    """Where the true particle of a pair stands in `true_label`."""
    found_place: Int64[np.ndarray, " pair"]
    """Where the predicted particle of a pair stands in `found_label`."""
    common_px: Int64[np.ndarray, " pair"]
    """The pixels that they share."""

    def matched(self, iou: float = 0.5) -> Bool[np.ndarray, " pair"]:
        """Say which pairs have an intersection over union above a bound.

        Above one half no particle can have two partners, so the matching needs no search and is unique.

        Raises
        ------
        ValueError
            If `iou` is not in [0.5, 1).
        """
        if not 0.5 <= iou < 1:
            raise ValueError(f"iou: expected at least 0.5 and below 1, got {iou!r}. Matches below 0.5 are not unique.")
        return np.asarray(self.common_px > iou * self.union_px)

    @property
    def union_px(self) -> Int64[np.ndarray, " pair"]:
        """The pixels that either particle of a pair has."""
        return np.asarray(self.true_px[self.true_place] + self.found_px[self.found_place] - self.common_px)

    def swallowed(self) -> Int64[np.ndarray, " f"]:
        """Count, for each predicted particle, the true ones of which it holds more than half."""
        most = 2 * self.common_px > self.true_px[self.true_place]
        return np.bincount(self.found_place[most], minlength=len(self.found_label)).astype(np.int64)


def overlaps(truth: Integer[np.ndarray, "y x"], predicted: Integer[np.ndarray, "y x"]) -> Overlaps:
    """Find which true and which predicted particles share pixels, and how many.

    Labels are looked at run by run, not pixel by pixel: a micrograph of 4096 x 4096 pixels takes a tenth of a second.

    Parameters
    ----------
    truth, predicted : (y, x) ndarray of int
        Label images; 0 is background, any other value a particle.

    Returns
    -------
    Overlaps

    Examples
    --------
    >>> overlaps(np.array([[1, 1, 0, 2]]), np.array([[5, 5, 5, 0]])).common_px
    array([2])
    """
    t, p = truth.ravel(), predicted.ravel()
    changes = np.flatnonzero((t[1:] != t[:-1]) | (p[1:] != p[:-1])) + 1
    starts = np.concatenate([np.zeros(min(1, t.size), np.int64), changes])
    lengths = np.diff(np.append(starts, t.size))
    true, found = t[starts].astype(np.int64), p[starts].astype(np.int64)
    true_label, true_px = _sizes(true, lengths)
    found_label, found_px = _sizes(found, lengths)
    both = (true != 0) & (found != 0)
    code = np.searchsorted(true_label, true[both]) * len(found_label) + np.searchsorted(found_label, found[both])
    pairs, place = np.unique(code, return_inverse=True)
    common = np.bincount(place, lengths[both], minlength=len(pairs)).astype(np.int64)
    true_place, found_place = np.divmod(pairs, max(len(found_label), 1))
    return Overlaps(true_label, true_px, found_label, found_px, true_place, found_place, common)


def _sizes(labels: Int64[np.ndarray, " run"], lengths: Int64[np.ndarray, " run"]) -> tuple[np.ndarray, np.ndarray]:
    there = labels != 0
    names, place = np.unique(labels[there], return_inverse=True)
    return names, np.bincount(place, lengths[there], minlength=len(names)).astype(np.int64)


def match_particles(
    truth: Integer[np.ndarray, "y x"], predicted: Integer[np.ndarray, "y x"], *, iou: float = 0.5
) -> Matches:
    """Match true and predicted particles one to one by intersection over union, and count.

    Parameters
    ----------
    truth, predicted : (y, x) ndarray of int
        Label images; 0 is background, any other value a particle.
    iou : float
        Intersection over union that a match exceeds; at least 0.5.

    Returns
    -------
    Matches

    Raises
    ------
    ValueError
        If `iou` is not in [0.5, 1).

    Examples
    --------
    >>> match_particles(np.array([[1, 1, 0, 2]]), np.array([[5, 5, 5, 0]]))
    Matches(true_positives=1, false_positives=0, false_negatives=1)
    """
    pairs = overlaps(truth, predicted)
    matched = int(np.count_nonzero(pairs.matched(iou)))
    return Matches(matched, len(pairs.found_label) - matched, len(pairs.true_label) - matched)


def without_specks(labels: Int32[np.ndarray, "y x"]) -> Int32[np.ndarray, "y x"]:
    """Give the labels of at least 20 pixels; the others become background.

    Examples
    --------
    >>> without_specks(np.full((2, 9), 3, np.int32)).max()
    np.int32(0)
    """
    kept = np.bincount(labels.ravel()) >= SMALLEST_PARTICLE_PX
    names = np.where(kept, np.arange(len(kept)), 0).astype(np.int32)
    names[:1] = 0
    kept_labels: Int32[np.ndarray, "y x"] = names[labels]
    return kept_labels


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
