"""What else could move an onset: it is found again with sizes, weights and criteria that might as well be the right ones.

Each way is one more pass over the particles and one fit without intervals; what the ways do to an onset and to the bin means
becomes a contribution beside the standard error of sampling (see `onset_budget`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64

from nanocensus.measure.acceptance import RULES
from nanocensus.measure.criteria import Criteria
from nanocensus.pipeline.job.onset_section import OnsetsSection
from nanocensus.pipeline.onsets import variants
from nanocensus.pipeline.onsets.bin_means import bin_means, estimated_bin_means, series_of
from nanocensus.pipeline.onsets.budget import extremes, standard_uncertainties
from nanocensus.pipeline.onsets.maps import Maps, ways_on_maps
from nanocensus.pipeline.onsets.results import FoundOnsets, onset_cells
from nanocensus.pipeline.onsets.uncertainty import KEYS, bin_mean_rows, completed, onset_rows
from nanocensus.statistics.cells.cells import Cells
from nanocensus.statistics.cells.partitions import Particles
from nanocensus.statistics.estimation.clusters import Cluster
from nanocensus.statistics.onsets.places import bend_places, bend_places_beside
from nanocensus.statistics.onsets.samples import JOINT, SIZE
from nanocensus.statistics.onsets.table import READINGS

_RANDOM_EFFECTS = "mean over samples"
_WORDS = {variants.PIXEL_SIZE: ["exact: all sizes scale with it"], variants.BASELINE: ["draws by its standard errors"]}


@dataclass(frozen=True, eq=False)
class Material:
    """What onsets were found in, and what there is to vary."""

    particles: Particles
    """All that were detected on the micrographs that count."""
    micrographs: pd.DataFrame
    criteria: Criteria | None
    """None where the particles were chosen before they came here."""
    weight: str | None
    relative: Mapping[str, float]
    """Relative standard uncertainty of the pixel size by sample; NaN, or no entry, where it is not known."""
    maps: Maps | None = None
    """Maps to measure the particles on again, where a run keeps them."""

    @property
    def bounds(self) -> list[Criteria]:
        """The criteria of all samples, and those of samples that have their own."""
        return [] if self.criteria is None else [self.criteria, *map(self.criteria.of, self.criteria.samples or {})]

    def columns(self, descriptors: Sequence[str]) -> list[str]:
        """Give the columns that the variants read."""
        judged = [rule.column for rule in RULES if any(rule.bound(one) is not None for one in self.bounds)]
        optional = [name for name in (*variants.OPTIONAL, variants.BORDER_WEIGHT) if name in self.particles.columns]
        return list(dict.fromkeys(["sample", "micrograph", SIZE, *descriptors, *judged, *optional]))


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """How sure one may be of onsets and bin means with all that could move them."""

    onsets: pd.DataFrame
    """See `columns.UNCERTAINTY`."""
    bin_means: pd.DataFrame
    """See `columns.BIN_MEANS`."""


def sensitivity(
    material: Material,
    made: Cells,
    found: FoundOnsets,
    section: OnsetsSection,
    *,
    cluster: Cluster,
    baselines: Mapping[str, pd.DataFrame] | None = None,
    changes: Mapping[str, Float64[np.ndarray, "draw row"]] | None = None,
) -> Sensitivity:
    """Find the onsets and the bin means in every other way, and combine what that does to them.

    Parameters
    ----------
    material : Material
    made : Cells
        In which the onsets were found.
    found : FoundOnsets
    section : OnsetsSection
    cluster, baselines
        As the onsets were found with.
    changes : mapping of str to float64 array (draw, row), optional
        By how much the rows of each baseline might be higher, in each of many draws.
    """
    of = list(section.descriptors)
    ways, unknown = _ways(material, section)
    frame = material.particles[material.columns(of)]
    told = _told(found.table)
    shares = _shares(found.table)
    nominal = _places(made, section, shares, cluster, baselines).reindex(told.index)
    means = estimated_bin_means(made, of, cluster=cluster, level=found.level)
    moved: dict[str, dict[str, pd.Series[float]]] = {}
    moved_means: dict[str, dict[str, pd.Series[float]]] = {}
    for way in ways:
        rows = variants.each_partition(frame if way.particles is None else way.particles, way.change)
        other = onset_cells(rows, material.micrographs, section, way.weight)
        moved.setdefault(way.source, {})[way.name] = _places(other, section, shares, cluster, baselines)
        moved_means.setdefault(way.source, {})[way.name] = bin_means(other, of)
    if baselines and changes and len(told):
        moved[variants.BASELINE] = _beside(made, section, shares, cluster, baselines, changes)
    moved.pop(variants.PIXEL_SIZE, None)  # of an onset it is exact: all sizes scale
    parts = standard_uncertainties(nominal, moved)
    parts[variants.PIXEL_SIZE] = told["estimate_nm"].astype(float) * _relative(
        told.index.get_level_values("sample"), material.relative
    )
    ends = {
        source: extremes(nominal, each).sub(nominal - told["estimate_nm"], axis=0) for source, each in moved.items()
    }
    of_means = completed(standard_uncertainties(means["estimate"], moved_means), unknown)
    unscaled = ~np.isfinite(_relative(means.index.get_level_values("sample"), material.relative))
    of_means[variants.PIXEL_SIZE] = of_means[variants.PIXEL_SIZE].mask(unscaled)
    return Sensitivity(
        onset_rows(
            told,
            completed(parts, unknown),
            ends,
            unknown,
            {source: list(each) for source, each in moved.items()} | _WORDS,
        ),
        bin_mean_rows(means, of_means),
    )


def _ways(material: Material, section: OnsetsSection) -> tuple[list[variants.Variant], dict[str, str]]:
    """Give the ways that the particles allow, and why the other sources stay unknown."""
    criteria, weight, relative = material.criteria, material.weight, material.relative
    held = _held(material.particles)
    ways = _ways_to_segment(material, section, held)
    why = {
        variants.THRESHOLD: "the particles have no areas at other thresholds: there was no probability map",
        variants.FOLDS: "there are no sibling networks to compare ([segment] siblings names them)",
    }
    unknown = {source: words for source, words in why.items() if source not in {way.source for way in ways}}
    if any(np.isfinite(one) for one in relative.values()):
        ways += variants.of_pixel_sizes(criteria, weight, relative, list(section.descriptors))
    if not relative or not all(np.isfinite(one) for one in relative.values()):
        unknown[variants.PIXEL_SIZE] = "nobody states it (pixel_size_uncertainty does, nanocensus scale finds it)"
    if held.get(variants.BORDER_WEIGHT) and all(one.exclude_border for one in material.bounds):
        ways += variants.of_weights(criteria, weight)
    else:
        unknown[variants.WEIGHT] = "particles on the border are among them, or none has a weight"
    if criteria is None:
        unknown[variants.CRITERIA] = "the particles were chosen before they came here"
    return [*ways, *variants.of_criteria(criteria, weight, section.steps)], unknown


def _ways_to_segment(material: Material, section: OnsetsSection, held: Mapping[str, bool]) -> list[variants.Variant]:
    """Give the ways of other thresholds and networks: on the maps if asked for, else by what the columns say of sizes."""
    criteria, weight = material.criteria, material.weight
    if section.remeasure and material.maps is not None:
        wanted = material.columns(list(section.descriptors))
        return list(ways_on_maps(material.maps, material.micrographs, criteria, weight, wanted))
    ways: list[variants.Variant] = []
    if all(held.get(name) for name in (*variants.AREAS, "area_nm2", "estimator")):
        ways += variants.of_thresholds(criteria, weight)
    if held.get(variants.SIBLINGS):
        ways += variants.of_folds(criteria, weight)
    return ways


def _held(particles: Particles) -> dict[str, bool]:
    """Say which optional columns hold anything."""
    names = [name for name in (*variants.OPTIONAL, variants.BORDER_WEIGHT) if name in particles.columns]
    counts = particles[names].count()
    counts = counts if isinstance(counts, pd.Series) else counts.compute()
    return {str(name): int(number) > 0 for name, number in counts.items()}


def _told(table: pd.DataFrame) -> pd.DataFrame:
    """Give the onsets that have a number, but the paper's readings."""
    kept = table[np.isfinite(table["estimate_nm"].astype(float)) & ~table["sample"].isin(READINGS)]
    return kept.set_index(KEYS)


