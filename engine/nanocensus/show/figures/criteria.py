"""Where a bound cuts: the distribution of a column, with what it accepts and what it rejects told apart."""

import math

import holoviews as hv
import numpy as np
from jaxtyping import Bool, Float64

from nanocensus.errors import InputError
from nanocensus.show.figures.theme import INK, PALETTE, QUIET, axis_label, set_in_frame

ACCEPTED_BAR, REJECTED_BAR = PALETTE[0], PALETTE[1]
_LOGARITHMIC = ("area_nm2", "pixel_count")
"""Columns that span orders of magnitude."""
_TAIL = 0.5
"""Percent of the particles at either end that need not fit on the axis."""
_FEWEST_BARS, _MOST_BARS = 8, 40
_NARROWEST = 1e-6
"""Range over size below which values count as equal: bars of a rounding error would tell nothing."""
_LOGARITHMIC_COUNTS_FROM = 100
"""Particles in the tallest bar above which a linear axis would hide the few that a bound rejects."""
_SMALLEST_COUNT = 0.7
"""Foot of the bars on a logarithmic axis: a single particle still has a bar."""
_HEIGHT = 230


def criterion(
    values: Float64[np.ndarray, " n"],
    column: str,
    *,
    accepted: Bool[np.ndarray, " _"],
    rejected: Bool[np.ndarray, " _"],
    bound: float | None = None,
    assumed: bool = False,
    title: str = "",
) -> hv.Overlay:
    """Draw how a column is distributed on both sides of a criterion's bound.

    Bars of the accepted and of those that the criterion rejects; a line round those that only other criteria reject.
    No bar crosses the bound. The axis holds at least 99 % of the particles, those beyond it stand in the last bars.

    Parameters
    ----------
    values : float64 (n,)
        The column; NaN where it is missing, which is not drawn.
    column : str
        Its name.
    accepted : bool (n,)
        Which particles met all criteria.
    rejected : bool (n,)
        Which failed this one.
    bound : float, optional
        Where it cuts; none if the criterion is off.
    assumed : bool
        Whether the user made the pixel size up.
    title : str
        Stands above the figure.

    Raises
    ------
    InputError
        If there is not one of each for a value.

    Examples
    --------
    >>> solidity = np.array([0.7, 0.88, 0.93, 0.95])
    >>> figure = criterion(solidity, "solidity", accepted=solidity > 0.9, rejected=solidity < 0.9, bound=0.9)
    >>> [element.label for element in figure if element.label]
    ['accepted (2)', 'rejected by it (2)', 'rejected by others (0)', 'bound: 0.9']
    """
    if not len(values) == len(accepted) == len(rejected):
        got = f"{len(values)}, {len(accepted)} and {len(rejected)}"
        raise InputError("criterion figure", expected="as many values as marks", got=got, remedy="Give one of each.")
    logarithmic = column in _LOGARITHMIC
    known = np.isfinite(values) & (values > 0 if logarithmic else True)
    edges = bar_edges(values[known], bound, logarithmic=logarithmic)
    shown = np.clip(values, edges[0], np.nextafter(edges[-1], edges[0]))
    chosen = {
        "accepted": known & accepted,
        "rejected by it": known & rejected,
        "rejected by others": known & ~accepted & ~rejected,
    }
    # A value on an edge stands in the bar to its right, one that the bound itself rejects too.
    counts = {
        name: np.bincount(np.digitize(shown[those], edges) - 1, minlength=len(edges) - 1)
        for name, those in chosen.items()
    }
    top = max(1, *(int(count.max()) for count in counts.values()))
    logarithmic_counts = top > _LOGARITHMIC_COUNTS_FROM
    foot = _SMALLEST_COUNT if logarithmic_counts else 0.0
    labels = {name: f"{name} ({np.count_nonzero(those)})" for name, those in chosen.items()}
    layers: list[hv.Element] = [
        _bars(edges, counts[name], foot, labels[name], colour)
        for name, colour in (("accepted", ACCEPTED_BAR), ("rejected by it", REJECTED_BAR))
    ]
    layers.append(_steps(edges, counts["rejected by others"], foot, labels["rejected by others"]))
    ceiling = top * (2.0 if logarithmic_counts else 1.08)
    if bound is not None:
        at = max(bound, edges[0])
        line = hv.Curve([(at, foot), (at, ceiling)], label=f"bound: {bound:g}")
        layers.append(line.opts(backend="bokeh", color=INK, line_width=2, line_dash="dashed"))
    return set_in_frame(
        hv.Overlay(layers),
        title=title,
        height=_HEIGHT,
        xlabel=axis_label(column, assumed=assumed),
        ylabel="particles" + (" (log)" if logarithmic_counts else ""),
        xlim=(edges[0], edges[-1]),
        ylim=(foot, ceiling),
        logx=logarithmic,
        logy=logarithmic_counts,
    )


def bar_edges(values: Float64[np.ndarray, " n"], bound: float | None, *, logarithmic: bool) -> np.ndarray:
    """Give the edges of the bars: equal steps (of the logarithm), one edge on the bound.

    Parameters
    ----------
    values : float64 (n,)
        What is drawn; positive where logarithmic.
    bound : float or None
        An edge, if it is positive or the axis is not logarithmic.
    logarithmic : bool
        Whether the steps are those of the logarithm.

    Examples
    --------
    >>> bar_edges(np.array([0.0, 1.0]), 0.5, logarithmic=False).round(3).tolist()[::4]
    [0.005, 0.5, 0.995]
    """
    to, back = (np.log10, lambda at: 10.0**at) if logarithmic else (np.asarray, np.asarray)
    within = np.percentile(to(values), [_TAIL, 100 - _TAIL]) if len(values) else np.array([0.0, 1.0])
    anchor = float(to(bound)) if bound is not None and (bound > 0 or not logarithmic) else float(within[0])
    low, high = min(float(within[0]), anchor), max(float(within[1]), anchor)
    wanted = min(_MOST_BARS, max(_FEWEST_BARS, 2 * math.isqrt(len(values))))
    size = max(abs(low), abs(high), 0.1)
    step = (high - low) / wanted if high - low > _NARROWEST * size else 0.1 * size
    before, after = math.ceil((anchor - low) / step - 1e-9), math.ceil((high - anchor) / step - 1e-9)
    edges = back(anchor + step * np.arange(-max(before, 1), max(after, 1) + 1))
    if bound is not None and (bound > 0 or not logarithmic):
        edges[max(before, 1)] = bound  # not a rounding away from it
    return np.asarray(edges, float)


def _bars(edges: np.ndarray, counts: np.ndarray, foot: float, label: str, colour: str) -> hv.Rectangles:
    used = np.flatnonzero(counts)
    boxes = (edges[used], np.full(len(used), foot), edges[used + 1], counts[used].astype(float))
    return hv.Rectangles(boxes, label=label).opts(
        backend="bokeh", fill_color=colour, line_color="white", line_width=0.5
    )


def _steps(edges: np.ndarray, counts: np.ndarray, foot: float, label: str) -> hv.Curve:
    heights = np.repeat(np.maximum(counts, foot), 2)
    line = (np.repeat(edges, 2), np.concatenate([[foot], heights, [foot]]))
    return hv.Curve(line, label=label).opts(backend="bokeh", color=QUIET, line_width=1.2)
