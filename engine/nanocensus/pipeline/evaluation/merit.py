"""The figures of merit: what each is the ratio of, and in which unit it is given."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64

from nanocensus.pipeline.evaluation.ratios import Ratio, mean, ratio, slope

LARGE_PX = 400
"""Pixels from which on a particle counts as large: 20 px across, above which shapes can be told."""
ERRORS: Mapping[str, str] = {
    "boundary_error_px": "px",
    "boundary_distance_px": "px",
    "edge_length_error": "1",
    "circularity_error": "1",
    "solidity_error": "1",
    "edge_width_px": "px",
}
"""Columns of the particles whose means are taken, and their units."""
SLOPES = ("boundary_error_px", "edge_length_error", "circularity_error", "solidity_error")
"""Errors that must not change with size."""


@dataclass(frozen=True)
class Figure:
    """One figure of merit."""

    name: str
    unit: str
    meaning: str
    of: Callable[[pd.DataFrame, pd.DataFrame, float], Ratio]
    """From rows of micrographs and of particles (of one sample and method) and a level to the figure."""


Sum = Mapping[str, float]
"""Columns of the micrographs, and how often each is added."""


def _of_micrographs(
    above: Sum, below: Sum, largest: float = np.inf
) -> Callable[[pd.DataFrame, pd.DataFrame, float], Ratio]:
    def figure(micrographs: pd.DataFrame, particles: pd.DataFrame, level: float) -> Ratio:
        n = micrographs["n_true"].to_numpy(np.int64)
        first, second = (_added(micrographs, terms) for terms in (above, below))
        return ratio(micrographs["group"], first, second, n, level=level, smallest=0.0, largest=largest)

    return figure


def _added(rows: pd.DataFrame, terms: Sum) -> Float64[np.ndarray, " row"]:
    columns = rows[list(terms)].to_numpy(np.float64)
    return np.asarray(columns @ np.array(list(terms.values())))


def _mean_of(column: str, factor: str = "") -> Callable[[pd.DataFrame, pd.DataFrame, float], Ratio]:
    def figure(micrographs: pd.DataFrame, particles: pd.DataFrame, level: float) -> Ratio:
        values = particles[column].to_numpy(np.float64, na_value=np.nan)
        if factor:
            values = values * particles[factor].to_numpy(np.float64, na_value=np.nan)
        return mean(particles["group"], values, level=level)

    return figure


def _slope_of(column: str) -> Callable[[pd.DataFrame, pd.DataFrame, float], Ratio]:
    def figure(micrographs: pd.DataFrame, particles: pd.DataFrame, level: float) -> Ratio:
        size, error = (particles[name].to_numpy(np.float64, na_value=np.nan) for name in ("size", column))
        return slope(particles["group"], size, error, level=level)

    return figure


def figures_of_merit(size_unit: str, large_px: int) -> list[Figure]:
    """Give the figures in the order of the tables.

    Parameters
    ----------
    size_unit : str
        "nm" or "px": the unit of the particles' column `size`.
    large_px : int
        Pixels from which on a particle counts as large.
    """
    both_pixels = {"true_pixels": 1.0, "found_pixels": 1.0}
    either_pixels = both_pixels | {"common_pixels": -1.0}
    both, true, found, matched = {"n_true": 1.0, "n_found": 1.0}, {"n_true": 1.0}, {"n_found": 1.0}, {"n_matched": 1.0}
    large = {"n_matched_large": 1.0, "n_true_large": 1.0, "n_false_large": 1.0}
    of = _of_micrographs
    listed = [
        Figure("dice", "1", "Dice coefficient of all pixels.", of({"common_pixels": 2.0}, both_pixels, 1.0)),
        Figure("iou", "1", "Intersection over union of all pixels.", of({"common_pixels": 1.0}, either_pixels, 1.0)),
        Figure("precision", "1", "Share of the found particles that match a true one (intersection over union above 0.5).",
               of(matched, found, 1.0)),
        Figure("recall", "1", "Share of the true particles that are matched.", of(matched, true, 1.0)),
        Figure("f1", "1", "2 matched / (true + found).", of({"n_matched": 2.0}, both, 1.0)),
        Figure("f1_large", "1", f"The same of particles of at least {large_px} pixels.",
               of({"n_matched_large": 2.0}, large, 1.0)),
        Figure("found_over_true", "1", "Particles found for each true one.", of(found, true)),
        Figure("boundary_error_px", "px", "Mean signed distance of found outlines from the true ones; positive: found too "
               "large.", _mean_of("boundary_error_px")),
        Figure("boundary_error_nm", "nm", "The same in nm, where there is a pixel size.",
               _mean_of("boundary_error_px", "pixel_size_nm")),
        Figure("boundary_distance_px", "px", "Mean distance of found from true outlines, whichever side they lie on.",
               _mean_of("boundary_distance_px")),
        Figure("edge_length_error", "1", "Mean of found / true edge length - 1.", _mean_of("edge_length_error")),
        Figure("circularity_error", "1", "Mean of found - true circularity.", _mean_of("circularity_error")),
        Figure("solidity_error", "1", "Mean of found - true solidity.", _mean_of("solidity_error")),
        Figure("edge_width_px", "px", "Mean width of the map's edges.", _mean_of("edge_width_px")),
    ]  # fmt: skip
    listed += [
        Figure(
            f"{name}_slope",
            f"{ERRORS[name]}/{size_unit}",
            f"Slope of {name} against the true edge length.",
            _slope_of(name),
        )
        for name in SLOPES
    ]
    return listed
