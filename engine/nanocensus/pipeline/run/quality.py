"""Which micrographs the rules of a job would rather not count: scores against absolute bounds and against their like."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float64

from nanocensus.pipeline.job.sections import Bound, QualitySection
from nanocensus.pipeline.run.details import alike
from nanocensus.pipeline.run.registration import Pair, known_pairs
from nanocensus.store.manifest import Manifest, read_manifest, write_manifest


@dataclass(frozen=True)
class _Score:
    """How a score is held against that of others."""

    column: str
    rule: str
    """Key of the rule that says how far above the others is too far."""
    words: str
    """What is wrong if it is; the value goes in."""
    scale: Callable[[pd.DataFrame], pd.Series]
    """Gives it on a scale on which ordinary micrographs scatter alike."""
    least_spread: float
    """Standard deviation on that scale that is always ordinary."""


_SCORES = (
    # Noise makes the edges of one orientation seem wider than others in proportion to how wide they are.
    _Score("drift_nm", "drift_z", "drifted: {:.3g} nm", lambda rows: rows["drift_nm"] / rows["blur_nm"], 0.3),
    _Score("blur_nm", "blur_z", "blurred: edges {:.3g} nm wide", lambda rows: np.log(rows["blur_nm"]), 0.05),
    _Score("background_range", "background_z", "uneven: background over {:.0%}", lambda rows: rows["background_range"],
           0.02),
    _Score("covered_share", "crowding_z", "crowded: {:.0%} covered", lambda rows: rows["covered_share"] ** 0.5, 0.03),
    _Score("touching_share", "crowding_z", "crowded: {:.0%} of the particles touch", lambda rows: rows["touching_share"],
           0.1),
)  # fmt: skip
_DETAILS = {
    "drift_z": ("detail_asymmetry_z", "drifted or striped: detail that differs between directions"),
    "blur_z": ("detail_loss_z", "blurred: little fine detail"),
}
"""Scores that are in standard deviations above their like already, and what is wrong beyond the bound of a rule."""
_IMPLIED = {"blurred": ("blurred", "drifted")}
"""Faults that need no word beside others: a movement widens all edges but those along it."""

_BOUNDS = (
    ("blur_nm", "max_blur_nm", "blurred: edges {:.3g} nm wide"),
    ("drift_nm", "max_drift_nm", "drifted: {:.3g} nm"),
    ("saturated_share", "max_saturated_share", "saturated: {:.1%} of the pixels"),
    ("background_range", "max_background_range", "uneven: background over {:.0%}"),
    ("covered_share", "max_covered_share", "crowded: {:.0%} covered"),
    ("touching_share", "max_touching_share", "crowded: {:.0%} of the particles touch"),
    ("domain_score", "max_domain_score", "unlike what the network was trained on: {:.2g}"),
)
"""Score, key of the rule that bounds it, and what is wrong beyond it."""


def judge_run(out: Path, rules: QualitySection) -> pd.DataFrame:
    """Apply the rules to a run's micrographs, and say in the index which are flagged and which excluded.

    Parameters
    ----------
    out : Path
        Folder of the results.
    rules : QualitySection
        The [quality] section of the job file.

    Returns
    -------
    DataFrame
        The index, its columns `flags` and `excluded` filled.

    Raises
    ------
    StoreError
        If there is no index, it is damaged, or the disk refuses.
    """
    manifest = read_manifest(out)
    reasons = flags(manifest.micrographs, known_pairs(out), rules)
    text = pd.Series(["; ".join(each) or None for each in reasons], index=manifest.micrographs.index, dtype=object)
    excluded = text.notna() & (rules.action == "exclude")
    judged = manifest.micrographs.assign(flags=text, excluded=excluded)
    write_manifest(out, Manifest(judged, manifest.refusals))
    return judged


def flags(micrographs: pd.DataFrame, pairs: Sequence[Pair], rules: QualitySection) -> list[list[str]]:
    """Give the reasons, none or several, why each micrograph should rather not be counted.

    A score is held against the same score of the micrographs of its sample and pixel size, where eight or more have one,
    and against all of its pixel size otherwise: its distance above their median in robust standard deviations (1.4826
    median absolute deviations, and no less than what is always ordinary). Of micrographs that overlap and have no other
    flaw, the later ones are flagged.

    Parameters
    ----------
    micrographs : DataFrame
        The index.
    pairs : sequence of Pair
        Which of them overlap.
    rules : QualitySection

    Returns
    -------
    list of lists of str
        One a row.
    """
    found: list[list[str]] = [[] for _ in range(len(micrographs))]
    for column, key, words in _BOUNDS:
        bound = getattr(rules, key)
        if _applies(bound):
            _note(
                found, micrographs[column], (micrographs[column] > bound).to_numpy(), words, f"the bound is {bound:g}"
            )
    for score in _SCORES:
        limit = getattr(rules, score.rule)
        if _applies(limit):
            z = _above_its_like(micrographs, score)
            _note(found, micrographs[score.column], z > limit, score.words, z)
            if score.rule in _DETAILS:
                column, words = _DETAILS[score.rule]
                z = micrographs[column].to_numpy(float)
                _note(found, micrographs[column], z > limit, words, z)
    if _applies(rules.max_overlap_share):
        _note_overlaps(found, micrographs, pairs, float(rules.max_overlap_share or 0.0))
    return found


def _applies(bound: Bound) -> bool:
    """Say whether a rule is on: `False` is off, zero is a bound."""
    return bound is not None and bound is not False


def _note(
    found: list[list[str]], values: pd.Series, wrong: np.ndarray, words: str, beyond: str | Float64[np.ndarray, " n"]
) -> None:
    for row in np.flatnonzero(wrong):
        more = beyond if isinstance(beyond, str) else f"{beyond[row]:.1f} sd above its like"
        kind = words.partition(":")[0].partition(" ")[0]
        if not any(reason.startswith(_IMPLIED.get(kind, kind)) for reason in found[row]):
            found[row].append(f"{words.format(values.iloc[row])} ({more})")


def _above_its_like(micrographs: pd.DataFrame, score: _Score) -> Float64[np.ndarray, " n"]:
    """Give how far each score lies above the median of its like, in robust standard deviations; NaN where unknown."""
    values = score.scale(micrographs).astype(float)
    z = pd.Series(np.nan, index=micrographs.index)
    for own, others in alike(micrographs, values.notna()):
        known = values[others]
        median = float(known.median())
        spread = 1.4826 * float((known - median).abs().median()) * (1 + 4 / len(known))
        z[own] = (values[own] - median) / max(spread, score.least_spread)
    return z.to_numpy(float)


def _note_overlaps(found: list[list[str]], micrographs: pd.DataFrame, pairs: Sequence[Pair], largest: float) -> None:
    place = {str(identity): row for row, identity in enumerate(micrographs["micrograph"])}
    others: dict[int, list[tuple[float, int]]] = {}
    for pair in pairs:
        if pair.share > largest and {pair.first, pair.second} <= place.keys():  # files may have left since
            earlier, later = sorted((place[pair.first], place[pair.second]))
            others.setdefault(later, []).append((pair.share, earlier))
    counted = [not reasons for reasons in found]
    for row in sorted(others):
        repeated = [(share, other) for share, other in others[row] if counted[other]]
        if counted[row] and repeated:
            share, other = max(repeated)
            found[row].append(f"repeats {share:.0%} of {micrographs['name'].iloc[other]}")
            counted[row] = False
