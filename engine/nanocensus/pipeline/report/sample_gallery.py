"""One sample of the gallery of criteria: its counts, the columns that bounds look at, and the particles near them."""

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int64, Num

from nanocensus.measure.acceptance import FAILED, RULES, Rule
from nanocensus.measure.criteria import Criteria
from nanocensus.pipeline.job.spec import Job
from nanocensus.pipeline.report.criteria_words import criterion_in_words
from nanocensus.pipeline.report.crops import cut_out
from nanocensus.show.crops import Crop
from nanocensus.show.figures.tiles import LARGE_TILE
from nanocensus.show.gallery.content import CriterionView, SampleGallery
from nanocensus.store.images.ingest import STORE_FOLDER

BORDER = "touches_border"
_EXAMPLES = 3
"""Accepted particles at random, for one on a side of a bound."""
_MOST_THAT_FIT = 0.9
"""Share of the accepted particles that fit into the small tile, which sets the scale."""
_ROOM = 1.25
"""Side of the small tile over the extent of the largest of those."""
_FILLED = 0.95
"""Share of a tile's side that a particle may take before it gets a large tile."""


@dataclass(frozen=True, eq=False)
class SampleStudy:
    """A sample of a finished run, with the criteria that hold for it."""

    job: Job
    name: str
    particles: pd.DataFrame
    """All that was detected, in the order of the index: `failed_criteria`, `extent_nm` (larger side of the bounding
    box), `margin_nm` (of the bounding box from the micrograph's border), and what the criteria look at."""
    micrographs: pd.DataFrame
    """Rows of the index, indexed by `micrograph`."""
    criteria: Criteria
    assumed: bool
    """Whether a pixel size was made up by the user."""

    def gallery(self, crops: int) -> SampleGallery:
        """Gather what there is to see, with this many particles on each side of a bound."""
        accepted = np.flatnonzero(self.particles[FAILED] == 0)
        extents = self.particles["extent_nm"].iloc[accepted if len(accepted) else slice(None)]
        tile_nm = _ROOM * float(extents.quantile(_MOST_THAT_FIT)) if len(extents) else 1.0
        drawn = np.sort(self._random().permutation(accepted)[: _EXAMPLES * crops])
        return SampleGallery(
            name=self.name,
            detected=len(self.particles),
            accepted=len(accepted),
            nm_per_tile=tile_nm,
            views=[self._view(bit, rule, crops, tile_nm) for bit, rule in enumerate(RULES)],
            examples=list(self._crops(drawn, None, tile_nm)),
        )

    def _random(self) -> np.random.Generator:
        return np.random.default_rng([self.job.seed, *self.name.encode()])

    def _view(self, bit: int, rule: Rule, crops: int, tile_nm: float) -> CriterionView:
        failed = self.particles[FAILED].to_numpy().astype(np.int64)
        rejected, others = (failed >> bit & 1).astype(bool), np.bitwise_count(failed & ~(1 << bit)).astype(np.int64)
        bound, lower = rule.bound(self.criteria), rule.accepts in (operator.gt, operator.ge)
        if rule.column == BORDER:
            values, nearness = None, self._nearness_to_border()
            # What a criterion that is off would reject stands on the border; others would not be decided by it.
            inside = ~rejected if bound is not None else self.particles[BORDER].to_numpy(bool)
        else:
            values = self.particles[rule.column].to_numpy(np.float64, na_value=np.nan)
            nearness = np.abs(values - bound) if bound is not None else values if lower else -values
            inside = ~rejected
        return CriterionView(
            reason=rule.reason,
            words=criterion_in_words(rule, self.criteria, assumed=self.assumed),
            column=rule.column,
            bound=bound,
            lower=lower,
            values=values,
            accepted=failed == 0,
            rejected=rejected,
            n_alone=int(np.count_nonzero(rejected & (others == 0))),
            inside=list(self._crops(nearest(inside, nearness, others, crops), values, tile_nm)),
            outside=list(self._crops(nearest(rejected, nearness, others, crops), values, tile_nm)),
        )

    def _nearness_to_border(self) -> Float[np.ndarray, " n"]:
        """Give the distance from the border; on it there is no more or less, so chance decides."""
        margins = self.particles["margin_nm"].to_numpy()
        return np.where(self.particles[BORDER], self._random().random(len(margins)), margins)

    def _crops(
        self, chosen: Int64[np.ndarray, " k"], values: Float[np.ndarray, " n"] | None, tile_nm: float
    ) -> Iterator[Crop]:
        store, threshold = self.job.out / STORE_FOLDER, self.job.measure.threshold
        rows: Iterator[Any] = self.particles.iloc[chosen].itertuples()
        for place, particle in zip(chosen, rows, strict=True):
            small = particle.extent_nm <= _FILLED * tile_nm
            yield cut_out(
                store,
                particle,
                _row(self.micrographs, particle.micrograph),
                side_nm=tile_nm if small else LARGE_TILE * tile_nm,
                threshold=threshold,
                value=None if values is None else float(values[place]),
            )


def _row(micrographs: pd.DataFrame, micrograph: str) -> Any:  # noqa: ANN401  a row of pandas
    return next(micrographs.loc[[micrograph]].itertuples())


def nearest(
    candidates: Bool[np.ndarray, " n"], nearness: Num[np.ndarray, " n"], others: Int64[np.ndarray, " n"], most: int
) -> Int64[np.ndarray, " k"]:
    """Choose the particles nearest to a bound, nearest first; those that nothing or little else rejects go before.

    Parameters
    ----------
    candidates : bool (n,)
        On the side of the bound.
    nearness : (n,)
        Small is near; NaN is never chosen.
    others : int64 (n,)
        How many other criteria reject a particle, so that the bound alone does not decide.
    most : int
        How many to choose.

    Examples
    --------
    >>> nearest(np.ones(4, bool), np.array([0.3, 0.1, 0.2, 0.4]), np.array([0, 1, 0, 0]), 3).tolist()
    [2, 0, 3]
    """
    places = np.flatnonzero(candidates & ~np.isnan(nearness))
    chosen = places[np.lexsort((places, nearness[places], others[places]))][:most]
    return chosen[np.lexsort((chosen, nearness[chosen]))]
