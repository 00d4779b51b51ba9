"""Fits that know more than `nc.onsets` may: what an onset's interval costs for not knowing the form of the curve, or its width.

One oracle knows the form of the curve and its width, another the form alone; both know that samples do not differ. The second says
what can be had where nobody tells how sharp a bend is. Beside them stands Cramér and Rao's bound, without any fit.
"""

import numpy as np

from nanocensus.statistics.onsets import fit as onset_fit
from nanocensus.statistics.onsets.fit import Bends, bent, refined, swept_products

SOFTNESS_NM, ACCELERATES_NM = 0.25, 0.5
WIDTHS_NM = {"smooth": np.geomspace(0.02, 0.8, 24), "cable": np.concatenate([[0.0], np.geomspace(0.05, 1.5, 23)])}
_STEP = 1e-4
_SHARPEST_NM = 0.1


def soft(distance, softness):
    """Give a bend without ends: log(1 + exp(distance / softness)), times the softness."""
    return softness * np.logaddexp(0, distance / softness)


def form(curve):
    """Give a scenario's form of bend, its width, and the widths that are tried where that is not known."""
    if curve == "smooth":
        return soft, SOFTNESS_NM, WIDTHS_NM["smooth"]
    return bent, ACCELERATES_NM if curve == "accelerating" else 0.0, WIDTHS_NM["cable"]


def oracle(samples, bends, weights, curve, *, knows_width):
    """Give place and interval of a fit that knows the form of the curve, and its width or not."""
    shape, width, widths = form(curve)
    known = Bends(bends.place, np.array([width]) if knows_width else widths)
    onset_fit.bent = shape
    gains = sum(onset_fit.explained(s, known, w) for s, w in zip(samples, weights, strict=True))
    onset_fit.bent = bent
    best = gains.max(2).argmax(1)
    place = refined(gains[np.arange(len(gains)), best], known.place)
    return place[0], *np.quantile(place[1:], [0.025, 0.975])


def least_errors(samples, changes, onset, curve):
    """Give Cramér and Rao's least standard errors of the onset, nm: with the width of the bend known, and free.

    `changes` are the true ones of the samples' slopes. Particles count as independent. Free are the level of each cluster, both slopes of each sample and, in the second, one
    width of all. At a kink the derivative by the width is 0; that by its square is taken, by a step to 0.1 nm.
    """
    shape, width, _ = form(curve)
    information = np.zeros((2, 2))
    for sample, change in zip(samples, changes, strict=True):
        distance = sample.size - onset
        place = (shape(distance - _STEP, width) - shape(distance + _STEP, width)) / (2 * _STEP)
        low, high = (width - _STEP, width + _STEP) if width else (0.0, _SHARPEST_NM)
        wider = (shape(distance, high) - shape(distance, low)) / (high - low)
        columns = np.stack([sample.size - sample.size.mean(), shape(distance, width), place, wider])
        gram = np.array([[swept_products(sample, a[None], b[None]).sum() for b in columns] for a in columns])
        information += change**2 * (gram[2:, 2:] - gram[2:, :2] @ np.linalg.solve(gram[:2, :2], gram[:2, 2:]))
    return information[0, 0] ** -0.5, np.linalg.inv(information)[0, 0] ** 0.5


def beside_oracles(samples, changes, bends, weights, curve, true, joint, alike):
    """Give one row of numbers: an interval, those of the oracles, and the least standard errors."""
    width = joint.upper - joint.lower
    row = {"n": 1, "width": width, "alike": alike, "alike_width": width * alike}
    for name in ("known", "free"):
        place, lower, upper = oracle(samples, bends, weights, curve, knows_width=name == "known")
        row |= {name: upper - lower, f"{name}_covered": lower <= true <= upper, f"{name}_error2": (place - true) ** 2}
    least = least_errors(samples, changes, true, curve)
    return row | {"alike_free": row["free"] * alike, "least_known": least[0], "least_free": least[1]}
