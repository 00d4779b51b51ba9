"""One micrograph judged: its pixels, its particles, and how long their edges are at other thresholds."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int32, UInt8
from scipy.ndimage import gaussian_filter

from nanocensus.errors import ImageError
from nanocensus.measure.descriptors import measure
from nanocensus.measure.label import label_particles
from nanocensus.pipeline.evaluation.truth_cases import Case
from nanocensus.pipeline.job.sections import MeasureSection
from nanocensus.segment.judging.boundary import boundary_distance, boundary_error
from nanocensus.segment.judging.map_counts import MapCounts, count_map
from nanocensus.segment.judging.metrics import Overlaps, overlaps, without_specks
from nanocensus.segment.judging.otsu import otsu_mask
from nanocensus.segment.preparation.flatfield import Contrast
from nanocensus.segment.training.patches import EDGE_SIGMA_PX

Method = Literal["network", "otsu"]
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Probabilities at which Dice and edge length are looked at: 0.05 to 0.95."""
_PLANTED_IS_SEEN_PX = 0.3
"""Mean distance between a planted outline and its mask beyond which part of the particle is hidden."""


@dataclass(frozen=True, eq=False)
class Scores:
    """What one method made of one micrograph."""

    method: Method
    counts: MapCounts
    """Of the map; a mask counts as a map of 0 and 255."""
    level: float
    """Value of the map that the pixels of a particle exceed."""
    particles: pd.DataFrame
    """One row a true particle of at least 20 pixels, lengths in pixels: see `true_particles` and `_found`."""
    false_px: np.ndarray
    """Pixels of each predicted particle (of at least 20 pixels) that is no true one."""
    lengths: pd.DataFrame
    """At each of the thresholds: n, and the sum of the relative errors of the edge lengths; empty for a mask."""


def judge(case: Case, settings: MeasureSection, contrast: Contrast = "dark") -> list[Scores]:
    """Judge the map of a network and the baseline against the truth.

    Parameters
    ----------
    case : Case
    settings : MeasureSection
        How particles are measured.
    contrast : {"dark", "bright"}
        What particles are against their surroundings, for the baseline.

    Returns
    -------
    list of Scores
        Of the network, and of Otsu's threshold.

    Raises
    ------
    ImageError
        If map and truth differ in size.
    """
    if not case.truth.shape == case.probability.shape == case.pixels.shape:
        sizes = [f"{part.shape[0]} x {part.shape[1]}" for part in (case.pixels, case.probability, case.truth)]
        raise ImageError(
            case.name,
            expected="a micrograph, its map and its truth of one size",
            got=", ".join(sizes),
            remedy="Draw the mask on the micrograph itself, and predict that.",
        )
    labels = without_specks(case.truth)
    true = true_particles(case, labels, settings)
    inside = case.truth > 0
    covered = gaussian_filter(inside.astype(np.float32), EDGE_SIGMA_PX)
    found = measure(
        case.probability,
        pixel_size_nm=1.0,
        estimator=settings.estimator,
        threshold=settings.threshold,
        split=None if settings.split == "none" else settings.split,
    )
    particles, false_px = _found(true, labels, found.labels, found.table.to_pandas(), counted=False)
    lengths = _edge_lengths(case.probability, particles, labels, found.labels, settings)
    counts = count_map(case.probability, inside, covered)
    network = Scores("network", counts, 255 * settings.threshold, particles, false_px, lengths)

    mask = otsu_mask(case.pixels, contrast=contrast)
    dark = without_specks(label_particles(mask)[0])
    table = measure(labels=dark, pixel_size_nm=1.0, estimator=settings.estimator).table.to_pandas()
    particles, false_px = _found(true, labels, dark, table, counted=True)
    counts = count_map(np.where(mask, np.uint8(255), np.uint8(0)), inside)
    return [network, Scores("otsu", counts, 127.5, particles, false_px, lengths.iloc[:0])]


def true_particles(case: Case, labels: Int32[np.ndarray, "y x"], settings: MeasureSection) -> pd.DataFrame:
    """Give what is known of the true particles, lengths in pixels.

    Sizes come from the planted outline where there is one, else from the pixels of the mask, holes included: their
    number has no bias, where the contour of a smoothed mask lies inside (by half a pixel over the radius). Circularity
    and solidity come from the planted outline, else from the estimator on the smoothed mask.

    Parameters
    ----------
    case : Case
    labels : int32 (y, x)
        Its truth without specks.
    settings : MeasureSection

    Returns
    -------
    DataFrame
        Indexed by `true_label`: true_px, true_touches_border, planted (whether an outline is known), hidden (whether the
        mask shows another area than the outline), true_edge_length, true_perimeter, true_circularity, true_solidity.
    """
    table = measure(labels=labels, pixel_size_nm=1.0, estimator=settings.estimator).table.to_pandas().set_index("label")
    true = pd.DataFrame(
        {
            "true_px": table["pixel_count"].astype(np.int64),
            "true_touches_border": table["touches_border"].astype(bool),
            "planted": False,
            "hidden": False,
            "true_edge_length": np.sqrt(table["pixel_count"] + table["hole_area_nm2"]),
            "true_perimeter": table["perimeter_nm"],
            "true_circularity": table["circularity"],
            "true_solidity": table["solidity"],
        }
    ).rename_axis("true_label")
    if case.planted is None or case.pixel_size_nm is None or true.empty:
        return true
    planted, side = case.planted.loc[true.index], case.pixel_size_nm
    apart = (planted["area_nm2"] / side**2 - true["true_edge_length"] ** 2) / (planted["perimeter_nm"] / side)
    return true.assign(
        planted=True,
        hidden=(apart.abs() > _PLANTED_IS_SEEN_PX) & ~true["true_touches_border"],
        true_edge_length=planted["edge_length_nm"] / side,
        true_perimeter=planted["perimeter_nm"] / side,
        true_circularity=planted["circularity"],
        true_solidity=planted["solidity"],
    )


