"""The bent-cable fit: where a descriptor's dependence on size changes its slope, from sums per cluster.

Within a sample, y = a_j + b x + c q(x; tau, gamma): an intercept for each cluster j, a slope before and a slope after.
q is 0 up to tau - gamma, x - tau from tau + gamma on, and a parabola between, so tau is where the two straight lines
cross. Slopes belong to the sample; tau and gamma may be shared. All normal equations are sums over clusters: a bootstrap
replicate weighs the clusters anew, and thousands of replicates are one matrix product.

Sources
-------
Chiu, Lockhart and Routledge, JASA 101, 542 (2006): bent-cable regression.
Muggeo, Statistics in Medicine 22, 3055 (2003): broken lines.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

_FLATTEST = 1e-9
"""Share of a column that must be left, after intercepts and slope are swept out, for it to say anything."""
_WIDEST_COSTS = 6.0
"""What the widest bend must explain more than a kink, in units of chi-square; in proportion for narrower ones."""
_LEAST_VARIANCE = 0.2
"""The smoothed variance of a bin is at least this share of the median one."""


class Profile(NamedTuple):
    """What one sample knows about its size: sums per cluster and fine size bin."""

    name: str
    size: Float64[np.ndarray, " bin"]
    """Mean size of the particles of each bin, nm."""
    precision: Float64[np.ndarray, "cluster bin"]
    """Total weight of the particles over the variance of the descriptor in the bin."""
    value: Float64[np.ndarray, "cluster bin"]
    """Sum of the descriptor times weight, over the same variance; measured from the descriptor's mean."""


class Bends(NamedTuple):
    """The bends that are tried: every half width with every place."""

    place: Float64[np.ndarray, " place"]
    """tau, nm, evenly spaced."""
    half_width: Float64[np.ndarray, " half"]
    """gamma, nm; 0 is a kink."""

    @property
    def step(self) -> float:
        """Distance of neighbouring places, nm."""
        return float(self.place[1] - self.place[0])

    def columns(self, size: Float64[np.ndarray, " bin"]) -> Float64[np.ndarray, "bend bin"]:
        """Give q(x; tau, gamma) of every bend, half width after half width."""
        return np.concatenate([bent(size - self.place[:, None], gamma) for gamma in self.half_width.tolist()])


def bent(distance: Float64[np.ndarray, "*n"], half_width: float) -> Float64[np.ndarray, "*n"]:
    """Give 0 below a bend and the distance above it; within its half width a parabola joins the two.

    Examples
    --------
    >>> bent(np.array([-1.0, 0.0, 1.0, 2.0]), 1.0).tolist()
    [0.0, 0.25, 1.0, 2.0]
    """
    straight = np.asarray(np.maximum(distance, 0.0))
    if half_width == 0:
        return straight
    inside = (distance + half_width) ** 2 / (4 * half_width)
    return np.asarray(np.where(np.abs(distance) < half_width, inside, straight))


def profile(
    name: str,
    size: Float64[np.ndarray, " bin"],
    weight: Float64[np.ndarray, "cluster bin"],
    first: Float64[np.ndarray, "cluster bin"],
    variance: Float64[np.ndarray, " bin"],
) -> Profile:
    """Weigh the sums of a sample by how much the descriptor scatters at each size.

    Parameters
    ----------
    name : str
        Of the sample.
    size : float64 array (bin,)
        Mean size of the particles in each bin, nm.
    weight, first : float64 arrays (cluster, bin)
        Total weight of the particles, and sum of weight times descriptor.
    variance : float64 array (bin,)
        Of the descriptor in each bin; a parabola through it is used, since single bins are noisy.
    """
    total = weight.sum(0)
    centre = size - size.mean()  # a parabola about the middle is better conditioned
    smooth = np.polynomial.polynomial.Polynomial.fit(centre, variance, 2, w=np.sqrt(total))(centre)
    smooth = np.maximum(smooth, _LEAST_VARIANCE * np.median(variance))
    level = first.sum() / total.sum()
    return Profile(name, size, weight / smooth, (first - level * weight) / smooth)


def swept_products(
    sample: Profile, a: Float64[np.ndarray, "k bin"], b: Float64[np.ndarray, "k bin"]
) -> Float64[np.ndarray, "cluster k"]:
    """Give each cluster's sum of products of columns, about the cluster's own means."""
    n = _per_cluster(sample)
    return np.asarray(sample.precision @ (a * b).T - (sample.precision @ a.T) * (sample.precision @ b.T) / n)


def swept_values(sample: Profile, a: Float64[np.ndarray, "k bin"]) -> Float64[np.ndarray, "cluster k"]:
    """Give each cluster's sum of products of columns with the descriptor, about the cluster's own means."""
    mean = sample.value.sum(1, keepdims=True) / _per_cluster(sample)
    return np.asarray(sample.value @ a.T - mean * (sample.precision @ a.T))


def _per_cluster(sample: Profile) -> Float64[np.ndarray, "cluster 1"]:
    # A cluster without particles here has no mean; its sums are zero and so is what is left of them.
    n = sample.precision.sum(1, keepdims=True)
    return np.where(n > 0, n, 1.0)


