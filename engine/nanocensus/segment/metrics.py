"""How well a segmentation agrees with the truth, by pixels and by particles."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Integer


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


def match_particles(
    truth: Integer[np.ndarray, "y x"], predicted: Integer[np.ndarray, "y x"], *, iou: float = 0.5
) -> Matches:
    """Match true and predicted particles one to one by intersection over union.

    Above one half no particle can have two partners, so the matching needs no search and is unique.

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
    if not 0.5 <= iou < 1:
        raise ValueError(f"iou: expected at least 0.5 and below 1, got {iou!r}. Matches below 0.5 are not unique.")
    true_names, true_area = np.unique(truth[truth != 0], return_counts=True)
    predicted_names, predicted_area = np.unique(predicted[predicted != 0], return_counts=True)
    both = (truth != 0) & (predicted != 0)  # only here can particles overlap: a small part of a micrograph
    pairs, overlap = np.unique(
        np.searchsorted(true_names, truth[both]) * predicted_names.size
        + np.searchsorted(predicted_names, predicted[both]),
        return_counts=True,
    )
    rows, columns = np.divmod(pairs, max(predicted_names.size, 1))
    union = true_area[rows] + predicted_area[columns] - overlap
    matched = int(np.count_nonzero(overlap > iou * union))
    return Matches(matched, predicted_names.size - matched, true_names.size - matched)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