def _found(
    true: pd.DataFrame,
    labels: Int32[np.ndarray, "y x"],
    found_labels: Int32[np.ndarray, "y x"],
    table: pd.DataFrame,
    *,
    counted: bool,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Put beside each true particle what was found of it; give also the pixels of what was found and is not true.

    `counted`: the size is that of the pixels, holes included, as for a mask; otherwise of the estimator.
    """
    pairs = overlaps(labels, without_specks(found_labels))
    matched = pairs.matched()
    t, f = pairs.true_place[matched], pairs.found_place[matched]
    rows = table.set_index("label").loc[pairs.found_label[f]]
    area = rows["pixel_count"] + rows["hole_area_nm2"] if counted else rows["area_nm2"]
    of_pairs = pd.DataFrame(
        {
            "found_label": pairs.found_label[f],
            "iou": (pairs.common_px / np.maximum(pairs.union_px, 1))[matched],
            "different_px": (pairs.union_px - pairs.common_px)[matched].astype(np.float64),
            "merged": pairs.swallowed()[f] > 1,
            "found_touches_border": rows["touches_border"].to_numpy(bool),
            "edge_length": np.sqrt(area.to_numpy(np.float64)),
            "circularity": rows["circularity"].to_numpy(np.float64),
            "solidity": rows["solidity"].to_numpy(np.float64),
            "edge_width": rows["edge_width_nm"].to_numpy(np.float64, na_value=np.nan),
        },
        index=pd.Index(pairs.true_label[t], name="true_label"),
    )
    return _compared(true.join(of_pairs)), pairs.found_px[_unmatched(pairs)]


def _unmatched(pairs: Overlaps) -> np.ndarray:
    alone = np.ones(len(pairs.found_label), bool)
    alone[pairs.found_place[pairs.matched()]] = False
    return alone


def _compared(particles: pd.DataFrame) -> pd.DataFrame:
    """Add the errors; only of particles that are whole on both sides and stand for one true particle."""
    matched = particles["found_label"].notna()
    apart = (particles["merged"] == True) | (particles["found_touches_border"] == True)
    whole = matched & ~apart & ~particles["true_touches_border"] & ~particles["hidden"]
    true = particles["true_edge_length"]
    sizes = (true**2, particles["true_perimeter"], particles["edge_length"] ** 2, particles["different_px"])
    true_area, perimeter, found_area, different = (values.to_numpy(np.float64) for values in sizes)
    errors = {
        "boundary_error": boundary_error(true_area, perimeter, found_area),
        "boundary_distance": boundary_distance(perimeter, different),
        "edge_length_error": particles["edge_length"] / true - 1,
        "circularity_error": particles["circularity"] - particles["true_circularity"],
        "solidity_error": particles["solidity"] - particles["true_solidity"],
    }
    only = {name: pd.Series(values, particles.index).where(whole) for name, values in errors.items()}
    return particles.assign(matched=matched, compared=whole, **only)


def _edge_lengths(
    probability: UInt8[np.ndarray, "y x"],
    particles: pd.DataFrame,
    labels: Int32[np.ndarray, "y x"],
    found_labels: Int32[np.ndarray, "y x"],
    settings: MeasureSection,
) -> pd.DataFrame:
    """Follow each compared particle, by its surest pixel, through the thresholds, and sum the errors of its edge length."""
    chosen = particles[particles["compared"]]
    numbers = chosen["found_label"].to_numpy(np.int64)
    places = surest_pixels(probability, np.where(labels > 0, found_labels, 0), numbers)
    true = chosen["true_edge_length"].to_numpy(np.float64)
    rows = []
    for threshold in THRESHOLDS if len(numbers) else ():
        at = measure(probability, pixel_size_nm=1.0, estimator=settings.estimator, threshold=threshold)
        label = at.labels.ravel()[places]
        # Gone at this threshold, or run together with another one.
        kept = (label > 0) & (np.bincount(label)[label] == 1)
        area = np.asarray(at.table["area_nm2"])[label[kept] - 1]
        error: Float64[np.ndarray, " n"] = np.sqrt(area) / true[kept] - 1
        rows.append((threshold, int(kept.sum()), float(error.sum())))
    return pd.DataFrame(rows, columns=["threshold", "n", "edge_length_error"])


def surest_pixels(
    probability: UInt8[np.ndarray, "y x"], labels: Int32[np.ndarray, "y x"], numbers: np.ndarray
) -> np.ndarray:
    """Give, for each of some labels, where its highest probability lies: the first of its pixels in raster order.

    Parameters
    ----------
    probability : uint8 (y, x)
    labels : int32 (y, x)
    numbers : int (n,)
        Labels that have pixels.

    Returns
    -------
    int (n,)
        Places in the flattened image.

    Examples
    --------
    >>> surest_pixels(np.array([[3, 9, 9, 4]], np.uint8), np.array([[1, 1, 1, 2]], np.int32), np.array([2, 1])).tolist()
    [3, 1]
    """
    places = np.flatnonzero(labels)
    label, value = labels.ravel()[places], probability.ravel()[places]
    highest = np.zeros(int(labels.max(initial=0)) + 1, np.uint8)
    np.maximum.at(highest, label, value)
    top = value == highest[label]
    first = np.zeros(len(highest), np.int64)
    first[label[top][::-1]] = places[top][::-1]
    return np.asarray(first[numbers])
