"""How the particles of a run were measured, so that known outlines can be measured the same way."""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import UInt8

from nanocensus.errors import DamageError, InputError, StatisticsError
from nanocensus.measure.acceptance import failed_criteria
from nanocensus.measure.criteria import Criteria
from nanocensus.measure.descriptors import measure
from nanocensus.measure.split import SplitMethod
from nanocensus.pipeline.run.record import job_of_run
from nanocensus.schema import Estimator
from nanocensus.simulate.copies import Sheet, at_random, render_apart
from nanocensus.simulate.outline import Outline
from nanocensus.simulate.placement import Planted
from nanocensus.simulate.shapes import disc
from nanocensus.statistics.cells.known_micrographs import that_count
from nanocensus.store.images.ingest import STORE_FOLDER
from nanocensus.store.images.micrographs import read_probability
from nanocensus.store.particles.tables import read_micrographs

_WIDTH_OF_SIGMA = 2.5631
"""10-90 % width of an edge that a Gaussian blurs, in its sigmas."""
_PIXEL_VARIANCE = 1 / 12
"""What a pixel adds to the variance of the blur by integrating over its area, px2."""
_ON_A_SHEET = 36
_FEWEST = 20
"""Particles with an edge width below which nothing is estimated."""
_BINS = 8
_TRIED_NOISE, _MOST_NOISE = 0.05, 0.5
_TRIED_COPIES = 100
_ABOUT = 0.1
"""Particles within this share of the median size are taken for as large."""
MAPS = 12
"""Maps of a run that are looked at."""


