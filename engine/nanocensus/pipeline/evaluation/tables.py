"""The tables of an evaluation, from what was made of each micrograph."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64

from nanocensus.pipeline.evaluation.columns import EVALUATION_TABLES
from nanocensus.pipeline.evaluation.merit import ERRORS, figures_of_merit
from nanocensus.pipeline.evaluation.ratios import mean
from nanocensus.pipeline.evaluation.scores import THRESHOLDS, Scores
from nanocensus.pipeline.evaluation.truth_cases import Case
from nanocensus.schema import CONDITION_PREFIX, Table
from nanocensus.segment.judging.map_counts import MapCounts
from nanocensus.statistics.estimation.intervals import FEWEST_CLUSTERS, FEWEST_PARTICLES

ALL = "all samples"
BIN_WIDTH_NM = 0.2
RELATIVE_BIN = 2**0.25
"""Ratio of the ends of a bin where there is no length to bin by."""
_CLASSES = ("particle", "background")
_PIXELS = ("boundary_error", "boundary_distance", "true_edge_length", "edge_length", "edge_width")
"""Lengths that the scores hold in pixels, and whose columns say so."""
_INTEGERS: Mapping[str, Any] = {"int32": "Int32", "bool": "boolean"}


@dataclass(frozen=True, eq=False)
class Judged:
    """One method on one micrograph: its rows, and the counts of its map."""

    row: Mapping[str, Any]
    particles: pd.DataFrame
    counts: MapCounts
    lengths: pd.DataFrame


def judged(case: Case, scores: Scores, large_px: int) -> Judged:
    """Keep of a micrograph what the tables need."""
    particles = scores.particles
    true, found, common = scores.counts.areas(scores.level)
    large = particles["true_px"] >= large_px
    matched, n_found = int(particles["matched"].sum()), int(particles["matched"].sum()) + len(scores.false_px)
    large_true, large_matched = int(large.sum()), int((large & particles["matched"]).sum())
    large_false = int((scores.false_px >= large_px).sum())
    identity = {"sample": case.sample, "name": case.name, "group": case.cluster, "method": scores.method,
                "pixel_size_nm": case.pixel_size_nm}  # fmt: skip
    network = scores.method == "network"
    row = {
        **identity,
        "model": case.model if network else "",
        "true_pixels": true,
        "found_pixels": found,
        "common_pixels": common,
        "dice": scores.counts.dice(scores.level),
        "iou": scores.counts.iou(scores.level),
        "n_true": len(particles),
        "n_found": n_found,
        "n_matched": matched,
        "f1": _share(2 * matched, len(particles) + n_found),
        "n_true_large": large_true,
        "n_matched_large": large_matched,
        "n_false_large": large_false,
        "f1_large": _share(2 * large_matched, large_matched + large_true + large_false),
        "boundary_error_px": particles["boundary_error"].mean(),
        "edge_length_error": particles["edge_length_error"].mean(),
        "calibration_error": scores.counts.calibration_error() if network else np.nan,
        **{f"{CONDITION_PREFIX}{name}": value for name, value in case.conditions.items()},
    }
    named = particles.reset_index().rename(columns={name: f"{name}_px" for name in _PIXELS}).assign(**identity)
    return Judged(row, _declared(named, EVALUATION_TABLES["particles"]), scores.counts, scores.lengths)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def _declared(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Give the declared columns, in order and of their types, and after them those that a user may add."""
    own = [name for name in frame.columns if table.open_prefix and str(name).startswith(table.open_prefix)]
    types = {
        column.name: "float64" if column.dtype == "float64" else _INTEGERS.get(column.dtype, "str")
        for column in table.columns
    }
    return frame.reindex(columns=[*table.names, *own]).astype(types)


