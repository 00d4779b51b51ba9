"""Which cuts between the parts of a label are necks, and joining the parts at those that are not.

Joined on the graph of touching parts, not on their pixels: a label that is one net of noise over a whole micrograph
has thousands of parts.
"""

import heapq

import numpy as np
import numpy.typing as npt

LEAST_NARROWING_PX = 1.5
"""A cut must be narrower than the part beside it by so much on each side; the pixels of a narrow bar make 1 px of it."""
_AHEAD = ((0, 1), (1, -1), (1, 0), (1, 1))

Parts = npt.NDArray[np.int64]
Distances = npt.NDArray[np.float64]


def join_over_wide_cuts(parts: Parts, distance: Distances, largest_neck: float) -> Parts:
    """Join parts, over the relatively widest cut first, until every cut that is left is a neck.

    Parameters
    ----------
    parts : int64 (y, x)
        1 to n; 0 for what is outside, which is a ring at least.
    distance : float64 (y, x)
        Of each pixel from the nearest one outside, px: half a pixel beyond the edge.
    largest_neck : float
        A cut is a neck if the widest disc centred on it has at most so many times the diameter of the widest disc in
        the narrower part.

    Returns
    -------
    int64 (y, x)
        Numbers from 0 for the joined parts, in the order of the smallest number in each; -1 outside.

    Notes
    -----
    Of cuts that are relatively as wide (all that are no narrowing are) the widest is joined over first, of those as
    wide the one between the parts of the smallest numbers, as numbered before any joining: which cuts are left must
    not hang on the order in which they are looked at, as the parts that a joining widens make necks of other cuts.
    """
    widest_disc = np.zeros(int(parts.max()) + 1)
    np.maximum.at(widest_disc, parts.ravel(), distance.ravel())
    radius = widest_disc.tolist()
    pairs, reach = _cuts(parts, distance)
    beside: list[dict[int, int]] = [{} for _ in radius]
    for cut, (one, other) in enumerate(pairs):
        beside[one][other] = beside[other][one] = cut
    root = np.arange(widest_disc.size)

    def entry(one: int, other: int) -> tuple[float, int, int, int]:
        cut = beside[one][other]
        return -_relative_width(reach[cut], min(radius[one], radius[other])), cut, one, other

    waiting = [entry(one, other) for one, other in pairs]
    heapq.heapify(waiting)
    while waiting and -waiting[0][0] > largest_neck:
        first = heapq.heappop(waiting)
        one, other = first[2:]
        if other not in beside[one] or entry(one, other) != first:
            continue  # joined since, or of another width by a joining
        if len(beside[one]) < len(beside[other]):
            one, other = other, one  # the one with fewer neighbours is moved
        root[other] = one
        changed = set(beside[other]) if radius[other] <= radius[one] else {*beside[one], *beside[other]}
        radius[one] = max(radius[one], radius[other])
        for third, cut in beside[other].items():
            del beside[third][other]
            if third != one:
                beside[one][third] = beside[third][one] = min(cut, beside[one].get(third, cut))
        beside[other] = {}
        for third in changed - {one, other}:
            heapq.heappush(waiting, entry(one, third))
    while (root[root] != root).any():
        root = root[root]
    _, smallest, of = np.unique(root, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(smallest))[of][parts] - 1


def _relative_width(cut: float, radius: float) -> float:
    return (cut - 0.5) / (radius - 0.5) if radius - cut >= LEAST_NARROWING_PX else 1.0


def _cuts(parts: Parts, distance: Distances) -> tuple[list[tuple[int, int]], list[float]]:
    """Give each two parts that touch, and the largest distance from the edge at which one can go across.

    The widest cuts come first, of equal ones those between the parts of the smallest numbers.
    """
    height, width = parts.shape
    keys, reaches = [], []
    n = int(parts.max()) + 1
    for down, right in _AHEAD:
        here = slice(0, height - down), slice(max(0, -right), width - max(0, right))
        ahead = slice(down, height), slice(max(0, right), width - max(0, -right))
        one, other = parts[here], parts[ahead]
        crossing = (one != other) & (one > 0) & (other > 0)
        keys.append(np.minimum(one, other)[crossing] * n + np.maximum(one, other)[crossing])
        reaches.append(np.minimum(distance[here], distance[ahead])[crossing])
    pairs, of = np.unique(np.concatenate(keys), return_inverse=True)
    widest = np.zeros(pairs.size)
    np.maximum.at(widest, of, np.concatenate(reaches))
    order = np.argsort(-widest, kind="stable")
    pairs = pairs[order]
    return list(zip((pairs // n).tolist(), (pairs % n).tolist(), strict=True)), widest[order].tolist()