@dataclasses.dataclass(frozen=True)
class Measuring:
    """What outlines go through to become rows of the particle table.

    Examples
    --------
    >>> Measuring(pixel_size_nm=0.1, edge_width_nm=0.2, edge_growth_nm3=0.8).edge_width_at(4.0)
    0.25
    """

    pixel_size_nm: float
    """Side of a pixel, nm."""
    edge_width_nm: float
    """Width of the edge of a large particle on the map, from a probability of 0.1 to 0.9, nm; 0 if the map steps."""
    edge_growth_nm3: float = 0.0
    """By how much the edge of a small particle is wider, times the square of its edge length, nm3."""
    smallest_nm: float = 0.0
    """Edge length below which the edge grows no wider, nm: nobody has seen smaller particles."""
    noise: float = 0.0
    """Standard deviation of the map's noise at an outline, as a probability."""
    noise_grain_px: float = 2.0
    """Correlation length (Gaussian sigma) of the noise, px."""
    estimator: Estimator = "outline"
    """How area and perimeter are measured."""
    threshold: float = 0.5
    """Probability at a particle's edge."""
    split: SplitMethod | None = None
    """How touching particles are split, if they are."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        lengths = (self.edge_width_nm, self.smallest_nm, self.noise, self.noise_grain_px)
        if not (0 < self.pixel_size_nm < math.inf and all(0 <= length < math.inf for length in lengths)):
            raise InputError(
                "measuring", expected="a positive pixel size; widths, sizes and noise of at least 0", got=str(self),
                remedy="Change the number that is out of range.",
            )  # fmt: skip

    def edge_width_at(self, size_nm: float) -> float:
        """Give the 10-90 % width of the edge of a particle of some edge length, nm."""
        seen = max(size_nm, self.smallest_nm)
        return max(0.0, self.edge_width_nm + self.edge_growth_nm3 / seen**2)

    def blur_px_at(self, size_nm: float) -> float:
        """Give the Gaussian sigma that makes such an edge, once pixels have integrated over it, px."""
        sigma = self.edge_width_at(size_nm) / _WIDTH_OF_SIGMA / self.pixel_size_nm
        return math.sqrt(max(0.0, sigma**2 - _PIXEL_VARIANCE))


def measure_groups(groups: Sequence[Sequence[Planted]], measuring: Measuring, rng: np.random.Generator) -> pd.DataFrame:
    """Draw groups of particles apart from each other, and measure what is seen of them.

    Parameters
    ----------
    groups : sequence of sequences of Planted
        About the origin, in pixels; those of one group may touch.
    measuring : Measuring
    rng : numpy.random.Generator
        Of the noise.

    Returns
    -------
    DataFrame
        One row a region that holds the centre of a particle, in the order of groups: `group` (its number), `members` (how
        many centres), and the columns of `schema.PARTICLES` but sample and micrograph. A group may have no row.
    """
    sizes = np.array([max(one.outline.edge_length for one in group) for group in groups])
    order = np.argsort(sizes, kind="stable")
    parts = []
    for start in range(0, len(order), _ON_A_SHEET):
        chosen = order[start : start + _ON_A_SHEET]
        size_nm = float(sizes[chosen].mean()) * measuring.pixel_size_nm
        sheet = render_apart(
            [groups[number] for number in chosen],
            blur_px=measuring.blur_px_at(size_nm),
            noise=measuring.noise,
            noise_grain_px=measuring.noise_grain_px,
            rng=rng,
        )
        parts.append(regions_of(sheet, chosen.tolist(), measuring))
    return pd.concat(parts, ignore_index=True).sort_values("group", kind="stable", ignore_index=True)


def regions_of(sheet: Sheet, numbers: Sequence[int], measuring: Measuring) -> pd.DataFrame:
    """Measure a sheet: the rows of `measure_groups`, its groups known by these numbers."""
    found = measure(
        sheet.probability,
        pixel_size_nm=measuring.pixel_size_nm,
        estimator=measuring.estimator,
        threshold=measuring.threshold,
        split=measuring.split,
    )
    centres = pd.DataFrame(
        [(number, found.labels[round(one.centre[0]), round(one.centre[1])])
         for number, group in zip(numbers, sheet.groups, strict=True) for one in group],
        columns=["group", "label"],
    )  # fmt: skip
    seen = centres[centres["label"] > 0].groupby(["group", "label"]).size().rename("members").reset_index()
    return seen.merge(found.table.to_pandas(), on="label", how="left")


def measuring_of_run(out: Path, *, maps: int = MAPS, seed: int = 0) -> Measuring:
    """Say how the particles of a finished run were measured; the edges are those of its own maps that count.

    Parameters
    ----------
    out : Path
        Folder of the results.
    maps : int
        Number of maps that are looked at, evenly spaced over the index.
    seed : int
        Of the discs that noise is estimated with.

    Raises
    ------
    StoreError
        If there are no results, or they are damaged.
    StatisticsError
        If micrographs have different pixel sizes, or too few particles to tell how sharp maps are.
    """
    job = job_of_run(out)
    done = that_count(read_micrographs(out))
    sides = done["pixel_size_nm"].unique()
    if len(sides) != 1:
        raise StatisticsError(
            "pixel size", expected="one that all micrographs share", got=", ".join(f"{side:g} nm" for side in sides) or "no micrograph that counts",
            remedy="Constant shapes depend on it: give a Measuring for each pixel size.",
        )  # fmt: skip
    rows = done.iloc[np.unique(np.linspace(0, len(done) - 1, min(maps, len(done))).round().astype(int))]
    own = Measuring(float(sides[0]), 0.0, estimator=job.measure.estimator, threshold=job.measure.threshold,
                    split=None if job.measure.split == "none" else job.measure.split)  # fmt: skip
    seen = zip(map(str, rows["sample"]), (_stored(out, str(name)) for name in rows["micrograph"]), strict=True)
    return measuring_of_maps(seen, own, criteria=job.criteria, seed=seed)


def _stored(out: Path, micrograph: str) -> UInt8[np.ndarray, "y x"]:
    stored = read_probability(out / STORE_FOLDER, micrograph)
    if stored is None:
        remedy = "Run the job again: what is missing is done again."
        raise DamageError(f"micrograph {micrograph}", expected="its map", got="none", remedy=remedy)
    return stored[0]


def measuring_of_maps(
    maps: Iterable[tuple[str, UInt8[np.ndarray, "_ _"]]],
    measuring: Measuring,
    *,
    criteria: Criteria | None = None,
    seed: int = 0,
) -> Measuring:
    """Fill in how sharp and how noisy maps are at the outlines of the particles on them.

    The edge width is fitted against size, w = a + b / L^2, since small particles are blurred by more in what networks make
    of them. Noise is what gives discs of that size and sharpness the outline noise of the particles.

    Parameters
    ----------
    maps : iterable of (str, uint8 array (y, x))
        The sample of each, and the map.
    measuring : Measuring
        All else.
    criteria : Criteria, optional
        Which particles count; the default ones if absent.
    seed : int

    Raises
    ------
    StatisticsError
        If there are fewer than 20 particles to tell from.
    """
    frames = []
    for sample, probability in maps:
        table = measure(probability, pixel_size_nm=measuring.pixel_size_nm, threshold=measuring.threshold,
                        split=measuring.split).table.to_pandas()  # fmt: skip
        table["sample"] = sample
        frames.append(table[failed_criteria(table, criteria or Criteria()) == 0])
    particles = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame({"edge_length_nm": []})
    if len(particles) < _FEWEST:
        raise StatisticsError(
            "sharpness of the maps", expected=f"at least {_FEWEST} accepted particles", got=str(len(particles)),
            remedy="Give a Measuring with the width of the edges, as the column edge_width_nm of other maps tells it.",
        )  # fmt: skip
    known = particles[particles["edge_width_nm"].notna()]
    if len(known) < max(_FEWEST, len(particles) / 2):  # the map steps from 0 to 1 at most outlines
        return dataclasses.replace(measuring, edge_width_nm=0.0, edge_growth_nm3=0.0, noise=0.0)
    medians = known.groupby(pd.qcut(known["edge_length_nm"], _BINS, duplicates="drop"), observed=True)[
        ["edge_length_nm", "edge_width_nm"]
    ].median()
    sizes = medians["edge_length_nm"].to_numpy(np.float64)
    terms = np.stack([np.ones(len(sizes)), 1 / sizes**2], axis=1)
    width, growth = np.linalg.lstsq(terms, medians["edge_width_nm"].to_numpy(np.float64), rcond=None)[0].tolist()
    sharp = dataclasses.replace(
        measuring, edge_width_nm=max(0.0, width), edge_growth_nm3=growth, smallest_nm=float(sizes[0])
    )
    return _as_discs_show(known, sharp, seed)


def _as_discs_show(particles: pd.DataFrame, measuring: Measuring, seed: int) -> Measuring:
    """Give the noise, and correct the edges, by what discs of the median size show of both.

    Noise makes edges seem steeper by some per cent, and a sharp map has some outline noise without any.
    """
    size = float(particles["edge_length_nm"].median())
    near = particles[np.abs(particles["edge_length_nm"] / size - 1) < _ABOUT]
    noise = near["outline_noise_nm"].median()
    quiet, noisy = (
        _of_discs(measuring, size, tried, seed)["outline_noise_nm"].median() for tried in (0.0, _TRIED_NOISE)
    )
    share = (noise**2 - quiet**2) / (noisy**2 - quiet**2)
    found = min(_MOST_NOISE, _TRIED_NOISE * math.sqrt(share)) if share > 0 else 0.0
    shown = float(_of_discs(measuring, size, found, seed)["edge_width_nm"].median())
    wider = measuring.edge_width_at(size) / shown if shown > 0 else 1.0
    return dataclasses.replace(
        measuring,
        noise=found,
        edge_width_nm=measuring.edge_width_nm * wider,
        edge_growth_nm3=measuring.edge_growth_nm3 * wider,
    )


def _of_discs(measuring: Measuring, size_nm: float, noise: float, seed: int) -> pd.DataFrame:
    tried = dataclasses.replace(measuring, noise=noise, estimator="outline", split=None)
    return measure_copies(disc(), size_nm, tried, _TRIED_COPIES, np.random.default_rng(seed))


def measure_copies(
    shape: Outline, size_nm: float, measuring: Measuring, copies: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Measure copies of one outline at one edge length, in random poses: the rows of `measure_groups`."""
    outline = shape.scaled(size_nm / measuring.pixel_size_nm)
    return measure_groups([[at_random("copy", outline, rng)] for _ in range(copies)], measuring, rng)