def tables(each: Sequence[Judged], *, level: float, large_px: int, bin_width_nm: float) -> dict[str, pd.DataFrame]:
    """Pool what was made of the micrographs.

    Parameters
    ----------
    each : sequence of Judged
        At least one.
    level : float
        Of the intervals.
    large_px : int
        Pixels from which on a particle counts as large.
    bin_width_nm : float
        Width of the size bins, nm.

    Returns
    -------
    dict of DataFrame
        By the names of `EVALUATION_TABLES`.
    """
    micrographs = pd.DataFrame([one.row for one in each])
    particles = pd.concat([one.particles for one in each], ignore_index=True)
    unit = "nm" if micrographs["pixel_size_nm"].notna().all() else "px"
    scale = particles["pixel_size_nm"] if unit == "nm" else 1.0
    particles = particles.assign(size=particles["true_edge_length_px"] * scale)
    apart, of_them = _numbered_groups(micrographs), _numbered_groups(particles)
    edges = size_edges(_inner(of_them), bin_width_nm if unit == "nm" else None)
    frames = {
        "micrographs": micrographs,
        "summary": pd.DataFrame(_summary(each, apart, of_them, unit, level, large_px)),
        "by_size": pd.DataFrame(_by_size(of_them, edges, unit, level)),
        "thresholds": pd.DataFrame(_thresholds(each)),
        "calibration": pd.concat([_calibration(sample, counts) for sample, counts in _maps(each, "network")]),
        "confusion": pd.DataFrame(_confusion(each)),
        "particles": particles,
    }
    return {name: _declared(frame.reset_index(drop=True), EVALUATION_TABLES[name]) for name, frame in frames.items()}


def _numbered_groups(frame: pd.DataFrame) -> pd.DataFrame:
    """Give the groups numbers instead of names: those of one name in two samples are two, as in all statistics."""
    return frame.assign(group=frame.groupby(["sample", "group"]).ngroup())


def _inner(particles: pd.DataFrame) -> pd.DataFrame:
    """Give those of which the whole size is known."""
    return particles[~particles["true_touches_border"].astype(bool) & ~particles["hidden"].astype(bool)]


