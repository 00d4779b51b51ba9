"""Particle tables without micrographs: populations whose truth is known, fast enough to be drawn by the hundred."""

import hashlib
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from nanocensus.errors import InputError
from nanocensus.schema import CONDITION_PREFIX, LARGEST_WEIGHT, PARTICLES
from nanocensus.simulate.population_spec import DIAMETER, PopulationSpec, SampleSpec
from nanocensus.simulate.scatter import Columns, MicrographEffect, draw_effects, draw_shapes, draw_sizes
from nanocensus.simulate.seeds import sample_seed
from nanocensus.store.manifest import Manifest


@dataclass(frozen=True, eq=False)
class Population:
    """Simulated particles and the truth about them."""

    particles: pd.DataFrame
    """One row a particle; its columns are those of `schema.PARTICLES` that follow from size, circularity and solidity."""
    micrographs: pd.DataFrame
    """The index, columns of `schema.MICROGRAPHS` and the conditions. Nobody recorded these micrographs: their digests
    are made of the seed, the sample and the order."""
    effects: pd.DataFrame
    """One row a micrograph: the fields of `scatter.MicrographEffect`, and its identity."""


def simulate_population(
    spec: PopulationSpec,
    *,
    seed: int,
    samples: Collection[str] | None = None,
    orders: Collection[int] | None = None,
) -> Population:
    """Draw the particle table of a study.

    Edge lengths are log-normal. A micrograph shifts all its sizes, and widens or narrows the distance of circularity
    and of solidity from 1; both are beta distributed about the mean of their size, so they are skewed and stay below 1.
    Centres fall anywhere in the micrograph, and a particle that its border would cut is left out: so large ones are
    seen more seldom, as `border_weight` says. Size, circularity and solidity scatter independently of one another.

    Parameters
    ----------
    spec : PopulationSpec
    seed : int
        Not negative. Sample and order are mixed in: any part of a study has the rows that it has in the whole.
    samples : collection of str, optional
        Only these samples.
    orders : collection of int, optional
        Only the micrographs at these positions of each sample.

    Returns
    -------
    Population

    Raises
    ------
    InputError
        If the seed is negative or a sample is unknown.

    Examples
    --------
    >>> from nanocensus.simulate.paper import PAPER
    >>> population = simulate_population(PAPER, seed=1, samples=["Co0.4"], orders=range(2))
    >>> len(population.micrographs), bool((population.particles["solidity"] < 1).all())
    (2, True)
    """
    _check(spec, seed, samples)
    drawn = [
        (sample, effect)
        for sample in spec.samples
        if samples is None or sample.name in samples
        for effect in draw_effects(sample, _stream(seed, sample.name, 0))
        if orders is None or effect.order in orders
    ]
    if not drawn:
        raise InputError("orders", expected="some of 0, 1, ...", got="none of them", remedy="Choose a micrograph.")
    parts = [_draw_particles(spec, sample, effect, seed) for sample, effect in drawn]
    rows = [_index_row(spec, sample, effect, seed) for sample, effect in drawn]
    names = [str(row["micrograph"]) for row in rows]
    effects = pd.DataFrame([vars(effect) for _, effect in drawn])
    effects.insert(1, "micrograph", names)
    return Population(_table(spec, effects, parts), Manifest.from_rows(rows, []).micrographs, effects)


def _check(spec: PopulationSpec, seed: int, samples: Collection[str] | None) -> None:
    known = [sample.name for sample in spec.samples]
    unknown = sorted(set(samples or ()) - set(known))
    if unknown:
        raise InputError(
            "samples",
            expected="some of " + ", ".join(known),
            got=", ".join(unknown),
            remedy="Name samples of the study.",
        )
    if seed < 0:
        raise InputError("seed", expected="0 or more", got=str(seed), remedy="Give a number that is not negative.")


def _stream(seed: int, sample: str, number: int) -> np.random.Generator:
    """Give a sample's stream: 0 for the effects of its micrographs, 1 + order for the particles of each."""
    root = sample_seed(seed, sample)
    return np.random.default_rng(np.random.SeedSequence(root.entropy, spawn_key=(number,)))


def _draw_particles(spec: PopulationSpec, sample: SampleSpec, effect: MicrographEffect, seed: int) -> Columns:
    rng = _stream(seed, sample.name, 1 + effect.order)
    sizes = draw_sizes(spec, sample, effect, rng)
    return sizes | draw_shapes(sample, effect, sizes["edge_length_nm"], rng)


def _table(spec: PopulationSpec, effects: pd.DataFrame, parts: Sequence[Columns]) -> pd.DataFrame:
    """Give the particles of all micrographs with the columns that follow from what was drawn."""
    counts = effects["n_particles"].to_numpy()
    drawn = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    size = drawn["edge_length_nm"]
    area = size**2
    room = 1 - DIAMETER * size / spec.field_nm
    columns: dict[str, object] = {
        "sample": _text(effects["sample"].to_numpy(object).repeat(counts)),
        "micrograph": _text(effects["micrograph"].to_numpy(object).repeat(counts)),
        "label": np.concatenate([np.arange(1, count + 1, dtype=np.int32) for count in counts]),
        "estimator": _text(np.full(len(size), spec.estimator, object)),
        "pixel_count": np.maximum(np.rint(area / spec.pixel_size_nm**2), 1).astype(np.int32),
        "area_nm2": area,
        "perimeter_nm": np.sqrt(4 * math.pi * area / drawn["circularity"]),
        "hull_area_nm2": area / drawn["solidity"],
        "equivalent_diameter_nm": DIAMETER * size,
        "iso_circularity": np.sqrt(drawn["circularity"]),
        "touches_border": np.zeros(len(size), np.bool_),
        "border_weight": np.minimum(room**-2, LARGEST_WEIGHT),
        **drawn,
    }
    return pd.DataFrame({name: columns[name] for name in PARTICLES.names if name in columns})


def _text(names: npt.NDArray[np.object_]) -> pd.Series:
    return pd.Series(names, dtype="str")


def _index_row(spec: PopulationSpec, sample: SampleSpec, effect: MicrographEffect, seed: int) -> dict[str, object]:
    """Give a micrograph's row of the index."""
    digest = hashlib.sha256(f"{seed} {sample.name} {effect.order}".encode()).hexdigest()
    return {
        "micrograph": digest[:16],
        "name": f"{sample.name}/{effect.order:04d}.tif",
        "sample": sample.name,
        "order": effect.order,
        "height_px": spec.side_px,
        "width_px": spec.side_px,
        "recorded_dtype": "uint16",
        "pixel_size_nm": spec.pixel_size_nm,
        "pixel_size_source": "given",
        "content_digest": digest,
        "status": "done",
        "n_detected": effect.n_particles,
    } | {CONDITION_PREFIX + name: value for name, value in sample.conditions.items()}
