"""Where bends lie, without intervals: for what else could move them, where one and the same fit is done over and over."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float64

from nanocensus.statistics.cells.cells import Cells
from nanocensus.statistics.estimation.clusters import Cluster
from nanocensus.statistics.onsets.baseline import changes_at, parse_baselines
from nanocensus.statistics.onsets.fit import best_half_width, explained_beside, refined
from nanocensus.statistics.onsets.onset import tried_bends
from nanocensus.statistics.onsets.samples import JOINT, take_samples

Places = Float64[np.ndarray, " draw"]


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
    found = _places(made, of, between, cluster, shares, baseline, None)
    return {name: float(places[0]) for name, places in found.items()}


def bend_places_beside(
    made: Cells,
    *,
    of: str,
    between: tuple[float, float],
    cluster: Cluster,
    shares: Mapping[str, float] | None = None,
    baseline: pd.DataFrame,
    changes: Float64[np.ndarray, "draw row"],
) -> dict[str, Places]:
    """Give what `bend_places` gives with each of many other baselines.

    Parameters
    ----------
    made, of, between, cluster, shares, baseline
        See `bend_places`.
    changes : float64 array (draw, row)
        By how much the value of each row of the baseline might be higher, in each draw.

    Returns
    -------
    dict
        Places, nm, one a draw, by sample, and "all samples".
    """
    return _places(made, of, between, cluster, shares, baseline, changes)


def _places(
    made: Cells, of: str, between: tuple[float, float], cluster: Cluster, shares: Mapping[str, float] | None,
    baseline: pd.DataFrame | None, changes: Float64[np.ndarray, "draw row"] | None,
) -> dict[str, Places]:  # fmt: skip
    known = None if baseline is None else parse_baselines(baseline, [between])
    bends = tried_bends(between)
    found = {}
    for sample in take_samples(made, of, cluster, between, known):
        one = sample.profile
        if one is not None:
            above = np.zeros((1, len(one.size)))
            if baseline is not None and changes is not None:
                above = changes_at(one.size, baseline, changes, sample.name)
            found[sample.name] = explained_beside(one, bends, above)
    if not found:
        return {}
    gains = np.array(list(found.values()))
    draw = np.arange(gains.shape[1])
    # Each sample at its own place with a half width that all share, as `locate` has it.
    own = best_half_width(gains.max(3).sum(0), bends.half_width)
    each = {name: refined(gain[draw, own], bends.place) for name, gain in found.items()}
    if shares is None:
        total = gains.sum(0)
        common = best_half_width(total.max(2), bends.half_width)
        return {**each, JOINT: refined(total[draw, common], bends.place)}
    if not shares.keys() <= each.keys():
        return each
    weights = [shares[name] for name in shares]
    return {**each, JOINT: np.average([each[name] for name in shares], axis=0, weights=weights)}
