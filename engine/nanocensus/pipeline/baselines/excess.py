"""Whether a descriptor's trend with size is more than what constant shapes would show, in numbers and in a sentence."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float64
from scipy.special import ndtri

from nanocensus.errors import StatisticsError, TableError
from nanocensus.pipeline.baselines.excess_columns import AGAINST, BEYOND, EXCESS, INSIDE
from nanocensus.pipeline.baselines.null_envelope import OF, NullEnvelope
from nanocensus.pipeline.baselines.pairs import PairContamination
from nanocensus.pipeline.evaluation.ratios import Ratio, slope
from nanocensus.statistics.cells.cells import cells
from nanocensus.statistics.cells.partitions import Particles
from nanocensus.statistics.estimation.clusters import Cluster, cluster_names
from nanocensus.statistics.estimation.panels import settled
from nanocensus.statistics.onsets.samples import SIZE
from nanocensus.store.particles.row_groups import check_columns

COLUMNS = EXCESS.names
_PLURALS = {"disc": "discs", "square": "squares", "truncated_square": "truncated squares"}


def excess_trends(
    particles: Particles,
    envelope: NullEnvelope,
    *,
    between_nm: tuple[float, float],
    of: Sequence[str] = OF,
    shapes: Sequence[str] = ("disc",),
    pairs: PairContamination | None = None,
    micrographs: pd.DataFrame | None = None,
    cluster: Cluster = "group",
    level: float = 0.95,
) -> pd.DataFrame:
    """Compare the change of descriptors between two sizes with that of constant shapes, in each sample.

    A change is the slope of the straight line through the particles between the sizes, times their distance. The change of
    a constant shape is that of its envelope at the sizes of these very particles. The interval of the excess holds both
    uncertainties, of the particles and of the envelope's means, combined as Zou and Donner do (Statistics in Medicine 27,
    1693, 2008); that of pairs is not in it.

    Parameters
    ----------
    particles : DataFrame
        Accepted particles.
    envelope : NullEnvelope
    between_nm : (float, float)
        Edge lengths, nm, inside those of the envelope.
    of, shapes : sequence of str
        Descriptors and shapes of the envelope.
    pairs : PairContamination, optional
        What pairs do to the means is added to the envelope in the samples of which it is known.
    micrographs : DataFrame, optional
        Their micrographs; without it a micrograph is a cluster.
    cluster, level
        See `estimate`.

    Returns
    -------
    DataFrame
        One row a sample, descriptor and shape, and whether pairs are in it: change, lower and upper (of the data), envelope_change, excess with
        excess_lower and excess_upper, n, n_clusters, verdict ("inside": the interval of the excess holds 0; "beyond": the data
        change more than the shape, the same way; "against": less, or the other way), refusal, why there is none, and a sentence that says it.

    Raises
    ------
    StatisticsError
        If the sizes are not covered by the envelope.
    InputError
        If the envelope lacks a shape or descriptor.
    TableError
        If a column is missing.
    """
    low, high = float(between_nm[0]), float(between_nm[1])
    if not envelope.between_nm[0] <= low < high <= envelope.between_nm[1]:
        raise StatisticsError(
            "between_nm", expected="two increasing sizes within {:g} to {:g} nm".format(*envelope.between_nm),
            got=f"{low:g} to {high:g}", remedy="Compute the envelope over these sizes.",
        )  # fmt: skip
    frame = _inside(particles, [SIZE, *of], (low, high))
    if cluster == "auto":
        cluster = settled(cells(frame, micrographs, by=["sample"], of=of, weight=None), cluster, of)
    names = _cluster_of(frame, micrographs, cluster)
    rows = []
    for sample, one in frame.groupby("sample", sort=True):
        size = one[SIZE].to_numpy(np.float64)
        for descriptor in of:
            value = one[descriptor].to_numpy(np.float64, na_value=np.nan)
            data = slope(names[one.index], size, value, level=level)
            for shape in shapes:
                curve = envelope.at(size, descriptor, shape)
                known = pairs is not None and str(sample) in pairs.samples
                if pairs is not None and known:
                    curve = curve + pairs.shift(size, descriptor, str(sample))
                curve = np.where(np.isfinite(value), curve, np.nan)  # at the sizes of those that have the descriptor
                own, beside = (slope(names[one.index], size, y, level=level) for y in (curve, value - curve))
                half = float(ndtri((1 + level) / 2)) * _slope_error(
                    envelope, descriptor, shape, size[np.isfinite(value)]
                )
                beside = _with_both(beside, half)
                rows.append(_row(str(sample), descriptor, shape, (low, high), data, own, beside) | {"pairs": known})
    table = pd.DataFrame([row | {"sentence": sentence(row)} for row in rows], columns=list(COLUMNS))
    table.attrs["cluster"] = cluster
    return table


def _inside(particles: Particles, columns: Sequence[str], between: tuple[float, float]) -> pd.DataFrame:
    wanted = list(dict.fromkeys(["sample", "micrograph", *columns]))
    check_columns(wanted, particles.columns)
    rows = particles[wanted]
    rows = rows[rows[SIZE].between(*between)]
    frame = rows if isinstance(rows, pd.DataFrame) else rows.compute()
    return frame.reset_index(drop=True)


def _cluster_of(frame: pd.DataFrame, micrographs: pd.DataFrame | None, cluster: Cluster) -> pd.Series:
    known = frame[["sample", "micrograph"]].drop_duplicates() if micrographs is None else micrographs
    named = pd.Series(
        cluster_names(known, cluster).to_numpy(), index=pd.MultiIndex.from_frame(known[["sample", "micrograph"]])
    )
    found = named.reindex(pd.MultiIndex.from_frame(frame[["sample", "micrograph"]]))
    if found.isna().any():
        raise TableError(
            "particles", expected="particles of micrographs in the table", got="particles of others",
            remedy="Give the micrographs table of the same run, or leave it out.",
        )  # fmt: skip
    return found.set_axis(frame.index)


def _slope_error(envelope: NullEnvelope, descriptor: str, shape: str, size: Float64[np.ndarray, " n"]) -> float:
    """Give the standard error of the envelope's own slope over particles of these sizes."""
    if not size.size:
        return math.nan
    away = size - size.mean()
    grid = envelope.baseline(descriptor, shape)["size_nm"]
    slopes = [away @ np.interp(size, grid, each) for each in envelope.errors(descriptor, shape)]
    return math.hypot(*slopes) / float(away @ away) if away.any() else math.nan


