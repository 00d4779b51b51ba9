"""Whether candidates speak of the same particles as scikit-image, and give its values where they share its definition."""

import numpy as np

_ROUNDED = ("perimeter", "perimeter_crofton", "eccentricity", "centroid-0", "centroid-1")
"""Sums in another order: equal to 1e-9. All else is counted, and equal exactly."""
_TOLERANCE = 1e-9


def disagreement(candidate, found, scene, reference):
    """Say where a candidate departs from scikit-image, or None.

    Its numbering is free: labels are the same if each stands for one of scikit-image's.
    """
    order = np.arange(scene.n)
    if found.labels is not None:
        order = numbering(found.labels, scene)
        if order is None:
            return f"its {int(found.labels.max())} labels are not the {scene.n} particles of scikit-image"
    for values in found.columns.values():
        if values.size != scene.n:
            return f"{values.size} rows for {scene.n} particles"
    for name in candidate.equal:
        values = found.columns[name]
        unlike = ~same(name, values, reference[name][order])
        if unlike.any():
            first = int(np.flatnonzero(unlike)[0])
            return f"{name} of {int(unlike.sum())}, first {values[first]:g} for {reference[name][order[first]]:g}"
    return None


def numbering(labels, scene):
    """Give for each label the index of scikit-image's that it stands for; None if they are not the same particles."""
    if np.array_equal(labels, scene.labels):
        return np.arange(scene.n)
    if int(labels.max()) != scene.n:
        return None
    stands_for = np.zeros(scene.n + 1, np.int32)
    stands_for[labels.ravel()] = scene.labels.ravel()
    if not np.array_equal(stands_for[labels], scene.labels):
        return None
    return stands_for[1:] - 1


def same(name, values, expected):
    if name not in _ROUNDED:
        return values == expected
    return np.isclose(values, expected, rtol=_TOLERANCE, atol=_TOLERANCE)
