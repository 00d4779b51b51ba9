"""How well the particles of a run agree with the true ones, where they are known."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int32

from nanocensus.errors import DamageError
from nanocensus.segment.metrics import match_particles
from nanocensus.statistics.intervals import ClusterSums, Moments, linearised
from nanocensus.store.ingest import STORE_FOLDER
from nanocensus.store.micrographs import read_labels
from nanocensus.store.tables import read_micrographs

SMALLEST_PARTICLE_PX = 20
"""Smaller specks, drawn or detected, are not counted as particles."""

_RATIOS: Mapping[str, tuple[str, str, float]] = {
    "Dice": ("twice_common_px", "both_px", 1.0),
    "F1 at IoU 0.5": ("twice_matched", "both_particles", 1.0),
    "particles detected / true": ("n_detected", "n_true", math.inf),
}
"""Each figure of merit as a ratio of sums over micrographs, and the largest that it can be."""


@dataclass(frozen=True)
class Agreement:
    """Agreement with the true particles."""

    rows: pd.DataFrame
    """One row a micrograph: sample, name, group, n_true, n_detected, dice, f1."""
    pooled: pd.DataFrame
    """One row a sample and figure of merit: sample, figure, estimate, lower, upper, n_clusters, refusal; the interval is of
    the     ratio of sums over clusters (micrographs of one group count as one), CR2 with a t distribution; `refusal` says why
    there is none."""


def evaluate_run(out: Path, *, level: float = 0.95) -> Agreement:
    """Compare the particles of a run with the true ones.

    Dice counts every pixel. Particles below 20 pixels do not count on either side; all others do, those on the border
    too, before any criterion.

    Parameters
    ----------
    out : Path
        Folder of the results.
    level : float
        Confidence level of the intervals.

    Returns
    -------
    Agreement
        Empty tables where no truth is known.

    Raises
    ------
    StoreError
        If there are no results.
    """
    micrographs = read_micrographs(out)
    known = micrographs[micrographs["truth"].notna() & (micrographs["status"] == "done")]
    counts = pd.DataFrame(
        [_compare(out / STORE_FOLDER, micrograph) for micrograph in known["micrograph"]],
        columns=["n_true", "n_detected", "twice_matched", "both_particles", "twice_common_px", "both_px"],
        index=known.index,
    ).astype("int64")
    cluster = known["group"].fillna(known["micrograph"])
    rows = known[["sample", "name"]].assign(
        group=cluster,
        n_true=counts["n_true"],
        n_detected=counts["n_detected"],
        dice=counts["twice_common_px"] / counts["both_px"],
        f1=counts["twice_matched"] / counts["both_particles"],
    )
    pooled = [
        {"sample": sample, "figure": figure, **_ratio(members.groupby(cluster).sum(), *columns, level)}
        for sample, members in counts.groupby(known["sample"], sort=False)
        for figure, columns in _RATIOS.items()
    ]
    columns = ["sample", "figure", "estimate", "lower", "upper", "n_clusters", "refusal"]
    return Agreement(rows.reset_index(drop=True), pd.DataFrame(pooled, columns=columns))


def _compare(store: Path, micrograph: str) -> dict[str, int]:
    truth, found = read_labels(store, micrograph, name="truth"), read_labels(store, micrograph)
    if truth is None or found is None:  # the index says they are there
        raise DamageError(f"micrograph {micrograph}", expected="its labels", got="none", remedy="Run the job again.")
    matches = match_particles(_large(truth), _large(found))
    n_true = matches.true_positives + matches.false_negatives
    n_detected = matches.true_positives + matches.false_positives
    return {
        "n_true": n_true,
        "n_detected": n_detected,
        "twice_matched": 2 * matches.true_positives,
        "both_particles": n_true + n_detected,
        "twice_common_px": 2 * int(np.count_nonzero((truth > 0) & (found > 0))),
        "both_px": int(np.count_nonzero(truth)) + int(np.count_nonzero(found)),
    }


def _large(labels: Int32[np.ndarray, "y x"]) -> Int32[np.ndarray, "y x"]:
    kept = np.bincount(labels.ravel()) >= SMALLEST_PARTICLE_PX
    return np.where(kept[labels], labels, 0).astype(np.int32)


def _ratio(
    clusters: pd.DataFrame, above: str, below: str, largest: float, level: float
) -> dict[str, float | int | str]:
    """Give a ratio of sums over clusters with its interval: a mean whose weights are what is below the line."""
    first = clusters[[above]].to_numpy(np.float64)
    weight = clusters[[below]].to_numpy(np.float64)
    n = clusters[["n_true"]].to_numpy(np.int64)
    estimate = first.sum(0) / weight.sum(0)
    moments = Moments(n.sum(0).astype(np.float64), estimate, np.zeros(1))
    result = linearised(
        ClusterSums(n, weight, first, first, moments), estimate, (np.ones(1), np.zeros(1)), level=level, log=False
    )
    return {
        "estimate": float(result.estimate[0]),
        "lower": float(result.lower[0]),
        "upper": min(float(result.upper[0]), largest),
        "n_clusters": len(clusters),
        "refusal": str(result.refusal[0]),
    }