def _with_both(beside: Ratio, half: float) -> Ratio:
    """Widen the interval of a difference by half of that of what was taken off."""
    down, up = (math.hypot(end - beside.estimate, half) for end in (beside.lower, beside.upper))
    return beside._replace(lower=beside.estimate - down, upper=beside.estimate + up)


def _row(
    sample: str, descriptor: str, shape: str, between: tuple[float, float], data: Ratio, own: Ratio, beside: Ratio
) -> dict[str, object]:
    span = between[1] - between[0]
    return {
        "sample": sample, "descriptor": descriptor, "shape": shape, "low_nm": between[0], "high_nm": between[1],
        "change": span * data.estimate, "lower": span * data.lower, "upper": span * data.upper,
        "envelope_change": span * own.estimate,
        "excess": span * beside.estimate, "excess_lower": span * beside.lower, "excess_upper": span * beside.upper,
        "n": data.n, "n_clusters": data.n_clusters, "verdict": _verdict(data, beside), "refusal": beside.refusal,
    }  # fmt: skip


def _verdict(data: Ratio, beside: Ratio) -> str:
    if beside.refusal:
        return ""
    if beside.lower <= 0 <= beside.upper:
        return INSIDE
    return BEYOND if data.estimate * beside.estimate > 0 else AGAINST


def sentence(row: Mapping[str, object]) -> str:
    """Say in plain words what a row of `excess_trends` shows.

    Examples
    --------
    >>> import re
    >>> row = dict(sample="Co0.4", descriptor="circularity", shape="disc", low_nm=4.0, high_nm=6.0, change=0.012,
    ...            envelope_change=0.013, excess=-0.001, excess_lower=-0.004, excess_upper=0.002, verdict="inside", refusal="", pairs=False)
    >>> for part in re.split(": |; ", sentence(row)):
    ...     print(part)
    Co0.4
    the rise of circularity from 4 to 6 nm (+0.0120) cannot be told from that of constant discs measured the same way (+0.0130)
    the excess is -0.0010 [-0.0040, +0.0020].
    """
    named = _PLURALS.get(str(row["shape"]), f"outlines ({row['shape']})")
    what = f"{row['descriptor']} from {row['low_nm']:g} to {row['high_nm']:g} nm"
    if row["refusal"]:
        return f"{row['sample']}: the trend of {what} is not compared with constant {named}: {row['refusal']}."
    change, shape = f"{row['change']:+.4f}", f"{row['envelope_change']:+.4f}"
    trend = "rise" if float(str(row["change"])) > 0 else "fall"
    interval = f"{row['excess']:+.4f} [{row['excess_lower']:+.4f}, {row['excess_upper']:+.4f}]"
    among = " with the pairs among them" if row["pairs"] else ""
    like = f"constant {named}{among} measured the same way ({shape})"
    if row["verdict"] == INSIDE:
        alike = f"the {trend} of {what} ({change}) cannot be told from that of {like}"
        return f"{row['sample']}: {alike}; the excess is {interval}."
    if row["verdict"] == BEYOND:
        return f"{row['sample']}: the {trend} of {what} ({change}) goes beyond that of {like} by {interval}."
    return f"{row['sample']}: {what} changes by {change}, against {like}: what is left is {interval}."
