"""Where bends lie, without intervals: for what else could move them, where one and the same fit is done over and over."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from nanocensus.statistics.cells import Cells
from nanocensus.statistics.clusters import Cluster
from nanocensus.statistics.onset import tried_bends
from nanocensus.statistics.onset_baseline import parse_baselines
from nanocensus.statistics.onset_fit import best_half_width, explained, refined
from nanocensus.statistics.onset_samples import JOINT, take_samples


def bend_places(
    made: Cells,
    *,
    of: str,
    between: tuple[float, float],
    cluster: Cluster,
    shares: Mapping[str, float] | None = None,
    baseline: pd.DataFrame | None = None,
) -> dict[str, float]:
    """Give the estimates of `onsets`: the place of a bend in each sample that can be fitted, and in all together.

    Parameters
    ----------
    made : Cells
        As for `onsets`.
    of : str
        The descriptor.
    between : (float, float)
        Edge lengths between which the bend is sought, nm.
    cluster
        See `estimate`.
    shares : mapping of str to float, optional
        What each sample counts in the place of all, where that is the mean of theirs; without, it is that of one bend in all.
    baseline : DataFrame, optional
        See `onsets`.

    Returns
    -------
    dict
        Places, nm, by sample, and "all samples"; what cannot be fitted is not in it.
    """
    known = None if baseline is None else parse_baselines(baseline, [between])
    good = [sample for sample in take_samples(made, of, cluster, between, known) if sample.profile is not None]
    if not good:
        return {}
    bends = tried_bends(between)
    profiles = [sample.profile for sample in good if sample.profile is not None]
    gains = np.array([explained(one, bends, np.ones((1, len(one.precision))))[0] for one in profiles])
    # Each sample at its own place with a half width that all share, as `locate` has it.
    own = best_half_width(gains.max(2).sum(0)[None], bends.half_width)[0]
    each = dict(zip([sample.name for sample in good], refined(gains[:, own], bends.place).tolist(), strict=True))
    if shares is None:
        total = gains.sum(0)
        common = best_half_width(total.max(1)[None], bends.half_width)[0]
        return {**each, JOINT: float(refined(total[common][None], bends.place)[0])}
    if not shares.keys() <= each.keys():
        return each
    weights = [shares[name] for name in shares]
    return {**each, JOINT: float(np.average([each[name] for name in shares], weights=weights))}