def _shares(table: pd.DataFrame) -> dict[tuple[str, str], dict[str, float]]:
    """Give what samples count in the mean place of all, by descriptor and bend, where it is such a mean."""
    shares = {}
    for key, rows in _told(table).reset_index().groupby(["descriptor", "bend"]):
        joint = rows[rows["sample"] == JOINT]
        if len(joint) and str(joint["method"].iloc[0]).startswith(_RANDOM_EFFECTS):
            own = rows[rows["sample"] != JOINT]
            between = float(joint["sd_between_nm"].iloc[0])
            weights = 1 / (own["standard_error_nm"].astype(float) ** 2 + between**2)
            shares[str(key[0]), str(key[1])] = dict(zip(own["sample"].astype(str), weights.tolist(), strict=True))
    return shares


def _places(
    made: Cells, section: OnsetsSection, shares: Mapping[tuple[str, str], Mapping[str, float]], cluster: Cluster,
    baselines: Mapping[str, pd.DataFrame] | None,
) -> "pd.Series[float]":  # fmt: skip
    found: dict[tuple[object, ...], float] = {}
    for of, sought in section.descriptors.items():
        for bend, between in sought.ranges.items():
            places = bend_places(
                made, of=of, between=between, cluster=cluster, shares=shares.get((of, bend)),
                baseline=(baselines or {}).get(of),
            )  # fmt: skip
            found |= {(of, bend, sample): place for sample, place in places.items()}
    return series_of(found, KEYS)


def _beside(
    made: Cells, section: OnsetsSection, shares: Mapping[tuple[str, str], Mapping[str, float]], cluster: Cluster,
    baselines: Mapping[str, pd.DataFrame], changes: Mapping[str, Float64[np.ndarray, "draw row"]],
) -> dict[str, "pd.Series[float]"]:  # fmt: skip
    """Give the places with other baselines, draw by draw."""
    found: dict[tuple[str, str, str], Float64[np.ndarray, " draw"]] = {}
    for of, sought in section.descriptors.items():
        for bend, between in sought.ranges.items():
            places = bend_places_beside(
                made, of=of, between=between, cluster=cluster, shares=shares.get((of, bend)), baseline=baselines[of],
                changes=changes[of],
            )  # fmt: skip
            found |= {(of, bend, sample): each for sample, each in places.items()}
    return {
        str(draw): series_of({key: float(place) for key, place in zip(found, column, strict=True)}, KEYS)
        for draw, column in enumerate(zip(*found.values(), strict=True))
    }


def _relative(samples: "pd.Index[str]", relative: Mapping[str, float]) -> Float64[np.ndarray, " row"]:
    """Give the relative uncertainty of the pixel size of each row; of all samples as if their errors were one."""
    known = dict(relative) | {JOINT: float(np.mean(list(relative.values()))) if relative else float("nan")}
    return np.array([known.get(sample, np.nan) for sample in samples], np.float64)