def _parts(frame: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Go through the samples, and all of them together where there are several, method by method."""
    samples = list(dict.fromkeys(frame["sample"]))
    for sample in [*samples, *([ALL] if len(samples) > 1 else [])]:
        own = frame if sample == ALL else frame[frame["sample"] == sample]
        for method, rows in own.groupby("method", sort=False):
            yield sample, str(method), rows


def _summary(
    each: Sequence[Judged], micrographs: pd.DataFrame, particles: pd.DataFrame, unit: str, level: float, large_px: int
) -> Iterator[dict[str, Any]]:
    rows_of = {(sample, method): rows for sample, method, rows in _parts(particles)}
    errors = {sample: counts.calibration_error() for sample, counts in _maps(each, "network")}
    for sample, method, rows in _parts(micrographs):
        own = rows_of.get((sample, method), particles.iloc[:0])
        place = {"sample": sample, "method": method}
        for figure in figures_of_merit(unit, large_px):
            found = figure.of(rows, own, level)
            yield {**place, "figure": figure.name, "unit": figure.unit, **found._asdict()}
        if method == "network":
            why = "a mean of absolute values has none here"
            yield {**place, "figure": "calibration_error", "unit": "1", "estimate": errors[sample], "n": len(own),
                   "n_clusters": rows["group"].nunique(), "refusal": why}  # fmt: skip


def size_edges(particles: pd.DataFrame, width_nm: float | None) -> Float64[np.ndarray, " edge"]:
    """Give the edges of size bins in which an interval can be had.

    Parameters
    ----------
    particles : DataFrame
        With the columns `method`, `group` and `size`.
    width_nm : float or None
        Edges lie at multiples of this; None: at powers of 2^(1/4). Neighbouring bins are joined until each holds 20
        particles of 4 clusters.

    Examples
    --------
    >>> rows = pd.DataFrame({"method": "network", "group": list("abcd") * 10, "size": np.repeat([1.1, 1.5], 20)})
    >>> size_edges(rows, 0.2).round(3).tolist()
    [1.0, 1.2, 1.6]
    """
    rows = particles[particles["method"] == "network"] if len(particles) else particles
    if rows.empty:
        return np.empty(0)
    size = rows["size"].to_numpy(np.float64)
    # A hair is added, so that 4.2 / 0.2 is 21 and not just below it.
    place = np.floor(size / width_nm + 1e-9) if width_nm else np.floor(np.log(size) / np.log(RELATIVE_BIN) + 1e-9)
    order = np.argsort(place, kind="stable")
    place, groups = place[order].astype(int), rows["group"].to_numpy()[order]
    ends, start = [place[0]], 0
    for stop in [*(np.flatnonzero(np.diff(place)) + 1).tolist(), len(place)]:
        if stop - start >= FEWEST_PARTICLES and len(set(groups[start:stop])) >= FEWEST_CLUSTERS:
            ends.append(place[stop - 1] + 1)
            start = stop
    if start < len(place):  # too few are left: they go with the last
        ends = [*(ends[:-1] if len(ends) > 1 else ends), place[-1] + 1]
    whole = np.array(ends, np.float64)
    return np.asarray(whole * width_nm if width_nm else RELATIVE_BIN**whole)


def _by_size(
    particles: pd.DataFrame, edges: Float64[np.ndarray, " edge"], unit: str, level: float
) -> Iterator[dict[str, Any]]:
    inner = _inner(particles)
    bins = np.digitize(inner["size"].to_numpy(np.float64) * (1 + 1e-9), edges) - 1
    inner = inner.assign(bin=np.clip(bins, 0, max(len(edges) - 2, 0)))
    units = {"detection_rate": "1", **ERRORS}
    for sample, method, rows in _parts(inner.assign(detection_rate=inner["matched"].astype(float))):
        for place in sorted(set(rows["bin"])):
            members = rows[rows["bin"] == place]
            bounds = {"size_left": edges[place], "size_right": edges[place + 1], "mean_size": members["size"].mean()}
            for figure, of in units.items():
                found = mean(members["group"], members[figure].to_numpy(np.float64, na_value=np.nan), level=level)
                if figure == "detection_rate":
                    found = found._replace(lower=max(found.lower, 0.0), upper=min(found.upper, 1.0))
                if found.n:
                    named = {"sample": sample, "method": method, "figure": figure, "unit": of, "size_unit": unit}
                    yield {**named, **bounds, **found._asdict()}


def _maps(each: Sequence[Judged], method: str) -> Iterator[tuple[str, MapCounts]]:
    """Give the pooled counts of each sample's maps, and of all of them together where there are several."""
    pooled: dict[str, list[MapCounts]] = {}
    for one in each:
        if one.row["method"] == method:
            pooled.setdefault(one.row["sample"], []).append(one.counts)
    if len(pooled) > 1:
        pooled[ALL] = [counts for some in list(pooled.values()) for counts in some]
    return ((sample, reduce(add, counts)) for sample, counts in pooled.items())


def _thresholds(each: Sequence[Judged]) -> Iterator[dict[str, Any]]:
    for sample, counts in _maps(each, "network"):
        followed = pd.concat([one.lengths for one in each if sample in (ALL, one.row["sample"])])
        for threshold in THRESHOLDS:
            at = followed[followed["threshold"] == threshold]
            n, error = int(at["n"].sum()), float(at["edge_length_error"].sum())
            cut = 255 * threshold
            yield {"sample": sample, "threshold": threshold, "dice": counts.dice(cut), "iou": counts.iou(cut),
                   "edge_length_error": error / n if n else np.nan, "n": n}  # fmt: skip


def _calibration(sample: str, counts: MapCounts) -> pd.DataFrame:
    found = counts.reliability()
    columns = {"probability_lower": found.lower, "probability_upper": found.upper, "pixels": found.pixels,
               "mean_probability": found.mean_probability, "share_of_truth": found.share_of_truth,
               "mean_area_fraction": found.mean_area_fraction}  # fmt: skip
    return pd.DataFrame({"sample": sample, **columns})


def _confusion(each: Sequence[Judged]) -> Iterator[dict[str, Any]]:
    for method in dict.fromkeys(one.row["method"] for one in each):
        for sample, counts in _maps(each, method):
            for true, row in zip(_CLASSES, counts.soft_dice().tolist(), strict=True):
                for predicted, value in zip(_CLASSES, row, strict=True):
                    yield {"sample": sample, "method": method, "true_class": true, "predicted_class": predicted,
                           "soft_dice": value}  # fmt: skip
