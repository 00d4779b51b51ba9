"""How well the particles of a run agree with the true ones, where they are known: what its report says of it.

`evaluate` says far more, and takes longer.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from nanocensus.errors import DamageError
from nanocensus.pipeline.evaluation.ratios import INTERVAL, ratio
from nanocensus.segment.judging.metrics import match_particles, without_specks
from nanocensus.store.images.ingest import STORE_FOLDER
from nanocensus.store.images.micrographs import read_labels
from nanocensus.store.particles.tables import read_micrographs

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
    """One row a sample and figure of merit: sample, figure, estimate, lower, upper, n, n_clusters, refusal; the interval is
    of the ratio of sums over clusters (micrographs of one group count as one), CR2 with a t distribution; `refusal` says
    why there is none."""


def agreement_of_run(out: Path, *, level: float = 0.95) -> Agreement:
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
        # Nothing where nothing is: all right.
        dice=(counts["twice_common_px"] / counts["both_px"]).fillna(1.0),
        f1=(counts["twice_matched"] / counts["both_particles"]).fillna(1.0),
    )
    pooled = [
        (sample, figure, *_pooled(members, cluster, *columns, level))
        for sample, members in counts.groupby(known["sample"], sort=False)
        for figure, columns in _RATIOS.items()
    ]
    return Agreement(rows.reset_index(drop=True), pd.DataFrame(pooled, columns=["sample", "figure", *INTERVAL]))


def _pooled(
    counts: pd.DataFrame, cluster: pd.Series, above: str, below: str, largest: float, level: float
) -> tuple[object, ...]:
    first, second = (counts[name].to_numpy(np.float64) for name in (above, below))
    n = counts["n_true"].to_numpy(np.int64)
    return ratio(cluster[counts.index], first, second, n, level=level, smallest=0.0, largest=largest)


def _compare(store: Path, micrograph: str) -> dict[str, int]:
    truth, found = read_labels(store, micrograph, name="truth"), read_labels(store, micrograph)
    if truth is None or found is None:  # the index says they are there
        raise DamageError(f"micrograph {micrograph}", expected="its labels", got="none", remedy="Run the job again.")
    matches = match_particles(without_specks(truth), without_specks(found))
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
