"""What the statistics of sizes need of every particle: logarithm, inverse, and weight by number or by volume."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float64

from nanocensus.errors import StatisticsError, TableError
from nanocensus.statistics.cells.partitions import Particles, ParticleSource, as_frame
from nanocensus.statistics.cells.quanta import LARGEST_INTEGER, Number
from nanocensus.statistics.cells.rows import numbers
from nanocensus.store.particles.row_groups import check_columns

LOG, INVERSE, WEIGHT = "log_size", "inverse_size", "weight_of_size"
_FINEST = 2.0**-20
"""Quantum of 1 / size, unless a size is below an eighth of its unit."""


def each_partition(particles: Particles, change: Callable[..., pd.DataFrame], *arguments: object) -> Particles:
    """Apply a function from DataFrame to DataFrame to every partition."""
    if isinstance(particles, pd.DataFrame):
        return change(particles, *arguments)
    changed: Particles = particles.map_partitions(change, *arguments)
    return changed


def read_sizes(particles: ParticleSource, of: str, weight: str | None) -> Particles:
    """Keep the columns that are needed; others are not loaded.

    Raises
    ------
    TableError
        If one of them is absent.
    """
    wanted = list(dict.fromkeys(["sample", "micrograph", of, *([weight] if weight else [])]))
    frame = as_frame(particles)
    check_columns(wanted, frame.columns)
    return frame[wanted]


def _volume(frame: pd.DataFrame, of: str, weight: str | None) -> Float64[np.ndarray, " row"]:
    volume = numbers(frame[of]) ** 3
    return volume * numbers(frame[weight]) if weight else volume


class Extremes(NamedTuple):
    """What the sizes of all samples lie between."""

    lowest: float
    volume: float
    """Largest cube of a size times its weight."""


def extremes(particles: Particles, of: str, weight: str | None) -> Extremes:
    """Give the smallest size, and the largest cube of a size times its weight.

    Raises
    ------
    TableError
        If a size is not positive.
    StatisticsError
        If there is no particle, or none with a size and a weight.
    """
    found = each_partition(particles, _extremes, of, weight)
    rows = found if isinstance(found, pd.DataFrame) else found.compute()
    lowest, volume = float(rows["lowest"].min()), float(rows["volume"].max())
    if lowest <= 0:
        raise TableError(
            f"column {of!r}",
            expected="sizes above 0",
            got=f"{lowest:g}",
            remedy="Drop those particles, or check the column.",
        )
    if not (0 < volume < np.inf):
        raise StatisticsError(
            f"distribution of {of!r}", expected="particles with a size and a weight", got="none",
            remedy="Check the criteria, or the columns.",
        )  # fmt: skip
    return Extremes(lowest, volume)


def scale_of(lowest: float) -> dict[str, Number]:
    """Give the quanta of logarithms and inverses: finer than can be measured, and of the smallest size still in range.

    Examples
    --------
    >>> [scale_of(lowest)[INVERSE] * 2**20 for lowest in (5.0, 0.125, 0.12)]
    [1.0, 1.0, 2.0]
    """
    doublings = max(math.ceil(-math.log2(lowest * LARGEST_INTEGER * _FINEST)), 0)
    return {LOG: 2.0**-18, INVERSE: _FINEST * 2.0**doublings}


def _extremes(frame: pd.DataFrame, of: str, weight: str | None) -> pd.DataFrame:
    sizes, volumes = numbers(frame[of]), _volume(frame, of, weight)
    return pd.DataFrame({"lowest": [np.nanmin(sizes, initial=np.inf)], "volume": [np.nanmax(volumes, initial=0.0)]})


def derive(frame: pd.DataFrame, of: str, weight: str | None, factor: float | None) -> pd.DataFrame:
    """Add what the statistics need of each particle: logarithm, inverse, and weight by number or by volume.

    Volumes are relative to the largest, so that weights keep to their range; their quantum is 2^-16 of it.
    """
    sizes = numbers(frame[of])
    if factor is not None:
        counted = _volume(frame, of, weight) * factor
    else:
        counted = numbers(frame[weight]) if weight else np.ones(len(frame))
    with np.errstate(invalid="ignore", divide="ignore"):
        return frame[["sample", "micrograph", of]].assign(**{LOG: np.log(sizes), INVERSE: 1 / sizes, WEIGHT: counted})
