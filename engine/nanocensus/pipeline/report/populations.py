"""What the report says of populations beside each other: sentences, tables, and pictures of representative particles."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from nanocensus.measure.acceptance import FAILED, apply_criteria
from nanocensus.pipeline.job.spec import Job
from nanocensus.pipeline.populations.results import ComparedPopulations
from nanocensus.pipeline.report.crops import cut_out
from nanocensus.show.crops import Crop
from nanocensus.show.figures.theme import quantity_name, unit_sign
from nanocensus.show.numbers import counted, p_value, p_words, with_interval
from nanocensus.show.report.content import PopulationsContent, ReportTable, Representatives
from nanocensus.statistics.estimation.contrasts import holm
from nanocensus.statistics.variance.nested import ALL
from nanocensus.store.images.ingest import STORE_FOLDER
from nanocensus.store.ordering import natural_key
from nanocensus.store.particles.tables import read_particles

_LEVEL = 0.05
_MOST_PAIRS = 10
"""Pairs of samples up to which all are printed; of more, those with the first sample."""
_MOST_TILES, _FEWEST_BEHIND = 12, 20
"""Sizes of which a representative is shown, and particles that it has to stand for."""
_ROOM = 1.4
"""Side of a tile over the edge length of the largest of them."""


def populations_content(
    found: ComparedPopulations, *, assumed: bool, pictures: Sequence[Representatives] = ()
) -> PopulationsContent:
    """Give the section of the report.

    Parameters
    ----------
    found : ComparedPopulations
    assumed : bool
        Whether a pixel size was made up.
    pictures : sequence of Representatives
        Of `cut_representatives`, where there are micrographs.
    """
    sentences = [*_spread_sentences(found.spreads.table), *_peak_sentences(found.peaks)]
    tables = list(_tables(found, assumed=assumed))
    return PopulationsContent(sentences, found.spreads.points, tables, pictures)


def _spread_sentences(table: pd.DataFrame) -> Iterator[str]:
    for row in table.to_dict("records"):
        quantity = quantity_name(str(row["descriptor"]))
        if row["refusal"]:
            yield f"Whether the spread of {quantity} goes with its mean cannot be told: {row['refusal']}."
            continue
        ratio = str(row["against"]).startswith("1 - ")
        slope = with_interval(row["slope"], row["lower"], row["upper"])
        yield f"Spread of {quantity}: {_spread_words(row, ratio=ratio)} (slope {slope}; 0 is constant, 1 in proportion)."


def _spread_words(row: dict[Any, Any], *, ratio: bool) -> str:
    of = "the distance of the mean from 1" if ratio else "the mean"
    if row["p_in_proportion"] > _LEVEL:
        if row["p_constant"] > _LEVEL:
            return f"too few or too similar samples to tell whether it follows {of}"
        narrow = (
            ", as it would if only the mean moved towards the ceiling at 1: narrowing by itself says nothing"
            if ratio
            else ""
        )
        return f"in proportion to {of}{narrow}"
    if row["p_constant"] > _LEVEL:
        return "the same at all means"
    return (
        f"grows faster than {of}"
        if row["slope"] > 1
        else f"grows more slowly than {of}"
        if row["slope"] > 0
        else f"falls with {of}"
    )


def _peak_sentences(peaks: pd.DataFrame) -> Iterator[str]:
    told = peaks[peaks["refusal"] == ""]
    if told.empty:
        return
    adjusted = holm(told["p"].to_numpy(np.float64)[:, None, None]).ravel()
    two = told[adjusted <= _LEVEL]
    quantity = quantity_name(str(told["descriptor"].iloc[0]))
    if two.empty:
        yield (
            f"No sample shows more than one peak in its distribution of {quantity} (least {p_words(told['p'].min())} of "
            f"{counted(len(told), 'sample')}); peaks less than about two standard deviations apart would often be missed."
        )
    for row in two.to_dict("records"):
        first, second = sorted((row["peak"], row["second_peak"]))
        yield f"{row['sample']} has more than one peak in {quantity}, near {first:.3g} and {second:.3g} ({p_words(row['p'])})."


def _tables(found: ComparedPopulations, *, assumed: bool) -> Iterator[ReportTable]:
    if len(found.energy):
        yield _energy_table(found.energy, found.level)
    pooled = found.nested[found.nested["sample"] == ALL]
    shown = pooled if len(pooled) else found.nested
    rows = [_nested_row(row, assumed=assumed) for row in shown[shown["variance"].notna()].to_dict("records")]
    if rows:
        yield ReportTable(
            f"Where the variance of particles lies, the samples' means taken out [{100 * found.level:g} % interval]",
            pd.DataFrame(rows),
            "What a mean needs more of is the level with the largest variance over its number of units. Levels that cannot be told "
            "apart (one group a session, one micrograph a group) have no row. nested_variance.csv has every sample.",
        )
    told = found.peaks[found.peaks["refusal"] == ""]
    if len(told):
        sign = unit_sign(str(told["descriptor"].iloc[0]), assumed=assumed)
        yield ReportTable(
            f"One peak or more in {quantity_name(str(told['descriptor'].iloc[0]))}",
            pd.DataFrame({
                "sample": told["sample"], "p of one peak": told["p"].map(p_value), f"critical bandwidth ({sign})": told["critical_bandwidth"],
                f"usual ({sign})": told["usual_bandwidth"],
            }),
            "The critical bandwidth is the least that leaves one peak; p holds it against resamples of whole clusters of a "
            "distribution with one peak.",
        )  # fmt: skip


def _energy_table(energy: pd.DataFrame, level: float) -> ReportTable:
    names = list(dict.fromkeys(zip(energy["first"], energy["second"], strict=True)))
    printed = names if len(names) <= _MOST_PAIRS else [pair for pair in names if pair[1] == names[0][1]]
    rows = []
    for first, second in sorted(printed, key=lambda pair: [natural_key(str(name)) for name in reversed(pair)]):
        row = {"samples": f"{first} and {second}"}
        for one in energy[(energy["first"] == first) & (energy["second"] == second)].to_dict("records"):
            plane = f"{quantity_name(str(one['x']))} and {quantity_name(str(one['y']))}"
            told = f"{one['coefficient']:.3g} (chance {one['chance']:.2g}), {p_words(one['p_holm'])}"
            row[plane] = "refused" if one["refusal"] else told
        rows.append(row)
    return ReportTable(
        "How far samples lie apart in size and shape at once",
        pd.DataFrame(rows),
        f"Energy distance over twice the mean distance of particles of both: 0 for equal distributions, 1 for two points. Chance: what "
        f"clusters dealt out at random stay below in {100 * level:g} % of cases; p after Holm for all pairs. Samples of different mean "
        f"sizes differ in this too. {len(printed)} of {len(names)} pairs; all are in energy_distances.csv.",
    )


def _nested_row(row: dict[Any, Any], *, assumed: bool) -> dict[str, object]:
    sign = unit_sign(str(row["descriptor"]), assumed=assumed)
    ends = (float(np.sqrt(row[name])) for name in ("variance", "lower", "upper"))
    return {
        "quantity": quantity_name(str(row["descriptor"])) + (f" ({sign})" if sign else ""),
        "between": "particles of a micrograph" if row["level"] == "particle" else f"{row['level']}s",
        "number": int(row["n_units"]),
        "share of the variance": f"{100 * row['share']:.1f} %",
        "standard deviation": with_interval(*ends) + (" [refused]" if row["refusal"] else ""),
    }


def cut_representatives(job: Job, micrographs: pd.DataFrame, chosen: pd.DataFrame) -> Iterator[Representatives]:
    """Cut the first representative of some of each sample's size bins out of their micrographs.

    Parameters
    ----------
    job : Job
        Names the results.
    micrographs : DataFrame
        The index.
    chosen : DataFrame
        Of `statistics.distributions.representatives`.
    """
    shown = chosen[chosen["size_bin"].notna() & (chosen["rank"] == 1) & (chosen["n"] >= _FEWEST_BEHIND)]
    if shown.empty:
        return
    index = micrographs.set_index("micrograph")
    particles = apply_criteria(read_particles(job.out, excluded=True), job.criteria)
    held = particles[particles["micrograph"].isin(list(shown["micrograph"]))].compute()
    by_name = held.set_index(["micrograph", "label"])
    for sample, rows in shown.groupby("sample", sort=False):
        places = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _MOST_TILES)).round().astype(int))
        some = rows.iloc[places]
        side = _ROOM * float(
            by_name.loc[list(zip(some["micrograph"], some["label"], strict=True)), "edge_length_nm"].max()
        )
        crops = [_crop(job, by_name, index, row, side) for row in some.itertuples()]
        yield Representatives(str(sample), side, crops)


def _crop(job: Job, particles: pd.DataFrame, index: pd.DataFrame, row: Any, side_nm: float) -> Crop:  # noqa: ANN401  a row of pandas
    own = particles.loc[[(row.micrograph, row.label)]].reset_index()
    particle: Any = next(own.rename(columns={FAILED: "failed_criteria"}).itertuples())
    micrograph: Any = next(index.loc[[row.micrograph]].itertuples())
    return cut_out(
        job.out / STORE_FOLDER, particle, micrograph, side_nm=side_nm, threshold=job.measure.threshold,
        value=float(particle.edge_length_nm),
    )  # fmt: skip
