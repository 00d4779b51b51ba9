"""Is there a bend at all? The largest gain of any bend, against curves that are smooth.

The null hypothesis is a polynomial of degree 4 of each sample's own: lines, parabolas, 1/x and other slow curves are
such or nearly. Large data tell any curve from a straight line; a bend is what a smooth curve cannot follow. The scores of
the clusters under the null get random signs, which gives the distribution of the largest gain as it would be without.

Sources
-------
Hansen, Econometrica 64, 413 (1996): tests where the place is unknown under the null, by simulating the score.
Cameron, Gelbach and Miller, Review of Economics and Statistics 90, 414 (2008): the wild cluster bootstrap, null imposed.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from nanocensus.statistics.estimation.philox import generator
from nanocensus.statistics.onsets.fit import Bends, Profile, swept_products, swept_values

_DEGREE = 4
_LEAST_LEFT = 1e-6
"""Share of a bend that must be left beside the smooth curve for it to be told apart."""


def bend_p_value(samples: Sequence[Profile], bends: Bends, *, replicates: int, seed: int, purpose: str) -> float:
    """Give the chance of so large a gain by some bend, at one place in all samples, if all curves were smooth.

    Parameters
    ----------
    samples : sequence of Profile
    bends : Bends
    replicates : int
        Number of draws of signs; p is at least 1 / (1 + replicates).
    seed : int
    purpose : str
        With the seed it fixes the signs.
    """
    observed = np.zeros(len(bends.place) * len(bends.half_width))
    drawn = np.zeros((replicates, len(observed)))
    for sample in samples:
        scores = null_scores(sample, bends)
        spread = (scores**2).sum(0)
        spread = np.where(spread > 0, spread, np.inf)
        signs = generator(seed, f"{purpose} signs {sample.name}").choice([-1.0, 1.0], (replicates, len(scores)))
        observed += scores.sum(0) ** 2 / spread
        drawn += (signs @ scores) ** 2 / spread
    return float((1 + (drawn.max(1) >= observed.max()).sum()) / (1 + replicates))


def null_scores(sample: Profile, bends: Bends) -> Float64[np.ndarray, "cluster bend"]:
    """Give each cluster's part of the score of every bend, what a smooth curve and cluster intercepts explain taken out."""
    scaled = (sample.size - sample.size.mean()) / np.ptp(sample.size)
    smooth = np.array([scaled**power for power in range(1, _DEGREE + 1)])
    q = bends.columns(sample.size)
    gram = np.stack([swept_products(sample, np.broadcast_to(a, smooth.shape), smooth) for a in smooth])
    cross = np.stack([swept_products(sample, np.broadcast_to(a, q.shape), q) for a in smooth])
    total = gram.sum(1)
    slopes = np.linalg.lstsq(total, swept_values(sample, smooth).sum(0), rcond=None)[0]
    share = np.linalg.lstsq(total, cross.sum(1), rcond=None)[0]
    left_smooth = swept_values(sample, smooth) - np.einsum("f,fjg->jg", slopes, gram)
    left = swept_values(sample, q) - np.einsum("f,fjk->jk", slopes, cross)
    scores = left - left_smooth @ share
    whole = swept_products(sample, q, q).sum(0)
    beside = whole - (share * cross.sum(1)).sum(0)
    return np.where(beside > _LEAST_LEFT * whole, scores, 0.0)