def explained(
    sample: Profile, bends: Bends, weights: Float64[np.ndarray, "replicate cluster"]
) -> Float64[np.ndarray, "replicate half place"]:
    """Give how much of the sum of squares each bend explains beyond a straight line with cluster intercepts.

    Parameters
    ----------
    sample : Profile
    bends : Bends
    weights : float64 array (replicate, cluster)
        How often each cluster counts in each replicate.
    """
    q = bends.columns(sample.size)
    x = np.broadcast_to(sample.size - sample.size.mean(), q.shape)
    one = x[:1]
    k = len(q)
    per_cluster = np.concatenate(
        [swept_products(sample, q, q), swept_products(sample, x, q), swept_values(sample, q),
         swept_products(sample, one, one), swept_values(sample, one)], axis=1,
    )  # fmt: skip
    sums = weights @ per_cluster
    qq, xq, qy, xx, xy = sums[:, :k], sums[:, k : 2 * k], sums[:, 2 * k : 3 * k], sums[:, -2:-1], sums[:, -1:]
    return _gains(qq, xq, qy, xx, xy).reshape(len(weights), len(bends.half_width), len(bends.place))


def explained_beside(
    sample: Profile, bends: Bends, taken_off: Float64[np.ndarray, "curve bin"]
) -> Float64[np.ndarray, "curve half place"]:
    """Give what `explained` gives, every cluster counting once, of what is left of the sample beside known curves.

    The bends' own sums are the same whatever is taken off: many curves cost hardly more than one.

    Parameters
    ----------
    sample : Profile
    bends : Bends
    taken_off : float64 array (curve, bin)
        What is taken off the mean of each bin, in the descriptor's unit.
    """
    q = bends.columns(sample.size)
    columns = np.vstack([q, sample.size - sample.size.mean()])
    of_clusters = (sample.precision @ columns.T) / _per_cluster(sample)
    swept = columns * sample.precision.sum(0) - of_clusters.T @ sample.precision
    left = swept_values(sample, columns).sum(0) - taken_off @ swept.T
    products = swept @ columns[-1]
    gains = _gains((swept[:-1] * q).sum(1), products[:-1], left[:, :-1], products[-1:], left[:, -1:])
    return gains.reshape(len(taken_off), len(bends.half_width), len(bends.place))


def _gains(
    qq: Float64[np.ndarray, "*bend"], xq: Float64[np.ndarray, "*bend"], qy: Float64[np.ndarray, "row bend"],
    xx: Float64[np.ndarray, "*one"], xy: Float64[np.ndarray, "row 1"],
) -> Float64[np.ndarray, "row bend"]:  # fmt: skip
    """Give what bends explain beyond a line, from their swept sums of products with themselves, the line and the descriptor."""
    slope = xq / xx
    left = qq - slope * xq
    return np.asarray(np.where(left > _FLATTEST * qq, (qy - slope * xy) ** 2 / np.where(left > 0, left, 1.0), 0.0))


def refined(
    gain: Float64[np.ndarray, "replicate place"], place: Float64[np.ndarray, " place"]
) -> Float64[np.ndarray, " replicate"]:
    """Give the place of the largest gain, by the parabola through it and its neighbours.

    Examples
    --------
    >>> refined(np.array([[0.0, 3.0, 4.0, 3.0]]), np.array([1.0, 2.0, 3.0, 4.0])).tolist()
    [3.0]
    """
    best = np.clip(gain.argmax(1), 1, gain.shape[1] - 2)
    row = np.arange(len(gain))
    low, top, high = (gain[row, best + shift] for shift in (-1, 0, 1))
    curvature = low - 2 * top + high
    shift = np.where(curvature < 0, 0.5 * (low - high) / np.where(curvature < 0, curvature, -1.0), 0.0)
    # At the ends of the grid the top is not between its neighbours: the nearest place is all that can be said.
    return np.asarray(place[best] + np.clip(shift, -1.0, 1.0) * (place[1] - place[0]))


def best_half_width(
    gain: Float64[np.ndarray, "replicate half"], half_width: Float64[np.ndarray, " half"]
) -> Int64[np.ndarray, " replicate"]:
    """Give the index of the half width with the largest gain; wide bends must explain a little more than kinks.

    Weak data tell half widths hardly apart, and since none is below 0 the place would be pulled to one side.
    """
    return np.asarray((gain - _WIDEST_COSTS * half_width / half_width[-1]).argmax(1), np.int64)


def fitted(sample: Profile, place: float, half_width: float) -> Float64[np.ndarray, " bin"]:
    """Give the fitted curve of a sample at its sizes, for an average cluster, as a distance from the sample's mean."""
    q = bent(sample.size - place, half_width)
    columns = np.stack([sample.size - sample.size.mean(), q])
    gram = np.array([[swept_products(sample, a[None], b[None]).sum() for b in columns] for a in columns])
    slopes = np.linalg.lstsq(gram, swept_values(sample, columns).sum(0), rcond=None)[0]
    curve = slopes @ columns
    total = sample.precision.sum(0)
    return np.asarray(curve + (sample.value.sum() - total @ curve) / total.sum())
