"""What several statistics are asked alike, refused before anything is computed."""

import numpy as np
import pandas as pd
import pytest

from nanocensus.errors import StatisticsError
from nanocensus.statistics.cells.cells import cells
from nanocensus.statistics.distributions.density import densities
from nanocensus.statistics.distributions.energy import energy_distances
from nanocensus.statistics.distributions.modality import modality
from nanocensus.statistics.distributions.modes import mode_intervals
from nanocensus.statistics.estimation.clusters import check_cluster
from nanocensus.statistics.sampling.sampling_plan import sampling_plan
from nanocensus.statistics.synthesis.synthesis import synthesis_model
from nanocensus.statistics.variance.nested import nested_variance

COLUMN = "edge_length_nm"


def drawn(samples=5, micrographs=8, particles=10):
    rng = np.random.default_rng(0)
    place = np.arange(samples * micrographs * particles) // particles
    rows = pd.DataFrame({"sample": [f"S{k // micrographs}" for k in place], "micrograph": [f"m{k:02d}" for k in place]})
    rows[COLUMN] = rng.normal(5, 0.3, len(rows))
    rows["circularity"] = rng.uniform(0.8, 0.9, len(rows))
    index = rows[["sample", "micrograph"]].drop_duplicates()
    return rows, index.assign(condition_Co=1.0 + pd.factorize(index["sample"])[0])


ROWS, INDEX = drawn()


@pytest.mark.parametrize("level", [0.0, 1.0, 1.5])
@pytest.mark.parametrize(
    "ask",
    [
        lambda **asked: energy_distances(ROWS, weight=None, **asked),
        lambda **asked: nested_variance(ROWS, INDEX, of=[COLUMN], weight=None, **asked),
        lambda **asked: sampling_plan(cells(ROWS, by=["sample"], of=[COLUMN], weight=None), cv=0.01, **asked),
        lambda **asked: mode_intervals(densities(ROWS, COLUMN, weight=None), ROWS, **asked),
        lambda **asked: synthesis_model(ROWS, INDEX, of=[COLUMN], weight=None, **asked),
    ],
    ids=["energy", "nested", "plan", "modes", "synthesis"],
)
def test_levels_that_are_none_are_refused(ask, level):
    with pytest.raises(StatisticsError, match="level: expected a number between 0 and 1"):
        ask(level=level)


@pytest.mark.parametrize("count", [0, -1])
@pytest.mark.parametrize(
    ("ask", "name"),
    [
        (lambda count: energy_distances(ROWS, weight=None, permutations=count), "permutations"),
        (lambda count: modality(ROWS, replicates=count), "replicates"),
        (lambda count: mode_intervals(densities(ROWS, COLUMN, weight=None), ROWS, replicates=count), "replicates"),
        (lambda count: synthesis_model(ROWS, INDEX, of=[COLUMN], weight=None, permutations=count), "permutations"),
        (lambda count: synthesis_model(ROWS, INDEX, of=[COLUMN], weight=None, replicates=count), "replicates"),
    ],
    ids=["energy", "modality", "modes", "synthesis permutations", "synthesis replicates"],
)
def test_no_draws_are_refused(ask, name, count):
    with pytest.raises(StatisticsError, match=f"{name}: expected . or more, got {count}"):
        ask(count)


def test_an_unknown_unit_is_refused_by_its_name():
    with pytest.raises(StatisticsError, match="one of group, session, micrograph, run, auto, got 'field'"):
        check_cluster("field")
